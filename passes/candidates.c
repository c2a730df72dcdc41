/* candidates.c: tiles that are worth measuring beside the scheduler's. Only such as compute the same bits:
 * what a sum is cut into (kc) and the steps that it goes in (ic) stay. */
#include "passes/strategy.h"
#include "passes/tuning.h"

typedef struct list {
    agate_tiles *ways;
    size_t count;
    const agate_tiles *own;
} list;

static void add(list *l, agate_tiles tiles)
{
    if (l->count == AGATE_TUNING_WAYS || memcmp(&tiles, l->own, sizeof tiles) == 0)
        return;
    for (size_t i = 0; i < l->count; i++)
        if (memcmp(&tiles, &l->ways[i], sizeof tiles) == 0)
            return;
    l->ways[l->count++] = tiles;
}

/* A number halved and doubled. */
#define ADD_SCALED(list, tile)                                                                               \
    do {                                                                                                     \
        agate_tiles less = *(list)->own, more = *(list)->own;                                                \
        less.tile = less.tile > 1 ? less.tile / 2 : less.tile;                                               \
        more.tile = more.tile < INT32_MAX / 2 ? more.tile * 2 : more.tile;                                   \
        add(list, less);                                                                                     \
        add(list, more);                                                                                     \
    } while (0)

/* Without and with fetching ahead, or as far. */
static void vary_prefetch(list *l)
{
    agate_tiles tiles = *l->own;

    tiles.ahead = 0;
    add(l, tiles);
    for (tiles.ahead = 1; tiles.ahead <= 4; tiles.ahead *= 2)
        add(l, tiles);
}

/* All channels of a band of pixels, or all pixels of a tile of channels. */
static void vary_blocks(list *l, const agate_candidate *c)
{
    agate_tiles tiles = *l->own;
    int64_t vectors = agate_ceil_div(agate_result((agate_node *)c->anchor)->type.dims[1].offset, tiles.v);
    int32_t groups = (int32_t)agate_ceil_div(vectors, tiles.oc);

    ADD_SCALED(l, oh);
    tiles.ocs = tiles.ocs > 1 ? 1 : groups;
    add(l, tiles);
    tiles.oh = tiles.oh > 3 ? tiles.oh / 4 : 1;
    add(l, tiles);
}

static void vary_direct_conv(list *l, const agate_candidate *c)
{
    agate_tiles shapes[4];
    size_t count = agate_direct_conv_shapes(c, shapes, AGATE_COUNT(shapes));

    for (size_t i = 0; i < count; i++) {
        shapes[i].dp = l->own->dp;
        add(l, shapes[i]);
    }
    vary_blocks(l, c);
    vary_prefetch(l);
}

/* Panels lie as the weights do, so their vectors stay. */
static void vary_winograd(list *l, const agate_candidate *c)
{
    int32_t most = c->machine->vector_registers - 1 - l->own->oc;
    agate_tiles tiles = *l->own;

    for (tiles.ow = most / tiles.oc; tiles.ow > 2 && tiles.ow > most / tiles.oc - 4; tiles.ow--) {
        tiles.grain = (int32_t)agate_ceil_div(l->own->grain, tiles.ow) * tiles.ow;
        add(l, tiles);
    }
    ADD_SCALED(l, grain);
    ADD_SCALED(l, ocs);
    vary_prefetch(l);
}

static void vary_amx_conv(list *l, const agate_candidate *c)
{
    (void)c;
    ADD_SCALED(l, oh);
    ADD_SCALED(l, ocs);
    vary_prefetch(l);
}

static void vary_depthwise(list *l, const agate_candidate *c)
{
    agate_tiles tiles = *l->own;

    ADD_SCALED(l, oh);
    for (tiles.ow = 4; tiles.ow <= (c->machine->vector_registers >= 32 ? 14 : 7); tiles.ow++)
        add(l, tiles);
}

static void vary_gemm(list *l, const agate_candidate *c)
{
    agate_tiles tiles = *l->own;

    (void)c;
    for (tiles.ow = 4; tiles.ow <= 6; tiles.ow++)
        add(l, tiles);
    tiles = *l->own;
    tiles.ahead = tiles.ahead ? 0 : 64;
    add(l, tiles);
    ADD_SCALED(l, ahead);
    ADD_SCALED(l, ocs);
}

/* Rows of a task. */
static void vary_rows(list *l, const agate_candidate *c)
{
    (void)c;
    ADD_SCALED(l, oh);
}

/* Strategies that leave a choice. */
static void (*const vary[AGATE_STRATEGY_COUNT])(list *, const agate_candidate *) = {
    [AGATE_STRATEGY_winograd] = vary_winograd,   [AGATE_STRATEGY_direct_conv] = vary_direct_conv,
    [AGATE_STRATEGY_depthwise] = vary_depthwise, [AGATE_STRATEGY_grouped_conv] = vary_depthwise,
    [AGATE_STRATEGY_few_filters] = vary_rows,    [AGATE_STRATEGY_amx_conv] = vary_amx_conv,
    [AGATE_STRATEGY_gemm] = vary_gemm,           [AGATE_STRATEGY_pool] = vary_rows,
};

size_t agate_tuning_ways(const agate_machine *machine, const agate_node *kernel,
                         agate_tiles out_ways[AGATE_TUNING_WAYS])
{
    const agate_candidate candidate = {machine, kernel, agate_kernel_anchor(kernel)};
    list l = {.ways = out_ways, .own = &kernel->tiles};

    if (vary[kernel->strategy])
        vary[kernel->strategy](&l, &candidate);
    return l.count;
}
