/* emit_loop.c: control flow: counted loops with carried values, branches, task numbers. */
#include "backend/emit.h"

static LLVMBasicBlockRef new_block(agate_emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

/* The loop tests at its end, so a turn costs one jump; a test in front skips it where it may run zero times.
 */
agate_loop agate_loop_begin(agate_emitter *e, LLVMValueRef lo, LLVMValueRef hi, int64_t step,
                            const LLVMValueRef *carried, int32_t carried_count)
{
    assert(step > 0 && carried_count <= AGATE_MAX_CARRIED);
    agate_loop loop = {.carried_count = carried_count, .step = step, .hi = hi, .bindings = e->bindings};
    LLVMValueRef runs = LLVMBuildICmp(e->builder, LLVMIntSLT, lo, hi, "");

    loop.before = LLVMGetInsertBlock(e->builder);
    loop.head = new_block(e, "loop");
    loop.exit = new_block(e, "done");
    loop.guarded = !LLVMIsAConstantInt(runs) || LLVMConstIntGetZExtValue(runs) == 0;
    if (loop.guarded)
        LLVMBuildCondBr(e->builder, runs, loop.head, loop.exit);
    else
        LLVMBuildBr(e->builder, loop.head);

    LLVMPositionBuilderAtEnd(e->builder, loop.head);
    loop.index = LLVMBuildPhi(e->builder, LLVMTypeOf(lo), "i");
    LLVMAddIncoming(loop.index, &lo, &loop.before, 1);
    for (int32_t i = 0; i < carried_count; i++) {
        loop.initial[i] = carried[i];
        loop.carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(carried[i]), "");
        LLVMAddIncoming(loop.carried[i], &loop.initial[i], &loop.before, 1);
    }
    return loop;
}

void agate_loop_end(agate_emitter *e, agate_loop *loop, const LLVMValueRef *carried)
{
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
    LLVMValueRef sum = LLVMBuildNSWAdd(e->builder, loop->index, agate_emit_int(e, loop->step), "");
    /* LLVM's strength reduction would take as long as all the rest of its code generation, for no gain. */
    LLVMValueRef next = agate_emit_opaque(e, sum);
    LLVMValueRef again = LLVMBuildICmp(e->builder, LLVMIntSLT, next, loop->hi, "");

    LLVMBuildCondBr(e->builder, again, loop->head, loop->exit);
    LLVMAddIncoming(loop->index, &next, &latch, 1);
    for (int32_t i = 0; i < loop->carried_count; i++) {
        LLVMValueRef value = carried[i];
        LLVMAddIncoming(loop->carried[i], &value, &latch, 1);
    }

    LLVMPositionBuilderAtEnd(e->builder, loop->exit);
    for (int32_t i = 0; i < loop->carried_count; i++) {
        LLVMValueRef value = carried[i];
        LLVMValueRef out = LLVMBuildPhi(e->builder, LLVMTypeOf(value), "");
        LLVMAddIncoming(out, &value, &latch, 1);
        if (loop->guarded)
            LLVMAddIncoming(out, &loop->initial[i], &loop->before, 1);
        loop->carried[i] = out;
    }
    e->bindings = loop->bindings;
}

agate_loop agate_task_begin(agate_emitter *e)
{
    return agate_loop_begin(e, e->first, e->last, 1, NULL, 0);
}

agate_branch agate_branch_begin(agate_emitter *e, LLVMValueRef condition)
{
    agate_branch branch = {.before = LLVMGetInsertBlock(e->builder), .bindings = e->bindings};

    branch.then = new_block(e, "then");
    branch.exit = new_block(e, "join");
    LLVMBuildCondBr(e->builder, condition, branch.then, branch.exit);
    LLVMPositionBuilderAtEnd(e->builder, branch.then);
    return branch;
}

LLVMValueRef agate_branch_end(agate_emitter *e, agate_branch *branch, LLVMValueRef yes, LLVMValueRef no)
{
    LLVMBasicBlockRef from = LLVMGetInsertBlock(e->builder);
    LLVMValueRef value = NULL;

    LLVMBuildBr(e->builder, branch->exit);
    LLVMPositionBuilderAtEnd(e->builder, branch->exit);
    if (yes) {
        value = LLVMBuildPhi(e->builder, LLVMTypeOf(yes), "");
        LLVMAddIncoming(value, &yes, &from, 1);
        LLVMAddIncoming(value, &no, &branch->before, 1);
    }
    e->bindings = branch->bindings;
    return value;
}

void agate_emit_digits(agate_emitter *e, LLVMValueRef number, const LLVMValueRef *extents, int32_t count,
                       LLVMValueRef *out_digits)
{
    for (int32_t i = count - 1; i > 0; i--) {
        out_digits[i] = LLVMBuildURem(e->builder, number, extents[i], "");
        number = LLVMBuildUDiv(e->builder, number, extents[i], "");
    }
    if (count > 0)
        out_digits[0] = number;
}
