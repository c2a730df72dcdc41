/* emit_transpose.c: transposes and reorders whose reads and writes are contiguous along different dimensions.
 */
#include "backend/emit_space.h"

/* ---- which dimension the operands are contiguous along ------------------------------------------------- */

/* Counts, for each dimension of the kernel's result, the operands whose memory is contiguous along it. */
typedef struct votes {
    int32_t count[AGATE_MAX_RANK];
    int32_t visits;
    bool unknown; /* something was met that is no plain map of coordinates, or too much of it */
} votes;

/* Bodies are walked as trees, in which a value counts as often as it is used: a bound on what that may grow
 * to. */
#define MOST_VISITS 256

/* The dimension whose neighbours are neighbours in memory; -1: none. */
static int32_t contiguous_dim(const agate_type *type)
{
    if (type->layout.kind == AGATE_LAYOUT_channel)
        return agate_dim_is(type->dims[1], 1) ? -1 : 1;
    int32_t dim = type->rank - 1;
    while (dim >= 0 && agate_dim_is(type->dims[dim], 1))
        dim--;
    return type->layout.kind == AGATE_LAYOUT_plain ? dim : -1;
}

/* `map` gives, for each dimension of `value`, that of the result it follows; -1: none. */
static void vote(const agate_value *value, const int32_t *map, votes *v)
{
    const agate_node *node = value->node;
    int32_t from[AGATE_MAX_RANK];

    if (v->unknown || v->visits++ == MOST_VISITS) {
        v->unknown = true;
        return;
    }
    if (!node) {
        int32_t dim = contiguous_dim(&value->type);
        if (dim >= 0 && map[dim] >= 0)
            v->count[map[dim]]++;
        return;
    }
    agate_family family = agate_node_info(node)->family;
    bool same = family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_cast ||
                node->op == AGATE_OP_reorder || node->op == AGATE_OP_expand;
    if (family == AGATE_FAMILY_data)
        return;
    if (!same && node->op != AGATE_OP_transpose) {
        v->unknown = true;
        return;
    }
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        int32_t shift = value->type.rank - operand->type.rank;
        for (int32_t k = 0; k < operand->type.rank; k++)
            from[k] = agate_dim_is(operand->type.dims[k], 1) ? -1 : map[same ? k + shift : k];
        if (node->op == AGATE_OP_transpose)
            for (int32_t k = 0; k < value->type.rank; k++)
                from[node->attrs.perm.perm.v[k]] = map[k];
        vote(operand, from, v);
    }
}

bool agate_transposition_find(const agate_node *kernel, agate_transposition *out_transposition)
{
    const agate_type *type = &kernel->results[0].type;
    agate_transposition t = {.along = contiguous_dim(type), .across = -1, .lanes = kernel->tiles.v};
    votes v = {0};
    int32_t map[AGATE_MAX_RANK] = {0};

    if (kernel->result_count != 1 || t.along < 0 || t.lanes < 2)
        return false;
    for (int32_t i = 0; i < type->rank; i++)
        map[i] = i;
    vote(kernel->body->last->operands[0], map, &v);
    for (int32_t i = 0; i < type->rank; i++)
        if (i != t.along && v.count[i] > (t.across < 0 ? 0 : v.count[t.across]))
            t.across = i;
    if (v.unknown || t.across < 0 || v.count[t.along] > 0)
        return false;
    if (!agate_dim_is_fixed(type->dims[t.along]) || !agate_dim_is_fixed(type->dims[t.across]))
        return false;
    if (type->layout.kind == AGATE_LAYOUT_channel)
        t.lanes = (int32_t)agate_min(t.lanes, type->layout.block);

    t.tiles = agate_type_make(type->dtype, type->rank, type->dims);
    t.tiles.dims[t.along].offset = agate_ceil_div(type->dims[t.along].offset, t.lanes);
    t.tiles.dims[t.across].offset = agate_min(1, type->dims[t.across].offset);
    int64_t tile_elements = t.lanes * agate_max(1, type->dims[t.across].offset);
    t.space = agate_space_make(&t.tiles, -1, 1, agate_max(1, kernel->tiles.grain / tile_elements));
    *out_transposition = t;
    return true;
}

/* ---- tiles --------------------------------------------------------------------------------------------- */

/* Transposes `lanes` vectors in place. Interleaving the upper half of the rows with the lower turns one bit
 * of an element's row number into one of its lane's; after log2(lanes) rounds all have changed sides. */
static void transpose_square(agate_emitter *e, LLVMValueRef *rows, int32_t lanes)
{
    for (int32_t round = 1; round < lanes; round *= 2) {
        LLVMValueRef next[lanes];
        for (int32_t i = 0; i < lanes / 2; i++) {
            next[2 * i] = agate_emit_interleaved(e, rows[i], rows[i + lanes / 2], 0, lanes);
            next[2 * i + 1] = agate_emit_interleaved(e, rows[i], rows[i + lanes / 2], lanes / 2, lanes);
        }
        memcpy(rows, next, sizeof next);
    }
}

/* One tile: `height` elements along t->along from `coords`, `width` across. */
static void emit_tile(agate_emitter *e, const agate_transposition *t, const agate_coords *coords,
                      int64_t height, int64_t width)
{
    const agate_value *value = e->body->last->operands[0];
    const agate_type *type = &e->kernel->results[0].type;
    LLVMValueRef zero = agate_emit_int(e, 0);
    LLVMValueRef rows[t->lanes];
    agate_coords at = *coords;

    at.vector = t->across;
    at.lanes = t->lanes;
    if (width < t->lanes)
        at.live = agate_emit_live(e, zero, agate_emit_int(e, width), t->lanes);
    for (int32_t i = 0; i < t->lanes; i++) {
        at.at[t->along] = agate_emit_add(e, coords->at[t->along], agate_emit_int(e, i));
        rows[i] = i < height ? agate_emit_to_shuffle(e, agate_emit_value(e, value, &at))
                             : LLVMConstNull(agate_emit_type(e, type->dtype, t->lanes));
    }
    transpose_square(e, rows, t->lanes);
    at = *coords;
    at.vector = t->along;
    at.lanes = t->lanes;
    if (height < t->lanes)
        at.live = agate_emit_live(e, zero, agate_emit_int(e, height), t->lanes);
    for (int32_t i = 0; i < width; i++) {
        at.at[t->across] = agate_emit_add(e, coords->at[t->across], agate_emit_int(e, i));
        agate_emit_store(e, e->results[0], type, &at, rows[i]);
    }
    e->bindings = NULL;
}

/* All tiles side by side across. */
static void emit_strip(agate_emitter *e, const agate_transposition *t, agate_coords coords, int64_t height)
{
    int64_t width = e->kernel->results[0].type.dims[t->across].offset, whole = width / t->lanes * t->lanes;

    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, whole), t->lanes, NULL, 0);
    coords.at[t->across] = loop.index;
    emit_tile(e, t, &coords, height, t->lanes);
    agate_loop_end(e, &loop, NULL);
    if (whole < width) {
        coords.at[t->across] = agate_emit_int(e, whole);
        emit_tile(e, t, &coords, height, width - whole);
    }
}

static void emit_strips(agate_emitter *e, const agate_coords *tile, void *user)
{
    const agate_transposition *t = user;
    int64_t height = e->kernel->results[0].type.dims[t->along].offset, full = height / t->lanes;
    LLVMValueRef number = tile->at[t->along];
    agate_coords coords = *tile;

    coords.at[t->along] = agate_emit_mul(e, number, t->lanes);
    if (full > 0) {
        LLVMValueRef is_full = LLVMBuildICmp(e->builder, LLVMIntSLT, number, agate_emit_int(e, full), "");
        agate_branch branch = agate_branch_begin(e, is_full);
        emit_strip(e, t, coords, t->lanes);
        agate_branch_end(e, &branch, NULL, NULL);
    }
    if (height % t->lanes != 0) {
        LLVMValueRef is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, number, agate_emit_int(e, full), "");
        agate_branch branch = agate_branch_begin(e, is_last);
        emit_strip(e, t, coords, height % t->lanes);
        agate_branch_end(e, &branch, NULL, NULL);
    }
}

void agate_emit_transposition(agate_emitter *e, const agate_transposition *t)
{
    agate_transposition copy = *t;

    copy.space.type = &copy.tiles; /* it moved with the struct */
    agate_emit_space(e, &copy.space, emit_strips, &copy);
}
