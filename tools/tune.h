/* tune.h: measures other tiles for the kernels of a model, within the whole model. */
#ifndef AGATE_TUNE_H
#define AGATE_TUNE_H

#include "passes/tuning.h"
#include "tools/inputs.h"

#define AGATE_TUNE_SWEEPS 3

typedef struct agate_tune_options {
    const agate_driver_options *driver;
    const agate_inputs_options *inputs;
    double seconds; /* that one comparison takes at least */
    int64_t sweeps; /* at most; 0: AGATE_TUNE_SWEEPS */
    /* Hears of each comparison before it starts; NULL: nobody does. */
    void (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
} agate_tune_options;

/* A kernel that runs with other tiles now. Strings are owned by the result. */
typedef struct agate_tune_change {
    char *nodes;                /* the ONNX nodes of the first that is alike */
    char *before, *after;       /* strategy and tiles */
    size_t count;               /* how many kernels are alike */
    double before_ms, after_ms; /* of all of them, in one run; the least seen */
} agate_tune_change;

typedef struct agate_tune_result {
    agate_tuning tuning;
    agate_tune_change *changes;
    size_t change_count, kernel_count; /* kernels that differ */
    size_t comparison_count;
    double before_ms, after_ms; /* medians of whole runs that took turns */
} agate_tune_result;

/* Takes the model at `path` from the planned tiles to better ones, step by step: in each comparison every
 * kernel tries one other way, in a model that takes turns with the best so far, so that kernels meet the
 * caches that they will meet. What computes other bits than the planned model is an error. On success the
 * caller releases the result. */
AGATE_MUST_USE agate_status agate_tune(const char *path, const agate_tune_options *options,
                                       agate_tune_result *out_result);
void agate_tune_result_deinit(agate_tune_result *result);

#endif
