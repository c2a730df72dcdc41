/* names.h: a map from strings to pointers, in an arena. */
#ifndef AGATE_NAMES_H
#define AGATE_NAMES_H

#include "runtime/base/base.h"

typedef struct agate_names {
    agate_arena *arena;
    struct agate_name_slot *slots; /* open addressing; a power of two */
    size_t room;
    size_t count;
} agate_names;

static inline agate_names agate_names_make(agate_arena *arena)
{
    return (agate_names){.arena = arena};
}

/* NULL where `name` is not there. */
void *agate_names_find(const agate_names *names, const char *name);

/* Adds `name`, which must live as long as the map. Returns false, and changes nothing, where it is there
 * already. */
bool agate_names_add(agate_names *names, const char *name, void *value);

#endif
