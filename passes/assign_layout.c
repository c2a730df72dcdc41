/* assign-layout: convolutional regions run in channel-blocked layout from end to end.
 *
 *     %w = weight "w" : f32[64,64,3,3]           %w = weight "w" : f32[64,64,3,3]{oihw16i16o}
 *     %0 = kernel(%x, %w) {...}           ==>    %1 = kernel(%x) { reorder } : f32[N,64,56,56]{nchw16c}
 *          : f32[N,64,56,56]                     %0 = kernel(%1, %w) {...} : f32[N,64,56,56]{nchw16c}
 *
 * One walk in execution order. A convolution wants the blocked layout; pools, pointwise chains, reductions,
 * resampling of images and moves that keep channels in runs follow what they are given; everything else, and
 * the graph's edges, is plain. A reorder stands where a value is wanted in the other layout, once per value.
 * A convolution of few channels (a stem) reads its input plain, so that the image needs no reorder. Needs
 * kernels for all computations; breaks nothing.
 */
#include "ir/bands.h"
#include "ir/parts.h"
#include "ir/reorder.h"
#include "passes/rewrite.h"
#include "passes/strategy.h"

/* A convolution of at most this many input channels reads plain NCHW: blocks would be mostly pads. */
#define STEM_CHANNELS 4

typedef enum wish { WISH_PLAIN, WISH_BLOCKED, WISH_FOLLOW } wish;

typedef struct assigner {
    agate_pass *pass;
    agate_graph *graph;
    agate_layout blocked;
    bool changed;
} assigner;

static const agate_layout PLAIN = {.kind = AGATE_LAYOUT_plain};

static agate_type with_layout(const agate_type *type, agate_layout layout)
{
    agate_type other = *type;
    other.layout = layout;
    return other;
}

static bool is_blocked(const agate_value *value)
{
    return value->type.layout.kind == AGATE_LAYOUT_channel;
}

/* ---- values in the other layout ------------------------------------------------------------------------ */

static agate_value *reorder_constant(agate_value *value, const agate_type *type)
{
    agate_node *node = value->node;
    agate_data *data = NULL;

    if (node->data && !(data = agate_data_reorder(node->data, &value->type, type)))
        return NULL;
    agate_value *reordered = agate_build_constant(node->graph, node, type, data, node->label);
    reordered->node->op = node->op;
    reordered->node->origin = node->origin;
    return reordered;
}

/* `value` in `layout`, in front of `before`. NULL where memory for a packed constant is short. */
static agate_value *in_layout(assigner *a, agate_value *value, agate_layout layout, agate_node *before)
{
    if (agate_layout_equal(value->type.layout, layout))
        return value;
    agate_value *other = (agate_value *)(intptr_t)value->scratch; /* made before? */
    if (other && agate_layout_equal(other->type.layout, layout))
        return other;

    agate_type type = with_layout(&value->type, layout);
    if (value->node && agate_node_has(value->node, AGATE_CONSTANT)) {
        other = reorder_constant(value, &type);
    } else {
        agate_pass_spend(a->pass, before, "reorder");
        other = agate_result(
            agate_kernel_build(a->graph, before, AGATE_OP_reorder, (agate_value *[]){value}, 1, &type));
    }
    value->scratch = (int64_t)(intptr_t)other;
    a->changed = true;
    return other;
}

/* Gives the node another operand; a constant that nothing else needs goes at once, with its memory. */
static void change_operand(agate_node *node, int32_t index, agate_value *value)
{
    agate_value *old = node->operands[index];

    if (value == old)
        return;
    agate_node_set_operand(node, index, value);
    if (old->use_count == 0 && old->node && agate_node_has(old->node, AGATE_CONSTANT))
        agate_node_remove(old->node);
}

static bool set_layout(assigner *a, agate_node *kernel, int32_t index, agate_layout layout)
{
    agate_value *value = in_layout(a, kernel->operands[index], layout, kernel);
    if (!value)
        return false;
    change_operand(kernel, index, value);
    kernel->body->params[index]->type = value->type;
    return true;
}

/* A constant per channel as [1,C,1,1], which has a channel dimension to block. */
static agate_value *as_channel_shape(agate_value *value, int32_t rank, agate_node *before)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_shape, &attrs);
    attrs.shape.shape.count = rank;
    for (int32_t i = 0; i < rank; i++) {
        int32_t from = i - (rank - value->type.rank);
        attrs.shape.shape.v[i] = from >= 0 ? value->type.dims[from] : agate_dim_fixed(1);
    }
    if (value->node && agate_node_has(value->node, AGATE_CONSTANT)) {
        agate_type type = agate_type_make(value->type.dtype, rank, attrs.shape.shape.v);
        agate_value *same = agate_build_constant(value->node->graph, before, &type,
                                                 agate_data_retain(value->node->data), value->node->label);
        same->node->op = value->node->op;
        return same;
    }
    return agate_build(before->graph, before, AGATE_OP_reshape, &attrs, &value, 1);
}

/* ---- what a kernel wants ------------------------------------------------------------------------------- */

static const char *conv_refuses(const agate_node *kernel, const agate_node *conv)
{
    const agate_type *x = &conv->operands[0]->type;
    const agate_value *weights = agate_kernel_operand(kernel, conv->operands[1]);

    if (x->dtype != AGATE_F32)
        return "its type is not f32";
    if (!agate_is_image(x))
        return "it is of more than three dimensions";
    if (!weights || !weights->node || !agate_node_has(weights->node, AGATE_CONSTANT))
        return "its weights are not constant";
    if (conv->operand_count > 2) {
        const agate_value *bias = agate_kernel_operand(kernel, conv->operands[2]);
        if (!bias || !bias->node || !agate_node_has(bias->node, AGATE_CONSTANT))
            return "its bias is not constant";
    }
    for (int32_t i = 1; i < x->rank; i++)
        if (!agate_dim_is_fixed(x->dims[i]))
            return "its image follows the batch";
    return NULL;
}

/* An image of f32s with fixed channels: can the blocked layout hold it? */
static bool can_block(const agate_type *type)
{
    return agate_is_image(type) && type->dtype == AGATE_F32 && agate_dim_is_fixed(type->dims[1]);
}

/* Reductions that leave batch and channels alone: global pools and their like. */
static bool reduces_space_only(const agate_node *reduce)
{
    const agate_attrs_reduce *attrs = &reduce->attrs.reduce;
    for (int32_t i = 0; i < attrs->axes.count; i++)
        if (attrs->axes.v[i] < 2)
            return false;
    return attrs->axes.count > 0;
}

/* Rows of channels, which vectors run along in either layout. */
static bool normalizes_channels(const agate_node *kernel, const agate_node *reduce)
{
    const agate_ints *axes = &reduce->attrs.reduce.axes;
    return axes->count == 1 && axes->v[0] == 1 && agate_reduces_rows(kernel->body);
}

/* Concats, slices and pads of channels that follow each other: each block of the result comes from one block
 * of an operand, or two. An interleave takes its turns within a vector. */
static bool keeps_runs(const agate_node *move, int64_t block)
{
    const agate_attrs *attrs = &move->attrs;
    int32_t count = move->operand_count;

    switch (move->op) {
    case AGATE_OP_slice:
        return attrs->slice.steps.v[1] == 1;
    case AGATE_OP_pad:
        return attrs->pad.mode == AGATE_PAD_CONSTANT ||
               (attrs->pad.begins.v[1] == 0 && attrs->pad.ends.v[1] == 0);
    case AGATE_OP_concat:
        return true;
    case AGATE_OP_interleave:
        return attrs->axis.axis != 1 || ((count & (count - 1)) == 0 && 2 * count <= block);
    default:
        return false;
    }
}

/* Is parameter `index` a table of first taps or weights, which is plain wherever the values lie? */
static bool is_table(const agate_node *kernel, int32_t index)
{
    const agate_value *param = kernel->body->params[index];

    for (int32_t i = 0; i < param->use_count; i++)
        if (param->uses[i].node->op == AGATE_OP_resample && param->uses[i].index > 0)
            return true;
    return false;
}

/* Resampling along images, and scalar ops. */
static bool resamples_space_only(const agate_node *kernel)
{
    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        bool along_space = node->op == AGATE_OP_resample && node->attrs.axis.axis >= 2;
        if (family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_terminator && !along_space)
            return false;
    }
    return true;
}

/* Nothing in the kernel but such moves and scalar ops. */
static bool moves_runs(const agate_node *kernel, int64_t block)
{
    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        if (family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_terminator)
            continue;
        if (family != AGATE_FAMILY_move || !can_block(&node->results[0].type) || !keeps_runs(node, block))
            return false;
    }
    return true;
}

/* Does more than scalar ops read parameter `index`? */
static bool is_anchored(const agate_node *kernel, int32_t index)
{
    const agate_value *param = kernel->body->params[index];

    for (int32_t i = 0; i < param->use_count; i++) {
        agate_family family = agate_node_info(param->uses[i].node)->family;
        if (family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_terminator)
            return true;
    }
    return false;
}

/* Vectors along pixels, not channels, of which there are few? Tiles of AMX have rows enough for these. */
static bool goes_along_pixels(const assigner *a, const agate_node *conv)
{
    bool in_tiles =
        agate_has_tile_products(a->pass->machine) &&
        agate_precision_of(a->pass->node_precisions, a->pass->precision, conv) != AGATE_PRECISION_f32;

    return !in_tiles && agate_few_filters_pay(a->pass->machine, conv);
}

static wish kernel_wish(assigner *a, const agate_node *kernel, const agate_node *anchor)
{
    if (!anchor)
        return WISH_FOLLOW;
    switch (agate_node_info(anchor)->family) {
    case AGATE_FAMILY_conv: {
        const char *reason = conv_refuses(kernel, anchor);
        if (!reason && goes_along_pixels(a, anchor))
            return WISH_PLAIN;
        if (reason)
            agate_pass_remark(a->pass, kernel, "convolution stays in plain layout: %s", reason);
        return reason ? WISH_PLAIN : WISH_BLOCKED;
    }
    case AGATE_FAMILY_window:
        return WISH_FOLLOW;
    case AGATE_FAMILY_reduce:
        return reduces_space_only(anchor) || normalizes_channels(kernel, anchor) ? WISH_FOLLOW : WISH_PLAIN;
    case AGATE_FAMILY_resample:
        return resamples_space_only(kernel) ? WISH_FOLLOW : WISH_PLAIN;
    case AGATE_FAMILY_move:
        return moves_runs(kernel, a->blocked.block) ? WISH_FOLLOW : WISH_PLAIN;
    default:
        return WISH_PLAIN;
    }
}

/* Does following pay and work: some operand is blocked, and each result and operand fits the layout? */
static bool follows_blocked(const agate_node *kernel, const agate_node *anchor)
{
    const agate_type *shape = &agate_kernel_yield(kernel)->operands[0]->type;
    bool any = false;

    if (anchor && !can_block(&anchor->operands[0]->type))
        return false;
    if (!anchor && !can_block(shape))
        return false;
    for (int32_t i = 0; i < kernel->result_count; i++)
        if (kernel->results[i].type.dtype != AGATE_F32 ||
            !agate_type_same_dims(&kernel->results[i].type, shape))
            return false;
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        const agate_value *operand = kernel->operands[i];
        if (is_table(kernel, i))
            continue;
        if (operand->type.dtype != AGATE_F32)
            return false;
        any |= is_blocked(operand) && (!anchor || is_anchored(kernel, i));
    }
    return any;
}

/* ---- applying it --------------------------------------------------------------------------------------- */

/* Operands that scalar ops read at the result's coordinates. */
static bool block_epilogue_operand(assigner *a, agate_node *kernel, int32_t index, const agate_type *result)
{
    agate_value *value = kernel->operands[index];
    int32_t rank = result->rank;
    int32_t channel = value->type.rank - (rank - 1); /* the dimension that meets the result's channels */

    if (is_blocked(value)) {
        kernel->body->params[index]->type = value->type;
        return true;
    }
    /* The same for all channels: plain will do. */
    if (channel < 0 ||
        (agate_dim_is(value->type.dims[channel], 1) && !agate_type_same_dims(&value->type, result)))
        return set_layout(a, kernel, index, PLAIN);
    if (value->type.rank < rank) {
        value = as_channel_shape(value, rank, kernel);
        change_operand(kernel, index, value);
    }
    return set_layout(a, kernel, index, a->blocked);
}

static bool pack_conv(assigner *a, agate_node *kernel, const agate_node *conv)
{
    uint16_t block = a->blocked.block;
    const agate_value *x = conv->operands[0];
    bool by_lane = agate_is_depthwise(conv) || !agate_groups_fill_blocks(conv, block);
    /* What the epilogue reads as well must lie as the result does. */
    bool stem = !by_lane && !is_blocked(agate_kernel_operand(kernel, x)) &&
                x->type.dims[1].offset <= STEM_CHANNELS && x->use_count == 1;
    agate_layout weights = {.kind = by_lane || stem ? AGATE_LAYOUT_o : AGATE_LAYOUT_oi, .block = block};

    if (!set_layout(a, kernel, x->index, stem ? PLAIN : a->blocked) ||
        !set_layout(a, kernel, conv->operands[1]->index, weights))
        return false;
    return conv->operand_count < 3 || set_layout(a, kernel, conv->operands[2]->index,
                                                 (agate_layout){.kind = AGATE_LAYOUT_o, .block = block});
}

/* Results of the body's nodes, and the kernel's, take `layout`. */
static void lay_out_results(agate_node *kernel, agate_layout layout)
{
    int32_t rank = agate_kernel_yield(kernel)->operands[0]->type.rank;

    AGATE_EACH_NODE (node, kernel->body)
        for (int32_t i = 0; i < node->result_count; i++)
            if (node->results[i].type.rank == rank)
                node->results[i].type.layout = layout;
    for (int32_t i = 0; i < kernel->result_count; i++)
        kernel->results[i].type = agate_kernel_yield(kernel)->operands[i]->type;
}

static bool is_operand_of(const agate_node *node, const agate_value *value)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i] == value)
            return true;
    return false;
}

static bool block_kernel(assigner *a, agate_node *kernel, agate_node *anchor)
{
    const agate_type *result = &agate_kernel_yield(kernel)->operands[0]->type;
    bool is_conv = anchor && anchor->op == AGATE_OP_conv;

    if (is_conv && !pack_conv(a, kernel, anchor))
        return false;
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        if (is_table(kernel, i)) {
            if (!set_layout(a, kernel, i, PLAIN))
                return false;
        } else if (is_anchored(kernel, i)) {
            bool packed = is_conv && is_operand_of(anchor, kernel->body->params[i]);
            if (!packed && !set_layout(a, kernel, i, a->blocked))
                return false;
        } else if (!block_epilogue_operand(a, kernel, i, result)) {
            return false;
        }
    }
    return true;
}

/* With one pixel per channel, blocked and plain order differ in pads only; plain serves the heads behind. */
static bool result_stays_plain(const agate_node *kernel, const agate_node *anchor)
{
    if (!anchor || agate_node_info(anchor)->family != AGATE_FAMILY_reduce || kernel->operand_count > 1 ||
        agate_reduces_rows(kernel->body))
        return false;
    for (int32_t r = 0; r < kernel->result_count; r++) {
        for (int32_t u = 0; u < kernel->results[r].use_count; u++) {
            const agate_node *user = kernel->results[r].uses[u].node;
            const agate_node *next = user->op == AGATE_OP_kernel ? agate_kernel_anchor(user) : NULL;
            if (user->op == AGATE_OP_kernel && (!next || next->op == AGATE_OP_conv))
                return false;
        }
    }
    return true;
}

/* The operand that a matmul reads in panels as wide as its tiles, so that weights stream; -1: none. */
static int32_t panel_operand(const agate_node *kernel, const agate_node *anchor, int32_t width)
{
    if (!anchor || anchor->op != AGATE_OP_matmul || anchor->operands[1]->node)
        return -1;
    int32_t index = anchor->operands[1]->index;
    const agate_value *weights = kernel->operands[index];
    bool own = kernel->body->params[index]->use_count == 1 && agate_is_constant(weights);
    bool fits =
        weights->type.rank == 2 && weights->type.dtype == AGATE_F32 && weights->type.dims[1].offset >= width;

    return own && fits && anchor->operands[0]->type.rank >= 2 ? index : -1;
}

static bool plain_kernel(assigner *a, agate_node *kernel, const agate_node *anchor)
{
    uint16_t width = (uint16_t)(agate_gemm_vectors(a->pass->machine) * a->blocked.block);
    int32_t panels = panel_operand(kernel, anchor, width);

    for (int32_t i = 0; i < kernel->operand_count; i++)
        if (!set_layout(a, kernel, i,
                        i == panels ? (agate_layout){.kind = AGATE_LAYOUT_panel, .block = width} : PLAIN))
            return false;
    return true;
}

/* A pair of ops for bands of rows, as a text may hold it, is laid out: its operands are to lie as it reads
 * them. */
static bool keep_layouts(assigner *a, agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->operand_count; i++)
        if (!set_layout(a, kernel, i, kernel->body->params[i]->type.layout))
            return false;
    return true;
}

static void assign_kernel(assigner *a, agate_node *kernel)
{
    agate_bands bands;
    if (!agate_bands_find(kernel->body, &bands)) {
        if (!keep_layouts(a, kernel))
            agate_pass_remark(a->pass, kernel, "memory is too short for a reordered constant");
        return;
    }
    agate_node *anchor = agate_kernel_anchor(kernel);
    wish wants = kernel_wish(a, kernel, anchor);
    bool blocked = wants == WISH_BLOCKED || (wants == WISH_FOLLOW && follows_blocked(kernel, anchor));

    if (!blocked) {
        if (!plain_kernel(a, kernel, anchor))
            agate_pass_remark(a->pass, kernel, "memory is too short for a reordered constant");
        return;
    }
    if (!block_kernel(a, kernel, anchor)) {
        agate_pass_remark(a->pass, kernel, "memory is too short for packed weights");
        plain_kernel(a, kernel, anchor);
        return;
    }
    a->changed = true;
    lay_out_results(kernel, result_stays_plain(kernel, anchor) ? PLAIN : a->blocked);
}

bool agate_pass_assign_layout(agate_pass *pass, agate_graph *graph)
{
    assigner a = {
        .pass = pass,
        .graph = graph,
        .blocked = {.kind = AGATE_LAYOUT_channel, .block = (uint16_t)agate_machine_lanes(pass->machine)}};

    agate_clear_scratch(graph);
    AGATE_EACH_NODE (node, graph) {
        if (node->op == AGATE_OP_kernel) {
            assign_kernel(&a, node);
            continue;
        }
        for (int32_t i = 0; i < node->operand_count; i++) { /* views and the graph's results are plain */
            agate_value *plain = in_layout(&a, node->operands[i], PLAIN, node);
            if (plain && plain != node->operands[i])
                agate_node_set_operand(node, i, plain);
        }
    }
    return a.changed;
}
