/* artifact.h: compiled files, opened. Internal. */
#ifndef AGATE_RUNTIME_ARTIFACT_H
#define AGATE_RUNTIME_ARTIFACT_H

#include "runtime/image.h"

/* A compiled file: found whole and unchanged, its code and weights mapped, nothing of it run.
 * Thread-compatible. */
typedef struct agate_artifact agate_artifact;

/* On success the caller owns *out_artifact. Errors name the path. Thread-safe. */
AGATE_MUST_USE agate_status agate_artifact_open(const char *path, agate_artifact **out_artifact);
void agate_artifact_release(void *artifact); /* NULL is accepted */

uint32_t agate_artifact_variant_count(const agate_artifact *artifact);

/* Of all variants, equal ones once. */
uint64_t agate_artifact_weight_bytes(const agate_artifact *artifact);

/* What the file says of variant `index`. */
AGATE_MUST_USE agate_status agate_artifact_variant(const agate_artifact *artifact, uint32_t index,
                                                   agate_image_variant *out_variant);

/* The precision to take where `wanted` is asked for, which must be in the file; NULL, where nobody asks: f32,
 * or the only one that the file has. An error lists what it has. The text lives as long as the artifact. */
AGATE_MUST_USE agate_status agate_artifact_precision(const agate_artifact *artifact, const char *wanted,
                                                     const char **out_precision);

/* The best variant of this precision (as above; may be NULL) that a CPU of these features can run; an error
 * that names what the least one lacks where it can run none. */
AGATE_MUST_USE agate_status agate_artifact_choose(const agate_artifact *artifact, const char *precision,
                                                  uint32_t features, uint32_t *out_index);

/* The module of a variant, which lives as long as the artifact. Only to be run on a CPU that has what it
 * needs. */
AGATE_MUST_USE agate_status agate_artifact_module(agate_artifact *artifact, uint32_t index,
                                                  const agate_module **out_module);

/* As agate_model_load_artifact_with (`precision` may be NULL), but uses no CPU feature beyond `features`,
 * which this CPU must have. */
AGATE_MUST_USE agate_status agate_artifact_load(const char *path, const char *precision, uint32_t features,
                                                agate_model **out_model);

#endif
