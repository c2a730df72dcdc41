/* by_rows.c: which ops keep the rows of a batch apart. */
#include "ir/by_rows.h"

static bool has_rows(const agate_value *value)
{
    return value->type.rank > 0 && value->type.dims[0].scale != 0;
}

/* N of them, or a multiple; no other dimension can follow the batch. */
static bool is_whole(const agate_value *value)
{
    return has_rows(value) && value->type.dims[0].offset == 0;
}

/* ---- the rules of ops ---------------------------------------------------------------------------------- */

/* Inference lets no op take a part of a dimension that follows the batch, or pad it. */
AGATE_ROWS(any)
{
    (void)node;
    return true;
}

/* The others serve all rows alike. What has all elements in their order, as a reshape, has them row by
 * row. */
AGATE_ROWS(first)
{
    for (int32_t i = 1; i < node->operand_count; i++)
        if (has_rows(node->operands[i]))
            return false;
    return true;
}

/* Operands that broadcast to the result have their rows where it has its. */
AGATE_ROWS(ranks)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (has_rows(node->operands[i]) && node->operands[i]->type.rank != node->results[0].type.rank)
            return false;
    return true;
}

AGATE_ROWS(axis)
{
    return node->attrs.axis.axis != 0;
}

AGATE_ROWS(resample)
{
    return agate_rows_axis(node) && agate_rows_first(node);
}

AGATE_ROWS(arg)
{
    return node->attrs.arg.axis != 0;
}

AGATE_ROWS(perm)
{
    return node->attrs.perm.perm.v[0] == 0;
}

AGATE_ROWS(reduce)
{
    const agate_ints *axes = &node->attrs.reduce.axes;

    for (int32_t i = 0; i < axes->count; i++)
        if (axes->v[i] == 0)
            return false;
    return axes->count > 0;
}

/* A stack of matrices that follows the batch, by one matrix, or by as many. */
AGATE_ROWS(matmul)
{
    const agate_value *lhs = node->operands[0], *rhs = node->operands[1];

    if (!has_rows(rhs))
        return true;
    return rhs->type.rank > 2 && rhs->type.rank == node->results[0].type.rank &&
           (!has_rows(lhs) || lhs->type.rank == rhs->type.rank);
}

AGATE_ROWS(gather)
{
    const agate_value *data = node->operands[0], *indices = node->operands[1];
    const int64_t axis = node->attrs.axis.axis;

    return has_rows(data) ? axis != 0 && !has_rows(indices) : axis == 0;
}

AGATE_ROWS(body)
{
    return agate_graph_is_by_rows(node->body);
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

static bool is_by_rows(const agate_node *node)
{
    bool reads = false;

    for (int32_t i = 0; i < node->operand_count; i++)
        reads |= has_rows(node->operands[i]);
    for (int32_t i = 0; i < node->result_count; i++)
        if ((reads || has_rows(&node->results[i])) && !is_whole(&node->results[i]))
            return false;
    return !reads || agate_node_info(node)->keeps_rows(node);
}

static bool has_whole_params(const agate_graph *graph)
{
    for (int32_t i = 0; i < graph->param_count; i++)
        if (has_rows(graph->params[i]) && !is_whole(graph->params[i]))
            return false;
    return true;
}

bool agate_graph_is_by_rows(const agate_graph *graph)
{
    if (!has_whole_params(graph))
        return false;
    AGATE_EACH_NODE (node, graph)
        if (!is_by_rows(node))
            return false;
    return true;
}

/* Parts of one batch may write their rows at the same time, and would write what has none over each other. */
static bool writes_rows(const agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->result_count; i++)
        if (!has_rows(&kernel->results[i]))
            return false;
    return kernel->strategy != AGATE_STRATEGY_library;
}

uint32_t agate_graph_kernels_by_rows(const agate_graph *graph)
{
    uint32_t count = 0;

    if (!has_whole_params(graph))
        return 0;
    AGATE_EACH_NODE (node, graph) {
        if (!is_by_rows(node) || (node->op == AGATE_OP_kernel && !writes_rows(node)))
            break;
        count += node->op == AGATE_OP_kernel;
    }
    return count;
}
