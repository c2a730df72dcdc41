/* emit_few.c: strategy few_filters: a dense convolution to so few channels that vectors of them would be
 * mostly pads, as at the end of networks that make images. Rows are plain; vectors run along their pixels.
 *
 *     tasks      image, band of rows
 *     in a task  loops over parts of the sums, rows, tiles of `vectors` vectors of pixels with all filters
 *
 * The register tile is that of other convolutions with the roles exchanged: what it loads by vectors are
 * pixels, and what it spreads over their lanes is one weight of each filter. A sum runs over input channels,
 * kernel rows, kernel columns; some `kc` products of it make a part (emit_tile.h). A part goes over all
 * pixels of the task before the next: its few input channels stay in the first cache then, where rows of all
 * channels would often share a few sets, since planes lie as far apart as they are large. Each tile at the
 * edges of the image has code of its own, in which lanes whose tap lies outside leave their sum as it is. */
#include "backend/emit_conv.h"
#include "backend/llvm_shim.h"

typedef struct few {
    agate_conv conv; /* the axes, and where the loops stand: image, row.at, pixel.at */
    int32_t lanes, vectors;
    int64_t taps;                  /* of a filter in one input channel */
    int64_t band, bands;           /* rows of a task, how many tasks an image has */
    int64_t tiles;                 /* of a row */
    int64_t part;                  /* input channels of a part of the sums, at most; 0: there is one part */
    LLVMValueRef weights;          /* plain: [filters][channels][taps] */
    LLVMValueRef row_lo, row_hi;   /* of the task */
    LLVMValueRef totals;           /* of the task's tiles; NULL: each tile sums its parts by itself */
    LLVMValueRef part_lo, part_hi; /* input channels that are summed now */
    bool edge;                     /* the tile stands at an edge of the image, */
    int64_t edge_at;               /* at this pixel */
} few;

static void measure(few *f, const agate_node *kernel)
{
    const agate_tiles *tiles = &kernel->tiles;
    agate_conv *c = &f->conv;
    agate_conv_measure(c, kernel, agate_emit_anchor_of(kernel), tiles, true);
    int64_t rows = agate_max(1, c->z.out * c->y.out), filters = agate_max(1, c->filters);
    f->lanes = (int32_t)agate_max(4, tiles->v); /* no machine has shorter vectors */
    f->vectors = (int32_t)agate_max(1, agate_min(agate_ceil_div(tiles->ow, f->lanes), AGATE_MAX_VECTORS));
    f->vectors = (int32_t)agate_max(1, agate_min(f->vectors, AGATE_MAX_CARRIED / filters));
    f->taps = agate_kernel_row_count(c) * c->x.taps;
    f->band = tiles->oh > 0 ? agate_min(tiles->oh, rows) : rows;
    f->bands = agate_ceil_div(rows, f->band);
    f->tiles = agate_ceil_div(c->x.out, f->vectors * f->lanes);
    f->part = tiles->kc > 0 ? agate_max(1, (tiles->kc + f->taps / 2) / f->taps) : 0;
}

/* Does the tile at pixel `at` lie in the image, with all of its taps? */
static bool is_inside(const few *f, int64_t at)
{
    const agate_conv_axis *x = &f->conv.x;
    int64_t width = f->vectors * f->lanes, reach = (x->taps - 1) * x->dilation - x->pad;
    return at >= x->pad && at + width <= agate_min(x->out, x->in - reach);
}

/* Lanes of vector `vector` that lie in the image at kernel column `column` of an edge tile, as bits. */
static uint64_t live_lanes(const few *f, int32_t vector, int64_t column)
{
    const agate_conv_axis *x = &f->conv.x;
    int64_t at = f->edge_at + vector * f->lanes - x->pad + column * x->dilation;
    uint64_t live = 0;
    for (int32_t lane = 0; lane < f->lanes; lane++)
        live |= (uint64_t)(at + lane >= 0 && at + lane < x->in) << lane;
    return live;
}

static LLVMValueRef mask_of(agate_emitter *e, uint64_t live, int32_t lanes)
{
    LLVMTypeRef bit = LLVMInt1TypeInContext(e->context);
    LLVMValueRef bits[64];
    for (int32_t lane = 0; lane < lanes; lane++)
        bits[lane] = LLVMConstInt(bit, live >> lane & 1, 0);
    return LLVMConstVector(bits, (unsigned)lanes);
}

/* Kernel column `column` behind `row` and `weights`, of an edge tile. */
static void edge_step(few *f, agate_tile *tile, LLVMValueRef row, LLVMValueRef weights, int64_t column)
{
    agate_emitter *e = f->conv.e;
    LLVMTypeRef type = agate_emit_type(e, AGATE_F32, f->lanes);
    LLVMValueRef live[AGATE_MAX_VECTORS], pixels[AGATE_MAX_VECTORS];
    for (int32_t j = 0; j < f->vectors; j++) {
        int64_t offset = column * f->conv.x.dilation + j * f->lanes;
        uint64_t lanes = live_lanes(f, j, column);
        live[j] = mask_of(e, lanes, f->lanes);
        pixels[j] = lanes ? agate_llvm_masked_load(e->module, e->builder, type,
                                                   agate_emit_advance(e, row, NULL, 0, offset), 4, live[j])
                          : NULL;
    }
    for (int32_t i = 0; i < tile->points; i++) {
        LLVMValueRef address = agate_emit_advance(e, weights, NULL, 0, column + tile->point_at[i]);
        LLVMValueRef weight = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, 1), address, "w");
        LLVMValueRef *sums = tile->sums + i * f->vectors;
        weight = agate_emit_splat(e, weight, f->lanes);
        for (int32_t j = 0; j < f->vectors; j++) {
            if (!pixels[j])
                continue;
            LLVMValueRef sum = agate_emit_fma(e, pixels[j], weight, sums[j]);
            sums[j] = LLVMBuildSelect(e->builder, live[j], sum, sums[j], "");
        }
        agate_emit_fence(e, sums, f->vectors);
    }
}

/* Input channels lo <= ic < hi of the tile, whose taps in channel 0 begin at `inputs`. */
static void sum_channels(few *f, agate_tile *tile, LLVMValueRef inputs, LLVMValueRef lo, LLVMValueRef hi)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    agate_conv_reach reach = agate_conv_reach_of(c);
    agate_loop ic = agate_tile_loop_begin(e, tile, lo, hi, 1);
    LLVMValueRef weights = agate_emit_advance(e, f->weights, ic.index, f->taps, 0);
    inputs = agate_emit_advance(e, inputs, ic.index, c->plane * c->x.in, 0);
    agate_kernel_rows rows = agate_kernel_rows_begin(c, tile, &reach, inputs);
    weights = agate_emit_opaque(e, agate_emit_advance(e, weights, rows.number, c->x.taps, 0));
    LLVMValueRef row = agate_emit_opaque(e, rows.inputs);
    for (int64_t column = 0; column < c->x.taps; column++)
        if (f->edge)
            edge_step(f, tile, row, weights, column);
        else
            agate_tile_step(e, tile, row, column * c->x.dilation, weights, column, UINT32_MAX);
    agate_kernel_rows_end(c, tile, &rows);
    agate_tile_loop_end(e, tile, &ic);
}

static agate_coords coords_of(few *f, int64_t filter, int32_t vector)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    agate_coords at = agate_coords_make(e, c->anchor->results[0].type.rank);
    LLVMValueRef plane, row;
    agate_conv_place(c, &plane, &row);
    if (at.rank == 5)
        at.at[2] = plane;
    if (at.rank > 3)
        at.at[at.rank - 2] = row;
    at.at[0] = c->image;
    at.at[1] = agate_emit_int(e, filter);
    at.vector = at.rank - 1;
    at.lanes = f->lanes;
    at.at[at.vector] = agate_emit_add(e, c->pixel.at, agate_emit_int(e, vector * f->lanes));
    if (f->edge && f->edge_at + (vector + 1) * f->lanes > c->x.out)
        at.live = agate_emit_live(e, at.at[at.vector], agate_emit_int(e, c->x.out), f->lanes);
    return at;
}

static void finish(few *f, const agate_tile *tile)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    for (int32_t i = 0; i < tile->points; i++) {
        LLVMValueRef bias = agate_emit_bias(e, c->anchor, agate_emit_int(e, i), 1, NULL);
        for (int32_t j = 0; j < f->vectors; j++) {
            if (f->edge && f->edge_at + j * f->lanes >= c->x.out)
                break;
            agate_coords at = coords_of(f, i, j);
            LLVMValueRef sum = tile->sums[i * f->vectors + j];
            if (bias)
                sum = LLVMBuildFAdd(e->builder, sum, agate_emit_splat(e, bias, f->lanes), "");
            agate_emit_bind(e, &c->anchor->results[0], sum);
            agate_emit_finish(e, &at);
        }
    }
}

static agate_tile tile_of(const few *f)
{
    const agate_conv *c = &f->conv;
    agate_tile tile = {.products = AGATE_PRODUCTS_F32,
                       .dtype = AGATE_F32,
                       .lanes = f->lanes,
                       .vectors = f->vectors,
                       .points = (int32_t)c->filters,
                       .vector_stride = f->lanes,
                       .align_bytes = 4};
    for (int32_t i = 0; i < tile.points; i++)
        tile.point_at[i] = i * c->channels * f->taps;
    for (int32_t i = 0; i < tile.points * tile.vectors; i++)
        tile.sums[i] = agate_emit_float(c->e, 0, f->lanes);
    return tile;
}

/* What the taps of the tile at which the loops stand read, from input channel 0 on. */
static LLVMValueRef inputs_of(few *f)
{
    agate_conv *c = &f->conv;
    LLVMValueRef inputs = agate_emit_advance(c->e, c->input, c->image, c->image_stride, 0);
    return agate_emit_advance(c->e, agate_conv_row(c, inputs), c->pixel.at, 1, -c->x.pad);
}

/* The tile, part after part. */
static void emit_tile(few *f)
{
    agate_conv *c = &f->conv;
    agate_tile tile = tile_of(f);
    LLVMValueRef inputs = inputs_of(f);
    agate_tile_parts parts = agate_tile_parts_begin(c->e, &tile, c->channels, f->part);
    sum_channels(f, &tile, inputs, parts.lo, parts.hi);
    agate_tile_parts_end(c->e, &tile, &parts);
    finish(f, &tile);
}

/* ---- parts outside pixels ------------------------------------------------------------------------------ */

/* Where the totals of the tile at which the loops stand are kept. */
static LLVMValueRef totals_at(few *f)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    LLVMValueRef row = agate_emit_sub(e, c->row.at, f->row_lo);
    int64_t tile = c->filters * f->vectors * f->lanes;
    LLVMValueRef totals = agate_emit_advance(e, f->totals, row, f->tiles * tile, 0);
    return agate_emit_advance(e, totals, c->pixel.at, c->filters, 0);
}

static void start_totals(few *f)
{
    agate_tile tile = tile_of(f);
    agate_tile_store(f->conv.e, &tile, totals_at(f));
}

static void add_part(few *f)
{
    agate_emitter *e = f->conv.e;
    agate_tile tile = tile_of(f);
    LLVMValueRef totals = totals_at(f);
    sum_channels(f, &tile, inputs_of(f), f->part_lo, f->part_hi);
    agate_tile_join(e, &tile, totals);
    agate_tile_store(e, &tile, totals);
}

static void finish_totals(few *f)
{
    agate_tile tile = tile_of(f);
    agate_tile_load(f->conv.e, &tile, totals_at(f));
    finish(f, &tile);
}

/* Keeps totals where there are parts, and not too many of them. */
static void keep_totals(few *f)
{
    agate_conv *c = &f->conv;
    int64_t vectors = f->band * f->tiles * f->vectors * c->filters;
    if (f->part > 0 && c->channels > f->part && vectors * f->lanes * 4 <= AGATE_MOST_TOTALS_BYTES)
        f->totals =
            agate_emit_reserve(c->e, agate_emit_type(c->e, AGATE_F32, f->lanes), vectors, f->lanes * 4);
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

static void work_at_edge(few *f, int64_t at, void (*work)(few *f))
{
    f->edge = true;
    f->edge_at = at;
    f->conv.pixel.at = agate_emit_int(f->conv.e, at);
    work(f);
    f->edge = false;
}

/* Does `work` on every tile of the task. */
static void walk(few *f, void (*work)(few *f))
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    int64_t width = f->vectors * f->lanes, at = 0, first;
    agate_loop rows = agate_loop_begin(e, f->row_lo, f->row_hi, 1, NULL, 0);
    c->row.at = rows.index;
    for (; at < c->x.out && !is_inside(f, at); at += width)
        work_at_edge(f, at, work);
    for (first = at; at < c->x.out && is_inside(f, at);)
        at += width;
    if (first < at) {
        agate_loop tiles =
            agate_loop_begin(e, agate_emit_int(e, first), agate_emit_int(e, at), width, NULL, 0);
        c->pixel.at = tiles.index;
        work(f);
        agate_loop_end(e, &tiles, NULL);
    }
    for (; at < c->x.out; at += width)
        work_at_edge(f, at, work);
    agate_loop_end(e, &rows, NULL);
}

/* The same parts in the same order as agate_tile_parts_begin cuts them, so the same bits. */
static void walk_by_parts(few *f)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    int64_t part = agate_tile_even_part(c->channels, f->part);
    LLVMValueRef channels = agate_emit_int(e, c->channels);
    walk(f, start_totals);
    agate_loop parts = agate_loop_begin(e, agate_emit_int(e, 0), channels, part, NULL, 0);
    f->part_lo = parts.index;
    f->part_hi = agate_emit_min(e, agate_emit_add(e, parts.index, agate_emit_int(e, part)), channels);
    walk(f, add_part);
    agate_loop_end(e, &parts, NULL);
    walk(f, finish_totals);
}

void agate_emit_few_filters(agate_emitter *e)
{
    few f = {0};
    agate_conv *c = &f.conv;
    measure(&f, e->kernel);
    c->e = e;
    c->input = e->params[c->anchor->operands[0]->index];
    f.weights = e->params[c->anchor->operands[1]->index];
    keep_totals(&f);

    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef digits[2], extents[2] = {NULL, agate_emit_int(e, f.bands)};
    agate_emit_digits(e, tasks.index, extents, 2, digits);
    c->image = digits[0];
    f.row_lo = agate_emit_mul(e, digits[1], f.band);
    f.row_hi = agate_emit_min(e, agate_emit_add(e, f.row_lo, agate_emit_int(e, f.band)),
                              agate_emit_int(e, c->z.out * c->y.out));
    if (f.totals)
        walk_by_parts(&f);
    else
        walk(&f, emit_tile);
    agate_loop_end(e, &tasks, NULL);
}

agate_dim agate_tasks_few_filters(const agate_node *kernel)
{
    few f = {0};
    measure(&f, kernel);
    return agate_dim_times(f.conv.anchor->results[0].type.dims[0], f.bands);
}
