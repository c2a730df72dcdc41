/* emit_amx_pack.c: the rows that a task of amx_conv reads, copied to where its tiles find them. */
#include "backend/emit_amx.h"
#include "backend/emit_parts.h"

/* A pixel of a phase whose planes are to be written. */
typedef struct pixel {
    LLVMValueRef target; /* of plane 0 */
    LLVMValueRef block, y, x;
} pixel;

static void store_half(const agate_amx *a, LLVMValueRef target, int32_t plane, int64_t half,
                       LLVMValueRef value)
{
    agate_emitter *e = a->e;
    LLVMValueRef distance = agate_emit_int(e, plane * a->plane_size + half * AGATE_AMX_ROW / 2);
    LLVMValueRef at = agate_amx_at(e, target, distance, 1);

    LLVMSetAlignment(LLVMBuildStore(e->builder, value, at), AGATE_AMX_ROW / 2);
}

static void clear_pixel(const agate_amx *a, LLVMValueRef target)
{
    LLVMValueRef zero = LLVMConstNull(agate_emit_type(a->e, AGATE_BF16, AGATE_AMX_LANES));

    for (int32_t plane = 0; plane < a->planes; plane++)
        for (int64_t half = 0; half < 2; half++)
            store_half(a, target, plane, half, zero);
}

/* Channels that do not exist are zero: their weights are, but a pad may hold Inf or NaN. */
static void copy_half(const agate_amx *a, const pixel *p, int64_t half)
{
    agate_emitter *e = a->e;
    agate_coords at = agate_coords_make(e, 4);
    bool whole = a->channels % AGATE_AMX_BLOCK == 0;
    LLVMValueRef live = NULL;

    at.vector = 1;
    at.lanes = AGATE_AMX_LANES;
    at.at[0] = a->image;
    at.at[1] = agate_emit_add(e, agate_emit_mul(e, p->block, AGATE_AMX_BLOCK),
                              agate_emit_int(e, half * AGATE_AMX_LANES));
    at.at[2] = p->y;
    at.at[3] = p->x;
    if (!whole) {
        live = agate_emit_live(e, at.at[1], agate_emit_int(e, a->channels), at.lanes);
        agate_coords_guard(e, &at, live);
    }
    for (int32_t plane = 0; plane < a->planes; plane++) {
        LLVMValueRef value = agate_emit_value(e, a->inputs[plane], &at);
        if (live)
            value = LLVMBuildSelect(e->builder, live, value, LLVMConstNull(LLVMTypeOf(value)), "");
        store_half(a, p->target, plane, half, value);
    }
}

static void clear_range(const agate_amx *a, LLVMValueRef row, LLVMValueRef lo, LLVMValueRef hi)
{
    agate_loop loop = agate_loop_begin(a->e, lo, hi, 1, NULL, 0);

    clear_pixel(a, agate_amx_at(a->e, row, loop.index, AGATE_AMX_ROW));
    agate_loop_end(a->e, &loop, NULL);
}

/* Pixels lo <= i < hi of a row of phase `phase` lie in the image. */
static void inside(const agate_amx *a, int64_t phase, int64_t *out_lo, int64_t *out_hi)
{
    int64_t origin = phase - a->x.pad, stride = a->x.stride;

    *out_lo = agate_min(origin < 0 ? agate_ceil_div(-origin, stride) : 0, a->pitch);
    *out_hi = a->x.in > origin ? agate_min(agate_ceil_div(a->x.in - origin, stride), a->pitch) : 0;
    *out_hi = agate_max(*out_lo, *out_hi);
}

/* One row of a phase, at `target`: image row `y`, or zeros where there is none. */
static void pack_row(const agate_amx *a, LLVMValueRef target, LLVMValueRef block, LLVMValueRef y,
                     int64_t phase)
{
    agate_emitter *e = a->e;
    LLVMBuilderRef b = e->builder;
    LLVMValueRef end = agate_emit_int(e, a->pitch);
    /* y < 0 is large without its sign. */
    LLVMValueRef exists = LLVMBuildICmp(b, LLVMIntULT, y, agate_emit_int(e, a->y.in), "");
    int64_t lo, hi;

    inside(a, phase, &lo, &hi);
    LLVMValueRef first = LLVMBuildSelect(b, exists, agate_emit_int(e, lo), end, "");
    LLVMValueRef last = LLVMBuildSelect(b, exists, agate_emit_int(e, hi), end, "");
    clear_range(a, target, agate_emit_int(e, 0), first);
    agate_loop loop = agate_loop_begin(e, first, last, 1, NULL, 0);
    pixel p = {agate_amx_at(e, target, loop.index, AGATE_AMX_ROW), block, y, NULL};
    p.x = agate_emit_add(e, agate_emit_mul(e, loop.index, a->x.stride), agate_emit_int(e, phase - a->x.pad));
    for (int64_t half = 0; half < 2; half++)
        copy_half(a, &p, half);
    agate_loop_end(e, &loop, NULL);
    clear_range(a, target, last, end);
}

/* The copy's rows of a phase of the image's, from `target` on. */
typedef struct phase_rows {
    agate_loop loop;
    LLVMValueRef target, y; /* of a row; `y`: which of the image it is, if there is such */
} phase_rows;

static phase_rows phase_rows_begin(const agate_amx *a, LLVMValueRef target, int64_t phase)
{
    agate_emitter *e = a->e;
    LLVMValueRef rows = agate_emit_add(e, a->rows, agate_emit_int(e, agate_amx_reach(&a->y)));
    phase_rows r = {.loop = agate_loop_begin(e, agate_emit_int(e, 0), rows, 1, NULL, 0)};
    LLVMValueRef y = agate_emit_mul(e, agate_emit_add(e, a->row, r.loop.index), a->y.stride);

    r.y = agate_emit_add(e, y, agate_emit_int(e, phase - a->y.pad));
    r.target = agate_amx_at(e, target, r.loop.index, a->pitch * a->position_size);
    return r;
}

static void pack_phase(const agate_amx *a, LLVMValueRef target, LLVMValueRef block, int64_t phase_y,
                       int64_t phase_x)
{
    phase_rows r = phase_rows_begin(a, target, phase_y);

    pack_row(a, r.target, block, r.y, phase_x);
    agate_loop_end(a->e, &r.loop, NULL);
}

void agate_amx_pack(agate_amx *a)
{
    agate_emitter *e = a->e;
    agate_loop blocks = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, a->blocks), 1, NULL, 0);
    LLVMValueRef target = agate_amx_at(e, e->workspace, blocks.index, a->block_size);

    for (int64_t y = 0; y < a->y.stride; y++)
        for (int64_t x = 0; x < a->x.stride && agate_amx_reads_phase(&a->y, y); x++) {
            if (!agate_amx_reads_phase(&a->x, x))
                continue;
            pack_phase(a, target, blocks.index, y, x);
            target = agate_amx_at(e, target, agate_emit_int(e, 1), a->phase_size);
        }
    agate_loop_end(e, &blocks, NULL);
}

/* ---- few channels -------------------------------------------------------------------------------------- */

/* 16 pixels of a row, channels side by side: which of them exist, and where they go. */
typedef struct pixels {
    LLVMValueRef target; /* of plane 0 */
    LLVMValueRef y, x;   /* x: of the first */
    LLVMValueRef live;
} pixels;

/* Channel `channel` of each; 0 where there is none. */
static LLVMValueRef value_of(const agate_amx *a, const pixels *p, int32_t plane, int64_t channel)
{
    agate_emitter *e = a->e;
    agate_coords at = agate_coords_make(e, 4);
    LLVMValueRef zero = LLVMConstNull(agate_emit_type(e, AGATE_BF16, AGATE_AMX_LANES));

    if (channel >= a->channels)
        return zero;
    at.vector = 3;
    at.lanes = AGATE_AMX_LANES;
    at.unaligned = true;
    at.at[0] = a->image;
    at.at[1] = agate_emit_int(e, channel);
    at.at[2] = p->y;
    at.at[3] = p->x;
    agate_coords_guard(e, &at, p->live);
    LLVMValueRef value = agate_emit_value(e, a->inputs[plane], &at);
    return agate_emit_to_shuffle(e, LLVMBuildSelect(e->builder, p->live, value, zero, ""));
}

/* Channels `channel` and the one behind it of each, as pairs. */
static LLVMValueRef pairs_of(const agate_amx *a, const pixels *p, int32_t plane, int64_t channel)
{
    LLVMValueRef odd = value_of(a, p, plane, channel + 1), even = value_of(a, p, plane, channel);
    LLVMValueRef both = agate_emit_interleaved(a->e, even, odd, 0, 2 * AGATE_AMX_LANES);
    return LLVMBuildBitCast(a->e->builder, both, agate_emit_type(a->e, AGATE_U32, AGATE_AMX_LANES), "");
}

static void copy_pixels(const agate_amx *a, const pixels *p)
{
    int64_t pairs = agate_amx_pixel_channels(a) / 2;

    assert(pairs == 1 || pairs == 2);
    for (int32_t plane = 0; plane < a->planes; plane++) {
        LLVMValueRef at = agate_amx_at(a->e, p->target, agate_emit_int(a->e, plane), a->plane_size);
        LLVMValueRef first = pairs_of(a, p, plane, 0), parts[2] = {first};
        if (pairs == 2) {
            LLVMValueRef second = pairs_of(a, p, plane, 2);
            for (int32_t i = 0; i < 2; i++)
                parts[i] =
                    agate_emit_interleaved(a->e, first, second, i * AGATE_AMX_LANES / 2, AGATE_AMX_LANES);
        }
        for (int32_t i = 0; i < pairs; i++)
            LLVMSetAlignment(LLVMBuildStore(a->e->builder, parts[i],
                                            agate_amx_at(a->e, at, agate_emit_int(a->e, i), AGATE_AMX_ROW)),
                             4);
    }
}

/* A row of all its positions' pixels: image row `y`, or zeros where there is none. What is written behind its
 * end the next row writes again. */
static void copy_row(const agate_amx *a, LLVMValueRef target, LLVMValueRef y)
{
    agate_emitter *e = a->e;
    LLVMValueRef exists = LLVMBuildICmp(e->builder, LLVMIntULT, y, agate_emit_int(e, a->y.in), "");
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, a->pitch * a->x.stride),
                                       AGATE_AMX_LANES, NULL, 0);
    pixels p = {.target = agate_amx_at(e, target, loop.index, agate_amx_pixel_channels(a) * 2), .y = y};

    p.x = agate_emit_add(e, loop.index, agate_emit_int(e, -a->x.pad));
    LLVMValueRef before = agate_emit_live(e, p.x, agate_emit_int(e, 0), AGATE_AMX_LANES);
    p.live = agate_emit_live(e, p.x, agate_emit_int(e, a->x.in), AGATE_AMX_LANES);
    p.live = LLVMBuildAnd(e->builder, p.live, LLVMBuildNot(e->builder, before, ""), "");
    p.live = LLVMBuildAnd(e->builder, p.live, agate_emit_splat(e, exists, AGATE_AMX_LANES), "");
    copy_pixels(a, &p);
    agate_loop_end(e, &loop, NULL);
}

void agate_amx_pack_few(agate_amx *a)
{
    LLVMValueRef target = a->e->workspace;

    for (int64_t phase = 0; phase < a->y.stride; phase++) {
        if (!agate_amx_reads_phase(&a->y, phase))
            continue;
        phase_rows r = phase_rows_begin(a, target, phase);
        copy_row(a, r.target, r.y);
        agate_loop_end(a->e, &r.loop, NULL);
        target = agate_amx_at(a->e, target, agate_emit_int(a->e, 1), a->phase_size);
    }
}
