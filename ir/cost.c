/* cost.c: the costs of nodes, from types and attributes. */
#include "ir/cost.h"

/* `each` times an attribute or extent; 0 once that is too large. */
static int64_t times(int64_t each, int64_t count)
{
    int64_t product;

    return __builtin_mul_overflow(each, count, &product) ? 0 : product;
}

/* Operations behind one element of the result. */
static int64_t flops_each(const agate_node *node)
{
    const agate_type *type = &node->operands[node->operand_count > 1 ? 1 : 0]->type;
    int64_t each = 1;

    switch (agate_node_info(node)->family) {
    case AGATE_FAMILY_conv:
        for (int32_t i = 1; i < type->rank; i++)
            each = times(each, type->dims[i].offset);
        return times(each, 2);
    case AGATE_FAMILY_winograd: { /* of a tile's products, the share of one output */
        int64_t points = type->dims[1].offset, outputs = points - 2;
        each = times(times(type->dims[3].offset, 2), points * points);
        return each / (outputs * outputs);
    }
    case AGATE_FAMILY_matmul:
        type = &node->operands[0]->type;
        return times(type->dims[type->rank - 1].offset, 2);
    case AGATE_FAMILY_window:
        for (int32_t i = 0; i < node->attrs.pool.kernel.count; i++)
            each = times(each, node->attrs.pool.kernel.v[i]);
        return each;
    default:
        return 0;
    }
}

agate_dim agate_node_flops(const agate_node *node)
{
    agate_dim total = {0}, count, flops;

    if (node->op == AGATE_OP_kernel) {
        AGATE_EACH_NODE (inner, node->body)
            if (!agate_dim_add(total, agate_node_flops(inner), &total))
                return agate_dim_fixed(0);
        return total;
    }
    if (node->result_count == 0 || node->operand_count == 0 || flops_each(node) == 0 ||
        !agate_type_count(&node->results[0].type, &count) ||
        !agate_dim_mul(count, agate_dim_fixed(flops_each(node)), &flops))
        return agate_dim_fixed(0);
    return flops;
}

/* What scales with the batch lies behind what does not, so the greatest scale and the greatest offset bound every end. */
bool agate_graph_slab_size(const agate_graph *graph, agate_dim *out_size_bytes)
{
    agate_dim slab = {0}, size, end;

    AGATE_EACH_NODE (node, graph) {
        for (int32_t i = 0; node->op == AGATE_OP_kernel && i < node->result_count; i++) {
            const agate_value *value = &node->results[i];
            if (value->place.kind != AGATE_PLACE_SLAB)
                continue;
            if (!agate_type_size(&value->type, &size) || !agate_dim_add(size, value->place.offset, &end))
                return false;
            slab.scale = agate_max(slab.scale, end.scale);
            slab.offset = agate_max(slab.offset, end.offset);
        }
    }
    *out_size_bytes = slab;
    return true;
}
