/* emit_amx_sizes.c: what a kernel of amx_conv is cut into, and where its tiles find what they read. */
#include "backend/emit_amx.h"
#include "backend/emit_parts.h"

#define MOST_PAIRS (AGATE_AMX_BLOCK / 2)

/* Where along one spatial dimension a tap reads in the copied rows: in which phase of the stride, and how far
 * on. */
typedef struct tap_place {
    int64_t phase, on;
} tap_place;

static tap_place place_of(const agate_conv_axis *axis, int64_t tap)
{
    int64_t at = tap * axis->dilation;
    return (tap_place){at % axis->stride, at / axis->stride};
}

bool agate_amx_reads_phase(const agate_conv_axis *axis, int64_t phase)
{
    for (int64_t tap = 0; tap < axis->taps; tap++)
        if (place_of(axis, tap).phase == phase)
            return true;
    return false;
}

int64_t agate_amx_reach(const agate_conv_axis *axis)
{
    return place_of(axis, axis->taps - 1).on;
}

/* How many phases of the stride are read, and which of these `phase` is. */
static int64_t count_phases(const agate_conv_axis *axis, int64_t phase, int64_t *out_index)
{
    int64_t count = 0;

    for (int64_t p = 0; p < axis->stride; p++) {
        if (p == phase)
            *out_index = count;
        count += agate_amx_reads_phase(axis, p);
    }
    return count;
}

/* Steps over a row of a filter read one behind the other. */
static void place_steps(agate_amx *a)
{
    int64_t steps = a->taps / a->y.taps, phase = 0;

    for (int64_t ky = 0; ky < a->y.taps; ky++) {
        tap_place y = place_of(&a->y, ky);
        (void)count_phases(&a->y, y.phase, &phase);
        for (int64_t step = 0; step < steps; step++)
            a->tap_at[ky * steps + step] =
                phase * a->phase_size + y.on * a->pitch * a->position_size + step * a->pairs * 4;
    }
}

static void place_taps(agate_amx *a)
{
    for (int64_t ky = 0; ky < a->y.taps; ky++)
        for (int64_t kx = 0; kx < a->x.taps; kx++) {
            tap_place y = place_of(&a->y, ky), x = place_of(&a->x, kx);
            int64_t phase_y = 0, phase_x = 0;
            (void)count_phases(&a->y, y.phase, &phase_y);
            int64_t across = count_phases(&a->x, x.phase, &phase_x);
            a->tap_at[ky * a->x.taps + kx] =
                (phase_y * across + phase_x) * a->phase_size + (y.on * a->pitch + x.on) * a->position_size;
        }
}

/* Is each output made of the input in its place, and can tiles be read from where that lies? */
static bool reads_in_place(const agate_amx *a)
{
    bool same = a->taps == 1 && a->y.stride == 1 && a->x.stride == 1 && a->y.pad == 0 && a->x.pad == 0 &&
                a->y.in == a->y.out && a->x.in == a->x.out;

    for (int32_t i = 0; i < a->planes && same; i++)
        same = !a->inputs[i]->node && a->inputs[i]->type.layout.block == AGATE_AMX_BLOCK;
    return same && a->channels % AGATE_AMX_BLOCK == 0 && a->y.out * a->x.out >= AGATE_AMX_POSITIONS;
}

/* What a tap multiplies: the channels of a block, or part of a row of a filter. */
static void measure_taps(agate_amx *a)
{
    int64_t steps;

    a->taps = a->y.taps * a->x.taps;
    a->pairs = MOST_PAIRS;
    a->position_size = AGATE_AMX_ROW;
    if (!a->few)
        return;
    a->pairs = agate_amx_few_pairs(a->anchor, &steps);
    a->taps = a->y.taps * steps;
    a->position_size = a->x.stride * agate_amx_pixel_channels(a) * 2;
}

static void measure_input(agate_amx *a)
{
    int64_t ignored = 0;

    a->pitch = agate_max(1, a->x.out);
    if (a->direct) {
        a->block_size = a->y.in * a->x.in * AGATE_AMX_ROW;
        return;
    }
    a->pitch += agate_amx_reach(&a->x);
    int64_t phases = count_phases(&a->y, -1, &ignored);
    if (!a->few)
        phases *= count_phases(&a->x, -1, &ignored);
    /* The last block of tiles runs over the end, and where channels are few the last row of a tile, too. */
    int64_t size = ((a->band + agate_amx_reach(&a->y)) * a->pitch + AGATE_AMX_POSITIONS) * a->position_size;
    if (a->few)
        size += a->x.taps * agate_amx_pixel_channels(a) * 2;
    a->phase_size = agate_ceil_div(size, AGATE_AMX_ROW) * AGATE_AMX_ROW;
    a->plane_size = phases * a->phase_size;
    a->block_size = a->planes * a->plane_size;
    a->totals_at = a->blocks * a->block_size;
    if (a->few)
        place_steps(a);
    else
        place_taps(a);
}

static int64_t count_blocks(const agate_amx *a)
{
    int64_t count = 0;

    for (int32_t p = 0; p < a->part_count; p++)
        count += agate_ceil_div(a->parts[p].channels, AGATE_AMX_BLOCK);
    return count;
}

/* As even as they can be, each of at most `most` (0: all) of `all`; returns how many. */
static int64_t cut(int64_t all, int64_t most, int64_t *out_each)
{
    int64_t count = most > 0 ? agate_ceil_div(all, most) : 1;

    *out_each = agate_ceil_div(all, agate_max(1, count));
    return *out_each > 0 ? agate_ceil_div(all, *out_each) : 0;
}

void agate_amx_measure(agate_amx *a, const agate_node *kernel, const agate_node *conv,
                       const agate_tiles *tiles)
{
    const agate_type *w = &conv->operands[1]->type;

    a->kernel = kernel;
    a->anchor = conv;
    a->tiles = *tiles;
    a->planes = agate_planes_of(conv->operands[0], a->inputs);
    (void)agate_planes_of(conv->operands[1], a->weights);
    a->y = agate_conv_axis_of(conv, 0);
    a->x = agate_conv_axis_of(conv, 1);
    a->channels = w->dims[1].offset;
    a->few = conv->operands[0]->type.layout.kind == AGATE_LAYOUT_plain;
    measure_taps(a);
    a->blocks = agate_ceil_div(a->channels, AGATE_AMX_BLOCK);
    a->part_count = agate_conv_parts(conv, a->parts);
    a->direct = reads_in_place(a);
    a->band = a->tiles.oh > 0 ? agate_min(a->tiles.oh, agate_max(1, a->y.out)) : agate_max(1, a->y.out);
    a->bands =
        agate_ceil_div(a->y.out, a->band); /* the last may have fewer rows: tiles fill those of the others */
    a->groups = cut(count_blocks(a), a->tiles.ocs, &a->group);
    a->runs = cut(a->blocks, a->tiles.kc / agate_max(1, a->taps * AGATE_AMX_BLOCK), &a->run);
    measure_input(a);
    int64_t blocks_of_positions = agate_ceil_div(a->band * a->pitch, AGATE_AMX_POSITIONS);
    a->workspace_size = a->totals_at + (a->runs > 1 ? blocks_of_positions * AGATE_AMX_SUMS_BYTES : 0);
}

int64_t agate_amx_workspace_bytes(const agate_node *kernel)
{
    agate_amx a = {0};

    agate_amx_measure(&a, kernel, agate_emit_anchor_of(kernel), &kernel->tiles);
    return a.workspace_size;
}

agate_dim agate_tasks_amx_conv(const agate_node *kernel)
{
    agate_amx a = {0};

    agate_amx_measure(&a, kernel, agate_emit_anchor_of(kernel), &kernel->tiles);
    return agate_dim_times(a.anchor->results[0].type.dims[0], a.bands * a.groups);
}
