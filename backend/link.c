/* link.c: object bytes into this process, by ORC's LLJIT. */
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <math.h>
#include <stdlib.h>

#include "backend/codegen.h"
#include "backend/llvm_shim.h"

struct agate_linker {
    LLVMOrcLLJITRef jit;
};

/* All that compiled code may call: nothing else of this process is visible to it. */
#define FUNCTION1(name)                                                                                      \
    {#name, (void *)(double (*)(double))name},                                                               \
    {                                                                                                        \
#name "f", (void *)(float (*)(float))name##f                                                         \
    }
#define FUNCTION2(name)                                                                                      \
    {#name, (void *)(double (*)(double, double))name},                                                       \
    {                                                                                                        \
#name "f", (void *)(float (*)(float, float))name##f                                                  \
    }

typedef struct symbol {
    const char *name;
    void *address;
} symbol;

double roundeven(double x);
float roundevenf(float x);

static const symbol symbols[] = {
    FUNCTION1(exp),
    FUNCTION1(log),
    FUNCTION1(tanh),
    FUNCTION1(erf),
    FUNCTION1(sin),
    FUNCTION1(cos),
    FUNCTION1(tan),
    FUNCTION1(asin),
    FUNCTION1(acos),
    FUNCTION1(atan),
    FUNCTION1(sinh),
    FUNCTION1(cosh),
    FUNCTION1(asinh),
    FUNCTION1(acosh),
    FUNCTION1(atanh),
    FUNCTION1(floor),
    FUNCTION1(ceil),
    FUNCTION1(trunc),
    FUNCTION1(rint),
    FUNCTION1(roundeven),
    FUNCTION1(sqrt),
    FUNCTION2(pow),
    FUNCTION2(fmod),
    {"memset", (void *)memset},
    {"memcpy", (void *)memcpy},
    {"memmove", (void *)memmove},
};

static LLVMErrorRef define_symbols(LLVMOrcLLJITRef jit)
{
    LLVMOrcCSymbolMapPair pairs[AGATE_COUNT(symbols)];

    for (size_t i = 0; i < AGATE_COUNT(symbols); i++) {
        pairs[i].Name = LLVMOrcLLJITMangleAndIntern(jit, symbols[i].name);
        pairs[i].Sym.Address = (LLVMOrcJITTargetAddress)(uintptr_t)symbols[i].address;
        pairs[i].Sym.Flags = (LLVMJITSymbolFlags){LLVMJITSymbolGenericFlagsExported, 0};
    }
    LLVMOrcMaterializationUnitRef unit = LLVMOrcAbsoluteSymbols(pairs, AGATE_COUNT(pairs));
    LLVMErrorRef error = LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit), unit);
    if (error)
        LLVMOrcDisposeMaterializationUnit(unit);
    return error;
}

agate_status agate_linker_create(agate_linker **out_linker)
{
    LLVMOrcLLJITRef jit = NULL;

    AGATE_TRY(agate_llvm_load());
    agate_linker *linker = calloc(1, sizeof *linker);
    if (!linker)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the linker");
    agate_status status = agate_llvm_status(LLVMOrcCreateLLJIT(&jit, NULL), "LLVM's linker cannot start");
    linker->jit = status ? NULL : jit;
    if (!status)
        status = agate_llvm_status(define_symbols(jit), "LLVM's linker refuses the C library's functions");
    if (status) {
        agate_linker_release(linker);
        return status;
    }
    *out_linker = linker;
    return AGATE_OK;
}

void agate_linker_release(agate_linker *linker)
{
    if (!linker)
        return;
    if (linker->jit)
        agate_status_release(agate_llvm_status(LLVMOrcDisposeLLJIT(linker->jit), "unlink"));
    free(linker);
}

agate_status agate_linker_add(agate_linker *linker, LLVMMemoryBufferRef object)
{
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(linker->jit);
    return agate_llvm_status(LLVMOrcLLJITAddObjectFile(linker->jit, library, object), "linking");
}

agate_status agate_linker_find(agate_linker *linker, const char *symbol_name, agate_kernel_fn *out_fn)
{
    LLVMOrcExecutorAddress address = 0;

    AGATE_TRY(agate_llvm_status(LLVMOrcLLJITLookup(linker->jit, &address, symbol_name), "linking"));
    *out_fn = (agate_kernel_fn)(uintptr_t)address;
    return AGATE_OK;
}
