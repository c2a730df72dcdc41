/* winograd.h: the matrices of Winograd's minimal filtering algorithms F(2x2,3x3) and F(4x4,3x3), as in Lavin
 * and Gray, "Fast algorithms for convolutional neural networks" (2016, arXiv 1509.09308).
 *
 * A tile of m x m outputs is made from t x t inputs d, t = m + 2, and a filter g:  Y = A^T [(G g G^T) * (B^T
 * d B)] A with an elementwise product in the middle, which sums over input channels turn into t * t matrix
 * products.
 */
#ifndef AGATE_REF_WINOGRAD_H
#define AGATE_REF_WINOGRAD_H

#define AGATE_WINOGRAD_MOST 6 /* the greatest t */

typedef struct agate_winograd_matrices {
    double bt[AGATE_WINOGRAD_MOST][AGATE_WINOGRAD_MOST];     /* [t][t] */
    double g[AGATE_WINOGRAD_MOST][3];                        /* [t][3] */
    double at[AGATE_WINOGRAD_MOST - 2][AGATE_WINOGRAD_MOST]; /* [m][t] */
} agate_winograd_matrices;

/* Of F(2x2,3x3) where t is 4, of F(4x4,3x3) where it is 6. */
static inline const agate_winograd_matrices *agate_winograd_matrices_of(int t)
{
    static const agate_winograd_matrices two = {
        .bt = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
        .g = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
        .at = {{1, 1, 1, 0}, {0, 1, -1, -1}},
    };
    static const agate_winograd_matrices four = {
        .bt = {{4, 0, -5, 0, 1, 0},
               {0, -4, -4, 1, 1, 0},
               {0, 4, -4, -1, 1, 0},
               {0, -2, -1, 2, 1, 0},
               {0, 2, -1, -2, 1, 0},
               {0, 4, 0, -5, 0, 1}},
        .g = {{1.0 / 4, 0, 0},
              {-1.0 / 6, -1.0 / 6, -1.0 / 6},
              {-1.0 / 6, 1.0 / 6, -1.0 / 6},
              {1.0 / 24, 1.0 / 12, 1.0 / 6},
              {1.0 / 24, -1.0 / 12, 1.0 / 6},
              {0, 0, 1}},
        .at = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}},
    };
    return t == 4 ? &two : &four;
}

#endif
