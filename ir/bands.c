/* bands.c: see bands.h. */
#include "ir/bands.h"

#include "ir/narrow.h"
#include "ir/parts.h"

#define MAX_NODES 256

/* Taps of a row are written out: more than this is another kind of problem. */
#define MAX_TAPS 16

static bool has_loops(const agate_node *node)
{
    agate_family family = agate_node_info(node)->family;

    return family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast && family != AGATE_FAMILY_data &&
           family != AGATE_FAMILY_terminator && !agate_changes_blocks(node);
}

static const char *find_pair(const agate_graph *body, agate_bands *b)
{
    int32_t count = 0;

    AGATE_EACH_NODE (node, body) {
        if (++count > MAX_NODES)
            return "it is too long";
        if (!has_loops(node))
            continue;
        if (b->consumer)
            return "it holds more than two ops with loops";
        if (b->producer)
            b->consumer = node;
        else
            b->producer = node;
    }
    if (!b->consumer)
        return "it holds no two ops with loops";
    if (b->producer->op != AGATE_OP_conv || b->producer->results[0].type.rank != 4)
        return "its first op with loops is no two-dimensional convolution";
    b->between = b->consumer->operands[0];
    return NULL;
}

/* ---- who reads what ------------------------------------------------------------------------------------ */

static bool is_given(const agate_value *value)
{
    return !value->node || agate_node_info(value->node)->family == AGATE_FAMILY_data;
}

static const char *refuse_operands(const agate_bands *b)
{
    for (int32_t i = 0; i < b->producer->operand_count && !b->tiled; i++)
        if (agate_unwidened(b->producer->operands[i])->node)
            return "its operands are computed in the kernel";
    for (int32_t i = 1; i < b->consumer->operand_count; i++)
        if (b->consumer->operands[i]->node)
            return "its weights are computed in the kernel";
    if (b->between->use_count != 1)
        return "what is between the two is needed elsewhere as well";
    return is_given(b->between) ? "its second op does not read what its first makes" : NULL;
}

/* Behind the consumer nothing may be read that was made in front of it. */
static const char *refuse_reads(const agate_bands *b)
{
    for (const agate_node *node = b->producer->graph->first; node != b->consumer; node = node->next)
        for (int32_t r = 0; r < node->result_count && !is_given(&node->results[r]); r++)
            for (int32_t i = 0; i < node->results[r].use_count; i++) {
                const agate_node *user = node->results[r].uses[i].node, *at = node;
                while (at && at != user && at != b->consumer)
                    at = at->next;
                if (at != user || (user == b->consumer && &node->results[r] != b->between))
                    return "what stands behind its second op reads more than that makes";
            }
    return NULL;
}

/* ---- the two ops --------------------------------------------------------------------------------------- */

static void measure_conv(const agate_node *conv, agate_bands *b)
{
    const agate_attrs_conv *attrs = &conv->attrs.conv;

    b->by_channel = agate_is_depthwise(conv);
    b->taps = conv->operands[1]->type.dims[2].offset;
    b->stride = attrs->strides.v[0];
    b->dilation = attrs->dilations.v[0];
    b->pad = attrs->pads.v[0];
}

static const char *refuse_consumer(agate_bands *b)
{
    const agate_node *node = b->consumer;
    const agate_attrs_pool *attrs = &node->attrs.pool;

    if (agate_node_info(node)->family == AGATE_FAMILY_window) {
        b->by_channel = true;
        b->taps = attrs->kernel.v[0];
        b->stride = attrs->strides.v[0];
        b->dilation = attrs->dilations.v[0];
        b->pad = attrs->pads.v[0];
        return attrs->kernel.v[1] > MAX_TAPS ? "its window is too wide to be written out" : NULL;
    }
    if (node->op != AGATE_OP_conv)
        return "its second op is no pool or convolution";
    measure_conv(node, b);
    if (b->by_channel)
        return node->operands[1]->type.dims[3].offset > MAX_TAPS ? "its window is too wide to be written out"
                                                                 : NULL;
    const agate_type *weights = &node->operands[1]->type;
    bool pointwise = b->taps == 1 && agate_dim_is(weights->dims[3], 1) && node->attrs.conv.group == 1 &&
                     agate_ints_are(&node->attrs.conv.strides, 1) &&
                     agate_ints_are(&node->attrs.conv.pads, 0);
    return pointwise ? NULL : "its second convolution is neither depthwise nor 1x1 with stride 1";
}

static bool is_packed(const agate_node *conv, agate_layout_kind weights, int32_t block)
{
    agate_layout w = {.kind = (uint16_t)weights, .block = (uint16_t)block};
    agate_layout bias = {.kind = AGATE_LAYOUT_o, .block = (uint16_t)block};

    return agate_layout_equal(conv->operands[1]->type.layout, w) &&
           (conv->operand_count < 3 || agate_layout_equal(conv->operands[2]->type.layout, bias));
}

/* The layout that the producer's weights should have. */
static agate_layout_kind weights_of(const agate_bands *b, bool plain)
{
    if (agate_is_bf16(agate_unwidened(b->producer->operands[0])))
        return plain ? AGATE_LAYOUT_o_taps : AGATE_LAYOUT_oi_pairs;
    return plain || b->producer_by_lane ? AGATE_LAYOUT_o : AGATE_LAYOUT_oi;
}

/* Sums in tiles leave as vectors, whatever blocks the convolution says; a pool reads them in blocks of a
 * vector. */
static const char *refuse_tiled(agate_bands *b)
{
    const agate_layout *between = &b->between->type.layout;

    b->block = between->block;
    if (agate_node_info(b->consumer)->family != AGATE_FAMILY_window)
        return "what AMX's tiles make is read by no pool";
    if (!agate_type_same_dims(&b->producer->results[0].type, &b->between->type) ||
        between->kind != AGATE_LAYOUT_channel || between->block != AGATE_AMX_LANES ||
        !agate_layout_equal(b->consumer->results[0].type.layout, *between))
        return "not in blocked layout";
    return NULL;
}

static const char *refuse_layouts(agate_bands *b)
{
    const agate_node *conv = b->producer;
    const agate_type *x = &conv->operands[0]->type;
    agate_layout blocked = conv->results[0].type.layout;
    bool plain = x->layout.kind == AGATE_LAYOUT_plain;

    b->block = blocked.block;
    b->producer_by_lane = agate_is_depthwise(conv);
    if (blocked.kind != AGATE_LAYOUT_channel ||
        !agate_type_equal_but_pitch(&conv->results[0].type, &b->between->type) ||
        !agate_layout_equal(b->consumer->results[0].type.layout, blocked) ||
        (!plain && !agate_layout_equal(x->layout, blocked)))
        return "not in blocked layout";
    if (conv->operands[1]->type.dims[3].offset > MAX_TAPS)
        return "its kernel is too wide to be written out";
    if (!b->producer_by_lane && conv->attrs.conv.group > 1)
        return "it has groups";
    if (plain && b->producer_by_lane)
        return "not in blocked layout";
    if (!is_packed(conv, weights_of(b, plain), b->block))
        return "weights not packed for it";
    if (b->consumer->op == AGATE_OP_conv &&
        !is_packed(b->consumer, b->by_channel ? AGATE_LAYOUT_o : AGATE_LAYOUT_oi, b->block))
        return "weights not packed for it";
    return NULL;
}

/* Is `param` one of the two that the producer multiplies as they lie? */
static bool is_multiplied(const agate_bands *b, const agate_value *param)
{
    const agate_value *x = agate_unwidened(b->producer->operands[0]),
                      *w = agate_unwidened(b->producer->operands[1]);

    return !b->producer_by_lane && agate_is_half(x) && x->type.dtype == w->type.dtype &&
           param->use_count == 1 && (param == x || param == w);
}

/* All computed in f32, and what is yielded of the consumer's shape. */
static const char *refuse_types(const agate_graph *body, const agate_bands *b)
{
    const agate_type *wanted = &b->consumer->results[0].type;

    for (int32_t i = 0; i < body->param_count && !b->tiled; i++)
        if (body->params[i]->type.dtype != AGATE_F32 && !is_multiplied(b, body->params[i]))
            return "not all f32";
    if (wanted->dtype != AGATE_F32 || b->between->type.dtype != AGATE_F32)
        return "not all f32";
    for (int32_t i = 0; i < body->last->operand_count; i++) {
        agate_type type = body->last->operands[i]->type;
        type.dtype = wanted->dtype; /* results may be rounded to others, and lie in larger blocks */
        if (type.layout.kind == AGATE_LAYOUT_channel && type.layout.block % wanted->layout.block == 0)
            type.layout.block = wanted->layout.block;
        if (!agate_type_equal_but_pitch(&type, wanted))
            return "a result is of another shape than its second op makes";
    }
    return NULL;
}

const char *agate_bands_find(const agate_graph *body, agate_bands *out_bands)
{
    agate_part parts[AGATE_MAX_PARTS];
    *out_bands = (agate_bands){0};

    const char *reason = find_pair(body, out_bands);
    out_bands->tiled = !reason && !agate_amx_refuses(out_bands->producer);
    if (!reason && agate_conv_parts(out_bands->producer, parts) != 1)
        reason = "its channels are cut into parts";
    if (!reason)
        reason = refuse_operands(out_bands);
    if (!reason)
        reason = refuse_reads(out_bands);
    if (!reason)
        reason = refuse_consumer(out_bands);
    if (!reason)
        reason = out_bands->tiled ? refuse_tiled(out_bands) : refuse_layouts(out_bands);
    return reason ? reason : refuse_types(body, out_bands);
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

int64_t agate_bands_reach(const agate_bands *bands, int64_t rows)
{
    return (rows - 1) * bands->stride + (bands->taps - 1) * bands->dilation + 1;
}

int64_t agate_bands_ring(const agate_bands *bands, const agate_tiles *tiles)
{
    int64_t in = bands->between->type.dims[2].offset, out = bands->consumer->results[0].type.dims[2].offset;
    int64_t least = agate_bands_reach(bands, agate_min(agate_max(tiles->rows, 1), agate_max(out, 1)));

    return agate_max(1, agate_min(in, agate_max(least, tiles->ring)));
}

int64_t agate_bands_bytes(const agate_bands *bands, const agate_tiles *tiles)
{
    const agate_type *type = &bands->between->type;
    int64_t blocks = agate_ceil_div(type->dims[1].offset, bands->block);

    if (bands->by_channel && tiles->ocs > 0)
        blocks =
            agate_min(blocks, (int64_t)tiles->ocs * agate_max(bands->producer_by_lane ? 1 : tiles->oc, 1));
    return 4 * blocks * bands->block * agate_bands_ring(bands, tiles) * type->dims[3].offset;
}
