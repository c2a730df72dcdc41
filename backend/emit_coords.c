/* emit_coords.c: from coordinates through a layout to an address; loads and stores of vectors. */
#include "backend/emit_parts.h"
#include "backend/llvm_shim.h"

agate_coords agate_coords_make(agate_emitter *e, int32_t rank)
{
    agate_coords coords = {.rank = rank, .vector = -1, .lanes = 1};

    for (int32_t i = 0; i < rank; i++)
        coords.at[i] = agate_emit_int(e, 0);
    return coords;
}

/* How the lanes of a vector meet a tensor. */
typedef enum agate_reach {
    REACH_SAME,       /* all lanes are one element */
    REACH_CONTIGUOUS, /* they follow each other in memory */
    REACH_BLOCK,      /* the same, within a block, whose pads are there to be read and written */
    REACH_APART,      /* each has its own address */
} agate_reach;

/* The dimension of `type` that dimension `dim` of the coordinates falls on; -1: none, it broadcasts. */
static int32_t own_dim(const agate_type *type, const agate_coords *coords, int32_t dim)
{
    int32_t own = dim - (coords->rank - type->rank);

    return own < 0 || agate_dim_is(type->dims[own], 1) ? -1 : own;
}

static int32_t axes_of(const agate_type *type, agate_phys_axis axes[AGATE_MAX_PHYS])
{
    int32_t count = agate_type_phys(type, axes);

    assert(count >= 0);
    return count;
}

static bool is_single(const agate_type *type)
{
    agate_dim count;

    return agate_type_count(type, &count) && agate_dim_is(count, 1);
}

static agate_reach reach(const agate_type *type, const agate_coords *coords)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];

    if (coords->lanes == 1 || (coords->flat && is_single(type)))
        return REACH_SAME;
    if (coords->flat)
        return REACH_CONTIGUOUS;
    int32_t own = own_dim(type, coords, coords->vector);
    if (own < 0)
        return REACH_SAME;
    int32_t count = axes_of(type, axes);
    for (int32_t i = 0; i < count; i++) {
        if (axes[i].dim != own || axes[i].part == AGATE_PHYS_OUTER || !agate_dim_is(axes[i].stride, 1))
            continue;
        if (axes[i].part == AGATE_PHYS_WHOLE)
            return REACH_CONTIGUOUS;
        if (axes[i].part == AGATE_PHYS_INNER && !coords->unaligned && type->layout.block % coords->lanes == 0)
            return REACH_BLOCK;
    }
    return REACH_APART;
}

static LLVMValueRef times_stride(agate_emitter *e, LLVMValueRef at, agate_dim stride)
{
    if (agate_dim_is_fixed(stride))
        return agate_emit_mul(e, at, stride.offset);
    return LLVMBuildMul(e->builder, at, agate_emit_splat(e, agate_emit_dim(e, stride), agate_emit_lanes(at)),
                        "");
}

/* agate_phys_digit. */
static LLVMValueRef digit(agate_emitter *e, const agate_phys_axis *axis, int64_t block, LLVMValueRef at)
{
    LLVMValueRef outer, inner, pairs, of_pair;

    if (axis->part == AGATE_PHYS_WHOLE)
        return at;
    agate_emit_divide(e, at, block, &outer, &inner);
    if (axis->part == AGATE_PHYS_OUTER || axis->part == AGATE_PHYS_INNER)
        return axis->part == AGATE_PHYS_OUTER ? outer : inner;
    agate_emit_divide(e, axis->part == AGATE_PHYS_PAIRS ? inner : at, 2, &pairs, &of_pair);
    return axis->part == AGATE_PHYS_OF_PAIR ? of_pair : pairs;
}

/* The number of the first element, or, where `wide`, of every lane's. */
static LLVMValueRef element_number(agate_emitter *e, const agate_type *type, const agate_coords *coords,
                                   bool wide)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = axes_of(type, axes);
    LLVMValueRef uniform = agate_emit_int(e, 0);
    LLVMValueRef varying = NULL;

    for (int32_t i = 0; i < count; i++) {
        int32_t dim = axes[i].dim + (coords->rank - type->rank);
        if (dim < 0 || own_dim(type, coords, dim) < 0)
            continue;
        LLVMValueRef at = coords->at[dim];
        bool varies = wide && dim == coords->vector;
        if (varies)
            at = agate_emit_add(e, agate_emit_splat(e, at, coords->lanes), agate_emit_iota(e, coords->lanes));
        LLVMValueRef term = times_stride(e, digit(e, &axes[i], type->layout.block, at), axes[i].stride);
        if (varies)
            varying = varying ? agate_emit_add(e, varying, term) : term;
        else
            uniform = agate_emit_add(e, uniform, term);
    }
    if (!wide)
        return uniform;
    uniform = agate_emit_splat(e, uniform, coords->lanes);
    return varying ? agate_emit_add(e, uniform, varying) : uniform;
}

static LLVMValueRef element_address(agate_emitter *e, LLVMValueRef base, agate_dtype dtype,
                                    LLVMValueRef number)
{
    return LLVMBuildGEP2(e->builder, agate_emit_type(e, dtype, 1), base, &number, 1, "");
}

LLVMValueRef agate_emit_address(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                                const agate_coords *coords)
{
    LLVMValueRef number;

    if (coords->flat)
        number = is_single(type) ? agate_emit_int(e, 0) : coords->at[0];
    else
        number = element_number(e, type, coords, false);
    return element_address(e, base, type->dtype, number);
}

LLVMValueRef agate_emit_live(agate_emitter *e, LLVMValueRef at, LLVMValueRef extent, int32_t lanes)
{
    /* 32 bits are enough for a distance that is capped at the lanes there are, and half the cost of 64. */
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef left = agate_emit_min(e, agate_emit_sub(e, extent, at), agate_emit_int(e, lanes));
    LLVMValueRef numbers[lanes];

    left = LLVMBuildTrunc(e->builder, left, i32, "");
    for (int32_t i = 0; i < lanes; i++)
        numbers[i] = LLVMConstInt(i32, (uint64_t)i, 0);
    LLVMValueRef iota = lanes == 1 ? numbers[0] : LLVMConstVector(numbers, (unsigned)lanes);
    return LLVMBuildICmp(e->builder, LLVMIntSLT, iota, agate_emit_splat(e, left, lanes), "");
}

void agate_coords_guard(agate_emitter *e, agate_coords *coords, LLVMValueRef condition)
{
    if (agate_emit_lanes(condition) != coords->lanes)
        condition = agate_emit_splat(e, condition, coords->lanes);
    coords->live = coords->live ? LLVMBuildAnd(e->builder, coords->live, condition, "") : condition;
    coords->guarded = true;
}

/* What one element is read under: NULL for always. A mask that only cuts a tail always has its first lane. */
LLVMValueRef agate_coords_any_live(agate_emitter *e, const agate_coords *coords)
{
    if (!coords->live || !coords->guarded)
        return NULL;
    if (coords->lanes == 1)
        return coords->live;
    LLVMValueRef live = coords->live;
    return agate_emit_intrinsic(e, "llvm.vector.reduce.or", &live, 1);
}

static LLVMValueRef load_one(agate_emitter *e, agate_dtype dtype, LLVMValueRef address, LLVMValueRef live)
{
    LLVMTypeRef type = agate_emit_type(e, dtype, 1);
    agate_branch branch;

    if (live)
        branch = agate_branch_begin(e, live);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, address, "");
    LLVMSetAlignment(value, (unsigned)agate_dtype_size(dtype));
    return live ? agate_branch_end(e, &branch, value, LLVMConstNull(type)) : value;
}

/* Lanes with an address each. Without a mask, single loads: they cost no more than a gather and often less.
 */
static LLVMValueRef load_apart(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                               const agate_coords *coords)
{
    LLVMTypeRef vector = agate_emit_type(e, type->dtype, coords->lanes);
    LLVMValueRef numbers = element_number(e, type, coords, true);
    LLVMValueRef value = LLVMGetPoison(vector);

    if (coords->live)
        return agate_llvm_gather(e->module, e->builder, vector,
                                 element_address(e, base, type->dtype, numbers),
                                 (uint32_t)agate_dtype_size(type->dtype), coords->live);
    for (int32_t i = 0; i < coords->lanes; i++) {
        agate_coords one = *coords;
        one.at[coords->vector] = agate_emit_add(e, coords->at[coords->vector], agate_emit_int(e, i));
        one.lanes = 1;
        LLVMValueRef address = agate_emit_address(e, base, type, &one);
        value = LLVMBuildInsertElement(e->builder, value, load_one(e, type->dtype, address, NULL),
                                       agate_emit_int(e, i), "");
    }
    return value;
}

/* May lanes from anywhere run along a blocked dimension, over two blocks at most? */
static bool runs_across(const agate_type *type, const agate_coords *coords)
{
    int32_t block = type->layout.block;

    return type->layout.kind == AGATE_LAYOUT_channel && own_dim(type, coords, coords->vector) == 1 &&
           coords->lanes <= block && (block & (block - 1)) == 0;
}

/* Two masked loads, of what lies in the block of the first lane and in the next. Where the vector begins in
 * front of the dimension (some lanes are not live then), that is block -1: shifts round downwards. */
static LLVMValueRef load_across(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                                const agate_coords *coords)
{
    int32_t block = type->layout.block, lanes = coords->lanes, shift = __builtin_ctz((unsigned)block);
    uint32_t align = (uint32_t)agate_dtype_size(type->dtype);
    LLVMTypeRef vector = agate_emit_type(e, type->dtype, lanes);
    LLVMValueRef at = coords->at[coords->vector], live[2], parts[2];
    agate_coords start = *coords;
    agate_phys_axis axes[AGATE_MAX_PHYS];

    axes_of(type, axes);
    start.at[coords->vector] = agate_emit_int(e, 0);
    LLVMValueRef first = LLVMBuildAShr(e->builder, at, agate_emit_int(e, shift), "");
    LLVMValueRef within = LLVMBuildAnd(e->builder, at, agate_emit_int(e, block - 1), "");
    LLVMValueRef number =
        agate_emit_add(e, element_number(e, type, &start, false),
                       agate_emit_add(e, agate_emit_mul(e, first, axes[1].stride.offset), within));
    live[0] = agate_emit_live(e, within, agate_emit_int(e, block), lanes);
    live[1] = LLVMBuildNot(e->builder, live[0], "");
    for (int32_t i = 0; i < 2; i++) {
        LLVMValueRef mask = coords->live ? LLVMBuildAnd(e->builder, live[i], coords->live, "") : live[i];
        LLVMValueRef address = element_address(
            e, base, type->dtype,
            agate_emit_add(e, number, agate_emit_int(e, i * (axes[1].stride.offset - block))));
        parts[i] = agate_llvm_masked_load(e->module, e->builder, vector, address, align, mask);
    }
    return LLVMBuildSelect(e->builder, live[0], parts[0], parts[1], "");
}

LLVMValueRef agate_emit_load(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                             const agate_coords *coords)
{
    agate_reach how = reach(type, coords);
    uint32_t align = (uint32_t)agate_dtype_size(type->dtype);
    LLVMTypeRef vector = agate_emit_type(e, type->dtype, coords->lanes);

    if (how == REACH_APART && runs_across(type, coords))
        return load_across(e, base, type, coords);
    if (how == REACH_APART)
        return load_apart(e, base, type, coords);
    LLVMValueRef address = agate_emit_address(e, base, type, coords);
    if (how == REACH_SAME)
        return agate_emit_splat(e, load_one(e, type->dtype, address, agate_coords_any_live(e, coords)),
                                coords->lanes);
    if (coords->live && (how != REACH_BLOCK || coords->guarded))
        return agate_llvm_masked_load(e->module, e->builder, vector, address, align, coords->live);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, vector, address, "");
    LLVMSetAlignment(value, align);
    return value;
}

static void store_one(agate_emitter *e, agate_dtype dtype, LLVMValueRef address, LLVMValueRef value,
                      LLVMValueRef live)
{
    agate_branch branch;

    if (live)
        branch = agate_branch_begin(e, live);
    LLVMSetAlignment(LLVMBuildStore(e->builder, value, address), (unsigned)agate_dtype_size(dtype));
    if (live)
        agate_branch_end(e, &branch, NULL, NULL);
}

static void store_apart(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                        const agate_coords *coords, LLVMValueRef value)
{
    for (int32_t i = 0; i < coords->lanes; i++) {
        LLVMValueRef lane = agate_emit_int(e, i);
        LLVMValueRef live = coords->live ? LLVMBuildExtractElement(e->builder, coords->live, lane, "") : NULL;
        agate_coords one = *coords;
        one.at[coords->vector] = agate_emit_add(e, coords->at[coords->vector], lane);
        one.lanes = 1;
        store_one(e, type->dtype, agate_emit_address(e, base, type, &one),
                  LLVMBuildExtractElement(e->builder, value, lane, ""), live);
    }
}

void agate_emit_store(agate_emitter *e, LLVMValueRef base, const agate_type *type, const agate_coords *coords,
                      LLVMValueRef value)
{
    agate_reach how = reach(type, coords);
    uint32_t align = (uint32_t)agate_dtype_size(type->dtype);

    if (how == REACH_APART) {
        store_apart(e, base, type, coords, value);
        return;
    }
    LLVMValueRef address = agate_emit_address(e, base, type, coords);
    if (coords->lanes == 1) {
        store_one(e, type->dtype, address, value, coords->live);
        return;
    }
    if (how ==
        REACH_SAME) { /* the vector runs along a dimension of one element: only the first lane exists */
        LLVMValueRef first = agate_emit_int(e, 0);
        store_one(e, type->dtype, address, LLVMBuildExtractElement(e->builder, value, first, ""),
                  coords->live ? LLVMBuildExtractElement(e->builder, coords->live, first, "") : NULL);
        return;
    }
    if (coords->live && (how != REACH_BLOCK || coords->guarded)) {
        agate_llvm_masked_store(e->module, e->builder, value, address, align, coords->live);
        return;
    }
    LLVMSetAlignment(LLVMBuildStore(e->builder, value, address), align);
}

int64_t agate_emit_image_stride(const agate_type *type)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(type, axes);

    assert(count > 0 && axes[0].dim == 0 && axes[0].part == AGATE_PHYS_WHOLE);
    (void)count;
    return axes[0].stride.offset;
}
