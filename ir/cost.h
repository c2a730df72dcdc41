/* cost.h: what a graph costs, counted and not measured: arithmetic and memory. */
#ifndef AGATE_COST_H
#define AGATE_COST_H

#include "ir/graph.h"
#include "runtime/base/features.h"

/* Operations of one convolution, product of matrices, resampling or window; multiply-adds count as two, taps
 * of a window as one. 0 for any other op, and where the count is no multiple of the batch. A kernel: of its
 * body. */
agate_dim agate_node_flops(const agate_node *node);

/* What scalar ops, reductions and softmaxes cost beside multiply-adds, of one node or a kernel's body. */
typedef struct agate_scalar_work {
    /* Vector instructions, counted by the elements that they serve: each takes the place of a
     * multiply-add. */
    agate_dim instructions;
    agate_dim divisions; /* and square roots, which the processor makes apart from the rest */
} agate_scalar_work;

agate_scalar_work agate_node_scalar_work(const agate_node *node, const agate_machine *machine);

/* Bytes that the slab of a planned graph takes. Returns false where a tensor is too large to have a size. */
bool agate_graph_slab_size(const agate_graph *graph, agate_dim *out_size_bytes);

#endif
