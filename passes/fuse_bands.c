/* fuse-bands: a convolution and its one reader become one kernel, and what is between them never leaves a
 * core's cache.
 *
 *     %1 = kernel(%x, %w) { conv, relu }         %2 = kernel(%x, %w) {
 *     %2 = kernel(%1) { max_pool }         ==>     %a = conv $0, $1
 *                                                  %b = relu %a
 *                                                  %c = max_pool %b
 *                                                  yield %c }
 *
 * So go the stem and its pool, a depthwise convolution and the 1x1 behind it, and a 1x1 and the depthwise
 * behind it: see ir/bands.h for what a kernel may hold. It is worth it where what is between the two is too
 * large for the cache that is one core's, as numbers (agate_bands_gain): where a depthwise convolution could
 * go with either neighbour, it goes where it gains more. Needs packed weights and the kernels that
 * merge-siblings and join-channels leave; breaks nothing.
 */
#include "ir/bands.h"
#include "ir/parts.h"
#include "passes/region.h"
#include "passes/strategy.h"

typedef struct pair {
    agate_pass *pass;
    agate_graph *graph;
    agate_node *producer, *consumer; /* kernels */
    agate_value *between;
    agate_graph *body;
    agate_value **operands; /* of the new kernel */
    int32_t operand_count;
} pair;

/* ---- the body ------------------------------------------------------------------------------------------ */

/* What `value` of one of the two bodies is in the new one: kept in value->scratch. */
static agate_value *counterpart(const agate_value *value)
{
    return (agate_value *)(intptr_t)value->scratch;
}

static void set_counterpart(agate_value *value, agate_value *counterpart)
{
    value->scratch = (int64_t)(intptr_t)counterpart;
}

static agate_value *param_for(pair *p, agate_value *value)
{
    for (int32_t i = 0; i < p->operand_count; i++)
        if (p->operands[i] == value)
            return p->body->params[i];
    p->operands[p->operand_count++] = value;
    return agate_graph_add_param(p->body, NULL, &value->type);
}

static void copy_node(pair *p, agate_node *node)
{
    agate_value **operands = AGATE_NEW_N(p->pass->scratch, agate_value *, node->operand_count + 1);

    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = counterpart(node->operands[i]);
    agate_node *copy = agate_node_copy(p->body, node, operands);
    for (int32_t i = 0; i < node->result_count; i++)
        set_counterpart(&node->results[i], &copy->results[i]);
}

/* All of the kernel's nodes but its yield. */
static void copy_body(pair *p, const agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->operand_count; i++)
        if (kernel->operands[i] != p->between)
            set_counterpart(kernel->body->params[i], param_for(p, kernel->operands[i]));
    for (agate_node *node = kernel->body->first; node != kernel->body->last; node = node->next)
        copy_node(p, node);
}

static void build_body(pair *p)
{
    p->body = agate_graph_create_body(p->graph);
    p->operands =
        AGATE_NEW_N(p->pass->scratch, agate_value *, p->producer->operand_count + p->consumer->operand_count);
    copy_body(p, p->producer);
    agate_value *made = counterpart(agate_kernel_yield(p->producer)->operands[0]);
    for (int32_t i = 0; i < p->consumer->operand_count; i++)
        if (p->consumer->operands[i] == p->between)
            set_counterpart(p->consumer->body->params[i], made);
    copy_body(p, p->consumer);
    copy_node(p, agate_kernel_yield(p->consumer));
}

/* The body is not needed after all. */
static void drop_body(pair *p)
{
    AGATE_EACH_NODE_REVERSE (node, p->body)
        agate_node_remove(node);
}

static void replace_pair(pair *p)
{
    int32_t results = p->consumer->result_count;
    agate_node *kernel =
        agate_node_create(p->graph, p->consumer, AGATE_OP_kernel, p->operands, p->operand_count, results);

    kernel->body = p->body;
    p->body->kernel = kernel;
    agate_take_origin(kernel, p->producer);
    agate_take_origin(kernel, p->consumer);
    for (int32_t i = 0; i < results; i++) {
        kernel->results[i].type = p->consumer->results[i].type;
        agate_value_replace(&p->consumer->results[i], &kernel->results[i]);
    }
    agate_node_remove(p->consumer);
    agate_node_remove(p->producer);
}

/* ---- whether ------------------------------------------------------------------------------------------- */

/* Why the two kernels cannot be one; NULL: they can. */
static const char *refuse_kernels(const pair *p)
{
    const agate_node *conv = agate_kernel_anchor(p->producer);

    if (!conv || conv->op != AGATE_OP_conv)
        return "what it reads is not made by a convolution";
    if (p->between->use_count > 1)
        return "what it reads is needed elsewhere as well";
    if (p->producer->result_count > 1)
        return "the convolution in front has several results";
    if (p->between->type.layout.pitch)
        return "what it reads lies among other channels";
    return p->producer->operand_count + p->consumer->operand_count > AGATE_REGION_OPERANDS
               ? "the kernel would have too many operands"
               : NULL;
}

/* The kernel's op with loops, if it is one that could read a band: a window, a depthwise or a 1x1
 * convolution, and reads an operand. */
static const agate_node *reader_of(const agate_node *kernel)
{
    const agate_node *node = kernel->op == AGATE_OP_kernel ? agate_kernel_anchor(kernel) : NULL;

    if (!node || node->operand_count == 0 || node->operands[0]->node || node->results[0].type.rank != 4)
        return NULL;
    if (agate_node_info(node)->family == AGATE_FAMILY_window)
        return node;
    if (node->op != AGATE_OP_conv)
        return NULL;
    const agate_type *w = &node->operands[1]->type;
    bool small = agate_dim_is(w->dims[2], 1) && agate_dim_is(w->dims[3], 1);
    return agate_is_depthwise(node) || small ? node : NULL;
}

/* Why the pair is not to be fused; NULL: it is, with what it gains in *out_gain. */
static const char *judge(pair *p, double *out_gain)
{
    const char *reason = refuse_kernels(p);

    if (reason)
        return reason;
    build_body(p);
    agate_node kernel = {.op = AGATE_OP_kernel,
                         .body = p->body,
                         .result_count = p->consumer->result_count,
                         .results = p->consumer->results};
    agate_candidate candidate = {p->pass->machine, &kernel, agate_kernel_anchor(&kernel)};
    agate_bands bands;
    agate_bands_find(p->body, &bands);
    reason = bands.tiled ? agate_amx_bands_applies(&candidate) : agate_bands_applies(&candidate);
    if (!reason && !bands.producer_by_lane && !bands.by_channel)
        reason = "two dense convolutions read what is between them often enough to compute meanwhile";
    if (reason)
        return reason;
    *out_gain = bands.tiled ? agate_amx_bands_gain(&candidate) : agate_bands_gain(&candidate);
    return *out_gain > 0 ? NULL : "computing by rows costs more than it spares to move what is between them";
}

/* A pair of the kernel with what it reads; false where it is none that could be. */
static bool find_pair(agate_pass *pass, agate_graph *graph, agate_node *consumer, pair *out_pair)
{
    const agate_node *reader = reader_of(consumer);

    *out_pair = (pair){.pass = pass, .graph = graph, .consumer = consumer};
    if (!reader)
        return false;
    out_pair->between = consumer->operands[reader->operands[0]->index];
    out_pair->producer = out_pair->between->node;
    return out_pair->producer && out_pair->producer->op == AGATE_OP_kernel;
}

/* Does the consumer gain more by going with what reads it? */
static bool is_better_behind(const pair *p, double gain)
{
    agate_use *use = p->consumer->result_count == 1 ? agate_value_sole_use(&p->consumer->results[0]) : NULL;
    double behind = 0;
    pair next;

    if (!use || !find_pair(p->pass, p->graph, use->node, &next) || next.producer != p->consumer)
        return false;
    const char *reason = judge(&next, &behind);
    if (next.body)
        drop_body(&next);
    return !reason && behind > gain;
}

static bool fuse(agate_pass *pass, agate_graph *graph, agate_node *consumer)
{
    double gain = 0;
    pair p;

    if (!find_pair(pass, graph, consumer, &p))
        return false;
    const char *reason = judge(&p, &gain);
    if (!reason && is_better_behind(&p, gain))
        reason = "it gains more by going with what reads it";
    if (!reason && agate_pass_spend(pass, consumer, "fuse bands")) {
        replace_pair(&p);
        return true;
    }
    if (p.body)
        drop_body(&p);
    if (reason)
        agate_pass_remark(pass, consumer, "not fused with what it reads: %s", reason);
    return false;
}

bool agate_pass_fuse_bands(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        size_t mark = agate_arena_mark(pass->scratch);
        changed |= fuse(pass, graph, node);
        agate_arena_rewind(pass->scratch, mark);
    }
    return changed;
}
