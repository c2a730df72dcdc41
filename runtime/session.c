/* session.c: one inference in flight: its memory, its threads, and the run itself. */
#include "runtime/session.h"

#include <stdlib.h>

#include "runtime/base/features.h"

/* The rank of a tensor that is not bound. */
enum { NOT_BOUND = -1 };

/* ---- making one ---------------------------------------------------------------------------------------- */

static bool is_callers(const agate_module_arg *arg)
{
    return arg->storage == AGATE_STORAGE_INPUT || arg->storage == AGATE_STORAGE_OUTPUT;
}

/* Never 0 elements: NULL shall mean that memory is short. */
static void *zeroed(size_t count, size_t size_bytes)
{
    return calloc(count + 1, size_bytes);
}

static agate_status allocate_tables(agate_session *session)
{
    const agate_module *module = session->module;
    session->steps = zeroed(module->step_count, sizeof(*session->steps));
    session->buffers = zeroed(module->arg_count, sizeof(*session->buffers));
    session->tensors = zeroed(module->arg_count, sizeof(*session->tensors));
    session->tensor_pointers = zeroed(module->arg_count, sizeof(*session->tensor_pointers));
    session->caller_args = zeroed(module->arg_count, sizeof(*session->caller_args));
    session->output_shapes = zeroed(module->output_count, sizeof(*session->output_shapes));
    session->bound_inputs = zeroed(module->input_count, sizeof(*session->bound_inputs));
    session->bound_outputs = zeroed(module->output_count, sizeof(*session->bound_outputs));
    if (!session->steps || !session->buffers || !session->tensors || !session->tensor_pointers ||
        !session->caller_args || !session->output_shapes || !session->bound_inputs || !session->bound_outputs)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a session");

    for (uint32_t i = 0; i < module->input_count; i++)
        session->bound_inputs[i].rank = NOT_BOUND;
    for (uint32_t i = 0; i < module->output_count; i++)
        session->bound_outputs[i].rank = NOT_BOUND;
    for (uint32_t i = 0; i < module->arg_count; i++) {
        session->tensor_pointers[i] = &session->tensors[i];
        if (is_callers(&module->args[i]))
            session->caller_args[session->caller_arg_count++] = i;
    }
    return AGATE_OK;
}

static void weigh(agate_session *session)
{
    const agate_module *module = session->module;
    for (uint32_t i = 0; i < module->constant_count; i++)
        session->weight_bytes += (double)module->constants[i].size_bytes;
    for (uint32_t i = 0; i < module->arg_count; i++)
        session->row_bytes += (double)module->args[i].reach_bytes.scale;
}

static agate_status fill(agate_session *session, const agate_session_options *options)
{
    const int32_t granted = agate_cpu_count();
    const int32_t threads = options->threads ? (int32_t)agate_min(options->threads, granted) : granted;
    AGATE_TRY(allocate_tables(session));
    AGATE_TRY(options->parallel ? agate_pool_create_borrowed(threads, options->parallel,
                                                             options->parallel_user, &session->pool)
                                : agate_pool_create(threads, &session->pool));
    weigh(session);
    return agate_session_reserve(
        session, agate_session_slice_rows(session, options->max_batch ? options->max_batch : 1));
}

agate_status agate_session_create(agate_model *model, const agate_session_options *options,
                                  agate_session **out_session)
{
    static const agate_session_options defaults = {0};
    options = options ? options : &defaults;
    if (options->threads < 0 || options->max_batch < 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "session option %s is negative",
                                options->threads < 0 ? "threads" : "max_batch");
    if (options->allocator && !(options->allocator->allocate && options->allocator->release))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the allocator of the session lacks a function to allocate or to release");
    agate_session *session = calloc(1, sizeof(*session));
    if (!session)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a session");
    agate_model_retain(model);
    session->model = model;
    session->module = agate_model_module(model);
    session->batch = session->output_batch = -1;
    if (options->allocator)
        session->allocator = *options->allocator;
    atomic_init(&session->running, false);
    atomic_init(&session->cancelled, false);

    agate_status status = fill(session, options);
    if (status) {
        agate_session_release(session);
        return status;
    }
    *out_session = session;
    return AGATE_OK;
}

void agate_session_release(agate_session *session)
{
    if (!session)
        return;
    agate_pool_release(session->pool);
    agate_session_unmap(session);
    free(session->steps);
    free(session->buffers);
    free(session->tensors);
    free(session->tensor_pointers);
    free(session->caller_args);
    free(session->output_shapes);
    free(session->bound_inputs);
    free(session->bound_outputs);
    agate_model_release(session->model);
    free(session);
}

agate_status agate_session_output_shape(const agate_session *session, size_t index, int64_t batch,
                                        agate_tensor *out_tensor)
{
    const agate_module *module = session->module;
    if (index >= module->output_count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has %u outputs, so no output %zu",
                                module->output_count, index);
    if (batch < 0 || !agate_module_type_resolve(&module->outputs[index].type, batch, out_tensor))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "output \"%s\" has no size at batch %lld",
                                module->outputs[index].name, (long long)batch);
    return AGATE_OK;
}

size_t agate_session_slab_size(const agate_session *session)
{
    return session->slab_size_bytes;
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void *callers_data(const agate_module_arg *arg, const agate_tensor *inputs,
                          const agate_tensor *outputs)
{
    return arg->storage == AGATE_STORAGE_INPUT ? inputs[arg->index].data : outputs[arg->index].data;
}

/* The caller's tensors from row `first` of the batch on. */
static void bind(agate_session *session, const agate_tensor *inputs, const agate_tensor *outputs,
                 int64_t first)
{
    for (uint32_t i = 0; i < session->caller_arg_count; i++) {
        const uint32_t index = session->caller_args[i];
        const agate_module_arg *arg = &session->module->args[index];
        char *data = callers_data(arg, inputs, outputs);
        session->buffers[index] = session->tensors[index].data =
            data ? data + first * arg->reach_bytes.scale : NULL;
    }
}

static void run_tasks(const void *context, int64_t first, int64_t last, int32_t thread)
{
    const agate_session_step *step = context;
    step->kernel(step->buffers, step->batch, first, last, step->workspace + thread * step->workspace_stride);
}

static agate_status run_library(const agate_session *session, const agate_module_step *step)
{
    const agate_ref_call call = {
        .attrs = step->attrs,
        .input_count = (int32_t)step->operand_count,
        .output_count = (int32_t)step->result_count,
        .inputs = (const agate_tensor *const *)session->tensor_pointers + step->first_arg,
        .outputs = session->tensor_pointers + step->first_arg + step->operand_count,
        .variant = step->variant,
    };
    return agate_error_at(step->library(&call), step->origin, step->label);
}

static agate_status run_step(agate_session *session, uint32_t index)
{
    const agate_session_step *step = &session->steps[index];
    if (!step->kernel)
        return run_library(session, &session->module->steps[index]);
    if (step->threads > 1)
        agate_pool_run(session->pool, step->threads, step->task_count, run_tasks, step);
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

static agate_status run_steps(agate_session *session)
{
    for (uint32_t i = 0; i < session->module->step_count; i++) {
        AGATE_TRY(check_time(session, i));
        const uint64_t start_ns = session->profile ? agate_clock_ns() : 0;
        AGATE_TRY(run_step(session, i));
        if (session->profile)
            report(session, i, start_ns);
    }
    return AGATE_OK;
}

/* A batch of no rows is a slice, too: outputs without a batch are computed. */
static agate_status run_slices(agate_session *session, const agate_tensor *inputs,
                               const agate_tensor *outputs, int64_t batch)
{
    const int64_t most = agate_session_slice_rows(session, batch);
    int64_t first = 0;
    do {
        AGATE_TRY(agate_session_resolve(session, agate_min(most, batch - first)));
        bind(session, inputs, outputs, first);
        AGATE_TRY(run_steps(session));
        first += most;
    } while (first < batch);
    return AGATE_OK;
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

static agate_status run(agate_session *session, const agate_tensor *inputs, size_t input_count,
                        agate_tensor *outputs, size_t output_count)
{
    int64_t batch;
    AGATE_TRY(agate_check_inputs(session->module, inputs, input_count, &batch));
    AGATE_TRY(agate_session_resolve_outputs(session, batch));
    AGATE_TRY(agate_check_outputs(session->module, session->output_shapes, inputs, outputs, output_count));
    AGATE_TRY(run_slices(session, inputs, outputs, batch));
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
    agate_status status = run(session, inputs, input_count, outputs, output_count);
    atomic_store_explicit(&session->running, false, memory_order_release);
    return status;
}

/* ---- bound tensors ------------------------------------------------------------------------------------- */

static agate_status bind_one(agate_tensor *slots, uint32_t count, size_t index, const char *what,
                             const agate_tensor *tensor)
{
    if (index >= count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has %u %ss, so no %s %zu", count,
                                what, what, index);
    slots[index] = tensor ? *tensor : (agate_tensor){.rank = NOT_BOUND};
    return AGATE_OK;
}

agate_status agate_session_bind_input(agate_session *session, size_t index, const agate_tensor *tensor)
{
    return bind_one(session->bound_inputs, session->module->input_count, index, "input", tensor);
}

/* The rank that a caller leaves in an output is of no account, as in a run. */
agate_status agate_session_bind_output(agate_session *session, size_t index, const agate_tensor *tensor)
{
    agate_tensor slot = {0};
    if (tensor)
        slot = (agate_tensor){.data = tensor->data, .size_bytes = tensor->size_bytes};
    return bind_one(session->bound_outputs, session->module->output_count, index, "output",
                    tensor ? &slot : NULL);
}

static agate_status check_bound(const agate_tensor *slots, const agate_module_value *values, uint32_t count,
                                const char *what)
{
    for (uint32_t i = 0; i < count; i++)
        if (slots[i].rank == NOT_BOUND)
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                    "%s \"%s\" is not bound; bind a tensor to it first", what,
                                    values[i].name);
    return AGATE_OK;
}

agate_status agate_session_run_bound(agate_session *session)
{
    const agate_module *module = session->module;
    AGATE_TRY(check_bound(session->bound_inputs, module->inputs, module->input_count, "input"));
    AGATE_TRY(check_bound(session->bound_outputs, module->outputs, module->output_count, "output"));
    return agate_session_run(session, session->bound_inputs, module->input_count, session->bound_outputs,
                             module->output_count);
}

agate_status agate_session_bound_output(const agate_session *session, size_t index, agate_tensor *out_tensor)
{
    const agate_module *module = session->module;
    if (index >= module->output_count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has %u outputs, so no output %zu",
                                module->output_count, index);
    AGATE_TRY(check_bound(&session->bound_outputs[index], &module->outputs[index], 1, "output"));
    *out_tensor = session->bound_outputs[index];
    return AGATE_OK;
}
