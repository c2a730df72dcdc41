/* image.h: from the bytes of an image (runtime/base/image.h) to a module. Internal. */
#ifndef AGATE_RUNTIME_IMAGE_H
#define AGATE_RUNTIME_IMAGE_H

#include "runtime/base/image.h"

/* What must be known of a plan before its weights can be brought. Texts point into the plan. */
typedef struct agate_image_info {
    uint64_t weights_size_bytes;
    uint64_t weights_digest;
    const char *weights_file; /* "": they are in the same file */
    uint32_t variant_count;   /* 1 at least */
} agate_image_info;

/* Reads the head of a plan. `plan` is aligned to 8. Thread-safe. */
AGATE_MUST_USE agate_status agate_image_peek(const void *plan, size_t size_bytes, agate_image_info *out_info);

/* One of the pairs of an instruction set and a precision that a plan serves. */
typedef struct agate_image_variant {
    uint32_t needs;
    const char *isa, *precision;
    const void *part; /* its part of the plan */
    size_t part_bytes;
} agate_image_variant;

/* Reads what a plan says of variant `index` < variant_count. Thread-safe. */
AGATE_MUST_USE agate_status agate_image_variant_at(const void *plan, size_t size_bytes, uint32_t index,
                                                   agate_image_variant *out_variant);

/* The compiled function of this name; NULL: there is none. */
typedef agate_kernel_fn (*agate_image_find_fn)(void *user, const char *symbol);

/* Reads a variant into a module, which refers to the bytes of its plan and of `weights` (aligned to 64);
 * nothing of them is copied. The rest is allocated from `arena`. Every number is checked
 * (agate_module_check), so damage of any kind is a status. That the functions do what their names say is
 * trusted, as for any shared object. Thread-safe. */
AGATE_MUST_USE agate_status agate_image_load(const agate_image_variant *variant, const void *weights,
                                             size_t weights_size_bytes, agate_image_find_fn find, void *user,
                                             agate_arena *arena, agate_module *out_module);

#endif
