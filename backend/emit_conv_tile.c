/* emit_conv_tile.c: one register tile of a dense convolution.
 *
 * A sum runs over blocks of input channels, kernel rows, channels of a block (in chunks), kernel columns:
 * always in this order, taps outside the image left out. Some `kc` products of it make a part
 * (emit_tile.h). */
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
    int64_t products = agate_kernel_row_count(c) * c->x.taps * c->block * (c->paired ? 2 : 1);
    return c->tiles.kc > 0 ? agate_max(1, (c->tiles.kc + products / 2) / products) : 0;
}

/* Turns of the innermost loop for one kernel row and block of channels. */
static int64_t turns(const agate_conv *c)
{
    return agate_ceil_div(c->block, c->unroll);
}

/* The points of the tile for which column `tap` of the filter lies in the image. */
static uint32_t live_tap(const agate_conv *c, int64_t tap)
{
    return tap < c->x.taps ? c->pixel.span->live[tap] : 0;
}

/* Channel `ic` behind the bases at one column of the weights: a tap, or a pair of them. */
static void step(agate_conv *c, agate_tile *tile, LLVMValueRef weights, LLVMValueRef inputs, int64_t column,
                 int64_t ic)
{
    int64_t weights_at = (column * c->block + ic) * c->lanes;

    if (c->products == AGATE_PRODUCTS_TAPS)
        agate_tile_pair_step(c->e, tile, weights, weights_at, inputs, 2 * column, live_tap(c, 2 * column),
                             live_tap(c, 2 * column + 1));
    else
        agate_tile_step(c->e, tile, weights, weights_at, inputs, column * c->x.dilation * c->block + ic,
                        live_tap(c, column));
}

/* Kernel row at `base`: channels first <= ic < last of the block, `unroll` at a time. */
static void sum_channels(agate_conv *c, agate_tile *tile, bases base, int64_t first, int64_t last,
                         int64_t unroll)
{
    agate_emitter *e = c->e;
    agate_loop loop =
        agate_tile_loop_begin(e, tile, agate_emit_int(e, first), agate_emit_int(e, last), unroll);
    LLVMValueRef weights = agate_emit_opaque(e, agate_emit_advance(e, base.weights, loop.index, c->lanes, 0));
    LLVMValueRef inputs = agate_emit_opaque(e, agate_tile_advance(e, c->unit, base.inputs, loop.index, 1, 0));
    if (c->ahead) {
        LLVMValueRef ahead = agate_emit_advance(e, base.ahead, loop.index, c->ahead * LINE / c->unroll, 0);
        for (int32_t i = 0; i < c->ahead; i++)
            agate_emit_prefetch(e, agate_emit_advance(e, ahead, NULL, 0, i * LINE), false);
    }
    for (int64_t column = 0; column < c->columns; column++)
        for (int64_t ic = 0; ic < unroll; ic++)
            step(c, tile, weights, inputs, column, ic);
    agate_tile_loop_end(e, tile, &loop);
}

/* Blocks first <= icb < last of input channels, of each of which `channels` exist. */
static void sum_blocks(agate_conv *c, agate_tile *tile, bases base, LLVMValueRef first, LLVMValueRef last,
                       int64_t channels)
{
    agate_emitter *e = c->e;
    int64_t pixels = c->plane * c->x.in, row_weights = c->columns * c->block * c->lanes;
    int64_t row_ahead = turns(c) * c->ahead * LINE;
    int64_t whole = channels / c->unroll * c->unroll, kernel_rows = agate_kernel_row_count(c);
    agate_conv_reach reach = agate_conv_reach_of(c);

    agate_loop icb = agate_tile_loop_begin(e, tile, first, last, 1);
    bases block = {agate_emit_advance(e, base.weights, icb.index, kernel_rows * row_weights, 0),
                   agate_tile_advance(e, c->unit, base.inputs, icb.index, pixels * c->block, 0),
                   agate_emit_advance(e, base.ahead, icb.index, kernel_rows * row_ahead, 0)};
    agate_kernel_rows rows = agate_kernel_rows_begin(c, tile, &reach, block.inputs);
    bases row = {agate_emit_advance(e, block.weights, rows.number, row_weights, 0), rows.inputs,
                 agate_emit_advance(e, block.ahead, rows.number, row_ahead, 0)};
    if (whole)
        sum_channels(c, tile, row, 0, whole, c->unroll);
    if (whole < channels)
        sum_channels(c, tile, row, whole, channels, channels - whole);
    agate_kernel_rows_end(c, tile, &rows);
    agate_tile_loop_end(e, tile, &icb);
}

/* The tile at which the levels stand, counted within the task. */
static LLVMValueRef tile_number(agate_conv *c)
{
    agate_emitter *e = c->e;
    LLVMValueRef row = agate_emit_sub(e, c->row.tile, c->row.lo);
    LLVMValueRef pixel = agate_emit_sub(e, c->pixel.tile, c->pixel.lo);
    return c->by_pixels ? pixel : agate_emit_add(e, agate_emit_mul(e, row, c->pixel.tile_count), pixel);
}

/* Each tile of pixels prefetches its own share of the weights of the next channels. */
static LLVMValueRef next_channels(agate_conv *c, const agate_tile *tile, LLVMValueRef weights)
{
    agate_emitter *e = c->e;
    int64_t share = blocks_of_group(c) * agate_kernel_row_count(c) * turns(c) * c->ahead * LINE;
    LLVMValueRef ahead = agate_emit_advance(e, weights, NULL, 0, tile->vectors * tile->vector_stride);
    ahead = agate_emit_advance(e, ahead, c->row.tile, c->pixel.tile_count * share, 0);
    return agate_emit_advance(e, ahead, c->pixel.tile, share, 0);
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
                                 blocks * agate_kernel_row_count(c) * c->columns * c->block * c->lanes, 0);
    inputs = agate_tile_advance(e, c->unit, inputs, c->image, c->image_stride, 0);
    if (c->groups > 1) {
        LLVMValueRef group = LLVMBuildUDiv(e->builder, c->channel.at, agate_emit_int(e, group_blocks), "");
        inputs = agate_tile_advance(e, c->unit, inputs, group, blocks * c->plane * row, 0);
    }
    inputs = agate_conv_row(c, inputs);
    inputs =
        agate_tile_advance(e, c->unit, inputs, c->pixel.at, c->x.stride * c->block, -c->x.pad * c->block);
    return (bases){weights, inputs, c->totals ? weights : next_channels(c, tile, weights)};
}

static agate_tile tile_of(const agate_conv *c)
{
    int64_t taps = agate_kernel_row_count(c) * c->columns;
    agate_tile tile = {.products = c->products,
                       .dtype = c->dtype,
                       .lanes = c->lanes,
                       .vectors = (int32_t)c->channel.span->run.width,
                       .points = (int32_t)c->pixel.span->run.width,
                       .vector_stride = blocks_of_group(c) * taps * c->block * c->lanes,
                       .align_bytes = c->lanes * 4};
    assert(tile.points <= AGATE_MAX_POINTS && tile.points * tile.vectors <= AGATE_MAX_CARRIED);
    for (int64_t i = 0; i < tile.points; i++)
        tile.point_at[i] = i * c->x.stride * c->block;
    return tile;
}

void agate_conv_tile(agate_conv *c)
{
    int64_t blocks = blocks_of_group(c), rest = c->channels % c->block;
    agate_tile tile = tile_of(c);
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

/* ---- order 2: parts outside pixels ------------------------------------------------------------------------
 *
 * The weights of a part serve all pixels of the task while they are in the first cache, and those of the next
 * come in meanwhile. Parts and the order in which they join the totals are those of order 0, so the bits are,
 * too. */

/* Vectors of totals that `rows` rows of tiles (or tiles of the one row) have. */
static int64_t totals_of(const agate_conv *c, int64_t rows)
{
    return (c->by_pixels ? rows : rows * agate_ceil_div(c->x.out, c->pixels)) * c->pixels * c->vectors;
}

bool agate_conv_by_parts(const agate_conv *c, int64_t rows)
{
    int64_t most = blocks_of_part(c);
    return c->tiles.order == 2 && c->channels % c->block == 0 && most > 0 && c->channels / c->block > most &&
           totals_of(c, rows) * c->lanes * 4 <= AGATE_MOST_TOTALS_BYTES;
}

void agate_conv_keep_totals(agate_conv *c, int64_t rows)
{
    c->totals = agate_emit_reserve(c->e, agate_emit_type(c->e, AGATE_F32, c->lanes), totals_of(c, rows),
                                   c->lanes * 4);
}

/* Where the totals of the tile at which the levels stand are kept. */
static LLVMValueRef totals_at(agate_conv *c)
{
    return agate_emit_advance(c->e, c->totals, tile_number(c), (int64_t)c->pixels * c->vectors * c->lanes, 0);
}

static void start_totals(agate_conv *c)
{
    agate_tile tile = tile_of(c);
    agate_conv_start(c, &tile);
    agate_tile_store(c->e, &tile, totals_at(c));
}

static void finish_totals(agate_conv *c)
{
    agate_tile tile = tile_of(c);
    agate_tile_load(c->e, &tile, totals_at(c));
    agate_conv_finish(c, &tile);
}

static int64_t blocks_of_even_part(const agate_conv *c)
{
    return agate_tile_even_part(blocks_of_group(c), blocks_of_part(c));
}

/* Where the tile prefetches: its share of the next part's weights, of each vector in turn; behind the last
 * part, of the first one of the next channels. */
static LLVMValueRef next_part(agate_conv *c, const agate_tile *tile, LLVMValueRef weights)
{
    agate_emitter *e = c->e;
    int64_t row = turns(c) * c->ahead * LINE, kernel_rows = agate_kernel_row_count(c);
    int64_t block = kernel_rows * row;
    LLVMValueRef last =
        LLVMBuildICmp(e->builder, LLVMIntEQ, c->part_hi, agate_emit_int(e, blocks_of_group(c)), "");
    LLVMValueRef here =
        agate_emit_advance(e, weights, c->part_hi, kernel_rows * c->x.taps * c->block * c->lanes, 0);
    LLVMValueRef behind = agate_emit_advance(e, weights, NULL, 0, tile->vectors * tile->vector_stride);
    LLVMValueRef share, vector;
    agate_emit_divide(e, tile_number(c), tile->vectors, &share, &vector);
    LLVMValueRef next = LLVMBuildSelect(e->builder, last, behind, here, "");
    next = agate_emit_advance(e, next, vector, tile->vector_stride, 0);
    next = agate_emit_advance(e, next, share, blocks_of_even_part(c) * block, 0);
    /* sum_blocks moves on from block 0. */
    LLVMValueRef back = agate_emit_sub(e, agate_emit_int(e, 0), c->part_lo);
    return agate_emit_advance(e, next, back, block, 0);
}

static void add_part(agate_conv *c)
{
    agate_tile tile = tile_of(c);
    bases base = tile_bases(c, &tile);
    LLVMValueRef totals = totals_at(c);
    base.ahead = next_part(c, &tile, base.weights);
    agate_conv_start(c, &tile);
    sum_blocks(c, &tile, base, c->part_lo, c->part_hi, c->block);
    agate_tile_join(c->e, &tile, totals);
    agate_tile_store(c->e, &tile, totals);
}

void agate_conv_channels(agate_conv *c)
{
    agate_emitter *e = c->e;
    int64_t blocks = blocks_of_group(c), part = blocks_of_even_part(c);
    agate_conv_walk_pixels(c, start_totals);
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, blocks), part, NULL, 0);
    c->part_lo = loop.index;
    c->part_hi = agate_emit_add(e, loop.index, agate_emit_int(e, part));
    if (blocks % part)
        c->part_hi = agate_emit_min(e, c->part_hi, agate_emit_int(e, blocks));
    agate_conv_walk_pixels(c, add_part);
    agate_loop_end(e, &loop, NULL);
    agate_conv_walk_pixels(c, finish_totals);
}
