/* rules_move.c: rules for what moves elements and computes nothing, and for windows that hold one element. */
#include "passes/rules.h"

static agate_value *build_reshape(agate_node *node, agate_value *from, const agate_type *to)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_shape, &attrs);
    attrs.shape.shape.count = to->rank;
    for (int32_t i = 0; i < to->rank; i++)
        attrs.shape.shape.v[i] = to->dims[i];
    return agate_rebuild(node, AGATE_OP_reshape, &attrs, &from, 1);
}

static agate_value *operand_if_same_type(agate_node *node)
{
    agate_value *operand = node->operands[0];
    return agate_type_equal(&operand->type, &agate_result(node)->type) ? operand : NULL;
}

/* ---- reshape ------------------------------------------------------------------------------------------ */

agate_value *agate_rule_reshape_same(agate_node *node)
{
    return operand_if_same_type(node);
}

agate_value *agate_rule_reshape_of_reshape(agate_node *node)
{
    agate_node *inner = agate_made_by(node->operands[0], AGATE_OP_reshape);
    return inner ? agate_rebuild(node, AGATE_OP_reshape, &node->attrs, inner->operands, 1) : NULL;
}

/* ---- transpose ---------------------------------------------------------------------------------------- */

agate_value *agate_rule_transpose_same(agate_node *node)
{
    const agate_ints *perm = &node->attrs.perm.perm;

    for (int32_t i = 0; i < perm->count; i++)
        if (perm->v[i] != i)
            return NULL;
    return node->operands[0];
}

agate_value *agate_rule_transpose_of_transpose(agate_node *node)
{
    agate_node *inner = agate_made_by(node->operands[0], AGATE_OP_transpose);

    if (!inner)
        return NULL;
    agate_attrs attrs = node->attrs;
    for (int32_t i = 0; i < attrs.perm.perm.count; i++)
        attrs.perm.perm.v[i] = inner->attrs.perm.perm.v[node->attrs.perm.perm.v[i]];
    return agate_rebuild(node, AGATE_OP_transpose, &attrs, inner->operands, 1);
}

agate_value *agate_rule_transpose_of_ones(agate_node *node)
{
    const agate_ints *perm = &node->attrs.perm.perm;
    const agate_type *from = &node->operands[0]->type;
    int64_t latest = -1;

    for (int32_t i = 0; i < perm->count; i++) {
        if (agate_dim_is(from->dims[perm->v[i]], 1))
            continue;
        if (perm->v[i] < latest)
            return NULL;
        latest = perm->v[i];
    }
    return build_reshape(node, node->operands[0], &agate_result(node)->type);
}

/* ---- slice, pad --------------------------------------------------------------------------------------- */

agate_value *agate_rule_slice_all(agate_node *node)
{
    const agate_attrs_slice *slice = &node->attrs.slice;
    /* The same shape from step 1 leaves nothing out. */
    return agate_ints_are(&slice->steps, 1) ? operand_if_same_type(node) : NULL;
}

agate_value *agate_rule_slice_of_slice(agate_node *node)
{
    agate_node *inner = agate_made_by(node->operands[0], AGATE_OP_slice);

    if (!inner)
        return NULL;
    const agate_attrs_slice *first = &inner->attrs.slice, *second = &node->attrs.slice;
    agate_attrs attrs = node->attrs;
    for (int32_t i = 0; i < second->starts.count; i++) {
        int64_t offset;
        if (__builtin_mul_overflow(second->starts.v[i], first->steps.v[i], &offset) ||
            __builtin_add_overflow(first->starts.v[i], offset, &attrs.slice.starts.v[i]) ||
            __builtin_mul_overflow(first->steps.v[i], second->steps.v[i], &attrs.slice.steps.v[i]))
            return NULL;
    }
    return agate_rebuild(node, AGATE_OP_slice, &attrs, inner->operands, 1);
}

agate_value *agate_rule_pad_nothing(agate_node *node)
{
    bool none = agate_ints_are(&node->attrs.pad.begins, 0) && agate_ints_are(&node->attrs.pad.ends, 0);
    return none ? node->operands[0] : NULL;
}

static bool is_growing(const agate_attrs_pad *pad)
{
    for (int32_t i = 0; i < pad->begins.count; i++)
        if (pad->begins.v[i] < 0 || pad->ends.v[i] < 0)
            return false;
    return pad->mode == AGATE_PAD_CONSTANT;
}

agate_value *agate_rule_pad_of_pad(agate_node *node)
{
    agate_node *inner = agate_made_by(node->operands[0], AGATE_OP_pad);

    if (!inner || !is_growing(&node->attrs.pad) || !is_growing(&inner->attrs.pad) ||
        memcmp(&node->attrs.pad.value, &inner->attrs.pad.value, sizeof node->attrs.pad.value) != 0)
        return NULL;
    agate_attrs attrs = node->attrs;
    for (int32_t i = 0; i < attrs.pad.begins.count; i++) {
        attrs.pad.begins.v[i] += inner->attrs.pad.begins.v[i]; /* the result's dimension holds the sum */
        attrs.pad.ends.v[i] += inner->attrs.pad.ends.v[i];
    }
    return agate_rebuild(node, AGATE_OP_pad, &attrs, inner->operands, 1);
}

agate_value *agate_rule_pad_crop(agate_node *node)
{
    const agate_attrs_pad *pad = &node->attrs.pad;
    const agate_type *type = &agate_result(node)->type;
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = type->rank;
    for (int32_t i = 0; i < type->rank; i++) {
        if (pad->begins.v[i] > 0 || pad->ends.v[i] > 0 || agate_dim_is(type->dims[i], 0))
            return NULL;
        attrs.slice.starts.v[i] = -pad->begins.v[i];
        attrs.slice.steps.v[i] = 1;
        attrs.slice.shape.v[i] = type->dims[i];
    }
    return agate_rebuild(node, AGATE_OP_slice, &attrs, node->operands, 1);
}

/* ---- expand, concat, cast ----------------------------------------------------------------------------- */

agate_value *agate_rule_expand_same(agate_node *node)
{
    return operand_if_same_type(node);
}

agate_value *agate_rule_expand_of_ones(agate_node *node)
{
    const agate_type *from = &node->operands[0]->type, *to = &agate_result(node)->type;
    int32_t lead = to->rank - from->rank;

    for (int32_t i = 0; i < to->rank; i++) {
        agate_dim before = i < lead ? agate_dim_fixed(1) : from->dims[i - lead];
        if (!agate_dim_equal(before, to->dims[i]))
            return NULL;
    }
    return build_reshape(node, node->operands[0], to);
}

agate_value *agate_rule_concat_of_one(agate_node *node)
{
    return node->operand_count == 1 ? node->operands[0] : NULL;
}

/* Is operand `index` of a concat another one along the same axis, and used here only? */
static agate_node *inner_concat(const agate_node *node, int32_t index)
{
    agate_node *inner = agate_made_by(node->operands[index], AGATE_OP_concat);
    bool merges =
        inner && inner->attrs.axis.axis == node->attrs.axis.axis && agate_result(inner)->use_count == 1;
    return merges ? inner : NULL;
}

agate_value *agate_rule_concat_of_concat(agate_node *node)
{
    int32_t count = 0, at = 0;
    bool any = false;

    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_node *inner = inner_concat(node, i);
        count += inner ? inner->operand_count : 1;
        any |= inner != NULL;
    }
    if (!any)
        return NULL;
    agate_value **operands = AGATE_NEW_N(node->graph->arena, agate_value *, count);
    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_node *inner = inner_concat(node, i);
        for (int32_t j = 0; j < (inner ? inner->operand_count : 1); j++)
            operands[at++] = inner ? inner->operands[j] : node->operands[i];
    }
    return agate_rebuild(node, AGATE_OP_concat, &node->attrs, operands, count);
}

agate_value *agate_rule_cast_same(agate_node *node)
{
    return operand_if_same_type(node);
}

/* ---- reductions and windows --------------------------------------------------------------------------- */

agate_value *agate_rule_reduce_of_ones(agate_node *node)
{
    const agate_ints *axes = &node->attrs.reduce.axes;

    for (int32_t i = 0; i < axes->count; i++)
        if (!agate_dim_is(node->operands[0]->type.dims[axes->v[i]], 1))
            return NULL;
    return axes->count > 0 ? build_reshape(node, node->operands[0], &agate_result(node)->type) : NULL;
}

agate_value *agate_rule_pool_of_ones(agate_node *node)
{
    const agate_attrs_pool *pool = &node->attrs.pool;
    return agate_ints_are(&pool->kernel, 1) && agate_ints_are(&pool->strides, 1) &&
                   agate_ints_are(&pool->pads, 0)
               ? node->operands[0]
               : NULL;
}

agate_value *agate_rule_pool_of_all(agate_node *node)
{
    const agate_attrs_pool *pool = &node->attrs.pool;
    const agate_type *from = &node->operands[0]->type, *to = &agate_result(node)->type;
    agate_attrs attrs;

    if (!agate_ints_are(&pool->pads, 0) || !agate_ints_are(&pool->dilations, 1))
        return NULL;
    agate_attrs_init(AGATE_SET_reduce, &attrs);
    for (int32_t i = 2; i < from->rank; i++) {
        if (!agate_dim_is(from->dims[i], pool->kernel.v[i - 2]) || !agate_dim_is(to->dims[i], 1))
            return NULL;
        attrs.reduce.axes.v[attrs.reduce.axes.count++] = i;
    }
    return agate_rebuild(node, AGATE_OP_reduce_mean, &attrs, node->operands, 1);
}
