/* units.h: the distinct kernels of a graph, compiled side by side. */
#ifndef AGATE_UNITS_H
#define AGATE_UNITS_H

#include "backend/codegen.h"

/* One compilation: all kernels of one signature. */
typedef struct agate_unit {
    const agate_node *kernel; /* the first of them */
    const char *symbol;       /* strategy and hash of the signature */
    const char *signature;
    LLVMMemoryBufferRef output; /* NULL: not compiled, or given away */
    agate_kernel_fn fn;
    agate_status status;
} agate_unit;

typedef struct agate_units {
    agate_arena *arena; /* not owned */
    const char *suffix; /* of symbols; not owned */
    agate_unit *units;
    size_t count;
    size_t kernel_count;
    size_t *of_kernel; /* the graph's kernels in order; SIZE_MAX for the library's */
} agate_units;

/* Finds the kernels, and checks that the machine of `options` can run them. Everything but LLVM's buffers
 * lives in `arena`. */
AGATE_MUST_USE agate_status agate_units_init(agate_units *units, const agate_graph *graph,
                                             const agate_codegen_options *options, agate_arena *arena);
void agate_units_deinit(agate_units *units);

typedef struct agate_compiled agate_compiled;

/* Compiles all of them with the threads and the progress callback of `options`, and makes the constants of
 * `compiled` (NULL: none) beside it. */
AGATE_MUST_USE agate_status agate_units_compile(agate_units *units, const agate_codegen_options *options,
                                                agate_codegen_output output, agate_compiled *compiled);

/* NULL if the kernel's strategy can emit it, or why not (check.c). */
const char *agate_emit_refuses(const agate_node *kernel);

/* ---- module.c ------------------------------------------------------------------------------------------ */

typedef struct agate_compiled_constant {
    agate_data *data; /* retained; NULL once it is made in `place` */
    void *place;      /* NULL: the bytes of `data` serve as they are */
} agate_compiled_constant;

/* What a compiled graph owns. */
struct agate_compiled {
    agate_arena *arena;
    agate_linker *linker;
    agate_compiled_constant *constants;
    agate_module_constant *rows; /* the module's */
    size_t constant_count;
    char *block; /* where constants are made unless there is an allocator; NULL: none */
    size_t block_bytes;
    agate_allocator allocator; /* of the constants; `allocate` NULL: none */
    agate_module module;
};

/* Gives every constant a place that kernels may use: aligned, in the allocator's memory where there is
 * one. */
AGATE_MUST_USE agate_status agate_constants_place(agate_compiled *compiled);

/* Makes constant `index` where its place is. Thread-safe for distinct ones. */
AGATE_MUST_USE agate_status agate_constant_make(agate_compiled *compiled, size_t index);

void agate_constants_release(agate_compiled *compiled);

/* What the file says of itself, copied into `arena`; NULL gives NULL. */
const agate_metadata *agate_metadata_copy(const agate_metadata *metadata, agate_arena *arena);

/* An empty one; release with agate_backend_release. */
AGATE_MUST_USE agate_status agate_compiled_create(agate_compiled **out_compiled);

/* Fills compiled->module from a planned graph. Its constants have places but no contents yet, its steps no
 * functions. */
AGATE_MUST_USE agate_status agate_module_build(agate_compiled *compiled, const agate_graph *graph,
                                               const agate_units *units,
                                               const agate_codegen_options *options);

/* Gives the steps their functions, once the units are linked. */
void agate_module_link(agate_compiled *compiled, const agate_units *units);

#endif
