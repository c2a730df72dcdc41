/* map.c: open addressing with linear probing, at most half full. */
#include "ir/map.h"

static bool same_key(const agate_map_entry *entry, const void *key, size_t size_bytes)
{
    if (entry->size_bytes != size_bytes)
        return false;
    return entry->key == key || (size_bytes > 0 && memcmp(entry->key, key, size_bytes) == 0);
}

/* The entry that holds the key, or the free one where it belongs. `map` has room. */
static agate_map_entry *find(const agate_map *map, const void *key, size_t size_bytes)
{
    uint64_t hash = size_bytes ? agate_hash_bytes(AGATE_HASH_SEED, key, size_bytes)
                               : agate_hash_bytes(AGATE_HASH_SEED, &key, sizeof key);
    size_t at = (size_t)hash & (map->room - 1);

    while (map->entries[at].key && !same_key(&map->entries[at], key, size_bytes))
        at = (at + 1) & (map->room - 1);
    return &map->entries[at];
}

void *agate_map_get(const agate_map *map, const void *key, size_t size_bytes)
{
    return map->room ? find(map, key, size_bytes)->value : NULL;
}

static void grow(agate_map *map)
{
    agate_map larger = {.arena = map->arena, .room = map->room ? 2 * map->room : 16, .count = map->count};

    larger.entries = AGATE_NEW_N(map->arena, agate_map_entry, larger.room);
    for (size_t i = 0; i < map->room; i++)
        if (map->entries[i].key)
            *find(&larger, map->entries[i].key, map->entries[i].size_bytes) = map->entries[i];
    *map = larger;
}

void agate_map_put(agate_map *map, const void *key, size_t size_bytes, void *value)
{
    if (2 * (map->count + 1) > map->room)
        grow(map);
    agate_map_entry *entry = find(map, key, size_bytes);
    map->count += entry->key == NULL;
    *entry = (agate_map_entry){key, size_bytes, value};
}
