/* session.c: one inference in flight: its memory, its threads, and the tensors that are bound to it. */
#include "runtime/session.h"

#include <stdlib.h>

#include "runtime/base/features.h"

/* The rank of a tensor that is not bound; other wrong ones are found by the run. */
enum { NOT_BOUND = INT32_MIN };

/* ---- making one ---------------------------------------------------------------------------------------- */

static bool is_callers(const agate_module_arg *arg)
{
    return arg->storage == AGATE_STORAGE_INPUT || arg->storage == AGATE_STORAGE_OUTPUT;
}

static agate_status no_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a session");
}

/* Never 0 elements: NULL shall mean that memory is short. */
static void *zeroed(size_t count, size_t size_bytes)
{
    return calloc(count + 1, size_bytes);
}

static agate_status allocate_tables(agate_session *session)
{
    const agate_module *module = session->module;
    session->caller_args = zeroed(module->arg_count, sizeof(*session->caller_args));
    session->shared_args = zeroed(module->arg_count, sizeof(*session->shared_args));
    session->output_shapes = zeroed(module->output_count, sizeof(*session->output_shapes));
    session->bound_inputs = zeroed(module->input_count, sizeof(*session->bound_inputs));
    session->bound_outputs = zeroed(module->output_count, sizeof(*session->bound_outputs));
    if (!session->caller_args || !session->shared_args || !session->output_shapes || !session->bound_inputs ||
        !session->bound_outputs)
        return no_memory();

    for (uint32_t i = 0; i < module->input_count; i++)
        session->bound_inputs[i].rank = NOT_BOUND;
    for (uint32_t i = 0; i < module->output_count; i++)
        session->bound_outputs[i].rank = NOT_BOUND;
    for (uint32_t i = 0; i < module->arg_count; i++)
        if (is_callers(&module->args[i]))
            session->caller_args[session->caller_arg_count++] = i;
    return AGATE_OK;
}

static void list_shared_args(agate_session *session)
{
    for (uint32_t s = 0; s < session->slicing.steps; s++) {
        const agate_module_step *step = &session->module->steps[s];
        for (uint32_t i = step->first_arg; i < step->first_arg + step->operand_count + step->result_count;
             i++) {
            const agate_module_arg *arg = &session->module->args[i];
            if (is_callers(arg) || agate_arg_outlives(arg, session->slicing.steps))
                session->shared_args[session->shared_arg_count++] = i;
        }
    }
}

static agate_status make_frames(agate_session *session, int32_t threads)
{
    AGATE_TRY(agate_frame_init(&session->whole, session->module, threads));
    session->slicing = agate_slicing_of(session->module, threads);
    if (session->slicing.steps == 0)
        return AGATE_OK;
    list_shared_args(session);
    session->slices = zeroed((size_t)threads, sizeof(*session->slices));
    if (!session->slices)
        return no_memory();
    for (int32_t i = 0; i < threads; i++)
        AGATE_TRY(agate_frame_init(&session->slices[i], session->module, i == 0 ? threads : 1));
    return AGATE_OK;
}

agate_status agate_session_reserve(agate_session *session, int64_t batch, agate_cut cut,
                                   agate_parts *out_parts)
{
    agate_parts parts = {0};
    int64_t others = 0, size, largest_whole = 0;
    AGATE_TRY(agate_frame_measure(&session->whole, batch, cut.steps, &parts.whole_bytes));
    if (cut.steps > 0)
        AGATE_TRY(agate_frame_measure(&session->slices[0], cut.rows, 0, &parts.first_bytes));
    if (cut.steps > 0 && session->slicing.threads > 1)
        AGATE_TRY(agate_frame_measure(&session->slices[1], cut.rows, 0, &parts.other_bytes));
    if (__builtin_mul_overflow(parts.other_bytes, session->slicing.threads - 1, &others) ||
        __builtin_add_overflow(parts.whole_bytes, parts.first_bytes, &size) ||
        __builtin_add_overflow(size, others, &size) || size > INT64_MAX / 2)
        return agate_batch_too_large(batch);
    if (cut.steps > 0) /* a smaller batch that runs whole may take more, and shall find it there */
        AGATE_TRY(agate_frame_measure(&session->whole, session->slicing.least_rows - 1, 0, &largest_whole));
    size = agate_max(size, largest_whole);
    if (!agate_slab_reserve(&session->slab, size))
        return agate_error_make(
            AGATE_CODE_OUT_OF_MEMORY,
            "the system refused %lld bytes of working memory for batch %lld; use a smaller batch",
            (long long)size, (long long)batch);
    *out_parts = parts;
    return AGATE_OK;
}

static agate_status fill(agate_session *session, const agate_session_options *options)
{
    const int32_t granted = agate_cpu_count();
    const int32_t threads = options->threads ? (int32_t)agate_min(options->threads, granted) : granted;
    AGATE_TRY(allocate_tables(session));
    AGATE_TRY(options->parallel ? agate_pool_create_borrowed(threads, options->parallel,
                                                             options->parallel_user, &session->pool)
                                : agate_pool_create(threads, &session->pool));
    AGATE_TRY(make_frames(session, threads));
    const int64_t most = options->max_batch ? options->max_batch : 1;
    agate_parts parts;
    return agate_session_reserve(session, most, agate_slicing_cut(&session->slicing, most), &parts);
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
        return no_memory();
    agate_model_retain(model);
    session->model = model;
    session->module = agate_model_module(model);
    session->output_batch = -1;
    if (options->allocator)
        session->slab.allocator = *options->allocator;
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
    agate_frame_deinit(&session->whole);
    for (int32_t i = 0; session->slices && i < session->slicing.threads; i++)
        agate_frame_deinit(&session->slices[i]);
    free(session->slices);
    agate_slab_release(&session->slab);
    free(session->caller_args);
    free(session->shared_args);
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
    return session->slab.size_bytes;
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
