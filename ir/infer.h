/* infer.h: the inference functions named in ops.def's column `infer`, and what they are built from.
 *
 * Every rule decides dtype and shape. Where the operands do not determine the layout of the result (a
 * convolution may read plain and write blocked), the layout that the result's type already has is taken as
 * given.
 */
#ifndef AGATE_INFER_H
#define AGATE_INFER_H

#include "ir/graph.h"

#define AGATE_INFER(name) bool agate_infer_##name(agate_node *node, agate_type *out_type, agate_text *fault)

#define AGATE_OP(id, text, lo, hi, attrs, traits, infer, reference, family, rows) AGATE_INFER(infer);
#include "ir/ops.def"
#undef AGATE_OP

/* The type that the one result of `node` must have, by its op's row: checks the operand count, runs the rule
 * and checks the type it gives. Left-out attribute lists are filled; the result's type is not changed. Ops
 * whose type is given keep it, and terminators have none. */
bool agate_infer_node(agate_node *node, agate_type *out_type, agate_text *fault);

/* Appends a sentence to `fault` and returns false. */
bool agate_fault(agate_text *fault, const char *format, ...) AGATE_PRINTF(2, 3);

/* The layout of the node's result where it is stated already, else `otherwise`; without a pitch, which only
 * memory has. */
agate_layout agate_infer_layout(const agate_node *node, agate_layout otherwise);

/* Fills an empty list with `count` times `value`; a list of another length is a fault that speaks of `name`.
 */
bool agate_infer_list(agate_ints *list, int32_t count, int64_t value, const char *name, agate_text *fault);

/* Is 0 <= axis < rank? */
bool agate_infer_axis(int64_t axis, int32_t rank, agate_text *fault);

#define AGATE_PLAIN ((agate_layout){.kind = AGATE_LAYOUT_plain})

static inline const agate_type *agate_operand_type(const agate_node *node, int32_t index)
{
    return &node->operands[index]->type;
}

#endif
