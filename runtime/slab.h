/* slab.h: a session's working memory, of the system or of the caller's allocator. Internal to the runtime. */
#ifndef AGATE_SLAB_H
#define AGATE_SLAB_H

#include "runtime/base/base.h"

typedef struct agate_slab {
    agate_allocator allocator; /* `allocate` NULL: mmap */
    char *bytes;               /* aligned to AGATE_ALIGNMENT; NULL: none yet */
    size_t size_bytes;
    void *region; /* the mapping, or the allocator's block, around it */
    size_t region_size_bytes;
} agate_slab;

/* Makes it of at least so many bytes, whose contents are then unspecified. False: they are refused, and it is
 * as it was. */
AGATE_MUST_USE bool agate_slab_reserve(agate_slab *slab, int64_t size_bytes);

/* Of no bytes is accepted. */
void agate_slab_release(agate_slab *slab);

#endif
