/* llvm_shim.c: the one file that knows which LLVM this is. */
#include "backend/llvm_shim.h"

#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm/Config/llvm-config.h>

#include "backend/backend.h"

LLVMValueRef agate_llvm_intrinsic(LLVMModuleRef module, LLVMBuilderRef builder, const char *name,
                                  LLVMTypeRef *types, size_t type_count, LLVMValueRef *args,
                                  uint32_t arg_count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id != 0);
    LLVMContextRef context = LLVMGetModuleContext(module);
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(module, id, types, type_count);
    return LLVMBuildCall2(builder, LLVMIntrinsicGetType(context, id, types, type_count), function, args,
                          arg_count, "");
}

/* Up to LLVM 21 the masked intrinsics take the alignment as an argument, from 22 on as an attribute of the
 * pointer. Calls one with its arguments in the newer form; the pointer is argument `pointer`. */
static LLVMValueRef call_masked(LLVMModuleRef module, LLVMBuilderRef builder, const char *name,
                                LLVMTypeRef *types, LLVMValueRef *args, uint32_t count, uint32_t pointer,
                                uint32_t align)
{
#if LLVM_VERSION_MAJOR >= 22
    LLVMValueRef call = agate_llvm_intrinsic(module, builder, name, types, 2, args, count);
    unsigned kind = LLVMGetEnumAttributeKindForName("align", 5);
    LLVMAttributeRef attribute = LLVMCreateEnumAttribute(LLVMGetModuleContext(module), kind, align);
    LLVMAddCallSiteAttribute(call, pointer + 1, attribute);
    return call;
#else
    LLVMValueRef with_align[4];
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        with_align[used++] = args[i];
        if (i == pointer)
            with_align[used++] = LLVMConstInt(LLVMInt32TypeInContext(LLVMGetModuleContext(module)), align, 0);
    }
    return agate_llvm_intrinsic(module, builder, name, types, 2, with_align, used);
#endif
}

static LLVMValueRef masked_read(LLVMModuleRef module, LLVMBuilderRef builder, const char *name,
                                LLVMTypeRef type, LLVMValueRef pointer, uint32_t align, LLVMValueRef mask)
{
    LLVMTypeRef types[2] = {type, LLVMTypeOf(pointer)};
    LLVMValueRef args[3] = {pointer, mask, LLVMConstNull(type)};
    return call_masked(module, builder, name, types, args, 3, 0, align);
}

static void masked_write(LLVMModuleRef module, LLVMBuilderRef builder, const char *name, LLVMValueRef value,
                         LLVMValueRef pointer, uint32_t align, LLVMValueRef mask)
{
    LLVMTypeRef types[2] = {LLVMTypeOf(value), LLVMTypeOf(pointer)};
    LLVMValueRef args[3] = {value, pointer, mask};
    call_masked(module, builder, name, types, args, 3, 1, align);
}

LLVMValueRef agate_llvm_masked_load(LLVMModuleRef module, LLVMBuilderRef builder, LLVMTypeRef type,
                                    LLVMValueRef pointer, uint32_t align, LLVMValueRef mask)
{
    return masked_read(module, builder, "llvm.masked.load", type, pointer, align, mask);
}

void agate_llvm_masked_store(LLVMModuleRef module, LLVMBuilderRef builder, LLVMValueRef value,
                             LLVMValueRef pointer, uint32_t align, LLVMValueRef mask)
{
    masked_write(module, builder, "llvm.masked.store", value, pointer, align, mask);
}

LLVMValueRef agate_llvm_gather(LLVMModuleRef module, LLVMBuilderRef builder, LLVMTypeRef type,
                               LLVMValueRef pointers, uint32_t align, LLVMValueRef mask)
{
    return masked_read(module, builder, "llvm.masked.gather", type, pointers, align, mask);
}

void agate_llvm_scatter(LLVMModuleRef module, LLVMBuilderRef builder, LLVMValueRef value,
                        LLVMValueRef pointers, uint32_t align, LLVMValueRef mask)
{
    masked_write(module, builder, "llvm.masked.scatter", value, pointers, align, mask);
}

agate_status agate_llvm_status(LLVMErrorRef error, const char *what)
{
    if (!error)
        return AGATE_OK;
    char *message = LLVMGetErrorMessage(error);
    agate_status status = agate_error_make(AGATE_CODE_INTERNAL, "%s: %s", what, message);
    LLVMDisposeErrorMessage(message);
    return status;
}

agate_status agate_llvm_run_passes(LLVMModuleRef module, LLVMTargetMachineRef target, const char *passes)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopInterleaving(options, 0);
    LLVMPassBuilderOptionsSetLoopVectorization(options, 0);
    LLVMPassBuilderOptionsSetSLPVectorization(options, 0);
    LLVMPassBuilderOptionsSetLoopUnrolling(options, 0);
    LLVMErrorRef error = LLVMRunPasses(module, passes, target, options);
    LLVMDisposePassBuilderOptions(options);
    return agate_llvm_status(error, "LLVM's passes failed");
}

const char *agate_llvm_version(void)
{
    return LLVM_VERSION_STRING;
}
