/* emit_arg.c: strategy arg: the place of the greatest or least element of an axis. Vectors run along what
 * is kept, where the axis is not the innermost: each lane has a row of its own, and goes over it
 * once with the extreme so far and its place. A NaN is more extreme than any number, as the reference kernels
 * have it. */
#include "backend/emit_space.h"

typedef struct arg {
    const agate_node *node;
    int32_t axis;
    agate_space space;
} arg;

static arg make_plan(const agate_node *kernel)
{
    const agate_type *type = &kernel->results[0].type;
    arg a = {.node = agate_emit_anchor_of(kernel)};
    int32_t lanes = 1, vector = -1;

    a.axis = (int32_t)a.node->attrs.arg.axis;
    if (a.axis < a.node->operands[0]->type.rank - 1)
        vector = agate_space_vector(type, (int32_t)agate_max(kernel->tiles.v, 1), &lanes);
    a.space = agate_space_make(type, vector, lanes, agate_max(1, kernel->tiles.grain));
    return a;
}

/* Where element `place` of the row that `coords` of the result stand for lies in the operand. */
static agate_coords row_coords(agate_emitter *e, const arg *a, const agate_coords *coords, LLVMValueRef place)
{
    const agate_type *type = &a->node->operands[0]->type;
    agate_coords from = agate_coords_make(e, type->rank);

    for (int32_t i = 0, kept = 0; i < type->rank; i++) {
        bool counts = i != a->axis || a->node->attrs.arg.keep;
        if (i != a->axis && kept == coords->vector)
            from.vector = i;
        from.at[i] = i == a->axis ? place : coords->at[kept];
        kept += counts;
    }
    from.lanes = coords->lanes;
    from.live = coords->live;
    from.guarded = coords->guarded;
    from.unaligned = coords->unaligned;
    return from;
}

/* i1, or one for each lane: is `value` more extreme than `most`, or, of equals, the one to take? */
static LLVMValueRef is_taken(agate_emitter *e, const arg *a, LLVMValueRef value, LLVMValueRef most)
{
    bool greatest = a->node->op == AGATE_OP_arg_max, last = a->node->attrs.arg.last;
    LLVMRealPredicate beyond = greatest ? LLVMRealUGT : LLVMRealULT; /* or one of them is NaN */
    LLVMRealPredicate equal = greatest ? LLVMRealUGE : LLVMRealULE;
    LLVMValueRef taken = LLVMBuildFCmp(e->builder, last ? equal : beyond, value, most, "");
    LLVMValueRef stays = LLVMBuildFCmp(e->builder, LLVMRealUNO, most, most, "");

    if (last) /* a NaN gives way to another one only */
        stays = LLVMBuildAnd(e->builder, stays, LLVMBuildFCmp(e->builder, LLVMRealORD, value, value, ""), "");
    return LLVMBuildAnd(e->builder, taken, LLVMBuildNot(e->builder, stays, ""), "");
}

static void emit_row(agate_emitter *e, const agate_coords *coords, void *user)
{
    const arg *a = user;
    const agate_value *x = a->node->operands[0];
    agate_coords from = row_coords(e, a, coords, agate_emit_int(e, 0));
    LLVMValueRef carried[] = {agate_emit_value(e, x, &from),
                              agate_emit_number(e, AGATE_I32, 0, coords->lanes)};
    LLVMValueRef extent = agate_emit_dim(e, x->type.dims[a->axis]);

    e->bindings = NULL;
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 1), extent, 1, carried, 2);
    from = row_coords(e, a, coords, loop.index);
    LLVMValueRef value = agate_emit_value(e, x, &from);
    LLVMValueRef place = LLVMBuildTrunc(e->builder, loop.index, LLVMInt32TypeInContext(e->context), "");
    LLVMValueRef taken = is_taken(e, a, value, loop.carried[0]);
    place = agate_emit_splat(e, place, coords->lanes);
    carried[0] = LLVMBuildSelect(e->builder, taken, value, loop.carried[0], "");
    carried[1] = LLVMBuildSelect(e->builder, taken, place, loop.carried[1], "");
    agate_loop_end(e, &loop, carried);
    e->bindings = NULL;
    agate_emit_bind(
        e, &a->node->results[0],
        LLVMBuildZExt(e->builder, loop.carried[1], agate_emit_type(e, AGATE_I64, coords->lanes), ""));
    agate_emit_finish(e, coords);
}

void agate_emit_arg(agate_emitter *e)
{
    arg a = make_plan(e->kernel);

    agate_emit_space(e, &a.space, emit_row, &a);
}

agate_dim agate_tasks_arg(const agate_node *kernel)
{
    return make_plan(kernel).space.tasks;
}
