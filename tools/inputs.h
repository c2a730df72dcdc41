/* inputs.h: what the command line says of a model's inputs, made into tensors. */
#ifndef AGATE_INPUTS_H
#define AGATE_INPUTS_H

#include "tools/cli.h"
#include "tools/picture.h"
#include "tools/runner.h"

/* Where one input comes from: pictures, one tensor file, or (no files) a seed. */
typedef struct agate_source {
    const char **files;
    size_t file_count;
    bool is_tensor;
    agate_picture_shape shape; /* of pictures */
    agate_tensor tensor;       /* read, if is_tensor */
} agate_source;

typedef struct agate_inputs {
    const agate_runner *runner;
    const agate_preprocess *preprocess;
    uint64_t seed;
    int64_t batch;         /* of one run, or of a full one where pictures are left over */
    agate_source *sources; /* one per input of the model */
    size_t picture_count;  /* of the input that takes pictures; 0: none does */
    const char *const *pictures;
} agate_inputs;

/* What the command line says. */
typedef struct agate_inputs_options {
    const agate_cli_list *named; /* NAME=FILE */
    const char *const *files; /* in the order of the inputs that have no name yet; pictures all go to one */
    size_t file_count;
    const agate_preprocess *preprocess; /* NULL: none */
    int64_t seed, batch;                /* 0: no batch given */
} agate_inputs_options;

/* Is each of them NAME=FILE? Returns -1, or the exit code of a mistake that has been reported. */
int agate_inputs_check_names(const agate_cli_verb *verb, const agate_cli_list *named);

/* For verbs that take no pictures: the same, and are all of them tensor files? */
int agate_inputs_check_tensors(const agate_cli_verb *verb, const agate_cli_list *named);

/* Sorts files to inputs, reads tensor files, and settles the batch. On success the caller releases it with
 * agate_inputs_deinit. `runner` must outlive it. */
AGATE_MUST_USE agate_status agate_inputs_init(agate_inputs *inputs, const agate_runner *runner,
                                              const agate_inputs_options *options);
void agate_inputs_deinit(agate_inputs *inputs);

/* How many runs all pictures take; 1 where there are none. */
size_t agate_inputs_run_count(const agate_inputs *inputs);

/* Makes the tensors of run number `run`: runner->input_count of them, for the caller to free with
 * agate_tensor_free. */
AGATE_MUST_USE agate_status agate_inputs_make(const agate_inputs *inputs, size_t run,
                                              agate_tensor *out_tensors);

#endif
