/* frame.c: frames made ready for a batch size: every number and address that follows N. */
#include "runtime/frame.h"

#include <stdlib.h>

/* A second thread is worth a step for each of these: what fork and join cost, several times over. */
#define NS_PER_THREAD 2000

/* Modest figures of one core, for telling small steps from large ones: FLOP and bytes per nanosecond. */
enum { FLOPS_PER_NS = 32, BYTES_PER_NS = 16 };

bool agate_dim_resolve(agate_dim dim, int64_t batch, int64_t *out_value)
{
    int64_t value;
    if (__builtin_mul_overflow(dim.scale, batch, &value) ||
        __builtin_add_overflow(value, dim.offset, &value) || value < 0)
        return false;
    *out_value = value;
    return true;
}

bool agate_module_type_resolve(const agate_module_type *type, int64_t batch, agate_tensor *out_tensor)
{
    agate_tensor tensor = {.dtype = type->dtype, .rank = type->rank, .data = out_tensor->data};
    for (int32_t i = 0; i < type->rank; i++)
        if (!agate_dim_resolve(type->dims[i], batch, &tensor.dims[i]))
            return false;
    if (!agate_tensor_size(tensor.dtype, tensor.rank, tensor.dims, &tensor.size_bytes))
        return false;
    *out_tensor = tensor;
    return true;
}

/* ---- making one ---------------------------------------------------------------------------------------- */

/* Never 0 elements: NULL shall mean that memory is short. */
static void *zeroed(size_t count, size_t size_bytes)
{
    return calloc(count + 1, size_bytes);
}

agate_status agate_frame_init(agate_frame *frame, const agate_module *module, int32_t threads)
{
    *frame = (agate_frame){.module = module, .threads = threads, .batch = -1};
    frame->steps = zeroed(module->step_count, sizeof(*frame->steps));
    frame->buffers = zeroed(module->arg_count, sizeof(*frame->buffers));
    frame->tensors = zeroed(module->arg_count, sizeof(*frame->tensors));
    frame->tensor_pointers = zeroed(module->arg_count, sizeof(*frame->tensor_pointers));
    if (!frame->steps || !frame->buffers || !frame->tensors || !frame->tensor_pointers)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a session");
    for (uint32_t i = 0; i < module->arg_count; i++)
        frame->tensor_pointers[i] = &frame->tensors[i];
    return AGATE_OK;
}

void agate_frame_deinit(agate_frame *frame)
{
    free(frame->steps);
    free(frame->buffers);
    free(frame->tensors);
    free(frame->tensor_pointers);
}

/* ---- the slab ------------------------------------------------------------------------------------------ */

agate_status agate_batch_too_large(int64_t batch)
{
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "batch %lld is too large: sizes overflow",
                            (long long)batch);
}

/* From one thread's workspace to the next. */
static int64_t workspace_stride(const agate_frame *frame)
{
    return agate_ceil_div(frame->module->workspace_size_bytes, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
}

/* Where the last of a step's arguments ends in the slab, of those that stay for `first_step` and later; at
 * least *end. */
static bool reach_of_step(const agate_frame *frame, uint32_t index, int64_t batch, uint32_t first_step,
                          int64_t *end)
{
    const agate_module_step *step = &frame->module->steps[index];
    for (uint32_t i = 0; i < step->operand_count + step->result_count; i++) {
        const agate_module_arg *arg = &frame->module->args[step->first_arg + i];
        int64_t offset, reach;
        if (arg->storage != AGATE_STORAGE_SLAB ||
            (index < first_step && !agate_arg_outlives(arg, first_step)))
            continue;
        if (!agate_dim_resolve(arg->offset, batch, &offset) ||
            !agate_dim_resolve(arg->reach_bytes, batch, &reach) || reach > INT64_MAX - offset)
            return false;
        *end = agate_max(*end, offset + reach);
    }
    return true;
}

/* Where the workspaces begin in the slab. */
static bool workspaces_at(const agate_frame *frame, int64_t batch, uint32_t first_step, int64_t *out_offset)
{
    int64_t values = 0;
    if (first_step == 0 && !agate_dim_resolve(frame->module->slab_size_bytes, batch, &values))
        return false;
    for (uint32_t i = 0; first_step > 0 && i < frame->module->step_count; i++)
        if (!reach_of_step(frame, i, batch, first_step, &values))
            return false;
    if (values > INT64_MAX - AGATE_ALIGNMENT)
        return false;
    *out_offset = agate_ceil_div(values, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
    return true;
}

agate_status agate_frame_measure(const agate_frame *frame, int64_t batch, uint32_t first_step,
                                 int64_t *out_size_bytes)
{
    int64_t need, workspaces;
    if (!workspaces_at(frame, batch, first_step, &need) ||
        __builtin_mul_overflow(workspace_stride(frame), frame->threads, &workspaces) ||
        __builtin_add_overflow(need, workspaces, &need) || need > INT64_MAX / 2)
        return agate_batch_too_large(batch);
    *out_size_bytes = need;
    return AGATE_OK;
}

/* ---- arguments and steps ------------------------------------------------------------------------------- */

static agate_status resolve_arg(agate_frame *frame, uint32_t index, int64_t batch)
{
    const agate_module_arg *arg = &frame->module->args[index];
    agate_tensor *tensor = &frame->tensors[index];
    int64_t offset;
    if (!agate_module_type_resolve(&arg->type, batch, tensor) ||
        !agate_dim_resolve(arg->offset, batch, &offset))
        return agate_batch_too_large(batch);
    if (arg->storage == AGATE_STORAGE_SLAB)
        tensor->data = (char *)frame->slab + offset;
    else if (arg->storage == AGATE_STORAGE_CONSTANT)
        tensor->data = (void *)frame->module->constants[arg->index].bytes;
    frame->buffers[index] = tensor->data;
    return AGATE_OK;
}

static double at_batch(agate_dim count, int64_t batch)
{
    return (double)count.scale * (double)batch + (double)count.offset;
}

/* How many threads the step is worth. The answer does not depend on it, only the time does. */
static int32_t worthwhile_threads(const agate_frame *frame, const agate_module_step *step, int64_t batch)
{
    double bytes = 0;
    for (uint32_t i = 0; i < step->operand_count + step->result_count; i++)
        bytes += (double)frame->tensors[step->first_arg + i].size_bytes;
    const double scalars = at_batch(step->scalar_instructions, batch); /* each takes a multiply-add's time */
    const double flops = at_batch(step->flops, batch) + 2 * scalars;
    const double ns = flops / FLOPS_PER_NS + bytes / BYTES_PER_NS, threads = ns / NS_PER_THREAD;
    return threads >= frame->threads ? frame->threads : (int32_t)agate_max((int64_t)threads, 1);
}

static agate_status resolve_step(agate_frame *frame, uint32_t index, int64_t batch, int64_t workspaces)
{
    const agate_module_step *step = &frame->module->steps[index];
    agate_frame_step ready = {
        .kernel = step->kernel, .buffers = frame->buffers + step->first_arg, .batch = batch};
    if (!agate_dim_resolve(step->task_count, batch, &ready.task_count))
        return agate_batch_too_large(batch);
    ready.workspace = (char *)frame->slab + workspaces;
    ready.workspace_stride = workspace_stride(frame);
    ready.threads = worthwhile_threads(frame, step, batch);
    frame->steps[index] = ready;
    return AGATE_OK;
}

agate_status agate_frame_resolve(agate_frame *frame, int64_t batch, uint32_t first_step, void *slab)
{
    const agate_module *module = frame->module;
    int64_t workspaces;
    if (frame->batch == batch && frame->first_step == first_step && frame->slab == slab)
        return AGATE_OK;
    frame->batch = -1; /* until all of it is done */
    if (!workspaces_at(frame, batch, first_step, &workspaces))
        return agate_batch_too_large(batch);
    frame->slab = slab;
    frame->first_step = first_step;
    for (uint32_t i = 0; i < module->arg_count; i++)
        AGATE_TRY(resolve_arg(frame, i, batch));
    for (uint32_t i = 0; i < module->step_count; i++)
        AGATE_TRY(resolve_step(frame, i, batch, workspaces));
    frame->batch = batch;
    return AGATE_OK;
}
