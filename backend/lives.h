/* lives.h: until which step of a module the memory of a value is read. Internal to the backend. */
#ifndef AGATE_LIVES_H
#define AGATE_LIVES_H

#include "ir/graph.h"
#include "ir/map.h"

typedef struct agate_lives {
    agate_map of; /* value -> the life that it shares with its views and with all that is joined to it */
} agate_lives;

/* Step k is the graph's k-th kernel. Takes memory of `arena`, which must outlive `lives`. */
void agate_lives_init(agate_lives *lives, const agate_graph *graph, agate_arena *arena);

/* The last step that uses `value`, a view of it, or what either is a part of: at least the one that computes
 * it. */
uint32_t agate_lives_last(const agate_lives *lives, const agate_value *value);

#endif
