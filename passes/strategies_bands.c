/* strategies_bands.c: when a convolution and its reader run by bands of rows, with which tiles, and whether
 * it pays. */
#include "ir/bands.h"
#include "ir/narrow.h"
#include "ir/parts.h"
#include "passes/strategy.h"

/* What is kept of a value whose channels a task takes few of should share the first cache with weights and
 * inputs. */
#define KEPT_BYTES (32 * 1024)

/* Tasks an image is cut into at least, where that takes bands: each computes some rows that its neighbour
 * computes, too. */
#define TASKS 4

/* Bytes that a core has from beyond its first cache in a cycle, and multiply-adds of vectors that it does in
 * one. */
#define BYTES_PER_CYCLE 24
#define ADDS_PER_CYCLE  2

/* The share of all cycles that these estimates may be wrong by where little is moved. */
#define DOUBT 0.01

static const agate_node *dense_of(const agate_bands *b)
{
    return b->producer_by_lane ? b->by_channel ? NULL : b->consumer : b->producer;
}

static int64_t extent(const agate_node *node, int32_t dim)
{
    return agate_max(1, node->results[0].type.dims[dim].offset);
}

static int64_t blocks_of(const agate_bands *b, const agate_node *node)
{
    return agate_ceil_div(extent(node, 1), b->block);
}

static int64_t image_bytes(const agate_type *type)
{
    return 4 * type->dims[1].offset * type->dims[2].offset * type->dims[3].offset;
}

static agate_tiles least_tiles(const agate_machine *machine, const agate_bands *b)
{
    const agate_node *dense = dense_of(b);
    agate_tiles tiles = {0};
    double cycles;

    if (dense)
        tiles = agate_direct_conv_rows(machine, dense, &cycles);
    tiles.v = agate_machine_lanes(machine);
    tiles.px = agate_depthwise_points(machine, extent(b->by_channel ? b->consumer : b->producer, 3));
    tiles.rows = 1;
    tiles.ocs = b->by_channel;
    tiles.ring = (int32_t)agate_bands_ring(b, &tiles);
    return tiles;
}

const char *agate_bands_refuse_places(const agate_candidate *c, const agate_bands *b,
                                      const agate_tiles *tiles)
{
    for (int32_t i = 0; i < c->kernel->result_count; i++)
        if (c->kernel->results[i].type.layout.kind != AGATE_LAYOUT_channel)
            return "not in blocked layout";
    return agate_bands_bytes(b, tiles) <= AGATE_BANDS_BYTES
               ? NULL
               : "what is between its two ops is too wide to be kept on a stack";
}

const char *agate_bands_applies(const agate_candidate *c)
{
    agate_bands b;
    const char *reason = agate_bands_find(c->kernel->body, &b);

    if (reason)
        return reason;
    if (b.tiled)
        return "its convolution is for AMX's tiles";
    agate_tiles tiles = least_tiles(c->machine, &b);
    return agate_bands_refuse_places(c, &b, &tiles);
}

/* ---- tiles --------------------------------------------------------------------------------------------- */

/* The more rows a turn has, the more pixels meet the weights that a dense consumer reads. */
static void choose_rows(const agate_bands *b, agate_tiles *tiles)
{
    agate_tiles more = *tiles;

    while (more.rows < extent(b->consumer, 2)) {
        more.rows++;
        more.ring = 0;
        more.ring = (int32_t)agate_bands_ring(b, &more);
        if (agate_bands_bytes(b, &more) > (b->by_channel ? KEPT_BYTES : AGATE_BANDS_BYTES / 2))
            break;
        *tiles = more;
    }
}

/* Groups of channels come first, as they compute nothing twice. They read the same rows: a band of those
 * should stay in cache from group to group. */
static void choose_bands(const agate_machine *machine, const agate_bands *b, agate_tiles *tiles)
{
    int64_t height = extent(b->consumer, 2), groups = 1, bands;

    if (b->by_channel)
        groups = agate_ceil_div(blocks_of(b, b->producer), b->producer_by_lane ? 1 : agate_max(tiles->oc, 1));
    bands = agate_ceil_div(TASKS, groups);
    if (groups > 1 && !b->producer_by_lane)
        bands =
            agate_max(bands, agate_ceil_div(image_bytes(&b->producer->operands[0]->type), machine->l2_bytes));
    int64_t rows = agate_ceil_div(height, agate_min(height, bands));
    tiles->oh = (int32_t)rows;
    /* Turns of a band as even as they can be. */
    tiles->rows = (int32_t)agate_ceil_div(rows, agate_ceil_div(rows, tiles->rows));
    tiles->ring = 0;
    tiles->ring = (int32_t)agate_bands_ring(b, tiles);
}

agate_tiles agate_bands_plan(const agate_candidate *c)
{
    agate_bands b;

    agate_bands_find(c->kernel->body, &b);
    agate_tiles tiles = least_tiles(c->machine, &b);
    choose_rows(&b, &tiles);
    choose_bands(c->machine, &b, &tiles);
    return tiles;
}

/* ---- what it is worth ---------------------------------------------------------------------------------- */

/* Steps of a dense convolution's tiles. */
static double steps_of(const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type;
    int64_t channels = w->dims[1].offset, taps = w->dims[3].offset;

    if (w->layout.kind == AGATE_LAYOUT_o_taps)
        taps = agate_ceil_div(taps, 2);
    else if (agate_is_half(agate_unwidened(conv->operands[0])))
        channels = agate_ceil_div(channels, 2);
    return (double)(channels * w->dims[2].offset * taps);
}

/* Cycles of a convolution or pool of an image in a kernel of its own, and, `by_rows`, in bands. */
static double compute_cycles(const agate_machine *machine, const agate_bands *b, const agate_node *node,
                             bool by_rows)
{
    const agate_attrs_pool *pool = &node->attrs.pool;
    double vectors = (double)(blocks_of(b, node) * extent(node, 2) * extent(node, 3)), cycles;

    if (node->op != AGATE_OP_conv)
        return vectors * (double)(pool->kernel.v[0] * pool->kernel.v[1]);
    const agate_type *w = &node->operands[1]->type;
    double products = (double)(w->dims[1].offset * w->dims[2].offset * w->dims[3].offset);
    if (agate_is_depthwise(node))
        return vectors * products / ADDS_PER_CYCLE;
    agate_direct_conv_rows(machine, node, &cycles);
    if (!by_rows)
        cycles = agate_direct_conv_cycles(machine, node, &w->dims[0].offset, 1);
    return cycles * steps_of(node);
}

/* What computing by rows costs: rows that two bands compute, other tiles, weights that every turn reads
 * again. */
static double extra_cycles(const agate_machine *machine, const agate_bands *b, const agate_tiles *tiles)
{
    int64_t height = extent(b->consumer, 2), bands = agate_ceil_div(height, agate_max(tiles->oh, 1));
    int64_t shared = (bands - 1) * agate_max(0, agate_bands_reach(b, 1) - b->stride);
    double producer = compute_cycles(machine, b, b->producer, true),
           again = (double)shared / (double)extent(b->producer, 2);
    double extra = producer * (1 + again) - compute_cycles(machine, b, b->producer, false);

    if (!b->by_channel) {
        double turns = (double)agate_ceil_div(height, tiles->rows);
        double weights = 4.0 * (double)(extent(b->consumer, 1) * extent(b->producer, 1));
        extra +=
            compute_cycles(machine, b, b->consumer, true) - compute_cycles(machine, b, b->consumer, false);
        extra += (turns - 1) * weights / BYTES_PER_CYCLE;
    }
    return extra;
}

double agate_bands_gain(const agate_candidate *c)
{
    const agate_machine *machine = c->machine;
    agate_bands b;

    agate_bands_find(c->kernel->body, &b);
    agate_tiles tiles = agate_bands_plan(c);
    int64_t bytes = image_bytes(&b.between->type);
    double saved = (double)bytes / BYTES_PER_CYCLE;
    if (bytes < machine->l2_bytes / (b.by_channel ? 2 : 1)) {
        /* From its own cache a core reads beside computing. */
        double consumer = compute_cycles(machine, &b, b.consumer, false);
        saved -= consumer + DOUBT * (consumer + compute_cycles(machine, &b, b.producer, false));
    }
    return saved - extra_cycles(machine, &b, &tiles);
}
