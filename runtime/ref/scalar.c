/* scalar.c: the reference kernel of every row of scalar.def, with numpy's broadcasting.
 *
 * Integers wrap; division and modulo by 0 give 0; a shift by the width or more shifts every bit out. */
#include <math.h>
#include <tgmath.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

const agate_scalar_info agate_scalar_table[AGATE_SCALAR_COUNT] = {
#define AGATE_SCALAR(id, arity, types, result, expression)                                                   \
    {#id, arity, AGATE_TYPES_##types, AGATE_RESULT_##result},
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR
};

/* How the operands of one call lie under the result's coordinates. An operand that a row does not have reads
 * the first. */
typedef struct operands {
    const agate_tensor *tensor[3];
    int64_t strides[3][AGATE_MAX_RANK];
} operands;

static operands operands_of(const agate_ref_call *call)
{
    const agate_tensor *y = call->outputs[0];
    operands in;

    for (int i = 0; i < 3; i++) {
        in.tensor[i] = call->inputs[i < call->input_count ? i : 0];
        agate_broadcast_strides(in.tensor[i]->rank, in.tensor[i]->dims, y->rank, in.strides[i]);
    }
    return in;
}

/* The words of scalar.def. Those that any number takes are functions of the template, so that an operand is
 * evaluated once; the others are the C library's, which tgmath.h picks by type. */
#define ADD(a, b)    NAME(add)(a, b)
#define SUB(a, b)    NAME(sub)(a, b)
#define MUL(a, b)    NAME(mul)(a, b)
#define DIV(a, b)    NAME(div)(a, b)
#define MOD(a, b)    NAME(mod)(a, b)
#define FMOD(a, b)   NAME(fmod)(a, b)
#define POW(a, b)    NAME(pow)(a, b)
#define MAX(a, b)    NAME(max)(a, b)
#define MIN(a, b)    NAME(min)(a, b)
#define LT(a, b)     NAME(lt)(a, b)
#define LE(a, b)     NAME(le)(a, b)
#define EQ(a, b)     NAME(eq)(a, b)
#define GT(a, b)     LT(b, a)
#define GE(a, b)     LE(b, a)
#define NEG(a)       NAME(neg)(a)
#define ABS(a)       NAME(abs)(a)
#define SHL(a, b)    NAME(shl)(a, b)
#define SHR(a, b)    NAME(shr)(a, b)
#define BNOT(a)      (~(a))
#define BAND(a, b)   ((a) & (b))
#define BOR(a, b)    ((a) | (b))
#define BXOR(a, b)   ((a) ^ (b))
#define NOT(c)       (!(c))
#define AND(c, d)    ((c) && (d))
#define OR(c, d)     ((c) || (d))
#define XOR(c, d)    ((c) != (d))
#define TRUTH(a)     ((a) != 0)
#define SEL(c, x, y) ((c) ? (x) : (y))
#define K(x)         ((S)(x))
#define ISNAN(x)     (isnan(x) != 0)
#define ISINF(x)     (isinf(x) != 0) /* -1 for the negative one */
#define SQRT(x)      sqrt(x)
#define EXP(x)       exp(x)
#define LOG(x)       log(x)
#define TANH(x)      tanh(x)
#define ERF(x)       erf(x)
#define SIN(x)       sin(x)
#define COS(x)       cos(x)
#define TAN(x)       tan(x)
#define ASIN(x)      asin(x)
#define ACOS(x)      acos(x)
#define ATAN(x)      atan(x)
#define SINH(x)      sinh(x)
#define COSH(x)      cosh(x)
#define ASINH(x)     asinh(x)
#define ACOSH(x)     acosh(x)
#define ATANH(x)     atanh(x)
#define FLOOR(x)     floor(x)
#define CEIL(x)      ceil(x)
#define ROUND(x)     rint(x)
#define TRUNC(x)     trunc(x)
#define HALF(x)      agate_f16_to_f32(agate_f32_to_f16((float)(x)))
#define BHALF(x)     agate_bf16_to_f32(agate_f32_to_bf16((float)(x)))

/* The result of a row, stored. */
#define STORE_SAME(index, value) (((T *)out->data)[index] = PUT(value))
#define STORE_BOOL(index, value) (((uint8_t *)out->data)[index] = (value) ? 1 : 0)

#define TEMPLATE "runtime/ref/scalar_typed.h"
#include "runtime/ref/typed.h"

AGATE_REF(scalar)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {
        AGATE_FLOAT_TYPED(scalar), AGATE_INTEGER_TYPED(scalar), AGATE_BOOL_TYPED(scalar)};
    const agate_scalar_info *info = &agate_scalar_table[call->variant];
    agate_dtype dtype = call->inputs[0]->dtype;

    if (!(info->types & agate_dtype_kind(dtype)))
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "%s does not take %s", info->name,
                                agate_dtype_name(dtype));
    return agate_call_typed(table, call, call->variant, info->name);
}
