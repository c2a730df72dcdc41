/* runner.h: a model that is ready to run: compiled, or interpreted by the reference kernels. */
#ifndef AGATE_RUNNER_H
#define AGATE_RUNNER_H

#include "runtime/model.h"
#include "tools/driver.h"

typedef struct agate_runner {
    agate_graph *graph;         /* interpreted; NULL: compiled */
    agate_graph *planned;       /* compiled, and asked for: what the model was made from */
    agate_model *model;         /* compiled */
    agate_session *session;     /* compiled */
    agate_module_value *values; /* own copies, for an interpreted graph */
    agate_cache_outcome cache;
    const agate_module_value *inputs, *outputs;
    size_t input_count, output_count;
} agate_runner;

/* How a model is to run. */
typedef struct agate_runner_options {
    agate_driver_options driver;
    bool reference;    /* interpret */
    bool keep_planned; /* compiled: keep the planned graph */
    agate_stage stage; /* interpret: the graph as it is after this stage's passes */
} agate_runner_options;

/* Reads `path` and makes it ready. On success the caller releases the runner with agate_runner_deinit. */
AGATE_MUST_USE agate_status agate_runner_init(agate_runner *runner, const char *path,
                                              const agate_runner_options *options);

/* Zeroed, never initialized runners are accepted. */
void agate_runner_deinit(agate_runner *runner);

/* The batch that inputs agree on, once they are found to fit the model. */
AGATE_MUST_USE agate_status agate_runner_batch(const agate_runner *runner, const agate_tensor *inputs,
                                               int64_t *out_batch);

/* Runs once. Fills `outputs` (runner->output_count); the caller frees them with agate_tensor_free. Nothing is
 * to be freed after an error. */
AGATE_MUST_USE agate_status agate_runner_run(agate_runner *runner, const agate_tensor *inputs,
                                             agate_tensor *outputs);

/* Makes a run possible in memory that is there: allocates outputs for `batch`. */
AGATE_MUST_USE agate_status agate_runner_allocate_outputs(const agate_runner *runner, int64_t batch,
                                                          agate_tensor *outputs);

#endif
