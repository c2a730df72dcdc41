/* peaks.h: how fast this machine computes and reads at best, measured: the roof over every kernel. */
#ifndef AGATE_PEAKS_H
#define AGATE_PEAKS_H

#include <stdint.h>

typedef struct agate_peaks {
    double gflops;      /* f32 multiply-adds in registers, each counted as two */
    double gdivisions;  /* f32 divisions in registers, 10^9 in a second */
    double pair_gflops; /* multiply-adds of AVX512-BF16's pairs of products; 0: `isa` does not include it */
    /* those of AMX's tiles of bf16, loaded as strategy amx_conv does; 0: `isa` does not include them */
    double tile_gflops;
    double gb_per_second; /* reads from memory, beyond what caches hold */
} agate_peaks;

/* Measures on this many threads at once, a fraction of a second, with the instructions of `isa` (a row of
 * machines.def, and features behind it, that this CPU can run). A peak that cannot be measured (no memory) is
 * 0. */
agate_peaks agate_peaks_measure(const char *isa, int32_t threads);

/* How many of a kernel's FLOPs, of f32, the instruction that it multiplies with can do in a nanosecond: the
 * label says which that is, and how many products of bf16 stand for one. 0: that was not measured. */
double agate_peaks_of_kernel(const agate_peaks *peaks, const char *label);

#endif
