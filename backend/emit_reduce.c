/* emit_reduce.c: reductions over any axes.
 *
 * Lanes that run along a kept dimension stay apart. For a single result whose elements lie side by side the
 * loop takes vectors of them and joins their lanes at the end. Where the kernel asks for parts (tile `kc`),
 * each axis is reduced from its own start before it joins the axis around it, and by at most `kc` steps at a
 * time. One order for all: it depends on the shape and the tiles alone.
 */
#include "backend/emit_parts.h"

typedef struct reduction {
    const agate_node *node;
    agate_dtype dtype; /* that the sum is in */
    agate_coords from; /* coordinates of the operand */
    int32_t axes[AGATE_MAX_RANK];
    int32_t axis_count;
    int32_t lanes; /* taken along the last axis at once; 1: the lanes, if any, are the result's */
} reduction;

static bool is_integer(agate_dtype dtype)
{
    return dtype != AGATE_F32 && dtype != AGATE_F64;
}

static LLVMValueRef element(agate_emitter *e, const reduction *r, const agate_coords *at)
{
    const agate_value *operand = r->node->operands[0];

    return agate_emit_cast(e, operand->type.dtype, r->dtype, agate_emit_value(e, operand, at));
}

/* What a reduction starts with, in as many lanes as it takes. */
static LLVMValueRef neutral(agate_emitter *e, const reduction *r)
{
    return agate_emit_neutral(e, r->node->op, r->dtype, r->lanes > 1 ? r->lanes : r->from.lanes);
}

/* What is reduced at index `at` of axis `number` of those that are, joined to `so_far`. */
typedef LLVMValueRef (*step_fn)(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef at,
                                LLVMValueRef so_far);

static LLVMValueRef steps(agate_emitter *e, reduction *r, int32_t number, step_fn step, LLVMValueRef lo,
                          LLVMValueRef hi, int64_t stride, LLVMValueRef so_far)
{
    agate_loop loop = agate_loop_begin(e, lo, hi, stride, &so_far, 1);
    so_far = step(e, r, number, loop.index, loop.carried[0]);
    agate_loop_end(e, &loop, &so_far);
    return loop.carried[0];
}

/* An axis of `extent`, `stride` at a time, in parts where it is long. */
static LLVMValueRef reduce_axis(agate_emitter *e, reduction *r, int32_t number, step_fn step,
                                agate_dim extent, int64_t stride, LLVMValueRef so_far)
{
    LLVMValueRef lo = agate_emit_int(e, 0), hi = agate_emit_dim(e, extent);
    int64_t part = e->kernel->tiles.kc * stride;

    if (part <= 0 || (agate_dim_is_fixed(extent) && extent.offset <= part))
        return steps(e, r, number, step, lo, hi, stride, so_far);
    agate_loop parts = agate_loop_begin(e, lo, hi, part, &so_far, 1);
    LLVMValueRef end = agate_emit_min(e, agate_emit_add(e, parts.index, agate_emit_int(e, part)), hi);
    LLVMValueRef sum = steps(e, r, number, step, parts.index, end, stride, neutral(e, r));
    so_far = agate_emit_join(e, r->node->op, r->dtype, parts.carried[0], sum);
    agate_loop_end(e, &parts, &so_far);
    return parts.carried[0];
}

static LLVMValueRef join_vector(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef index,
                                LLVMValueRef so_far)
{
    agate_coords at = r->from;

    at.vector = r->axes[number];
    at.lanes = r->lanes;
    at.at[at.vector] = index;
    return agate_emit_join(e, r->node->op, r->dtype, so_far, element(e, r, &at));
}

/* The innermost axis by vectors: whole ones in a loop, then the rest under a mask that lets neutral elements
 * through. */
static LLVMValueRef reduce_row(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef so_far)
{
    int32_t axis = r->axes[number], lanes = r->lanes;
    int64_t extent = r->node->operands[0]->type.dims[axis].offset, whole = extent / lanes * lanes;
    agate_coords at = r->from;

    so_far = reduce_axis(e, r, number, join_vector, agate_dim_fixed(whole), lanes, so_far);
    if (whole == extent)
        return so_far;
    at.vector = axis;
    at.lanes = lanes;
    at.at[axis] = agate_emit_int(e, whole);
    at.live = agate_emit_live(e, at.at[axis], agate_emit_int(e, extent), lanes);
    LLVMValueRef rest = LLVMBuildSelect(e->builder, at.live, element(e, r, &at), neutral(e, r), "");
    return agate_emit_join(e, r->node->op, r->dtype, so_far, rest);
}

static LLVMValueRef reduce_axes(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef so_far);

/* The axes inside of axis `number` at one index of it. */
static LLVMValueRef reduce_inside(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef index,
                                  LLVMValueRef so_far)
{
    r->from.at[r->axes[number]] = index;
    if (number + 1 == r->axis_count || e->kernel->tiles.kc <= 0)
        return reduce_axes(e, r, number + 1, so_far);
    return agate_emit_join(e, r->node->op, r->dtype, so_far, reduce_axes(e, r, number + 1, neutral(e, r)));
}

static LLVMValueRef reduce_axes(agate_emitter *e, reduction *r, int32_t number, LLVMValueRef so_far)
{
    if (number == r->axis_count)
        return agate_emit_join(e, r->node->op, r->dtype, so_far, element(e, r, &r->from));
    if (number == r->axis_count - 1 && r->lanes > 1)
        return reduce_row(e, r, number, so_far);
    return reduce_axis(e, r, number, reduce_inside, r->node->operands[0]->type.dims[r->axes[number]], 1,
                       so_far);
}

/* Sorts the operand's dimensions into kept ones, whose coordinates are the result's, and axes. */
static reduction reduction_of(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_type *type = &node->operands[0]->type;
    const agate_attrs_reduce *attrs = &node->attrs.reduce;
    reduction r = {.node = node, .dtype = node->results[0].type.dtype, .lanes = 1};
    int32_t kept = 0;

    r.from = agate_coords_make(e, type->rank);
    r.from.live = coords->live;
    r.from.guarded = coords->guarded;
    r.from.unaligned = coords->unaligned;
    for (int32_t i = 0; i < type->rank; i++) {
        bool reduced = false;
        for (int32_t k = 0; k < attrs->axes.count; k++)
            reduced |= attrs->axes.v[k] == i;
        if (reduced)
            r.axes[r.axis_count++] = i;
        int32_t place = attrs->keep ? i : kept;
        if (!reduced) {
            r.from.at[i] = coords->at[place];
            if (coords->vector == place) {
                r.from.vector = i;
                r.from.lanes = coords->lanes;
            }
            kept++;
        }
    }
    if (node->op == AGATE_OP_reduce_mean && is_integer(r.dtype))
        r.dtype = AGATE_I64;
    return r;
}

/* Vectors along the last axis pay where its elements lie side by side (a last dimension, channels in blocks)
 * and nothing else takes the lanes. */
static int32_t row_lanes(const agate_emitter *e, const reduction *r)
{
    const agate_type *type = &r->node->operands[0]->type;
    int32_t last = r->axis_count ? r->axes[r->axis_count - 1] : -1, lanes = e->kernel->tiles.v;
    bool blocked = type->layout.kind == AGATE_LAYOUT_channel;

    if (blocked)
        lanes = (int32_t)agate_min(lanes, type->layout.block);
    if (r->from.lanes > 1 || r->from.live || last < 0 || last != (blocked ? 1 : type->rank - 1) || lanes < 2)
        return 1;
    return agate_dim_is_fixed(type->dims[last]) ? lanes : 1;
}

static LLVMValueRef mean(agate_emitter *e, const reduction *r, LLVMValueRef sum)
{
    agate_dtype dtype = r->node->results[0].type.dtype;
    agate_dim count = agate_dim_fixed(1);

    for (int32_t i = 0; i < r->axis_count; i++) {
        bool fits = agate_dim_mul(count, r->node->operands[0]->type.dims[r->axes[i]], &count);
        assert(fits);
        (void)fits;
    }
    LLVMValueRef number = agate_emit_dim(e, count);
    if (!is_integer(r->dtype)) {
        number = LLVMBuildSIToFP(e->builder, number, agate_emit_type(e, r->dtype, 1), "");
        return LLVMBuildFDiv(e->builder, sum, agate_emit_splat_to(e, number, sum), "");
    }
    LLVMValueRef operands[2] = {sum, agate_emit_splat_to(e, number, sum)};
    agate_dtype as = dtype == AGATE_U64 ? AGATE_U64 : AGATE_I64;
    return agate_emit_cast(e, AGATE_I64, dtype, agate_emit_scalar(e, AGATE_SCALAR_div, as, NULL, operands));
}

LLVMValueRef agate_emit_reduction(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    reduction r = reduction_of(e, node, coords);

    r.lanes = row_lanes(e, &r);
    LLVMValueRef result = reduce_axes(e, &r, 0, neutral(e, &r));
    if (r.lanes > 1)
        result = agate_emit_join_lanes(e, node->op, r.dtype, result);
    if (node->op == AGATE_OP_reduce_mean)
        result = mean(e, &r, result);
    return agate_emit_splat_to(e, result,
                               LLVMConstNull(agate_emit_type(e, node->results[0].type.dtype, coords->lanes)));
}
