/* claim.c: AMX among the CPU's features, by the linker's --wrap of agate_cpu_features. */
#include <pthread.h>

#include "runtime/base/features.h"
#include "tests/emulate/amx.h"

#define AMX (AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16)

uint32_t __real_agate_cpu_features(void);
uint32_t __wrap_agate_cpu_features(void);

static pthread_once_t started = PTHREAD_ONCE_INIT;
static agate_amx_means means;

static void start(void)
{
    const uint32_t features = __real_agate_cpu_features();

    if ((features & AMX) == AMX)
        means = AGATE_AMX_NATIVE;
    else if ((features & AGATE_CPU_V4) == AGATE_CPU_V4 && agate_amx_install())
        means = AGATE_AMX_EMULATED;
}

agate_amx_means agate_amx_start(void)
{
    pthread_once(&started, start);
    return means;
}

uint32_t __wrap_agate_cpu_features(void)
{
    const uint32_t features = __real_agate_cpu_features();

    return agate_amx_start() == AGATE_AMX_EMULATED ? features | AMX : features;
}
