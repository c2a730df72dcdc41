/* fuse-epilogue: a convolution, matmul, pool or reduction finishes the pointwise work behind it.
 *
 *     %0 = conv %x, %w                   %2 = kernel(%x, %w, %r) {
 *     %1 = add %0, %r                      %0 = conv $0, $1
 *     %2 = relu %1                ==>      %1 = add %0, $2
 *                                          %2 = relu %1
 *                                          yield %2 }
 *
 * Any chain or DAG of pointwise ops of the anchor's type joins; a value of it that is needed elsewhere as
 * well becomes one more result, so it still is written only once. Behind a convolution, slices and pads of
 * what else they read join, too. The kernel stands behind the last of its operands, and in front of
 * everything that reads one of its results, which also rules out cycles:
 *
 *     place   the latest node that makes an operand; the kernel goes right behind it
 *     limit   the earliest outside node that reads a member
 *     a node joins as long as place < limit
 *
 * Nodes are decided on in order, so `limit` is known as far as it matters. Anchors are taken from the last to
 * the first: where two convolutions meet in an add, the later one takes it and has the other's result as
 * operand. Needs types and canonical form; breaks what looks for ops at the top level.
 */
#include "passes/region.h"

typedef struct epilogue {
    agate_pass *pass;
    agate_node *anchor;
    agate_region region;
    agate_node *place;
    int64_t limit;
} epilogue;

static void offer_users(epilogue *e, const agate_value *value)
{
    for (int32_t i = 0; i < value->use_count; i++) {
        agate_node *user = value->uses[i].node;
        if (agate_node_family(user) != AGATE_FAMILY_pointwise || !agate_region_offer(&e->region, user))
            e->limit = agate_min(e->limit, agate_order(user));
    }
}

/* A move of images that keeps channels in runs, which only one node reads. */
static bool is_run_move(const agate_value *value)
{
    const agate_node *node = value->node;

    if (!node || value->use_count > 1 || value->type.rank != 4)
        return false;
    return node->op == AGATE_OP_pad ? node->attrs.pad.mode == AGATE_PAD_CONSTANT
                                    : node->op == AGATE_OP_slice && node->attrs.slice.steps.v[1] == 1;
}

/* Where the epilogue of a convolution reads `value`: through such moves, at the cost of a mask or two. So a
 * shortcut that is cut down and padded with zeros is not written before it is added. */
static agate_value *source_of(const epilogue *e, agate_value *value)
{
    if (e->anchor->op == AGATE_OP_conv && agate_type_same_dims(&value->type, &agate_result(e->anchor)->type))
        while (is_run_move(value) && !agate_region_has(&e->region, value->node))
            value = value->node->operands[0];
    return value;
}

/* Takes the moves between `value` and what it is read from in, the first one first. */
static void add_moves(epilogue *e, agate_value *value, const agate_value *source)
{
    if (value == source)
        return;
    add_moves(e, value->node->operands[0], source);
    agate_region_add(&e->region, value->node);
}

/* Why `node` cannot join; NULL: it can, with the kernel at *out_place. */
static const char *refuse(const epilogue *e, const agate_node *node, agate_node **out_place)
{
    *out_place = e->place;
    if (!agate_type_equal(&node->results[0].type, &agate_result(e->anchor)->type))
        return "its result is of another shape or dtype";
    const char *reason = agate_region_refuses(&e->region, node);
    if (reason)
        return reason;
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *source = source_of(e, node->operands[i]);
        agate_node *maker = source->node;
        if (!maker || agate_is_constant(source) || agate_region_has(&e->region, maker))
            continue;
        if (agate_order(maker) > agate_order(*out_place))
            *out_place = maker;
    }
    return agate_order(*out_place) < e->limit ? NULL : "an operand is computed only after a result is needed";
}

static agate_node *fuse(agate_pass *pass, agate_node *anchor, int64_t *marks)
{
    epilogue e = {.pass = pass, .anchor = anchor, .place = anchor, .limit = INT64_MAX};
    agate_node *place;

    agate_region_init(&e.region, pass, anchor, marks, true);
    offer_users(&e, agate_result(anchor));
    for (agate_node *node; (node = agate_region_next(&e.region));) {
        const char *reason = refuse(&e, node, &place);
        if (!reason && agate_pass_spend(pass, node, "fuse")) {
            for (int32_t i = 0; i < node->operand_count; i++)
                add_moves(&e, node->operands[i], source_of(&e, node->operands[i]));
            agate_region_add(&e.region, node);
            e.place = place;
            offer_users(&e, agate_result(node));
            continue;
        }
        if (reason)
            agate_pass_remark(pass, node, "not fused with the %s: %s", agate_node_info(anchor)->name, reason);
        e.limit = agate_min(e.limit, agate_order(node));
    }
    return e.region.count > 1 ? agate_region_outline(&e.region, e.place->next) : NULL;
}

bool agate_pass_fuse_epilogue(agate_pass *pass, agate_graph *graph)
{
    int64_t marks = 1;
    bool changed = false;

    agate_order_number(graph);
    AGATE_EACH_NODE_REVERSE (node, graph) {
        if (!agate_node_has(node, AGATE_ANCHOR))
            continue;
        size_t mark = agate_arena_mark(pass->scratch);
        changed |= fuse(pass, node, &marks) != NULL;
        agate_arena_rewind(pass->scratch, mark);
    }
    return changed;
}
