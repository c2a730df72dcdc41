/* dtype.c: element types and the sizes of tensors, from the rows of AGATE_DTYPE_TABLE. */
#include "runtime/base/base.h"

size_t agate_dtype_size(agate_dtype dtype)
{
    switch (dtype) {
#define SIZE(name, text, size_bytes, onnx)                                                                   \
    case AGATE_##name:                                                                                       \
        return size_bytes;
        AGATE_DTYPE_TABLE(SIZE)
#undef SIZE
    default:
        return 0;
    }
}

const char *agate_dtype_name(agate_dtype dtype)
{
    switch (dtype) {
#define NAME(name, text, size_bytes, onnx)                                                                   \
    case AGATE_##name:                                                                                       \
        return text;
        AGATE_DTYPE_TABLE(NAME)
#undef NAME
    default:
        return "?";
    }
}

bool agate_tensor_size(agate_dtype dtype, int32_t rank, const int64_t *dims, size_t *out_size_bytes)
{
    int64_t stride = (int64_t)agate_dtype_size(dtype);
    bool empty = false;
    if (stride == 0 || rank < 0 || rank > AGATE_MAX_RANK)
        return false;
    /* A zero does not excuse the other dimensions: code that walks the tensor forms their products too. */
    for (int32_t i = 0; i < rank; i++) {
        empty |= dims[i] == 0;
        if (dims[i] < 0 || (dims[i] > 0 && __builtin_mul_overflow(stride, dims[i], &stride)))
            return false;
    }
    *out_size_bytes = empty ? 0 : (size_t)stride;
    return true;
}
