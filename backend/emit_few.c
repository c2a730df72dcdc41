/* emit_few.c: strategy few_filters: a dense convolution to so few channels that vectors of them would be
 * mostly pads, as at the end of networks that make images. Rows are plain, and vectors run along their pixels.
 *
 *     tasks      image, band of rows
 *     in a task  loops over rows, then tiles of `vectors` vectors of pixels, each of all filters
 *
 * The register tile is that of other convolutions with the roles exchanged: what it loads by vectors are
 * pixels, and what it spreads over their lanes is one weight of each filter. A sum runs over input channels,
 * kernel rows, kernel columns; some `kc` products of it make a part (emit_tile.h). Tiles that lie in the image
 * with all of their taps are computed apart from those at its edges, where lanes whose tap lies outside leave
 * their sum as it is. */
#include "backend/emit_conv.h"
#include "backend/llvm_shim.h"

typedef struct few {
    agate_conv conv; /* the axes, and where the loops stand: image, row.at, pixel.at */
    int32_t lanes, vectors;
    int64_t taps;         /* of a filter in one input channel */
    int64_t band, bands;  /* rows of a task, how many tasks an image has */
    LLVMValueRef weights; /* plain: [filters][channels][taps] */
    bool edge;            /* lanes may lie outside the image, and so may their taps */
} few;

static void measure(few *f, const agate_node *kernel)
{
    const agate_tiles *tiles = &kernel->tiles;
    agate_conv *c = &f->conv;
    agate_conv_measure(c, kernel, agate_emit_anchor_of(kernel), tiles, true);
    int64_t rows = agate_max(1, c->z.out * c->y.out), filters = agate_max(1, c->filters);
    f->lanes = (int32_t)agate_max(1, tiles->v);
    f->vectors = (int32_t)agate_max(1, agate_min(agate_ceil_div(tiles->ow, f->lanes), AGATE_MAX_VECTORS));
    f->vectors = (int32_t)agate_max(1, agate_min(f->vectors, AGATE_MAX_CARRIED / filters));
    f->taps = agate_kernel_row_count(c) * c->x.taps;
    f->band = tiles->oh > 0 ? agate_min(tiles->oh, rows) : rows;
    f->bands = agate_ceil_div(rows, f->band);
}

/* Kernel column `column` behind `row` and `weights`, in lanes that may lie outside the image. */
static void edge_step(few *f, agate_tile *tile, LLVMValueRef row, LLVMValueRef weights, int64_t column)
{
    const agate_conv_axis *x = &f->conv.x;
    agate_emitter *e = f->conv.e;
    LLVMTypeRef type = agate_emit_type(e, AGATE_F32, f->lanes);
    LLVMValueRef extent = agate_emit_splat(e, agate_emit_int(e, x->in), f->lanes);
    LLVMValueRef live[AGATE_MAX_VECTORS], pixels[AGATE_MAX_VECTORS];
    for (int32_t j = 0; j < f->vectors; j++) {
        int64_t offset = column * x->dilation + j * f->lanes;
        LLVMValueRef at = agate_emit_add(e, f->conv.pixel.at, agate_emit_int(e, offset - x->pad));
        at = agate_emit_add(e, agate_emit_splat(e, at, f->lanes), agate_emit_iota(e, f->lanes));
        live[j] = LLVMBuildICmp(e->builder, LLVMIntULT, at, extent, "");
        pixels[j] = agate_llvm_masked_load(e->module, e->builder, type,
                                           agate_emit_advance(e, row, NULL, 0, offset), 4, live[j]);
    }
    for (int32_t i = 0; i < tile->points; i++) {
        LLVMValueRef address = agate_emit_advance(e, weights, NULL, 0, column + tile->point_at[i]);
        LLVMValueRef weight = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, 1), address, "w");
        LLVMValueRef *sums = tile->sums + i * f->vectors;
        weight = agate_emit_splat(e, weight, f->lanes);
        for (int32_t j = 0; j < f->vectors; j++) {
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
    if (f->edge) {
        at.live = agate_emit_live(e, at.at[at.vector], agate_emit_int(e, c->x.out), f->lanes);
        at.guarded = true;
    }
    return at;
}

static void finish(few *f, const agate_tile *tile)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    for (int32_t i = 0; i < tile->points; i++) {
        LLVMValueRef bias = agate_emit_bias(e, c->anchor, agate_emit_int(e, i), 1, NULL);
        for (int32_t j = 0; j < f->vectors; j++) {
            agate_coords at = coords_of(f, i, j);
            LLVMValueRef sum = tile->sums[i * f->vectors + j];
            if (bias)
                sum = LLVMBuildFAdd(e->builder, sum, agate_emit_splat(e, bias, f->lanes), "");
            agate_emit_bind(e, &c->anchor->results[0], sum);
            agate_emit_finish(e, &at);
        }
    }
}

/* The tile at which the loops stand. */
static void emit_tile(few *f, bool edge)
{
    agate_conv *c = &f->conv;
    agate_emitter *e = c->e;
    agate_tile tile = {.products = AGATE_PRODUCTS_F32,
                       .dtype = AGATE_F32,
                       .lanes = f->lanes,
                       .vectors = f->vectors,
                       .points = (int32_t)c->filters,
                       .vector_stride = f->lanes,
                       .align_bytes = 4};
    f->edge = edge;
    for (int32_t i = 0; i < tile.points; i++)
        tile.point_at[i] = i * c->channels * f->taps;
    for (int32_t i = 0; i < tile.points * tile.vectors; i++)
        tile.sums[i] = agate_emit_float(e, 0, f->lanes);
    LLVMValueRef inputs = agate_emit_advance(e, c->input, c->image, c->image_stride, 0);
    inputs = agate_conv_row(c, inputs);
    inputs = agate_emit_advance(e, inputs, c->pixel.at, 1, -c->x.pad);

    int64_t most = c->tiles.kc > 0 ? agate_max(1, (c->tiles.kc + f->taps / 2) / f->taps) : 0;
    agate_tile_parts parts = agate_tile_parts_begin(e, &tile, c->channels, most);
    sum_channels(f, &tile, inputs, parts.lo, parts.hi);
    agate_tile_parts_end(e, &tile, &parts);
    finish(f, &tile);
}

/* i1: does the tile at `at` lie in the image, with all of its taps? */
static LLVMValueRef is_inside(few *f, LLVMValueRef at)
{
    const agate_conv_axis *x = &f->conv.x;
    agate_emitter *e = f->conv.e;
    int64_t width = f->vectors * f->lanes, reach = (x->taps - 1) * x->dilation - x->pad;
    int64_t last = agate_min(x->out, x->in - reach) - width;
    LLVMValueRef front = LLVMBuildICmp(e->builder, LLVMIntSGE, at, agate_emit_int(e, x->pad), "");
    LLVMValueRef behind = LLVMBuildICmp(e->builder, LLVMIntSLE, at, agate_emit_int(e, last), "");
    return LLVMBuildAnd(e->builder, front, behind, "");
}

void agate_emit_few_filters(agate_emitter *e)
{
    few f = {0};
    agate_conv *c = &f.conv;
    measure(&f, e->kernel);
    c->e = e;
    c->input = e->params[c->anchor->operands[0]->index];
    f.weights = e->params[c->anchor->operands[1]->index];
    int64_t width = f.vectors * f.lanes;

    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef digits[2], extents[2] = {NULL, agate_emit_int(e, f.bands)};
    agate_emit_digits(e, tasks.index, extents, 2, digits);
    c->image = digits[0];
    LLVMValueRef lo = agate_emit_mul(e, digits[1], f.band);
    LLVMValueRef hi = agate_emit_min(e, agate_emit_add(e, lo, agate_emit_int(e, f.band)),
                                     agate_emit_int(e, c->z.out * c->y.out));
    agate_loop rows = agate_loop_begin(e, lo, hi, 1, NULL, 0);
    c->row.at = rows.index;
    agate_loop tiles = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, c->x.out), width, NULL, 0);
    c->pixel.at = tiles.index;
    LLVMValueRef inside = is_inside(&f, tiles.index);
    agate_branch whole = agate_branch_begin(e, inside);
    emit_tile(&f, false);
    agate_branch_end(e, &whole, NULL, NULL);
    agate_branch cut = agate_branch_begin(e, LLVMBuildNot(e->builder, inside, ""));
    emit_tile(&f, true);
    agate_branch_end(e, &cut, NULL, NULL);
    agate_loop_end(e, &tiles, NULL);
    agate_loop_end(e, &rows, NULL);
    agate_loop_end(e, &tasks, NULL);
}

agate_dim agate_tasks_few_filters(const agate_node *kernel)
{
    few f = {0};
    measure(&f, kernel);
    return agate_dim_times(f.conv.anchor->results[0].type.dims[0], f.bands);
}
