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

static void pack_phase(const agate_amx *a, LLVMValueRef target, LLVMValueRef block, int64_t phase_y,
                       int64_t phase_x)
{
    agate_emitter *e = a->e;
    int64_t reach = agate_amx_reach(&a->y);
    LLVMValueRef rows = agate_emit_add(e, a->rows, agate_emit_int(e, reach));
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), rows, 1, NULL, 0);
    LLVMValueRef y = agate_emit_mul(e, agate_emit_add(e, a->row, loop.index), a->y.stride);

    y = agate_emit_add(e, y, agate_emit_int(e, phase_y - a->y.pad));
    pack_row(a, agate_amx_at(e, target, loop.index, a->pitch * AGATE_AMX_ROW), block, y, phase_x);
    agate_loop_end(e, &loop, NULL);
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
