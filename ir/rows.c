/* rows.c: bodies that reduce rows and give rows: layer norms and their like. */
#include "ir/narrow.h"

static const agate_node *first_reduction(const agate_graph *body)
{
    AGATE_EACH_NODE (node, body)
        if (agate_node_info(node)->family == AGATE_FAMILY_reduce)
            return node;
    return NULL;
}

static bool reduces_alike(const agate_node *node, const agate_node *first)
{
    const agate_ints *axes = &node->attrs.reduce.axes, *wanted = &first->attrs.reduce.axes;

    return node->attrs.reduce.keep && axes->count == wanted->count &&
           memcmp(axes->v, wanted->v, sizeof axes->v[0] * (size_t)axes->count) == 0 &&
           agate_type_same_dims(&node->operands[0]->type, &first->operands[0]->type);
}

static bool has_fixed_rows(const agate_node *reduce)
{
    const agate_type *type = &reduce->operands[0]->type;

    for (int32_t i = 0; i < reduce->attrs.reduce.axes.count; i++)
        if (!agate_dim_is_fixed(type->dims[reduce->attrs.reduce.axes.v[i]]))
            return false;
    return reduce->attrs.reduce.axes.count > 0;
}

static bool is_float(const agate_value *value)
{
    return value->type.dtype == AGATE_F32 || agate_is_half(value);
}

/* One element at a time; a result that is kept in 16 bits (pass narrow) is cast to it. */
static bool is_scalar(const agate_node *node)
{
    agate_family family = agate_node_info(node)->family;

    return family == AGATE_FAMILY_pointwise ||
           (family == AGATE_FAMILY_cast && is_float(node->operands[0]) && is_float(&node->results[0]));
}

bool agate_reduces_rows(const agate_graph *body)
{
    const agate_node *first = first_reduction(body);

    if (!first || !has_fixed_rows(first))
        return false;
    const agate_type *whole = &first->operands[0]->type, *reduced = &first->results[0].type;
    if (agate_type_same_dims(whole, reduced))
        return false;
    AGATE_EACH_NODE (node, body) {
        agate_family family = agate_node_info(node)->family;
        if (family == AGATE_FAMILY_reduce && !reduces_alike(node, first))
            return false;
        if (is_scalar(node) && !agate_type_same_dims(&node->results[0].type, whole) &&
            !agate_type_same_dims(&node->results[0].type, reduced))
            return false;
        if (family != AGATE_FAMILY_reduce && !is_scalar(node) && family != AGATE_FAMILY_data &&
            family != AGATE_FAMILY_terminator)
            return false;
    }
    for (int32_t i = 0; i < body->last->operand_count; i++)
        if (!agate_type_same_dims(&body->last->operands[i]->type, whole))
            return false;
    return true;
}
