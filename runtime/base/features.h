/* features.h: what this CPU can do, from CPUID and XCR0 and never from its name; and the machines we compile
 * for. */
#ifndef AGATE_FEATURES_H
#define AGATE_FEATURES_H

#include "runtime/base/base.h"

/* One bit per row of features.def; set when the CPU has it, the system has enabled it and lets this process
 * use it. */
typedef enum agate_cpu_feature {
#define AGATE_CPU_FEATURE(id, bit, ...) AGATE_CPU_##id = 1 << (bit),
#include "runtime/base/features.def"
#undef AGATE_CPU_FEATURE
} agate_cpu_feature;

/* What the levels of the x86-64 psABI stand for, each with those before it. */
#define AGATE_CPU_V2                                                                                         \
    (AGATE_CPU_SSE3 | AGATE_CPU_SSSE3 | AGATE_CPU_SSE41 | AGATE_CPU_SSE42 | AGATE_CPU_POPCNT |               \
     AGATE_CPU_CX16 | AGATE_CPU_SAHF)
#define AGATE_CPU_V3                                                                                         \
    (AGATE_CPU_V2 | AGATE_CPU_AVX | AGATE_CPU_AVX2 | AGATE_CPU_FMA | AGATE_CPU_F16C | AGATE_CPU_BMI1 |       \
     AGATE_CPU_BMI2 | AGATE_CPU_LZCNT | AGATE_CPU_MOVBE)
#define AGATE_CPU_V4                                                                                         \
    (AGATE_CPU_V3 | AGATE_CPU_AVX512F | AGATE_CPU_AVX512DQ | AGATE_CPU_AVX512CD | AGATE_CPU_AVX512BW |       \
     AGATE_CPU_AVX512VL)

/* The set of bits of the CPU this runs on. The first call asks the system for what a process has to ask for:
 * AMX's tiles. Thread-safe. */
uint32_t agate_cpu_features(void);

/* What this CPU and its system have, but the system refuses this process: no bit of agate_cpu_features.
 * Thread-safe. */
uint32_t agate_cpu_features_refused(void);

/* What both are found from. `cpuid`: registers in the order of features.def's columns; `refused`: bits of
 * XCR0 whose state this process may not use. */
typedef struct agate_cpu_facts {
    uint32_t cpuid[6];
    uint64_t xcr0, refused;
} agate_cpu_facts;

uint32_t agate_cpu_features_from(const agate_cpu_facts *facts, uint32_t *out_refused);

/* Appends the names of these bits for people: "AVX2, FMA, AMX tiles". */
void agate_cpu_features_print(uint32_t features, agate_text *text);

/* Appends why `missing` cannot be used: "this CPU lacks AVX2, and the system refuses this process AMX
 * tiles". */
void agate_cpu_features_explain(uint32_t missing, uint32_t refused, agate_text *text);

/* Appends them as LLVM and targets know them, each behind `sign`: "+avx2+fma"; with commas where `commas`. */
void agate_cpu_features_list(uint32_t features, const char *sign, bool commas, agate_text *text);

/* The feature whose name is the longest that `text` begins with; 0: none. *out_length: the name's. */
uint32_t agate_cpu_feature_find(const char *text, size_t *out_length);

/* These features with all that they build on; without what builds on those. */
uint32_t agate_cpu_features_with(uint32_t features, uint32_t more);
uint32_t agate_cpu_features_without(uint32_t features, uint32_t less);

/* Cores granted to this process: its affinity mask, capped by the cgroup's CPU quota (rounded up); at least
 * 1. */
int32_t agate_cpu_count(void);

/* A row of machines.def, and cache sizes. */
typedef struct agate_machine {
    const char *name;
    const char *level; /* its name in the x86-64 psABI */
    int32_t vector_bits;
    int32_t vector_registers;
    uint32_t needs;   /* agate_cpu_feature bits: what code may use */
    int64_t l1_bytes; /* data cache of one core */
    int64_t l2_bytes; /* of one core */
} agate_machine;

/* Index of a machine by name or level, or of the best one that these features can run; -1: no such name. */
int32_t agate_machine_find(const char *name);
int32_t agate_machine_best(uint32_t features);

/* The row at `index`, with typical cache sizes (48 KiB, 1 MiB), so that the same options give the same code
 * anywhere. */
agate_machine agate_machine_get(int32_t index);
int32_t agate_machine_count(void);

static inline int32_t agate_machine_lanes(const agate_machine *machine)
{
    return machine->vector_bits / 32;
}

#endif
