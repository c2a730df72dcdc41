/* llvm_shim.h: what differs between LLVM versions, and LLVM calls that are awkward in C. No other file asks
 * for the version. */
#ifndef AGATE_LLVM_SHIM_H
#define AGATE_LLVM_SHIM_H

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/TargetMachine.h>

#include "runtime/base/base.h"

/* Loads and stores of the lanes whose bit in `mask` is set; `align` in bytes. Lanes not loaded are 0. */
LLVMValueRef agate_llvm_masked_load(LLVMModuleRef module, LLVMBuilderRef builder, LLVMTypeRef type,
                                    LLVMValueRef pointer, uint32_t align, LLVMValueRef mask);
void agate_llvm_masked_store(LLVMModuleRef module, LLVMBuilderRef builder, LLVMValueRef value,
                             LLVMValueRef pointer, uint32_t align, LLVMValueRef mask);

/* The same through a vector of pointers. */
LLVMValueRef agate_llvm_gather(LLVMModuleRef module, LLVMBuilderRef builder, LLVMTypeRef type,
                               LLVMValueRef pointers, uint32_t align, LLVMValueRef mask);
void agate_llvm_scatter(LLVMModuleRef module, LLVMBuilderRef builder, LLVMValueRef value,
                        LLVMValueRef pointers, uint32_t align, LLVMValueRef mask);

/* Calls intrinsic `name`, overloaded on `types`. */
LLVMValueRef agate_llvm_intrinsic(LLVMModuleRef module, LLVMBuilderRef builder, const char *name,
                                  LLVMTypeRef *types, size_t type_count, LLVMValueRef *args,
                                  uint32_t arg_count);

/* Takes over `error`; AGATE_OK if there is none. */
AGATE_MUST_USE agate_status agate_llvm_status(LLVMErrorRef error, const char *what);

/* Runs `passes` (new pass manager syntax) over the module, with nothing that vectorizes or unrolls. */
AGATE_MUST_USE agate_status agate_llvm_run_passes(LLVMModuleRef module, LLVMTargetMachineRef target,
                                                  const char *passes);

#endif
