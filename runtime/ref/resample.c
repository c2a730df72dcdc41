/* resample.c: weighted sums of elements that follow each other along one dimension, from a table of where and
 * how. */
#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

#define TEMPLATE "runtime/ref/resample_typed.h"
#include "runtime/ref/typed.h"

AGATE_REF(resample)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(resample)};

    return agate_call_typed(table, call, 0, "resample");
}
