/* plan-memory: an offset in the session's slab for every value that needs memory.
 *
 *     %0 = kernel(...) : f32[N,64,56,56]        %0 = kernel(...) : f32[N,64,56,56] at slab[0]
 *     %1 = kernel(%0, %s) {... add ...}   ==>   %1 = kernel(%0, %s) {... add ...} at slab[802816N]   (%s dies: its place)
 *     return %1                                 ...
 *
 * A buffer is a kernel's result with all views of it; it lives from its kernel to the last use of any of them. Results of
 * the graph live in the caller's buffers. A result takes over the buffer of an operand that dies in the same kernel, if
 * the kernel reads that operand only where it writes. Other buffers are packed largest first, each at the lowest offset
 * that is free for its whole life (Pisarchyk and Lee 2020, greedy by size).
 *
 * Sizes follow the batch N, so the slab has two zones: fixed sizes, then behind them those proportional to N, whose
 * offsets scale with N. Needs kernels; any later change of the graph breaks the plan.
 */
#include <stdlib.h>

#include "passes/kernel.h"
#include "passes/pass.h"

typedef struct buffer {
    agate_value *value;  /* the kernel result; views share its place */
    int64_t first, last; /* life: numbers of nodes, both included */
    int64_t size;        /* bytes, or bytes per unit of batch */
    int64_t offset;
    bool scales;
    bool given;          /* taken over by a result of the kernel it died in */
    struct buffer *home; /* taken over from; NULL: has room of its own */
} buffer;

typedef struct planner {
    agate_pass *pass;
    agate_graph *graph;
    buffer *buffers;
    int64_t buffer_count;
} planner;

static int64_t round_up(int64_t size)
{
    return agate_ceil_div(size, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
}

/* value->scratch of a root that has a buffer: its number + 1. */
static buffer *buffer_of(planner *p, agate_value *value)
{
    agate_value *root = agate_value_root(value);
    bool planned = root->node && root->node->op == AGATE_OP_kernel && root->scratch > 0;
    return planned ? &p->buffers[root->scratch - 1] : NULL;
}

/* ---- lives ---------------------------------------------------------------------------------------------- */

/* What the graph returns lives in the caller's buffer of the first result that it is. */
static void place_results(agate_graph *graph)
{
    for (int32_t i = graph->last->operand_count - 1; i >= 0; i--) {
        agate_value *root = agate_value_root(graph->last->operands[i]);
        if (root->node && root->node->op == AGATE_OP_kernel)
            root->place = (agate_place){AGATE_PLACE_OUTPUT, agate_dim_fixed(i)};
    }
}

static void add_buffer(planner *p, agate_value *value)
{
    agate_dim size;
    if (value->place.kind == AGATE_PLACE_OUTPUT)
        return;
    if (!agate_type_size(&value->type, &size))
        size = agate_dim_fixed(0); /* verified types have a size */

    buffer *b = &p->buffers[p->buffer_count++];
    b->value = value;
    b->first = b->last = value->node->scratch;
    b->scales = size.scale != 0;
    /* Of a*N + b, take (a + b)*N, which is no less for any N >= 1; for N = 0 nothing is touched. */
    b->size = round_up(size.scale + (b->scales ? agate_max(size.offset, 0) : size.offset));
    value->scratch = p->buffer_count;
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
    int64_t number = 0, results = 0;

    AGATE_EACH_NODE (node, p->graph) {
        node->scratch = number++;
        results += node->result_count;
        for (int32_t i = 0; i < node->result_count; i++) {
            node->results[i].scratch = 0;
            node->results[i].place = (agate_place){0};
        }
    }
    p->buffers = AGATE_NEW_N(p->pass->scratch, buffer, results);
    place_results(p->graph);
    AGATE_EACH_NODE (node, p->graph) {
        for (int32_t i = 0; node->op == AGATE_OP_kernel && i < node->result_count; i++)
            add_buffer(p, &node->results[i]);
        extend_lives(p, node);
    }
}

/* ---- in place ------------------------------------------------------------------------------------------- */

/* Does the kernel read parameter `index` only at the element it then writes? So it is where scalar ops alone use it, on
 * the result's own shape and layout. */
static bool reads_where_it_writes(const agate_node *kernel, int32_t index, const agate_type *result)
{
    const agate_value *param = kernel->body->params[index];
    const agate_node *anchor = agate_kernel_anchor(kernel);

    if (!agate_type_equal(&param->type, result))
        return false;
    AGATE_EACH_NODE (node, kernel->body) {
        bool scalar = agate_node_info(node)->family == AGATE_FAMILY_pointwise;
        if (!scalar && node != anchor && node->op != AGATE_OP_yield)
            return false;
        for (int32_t i = 0; node == anchor && i < node->operand_count; i++)
            if (node->operands[i] == param)
                return false;
        if (scalar && !agate_type_equal(&agate_result(node)->type, result) && anchor == NULL)
            return false;
    }
    /* An anchor such as a transpose may feed scalar ops only from its own coordinates. */
    return !anchor || agate_node_has(anchor, AGATE_ANCHOR);
}

/* May result `b` of the kernel live where `dying`, one of its operands, does? */
static bool can_take_over(planner *p, const agate_node *kernel, const buffer *b, const buffer *dying)
{
    if (dying->given || dying->last != kernel->scratch || dying->scales != b->scales ||
        dying->size != b->size)
        return false;
    for (int32_t i = 0; i < kernel->operand_count; i++) /* it may come in more than once */
        if (buffer_of(p, kernel->operands[i]) == dying && !reads_where_it_writes(kernel, i, &b->value->type))
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

/* ---- packing -------------------------------------------------------------------------------------------- */

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

/* The lowest offset at which `b` meets no placed buffer of its zone while both live. */
static void place_buffer(buffer *b, buffer **placed, int64_t placed_count, buffer **conflicts)
{
    int64_t count = 0, offset = 0;

    for (int64_t i = 0; i < placed_count; i++)
        if (placed[i]->scales == b->scales && placed[i]->first <= b->last && b->first <= placed[i]->last)
            conflicts[count++] = placed[i];
    qsort(conflicts, (size_t)count, sizeof *conflicts, by_offset);
    for (int64_t i = 0; i < count && conflicts[i]->offset < offset + b->size; i++)
        offset = agate_max(offset, conflicts[i]->offset + conflicts[i]->size);
    b->offset = offset;
}

/* Returns the size of the fixed zone. */
static int64_t pack(planner *p)
{
    buffer **order = AGATE_NEW_N(p->pass->scratch, buffer *, p->buffer_count);
    buffer **conflicts = AGATE_NEW_N(p->pass->scratch, buffer *, p->buffer_count);
    int64_t count = 0, fixed_bytes = 0;

    for (int64_t i = 0; i < p->buffer_count; i++)
        if (!p->buffers[i].home)
            order[count++] = &p->buffers[i];
    if (count)
        qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int64_t i = 0; i < count; i++) {
        place_buffer(order[i], order, i, conflicts);
        if (!order[i]->scales)
            fixed_bytes = agate_max(fixed_bytes, order[i]->offset + order[i]->size);
    }
    return fixed_bytes;
}

static void write_places(planner *p, int64_t fixed_bytes)
{
    for (int64_t i = 0; i < p->buffer_count; i++) {
        buffer *b = &p->buffers[i], *home = b->home ? b->home : b;
        b->value->place.kind = AGATE_PLACE_SLAB;
        b->value->place.offset =
            home->scales ? (agate_dim){home->offset, fixed_bytes} : agate_dim_fixed(home->offset);
    }
    AGATE_EACH_NODE (node, p->graph)
        if (agate_node_has(node, AGATE_VIEW))
            agate_result(node)->place = agate_value_root(agate_result(node))->place;
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
