/* verify_kernel.c: a kernel's body against its operands and results; strategy and tiles. */
#include "ir/verify_parts.h"

static void verify_signature(agate_verifier *v, const agate_node *kernel)
{
    const agate_graph *body = kernel->body;
    const agate_node *yield = body->last;

    if (body->kernel != kernel)
        agate_verify_fault(v, kernel, "the body belongs to another kernel");
    if (body->param_count != kernel->operand_count)
        agate_verify_fault(v, kernel, "%d operands for a body of %d parameters", kernel->operand_count,
                           body->param_count);
    for (int32_t i = 0; i < agate_min(kernel->operand_count, body->param_count); i++)
        if (!agate_type_equal(&kernel->operands[i]->type, &body->params[i]->type))
            agate_verify_fault(v, kernel, "operand %d is of another type than $%d in the body", i, i);

    if (!yield || yield->op != AGATE_OP_yield)
        return; /* a fault of the body, reported there */
    if (yield->operand_count != kernel->result_count)
        agate_verify_fault(v, kernel, "%d results of a body that yields %d", kernel->result_count,
                           yield->operand_count);
    /* Where a result lies among others' channels is no matter of the body. */
    for (int32_t i = 0; i < agate_min(kernel->result_count, yield->operand_count); i++)
        if (yield->operands[i] &&
            !agate_type_equal_but_pitch(&kernel->results[i].type, &yield->operands[i]->type))
            agate_verify_fault(v, kernel, "result %d is of another type than the body yields", i);
}

/* A library kernel is one op on plain tensors, for its reference kernel to compute. */
static void verify_library(agate_verifier *v, const agate_node *kernel)
{
    int32_t op_count = 0;
    bool plain = true, known = true;

    AGATE_EACH_NODE (node, kernel->body) {
        op_count += !agate_node_has(node, AGATE_TERMINATOR);
        known = known && (agate_node_has(node, AGATE_TERMINATOR) || agate_node_info(node)->reference);
        for (int32_t i = 0; i < node->operand_count; i++)
            plain = plain && node->operands[i] && node->operands[i]->type.layout.kind == AGATE_LAYOUT_plain;
    }
    if (op_count != 1 || !plain || !known)
        agate_verify_fault(v, kernel,
                           "strategy library computes one op with a reference kernel, on plain tensors");
}

static void verify_strategy(agate_verifier *v, const agate_node *kernel)
{
    const int32_t *tiles = (const int32_t *)&kernel->tiles;

    if ((unsigned)kernel->strategy >= AGATE_STRATEGY_COUNT) {
        agate_verify_fault(v, kernel, "strategy %d does not exist", (int)kernel->strategy);
        return;
    }
    for (size_t i = 0; i < agate_tile_count; i++)
        if (tiles[i] < 0 || (tiles[i] > 0 && kernel->strategy == AGATE_STRATEGY_none))
            agate_verify_fault(v, kernel, "tile %s is %d%s", agate_tile_names[i], tiles[i],
                               tiles[i] < 0 ? "" : " without a strategy");
    if (kernel->strategy == AGATE_STRATEGY_library)
        verify_library(v, kernel);
}

void agate_verify_kernel(agate_verifier *v, const agate_node *kernel)
{
    AGATE_EACH_NODE (node, kernel->body)
        if (agate_node_has(node, AGATE_KERNEL) || node->op == AGATE_OP_join || node->op == AGATE_OP_part) {
            agate_verify_fault(v, kernel, "a kernel holds no %s", agate_node_info(node)->name);
            return;
        }
    /* Values of the outer graph are not visible inside. */
    agate_map outer = v->defined;
    v->defined = (agate_map){.arena = v->arena};
    agate_verify_nodes(v, kernel->body);
    v->defined = outer;
    verify_signature(v, kernel);
    verify_strategy(v, kernel);
}
