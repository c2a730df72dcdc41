/* verify.h: is this a well-formed graph? Collects every fault, not the first.
 *
 * Checked: operand counts, order (definition before use), uses both ways, types against inference,
 * attributes, layouts, one terminator at the end, kernels' bodies against their operands and results,
 * strategies and tiles, planned places that overlap while both live.
 */
#ifndef AGATE_VERIFY_H
#define AGATE_VERIFY_H

#include "ir/graph.h"

/* Called for each fault. `node` is NULL for a fault of the graph itself. */
typedef void (*agate_fault_fn)(void *user, const agate_node *node, const char *message);

/* Returns the number of faults. `report` may be NULL. */
size_t agate_verify(const agate_graph *graph, agate_fault_fn report, void *user);

/* The same as a status: AGATE_CODE_INTERNAL with all faults in the message, one a line. */
AGATE_MUST_USE agate_status agate_verify_status(const agate_graph *graph);

#endif
