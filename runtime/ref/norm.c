/* norm.c: batch normalization with given statistics. */
#include <math.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

AGATE_REF(batch_norm)
{
    const agate_tensor *x = call->inputs[0];
    agate_tensor *y = call->outputs[0];
    int64_t channels = x->rank > 1 ? x->dims[1] : 1, count = agate_count(x);
    int64_t inner = x->rank > 2 ? agate_product(&x->dims[2], x->rank - 2) : 1;

    for (int64_t i = 0; i < count; i++) {
        int64_t channel = i / inner % channels;
        double row[5] = {agate_element_load(x->dtype, x->data, i)};

        for (int32_t k = 1; k < 5; k++)
            row[k] = agate_element_load(call->inputs[k]->dtype, call->inputs[k]->data, channel);
        agate_element_store(y->dtype, y->data, i,
                            (row[0] - row[3]) / sqrt(row[4] + call->attrs->norm.epsilon) * row[1] + row[2]);
    }
    return AGATE_OK;
}
