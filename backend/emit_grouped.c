/* emit_grouped.c: strategy grouped_conv: groups that do not fill vectors, so that a vector of outputs meets
 * several.
 *
 *     outputs   o0 o1 o2 o3 | o4 o5 o6 o7        two groups of four in a vector of eight
 *     step i    xi xi xi xi | x4+i .......       each lane meets input i of its own group, at a weight of its
 *               own
 *
 * Where a vector holds whole groups whose inputs lie together in one block, a step loads them and spreads
 * input i of each group over the lanes of that group; else input i of each group is loaded by itself, and
 * each lane takes its group's. Nothing of one group is multiplied into another, so Inf and NaN stay where
 * they are. A sum runs over kernel rows, kernel columns and the inputs of the group, taps outside the image
 * left out.
 *
 * What is kept as bf16 or f16 is made f32 as it is loaded; or, where weights of bf16 come in pairs of inputs,
 * a step takes a pair in the place of an input, and adds both products. */
#include "backend/emit_conv.h"
#include "ir/narrow.h"

#define MAX_LANES 64

static int64_t outputs_of_group(const agate_conv *c)
{
    return agate_max(1, c->filters / c->anchor->attrs.conv.group);
}

/* Inputs that a vector of whole groups reads. */
static int64_t inputs_of_vector(const agate_conv *c)
{
    return c->lanes / outputs_of_group(c) * c->channels;
}

/* Does every vector hold the same number of whole groups, with all of their inputs in one block? */
static bool holds_whole_groups(const agate_conv *c)
{
    if (c->lanes % outputs_of_group(c) || c->channels == 0)
        return false;
    return c->block % inputs_of_vector(c) == 0;
}

/* The most groups that a vector meets. */
static int32_t groups_of_vector(const agate_conv *c)
{
    int64_t outputs = outputs_of_group(c), count = (c->lanes + outputs - 2) / outputs + 1;

    if (c->lanes % outputs == 0 || outputs % c->lanes == 0)
        count = agate_max(1, c->lanes / outputs);
    return (int32_t)agate_min(count, c->anchor->attrs.conv.group);
}

/* From the weights of an input of a group, or of a pair, to those of the next; from tap to tap in a row. */
static int64_t of_input(const agate_conv *c)
{
    return c->paired ? c->lanes : agate_kernel_row_count(c) * c->x.taps * c->lanes;
}

static int64_t of_tap(const agate_conv *c)
{
    return c->paired ? c->channels * c->lanes : c->lanes;
}

static LLVMValueRef load_weights(agate_conv *c, LLVMValueRef weights, int64_t offset)
{
    agate_emitter *e = c->e;
    LLVMValueRef address = agate_emit_advance(e, weights, NULL, 0, offset);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, c->lanes), address, "w");

    LLVMSetAlignment(value, (unsigned)c->lanes * 4);
    return value;
}

/* `inputs` moved on by `index` (may be NULL: 0) times `stride`, plus `offset`. */
static LLVMValueRef advance(agate_conv *c, LLVMValueRef inputs, LLVMValueRef index, int64_t stride,
                            int64_t offset)
{
    return agate_tile_advance(c->e, c->unit, inputs, index, stride, offset);
}

/* Where a tile's inputs come from. */
typedef struct source {
    LLVMValueRef inputs;           /* whole groups: of the vector's first group, at the tile's first column */
    int32_t group_count;           /* groups in part: how many a vector meets; 0: groups are whole */
    LLVMValueRef input[MAX_LANES]; /* the input of each at the first column */
    LLVMValueRef before[MAX_LANES]; /* lanes of the groups in front of it */
} source;

/* What a vector of whole groups reads of column `column`. */
static LLVMValueRef load_groups(agate_conv *c, const source *from, int64_t column)
{
    return agate_conv_load(c, advance(c, from->inputs, NULL, 0, column * c->block), inputs_of_vector(c));
}

/* Input `i` of each group at every lane of that group. */
static LLVMValueRef spread(agate_conv *c, LLVMValueRef inputs, int64_t i)
{
    agate_emitter *e = c->e;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef from[c->lanes];

    if (inputs_of_vector(c) == 1)
        return agate_emit_splat(e, inputs, c->lanes);
    for (int64_t lane = 0; lane < c->lanes; lane++)
        from[lane] = LLVMConstInt(i32, (uint64_t)(lane / outputs_of_group(c) * c->channels + i), 0);
    return LLVMBuildShuffleVector(e->builder, inputs, LLVMGetPoison(LLVMTypeOf(inputs)),
                                  LLVMConstVector(from, (unsigned)c->lanes), "");
}

/* Input `i` of each lane's group at column `column`. */
static LLVMValueRef input_at(agate_conv *c, const source *from, int64_t i, int64_t column)
{
    agate_emitter *e = c->e;

    if (from->group_count == 0)
        return spread(c, load_groups(c, from, column), i);
    LLVMValueRef all = NULL;
    for (int32_t g = from->group_count - 1; g >= 0; g--) {
        LLVMValueRef address = advance(c, from->input[g], NULL, 0, column * c->block);
        LLVMValueRef x = agate_emit_splat(e, agate_conv_load(c, address, 1), c->lanes);
        all = all ? LLVMBuildSelect(e->builder, from->before[g + 1], x, all, "") : x;
    }
    return all;
}

/* Point `point` of the tile meets tap `kw` of column `column`, and that lies in the image? */
static bool meets(const agate_conv *c, int64_t point, int64_t kw, int64_t column)
{
    return point * c->x.stride + kw * c->x.dilation == column && (c->pixel.span->live[kw] >> point & 1);
}

/* Column `column` of the tile's inputs, for every point and tap that meet there, over `count` inputs of a
 * group. The fence keeps each column's loads with its multiply-adds. */
static void sum_column(agate_conv *c, agate_tile *tile, const source *from, LLVMValueRef weights,
                       int64_t count, int64_t column)
{
    agate_emitter *e = c->e;

    for (int64_t i = 0; i < count; i++) {
        LLVMValueRef input = NULL;
        for (int32_t point = 0; point < tile->points; point++)
            for (int64_t kw = 0; kw < c->x.taps; kw++) {
                if (!meets(c, point, kw, column))
                    continue;
                if (!input)
                    input = input_at(c, from, i, column);
                LLVMValueRef weight = load_weights(c, weights, i * of_input(c) + kw * of_tap(c));
                tile->sums[point] = c->paired ? agate_emit_pair_products(e, input, weight, tile->sums[point])
                                              : agate_emit_fma(e, input, weight, tile->sums[point]);
            }
    }
    for (int32_t point = 0; point < tile->points; point++)
        for (int64_t kw = 0; kw < c->x.taps; kw++)
            if (meets(c, point, kw, column))
                agate_emit_fence(e, &tile->sums[point], 1);
}

static void sum_columns(agate_conv *c, agate_tile *tile, const source *from, LLVMValueRef weights,
                        int64_t count)
{
    int64_t columns = (tile->points - 1) * c->x.stride + (c->x.taps - 1) * c->x.dilation + 1;

    for (int64_t column = 0; column < columns; column++)
        sum_column(c, tile, from, weights, count, column);
}

static int64_t plane_of(const agate_conv *c)
{
    return c->plane * c->x.in * c->block;
}

/* The first channel at the pixel of the tile's first point and tap. */
static LLVMValueRef first_pixel(agate_conv *c)
{
    LLVMValueRef inputs = advance(c, c->input, c->image, c->image_stride, 0);

    inputs = agate_conv_row(c, inputs);
    return advance(c, inputs, c->pixel.at, c->x.stride * c->block, -c->x.pad * c->block);
}

/* `inputs` at another channel. */
static LLVMValueRef at_channel(agate_conv *c, LLVMValueRef inputs, LLVMValueRef channel)
{
    LLVMValueRef block, within;

    agate_emit_divide(c->e, channel, c->block, &block, &within);
    inputs = advance(c, inputs, block, plane_of(c), 0);
    return advance(c, inputs, within, 1, 0);
}

/* One kernel row of groups that vectors cut apart: lane by lane the input of the right group, one input a
 * turn. */
static void sum_parts(agate_conv *c, agate_tile *tile, LLVMValueRef weights, LLVMValueRef inputs)
{
    agate_emitter *e = c->e;
    int64_t outputs = outputs_of_group(c), last = c->anchor->attrs.conv.group - 1;
    source from = {.group_count = groups_of_vector(c)};
    LLVMValueRef first, skipped;

    agate_emit_divide(e, agate_emit_mul(e, c->channel.at, c->lanes), outputs, &first, &skipped);
    for (int32_t g = 1; g < from.group_count; g++)
        from.before[g] = agate_emit_live(e, skipped, agate_emit_int(e, g * outputs), c->lanes);
    agate_loop loop = agate_tile_loop_begin(e, tile, agate_emit_int(e, 0), agate_emit_int(e, c->channels), 1);
    for (int32_t g = 0; g < from.group_count; g++) {
        LLVMValueRef group = agate_emit_add(e, first, agate_emit_int(e, g));
        group =
            agate_emit_min(e, group, agate_emit_int(e, last)); /* the last vector may have pads for lanes */
        LLVMValueRef channel = agate_emit_add(e, agate_emit_mul(e, group, c->channels), loop.index);
        from.input[g] = at_channel(c, inputs, channel);
    }
    weights = agate_emit_advance(e, weights, loop.index, of_input(c), 0);
    sum_columns(c, tile, &from, agate_emit_opaque(e, weights), 1);
    agate_tile_loop_end(e, tile, &loop);
}

static void grouped_tile(agate_conv *c)
{
    agate_emitter *e = c->e;
    agate_tile tile = {.lanes = c->lanes, .vectors = 1, .points = (int32_t)c->pixel.span->run.width};
    LLVMValueRef inputs = first_pixel(c);
    LLVMValueRef weights = e->params[agate_unwidened(c->anchor->operands[1])->index];
    weights = agate_emit_advance(e, weights, c->channel.at,
                                 c->channels * agate_kernel_row_count(c) * c->x.taps * c->lanes, 0);

    agate_conv_start(c, &tile);
    agate_conv_reach reach = agate_conv_reach_of(c);
    agate_kernel_rows rows = agate_kernel_rows_begin(c, &tile, &reach, inputs);
    weights = agate_emit_advance(e, weights, rows.number, c->x.taps * of_tap(c), 0);
    inputs = rows.inputs;
    if (holds_whole_groups(c)) {
        LLVMValueRef channel = agate_emit_mul(e, c->channel.at, inputs_of_vector(c));
        source from = {.inputs = agate_emit_opaque(e, at_channel(c, inputs, channel))};
        sum_columns(c, &tile, &from, agate_emit_opaque(e, weights), c->channels);
    } else {
        sum_parts(c, &tile, weights, inputs);
    }
    agate_kernel_rows_end(c, &tile, &rows);
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
