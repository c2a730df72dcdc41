/* conv.c: convolution over any number of spatial dimensions. */
#include <math.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

/* Outputs of a row that are summed side by side: taps outside, pixels inside, which a C compiler vectorizes.
 */
#define ROW 64

#define FLOATS_ONLY
#define TEMPLATE "runtime/ref/conv_typed.h"
#include "runtime/ref/typed.h"

AGATE_REF(conv)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(conv)};

    return agate_call_typed(table, call, 0, "conv");
}
