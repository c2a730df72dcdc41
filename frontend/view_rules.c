/* view_rules.c: how each kind of op is applied to the bases of views. A rule renames the axes of its op. */
#include "frontend/views.h"

/* ---- elementwise -----------------------------------------------------------------------------------------
 */

/* The op over its operands in a frame, in which those without the batch keep at least `least` dimensions. */
static agate_value *lower_in(agate_call *call, const agate_view_work *work, const agate_frame *frame,
                             const agate_attrs *attrs, int32_t least)
{
    agate_value **operands = AGATE_NEW_N(call->importer->arena, agate_value *, work->operand_count);
    for (int32_t i = 0; i < work->operand_count; i++)
        operands[i] = agate_view_bring(call, work->operands[i], frame, least);
    return agate_view_leave(call, agate_lower(call, work->op, attrs, operands, work->operand_count), frame,
                            &work->type);
}

static agate_value *elementwise(agate_call *call, const agate_view_work *work)
{
    agate_frame frame;
    if (!agate_view_frame(call, work->operands, work->operand_count, &work->type, 0, &frame))
        return NULL;
    return lower_in(call, work, &frame, work->attrs, 0);
}

static agate_value *expand(agate_call *call, const agate_view_work *work)
{
    agate_dim dims[AGATE_MAX_RANK], ordered[AGATE_MAX_RANK];
    agate_frame frame;
    if (!agate_view_frame(call, work->operands, 1, &work->type, 0, &frame))
        return NULL;
    const bool folded = frame.factor >= 0;
    for (int32_t i = 0; i < frame.rank; i++)
        dims[i] = work->type.dims[folded && i >= frame.batch ? i - 1 : i];
    if (folded) {
        dims[frame.batch - 1] = agate_dim_fixed(frame.factor);
        if (!agate_dim_div(dims[frame.batch], dims[frame.batch - 1], &dims[frame.batch]))
            return NULL;
    }
    for (int32_t i = 0; i < frame.rank; i++)
        ordered[i] = dims[frame.order[i]];
    agate_value *base = agate_view_bring(call, work->operands[0], &frame, 0);
    return agate_view_leave(call, agate_lower_expand(call, base, frame.rank, ordered), &frame, &work->type);
}

/* ---- shapes ----------------------------------------------------------------------------------------------
 */

/* Only the shape changes; whether a base can have it shows where its dimensions are read. */
static agate_value *reshape(agate_call *call, const agate_view_work *work)
{
    const agate_spread source = agate_view_source(work->operands[0]);
    return agate_view_make(call, source.base, source.perm, &work->type);
}

static agate_value *transpose(agate_call *call, const agate_view_work *work)
{
    int64_t perm[AGATE_MAX_RANK];
    int32_t count = 0;
    agate_spread spread;
    if (!agate_view_spread(call, work->operands[0], &spread))
        return NULL;
    for (int32_t i = 0; i < work->type.rank; i++) {
        const int64_t axis = work->attrs->perm.perm.v[i];
        const int64_t place = spread.fold >= 0 && axis > spread.fold ? axis + 1 : axis;
        perm[count++] = spread.perm[place];
        if (axis == spread.fold)
            perm[count++] = spread.perm[place + 1];
    }
    return agate_view_make(call, spread.base, perm, &work->type);
}

/* ---- one value, along some axes --------------------------------------------------------------------------
 */

/* Ends a rule whose op took the dimensions `gone` out of the base, or none. */
static agate_value *leave_without(agate_call *call, agate_value *base, const agate_spread *spread,
                                  uint32_t gone, const agate_type *type)
{
    int64_t perm[AGATE_MAX_RANK];
    int32_t count = 0;
    for (int32_t i = 0; i < spread->rank; i++) {
        const uint32_t before = gone & ((1U << spread->perm[i]) - 1);
        if (!(gone >> spread->perm[i] & 1))
            perm[count++] = spread->perm[i] - __builtin_popcount(before);
    }
    return agate_view_make(call, base, perm, type);
}

/* An op along the axis that `axis`, in `attrs`, names; `takes`: the result lacks it. */
static agate_value *on_axis(agate_call *call, const agate_view_work *work, const agate_attrs *attrs,
                            int64_t *axis, bool takes)
{
    agate_spread spread;
    if (!agate_view_spread(call, work->operands[0], &spread))
        return NULL;
    *axis = agate_view_axis(&spread, *axis);
    if (*axis < 0)
        return NULL;
    return leave_without(call, agate_lower(call, work->op, attrs, &spread.base, 1), &spread,
                         takes ? 1U << *axis : 0, &work->type);
}

/* Softmax and its like. */
static agate_value *along_axis(agate_call *call, const agate_view_work *work)
{
    agate_attrs attrs = *work->attrs;
    return on_axis(call, work, &attrs, &attrs.axis.axis, false);
}

static agate_value *arg(agate_call *call, const agate_view_work *work)
{
    agate_attrs attrs = *work->attrs;
    return on_axis(call, work, &attrs, &attrs.arg.axis, !attrs.arg.keep);
}

static agate_value *reduce(agate_call *call, const agate_view_work *work)
{
    agate_attrs attrs = *work->attrs;
    agate_ints *axes = &attrs.reduce.axes;
    uint32_t reduced = 0;
    agate_spread spread;
    if (!agate_view_spread(call, work->operands[0], &spread))
        return NULL;
    for (int32_t i = 0; i < axes->count; i++) {
        const int32_t axis = agate_view_axis(&spread, axes->v[i]);
        if (axis < 0)
            return NULL;
        reduced |= 1U << axis;
    }
    axes->count = 0;
    for (int32_t i = 0; i < spread.rank; i++)
        if (reduced >> i & 1)
            axes->v[axes->count++] = i;
    return leave_without(call, agate_lower(call, work->op, &attrs, &spread.base, 1), &spread,
                         attrs.reduce.keep ? 0 : reduced, &work->type);
}

static agate_value *slice(agate_call *call, const agate_view_work *work)
{
    const agate_attrs_slice *asked = &work->attrs->slice;
    agate_attrs attrs;
    agate_spread spread;
    if (!agate_view_spread(call, work->operands[0], &spread))
        return NULL;
    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = spread.rank;
    for (int32_t i = 0; i < spread.rank; i++) {
        attrs.slice.steps.v[i] = 1;
        attrs.slice.shape.v[i] = spread.base->type.dims[i];
    }
    /* That the batch is taken whole has been checked with the result's type. */
    for (int32_t i = 0; i < work->type.rank; i++) {
        const int32_t axis = agate_view_axis(&spread, i);
        if (axis < 0)
            continue;
        attrs.slice.starts.v[axis] = asked->starts.v[i];
        attrs.slice.steps.v[axis] = asked->steps.v[i];
        attrs.slice.shape.v[axis] = asked->shape.v[i];
    }
    return leave_without(call, agate_lower(call, work->op, &attrs, &spread.base, 1), &spread, 0, &work->type);
}

static agate_value *pad(agate_call *call, const agate_view_work *work)
{
    const agate_attrs_pad *asked = &work->attrs->pad;
    agate_attrs attrs = *work->attrs;
    agate_spread spread;
    if (!agate_view_spread(call, work->operands[0], &spread))
        return NULL;
    memset(&attrs.pad.begins, 0, sizeof(attrs.pad.begins));
    memset(&attrs.pad.ends, 0, sizeof(attrs.pad.ends));
    attrs.pad.begins.count = attrs.pad.ends.count = spread.rank;
    for (int32_t i = 0; i < work->type.rank; i++) {
        const int32_t axis = agate_view_axis(&spread, i);
        if (axis < 0)
            continue; /* not padded: that has been checked with the result's type */
        attrs.pad.begins.v[axis] = asked->begins.v[i];
        attrs.pad.ends.v[axis] = asked->ends.v[i];
    }
    return leave_without(call, agate_lower(call, work->op, &attrs, &spread.base, 1), &spread, 0, &work->type);
}

/* ---- gather ----------------------------------------------------------------------------------------------
 */

/* Rows of a table by indices that follow the batch: those are moved, the table is not. */
static agate_value *look_up(agate_call *call, const agate_view_work *work)
{
    agate_spread spread;
    if (work->attrs->axis.axis != 0 || !agate_view_spread(call, work->operands[1], &spread))
        return NULL;
    const int32_t rank = spread.rank + work->operands[0]->type.rank - 1;
    if (rank > AGATE_MAX_RANK)
        return NULL;
    for (int32_t i = spread.rank; i < rank; i++)
        spread.perm[i] = i;
    agate_value *const operands[] = {work->operands[0], spread.base};
    return agate_view_make(call, agate_lower(call, work->op, work->attrs, operands, 2), spread.perm,
                           &work->type);
}

/* Indices take the place of the dimension that they choose from. */
static agate_value *gather(agate_call *call, const agate_view_work *work)
{
    const agate_type *indices = &work->operands[1]->type;
    agate_attrs attrs = *work->attrs;
    agate_spread spread;
    int64_t perm[AGATE_MAX_RANK];
    int32_t count = 0;

    if (agate_batch_axis(&work->operands[0]->type) < 0)
        return look_up(call, work);
    if (agate_batch_axis(indices) >= 0 || !agate_view_spread(call, work->operands[0], &spread) ||
        spread.rank - 1 + indices->rank > AGATE_MAX_RANK)
        return NULL;
    const int32_t axis = agate_view_axis(&spread, attrs.axis.axis);
    if (axis < 0)
        return NULL;
    attrs.axis.axis = axis;
    for (int32_t i = 0; i < spread.rank; i++) {
        const int64_t place = spread.perm[i];
        if (place != axis)
            perm[count++] = place > axis ? place + indices->rank - 1 : place;
        for (int32_t k = 0; place == axis && k < indices->rank; k++)
            perm[count++] = axis + k;
    }
    agate_value *const operands[] = {spread.base, work->operands[1]};
    return agate_view_make(call, agate_lower(call, work->op, &attrs, operands, 2), perm, &work->type);
}

/* ---- several values side by side ------------------------------------------------------------------------
 */

/* Concat and interleave. */
static agate_value *concat(agate_call *call, const agate_view_work *work)
{
    agate_attrs attrs = *work->attrs;
    agate_frame frame;
    if (attrs.axis.axis == agate_batch_axis(&work->type) ||
        !agate_view_frame(call, work->operands, work->operand_count, &work->type, 0, &frame))
        return NULL;
    const bool behind = frame.factor >= 0 && attrs.axis.axis >= frame.batch;
    for (int32_t i = 0; i < frame.rank; i++)
        if (frame.order[i] == work->attrs->axis.axis + behind)
            attrs.axis.axis = i;
    return lower_in(call, work, &frame, &attrs, frame.rank);
}

/* ---- products --------------------------------------------------------------------------------------------
 */

/* A matrix, where all dimensions before its last two are 1. */
static bool is_matrix(const agate_type *type)
{
    for (int32_t i = 0; i < type->rank - 2; i++)
        if (!agate_dim_is(type->dims[i], 1))
            return false;
    return true;
}

static agate_value *swap_last(agate_call *call, agate_value *value)
{
    const int32_t rank = value ? value->type.rank : 0;
    int64_t perm[AGATE_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    return agate_lower_transpose(call, value, perm);
}

/* With a dimension of 1 in front of the last `count`. */
static agate_value *with_one(agate_call *call, agate_value *value, int32_t count)
{
    const agate_type *type = &value->type;
    const int32_t at = type->rank - count;
    agate_dim dims[AGATE_MAX_RANK];
    if (type->rank == AGATE_MAX_RANK)
        return NULL;
    for (int32_t i = 0; i <= type->rank; i++)
        dims[i] = i == at ? agate_dim_fixed(1) : type->dims[i < at ? i : i - 1];
    return agate_lower_reshape(call, value, type->rank + 1, dims);
}

/* Rows by one matrix: where the batch is among them does not matter, as long as they keep their columns. */
static agate_value *rows_by_matrix(agate_call *call, const agate_view_work *work)
{
    agate_value *b = work->operands[1];
    agate_frame frame;
    if (!agate_view_frame(call, work->operands, 1, &work->type, 1, &frame))
        return NULL;
    agate_value *a = agate_view_bring(call, work->operands[0], &frame, 2);
    b = agate_lower_reshape(call, b, 2, b->type.dims + b->type.rank - 2);
    return agate_view_leave(call, agate_lower2(call, work->op, a, b), &frame, &work->type);
}

/* Rows, among them the batch, by stacked matrices: each row becomes a matrix of its own in the stack. */
static agate_value *rows_by_stack(agate_call *call, const agate_view_work *work)
{
    agate_value *a = with_one(call, work->operands[0], 1), *b = with_one(call, work->operands[1], 2);
    return agate_lower_reshape(call, agate_lower2(call, work->op, a, b), work->type.rank, work->type.dims);
}

/* By where the batch is: among the stacked matrices, the rows of the left or the columns of the right one. */
static agate_value *matmul(agate_call *call, const agate_view_work *work)
{
    agate_value *a = work->operands[0], *b = work->operands[1];
    const int32_t behind = work->type.rank - 1 - agate_batch_axis(&work->type);
    agate_frame frame;
    if (a->type.rank < 2 || b->type.rank < 2)
        return NULL;
    if (behind > 1)
        return agate_view_frame(call, work->operands, 2, &work->type, 2, &frame)
                   ? lower_in(call, work, &frame, NULL, 2)
                   : NULL;
    if (agate_batch_axis(behind == 1 ? &b->type : &a->type) >= 0)
        return NULL;
    if (behind == 0)
        return swap_last(call, agate_lower2(call, work->op, swap_last(call, b), swap_last(call, a)));
    return is_matrix(&b->type) ? rows_by_matrix(call, work) : rows_by_stack(call, work);
}

/* ---- what keeps the outermost dimension apart ------------------------------------------------------------
 */

/* Ops that take whatever their outermost dimension counts one by one: images [T*N,C,H,W] are taken in the
 * order [N*T,C,H,W]. */
static agate_value *one_by_one(agate_call *call, const agate_view_work *work)
{
    agate_spread spread;
    agate_dim dims[AGATE_MAX_RANK];
    int64_t perm[AGATE_MAX_RANK];
    agate_value *x = work->operands[0];
    for (int32_t i = 1; i < work->operand_count; i++)
        if (agate_batch_axis(&work->operands[i]->type) >= 0)
            return NULL;
    if (agate_batch_axis(&x->type) != 0 || !agate_view_spread(call, x, &spread) || spread.fold != 0 ||
        work->type.rank == AGATE_MAX_RANK)
        return NULL;
    /* The batch in front of its factor, then both as one dimension. */
    for (int32_t i = 0; i < spread.rank; i++)
        perm[i] = spread.perm[i < 2 ? 1 - i : i];
    dims[0] = spread.base->type.dims[0];
    dims[1] = spread.base->type.dims[spread.perm[0]];
    agate_value *base = agate_lower_transpose(call, spread.base, perm);
    base = agate_lower_reshape(call, base, x->type.rank, x->type.dims);
    agate_value **operands = AGATE_NEW_N(call->importer->arena, agate_value *, work->operand_count);
    for (int32_t i = 0; i < work->operand_count; i++)
        operands[i] = i ? work->operands[i] : base;
    base = agate_lower(call, work->op, work->attrs, operands, work->operand_count);
    for (int32_t i = 1; i < work->type.rank; i++)
        dims[i + 1] = work->type.dims[i];
    base = agate_lower_reshape(call, base, work->type.rank + 1, dims);
    for (int32_t i = 0; i <= work->type.rank; i++)
        perm[i] = i < 2 ? 1 - i : i;
    return agate_view_make(call, base, perm, &work->type);
}

/* ---- the table -------------------------------------------------------------------------------------------
 */

agate_view_rule agate_view_rule_of(agate_op op)
{
    static const agate_view_rule rules[AGATE_OP_COUNT] = {
        [AGATE_OP_cast] = elementwise,    [AGATE_OP_expand] = expand,
        [AGATE_OP_reshape] = reshape,     [AGATE_OP_transpose] = transpose,
        [AGATE_OP_slice] = slice,         [AGATE_OP_pad] = pad,
        [AGATE_OP_gather] = gather,       [AGATE_OP_concat] = concat,
        [AGATE_OP_interleave] = concat,   [AGATE_OP_matmul] = matmul,
        [AGATE_OP_softmax] = along_axis,  [AGATE_OP_log_softmax] = along_axis,
        [AGATE_OP_reduce_sum] = reduce,   [AGATE_OP_reduce_mean] = reduce,
        [AGATE_OP_reduce_max] = reduce,   [AGATE_OP_reduce_min] = reduce,
        [AGATE_OP_reduce_prod] = reduce,  [AGATE_OP_arg_max] = arg,
        [AGATE_OP_arg_min] = arg,         [AGATE_OP_conv] = one_by_one,
        [AGATE_OP_max_pool] = one_by_one, [AGATE_OP_avg_pool] = one_by_one,
        [AGATE_OP_resample] = one_by_one, [AGATE_OP_batch_norm] = one_by_one,
    };
    return agate_op_table[op].family == AGATE_FAMILY_pointwise ? elementwise : rules[op];
}
