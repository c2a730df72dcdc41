/* graph_formats.h: a graph in other people's formats. */
#ifndef AGATE_GRAPH_FORMATS_H
#define AGATE_GRAPH_FORMATS_H

#include "ir/graph.h"

/* Appends a Graphviz digraph: a box per node (kernels list their bodies), an edge per operand, its type
 * beside it. */
void agate_graph_print_dot(const agate_graph *graph, bool origins, agate_text *text);

/* Appends a JSON object: name, params, results, and nodes in order, each with op, attrs, operands (value
 * numbers), results (number and type), and where they are: label, strategy, tiles, body, origin. */
void agate_graph_print_json(const agate_graph *graph, bool origins, agate_text *text);

#endif
