/* session.h: the insides of a session, shared by the files that make, resolve, check and run it. Internal. */
#ifndef AGATE_SESSION_H
#define AGATE_SESSION_H

#include "runtime/model.h"
#include "runtime/pool.h"

#include <stdatomic.h>

/* A step made ready for one batch: nothing is left to compute but the step itself. */
typedef struct agate_session_step {
    agate_kernel_fn kernel; /* NULL: a library step */
    void *const *buffers;   /* its arguments in session->buffers */
    int64_t batch;
    int64_t task_count;
    char *workspace; /* of thread 0; the others' follow it */
    int64_t workspace_stride;
    int32_t threads; /* how many it is worth */
} agate_session_step;

struct agate_session {
    agate_model *model;
    const agate_module *module; /* the model's */
    agate_pool *pool;
    agate_allocator allocator; /* of the slab; `allocate` NULL: mmap */
    atomic_bool running;
    atomic_bool cancelled;
    uint64_t deadline_ns; /* 0: none */

    bool keeps_batch;     /* never to be cut into slices */
    double weight_bytes;  /* of all constants */
    double row_bytes;     /* of what all steps read and write beside them, for each row of the batch */
    int64_t output_batch; /* what output_shapes are resolved for; -1: none yet */
    int64_t batch;        /* what the arrays below are resolved for: rows of a slice; -1: none yet */
    agate_session_step *steps;
    void **buffers;                 /* one per argument; those of inputs and outputs are bound by each run */
    agate_tensor *tensors;          /* one per argument, `data` as in `buffers` */
    agate_tensor **tensor_pointers; /* to each of `tensors`, as library kernels take them */
    uint32_t *caller_args;          /* arguments that are the caller's memory */
    uint32_t caller_arg_count;
    agate_tensor *output_shapes;
    agate_tensor *bound_inputs; /* rank -1: not bound */
    agate_tensor *bound_outputs;

    void *slab; /* aligned to AGATE_ALIGNMENT; behind the values, a workspace for each thread */
    size_t slab_size_bytes;
    void *slab_region; /* the mapping, or the allocator's block, around it */
    size_t slab_region_size_bytes;

    agate_profile_fn profile;
    void *profile_user;
};

/* dim at this batch; false on overflow or where it is negative. */
bool agate_dim_resolve(agate_dim dim, int64_t batch, int64_t *out_value);

/* Writes dtype, rank, dims and size_bytes (not data) of `type` at this batch; false on overflow or a negative
 * dimension. */
bool agate_module_type_resolve(const agate_module_type *type, int64_t batch, agate_tensor *out_tensor);

/* How many rows of a batch of so many are computed at a time, from the first step to the last, so that caches hold what lies between
 * two steps. Changes the time and the memory, never the bits. */
int64_t agate_session_slice_rows(const agate_session *session, int64_t batch);

/* Writes the shapes of the outputs at this batch. */
AGATE_MUST_USE agate_status agate_session_resolve_outputs(agate_session *session, int64_t batch);

/* Makes a slab for `batch` unless the present one is large enough. */
AGATE_MUST_USE agate_status agate_session_reserve(agate_session *session, int64_t batch);
void agate_session_unmap(agate_session *session);

/* Resolves steps, buffers and tensors for `batch`, growing the slab if it must. */
AGATE_MUST_USE agate_status agate_session_resolve(agate_session *session, int64_t batch);

/* Checks a run's inputs against the model and finds their common batch (1 where no input follows it). */
AGATE_MUST_USE agate_status agate_check_inputs(const agate_module *module, const agate_tensor *inputs,
                                               size_t count, int64_t *out_batch);

/* Checks that the outputs have room for `shapes` and overlap no input. */
AGATE_MUST_USE agate_status agate_check_outputs(const agate_module *module, const agate_tensor *shapes,
                                                const agate_tensor *inputs, const agate_tensor *outputs,
                                                size_t count);

#endif
