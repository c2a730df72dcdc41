/* emitter.c: opening and closing a kernel's function; numbers. */
#include "backend/emit_parts.h"
#include "backend/llvm_shim.h"

/* The function reads its buffers' addresses once, on entry. */
static void load_buffers(agate_emitter *e)
{
    int32_t param_count = e->body->param_count;
    int32_t result_count = e->kernel->result_count;
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    LLVMValueRef buffers = LLVMGetParam(e->function, 0);

    e->params = AGATE_NEW_N(e->scratch, LLVMValueRef, param_count + 1);
    e->results = AGATE_NEW_N(e->scratch, LLVMValueRef, result_count + 1);
    for (int32_t i = 0; i < param_count + result_count; i++) {
        LLVMValueRef index = agate_emit_int(e, i);
        LLVMValueRef address = LLVMBuildInBoundsGEP2(e->builder, pointer, buffers, &index, 1, "");
        LLVMValueRef base = LLVMBuildLoad2(e->builder, pointer, address, "");
        if (i < param_count)
            e->params[i] = base;
        else
            e->results[i - param_count] = base;
    }
}

void agate_emitter_init(agate_emitter *e, LLVMContextRef context, const agate_node *kernel,
                        const char *symbol, agate_arena *scratch)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(context);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(context, 0);
    LLVMTypeRef params[5] = {pointer, i64, i64, i64, pointer};

    *e = (agate_emitter){.context = context, .kernel = kernel, .body = kernel->body, .scratch = scratch};
    e->module = LLVMModuleCreateWithNameInContext(symbol, context);
    e->builder = LLVMCreateBuilderInContext(context);
    e->function = LLVMAddFunction(
        e->module, symbol, LLVMFunctionType(LLVMVoidTypeInContext(context), params, AGATE_COUNT(params), 0));
    unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(e->function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(context, nounwind, 0));
    e->batch = LLVMGetParam(e->function, 1);
    e->first = LLVMGetParam(e->function, 2);
    e->last = LLVMGetParam(e->function, 3);
    e->workspace = LLVMGetParam(e->function, 4);
    LLVMPositionBuilderAtEnd(e->builder, LLVMAppendBasicBlockInContext(context, e->function, "entry"));
    load_buffers(e);
}

void agate_emitter_deinit(agate_emitter *e)
{
    LLVMBuildRetVoid(e->builder);
    LLVMDisposeBuilder(e->builder);
    e->builder = NULL;
}

/* In the entry block: once, whatever loops stand around. */
LLVMValueRef agate_emit_reserve(agate_emitter *e, LLVMTypeRef type, int64_t count, int32_t align_bytes)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(e->function);

    LLVMPositionBuilderBefore(e->builder, LLVMGetFirstInstruction(entry));
    LLVMValueRef memory = LLVMBuildAlloca(e->builder, LLVMArrayType2(type, (uint64_t)count), "");
    LLVMSetAlignment(memory, (unsigned)align_bytes);
    LLVMPositionBuilderAtEnd(e->builder, here);
    return memory;
}

LLVMValueRef agate_emit_constant(agate_emitter *e, const char *name, const void *bytes, size_t size_bytes)
{
    LLVMValueRef contents = LLVMConstStringInContext2(e->context, bytes, size_bytes, 1);
    LLVMValueRef global = LLVMAddGlobal(e->module, LLVMTypeOf(contents), name);

    LLVMSetInitializer(global, contents);
    LLVMSetGlobalConstant(global, 1);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetAlignment(global, AGATE_ALIGNMENT);
    return global;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

LLVMTypeRef agate_emit_type(agate_emitter *e, agate_dtype dtype, int32_t lanes)
{
    LLVMTypeRef type = NULL;
    switch (dtype) {
    case AGATE_F32:
        type = LLVMFloatTypeInContext(e->context);
        break;
    case AGATE_F64:
        type = LLVMDoubleTypeInContext(e->context);
        break;
    default:
        type = LLVMIntTypeInContext(e->context, (unsigned)agate_dtype_size(dtype) * 8);
        break;
    }
    return lanes > 1 ? LLVMVectorType(type, (unsigned)lanes) : type;
}

LLVMValueRef agate_emit_int(agate_emitter *e, int64_t value)
{
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (uint64_t)value, 1);
}

LLVMValueRef agate_emit_dim(agate_emitter *e, agate_dim dim)
{
    if (dim.scale == 0)
        return agate_emit_int(e, dim.offset);
    return agate_emit_add(e, agate_emit_mul(e, e->batch, dim.scale), agate_emit_int(e, dim.offset));
}

LLVMValueRef agate_emit_float(agate_emitter *e, double value, int32_t lanes)
{
    return agate_emit_number(e, AGATE_F32, value, lanes);
}

/* Integers that a double names: out of range ones do not occur in attributes that were checked. */
static uint64_t integer_bits(agate_dtype dtype, double value)
{
    switch (dtype) {
    case AGATE_F16:
        return agate_f32_to_f16((float)value);
    case AGATE_BF16:
        return agate_f32_to_bf16((float)value);
    case AGATE_BOOL:
        return value != 0;
    case AGATE_U64:
        return value >= 0x1p63 ? (uint64_t)value : (uint64_t)(int64_t)value;
    default:
        return (uint64_t)(int64_t)value;
    }
}

LLVMValueRef agate_emit_number(agate_emitter *e, agate_dtype dtype, double value, int32_t lanes)
{
    LLVMTypeRef type = agate_emit_type(e, dtype, 1);
    LLVMValueRef scalar = dtype == AGATE_F32 || dtype == AGATE_F64
                              ? LLVMConstReal(type, dtype == AGATE_F32 ? (double)(float)value : value)
                              : LLVMConstInt(type, integer_bits(dtype, value), 0);
    return agate_emit_splat(e, scalar, lanes);
}

LLVMValueRef agate_emit_splat(agate_emitter *e, LLVMValueRef scalar, int32_t lanes)
{
    if (lanes == 1)
        return scalar;
    if (LLVMIsConstant(scalar)) {
        LLVMValueRef elements[lanes];
        for (int32_t i = 0; i < lanes; i++)
            elements[i] = scalar;
        return LLVMConstVector(elements, (unsigned)lanes);
    }
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMTypeRef indices = LLVMVectorType(LLVMInt32TypeInContext(e->context), (unsigned)lanes);
    LLVMValueRef one =
        LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), scalar, agate_emit_int(e, 0), "");
    return LLVMBuildShuffleVector(e->builder, one, LLVMGetPoison(type), LLVMConstNull(indices), "");
}

LLVMValueRef agate_emit_iota(agate_emitter *e, int32_t lanes)
{
    if (lanes == 1)
        return agate_emit_int(e, 0);
    LLVMValueRef elements[lanes];
    for (int32_t i = 0; i < lanes; i++)
        elements[i] = agate_emit_int(e, i);
    return LLVMConstVector(elements, (unsigned)lanes);
}

int32_t agate_emit_lanes(LLVMValueRef value)
{
    LLVMTypeRef type = LLVMTypeOf(value);
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? (int32_t)LLVMGetVectorSize(type) : 1;
}

LLVMValueRef agate_emit_interleaved(agate_emitter *e, LLVMValueRef even, LLVMValueRef odd, int32_t first,
                                    int32_t count)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef order[count];

    for (int32_t i = 0; i < count; i++)
        order[i] = LLVMConstInt(i32, (uint64_t)(first + i / 2 + i % 2 * agate_emit_lanes(even)), 0);
    return LLVMBuildShuffleVector(e->builder, even, odd, LLVMConstVector(order, (unsigned)count), "");
}

LLVMValueRef agate_emit_splat_to(agate_emitter *e, LLVMValueRef value, LLVMValueRef model)
{
    return agate_emit_lanes(value) == 1 ? agate_emit_splat(e, value, agate_emit_lanes(model)) : value;
}

LLVMValueRef agate_emit_intrinsic(agate_emitter *e, const char *name, LLVMValueRef *args, uint32_t count)
{
    LLVMTypeRef type = LLVMTypeOf(args[0]);
    return agate_llvm_intrinsic(e->module, e->builder, name, &type, 1, args, count);
}

LLVMValueRef agate_emit_fma(agate_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    LLVMValueRef args[3] = {a, b, c};
    return agate_emit_intrinsic(e, "llvm.fmuladd", args, 3);
}

LLVMValueRef agate_emit_opaque(agate_emitter *e, LLVMValueRef value)
{
    LLVMTypeRef same = LLVMTypeOf(value);
    const char *constraints = LLVMGetTypeKind(same) == LLVMVectorTypeKind ? "=v,0" : "=r,0";
    LLVMTypeRef type = LLVMFunctionType(same, &same, 1, false);
    LLVMValueRef code = LLVMGetInlineAsm(type, "", 0, constraints, strlen(constraints), false, false,
                                         LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(e->builder, type, code, &value, 1, "");
}

/* ---- arithmetic on coordinates ------------------------------------------------------------------------- */

static bool is_number(LLVMValueRef value, int64_t number)
{
    return LLVMIsAConstantInt(value) && LLVMConstIntGetSExtValue(value) == number;
}

LLVMValueRef agate_emit_add(agate_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    if (is_number(a, 0))
        return b;
    return is_number(b, 0) ? a : LLVMBuildNSWAdd(e->builder, a, b, "");
}

LLVMValueRef agate_emit_sub(agate_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return is_number(b, 0) ? a : LLVMBuildNSWSub(e->builder, a, b, "");
}

LLVMValueRef agate_emit_mul(agate_emitter *e, LLVMValueRef a, int64_t factor)
{
    if (factor == 1)
        return a;
    if (factor == 0)
        return LLVMConstNull(LLVMTypeOf(a));
    return LLVMBuildNSWMul(e->builder, a, agate_emit_splat(e, agate_emit_int(e, factor), agate_emit_lanes(a)),
                           "");
}

static LLVMValueRef choose(agate_emitter *e, LLVMIntPredicate predicate, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef condition = LLVMBuildICmp(e->builder, predicate, a, b, "");
    if (LLVMIsAConstantInt(condition))
        return LLVMConstIntGetZExtValue(condition) ? a : b;
    return LLVMBuildSelect(e->builder, condition, a, b, "");
}

LLVMValueRef agate_emit_min(agate_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return choose(e, LLVMIntSLT, a, b);
}

LLVMValueRef agate_emit_max(agate_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return choose(e, LLVMIntSGT, a, b);
}

/* Is `a` plainly never negative? Indices, parameters and quotients are not; sums and products of such are
 * not. */
static bool is_natural(LLVMValueRef a)
{
    if (LLVMIsAConstantInt(a))
        return LLVMConstIntGetSExtValue(a) >= 0;
    if (!LLVMIsAInstruction(a))
        return LLVMIsAArgument(a) != NULL;
    switch (LLVMGetInstructionOpcode(a)) {
    case LLVMPHI:
    case LLVMUDiv:
    case LLVMURem:
        return true;
    case LLVMAdd:
    case LLVMMul:
        return is_natural(LLVMGetOperand(a, 0)) && is_natural(LLVMGetOperand(a, 1));
    default:
        return false;
    }
}

/* Writes a = multiple*divisor + rest, as far as `a` shows how it was made. `rest` is NULL where it is 0,
 * `multiple` where it is not known. */
static void take_apart(agate_emitter *e, LLVMValueRef a, int64_t divisor, LLVMValueRef *multiple,
                       LLVMValueRef *rest)
{
    *multiple = NULL;
    *rest = a;
    if (!LLVMIsAInstruction(a))
        return;
    LLVMOpcode opcode = LLVMGetInstructionOpcode(a);
    if (opcode == LLVMMul) {
        LLVMValueRef factor = LLVMGetOperand(a, 1);
        if (LLVMIsAConstantInt(factor) && LLVMConstIntGetSExtValue(factor) % divisor == 0) {
            *multiple = agate_emit_mul(e, LLVMGetOperand(a, 0), LLVMConstIntGetSExtValue(factor) / divisor);
            *rest = NULL;
        }
    } else if (opcode == LLVMAdd) {
        LLVMValueRef left, left_rest, right, right_rest;
        take_apart(e, LLVMGetOperand(a, 0), divisor, &left, &left_rest);
        take_apart(e, LLVMGetOperand(a, 1), divisor, &right, &right_rest);
        LLVMValueRef rests[2] = {left_rest, right_rest};
        bool natural = (!rests[0] || is_natural(rests[0])) && (!rests[1] || is_natural(rests[1]));
        if ((left || right) && natural) {
            *multiple = left && right ? agate_emit_add(e, left, right) : left ? left : right;
            *rest = left_rest && right_rest ? agate_emit_add(e, left_rest, right_rest)
                    : left_rest             ? left_rest
                                            : right_rest;
        }
    }
}

void agate_emit_divide(agate_emitter *e, LLVMValueRef a, int64_t divisor, LLVMValueRef *out_quotient,
                       LLVMValueRef *out_remainder)
{
    LLVMValueRef multiple, rest;
    LLVMValueRef number = agate_emit_splat(e, agate_emit_int(e, divisor), agate_emit_lanes(a));

    take_apart(e, a, divisor, &multiple, &rest);
    *out_quotient = rest ? LLVMBuildUDiv(e->builder, rest, number, "") : LLVMConstNull(LLVMTypeOf(a));
    *out_remainder = rest ? LLVMBuildURem(e->builder, rest, number, "") : LLVMConstNull(LLVMTypeOf(a));
    if (multiple)
        *out_quotient = agate_emit_add(e, multiple, *out_quotient);
}
