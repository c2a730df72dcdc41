/* run.c: the run itself: its steps, whole or by slices. */
#include "runtime/base/rounding.h"
#include "runtime/session.h"

static void *callers_data(const agate_module_arg *arg, const agate_tensor *inputs,
                          const agate_tensor *outputs)
{
    return arg->storage == AGATE_STORAGE_INPUT ? inputs[arg->index].data : outputs[arg->index].data;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static void run_tasks(const void *context, int64_t first, int64_t last, int32_t thread)
{
    const agate_frame_step *step = context;
    step->kernel(step->buffers, step->batch, first, last, step->workspace + thread * step->workspace_stride);
}

static agate_status run_library(const agate_frame *frame, const agate_module_step *step)
{
    const agate_ref_call call = {
        .attrs = step->attrs,
        .input_count = (int32_t)step->operand_count,
        .output_count = (int32_t)step->result_count,
        .inputs = (const agate_tensor *const *)frame->tensor_pointers + step->first_arg,
        .outputs = frame->tensor_pointers + step->first_arg + step->operand_count,
        .variant = step->variant,
    };
    return agate_error_at(step->library(&call), step->origin, step->label);
}

static agate_status run_step(const agate_frame *frame, agate_pool *pool, uint32_t index)
{
    const agate_frame_step *step = &frame->steps[index];
    if (!step->kernel)
        return run_library(frame, &frame->module->steps[index]);
    if (pool && step->threads > 1)
        agate_pool_run(pool, step->threads, step->task_count, run_tasks, step);
    else if (step->task_count > 0)
        run_tasks(step, 0, step->task_count, 0);
    return AGATE_OK;
}

/* May step `index` begin? */
static agate_status check_time(const agate_session *session, uint32_t index)
{
    const bool cancelled = atomic_load_explicit(&session->cancelled, memory_order_relaxed);
    if (!cancelled && (!session->deadline_ns || agate_clock_ns() < session->deadline_ns))
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_CANCELLED, "%s after %u of %u steps",
                            cancelled ? "the run was cancelled" : "the deadline of the run passed", index,
                            session->module->step_count);
}

static void report(const agate_session *session, uint32_t index, uint64_t start_ns)
{
    const agate_module_step *step = &session->module->steps[index];
    const agate_step_profile profile = {
        .index = index,
        .name = step->symbol,
        .kernel = step->label,
        .origin = step->origin,
        .start_ns = start_ns,
        .end_ns = agate_clock_ns(),
    };
    session->profile(session->profile_user, &profile);
}

/* Steps first <= i < last; on the calling thread alone, if `pool` is NULL. */
static agate_status run_steps(const agate_session *session, const agate_frame *frame, agate_pool *pool,
                              uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i < last; i++) {
        AGATE_TRY(check_time(session, i));
        const uint64_t start_ns = session->profile ? agate_clock_ns() : 0;
        AGATE_TRY(run_step(frame, pool, i));
        if (session->profile)
            report(session, i, start_ns);
    }
    return AGATE_OK;
}

/* ---- slices -------------------------------------------------------------------------------------------- */

typedef struct slices_run {
    const agate_session *session;
    agate_cut cut;
    _Atomic(agate_status) *failure; /* the first one; AGATE_OK: none so far */
} slices_run;

/* What `frame` shares with the whole batch it has from row `first` of it on. */
static void share_rows(const agate_session *session, agate_frame *frame, int64_t first)
{
    for (uint32_t i = 0; i < session->shared_arg_count; i++) {
        const uint32_t index = session->shared_args[i];
        char *data = session->whole.buffers[index];
        const int64_t row_bytes = session->module->args[index].reach_bytes.scale;
        agate_frame_bind(frame, index, data ? data + first * row_bytes : NULL);
    }
}

static void run_share(const void *context, int64_t first, int64_t last, int32_t thread)
{
    const slices_run *run = context;
    agate_frame *frame = &run->session->slices[thread];
    for (int64_t i = first; i < last && !atomic_load_explicit(run->failure, memory_order_relaxed); i++) {
        share_rows(run->session, frame, i * run->cut.rows);
        agate_status status = run_steps(run->session, frame, NULL, 0, run->cut.steps), none = AGATE_OK;
        if (status && !atomic_compare_exchange_strong(run->failure, &none, status))
            agate_status_release(status);
    }
}

/* The rows from `first` on, which are too few for all threads to have a slice each: they share the steps. */
static agate_status run_rest(agate_session *session, agate_cut cut, int64_t first, int64_t rows, char *slab)
{
    agate_frame *frame = &session->slices[0];
    if (rows == 0)
        return AGATE_OK;
    AGATE_TRY(agate_frame_resolve(frame, rows, 0, slab));
    share_rows(session, frame, first);
    return run_steps(session, frame, session->pool, 0, cut.steps);
}

static agate_status run_slices(agate_session *session, agate_cut cut, int64_t batch, const agate_parts *parts)
{
    const int64_t sliced = cut.rows * cut.count;
    char *slab = session->slab.bytes + parts->whole_bytes;
    _Atomic(agate_status) failure = AGATE_OK;
    const slices_run run = {session, cut, &failure};
    AGATE_TRY(run_rest(session, cut, sliced, batch - sliced, slab));
    for (int32_t i = 0; i < session->slicing.threads; i++) {
        AGATE_TRY(agate_frame_resolve(&session->slices[i], cut.rows, 0, slab));
        slab += i == 0 ? parts->first_bytes : parts->other_bytes;
    }
    agate_pool_run(session->pool, session->slicing.threads, cut.count, run_share, &run);
    return atomic_load(&failure);
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

agate_cut agate_session_cut(const agate_session *session, int64_t batch)
{
    if (session->keeps_batch || (session->profile && session->slicing.threads > 1))
        return (agate_cut){0};
    return agate_slicing_cut(&session->slicing, batch);
}

static agate_status run_batch(agate_session *session, const agate_tensor *inputs, const agate_tensor *outputs,
                              int64_t batch)
{
    const agate_cut cut = agate_session_cut(session, batch);
    agate_parts parts;
    AGATE_TRY(agate_session_reserve(session, batch, cut, &parts));
    AGATE_TRY(agate_frame_resolve(&session->whole, batch, cut.steps, session->slab.bytes));
    for (uint32_t i = 0; i < session->caller_arg_count; i++) {
        const uint32_t index = session->caller_args[i];
        agate_frame_bind(&session->whole, index,
                         callers_data(&session->module->args[index], inputs, outputs));
    }
    if (cut.steps > 0)
        AGATE_TRY(run_slices(session, cut, batch, &parts));
    return run_steps(session, &session->whole, session->pool, cut.steps, session->module->step_count);
}

static void run_copies(const agate_session *session, const agate_tensor *inputs, agate_tensor *outputs)
{
    for (uint32_t i = 0; i < session->module->copy_count; i++) {
        const agate_module_copy *copy = &session->module->copies[i];
        const size_t size = session->output_shapes[copy->output].size_bytes;
        const void *from = copy->from.storage == AGATE_STORAGE_CONSTANT
                               ? session->module->constants[copy->from.index].bytes
                               : callers_data(&copy->from, inputs, outputs);
        if (size > 0)
            memcpy(outputs[copy->output].data, from, size);
    }
}

static agate_status resolve_outputs(agate_session *session, int64_t batch)
{
    const agate_module *module = session->module;
    if (session->output_batch == batch)
        return AGATE_OK;
    session->output_batch = -1;
    for (uint32_t i = 0; i < module->output_count; i++)
        if (!agate_module_type_resolve(&module->outputs[i].type, batch, &session->output_shapes[i]))
            return agate_batch_too_large(batch);
    session->output_batch = batch;
    return AGATE_OK;
}

static agate_status run(agate_session *session, const agate_tensor *inputs, size_t input_count,
                        agate_tensor *outputs, size_t output_count)
{
    int64_t batch;
    AGATE_TRY(agate_check_inputs(session->module, inputs, input_count, &batch));
    AGATE_TRY(resolve_outputs(session, batch));
    AGATE_TRY(agate_check_outputs(session->module, session->output_shapes, inputs, outputs, output_count));
    AGATE_TRY(run_batch(session, inputs, outputs, batch));
    run_copies(session, inputs, outputs);

    for (size_t i = 0; i < output_count; i++) {
        const size_t room_bytes = outputs[i].size_bytes;
        void *data = outputs[i].data;
        outputs[i] = session->output_shapes[i];
        outputs[i].data = data;
        outputs[i].size_bytes = room_bytes;
    }
    return AGATE_OK;
}

agate_status agate_session_run(agate_session *session, const agate_tensor *inputs, size_t input_count,
                               agate_tensor *outputs, size_t output_count)
{
    if (atomic_exchange_explicit(&session->running, true, memory_order_acquire))
        return agate_error_make(
            AGATE_CODE_INVALID_ARGUMENT,
            "the session is already running on another thread; create a session per thread");
    const agate_rounding before = agate_rounding_enter();
    agate_status status = run(session, inputs, input_count, outputs, output_count);
    agate_rounding_leave(before);
    atomic_store_explicit(&session->running, false, memory_order_release);
    return status;
}
