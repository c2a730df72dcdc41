/* scaled.h: weights times constants, made when they are wanted. Internal to passes/. */
#ifndef AGATE_SCALED_H
#define AGATE_SCALED_H

#include "passes/rewrite.h"

/* Which number of `scale` meets element `i` of row `row`: number row/rows_per_group * inputs + i/window. */
typedef struct agate_scaling {
    const double *scale;
    int64_t scale_count;
    int64_t row_count; /* elements of a row */
    int64_t rows_per_group, inputs, window;
} agate_scaling;

/* Deferred data: each float of `data` (of `dtype`), which it retains, times its number, in double and rounded
 * once. NULL if memory is short. */
agate_data *agate_data_scale(agate_data *data, agate_dtype dtype, const agate_scaling *scaling);

/* Are all elements finite, and will they be once they are scaled? */
bool agate_data_scales_finite(const agate_data *data, agate_dtype dtype, const agate_scaling *scaling);

#endif
