/* cost.h: what a graph costs, counted and not measured: arithmetic and memory. */
#ifndef AGATE_COST_H
#define AGATE_COST_H

#include "ir/graph.h"

/* Operations of one convolution, product of matrices or window; multiply-adds count as two, taps of a window as one. 0 for
 * any other op, and where the count is no multiple of the batch. A kernel: of its body. */
agate_dim agate_node_flops(const agate_node *node);

/* Bytes that the slab of a planned graph takes. Returns false where a tensor is too large to have a size. */
bool agate_graph_slab_size(const agate_graph *graph, agate_dim *out_size_bytes);

#endif
