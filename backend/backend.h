/* backend.h: scheduled kernels to machine code.
 *
 * A kernel becomes an LLVM module, the module becomes object bytes, and object bytes are linked into this
 * process. Kernels of equal signature are compiled once; modules compile in parallel, each thread with its
 * own context and target machine. Emitters read strategy and tiles from the IR and never ask what machine
 * this is.
 */
#ifndef AGATE_BACKEND_H
#define AGATE_BACKEND_H

#include "ir/graph.h"
#include "runtime/base/features.h"
#include "runtime/base/module.h"

/* Zero-initialize, then set what differs. */
typedef struct agate_codegen_options {
    const agate_machine *machine; /* required: the target features */
    int32_t threads;              /* 0: every core granted */
    agate_progress_fn progress;
    void *progress_user;
    const agate_allocator *allocator; /* of the constants; NULL: they share the graph's data */
    const char *precision;            /* that the graph was planned for; NULL: "f32" */
    /* of the functions' names, where code of several variants comes together; NULL: none */
    const char *suffix;
    /* NULL: not timed. A name that begins with a blank: part of the one in front, summed over threads. */
    void (*timed)(void *user, const char *what, uint64_t ns);
    void *timed_user;
} agate_codegen_options;

/* Compiles every kernel of a planned graph, links, and builds the module. The module, the code and the
 * constants (their data retained) live until `agate_backend_release(*out_owner)`. `graph` is only read, and
 * may go afterwards. */
AGATE_MUST_USE agate_status agate_backend_compile(const agate_graph *graph,
                                                  const agate_codegen_options *options,
                                                  const agate_module **out_module, void **out_owner);
void agate_backend_release(void *owner);

/* "22.1.8" */
const char *agate_llvm_version(void);

typedef enum agate_code_format { AGATE_CODE_LLVM, AGATE_CODE_ASM } agate_code_format;

/* Appends LLVM IR or assembly of every distinct kernel, each headed by a comment with its nodes and
 * signature. */
AGATE_MUST_USE agate_status agate_backend_print(const agate_graph *graph,
                                                const agate_codegen_options *options,
                                                agate_code_format format, agate_text *text);

#endif
