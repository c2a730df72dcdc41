/* interpret.h: runs a graph by the reference kernels, at any stage: the truth that compiled code is held
 * against.
 *
 * Layouts, strategies, tiles and places are ignored: every tensor is plain while it runs, and constants that
 * are stored in a blocked layout are unpacked first.
 */
#ifndef AGATE_INTERPRET_H
#define AGATE_INTERPRET_H

#include "ir/graph.h"

/* Checks `inputs` against the graph's parameters and finds the batch that they agree on (1 where no dimension
 * follows it). An error names the input. Thread-safe. */
AGATE_MUST_USE agate_status agate_graph_batch(const agate_graph *graph, const agate_tensor *inputs,
                                              size_t input_count, int64_t *out_batch);

/* Runs a whole graph. `inputs` must be what its parameters are at this batch, which is checked. Fills
 * `outputs`, one per result of the graph; their data is the caller's, to give to agate_interpret_free; on an
 * error there is nothing to free. Errors of kernels name the node; a weight without contents is
 * AGATE_CODE_NOT_FOUND. Thread-safe: the graph is only read. */
AGATE_MUST_USE agate_status agate_interpret(const agate_graph *graph, const agate_tensor *inputs,
                                            size_t input_count, agate_tensor *outputs, size_t output_count,
                                            int64_t batch);

/* Hears the results of each node of the graph (constants and bodies of kernels apart) once they are computed,
 * and may overwrite their elements: that is what the nodes behind then read. An error ends the run. */
typedef agate_status (*agate_observe_fn)(void *user, const agate_node *node, agate_tensor *const *results);

/* agate_interpret, observed. */
AGATE_MUST_USE agate_status agate_interpret_observed(const agate_graph *graph, const agate_tensor *inputs,
                                                     size_t input_count, agate_tensor *outputs,
                                                     size_t output_count, int64_t batch,
                                                     agate_observe_fn observe, void *user);

/* Frees the data of tensors that agate_interpret filled. */
void agate_interpret_free(agate_tensor *outputs, size_t output_count);

#endif
