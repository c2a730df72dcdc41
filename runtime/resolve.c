/* resolve.c: a session made ready for one batch size: the slab, and every number and address that follows N.
 */
#define _GNU_SOURCE
#include "runtime/session.h"

#include <sys/mman.h>

/* Slabs of at least this size are aligned to it, so that the system may back them with huge pages. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* A second thread is worth a step for each of these: what fork and join cost, several times over. */
#define NS_PER_THREAD 2000

/* Of a core's own cache, that the rows of a slice may take of the slab. */
#define CACHE_BYTES ((int64_t)1 << 20)

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

/* ---- the slab ------------------------------------------------------------------------------------------ */

static agate_status batch_too_large(int64_t batch)
{
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "batch %lld is too large: sizes overflow",
                            (long long)batch);
}

void agate_session_unmap(agate_session *session)
{
    const agate_allocator *allocator = &session->allocator;
    if (session->slab_region && allocator->allocate)
        allocator->release(allocator->user, session->slab_region, session->slab_region_size_bytes);
    else if (session->slab_region)
        munmap(session->slab_region, session->slab_region_size_bytes);
    session->slab_region = NULL;
}

/* From one thread's workspace to the next. */
static int64_t workspace_stride(const agate_session *session)
{
    return agate_ceil_div(session->module->workspace_size_bytes, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
}

/* Where the workspaces begin in the slab. */
static bool workspaces_at(const agate_session *session, int64_t batch, int64_t *out_offset)
{
    int64_t values;
    if (!agate_dim_resolve(session->module->slab_size_bytes, batch, &values) ||
        values > INT64_MAX - AGATE_ALIGNMENT)
        return false;
    *out_offset = agate_ceil_div(values, AGATE_ALIGNMENT) * AGATE_ALIGNMENT;
    return true;
}

/* Memory of at least `size_bytes` of the caller's allocator or the system; NULL if it is refused. */
static char *map(const agate_session *session, size_t size_bytes)
{
    const agate_allocator *allocator = &session->allocator;
    if (allocator->allocate)
        return allocator->allocate(allocator->user, size_bytes, AGATE_ALIGNMENT);
    void *region = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return region == MAP_FAILED ? NULL : region;
}

agate_status agate_session_reserve(agate_session *session, int64_t batch)
{
    int64_t need, workspaces;
    if (!workspaces_at(session, batch, &need) ||
        __builtin_mul_overflow(workspace_stride(session), agate_pool_threads(session->pool), &workspaces) ||
        __builtin_add_overflow(need, workspaces, &need) || need > INT64_MAX / 2)
        return batch_too_large(batch);
    const size_t size = (size_t)agate_max(need, AGATE_ALIGNMENT);
    if (session->slab && size <= session->slab_size_bytes)
        return AGATE_OK;

    /* mmap aligns to small pages only: take more addresses than needed, and start at a huge page among them.
     * An allocator's pages are its own affair. */
    const bool whole = session->allocator.allocate || size < HUGE_PAGE_BYTES;
    const size_t region_size = whole ? size : size + HUGE_PAGE_BYTES;
    char *region = map(session, region_size);
    if (!region)
        return agate_error_make(
            AGATE_CODE_OUT_OF_MEMORY,
            "the system refused %zu bytes of working memory for batch %lld; use a smaller batch", size,
            (long long)batch);
    agate_session_unmap(session);
    session->slab_region = session->slab = region;
    session->slab_region_size_bytes = region_size;
    session->slab_size_bytes = size;
    if (region_size > size) {
        session->slab = region + (HUGE_PAGE_BYTES - (uintptr_t)region % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
        (void)madvise(session->slab, size, MADV_HUGEPAGE); /* only advice: the answer does not matter */
    }
    return AGATE_OK;
}

/* ---- slices of the batch --------------------------------------------------------------------------------- */

int64_t agate_session_slice_rows(const agate_session *session, int64_t batch)
{
    const agate_module *module = session->module;
    const int64_t held = agate_max(1, CACHE_BYTES / agate_max(1, module->slab_size_bytes.scale));
    /* Threads would wait for each other at every step of every slice. */
    if (!module->by_rows || session->keeps_batch || agate_pool_threads(session->pool) > 1 || batch <= held)
        return batch;
    /* Each slice reads the weights once more. */
    if (session->weight_bytes > (double)held * session->row_bytes)
        return batch;
    return agate_ceil_div(batch, agate_ceil_div(batch, held));
}

/* ---- arguments and steps ------------------------------------------------------------------------------- */

static agate_status resolve_arg(agate_session *session, uint32_t index, int64_t batch)
{
    const agate_module_arg *arg = &session->module->args[index];
    agate_tensor *tensor = &session->tensors[index];
    int64_t offset;
    if (!agate_module_type_resolve(&arg->type, batch, tensor) ||
        !agate_dim_resolve(arg->offset, batch, &offset))
        return batch_too_large(batch);
    if (arg->storage == AGATE_STORAGE_SLAB)
        tensor->data = (char *)session->slab + offset;
    else if (arg->storage == AGATE_STORAGE_CONSTANT)
        tensor->data = (void *)session->module->constants[arg->index].bytes;
    session->buffers[index] = tensor->data;
    return AGATE_OK;
}

static double at_batch(agate_dim count, int64_t batch)
{
    return (double)count.scale * (double)batch + (double)count.offset;
}

/* How many threads the step is worth. The answer does not depend on it, only the time does. */
static int32_t worthwhile_threads(const agate_session *session, const agate_module_step *step, int64_t batch)
{
    double bytes = 0;
    for (uint32_t i = 0; i < step->operand_count + step->result_count; i++)
        bytes += (double)session->tensors[step->first_arg + i].size_bytes;
    const double scalars = at_batch(step->scalar_instructions, batch); /* each takes a multiply-add's time */
    const double flops = at_batch(step->flops, batch) + 2 * scalars;
    const double ns = flops / FLOPS_PER_NS + bytes / BYTES_PER_NS, threads = ns / NS_PER_THREAD;
    const int32_t limit = agate_pool_threads(session->pool);
    return threads >= limit ? limit : (int32_t)agate_max((int64_t)threads, 1);
}

static agate_status resolve_step(agate_session *session, uint32_t index, int64_t batch)
{
    const agate_module_step *step = &session->module->steps[index];
    agate_session_step ready = {
        .kernel = step->kernel, .buffers = session->buffers + step->first_arg, .batch = batch};
    if (!agate_dim_resolve(step->task_count, batch, &ready.task_count))
        return batch_too_large(batch);
    int64_t workspaces;
    if (!workspaces_at(session, batch, &workspaces))
        return batch_too_large(batch);
    ready.workspace = (char *)session->slab + workspaces;
    ready.workspace_stride = workspace_stride(session);
    ready.threads = worthwhile_threads(session, step, batch);
    session->steps[index] = ready;
    return AGATE_OK;
}

agate_status agate_session_resolve_outputs(agate_session *session, int64_t batch)
{
    const agate_module *module = session->module;
    if (session->output_batch == batch)
        return AGATE_OK;
    session->output_batch = -1;
    for (uint32_t i = 0; i < module->output_count; i++)
        if (!agate_module_type_resolve(&module->outputs[i].type, batch, &session->output_shapes[i]))
            return batch_too_large(batch);
    session->output_batch = batch;
    return AGATE_OK;
}

agate_status agate_session_resolve(agate_session *session, int64_t batch)
{
    const agate_module *module = session->module;
    if (session->batch == batch)
        return AGATE_OK;
    session->batch = -1; /* until all of it is done */
    AGATE_TRY(agate_session_reserve(session, batch));
    for (uint32_t i = 0; i < module->arg_count; i++)
        AGATE_TRY(resolve_arg(session, i, batch));
    for (uint32_t i = 0; i < module->step_count; i++)
        AGATE_TRY(resolve_step(session, i, batch));
    session->batch = batch;
    return AGATE_OK;
}
