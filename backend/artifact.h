/* artifact.h: a planned graph as files: object code of its kernels, its plan and its weights (runtime/base/image.h). */
#ifndef AGATE_ARTIFACT_H
#define AGATE_ARTIFACT_H

#include "backend/backend.h"

/* Where the parts go. */
typedef struct agate_object_options {
    const char *directory;    /* is there and empty: 0.o, 1.o, ... are written into it */
    const char *weights_path; /* NULL: the weights go into the last object */
    const char *weights_name; /* of that file as the loader finds it, beside the linked file */
} agate_object_options;

/* Compiles every kernel and writes *out_count objects, which link to one file that agate_model_load_artifact takes once it
 * is sealed. The same graph and options give the same bytes. `graph` is only read. Errors name the file. */
AGATE_MUST_USE agate_status agate_backend_write_objects(const agate_graph *graph,
                                                        const agate_codegen_options *options,
                                                        const agate_object_options *to, size_t *out_count);

/* Appends the seal (runtime/base/image.h) that the loader asks for. */
AGATE_MUST_USE agate_status agate_backend_seal(const char *path);

/* ---- image.c -------------------------------------------------------------------------------------------- */

/* Appends the plan of a module to `plan`. `weights_file` as in the plan; "": none. */
AGATE_MUST_USE agate_status agate_image_write_plan(const agate_module *module, const char *weights_file,
                                                   agate_text *plan);

/* Bytes of the weights as an image holds them. */
uint64_t agate_image_weights_size(const agate_module *module);

/* Zeros behind a constant of this size. */
size_t agate_image_fill(size_t size_bytes);

#endif
