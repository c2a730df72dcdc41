/* strategies.c: when each strategy but the convolutions applies, and its tiles. Rows in the order of
 * strategies.def. */
#include "ir/narrow.h"
#include "passes/rewrite.h"
#include "passes/strategy.h"

static int32_t lanes(const agate_candidate *c)
{
    return agate_machine_lanes(c->machine);
}

/* A task should be worth waking a thread for: about this many elements. */
#define TASK_ELEMENTS 16384

/* ... or about this many of the places of extremes, each of which takes a row of elements. */
#define ARG_GRAIN 1024

static bool is_f32_in_memory(const agate_value *value)
{
    return value->type.dtype == AGATE_F32 || agate_is_half(value);
}

/* Does the kernel compute in f32? Its operands and results may be kept as bf16 or f16. */
static bool all_f32(const agate_candidate *c)
{
    for (int32_t i = 0; i < c->kernel->operand_count; i++)
        if (!is_f32_in_memory(c->kernel->operands[i]))
            return false;
    for (int32_t i = 0; i < c->kernel->result_count; i++)
        if (!is_f32_in_memory(&c->kernel->results[i]))
            return false;
    for (int32_t i = 0; c->anchor && i < c->anchor->operand_count; i++)
        if (c->anchor->operands[i]->type.dtype != AGATE_F32)
            return false;
    return true;
}

static bool anchor_is(const agate_candidate *c, agate_family family)
{
    return c->anchor && agate_node_info(c->anchor)->family == family;
}

/* Is the anchor the only node that is not pointwise, reading the kernel's operands directly, or (`widened`)
 * as bf16 or f16 made wider? */
static bool anchor_reads_operands(const agate_candidate *c, bool widened)
{
    for (int32_t i = 0; i < c->anchor->operand_count; i++) {
        const agate_value *operand = c->anchor->operands[i];
        if ((widened ? agate_unwidened(operand) : operand)->node)
            return false;
    }
    AGATE_EACH_NODE (node, c->kernel->body) {
        agate_family family = agate_node_info(node)->family;
        if (node != c->anchor && family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast &&
            !agate_changes_blocks(node) && !agate_node_has(node, AGATE_TERMINATOR) &&
            !agate_node_has(node, AGATE_CONSTANT))
            return false;
    }
    return true;
}

/* ---- gemm ---------------------------------------------------------------------------------------------- */

const char *agate_gemm_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_matmul))
        return "no matmul";
    if (!all_f32(c))
        return "not all f32";
    if (!anchor_reads_operands(c, true) || c->anchor->operands[0]->node)
        return "its operands are computed in the kernel";
    const agate_value *weights = agate_unwidened(c->anchor->operands[1]);
    if (agate_is_half(weights) && weights->type.layout.kind != AGATE_LAYOUT_panel)
        return "its weights of 16 bits are not in panels";
    for (int32_t i = 0; i < 2; i++)
        if (c->anchor->operands[i]->type.rank < 2)
            return "an operand is a vector";
    agate_layout_kind rhs = (agate_layout_kind)c->anchor->operands[1]->type.layout.kind;
    if (c->anchor->operands[0]->type.layout.kind != AGATE_LAYOUT_plain ||
        c->anchor->results[0].type.layout.kind != AGATE_LAYOUT_plain ||
        (rhs != AGATE_LAYOUT_plain && rhs != AGATE_LAYOUT_panel))
        return "not laid out in rows";
    return NULL;
}

int32_t agate_gemm_vectors(const agate_machine *machine)
{
    return machine->vector_registers >= 32 ? 4 : 2;
}

/* The longest sum that is not cut into parts. */
#define SUM_PART 128

/* How far in front a single row of a product fetches its packed weights: a page, which the processor's own
 * prefetch does not cross. */
#define PANEL_AHEAD_LINES 64

int32_t agate_sum_part(int64_t products)
{
    return products > SUM_PART ? SUM_PART : 0;
}

agate_tiles agate_gemm_plan(const agate_candidate *c)
{
    agate_tiles tiles = {.v = lanes(c)};
    const agate_type *lhs = &c->anchor->operands[0]->type;
    bool packed = c->anchor->operands[1]->type.layout.kind == AGATE_LAYOUT_panel;

    tiles.oc = agate_gemm_vectors(c->machine);
    tiles.ow = 6;
    tiles.ic = 4;
    tiles.kc = agate_sum_part(lhs->dims[lhs->rank - 1].offset);
    tiles.ahead = packed ? PANEL_AHEAD_LINES : 0;
    tiles.ocs = 1;
    return tiles;
}

/* ---- pool, reduce, softmax ----------------------------------------------------------------------------- */

const char *agate_pool_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_window))
        return "no window";
    if (!all_f32(c))
        return "not all f32";
    if (!anchor_reads_operands(c, true))
        return "its operand is computed in the kernel";
    if (c->anchor->operands[0]->type.layout.kind != AGATE_LAYOUT_channel ||
        agate_result((agate_node *)c->anchor)->type.layout.kind != AGATE_LAYOUT_channel)
        return "not in blocked layout";
    return NULL;
}

/* The widest window that is written out in tiles of pixels. */
#define WRITTEN_OUT 16

/* Tasks that an image is cut into at least: blocks of channels, and rows where those are few. */
#define POOL_TASKS 16

/* Windows that share nothing gain by tiles of whole rows alone, which read memory in order: in parts of a
 * row, AlexNet's first pool took 1.5 times as long as pixel by pixel. */
static bool tiles_pay(const agate_candidate *c, int64_t points)
{
    const agate_type *y = &c->anchor->results[0].type;
    return c->anchor->attrs.pool.strides.v[y->rank - 3] == 1 || points >= y->dims[y->rank - 1].offset;
}

agate_tiles agate_pool_plan(const agate_candidate *c)
{
    agate_tiles tiles = {.v = lanes(c), .oh = 1};
    const agate_value *x = agate_unwidened(c->anchor->operands[0]);
    const agate_type *y = &c->anchor->results[0].type;

    if (x->node || !agate_is_image(&x->type) || x->type.layout.block != tiles.v ||
        c->anchor->attrs.pool.kernel.v[y->rank - 3] > WRITTEN_OUT)
        return tiles;
    int64_t blocks = agate_max(1, agate_ceil_div(y->dims[1].offset, tiles.v));
    int64_t width = agate_max(1, y->dims[y->rank - 1].offset);
    int32_t points = agate_depthwise_points(c->machine, width);
    if (!tiles_pay(c, points))
        return tiles;
    tiles.ow = points;
    int64_t rows = agate_conv_rows(agate_image_rows(y), width, points);
    tiles.oh = (int32_t)agate_max(1, agate_ceil_div(rows, agate_ceil_div(POOL_TASKS, blocks)));
    tiles.ocs = 1;
    return tiles;
}

/* Reductions are sums in parts where they are long, as products are. */
static agate_tiles reduction_plan(const agate_candidate *c)
{
    const agate_type *type = &c->anchor->operands[0]->type;
    const agate_ints *axes = &c->anchor->attrs.reduce.axes;
    int64_t terms = 1;

    for (int32_t i = 0; i < axes->count; i++)
        terms = agate_min(terms * agate_min(type->dims[axes->v[i]].offset, SUM_PART + 1), SUM_PART + 1);
    return (agate_tiles){.v = lanes(c), .kc = agate_sum_part(terms), .grain = 1};
}

const char *agate_rows_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_reduce))
        return "no reduction";
    if (!all_f32(c))
        return "not all f32";
    return agate_reduces_rows(c->kernel->body) ? NULL : "its results are not the rows that it reduces";
}

agate_tiles agate_rows_plan(const agate_candidate *c)
{
    return reduction_plan(c);
}

const char *agate_reduce_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_reduce))
        return "no reduction";
    if (!all_f32(c))
        return "not all f32";
    if (!anchor_reads_operands(c, true))
        return "its operand is computed in the kernel";
    return NULL;
}

agate_tiles agate_reduce_plan(const agate_candidate *c)
{
    return reduction_plan(c);
}

const char *agate_softmax_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_softmax))
        return "no softmax";
    if (!all_f32(c))
        return "not all f32";
    if (!agate_dim_is_fixed(c->anchor->results[0].type.dims[c->anchor->attrs.axis.axis]))
        return "its rows follow the batch";
    return anchor_reads_operands(c, false) ? NULL : "its operand is computed in the kernel";
}

agate_tiles agate_softmax_plan(const agate_candidate *c)
{
    return (agate_tiles){.v = lanes(c), .grain = 1};
}

/* ---- arg ----------------------------------------------------------------------------------------------- */

const char *agate_arg_applies(const agate_candidate *c)
{
    if (!anchor_is(c, AGATE_FAMILY_arg))
        return "no place of an extreme";
    const agate_value *x = c->anchor->operands[0];
    if (x->type.dtype != AGATE_F32 || x->type.layout.kind != AGATE_LAYOUT_plain)
        return "it does not compare f32s in plain layout";
    if (!agate_dim_is_fixed(x->type.dims[c->anchor->attrs.arg.axis]) ||
        x->type.dims[c->anchor->attrs.arg.axis].offset > INT32_MAX)
        return "its axis follows the batch";
    return anchor_reads_operands(c, false) ? NULL : "its operand is computed in the kernel";
}

agate_tiles agate_arg_plan(const agate_candidate *c)
{
    return (agate_tiles){.v = lanes(c), .grain = ARG_GRAIN};
}

/* ---- pointwise, nest, library -------------------------------------------------------------------------- */

/* Scalar ops on bf16 and f16 are computed in f32 and rounded one by one; loops over these are left to the
 * library. */
static const char *dtypes_refused(const agate_candidate *c)
{
    AGATE_EACH_NODE (node, c->kernel->body)
        if (agate_loops_over_half(node))
            return "it sums bf16 or f16";
    return NULL;
}

/* An index out of range must be an error, which only the library kernel can give. */
static bool gathers(const agate_candidate *c)
{
    AGATE_EACH_NODE (node, c->kernel->body)
        if (node->op == AGATE_OP_gather)
            return true;
    return false;
}

const char *agate_pointwise_applies(const agate_candidate *c)
{
    if (gathers(c))
        return "an index may be out of range";
    AGATE_EACH_NODE (node, c->kernel->body) {
        agate_family family = agate_node_info(node)->family;
        if (family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_move && family != AGATE_FAMILY_cast &&
            family != AGATE_FAMILY_terminator && family != AGATE_FAMILY_data &&
            family != AGATE_FAMILY_resample)
            return "more than scalar ops, moves and resampling";
    }
    return dtypes_refused(c);
}

agate_tiles agate_pointwise_plan(const agate_candidate *c)
{
    return (agate_tiles){.v = lanes(c), .grain = TASK_ELEMENTS};
}

static bool differ_in_shape(const agate_node *kernel)
{
    for (int32_t i = 1; i < kernel->result_count; i++)
        if (!agate_type_same_dims(&kernel->results[i].type, &kernel->results[0].type))
            return true;
    return false;
}

const char *agate_nest_applies(const agate_candidate *c)
{
    if (gathers(c))
        return "an index may be out of range";
    if (c->anchor && agate_node_info(c->anchor)->family == AGATE_FAMILY_library)
        return "the op has no loop";
    if (anchor_is(c, AGATE_FAMILY_softmax) || anchor_is(c, AGATE_FAMILY_arg))
        return "it has no loop of this kind";
    if (differ_in_shape(c->kernel))
        return "its results differ in shape";
    return dtypes_refused(c);
}

agate_tiles agate_nest_plan(const agate_candidate *c)
{
    (void)c;
    return (agate_tiles){.v = 1, .grain = 256};
}

const char *agate_library_applies(const agate_candidate *c)
{
    const agate_node *only = c->kernel->body->first;

    if (only->next != c->kernel->body->last)
        return "more than one op";
    return agate_node_info(only)->reference ? NULL : "the op has no reference kernel";
}

agate_tiles agate_library_plan(const agate_candidate *c)
{
    (void)c;
    return (agate_tiles){0};
}
