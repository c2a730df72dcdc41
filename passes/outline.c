/* outline: every computation that is left becomes a kernel, pointwise work together.
 *
 *     %0 = transpose %x                  %2 = kernel(%x, %y) {
 *     %1 = add %0, %y                      %0 = transpose $0
 *     %2 = relu %1                ==>      %1 = add %0, $1
 *     %3 = softmax %2                      %2 = relu %1
 *                                          yield %2 }
 *                                        %3 = kernel(%2) { %0 = softmax $0
 *                                          yield %0 }
 *
 * From the last node to the first: a pointwise node takes the pointwise nodes of its type in front of it, and
 * a move or a resampling that only it reads, which then costs no memory. The kernel stands where its last
 * node stood, so a node joins only if all that reads it is inside or comes later; it becomes one more result
 * then. Every other op is a kernel of its own. Afterwards a graph holds data, views, kernels and its return.
 * Needs types and canonical form; breaks what looks for ops at the top level.
 */
#include "passes/region.h"

static bool is_computation(const agate_node *node)
{
    switch (agate_node_family(node)) {
    case AGATE_FAMILY_view:
    case AGATE_FAMILY_data:
    case AGATE_FAMILY_kernel:
    case AGATE_FAMILY_terminator:
        return false;
    default:
        return true;
    }
}

static bool is_pointwise(const agate_node *node)
{
    return agate_node_family(node) == AGATE_FAMILY_pointwise;
}

/* A move that can be a part of a kernel: its result's coordinates map to its operand's without reading data.
 */
static bool is_mapped_move(const agate_node *node)
{
    return agate_node_family(node) == AGATE_FAMILY_move && node->op != AGATE_OP_gather &&
           node->op != AGATE_OP_reorder;
}

/* What a concat of images' channels reads may be written where the concat has it (join-channels), which then
 * moves nothing: so it takes no interleave, which computes nothing less for being part of it. */
static bool is_written_in_place(const agate_node *user, const agate_node *maker)
{
    return user->op == AGATE_OP_concat && user->attrs.axis.axis == 1 && user->results[0].type.rank == 4 &&
           maker->op == AGATE_OP_interleave;
}

/* Where two resamplings are one, each element reads at most this many. */
#define MOST_TAPS 16

static int64_t taps_of(const agate_node *node)
{
    return node->op == AGATE_OP_resample ? node->operands[2]->type.dims[1].offset : 1;
}

static void offer_makers(agate_region *region, const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_node *maker = node->operands[i]->node;
        if (!maker)
            continue;
        /* Behind a move, coordinates differ; only another move is worth following there. */
        bool scalar = is_pointwise(node), resamples = maker->op == AGATE_OP_resample;
        if (node->op == AGATE_OP_resample) {
            if (i == 0 && resamples && taps_of(node) * taps_of(maker) <= MOST_TAPS)
                agate_region_offer(region, maker);
        } else if (is_written_in_place(node, maker)) {
            agate_pass_remark(region->pass, maker, "not in the kernel of the concat: it writes in its place");
        } else if (is_mapped_move(maker) || ((is_pointwise(maker) || resamples) && scalar)) {
            agate_region_offer(region, maker);
        }
    }
}

/* Why `node` cannot join the kernel of `seed`; NULL: it can. */
static const char *refuse(const agate_region *region, const agate_node *seed, const agate_node *node)
{
    const agate_value *result = &node->results[0];
    const char *reason = agate_region_refuses(region, node);

    if (reason)
        return reason;
    if (node->op == AGATE_OP_resample) {
        if (result->use_count > 1)
            return "it has other uses";
        return result->uses[0].node->op == AGATE_OP_resample ||
                       agate_type_same_dims(&result->type, &seed->results[0].type)
                   ? NULL
                   : "it is of another shape";
    }
    if (is_mapped_move(node)) {
        const agate_node *user = result->uses[0].node;
        if (result->use_count > 1)
            return "it has other uses";
        return is_mapped_move(user) || agate_type_same_dims(&result->type, &seed->results[0].type)
                   ? NULL
                   : "it is of another shape";
    }
    if (!agate_type_equal(&result->type, &seed->results[0].type))
        return "its result is of another shape or dtype";
    for (int32_t i = 0; i < result->use_count; i++) {
        const agate_node *user = result->uses[i].node;
        if (agate_region_has(region, user) ? !is_pointwise(user) : agate_order(user) < agate_order(seed))
            return "it is needed before the kernel runs";
    }
    return NULL;
}

static agate_node *outline(agate_pass *pass, agate_node *seed, int64_t *marks)
{
    agate_region region;

    agate_region_init(&region, pass, seed, marks, false);
    if (is_pointwise(seed) || is_mapped_move(seed) || seed->op == AGATE_OP_resample)
        offer_makers(&region, seed);
    for (agate_node *node; (node = agate_region_next(&region));) {
        const char *reason = refuse(&region, seed, node);
        if (reason)
            agate_pass_remark(pass, node, "not in the kernel of the %s: %s", agate_node_info(seed)->name,
                              reason);
        else if (agate_pass_spend(pass, node, "join"))
            agate_region_add(&region, node), offer_makers(&region, node);
    }
    return agate_region_outline(&region, seed);
}

bool agate_pass_outline(agate_pass *pass, agate_graph *graph)
{
    int64_t marks = 1;
    bool changed = false;

    agate_order_number(graph);
    for (agate_node *node = graph->last; node; node = node->previous) {
        if (!is_computation(node))
            continue;
        size_t mark = agate_arena_mark(pass->scratch);
        node = outline(pass, node, &marks);
        agate_arena_rewind(pass->scratch, mark);
        changed = true;
    }
    return changed;
}
