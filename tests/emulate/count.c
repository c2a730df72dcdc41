/* count.c: from which cache the tiles of a kernel come, as a model of two caches has it.
 *
 * With AGATE_AMX_COUNT in the environment, each TILERELEASE writes a line to standard error: how many
 * products of tiles there were since the one before, and how many lines of 64 bytes were loaded for inputs
 * and for weights (tiles 6 and 7, as emit_amx.c numbers them): in all, not in the first cache, not in the
 * second either, and of those how many were read for the first time. Both drop what was used least recently;
 * they are those of Sapphire Rapids. Nothing but loads of tiles is seen: no vectors, no prefetches. One
 * thread alone may compute (--threads 1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emulate/amx.h"

enum { LINE = 64, FIRST_SETS = 64, FIRST_WAYS = 12, SECOND_SETS = 2048, SECOND_WAYS = 16, SEEN_BITS = 22 };

/* Lines by set, from the one used last to the one used least recently. 0: none. */
static uintptr_t first[FIRST_SETS][FIRST_WAYS], second[SECOND_SETS][SECOND_WAYS];
/* A hash table of the lines that the kernel has read. */
static uintptr_t seen[1 << SEEN_BITS];

typedef struct counts {
    uint64_t lines, not_first, not_second, fresh;
} counts;

static counts inputs, weights;
static uint64_t products;

/* Makes the line the one used last; was it there? */
static bool use(uintptr_t *set, int ways, uintptr_t line)
{
    int at = 0;

    while (at < ways - 1 && set[at] != line)
        at++;
    const bool there = set[at] == line;
    memmove(set + 1, set, (size_t)at * sizeof *set);
    set[0] = line;
    return there;
}

static bool is_fresh(uintptr_t line)
{
    size_t at = (size_t)((uint64_t)line * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SEEN_BITS));

    while (seen[at] && seen[at] != line)
        at = (at + 1) % ((size_t)1 << SEEN_BITS);
    const bool fresh = !seen[at];
    seen[at] = line;
    return fresh;
}

static void load_line(counts *c, uintptr_t line)
{
    const bool fresh = is_fresh(line);

    c->lines++;
    if (use(first[line % FIRST_SETS], FIRST_WAYS, line))
        return;
    c->not_first++;
    if (use(second[line % SECOND_SETS], SECOND_WAYS, line))
        return;
    c->not_second++;
    c->fresh += fresh;
}

static void report(const char *what, const counts *c)
{
    fprintf(stderr, ", %s %llu %llu %llu %llu", what, (unsigned long long)c->lines,
            (unsigned long long)c->not_first, (unsigned long long)c->not_second,
            (unsigned long long)c->fresh);
}

static void end_kernel(void)
{
    fprintf(stderr, "amx: products %llu", (unsigned long long)products);
    report("inputs", &inputs);
    report("weights", &weights);
    fprintf(stderr, "\n");
    inputs = weights = (counts){0};
    products = 0;
    memset(seen, 0, sizeof seen);
}

void agate_amx_count(const agate_amx_tiles *tiles, const agate_amx_instruction *i,
                     const uint64_t registers[17])
{
    const int tile = i->tiles[0];

    if (i->op == AGATE_AMX_TDPBF16PS)
        products++;
    if (i->op == AGATE_AMX_TILERELEASE && products)
        end_kernel();
    if (i->op != AGATE_AMX_TILELOADD)
        return;
    uint64_t stride;
    const uintptr_t base = (uintptr_t)agate_amx_memory(i, registers, &stride);
    for (uintptr_t row = 0; row < tiles->shape[tile].rows; row++) {
        const uintptr_t at = base + row * stride;
        for (uintptr_t line = at / LINE; line <= (at + tiles->shape[tile].row_bytes - 1) / LINE; line++)
            load_line(tile >= 6 ? &weights : &inputs, line);
    }
}
