/* emit_depthwise.c: strategy depthwise: one filter per channel. Channels are vectors, and so are weights and
 * inputs.
 *
 * In each kernel row the tile's weights stay in registers; each input vector is loaded once and goes to every
 * point whose window covers it. A sum runs over kernel rows, then kernel columns, taps outside the image left
 * out. */
#include "backend/emit_conv.h"

/* Column `column` of the tile's inputs: the taps that the points have there. Ascending columns are ascending
 * taps. */
static void sum_column(agate_conv *c, agate_tile *tile, const LLVMValueRef *weights, LLVMValueRef inputs,
                       int64_t column)
{
    agate_emitter *e = c->e;
    LLVMValueRef input = NULL;
    for (int32_t i = 0; i < tile->points; i++)
        for (int64_t kw = 0; kw < c->x.taps; kw++) {
            if (i * c->x.stride + kw * c->x.dilation != column || !(c->pixel.span->live[kw] >> i & 1))
                continue;
            if (!input) {
                LLVMValueRef address = agate_tile_advance(e, c->unit, inputs, NULL, 0, column * c->lanes);
                input = agate_conv_load(c, address, c->lanes);
            }
            tile->sums[i] = agate_emit_fma(e, input, weights[kw], tile->sums[i]);
        }
}

void agate_depthwise_tile(agate_conv *c)
{
    agate_emitter *e = c->e;
    int64_t row = c->x.in * c->lanes;
    agate_tile tile = {.lanes = c->lanes, .vectors = 1, .points = (int32_t)c->pixel.span->run.width};
    LLVMValueRef weights = e->params[c->anchor->operands[1]->index], inputs = c->input;
    weights =
        agate_emit_advance(e, weights, c->channel.at, agate_kernel_row_count(c) * c->x.taps * c->lanes, 0);
    inputs = agate_tile_advance(e, c->unit, inputs, c->image, c->image_stride, 0);
    inputs = agate_tile_advance(e, c->unit, inputs, c->channel.at, c->plane * row, 0);
    inputs = agate_conv_row(c, inputs);
    inputs =
        agate_tile_advance(e, c->unit, inputs, c->pixel.at, c->x.stride * c->lanes, -c->x.pad * c->lanes);

    agate_conv_start(c, &tile);
    agate_conv_reach reach = agate_conv_reach_of(c);
    agate_kernel_rows rows = agate_kernel_rows_begin(c, &tile, &reach, inputs);
    LLVMValueRef row_weights = agate_emit_advance(e, weights, rows.number, c->x.taps * c->lanes, 0);
    LLVMValueRef w[AGATE_MAX_STATIC_TAPS];
    for (int64_t kw = 0; kw < c->x.taps; kw++) {
        LLVMValueRef address = agate_emit_advance(e, row_weights, NULL, 0, kw * c->lanes);
        w[kw] = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, c->lanes), address, "w");
        LLVMSetAlignment(w[kw], (unsigned)c->lanes * 4);
    }
    int64_t columns = (tile.points - 1) * c->x.stride + (c->x.taps - 1) * c->x.dilation + 1;
    for (int64_t column = 0; column < columns; column++)
        sum_column(c, &tile, w, rows.inputs, column);
    agate_kernel_rows_end(c, &tile, &rows);
    agate_conv_finish(c, &tile);
}

void agate_emit_depthwise(agate_emitter *e)
{
    agate_conv_emit(e, agate_depthwise_tile);
}

agate_dim agate_tasks_depthwise(const agate_node *kernel)
{
    return agate_conv_tasks(kernel);
}
