/* winograd.c: a 3x3 convolution of stride 1 whose weights come transformed: u[o][i] = G g G^T, laid out
 * [O,t,t,I]. */
#include "runtime/ref/winograd.h"

#include "runtime/ref/element.h"

#define FILTERS 16 /* outputs that share a transformed tile of inputs */

typedef struct problem {
    const agate_winograd_matrices *matrices;
    int t, m;
    int64_t channels, filters, in[2], out[2], pads[2];
    const float *u, *bias; /* bias NULL: 0 */
} problem;

typedef double square[AGATE_WINOGRAD_MOST][AGATE_WINOGRAD_MOST];

/* B^T d B of the tile whose first input is (y, x) of `plane`; inputs outside are 0. */
static void transform_inputs(const problem *p, const float *plane, int64_t y, int64_t x, square v)
{
    square d = {0}, half = {0};

    for (int r = 0; r < p->t; r++)
        for (int c = 0; c < p->t; c++)
            if (y + r >= 0 && y + r < p->in[0] && x + c >= 0 && x + c < p->in[1])
                d[r][c] = plane[(y + r) * p->in[1] + x + c];
    for (int r = 0; r < p->t; r++)
        for (int c = 0; c < p->t; c++)
            for (int k = 0; k < p->t; k++)
                half[r][c] += p->matrices->bt[r][k] * d[k][c];
    for (int r = 0; r < p->t; r++)
        for (int c = 0; c < p->t; c++) {
            v[r][c] = 0;
            for (int k = 0; k < p->t; k++)
                v[r][c] += half[r][k] * p->matrices->bt[c][k];
        }
}

/* A^T sums A plus the bias, as far as it lies in the image, to plane `to`. */
static void transform_outputs(const problem *p, square sums, double bias, int64_t y, int64_t x, float *to)
{
    square half = {0};

    for (int r = 0; r < p->m; r++)
        for (int c = 0; c < p->t; c++)
            for (int k = 0; k < p->t; k++)
                half[r][c] += p->matrices->at[r][k] * sums[k][c];
    for (int r = 0; r < p->m && y + r < p->out[0]; r++)
        for (int c = 0; c < p->m && x + c < p->out[1]; c++) {
            double sum = bias;
            for (int k = 0; k < p->t; k++)
                sum += half[r][k] * p->matrices->at[c][k];
            to[(y + r) * p->out[1] + x + c] = (float)sum;
        }
}

/* Outputs `first` and the few behind it, of the tile at output (y, x) of an image. */
static void compute_tile(const problem *p, const float *image, int64_t first, int64_t y, int64_t x, float *to)
{
    int64_t count = agate_min(FILTERS, p->filters - first), points = (int64_t)p->t * p->t;
    square sums[FILTERS] = {0};

    for (int64_t i = 0; i < p->channels; i++) {
        square v;
        transform_inputs(p, image + i * p->in[0] * p->in[1], y - p->pads[0], x - p->pads[1], v);
        for (int64_t o = 0; o < count; o++)
            for (int64_t k = 0; k < points; k++)
                sums[o][k / p->t][k % p->t] +=
                    v[k / p->t][k % p->t] * p->u[((first + o) * points + k) * p->channels + i];
    }
    for (int64_t o = 0; o < count; o++)
        transform_outputs(p, sums[o], p->bias ? p->bias[first + o] : 0, y, x,
                          to + (first + o) * p->out[0] * p->out[1]);
}

static void compute(const agate_ref_call *call, int32_t which)
{
    const agate_tensor *x = call->inputs[0], *u = call->inputs[1], *y = call->outputs[0];
    const agate_attrs_conv *attrs = &call->attrs->conv;
    const problem p = {
        .matrices = agate_winograd_matrices_of((int)u->dims[1]),
        .t = (int)u->dims[1],
        .m = (int)u->dims[1] - 2,
        .channels = x->dims[1],
        .filters = u->dims[0],
        .in = {x->dims[2], x->dims[3]},
        .out = {y->dims[2], y->dims[3]},
        .pads = {attrs->pads.v[0], attrs->pads.v[1]},
        .u = u->data,
        .bias = call->input_count > 2 && call->inputs[2] ? call->inputs[2]->data : NULL,
    };

    (void)which;
    for (int64_t n = 0; n < x->dims[0]; n++)
        for (int64_t first = 0; first < p.filters; first += FILTERS)
            for (int64_t row = 0; row < p.out[0]; row += p.m)
                for (int64_t column = 0; column < p.out[1]; column += p.m)
                    compute_tile(&p, (const float *)x->data + n * p.channels * p.in[0] * p.in[1], first, row,
                                 column, (float *)y->data + n * p.filters * p.out[0] * p.out[1]);
}

AGATE_REF(winograd)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {[AGATE_F32] = compute};

    return agate_call_typed(table, call, 0, "winograd");
}
