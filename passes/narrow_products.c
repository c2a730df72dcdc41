/* narrow_products.c: which kernels multiply in 16 bits, and by what: tiles of AMX, or pairs of taps. Those
 * that multiply pairs of channels are found by what they read (narrow.c). */
#include "ir/parts.h"
#include "passes/narrow.h"

agate_planes agate_narrow_planes(const agate_pass *pass, const agate_node *kernel)
{
    const agate_node *anchor = agate_kernel_anchor(kernel);
    const bool tiles = agate_has_tile_products(pass->machine);
    agate_precision precision =
        anchor ? agate_precision_of(pass->node_precisions, pass->precision, anchor) : AGATE_PRECISION_f32;
    agate_planes planes = {agate_precision_dtype(precision), agate_precision_planes(precision)};

    if (planes.count > 1 && !tiles)
        return (agate_planes){0};
    /* Three products of bf16 in tiles are more exact than one of f16, and take a fifth of the time of one in
     * f32. */
    bool splits = tiles && planes.dtype == AGATE_F16 && anchor->op == AGATE_OP_conv;
    return splits ? (agate_planes){AGATE_BF16, 2} : planes;
}

bool agate_narrow_owns_weights(const agate_node *kernel, const agate_node *conv)
{
    const agate_value *param = conv->operands[1];
    const agate_value *weights = param->node ? NULL : kernel->operands[param->index];

    return weights && param->use_count == 1 && agate_is_constant(weights);
}

/* Of few channels, which lie apart? */
static bool is_stem(const agate_node *conv)
{
    return conv->operands[0]->type.rank == 4 && conv->operands[0]->type.layout.kind == AGATE_LAYOUT_plain &&
           conv->operands[1]->type.layout.kind == AGATE_LAYOUT_o && conv->attrs.conv.group == 1 &&
           conv->results[0].type.layout.kind == AGATE_LAYOUT_channel;
}

/* A tile of 16 by 16 sums takes 16 cycles for each step and product, however short; vectors take half of one
 * for each 16 products of f32. */
static bool takes_longer_in_tiles(const agate_node *conv, int32_t planes)
{
    const agate_type *w = &conv->operands[1]->type;
    int64_t products = w->dims[1].offset * w->dims[2].offset * w->dims[3].offset, steps;

    (void)agate_amx_few_pairs(conv, &steps);
    return 2 * steps * w->dims[2].offset * agate_plane_products(planes) >= products;
}

/* Why the convolution of few channels cannot be one of products of tiles. */
static const char *refuses_few_tiles(const agate_node *kernel, const agate_node *conv, int32_t planes)
{
    const char *reason = agate_amx_few_refuse(conv);

    if (conv->operands[0]->node)
        return "what it reads is made in its kernel";
    if (!reason)
        reason = agate_amx_sizes_refuse(conv);
    if (!reason && agate_reduces_rows(kernel->body))
        reason = "its result is not in blocked layout";
    if (!reason && takes_longer_in_tiles(conv, planes))
        reason = "so few products to a tile would take longer than in f32";
    if (reason)
        return reason;
    return agate_narrow_owns_weights(kernel, conv) ? NULL : "its weights are not its own";
}

/* Why the convolution cannot be one of products of tiles. */
static const char *refuses_tiles(const agate_node *kernel, const agate_node *conv, int32_t planes)
{
    const agate_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type;

    if (is_stem(conv))
        return refuses_few_tiles(kernel, conv, planes);
    if (x->layout.kind != AGATE_LAYOUT_channel || x->rank != 4 || conv->operands[0]->node)
        return "it reads what is plain, or made in its kernel";
    if (w->layout.kind != AGATE_LAYOUT_oi)
        return "it is no dense convolution of one group";
    if (conv->results[0].type.layout.kind != AGATE_LAYOUT_channel || agate_reduces_rows(kernel->body))
        return "its result is not in blocked layout";
    const char *reason = agate_amx_sizes_refuse(conv);
    if (reason)
        return reason;
    return agate_narrow_owns_weights(kernel, conv) ? NULL : "its weights are not its own";
}

/* Why the convolution of few channels cannot be one of products of pairs of taps. */
static const char *refuses_taps(const agate_pass *pass, const agate_node *kernel, const agate_node *conv)
{
    if (!agate_has_pair_products(pass->machine))
        return "widened, its few channels would take as long as in f32";
    if (agate_dim_is(conv->operands[1]->type.dims[3], 1))
        return "its filters are one tap wide";
    if (conv->attrs.conv.dilations.v[1] != 1)
        return "the taps of its filters are no neighbours";
    if (conv->operands[0]->node || conv->operands[0]->use_count > 1)
        return "what it reads is made in its kernel, or needed there in f32";
    return agate_narrow_owns_weights(kernel, conv) ? NULL : "its weights are not its own";
}

static void choose_taps(agate_pass *pass, agate_node *kernel, const agate_node *conv)
{
    const char *reason = refuses_taps(pass, kernel, conv);

    if (reason)
        agate_pass_remark(pass, kernel, "no products of pairs: %s", reason);
    else if (agate_pass_spend(pass, kernel, "products of pairs of taps"))
        kernel->scratch = AGATE_NARROW_TAPS;
}

void agate_narrow_choose(agate_pass *pass, agate_node *kernel)
{
    const agate_node *conv = agate_kernel_anchor(kernel);
    const agate_planes planes = agate_narrow_planes(pass, kernel);

    if (!conv || conv->op != AGATE_OP_conv || planes.count == 0 || planes.dtype != AGATE_BF16)
        return;
    if (!agate_has_tile_products(pass->machine)) {
        if (is_stem(conv))
            choose_taps(pass, kernel, conv);
        return;
    }
    const char *reason = refuses_tiles(kernel, conv, planes.count);
    if (reason)
        agate_pass_remark(pass, kernel, "no products of tiles: %s", reason);
    else if (agate_pass_spend(pass, kernel, "products of bf16 tiles"))
        kernel->scratch = AGATE_NARROW_TILES;
}
