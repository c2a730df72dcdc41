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
    agate_unit *units;
    size_t count;
    size_t kernel_count;
    size_t *of_kernel; /* the graph's kernels in order; SIZE_MAX for the library's */
} agate_units;

/* Finds the kernels. Everything but LLVM's buffers lives in `arena`. */
AGATE_MUST_USE agate_status agate_units_init(agate_units *units, const agate_graph *graph,
                                             agate_arena *arena);
void agate_units_deinit(agate_units *units);

/* Compiles all of them with the threads and the progress callback of `options`. */
AGATE_MUST_USE agate_status agate_units_compile(agate_units *units, const agate_codegen_options *options,
                                                agate_codegen_output output);

/* NULL if the kernel's strategy can emit it, or why not (check.c). */
const char *agate_emit_refuses(const agate_node *kernel);

/* ---- module.c ------------------------------------------------------------------------------------------ */

/* What a compiled graph owns. */
typedef struct agate_compiled {
    agate_arena *arena;
    agate_linker *linker;
    agate_data **constants;
    size_t constant_count;
    agate_allocator allocator; /* of the constants; `allocate` NULL: none */
    agate_module module;
} agate_compiled;

/* Contents of constants as kernels may use them: aligned, in the allocator's memory where there is one. `data` itself,
 * retained, or a copy; NULL where memory is short. The allocator must outlive it. */
agate_data *agate_constant_place(agate_data *data, const agate_allocator *allocator);

/* What the file says of itself, copied into `arena`; NULL gives NULL. */
const agate_metadata *agate_metadata_copy(const agate_metadata *metadata, agate_arena *arena);

/* An empty one; release with agate_backend_release. */
AGATE_MUST_USE agate_status agate_compiled_create(agate_compiled **out_compiled);

/* Fills compiled->module from a planned graph. Steps have no function yet where their units are not linked. */
AGATE_MUST_USE agate_status agate_module_build(agate_compiled *compiled, const agate_graph *graph,
                                               const agate_units *units, const agate_machine *machine);

#endif
