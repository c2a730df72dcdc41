/* half.c: binary16 and bfloat16 to and from binary32, in integer arithmetic: the same on every CPU. */
#include "runtime/base/base.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* bits >> shift, rounded to nearest, ties to even; 0 < shift < 32. */
static uint32_t shift_rounded(uint32_t bits, uint32_t shift)
{
    const uint32_t half = UINT32_C(1) << (shift - 1), rest = bits & (2 * half - 1), whole = bits >> shift;
    return whole + (rest > half || (rest == half && (whole & 1)));
}

float agate_f16_to_f32(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f,
                   mantissa = bits & 0x3ff;
    if (exponent == 0x1f)
        return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    /* Subnormal: mantissa * 2^-24 is exact in f32. */
    const float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

uint16_t agate_f32_to_f16(float value)
{
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520 and up rounds to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) /* 2^-14: normal. A carry out of the mantissa rightly raises the exponent. */
        return (uint16_t)(sign | (shift_rounded(magnitude, 13) - (112 << 10)));
    if (magnitude < 0x33000000) /* below 2^-25 rounds to zero */
        return (uint16_t)sign;
    const uint32_t exponent = magnitude >> 23, mantissa = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_rounded(mantissa, 126 - exponent));
}

float agate_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t agate_f32_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40); /* quiet, so that dropping the low bits leaves no infinity */
    return (uint16_t)shift_rounded(bits, 16);
}
