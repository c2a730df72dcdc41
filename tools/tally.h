/* tally.h: how often each of some names occurs. */
#ifndef AGATE_TALLY_H
#define AGATE_TALLY_H

#include "ir/map.h"

typedef struct agate_tally_row {
    const char *name;
    size_t count;
} agate_tally_row;

/* Zero-initialize, then set the arena that everything is to live in. Rows stand in the order of first
 * sight. */
typedef struct agate_tally {
    agate_arena *arena;
    agate_tally_row *rows;
    size_t count, room;
    agate_map numbers; /* name -> its row + 1 */
} agate_tally;

/* Counts `name`, which is copied when it is new. */
void agate_tally_add(agate_tally *tally, const char *name);

#endif
