/* machine.h: the machine of unit tests of kernels that use AMX; they link `emulate` (their first line) and
 * skip where it is false. */
#ifndef AGATE_TESTS_AMX_MACHINE_H
#define AGATE_TESTS_AMX_MACHINE_H

#include <stdio.h>

#include "runtime/base/features.h"
#include "tests/emulate/amx.h"

/* AVX-512 with AVX512-BF16, AMX-TILE and AMX-BF16, which this CPU has or the emulator lends it. */
static inline bool find_amx_machine(agate_machine *out_machine)
{
    *out_machine = agate_machine_get(agate_machine_find("avx512"));
    out_machine->name = "avx512+avx512bf16+amx-tile+amx-bf16";
    out_machine->needs |= AGATE_CPU_AVX512_BF16 | AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16;
    if (out_machine->needs & ~agate_cpu_features()) {
        printf("SKIP AMX: this CPU lacks it, or the AVX512-BF16 that goes with it\n");
        return false;
    }
    return true;
}

#endif
