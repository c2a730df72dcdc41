/* rounding.h: arithmetic as IEEE 754 has it by default, whatever a thread was told before. */
#ifndef AGATE_ROUNDING_H
#define AGATE_ROUNDING_H

#include "runtime/base/base.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* How a thread rounds, what it makes of denormals, and which exceptions it traps and has seen. */
typedef uint32_t agate_rounding;

/* Has the calling thread round to nearest, keep denormals and trap nothing. Returns what was before. */
static inline agate_rounding agate_rounding_enter(void)
{
#if defined(__x86_64__)
    const agate_rounding before = _mm_getcsr();
    _mm_setcsr(_MM_MASK_MASK);
    return before;
#else
    return 0;
#endif
}

static inline void agate_rounding_leave(agate_rounding before)
{
#if defined(__x86_64__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

#endif
