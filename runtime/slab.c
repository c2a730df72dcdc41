/* slab.c: working memory in huge pages where the system has them. */
#define _GNU_SOURCE
#include "runtime/slab.h"

#include <sys/mman.h>

/* Slabs of at least this size are aligned to it, so that the system may back them with huge pages. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Memory of at least `size_bytes` of the caller's allocator or the system; NULL if it is refused. */
static char *map(const agate_slab *slab, size_t size_bytes)
{
    const agate_allocator *allocator = &slab->allocator;
    if (allocator->allocate)
        return allocator->allocate(allocator->user, size_bytes, AGATE_ALIGNMENT);
    void *region = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return region == MAP_FAILED ? NULL : region;
}

void agate_slab_release(agate_slab *slab)
{
    const agate_allocator *allocator = &slab->allocator;
    if (slab->region && allocator->allocate)
        allocator->release(allocator->user, slab->region, slab->region_size_bytes);
    else if (slab->region)
        munmap(slab->region, slab->region_size_bytes);
    slab->region = slab->bytes = NULL;
}

bool agate_slab_reserve(agate_slab *slab, int64_t size_bytes)
{
    const size_t size = (size_t)agate_max(size_bytes, AGATE_ALIGNMENT);
    if (slab->bytes && size <= slab->size_bytes)
        return true;

    /* mmap aligns to small pages only: take more addresses than needed, and start at a huge page among them.
     * An allocator's pages are its own affair. */
    const bool whole = slab->allocator.allocate || size < HUGE_PAGE_BYTES;
    const size_t region_size = whole ? size : size + HUGE_PAGE_BYTES;
    char *region = map(slab, region_size);
    if (!region)
        return false;
    agate_slab_release(slab);
    slab->region = slab->bytes = region;
    slab->region_size_bytes = region_size;
    slab->size_bytes = size;
    if (region_size > size) {
        slab->bytes = region + (HUGE_PAGE_BYTES - (uintptr_t)region % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
        (void)madvise(slab->bytes, size, MADV_HUGEPAGE); /* only advice: the answer does not matter */
    }
    return true;
}
