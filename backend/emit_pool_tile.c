/* emit_pool_tile.c: one register tile of a pool in blocked layout, as emit_depthwise.c has one of a
 * convolution: vectors of channels, a row's pixels side by side, each input vector loaded once for all
 * windows of the row that cover it.
 *
 * A window's elements are joined by rows, then by columns, those outside the image left out: as emit_inner.c
 * does it. Windows that lie one element apart share what they have: there each column is joined first, once
 * for all of them. */
#include "backend/emit_conv.h"
#include "backend/emit_parts.h"

/* How far a window reaches beyond its first column where columns are shared, which take a register each. The
 * choice does not depend on the tile, so neither do the bits. */
#define SHARED_REACH 14

static bool meets(const agate_conv *c, int32_t point, int64_t tap, int64_t column)
{
    return point * c->x.stride + tap * c->x.dilation == column && (c->pixel.span->live[tap] >> point & 1);
}

static LLVMValueRef load_column(agate_conv *c, LLVMValueRef inputs, int64_t column)
{
    agate_emitter *e = c->e;
    return agate_conv_load(c, agate_tile_advance(e, c->unit, inputs, NULL, 0, column * c->lanes), c->lanes);
}

static void join(agate_conv *c, LLVMValueRef *sum, LLVMValueRef value)
{
    *sum = agate_emit_join(c->e, c->anchor->op, AGATE_F32, *sum, value);
}

/* Column `column` of the tile's inputs joins the points whose windows cover it. */
static void join_column(agate_conv *c, agate_tile *tile, LLVMValueRef inputs, int64_t column)
{
    LLVMValueRef input = NULL;
    for (int32_t i = 0; i < tile->points; i++)
        for (int64_t kw = 0; kw < c->x.taps; kw++) {
            if (!meets(c, i, kw, column))
                continue;
            if (!input)
                input = load_column(c, inputs, column);
            join(c, &tile->sums[i], input);
        }
}

static bool is_met(const agate_conv *c, int32_t points, int64_t column)
{
    for (int32_t i = 0; i < points; i++)
        for (int64_t kw = 0; kw < c->x.taps; kw++)
            if (meets(c, i, kw, column))
                return true;
    return false;
}

/* What the columns of the tile's inputs became makes what its points are. */
static void join_points(agate_conv *c, agate_tile *tile, const agate_tile *columns)
{
    for (int32_t i = 0; i < tile->points; i++)
        for (int64_t kw = 0; kw < c->x.taps; kw++) {
            int64_t column = i + kw * c->x.dilation;
            if (meets(c, i, kw, column))
                join(c, &tile->sums[i], columns->sums[column]);
        }
}

/* Does no window reach beyond `behind` pads behind the last element (rounding sizes up, some do)? */
static bool all_within(const agate_conv_axis *axis, int64_t behind)
{
    int64_t end = (axis->out - 1) * axis->stride - axis->pad + (axis->taps - 1) * axis->dilation + 1;
    return end <= axis->in + behind;
}

/* Elements of a window along axis `spatial` of the image at element `at` of the result: those that lie in the
 * input, or, if pads count, in the padded one. */
static LLVMValueRef count_along(agate_conv *c, const agate_conv_axis *axis, agate_conv_range reach,
                                int32_t spatial, LLVMValueRef at)
{
    agate_emitter *e = c->e;
    const agate_attrs_pool *attrs = &c->anchor->attrs.pool;
    if (!attrs->count_pads)
        return agate_emit_sub(e, reach.hi, reach.lo);
    int64_t behind = spatial < 0 ? 0 : attrs->pads.v[attrs->kernel.count + spatial];
    if (all_within(axis, behind))
        return agate_emit_int(e, axis->taps);
    agate_taps taps = agate_emit_taps(e, at, axis->taps, axis->stride, axis->dilation, axis->pad,
                                      agate_emit_int(e, -axis->pad), agate_emit_int(e, axis->in + behind));
    return agate_emit_sub(e, taps.hi, taps.lo);
}

static LLVMValueRef count_columns(agate_conv *c, int32_t point)
{
    agate_emitter *e = c->e;
    int64_t live = 0;
    if (c->anchor->attrs.pool.count_pads)
        return count_along(c, &c->x, (agate_conv_range){0}, c->anchor->attrs.pool.kernel.count - 1,
                           agate_emit_add(e, c->pixel.at, agate_emit_int(e, point)));
    for (int64_t kw = 0; kw < c->x.taps; kw++)
        live += c->pixel.span->live[kw] >> point & 1;
    return agate_emit_int(e, live);
}

/* Elements of the window in front of its columns: rows, times planes. */
static LLVMValueRef count_rows(agate_conv *c, const agate_conv_reach *reach)
{
    agate_emitter *e = c->e;
    int32_t spatial = c->anchor->attrs.pool.kernel.count;
    LLVMValueRef none = agate_emit_int(e, 0), plane, row;
    agate_conv_place(c, &plane, &row);
    LLVMValueRef rows = agate_emit_max(e, none, count_along(c, &c->y, reach->y, spatial - 2, row));
    if (spatial < 3)
        return rows;
    LLVMValueRef planes = agate_emit_max(e, none, count_along(c, &c->z, reach->z, spatial - 3, plane));
    return LLVMBuildMul(e->builder, planes, rows, "");
}

/* The sums divided by how many elements each has. */
static void average(agate_conv *c, agate_tile *tile, const agate_conv_reach *reach)
{
    agate_emitter *e = c->e;
    LLVMValueRef none = agate_emit_int(e, 0), rows = count_rows(c, reach);
    for (int32_t i = 0; i < tile->points; i++) {
        LLVMValueRef columns = agate_emit_max(e, none, count_columns(c, i));
        tile->sums[i] =
            agate_emit_average(e, AGATE_F32, tile->sums[i], LLVMBuildMul(e->builder, rows, columns, ""));
    }
}

void agate_pool_tile(agate_conv *c)
{
    agate_emitter *e = c->e;
    agate_tile tile = {.lanes = c->lanes, .vectors = 1, .points = (int32_t)c->pixel.span->run.width};
    LLVMValueRef inputs = agate_tile_advance(e, c->unit, c->input, c->image, c->image_stride, 0);
    inputs = agate_tile_advance(e, c->unit, inputs, c->channel.at, c->plane * c->x.in * c->lanes, 0);
    inputs = agate_conv_row(c, inputs);
    inputs =
        agate_tile_advance(e, c->unit, inputs, c->pixel.at, c->x.stride * c->lanes, -c->x.pad * c->lanes);

    for (int32_t i = 0; i < tile.points; i++)
        tile.sums[i] = agate_emit_neutral(e, c->anchor->op, AGATE_F32, c->lanes);
    agate_conv_reach reach = agate_conv_reach_of(c);
    int64_t columns = (tile.points - 1) * c->x.stride + (c->x.taps - 1) * c->x.dilation + 1;
    bool shared = c->x.stride == 1 && (c->x.taps - 1) * c->x.dilation <= SHARED_REACH;
    agate_tile sums = {.lanes = c->lanes, .vectors = 1, .points = shared ? (int32_t)columns : tile.points};
    for (int32_t i = 0; i < sums.points; i++)
        sums.sums[i] = tile.sums[0];
    agate_kernel_rows rows = agate_kernel_rows_begin(c, &sums, &reach, inputs);
    for (int64_t column = 0; column < columns; column++)
        if (!shared)
            join_column(c, &sums, rows.inputs, column);
        else if (is_met(c, tile.points, column))
            join(c, &sums.sums[column], load_column(c, rows.inputs, column));
    agate_kernel_rows_end(c, &sums, &rows);
    if (shared)
        join_points(c, &tile, &sums);
    else
        tile = sums;
    if (c->anchor->op == AGATE_OP_avg_pool)
        average(c, &tile, &reach);
    agate_conv_finish(c, &tile);
}
