/* kernel.c: reading and building kernel nodes. */
#include "passes/kernel.h"

#include "ir/narrow.h"

agate_node *agate_kernel_anchor(const agate_node *kernel)
{
    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        if (family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast && !agate_changes_blocks(node) &&
            !agate_node_has(node, AGATE_TERMINATOR) && !agate_node_has(node, AGATE_CONSTANT))
            return node;
    }
    return NULL;
}

agate_value *agate_kernel_operand(const agate_node *kernel, const agate_value *value)
{
    return value->node ? NULL : kernel->operands[value->index];
}

agate_node *agate_kernel_yield(const agate_node *kernel)
{
    assert(kernel->body && kernel->body->last && kernel->body->last->op == AGATE_OP_yield);
    return kernel->body->last;
}

agate_node *agate_kernel_build(agate_graph *graph, agate_node *before, agate_op op,
                               agate_value *const *operands, int32_t operand_count, const agate_type *type)
{
    agate_node *kernel = agate_node_create(graph, before, AGATE_OP_kernel, operands, operand_count, 1);
    agate_value **params = AGATE_NEW_N(graph->arena, agate_value *, operand_count);

    kernel->body = agate_graph_create_body(graph);
    kernel->body->kernel = kernel;
    for (int32_t i = 0; i < operand_count; i++)
        params[i] = agate_graph_add_param(kernel->body, NULL, &operands[i]->type);
    agate_node *node = agate_node_create(kernel->body, NULL, op, params, operand_count, 1);
    agate_result(node)->type = *type;
    agate_result(kernel)->type = *type;
    agate_node_create(kernel->body, NULL, AGATE_OP_yield, (agate_value *[]){agate_result(node)}, 1, 0);
    return kernel;
}

agate_value *agate_value_root(agate_value *value)
{
    while (agate_value_is(value, AGATE_OP_reshape))
        value = value->node->operands[0];
    return value;
}

bool agate_groups_fill_blocks(const agate_node *conv, int64_t block)
{
    const agate_type *w = &conv->operands[1]->type;
    int64_t group = conv->attrs.conv.group;

    if (group == 1 || agate_dim_is(w->dims[0], 0)) /* nothing to compute */
        return true;
    return w->dims[1].offset % block == 0 && w->dims[0].offset / group % block == 0;
}
