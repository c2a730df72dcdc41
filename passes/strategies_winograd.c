/* strategies_winograd.c: when strategy winograd applies, its tiles, and its cost by a model of the
 * machine. */
#include "passes/winograd.h"

/* Measured on a machine of 2 multiply-adds a cycle, and rounded: cycles of the two transforms for a tile and
 * a vector of channels; bytes that a cycle brings from memory, from the last cache, and from there into
 * registers beside products. */
#define INPUT_CYCLES(t)  ((t) == 4 ? 60 : 200)
#define OUTPUT_CYCLES(t) ((t) == 4 ? 80 : 180)
#define MEMORY_BYTES     10.0
#define SHARED_BYTES     16.0
#define BESIDE_BYTES     25.0
#define SECOND_BYTES     24.0 /* from the second cache */
/* What the last cache keeps of weights from task to task. */
#define SHARED_CACHE_BYTES (16 << 20)
/* A direct convolution's share of the peak, which its own model takes for all. */
#define DIRECT_SHARE 0.87

/* The workspace of a thread, in multiples of the cache of a core. */
#define MOST_CACHES 6
/* Tasks of an image, for a few threads. */
#define TASKS 4

#define UNROLL 4

typedef struct problem {
    const agate_machine *machine;
    int64_t t, lanes, channels, filters, image_tiles;
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
    /* A point's weights that the first cache does not hold come from the second for each chunk. */
    double bytes = (double)(p->vectors * p->lanes * 4);
    if (4 * p->channels * oc * p->lanes > p->machine->l1_bytes / 2 && bytes / SECOND_BYTES > step)
        step = bytes / SECOND_BYTES;
    /* Of equals, the tile that loads less for what it multiplies. */
    step *= 1 + 0.1 * (double)(oc + ow) / (double)(oc * ow);
    return step * (double)(chunks * p->channels * p->t * p->t);
}

/* Weights come from memory or the last cache beside the products, and hold them up the more, the more of the
 * time they take. Inputs of a task that do not stay in the cache of a core come from the next one for each
 * panel. */
static double all_cycles(const problem *p, const agate_tiles *tiles)
{
    double products = product_cycles(p, tiles->oc, tiles->ow), weights = (double)p->weight_bytes;
    double tasks = (double)agate_ceil_div(p->image_tiles, tiles->grain);
    double panels = (double)agate_ceil_div(p->vectors, tiles->oc);
    double again = p->weight_bytes <= SHARED_CACHE_BYTES ? SHARED_BYTES : MEMORY_BYTES;
    double reading = weights / MEMORY_BYTES + (tasks - 1) * weights / again;
    double input_bytes = 4.0 * (double)(p->t * p->t * tiles->grain * p->blocks * tiles->v);
    double inputs = input_bytes > 0.6 * (double)p->machine->l2_bytes ? tasks * panels * input_bytes : 0;
    double transforms =
        (double)p->image_tiles * (double)(p->blocks * INPUT_CYCLES(p->t) + p->vectors * OUTPUT_CYCLES(p->t));

    return products + 0.27 * reading * reading / products + inputs / BESIDE_BYTES + transforms;
}

/* Register tiles in a task: of few all, or about as many in each of a few tasks; else some. */
static double choose_grain(const problem *p, agate_tiles *tiles)
{
    int64_t chunks = agate_ceil_div(p->image_tiles, tiles->ow), most = agate_min(chunks, 16);
    int64_t chunk_bytes = 4 * p->t * p->t * tiles->ow * tiles->v * (p->blocks + tiles->oc);
    double best = 0;

    for (int64_t i = 1; i <= most + TASKS; i++) {
        int64_t each =
            i <= most ? agate_ceil_div(chunks, agate_ceil_div(chunks, i)) : agate_ceil_div(chunks, i - most);
        if (i > 1 && each * chunk_bytes > MOST_CACHES * p->machine->l2_bytes)
            continue;
        agate_tiles one = *tiles;
        one.grain = (int32_t)(each * tiles->ow);
        double cycles = all_cycles(p, &one);
        if (best > 0 && cycles >= best * 0.998)
            continue;
        best = cycles;
        *tiles = one;
    }
    return best;
}

/* Where tiles alone make few tasks, panels make more. */
static void finish_tiles(const problem *p, agate_tiles *tiles)
{
    int64_t runs = agate_ceil_div(p->image_tiles, tiles->grain), chunks = tiles->grain / tiles->ow;
    int64_t panels = agate_ceil_div(p->vectors, tiles->oc);
    int64_t groups = agate_min(panels, agate_ceil_div(TASKS, runs));

    tiles->ocs = groups > 1 ? (int32_t)agate_ceil_div(panels, groups) : 0;
    tiles->kc = agate_sum_part(p->channels);
    tiles->ahead = (int32_t)agate_ceil_div(UNROLL * tiles->oc * tiles->v * 4 / 64, chunks);
}

agate_winograd_choice agate_winograd_choose(const agate_machine *machine, int64_t t, int64_t channels,
                                            int64_t filters, int64_t height, int64_t width, int64_t vectors)
{
    int64_t v = agate_machine_lanes(machine), m = t - 2;
    problem p = {.machine = machine,
                 .t = t,
                 .lanes = v,
                 .channels = channels,
                 .filters = filters,
                 .image_tiles = agate_ceil_div(height, m) * agate_ceil_div(width, m),
                 .blocks = agate_ceil_div(channels, v),
                 .vectors = agate_ceil_div(filters, v),
                 .weight_bytes = 4 * t * t * channels * filters};
    int64_t registers = machine->vector_registers - (machine->vector_bits >= 256 ? 1 : 3);
    int64_t least = vectors ? vectors : 1, most = vectors ? vectors : agate_min(4, p.vectors);
    agate_winograd_choice best = {.t = t};

    for (int64_t oc = least; oc <= most; oc++)
        for (int64_t ow = agate_max(1, agate_min((registers - oc) / oc, p.image_tiles)); ow >= 1; ow--) {
            agate_tiles tiles = {.v = (int32_t)v, .oc = (int32_t)oc, .ow = (int32_t)ow, .ic = UNROLL};
            double cycles = choose_grain(&p, &tiles);
            if (best.cycles > 0 && cycles >= best.cycles * 0.998)
                continue;
            best.cycles = cycles;
            best.tiles = tiles;
        }
    best.cycles *= DIRECT_SHARE;
    finish_tiles(&p, &best.tiles);
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
