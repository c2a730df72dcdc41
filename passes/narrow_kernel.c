/* narrow_kernel.c: the body of a kernel between operands and results that are kept in 16 bits. */
#include "passes/narrow.h"

#include <stdio.h>

#include "ir/reorder.h"

/* ---- building ------------------------------------------------------------------------------------------ */

static agate_value *build_cast(agate_node *before, agate_value *value, agate_dtype to)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = to;
    return agate_build(before->graph, before, AGATE_OP_cast, &attrs, &value, 1);
}

/* `value` in blocks of `block` channels; itself where it has them. */
static agate_value *build_blocks(agate_node *before, agate_value *value, int32_t block)
{
    if (value->type.layout.kind != AGATE_LAYOUT_channel || value->type.layout.block == block)
        return value;
    agate_node *node = agate_node_create(before->graph, before, AGATE_OP_reorder, &value, 1, 1);
    node->results[0].type = value->type;
    node->results[0].type.layout = (agate_layout){.kind = AGATE_LAYOUT_channel, .block = (uint16_t)block};
    return agate_result(node);
}

/* The f32 that planes stand for. */
static agate_value *build_sum(agate_node *before, agate_value *const *planes, int32_t count)
{
    agate_value *sum = build_cast(before, planes[0], AGATE_F32);

    for (int32_t i = 1; i < count; i++) {
        agate_value *terms[] = {sum, build_cast(before, planes[i], AGATE_F32)};
        sum = agate_build(before->graph, before, AGATE_OP_add, NULL, terms, 2);
    }
    return sum;
}

/* Splits f32 `value`. */
static void build_planes(agate_node *before, agate_value *value, agate_planes planes,
                         agate_value **out_planes)
{
    for (int32_t i = 0; i < planes.count; i++) {
        out_planes[i] = build_cast(before, value, planes.dtype);
        if (i == planes.count - 1)
            break;
        agate_value *terms[] = {value, build_cast(before, out_planes[i], AGATE_F32)};
        value = agate_build(before->graph, before, AGATE_OP_sub, NULL, terms, 2);
    }
}

/* One more operand, and the parameter that stands for it. */
static agate_value *add_operand(agate_node *kernel, agate_value *value)
{
    agate_node_add_operand(kernel, value);
    return agate_graph_add_param(kernel->body, NULL, &value->type);
}

/* ---- what is read -------------------------------------------------------------------------------------- */

/* Every use of `from` but those by the `count` nodes in front of `behind` that make `to` becomes one of
 * `to`. */
static void replace_behind(agate_value *from, agate_value *to, const agate_node *behind)
{
    for (int32_t i = from->use_count; i-- > 0;) {
        agate_use use = from->uses[i];
        bool makes = false;
        for (const agate_node *node = from->node ? from->node->next : use.node->graph->first; node != behind;
             node = node->next)
            makes |= node == use.node;
        if (!makes)
            agate_node_set_operand(use.node, use.index, to);
    }
}

/* Parameter `index` stands for planes from now on, the first of them its operand's place; what read it reads
 * their sum. */
static agate_value *widen_param(agate_node *kernel, int32_t index, agate_value *const *operands,
                                int32_t count)
{
    agate_graph *body = kernel->body;
    agate_node *first = body->first;
    agate_value *params[AGATE_MAX_PLANES] = {body->params[index]};

    if (kernel->operands[index] != operands[0])
        agate_node_set_operand(kernel, index, operands[0]);
    params[0]->type = operands[0]->type;
    for (int32_t i = 1; i < count; i++)
        params[i] = add_operand(kernel, operands[i]);
    agate_value *sum = build_sum(first, params, count);
    replace_behind(params[0], sum, first);
    return sum;
}

/* What reads f32 `value` but convolution `conv` (may be NULL), which reads any blocks, reads it in blocks of
 * `block`. */
static void read_blocks(agate_node *first, agate_value *value, const agate_node *conv, int32_t block)
{
    agate_value *other = NULL;

    for (int32_t i = value->use_count; i-- > 0;) {
        agate_use use = value->uses[i];
        if (use.node == conv && use.index == 0)
            continue;
        if (!other && (other = build_blocks(first, value, block)) == value)
            return;
        if (use.node != other->node)
            agate_node_set_operand(use.node, use.index, other);
    }
}

static void read_operands(agate_node *kernel, int32_t block)
{
    agate_graph *body = kernel->body;
    const agate_node *conv = agate_kernel_anchor(kernel);
    int32_t count = kernel->operand_count;
    agate_node *first = body->first;

    for (int32_t i = 0; i < count; i++) {
        const agate_edge *e = agate_narrow_edge(kernel->operands[i]);
        agate_value *planes[AGATE_MAX_PLANES] = {kernel->operands[i]};
        int32_t plane_count = 1;
        for (; e && plane_count < e->wanted.count; plane_count++)
            planes[plane_count] = agate_own_edge(planes[0])->planes[plane_count];
        agate_value *value = e ? widen_param(kernel, i, planes, plane_count) : body->params[i];
        if (block > 0)
            read_blocks(first, value, conv, block);
    }
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* "w", "w:1", "w:2". */
static const char *plane_label(const agate_node *weights, int32_t plane)
{
    if (plane == 0 || !weights->label)
        return weights->label;
    size_t room = strlen(weights->label) + 16;
    char *label = agate_arena_alloc(weights->graph->arena, room);
    snprintf(label, room, "%s:%d", weights->label, plane);
    return label;
}

/* Part `plane` of the weights, laid out as they are multiplied: bf16 in pairs of channels, f16, which is
 * widened before it is multiplied, channel by channel. NULL where memory is short. */
static agate_value *narrow_weights(agate_value *weights, agate_narrowing how, agate_dtype dtype,
                                   int32_t plane)
{
    agate_node *node = weights->node;
    agate_type type = weights->type;
    agate_data *data = NULL;

    type.dtype = dtype;
    if (how == AGATE_NARROW_TAPS)
        type.layout.kind = AGATE_LAYOUT_o_taps;
    else if (how != AGATE_NARROW_WEIGHTS && dtype == AGATE_BF16)
        type.layout.kind = type.layout.kind == AGATE_LAYOUT_o ? AGATE_LAYOUT_o_pairs : AGATE_LAYOUT_oi_pairs;
    if (how == AGATE_NARROW_TILES)
        type.layout.block = AGATE_AMX_BLOCK;
    if (node->data && !(data = agate_data_plane(node->data, &weights->type, &type, plane)))
        return NULL;
    agate_value *value = agate_build_constant(node->graph, node, &type, data, plane_label(node, plane));
    value->node->op = node->op;
    value->node->origin = node->origin;
    return value;
}

/* False: memory is short. */
static bool narrow_right_side(agate_node *kernel, const agate_node *anchor, agate_narrowing how,
                              agate_planes planes)
{
    int32_t index = anchor->operands[1]->index;
    agate_value *weights = kernel->operands[index], *values[AGATE_MAX_PLANES];

    for (int32_t i = 0; i < planes.count; i++)
        if (!(values[i] = narrow_weights(weights, how, planes.dtype, i)))
            return false;
    widen_param(kernel, index, values, planes.count);
    if (weights->use_count == 0)
        agate_node_remove(weights->node);
    return true;
}

/* The convolution's input, where it comes as f32, is rounded by a kernel of its own. */
static void round_left_side(agate_node *kernel, const agate_node *conv)
{
    const agate_value *input = conv->operands[0];
    agate_attrs attrs;

    if (input->node)
        return;
    agate_value *value = kernel->operands[input->index];
    agate_type type = value->type;
    type.dtype = AGATE_BF16;
    agate_node *rounding = agate_kernel_build(kernel->graph, kernel, AGATE_OP_cast, &value, 1, &type);
    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = AGATE_BF16;
    rounding->body->first->attrs = attrs;
    widen_param(kernel, input->index, &(agate_value *){agate_result(rounding)}, 1);
}

/* The convolution's input, where it comes as f32, is split in the kernel. */
static void split_left_side(agate_node *conv, agate_planes planes)
{
    const agate_value *known[AGATE_MAX_PLANES];
    agate_value *parts[AGATE_MAX_PLANES] = {0};

    if (agate_planes_of(conv->operands[0], known) > 0)
        return;
    build_planes(conv, conv->operands[0], planes, parts);
    agate_node_set_operand(conv, 0, build_sum(conv, parts, planes.count));
}

/* ---- what is written ----------------------------------------------------------------------------------- */

/* Values of the body are in blocks of `block` channels. */
static void compute_in_blocks(agate_node *kernel, int32_t block)
{
    AGATE_EACH_NODE (node, kernel->body)
        for (int32_t i = 0; i < node->result_count; i++)
            if (node->results[i].type.layout.kind == AGATE_LAYOUT_channel)
                node->results[i].type.layout.block = (uint16_t)block;
}

/* A kernel in the place of `kernel` with room for `count` results, the first of which are its own. */
static agate_node *with_results(agate_node *kernel, int32_t count)
{
    if (count == kernel->result_count)
        return kernel;
    agate_node *wider = agate_node_create(kernel->graph, kernel, AGATE_OP_kernel, kernel->operands,
                                          kernel->operand_count, count);

    wider->body = kernel->body;
    wider->body->kernel = wider;
    wider->origin = kernel->origin;
    for (int32_t i = 0; i < kernel->result_count; i++) {
        wider->results[i].type = kernel->results[i].type;
        wider->results[i].scratch = kernel->results[i].scratch;
        agate_value_replace(&kernel->results[i], &wider->results[i]);
    }
    kernel->body = NULL;
    agate_node_remove(kernel);
    return wider;
}

static int32_t count_results(const agate_node *kernel)
{
    int32_t count = kernel->result_count;

    for (int32_t i = 0; i < kernel->result_count; i++)
        if (agate_narrow_edge(&kernel->results[i]))
            count += agate_narrow_edge(&kernel->results[i])->wanted.count - 1;
    return count;
}

/* Splits result `index` right behind what makes it, with its part (ir/parts.h); further planes are results
 * from `extra` on. */
static void narrow_result(agate_node *kernel, int32_t index, const agate_edge *e, int32_t extra)
{
    agate_node *yield = agate_kernel_yield(kernel), *before = yield->operands[index]->node->next;
    agate_value *parts[AGATE_MAX_PLANES], *value = yield->operands[index];
    int32_t block = e->stays_blocked ? kernel->results[index].type.layout.block : AGATE_AMX_BLOCK;
    int32_t pitch = kernel->results[index].type.layout.pitch;
    agate_edge *own = agate_own_edge(&kernel->results[index]);

    build_planes(before, build_blocks(before, value, block), e->wanted, parts);
    for (int32_t i = 0; i < e->wanted.count; i++) {
        agate_value *result = &kernel->results[i == 0 ? index : extra + i - 1];
        result->type = parts[i]->type;
        result->type.layout.pitch = pitch;
        if (i == 0)
            agate_node_set_operand(yield, index, parts[i]);
        else
            agate_node_add_operand(yield, parts[i]);
        own->planes[i] = result;
    }
}

static void write_results(agate_node *kernel)
{
    int32_t own = kernel->result_count, extra = own;
    agate_node *wider = with_results(kernel, count_results(kernel));
    agate_node *yield = agate_kernel_yield(wider);

    for (int32_t i = 0; i < own; i++) {
        const agate_edge *e = agate_narrow_edge(&wider->results[i]);
        if (e) {
            narrow_result(wider, i, e, extra);
            extra += e->wanted.count - 1;
        } else if (wider->results[i].type.layout.kind == AGATE_LAYOUT_channel) {
            agate_value *value = yield->operands[i];
            agate_node *before = value->node ? value->node->next : yield;
            agate_node_set_operand(yield, i,
                                   build_blocks(before, value, wider->results[i].type.layout.block));
        }
    }
}

bool agate_narrow_kernel(agate_node *kernel, agate_narrowing how, agate_planes planes)
{
    agate_node *anchor = agate_kernel_anchor(kernel);
    bool good = true;

    if (how == AGATE_NARROW_TILES)
        compute_in_blocks(kernel, AGATE_AMX_BLOCK);
    read_operands(kernel, how == AGATE_NARROW_TILES ? AGATE_AMX_BLOCK : 0);
    if (how == AGATE_NARROW_TAPS)
        round_left_side(kernel, anchor);
    if (how != AGATE_NARROW_NOTHING)
        good = narrow_right_side(kernel, anchor, how, planes);
    if (how == AGATE_NARROW_TILES && good)
        split_left_side(anchor, planes);
    write_results(kernel);
    return good;
}
