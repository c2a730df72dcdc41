/* emit_inner.c: convolution, matmul, windows and reductions at given coordinates, by loops of their own.
 *
 * Correct for any layout and dtype; the strategies with tiles are fast ways of the same. The loops over the
 * taps of a window are cut to those that exist, so nothing is tested inside them. Sums run in a fixed order.
 */
#include <math.h>

#include "backend/emit_parts.h"

static bool is_float(agate_dtype dtype)
{
    return dtype == AGATE_F32 || dtype == AGATE_F64;
}

static LLVMValueRef add(agate_emitter *e, agate_dtype dtype, LLVMValueRef a, LLVMValueRef b)
{
    return is_float(dtype) ? LLVMBuildFAdd(e->builder, a, b, "") : LLVMBuildAdd(e->builder, a, b, "");
}

static LLVMValueRef multiply(agate_emitter *e, agate_dtype dtype, LLVMValueRef a, LLVMValueRef b)
{
    return is_float(dtype) ? LLVMBuildFMul(e->builder, a, b, "") : LLVMBuildMul(e->builder, a, b, "");
}

static LLVMValueRef multiply_add(agate_emitter *e, agate_dtype dtype, LLVMValueRef a, LLVMValueRef b,
                                 LLVMValueRef c)
{
    return is_float(dtype) ? agate_emit_fma(e, a, b, c)
                           : LLVMBuildAdd(e->builder, LLVMBuildMul(e->builder, a, b, ""), c, "");
}

/* ---- how elements are joined --------------------------------------------------------------------------- */

LLVMValueRef agate_emit_neutral(agate_emitter *e, agate_op op, agate_dtype dtype, int32_t lanes)
{
    LLVMTypeRef type = agate_emit_type(e, dtype, 1);
    bool most = op == AGATE_OP_max_pool || op == AGATE_OP_reduce_max;
    bool has_sign = dtype == AGATE_I8 || dtype == AGATE_I16 || dtype == AGATE_I32 || dtype == AGATE_I64;

    if (op == AGATE_OP_reduce_prod)
        return agate_emit_number(e, dtype, 1, lanes);
    if (!most && op != AGATE_OP_reduce_min)
        return agate_emit_number(e, dtype, 0, lanes);
    if (is_float(dtype))
        return agate_emit_number(e, dtype, most ? (double)-INFINITY : (double)INFINITY, lanes);
    if (dtype == AGATE_BOOL)
        return agate_emit_number(e, dtype, most ? 0 : 1, lanes);

    /* The least and the greatest integer are each other's complement. */
    uint64_t top = has_sign ? UINT64_C(1) << (agate_dtype_size(dtype) * 8 - 1) : 0;
    return agate_emit_splat(e, LLVMConstInt(type, most ? top : ~top, 0), lanes);
}

LLVMValueRef agate_emit_join(agate_emitter *e, agate_op op, agate_dtype dtype, LLVMValueRef so_far,
                             LLVMValueRef value)
{
    LLVMValueRef operands[2] = {so_far, value};

    switch (op) {
    case AGATE_OP_max_pool:
    case AGATE_OP_reduce_max:
        return agate_emit_scalar(e, AGATE_SCALAR_max, dtype, NULL, operands);
    case AGATE_OP_reduce_min:
        return agate_emit_scalar(e, AGATE_SCALAR_min, dtype, NULL, operands);
    case AGATE_OP_reduce_prod:
        return multiply(e, dtype, so_far, value);
    default:
        return add(e, dtype, so_far, value);
    }
}

LLVMValueRef agate_emit_join_lanes(agate_emitter *e, agate_op op, agate_dtype dtype, LLVMValueRef value)
{
    int32_t lanes = agate_emit_lanes(value);

    for (; lanes > 1; lanes /= 2) {
        LLVMValueRef low[lanes / 2], high[lanes / 2];
        LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
        for (int32_t i = 0; i < lanes / 2; i++) {
            low[i] = LLVMConstInt(i32, (uint64_t)i, 0);
            high[i] = LLVMConstInt(i32, (uint64_t)(i + lanes / 2), 0);
        }
        LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(value)), zero = agate_emit_int(e, 0);
        unsigned half = (unsigned)lanes / 2;
        LLVMValueRef a = LLVMBuildShuffleVector(e->builder, value, none, LLVMConstVector(low, half), "");
        LLVMValueRef b = LLVMBuildShuffleVector(e->builder, value, none, LLVMConstVector(high, half), "");
        if (half == 1) {
            a = LLVMBuildExtractElement(e->builder, a, zero, "");
            b = LLVMBuildExtractElement(e->builder, b, zero, "");
        }
        value = agate_emit_join(e, op, dtype, a, b);
    }
    return value;
}

/* ---- taps of a window ---------------------------------------------------------------------------------- */

agate_taps agate_emit_taps(agate_emitter *e, LLVMValueRef at, int64_t count, int64_t stride, int64_t dilation,
                           int64_t begin, LLVMValueRef lo, LLVMValueRef hi)
{
    LLVMValueRef zero = agate_emit_int(e, 0), step = agate_emit_int(e, dilation);
    LLVMValueRef up = agate_emit_int(e, dilation - 1);
    agate_taps taps = {.dilation = dilation};

    taps.origin = agate_emit_add(e, agate_emit_mul(e, at, stride), agate_emit_int(e, -begin));
    LLVMValueRef below = agate_emit_max(e, zero, agate_emit_sub(e, lo, taps.origin));
    LLVMValueRef within = agate_emit_max(e, zero, agate_emit_sub(e, hi, taps.origin));
    taps.lo = LLVMBuildUDiv(e->builder, agate_emit_add(e, below, up), step, "");
    taps.hi = agate_emit_min(e, agate_emit_int(e, count),
                             LLVMBuildUDiv(e->builder, agate_emit_add(e, within, up), step, ""));
    return taps;
}

/* ---- windows ---------------------------------------------------------------------------------------- */

/* One window being walked: its taps by spatial dimension, and what is done at each. */
typedef struct walk {
    const agate_node *node;
    agate_coords from; /* of the input; spatial dimensions are set as the loops open */
    agate_coords weight;
    agate_taps taps[AGATE_MAX_RANK];
    int64_t counts[AGATE_MAX_RANK]; /* taps there are, in and out of the input */
    int32_t rank;                   /* spatial dimensions */
    int32_t whole;                  /* from this one inwards all taps are in the input, and are written out */
} walk;

/* The most taps that are written out one after the other. */
#define UNROLLED_TAPS 25

static LLVMValueRef at_tap(agate_emitter *e, walk *w, LLVMValueRef so_far)
{
    agate_dtype dtype = w->node->results[0].type.dtype;
    LLVMValueRef x = agate_emit_value(e, w->node->operands[0], &w->from);

    if (w->node->op != AGATE_OP_conv)
        return agate_emit_join(e, w->node->op, dtype, so_far, x);
    LLVMValueRef y = agate_emit_value(e, w->node->operands[1], &w->weight);
    return multiply_add(e, dtype, agate_emit_splat_to(e, x, so_far), agate_emit_splat_to(e, y, so_far),
                        so_far);
}

static void set_tap(agate_emitter *e, walk *w, int32_t dim, LLVMValueRef tap)
{
    const agate_taps *taps = &w->taps[dim];

    w->from.at[2 + dim] = agate_emit_add(e, taps->origin, agate_emit_mul(e, tap, taps->dilation));
    w->weight.at[2 + dim] = tap;
}

/* Over the taps from spatial dimension `dim` inwards. */
static LLVMValueRef walk_taps(agate_emitter *e, walk *w, int32_t dim, LLVMValueRef so_far)
{
    if (dim == w->rank)
        return at_tap(e, w, so_far);
    if (dim >= w->whole) {
        for (int64_t tap = 0; tap < w->counts[dim]; tap++) {
            set_tap(e, w, dim, agate_emit_int(e, tap));
            so_far = walk_taps(e, w, dim + 1, so_far);
        }
        return so_far;
    }
    agate_loop loop = agate_loop_begin(e, w->taps[dim].lo, w->taps[dim].hi, 1, &so_far, 1);
    set_tap(e, w, dim, loop.index);
    so_far = walk_taps(e, w, dim + 1, loop.carried[0]);
    agate_loop_end(e, &loop, &so_far);
    return loop.carried[0];
}

/* i1: do all taps from dimension `dim` inwards fall into the input? */
static LLVMValueRef is_whole(agate_emitter *e, const walk *w, int32_t dim)
{
    const agate_type *type = &w->node->operands[0]->type;
    LLVMValueRef whole = LLVMConstInt(LLVMInt1TypeInContext(e->context), 1, 0);

    for (; dim < w->rank; dim++) {
        int64_t reach = (w->counts[dim] - 1) * w->taps[dim].dilation;
        LLVMValueRef room =
            agate_emit_sub(e, agate_emit_dim(e, type->dims[2 + dim]), agate_emit_int(e, reach));
        /* Unsigned, so that an origin in front of the input is far behind it. */
        room = agate_emit_max(e, room, agate_emit_int(e, 0));
        LLVMValueRef fits = LLVMBuildICmp(e->builder, LLVMIntULT, w->taps[dim].origin, room, "");
        whole = LLVMBuildAnd(e->builder, whole, fits, "");
    }
    return whole;
}

/* The taps joined: those of the inner dimensions written out where they all exist, as in most windows they
 * do. */
static LLVMValueRef walk_window(agate_emitter *e, walk *w, LLVMValueRef start)
{
    int32_t inner = w->rank;
    int64_t taps = 1;

    while (inner > 0 && taps * w->counts[inner - 1] <= UNROLLED_TAPS)
        taps *= w->counts[--inner];
    w->whole = w->rank;
    if (inner == w->rank)
        return walk_taps(e, w, 0, start);
    LLVMValueRef fits = is_whole(e, w, inner);
    agate_branch cut = agate_branch_begin(e, LLVMBuildNot(e->builder, fits, ""));
    LLVMValueRef result = agate_branch_end(e, &cut, walk_taps(e, w, 0, start), start);
    agate_branch full = agate_branch_begin(e, fits);
    w->whole = inner;
    return agate_branch_end(e, &full, walk_taps(e, w, 0, start), result);
}

static LLVMValueRef average_divisor(agate_emitter *e, const walk *w, const agate_coords *coords)
{
    const agate_attrs_pool *attrs = &w->node->attrs.pool;
    LLVMValueRef divisor = agate_emit_int(e, 1);

    for (int32_t i = 0; i < w->rank; i++) {
        agate_taps taps = w->taps[i];
        int64_t begin = attrs->pads.v[i], end = attrs->pads.v[w->rank + i];
        if (attrs->count_pads) {
            LLVMValueRef extent = agate_emit_dim(e, w->node->operands[0]->type.dims[2 + i]);
            taps = agate_emit_taps(e, coords->at[2 + i], attrs->kernel.v[i], attrs->strides.v[i],
                                   attrs->dilations.v[i], begin, agate_emit_int(e, -begin),
                                   agate_emit_add(e, extent, agate_emit_int(e, end)));
        }
        LLVMValueRef count = agate_emit_max(e, agate_emit_int(e, 0), agate_emit_sub(e, taps.hi, taps.lo));
        divisor = LLVMBuildMul(e->builder, divisor, count, "");
    }
    return divisor;
}

LLVMValueRef agate_emit_average(agate_emitter *e, agate_dtype dtype, LLVMValueRef sum, LLVMValueRef count)
{
    int32_t lanes = agate_emit_lanes(sum);
    LLVMValueRef number = LLVMBuildSIToFP(e->builder, count, agate_emit_type(e, dtype, 1), "");
    LLVMValueRef some = LLVMBuildICmp(e->builder, LLVMIntSGT, count, agate_emit_int(e, 0), "");
    LLVMValueRef quotient = LLVMBuildFDiv(e->builder, sum, agate_emit_splat(e, number, lanes), "");

    return LLVMBuildSelect(e->builder, some, quotient, LLVMConstNull(LLVMTypeOf(sum)), "");
}

static LLVMValueRef window(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_attrs_pool *attrs = &node->attrs.pool;
    const agate_type *type = &node->operands[0]->type;
    walk w = {.node = node, .from = *coords, .weight = *coords, .rank = type->rank - 2};

    memcpy(w.counts, attrs->kernel.v, sizeof w.counts);
    for (int32_t i = 0; i < w.rank; i++)
        w.taps[i] = agate_emit_taps(e, coords->at[2 + i], attrs->kernel.v[i], attrs->strides.v[i],
                                    attrs->dilations.v[i], attrs->pads.v[i], agate_emit_int(e, 0),
                                    agate_emit_dim(e, type->dims[2 + i]));
    LLVMValueRef result = walk_window(e, &w, agate_emit_neutral(e, node->op, type->dtype, coords->lanes));
    if (node->op == AGATE_OP_avg_pool)
        result = agate_emit_average(e, type->dtype, result, average_divisor(e, &w, coords));
    return result;
}

static LLVMValueRef convolution(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_attrs_conv *attrs = &node->attrs.conv;
    const agate_type *type = &node->operands[0]->type, *weight = &node->operands[1]->type;
    LLVMValueRef result = LLVMConstNull(agate_emit_type(e, node->results[0].type.dtype, coords->lanes));
    LLVMValueRef group, unused;
    walk w = {.node = node, .from = *coords, .rank = type->rank - 2, .whole = AGATE_MAX_RANK};

    w.weight = *coords;
    w.weight.at[0] = coords->at[1];
    w.weight.vector = coords->vector == 1 ? 0 : -1;
    w.weight.lanes = coords->vector == 1 ? coords->lanes : 1;
    if (coords->vector != 1)
        w.weight.live = NULL;
    if (coords->vector == 1) {
        w.from.vector = -1;
        w.from.lanes = 1;
        w.from.live = agate_coords_any_live(e, coords);
        w.from.guarded = w.from.live != NULL;
    }
    agate_emit_divide(e, coords->at[1], weight->dims[0].offset / attrs->group, &group, &unused);

    for (int32_t i = 0; i < w.rank; i++)
        w.taps[i] = agate_emit_taps(e, coords->at[2 + i], weight->dims[2 + i].offset, attrs->strides.v[i],
                                    attrs->dilations.v[i], attrs->pads.v[i], agate_emit_int(e, 0),
                                    agate_emit_dim(e, type->dims[2 + i]));
    LLVMValueRef channels = agate_emit_dim(e, weight->dims[1]);
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), channels, 1, &result, 1);
    w.from.at[1] = agate_emit_add(e, LLVMBuildMul(e->builder, group, channels, ""), loop.index);
    w.weight.at[1] = loop.index;
    result = walk_taps(e, &w, 0, loop.carried[0]);
    agate_loop_end(e, &loop, &result);
    result = loop.carried[0];
    if (node->operand_count > 2) {
        agate_coords bias = w.weight;
        bias.rank = 1;
        if (agate_emit_lanes(result) > 1 && bias.lanes == 1)
            bias.live = agate_coords_any_live(e, coords);
        LLVMValueRef value = agate_emit_value(e, node->operands[2], &bias);
        result = add(e, node->results[0].type.dtype, result, agate_emit_splat_to(e, value, result));
    }
    return result;
}

/* ---- matmul -------------------------------------------------------------------------------------------- */

static LLVMValueRef matmul(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_type *a = &node->operands[0]->type, *b = &node->operands[1]->type;
    agate_dtype dtype = node->results[0].type.dtype;
    int32_t rows = a->rank > 1, columns = b->rank > 1, batch = coords->rank - rows - columns;
    LLVMValueRef sum = LLVMConstNull(agate_emit_type(e, dtype, coords->lanes));
    agate_coords left = *coords, right = *coords;

    left.rank = batch + rows + 1;
    right.rank = batch + columns + 1;
    if (columns) {
        right.at[batch + 1] = coords->at[coords->rank - 1];
        if (coords->vector == coords->rank - 1) {
            right.vector = batch + 1;
            left.vector = -1;
        }
    }
    if (rows && coords->vector == batch)
        right.vector = -1;
    agate_coords *sides[2] = {&left, &right};
    for (int32_t i = 0; i < 2; i++) {
        if (sides[i]->vector >= 0 || coords->lanes == 1)
            continue;
        sides[i]->lanes = 1;
        sides[i]->live = agate_coords_any_live(e, coords);
        sides[i]->guarded = sides[i]->live != NULL;
    }
    agate_dim depth = a->dims[a->rank - 1];
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_dim(e, depth), 1, &sum, 1);
    left.at[batch + rows] = loop.index;
    right.at[batch] = loop.index;
    LLVMValueRef x = agate_emit_splat_to(e, agate_emit_value(e, node->operands[0], &left), sum);
    LLVMValueRef y = agate_emit_splat_to(e, agate_emit_value(e, node->operands[1], &right), sum);
    sum = multiply_add(e, dtype, x, y, loop.carried[0]);
    agate_loop_end(e, &loop, &sum);
    return loop.carried[0];
}

/* ---- resampling ---------------------------------------------------------------------------------------- */

/* The element of a table at `at`, for all lanes of `coords` alike. */
static LLVMValueRef table_value(agate_emitter *e, const agate_value *table, LLVMValueRef at, LLVMValueRef tap,
                                const agate_coords *coords)
{
    agate_coords own = agate_coords_make(e, table->type.rank);

    own.at[0] = at;
    if (tap)
        own.at[1] = tap;
    own.live = agate_coords_any_live(e, coords);
    own.guarded = own.live != NULL;
    return agate_emit_value(e, table, &own);
}

LLVMValueRef agate_emit_resample(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const int32_t axis = (int32_t)node->attrs.axis.axis;
    const int64_t taps = node->operands[2]->type.dims[1].offset;
    const int64_t last = node->operands[0]->type.dims[axis].offset - taps;
    const agate_dtype dtype = node->results[0].type.dtype;
    LLVMValueRef sum = LLVMConstNull(agate_emit_type(e, dtype, coords->lanes)), at = coords->at[axis];
    const int64_t written_out = taps <= UNROLLED_TAPS ? taps : 1;
    agate_coords from = *coords;

    if (axis == coords->vector)
        return agate_emit_by_lane(e, &node->results[0], coords);
    LLVMValueRef first = table_value(e, node->operands[1], at, NULL, coords);
    first = agate_emit_max(e, agate_emit_int(e, 0), agate_emit_min(e, first, agate_emit_int(e, last)));
    agate_loop loop = {.index = agate_emit_int(e, 0)};
    if (written_out < taps) {
        loop = agate_loop_begin(e, loop.index, agate_emit_int(e, taps), 1, &sum, 1);
        sum = loop.carried[0];
    }
    for (int64_t i = 0; i < written_out; i++) {
        LLVMValueRef tap = agate_emit_add(e, loop.index, agate_emit_int(e, i));
        LLVMValueRef weight = table_value(e, node->operands[2], at, tap, coords);
        from.at[axis] = agate_emit_add(e, first, tap);
        LLVMValueRef x = agate_emit_splat_to(e, agate_emit_value(e, node->operands[0], &from), sum);
        weight = agate_emit_splat_to(e, weight, sum);
        sum = i == 0 && written_out == taps ? multiply(e, dtype, x, weight)
                                            : multiply_add(e, dtype, x, weight, sum);
    }
    if (written_out == taps)
        return sum;
    agate_loop_end(e, &loop, &sum);
    return loop.carried[0];
}

LLVMValueRef agate_emit_inner(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    agate_family family = agate_node_info(node)->family;
    bool slides = family == AGATE_FAMILY_conv || family == AGATE_FAMILY_window;
    bool in_groups = node->op == AGATE_OP_conv && node->attrs.conv.group > 1 && coords->vector == 1;

    if (coords->lanes > 1 && ((slides && coords->vector > 1) || in_groups))
        return agate_emit_by_lane(e, &node->results[0], coords);
    switch (family) {
    case AGATE_FAMILY_conv:
        return convolution(e, node, coords);
    case AGATE_FAMILY_window:
        return window(e, node, coords);
    case AGATE_FAMILY_matmul:
        return matmul(e, node, coords);
    default:
        assert(family == AGATE_FAMILY_reduce);
        return agate_emit_reduction(e, node, coords);
    }
}
