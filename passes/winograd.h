/* winograd.h: Winograd convolution, as the pass that transforms weights and the strategy share it: what each
 * algorithm would cost on a machine. */
#ifndef AGATE_WINOGRAD_H
#define AGATE_WINOGRAD_H

#include "passes/strategy.h"

/* A 3x3 convolution as F(m x m, 3x3), and what one image takes. */
typedef struct agate_winograd_choice {
    int64_t t; /* m + 2 */
    agate_tiles tiles;
    double cycles;
} agate_winograd_choice;

/* For `channels` inputs, `filters` outputs and a result of height x width. `vectors` of a weight panel are
 * given, or 0. */
agate_winograd_choice agate_winograd_choose(const agate_machine *machine, int64_t t, int64_t channels,
                                            int64_t filters, int64_t height, int64_t width, int64_t vectors);

#endif
