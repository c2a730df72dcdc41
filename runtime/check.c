/* check.c: what a caller hands to a run, checked against what the model says, with messages for people. */
#include "runtime/session.h"

/* "f32[N,3,224,224]" */
static void add_type(agate_text *text, const agate_module_type *type)
{
    agate_text_add(text, "%s[", agate_dtype_name(type->dtype));
    for (int32_t i = 0; i < type->rank; i++) {
        agate_text_add(text, i ? "," : "");
        agate_dim_print(type->dims[i], text);
    }
    agate_text_add(text, "]");
}

static agate_module_type type_of(const agate_tensor *tensor)
{
    agate_module_type type = {.dtype = tensor->dtype, .rank = tensor->rank};
    for (int32_t i = 0; i < tensor->rank && i < AGATE_MAX_RANK; i++)
        type.dims[i] = agate_dim_fixed(tensor->dims[i]);
    type.rank = (int32_t)agate_max(agate_min(type.rank, AGATE_MAX_RANK), 0);
    return type;
}

/* ---- counts and memory --------------------------------------------------------------------------------- */

static agate_status check_count(const char *what, const agate_module_value *values, size_t want, size_t got)
{
    if (want == got)
        return AGATE_OK;
    agate_text names = {0};
    for (size_t i = 0; i < want; i++)
        agate_text_add(&names, "%s\"%s\"", i ? ", " : "", values[i].name);
    agate_status status =
        agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has %zu %s%s (%s), but %zu came", want, what,
                         want == 1 ? "" : "s", agate_text_c(&names), got);
    agate_text_deinit(&names);
    return status;
}

/* `tensor` brings memory for `size_bytes`, aligned to its elements? `room` says what the memory is. */
static agate_status check_memory(const agate_tensor *tensor, agate_dtype dtype, size_t size_bytes,
                                 const char *room)
{
    if (tensor->size_bytes < size_bytes)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s %zu bytes (size_bytes), but %zu are needed",
                                room, tensor->size_bytes, size_bytes);
    if (!tensor->data && size_bytes > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "its data is NULL");
    if ((uintptr_t)tensor->data % agate_dtype_size(dtype) != 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "its data is not aligned to its elements of %zu bytes",
                                agate_dtype_size(dtype));
    return AGATE_OK;
}

/* ---- inputs -------------------------------------------------------------------------------------------- */

/* The batch that the inputs agree on, and who said so first. */
typedef struct batch_finder {
    int64_t batch; /* -1: not known yet */
    const char *input;
    int32_t dimension;
} batch_finder;

static agate_status check_batch(batch_finder *finder, const char *input, int32_t dimension, int64_t batch)
{
    if (finder->batch < 0)
        *finder = (batch_finder){batch, input, dimension};
    if (finder->batch == batch)
        return AGATE_OK;
    return agate_error_make(
        AGATE_CODE_INVALID_ARGUMENT,
        "dimension %d makes the batch N %lld, but dimension %d of input \"%s\" made it %lld", dimension,
        (long long)batch, finder->dimension, finder->input, (long long)finder->batch);
}

/* Is `value` one that scale*N + offset takes for some N >= 0? */
static bool solve(agate_dim dim, int64_t value, int64_t *out_batch)
{
    int64_t multiple;
    if (dim.scale == 0)
        return value == dim.offset;
    if (value < 0 || __builtin_sub_overflow(value, dim.offset, &multiple) || multiple < 0 ||
        multiple % dim.scale)
        return false;
    *out_batch = multiple / dim.scale;
    return true;
}

/* Appends why `tensor` is not of `type`; returns false, having appended nothing, where it is. */
static bool explain_mismatch(const agate_module_type *type, const agate_tensor *tensor, agate_text *why)
{
    int64_t batch;
    if (tensor->dtype != type->dtype) {
        agate_text_add(why, "the element type is %s", agate_dtype_name(tensor->dtype));
        return true;
    }
    if (tensor->rank != type->rank) {
        agate_text_add(why, "it has %d dimensions, not %d", tensor->rank, type->rank);
        return true;
    }
    for (int32_t i = 0; i < type->rank; i++)
        if (!solve(type->dims[i], tensor->dims[i], &batch)) {
            agate_text_add(why, "dimension %d is %lld, not ", i, (long long)tensor->dims[i]);
            agate_dim_print(type->dims[i], why);
            return true;
        }
    return false;
}

static agate_status check_type(const agate_module_type *type, const agate_tensor *tensor)
{
    agate_text why = {0};
    if (!explain_mismatch(type, tensor, &why))
        return AGATE_OK;
    agate_text want = {0}, got = {0};
    const agate_module_type came = type_of(tensor);
    add_type(&want, type);
    add_type(&got, &came);
    agate_status status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "expected %s, but got %s: %s",
                                           agate_text_c(&want), agate_text_c(&got), agate_text_c(&why));
    agate_text_deinit(&want);
    agate_text_deinit(&got);
    agate_text_deinit(&why);
    return status;
}

static agate_status check_input(const agate_module_value *value, const agate_tensor *tensor,
                                batch_finder *finder)
{
    AGATE_TRY(check_type(&value->type, tensor));
    for (int32_t i = 0; i < value->type.rank; i++) {
        int64_t batch = finder->batch;
        if (value->type.dims[i].scale != 0 && solve(value->type.dims[i], tensor->dims[i], &batch))
            AGATE_TRY(check_batch(finder, value->name, i, batch));
    }
    size_t size;
    if (!agate_tensor_size(tensor->dtype, tensor->rank, tensor->dims, &size))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "its size overflows");
    return check_memory(tensor, tensor->dtype, size, "it brings");
}

agate_status agate_check_inputs(const agate_module *module, const agate_tensor *inputs, size_t count,
                                int64_t *out_batch)
{
    batch_finder finder = {.batch = -1};
    AGATE_TRY(check_count("input", module->inputs, module->input_count, count));
    for (size_t i = 0; i < count; i++) {
        agate_status status = check_input(&module->inputs[i], &inputs[i], &finder);
        if (status)
            return agate_error_within(status, "input \"%s\"", module->inputs[i].name);
    }
    *out_batch = finder.batch < 0 ? 1 : finder.batch;
    return AGATE_OK;
}

/* ---- outputs ------------------------------------------------------------------------------------------- */

static bool overlap(const void *a, size_t a_size_bytes, const void *b, size_t b_size_bytes)
{
    const uintptr_t a_begin = (uintptr_t)a, b_begin = (uintptr_t)b;
    return a_begin < b_begin + b_size_bytes && b_begin < a_begin + a_size_bytes;
}

/* The bytes that input `index` really takes: what lies behind them may be anybody's. */
static bool overlaps_input(const agate_tensor *input, const void *data, size_t size_bytes)
{
    size_t input_size;
    return agate_tensor_size(input->dtype, input->rank, input->dims, &input_size) && input_size > 0 &&
           size_bytes > 0 && overlap(input->data, input_size, data, size_bytes);
}

static agate_status check_output(const agate_module *module, const agate_tensor *shapes,
                                 const agate_tensor *inputs, const agate_tensor *outputs, size_t index)
{
    const agate_tensor *shape = &shapes[index];
    const void *data = outputs[index].data;
    AGATE_TRY(check_memory(&outputs[index], shape->dtype, shape->size_bytes, "there is room for"));
    for (uint32_t i = 0; i < module->input_count; i++)
        if (overlaps_input(&inputs[i], data, shape->size_bytes))
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "its memory overlaps that of input \"%s\"",
                                    module->inputs[i].name);
    for (size_t i = 0; i < index; i++)
        if (shape->size_bytes > 0 && shapes[i].size_bytes > 0 &&
            overlap(outputs[i].data, shapes[i].size_bytes, data, shape->size_bytes))
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "its memory overlaps that of output \"%s\"",
                                    module->outputs[i].name);
    return AGATE_OK;
}

agate_status agate_check_outputs(const agate_module *module, const agate_tensor *shapes,
                                 const agate_tensor *inputs, const agate_tensor *outputs, size_t count)
{
    AGATE_TRY(check_count("output", module->outputs, module->output_count, count));
    for (size_t i = 0; i < count; i++) {
        agate_status status = check_output(module, shapes, inputs, outputs, i);
        if (status)
            return agate_error_within(status, "output \"%s\"", module->outputs[i].name);
    }
    return AGATE_OK;
}
