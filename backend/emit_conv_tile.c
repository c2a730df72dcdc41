/* emit_conv_tile.c: one register tile of a dense convolution.
 *
 * A sum runs over blocks of input channels, kernel rows, channels of a block (in chunks), kernel columns:
 * always in this order, taps outside the image left out. Some `kc` products of it make a part (emit_tile.h). */
#include "backend/emit_conv.h"
#include "ir/narrow.h"

#define LINE 16 /* floats in a cache line */

/* Where the tile, or a part of it, reads: weights, inputs, and the weights to prefetch. */
typedef struct bases {
    LLVMValueRef weights, inputs, ahead;
} bases;

static int64_t blocks_of_group(const agate_conv *c)
{
    return agate_ceil_div(c->channels, c->block);
}

/* Whole blocks of channels that come closest to `kc` products; 0: all of them. */
static int64_t blocks_of_part(const agate_conv *c)
{
    int64_t products = c->y.taps * c->x.taps * c->block * (c->products == AGATE_PRODUCTS_F32 ? 1 : 2);
    return c->tiles.kc > 0 ? agate_max(1, (c->tiles.kc + products / 2) / products) : 0;
}

/* Turns of the innermost loop for one kernel row and block of channels. */
static int64_t turns(const agate_conv *c)
{
    return agate_ceil_div(c->block, c->unroll);
}

/* Kernel row at `base`: channels first <= ic < last of the block, `unroll` at a time. */
static void sum_channels(agate_conv *c, agate_tile *tile, bases base, int64_t first, int64_t last,
                         int64_t unroll)
{
    agate_emitter *e = c->e;
    agate_loop loop =
        agate_tile_loop_begin(e, tile, agate_emit_int(e, first), agate_emit_int(e, last), unroll);
    LLVMValueRef weights = agate_emit_opaque(e, agate_emit_advance(e, base.weights, loop.index, c->lanes, 0));
    LLVMValueRef inputs = agate_emit_opaque(e, agate_emit_advance(e, base.inputs, loop.index, 1, 0));
    if (c->ahead) {
        LLVMValueRef ahead = agate_emit_advance(e, base.ahead, loop.index, c->ahead * LINE / c->unroll, 0);
        for (int32_t i = 0; i < c->ahead; i++)
            agate_emit_prefetch(e, agate_emit_advance(e, ahead, NULL, 0, i * LINE), false);
    }
    for (int64_t kw = 0; kw < c->x.taps; kw++)
        for (int64_t ic = 0; ic < unroll; ic++)
            agate_tile_step(e, tile, weights, (kw * c->block + ic) * c->lanes, inputs,
                            kw * c->x.dilation * c->block + ic, c->pixel.span->live[kw]);
    agate_tile_loop_end(e, tile, &loop);
}

/* Blocks first <= icb < last of input channels, of each of which `channels` exist. */
static void sum_blocks(agate_conv *c, agate_tile *tile, bases base, LLVMValueRef first, LLVMValueRef last,
                       int64_t channels)
{
    agate_emitter *e = c->e;
    int64_t pixels = c->plane * c->x.in, row_weights = c->x.taps * c->block * c->lanes;
    int64_t row_ahead = turns(c) * c->ahead * LINE;
    int64_t whole = channels / c->unroll * c->unroll;
    LLVMValueRef lo, hi;
    agate_conv_taps(c, &lo, &hi);

    agate_loop icb = agate_tile_loop_begin(e, tile, first, last, 1);
    bases block = {agate_emit_advance(e, base.weights, icb.index, c->y.taps * row_weights, 0),
                   agate_emit_advance(e, base.inputs, icb.index, pixels * c->block, 0),
                   agate_emit_advance(e, base.ahead, icb.index, c->y.taps * row_ahead, 0)};
    agate_loop kh = agate_tile_loop_begin(e, tile, lo, hi, 1);
    bases row = {agate_emit_advance(e, block.weights, kh.index, row_weights, 0),
                 agate_conv_tap(c, block.inputs, kh.index),
                 agate_emit_advance(e, block.ahead, kh.index, row_ahead, 0)};
    if (whole)
        sum_channels(c, tile, row, 0, whole, c->unroll);
    if (whole < channels)
        sum_channels(c, tile, row, whole, channels, channels - whole);
    agate_tile_loop_end(e, tile, &kh);
    agate_tile_loop_end(e, tile, &icb);
}

static bases tile_bases(agate_conv *c, const agate_tile *tile)
{
    agate_emitter *e = c->e;
    int64_t blocks = blocks_of_group(c), row = c->x.in * c->block;
    int64_t group_blocks =
        agate_ceil_div(c->filters, c->lanes) / c->groups; /* several groups: whole blocks each */
    LLVMValueRef weights = e->params[agate_unwidened(c->anchor->operands[1])->index];
    LLVMValueRef inputs = c->input;
    weights = agate_emit_advance(e, weights, c->channel.at,
                                 blocks * c->y.taps * c->x.taps * c->block * c->lanes, 0);
    inputs = agate_emit_advance(e, inputs, c->image, c->image_stride, 0);
    if (c->groups > 1) {
        LLVMValueRef group = LLVMBuildUDiv(e->builder, c->channel.at, agate_emit_int(e, group_blocks), "");
        inputs = agate_emit_advance(e, inputs, group, blocks * c->plane * row, 0);
    }
    inputs = agate_conv_row(c, inputs);
    inputs = agate_emit_advance(e, inputs, c->pixel.at, c->x.stride * c->block, -c->x.pad * c->block);
    /* Each tile of pixels prefetches its own part of the weights of the next channels. */
    int64_t part = blocks * c->y.taps * turns(c) * c->ahead * LINE;
    LLVMValueRef ahead = agate_emit_advance(e, weights, NULL, 0, tile->vectors * tile->vector_stride);
    ahead = agate_emit_advance(e, ahead, c->row.tile, c->pixel.tile_count * part, 0);
    ahead = agate_emit_advance(e, ahead, c->pixel.tile, part, 0);
    return (bases){weights, inputs, ahead};
}

void agate_conv_tile(agate_conv *c)
{
    int64_t blocks = blocks_of_group(c), taps = c->y.taps * c->x.taps;
    int64_t rest = c->channels % c->block;
    agate_tile tile = {.products = c->products,
                       .lanes = c->lanes,
                       .vectors = (int32_t)c->channel.span->run.width,
                       .points = (int32_t)c->pixel.span->run.width,
                       .vector_stride = blocks * taps * c->block * c->lanes,
                       .align_bytes = c->lanes * 4};
    assert(tile.points <= AGATE_MAX_POINTS && tile.points * tile.vectors <= AGATE_MAX_CARRIED);
    for (int64_t i = 0; i < tile.points; i++)
        tile.point_at[i] = i * c->x.stride * c->block;

    bases base = tile_bases(c, &tile);
    agate_conv_start(c, &tile);
    if (c->channels >= c->block) {
        agate_tile_parts parts =
            agate_tile_parts_begin(c->e, &tile, c->channels / c->block, blocks_of_part(c));
        sum_blocks(c, &tile, base, parts.lo, parts.hi, c->block);
        agate_tile_parts_end(c->e, &tile, &parts);
    }
    if (rest) {
        bool part = c->tiles.kc > 0 && c->channels > c->block;
        LLVMValueRef totals = part ? agate_tile_set_aside(c->e, &tile) : NULL;
        sum_blocks(c, &tile, base, agate_emit_int(c->e, c->channels / c->block), agate_emit_int(c->e, blocks),
                   rest);
        if (part)
            agate_tile_join(c->e, &tile, totals);
    }
    agate_conv_finish(c, &tile);
}
