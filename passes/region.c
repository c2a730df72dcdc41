/* region.c: growing a set of nodes, and turning it into a kernel. */
#include "passes/region.h"

#include "ir/narrow.h"

#define ORDER_GAP (INT64_C(1) << 24)

/* ---- order -------------------------------------------------------------------------------------------- */

void agate_order_number(agate_graph *graph)
{
    int64_t number = 0;

    for (int32_t i = 0; i < graph->param_count; i++)
        graph->params[i]->scratch = 0;
    AGATE_EACH_NODE (node, graph) {
        node->scratch = number += ORDER_GAP;
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i].scratch = 0;
    }
}

void agate_order_insert(agate_node *node)
{
    int64_t low = node->previous ? node->previous->scratch : 0;
    int64_t high = node->next ? node->next->scratch : low + 2 * ORDER_GAP;

    if (high - low >= 2) {
        node->scratch = low + (high - low) / 2;
        return;
    }
    /* No number is free between the two: the gaps are made anew, which many insertions at one place pay for.
     */
    int64_t number = 0;
    AGATE_EACH_NODE (other, node->graph)
        other->scratch = number += ORDER_GAP;
}

void agate_order_bring_constants(agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        agate_node *maker = kernel->operands[i]->node;
        if (maker && agate_node_has(maker, AGATE_CONSTANT) && agate_order(maker) > agate_order(kernel)) {
            agate_node_move_before(maker, kernel);
            maker->scratch = kernel->scratch;
        }
    }
}

/* ---- growing ------------------------------------------------------------------------------------------ */

static agate_node **grow(agate_arena *arena, agate_node **nodes, int32_t count, int32_t *room)
{
    if (count < *room)
        return nodes;
    *room = *room ? 2 * *room : 16;
    agate_node **grown = AGATE_NEW_N(arena, agate_node *, *room);
    if (count)
        memcpy(grown, nodes, sizeof *nodes * (size_t)count);
    return grown;
}

void agate_region_init(agate_region *region, agate_pass *pass, agate_node *seed, int64_t *marks, bool down)
{
    *region = (agate_region){.pass = pass, .mark = *marks, .down = down};
    *marks += 2;
    agate_region_add(region, seed);
}

bool agate_region_has(const agate_region *region, const agate_node *node)
{
    return node->result_count == 1 && node->results[0].scratch == region->mark + 1;
}

static bool goes_first(const agate_region *region, const agate_node *a, const agate_node *b)
{
    return region->down ? agate_order(a) < agate_order(b) : agate_order(a) > agate_order(b);
}

bool agate_region_offer(agate_region *region, agate_node *node)
{
    if (node->result_count != 1)
        return false;
    if (node->results[0].scratch >= region->mark)
        return true;
    node->results[0].scratch = region->mark;

    region->queue = grow(region->pass->scratch, region->queue, region->queued, &region->queue_room);
    int32_t at = region->queued++;
    while (at > 0 && goes_first(region, node, region->queue[(at - 1) / 2])) {
        region->queue[at] = region->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    region->queue[at] = node;
    return true;
}

agate_node *agate_region_next(agate_region *region)
{
    if (region->queued == 0)
        return NULL;
    agate_node *next = region->queue[0], *last = region->queue[--region->queued];
    int32_t at = 0;
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child + 1 < region->queued && goes_first(region, region->queue[child + 1], region->queue[child]))
            child++;
        if (child >= region->queued || !goes_first(region, region->queue[child], last))
            break;
        region->queue[at] = region->queue[child];
        at = child;
    }
    region->queue[at] = last;
    return next;
}

/* By how much `node` changes the count of operands: its own from outside come, those that were its result go.
 */
static int32_t added_operands(const agate_region *region, const agate_node *node)
{
    const agate_value *result = &node->results[0];
    int32_t count = 0;

    for (int32_t i = 0; i < node->operand_count; i++)
        count += !node->operands[i]->node || !agate_region_has(region, node->operands[i]->node);
    for (int32_t i = 0; i < result->use_count; i++)
        count -= agate_region_has(region, result->uses[i].node);
    return count;
}

const char *agate_region_refuses(const agate_region *region, const agate_node *node)
{
    if (region->count >= AGATE_REGION_MEMBERS ||
        region->operand_count + added_operands(region, node) > AGATE_REGION_OPERANDS)
        return "the kernel is as large as it may be";
    /* Without a loop it can be a library call, but only alone. */
    if (agate_loops_over_half(node) || agate_loops_over_half(region->members[0]))
        return "sums of bf16 and f16 are computed one op at a time";
    return NULL;
}

void agate_region_add(agate_region *region, agate_node *node)
{
    assert(node->result_count == 1);
    region->operand_count += added_operands(region, node);
    node->results[0].scratch = region->mark + 1;
    region->members = grow(region->pass->scratch, region->members, region->count, &region->member_room);
    region->members[region->count++] = node;
}

/* ---- outlining ---------------------------------------------------------------------------------------- */

/* What a kernel is made from. Outside values and members' results carry in value->scratch, for the while,
 * their number: i + 1 for outside value i, -i - 1 for member i. */
typedef struct outlining {
    agate_region *region;
    agate_graph *body;
    agate_value **outside;
    int32_t outside_count;
    agate_value **inside; /* in the body, per member */
    int32_t *inside_uses; /* of the original, by members */
} outlining;

static agate_value *add_operand(outlining *o, agate_value *value)
{
    o->outside[o->outside_count++] = value;
    return agate_graph_add_param(o->body, NULL, &value->type);
}

/* Operand `index` of `member`, in the body. */
static agate_value *body_value(outlining *o, const agate_node *member, int32_t index)
{
    agate_value *value = member->operands[index];

    if (value->scratch < 0) {
        o->inside_uses[-value->scratch - 1]++;
        return o->inside[-value->scratch - 1];
    }
    /* Weights will be packed, so what scalar ops read of the same constant is another operand. */
    if (agate_is_constant(value) && agate_node_family(member) != AGATE_FAMILY_pointwise)
        return add_operand(o, value);
    if (value->scratch == 0) {
        agate_value *param = add_operand(o, value);
        value->scratch = o->outside_count;
        return param;
    }
    return o->body->params[value->scratch - 1];
}

static void fill_body(outlining *o)
{
    const agate_region *region = o->region;

    for (int32_t i = 0; i < region->count; i++) {
        const agate_node *member = region->members[i];
        agate_value **operands = AGATE_NEW_N(region->pass->scratch, agate_value *, member->operand_count);
        for (int32_t j = 0; j < member->operand_count; j++)
            operands[j] = body_value(o, member, j);
        o->inside[i] = agate_result(agate_node_copy(o->body, member, operands));
        member->results[0].scratch = -i - 1;
    }
}

/* Ends the body with what is used outside. Returns how many, and the members that make them in `out_yielded`.
 */
static int32_t fill_yield(outlining *o, int32_t *out_yielded)
{
    int32_t count = 0, members = o->region->count;
    agate_value **operands = AGATE_NEW_N(o->region->pass->scratch, agate_value *, members);

    for (int32_t i = 0; i < members; i++) {
        bool unused = o->region->members[i]->results[0].use_count == o->inside_uses[i];
        if (unused && (i + 1 < members || count > 0))
            continue;
        operands[count] = o->inside[i];
        out_yielded[count++] = i;
    }
    agate_node_create(o->body, NULL, AGATE_OP_yield, operands, count, 0);
    return count;
}

static void replace_members(const outlining *o, agate_node *kernel, const int32_t *yielded)
{
    const agate_region *region = o->region;

    for (int32_t i = 0; i < kernel->result_count; i++) {
        agate_value *from = &region->members[yielded[i]]->results[0];
        kernel->results[i].type = from->type;
        agate_value_replace(from, &kernel->results[i]);
    }
    for (int32_t i = region->count; i-- > 0;)
        agate_node_remove(region->members[i]);
    for (int32_t i = 0; i < o->outside_count; i++)
        o->outside[i]->scratch = 0;
}

/* A region that grew upwards took its latest member first. */
static void reverse(agate_region *region)
{
    for (int32_t i = 0, j = region->count - 1; i < j; i++, j--) {
        agate_node *member = region->members[i];
        region->members[i] = region->members[j];
        region->members[j] = member;
    }
}

agate_node *agate_region_outline(agate_region *region, agate_node *before)
{
    agate_arena *scratch = region->pass->scratch;
    agate_graph *graph = before->graph;
    int32_t *yielded = AGATE_NEW_N(scratch, int32_t, region->count), operands = 0;

    if (!region->down)
        reverse(region);
    for (int32_t i = 0; i < region->count; i++) {
        const agate_node *member = region->members[i];
        operands += member->operand_count;
        for (int32_t j = 0; j < member->operand_count; j++)
            member->operands[j]->scratch = 0;
    }
    outlining o = {.region = region,
                   .body = agate_graph_create_body(graph),
                   .outside = AGATE_NEW_N(scratch, agate_value *, operands),
                   .inside = AGATE_NEW_N(scratch, agate_value *, region->count),
                   .inside_uses = AGATE_NEW_N(scratch, int32_t, region->count)};
    fill_body(&o);
    int32_t yields = fill_yield(&o, yielded);

    agate_node *kernel =
        agate_node_create(graph, before, AGATE_OP_kernel, o.outside, o.outside_count, yields);
    kernel->body = o.body;
    o.body->kernel = kernel;
    agate_order_insert(kernel);
    for (int32_t i = 0; i < region->count; i++)
        agate_take_origin(kernel, region->members[i]);
    agate_order_bring_constants(kernel);
    replace_members(&o, kernel, yielded);
    return kernel;
}
