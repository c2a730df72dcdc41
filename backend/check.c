/* check.c: is a kernel what its strategy can emit? The schedule sees to that; a hand-edited text may not have
 * it. */
#include "backend/emit_conv.h"
#include "backend/emit_winograd.h"
#include "backend/units.h"
#include "ir/bands.h"
#include "ir/narrow.h"
#include "ir/parts.h"

/* The family of the anchor that a strategy is for; AGATE_FAMILY_terminator: none at all, AGATE_FAMILY_kernel:
 * any with loops (agate_emit_inner). */
static const agate_family anchors[AGATE_STRATEGY_COUNT] = {
    [AGATE_STRATEGY_winograd] = AGATE_FAMILY_winograd,
    [AGATE_STRATEGY_direct_conv] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_amx_conv] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_depthwise] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_grouped_conv] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_gemm] = AGATE_FAMILY_matmul,
    [AGATE_STRATEGY_pool] = AGATE_FAMILY_window,
    [AGATE_STRATEGY_reduce] = AGATE_FAMILY_reduce,
    [AGATE_STRATEGY_arg] = AGATE_FAMILY_arg,
    [AGATE_STRATEGY_softmax] = AGATE_FAMILY_softmax,
    [AGATE_STRATEGY_pointwise] = AGATE_FAMILY_terminator,
    [AGATE_STRATEGY_nest] = AGATE_FAMILY_kernel,
    [AGATE_STRATEGY_rows] = AGATE_FAMILY_reduce,
    [AGATE_STRATEGY_few_filters] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_bands] = AGATE_FAMILY_conv,
    [AGATE_STRATEGY_amx_bands] = AGATE_FAMILY_conv,
};

static bool has_loops(agate_family family)
{
    return family == AGATE_FAMILY_conv || family == AGATE_FAMILY_winograd || family == AGATE_FAMILY_matmul ||
           family == AGATE_FAMILY_window || family == AGATE_FAMILY_reduce;
}

static const char *refuse_type(const agate_type *type)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];

    return agate_type_phys(type, axes) < 0 ? "a type has no place in memory" : NULL;
}

static const char *refuse_types(const agate_node *kernel, bool in_parts)
{
    const char *reason = NULL;

    for (int32_t i = 0; i < kernel->operand_count && !reason; i++)
        reason = refuse_type(&kernel->operands[i]->type);
    for (int32_t i = 0; i < kernel->result_count && !reason; i++) {
        reason = refuse_type(&kernel->results[i].type);
        if (!reason && !in_parts && !agate_type_same_dims(&kernel->results[i].type, &kernel->results[0].type))
            reason = "its results differ in shape";
    }
    AGATE_EACH_NODE (node, kernel->body)
        for (int32_t i = 0; i < node->result_count && !reason; i++)
            reason = refuse_type(&node->results[i].type);
    return reason;
}

/* Is the convolution cut into parts with results of their own? That takes a strategy that knows of it. */
static bool is_in_parts(const agate_node *kernel, const agate_node *conv, const char **out_reason)
{
    agate_part parts[AGATE_MAX_PARTS];
    int32_t count = agate_conv_parts(conv, parts);

    if (count == 0)
        *out_reason = "it cuts its convolution in other ways than into parts";
    else if (count > 1 && kernel->strategy != AGATE_STRATEGY_direct_conv &&
             kernel->strategy != AGATE_STRATEGY_amx_conv)
        *out_reason = "its strategy computes no parts of a convolution";
    return count > 1;
}

static const char *refuse_amx(const agate_node *kernel, const agate_node *conv)
{
    const agate_value *planes[AGATE_MAX_PLANES];
    const char *reason = agate_amx_refuses(conv);

    if (reason)
        return reason;
    return kernel->tiles.products == agate_plane_products(agate_planes_of(conv->operands[0], planes))
               ? NULL
               : "tile products is not how many products its planes take";
}

/* A pair of ops, of which no more is kept than a stack has room for. */
static const char *refuse_bands(const agate_node *kernel)
{
    agate_bands bands;
    const char *reason = agate_bands_find(kernel->body, &bands);

    if (reason)
        return reason;
    if (bands.tiled != (kernel->strategy == AGATE_STRATEGY_amx_bands))
        return bands.tiled ? "its convolution is for AMX's tiles" : "its convolution is not for AMX's tiles";
    if (agate_bands_bytes(&bands, &kernel->tiles) > AGATE_BANDS_BYTES)
        return "it keeps more of what is between its two ops than a thread's stack has room for";
    return bands.tiled ? refuse_amx(kernel, bands.producer) : NULL;
}

/* A pool in register tiles of pixels. */
static const char *refuse_pool_tiles(const agate_node *kernel, const agate_node *pool)
{
    const agate_value *x = agate_unwidened(pool->operands[0]);

    if (kernel->tiles.ow == 0)
        return NULL;
    if (x->node || !agate_is_image(&x->type) || pool->operands[0]->type.dtype != AGATE_F32 ||
        x->type.layout.kind != AGATE_LAYOUT_channel ||
        !agate_layout_equal(x->type.layout, pool->results[0].type.layout))
        return "tiles of pixels are for pools of blocked f32 images that are operands";
    if (x->type.layout.block != kernel->tiles.v)
        return "its blocks of channels are no vectors";
    return pool->attrs.pool.kernel.v[x->type.rank - 3] > AGATE_MAX_STATIC_TAPS
               ? "its window is too wide to be written out"
               : NULL;
}

static bool compares_f32(const agate_node *arg)
{
    return arg->operands[0]->type.dtype == AGATE_F32 &&
           arg->operands[0]->type.layout.kind == AGATE_LAYOUT_plain;
}

const char *agate_emit_refuses(const agate_node *kernel)
{
    const agate_node *anchor = agate_emit_anchor_of(kernel);
    agate_family wanted = anchors[kernel->strategy];
    int32_t v = kernel->tiles.v, count = 0;

    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        count += has_loops(family) || family == AGATE_FAMILY_softmax || family == AGATE_FAMILY_arg;
        if (family == AGATE_FAMILY_library || family == AGATE_FAMILY_kernel || node->op == AGATE_OP_gather)
            return "it holds an op that has no loop";
        if (family == AGATE_FAMILY_softmax && wanted != AGATE_FAMILY_softmax)
            return "softmax has a strategy of its own";
        if (family == AGATE_FAMILY_arg && (wanted != AGATE_FAMILY_arg || !compares_f32(node)))
            return "the place of an extreme has a strategy of its own, which compares f32s";
        if (agate_loops_over_half(node))
            return "it sums bf16 or f16, which is left to the library";
        if (family == AGATE_FAMILY_data && !(node->data && agate_data_bytes(node->data)))
            return "the contents of a constant in it are not known";
    }
    if (v < 0 || v > 64 || (v & (v - 1)) != 0)
        return "tile v is no power of two up to 64";
    if (wanted == AGATE_FAMILY_terminator && anchor)
        return "it holds more than scalar ops and moves";
    if (kernel->strategy == AGATE_STRATEGY_rows) {
        if (!agate_reduces_rows(kernel->body))
            return "it is more than reductions over the same axes and scalar ops on the rows";
    } else if (kernel->strategy == AGATE_STRATEGY_bands || kernel->strategy == AGATE_STRATEGY_amx_bands) {
        const char *reason = refuse_bands(kernel);
        if (reason)
            return reason;
    } else if (wanted != AGATE_FAMILY_kernel && count > 1)
        return "it holds more than one op with loops";
    if (wanted != AGATE_FAMILY_terminator && wanted != AGATE_FAMILY_kernel &&
        (!anchor || agate_node_info(anchor)->family != wanted))
        return "it holds no op of the kind that the strategy computes";
    const char *reason = wanted == AGATE_FAMILY_winograd ? agate_winograd_refuses(kernel) : NULL;
    if (kernel->strategy == AGATE_STRATEGY_pool)
        reason = refuse_pool_tiles(kernel, anchor);
    if (kernel->strategy == AGATE_STRATEGY_amx_conv)
        reason = refuse_amx(kernel, anchor);
    bool in_parts = wanted == AGATE_FAMILY_conv && is_in_parts(kernel, anchor, &reason);
    return reason ? reason : refuse_types(kernel, in_parts);
}
