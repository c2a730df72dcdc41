/* clock.c: the clock of deadlines, profiles and timings. */
#include <time.h>

#include "runtime/base/base.h"

uint64_t agate_clock_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}
