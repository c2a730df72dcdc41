/* machines.h: which machines a test of kernels runs on. */
#ifndef AGATE_TEST_MACHINES_H
#define AGATE_TEST_MACHINES_H

#include <stdio.h>
#include <string.h>

#include "runtime/base/features.h"

/* Every one that this CPU is; of others the test's output says so. Sanitizers watch our own code and not what
 * it emits, and all machines share it: there the narrowest and the widest stand for those between. */
static inline bool machine_is_tested(const agate_machine *machine)
{
    if (machine->needs & ~agate_cpu_features()) {
        printf("SKIP on %s: this CPU lacks it\n", machine->name);
        return false;
    }
#ifdef __SANITIZE_ADDRESS__
    return strcmp(machine->name, agate_machine_get(0).name) == 0 ||
           strcmp(machine->name, agate_machine_get(agate_machine_best(agate_cpu_features())).name) == 0;
#else
    return true;
#endif
}

/* AVX-512 with sums of pairs of bf16 products; says so and returns false where the CPU has none. */
static inline bool find_pair_machine(agate_machine *out_machine)
{
    *out_machine = agate_machine_get(agate_machine_find("avx512"));
    out_machine->needs |= AGATE_CPU_AVX512_BF16;
    if (out_machine->needs & ~agate_cpu_features()) {
        printf("SKIP sums of pairs: this CPU lacks AVX512-BF16\n");
        return false;
    }
    return true;
}

#endif
