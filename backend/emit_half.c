/* emit_half.c: numbers of 16 bits made f32 and back, as runtime/base/half.c does one by one. */
#include "backend/emit.h"
#include "backend/llvm_shim.h"

/* Integers as wide as f32, of that many lanes, all of `value`. */
static LLVMValueRef words_of(agate_emitter *e, uint32_t value, int32_t lanes)
{
    return agate_emit_number(e, AGATE_U32, value, lanes);
}

static LLVMValueRef as(agate_emitter *e, agate_dtype dtype, LLVMValueRef value)
{
    return LLVMBuildBitCast(e->builder, value, agate_emit_type(e, dtype, agate_emit_lanes(value)), "");
}

static LLVMValueRef extended(agate_emitter *e, LLVMValueRef value)
{
    return LLVMBuildZExt(e->builder, value, agate_emit_type(e, AGATE_U32, agate_emit_lanes(value)), "");
}

static LLVMValueRef truncated(agate_emitter *e, LLVMValueRef value)
{
    return LLVMBuildTrunc(e->builder, value, agate_emit_type(e, AGATE_U16, agate_emit_lanes(value)), "");
}

static LLVMValueRef masked(agate_emitter *e, LLVMValueRef value, uint32_t mask)
{
    return LLVMBuildAnd(e->builder, value, words_of(e, mask, agate_emit_lanes(value)), "");
}

static LLVMValueRef shifted_left(agate_emitter *e, LLVMValueRef value, uint32_t count)
{
    return LLVMBuildShl(e->builder, value, words_of(e, count, agate_emit_lanes(value)), "");
}

static LLVMValueRef shifted_right(agate_emitter *e, LLVMValueRef value, uint32_t count)
{
    return LLVMBuildLShr(e->builder, value, words_of(e, count, agate_emit_lanes(value)), "");
}

static LLVMValueRef plus(agate_emitter *e, LLVMValueRef value, uint32_t number)
{
    return LLVMBuildAdd(e->builder, value, words_of(e, number, agate_emit_lanes(value)), "");
}

/* `value` with half of the last bit that stays when `count` are shifted out, so that what is shifted out then
 * has rounded it. */
static LLVMValueRef rounded_up(agate_emitter *e, LLVMValueRef value, uint32_t count)
{
    LLVMValueRef odd = masked(e, shifted_right(e, value, count), 1);

    return LLVMBuildAdd(e->builder, plus(e, value, (UINT32_C(1) << (count - 1)) - 1), odd, "");
}

/* ---- bf16: the upper half of an f32 -------------------------------------------------------------------- */

/* What AVX512-BF16's instruction rounds at once. */
#define ROUNDED_LANES 16

/* In a kernel whose products are of AVX512-BF16, its instruction rounds: denormals to 0. */
static LLVMValueRef round_to_bf16(agate_emitter *e, LLVMValueRef value)
{
    LLVMBuilderRef b = e->builder;
    if (e->kernel->tiles.dp && agate_emit_lanes(value) == ROUNDED_LANES) {
        value =
            agate_llvm_intrinsic(e->module, b, "llvm.x86.avx512bf16.cvtneps2bf16.512", NULL, 0, &value, 1);
        return as(e, AGATE_BF16, value);
    }
    LLVMValueRef bits = as(e, AGATE_U32, value);
    LLVMValueRef quiet = LLVMBuildOr(b, bits, words_of(e, 0x400000, agate_emit_lanes(value)), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, value, value, "");
    LLVMValueRef rounded = LLVMBuildSelect(b, nan, quiet, rounded_up(e, bits, 16), "");
    return truncated(e, shifted_right(e, rounded, 16));
}

LLVMValueRef agate_emit_to_shuffle(agate_emitter *e, LLVMValueRef value)
{
    bool by_instruction =
        e->kernel->tiles.dp && LLVMTypeOf(value) == agate_emit_type(e, AGATE_BF16, ROUNDED_LANES);

    return by_instruction ? agate_emit_opaque(e, value) : value;
}

/* ---- f16 --------------------------------------------------------------------------------------------------
 *
 * By F16C's instructions, or by integer arithmetic and one operation in f32, which shifts a mantissa to its
 * place (F. Giesen, "Float->half variants", 2012). */

static LLVMTypeRef half_type(agate_emitter *e, int32_t lanes)
{
    LLVMTypeRef type = LLVMHalfTypeInContext(e->context);

    return lanes > 1 ? LLVMVectorType(type, (unsigned)lanes) : type;
}

/* The exponent is too small by 112 when the mantissas lie alike: a product makes up for it, of denormals,
 * too. */
static LLVMValueRef widen_f16(agate_emitter *e, LLVMValueRef value)
{
    LLVMBuilderRef b = e->builder;
    int32_t lanes = agate_emit_lanes(value);
    if (e->halves)
        return LLVMBuildFPCast(b, LLVMBuildBitCast(b, value, half_type(e, lanes), ""),
                               agate_emit_type(e, AGATE_F32, lanes), "");
    LLVMValueRef bits = extended(e, value), magnitude = masked(e, bits, 0x7fff);
    LLVMValueRef small = as(e, AGATE_F32, shifted_left(e, magnitude, 13));
    LLVMValueRef finite = as(e, AGATE_U32, LLVMBuildFMul(b, small, agate_emit_float(e, 0x1p112, lanes), ""));
    LLVMValueRef infinite = LLVMBuildOr(b, finite, words_of(e, 0x7f800000, lanes), "");
    LLVMValueRef is_finite = LLVMBuildICmp(b, LLVMIntULT, magnitude, words_of(e, 0x7c00, lanes), "");
    LLVMValueRef whole = LLVMBuildSelect(b, is_finite, finite, infinite, "");
    LLVMValueRef sign = shifted_left(e, masked(e, bits, 0x8000), 16);
    return as(e, AGATE_F32, LLVMBuildOr(b, whole, sign, ""));
}

/* Next to 0.5, the last bit of an f32 is 2^-24, as that of a denormal f16. */
static LLVMValueRef denormal_f16(agate_emitter *e, LLVMValueRef magnitude)
{
    LLVMValueRef half = agate_emit_float(e, 0.5, agate_emit_lanes(magnitude));
    LLVMValueRef sum = LLVMBuildFAdd(e->builder, as(e, AGATE_F32, magnitude), half, "");

    return LLVMBuildSub(e->builder, as(e, AGATE_U32, sum), as(e, AGATE_U32, half), "");
}

static LLVMValueRef round_to_f16(agate_emitter *e, LLVMValueRef value)
{
    LLVMBuilderRef b = e->builder;
    int32_t lanes = agate_emit_lanes(value);
    if (e->halves)
        return as(e, AGATE_F16, LLVMBuildFPCast(b, value, half_type(e, lanes), ""));
    LLVMValueRef bits = as(e, AGATE_U32, value), magnitude = masked(e, bits, 0x7fffffff);
    LLVMValueRef normal = shifted_right(e, plus(e, rounded_up(e, magnitude, 13), 0u - (112u << 23)), 13);
    LLVMValueRef is_normal = LLVMBuildICmp(b, LLVMIntUGE, magnitude, words_of(e, 0x38800000, lanes), "");
    LLVMValueRef finite = LLVMBuildSelect(b, is_normal, normal, denormal_f16(e, magnitude), "");
    /* From 65520 on they round to 2^16, which is the bits of infinity. */
    LLVMValueRef is_large = LLVMBuildICmp(b, LLVMIntUGE, magnitude, words_of(e, 0x47800000, lanes), "");
    LLVMValueRef is_nan = LLVMBuildICmp(b, LLVMIntUGT, magnitude, words_of(e, 0x7f800000, lanes), "");
    LLVMValueRef nan =
        LLVMBuildOr(b, masked(e, shifted_right(e, magnitude, 13), 0x3ff), words_of(e, 0x7e00, lanes), "");
    LLVMValueRef large = LLVMBuildSelect(b, is_nan, nan, words_of(e, 0x7c00, lanes), "");
    LLVMValueRef whole = LLVMBuildSelect(b, is_large, large, finite, "");
    LLVMValueRef sign = masked(e, shifted_right(e, bits, 16), 0x8000);
    return truncated(e, LLVMBuildOr(b, whole, sign, ""));
}

LLVMValueRef agate_emit_widened(agate_emitter *e, agate_dtype from, LLVMValueRef value)
{
    return from == AGATE_BF16 ? as(e, AGATE_F32, shifted_left(e, extended(e, value), 16))
                              : widen_f16(e, value);
}

LLVMValueRef agate_emit_rounded(agate_emitter *e, agate_dtype to, LLVMValueRef value)
{
    return to == AGATE_BF16 ? round_to_bf16(e, value) : round_to_f16(e, value);
}
