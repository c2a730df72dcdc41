/* emit_tile.c: the register tile under convolutions and matmuls. */
#include <stdio.h>

#include "backend/emit_tile.h"
#include "backend/llvm_shim.h"

void agate_tile_clamp(int32_t vectors, int32_t points, int32_t *out_vectors, int32_t *out_points)
{
    *out_vectors = (int32_t)agate_max(1, agate_min(vectors, AGATE_MAX_VECTORS));
    *out_points = (int32_t)agate_max(1, agate_min(points, AGATE_MAX_CARRIED / *out_vectors));
    *out_points = (int32_t)agate_min(*out_points, AGATE_MAX_POINTS);
}

LLVMValueRef agate_tile_advance(agate_emitter *e, agate_dtype unit, LLVMValueRef base, LLVMValueRef index,
                                int64_t stride, int64_t offset)
{
    LLVMTypeRef type = agate_emit_type(e, unit, 1);
    if (index) {
        LLVMValueRef distance = agate_emit_mul(e, index, stride);
        base = LLVMBuildGEP2(e->builder, type, base, &distance, 1, "");
    }
    if (offset) {
        LLVMValueRef constant = agate_emit_int(e, offset);
        base = LLVMBuildGEP2(e->builder, type, base, &constant, 1, "");
    }
    return base;
}

LLVMValueRef agate_emit_advance(agate_emitter *e, LLVMValueRef base, LLVMValueRef index, int64_t stride,
                                int64_t offset)
{
    return agate_tile_advance(e, AGATE_F32, base, index, stride, offset);
}

/* What offsets of the tile's inputs count. */
static agate_dtype unit_of(const agate_tile *tile)
{
    return tile->products == AGATE_PRODUCTS_TAPS ? AGATE_BF16 : AGATE_F32;
}

/* A vector at `address`: of f32s, or pairs. */
static LLVMValueRef load_whole(agate_emitter *e, const agate_tile *tile, LLVMValueRef address, int32_t vector)
{
    LLVMTypeRef type = agate_emit_type(e, AGATE_F32, tile->lanes);
    if (tile->last_live && vector == tile->vectors - 1)
        return agate_llvm_masked_load(e->module, e->builder, type, address, (uint32_t)tile->align_bytes,
                                      tile->last_live);
    LLVMValueRef load = LLVMBuildLoad2(e->builder, type, address, "w");
    LLVMSetAlignment(load, (unsigned)tile->align_bytes);
    return load;
}

/* A vector of 16 bits at `address`, made f32. */
static LLVMValueRef load_widened(agate_emitter *e, const agate_tile *tile, LLVMValueRef address)
{
    LLVMValueRef load =
        LLVMBuildLoad2(e->builder, agate_emit_type(e, tile->dtype, tile->lanes), address, "w");
    LLVMSetAlignment(load, (unsigned)tile->lanes * 2);
    return agate_emit_cast(e, tile->dtype, AGATE_F32, load);
}

void agate_emit_fence(agate_emitter *e, LLVMValueRef *vectors, int32_t count)
{
    LLVMTypeRef types[AGATE_MAX_CARRIED];
    char constraints[16 * AGATE_MAX_CARRIED] = "";
    size_t length = 0;
    for (int32_t i = 0; i < count; i++) {
        types[i] = LLVMTypeOf(vectors[i]);
        length += (size_t)snprintf(constraints + length, sizeof constraints - length, "=v,");
    }
    for (int32_t i = 0; i < count; i++)
        length += (size_t)snprintf(constraints + length, sizeof constraints - length, "%d,", i);
    length += (size_t)snprintf(constraints + length, sizeof constraints - length, "~{memory}");
    LLVMTypeRef result =
        count == 1 ? types[0] : LLVMStructTypeInContext(e->context, types, (unsigned)count, false);
    LLVMTypeRef type = LLVMFunctionType(result, types, (unsigned)count, false);
    LLVMValueRef code =
        LLVMGetInlineAsm(type, "", 0, constraints, length, true, false, LLVMInlineAsmDialectATT, false);
    LLVMValueRef call = LLVMBuildCall2(e->builder, type, code, vectors, (unsigned)count, "");
    for (int32_t i = 0; i < count; i++)
        vectors[i] = count == 1 ? call : LLVMBuildExtractValue(e->builder, call, (unsigned)i, "");
}

/* A vector of weights, or an input in all lanes, as a step multiplies it. */
typedef struct factor {
    LLVMValueRef even, odd; /* WIDENED: of the pairs; else `even` is all of it */
} factor;

/* By one instruction? */
static bool sums_pairs(const agate_tile *tile)
{
    return tile->products == AGATE_PRODUCTS_PAIRS || tile->products == AGATE_PRODUCTS_TAPS;
}

/* Of `loaded`, a vector of f32s or of pairs of bf16. */
static factor factor_of(agate_emitter *e, const agate_tile *tile, LLVMValueRef loaded)
{
    LLVMTypeRef f32 = agate_emit_type(e, AGATE_F32, tile->lanes);
    if (tile->products == AGATE_PRODUCTS_F32 || tile->products == AGATE_PRODUCTS_WEIGHTS || sums_pairs(tile))
        return (factor){.even = loaded};
    LLVMValueRef bits = LLVMBuildBitCast(e->builder, loaded, agate_emit_type(e, AGATE_U32, tile->lanes), "");
    LLVMValueRef even = LLVMBuildShl(e->builder, bits, agate_emit_number(e, AGATE_U32, 16, tile->lanes), "");
    LLVMValueRef odd =
        LLVMBuildAnd(e->builder, bits, agate_emit_number(e, AGATE_U32, 0xffff0000, tile->lanes), "");
    return (factor){LLVMBuildBitCast(e->builder, even, f32, ""), LLVMBuildBitCast(e->builder, odd, f32, "")};
}

static bool widens_f16(const agate_tile *tile)
{
    return tile->products == AGATE_PRODUCTS_WIDENED && tile->dtype == AGATE_F16;
}

static factor load_weights(agate_emitter *e, const agate_tile *tile, LLVMValueRef weights, int64_t offset,
                           int32_t vector)
{
    LLVMValueRef address = agate_emit_advance(e, weights, NULL, 0, offset + vector * tile->vector_stride);
    if (tile->products == AGATE_PRODUCTS_WEIGHTS)
        return (factor){.even = load_widened(e, tile, address)};
    if (widens_f16(tile)) {
        LLVMValueRef odd = agate_emit_advance(e, address, NULL, 0, tile->lanes / 2);
        return (factor){load_widened(e, tile, address), load_widened(e, tile, odd)};
    }
    return factor_of(e, tile, load_whole(e, tile, address, vector));
}

/* `loaded`, an f32 or a pair, in all lanes. */
static factor spread_input(agate_emitter *e, const agate_tile *tile, LLVMValueRef loaded)
{
    if (!widens_f16(tile))
        return factor_of(e, tile, agate_emit_splat(e, loaded, tile->lanes));
    LLVMValueRef pair = LLVMBuildBitCast(e->builder, loaded, agate_emit_type(e, AGATE_F16, 2), "");
    LLVMValueRef wide = agate_emit_cast(e, AGATE_F16, AGATE_F32, pair);
    LLVMValueRef even = LLVMBuildExtractElement(e->builder, wide, agate_emit_int(e, 0), "");
    LLVMValueRef odd = LLVMBuildExtractElement(e->builder, wide, agate_emit_int(e, 1), "");
    return (factor){agate_emit_splat(e, even, tile->lanes), agate_emit_splat(e, odd, tile->lanes)};
}

LLVMValueRef agate_emit_pair_products(agate_emitter *e, LLVMValueRef x, LLVMValueRef w, LLVMValueRef sum)
{
    LLVMTypeRef bf16 = LLVMBFloatTypeInContext(e->context);
    LLVMTypeRef pairs = LLVMVectorType(bf16, 2 * (unsigned)agate_emit_lanes(sum));
    LLVMValueRef args[] = {sum, LLVMBuildBitCast(e->builder, x, pairs, ""),
                           LLVMBuildBitCast(e->builder, w, pairs, "")};

    return agate_llvm_intrinsic(e->module, e->builder, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, 0, args, 3);
}

static LLVMValueRef add_products(agate_emitter *e, const agate_tile *tile, factor x, factor w,
                                 LLVMValueRef sum)
{
    if (sums_pairs(tile))
        return agate_emit_pair_products(e, x.even, w.even, sum);
    sum = agate_emit_fma(e, x.even, w.even, sum);
    return tile->products == AGATE_PRODUCTS_WIDENED ? agate_emit_fma(e, x.odd, w.odd, sum) : sum;
}

/* An f32, or the pair of bf16 numbers at `address`, of which one may be missing. */
static LLVMValueRef load_input(agate_emitter *e, const agate_tile *tile, LLVMValueRef address, bool first,
                               bool second)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);

    if (first && second) {
        LLVMValueRef load = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_F32, 1), address, "x");
        if (tile->products == AGATE_PRODUCTS_TAPS)
            LLVMSetAlignment(load, 2);
        return load;
    }
    if (second)
        address = agate_tile_advance(e, unit_of(tile), address, NULL, 0, 1);
    LLVMValueRef load = LLVMBuildLoad2(e->builder, agate_emit_type(e, AGATE_BF16, 1), address, "x");
    load = LLVMBuildZExt(e->builder, load, i32, "");
    return second ? LLVMBuildShl(e->builder, load, LLVMConstInt(i32, 16, 0), "") : load;
}

void agate_tile_pair_step(agate_emitter *e, agate_tile *tile, LLVMValueRef weights, int64_t weight_offset,
                          LLVMValueRef inputs, int64_t input_offset, uint32_t first, uint32_t second)
{
    uint32_t active = first | second;
    if (!active)
        return;
    factor w[AGATE_MAX_CARRIED];
    for (int32_t j = 0; j < tile->vectors; j++)
        w[j] = load_weights(e, tile, weights, weight_offset, j);
    for (int32_t i = 0; i < tile->points; i++) {
        if (!(active >> i & 1))
            continue;
        LLVMValueRef address =
            agate_tile_advance(e, unit_of(tile), inputs, NULL, 0, input_offset + tile->point_at[i]);
        factor x = spread_input(e, tile, load_input(e, tile, address, first >> i & 1, second >> i & 1));
        LLVMValueRef *sums = tile->sums + i * tile->vectors;
        for (int32_t j = 0; j < tile->vectors; j++)
            sums[j] = add_products(e, tile, x, w[j], sums[j]);
        agate_emit_fence(e, sums, tile->vectors);
    }
}

void agate_tile_step(agate_emitter *e, agate_tile *tile, LLVMValueRef weights, int64_t weight_offset,
                     LLVMValueRef inputs, int64_t input_offset, uint32_t active)
{
    agate_tile_pair_step(e, tile, weights, weight_offset, inputs, input_offset, active, active);
}

agate_loop agate_tile_loop_begin(agate_emitter *e, agate_tile *tile, LLVMValueRef lo, LLVMValueRef hi,
                                 int64_t step)
{
    int32_t count = tile->vectors * tile->points;
    if (LLVMIsAConstantInt(lo) && LLVMIsAConstantInt(hi) &&
        LLVMConstIntGetSExtValue(hi) - LLVMConstIntGetSExtValue(lo) == step)
        return (agate_loop){.index = lo};
    agate_loop loop = agate_loop_begin(e, lo, hi, step, tile->sums, count);
    memcpy(tile->sums, loop.carried, (size_t)count * sizeof(LLVMValueRef));
    return loop;
}

void agate_tile_loop_end(agate_emitter *e, agate_tile *tile, agate_loop *loop)
{
    int32_t count = tile->vectors * tile->points;
    if (!loop->head)
        return;
    agate_loop_end(e, loop, tile->sums);
    memcpy(tile->sums, loop->carried, (size_t)count * sizeof(LLVMValueRef));
}

/* ---- sums in parts ------------------------------------------------------------------------------------- */

static LLVMValueRef total_address(agate_emitter *e, const agate_tile *tile, LLVMValueRef totals, int32_t i)
{
    return agate_emit_advance(e, totals, NULL, 0, i * tile->lanes);
}

static LLVMValueRef load_total(agate_emitter *e, const agate_tile *tile, LLVMValueRef totals, int32_t i)
{
    LLVMTypeRef type = agate_emit_type(e, AGATE_F32, tile->lanes);
    return LLVMBuildLoad2(e->builder, type, total_address(e, tile, totals, i), "total");
}

void agate_tile_store(agate_emitter *e, const agate_tile *tile, LLVMValueRef totals)
{
    for (int32_t i = 0; i < tile->vectors * tile->points; i++)
        LLVMBuildStore(e->builder, tile->sums[i], total_address(e, tile, totals, i));
}

void agate_tile_load(agate_emitter *e, agate_tile *tile, LLVMValueRef totals)
{
    for (int32_t i = 0; i < tile->vectors * tile->points; i++)
        tile->sums[i] = load_total(e, tile, totals, i);
}

LLVMValueRef agate_tile_set_aside(agate_emitter *e, agate_tile *tile)
{
    int32_t count = tile->vectors * tile->points;
    LLVMTypeRef type = agate_emit_type(e, AGATE_F32, tile->lanes);
    LLVMValueRef totals = agate_emit_reserve(e, type, count, tile->lanes * 4);
    agate_tile_store(e, tile, totals);
    for (int32_t i = 0; i < count; i++)
        tile->sums[i] = agate_emit_float(e, 0, tile->lanes);
    return totals;
}

void agate_tile_join(agate_emitter *e, agate_tile *tile, LLVMValueRef totals)
{
    for (int32_t i = 0; i < tile->vectors * tile->points; i++)
        tile->sums[i] = LLVMBuildFAdd(e->builder, load_total(e, tile, totals, i), tile->sums[i], "");
}

agate_tile_parts agate_tile_parts_begin(agate_emitter *e, agate_tile *tile, int64_t steps, int64_t most)
{
    agate_tile_parts parts = {.lo = agate_emit_int(e, 0), .hi = agate_emit_int(e, steps)};
    if (most <= 0 || steps <= most)
        return parts;
    int64_t part = agate_tile_even_part(steps, most);

    parts.totals = agate_tile_set_aside(e, tile);
    parts.loop = agate_loop_begin(e, parts.lo, parts.hi, part, NULL, 0);
    parts.lo = parts.loop.index;
    LLVMValueRef end = agate_emit_add(e, parts.lo, agate_emit_int(e, part));
    parts.hi = steps % part ? agate_emit_min(e, end, parts.hi) : end;
    return parts;
}

void agate_tile_parts_end(agate_emitter *e, agate_tile *tile, agate_tile_parts *parts)
{
    if (!parts->totals)
        return;
    agate_tile_join(e, tile, parts->totals);
    agate_tile_store(e, tile, parts->totals);
    agate_loop_end(e, &parts->loop, NULL);
    agate_tile_load(e, tile, parts->totals);
}

void agate_tile_finish(agate_emitter *e, const agate_value *value, LLVMValueRef sums, agate_coords at)
{
    if (agate_dim_is(value->type.dims[at.vector], 1)) { /* lanes cannot run along it */
        sums = LLVMBuildExtractElement(e->builder, sums, agate_emit_int(e, 0), "");
        at.vector = -1;
        at.lanes = 1;
        at.live = NULL;
    }
    agate_emit_bind(e, value, sums);
    agate_emit_finish(e, &at);
}

LLVMValueRef agate_emit_bias(agate_emitter *e, const agate_node *conv, LLVMValueRef channel, int32_t lanes,
                             LLVMValueRef live)
{
    if (conv->operand_count < 3)
        return NULL;
    const agate_value *bias = conv->operands[2];
    agate_coords at = agate_coords_make(e, 1);
    at.at[0] = channel;
    at.vector = 0;
    at.lanes = lanes;
    at.live = live;
    return agate_emit_load(e, e->params[bias->index], &bias->type, &at);
}

void agate_emit_prefetch(agate_emitter *e, LLVMValueRef address, bool near)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef args[] = {address, LLVMConstInt(i32, 0, 0), LLVMConstInt(i32, near ? 3 : 2, 0),
                           LLVMConstInt(i32, 1, 0)};
    agate_emit_intrinsic(e, "llvm.prefetch", args, 4);
}

int32_t agate_runs_balance(int64_t extent, int64_t most, agate_run out_runs[2])
{
    if (extent == 0)
        return 0;
    int64_t tiles = agate_ceil_div(extent, most);
    int64_t width = extent / tiles;
    int64_t wider = extent % tiles;
    int32_t count = 0;
    if (wider)
        out_runs[count++] = (agate_run){.first = 0, .count = wider, .width = width + 1, .start = 0};
    out_runs[count++] =
        (agate_run){.first = wider, .count = tiles - wider, .width = width, .start = wider * (width + 1)};
    return count;
}
