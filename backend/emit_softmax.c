/* emit_softmax.c: softmax and log-softmax: the greatest element, the sum of powers, the quotients; three
 * passes over a row.
 *
 * Where rows are contiguous the vectors run along them, and their lanes are joined at the end of a pass;
 * elsewhere they run along another dimension, and each lane has a row of its own.
 */
#include "backend/emit_space.h"

typedef struct softmax {
    const agate_node *node;
    int32_t axis;
    int32_t lanes; /* along the axis; 1: lanes, if any, are the space's */
    int64_t extent;
    LLVMValueRef most, sum; /* known after the first and the second pass */
    agate_coords at;
} softmax;

typedef LLVMValueRef (*pass_fn)(agate_emitter *e, const softmax *s, const agate_coords *at,
                                LLVMValueRef so_far);

static LLVMValueRef operand(agate_emitter *e, const softmax *s, const agate_coords *at)
{
    return agate_emit_value(e, s->node->operands[0], at);
}

static agate_dtype dtype_of(const softmax *s)
{
    return s->node->results[0].type.dtype;
}

static LLVMValueRef power(agate_emitter *e, const softmax *s, LLVMValueRef shifted)
{
    return agate_emit_scalar(e, AGATE_SCALAR_exp, dtype_of(s), NULL, &shifted);
}

static LLVMValueRef shifted(agate_emitter *e, const softmax *s, const agate_coords *at)
{
    LLVMValueRef x = operand(e, s, at);
    return LLVMBuildFSub(e->builder, x, agate_emit_splat_to(e, s->most, x), "");
}

/* Lanes beyond the row's end take no part. */
static LLVMValueRef only_live(agate_emitter *e, const softmax *s, const agate_coords *at, LLVMValueRef joined,
                              LLVMValueRef so_far)
{
    return at->live && s->lanes > 1 ? LLVMBuildSelect(e->builder, at->live, joined, so_far, "") : joined;
}

static LLVMValueRef pass_most(agate_emitter *e, const softmax *s, const agate_coords *at, LLVMValueRef so_far)
{
    LLVMValueRef joined = agate_emit_join(e, AGATE_OP_reduce_max, dtype_of(s), so_far, operand(e, s, at));
    return only_live(e, s, at, joined, so_far);
}

static LLVMValueRef pass_sum(agate_emitter *e, const softmax *s, const agate_coords *at, LLVMValueRef so_far)
{
    LLVMValueRef joined = LLVMBuildFAdd(e->builder, so_far, power(e, s, shifted(e, s, at)), "");
    return only_live(e, s, at, joined, so_far);
}

static LLVMValueRef pass_result(agate_emitter *e, const softmax *s, const agate_coords *at,
                                LLVMValueRef so_far)
{
    LLVMValueRef x = shifted(e, s, at), sum = agate_emit_splat_to(e, s->sum, x);
    bool quotient = s->node->op == AGATE_OP_softmax;

    agate_emit_bind(e, &s->node->results[0],
                    quotient ? LLVMBuildFDiv(e->builder, power(e, s, x), sum, "")
                             : LLVMBuildFSub(e->builder, x, sum, ""));
    agate_emit_finish(e, at);
    return so_far;
}

/* Walks the axis; `start` is NULL for a pass that carries nothing. */
static LLVMValueRef run_pass(agate_emitter *e, const softmax *s, pass_fn pass, LLVMValueRef start)
{
    int64_t whole = s->extent / s->lanes * s->lanes;
    agate_coords at = s->at;
    LLVMValueRef value = start;

    if (s->lanes > 1) {
        at.vector = s->axis;
        at.lanes = s->lanes;
    }
    agate_loop loop =
        agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, whole), s->lanes, &start, start ? 1 : 0);
    at.at[s->axis] = loop.index;
    value = pass(e, s, &at, start ? loop.carried[0] : NULL);
    agate_loop_end(e, &loop, &value);
    value = start ? loop.carried[0] : NULL;
    if (whole < s->extent) {
        at.at[s->axis] = agate_emit_int(e, whole);
        at.live = agate_emit_live(e, at.at[s->axis], agate_emit_int(e, s->extent), s->lanes);
        value = pass(e, s, &at, value);
    }
    e->bindings = NULL;
    return value;
}

static void emit_row(agate_emitter *e, const agate_coords *coords, void *user)
{
    softmax s = *(const softmax *)user;
    int32_t lanes = s.lanes > 1 ? s.lanes : coords->lanes;
    agate_dtype dtype = dtype_of(&s);

    s.at = *coords;
    s.most = run_pass(e, &s, pass_most, agate_emit_neutral(e, AGATE_OP_reduce_max, dtype, lanes));
    if (s.lanes > 1)
        s.most = agate_emit_join_lanes(e, AGATE_OP_reduce_max, dtype, s.most);
    s.sum = run_pass(e, &s, pass_sum, agate_emit_number(e, dtype, 0, lanes));
    if (s.lanes > 1)
        s.sum = agate_emit_join_lanes(e, AGATE_OP_reduce_sum, dtype, s.sum);
    if (s.node->op == AGATE_OP_log_softmax)
        s.sum = agate_emit_scalar(e, AGATE_SCALAR_log, dtype, NULL, &s.sum);
    run_pass(e, &s, pass_result, NULL);
}

/* The result with the axis left out: one element stands for a row. */
typedef struct plan {
    agate_type rows;
    agate_space space;
    softmax softmax;
} plan;

static void make_plan(const agate_node *kernel, plan *out_plan)
{
    const agate_type *type = &kernel->results[0].type;
    const agate_node *node = agate_emit_anchor_of(kernel);
    int32_t axis = (int32_t)node->attrs.axis.axis, lanes, vector;
    plan p = {.rows = *type, .softmax = {.node = node, .axis = axis, .lanes = 1}};

    vector = agate_space_vector(type, (int32_t)agate_max(kernel->tiles.v, 1), &lanes);
    assert(agate_dim_is_fixed(type->dims[axis]));
    p.softmax.extent = type->dims[axis].offset;
    if (vector == axis) {
        if (type->layout.kind == AGATE_LAYOUT_plain)
            p.softmax.lanes = lanes;
        vector = -1;
        lanes = 1;
    }
    p.rows.dims[axis] = agate_dim_fixed(agate_min(1, p.softmax.extent));
    if (vector < 0)
        p.rows.layout = (agate_layout){0};
    p.space = agate_space_make(&p.rows, vector, lanes, agate_max(1, kernel->tiles.grain));
    *out_plan = p;
}

void agate_emit_softmax(agate_emitter *e)
{
    plan p;

    make_plan(e->kernel, &p);
    p.space.type = &p.rows;
    agate_emit_space(e, &p.space, emit_row, &p.softmax);
}

agate_dim agate_tasks_softmax(const agate_node *kernel)
{
    plan p;

    make_plan(kernel, &p);
    return p.space.tasks;
}
