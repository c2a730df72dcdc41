/* codegen.h: one kernel to object bytes, and object bytes into this process. */
#ifndef AGATE_CODEGEN_H
#define AGATE_CODEGEN_H

#include <llvm-c/TargetMachine.h>

#include "backend/backend.h"

/* ---- llvm_library.c ------------------------------------------------------------------------------------ */

/* Loads LLVM's library, once, and makes it know its x86-64 target. No function of LLVM's may be called before
 * this; those below that make a target machine or a linker begin with it. AGATE_CODE_NOT_FOUND, to be tried
 * again, where LLVM is not installed. Thread-safe. */
AGATE_MUST_USE agate_status agate_llvm_load(void);

/* ---- target.c ------------------------------------------------------------------------------------------ */

/* A target machine for `machine`: its features and nothing of this computer. Thread-compatible; each
 * compiling thread has its own. Dispose with LLVMDisposeTargetMachine. */
AGATE_MUST_USE agate_status agate_target_create(const agate_machine *machine,
                                                LLVMTargetMachineRef *out_target);

typedef enum agate_codegen_output {
    AGATE_CODEGEN_OBJECT,
    AGATE_CODEGEN_ASM,
    AGATE_CODEGEN_LLVM
} agate_codegen_output;

/* Nanoseconds that went into parts of the work. */
typedef struct agate_codegen_times {
    uint64_t emit, optimize, generate;
} agate_codegen_times;

/* Emits, optimizes and compiles a scheduled kernel as the function `symbol`. The buffer is the caller's, to
 * dispose of with LLVMDisposeMemoryBuffer. `scratch` is rewound; `times` grow. Thread-safe for distinct
 * targets, arenas and times. */
AGATE_MUST_USE agate_status agate_codegen_kernel(const agate_node *kernel, const char *symbol,
                                                 LLVMTargetMachineRef target, agate_arena *scratch,
                                                 agate_codegen_output output, agate_codegen_times *times,
                                                 LLVMMemoryBufferRef *out_buffer);

/* ---- link.c -------------------------------------------------------------------------------------------- */

/* Objects linked into this process. Thread-compatible. */
typedef struct agate_linker agate_linker;

AGATE_MUST_USE agate_status agate_linker_create(agate_linker **out_linker);
void agate_linker_release(agate_linker *linker); /* NULL is accepted; the code goes */

/* Adds an object file; takes `object` over, also on failure. */
AGATE_MUST_USE agate_status agate_linker_add(agate_linker *linker, LLVMMemoryBufferRef object);

/* Links what is needed and gives the address of a function. */
AGATE_MUST_USE agate_status agate_linker_find(agate_linker *linker, const char *symbol,
                                              agate_kernel_fn *out_fn);

#endif
