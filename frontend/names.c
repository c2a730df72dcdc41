/* names.c: a map from strings to pointers: open addressing with linear probing, never more than half full. */
#include "frontend/names.h"

struct agate_name_slot {
    const char *name; /* NULL: free */
    void *value;
};

/* The slot of `name`, or the free one where it belongs. */
static struct agate_name_slot *slot_of(const agate_names *names, const char *name)
{
    /* Where the arena lies is not known beforehand, so a file cannot hold names that all fall into one
     * place. */
    const uint64_t seed = AGATE_HASH_SEED ^ (uintptr_t)names->arena;
    size_t at = agate_hash_bytes(seed, name, strlen(name)) & (names->room - 1);
    while (names->slots[at].name && strcmp(names->slots[at].name, name) != 0)
        at = (at + 1) & (names->room - 1);
    return &names->slots[at];
}

void *agate_names_find(const agate_names *names, const char *name)
{
    return names->room ? slot_of(names, name)->value : NULL;
}

static void grow(agate_names *names)
{
    const agate_names old = *names;
    names->room = old.room ? 2 * old.room : 16;
    names->slots = AGATE_NEW_N(names->arena, struct agate_name_slot, names->room);
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].name)
            *slot_of(names, old.slots[i].name) = old.slots[i];
}

bool agate_names_add(agate_names *names, const char *name, void *value)
{
    if (2 * (names->count + 1) > names->room)
        grow(names);
    struct agate_name_slot *slot = slot_of(names, name);
    if (slot->name)
        return false;
    *slot = (struct agate_name_slot){name, value};
    names->count++;
    return true;
}
