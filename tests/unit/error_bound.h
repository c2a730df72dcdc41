/* error_bound.h: how near the sums of a 1x1 convolution come to the bound that docs/cli.md states for a
 * precision. */
#ifndef AGATE_TESTS_ERROR_BOUND_H
#define AGATE_TESTS_ERROR_BOUND_H

#include <math.h>

enum { BOUND_MOST_IN = 64, BOUND_OUT = 32, BOUND_SIZE = 6, BOUND_PIXELS = BOUND_SIZE * BOUND_SIZE };

/* Numbers in plain memory: `in` channels of an image, filters, and what was made of them. */
typedef struct bounded {
    int in;
    float x[BOUND_MOST_IN * BOUND_PIXELS], w[BOUND_OUT * BOUND_MOST_IN], y[BOUND_OUT * BOUND_PIXELS];
} bounded;

static inline void bounded_fill(bounded *b, int in, float (*number)(void))
{
    b->in = in;
    for (int i = 0; i < in * BOUND_PIXELS; i++)
        b->x[i] = number();
    for (int i = 0; i < BOUND_OUT * in; i++)
        b->w[i] = number();
}

/* The largest error as a share of what is allowed: `allowed` of the sum of the sizes of all products. */
static inline double bounded_share(const bounded *b, double allowed)
{
    double worst = 0;

    for (int o = 0; o < BOUND_OUT; o++)
        for (int p = 0; p < BOUND_PIXELS; p++) {
            double exact = 0, sizes = 0;
            for (int c = 0; c < b->in; c++) {
                double product = (double)b->x[c * BOUND_PIXELS + p] * (double)b->w[o * b->in + c];
                exact += product;
                sizes += fabs(product);
            }
            worst = fmax(worst, fabs((double)b->y[o * BOUND_PIXELS + p] - exact) / (allowed * sizes));
        }
    return worst;
}

#endif
