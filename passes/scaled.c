/* scaled.c: weights times constants, made when they are wanted, a piece that stays in the cache at a time. */
#include "passes/scaled.h"

#include <math.h>
#include <stdlib.h>

#define PIECE 2048 /* elements */

typedef struct scaled {
    agate_dtype dtype;
    agate_scaling scaling;
    double scale[];
} scaled;

/* Multiplies `count` numbers, the first of which is element `at`, by theirs. */
static void multiply(const agate_scaling *s, int64_t at, int64_t count, double *numbers)
{
    while (count > 0) {
        int64_t i = at % s->row_count;
        const double *scale = &s->scale[at / s->row_count / s->rows_per_group * s->inputs + i / s->window];
        bool each = s->window == 1;
        int64_t run = agate_min(count, each ? s->row_count - i : s->window - i % s->window);

        if (each)
            for (int64_t k = 0; k < run; k++)
                numbers[k] *= scale[k];
        else
            for (int64_t k = 0; k < run; k++)
                numbers[k] *= *scale;
        at += run, count -= run, numbers += run;
    }
}

/* Reads elements from `first` on, scaled, into `numbers`. */
static bool read_scaled(const agate_data *data, agate_dtype dtype, const agate_scaling *s, int64_t first,
                        int64_t count, double *numbers)
{
    size_t size = agate_dtype_size(dtype);
    _Alignas(AGATE_ALIGNMENT) char piece[PIECE * sizeof(double)];

    if (!agate_data_read(data, (size_t)first * size, (size_t)count * size, piece))
        return false;
    agate_floats_read(piece, dtype, 0, count, numbers);
    multiply(s, first, count, numbers);
    return true;
}

static bool make_scaled(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const scaled *s = data->owner;
    size_t size = agate_dtype_size(s->dtype);
    int64_t first = (int64_t)(first_bytes / size), count = (int64_t)(size_bytes / size);
    double numbers[PIECE];

    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t some = agate_min(count - at, PIECE);
        if (!read_scaled(data->source, s->dtype, &s->scaling, first + at, some, numbers))
            return false;
        agate_floats_write(out, s->dtype, at, some, numbers);
    }
    return true;
}

agate_data *agate_data_scale(agate_data *data, agate_dtype dtype, const agate_scaling *scaling)
{
    size_t scale_bytes = sizeof *scaling->scale * (size_t)scaling->scale_count;
    scaled *s = malloc(sizeof *s + scale_bytes);
    agate_data *made = s ? agate_data_create_deferred(data->size_bytes, make_scaled, data, s) : NULL;

    if (!made) {
        free(s);
        return NULL;
    }
    s->dtype = dtype;
    s->scaling = *scaling;
    memcpy(s->scale, scaling->scale, scale_bytes);
    s->scaling.scale = s->scale;
    return made;
}

/* ---- finite? ------------------------------------------------------------------------------------------- */

/* The greatest magnitude among floats, as bits: of Inf and NaN more than of any number. */
static uint32_t greatest_bits(const uint32_t *words, int64_t count)
{
    uint32_t greatest = 0;

    for (int64_t i = 0; i < count; i++) {
        uint32_t magnitude = words[i] & 0x7fffffff;
        greatest = magnitude > greatest ? magnitude : greatest;
    }
    return greatest;
}

/* A bound that settles nearly every case at the speed of memory: the greatest weight times the greatest
 * number. */
static bool bounded(const agate_data *data, const agate_scaling *scaling)
{
    double factor = 0;
    uint32_t piece[PIECE], bits = 0;
    float greatest;

    for (int64_t i = 0; i < scaling->scale_count; i++)
        factor = fmax(factor, isnan(scaling->scale[i]) ? INFINITY : fabs(scaling->scale[i]));
    for (size_t at = 0; at < data->size_bytes; at += sizeof piece) {
        size_t some = (size_t)agate_min((int64_t)(data->size_bytes - at), (int64_t)sizeof piece);
        if (!agate_data_read(data, at, some, piece))
            return false;
        uint32_t here = greatest_bits(piece, (int64_t)(some / sizeof *piece));
        bits = here > bits ? here : bits;
    }
    memcpy(&greatest, &bits, sizeof greatest);
    return bits < 0x7f800000 && factor < INFINITY && isfinite((float)(greatest * factor));
}

bool agate_data_scales_finite(const agate_data *data, agate_dtype dtype, const agate_scaling *scaling)
{
    int64_t count = (int64_t)(data->size_bytes / agate_dtype_size(dtype));
    double numbers[PIECE], rounded[PIECE];

    if (dtype == AGATE_F32 && bounded(data, scaling))
        return true;
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t some = agate_min(count - at, PIECE);
        if (!read_scaled(data, dtype, scaling, at, some, numbers))
            return false;
        agate_floats_write(rounded, dtype, 0, some, numbers);
        agate_floats_read(rounded, dtype, 0, some, numbers);
        for (int64_t i = 0; i < some; i++)
            if (!isfinite(numbers[i]))
                return false;
    }
    return true;
}
