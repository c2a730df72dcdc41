/* fuse-rows: reductions over the same axes and the pointwise work between and behind them are one kernel.
 *
 *     %0 = reduce_mean %x axes=[1]         %7 = kernel(%x, %e) {
 *     %1 = sub %x, %0                        %0 = reduce_mean $0 axes=[1]
 *     %2 = mul %1, %1                        %1 = sub $0, %0
 *     %3 = reduce_mean %2 axes=[1]    ==>    %2 = mul %1, %1
 *     %4 = add %3, %e                        ...
 *     %5 = sqrt %4                           %6 = div %1, %5
 *     %6 = div %1, %5                        yield %6 }
 *
 * As exporters write a layer norm, or a softmax. Such a kernel goes over the rows that are reduced one by
 * one, and over each as often as it has reductions, and once more: the row stays in the first cache, where
 * single kernels would take the whole tensor through memory each time. Everything has one of two shapes: the
 * whole one that goes into the reductions, or the reduced one. Only whole values are results: one per row
 * that is needed elsewhere leaves its reduction to a kernel of its own. `place` and `limit` as in
 * fuse-epilogue, which comes behind, so that a convolution does not take the first pointwise op. Needs types
 * and canonical form; breaks what looks for ops at the top level.
 */
#include "passes/region.h"

typedef struct rows {
    agate_pass *pass;
    const agate_node *seed; /* the first reduction */
    agate_region region;
    agate_node *place; /* the latest node that makes an operand */
    int64_t limit;     /* the earliest outside node that reads a member */
    int32_t whole;     /* members of the whole shape */
} rows;

static const agate_type *whole_type(const rows *r)
{
    return &r->seed->operands[0]->type;
}

static bool is_reduction(const agate_node *node)
{
    return agate_node_family(node) == AGATE_FAMILY_reduce && node->attrs.reduce.keep;
}

/* The same axes as the seed? */
static bool reduces_rows(const rows *r, const agate_node *node)
{
    const agate_ints *axes = &node->attrs.reduce.axes, *wanted = &r->seed->attrs.reduce.axes;

    return is_reduction(node) && axes->count == wanted->count &&
           memcmp(axes->v, wanted->v, sizeof axes->v[0] * (size_t)axes->count) == 0;
}

/* Has `type` the shape of one number per row? */
static bool is_reduced(const rows *r, const agate_type *type)
{
    return agate_type_equal(type, &r->seed->results[0].type);
}

static bool can_join(const agate_node *node)
{
    return agate_node_family(node) == AGATE_FAMILY_pointwise || is_reduction(node);
}

static void offer_users(rows *r, const agate_value *value)
{
    for (int32_t i = 0; i < value->use_count; i++) {
        agate_node *user = value->uses[i].node;
        if (!can_join(user) || !agate_region_offer(&r->region, user))
            r->limit = agate_min(r->limit, agate_order(user));
    }
}

/* A value per row is no result: whatever reads it has to be able to join. */
static bool stays_inside(const rows *r, const agate_node *node)
{
    const agate_value *result = &node->results[0];

    for (int32_t i = 0; i < result->use_count; i++) {
        const agate_node *user = result->uses[i].node;
        const agate_type *type = &user->results[0].type;
        if (agate_node_family(user) != AGATE_FAMILY_pointwise ||
            (!is_reduced(r, type) && !agate_type_equal(type, whole_type(r))))
            return false;
    }
    return true;
}

/* Why `node` cannot join; NULL: it can, with the kernel at *out_place. */
static const char *refuse(const rows *r, const agate_node *node, agate_node **out_place)
{
    const agate_type *type = &node->results[0].type;

    *out_place = r->place;
    if (agate_node_family(node) == AGATE_FAMILY_reduce &&
        (!reduces_rows(r, node) || !agate_type_equal(&node->operands[0]->type, whole_type(r))))
        return "it reduces something else";
    if (!is_reduced(r, type) && !agate_type_equal(type, whole_type(r)))
        return "its result is of another shape or dtype";
    if (is_reduced(r, type) && !stays_inside(r, node))
        return "its result is one number per row, and needed elsewhere";
    const char *reason = agate_region_refuses(&r->region, node);
    if (reason)
        return reason;
    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_node *maker = node->operands[i]->node;
        if (!maker || agate_is_constant(node->operands[i]) || agate_region_has(&r->region, maker))
            continue;
        if (agate_order(maker) > agate_order(*out_place))
            *out_place = maker;
    }
    return agate_order(*out_place) < r->limit ? NULL : "an operand is computed only after a result is needed";
}

/* May the region become a kernel: does every value per row stay inside, and is there one of the whole
 * shape? */
static bool is_closed(const rows *r)
{
    for (int32_t i = 0; i < r->region.count; i++) {
        const agate_value *result = &r->region.members[i]->results[0];
        for (int32_t u = 0; is_reduced(r, &result->type) && u < result->use_count; u++)
            if (!agate_region_has(&r->region, result->uses[u].node))
                return false;
    }
    return r->whole > 0;
}

/* Grows the region of `seed` by at most as many members as `most`; returns how many it has, and in
 * *out_closed how many it had when it could last become a kernel. With *out_closed for `most` it can. */
static int32_t grow(rows *r, agate_pass *pass, agate_node *seed, int64_t *marks, int32_t most,
                    int32_t *out_closed)
{
    agate_node *place;

    *r = (rows){.pass = pass, .seed = seed, .place = seed, .limit = INT64_MAX};
    agate_region_init(&r->region, pass, seed, marks, true);
    offer_users(r, agate_result(seed));
    *out_closed = 0;
    for (agate_node *node; r->region.count < most && (node = agate_region_next(&r->region));) {
        const char *reason = refuse(r, node, &place);
        if (reason) {
            agate_pass_remark(pass, node, "not in the rows of the %s: %s", agate_node_info(seed)->name,
                              reason);
            r->limit = agate_min(r->limit, agate_order(node));
            continue;
        }
        agate_region_add(&r->region, node);
        r->place = place;
        r->whole += agate_type_equal(&node->results[0].type, whole_type(r));
        offer_users(r, agate_result(node));
        if (is_closed(r))
            *out_closed = r->region.count;
    }
    return r->region.count;
}

static bool can_seed(const agate_node *node)
{
    const agate_type *type = node->operand_count == 1 ? &node->operands[0]->type : NULL;

    if (!type || !is_reduction(node) || type->dtype != AGATE_F32)
        return false;
    for (int32_t i = 0; i < node->attrs.reduce.axes.count; i++)
        if (!agate_dim_is_fixed(type->dims[node->attrs.reduce.axes.v[i]]))
            return false;
    return !agate_type_equal(type, &node->results[0].type);
}

static bool fuse(agate_pass *pass, agate_node *seed, int64_t *marks)
{
    rows r;
    int32_t closed, unused;

    if (grow(&r, pass, seed, marks, INT32_MAX, &closed) > closed && closed > 0)
        grow(&r, pass, seed, marks, closed, &unused);
    if (closed == 0 || !agate_pass_spend(pass, seed, "rows"))
        return false;
    agate_region_outline(&r.region, r.place->next);
    return true;
}

bool agate_pass_fuse_rows(agate_pass *pass, agate_graph *graph)
{
    int64_t marks = 1;
    bool changed = false;

    agate_order_number(graph);
    for (agate_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!can_seed(node))
            continue;
        size_t mark = agate_arena_mark(pass->scratch);
        /* What comes next may go; a kernel does not. */
        agate_node *before = node->previous;
        if (fuse(pass, node, &marks)) {
            changed = true;
            next = before ? before->next : graph->first;
        }
        agate_arena_rewind(pass->scratch, mark);
    }
    return changed;
}
