/* kernel.h: reading and building kernel nodes, shared by the passes that make, lay out and schedule them. */
#ifndef AGATE_KERNEL_H
#define AGATE_KERNEL_H

#include "ir/graph.h"

/* The first node of the body that is not pointwise (a conv, matmul, pool, reduction, move ...); NULL:
 * none. */
agate_node *agate_kernel_anchor(const agate_node *kernel);

/* The kernel operand behind a value of the body: what its parameter stands for; NULL: computed in the
 * body. */
agate_value *agate_kernel_operand(const agate_node *kernel, const agate_value *value);

/* The terminator of the body. */
agate_node *agate_kernel_yield(const agate_node *kernel);

/* A kernel in front of `before` that holds one op over `operands`; its result has type `type`. */
agate_node *agate_kernel_build(agate_graph *graph, agate_node *before, agate_op op,
                               agate_value *const *operands, int32_t operand_count, const agate_type *type);

/* One group, or groups whose inputs and outputs are whole blocks. Others have weights in layout `o`. */
bool agate_groups_fill_blocks(const agate_node *conv, int64_t block);

/* The value whose memory `value` shares whole: itself, or what a chain of reshapes starts from. */
agate_value *agate_value_root(agate_value *value);

#endif
