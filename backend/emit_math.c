/* emit_math.c: exp, log, tanh and erf on vectors of f32.
 *
 * The classical reductions (as in Moshier's Cephes library) onto a short interval, and there a polynomial
 * fitted to least largest relative error (Lawson's weighted least squares) in double and rounded. Measured
 * over two million random arguments with fused multiply-adds, in units of the last place: exp 1.02 (on
 * AVX-512 0.77), log 0.79, tanh 1.33, erf 1.5. NaN gives NaN; infinities, overflow and subnormal numbers come
 * out as IEEE has them.
 */
#include <math.h>

#include "backend/emit_parts.h"
#include "backend/llvm_shim.h"

/* log(2) in two parts, of which the first has so few bits that its product with an exponent is exact. */
#define LN2_HI 0.693359375
#define LN2_LO -2.12194440e-4
#define LOG2_E 1.4426950408889634

static LLVMValueRef like(agate_emitter *e, LLVMValueRef x, double value)
{
    return agate_emit_float(e, value, agate_emit_lanes(x));
}

static LLVMTypeRef bits_type(agate_emitter *e, LLVMValueRef x)
{
    return agate_emit_type(e, AGATE_I32, agate_emit_lanes(x));
}

static LLVMValueRef bits_like(agate_emitter *e, LLVMValueRef x, int64_t value)
{
    return agate_emit_number(e, AGATE_I32, (double)value, agate_emit_lanes(x));
}

static LLVMValueRef as_bits(agate_emitter *e, LLVMValueRef x)
{
    return LLVMBuildBitCast(e->builder, x, bits_type(e, x), "");
}

static LLVMValueRef as_float(agate_emitter *e, LLVMValueRef bits)
{
    return LLVMBuildBitCast(e->builder, bits, agate_emit_type(e, AGATE_F32, agate_emit_lanes(bits)), "");
}

/* c[0] + x*(c[1] + x*(...)) */
static LLVMValueRef polynomial(agate_emitter *e, LLVMValueRef x, const double *c, size_t count)
{
    LLVMValueRef sum = like(e, x, c[count - 1]);

    for (size_t i = count - 1; i-- > 0;)
        sum = agate_emit_fma(e, sum, x, like(e, x, c[i]));
    return sum;
}

/* x, or `bound` where x lies beyond it; NaN stays. */
static LLVMValueRef bounded(agate_emitter *e, LLVMValueRef x, LLVMRealPredicate beyond, double bound)
{
    LLVMValueRef limit = like(e, x, bound);
    return LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, beyond, x, limit, ""), limit, x, "");
}

/* 2^exponent for -126 <= exponent <= 127, of whose bits only the low nine count. */
static LLVMValueRef power_of_two(agate_emitter *e, LLVMValueRef exponent)
{
    LLVMValueRef shifted = LLVMBuildShl(e->builder, exponent, bits_like(e, exponent, 23), "");
    return as_float(e, LLVMBuildAdd(e->builder, shifted, as_bits(e, like(e, exponent, 1.0)), ""));
}

/* p * 2^n for n in the low bits of `rounded`, above which nine are 0: by two factors, so that results near
 * both ends of the range, subnormal ones too, come out right. */
static LLVMValueRef scale(agate_emitter *e, LLVMValueRef p, LLVMValueRef rounded)
{
    LLVMBuilderRef builder = e->builder;
    LLVMValueRef n = as_bits(e, rounded), half = LLVMBuildLShr(builder, n, bits_like(e, p, 1), "");
    LLVMValueRef rest = LLVMBuildSub(builder, n, half, "");

    p = LLVMBuildFMul(builder, p, power_of_two(e, half), "");
    return LLVMBuildFMul(builder, p, power_of_two(e, rest), "");
}

/* exp(x) = 2^n exp(r) with n the integer next to x/log(2). */
static LLVMValueRef exp_by_polynomial(agate_emitter *e, LLVMValueRef x)
{
    static const double c[] = {0.50000001, 0.166665129, 0.0416661873, 0.00836959822, 0.00139517192};
    LLVMBuilderRef builder = e->builder;
    /* Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
    LLVMValueRef magic = like(e, x, 12582912.0);

    x = bounded(e, x, LLVMRealOGT, 89.0);
    x = bounded(e, x, LLVMRealOLT, -104.0);
    LLVMValueRef rounded = agate_emit_fma(e, x, like(e, x, LOG2_E), magic);
    LLVMValueRef n = LLVMBuildFSub(builder, rounded, magic, "");
    LLVMValueRef r = agate_emit_fma(e, n, like(e, x, -LN2_HI), x);
    r = agate_emit_fma(e, n, like(e, x, -LN2_LO), r);

    LLVMValueRef p = polynomial(e, r, c, AGATE_COUNT(c));
    p = agate_emit_fma(e, p, LLVMBuildFMul(builder, r, r, ""), r);
    p = LLVMBuildFAdd(builder, p, like(e, x, 1.0), "");
    return scale(e, p, rounded);
}

/* ---- exp by AVX-512, which has instructions for most of it --------------------------------------------- */

enum { TABLE = 16 };

static LLVMValueRef avx512(agate_emitter *e, const char *name, LLVMValueRef *args, uint32_t count)
{
    return agate_llvm_intrinsic(e->module, e->builder, name, NULL, 0, args, count);
}

static LLVMValueRef all_lanes(agate_emitter *e)
{
    return LLVMConstAllOnes(LLVMInt16TypeInContext(e->context));
}

static LLVMValueRef immediate(agate_emitter *e, uint64_t number)
{
    return LLVMConstInt(LLVMInt32TypeInContext(e->context), number, 0);
}

#define ROUNDING_AS_SET 4

/* x where it is between -1 and 1; beyond, and for NaN, 1 or -1. */
static LLVMValueRef within_one(agate_emitter *e, LLVMValueRef x)
{
    enum { LESSER_MAGNITUDE = 2 };
    LLVMValueRef args[] = {x,
                           like(e, x, 1.0),
                           immediate(e, LESSER_MAGNITUDE),
                           LLVMGetUndef(LLVMTypeOf(x)),
                           all_lanes(e),
                           immediate(e, ROUNDING_AS_SET)};
    return avx512(e, "llvm.x86.avx512.mask.range.ps.512", args, AGATE_COUNT(args));
}

/* For each lane the number in `table` that the low four bits of `index` choose. */
static LLVMValueRef looked_up(agate_emitter *e, const double *table, LLVMValueRef index)
{
    LLVMValueRef numbers[TABLE];

    for (int32_t i = 0; i < TABLE; i++)
        numbers[i] = agate_emit_float(e, table[i], 1);
    LLVMValueRef args[] = {LLVMConstVector(numbers, TABLE), index};
    return avx512(e, "llvm.x86.avx512.permvar.sf.512", args, AGATE_COUNT(args));
}

/* exp(x) = 2^floor(n) 2^(n - floor(n)) 2^r with n the sixteenth next to x/log(2). The second factor comes
 * from tables, as an f32 and what that lacks, in shares of it; a cubic is enough for the third (after
 * P. Tang, "Table-driven implementation of the exponential function in IEEE floating-point arithmetic",
 * 1989). Where exp overflows or vanishes n is so far off that the scaling does, too, whatever r says that is
 * no more than 1. */
static LLVMValueRef exp_by_table(agate_emitter *e, LLVMValueRef x)
{
    static const double c[] = {0x1.62e43p-1, 0x1.ec001ep-3, 0x1.c6ad06p-5};
    static const double powers[TABLE] = {0x1p0,        0x1.0b5586p0, 0x1.172b84p0, 0x1.2387a6p0,
                                         0x1.306fep0,  0x1.3dea64p0, 0x1.4bfdaep0, 0x1.5ab07ep0,
                                         0x1.6a09e6p0, 0x1.7a1148p0, 0x1.8ace54p0, 0x1.9c4918p0,
                                         0x1.ae89fap0, 0x1.c199bep0, 0x1.d5818ep0, 0x1.ea4afap0};
    static const double lacks[TABLE] = {0,         4.629e-8,  -1.199e-8, 4.730e-8,  3.193e-8, 3.621e-8,
                                        -3.099e-8, -7.475e-9, 1.711e-8,  -3.048e-8, 5.233e-9, 6.108e-9,
                                        -1.472e-8, -5.259e-9, -6.128e-9, 5.141e-9};
    LLVMBuilderRef builder = e->builder;
    /* Adding 1.5 * 2^19 rounds to sixteenths; the low four bits count those beyond an integer. */
    LLVMValueRef magic = like(e, x, 786432.0);

    LLVMValueRef rounded = agate_emit_fma(e, x, like(e, x, LOG2_E), magic);
    LLVMValueRef n = LLVMBuildFSub(builder, rounded, magic, "");
    LLVMValueRef r = agate_emit_fma(e, x, like(e, x, LOG2_E), LLVMBuildFNeg(builder, n, ""));
    r = within_one(e, agate_emit_fma(e, x, like(e, x, LOG2_E - (float)LOG2_E), r));

    LLVMValueRef power = looked_up(e, powers, as_bits(e, rounded));
    LLVMValueRef p = polynomial(e, r, c, AGATE_COUNT(c));
    p = agate_emit_fma(e, p, r, looked_up(e, lacks, as_bits(e, rounded)));
    p = agate_emit_fma(e, p, power, power);
    LLVMValueRef args[] = {p, n, LLVMGetUndef(LLVMTypeOf(p)), all_lanes(e), immediate(e, ROUNDING_AS_SET)};
    return avx512(e, "llvm.x86.avx512.mask.scalef.ps.512", args, AGATE_COUNT(args));
}

LLVMValueRef agate_emit_exp(agate_emitter *e, LLVMValueRef x)
{
    return e->exponentials && agate_emit_lanes(x) == TABLE ? exp_by_table(e, x) : exp_by_polynomial(e, x);
}

/* log(x) = n log(2) + log(1 + f) with 1 + f between sqrt(1/2) and sqrt(2). */
LLVMValueRef agate_emit_log(agate_emitter *e, LLVMValueRef x)
{
    static const double c[] = {0.333333102,  -0.249999864, 0.200022422,  -0.166692703, 0.142183276,
                               -0.123837949, 0.118750638,  -0.117941162, 0.0691565038};
    LLVMBuilderRef builder = e->builder;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = like(e, x, 0), one = like(e, x, 1);

    LLVMValueRef tiny = LLVMBuildFCmp(builder, LLVMRealOLT, x, like(e, x, 0x1p-126), "");
    LLVMValueRef normal =
        LLVMBuildSelect(builder, tiny, LLVMBuildFMul(builder, x, like(e, x, 0x1p23), ""), x, "");
    LLVMValueRef shift = LLVMBuildSelect(builder, tiny, like(e, x, -23), zero, "");

    /* Taking sqrt(1/2) off the bits before splitting puts the mantissa into the wanted interval at once. */
    LLVMValueRef offset = bits_like(e, x, 0x3f3504f3);
    LLVMValueRef bits = LLVMBuildSub(builder, as_bits(e, normal), offset, "");
    LLVMValueRef exponent = LLVMBuildAShr(builder, bits, bits_like(e, x, 23), "");
    LLVMValueRef mantissa = LLVMBuildAnd(builder, bits, bits_like(e, x, 0x7fffff), "");
    LLVMValueRef f =
        LLVMBuildFSub(builder, as_float(e, LLVMBuildAdd(builder, mantissa, offset, "")), one, "");
    LLVMValueRef n = LLVMBuildFAdd(builder, LLVMBuildSIToFP(builder, exponent, type, ""), shift, "");

    LLVMValueRef z = LLVMBuildFMul(builder, f, f, "");
    LLVMValueRef y =
        LLVMBuildFMul(builder, LLVMBuildFMul(builder, f, z, ""), polynomial(e, f, c, AGATE_COUNT(c)), "");
    y = agate_emit_fma(e, n, like(e, x, LN2_LO), y);
    y = agate_emit_fma(e, z, like(e, x, -0.5), y);
    y = agate_emit_fma(e, n, like(e, x, LN2_HI), LLVMBuildFAdd(builder, f, y, ""));

    LLVMValueRef infinite = LLVMBuildFCmp(builder, LLVMRealOEQ, x, like(e, x, (double)INFINITY), "");
    LLVMValueRef at_zero = LLVMBuildFCmp(builder, LLVMRealOEQ, x, zero, "");
    LLVMValueRef invalid = LLVMBuildFCmp(builder, LLVMRealULT, x, zero, ""); /* negative, or NaN */
    y = LLVMBuildSelect(builder, infinite, x, y, "");
    y = LLVMBuildSelect(builder, at_zero, like(e, x, (double)-INFINITY), y, "");
    return LLVMBuildSelect(builder, invalid, like(e, x, (double)NAN), y, "");
}

static LLVMValueRef with_sign_of(agate_emitter *e, LLVMValueRef magnitude, LLVMValueRef x)
{
    LLVMValueRef args[2] = {magnitude, x};
    return agate_emit_intrinsic(e, "llvm.copysign", args, 2);
}

/* An odd polynomial near 0, and 1 - 2/(exp(2|x|) + 1) beyond. */
LLVMValueRef agate_emit_tanh(agate_emitter *e, LLVMValueRef x)
{
    static const double c[] = {-0.333332839, 0.133314913, -0.0537434999, 0.0206505925, -0.0057170502};
    LLVMBuilderRef builder = e->builder;
    LLVMValueRef a = agate_emit_intrinsic(e, "llvm.fabs", &x, 1), one = like(e, x, 1);

    LLVMValueRef z = LLVMBuildFMul(builder, a, a, "");
    LLVMValueRef p = LLVMBuildFMul(builder, polynomial(e, z, c, AGATE_COUNT(c)), z, "");
    LLVMValueRef near = agate_emit_fma(e, p, a, a);

    LLVMValueRef grown = LLVMBuildFAdd(builder, agate_emit_exp(e, LLVMBuildFAdd(builder, a, a, "")), one, "");
    LLVMValueRef far = LLVMBuildFSub(builder, one, LLVMBuildFDiv(builder, like(e, x, 2), grown, ""), "");
    LLVMValueRef is_near = LLVMBuildFCmp(builder, LLVMRealOLT, a, like(e, x, 0.625), "");
    return with_sign_of(e, LLVMBuildSelect(builder, is_near, near, far, ""), x);
}

/* An odd polynomial below 1, and 1 - exp(q(|x|)) beyond, where q is fitted to the logarithm of 1 - erf. */
LLVMValueRef agate_emit_erf(agate_emitter *e, LLVMValueRef x)
{
    static const double c[] = {0.128379166,  -0.376126271,    0.112836002,   -0.0268544458,
                               0.0051895373, -0.000802085712, 7.88916867e-05};
    static const double q[] = {0.000188036323, -1.12957841,   -0.633219925,   -0.108418546,
                               0.0252082379,   -0.0042045553, 0.000441335126, -2.16867499e-05};
    LLVMBuilderRef builder = e->builder;
    LLVMValueRef a = agate_emit_intrinsic(e, "llvm.fabs", &x, 1), one = like(e, x, 1);

    a = bounded(e, a, LLVMRealOGT, 4.0);
    LLVMValueRef z = LLVMBuildFMul(builder, a, a, "");
    LLVMValueRef near = agate_emit_fma(e, polynomial(e, z, c, AGATE_COUNT(c)), a, a);
    LLVMValueRef far =
        LLVMBuildFSub(builder, one, agate_emit_exp(e, polynomial(e, a, q, AGATE_COUNT(q))), "");
    LLVMValueRef is_near = LLVMBuildFCmp(builder, LLVMRealOLT, a, one, "");
    return with_sign_of(e, LLVMBuildSelect(builder, is_near, near, far, ""), x);
}
