/* llvm_library.c: LLVM's shared library, loaded when something is to be compiled.
 *
 * It takes 15 ms and 50 MiB to load, which a process that runs what was compiled earlier need not spend; nor
 * need LLVM be installed there. So nothing links against it: each function of llvm.def is a jump to where
 * dlsym found it. */
#include <dlfcn.h>
#include <llvm-c/Target.h>
#include <llvm/Config/llvm-config.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/codegen.h"

static void not_loaded(void)
{
    fputs("agate: LLVM is called before agate_llvm_load\n", stderr);
    abort();
}

static const char *const names[] = {
#define AGATE_LLVM(name) #name,
#include "backend/llvm.def"
#undef AGATE_LLVM
};

/* Where each function is, in the order of llvm.def. */
void (*agate_llvm_functions[AGATE_COUNT(names)])(void) = {[0 ... AGATE_COUNT(names) - 1] = not_loaded};

/* Makes `name` a function of ours that goes on to the one found. */
#define AGATE_LLVM(name)                                                                                     \
    ".hidden " #name "\n"                                                                                    \
    ".globl " #name "\n"                                                                                     \
    ".type " #name ", @function\n" #name ":\n"                                                               \
    "jmp *agate_llvm_functions + 8 * row(%rip)\n"                                                            \
    ".set row, row + 1\n"
__asm__(".text\n"
        ".set row, 0\n"
#include "backend/llvm.def"
);
#undef AGATE_LLVM

static agate_status open_library(void **out_library)
{
    *out_library = dlopen(AGATE_LLVM_SONAME, RTLD_LAZY | RTLD_LOCAL);
    if (!*out_library)
        *out_library = dlopen(AGATE_LLVM_DIR "/" AGATE_LLVM_SONAME, RTLD_LAZY | RTLD_LOCAL);
    if (*out_library)
        return AGATE_OK;
    return agate_error_make(
        AGATE_CODE_NOT_FOUND,
        "compiling takes LLVM %d, whose library cannot be loaded: %s (Debian has it in package libllvm%d; "
        "files that agate compile has written run without it)",
        LLVM_VERSION_MAJOR, dlerror(), LLVM_VERSION_MAJOR);
}

/* LLVM's registry of targets is global, and not safe to fill from two threads. */
static void register_target(void)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
}

static agate_status load(void)
{
    void (*found[AGATE_COUNT(names)])(void);
    void *library;

    AGATE_TRY(open_library(&library));
    for (size_t i = 0; i < AGATE_COUNT(names); i++) {
        *(void **)&found[i] = dlsym(library, names[i]);
        if (!found[i]) {
            dlclose(library);
            return agate_error_make(AGATE_CODE_NOT_FOUND,
                                    "LLVM's library %s lacks %s: agate was built with LLVM %s",
                                    AGATE_LLVM_SONAME, names[i], LLVM_VERSION_STRING);
        }
    }
    memcpy(agate_llvm_functions, found, sizeof found);
    register_target();
    return AGATE_OK;
}

agate_status agate_llvm_load(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;

    pthread_mutex_lock(&lock);
    agate_status status = loaded ? AGATE_OK : load();
    loaded = status == AGATE_OK;
    pthread_mutex_unlock(&lock);
    return status;
}
