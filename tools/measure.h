/* measure.h: how long a model takes, as a whole and step by step. */
#ifndef AGATE_MEASURE_H
#define AGATE_MEASURE_H

#include "tools/peaks.h"
#include "tools/runner.h"

/* A step of a profiled run, for a slice of the batch. */
typedef struct agate_span {
    size_t step;
    uint64_t begin_ns, end_ns;
} agate_span;

/* Zero-initialize. */
typedef struct agate_measurement {
    int64_t batch;
    double flops;    /* of one run */
    uint64_t *times; /* of the timed runs, in nanoseconds, ascending */
    size_t count;
    size_t peak_rss_bytes; /* before the machine's peaks are measured, which takes memory too */

    /* Where profiles are asked for. */
    uint64_t *step_times; /* per step of the module: the least of all profiled runs */
    size_t profiled_runs;
    agate_span *spans; /* of the last profiled run */
    size_t span_count;
    uint64_t *run_times; /* per step: that of the run in progress */
    agate_peaks peaks;
} agate_measurement;

typedef struct agate_measure_options {
    int64_t iterations; /* timed runs; 0: as many as take so many seconds, five at least */
    double seconds;
    bool profile;    /* also by steps, in runs of their own, and the peaks of the machine */
    int32_t threads; /* of the peaks */
} agate_measure_options;

/* Warms up, then times runs. Release what was measured with agate_measurement_deinit, also on failure. */
AGATE_MUST_USE agate_status agate_measure(agate_runner *runner, int64_t batch, const agate_tensor *inputs,
                                          agate_tensor *outputs, const agate_measure_options *options,
                                          agate_measurement *out_measurement);
void agate_measurement_deinit(agate_measurement *m);

#endif
