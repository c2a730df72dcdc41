/* slices.h: a batch that is computed a few rows at a time, each thread its own few. Internal to the runtime.
 *
 * Between two steps a batch writes and reads back more than a core's cache holds, where a few rows would stay
 * in it. So the first steps, as long as they keep rows apart, run for one slice of the batch after the other,
 * and no thread waits for another before the last. Slices read a step's weights anew, so steps with more
 * weights than activations run for the whole batch, behind them. Which steps, and how many rows, changes the
 * time and the memory, never the bits.
 */
#ifndef AGATE_SLICES_H
#define AGATE_SLICES_H

#include "runtime/frame.h"

/* What a module's steps allow and are worth, for a number of threads. */
typedef struct agate_slicing {
    uint32_t steps;     /* the first so many run by slices; 0: none */
    int64_t held_rows;  /* what a core's cache holds of them */
    int64_t least_rows; /* smaller batches run whole */
    int32_t threads;
} agate_slicing;

/* How one batch is cut: `count` slices of `rows`, then what is left. */
typedef struct agate_cut {
    uint32_t steps; /* 0: the batch runs whole */
    int64_t rows;
    int64_t count; /* a multiple of the threads */
} agate_cut;

agate_slicing agate_slicing_of(const agate_module *module, int32_t threads);

agate_cut agate_slicing_cut(const agate_slicing *slicing, int64_t batch);

#endif
