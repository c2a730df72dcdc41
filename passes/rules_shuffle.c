/* rules_shuffle.c: rules for channel shuffles, and for slices of what was just put together. */
#include "passes/rules.h"

/* More groups than this stay a transpose. */
#define MOST_GROUPS 8

/* `count` elements from `start` along `axis`, and all of every other dimension. */
static agate_value *build_slice(agate_node *node, agate_value *from, int64_t axis, int64_t start,
                                int64_t count)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.shape.count = from->type.rank;
    for (int32_t i = 0; i < from->type.rank; i++)
        attrs.slice.shape.v[i] = i == axis ? agate_dim_fixed(count) : from->type.dims[i];
    attrs.slice.starts.v[axis] = start;
    return agate_rebuild(node, AGATE_OP_slice, &attrs, &from, 1);
}

static agate_value *build_interleave(agate_node *node, int64_t axis, agate_value *const *operands,
                                     int32_t count)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = axis;
    return agate_rebuild(node, AGATE_OP_interleave, &attrs, operands, count);
}

/* The dimension of `whole` that `cut` has as two; -1: the types differ in another way. */
static int32_t cut_dim(const agate_type *whole, const agate_type *cut)
{
    int32_t axis = 0;

    if (cut->rank != whole->rank + 1)
        return -1;
    while (axis < whole->rank && agate_dim_equal(whole->dims[axis], cut->dims[axis]))
        axis++;
    if (axis == whole->rank || !agate_dim_is_fixed(whole->dims[axis]) ||
        !agate_dim_is_fixed(cut->dims[axis]) || !agate_dim_is_fixed(cut->dims[axis + 1]))
        return -1;
    for (int32_t i = axis + 1; i < whole->rank; i++)
        if (!agate_dim_equal(whole->dims[i], cut->dims[i + 1]))
            return -1;
    return axis;
}

static bool swaps(const agate_ints *perm, int32_t axis)
{
    for (int32_t i = 0; i < perm->count; i++)
        if (perm->v[i] != (i == axis ? axis + 1 : i == axis + 1 ? axis : i))
            return false;
    return true;
}

agate_value *agate_rule_shuffle(agate_node *node)
{
    agate_node *transpose = agate_made_by(node->operands[0], AGATE_OP_transpose);
    agate_node *cut = transpose ? agate_made_by(transpose->operands[0], AGATE_OP_reshape) : NULL;
    agate_value *operands[MOST_GROUPS];

    if (!cut || agate_result(transpose)->use_count > 1 || agate_result(cut)->use_count > 1)
        return NULL;
    agate_value *x = cut->operands[0];
    int32_t axis = cut_dim(&x->type, &agate_result(cut)->type);
    if (axis < 0 || !agate_type_same_dims(&x->type, &agate_result(node)->type) ||
        !swaps(&transpose->attrs.perm.perm, axis))
        return NULL;
    int64_t groups = agate_result(cut)->type.dims[axis].offset;
    int64_t size = agate_result(cut)->type.dims[axis + 1].offset;
    if (groups < 2 || groups > MOST_GROUPS || size < 2)
        return NULL;
    for (int32_t i = 0; i < groups; i++)
        operands[i] = build_slice(node, x, axis, i * size, size);
    return build_interleave(node, axis, operands, (int32_t)groups);
}

agate_value *agate_rule_slice_of_concat(agate_node *node)
{
    agate_node *concat = agate_made_by(node->operands[0], AGATE_OP_concat);
    const agate_type *type = &agate_result(node)->type;
    agate_attrs attrs = node->attrs;

    if (!concat)
        return NULL;
    int64_t axis = concat->attrs.axis.axis, step = attrs.slice.steps.v[axis], begin = 0;
    if (step < 1 || !agate_dim_is_fixed(type->dims[axis]) || agate_dim_is(type->dims[axis], 0))
        return NULL;
    int64_t first = attrs.slice.starts.v[axis], last = first + (type->dims[axis].offset - 1) * step;
    for (int32_t i = 0; i < concat->operand_count; i++) {
        agate_dim size = concat->operands[i]->type.dims[axis];
        if (!agate_dim_is_fixed(size))
            return NULL;
        if (first >= begin && last < begin + size.offset) {
            attrs.slice.starts.v[axis] -= begin;
            return agate_rebuild(node, AGATE_OP_slice, &attrs, &concat->operands[i], 1);
        }
        begin += size.offset;
    }
    return NULL;
}

/* The first element and count along `axis` of a slice that takes all else; false: it is of another kind. */
static bool takes_whole(const agate_node *slice, int64_t axis, int64_t *out_first, int64_t *out_count)
{
    const agate_type *from = &slice->operands[0]->type, *to = &slice->results[0].type;

    for (int32_t i = 0; i < from->rank; i++)
        if (slice->attrs.slice.steps.v[i] != 1 || (i != axis && !agate_dim_equal(from->dims[i], to->dims[i])))
            return false;
    *out_first = slice->attrs.slice.starts.v[axis];
    *out_count = to->dims[axis].offset;
    return agate_dim_is_fixed(to->dims[axis]);
}

/* Only where every reader of the interleave is such a slice: else it would be computed as well. */
agate_value *agate_rule_slice_of_interleave(agate_node *node)
{
    agate_node *interleave = agate_made_by(node->operands[0], AGATE_OP_interleave);
    agate_value *operands[MOST_GROUPS];

    if (!interleave || interleave->operand_count > MOST_GROUPS)
        return NULL;
    int64_t axis = interleave->attrs.axis.axis, first = 0, count = 0;
    int32_t groups = interleave->operand_count;
    const agate_value *result = agate_result(interleave);
    for (int32_t i = 0; i < result->use_count; i++) {
        const agate_node *user = result->uses[i].node;
        if (user->op != AGATE_OP_slice || !takes_whole(user, axis, &first, &count) || first % groups != 0 ||
            count % groups != 0)
            return NULL;
    }
    takes_whole(node, axis, &first, &count);
    for (int32_t i = 0; i < groups; i++)
        operands[i] = build_slice(node, interleave->operands[i], axis, first / groups, count / groups);
    return build_interleave(node, axis, operands, groups);
}
