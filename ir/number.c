/* number.c: numbers as text that loses no bit, and back. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ir/number.h"

enum { NUMBER_BYTES = 40 };

/* Numbers are in C's notation whatever locale the process has set. Returns what to hand back to uselocale. */
static locale_t use_c_locale(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

/* ---- floats -------------------------------------------------------------------------------------------- */

/* The fewest digits that read back as `value`, which is a float of 32 bits if `single`. */
static void print_shortest(double value, bool single, agate_text *text)
{
    char digits[NUMBER_BYTES];
    locale_t before;

    if (isnan(value)) {
        agate_text_add(text, "nan");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e9) { /* 100, not 1e+02 */
        agate_text_add(text, "%.0f", value);
        return;
    }
    before = use_c_locale();
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (single ? strtof(digits, NULL) == (float)value : strtod(digits, NULL) == value)
            break;
    }
    uselocale(before);
    agate_text_add(text, "%s", digits);
}

void agate_double_print(double value, agate_text *text)
{
    print_shortest(value, false, text);
}

/* strtod also takes blanks, "INFINITY" and the like; a number of ours begins so. */
static bool begins_number(const char *text)
{
    text += *text == '-' || *text == '+';
    return isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1])) ||
           strncmp(text, "inf", 3) == 0 || strncmp(text, "nan", 3) == 0;
}

const char *agate_double_parse(const char *text, double *out_value)
{
    char *end;

    if (!begins_number(text))
        return NULL;
    locale_t before = use_c_locale();
    errno = 0;
    double value = strtod(text, &end);
    uselocale(before);
    if (errno == ERANGE && isinf(value))
        return NULL;
    *out_value = value;
    return end;
}

static const char *parse_float(const char *text, float *out_value)
{
    char *end;

    if (!begins_number(text))
        return NULL;
    locale_t before = use_c_locale();
    errno = 0;
    float value = strtof(text, &end);
    uselocale(before);
    if (errno == ERANGE && isinf(value))
        return NULL;
    *out_value = value;
    return end;
}

/* ---- whole numbers ------------------------------------------------------------------------------------- */

/* Sign and magnitude apart, since u64 and i64 together outgrow both. */
static const char *parse_whole(const char *text, bool *out_negative, uint64_t *out_magnitude)
{
    uint64_t magnitude = 0;

    *out_negative = *text == '-';
    text += *text == '-' || *text == '+';
    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(*text - '0'), &magnitude))
            return NULL;
    *out_magnitude = magnitude;
    return text;
}

const char *agate_int_parse(const char *text, int64_t *out_value)
{
    bool negative;
    uint64_t magnitude;
    const char *end = parse_whole(text, &negative, &magnitude);

    if (!end || magnitude > (uint64_t)INT64_MAX + negative)
        return NULL;
    *out_value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return end;
}

/* ---- elements ------------------------------------------------------------------------------------------ */

typedef enum element_class { WHOLE_NUMBER, FLOAT } element_class;

/* Per element type: how it prints, the usual NaN, and the range of whole numbers. */
typedef struct element_row {
    element_class class;
    uint64_t nan_bits;
    int64_t least;
    uint64_t most;
} element_row;

static const element_row element_rows[] = {
    [AGATE_F32] = {FLOAT, UINT64_C(0x7fc00000), 0, 0},
    [AGATE_F64] = {FLOAT, UINT64_C(0x7ff8000000000000), 0, 0},
    [AGATE_F16] = {FLOAT, UINT64_C(0x7e00), 0, 0},
    [AGATE_BF16] = {FLOAT, UINT64_C(0x7fc0), 0, 0},
    [AGATE_BOOL] = {WHOLE_NUMBER, 0, 0, 1},
    [AGATE_I8] = {WHOLE_NUMBER, 0, INT8_MIN, INT8_MAX},
    [AGATE_I16] = {WHOLE_NUMBER, 0, INT16_MIN, INT16_MAX},
    [AGATE_I32] = {WHOLE_NUMBER, 0, INT32_MIN, INT32_MAX},
    [AGATE_I64] = {WHOLE_NUMBER, 0, INT64_MIN, INT64_MAX},
    [AGATE_U8] = {WHOLE_NUMBER, 0, 0, UINT8_MAX},
    [AGATE_U16] = {WHOLE_NUMBER, 0, 0, UINT16_MAX},
    [AGATE_U32] = {WHOLE_NUMBER, 0, 0, UINT32_MAX},
    [AGATE_U64] = {WHOLE_NUMBER, 0, 0, UINT64_MAX},
};

/* The element as a float of 64 bits; exact. */
static double widen(agate_dtype dtype, uint64_t bits)
{
    float single;
    double wide;

    switch (dtype) {
    case AGATE_F16:
        return (double)agate_f16_to_f32((uint16_t)bits);
    case AGATE_BF16:
        return (double)agate_bf16_to_f32((uint16_t)bits);
    case AGATE_F32:
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    default:
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
}

void agate_element_print(agate_dtype dtype, const void *element, agate_text *text)
{
    const element_row *row = &element_rows[dtype];
    size_t size = agate_dtype_size(dtype);
    uint64_t bits = 0;

    memcpy(&bits, element, size); /* little-endian, as every machine of machines.def */
    if (row->class == WHOLE_NUMBER) {
        unsigned empty = 64 - 8 * (unsigned)size;
        if (row->least < 0)
            agate_text_add(text, "%lld", (long long)((int64_t)(bits << empty) >> empty));
        else
            agate_text_add(text, "%llu", (unsigned long long)bits);
        return;
    }
    double value = widen(dtype, bits);
    if (isnan(value) && bits != row->nan_bits)
        agate_text_add(text, "nan(0x%llx)", (unsigned long long)bits);
    else
        print_shortest(value, dtype != AGATE_F64, text);
}

/* "nan", or "nan(0xBITS)". */
static const char *parse_nan(const char *text, const element_row *row, size_t size_bytes, uint64_t *out_bits)
{
    char *end;

    *out_bits = row->nan_bits;
    if (text[3] != '(')
        return text + 3;
    if (text[4] != '0' || text[5] != 'x' || !isxdigit((unsigned char)text[6]))
        return NULL;
    *out_bits = strtoull(text + 6, &end, 16);
    bool fits = size_bytes == 8 || *out_bits >> (8 * size_bytes) == 0;
    return *end == ')' && fits ? end + 1 : NULL;
}

/* Bits of the float of `dtype` that the text means. */
static const char *parse_float_bits(const char *text, agate_dtype dtype, uint64_t *out_bits)
{
    float single = 0;
    double wide = 0;
    const char *end = dtype == AGATE_F64 ? agate_double_parse(text, &wide) : parse_float(text, &single);

    *out_bits = 0;
    if (dtype == AGATE_F64)
        memcpy(out_bits, &wide, sizeof wide);
    else if (dtype == AGATE_F32)
        memcpy(out_bits, &single, sizeof single);
    else
        *out_bits = dtype == AGATE_F16 ? agate_f32_to_f16(single) : agate_f32_to_bf16(single);
    return end;
}

const char *agate_element_parse(const char *text, agate_dtype dtype, void *out_element)
{
    const element_row *row = &element_rows[dtype];
    size_t size = agate_dtype_size(dtype);
    uint64_t bits = 0;

    if (row->class == FLOAT) {
        bool is_nan = strncmp(text, "nan", 3) == 0;
        text = is_nan ? parse_nan(text, row, size, &bits) : parse_float_bits(text, dtype, &bits);
    } else {
        bool negative;
        text = parse_whole(text, &negative, &bits);
        if (text && bits > (negative ? 0 - (uint64_t)row->least : row->most))
            return NULL;
        bits = text && negative ? 0 - bits : bits;
    }
    memcpy(out_element, &bits, size);
    return text;
}
