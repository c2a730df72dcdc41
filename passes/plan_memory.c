/* plan-memory: an offset in the session's slab for every value that needs memory.
 *
 *     %0 = kernel(...) : f32[N,64,56,56]        %0 = kernel(...) : f32[N,64,56,56] at slab[0]
 *     %1 = kernel(%0, %s) {... add ...}   ==>   %1 = kernel(%0, %s) {... add ...} at slab[802816N]   (%s dies: its place)
 *     return %1                                 ...
 *
 * A buffer is a kernel's result with all views of it; it lives from its kernel to the last use of any of
 * them. What a join puts among each other's channels is one buffer. Results of the graph live in the caller's
 * buffers. A result takes over the buffer of an operand that dies in the same kernel, if the kernel reads
 * that operand only where it writes. Other buffers are packed largest first, each at the lowest offset that
 * is free for its whole life (Pisarchyk and Lee 2020, greedy by size).
 *
 * Sizes follow the batch N, so the slab has two zones: fixed sizes, then behind them those proportional to N,
 * whose offsets scale with N. Needs kernels; any later change of the graph breaks the plan.
 */
#include <stdlib.h>

#include "ir/map.h"
#include "passes/kernel.h"
#include "passes/rewrite.h"

typedef struct buffer {
    agate_value *value;  /* the kernel result; views share its place */
    int64_t first, last; /* life: numbers of nodes, both included */
    int64_t size;        /* bytes, or bytes per unit of batch */
    int64_t offset;
    bool scales;
    bool given;          /* taken over by a result of the kernel it died in */
    struct buffer *home; /* taken over from; NULL: has room of its own */
    struct buffer *into; /* joined to; `shift` bytes behind its beginning */
    int64_t shift;
    int64_t low; /* of all that is joined to it, the least shift: it may be negative */
    bool joined;
    struct buffer *next_beginning; /* of those placed, with this `first` */
} buffer;

/* Where a value lies: `offset` bytes behind the beginning of `buffer`; NULL: not in the slab. */
typedef struct spot {
    buffer *buffer;
    int64_t offset;
} spot;

typedef struct planner {
    agate_pass *pass;
    agate_graph *graph;
    int64_t node_count;
    buffer *buffers;
    int64_t buffer_count;
    spot *spots; /* value->scratch is the number of its spot + 1 */
    int64_t spot_count;
} planner;

static int64_t round_up(int64_t size)
{
    return agate_ceil_div(size, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
}

/* In the buffer that stands for all that are joined. */
static spot spot_of(const planner *p, const agate_value *value)
{
    spot s = value->scratch > 0 ? p->spots[value->scratch - 1] : (spot){0};

    for (; s.buffer && s.buffer->into; s.buffer = s.buffer->into)
        s.offset += s.buffer->shift;
    return s;
}

static buffer *buffer_of(const planner *p, const agate_value *value)
{
    return spot_of(p, value).buffer;
}

/* ---- lives --------------------------------------------------------------------------------------------- */

/* What the graph returns lives in the caller's buffer of the first result that it is. */
static void place_results(agate_graph *graph)
{
    for (int32_t i = graph->last->operand_count - 1; i >= 0; i--) {
        agate_value *root = agate_value_root(graph->last->operands[i]);
        if (root->node && root->node->op == AGATE_OP_kernel)
            root->place = (agate_place){AGATE_PLACE_OUTPUT, agate_dim_fixed(i)};
    }
}

static void set_spot(planner *p, agate_value *value, spot s)
{
    p->spots[p->spot_count++] = s;
    value->scratch = p->spot_count;
}

/* With a pitch, the whole images in which `type` has its channels. */
static agate_dim size_of(const agate_type *type)
{
    agate_dim size = agate_dim_fixed(0); /* verified types have a size */

    if (type->layout.pitch) {
        agate_dim image = agate_dim_fixed(agate_type_channel_offset(type, agate_type_pitch(type)));
        agate_dim_mul(type->dims[0], image, &size);
    } else {
        agate_type_size(type, &size);
    }
    return size;
}

static void add_buffer(planner *p, agate_value *value)
{
    if (value->place.kind == AGATE_PLACE_OUTPUT)
        return;
    agate_dim size = size_of(&value->type);
    buffer *b = &p->buffers[p->buffer_count++];
    b->value = value;
    b->first = b->last = value->node->scratch;
    b->scales = size.scale != 0;
    /* Of a*N + b, take (a + b)*N, which is no less for any N >= 1; for N = 0 nothing is touched. */
    b->size = round_up(size.scale + (b->scales ? agate_max(size.offset, 0) : size.offset));
    b->joined = value->type.layout.pitch != 0;
    set_spot(p, value, (spot){b, 0});
}

/* `s` shall lie `distance` bytes behind `at`. */
static void join_buffers(spot at, spot s, int64_t distance)
{
    if (s.buffer == at.buffer)
        return;
    buffer *to = at.buffer, *from = s.buffer;
    from->into = to;
    from->shift = at.offset + distance - s.offset;
    to->first = agate_min(to->first, from->first);
    to->last = agate_max(to->last, from->last);
    to->size = agate_max(to->size, from->size);
    to->low = agate_min(to->low, from->shift + from->low);
    to->joined = true;
}

static void add_view(planner *p, agate_node *view)
{
    spot at = spot_of(p, view->operands[0]);
    int64_t channel = 0;

    if (!at.buffer)
        return;
    if (view->op == AGATE_OP_part)
        at.offset += agate_type_channel_offset(&view->operands[0]->type, view->attrs.slice.starts.v[1]);
    for (int32_t i = 0; view->op == AGATE_OP_join && i < view->operand_count; i++) {
        spot s = spot_of(p, view->operands[i]);
        if (s.buffer)
            join_buffers(at, s, agate_type_channel_offset(&agate_result(view)->type, channel));
        channel += view->operands[i]->type.dims[1].offset;
    }
    set_spot(p, agate_result(view), at);
}

static void extend_lives(planner *p, agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        buffer *b = buffer_of(p, node->operands[i]);
        if (b)
            b->last = agate_max(b->last, node->scratch);
    }
}

static void find_lives(planner *p)
{
    int64_t results = 0;

    for (int32_t i = 0; i < p->graph->param_count; i++)
        p->graph->params[i]->scratch = 0;
    AGATE_EACH_NODE (node, p->graph) {
        node->scratch = p->node_count++;
        results += node->result_count;
        for (int32_t i = 0; i < node->result_count; i++) {
            node->results[i].scratch = 0;
            node->results[i].place = (agate_place){0};
        }
    }
    p->buffers = AGATE_NEW_N(p->pass->scratch, buffer, results);
    p->spots = AGATE_NEW_N(p->pass->scratch, spot, results);
    place_results(p->graph);
    AGATE_EACH_NODE (node, p->graph) {
        for (int32_t i = 0; node->op == AGATE_OP_kernel && i < node->result_count; i++)
            add_buffer(p, &node->results[i]);
        if (agate_node_has(node, AGATE_VIEW))
            add_view(p, node);
        extend_lives(p, node);
    }
}

/* ---- in place ------------------------------------------------------------------------------------------ */

/* Does the anchor read what scalar ops in front of it make of the parameter? */
static bool feeds_anchor(const planner *p, const agate_node *anchor, const agate_value *param)
{
    agate_map flow = {.arena = p->pass->scratch};

    agate_map_put(&flow, param, 0, (void *)param);
    for (const agate_node *node = anchor->graph->first; node != anchor->next; node = node->next)
        for (int32_t i = 0; i < node->operand_count; i++) {
            if (!agate_map_get(&flow, node->operands[i], 0))
                continue;
            if (node == anchor)
                return true;
            agate_map_put(&flow, &node->results[0], 0, (void *)node);
        }
    return false;
}

/* Does the kernel read parameter `index` only at the element it then writes? So it is where scalar ops and
 * casts alone use it, on the result's own shape and layout. */
static bool reads_where_it_writes(const planner *p, const agate_node *kernel, int32_t index,
                                  const agate_type *result)
{
    const agate_value *param = kernel->body->params[index];
    const agate_node *anchor = agate_kernel_anchor(kernel);

    if (!agate_type_equal(&param->type, result) || (anchor && feeds_anchor(p, anchor, param)))
        return false;
    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        bool scalar = family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_cast;
        if (!scalar && node != anchor && node->op != AGATE_OP_yield)
            return false;
        if (scalar && !agate_type_same_places(&agate_result(node)->type, result) && anchor == NULL)
            return false;
    }
    /* An anchor such as a transpose may feed scalar ops only from its own coordinates. */
    return !anchor || agate_node_has(anchor, AGATE_ANCHOR);
}

/* May result `b` of the kernel live where `dying`, one of its operands, does? */
static bool can_take_over(planner *p, const agate_node *kernel, const buffer *b, const buffer *dying)
{
    if (b->joined || dying->given || dying->last != kernel->scratch || dying->scales != b->scales ||
        dying->size != b->size)
        return false;
    for (int32_t i = 0; i < kernel->operand_count; i++) /* it may come in more than once */
        if (buffer_of(p, kernel->operands[i]) == dying &&
            (!reads_where_it_writes(p, kernel, i, &b->value->type) ||
             spot_of(p, kernel->operands[i]).offset != dying->low))
            return false;
    return agate_pass_spend(p->pass, kernel, "in place");
}

static void take_over(planner *p, agate_node *kernel)
{
    for (int32_t r = 0; r < kernel->result_count; r++) {
        buffer *b = buffer_of(p, &kernel->results[r]);
        for (int32_t i = 0; b && !b->home && i < kernel->operand_count; i++) {
            buffer *dying = buffer_of(p, kernel->operands[i]);
            if (!dying || dying == b || !can_take_over(p, kernel, b, dying))
                continue;
            b->home = dying->home ? dying->home : dying;
            b->home->last = agate_max(b->home->last, b->last);
            dying->given = true;
        }
    }
}

/* ---- packing ------------------------------------------------------------------------------------------- */

static int larger_first(const void *left, const void *right)
{
    const buffer *a = *(buffer *const *)left, *b = *(buffer *const *)right;
    if (a->size != b->size)
        return a->size < b->size ? 1 : -1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int by_offset(const void *left, const void *right)
{
    const buffer *a = *(buffer *const *)left, *b = *(buffer *const *)right;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The placed buffers of a zone, to be found by their lives: each stands in the list of its first node, and in
 * those of the few ranges of nodes that make up its life in a binary tree (a segment tree: Bentley 1977). */
typedef struct listed {
    buffer *buffer;
    struct listed *next;
} listed;

typedef struct timeline {
    agate_arena *arena;
    int64_t leaves;     /* a power of two, as many as there are nodes or more */
    listed **ranges;    /* of the tree: children of range i are 2i and 2i + 1 */
    buffer **beginning; /* by node */
} timeline;

static void timeline_init(timeline *t, agate_arena *arena, int64_t node_count)
{
    *t = (timeline){.arena = arena, .leaves = 1};
    while (t->leaves < node_count)
        t->leaves *= 2;
    t->ranges = AGATE_NEW_N(arena, listed *, 2 * t->leaves);
    t->beginning = AGATE_NEW_N(arena, buffer *, t->leaves);
}

static void list_in(timeline *t, int64_t range, buffer *b)
{
    listed *cell = AGATE_NEW(t->arena, listed);
    *cell = (listed){b, t->ranges[range]};
    t->ranges[range] = cell;
}

static void timeline_add(timeline *t, buffer *b)
{
    int64_t lo = b->first + t->leaves, hi = b->last + t->leaves + 1;

    for (; lo < hi; lo /= 2, hi /= 2) {
        if (lo % 2)
            list_in(t, lo++, b);
        if (hi % 2)
            list_in(t, --hi, b);
    }
    b->next_beginning = t->beginning[b->first];
    t->beginning[b->first] = b;
}

/* Those that live when `b` begins, and those that begin while it lives. */
static int64_t timeline_find(const timeline *t, const buffer *b, buffer **out_found)
{
    int64_t count = 0;

    for (int64_t range = b->first + t->leaves; range > 0; range /= 2)
        for (const listed *cell = t->ranges[range]; cell; cell = cell->next)
            out_found[count++] = cell->buffer;
    for (int64_t at = b->first + 1; at <= b->last; at++)
        for (buffer *other = t->beginning[at]; other; other = other->next_beginning)
            out_found[count++] = other;
    return count;
}

/* The lowest offset at which `b` meets no placed buffer of its zone while both live. */
static void place_buffer(buffer *b, timeline *zone, buffer **conflicts)
{
    int64_t count = timeline_find(zone, b, conflicts), offset = 0;

    if (count)
        qsort(conflicts, (size_t)count, sizeof *conflicts, by_offset);
    for (int64_t i = 0; i < count && conflicts[i]->offset < offset + b->size; i++)
        offset = agate_max(offset, conflicts[i]->offset + conflicts[i]->size);
    b->offset = offset;
    timeline_add(zone, b);
}

/* The most that live at the same time in a zone: no packing can do with less. */
static int64_t most_alive(const planner *p, bool scales)
{
    int64_t *changes = AGATE_NEW_N(p->pass->scratch, int64_t, p->node_count + 1);
    int64_t alive = 0, most = 0;

    for (int64_t i = 0; i < p->buffer_count; i++) {
        const buffer *b = &p->buffers[i];
        if (b->home || b->into || b->scales != scales)
            continue;
        changes[b->first] += b->size;
        changes[b->last + 1] -= b->size;
    }
    for (int64_t i = 0; i < p->node_count; i++) {
        alive += changes[i];
        most = agate_max(most, alive);
    }
    return most;
}

static void remark_size(const planner *p, int64_t fixed_bytes, int64_t scaled_bytes)
{
    int64_t least = most_alive(p, false) + most_alive(p, true), size = fixed_bytes + scaled_bytes;

    agate_pass_remark(
        p->pass, p->graph->last,
        "the slab takes %lld bytes for a batch of 1; what lives at once comes to %lld at most (%.1f %% more)",
        (long long)size, (long long)least, least > 0 ? 100.0 * (double)(size - least) / (double)least : 0.0);
}

/* Returns the size of the fixed zone. */
static int64_t pack(planner *p)
{
    buffer **order = AGATE_NEW_N(p->pass->scratch, buffer *, p->buffer_count);
    buffer **conflicts = AGATE_NEW_N(p->pass->scratch, buffer *, p->buffer_count);
    int64_t count = 0, bytes[2] = {0};
    timeline zones[2]; /* of fixed sizes, of those that follow the batch */

    for (int32_t i = 0; i < 2; i++)
        timeline_init(&zones[i], p->pass->scratch, p->node_count);
    for (int64_t i = 0; i < p->buffer_count; i++)
        if (!p->buffers[i].home && !p->buffers[i].into)
            order[count++] = &p->buffers[i];
    if (count)
        qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int64_t i = 0; i < count; i++) {
        int64_t *size = &bytes[order[i]->scales];
        place_buffer(order[i], &zones[order[i]->scales], conflicts);
        *size = agate_max(*size, order[i]->offset + order[i]->size);
    }
    remark_size(p, bytes[false], bytes[true]);
    return bytes[false];
}

static agate_place place_of(spot s, int64_t fixed_bytes)
{
    const buffer *home = s.buffer->home ? s.buffer->home : s.buffer;
    int64_t offset = s.offset - s.buffer->low;

    return (agate_place){AGATE_PLACE_SLAB, home->scales ? (agate_dim){home->offset, fixed_bytes + offset}
                                                        : agate_dim_fixed(home->offset + offset)};
}

/* Views of what is not in the slab lie where that does. */
static void write_places(planner *p, int64_t fixed_bytes)
{
    AGATE_EACH_NODE (node, p->graph)
        for (int32_t i = 0; i < node->result_count; i++) {
            agate_value *value = &node->results[i];
            if (value->scratch > 0)
                value->place = place_of(spot_of(p, value), fixed_bytes);
            else if (agate_node_has(node, AGATE_VIEW))
                value->place = node->operands[0]->place;
        }
}

bool agate_pass_plan_memory(agate_pass *pass, agate_graph *graph)
{
    planner p = {.pass = pass, .graph = graph};

    find_lives(&p);
    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_kernel)
            take_over(&p, node);
    write_places(&p, pack(&p));
    return p.buffer_count > 0;
}
