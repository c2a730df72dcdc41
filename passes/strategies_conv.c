/* strategies_conv.c: when the convolution strategies apply, and their tiles from a model of the machine. */
#include "passes/strategy.h"

typedef struct conv_shape {
    int64_t in_channels, out_channels; /* of one group */
    int64_t height, width;             /* of the result */
    int64_t kernel, stride;            /* taps; largest stride */
    int64_t input_bytes;               /* of one image */
    bool flat;                         /* 1x1, stride 1, no pads: pixels are one row */
} conv_shape;

static bool all_are(const agate_ints *list, int64_t value)
{
    for (int32_t i = 0; i < list->count; i++)
        if (list->v[i] != value)
            return false;
    return true;
}

static conv_shape shape_of(const agate_node *conv)
{
    const agate_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type;
    const agate_type *y = &conv->results[0].type;
    const agate_attrs_conv *attrs = &conv->attrs.conv;
    conv_shape s = {.in_channels = w->dims[1].offset,
                    .out_channels = w->dims[0].offset / attrs->group,
                    .height = y->dims[2].offset,
                    .width = y->dims[3].offset,
                    .kernel = w->dims[2].offset * w->dims[3].offset};
    s.stride = agate_max(attrs->strides.v[0], attrs->strides.v[1]);
    s.input_bytes = 4 * x->dims[1].offset * x->dims[2].offset * x->dims[3].offset;
    s.flat = s.kernel == 1 && all_are(&attrs->strides, 1) && all_are(&attrs->pads, 0) &&
             x->layout.kind == AGATE_LAYOUT_channel;
    return s;
}

static const char *not_blocked_conv(const agate_candidate *c)
{
    if (!c->anchor || c->anchor->op != AGATE_OP_conv)
        return "no convolution";
    if (c->anchor->operands[0]->type.rank != 4)
        return "not two-dimensional";
    if (c->anchor->results[0].type.layout.kind != AGATE_LAYOUT_channel)
        return "not in blocked layout";
    return NULL;
}

static bool is_depthwise(const agate_node *conv)
{
    return conv->attrs.conv.group > 1 && agate_dim_is(conv->operands[1]->type.dims[1], 1);
}

/* ---- direct_conv ------------------------------------------------------------------------------------------- */

const char *agate_direct_conv_applies(const agate_candidate *c)
{
    const char *reason = not_blocked_conv(c);
    if (!reason && is_depthwise(c->anchor))
        reason = "depthwise";
    return reason;
}

/* Cycles that one step over an input channel takes for a register tile of oc vectors by `pixels`: two multiply-adds and
 * two loads a cycle, and a multiply-add's latency of four. */
static double tile_cycles(int64_t oc, int64_t pixels)
{
    double arithmetic = (double)(oc * pixels) / 2, loads = (double)(oc + pixels) / 2;
    double cycles = arithmetic > loads ? arithmetic : loads;
    return cycles > 4 ? cycles : 4;
}

/* A row of `width` pixels in tiles of at most `ow`, as even as they can be. */
static double row_cycles(int64_t oc, int64_t ow, int64_t width)
{
    int64_t tiles = agate_ceil_div(width, ow), wide = width % tiles;
    return (double)wide * tile_cycles(oc, width / tiles + 1) +
           (double)(tiles - wide) * tile_cycles(oc, width / tiles);
}

/* The register tile of least cost: oc*ow accumulators, oc weights and one broadcast must fit the registers. */
static void choose_register_tile(const conv_shape *s, int32_t registers, int64_t vectors, agate_tiles *tiles)
{
    double best = 0;
    int64_t width = s->flat ? s->height * s->width : s->width;

    for (int64_t oc = 1; oc <= 4 && oc <= vectors; oc++) {
        int64_t most = (registers - 1 - oc) / oc;
        for (int64_t ow = most; ow >= 1; ow--) { /* of equals the largest: fewest loads of weights */
            int64_t full = vectors / oc, rest = vectors % oc;
            double cost = (double)full * row_cycles(oc, ow, width) + (rest ? row_cycles(rest, ow, width) : 0);
            if (best == 0 || cost < best * 0.99) {
                best = cost;
                tiles->oc = (int32_t)oc;
                tiles->ow = (int32_t)agate_min(ow, width);
            }
        }
    }
}

/* How a task's share is cut: inputs that leave half of L2 free are walked whole, others in bands of rows. */
static void choose_blocks(const conv_shape *s, const agate_machine *machine, int64_t vectors, agate_tiles *tiles)
{
    int64_t rows = s->flat ? agate_ceil_div(s->height * s->width, tiles->ow) : s->height;
    int64_t groups = agate_ceil_div(vectors, tiles->oc);
    int64_t bands = agate_max(1, agate_ceil_div(s->input_bytes, machine->l2_bytes / 2));
    int64_t wanted = agate_max(1, agate_ceil_div(8, groups)); /* enough tasks for a few threads */

    if (bands > 1) {
        tiles->ocs = (int32_t)groups; /* a band in cache serves all channels */
        bands = agate_max(bands, 8);
    } else {
        tiles->ocs = 1;
        bands = wanted;
    }
    tiles->oh = (int32_t)agate_max(1, agate_ceil_div(rows, bands));
}

agate_tiles agate_direct_conv_plan(const agate_candidate *c)
{
    conv_shape s = shape_of(c->anchor);
    agate_tiles tiles = {.v = agate_machine_lanes(c->machine), .flat = s.flat};
    int64_t vectors = agate_ceil_div(s.out_channels, tiles.v);

    choose_register_tile(&s, c->machine->vector_registers, vectors, &tiles);
    choose_blocks(&s, c->machine, vectors, &tiles);
    tiles.ic = (int32_t)agate_min(tiles.v, s.in_channels);
    return tiles;
}

/* ---- depthwise --------------------------------------------------------------------------------------------- */

const char *agate_depthwise_applies(const agate_candidate *c)
{
    const char *reason = not_blocked_conv(c);
    if (!reason && !is_depthwise(c->anchor))
        reason = "not depthwise";
    return reason;
}

agate_tiles agate_depthwise_plan(const agate_candidate *c)
{
    conv_shape s = shape_of(c->anchor);
    agate_tiles tiles = {.v = agate_machine_lanes(c->machine), .oh = (int32_t)s.height};
    int64_t most = c->machine->vector_registers >= 32 ? 14 : 6;
    tiles.ow = (int32_t)agate_ceil_div(s.width, agate_ceil_div(s.width, most));
    return tiles;
}
