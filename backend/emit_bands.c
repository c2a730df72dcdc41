/* emit_bands.c: strategies bands and amx_bands: a convolution and its one reader, by bands of rows
 * (ir/bands.h).
 *
 *     tasks      image, band of output rows, group of channel tiles (where the reader works channel by
 *                channel)
 *     in a task  for each `rows` output rows: the producer's rows that they need and that are not there yet,
 *                then they
 *
 * The rows between the two lie in a ring on the stack, row y in place y modulo its size, and never reach
 * memory that is shared. What two bands both need is computed twice, by the same sums. */
#include "backend/emit_amx.h"
#include "backend/emit_conv.h"
#include "backend/emit_parts.h"
#include "ir/bands.h"

typedef struct bands {
    agate_emitter *e;
    agate_bands pair;
    agate_conv producer, consumer;
    agate_amx tiled; /* the producer, if it is for AMX's tiles */
    agate_ring ring;
    int64_t rows;          /* of the output that a turn computes */
    int64_t band, bands;   /* output rows of a task, how many such */
    int64_t group, groups; /* the producer's channel tiles of a task, how many such */
} bands;

/* The tiles of one of the two: the dense one's are the kernel's own. */
static agate_tiles tiles_of(const agate_node *kernel, bool dense)
{
    agate_tiles tiles = kernel->tiles;

    tiles.flat = tiles.order = tiles.ahead = 0;
    if (!dense)
        tiles.ow = tiles.px;
    return tiles;
}

static int64_t channel_tiles(const agate_conv *c)
{
    return agate_max(1, agate_ceil_div(agate_ceil_div(c->filters, c->lanes), c->vectors));
}

/* A turn makes no more rows than its window covers; weights are read for each anew, and not fetched ahead. */
static void measure_tiled(bands *b, const agate_node *kernel)
{
    agate_tiles tiles = kernel->tiles;

    tiles.oh = (int32_t)agate_bands_reach(&b->pair, b->rows);
    tiles.ocs = tiles.order = tiles.ahead = 0;
    agate_amx_measure(&b->tiled, kernel, b->pair.producer, &tiles);
    b->tiled.varies = true;
}

static void measure(bands *b, const agate_node *kernel)
{
    const char *reason = agate_bands_find(kernel->body, &b->pair);
    const agate_tiles *tiles = &kernel->tiles;
    agate_tiles producer = tiles_of(kernel, !b->pair.producer_by_lane);
    agate_tiles consumer = tiles_of(kernel, !b->pair.by_channel);

    assert(!reason);
    (void)reason;
    if (!b->pair.tiled)
        agate_conv_measure(&b->producer, kernel, b->pair.producer, &producer, b->pair.producer_by_lane);
    agate_conv_measure(&b->consumer, kernel, b->pair.consumer, &consumer, b->pair.by_channel);
    int64_t height = agate_max(1, b->consumer.y.out), all = b->pair.tiled ? 1 : channel_tiles(&b->producer);
    b->rows = agate_min(agate_max(tiles->rows, 1), height);
    if (b->pair.tiled)
        measure_tiled(b, kernel);
    b->band = tiles->oh > 0 ? agate_min(tiles->oh, height) : height;
    b->bands = agate_ceil_div(height, b->band);
    b->group = b->pair.by_channel && tiles->ocs > 0 ? agate_min(tiles->ocs, all) : all;
    b->groups = agate_ceil_div(all, b->group);
}

agate_dim agate_tasks_bands(const agate_node *kernel)
{
    bands b = {0};
    measure(&b, kernel);
    return agate_dim_times(b.pair.between->type.dims[0], b.bands * b.groups);
}

/* ---- the ring ------------------------------------------------------------------------------------------ */

static void open_ring(bands *b)
{
    agate_emitter *e = b->e;
    agate_conv *c = &b->consumer;
    int64_t bytes = agate_bands_bytes(&b->pair, &e->kernel->tiles);

    b->ring.value = b->pair.between;
    b->ring.rows = agate_bands_ring(&b->pair, &e->kernel->tiles);
    b->ring.type = b->pair.between->type;
    b->ring.type.dims[0] = agate_dim_fixed(1);
    b->ring.type.dims[2] = agate_dim_fixed(b->ring.rows);
    b->ring.base =
        agate_emit_reserve(e, agate_emit_type(e, AGATE_F32, 1), agate_max(bytes / 4, 1), AGATE_ALIGNMENT);
    c->ring = c->plane = b->ring.rows;
    c->image_stride = 0;
}

/* The first block of channels of tile `tile`. */
static LLVMValueRef first_block(bands *b, LLVMValueRef tile)
{
    agate_emitter *e = b->e;
    const agate_conv_level *level = &b->producer.channel;
    LLVMValueRef block = agate_emit_int(e, 0);

    for (int32_t i = 0; i < level->span_count; i++) {
        const agate_run *run = &level->spans[i].run;
        LLVMValueRef past = agate_emit_sub(e, tile, agate_emit_int(e, run->first));
        past =
            agate_emit_max(e, agate_emit_int(e, 0), agate_emit_min(e, past, agate_emit_int(e, run->count)));
        block = agate_emit_add(e, block, agate_emit_mul(e, past, run->width));
    }
    return block;
}

/* The channels of task `number`, for both; the ring has no others. */
static void clip_channels(bands *b, LLVMValueRef number, LLVMValueRef memory)
{
    agate_emitter *e = b->e;
    agate_conv *c = &b->consumer;

    if (!b->pair.tiled)
        agate_conv_clip(&b->producer, &b->producer.channel, number, b->group);
    b->ring.base = memory;
    if (!b->pair.by_channel || b->pair.tiled) {
        agate_conv_clip(c, &c->channel, agate_emit_int(e, 0), c->channel.tile_count);
    } else {
        c->channel.lo = first_block(b, b->producer.channel.lo);
        c->channel.hi = first_block(b, b->producer.channel.hi);
        LLVMValueRef before = agate_emit_sub(e, agate_emit_int(e, 0), c->channel.lo);
        if (b->groups > 1)
            b->ring.base = agate_emit_advance(e, memory, before, c->plane * c->x.in * c->lanes, 0);
    }
    c->input = b->ring.base;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* Makes the producer's rows lo <= row < hi. */
static void produce(bands *b, LLVMValueRef lo, LLVMValueRef hi)
{
    b->producer.row.lo = lo;
    b->producer.row.hi = hi;
    b->e->ring = &b->ring;
    if (b->pair.tiled)
        agate_amx_walk(&b->tiled, lo, hi);
    else
        agate_conv_walk(&b->producer);
    b->e->ring = NULL;
}

/* Output rows `row` and those behind it, as many as a turn computes, short of `end`. `made` is the first row
 * that the producer has not made yet; returns what it is then. */
static LLVMValueRef turn(bands *b, LLVMValueRef row, LLVMValueRef end, LLVMValueRef made)
{
    agate_emitter *e = b->e;
    const agate_bands *p = &b->pair;
    LLVMValueRef none = agate_emit_int(e, 0), in = agate_emit_int(e, b->consumer.y.in);
    LLVMValueRef last = agate_emit_min(e, agate_emit_add(e, row, agate_emit_int(e, b->rows)), end);
    LLVMValueRef lo = agate_emit_add(e, agate_emit_mul(e, row, p->stride), agate_emit_int(e, -p->pad));
    LLVMValueRef hi = agate_emit_add(e, agate_emit_mul(e, last, p->stride),
                                     agate_emit_int(e, agate_bands_reach(p, 1) - p->stride - p->pad));

    lo = agate_emit_max(e, agate_emit_max(e, lo, none), made);
    hi = agate_emit_min(e, hi, in);
    produce(b, lo, hi);
    b->consumer.row.lo = row;
    b->consumer.row.hi = last;
    agate_conv_walk(&b->consumer);
    return agate_emit_max(e, lo, hi);
}

void agate_emit_bands(agate_emitter *e)
{
    bands b = {.e = e};
    measure(&b, e->kernel);
    bool pool = b.pair.consumer->op != AGATE_OP_conv;
    if (b.pair.tiled)
        agate_amx_open(&b.tiled, e);
    else
        agate_conv_open(&b.producer, e, b.pair.producer_by_lane ? agate_depthwise_tile : agate_conv_tile);
    agate_conv_open(&b.consumer, e,
                    pool                ? agate_pool_tile
                    : b.pair.by_channel ? agate_depthwise_tile
                                        : agate_conv_tile);
    open_ring(&b);
    LLVMValueRef memory = b.ring.base, none = agate_emit_int(e, 0);

    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef digits[3];
    LLVMValueRef extents[3] = {NULL, agate_emit_int(e, b.bands), agate_emit_int(e, b.groups)};
    agate_emit_digits(e, tasks.index, extents, 3, digits);
    b.producer.image = b.consumer.image = b.tiled.image = digits[0];
    if (!b.pair.tiled)
        agate_conv_clip(&b.producer, &b.producer.pixel, none, b.producer.pixel.tile_count);
    agate_conv_clip(&b.consumer, &b.consumer.pixel, none, b.consumer.pixel.tile_count);
    clip_channels(&b, digits[2], memory);
    LLVMValueRef first = agate_emit_mul(e, digits[1], b.band);
    LLVMValueRef end = agate_emit_min(e, agate_emit_add(e, first, agate_emit_int(e, b.band)),
                                      agate_emit_int(e, b.consumer.y.out));
    agate_loop rows = agate_loop_begin(e, first, end, b.rows, &none, 1);
    LLVMValueRef made = turn(&b, rows.index, end, rows.carried[0]);
    agate_loop_end(e, &rows, &made);
    agate_loop_end(e, &tasks, NULL);
    if (b.pair.tiled)
        agate_amx_close(&b.tiled);
}

agate_dim agate_tasks_amx_bands(const agate_node *kernel)
{
    return agate_tasks_bands(kernel);
}

void agate_emit_amx_bands(agate_emitter *e)
{
    agate_emit_bands(e);
}

int64_t agate_amx_bands_workspace_bytes(const agate_node *kernel)
{
    bands b = {0};

    measure(&b, kernel);
    return b.tiled.workspace_size;
}
