/* call.h: how a reference kernel is called: by constant folding, by tests, and by steps of a compiled module.
 */
#ifndef AGATE_CALL_H
#define AGATE_CALL_H

#include "runtime/base/attrs.h"

/* One call. Tensors are dense, row-major, fully shaped, sized and typed by inference; the kernel fills
 * outputs[i]->data. An absent optional input is a NULL entry. */
typedef struct agate_ref_call {
    const agate_attrs *attrs;
    int32_t input_count;
    int32_t output_count;
    const agate_tensor *const *inputs;
    agate_tensor *const *outputs;
    int32_t variant; /* scalar ops share one kernel: which agate_scalar_op it is */
} agate_ref_call;

/* Thread-safe. Fails only for a dtype that the op does not take, or for data that it cannot mean (an index
 * out of range); never for shapes, which inference has checked. */
typedef agate_status (*agate_ref_fn)(const agate_ref_call *call);

#endif
