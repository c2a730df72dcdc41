/* data.c: counted contents of constants. */
#include <stdlib.h>

#include "ir/graph.h"

static void release_heap(agate_data *data)
{
    free(data->owner);
    free(data);
}

agate_data *agate_data_create(size_t size_bytes)
{
    agate_data *data = malloc(sizeof *data);
    size_t room = (size_bytes + AGATE_ALIGNMENT - 1) / AGATE_ALIGNMENT * AGATE_ALIGNMENT;
    void *bytes = room >= size_bytes ? aligned_alloc(AGATE_ALIGNMENT, room ? room : AGATE_ALIGNMENT) : NULL;

    if (!data || !bytes) {
        free(data);
        free(bytes);
        return NULL;
    }
    memset(bytes, 0, room);
    *data = (agate_data){
        .size_bytes = size_bytes, .bytes = bytes, .references = 1, .release = release_heap, .owner = bytes};
    return data;
}

agate_data *agate_data_retain(agate_data *data)
{
    if (data)
        __atomic_add_fetch(&data->references, 1, __ATOMIC_RELAXED);
    return data;
}

void agate_data_release(agate_data *data)
{
    if (data && __atomic_sub_fetch(&data->references, 1, __ATOMIC_ACQ_REL) == 0)
        data->release(data);
}

double agate_data_at(const agate_data *data, agate_dtype dtype, int64_t index)
{
    const char *element = (const char *)data->bytes + (size_t)index * agate_dtype_size(dtype);
    assert(index >= 0 && ((size_t)index + 1) * agate_dtype_size(dtype) <= data->size_bytes);

#define READ(type)                                                                                           \
    ({                                                                                                       \
        type read;                                                                                           \
        memcpy(&read, element, sizeof read);                                                                 \
        read;                                                                                                \
    })
    switch (dtype) {
    case AGATE_F32:
        return READ(float);
    case AGATE_F64:
        return READ(double);
    case AGATE_F16:
        return agate_f16_to_f32(READ(uint16_t));
    case AGATE_BF16:
        return agate_bf16_to_f32(READ(uint16_t));
    case AGATE_I8:
        return READ(int8_t);
    case AGATE_I16:
        return READ(int16_t);
    case AGATE_I32:
        return READ(int32_t);
    case AGATE_I64:
        return (double)READ(int64_t);
    case AGATE_U8:
    case AGATE_BOOL:
        return READ(uint8_t);
    case AGATE_U16:
        return READ(uint16_t);
    case AGATE_U32:
        return READ(uint32_t);
    case AGATE_U64:
        return (double)READ(uint64_t);
    case AGATE_DTYPE_NONE:
        break;
    }
#undef READ
    return 0;
}
