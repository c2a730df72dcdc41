/* features.c: the CPU's features, by CPUID, XCR0 and what the system permits, and the cores granted to this
 * process. */
#define _GNU_SOURCE
#include "runtime/base/features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct feature_row {
    uint32_t bit;
    const char *text, *name;
    uint32_t needs;
    uint64_t xcr0;
    uint32_t cpuid[6]; /* in the order of features.def's columns */
} feature_row;

static const feature_row feature_rows[] = {
#define AGATE_CPU_FEATURE(id, number, text, name, needs, xcr0, ...)                                          \
    {1u << (number), text, name, needs, xcr0, {__VA_ARGS__}},
#include "runtime/base/features.def"
#undef AGATE_CPU_FEATURE
};

uint32_t agate_cpu_features_from(const agate_cpu_facts *facts, uint32_t *out_refused)
{
    uint32_t features = 0;
    *out_refused = 0;
    for (size_t i = 0; i < AGATE_COUNT(feature_rows); i++) {
        const feature_row *row = &feature_rows[i];
        bool has = (row->needs & ~(features | *out_refused)) == 0 && (row->xcr0 & ~facts->xcr0) == 0;
        for (size_t j = 0; j < AGATE_COUNT(facts->cpuid); j++)
            has &= (row->cpuid[j] & ~facts->cpuid[j]) == 0;
        const bool refused = (row->xcr0 & facts->refused) != 0 || (row->needs & *out_refused) != 0;
        if (has && refused)
            *out_refused |= row->bit;
        else if (has)
            features |= row->bit;
    }
    return features;
}

static uint32_t known_features, known_refused;

#if defined(__x86_64__)
/* Linux 5.16 and later: the state of AMX's tiles, 8 KB for each thread, is a process's only once it has
 * asked. Names of asm/prctl.h, which older systems lack. */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA  18

static uint32_t cpuid_register(uint32_t leaf, uint32_t subleaf, int32_t which)
{
    uint32_t registers[4] = {0}; /* EAX EBX ECX EDX; zero where the CPU has no such leaf */
    if (!__get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]))
        return 0;
    return registers[which];
}

static void read_features(void)
{
    enum { EAX, EBX, ECX, EDX };
    agate_cpu_facts facts = {
        .cpuid = {cpuid_register(1, 0, ECX), cpuid_register(7, 0, EBX), cpuid_register(7, 0, ECX),
                  cpuid_register(7, 0, EDX), cpuid_register(7, 1, EAX), cpuid_register(0x80000001, 0, ECX)},
    };
    const bool has_xgetbv = facts.cpuid[0] >> 27 & 1;
    uint32_t xcr0_low = 0, xcr0_high = 0;
    if (has_xgetbv)
        __asm__ volatile("xgetbv" : "=a"(xcr0_low), "=d"(xcr0_high) : "c"(0));
    facts.xcr0 = (uint64_t)xcr0_high << 32 | xcr0_low;

    known_features = agate_cpu_features_from(&facts, &known_refused);
    if ((known_features & AGATE_CPU_AMX_TILE) &&
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0) {
        facts.refused = UINT64_C(1) << XFEATURE_XTILEDATA;
        known_features = agate_cpu_features_from(&facts, &known_refused);
    }
}
#else
static void read_features(void)
{
}
#endif

static pthread_once_t features_read = PTHREAD_ONCE_INIT;

uint32_t agate_cpu_features(void)
{
    pthread_once(&features_read, read_features);
    return known_features;
}

uint32_t agate_cpu_features_refused(void)
{
    pthread_once(&features_read, read_features);
    return known_refused;
}

void agate_cpu_features_print(uint32_t features, agate_text *text)
{
    const char *separator = "";
    for (size_t i = 0; i < AGATE_COUNT(feature_rows); i++)
        if (features & feature_rows[i].bit) {
            agate_text_add(text, "%s%s", separator, feature_rows[i].text);
            separator = ", ";
            features &= ~feature_rows[i].bit;
        }
    if (features)
        agate_text_add(text, "%sunknown features 0x%x", separator, features);
}

void agate_cpu_features_explain(uint32_t missing, uint32_t refused, agate_text *text)
{
    if (missing & ~refused) {
        agate_text_add(text, "this CPU lacks ");
        agate_cpu_features_print(missing & ~refused, text);
    }
    if (missing & refused) {
        agate_text_add(text, "%sthe system refuses this process ", missing & ~refused ? ", and " : "");
        agate_cpu_features_print(missing & refused, text);
    }
}

void agate_cpu_features_list(uint32_t features, const char *sign, bool commas, agate_text *text)
{
    const char *separator = "";
    for (size_t i = 0; i < AGATE_COUNT(feature_rows); i++)
        if (features & feature_rows[i].bit) {
            agate_text_add(text, "%s%s%s", separator, sign, feature_rows[i].name);
            separator = commas ? "," : "";
        }
}

uint32_t agate_cpu_feature_find(const char *text, size_t *out_length)
{
    uint32_t found = 0;
    *out_length = 0;
    for (size_t i = 0; i < AGATE_COUNT(feature_rows); i++) {
        const size_t length = strlen(feature_rows[i].name);
        if (length > *out_length && strncmp(text, feature_rows[i].name, length) == 0) {
            *out_length = length;
            found = feature_rows[i].bit;
        }
    }
    return found;
}

/* A row stands behind those it builds on: one walk, backwards or forwards, is enough. */
uint32_t agate_cpu_features_with(uint32_t features, uint32_t more)
{
    for (size_t i = AGATE_COUNT(feature_rows); i > 0; i--)
        if (more & feature_rows[i - 1].bit)
            more |= feature_rows[i - 1].needs;
    return features | more;
}

uint32_t agate_cpu_features_without(uint32_t features, uint32_t less)
{
    for (size_t i = 0; i < AGATE_COUNT(feature_rows); i++)
        if (less & feature_rows[i].needs)
            less |= feature_rows[i].bit;
    return features & ~less;
}

/* ---- cores granted ------------------------------------------------------------------------------------ */

static int32_t affinity_count(void)
{
    /* The kernel refuses a set smaller than its own: grow until it fits. */
    for (int32_t room = CPU_SETSIZE; room <= 1 << 20; room *= 4) {
        cpu_set_t *set = CPU_ALLOC(room);
        if (!set)
            break;
        const size_t size = CPU_ALLOC_SIZE(room);
        const int32_t count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return (int32_t)agate_max(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

/* The first number or word pair of a small file under /sys. False if it is not there or reads otherwise. */
static bool read_numbers(const char *folder, const char *name, int32_t want, int64_t out_values[2])
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    const int got = fscanf(file, "%" SCNd64 " %" SCNd64, &out_values[0], &out_values[1]);
    fclose(file);
    return got >= want;
}

/* Cores that the quota of one cgroup folder gives, rounded up; INT32_MAX where it sets none ("max" or -1). */
static int32_t folder_quota(const char *folder)
{
    int64_t quota[2], period[2];
    if (!read_numbers(folder, "cpu.max", 2, quota)) {
        if (!read_numbers(folder, "cpu.cfs_quota_us", 1, quota) ||
            !read_numbers(folder, "cpu.cfs_period_us", 1, period))
            return INT32_MAX;
        quota[1] = period[0];
    }
    if (quota[0] <= 0 || quota[1] <= 0)
        return INT32_MAX;
    return (int32_t)agate_min(agate_ceil_div(quota[0], quota[1]), INT32_MAX);
}

/* The least quota of `root`/`path` and the folders above it. In a container the path may be the host's:
 * folders that are not there set no limit. */
static int32_t hierarchy_quota(const char *root, const char *path)
{
    char folder[PATH_MAX];
    const int size = snprintf(folder, sizeof(folder), "%s%s", root, path);
    if (size < 0 || size >= (int)sizeof(folder))
        return INT32_MAX;
    const size_t root_size = strlen(root);
    int32_t least = folder_quota(folder);
    for (char *slash; (slash = strrchr(folder, '/')) && slash >= folder + root_size;) {
        *slash = 0;
        least = (int32_t)agate_min(least, folder_quota(folder));
    }
    return least;
}

static bool lists_cpu(char *controllers)
{
    char *rest;
    for (char *word = strtok_r(controllers, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (strcmp(word, "cpu") == 0)
            return true;
    return false;
}

/* Lines of /proc/self/cgroup are "number:controllers:path"; version 2 is number 0 with no controllers. */
static int32_t cgroup_count(void)
{
    int32_t least = INT32_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return least;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        if (*controllers == 0)
            least = (int32_t)agate_min(least, hierarchy_quota("/sys/fs/cgroup", path));
        else if (lists_cpu(controllers))
            least = (int32_t)agate_min(least, hierarchy_quota("/sys/fs/cgroup/cpu", path));
    }
    free(line);
    fclose(file);
    return least;
}

int32_t agate_cpu_count(void)
{
    return (int32_t)agate_max(agate_min(affinity_count(), cgroup_count()), 1);
}
