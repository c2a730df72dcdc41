/* data.c: counted contents of constants, made when they are wanted. */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ir/graph.h"

/* ---- blocks -------------------------------------------------------------------------------------------- */

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Where the block's mapping began, in front of the block. */
typedef struct block_head {
    void *region;
    size_t region_bytes;
} block_head;

/* Small pages are cleared and mapped one fault at a time, which costs more than what is written there. */
static void *map_block(size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - 2 * HUGE_PAGE_BYTES)
        return NULL;
    size_t region_bytes = size_bytes + 2 * HUGE_PAGE_BYTES;
    char *region = mmap(NULL, region_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED)
        return NULL;
    size_t past = (uintptr_t)(region + sizeof(block_head)) % HUGE_PAGE_BYTES;
    char *block = region + sizeof(block_head) + (past ? HUGE_PAGE_BYTES - past : 0);
    (void)madvise(block, size_bytes, MADV_HUGEPAGE); /* only advice: the answer does not matter */
    ((block_head *)block)[-1] = (block_head){region, region_bytes};
    return block;
}

void *agate_block_create(size_t size_bytes)
{
    size_t room = (size_bytes + AGATE_ALIGNMENT - 1) / AGATE_ALIGNMENT * AGATE_ALIGNMENT;
    if (size_bytes >= HUGE_PAGE_BYTES)
        return map_block(size_bytes);
    void *block = aligned_alloc(AGATE_ALIGNMENT, room ? room : AGATE_ALIGNMENT);
    return block ? memset(block, 0, room) : NULL;
}

void agate_block_release(void *block, size_t size_bytes)
{
    if (block && size_bytes >= HUGE_PAGE_BYTES)
        munmap(((block_head *)block)[-1].region, ((block_head *)block)[-1].region_bytes);
    else
        free(block);
}

/* ---- contents ------------------------------------------------------------------------------------------ */

static agate_data *create(agate_data contents)
{
    agate_data *data = malloc(sizeof *data);

    contents.references = 1;
    if (data)
        *data = contents;
    return data;
}

static void release_block(agate_data *data)
{
    agate_block_release(data->owner, data->size_bytes);
    free(data);
}

agate_data *agate_data_create(size_t size_bytes)
{
    void *block = agate_block_create(size_bytes);
    agate_data *data =
        block ? create((agate_data){
                    .size_bytes = size_bytes, .bytes = block, .release = release_block, .owner = block})
              : NULL;

    if (!data)
        agate_block_release(block, size_bytes);
    return data;
}

static agate_data *create_from(agate_data *source, agate_data contents)
{
    agate_data *data = create(contents);

    if (data)
        data->source = agate_data_retain(source);
    return data;
}

agate_data *agate_data_create_deferred(size_t size_bytes, agate_make_fn make, agate_data *source, void *owner)
{
    return create_from(source, (agate_data){.size_bytes = size_bytes, .make = make, .owner = owner});
}

agate_data *agate_data_create_loose(size_t size_bytes, const void *loose, agate_data *source)
{
    return create_from(source, (agate_data){.size_bytes = size_bytes, .loose = loose});
}

agate_data *agate_data_retain(agate_data *data)
{
    if (data)
        __atomic_add_fetch(&data->references, 1, __ATOMIC_RELAXED);
    return data;
}

void agate_data_release(agate_data *data)
{
    if (!data || __atomic_sub_fetch(&data->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (data->make || (data->loose && data->bytes != data->loose))
        agate_block_release((void *)data->bytes, data->size_bytes);
    agate_data_release(data->source);
    if (data->release)
        return data->release(data);
    free(data->owner);
    free(data);
}

void agate_data_forget(const agate_data *data)
{
    const uintptr_t page_bytes = 4096;

    while (data->source && !data->loose)
        data = data->source;
    if (data->source && data->source->release == release_block)
        return; /* memory that a pipe was read into: what goes is gone */
    uintptr_t first = ((uintptr_t)data->loose + page_bytes - 1) / page_bytes * page_bytes;
    uintptr_t end = ((uintptr_t)data->loose + data->size_bytes) / page_bytes * page_bytes;
    if (data->loose && end > first)
        (void)madvise((void *)first, end - first, MADV_DONTNEED); /* read again, they come from the file */
}

bool agate_data_read(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const char *bytes = __atomic_load_n(&data->bytes, __ATOMIC_ACQUIRE);

    assert(first_bytes <= data->size_bytes && size_bytes <= data->size_bytes - first_bytes);
    if (!bytes)
        bytes = data->loose;
    if (!bytes)
        return data->make(data, first_bytes, size_bytes, out);
    if (size_bytes > 0)
        memcpy(out, bytes + first_bytes, size_bytes);
    return true;
}

const void *agate_data_bytes(const agate_data *data)
{
    const void *bytes = __atomic_load_n(&data->bytes, __ATOMIC_ACQUIRE);

    if (bytes)
        return bytes;
    void *made = agate_block_create(data->size_bytes);
    bool good = made && agate_data_read(data, 0, data->size_bytes, made);
    /* Where two threads make them, the first one's stay. Constness is the reader's: what it reads is the
     * same. */
    if (good && __atomic_compare_exchange_n((const void **)&data->bytes, &bytes, made, false,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    agate_block_release(made, data->size_bytes);
    return good ? bytes : NULL;
}

double agate_data_at(const agate_data *data, agate_dtype dtype, int64_t index)
{
    size_t size = agate_dtype_size(dtype);
    char element[sizeof(double)];

    assert(index >= 0 && ((size_t)index + 1) * size <= data->size_bytes);
    if (!agate_data_read(data, (size_t)index * size, size, element))
        return NAN;

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
