/* map.h: a hash table in an arena, from pointers or texts to pointers. For the printer, the parser and the
 * verifier. */
#ifndef AGATE_MAP_H
#define AGATE_MAP_H

#include "runtime/base/base.h"

typedef struct agate_map_entry {
    const void *key; /* NULL: free */
    size_t size_bytes;
    void *value;
} agate_map_entry;

/* Set `arena`, zero the rest. Keys are not copied. */
typedef struct agate_map {
    agate_arena *arena;
    agate_map_entry *entries;
    size_t room; /* a power of two, or 0 */
    size_t count;
} agate_map;

/* A key is `size_bytes` bytes, or where that is 0 the pointer itself. Returns NULL where there is none. */
void *agate_map_get(const agate_map *map, const void *key, size_t size_bytes);

/* Adds a key that is not there yet, or replaces its value. */
void agate_map_put(agate_map *map, const void *key, size_t size_bytes, void *value);

#endif
