/* module.h: the contract between compiled code and the runtime: a plan as plain, immutable data.
 *
 * A module lists steps in order. Each step runs one kernel over `task_count` independent tasks; the runtime
 * may share them out to threads in any way, since every element is written by one task and computed in one
 * order. Numbers that follow the batch N are agate_dim.
 */
#ifndef AGATE_MODULE_H
#define AGATE_MODULE_H

#include "runtime/base/call.h"

#define AGATE_MODULE_VERSION 6

/* Compiled code: computes tasks first <= t < last. `buffers` are the step's arguments, operands then results.
 * Buffers in the slab (at offsets that are) and constants are aligned to AGATE_ALIGNMENT, the caller's inputs
 * and outputs to their element type only. A buffer of no bytes may be NULL. `workspace` is memory of
 * module->workspace_size_bytes, aligned as the slab is, that no other thread uses during the call; what it
 * holds before is unspecified. Called on any thread, on several at once for disjoint tasks. */
typedef void (*agate_kernel_fn)(void *const *buffers, int64_t batch, int64_t first, int64_t last,
                                void *workspace);

typedef enum agate_storage {
    AGATE_STORAGE_INPUT,    /* index: which model input */
    AGATE_STORAGE_OUTPUT,   /* index: which model output */
    AGATE_STORAGE_CONSTANT, /* index: into module->constants */
    AGATE_STORAGE_SLAB,     /* offset: bytes into the session's slab */
} agate_storage;

typedef struct agate_module_type {
    agate_dtype dtype;
    int32_t rank;
    agate_dim dims[AGATE_MAX_RANK];
} agate_module_type;

typedef struct agate_module_arg {
    agate_storage storage;
    uint32_t index;
    agate_dim offset;       /* bytes; SLAB only, 0 otherwise */
    agate_module_type type; /* logical shape; a library step's tensors are plain */
    /* From its first byte to behind its last, as it lies in memory: with pads of blocks, and with the
     * channels of others that lie between its images. Those of the caller are dense. */
    agate_dim reach_bytes;
    uint32_t last_step; /* SLAB: after this step nobody reads the value, nor one that it is a part of */
} agate_module_arg;

typedef struct agate_module_step {
    agate_kernel_fn kernel;   /* NULL: a library step */
    agate_ref_fn library;     /* its reference kernel, called once, on one thread */
    const agate_attrs *attrs; /* library only */
    int32_t variant;          /* library only: agate_ref_call.variant */
    uint32_t first_arg;       /* into module->args: operands, then results */
    uint32_t operand_count;
    uint32_t result_count;
    agate_dim task_count;
    const char *symbol; /* of the compiled function, or "library" */
    const char *label;  /* strategy and tiles, as printed in the IR */
    const char *origin; /* ONNX nodes; "" where none */
    agate_dim flops;    /* multiply-adds count as two */
    /* Of scalar ops beside them (ir/cost.h): instructions by the elements that they serve, and divisions. */
    agate_dim scalar_instructions, divisions;
} agate_module_step;

typedef struct agate_module_constant {
    const void *bytes; /* aligned to 64 */
    size_t size_bytes;
} agate_module_constant;

typedef struct agate_module_value {
    const char *name;
    agate_module_type type;
} agate_module_value;

/* A model output that an input, a constant or another output is passed through to: copied by the runtime, in
 * order, at the end of a run. */
typedef struct agate_module_copy {
    agate_module_arg from; /* not SLAB; of the output's type */
    uint32_t output;
} agate_module_copy;

typedef struct agate_module {
    uint32_t version;
    uint32_t needs; /* agate_cpu_feature bits */
    const char *isa;
    const char *precision; /* of products, as whoever compiled it asked for: "f32", ...; never empty */
    const agate_module_value *inputs;
    const agate_module_value *outputs;
    const agate_module_constant *constants;
    const agate_module_arg *args;
    const agate_module_step *steps;
    const agate_module_copy *copies;
    uint32_t input_count, output_count, constant_count, arg_count, step_count, copy_count;
    agate_dim slab_size_bytes;
    int64_t workspace_size_bytes; /* of each thread; 0 or more */
    /* So many of the first steps may run for some rows of the batch at a time, for several parts of it at
     * once: none needs another row, or writes what has none (ir/by_rows.h). */
    uint32_t by_rows_steps;
    const agate_metadata *metadata; /* NULL: nothing is known of the file */
} agate_module;

#endif
