/* strategy.h: the scheduler's half of a strategy row: may it serve this kernel, and with which tiles? */
#ifndef AGATE_STRATEGY_H
#define AGATE_STRATEGY_H

#include "ir/bands.h"
#include "passes/kernel.h"
#include "passes/pass.h"

/* What a row is asked about. */
typedef struct agate_candidate {
    const agate_machine *machine;
    const agate_node *kernel;
    const agate_node *anchor; /* NULL: scalar ops alone */
} agate_candidate;

/* NULL: it can serve the kernel; otherwise why not, in a few words. */
typedef const char *(*agate_applies_fn)(const agate_candidate *candidate);

/* The tiles it would run with. */
typedef agate_tiles (*agate_plan_fn)(const agate_candidate *candidate);

/* Why a convolution is not the only op with loops of its kernel; NULL: it is. */
const char *agate_conv_not_alone(const agate_candidate *candidate);

/* About how many cycles register tiles take for each input channel of an image, if dense convolution `conv`
 * had parts of so many filters each. */
double agate_direct_conv_cycles(const agate_machine *machine, const agate_node *conv, const int64_t *filters,
                                int32_t count);

/* ... for one register tile of oc vectors by `points`. */
double agate_register_tile_cycles(const agate_machine *machine, int64_t oc, int64_t points);

/* Register tile and sums of a dense convolution that goes row by row, and its cycles as above. */
agate_tiles agate_direct_conv_rows(const agate_machine *machine, const agate_node *conv, double *out_cycles);

/* Why a pair of ops may not keep with these tiles what is between them, or write what its kernel does; NULL:
 * it may. */
const char *agate_bands_refuse_places(const agate_candidate *candidate, const agate_bands *bands,
                                      const agate_tiles *tiles);

/* About how many cycles an image takes less when the pair of ops in such a kernel, which agate_bands_applies
 * took, runs by bands than in two kernels. Not above 0: it does not pay. */
double agate_bands_gain(const agate_candidate *candidate);

/* The same of a pair which agate_amx_bands_applies took. */
double agate_amx_bands_gain(const agate_candidate *candidate);

/* Is a dense convolution to so few channels that vectors along pixels have less idle lanes by half or more,
 * even though what it reads is put in plain rows for it? */
bool agate_few_filters_pay(const agate_machine *machine, const agate_node *conv);

/* What tile `oh` of a convolution or pool counts: rows of the result or, where there is one, its tiles of
 * `points` pixels. */
int64_t agate_conv_rows(int64_t height, int64_t width, int64_t points);

/* Pixels of a depthwise convolution's register tile, where rows have `width`. */
int32_t agate_depthwise_points(const agate_machine *machine, int64_t width);

/* Tiles for a dense convolution by the register tiles that cost least by the same reckoning, best first.
 * Returns how many. */
size_t agate_direct_conv_shapes(const agate_candidate *candidate, agate_tiles *out_tiles, size_t room);

/* Vectors of columns in a tile of a matmul, and in a panel of its packed weights. */
int32_t agate_gemm_vectors(const agate_machine *machine);

/* `kc` for sums of so many products: 0 where they are few enough to be summed in one go. */
int32_t agate_sum_part(int64_t products);

#define AGATE_STRATEGY(id, summary)                                                                          \
    const char *agate_##id##_applies(const agate_candidate *candidate);                                      \
    agate_tiles agate_##id##_plan(const agate_candidate *candidate);
#include "ir/strategies.def"
#undef AGATE_STRATEGY

#endif
