/* frame.h: what steps run on: memory for some rows of a batch, and every number and address that follows
 * their count. Internal to the runtime. */
#ifndef AGATE_FRAME_H
#define AGATE_FRAME_H

#include "runtime/base/call.h"
#include "runtime/base/module.h"

/* A step made ready for one batch: nothing is left to compute but the step itself. */
typedef struct agate_frame_step {
    agate_kernel_fn kernel; /* NULL: a library step */
    void *const *buffers;   /* its arguments in frame->buffers */
    int64_t batch;
    int64_t task_count;
    char *workspace; /* of thread 0; the others' follow it */
    int64_t workspace_stride;
    int32_t threads; /* how many it is worth */
} agate_frame_step;

typedef struct agate_frame {
    const agate_module *module;
    int32_t threads; /* that may run a step at once; each has a workspace */

    int64_t batch;       /* what the arrays below are resolved for: rows; -1: nothing yet */
    uint32_t first_step; /* and from which step on */
    agate_frame_step *steps;
    void **buffers;                 /* one per argument; those of the caller's memory are bound by each run */
    agate_tensor *tensors;          /* one per argument, `data` as in `buffers` */
    agate_tensor **tensor_pointers; /* to each of `tensors`, as library kernels take them */

    char *slab; /* aligned to AGATE_ALIGNMENT; behind the values, the workspaces */
} agate_frame;

/* dim at this batch; false on overflow or where it is negative. */
bool agate_dim_resolve(agate_dim dim, int64_t batch, int64_t *out_value);

/* Writes dtype, rank, dims and size_bytes (not data) of `type` at this batch; false on overflow or a negative
 * dimension. */
bool agate_module_type_resolve(const agate_module_type *type, int64_t batch, agate_tensor *out_tensor);

/* The error where numbers overflow at this batch. */
AGATE_MUST_USE agate_status agate_batch_too_large(int64_t batch);

/* On failure, too, the frame is to be deinitialized. */
AGATE_MUST_USE agate_status agate_frame_init(agate_frame *frame, const agate_module *module, int32_t threads);

/* Of zeros is accepted. */
void agate_frame_deinit(agate_frame *frame);

/* How large a slab must be for `batch`. Steps before `first_step` are run on other frames: of what they
 * write, this one holds what is read from there on. */
AGATE_MUST_USE agate_status agate_frame_measure(const agate_frame *frame, int64_t batch, uint32_t first_step,
                                                int64_t *out_size_bytes);

/* Resolves steps, buffers and tensors in `slab`, which is as large as that. */
AGATE_MUST_USE agate_status agate_frame_resolve(agate_frame *frame, int64_t batch, uint32_t first_step,
                                                void *slab);

/* Argument `index` lies at `data` from now on, NULL if it has no bytes. */
static inline void agate_frame_bind(agate_frame *frame, uint32_t index, void *data)
{
    frame->buffers[index] = frame->tensors[index].data = data;
}

/* Is the argument of a step before `first_step` read there or behind? */
static inline bool agate_arg_outlives(const agate_module_arg *arg, uint32_t first_step)
{
    return arg->storage == AGATE_STORAGE_SLAB && arg->last_step >= first_step;
}

#endif
