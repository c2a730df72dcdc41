/* session.h: the insides of a session, shared by the files that make, check and run it. Internal. */
#ifndef AGATE_SESSION_H
#define AGATE_SESSION_H

#include "runtime/frame.h"
#include "runtime/model.h"
#include "runtime/pool.h"
#include "runtime/slab.h"
#include "runtime/slices.h"

#include <stdatomic.h>

/* How the slab is shared out: to the whole batch, to the slices of the first thread, which have workspaces of
 * all, and to those of each other. */
typedef struct agate_parts {
    int64_t whole_bytes, first_bytes, other_bytes;
} agate_parts;

struct agate_session {
    agate_model *model;
    const agate_module *module; /* the model's */
    agate_pool *pool;
    atomic_bool running;
    atomic_bool cancelled;
    uint64_t deadline_ns; /* 0: none */

    agate_slab slab;
    bool keeps_batch; /* never to be cut into slices */
    agate_slicing slicing;
    agate_frame whole; /* of all threads: for the steps that are not run by slices */
    /* [threads], NULL where no step is; the first one, of all threads, has the rest of a batch, too */
    agate_frame *slices;

    int64_t output_batch; /* what output_shapes are resolved for; -1: none yet */
    agate_tensor *output_shapes;
    uint32_t *caller_args; /* arguments that are the caller's memory */
    uint32_t caller_arg_count;
    /* arguments of sliced steps that lie in the memory of the whole batch, the caller's among them */
    uint32_t *shared_args;
    uint32_t shared_arg_count;
    agate_tensor *bound_inputs; /* rank INT32_MIN: not bound */
    agate_tensor *bound_outputs;

    agate_profile_fn profile;
    void *profile_user;
};

/* How a batch of so many rows is run. Threads that run slices of their own could not report their steps one
 * after the other, so a profile is of whole batches where there are several. */
agate_cut agate_session_cut(const agate_session *session, int64_t batch);

/* Makes the slab large enough for a batch that is cut so, and shares it out. */
AGATE_MUST_USE agate_status agate_session_reserve(agate_session *session, int64_t batch, agate_cut cut,
                                                  agate_parts *out_parts);

/* Checks a run's inputs against the model and finds their common batch (1 where no input follows it). */
AGATE_MUST_USE agate_status agate_check_inputs(const agate_module *module, const agate_tensor *inputs,
                                               size_t count, int64_t *out_batch);

/* Checks that the outputs have room for `shapes` and overlap no input. */
AGATE_MUST_USE agate_status agate_check_outputs(const agate_module *module, const agate_tensor *shapes,
                                                const agate_tensor *inputs, const agate_tensor *outputs,
                                                size_t count);

#endif
