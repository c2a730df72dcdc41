/* emit_conv.c: strategy direct_conv, and the walk over tasks and register tiles that it shares with
 * depthwise.
 *
 *     tasks      image, band of rows (of pixels where there is one row), group of channel tiles
 *     in a task  loops over channel tiles, rows, pixel tiles; in order 1: rows, pixel tiles, channel tiles;
 *                in order 2: channel tiles, parts of the sums, rows, pixel tiles
 *
 * Output channels are vectors. Tiles at the left and right border have code of their own, with the taps that
 * lie outside left out, so the image needs no padding and the border no work. */
#include "backend/emit_conv.h"
#include "backend/emit_parts.h"
#include "ir/narrow.h"

#define MAX_AHEAD 64

/* Marks which taps of a tile of `width` outputs at `start` lie in the image. */
static void mark_live(const agate_conv_axis *axis, int64_t start, int64_t width, uint32_t *out_live)
{
    for (int64_t tap = 0; tap < axis->taps; tap++) {
        out_live[tap] = 0;
        for (int64_t i = 0; i < width; i++) {
            int64_t at = (start + i) * axis->stride - axis->pad + tap * axis->dilation;
            if (at >= 0 && at < axis->in)
                out_live[tap] |= UINT32_C(1) << i;
        }
    }
}

/* Cuts rows into balanced tiles. Neighbours that meet the border alike make one span. */
static void cut_pixels(agate_conv *c, agate_conv_level *level)
{
    agate_run runs[2];
    int32_t run_count = agate_runs_balance(c->x.out, c->pixels, runs);
    level->tile_count = agate_ceil_div(c->x.out, c->pixels);
    level->spans = AGATE_NEW_N(c->e->scratch, agate_conv_span, level->tile_count);
    for (int32_t r = 0; r < run_count; r++)
        for (int64_t i = 0; i < runs[r].count; i++) {
            int64_t start = runs[r].start + i * runs[r].width;
            agate_conv_span *span = &level->spans[level->span_count];
            span->run =
                (agate_run){.first = runs[r].first + i, .count = 1, .width = runs[r].width, .start = start};
            mark_live(&c->x, start, runs[r].width, span->live);
            agate_conv_span *before = level->span_count ? span - 1 : NULL;
            if (before && before->run.width == span->run.width &&
                !memcmp(before->live, span->live, sizeof span->live))
                before->run.count++;
            else
                level->span_count++;
        }
}

/* One output row at a time: nothing about it is static but its width. */
static void cut_rows(agate_conv *c, agate_conv_level *level)
{
    level->tile_count = c->z.out * c->y.out;
    level->spans = AGATE_NEW(c->e->scratch, agate_conv_span);
    level->span_count = 1;
    level->spans->run = (agate_run){.count = level->tile_count, .width = 1};
}

/* Blocks of output channels; a tile stays within a group, and within a part. */
static void cut_channels(agate_conv *c, agate_conv_level *level)
{
    level->spans = AGATE_NEW_N(c->e->scratch, agate_conv_span, 2 * c->part_count);
    for (int32_t p = 0; p < c->part_count; p++) {
        int64_t start = c->parts[p].start / c->lanes, blocks = agate_ceil_div(c->parts[p].channels, c->lanes);
        agate_run runs[2];
        int32_t run_count = agate_runs_balance(blocks, c->vectors, runs);
        for (int32_t i = 0; i < run_count; i++) {
            runs[i].first += level->tile_count;
            runs[i].start += start;
            level->spans[level->span_count++] = (agate_conv_span){.run = runs[i], .part = p};
        }
        level->tile_count += agate_ceil_div(blocks, c->vectors);
    }
}

agate_conv_axis agate_conv_axis_of(const agate_node *anchor, int32_t spatial)
{
    const agate_type *x = &anchor->operands[0]->type, *w = &anchor->operands[1]->type,
                     *y = &anchor->results[0].type;
    const agate_attrs_conv *attrs = &anchor->attrs.conv;
    return (agate_conv_axis){.in = x->dims[2 + spatial].offset,
                             .out = y->dims[2 + spatial].offset,
                             .taps = w->dims[2 + spatial].offset,
                             .stride = attrs->strides.v[spatial],
                             .dilation = attrs->dilations.v[spatial],
                             .pad = attrs->pads.v[spatial]};
}

static bool is_channel_blocked(const agate_type *type)
{
    return type->layout.kind == AGATE_LAYOUT_channel;
}

/* May a tensor be addressed as if each image were a single row of pixels? */
static bool runs_flat(const agate_type *type, const agate_type *result)
{
    bool spread = true, whole = true;
    for (int32_t i = 2, shift = result->rank - type->rank; i < result->rank; i++) {
        spread &= i < shift || agate_dim_is(type->dims[i - shift], 1);
        whole &= i >= shift && agate_dim_equal(type->dims[i - shift], result->dims[i]);
    }
    return spread || (whole && (is_channel_blocked(type) || type->layout.kind == AGATE_LAYOUT_plain));
}

/* Reads what the operands and results behind the anchor ask for. */
static void note_epilogue(agate_conv *c)
{
    const agate_type *result = &c->anchor->results[0].type;
    const agate_graph *body = c->e->body;
    bool apart = false, plain = false;
    for (int32_t i = 0; i < body->param_count; i++) {
        const agate_value *param = body->params[i];
        if (param == agate_unwidened(c->anchor->operands[0]) ||
            (c->anchor->operand_count > 1 && param == agate_unwidened(c->anchor->operands[1])))
            continue;
        bool is_bias = c->anchor->operand_count > 2 && param == c->anchor->operands[2];
        apart |= !is_bias && !runs_flat(&param->type, result);
        plain |= param->type.layout.kind == AGATE_LAYOUT_plain;
    }
    for (int32_t i = 0; i < c->e->kernel->result_count; i++) {
        const agate_type *type = &c->e->kernel->results[i].type;
        apart |= !runs_flat(type, result);
        plain |= type->layout.kind == AGATE_LAYOUT_plain;
    }
    AGATE_EACH_NODE (node, body)
        apart |= agate_node_info(node)->family == AGATE_FAMILY_move && !agate_changes_blocks(node) &&
                 c->part_count == 1;
    c->apart = apart;
    c->plain = plain;
}

/* Each output pixel is made from the input pixel in its place. */
static bool is_pointwise(const agate_conv_axis *axis)
{
    return axis->taps == 1 && axis->stride == 1 && axis->pad == 0 && axis->in == axis->out;
}

static agate_conv_axis pool_axis(const agate_node *anchor, int32_t spatial)
{
    const agate_attrs_pool *attrs = &anchor->attrs.pool;
    return (agate_conv_axis){.in = anchor->operands[0]->type.dims[2 + spatial].offset,
                             .out = anchor->results[0].type.dims[2 + spatial].offset,
                             .taps = attrs->kernel.v[spatial],
                             .stride = attrs->strides.v[spatial],
                             .dilation = attrs->dilations.v[spatial],
                             .pad = attrs->pads.v[spatial]};
}

/* Spatial dimension `behind` from the last, which is 0. */
static agate_conv_axis axis_of(const agate_node *anchor, int32_t behind)
{
    int32_t spatial = anchor->operands[0]->type.rank - 3 - behind;
    if (spatial < 0)
        return AGATE_NO_AXIS;
    return anchor->op == AGATE_OP_conv ? agate_conv_axis_of(anchor, spatial) : pool_axis(anchor, spatial);
}

static void measure_pool(agate_conv *c)
{
    const agate_type *y = &c->anchor->results[0].type;
    c->columns = c->x.taps;
    c->groups = c->channels = 1;
    c->filters = y->dims[1].offset;
    c->lanes = y->layout.block;
    c->part_count = 1;
    c->parts[0] = (agate_part){&c->anchor->results[0], 0, c->filters};
}

static void measure_conv(agate_conv *c)
{
    const agate_type *w = &c->anchor->operands[1]->type;
    c->groups = c->anchor->attrs.conv.group;
    c->channels = w->dims[1].offset;
    c->filters = w->dims[0].offset;
    c->part_count = agate_conv_parts(c->anchor, c->parts);
    c->lanes = w->layout.block;
    c->columns = w->layout.kind == AGATE_LAYOUT_o_taps ? agate_ceil_div(c->x.taps, 2) : c->x.taps;
}

static agate_tile_products products_of(const agate_node *anchor, const agate_tiles *tiles)
{
    if (anchor->op != AGATE_OP_conv || !agate_is_half(agate_unwidened(anchor->operands[1])))
        return AGATE_PRODUCTS_F32;
    if (anchor->operands[1]->type.layout.kind == AGATE_LAYOUT_o_taps)
        return AGATE_PRODUCTS_TAPS;
    return tiles->dp ? AGATE_PRODUCTS_PAIRS : AGATE_PRODUCTS_WIDENED;
}

void agate_conv_measure(agate_conv *c, const agate_node *kernel, const agate_node *anchor,
                        const agate_tiles *tiles, bool by_lane)
{
    const agate_type *x = &anchor->operands[0]->type;
    c->kernel = kernel;
    c->anchor = anchor;
    c->tiles = *tiles;
    c->x = axis_of(anchor, 0);
    c->y = axis_of(anchor, 1);
    c->z = axis_of(anchor, 2);
    c->height = c->y.out;
    if (anchor->op == AGATE_OP_conv)
        measure_conv(c);
    else
        measure_pool(c);
    c->image_stride = agate_emit_image_stride(&agate_unwidened(anchor->operands[0])->type);
    c->block = is_channel_blocked(x) ? c->lanes : 1;
    c->dtype = (agate_dtype)agate_unwidened(anchor->operands[0])->type.dtype;
    c->products = products_of(anchor, tiles);
    c->paired = c->products == AGATE_PRODUCTS_PAIRS || c->products == AGATE_PRODUCTS_WIDENED;
    c->unit = c->paired ? AGATE_F32 : c->dtype;
    if (c->paired) {
        c->image_stride /= 2;
        c->channels /= 2;
        c->block /= 2;
    }
    c->unroll = (int32_t)agate_max(1, agate_min(tiles->ic, c->block));
    c->flat =
        tiles->flat && c->block > 1 && is_pointwise(&c->x) && is_pointwise(&c->y) && is_pointwise(&c->z);
    assert(c->x.taps <= AGATE_MAX_STATIC_TAPS && (!is_channel_blocked(x) || x->layout.block == c->lanes));
    c->image_width = c->x.out;
    if (c->flat) {
        c->x.in = c->x.out = c->z.out * c->y.out * c->x.out;
        c->y = c->z = AGATE_NO_AXIS;
    }
    c->plane = c->z.in * c->y.in;
    c->by_pixels = c->z.out * c->y.out == 1;
    if (by_lane) /* a tile is one vector, and cuts no group */
        c->groups = 1;
    c->ahead = (int32_t)agate_min(tiles->ahead, MAX_AHEAD);
    agate_tile_clamp(by_lane ? 1 : tiles->oc, tiles->ow, &c->vectors, &c->pixels);
    while (c->groups > 1 && agate_ceil_div(c->filters, c->lanes) / c->groups % c->vectors)
        c->vectors--;
}

/* The one convolution or pool of a kernel. */
static void measure(agate_conv *c, const agate_node *kernel)
{
    bool by_lane = kernel->strategy != AGATE_STRATEGY_direct_conv;
    agate_conv_measure(c, kernel, agate_emit_anchor_of(kernel), &kernel->tiles, by_lane);
}

/* How many rows (where there is one: tiles of pixels), and channel tiles, one task computes; 0 is all. */
static int64_t per_task(int32_t tile, int64_t all)
{
    return tile > 0 ? agate_min(tile, all) : all;
}

/* The grid of tasks of an image: bands of rows (or of pixels) and groups of channel tiles, and what each
 * holds. */
typedef struct task_grid {
    int64_t band, bands; /* tiles in one, how many */
    int64_t group, groups;
} task_grid;

static task_grid cut_tasks(const agate_conv *c)
{
    const agate_tiles *tiles = &c->tiles;
    int64_t rows = c->z.out * c->y.out;
    int64_t banded = agate_max(1, c->by_pixels ? agate_ceil_div(c->x.out, c->pixels) : rows);
    int64_t channel_tiles = 0;
    for (int32_t p = 0; p < c->part_count; p++)
        channel_tiles += agate_ceil_div(agate_ceil_div(c->parts[p].channels, c->lanes), c->vectors);
    channel_tiles = agate_max(1, channel_tiles);
    task_grid grid = {.band = per_task(tiles->oh, banded), .group = per_task(tiles->ocs, channel_tiles)};
    grid.bands = agate_ceil_div(banded, grid.band);
    grid.groups = agate_ceil_div(channel_tiles, grid.group);
    return grid;
}

agate_dim agate_conv_tasks(const agate_node *kernel)
{
    agate_conv c = {0};
    measure(&c, kernel);
    task_grid grid = cut_tasks(&c);
    return agate_dim_times(c.anchor->results[0].type.dims[0], grid.bands * grid.groups);
}

void agate_conv_open(agate_conv *c, agate_emitter *e, void (*emit_tile)(agate_conv *c))
{
    const agate_value *input = agate_unwidened(c->anchor->operands[0]);
    c->e = e;
    c->emit_tile = emit_tile;
    c->input = input->node ? NULL : e->params[input->index];
    note_epilogue(c);
    cut_channels(c, &c->channel);
    cut_pixels(c, &c->pixel);
    cut_rows(c, &c->row);
}

/* ---- what tiles share --------------------------------------------------------------------------------- */

static const agate_part *part_of(const agate_conv *c)
{
    return &c->parts[c->channel.span->part];
}

/* Coordinates in the convolution's result of vector `vector` of point `point`. */
static agate_coords point_coords(agate_conv *c, const agate_tile *tile, int32_t point, int32_t vector)
{
    agate_emitter *e = c->e;
    agate_coords at = agate_coords_make(e, c->anchor->results[0].type.rank);
    LLVMValueRef block = agate_emit_add(e, c->channel.at, agate_emit_int(e, vector));
    LLVMValueRef row = c->row.at;
    LLVMValueRef pixel = agate_emit_add(e, c->pixel.at, agate_emit_int(e, point));
    /* A dimension of 1 broadcasts: no coordinate counts there. */
    if (c->flat && (c->apart || c->image_width == 1))
        agate_emit_divide(e, pixel, c->image_width, &row, &pixel);
    at.vector = 1;
    at.lanes = c->lanes;
    at.at[0] = c->image;
    at.at[1] = agate_emit_mul(e, block, c->lanes);
    at.at[at.rank - 1] = pixel;
    if (at.rank == 5 && (!c->flat || c->apart))
        agate_emit_divide(e, row, c->height, &at.at[2], &at.at[3]);
    else
        for (int32_t i = 2; i < at.rank - 1; i++)
            at.at[i] = row;
    const agate_part *part = part_of(c);
    if (c->plain && part->channels % c->lanes && vector == tile->vectors - 1)
        at.live = agate_emit_live(e, at.at[1], agate_emit_int(e, part->start + part->channels), c->lanes);
    return at;
}

void agate_conv_start(agate_conv *c, agate_tile *tile)
{
    for (int32_t i = 0; i < tile->points * tile->vectors; i++)
        tile->sums[i] = agate_emit_float(c->e, 0, c->lanes);
}

/* The bias at vector `vector`; NULL where there is none. */
static LLVMValueRef load_bias(agate_conv *c, const agate_tile *tile, int32_t vector)
{
    agate_coords at = point_coords(c, tile, 0, vector);
    return agate_emit_bias(c->e, c->anchor, at.at[1], at.lanes, at.live);
}

/* The bias comes last: a sum that began with it would be rounded to its size at every step. */
void agate_conv_finish(agate_conv *c, const agate_tile *tile)
{
    const agate_part *part = part_of(c);
    c->e->part = c->part_count > 1 ? part->value->node : NULL;
    for (int32_t j = 0; j < tile->vectors; j++) {
        LLVMValueRef bias = load_bias(c, tile, j);
        for (int32_t i = 0; i < tile->points; i++) {
            agate_coords at = point_coords(c, tile, i, j);
            LLVMValueRef sum = tile->sums[i * tile->vectors + j];
            at.at[1] = agate_emit_add(c->e, at.at[1], agate_emit_int(c->e, -part->start));
            agate_tile_finish(c->e, part->value, bias ? LLVMBuildFAdd(c->e->builder, sum, bias, "") : sum,
                              at);
        }
    }
}

static int64_t row_size(const agate_conv *c)
{
    return c->x.in * c->block;
}

static bool has_planes(const agate_conv *c)
{
    return c->z.out > 1 || !is_pointwise(&c->z);
}

void agate_conv_place(agate_conv *c, LLVMValueRef *out_plane, LLVMValueRef *out_row)
{
    *out_plane = agate_emit_int(c->e, 0);
    *out_row = c->row.at;
    if (has_planes(c))
        agate_emit_divide(c->e, c->row.at, c->y.out, out_plane, out_row);
}

/* Taps of an axis that meet the image at element `at` of the result. */
static agate_conv_range reach_along(agate_emitter *e, const agate_conv_axis *axis, LLVMValueRef at)
{
    int64_t end = (axis->out - 1) * axis->stride + (axis->taps - 1) * axis->dilation - axis->pad;
    if (axis->pad == 0 && end < axis->in)
        return (agate_conv_range){agate_emit_int(e, 0), agate_emit_int(e, axis->taps)};
    agate_taps taps = agate_emit_taps(e, at, axis->taps, axis->stride, axis->dilation, axis->pad,
                                      agate_emit_int(e, 0), agate_emit_int(e, axis->in));
    return (agate_conv_range){taps.lo, taps.hi};
}

agate_conv_reach agate_conv_reach_of(agate_conv *c)
{
    LLVMValueRef plane, row;
    agate_conv_place(c, &plane, &row);
    agate_conv_range y = reach_along(c->e, &c->y, row);
    return (agate_conv_reach){.z = reach_along(c->e, &c->z, plane), .y = y};
}

LLVMValueRef agate_conv_row(agate_conv *c, LLVMValueRef inputs)
{
    int64_t row = row_size(c), plane = c->y.in * row;
    LLVMValueRef z, y;
    if (c->ring)
        return inputs;
    agate_conv_place(c, &z, &y);
    if (has_planes(c))
        inputs = agate_tile_advance(c->e, c->unit, inputs, z, c->z.stride * plane, -c->z.pad * plane);
    return agate_tile_advance(c->e, c->unit, inputs, y, c->y.stride * row, -c->y.pad * row);
}

/* `inputs`, at the row that kernel row 0 reads, moved on to what kernel row `tap` of the plane reads. */
static LLVMValueRef at_tap(agate_conv *c, LLVMValueRef inputs, LLVMValueRef tap)
{
    agate_emitter *e = c->e;
    if (!c->ring)
        return agate_tile_advance(e, c->unit, inputs, tap, c->y.dilation * row_size(c), 0);
    if (c->ring == 1)
        return inputs;
    LLVMValueRef row =
        agate_emit_add(e, agate_emit_mul(e, c->row.at, c->y.stride), agate_emit_mul(e, tap, c->y.dilation));
    row = agate_emit_add(e, row, agate_emit_int(e, -c->y.pad));
    row = LLVMBuildURem(e->builder, row, agate_emit_int(e, c->ring), "");
    return agate_tile_advance(e, c->unit, inputs, row, row_size(c), 0);
}

agate_kernel_rows agate_kernel_rows_begin(agate_conv *c, agate_tile *tile, const agate_conv_reach *reach,
                                          LLVMValueRef inputs)
{
    agate_emitter *e = c->e;
    agate_kernel_rows rows = {0};
    if (has_planes(c)) {
        rows.z = agate_tile_loop_begin(e, tile, reach->z.lo, reach->z.hi, 1);
        inputs =
            agate_tile_advance(e, c->unit, inputs, rows.z.index, c->z.dilation * c->y.in * row_size(c), 0);
    }
    rows.y = agate_tile_loop_begin(e, tile, reach->y.lo, reach->y.hi, 1);
    rows.number = rows.y.index;
    if (has_planes(c))
        rows.number = agate_emit_add(e, agate_emit_mul(e, rows.z.index, c->y.taps), rows.number);
    rows.inputs = at_tap(c, inputs, rows.y.index);
    return rows;
}

void agate_kernel_rows_end(agate_conv *c, agate_tile *tile, agate_kernel_rows *rows)
{
    agate_tile_loop_end(c->e, tile, &rows->y);
    if (has_planes(c))
        agate_tile_loop_end(c->e, tile, &rows->z);
}

LLVMValueRef agate_conv_load(const agate_conv *c, LLVMValueRef address, int64_t count)
{
    agate_emitter *e = c->e;
    LLVMValueRef input =
        LLVMBuildLoad2(e->builder, agate_emit_type(e, c->unit, (int32_t)count), address, "x");
    LLVMSetAlignment(input, (unsigned)count * (unsigned)agate_dtype_size(c->unit));
    return agate_emit_cast(e, c->unit, AGATE_F32, input);
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

static void walk(agate_conv *c, agate_conv_level *const *levels, int32_t count)
{
    agate_emitter *e = c->e;
    if (count == 0) {
        c->emit_tile(c);
        return;
    }
    agate_conv_level *level = levels[0];
    for (int32_t i = 0; i < level->span_count; i++) {
        const agate_run *run = &level->spans[i].run;
        LLVMValueRef first = agate_emit_int(e, run->first);
        LLVMValueRef lo = agate_emit_max(e, level->lo, first);
        LLVMValueRef hi = agate_emit_min(e, level->hi, agate_emit_int(e, run->first + run->count));
        agate_tile none = {0};
        agate_loop loop = agate_tile_loop_begin(e, &none, lo, hi, 1);
        LLVMValueRef tiles = agate_emit_sub(e, loop.index, first);
        level->span = &level->spans[i];
        level->tile = loop.index;
        level->at = agate_emit_add(e, agate_emit_mul(e, tiles, run->width), agate_emit_int(e, run->start));
        walk(c, levels + 1, count - 1);
        agate_tile_loop_end(e, &none, &loop);
    }
}

/* Task `number` of a level cut into tasks of `each` tiles. */
void agate_conv_clip(agate_conv *c, agate_conv_level *level, LLVMValueRef number, int64_t each)
{
    agate_emitter *e = c->e;
    if (each >= level->tile_count) {
        level->lo = agate_emit_int(e, 0);
        level->hi = agate_emit_int(e, level->tile_count);
        return;
    }
    level->lo = agate_emit_mul(e, number, each);
    level->hi = agate_emit_min(e, agate_emit_add(e, level->lo, agate_emit_int(e, each)),
                               agate_emit_int(e, level->tile_count));
}

void agate_conv_walk_pixels(agate_conv *c, void (*emit_tile)(agate_conv *c))
{
    agate_conv_level *levels[] = {&c->row, &c->pixel};
    void (*emit_outer)(agate_conv *) = c->emit_tile;
    c->emit_tile = emit_tile;
    walk(c, levels, 2);
    c->emit_tile = emit_outer;
}

void agate_conv_walk(agate_conv *c)
{
    agate_conv_level *channels_outside[] = {&c->channel, &c->row, &c->pixel};
    agate_conv_level *pixels_outside[] = {&c->row, &c->pixel, &c->channel};
    bool by_parts = c->totals != NULL; /* channels_outside, of which agate_conv_channels walks the rest */
    walk(c, c->tiles.order == 1 ? pixels_outside : channels_outside, by_parts ? 1 : 3);
}

void agate_conv_emit(agate_emitter *e, void (*emit_tile)(agate_conv *c))
{
    agate_conv c = {0};
    measure(&c, e->kernel);
    agate_conv_open(&c, e, emit_tile);
    task_grid grid = cut_tasks(&c);
    agate_conv_level *banded = c.by_pixels ? &c.pixel : &c.row, *whole = c.by_pixels ? &c.row : &c.pixel;
    if (emit_tile == agate_conv_tile && agate_conv_by_parts(&c, grid.band)) {
        agate_conv_keep_totals(&c, grid.band);
        c.emit_tile = agate_conv_channels;
    }

    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef digits[3];
    LLVMValueRef extents[3] = {NULL, agate_emit_int(e, grid.bands), agate_emit_int(e, grid.groups)};
    agate_emit_digits(e, tasks.index, extents, 3, digits);
    c.image = digits[0];
    agate_conv_clip(&c, banded, digits[1], grid.band);
    agate_conv_clip(&c, whole, agate_emit_int(e, 0), whole->tile_count);
    agate_conv_clip(&c, &c.channel, digits[2], grid.group);
    agate_conv_walk(&c);
    agate_loop_end(e, &tasks, NULL);
}

void agate_emit_direct_conv(agate_emitter *e)
{
    agate_conv_emit(e, agate_conv_tile);
}

agate_dim agate_tasks_direct_conv(const agate_node *kernel)
{
    return agate_conv_tasks(kernel);
}
