/* links: backend ir ref base */
/* test_llvm_library.c: LLVM not installed, and installed after all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>

#include "backend/codegen.h"
#include "tests/suite.h"

static bool installed;

/* Stands in front of the C library's. */
void *dlopen(const char *file, int mode)
{
    void *(*real)(const char *, int);

    *(void **)&real = dlsym(RTLD_NEXT, "dlopen");
    if (file && !installed && strstr(file, "libLLVM"))
        return real("libLLVM-that-is-not-there.so", mode);
    return real(file, mode);
}

static void check_missing(agate_status status)
{
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "libLLVM-that-is-not-there.so"));
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "package libllvm"));
    agate_status_release(status);
}

START_TEST(missing_library_is_an_error_that_says_what_to_install)
{
    const agate_machine machine = agate_machine_get(0);
    LLVMTargetMachineRef target = NULL;
    agate_linker *linker = NULL;

    check_missing(agate_target_create(&machine, &target));
    ck_assert_ptr_null(target);
    check_missing(agate_linker_create(&linker));
    ck_assert_ptr_null(linker);
}
END_TEST

static void *create_target(void *user)
{
    const agate_machine machine = agate_machine_get(0);
    agate_status status = agate_target_create(&machine, user);

    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    return NULL;
}

START_TEST(library_that_comes_later_is_loaded_by_whoever_asks_first)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    LLVMTargetMachineRef targets[THREADS] = {NULL};

    check_missing(agate_llvm_load());
    installed = true;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, create_target, &targets[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_ptr_nonnull(targets[i]);
        LLVMDisposeTargetMachine(targets[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llvm library");
    TCase *tests = tcase_create("llvm library");
    /* In this order, where they share a process. */
    tcase_add_test(tests, missing_library_is_an_error_that_says_what_to_install);
    tcase_add_test(tests, library_that_comes_later_is_loaded_by_whoever_asks_first);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
