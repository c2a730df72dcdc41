/* region.h: nodes of a graph that are to become one kernel. Internal to passes/.
 *
 * While a pass that forms kernels runs, node->scratch numbers the nodes in execution order, with gaps;
 * value->scratch says which region a node belongs to, or was looked at for.
 */
#ifndef AGATE_REGION_H
#define AGATE_REGION_H

#include "passes/rewrite.h"

/* The most operands and members of a kernel: each operand is a pointer that its loops hold on to, and what is
 * compiled at once should stay small. Uses count, so that a scalar that two members read counts twice. */
#define AGATE_REGION_OPERANDS 24
#define AGATE_REGION_MEMBERS  64

typedef struct agate_region {
    agate_pass *pass;
    agate_node **members; /* in execution order, once finished */
    int32_t count;
    int32_t operand_count; /* uses of outside values by members */
    int64_t mark;          /* this region's mark in value->scratch: `mark` looked at, `mark + 1` member */
    bool down;             /* the queue gives the earliest node first; else the latest */
    agate_node **queue;    /* a heap */
    int32_t queued;
    int32_t queue_room, member_room;
} agate_region;

/* Numbers the nodes of `graph` in execution order and clears the marks. Call it when a pass begins. */
void agate_order_number(agate_graph *graph);

/* Numbers `node`, which was just put in its place, between its neighbours. */
void agate_order_insert(agate_node *node);

static inline int64_t agate_order(const agate_node *node)
{
    return node->scratch;
}

/* Moves constants that `kernel`, numbered, reads and that stand behind its place in front of it: nothing
 * keeps them there. */
void agate_order_bring_constants(agate_node *kernel);

/* A region of `seed` alone. *marks is the next free mark; starts at 1, one for a whole pass. */
void agate_region_init(agate_region *region, agate_pass *pass, agate_node *seed, int64_t *marks, bool down);

bool agate_region_has(const agate_region *region, const agate_node *node);

/* Puts `node` up for a decision, once. Returns false if that cannot be: it has no result. */
bool agate_region_offer(agate_region *region, agate_node *node);

/* The next node in order that is up for a decision; NULL: none. */
agate_node *agate_region_next(agate_region *region);

/* Takes `node` in. */
void agate_region_add(agate_region *region, agate_node *node);

/* Why `node` cannot join whatever the pass thinks of it; NULL: it can. */
const char *agate_region_refuses(const agate_region *region, const agate_node *node);

/* Turns the members into the body of a new kernel in front of `before`: outside values become parameters, and
 * every value used outside a result. All of them must stand where that keeps definitions before uses;
 * constants are moved there. */
agate_node *agate_region_outline(agate_region *region, agate_node *before);

#endif
