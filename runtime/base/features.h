/* features.h: what this CPU can do, from CPUID and XCR0 and never from its name; and the machines we compile for. */
#ifndef AGATE_FEATURES_H
#define AGATE_FEATURES_H

#include "runtime/base/base.h"

/* Bits that the system has enabled as well as the CPU has. */
typedef enum agate_cpu_feature {
    AGATE_CPU_AVX2_LEVEL = 1 << 0,   /* AVX2, FMA, F16C, BMI1, BMI2, LZCNT, MOVBE and what x86-64-v3 holds beside */
    AGATE_CPU_AVX512_LEVEL = 1 << 1, /* AVX-512 F, BW, CD, DQ, VL: x86-64-v4 */
    AGATE_CPU_AVX512_VNNI = 1 << 2,
    AGATE_CPU_AVX512_BF16 = 1 << 3,
    AGATE_CPU_AVX512_FP16 = 1 << 4,
    AGATE_CPU_AMX_TILE = 1 << 5,
    AGATE_CPU_AMX_BF16 = 1 << 6,
    AGATE_CPU_AMX_INT8 = 1 << 7,
} agate_cpu_feature;

/* The set of bits of the CPU this runs on. Thread-safe. */
uint32_t agate_cpu_features(void);

/* Cores granted to this process: its affinity mask, capped by the cgroup's CPU quota (rounded up); at least 1. */
int32_t agate_cpu_count(void);

/* A row of machines.def, and cache sizes. */
typedef struct agate_machine {
    const char *name;
    int32_t vector_bits;
    int32_t vector_registers;
    uint32_t needs; /* agate_cpu_feature bits */
    const char *llvm_features;
    int64_t l1_bytes; /* data cache of one core */
    int64_t l2_bytes; /* of one core */
} agate_machine;

/* Index of a machine by name, or of the best one that these features can run; -1: no such name. */
int32_t agate_machine_find(const char *name);
int32_t agate_machine_best(uint32_t features);

/* The row at `index`, with typical cache sizes (48 KiB, 1 MiB), so that the same options give the same code anywhere. */
agate_machine agate_machine_get(int32_t index);
int32_t agate_machine_count(void);

static inline int32_t agate_machine_lanes(const agate_machine *machine)
{
    return machine->vector_bits / 32;
}

#endif
