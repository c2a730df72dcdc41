/* strategies_amx.c: when strategies amx_conv and amx_bands apply, and their tiles. Sizes are chosen by what
 * comes from which cache, as counted where the instructions are executed in software: no machine with AMX was
 * there to measure on. */
#include "ir/bands.h"
#include "ir/narrow.h"
#include "ir/parts.h"
#include "passes/strategy.h"

/* A run's weights take half of the first cache at most. */
#define TASKS 8 /* of an image, for a few threads */

/* Of a core's second cache: that of Sapphire, Emerald and Granite Rapids, which have AMX. */
#define SECOND_BYTES ((int64_t)2 << 20)

/* Of the products of two tiles, and of a line of 64 bytes from the second cache or the third, as far as
 * products do not hide it. */
#define MULTIPLY_CYCLES 16
#define SECOND_CYCLES   1.0
#define THIRD_CYCLES    8.0
#define COPY_CYCLES     8.0 /* of a line of what tiles read, made of the input */
#define LINE            64

static const char no_tiles[] =
    "the target has no AMX tiles of bf16, or not the AVX512-BF16 that goes with them";

const char *agate_amx_conv_applies(const agate_candidate *c)
{
    if (!c->anchor || c->anchor->op != AGATE_OP_conv)
        return "no convolution";
    const char *reason = agate_amx_refuses(c->anchor);
    if (reason)
        return reason;
    if (!agate_has_tile_products(c->machine))
        return no_tiles;
    return agate_conv_not_alone(c);
}

typedef struct amx_shape {
    int64_t taps, planes;    /* taps: how many tiles of inputs a block is multiplied by */
    int64_t blocks, filters; /* of 32 channels each */
    int64_t rows, width;     /* of the result */
    int64_t pitch;           /* positions from row to row */
    int64_t row_bytes;       /* of the input, for each row of the result */
    int64_t weight_bytes;
    bool copied;
} amx_shape;

static amx_shape shape_of(const agate_node *conv)
{
    const agate_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type,
                     *y = &conv->results[0].type;
    const agate_attrs_conv *attrs = &conv->attrs.conv;
    const agate_value *planes[AGATE_MAX_PLANES];
    agate_part parts[AGATE_MAX_PARTS];
    amx_shape s = {.taps = w->dims[2].offset * w->dims[3].offset,
                   .planes = agate_planes_of(conv->operands[0], planes),
                   .blocks = agate_ceil_div(x->dims[1].offset, AGATE_AMX_BLOCK),
                   .rows = y->dims[2].offset,
                   .width = y->dims[3].offset};
    int32_t part_count = agate_conv_parts(conv, parts);

    for (int32_t i = 0; i < part_count; i++)
        s.filters += agate_ceil_div(parts[i].channels, AGATE_AMX_BLOCK);
    bool few = x->layout.kind == AGATE_LAYOUT_plain; /* pixels side by side, their channels an even number */
    int64_t block_bytes = 2 * s.planes * (few ? agate_ceil_div(x->dims[1].offset, 2) * 2 : AGATE_AMX_BLOCK);
    int64_t across = attrs->strides.v[1];
    if (!few)
        across = agate_min(w->dims[3].offset, across);
    s.row_bytes =
        s.blocks * block_bytes * s.width * agate_min(w->dims[2].offset, attrs->strides.v[0]) * across;
    s.weight_bytes = s.blocks * block_bytes * s.taps * s.filters * AGATE_AMX_BLOCK;
    if (few) {
        (void)agate_amx_few_pairs(conv, &s.taps);
        s.taps *= w->dims[2].offset;
    }
    s.pitch = s.width + (w->dims[3].offset - 1) * attrs->dilations.v[1] / attrs->strides.v[1];
    s.copied = s.taps > 1 || !agate_ints_are(&attrs->strides, 1) || x->layout.block != AGATE_AMX_BLOCK ||
               planes[0]->node;
    return s;
}

/* Tiles that the bands of an image take, of so many rows each. */
static int64_t count_tiles(const amx_shape *s, int64_t rows)
{
    int64_t whole = s->rows / rows, rest = s->rows % rows, between = s->pitch - s->width;
    int64_t tiles = whole * agate_ceil_div(rows * s->pitch - between, AGATE_AMX_LANES);

    return rest ? tiles + agate_ceil_div(rest * s->pitch - between, AGATE_AMX_LANES) : tiles;
}

/* Of two tiles, in an image. */
static int64_t count_products(const amx_shape *s, int64_t rows)
{
    return count_tiles(s, rows) * 2 * s->filters * s->blocks * s->taps *
           agate_plane_products((int32_t)s->planes);
}

/* About so many rows, up to twice as many where those fill tiles better. */
static int64_t choose_rows(const amx_shape *s, int64_t rows)
{
    int64_t best = rows;

    for (int64_t i = rows + 1; i <= 2 * rows && i <= s->rows; i++)
        if (count_tiles(s, i) < count_tiles(s, best))
            best = i;
    return best;
}

/* What an image takes in bands of so many rows that are read in place: products, and lines from the caches
 * behind the first. A band that stays in the first cache, beside one block's weights and the next's, comes
 * from behind it once, and not for each block of filters; one that overflows the second comes from the third
 * each time. Weights come once for each band. */
static double band_cycles(const amx_shape *s, const agate_machine *machine, int64_t rows, int64_t run)
{
    const int64_t bands = agate_ceil_div(s->rows, rows), band_bytes = s->row_bytes * rows;
    const int64_t weights = 2 * s->planes * AGATE_AMX_BLOCK * AGATE_AMX_BLOCK * run;
    const bool stays = run == s->blocks && band_bytes + 2 * weights <= machine->l1_bytes;
    const double each = band_bytes > SECOND_BYTES / 2 ? THIRD_CYCLES : SECOND_CYCLES;

    return (double)count_products(s, rows) * MULTIPLY_CYCLES +
           (double)(s->row_bytes * s->rows / LINE * (stays ? 1 : s->filters)) * each +
           (double)(s->weight_bytes / LINE * bands) * SECOND_CYCLES;
}

/* Bands are as even as they can be, for threads to share. */
static int64_t choose_rows_in_place(const amx_shape *s, const agate_machine *machine, int64_t run)
{
    int64_t best = s->rows;
    double least = band_cycles(s, machine, best, run);

    for (int64_t bands = 2; bands <= s->rows && s->weight_bytes <= SECOND_BYTES / 2; bands++) {
        const int64_t rows = agate_ceil_div(s->rows, bands);
        const double cycles = band_cycles(s, machine, rows, run);
        if (cycles < least) {
            best = rows;
            least = cycles;
        }
    }
    return best;
}

/* Copied rows take half of the second cache at most; weights that fit the other half serve bands of rows, one
 * after the other. */
static int64_t choose_copied_rows(const amx_shape *s)
{
    int64_t bands = agate_ceil_div(s->row_bytes * s->rows, SECOND_BYTES / 2);

    if (s->weight_bytes <= SECOND_BYTES / 2)
        bands = agate_max(bands, agate_min(TASKS, agate_ceil_div(s->rows * s->width, 4 * AGATE_AMX_BLOCK)));
    bands = agate_max(1, agate_min(bands, s->rows));
    return bands > 1 ? choose_rows(s, agate_ceil_div(s->rows, bands)) : s->rows;
}

/* Do weights that come from the third cache for each image take longer than the products? */
static bool waits_for_weights(const amx_shape *s, int64_t rows)
{
    return (double)s->weight_bytes / LINE * THIRD_CYCLES > (double)count_products(s, rows) * MULTIPLY_CYCLES;
}

/* Where bands are few, tasks are groups of filters besides, whose weights come once: for an image, or where
 * those are what it waits for, for a batch. The second cache then holds a group's. */
static void choose_tasks(const amx_shape *s, const agate_machine *machine, int64_t run, agate_tiles *tiles)
{
    tiles->oh = (int32_t)(s->copied ? choose_copied_rows(s) : choose_rows_in_place(s, machine, run));
    int64_t rows = agate_max(1, tiles->oh), bands = agate_ceil_div(s->rows, rows);
    if (bands < TASKS)
        tiles->ocs = (int32_t)agate_ceil_div(s->filters, agate_min(s->filters, agate_ceil_div(TASKS, bands)));
    if (s->rows > 0 && waits_for_weights(s, rows)) {
        tiles->order = AGATE_AMX_GROUPS_FIRST;
        int64_t held = s->filters * (SECOND_BYTES / 8 * 5) / agate_max(1, s->weight_bytes);
        tiles->ocs = (int32_t)agate_max(1, agate_min(held, tiles->ocs > 0 ? tiles->ocs : s->filters));
    }
}

/* Weights come from memory once for a task: while one run's are multiplied with all its positions, each block
 * of these fetches a share of the next run's. */
static void choose_prefetch(const amx_shape *s, agate_tiles *tiles)
{
    int64_t blocks = agate_ceil_div(tiles->oh * s->width, 2 * AGATE_AMX_LANES), lines = AGATE_AMX_BLOCK;

    if (blocks <= lines)
        tiles->ahead = (int32_t)agate_ceil_div(lines, agate_max(1, blocks));
}

/* What every block of tiles is summed by; `*out_run`: blocks of channels at a time. */
static agate_tiles sum_tiles(const amx_shape *s, const agate_machine *machine, int64_t *out_run)
{
    int64_t block = s->taps * AGATE_AMX_BLOCK; /* products of a block of channels */
    int64_t block_bytes = 2 * s->planes * AGATE_AMX_BLOCK * block;
    int64_t fit = agate_max(1, machine->l1_bytes / 2 / block_bytes);
    agate_tiles tiles = {.v = AGATE_AMX_LANES,
                         .oc = 2,
                         .ow = 2 * AGATE_AMX_LANES,
                         .dp = 1,
                         .products = agate_plane_products((int32_t)s->planes)};

    if (s->blocks > fit)
        tiles.kc = (int32_t)(fit * block);
    *out_run = agate_min(fit, s->blocks);
    return tiles;
}

agate_tiles agate_amx_conv_plan(const agate_candidate *c)
{
    amx_shape s = shape_of(c->anchor);
    int64_t run;
    agate_tiles tiles = sum_tiles(&s, c->machine, &run);

    choose_tasks(&s, c->machine, run, &tiles);
    choose_prefetch(&s, &tiles);
    return tiles;
}

/* ---- with a pool behind it ----------------------------------------------------------------------------- */

static int64_t height_of(const agate_bands *b)
{
    return agate_max(1, b->consumer->results[0].type.dims[2].offset);
}

const char *agate_amx_bands_applies(const agate_candidate *c)
{
    agate_bands b;
    const char *reason = agate_bands_find(c->kernel->body, &b);

    if (reason)
        return reason;
    if (!b.tiled)
        return "its convolution is none for AMX's tiles";
    if (!agate_has_tile_products(c->machine))
        return no_tiles;
    return agate_bands_refuse_places(c, &b, &(agate_tiles){.rows = 1});
}

/* As many rows a turn as the stack has room for, in bands and turns that are as even as can be: each turn
 * copies rows of the input that the one before it had. */
agate_tiles agate_amx_bands_plan(const agate_candidate *c)
{
    agate_bands b;
    int64_t run;

    agate_bands_find(c->kernel->body, &b);
    amx_shape s = shape_of(b.producer);
    agate_tiles tiles = sum_tiles(&s, c->machine, &run);
    int64_t height = height_of(&b), rows = agate_ceil_div(height, agate_min(height, TASKS / 2));
    tiles.px = agate_depthwise_points(c->machine, b.consumer->results[0].type.dims[3].offset);
    tiles.oh = (int32_t)rows;
    tiles.rows = (int32_t)rows;
    while (tiles.rows > 1 && agate_bands_bytes(&b, &tiles) > AGATE_BANDS_BYTES)
        tiles.rows--;
    tiles.rows = (int32_t)agate_ceil_div(rows, agate_ceil_div(rows, tiles.rows));
    tiles.ring = (int32_t)agate_bands_ring(&b, &tiles);
    return tiles;
}

/* Lines of the input that are copied where `bands` times so many rows of the result are made. */
static double copied_lines(const amx_shape *s, const agate_node *conv, int64_t bands, int64_t rows)
{
    const agate_type *w = &conv->operands[1]->type;
    int64_t reach = (w->dims[2].offset - 1) * conv->attrs.conv.dilations.v[0] / conv->attrs.conv.strides.v[0];

    return s->copied ? (double)(s->row_bytes * bands * (rows + reach)) / LINE : 0;
}

double agate_amx_bands_gain(const agate_candidate *c)
{
    agate_bands b;

    agate_bands_find(c->kernel->body, &b);
    const agate_node *conv = b.producer;
    const amx_shape s = shape_of(conv);
    const agate_tiles fused = agate_amx_bands_plan(c),
                      alone = agate_amx_conv_plan(&(agate_candidate){c->machine, c->kernel, conv});
    const int64_t bytes = 4 * conv->results[0].type.dims[1].offset * s.rows * s.width;
    if (bytes <= SECOND_BYTES / 2) /* it waits in the second cache */
        return 0;
    const double saved = 2 * (double)bytes / LINE * THIRD_CYCLES;

    const int64_t turns = agate_ceil_div(height_of(&b), fused.rows), rows = fused.rows * b.stride;
    const int64_t again =
        agate_ceil_div(height_of(&b), fused.oh) * agate_max(0, agate_bands_reach(&b, 1) - b.stride);
    const double products =
        (double)count_products(&s, agate_min(rows, s.rows)) * (1 + (double)again / (double)s.rows) -
        (double)count_products(&s, agate_max(1, alone.oh));
    const int64_t bands = agate_ceil_div(s.rows, agate_max(1, alone.oh));
    const double lines = copied_lines(&s, conv, turns, rows) - copied_lines(&s, conv, bands, alone.oh);
    const double weights = (double)(s.weight_bytes / LINE * (turns - bands)) * SECOND_CYCLES;
    return saved - products * MULTIPLY_CYCLES - lines * COPY_CYCLES - weights;
}
