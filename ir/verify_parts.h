/* verify_parts.h: the verifier's parts, shared by its files. Internal to ir. */
#ifndef AGATE_VERIFY_PARTS_H
#define AGATE_VERIFY_PARTS_H

#include "ir/map.h"
#include "ir/verify.h"

typedef struct agate_verifier {
    agate_fault_fn report;
    void *user;
    size_t fault_count;
    agate_arena *arena;
    agate_map defined; /* values met so far -> themselves */
    agate_map uses;    /* values -> how many operands they are */
    agate_map slots;   /* operand slots that a use names */
} agate_verifier;

void agate_verify_fault(agate_verifier *v, const agate_node *node, const char *format, ...)
    AGATE_PRINTF(3, 4);

/* Nodes, values and uses of one graph, kernels included. */
void agate_verify_nodes(agate_verifier *v, const agate_graph *graph);

/* verify_kernel.c: the body against operands and results; strategy and tiles. */
void agate_verify_kernel(agate_verifier *v, const agate_node *kernel);

/* verify_places.c: of values in the slab no two overlap while both live; outputs are where the graph returns
 * them. */
void agate_verify_places(agate_verifier *v, const agate_graph *graph);

#endif
