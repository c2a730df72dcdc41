/* emit_pool_tile.c: one register tile of a pool in blocked layout, as emit_depthwise.c has one of a convolution: vectors of
 * channels, a row's pixels side by side, each input vector loaded once for all windows of the row that cover it.
 *
 * A window's elements are joined by rows, then by columns, those outside the image left out: as emit_inner.c does it. */
#include "backend/emit_conv.h"
#include "backend/emit_parts.h"

static bool meets(const agate_conv *c, int32_t point, int64_t tap, int64_t column)
{
    return point * c->x.stride + tap * c->x.dilation == column && (c->pixel.span->live[tap] >> point & 1);
}

/* Column `column` of the tile's inputs joins the points whose windows cover it. */
static void join_column(agate_conv *c, agate_tile *tile, LLVMValueRef inputs, int64_t column)
{
    agate_emitter *e = c->e;
    LLVMValueRef input = NULL;
    for (int32_t i = 0; i < tile->points; i++)
        for (int64_t kw = 0; kw < c->x.taps; kw++) {
            if (!meets(c, i, kw, column))
                continue;
            if (!input) {
                LLVMValueRef address = agate_emit_advance(e, inputs, NULL, 0, column * c->lanes);
                input = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, c->lanes), address, "x");
                LLVMSetAlignment(input, (unsigned)c->lanes * 4);
            }
            tile->sums[i] = agate_emit_join(e, c->anchor->op, AGATE_F32, tile->sums[i], input);
        }
}

/* Elements of a window in one dimension: of `taps` those that lie in the input, or, if pads count, in the padded one. */
static LLVMValueRef count_rows(agate_conv *c)
{
    agate_emitter *e = c->e;
    const agate_attrs_pool *attrs = &c->anchor->attrs.pool;
    LLVMValueRef lo, hi;
    if (!attrs->count_pads) {
        agate_conv_taps(c, &lo, &hi);
        return agate_emit_sub(e, hi, lo);
    }
    agate_taps taps =
        agate_emit_taps(e, c->row.at, c->y.taps, c->y.stride, c->y.dilation, c->y.pad,
                        agate_emit_int(e, -c->y.pad), agate_emit_int(e, c->y.in + attrs->pads.v[2]));
    return agate_emit_sub(e, taps.hi, taps.lo);
}

static LLVMValueRef count_columns(agate_conv *c, int32_t point)
{
    agate_emitter *e = c->e;
    const agate_attrs_pool *attrs = &c->anchor->attrs.pool;
    LLVMValueRef at = agate_emit_add(e, c->pixel.at, agate_emit_int(e, point));
    int64_t pads = attrs->count_pads ? c->x.pad : 0, behind = attrs->count_pads ? attrs->pads.v[3] : 0;
    agate_taps taps = agate_emit_taps(e, at, c->x.taps, c->x.stride, c->x.dilation, c->x.pad,
                                      agate_emit_int(e, -pads), agate_emit_int(e, c->x.in + behind));
    return agate_emit_sub(e, taps.hi, taps.lo);
}

/* The sums divided by how many elements each has. */
static void average(agate_conv *c, agate_tile *tile)
{
    agate_emitter *e = c->e;
    LLVMValueRef none = agate_emit_int(e, 0), rows = agate_emit_max(e, none, count_rows(c));
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
    LLVMValueRef inputs = agate_emit_advance(e, c->input, c->image, c->image_stride, 0), lo, hi;
    inputs = agate_emit_advance(e, inputs, c->channel.at, c->plane * c->x.in * c->lanes, 0);
    inputs = agate_conv_row(c, inputs);
    inputs = agate_emit_advance(e, inputs, c->pixel.at, c->x.stride * c->lanes, -c->x.pad * c->lanes);

    for (int32_t i = 0; i < tile.points; i++)
        tile.sums[i] = agate_emit_neutral(e, c->anchor->op, AGATE_F32, c->lanes);
    agate_conv_taps(c, &lo, &hi);
    agate_loop kh = agate_tile_loop_begin(e, &tile, lo, hi, 1);
    LLVMValueRef row = agate_conv_tap(c, inputs, kh.index);
    int64_t columns = (tile.points - 1) * c->x.stride + (c->x.taps - 1) * c->x.dilation + 1;
    for (int64_t column = 0; column < columns; column++)
        join_column(c, &tile, row, column);
    agate_tile_loop_end(e, &tile, &kh);
    if (c->anchor->op == AGATE_OP_avg_pool)
        average(c, &tile);
    agate_conv_finish(c, &tile);
}
