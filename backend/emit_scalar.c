/* emit_scalar.c: the rows of scalar.def as LLVM values: the same words that define the reference kernels,
 * here as builders. */
#include <math.h>

#include "backend/emit_parts.h"
#include "backend/llvm_shim.h"

/* What the words of one expression work on. */
typedef struct words {
    agate_emitter *e;
    const LLVMValueRef *operands;
    const agate_attrs *attrs;
    agate_dtype dtype;
    int32_t lanes;
} words;

static bool is_float(const words *w)
{
    return w->dtype == AGATE_F32 || w->dtype == AGATE_F64;
}

static bool is_signed(const words *w)
{
    return w->dtype == AGATE_I8 || w->dtype == AGATE_I16 || w->dtype == AGATE_I32 || w->dtype == AGATE_I64;
}

static LLVMValueRef number(words *w, double value)
{
    return agate_emit_number(w->e, w->dtype, value, w->lanes);
}

static LLVMValueRef zero_like(LLVMValueRef value)
{
    return LLVMConstNull(LLVMTypeOf(value));
}

static LLVMValueRef select_value(words *w, LLVMValueRef condition, LLVMValueRef yes, LLVMValueRef no)
{
    return LLVMBuildSelect(w->e->builder, condition, yes, no, "");
}

/* ---- comparisons --------------------------------------------------------------------------------------- */

/* The predicate for floats, signed and unsigned integers. */
static LLVMValueRef compare(words *w, LLVMRealPredicate real, LLVMIntPredicate signs,
                            LLVMIntPredicate unsigns, LLVMValueRef a, LLVMValueRef b)
{
    if (is_float(w))
        return LLVMBuildFCmp(w->e->builder, real, a, b, "");
    return LLVMBuildICmp(w->e->builder, is_signed(w) ? signs : unsigns, a, b, "");
}

static LLVMValueRef less(words *w, LLVMValueRef a, LLVMValueRef b)
{
    return compare(w, LLVMRealOLT, LLVMIntSLT, LLVMIntULT, a, b);
}

static LLVMValueRef less_equal(words *w, LLVMValueRef a, LLVMValueRef b)
{
    return compare(w, LLVMRealOLE, LLVMIntSLE, LLVMIntULE, a, b);
}

static LLVMValueRef equal(words *w, LLVMValueRef a, LLVMValueRef b)
{
    return compare(w, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ, a, b);
}

static LLVMValueRef is_nan(words *w, LLVMValueRef a)
{
    return LLVMBuildFCmp(w->e->builder, LLVMRealUNO, a, a, "");
}

/* The larger (the lesser, where `lesser`), and NaN where there is one. A comparison with NaN gives the second
 * operand, which the machine's own maximum does too: one that is no constant stands there, and only two
 * variables need more. */
static LLVMValueRef extreme(words *w, bool lesser, LLVMValueRef a, LLVMValueRef b)
{
    if (LLVMIsConstant(b)) {
        LLVMValueRef swap = a;
        a = b;
        b = swap;
    }
    LLVMValueRef best = select_value(w, lesser ? less(w, a, b) : less(w, b, a), a, b);
    if (!is_float(w) || LLVMIsConstant(a))
        return best;
    return select_value(w, is_nan(w, a), number(w, (double)NAN), best);
}

static LLVMValueRef truth(words *w, LLVMValueRef a)
{
    return LLVMBuildICmp(w->e->builder, LLVMIntNE, a, zero_like(a), "");
}

/* ---- arithmetic ---------------------------------------------------------------------------------------- */

#define EITHER(name, real, integer)                                                                          \
    static LLVMValueRef name(words *w, LLVMValueRef a, LLVMValueRef b)                                       \
    {                                                                                                        \
        return is_float(w) ? real(w->e->builder, a, b, "") : integer(w->e->builder, a, b, "");               \
    }
EITHER(add, LLVMBuildFAdd, LLVMBuildAdd)
EITHER(sub, LLVMBuildFSub, LLVMBuildSub)
EITHER(mul, LLVMBuildFMul, LLVMBuildMul)

static LLVMValueRef negate(words *w, LLVMValueRef a)
{
    return is_float(w) ? LLVMBuildFNeg(w->e->builder, a, "") : LLVMBuildNeg(w->e->builder, a, "");
}

static LLVMValueRef absolute(words *w, LLVMValueRef a)
{
    if (is_float(w))
        return agate_emit_intrinsic(w->e, "llvm.fabs", &a, 1);
    return is_signed(w) ? select_value(w, less(w, a, zero_like(a)), negate(w, a), a) : a;
}

/* Integer quotient and remainder that cannot trap: x/0 and x%0 are 0, and the quotient by -1 wraps. */
static void divide_integers(words *w, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *quotient,
                            LLVMValueRef *rest)
{
    LLVMBuilderRef builder = w->e->builder;
    LLVMValueRef by_zero = equal(w, b, zero_like(b));
    LLVMValueRef unsafe = by_zero, by_minus_one = NULL;

    if (is_signed(w)) {
        by_minus_one = equal(w, b, LLVMConstAllOnes(LLVMTypeOf(b)));
        unsafe = LLVMBuildOr(builder, by_zero, by_minus_one, "");
    }
    LLVMValueRef safe = select_value(w, unsafe, number(w, 1), b);
    *quotient = is_signed(w) ? LLVMBuildSDiv(builder, a, safe, "") : LLVMBuildUDiv(builder, a, safe, "");
    *rest = is_signed(w) ? LLVMBuildSRem(builder, a, safe, "") : LLVMBuildURem(builder, a, safe, "");
    *quotient = select_value(w, by_zero, zero_like(a), *quotient);
    *rest = select_value(w, by_zero, zero_like(a), *rest);
    if (by_minus_one)
        *quotient = select_value(w, by_minus_one, negate(w, a), *quotient);
}

static LLVMValueRef divide(words *w, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef quotient, rest;

    if (is_float(w))
        return LLVMBuildFDiv(w->e->builder, a, b, "");
    divide_integers(w, a, b, &quotient, &rest);
    return quotient;
}

static LLVMValueRef fmod_value(words *w, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef quotient, rest;

    if (is_float(w))
        return LLVMBuildFRem(w->e->builder, a, b, "");
    divide_integers(w, a, b, &quotient, &rest);
    return rest;
}

static LLVMValueRef mod_value(words *w, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef builder = w->e->builder;
    LLVMValueRef rest = fmod_value(w, a, b), zero = zero_like(a);

    if (!is_float(w) && !is_signed(w))
        return rest;
    LLVMValueRef differ = LLVMBuildXor(builder, less(w, rest, zero), less(w, b, zero), "");
    LLVMValueRef fix = LLVMBuildAnd(builder, differ, LLVMBuildNot(builder, equal(w, rest, zero), ""), "");
    return select_value(w, fix, add(w, rest, b), rest);
}

/* Shifts by the width or more push every bit out. */
static LLVMValueRef shift(words *w, bool left, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef builder = w->e->builder;
    LLVMValueRef width = number(w, (double)agate_dtype_size(w->dtype) * 8);
    LLVMValueRef within = LLVMBuildICmp(builder, LLVMIntULT, b, width, "");

    if (!left && is_signed(w)) {
        LLVMValueRef most = LLVMBuildSub(builder, width, number(w, 1), "");
        return LLVMBuildAShr(builder, a, select_value(w, within, b, most), "");
    }
    LLVMValueRef safe = select_value(w, within, b, zero_like(b));
    LLVMValueRef shifted = left ? LLVMBuildShl(builder, a, safe, "") : LLVMBuildLShr(builder, a, safe, "");
    return select_value(w, within, shifted, zero_like(a));
}

/* ---- functions ----------------------------------------------------------------------------------------- */

/* Calls a function of the C library for each lane; `name` is that for f64, an "f" behind it that for f32. */
static LLVMValueRef call_library(words *w, const char *name, const LLVMValueRef *args, int32_t count)
{
    agate_emitter *e = w->e;
    LLVMTypeRef type = agate_emit_type(e, w->dtype, 1), types[2] = {type, type};
    LLVMTypeRef signature = LLVMFunctionType(type, types, (unsigned)count, 0);
    const char *symbol = agate_arena_format(e->scratch, "%s%s", name, w->dtype == AGATE_F32 ? "f" : "");
    LLVMValueRef function = LLVMGetNamedFunction(e->module, symbol);
    LLVMValueRef result = LLVMGetPoison(agate_emit_type(e, w->dtype, w->lanes)), lane_args[2];

    if (!function)
        function = LLVMAddFunction(e->module, symbol, signature);
    for (int32_t lane = 0; lane < w->lanes; lane++) {
        LLVMValueRef at = agate_emit_int(e, lane);
        for (int32_t i = 0; i < count; i++)
            lane_args[i] = w->lanes == 1 ? args[i] : LLVMBuildExtractElement(e->builder, args[i], at, "");
        LLVMValueRef value = LLVMBuildCall2(e->builder, signature, function, lane_args, (unsigned)count, "");
        result = w->lanes == 1 ? value : LLVMBuildInsertElement(e->builder, result, value, at, "");
    }
    return result;
}

static LLVMValueRef call1(words *w, const char *name, LLVMValueRef a)
{
    return call_library(w, name, &a, 1);
}

static LLVMValueRef call2(words *w, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef args[2] = {a, b};
    return call_library(w, name, args, 2);
}

/* Integers by squaring, a bit of the exponent at a time. A negative power is 0, save that of 1 and -1. */
static LLVMValueRef power(words *w, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef builder = w->e->builder;

    if (is_float(w))
        return call2(w, "pow", a, b);
    LLVMValueRef result = number(w, 1), base = a, one = number(w, 1);
    LLVMValueRef odd = truth(w, LLVMBuildAnd(builder, b, one, ""));
    int32_t bits = (int32_t)agate_dtype_size(w->dtype) * 8 - (is_signed(w) ? 1 : 0);
    for (int32_t i = 0; i < bits; i++) {
        LLVMValueRef bit = LLVMBuildAnd(builder, LLVMBuildLShr(builder, b, number(w, i), ""), one, "");
        result = select_value(w, truth(w, bit), mul(w, result, base), result);
        base = mul(w, base, base);
    }
    if (!is_signed(w))
        return result;
    LLVMValueRef minus_one = LLVMConstAllOnes(LLVMTypeOf(a));
    LLVMValueRef of_minus =
        select_value(w, equal(w, a, minus_one), select_value(w, odd, a, one), zero_like(a));
    LLVMValueRef negative = select_value(w, equal(w, a, one), one, of_minus);
    return select_value(w, less(w, b, zero_like(b)), negative, result);
}

/* A function that has an expansion on vectors of f32. */
static LLVMValueRef expand(words *w, LLVMValueRef (*expansion)(agate_emitter *, LLVMValueRef),
                           const char *name, LLVMValueRef a)
{
    return w->dtype == AGATE_F32 ? expansion(w->e, a) : call1(w, name, a);
}

static LLVMValueRef intrinsic(words *w, const char *name, LLVMValueRef a)
{
    return agate_emit_intrinsic(w->e, name, &a, 1);
}

static LLVMValueRef is_inf(words *w, LLVMValueRef a)
{
    return equal(w, absolute(w, a), number(w, (double)INFINITY));
}

/* `a` rounded to `dtype`. */
static LLVMValueRef through(words *w, agate_dtype dtype, LLVMValueRef a)
{
    LLVMValueRef narrow = agate_emit_cast(w->e, w->dtype, dtype, a);

    return agate_emit_cast(w->e, dtype, w->dtype, narrow);
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

#define A            w->operands[0]
#define B            w->operands[1]
#define C            w->operands[2]
#define P            number(w, w->attrs->param.alpha)
#define Q            number(w, w->attrs->param.beta)
#define K(x)         number(w, x)
#define ADD(x, y)    add(w, x, y)
#define SUB(x, y)    sub(w, x, y)
#define MUL(x, y)    mul(w, x, y)
#define DIV(x, y)    divide(w, x, y)
#define NEG(x)       negate(w, x)
#define ABS(x)       absolute(w, x)
#define MOD(x, y)    mod_value(w, x, y)
#define FMOD(x, y)   fmod_value(w, x, y)
#define MAX(x, y)    extreme(w, false, x, y)
#define MIN(x, y)    extreme(w, true, x, y)
#define SQRT(x)      intrinsic(w, "llvm.sqrt", x)
#define EXP(x)       expand(w, agate_emit_exp, "exp", x)
#define LOG(x)       expand(w, agate_emit_log, "log", x)
#define TANH(x)      expand(w, agate_emit_tanh, "tanh", x)
#define ERF(x)       expand(w, agate_emit_erf, "erf", x)
#define POW(x, y)    power(w, x, y)
#define SIN(x)       call1(w, "sin", x)
#define COS(x)       call1(w, "cos", x)
#define TAN(x)       call1(w, "tan", x)
#define ASIN(x)      call1(w, "asin", x)
#define ACOS(x)      call1(w, "acos", x)
#define ATAN(x)      call1(w, "atan", x)
#define SINH(x)      call1(w, "sinh", x)
#define COSH(x)      call1(w, "cosh", x)
#define ASINH(x)     call1(w, "asinh", x)
#define ACOSH(x)     call1(w, "acosh", x)
#define ATANH(x)     call1(w, "atanh", x)
#define FLOOR(x)     intrinsic(w, "llvm.floor", x)
#define CEIL(x)      intrinsic(w, "llvm.ceil", x)
#define ROUND(x)     intrinsic(w, "llvm.roundeven", x)
#define TRUNC(x)     intrinsic(w, "llvm.trunc", x)
#define HALF(x)      through(w, AGATE_F16, x)
#define BHALF(x)     through(w, AGATE_BF16, x)
#define LT(x, y)     less(w, x, y)
#define LE(x, y)     less_equal(w, x, y)
#define GT(x, y)     less(w, y, x)
#define GE(x, y)     less_equal(w, y, x)
#define EQ(x, y)     equal(w, x, y)
#define NOT(c)       LLVMBuildNot(w->e->builder, c, "")
#define AND(c, d)    LLVMBuildAnd(w->e->builder, c, d, "")
#define OR(c, d)     LLVMBuildOr(w->e->builder, c, d, "")
#define XOR(c, d)    LLVMBuildXor(w->e->builder, c, d, "")
#define BNOT(x)      LLVMBuildNot(w->e->builder, x, "")
#define BAND(x, y)   LLVMBuildAnd(w->e->builder, x, y, "")
#define BOR(x, y)    LLVMBuildOr(w->e->builder, x, y, "")
#define BXOR(x, y)   LLVMBuildXor(w->e->builder, x, y, "")
#define SHL(x, y)    shift(w, true, x, y)
#define SHR(x, y)    shift(w, false, x, y)
#define SEL(c, x, y) select_value(w, c, x, y)
#define ISNAN(x)     is_nan(w, x)
#define ISINF(x)     is_inf(w, x)
#define TRUTH(x)     truth(w, x)

#define AGATE_SCALAR(id, arity, types, result, expression)                                                   \
    static LLVMValueRef row_##id(words *w)                                                                   \
    {                                                                                                        \
        return expression;                                                                                   \
    }
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR

static LLVMValueRef (*const rows[AGATE_SCALAR_COUNT])(words *) = {
#define AGATE_SCALAR(id, arity, types, result, expression) row_##id,
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR
};

LLVMValueRef agate_emit_scalar(agate_emitter *e, agate_scalar_op op, agate_dtype dtype,
                               const agate_attrs *attrs, const LLVMValueRef *operands)
{
    const bool is_half = dtype == AGATE_BF16 || dtype == AGATE_F16;
    const agate_scalar_info *info = &agate_scalar_table[op];
    LLVMValueRef wide[AGATE_MAX_RANK];
    words w = {e, is_half ? wide : operands, attrs, is_half ? AGATE_F32 : dtype,
               agate_emit_lanes(operands[0])};

    for (int32_t i = 0; is_half && i < info->arity; i++)
        wide[i] = agate_emit_cast(e, dtype, AGATE_F32, operands[i]);
    LLVMValueRef value = rows[op](&w);
    if (info->result == AGATE_RESULT_BOOL)
        return LLVMBuildZExt(e->builder, value, agate_emit_type(e, AGATE_BOOL, w.lanes), "");
    return is_half ? agate_emit_cast(e, AGATE_F32, dtype, value) : value;
}

/* ---- casts --------------------------------------------------------------------------------------------- */

/* Out of range floats become the nearest integer there is, NaN becomes 0. */
static LLVMValueRef float_to_integer(agate_emitter *e, LLVMValueRef value, LLVMTypeRef type, bool with_sign)
{
    LLVMTypeRef types[2] = {type, LLVMTypeOf(value)};

    return agate_llvm_intrinsic(e->module, e->builder, with_sign ? "llvm.fptosi.sat" : "llvm.fptoui.sat",
                                types, 2, &value, 1);
}

LLVMValueRef agate_emit_cast(agate_emitter *e, agate_dtype from, agate_dtype to, LLVMValueRef value)
{
    words source = {.dtype = from}, target = {.dtype = to};
    LLVMTypeRef type = agate_emit_type(e, to, agate_emit_lanes(value));

    if (from == to)
        return value;
    if (from == AGATE_BF16 || from == AGATE_F16)
        return agate_emit_cast(e, AGATE_F32, to, agate_emit_widened(e, from, value));
    if (to == AGATE_BF16 || to == AGATE_F16)
        return agate_emit_rounded(e, to, agate_emit_cast(e, from, AGATE_F32, value));
    if (to == AGATE_BOOL) {
        LLVMValueRef zero = zero_like(value);
        LLVMValueRef holds = is_float(&source) ? LLVMBuildFCmp(e->builder, LLVMRealUNE, value, zero, "")
                                               : LLVMBuildICmp(e->builder, LLVMIntNE, value, zero, "");
        return LLVMBuildZExt(e->builder, holds, type, "");
    }
    if (is_float(&source) && is_float(&target))
        return LLVMBuildFPCast(e->builder, value, type, "");
    if (is_float(&source))
        return float_to_integer(e, value, type, is_signed(&target));
    if (is_float(&target))
        return is_signed(&source) ? LLVMBuildSIToFP(e->builder, value, type, "")
                                  : LLVMBuildUIToFP(e->builder, value, type, "");
    return LLVMBuildIntCast2(e->builder, value, type, is_signed(&source), "");
}
