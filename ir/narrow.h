/* narrow.h: operands that are kept as bf16 and computed with in f32. In a body such an operand is widened by a cast:
 *
 *     %a = cast $0 to=f32 : f32[N,64,56,56]{nchw16c}        $0 : bf16[N,64,56,56]{nchw16c}
 *     %b = cast $1 to=f32 : f32[64,64,3,3]{oihw8i16o2i}     $1 : bf16[64,64,3,3]{oihw8i16o2i}
 *     %c = conv %a, %b pads=[1, 1, 1, 1] : ...
 *
 * which says what the result is: the products of bf16 numbers, exact in f32, summed in f32. A strategy may compute them from
 * the operands as they lie.
 */
#ifndef AGATE_NARROW_H
#define AGATE_NARROW_H

#include "ir/graph.h"

/* The bf16 parameter of the body that `value` is the widening of; else `value` itself. */
const agate_value *agate_unwidened(const agate_value *value);

static inline bool agate_is_bf16(const agate_value *value)
{
    return value->type.dtype == AGATE_BF16;
}

/* Does the node sum, or compare, many bf16 numbers as such? There is no loop for that: its reference kernel serves. */
bool agate_loops_over_bf16(const agate_node *node);

#endif
