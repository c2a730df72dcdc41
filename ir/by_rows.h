/* by_rows.h: may the rows of a batch be computed apart? */
#ifndef AGATE_BY_ROWS_H
#define AGATE_BY_ROWS_H

#include "ir/graph.h"

/* The rules of ops.def's column `rows`. */
#define AGATE_ROWS(name) bool agate_rows_##name(const agate_node *node)

#define AGATE_OP(id, text, lo, hi, attrs, traits, infer, reference, family, rows) AGATE_ROWS(rows);
#include "ir/ops.def"
#undef AGATE_OP

/* Has every value whose outermost dimension follows the batch, in its row i, nothing but what row i of the
 * graph's parameters makes, with values that have no batch? Then the graph may run for some rows of its
 * parameters at a time, each time writing those rows of its results. No, where an op is not known to be
 * so. */
bool agate_graph_is_by_rows(const agate_graph *graph);

/* How many of its first kernels may run so, whatever follows them: none is a call of a reference kernel, and
 * what they write has rows. */
uint32_t agate_graph_kernels_by_rows(const agate_graph *graph);

#endif
