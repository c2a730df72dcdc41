/* artifact.h: planned graphs as a compiled file: object code of their kernels, their plan and their weights
 * (runtime/base/image.h). */
#ifndef AGATE_ARTIFACT_H
#define AGATE_ARTIFACT_H

#include "backend/backend.h"

/* The most pairs of an instruction set and a precision that one file may serve. */
#define AGATE_MAX_VARIANTS 16

/* A compiled file in the making. Thread-compatible. */
typedef struct agate_writer agate_writer;

/* Where the parts go. The strings must outlive the writer. */
typedef struct agate_writer_options {
    const char *directory;    /* is there and empty: 0.o, 1.o, ... are written into it */
    const char *weights_path; /* a file for the weights; NULL: they go into the linked file */
    const char *weights_name; /* of that file as the loader finds it, beside the linked file */
    /* the objects are to be linked into something else: the weights go into the last of them */
    bool relocatable;
} agate_writer_options;

AGATE_MUST_USE agate_status agate_writer_create(const agate_writer_options *options,
                                                agate_writer **out_writer);
void agate_writer_release(agate_writer *writer); /* NULL is accepted */

/* Compiles every kernel of a planned graph for one instruction set and writes the objects. What is added
 * later is preferred where a CPU can run both, of one precision. `graph` is only read, and may go
 * afterwards. */
AGATE_MUST_USE agate_status agate_writer_add(agate_writer *writer, const agate_graph *graph,
                                             const agate_codegen_options *options);

/* Writes what comes last of the objects. *out_count in all are to be linked. The same graphs and options give
 * the same bytes. Errors name the file. */
AGATE_MUST_USE agate_status agate_writer_close(agate_writer *writer, size_t *out_count);

/* Makes what was linked from the objects, not relocatable, a file that agate_model_load_artifact takes:
 * appends the weights and the seal. */
AGATE_MUST_USE agate_status agate_writer_seal(const agate_writer *writer, const char *path);

/* ---- image.c ------------------------------------------------------------------------------------------- */

/* A constant among the weights. */
typedef struct agate_image_weight {
    const void *bytes;
    size_t size_bytes;
    uint64_t offset;
    uint64_t hash; /* 0: not made yet */
} agate_image_weight;

/* What a plan says of one variant. */
typedef struct agate_image_row {
    uint32_t needs;
    const char *isa, *precision;
    size_t part_bytes;
} agate_image_row;

/* Modules on their way into one plan. Zero-initialize. The modules must outlive it. */
typedef struct agate_image {
    agate_text parts;
    agate_image_row variants[AGATE_MAX_VARIANTS];
    size_t variant_count;
    agate_image_weight *weights; /* equal contents once, in the order of their offsets */
    size_t weight_count, weight_room;
    uint64_t weights_size_bytes;
} agate_image;

/* Adds a module, of AGATE_MAX_VARIANTS at most. */
AGATE_MUST_USE agate_status agate_image_add(agate_image *image, const agate_module *module);

/* Appends the plan. `weights_file` as in the plan; "": none. */
AGATE_MUST_USE agate_status agate_image_write(const agate_image *image, const char *weights_file,
                                              agate_text *plan);
void agate_image_deinit(agate_image *image);

/* Zeros behind a constant of this size. */
size_t agate_image_fill(size_t size_bytes);

#endif
