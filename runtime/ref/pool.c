/* pool.c: max and average over sliding windows. Pads are skipped; a window that meets only pads gives the
 * least number (max) or 0 (average). */
#include <math.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

/* The average's divisor: taps on the input, or within its pads if those count. What `ceil` adds past them
 * never counts. */
static int64_t pool_divisor(const agate_window *window, const int64_t *at, bool count_pads)
{
    int64_t divisor = 1;

    for (int32_t d = 0; d < window->rank; d++) {
        int64_t begin = count_pads ? -window->begins[d] : 0;
        int64_t end = window->in[d] + (count_pads ? window->ends[d] : 0), taps = 0;

        for (int64_t tap = 0; tap < window->kernel[d]; tap++) {
            int64_t x = agate_window_at(window, d, at[d], tap);

            taps += x >= begin && x < end;
        }
        divisor *= taps;
    }
    return divisor;
}

enum { POOL_MAX, POOL_AVG };

#define TEMPLATE "runtime/ref/pool_typed.h"
#include "runtime/ref/typed.h"

AGATE_REF(max_pool)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(pool),
                                                            AGATE_INTEGER_TYPED(pool)};

    return agate_call_typed(table, call, POOL_MAX, "max_pool");
}

AGATE_REF(avg_pool)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(pool)};

    return agate_call_typed(table, call, POOL_AVG, "avg_pool");
}
