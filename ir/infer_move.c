/* infer_move.c: types of ops that only move elements, and of views. A move may read one layout and write
 * another. */
#include "ir/infer.h"

AGATE_INFER(transpose)
{
    const agate_ints *perm = &node->attrs.perm.perm;
    const agate_type *x = agate_operand_type(node, 0);
    agate_type type = *x;
    uint32_t seen = 0;

    if (perm->count != x->rank)
        return agate_fault(fault, "perm has %d of %d numbers", perm->count, x->rank);
    for (int32_t i = 0; i < x->rank; i++) {
        int64_t from = perm->v[i];
        if (from < 0 || from >= x->rank || (seen & (1u << from)))
            return agate_fault(fault, "perm must hold each of 0 to %d once", x->rank - 1);
        seen |= 1u << from;
        type.dims[i] = x->dims[from];
    }
    type.layout = agate_infer_layout(node, AGATE_PLAIN);
    *out_type = type;
    return true;
}

/* ---- slice --------------------------------------------------------------------------------------------- */

/* Do `count` elements from `start` by `step` lie within dimension `i`, of size `dim`? */
static bool slice_fits(int32_t i, agate_dim dim, int64_t start, int64_t step, agate_dim count,
                       agate_text *fault)
{
    int64_t last;

    if (step == 0)
        return agate_fault(fault, "the step along dimension %d is 0", i);
    if (start == 0 && step == 1 && agate_dim_equal(count, dim))
        return true;
    if (!agate_dim_is_fixed(dim) || !agate_dim_is_fixed(count))
        return agate_fault(fault, "dimension %d follows the batch and can only be taken whole", i);
    if (count.offset == 0)
        return true;
    if (count.offset < 0 || __builtin_mul_overflow(count.offset - 1, step, &last) ||
        __builtin_add_overflow(last, start, &last) || start < 0 || start >= dim.offset || last < 0 ||
        last >= dim.offset)
        return agate_fault(fault, "%lld elements from %lld by %lld leave dimension %d, which has %lld",
                           (long long)count.offset, (long long)start, (long long)step, i,
                           (long long)dim.offset);
    return true;
}

/* The result's whole shape as an attribute. */
static bool shape_is(const agate_dims *shape, int32_t rank, agate_type *type, agate_text *fault)
{
    if (shape->count != rank)
        return agate_fault(fault, "shape has %d of %d dimensions", shape->count, rank);
    *type = agate_type_make(type->dtype, rank, shape->v);
    return true;
}

AGATE_INFER(slice)
{
    agate_attrs_slice *attrs = &node->attrs.slice;
    const agate_type *x = agate_operand_type(node, 0);
    agate_type type = *x;

    if (!agate_infer_list(&attrs->steps, x->rank, 1, "steps", fault) ||
        !shape_is(&attrs->shape, x->rank, &type, fault))
        return false;
    if (attrs->starts.count != x->rank)
        return agate_fault(fault, "starts has %d of %d numbers", attrs->starts.count, x->rank);
    for (int32_t i = 0; i < x->rank; i++)
        if (!slice_fits(i, x->dims[i], attrs->starts.v[i], attrs->steps.v[i], type.dims[i], fault))
            return false;
    type.layout = agate_infer_layout(node, x->layout);
    *out_type = type;
    return true;
}

/* ---- pad ----------------------------------------------------------------------------------------------- */

static bool pad_dim(agate_padding mode, int32_t i, int64_t begin, int64_t end, agate_dim *dim,
                    agate_text *fault)
{
    int64_t extent = dim->offset, kept, padded;

    if (begin == 0 && end == 0)
        return true;
    if (!agate_dim_is_fixed(*dim))
        return agate_fault(fault, "dimension %d follows the batch and cannot be padded", i);
    if (__builtin_add_overflow(extent, agate_min(begin, 0), &kept) ||
        __builtin_add_overflow(kept, agate_min(end, 0), &kept) || kept < 0)
        return agate_fault(fault, "pads of %lld and %lld crop more than the %lld elements of dimension %d",
                           (long long)begin, (long long)end, (long long)extent, i);
    if (__builtin_add_overflow(kept, agate_max(begin, 0), &padded) ||
        __builtin_add_overflow(padded, agate_max(end, 0), &padded))
        return agate_fault(fault, "pads along dimension %d are larger than any memory", i);

    int64_t reach = mode == AGATE_PAD_REFLECT ? agate_max(begin, end) : 0;
    if (mode != AGATE_PAD_CONSTANT && (begin > 0 || end > 0) && kept <= reach)
        return agate_fault(
            fault, "pads of %lld and %lld in mode %s need more than the %lld elements of dimension %d",
            (long long)begin, (long long)end, agate_padding_name(mode), (long long)kept, i);
    *dim = agate_dim_fixed(padded);
    return true;
}

AGATE_INFER(pad)
{
    agate_attrs_pad *attrs = &node->attrs.pad;
    agate_type type = *agate_operand_type(node, 0);

    if (!agate_infer_list(&attrs->begins, type.rank, 0, "begins", fault) ||
        !agate_infer_list(&attrs->ends, type.rank, 0, "ends", fault))
        return false;
    for (int32_t i = 0; i < type.rank; i++)
        if (!pad_dim(attrs->mode, i, attrs->begins.v[i], attrs->ends.v[i], &type.dims[i], fault))
            return false;
    type.layout = agate_infer_layout(node, type.layout);
    *out_type = type;
    return true;
}

/* ---- concat, gather ------------------------------------------------------------------------------------ */

AGATE_INFER(concat)
{
    int64_t axis = node->attrs.axis.axis;
    agate_type type = *agate_operand_type(node, 0);

    if (!agate_infer_axis(axis, type.rank, fault))
        return false;
    for (int32_t i = 1; i < node->operand_count; i++) {
        const agate_type *operand = agate_operand_type(node, i);
        bool fits = operand->dtype == type.dtype && operand->rank == type.rank;
        for (int32_t d = 0; fits && d < type.rank; d++)
            fits = d == axis ? agate_dim_add(type.dims[d], operand->dims[d], &type.dims[d])
                             : agate_dim_equal(type.dims[d], operand->dims[d]);
        if (!fits) {
            agate_text_add(fault, "operand %d is ", i);
            agate_type_print(operand, fault);
            agate_text_add(fault, ", which does not continue ");
            agate_type_print(agate_operand_type(node, 0), fault);
            return agate_fault(fault, " along dimension %lld", (long long)axis);
        }
    }
    type.layout = agate_infer_layout(node, type.layout);
    *out_type = type;
    return true;
}

AGATE_INFER(interleave)
{
    int64_t axis = node->attrs.axis.axis;
    agate_type type = *agate_operand_type(node, 0);

    if (!agate_infer_axis(axis, type.rank, fault))
        return false;
    for (int32_t i = 1; i < node->operand_count; i++) {
        const agate_type *operand = agate_operand_type(node, i);
        if (operand->dtype != type.dtype || !agate_type_same_dims(operand, &type))
            return agate_fault(fault, "operand %d is of another type than operand 0", i);
    }
    if (!agate_dim_mul(type.dims[axis], agate_dim_fixed(node->operand_count), &type.dims[axis]))
        return agate_fault(fault, "dimension %lld is larger than any memory", (long long)axis);
    type.layout = agate_infer_layout(node, type.layout);
    *out_type = type;
    return true;
}

/* Element o along the axis is the sum over t of weights[o, t] times the operand's element first[o] + t; a
 * first tap from which they would reach beyond an end counts as the nearest from which they do not. */
AGATE_INFER(resample)
{
    const agate_type *x = agate_operand_type(node, 0), *first = agate_operand_type(node, 1);
    const agate_type *weights = agate_operand_type(node, 2);
    int64_t axis = node->attrs.axis.axis;
    agate_type type = *x;

    if (!agate_infer_axis(axis, x->rank, fault))
        return false;
    if (!agate_is_float(x->dtype))
        return agate_fault(fault, "resample does not take %s", agate_dtype_name(x->dtype));
    if (first->dtype != AGATE_I64 || first->rank != 1 || first->layout.kind != AGATE_LAYOUT_plain)
        return agate_fault(fault, "first taps are a row of i64");
    if (weights->dtype != x->dtype || weights->rank != 2 || weights->layout.kind != AGATE_LAYOUT_plain ||
        !agate_dim_equal(weights->dims[0], first->dims[0]) || !agate_dim_is_fixed(first->dims[0]))
        return agate_fault(fault, "weights are a row of %s for each first tap", agate_dtype_name(x->dtype));
    if (!agate_dim_is_fixed(x->dims[axis]) || !agate_dim_is_fixed(weights->dims[1]) ||
        weights->dims[1].offset < 1 || weights->dims[1].offset > x->dims[axis].offset)
        return agate_fault(fault, "weights are for 1 to as many elements as dimension %lld has",
                           (long long)axis);
    type.dims[axis] = first->dims[0];
    type.layout = agate_infer_layout(node, x->layout);
    *out_type = type;
    return true;
}

/* ---- views of channels --------------------------------------------------------------------------------- */

/* Does `part` lie among the channels of `whole` as they are, from image to image? */
static bool lies_among(const agate_type *part, const agate_type *whole, agate_text *fault)
{
    if (whole->layout.kind != AGATE_LAYOUT_channel || !agate_layout_equal(part->layout, whole->layout))
        return agate_fault(fault,
                           "only values in one channel-blocked layout lie among each other's channels");
    if (agate_type_pitch(part) != agate_type_pitch(whole))
        return agate_fault(fault, "there are %lld channels from image to image in one, %lld in the other",
                           (long long)agate_type_pitch(part), (long long)agate_type_pitch(whole));
    return true;
}

static agate_layout stated_layout(const agate_node *node, agate_layout otherwise)
{
    const agate_type *stated = &node->results[0].type;
    return stated->dtype != AGATE_DTYPE_NONE ? stated->layout : otherwise;
}

AGATE_INFER(join)
{
    int64_t joint = 0;

    if (!agate_infer_concat(node, out_type, fault))
        return false;
    if (node->attrs.axis.axis != 1)
        return agate_fault(fault, "join continues channels, dimension 1");
    out_type->layout = stated_layout(node, agate_operand_type(node, 0)->layout);
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_type *operand = agate_operand_type(node, i);
        if (!lies_among(operand, out_type, fault))
            return false;
        if (joint % out_type->layout.block != 0)
            return agate_fault(fault, "operand %d begins within a block of channels", i);
        joint += operand->dims[1].offset;
    }
    return true;
}

AGATE_INFER(part)
{
    const agate_attrs_slice *attrs = &node->attrs.slice;
    const agate_type *x = agate_operand_type(node, 0);

    if (!agate_infer_slice(node, out_type, fault))
        return false;
    out_type->layout = stated_layout(node, x->layout);
    for (int32_t i = 0; i < x->rank; i++)
        if (attrs->steps.v[i] != 1 || (i != 1 && !agate_dim_equal(x->dims[i], out_type->dims[i])))
            return agate_fault(fault, "part takes channels that follow each other, of whole images");
    if (!lies_among(out_type, x, fault))
        return false;
    return attrs->starts.v[1] % x->layout.block == 0 ||
           agate_fault(fault, "channel %lld is within a block", (long long)attrs->starts.v[1]);
}

AGATE_INFER(gather)
{
    const agate_type *x = agate_operand_type(node, 0), *indices = agate_operand_type(node, 1);
    int64_t axis = node->attrs.axis.axis;
    agate_type type = agate_type_make(x->dtype, 0, NULL);

    if (!agate_infer_axis(axis, x->rank, fault))
        return false;
    if (indices->dtype != AGATE_I32 && indices->dtype != AGATE_I64)
        return agate_fault(fault, "indices are i32 or i64, not %s", agate_dtype_name(indices->dtype));
    if (x->rank - 1 + indices->rank > AGATE_MAX_RANK)
        return agate_fault(fault, "the result would have %d dimensions, more than %d",
                           x->rank - 1 + indices->rank, AGATE_MAX_RANK);
    for (int32_t i = 0; i < (int32_t)axis; i++)
        type.dims[type.rank++] = x->dims[i];
    for (int32_t i = 0; i < indices->rank; i++)
        type.dims[type.rank++] = indices->dims[i];
    for (int32_t i = (int32_t)axis + 1; i < x->rank; i++)
        type.dims[type.rank++] = x->dims[i];
    type.layout = agate_infer_layout(node, AGATE_PLAIN);
    *out_type = type;
    return true;
}

/* ---- shapes and layouts -------------------------------------------------------------------------------- */

AGATE_INFER(expand)
{
    const agate_type *x = agate_operand_type(node, 0);
    agate_type type = *x, both;

    if (!shape_is(&node->attrs.shape.shape, node->attrs.shape.shape.count, &type, fault))
        return false;
    type.layout = agate_infer_layout(node, type.rank == x->rank ? x->layout : AGATE_PLAIN);
    if (!agate_broadcast(x, &type, &both) || !agate_type_same_dims(&both, &type)) {
        agate_type_print(x, fault);
        agate_text_add(fault, " does not expand to ");
        agate_type_print(&type, fault);
        return false;
    }
    *out_type = type;
    return true;
}

/* A view moves nothing: both shapes must lie in memory alike. In the channel-blocked layout that is so where
 * only the dimensions between the channels' two parts change. */
static bool is_view(const agate_type *x, const agate_type *type)
{
    if (x->layout.kind == AGATE_LAYOUT_plain)
        return type->layout.kind == AGATE_LAYOUT_plain;
    return x->layout.kind == AGATE_LAYOUT_channel && agate_layout_equal(x->layout, type->layout) &&
           x->layout.pitch == type->layout.pitch && type->rank >= 2 &&
           agate_dim_equal(x->dims[0], type->dims[0]) && agate_dim_equal(x->dims[1], type->dims[1]);
}

AGATE_INFER(reshape)
{
    const agate_type *x = agate_operand_type(node, 0);
    agate_type type = *x;
    agate_dim before, after;

    if (!shape_is(&node->attrs.shape.shape, node->attrs.shape.shape.count, &type, fault))
        return false;
    if (!agate_type_count(x, &before) || !agate_type_count(&type, &after) ||
        !agate_dim_equal(before, after)) {
        agate_type_print(x, fault);
        agate_text_add(fault, " has not as many elements as ");
        agate_type_print(&type, fault);
        return false;
    }
    type.layout = agate_infer_layout(node, x->layout);
    type.layout.pitch = x->layout.pitch; /* no other memory */
    *out_type = type;
    return is_view(x, &type) ||
           agate_fault(fault, "elements of the two layouts do not lie alike: reorder first");
}

AGATE_INFER(reorder)
{
    *out_type = *agate_operand_type(node, 0);
    out_type->layout = agate_infer_layout(node, out_type->layout);
    (void)fault;
    return true;
}
