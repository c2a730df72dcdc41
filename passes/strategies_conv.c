/* strategies_conv.c: when the convolution strategies apply, and their tiles from a model of the machine. */
#include "ir/narrow.h"
#include "ir/parts.h"
#include "passes/strategy.h"

typedef struct conv_shape {
    int64_t vectors; /* of output channels */
    int64_t part_vectors[AGATE_MAX_PARTS];
    int32_t part_count;    /* tiles do not reach from part to part */
    int64_t height, width; /* rows of all planes of the result; flat: one row */
    int64_t kernel_width;
    int64_t input_bytes; /* of one image; what strides leave out counts: its cache sets hold nothing else */
    int64_t weight_bytes;
    int64_t channels;  /* inputs of a group */
    int64_t products;  /* that are summed to one output */
    agate_dtype dtype; /* of input and weights */
    int32_t bytes;     /* of an element of these */
    bool blocked;      /* the input is */
    bool flat;         /* 1x1, stride 1, no pads: pixels are one row */
} conv_shape;

static conv_shape shape_of(const agate_node *conv, int32_t lanes)
{
    const agate_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type;
    const agate_type *y = &conv->results[0].type;
    const agate_attrs_conv *attrs = &conv->attrs.conv;
    int32_t last = x->rank - 1;
    int64_t taps = agate_image_rows(w) * w->dims[last].offset;
    agate_dtype dtype = (agate_dtype)agate_unwidened(conv->operands[0])->type.dtype;
    int32_t bytes = (int32_t)agate_dtype_size(dtype);
    conv_shape s = {.vectors = agate_ceil_div(w->dims[0].offset, lanes),
                    .dtype = dtype,
                    .bytes = bytes,
                    .height = agate_image_rows(y),
                    .width = y->dims[last].offset,
                    .kernel_width = w->dims[last].offset,
                    .weight_bytes = bytes * w->dims[0].offset * w->dims[1].offset * taps,
                    .channels = w->dims[1].offset,
                    .products = w->dims[1].offset * taps,
                    .blocked = x->layout.kind == AGATE_LAYOUT_channel};
    agate_part parts[AGATE_MAX_PARTS];
    s.part_count = agate_conv_parts(conv, parts);
    for (int32_t i = 0; i < s.part_count; i++)
        s.part_vectors[i] = agate_ceil_div(parts[i].channels, lanes);
    s.input_bytes = bytes * x->dims[1].offset * agate_image_rows(x) * x->dims[last].offset;
    s.flat = taps == 1 && agate_ints_are(&attrs->strides, 1) && agate_ints_are(&attrs->pads, 0) && s.blocked;
    if (s.flat) {
        s.width *= s.height;
        s.height = 1;
    }
    return s;
}

/* Taps in a row are unrolled: more than this is another kind of problem. */
#define MAX_KERNEL_WIDTH 128

const char *agate_conv_not_alone(const agate_candidate *c)
{
    AGATE_EACH_NODE (node, c->kernel->body) {
        agate_family family = agate_node_info(node)->family;
        bool loops = family == AGATE_FAMILY_conv || family == AGATE_FAMILY_window;
        if (node != c->anchor && loops)
            return "it holds more than one op with loops";
    }
    return NULL;
}

static const char *not_blocked_conv(const agate_candidate *c)
{
    if (!c->anchor || c->anchor->op != AGATE_OP_conv)
        return "no convolution";
    const agate_type *w = &c->anchor->operands[1]->type;
    if (!agate_is_image(w))
        return "of more than three dimensions";
    if (c->anchor->results[0].type.layout.kind != AGATE_LAYOUT_channel)
        return "not in blocked layout";
    for (int32_t i = 0; i < c->anchor->operand_count; i++)
        if (agate_unwidened(c->anchor->operands[i])->node)
            return "its operands are computed in the kernel";
    return w->dims[w->rank - 1].offset > MAX_KERNEL_WIDTH ? "kernel too wide to unroll"
                                                          : agate_conv_not_alone(c);
}

/* Input, weights and result laid out as the emitter reads them? */
static bool is_laid_out(const agate_node *conv, agate_layout_kind input, agate_layout_kind weights)
{
    uint16_t block = conv->results[0].type.layout.block;
    agate_layout x = {.kind = input, .block = input == AGATE_LAYOUT_plain ? 0 : block};
    agate_layout w = {.kind = weights, .block = block};
    return agate_layout_equal(conv->operands[0]->type.layout, x) &&
           agate_layout_equal(conv->operands[1]->type.layout, w);
}

static bool is_cut(const agate_node *conv)
{
    agate_part parts[AGATE_MAX_PARTS];
    return agate_conv_parts(conv, parts) != 1;
}

/* Does any operand come in 16 bits? */
static bool reads_half(const agate_node *conv)
{
    return agate_is_half(agate_unwidened(conv->operands[0])) ||
           agate_is_half(agate_unwidened(conv->operands[1]));
}

/* Input and weights are both bf16 or both f16, laid out for steps of two channels, of which none is cut by a
 * pad. */
static bool is_of_pairs(const agate_node *conv)
{
    const agate_value *x = agate_unwidened(conv->operands[0]), *w = agate_unwidened(conv->operands[1]);

    return agate_is_half(x) && x->type.dtype == w->type.dtype &&
           conv->operands[1]->type.dims[1].offset % 2 == 0 &&
           is_laid_out(conv, AGATE_LAYOUT_channel,
                       agate_is_bf16(x) ? AGATE_LAYOUT_oi_pairs : AGATE_LAYOUT_oi);
}

/* Input and weights of few channels are bf16, laid out for products of pairs of taps. */
static bool is_of_taps(const agate_node *conv)
{
    return agate_is_bf16(agate_unwidened(conv->operands[0])) &&
           agate_is_bf16(agate_unwidened(conv->operands[1])) && conv->attrs.conv.group == 1 &&
           conv->operands[0]->type.rank == 4 && conv->attrs.conv.dilations.v[1] == 1 &&
           is_laid_out(conv, AGATE_LAYOUT_plain, AGATE_LAYOUT_o_taps);
}

/* Input and weights of groups are bf16, laid out for products of pairs of a group's channels. */
static bool is_of_pairs_in_groups(const agate_node *conv)
{
    return agate_is_bf16(agate_unwidened(conv->operands[0])) &&
           agate_is_bf16(agate_unwidened(conv->operands[1])) &&
           conv->operands[1]->type.dims[1].offset % 2 == 0 &&
           is_laid_out(conv, AGATE_LAYOUT_channel, AGATE_LAYOUT_o_pairs);
}

/* One input, and any number of filters, in a group. */
static bool has_lone_inputs(const agate_node *conv)
{
    return conv->attrs.conv.group > 1 && agate_dim_is(conv->operands[1]->type.dims[1], 1);
}

/* ---- direct_conv --------------------------------------------------------------------------------------- */

const char *agate_direct_conv_applies(const agate_candidate *c)
{
    const char *reason = not_blocked_conv(c);
    if (reason)
        return reason;
    if (has_lone_inputs(c->anchor))
        return "depthwise";
    agate_part parts[AGATE_MAX_PARTS];
    if (agate_conv_parts(c->anchor, parts) == 0)
        return "cut in other ways than into parts";
    if (reads_half(c->anchor)) {
        if (is_of_taps(c->anchor) && !agate_has_pair_products(c->machine))
            return "the target has no sums of pairs of bf16 products";
        if (!is_of_pairs(c->anchor) && !is_of_taps(c->anchor))
            return "input and weights are not both of 16 bits and laid out in pairs";
    } else if (!is_laid_out(c->anchor, AGATE_LAYOUT_channel, AGATE_LAYOUT_oi) &&
               !is_laid_out(c->anchor, AGATE_LAYOUT_plain, AGATE_LAYOUT_o)) {
        return "weights not packed for it";
    }
    return agate_groups_fill_blocks(c->anchor, c->anchor->results[0].type.layout.block)
               ? NULL
               : "its groups do not fill vectors";
}

/* How a machine computes a step of a register tile. Work is counted in multiply-adds; other instructions,
 * which have more ports, are half of one. */
typedef struct step_model {
    double of_sum, of_input, of_weights; /* work for each vector of sums, input, and vector of weights */
    int32_t weights;                     /* registers for each vector of weights */
    int32_t others;                      /* registers that are neither sums nor weights */
    double latency;                      /* of a sum, in cycles */
} step_model;

static const step_model fused_steps = {1, 0, 0, 1, 1, 4};
static const step_model apart_steps = {1, 0.5, 0, 1, 3, 4}; /* an input is copied to all lanes */
static const step_model pair_steps = {1, 0, 0, 1, 1, 6};    /* two products in an instruction */
static const step_model widened_steps = {2, 1, 1, 2, 3, 4}; /* two multiply-adds of bf16 made f32 */
static const step_model widened_apart = {2, 1.5, 1, 2, 5, 4};
static const step_model halves_steps = {2, 2, 2, 2, 3, 4}; /* the same of f16, by F16C's instructions */
static const step_model halves_apart = {2, 5, 8, 2, 5, 4}; /* ... by integer arithmetic */

static const step_model *steps_of(const conv_shape *s, const agate_machine *machine)
{
    bool fused = machine->vector_bits >= 256;

    if (s->bytes == 4)
        return fused ? &fused_steps : &apart_steps;
    if (s->dtype == AGATE_F16)
        return fused ? &halves_steps : &halves_apart;
    if (agate_has_pair_products(machine))
        return &pair_steps;
    return fused ? &widened_steps : &widened_apart;
}

/* Cycles that one step over an input channel (or a pair of them) takes for a register tile of oc vectors by
 * `pixels`: two instructions and two loads a cycle, and no less than a sum's latency. */
static double tile_cycles(int64_t oc, int64_t pixels, const step_model *m)
{
    double arithmetic =
        ((double)(oc * pixels) * m->of_sum + (double)pixels * m->of_input + (double)oc * m->of_weights) / 2;
    double loads = (double)(oc + pixels) / 2;
    double cycles = arithmetic > loads ? arithmetic : loads;
    return cycles > m->latency ? cycles : m->latency;
}

/* The most pixels of a register tile of oc vectors. */
static int64_t most_pixels(int64_t oc, const step_model *m, const agate_machine *machine)
{
    return (machine->vector_registers - m->others - m->weights * oc) / oc;
}

double agate_register_tile_cycles(const agate_machine *machine, int64_t oc, int64_t points)
{
    return tile_cycles(oc, points, machine->vector_bits >= 256 ? &fused_steps : &apart_steps);
}

/* oc vectors by a row of `width` pixels in tiles of at most `ow`, as even as they can be. */
static double row_cycles(int64_t oc, int64_t ow, int64_t width, const step_model *m)
{
    int64_t tiles = agate_ceil_div(width, ow), wide = width % tiles;
    return (double)wide * tile_cycles(oc, width / tiles + 1, m) +
           (double)(tiles - wide) * tile_cycles(oc, width / tiles, m);
}

/* All vectors of a part, cut as evenly. */
static double part_cycles(const conv_shape *s, int64_t vectors, int64_t oc, int64_t ow, const step_model *m)
{
    int64_t tiles = agate_ceil_div(vectors, oc), wide = vectors % tiles, narrow = vectors / tiles;
    double cycles = (double)(tiles - wide) * row_cycles(narrow, ow, s->width, m);
    return wide ? cycles + (double)wide * row_cycles(narrow + 1, ow, s->width, m) : cycles;
}

static double image_cycles(const conv_shape *s, int64_t oc, int64_t ow, const step_model *m)
{
    double cycles = 0;
    for (int32_t i = 0; i < s->part_count; i++)
        cycles += part_cycles(s, s->part_vectors[i], oc, ow, m);
    return cycles;
}

/* The register tile of least cost: oc*ow sums, oc weights and one input must fit the registers, and where
 * there is no multiply-add, products too. Of equals the widest, which reads its weights least often. On
 * AVX-512 that is 2x14 for the widths of image networks and 2x7 for rows of 7; on AVX2 2x6, and 3x4 for rows
 * of 7. Returns its cost for a row. */
static double choose_register_tile(const conv_shape *s, const agate_machine *machine, agate_tiles *tiles)
{
    const step_model *m = steps_of(s, machine);
    double best = 0;

    for (int64_t oc = 1; oc <= 8 && oc <= s->vectors; oc++)
        for (int64_t ow = agate_min(most_pixels(oc, m, machine), s->width); ow >= 1; ow--) {
            double cost = image_cycles(s, oc, ow, m);
            if (best > 0 && cost >= best * (ow > tiles->ow ? 1.002 : 0.998))
                continue;
            best = cost;
            tiles->oc = (int32_t)oc;
            tiles->ow = (int32_t)ow;
        }
    return best;
}

/* Sums of products of 16 bits stay whole: the rounding of the operands outweighs that of any sum. */
static agate_tiles first_tiles(const conv_shape *s, const agate_machine *machine)
{
    return (agate_tiles){.v = agate_machine_lanes(machine),
                         .flat = s->flat,
                         .ic = s->blocked ? (int32_t)agate_max(1, 4 / s->kernel_width) : 1,
                         .dp = s->dtype == AGATE_BF16 && agate_has_pair_products(machine),
                         .kc = s->bytes == 4 ? agate_sum_part(s->products) : 0};
}

agate_tiles agate_direct_conv_rows(const agate_machine *machine, const agate_node *conv, double *out_cycles)
{
    conv_shape s = shape_of(conv, agate_machine_lanes(machine));
    agate_tiles tiles = first_tiles(&s, machine);

    tiles.flat = 0;
    s.width = conv->results[0].type.dims[3].offset;
    *out_cycles = choose_register_tile(&s, machine, &tiles) * (double)conv->results[0].type.dims[2].offset;
    return tiles;
}

/* Inserts tiles of this cost among the best, of which there is room for `room`. */
static size_t insert_shape(agate_tiles *shapes, double *costs, size_t count, size_t room, agate_tiles tiles,
                           double cost)
{
    size_t at = count < room ? count : room;

    while (at > 0 && cost < costs[at - 1]) {
        if (at < room) {
            shapes[at] = shapes[at - 1];
            costs[at] = costs[at - 1];
        }
        at--;
    }
    if (at < room) {
        shapes[at] = tiles;
        costs[at] = cost;
        count += count < room;
    }
    return count;
}

double agate_direct_conv_cycles(const agate_machine *machine, const agate_node *conv, const int64_t *filters,
                                int32_t count)
{
    int32_t lanes = agate_machine_lanes(machine);
    conv_shape s = shape_of(conv, lanes);
    agate_tiles tiles = {0};

    s.vectors = 0;
    s.part_count = count;
    for (int32_t i = 0; i < count; i++)
        s.vectors += s.part_vectors[i] = agate_ceil_div(filters[i], lanes);
    return choose_register_tile(&s, machine, &tiles) * (double)s.height;
}

/* May each part of the sums go over all tiles of pixels of a task before the next? Its weights, which lie in
 * the first cache then, serve them all, and the totals between must not crowd the second. */
static bool goes_by_parts(const conv_shape *s, const agate_machine *machine, const agate_tiles *tiles)
{
    int64_t points = tiles->oh * (s->height == 1 ? 1 : agate_ceil_div(s->width, tiles->ow));
    int64_t totals_bytes = 4 * tiles->v * tiles->oc * tiles->ow * points;

    return s->blocked && s->channels % tiles->v == 0 && tiles->kc > 0 && points > 1 &&
           totals_bytes <= machine->l2_bytes / 8;
}

/* How the image is cut into tasks. Either a band of pixels stays in cache and serves all channels, each band
 * reading all weights; or the weights of a register tile stay in cache and serve all pixels. */
static void choose_blocks(const conv_shape *s, const agate_machine *machine, agate_tiles *tiles)
{
    int64_t row_tiles = agate_ceil_div(s->width, tiles->ow), rows = s->height == 1 ? row_tiles : s->height;
    int64_t groups = 0;
    for (int32_t i = 0; i < s->part_count; i++)
        groups += agate_ceil_div(s->part_vectors[i], tiles->oc);
    int64_t bands = agate_ceil_div(s->input_bytes, machine->l2_bytes / 4);
    bool banded = s->input_bytes > machine->l2_bytes &&
                  (s->weight_bytes <= machine->l2_bytes / 2 ||
                   bands * s->weight_bytes + s->input_bytes < s->weight_bytes + groups * s->input_bytes);

    tiles->ocs = banded ? (int32_t)groups : 1;
    bands = banded ? agate_max(bands, 8) : agate_ceil_div(8, groups); /* enough tasks for a few threads */
    tiles->oh = (int32_t)agate_ceil_div(rows, agate_min(bands, rows));
    if (goes_by_parts(s, machine, tiles))
        tiles->order = 2;
}

/* Weights that are read few times come from memory: while one tile of channels goes over the pixels, it
 * fetches the weights of the next, spread evenly. */
static void choose_prefetch(const conv_shape *s, agate_tiles *tiles)
{
    int64_t passes = s->height == 1 ? tiles->oh : tiles->oh * agate_ceil_div(s->width, tiles->ow);
    int64_t lines = agate_ceil_div(tiles->oc * tiles->v * 4 * s->kernel_width * tiles->ic, 64);

    if (s->blocked && passes <= 4 * lines)
        tiles->ahead = (int32_t)agate_ceil_div(lines, passes);
}

agate_tiles agate_direct_conv_plan(const agate_candidate *c)
{
    int32_t lanes = agate_machine_lanes(c->machine);
    conv_shape s = shape_of(c->anchor, lanes);
    agate_tiles tiles = first_tiles(&s, c->machine);

    choose_register_tile(&s, c->machine, &tiles);
    choose_blocks(&s, c->machine, &tiles);
    choose_prefetch(&s, &tiles);
    return tiles;
}

size_t agate_direct_conv_shapes(const agate_candidate *c, agate_tiles *out_tiles, size_t room)
{
    int32_t lanes = agate_machine_lanes(c->machine);
    conv_shape s = shape_of(c->anchor, lanes);
    const step_model *m = steps_of(&s, c->machine);
    double costs[room];
    size_t count = 0;

    for (int64_t oc = 1; oc <= 8 && oc <= s.vectors; oc++)
        for (int64_t ow = agate_min(most_pixels(oc, m, c->machine), s.width); ow >= 1; ow--) {
            agate_tiles tiles = first_tiles(&s, c->machine);
            tiles.oc = (int32_t)oc;
            tiles.ow = (int32_t)ow;
            count = insert_shape(out_tiles, costs, count, room, tiles, image_cycles(&s, oc, ow, m));
        }
    for (size_t i = 0; i < count; i++) {
        choose_blocks(&s, c->machine, &out_tiles[i]);
        choose_prefetch(&s, &out_tiles[i]);
    }
    return count;
}

/* ---- depthwise ----------------------------------------------------------------------------------------- */

const char *agate_depthwise_applies(const agate_candidate *c)
{
    const char *reason = not_blocked_conv(c);
    if (reason)
        return reason;
    if (agate_is_half(agate_unwidened(c->anchor->operands[1])))
        return "its weights are of 16 bits";
    if (is_cut(c->anchor))
        return "its channels are cut into parts";
    if (!agate_is_depthwise(c->anchor))
        return "not depthwise";
    return is_laid_out(c->anchor, AGATE_LAYOUT_channel, AGATE_LAYOUT_o) ? NULL : "weights not packed for it";
}

int32_t agate_depthwise_points(const agate_machine *machine, int64_t width)
{
    int64_t most = machine->vector_registers >= 32 ? 14 : 6;
    return (int32_t)agate_ceil_div(width, agate_ceil_div(width, most));
}

int64_t agate_conv_rows(int64_t height, int64_t width, int64_t points)
{
    return height == 1 ? agate_ceil_div(width, points) : height;
}

agate_tiles agate_depthwise_plan(const agate_candidate *c)
{
    agate_tiles tiles = {.v = agate_machine_lanes(c->machine)};
    conv_shape s = shape_of(c->anchor, tiles.v);
    tiles.ow = agate_depthwise_points(c->machine, s.width);
    tiles.oh = (int32_t)agate_conv_rows(s.height, s.width, tiles.ow);
    tiles.ocs = 1;
    return tiles;
}

/* ---- grouped_conv -------------------------------------------------------------------------------------- */

const char *agate_grouped_conv_applies(const agate_candidate *c)
{
    const char *reason = not_blocked_conv(c);
    if (reason)
        return reason;
    if (is_cut(c->anchor))
        return "its channels are cut into parts";
    if (agate_is_depthwise(c->anchor))
        return "depthwise";
    if (agate_groups_fill_blocks(c->anchor, c->anchor->results[0].type.layout.block))
        return "its groups fill vectors";
    if (is_of_pairs_in_groups(c->anchor))
        return agate_has_pair_products(c->machine) ? NULL
                                                   : "the target has no sums of pairs of bf16 products";
    if (agate_is_half(agate_unwidened(c->anchor->operands[1])))
        return "its weights are of 16 bits";
    return is_laid_out(c->anchor, AGATE_LAYOUT_channel, AGATE_LAYOUT_o) ? NULL : "weights not packed for it";
}

agate_tiles agate_grouped_conv_plan(const agate_candidate *c)
{
    agate_tiles tiles = agate_depthwise_plan(c);
    tiles.dp = is_of_pairs_in_groups(c->anchor);
    return tiles;
}

/* ---- few_filters --------------------------------------------------------------------------------------- */

/* Products that each input takes part in, from which on it costs less to put it in a plain row than to leave
 * lanes idle. */
#define ROW_TAPS 4

/* Vectors of pixels in a register tile. */
#define MOST_ROW_VECTORS 8

bool agate_few_filters_pay(const agate_machine *machine, const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type, *y = &conv->results[0].type;
    int64_t lanes = agate_machine_lanes(machine), filters = w->dims[0].offset;

    if (conv->attrs.conv.group != 1 || !agate_is_image(w) || filters < 1)
        return false;
    int64_t width = y->dims[w->rank - 1].offset, columns = w->dims[w->rank - 1].offset;
    /* Tiles at edges have code of their own. */
    int64_t reach = (columns - 1) * conv->attrs.conv.dilations.v[w->rank - 3];
    reach = agate_max(reach, conv->attrs.conv.pads.v[w->rank - 3]);
    /* Lanes at work: filters of `lanes`, or `width` of those of whole vectors. */
    return conv->attrs.conv.strides.v[w->rank - 3] == 1 && agate_image_rows(w) * columns >= ROW_TAPS &&
           reach < MAX_KERNEL_WIDTH && width >= 2 * filters * agate_ceil_div(width, lanes);
}

static bool is_plain_f32(const agate_value *value)
{
    return !value->node && value->type.dtype == AGATE_F32 && value->type.layout.kind == AGATE_LAYOUT_plain;
}

const char *agate_few_filters_applies(const agate_candidate *c)
{
    agate_part parts[AGATE_MAX_PARTS];

    if (!c->anchor || c->anchor->op != AGATE_OP_conv)
        return "no convolution";
    if (!agate_few_filters_pay(c->machine, c->anchor))
        return "not few filters along rows of pixels";
    if (!is_plain_f32(c->anchor->operands[0]) || !is_plain_f32(c->anchor->operands[1]) ||
        c->anchor->results[0].type.layout.kind != AGATE_LAYOUT_plain)
        return "not laid out in rows of f32";
    if (c->anchor->operand_count > 2 && c->anchor->operands[2]->node)
        return "its bias is computed in the kernel";
    if (agate_conv_parts(c->anchor, parts) != 1)
        return "its channels are cut into parts";
    return agate_conv_not_alone(c);
}

agate_tiles agate_few_filters_plan(const agate_candidate *c)
{
    agate_tiles tiles = {.v = agate_machine_lanes(c->machine)};
    conv_shape s = shape_of(c->anchor, tiles.v);
    int64_t filters = c->anchor->operands[1]->type.dims[0].offset, all = agate_ceil_div(s.width, tiles.v);
    const step_model *m = steps_of(&s, c->machine);
    int64_t most = (c->machine->vector_registers - m->others) / (filters + m->weights);

    most = agate_max(1, agate_min(most, MOST_ROW_VECTORS));
    tiles.ow = tiles.v * (int32_t)agate_ceil_div(all, agate_ceil_div(all, most));
    /* Enough tasks for a few threads, whose totals leave room in the second cache. */
    int64_t row_bytes = agate_ceil_div(all * tiles.v, tiles.ow) * tiles.ow * filters * 4;
    int64_t rows = agate_max(1, c->machine->l2_bytes / 8 / row_bytes);
    tiles.oh = (int32_t)agate_max(1, agate_min(agate_ceil_div(s.height, 8), rows));
    tiles.kc = agate_sum_part(s.products);
    return tiles;
}
