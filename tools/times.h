/* times.h: where the time goes, from a file to a session that is ready; and the times of runs. */
#ifndef AGATE_TIMES_H
#define AGATE_TIMES_H

#include <stdio.h>

#include "runtime/base/base.h"

#define AGATE_TIMES_MOST 64

typedef struct agate_times_row {
    const char *name; /* lives as long as the program */
    uint64_t ns;
    size_t count;
} agate_times_row;

/* Zero-initialize. Rows stand in the order of first sight. */
typedef struct agate_times {
    uint64_t begin_ns; /* on the clock of agate_clock_ns */
    agate_times_row rows[AGATE_TIMES_MOST];
    size_t count;
} agate_times;

/* Adds to the row of that name. A name that begins with a blank is a part of the row in front of it, summed
 * over threads. The `timed` of agate_pass_options, with the times as its user. */
void agate_times_add(void *user, const char *name, uint64_t ns);

/* A table: each row, its share of `total_ns`, and what no row accounts for. */
void agate_times_print(const agate_times *times, uint64_t total_ns, FILE *stream);

/* ---- runs ---------------------------------------------------------------------------------------------- */

/* Sorts nanoseconds, the least first. */
void agate_runs_sort(uint64_t *run_ns, size_t count);

/* The median of sorted nanoseconds, at least one, in milliseconds. */
double agate_runs_median_ms(const uint64_t *run_ns, size_t count);

#endif
