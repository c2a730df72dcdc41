/* strategies_winograd.c: when strategy winograd applies, its tiles, and its cost by a model of the machine. */
#include "passes/winograd.h"

/* Cycles of the two transforms for a tile and a vector of channels, and bytes of weights that a cycle brings from memory
 * while products are summed: measured, and rounded. */
#define INPUT_CYCLES(t)  ((t) == 4 ? 45 : 120)
#define OUTPUT_CYCLES(t) ((t) == 4 ? 40 : 130)
#define MEMORY_BYTES     4.0
#define NEAR_BYTES       16.0 /* of the next cache */

#define UNROLL 4

typedef struct problem {
    const agate_machine *machine;
    int64_t t, channels, filters, image_tiles;
    int64_t blocks, vectors; /* of inputs and outputs, in vectors */
    int64_t weight_bytes;
} problem;

/* All tiles in register tiles of oc vectors by ow tiles, the last ones filled up. */
static double product_cycles(const problem *p, int64_t oc, int64_t ow)
{
    int64_t chunks = agate_ceil_div(p->image_tiles, ow), whole = p->vectors / oc, rest = p->vectors % oc;
    double step = (double)whole * agate_register_tile_cycles(p->machine, oc, ow);

    if (rest)
        step += agate_register_tile_cycles(p->machine, rest, ow);
    return step * (double)(chunks * p->channels * p->t * p->t);
}

/* As many register tiles to a task as leave its inputs and products in the cache, but some tasks for several threads. */
static void choose_grain(const problem *p, agate_tiles *tiles)
{
    int64_t chunks = agate_ceil_div(p->image_tiles, tiles->ow);
    int64_t chunk_bytes = 4 * p->t * p->t * tiles->ow * tiles->v * (p->blocks + tiles->oc);
    int64_t each = agate_max(1, p->machine->l2_bytes * 3 / 4 / chunk_bytes);

    each = agate_min(each, agate_ceil_div(chunks, 4));
    /* As even as they can be. */
    each = agate_ceil_div(chunks, agate_ceil_div(chunks, each));
    tiles->grain = (int32_t)(each * tiles->ow);
}

static double all_cycles(const problem *p, const agate_tiles *tiles, double products)
{
    double tasks = (double)agate_ceil_div(p->image_tiles, tiles->grain);
    double weights = (double)p->weight_bytes;
    double reading = weights / MEMORY_BYTES + (tasks - 1) * weights / NEAR_BYTES;
    double transforms =
        (double)p->image_tiles * (double)(p->blocks * INPUT_CYCLES(p->t) + p->vectors * OUTPUT_CYCLES(p->t));
    return (products > reading ? products : reading) + transforms;
}

agate_winograd_choice agate_winograd_choose(const agate_machine *machine, int64_t t, int64_t channels,
                                            int64_t filters, int64_t height, int64_t width, int64_t vectors)
{
    int64_t v = agate_machine_lanes(machine), m = t - 2;
    problem p = {.machine = machine,
                 .t = t,
                 .channels = channels,
                 .filters = filters,
                 .image_tiles = agate_ceil_div(height, m) * agate_ceil_div(width, m),
                 .blocks = agate_ceil_div(channels, v),
                 .vectors = agate_ceil_div(filters, v),
                 .weight_bytes = 4 * t * t * channels * filters};
    int64_t registers = machine->vector_registers - (machine->vector_bits >= 256 ? 1 : 3);
    agate_winograd_choice best = {.t = t};

    for (int64_t oc = vectors ? vectors : 1; oc <= (vectors ? vectors : agate_min(4, p.vectors)); oc++)
        for (int64_t ow = agate_max(1, agate_min((registers - oc) / oc, p.image_tiles)); ow >= 1; ow--) {
            agate_tiles tiles = {.v = (int32_t)v, .oc = (int32_t)oc, .ow = (int32_t)ow, .ic = UNROLL};
            choose_grain(&p, &tiles);
            double cycles = all_cycles(&p, &tiles, product_cycles(&p, oc, ow));
            if (best.cycles > 0 && cycles >= best.cycles * 0.998)
                continue;
            best.cycles = cycles;
            best.tiles = tiles;
        }
    best.tiles.kc = agate_sum_part(channels);
    int64_t chunks = best.tiles.grain / agate_max(1, best.tiles.ow);
    best.tiles.ahead = (int32_t)agate_ceil_div(UNROLL * best.tiles.oc * v * 4 / 64, agate_max(1, chunks));
    return best;
}

const char *agate_winograd_applies(const agate_candidate *c)
{
    if (!c->anchor || c->anchor->op != AGATE_OP_winograd)
        return "no convolution with transformed weights";
    const agate_type *x = &c->anchor->operands[0]->type, *u = &c->anchor->operands[1]->type;
    const agate_type *y = &c->anchor->results[0].type;
    int32_t lanes = agate_machine_lanes(c->machine);

    for (int32_t i = 0; i < c->anchor->operand_count; i++)
        if (c->anchor->operands[i]->node)
            return "its operands are computed in the kernel";
    if (x->layout.kind != AGATE_LAYOUT_channel || x->layout.block != lanes ||
        y->layout.kind != AGATE_LAYOUT_channel || y->layout.block != lanes)
        return "not in blocked layout";
    if (u->layout.kind != AGATE_LAYOUT_o || u->layout.block % lanes)
        return "weights not packed for it";
    return NULL;
}

agate_tiles agate_winograd_plan(const agate_candidate *c)
{
    const agate_type *x = &c->anchor->operands[0]->type, *u = &c->anchor->operands[1]->type;
    const agate_type *y = &c->anchor->results[0].type;

    return agate_winograd_choose(c->machine, u->dims[1].offset, x->dims[1].offset, u->dims[0].offset,
                                 y->dims[2].offset, y->dims[3].offset,
                                 u->layout.block / agate_machine_lanes(c->machine))
        .tiles;
}
