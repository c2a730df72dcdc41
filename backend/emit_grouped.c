/* emit_grouped.c: strategy grouped_conv: groups narrower than a vector, so that a vector of outputs holds several.
 *
 *     outputs   o0 o1 o2 o3 | o4 o5 o6 o7        two groups of four in a vector of eight
 *     step i    xi xi xi xi | x4+i .......       each lane meets input i of its own group, at a weight of its own
 *
 * The inputs of a vector's groups lie together in one block; a step loads them and spreads input i of each group over the
 * lanes of that group. Nothing of one group is multiplied into another, so Inf and NaN stay where they are. A sum runs
 * over kernel rows, kernel columns and the inputs of the group, taps outside the image left out. */
#include "backend/emit_conv.h"

static int64_t outputs_of_group(const agate_conv *c)
{
    return c->filters / c->anchor->attrs.conv.group;
}

/* Inputs that a vector of outputs reads. */
static int64_t inputs_of_vector(const agate_conv *c)
{
    return c->lanes / outputs_of_group(c) * c->channels;
}

/* Input `i` of each group at every lane of that group. */
static LLVMValueRef spread(agate_conv *c, LLVMValueRef inputs, int64_t i)
{
    agate_emitter *e = c->e;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef from[c->lanes];

    for (int64_t lane = 0; lane < c->lanes; lane++)
        from[lane] = LLVMConstInt(i32, (uint64_t)(lane / outputs_of_group(c) * c->channels + i), 0);
    return LLVMBuildShuffleVector(e->builder, inputs, LLVMGetPoison(LLVMTypeOf(inputs)),
                                  LLVMConstVector(from, (unsigned)c->lanes), "");
}

static LLVMValueRef load(agate_emitter *e, LLVMValueRef base, int64_t offset, int64_t count)
{
    LLVMValueRef address = agate_emit_advance(e, base, NULL, 0, offset);
    LLVMTypeRef f32 = agate_emit_type(e, AGATE_F32, 1);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, LLVMVectorType(f32, (unsigned)count), address, "");

    LLVMSetAlignment(value, (unsigned)count * 4);
    return value;
}

/* Point `point` of the tile meets tap `kw` of column `column`, and that lies in the image? */
static bool meets(const agate_conv *c, int64_t point, int64_t kw, int64_t column)
{
    return point * c->x.stride + kw * c->x.dilation == column && (c->pixel.span->live[kw] >> point & 1);
}

/* Column `column` of the tile's inputs, for every point and tap that meet there. The fence keeps each column's loads
 * with its multiply-adds. */
static void sum_column(agate_conv *c, agate_tile *tile, LLVMValueRef weights, LLVMValueRef inputs,
                       int64_t column)
{
    agate_emitter *e = c->e;
    int64_t taps = c->y.taps * c->x.taps;
    LLVMValueRef column_inputs = NULL;

    for (int64_t i = 0; i < c->channels; i++) {
        LLVMValueRef input = NULL;
        for (int32_t point = 0; point < tile->points; point++)
            for (int64_t kw = 0; kw < c->x.taps; kw++) {
                if (!meets(c, point, kw, column))
                    continue;
                if (!column_inputs)
                    column_inputs = load(e, inputs, column * c->block, inputs_of_vector(c));
                if (!input)
                    input = spread(c, column_inputs, i);
                LLVMValueRef weight = load(e, weights, (i * taps + kw) * c->lanes, c->lanes);
                tile->sums[point] = agate_emit_fma(e, input, weight, tile->sums[point]);
            }
    }
    for (int32_t point = 0; point < tile->points; point++)
        for (int64_t kw = 0; kw < c->x.taps; kw++)
            if (meets(c, point, kw, column))
                agate_emit_fence(e, &tile->sums[point], 1);
}

/* The first of the inputs of the tile's groups, at the pixel of its first point and tap. */
static LLVMValueRef first_input(agate_conv *c)
{
    agate_emitter *e = c->e;
    int64_t row = c->x.in * c->block, plane = c->y.in * row;
    int64_t blocks = agate_ceil_div(c->channels * c->anchor->attrs.conv.group, c->block);
    LLVMValueRef inputs = e->params[c->anchor->operands[0]->index], block, within;

    agate_emit_divide(e, agate_emit_mul(e, c->channel.at, inputs_of_vector(c)), c->block, &block, &within);
    inputs = agate_emit_advance(e, inputs, c->image, blocks * plane, 0);
    inputs = agate_emit_advance(e, inputs, block, plane, 0);
    inputs = agate_emit_advance(e, inputs, within, 1, 0);
    inputs = agate_emit_advance(e, inputs, c->row.at, c->y.stride * row, -c->y.pad * row);
    return agate_emit_advance(e, inputs, c->pixel.at, c->x.stride * c->block, -c->x.pad * c->block);
}

static void grouped_tile(agate_conv *c)
{
    agate_emitter *e = c->e;
    agate_tile tile = {.lanes = c->lanes, .vectors = 1, .points = (int32_t)c->pixel.span->run.width};
    int64_t columns = (tile.points - 1) * c->x.stride + (c->x.taps - 1) * c->x.dilation + 1;
    LLVMValueRef inputs = first_input(c), lo, hi;
    LLVMValueRef weights = agate_emit_advance(e, e->params[c->anchor->operands[1]->index], c->channel.at,
                                              c->channels * c->y.taps * c->x.taps * c->lanes, 0);

    agate_conv_start(c, &tile);
    agate_conv_taps(c, &lo, &hi);
    agate_loop kh = agate_tile_loop_begin(e, &tile, lo, hi, 1);
    LLVMValueRef row_weights =
        agate_emit_opaque(e, agate_emit_advance(e, weights, kh.index, c->x.taps * c->lanes, 0));
    LLVMValueRef row_inputs =
        agate_emit_opaque(e, agate_emit_advance(e, inputs, kh.index, c->y.dilation * c->x.in * c->block, 0));
    for (int64_t column = 0; column < columns; column++)
        sum_column(c, &tile, row_weights, row_inputs, column);
    agate_tile_loop_end(e, &tile, &kh);
    agate_conv_finish(c, &tile);
}

void agate_emit_grouped_conv(agate_emitter *e)
{
    agate_conv_emit(e, grouped_tile);
}

agate_dim agate_tasks_grouped_conv(const agate_node *kernel)
{
    return agate_conv_tasks(kernel);
}
