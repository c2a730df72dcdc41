/* views.h: values whose batch is not outermost, which exist while a model is imported and no longer.
 *
 * In the IR only the outermost dimension may follow the batch. A model may move the batch inwards and back.
 * A value with the batch elsewhere is held as a view: an IR value, the base, whose batch is outermost, and
 * the order in which the view has the base's dimensions. Its law, element by element in the order of rows:
 *
 *     view = reshape(transpose(base, perm), the view's shape)
 *
 * Handlers know nothing of views: the types that they see are the model's. What they build with agate_lower
 * comes to agate_view_lower where an operand is a view, or where the result would be one. There the op is
 * applied to the bases, by a rule for each kind of op (view_rules.c):
 *
 *     %v = view of %b perm=[1, 0, 2] : [T,N,D]          %c = softmax %b axis=2 : [N,T,D]
 *     %w = softmax %v axis=2         : [T,N,D]    ==>   %w = view of %c perm=[1, 0, 2] : [T,N,D]
 *
 * Where nothing is left in front of the batch the result is no view, but an ordinary transpose or less. What
 * no rule covers is refused, and so is a view that the model has as an output.
 */
#ifndef AGATE_VIEWS_H
#define AGATE_VIEWS_H

#include "frontend/importer.h"

/* ---- what the rest of the importer asks ------------------------------------------------------------------
 */

bool agate_is_view(const agate_value *value);

/* Why a value of this type is refused, and what would help. */
void agate_view_explain(const agate_importer *importer, const agate_type *type, agate_text *text);

/* Builds the op, as agate_lower does, and returns true where views take part: *out_value is then the result,
 * or NULL after a fault. */
bool agate_view_lower(agate_call *call, agate_op op, const agate_attrs *attrs, agate_value *const *operands,
                      int32_t operand_count, agate_value **out_value);

/* ---- for the rules ---------------------------------------------------------------------------------------
 */

/* A value whose dimensions are its base's, one by one: dimension i is the base's dimension perm[i]. */
typedef struct agate_spread {
    agate_value *base;
    int32_t rank;
    int64_t perm[AGATE_MAX_RANK];
    int32_t fold; /* dimensions fold and fold + 1, the batch, are one of the value: T and N of [T*N, D]; -1:
                     none are */
} agate_spread;

/* A value's base and the order of its dimensions, whatever the value's own shape: an ordinary value is its
 * own base. */
agate_spread agate_view_source(agate_value *value);

/* Spreads a value, whose base may be reshaped and transposed for it. False where that cannot be. */
bool agate_view_spread(agate_call *call, agate_value *value, agate_spread *out_spread);

/* Where dimension `axis` of a value lies in the base of its spread; -1 for one that follows the batch. */
int32_t agate_view_axis(const agate_spread *spread, int64_t axis);

/* An order of dimensions for several bases, so that they go with each other as the values do. */
typedef struct agate_frame {
    int32_t rank;
    int32_t batch;  /* the dimension that follows the batch */
    int64_t factor; /* length of the dimension in front, which is folded with it; -1: none is */
    int64_t order[AGATE_MAX_RANK]; /* the batch comes first */
} agate_frame;

/* The frame of an op with a result of type `type`, to which its operands are broadcast from the right. The
 * last `tail` dimensions stay the last. False where operands have the batch in different places. */
bool agate_view_frame(agate_call *call, agate_value *const *operands, int32_t operand_count,
                      const agate_type *type, int32_t tail, agate_frame *out_frame);

/* What `value` is in a frame. Without the batch it may have fewer dimensions, but `least`. */
agate_value *agate_view_bring(agate_call *call, agate_value *value, const agate_frame *frame, int32_t least);

/* The value of type `type` that `base` is with its dimensions in the order `perm`: a view or an ordinary
 * value. NULL where it is neither. */
agate_value *agate_view_make(agate_call *call, agate_value *base, const int64_t *perm,
                             const agate_type *type);

/* The same for a base in a frame. */
agate_value *agate_view_leave(agate_call *call, agate_value *base, const agate_frame *frame,
                              const agate_type *type);

/* An op over views, as the model has it. */
typedef struct agate_view_work {
    agate_op op;
    const agate_attrs *attrs;
    agate_value *const *operands;
    int32_t operand_count;
    agate_type type; /* of the result */
} agate_view_work;

/* How an op is applied to bases: returns its result, or NULL where it cannot be or after a fault. */
typedef agate_value *(*agate_view_rule)(agate_call *call, const agate_view_work *work);

/* The rule of an op, or NULL. */
agate_view_rule agate_view_rule_of(agate_op op);

/* The first dimension that follows the batch; -1: none does. */
static inline int32_t agate_batch_axis(const agate_type *type)
{
    for (int32_t i = 0; i < type->rank; i++)
        if (!agate_dim_is_fixed(type->dims[i]))
            return i;
    return -1;
}

#endif
