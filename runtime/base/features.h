/* features.h: what this CPU can do, from CPUID and XCR0 and never from its name; and the machines we compile for. */
#ifndef AGATE_FEATURES_H
#define AGATE_FEATURES_H

#include "runtime/base/base.h"

/* One bit per row of features.def; set when the system has enabled it as well as the CPU has it. */
typedef enum agate_cpu_feature {
#define AGATE_CPU_FEATURE(id, bit, ...) AGATE_CPU_##id = 1 << (bit),
#include "runtime/base/features.def"
#undef AGATE_CPU_FEATURE
} agate_cpu_feature;

/* The set of bits of the CPU this runs on. Thread-safe. */
uint32_t agate_cpu_features(void);

/* Appends the names of these bits: "AVX2 and FMA (x86-64-v3), AMX tiles". */
void agate_cpu_features_print(uint32_t features, agate_text *text);

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
