/* element.c: loading, converting and storing single elements; cast; dispatch by dtype. */
#include "runtime/ref/element.h"

#include <math.h>

#include "runtime/ref/index.h"

int agate_dtype_kind(agate_dtype dtype)
{
    switch (dtype) {
    case AGATE_F32:
    case AGATE_F64:
    case AGATE_F16:
    case AGATE_BF16:
        return AGATE_KIND_FLOAT;
    case AGATE_BOOL:
        return AGATE_KIND_BOOL;
    default:
        return AGATE_KIND_INTEGER;
    }
}

static agate_number number_signed(int64_t value)
{
    return (agate_number){.kind = AGATE_NUMBER_SIGNED, .i = value};
}

static agate_number number_unsigned(uint64_t value)
{
    return (agate_number){.kind = AGATE_NUMBER_UNSIGNED, .u = value};
}

agate_number agate_number_load(agate_dtype dtype, const void *data, int64_t index)
{
#define AT(type) (((const type *)data)[index])
    switch (dtype) {
    case AGATE_F32:
        return agate_number_real(AT(float));
    case AGATE_F64:
        return agate_number_real(AT(double));
    case AGATE_F16:
        return agate_number_real(agate_f16_to_f32(AT(uint16_t)));
    case AGATE_BF16:
        return agate_number_real(agate_bf16_to_f32(AT(uint16_t)));
    case AGATE_I8:
        return number_signed(AT(int8_t));
    case AGATE_I16:
        return number_signed(AT(int16_t));
    case AGATE_I32:
        return number_signed(AT(int32_t));
    case AGATE_I64:
        return number_signed(AT(int64_t));
    case AGATE_U8:
        return number_unsigned(AT(uint8_t));
    case AGATE_U16:
        return number_unsigned(AT(uint16_t));
    case AGATE_U32:
        return number_unsigned(AT(uint32_t));
    case AGATE_U64:
        return number_unsigned(AT(uint64_t));
    case AGATE_BOOL:
        return number_unsigned(AT(uint8_t) != 0);
    case AGATE_DTYPE_NONE:
        break;
    }
#undef AT
    return agate_number_real(0);
}

static float number_f32(agate_number number)
{
    switch (number.kind) {
    case AGATE_NUMBER_SIGNED:
        return (float)number.i;
    case AGATE_NUMBER_UNSIGNED:
        return (float)number.u;
    default:
        return (float)number.real;
    }
}

static double number_f64(agate_number number)
{
    switch (number.kind) {
    case AGATE_NUMBER_SIGNED:
        return (double)number.i;
    case AGATE_NUMBER_UNSIGNED:
        return (double)number.u;
    default:
        return number.real;
    }
}

static bool number_truth(agate_number number)
{
    return number.kind == AGATE_NUMBER_REAL ? number.real != 0 : number.u != 0;
}

/* As an integer of `bits`, in two's complement. The bounds are powers of two, so that they are exact as
 * doubles. */
static uint64_t number_integer(agate_number number, int bits, bool is_signed)
{
    double end = ldexp(1, is_signed ? bits - 1 : bits);
    uint64_t greatest = UINT64_MAX >> (64 - bits + is_signed);
    double value = number.real;

    if (number.kind != AGATE_NUMBER_REAL)
        return number.u;
    if (isnan(value))
        return 0;
    if (value >= end)
        return greatest;
    if (!is_signed)
        return value <= 0 ? 0 : (uint64_t)value;
    return value <= -end ? ~greatest : (uint64_t)(int64_t)value;
}

void agate_number_store(agate_dtype dtype, void *data, int64_t index, agate_number number)
{
#define STORE(type, value) ((type *)data)[index] = (type)(value)
    switch (dtype) {
    case AGATE_F32:
        STORE(float, number_f32(number));
        break;
    case AGATE_F64:
        STORE(double, number_f64(number));
        break;
    case AGATE_F16:
        STORE(uint16_t, agate_f32_to_f16(number_f32(number)));
        break;
    case AGATE_BF16:
        STORE(uint16_t, agate_f32_to_bf16(number_f32(number)));
        break;
    case AGATE_I8:
        STORE(int8_t, number_integer(number, 8, true));
        break;
    case AGATE_I16:
        STORE(int16_t, number_integer(number, 16, true));
        break;
    case AGATE_I32:
        STORE(int32_t, number_integer(number, 32, true));
        break;
    case AGATE_I64:
        STORE(int64_t, number_integer(number, 64, true));
        break;
    case AGATE_U8:
        STORE(uint8_t, number_integer(number, 8, false));
        break;
    case AGATE_U16:
        STORE(uint16_t, number_integer(number, 16, false));
        break;
    case AGATE_U32:
        STORE(uint32_t, number_integer(number, 32, false));
        break;
    case AGATE_U64:
        STORE(uint64_t, number_integer(number, 64, false));
        break;
    case AGATE_BOOL:
        STORE(uint8_t, number_truth(number));
        break;
    case AGATE_DTYPE_NONE:
        break;
    }
#undef STORE
}

double agate_element_load(agate_dtype dtype, const void *data, int64_t index)
{
    return number_f64(agate_number_load(dtype, data, index));
}

agate_status agate_call_typed(const agate_typed_fn table[AGATE_DTYPE_SLOTS], const agate_ref_call *call,
                              int32_t which, const char *op)
{
    agate_dtype dtype = call->inputs[0]->dtype;
    agate_typed_fn fn = (size_t)dtype < AGATE_DTYPE_SLOTS ? table[dtype] : NULL;

    if (!fn)
        return agate_error_make(AGATE_CODE_UNSUPPORTED, "%s does not take %s", op, agate_dtype_name(dtype));
    fn(call, which);
    return AGATE_OK;
}

AGATE_REF(cast)
{
    const agate_tensor *x = call->inputs[0];
    agate_tensor *y = call->outputs[0];
    int64_t count = agate_count(x);

    for (int64_t i = 0; i < count; i++)
        agate_number_store(y->dtype, y->data, i, agate_number_load(x->dtype, x->data, i));
    return AGATE_OK;
}
