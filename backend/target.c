/* target.c: from a kernel to object bytes for one machine. */
#include <llvm-c/Analysis.h>
#include <stdlib.h>

#include "backend/codegen.h"
#include "backend/emit.h"
#include "backend/llvm_shim.h"

#define TRIPLE "x86_64-unknown-linux-gnu"

/* Emitters write SSA that is good already: all that is left is to share equal address arithmetic and fold
 * what layouts made constant. Anything that vectorizes, unrolls or reorders sums has no place here. */
#define PASSES "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,early-cse)"

agate_status agate_target_create(const agate_machine *machine, LLVMTargetMachineRef *out_target)
{
    LLVMTargetRef target;
    char *message = NULL;

    AGATE_TRY(agate_llvm_load());
    if (LLVMGetTargetFromTriple(TRIPLE, &target, &message)) {
        agate_status status = agate_error_make(AGATE_CODE_INTERNAL, "LLVM has no x86-64 target: %s", message);
        LLVMDisposeMessage(message);
        return status;
    }
    agate_text features = {0};
    agate_cpu_features_list(machine->needs, "+", true, &features);
    *out_target = LLVMCreateTargetMachine(target, TRIPLE, "x86-64", agate_text_c(&features),
                                          LLVMCodeGenLevelAggressive, LLVMRelocPIC, LLVMCodeModelSmall);
    const bool failed = features.failed;
    agate_text_deinit(&features);
    if (failed)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to target %s", machine->name);
    if (!*out_target)
        return agate_error_make(AGATE_CODE_INTERNAL, "LLVM cannot target %s", machine->name);
    return AGATE_OK;
}

static agate_status verify(LLVMModuleRef module)
{
    char *message = NULL;
    agate_status status = AGATE_OK;

    if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
        status = agate_error_make(AGATE_CODE_INTERNAL, "the emitted code is not valid: %s", message);
    LLVMDisposeMessage(message);
    return status;
}

/* `feature` as LLVM is told of it: "+avx512f". */
static bool has_feature(LLVMTargetMachineRef target, const char *feature)
{
    char *features = LLVMGetTargetMachineFeatureString(target);
    bool has = strstr(features, feature) != NULL;

    LLVMDisposeMessage(features);
    return has;
}

/* Vectors as wide as the machine's: LLVM would shy away from 512 bits on its own. */
static void allow_widest(LLVMModuleRef module, LLVMTargetMachineRef target)
{
    LLVMContextRef context = LLVMGetModuleContext(module);
    const char *bits = has_feature(target, "+avx512f") ? "512" : "256";
    const char *keys[2] = {"prefer-vector-width", "min-legal-vector-width"};

    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f))
        for (int i = 0; i < 2 && LLVMGetFirstBasicBlock(f); i++)
            LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                    LLVMCreateStringAttribute(context, keys[i], (unsigned)strlen(keys[i]),
                                                              bits, (unsigned)strlen(bits)));
}

static agate_status optimize(LLVMModuleRef module, LLVMTargetMachineRef target)
{
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(target);

    LLVMSetTarget(module, TRIPLE);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    allow_widest(module, target);
    AGATE_TRY(verify(module));
    return agate_llvm_run_passes(module, target, PASSES);
}

static agate_status generate(LLVMModuleRef module, LLVMTargetMachineRef target, agate_codegen_output output,
                             LLVMMemoryBufferRef *out_buffer)
{
    char *message = NULL;

    if (output == AGATE_CODEGEN_LLVM) {
        char *text = LLVMPrintModuleToString(module);
        *out_buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "llvm");
        LLVMDisposeMessage(text);
        return AGATE_OK;
    }
    LLVMCodeGenFileType type = output == AGATE_CODEGEN_ASM ? LLVMAssemblyFile : LLVMObjectFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(target, module, type, &message, out_buffer)) {
        agate_status status = agate_error_make(AGATE_CODE_INTERNAL, "LLVM cannot compile: %s", message);
        LLVMDisposeMessage(message);
        return status;
    }
    return AGATE_OK;
}

agate_status agate_codegen_kernel(const agate_node *kernel, const char *symbol, LLVMTargetMachineRef target,
                                  agate_arena *scratch, agate_codegen_output output,
                                  agate_codegen_times *times, LLVMMemoryBufferRef *out_buffer)
{
    uint64_t start = agate_clock_ns();
    size_t mark = agate_arena_mark(scratch);
    LLVMContextRef context = LLVMContextCreate();
    agate_emitter emitter;

    agate_emitter_init(&emitter, context, kernel, symbol, scratch);
    emitter.exponentials = has_feature(target, "+avx512dq");
    emitter.halves = has_feature(target, "+f16c");
    agate_emit_kernel(&emitter);
    agate_emitter_deinit(&emitter);
    uint64_t emitted = agate_clock_ns();
    agate_status status = optimize(emitter.module, target);
    uint64_t optimized = agate_clock_ns();
    if (!status)
        status = generate(emitter.module, target, output, out_buffer);
    LLVMDisposeModule(emitter.module);
    LLVMContextDispose(context);
    agate_arena_rewind(scratch, mark);
    times->emit += emitted - start;
    times->optimize += optimized - emitted;
    times->generate += agate_clock_ns() - optimized;
    return status ? agate_error_within(status, "kernel %s", symbol) : AGATE_OK;
}
