/* tensor.c: tensors with memory of their own. */
#include "tools/tensor.h"

#include <math.h>
#include <stdlib.h>

#include "frontend/import.h"
#include "runtime/ref/element.h"
#include "runtime/ref/index.h"
#include "tools/file.h"
#include "tools/npy.h"

agate_status agate_tensor_allocate(agate_tensor *tensor)
{
    tensor->data = NULL;
    if (!agate_tensor_size(tensor->dtype, tensor->rank, tensor->dims, &tensor->size_bytes))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "a tensor has no valid size");
    if (tensor->size_bytes > SIZE_MAX / 2 ||
        posix_memalign(&tensor->data, AGATE_ALIGNMENT, tensor->size_bytes + 1) != 0) {
        tensor->data = NULL;
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a tensor of %zu bytes",
                                tensor->size_bytes);
    }
    memset(tensor->data, 0, tensor->size_bytes);
    return AGATE_OK;
}

void agate_tensor_free(agate_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(tensors[i].data);
        tensors[i].data = NULL;
    }
}

bool agate_tensor_is_file(const char *path)
{
    return agate_file_has_extension(path, ".npy") || agate_file_has_extension(path, ".pb");
}

agate_status agate_tensor_load(const char *path, agate_tensor *out_tensor)
{
    char *data;
    size_t size_bytes;
    agate_status status;

    AGATE_TRY(agate_file_read(path, &data, &size_bytes));
    if (agate_file_has_extension(path, ".npy"))
        status = agate_npy_parse(data, size_bytes, out_tensor);
    else
        status = agate_import_tensor(data, size_bytes, out_tensor);
    free(data);
    return agate_error_within(status, "%s", path);
}

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void agate_tensor_fill(agate_tensor *tensor, uint64_t seed)
{
    int kind = agate_dtype_kind(tensor->dtype);
    int64_t count = agate_count(tensor);

    for (int64_t i = 0; i < count; i++) {
        uint64_t random = next_random(&seed) >> 11; /* 53 bits */
        double value = kind == AGATE_KIND_FLOAT  ? (double)random / 4503599627370496.0 - 1
                       : kind == AGATE_KIND_BOOL ? (double)(random & 1)
                                                 : (double)(random % 10);

        agate_element_store(tensor->dtype, tensor->data, i, value);
    }
}

agate_status agate_tensor_of_type(const agate_module_type *type, int64_t batch, agate_tensor *out_tensor)
{
    agate_tensor tensor = {.dtype = type->dtype, .rank = type->rank};

    for (int32_t d = 0; d < type->rank; d++)
        if (__builtin_mul_overflow(type->dims[d].scale, batch, &tensor.dims[d]) ||
            __builtin_add_overflow(tensor.dims[d], type->dims[d].offset, &tensor.dims[d]))
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "a batch of %lld is too large",
                                    (long long)batch);
    AGATE_TRY(agate_tensor_allocate(&tensor));
    *out_tensor = tensor;
    return AGATE_OK;
}

void agate_tensor_print_type(const agate_tensor *tensor, agate_text *text)
{
    agate_text_add(text, "%s[", agate_dtype_name(tensor->dtype));
    for (int32_t d = 0; d < tensor->rank; d++)
        agate_text_add(text, "%s%lld", d ? "," : "", (long long)tensor->dims[d]);
    agate_text_add(text, "]");
}

/* ---- comparing ---------------------------------------------------------------------------------------- */

static bool close_enough(double got, double want, double rtol, double atol)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    if (isinf(got) || isinf(want))
        return got == want;
    return fabs(got - want) <= atol + rtol * fabs(want);
}

static bool element_equal(const agate_tensor *got, const agate_tensor *want, int64_t i, double rtol,
                          double atol)
{
    size_t size_bytes = agate_dtype_size(want->dtype);

    if (agate_dtype_kind(want->dtype) == AGATE_KIND_FLOAT)
        return close_enough(agate_element_load(got->dtype, got->data, i),
                            agate_element_load(want->dtype, want->data, i), rtol, atol);
    return memcmp((const char *)got->data + (size_t)i * size_bytes,
                  (const char *)want->data + (size_t)i * size_bytes, size_bytes) == 0;
}

bool agate_tensor_compare(const agate_tensor *got, const agate_tensor *want, double rtol, double atol,
                          agate_text *why)
{
    int64_t count = agate_count(want), wrong = 0, first = 0;

    if (got->dtype != want->dtype || got->rank != want->rank ||
        memcmp(got->dims, want->dims, (size_t)want->rank * sizeof *want->dims) != 0) {
        agate_tensor_print_type(got, why);
        agate_text_add(why, " instead of ");
        agate_tensor_print_type(want, why);
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        if (element_equal(got, want, i, rtol, atol))
            continue;
        if (wrong++ == 0)
            first = i;
    }
    if (wrong > 0)
        agate_text_add(why, "%lld of %lld elements are wrong; element %lld is %.9g instead of %.9g",
                       (long long)wrong, (long long)count, (long long)first,
                       agate_element_load(got->dtype, got->data, first),
                       agate_element_load(want->dtype, want->data, first));
    return wrong == 0;
}
