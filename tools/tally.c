/* tally.c: rows in order, and a map that finds them. */
#include "tools/tally.h"

static agate_tally_row *add_row(agate_tally *tally, const char *name)
{
    agate_tally_row *row;

    if (tally->count == tally->room) {
        size_t room = tally->room ? 2 * tally->room : 16;
        agate_tally_row *grown = AGATE_NEW_N(tally->arena, agate_tally_row, room);

        if (tally->count)
            memcpy(grown, tally->rows, tally->count * sizeof *grown);
        tally->rows = grown;
        tally->room = room;
    }
    row = &tally->rows[tally->count++];
    *row = (agate_tally_row){agate_arena_text(tally->arena, name), 0};
    tally->numbers.arena = tally->arena;
    agate_map_put(&tally->numbers, row->name, strlen(name) + 1, (void *)(uintptr_t)tally->count);
    return row;
}

void agate_tally_add(agate_tally *tally, const char *name)
{
    uintptr_t number = (uintptr_t)agate_map_get(&tally->numbers, name, strlen(name) + 1);

    if (number)
        tally->rows[number - 1].count++;
    else
        add_row(tally, name)->count = 1;
}
