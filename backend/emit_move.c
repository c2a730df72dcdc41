/* emit_move.c: moves as maps of coordinates. A move costs no memory: its reader asks its operand at other
 * coordinates. */
#include "backend/emit_parts.h"

static LLVMValueRef transpose(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    agate_coords from = *coords;

    for (int32_t i = 0; i < coords->rank; i++) {
        int32_t source = (int32_t)node->attrs.perm.perm.v[i];
        from.at[source] = coords->at[i];
        if (i == coords->vector)
            from.vector = source;
    }
    return agate_emit_value(e, node->operands[0], &from);
}

static LLVMValueRef slice(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_attrs_slice *attrs = &node->attrs.slice;
    agate_coords from = *coords;

    for (int32_t i = 0; i < coords->rank; i++) {
        int64_t start = attrs->starts.v[i], step = attrs->steps.v[i];
        if (i == coords->vector && step != 1)
            return agate_emit_by_lane(e, &node->results[0], coords);
        if (i == coords->vector && start % coords->lanes != 0)
            from.unaligned = true;
        from.at[i] = agate_emit_add(e, agate_emit_mul(e, coords->at[i], step), agate_emit_int(e, start));
    }
    return agate_emit_value(e, node->operands[0], &from);
}

/* Remainder with the sign of the divisor. */
static LLVMValueRef wrap_index(agate_emitter *e, LLVMValueRef index, LLVMValueRef period)
{
    LLVMValueRef rest = LLVMBuildSRem(e->builder, index, period, "");
    LLVMValueRef negative = LLVMBuildICmp(e->builder, LLVMIntSLT, rest, agate_emit_int(e, 0), "");

    return LLVMBuildSelect(e->builder, negative, agate_emit_add(e, rest, period), rest, "");
}

/* Where in 0..extent-1 an index beyond the edges finds its element. */
static LLVMValueRef fold_index(agate_emitter *e, agate_padding mode, LLVMValueRef index, LLVMValueRef extent)
{
    LLVMValueRef one = agate_emit_int(e, 1);
    LLVMValueRef last = agate_emit_sub(e, extent, one);

    if (mode == AGATE_PAD_WRAP)
        return wrap_index(e, index, extent);
    if (mode == AGATE_PAD_EDGE)
        return agate_emit_max(e, agate_emit_int(e, 0), agate_emit_min(e, index, last));
    LLVMValueRef period = agate_emit_max(e, one, agate_emit_mul(e, last, 2));
    LLVMValueRef folded = wrap_index(e, index, period);
    return agate_emit_min(e, folded, agate_emit_sub(e, period, folded));
}

/* i1, or one for each lane of dimension `dim`: 0 <= coords->at[dim] < extent. */
static LLVMValueRef is_inside(agate_emitter *e, const agate_coords *coords, int32_t dim, LLVMValueRef lo,
                              LLVMValueRef hi)
{
    LLVMValueRef at = coords->at[dim];
    LLVMValueRef extent = agate_emit_sub(e, hi, lo);

    at = agate_emit_sub(e, at, lo);
    if (dim == coords->vector) {
        at = agate_emit_add(e, agate_emit_splat(e, at, coords->lanes), agate_emit_iota(e, coords->lanes));
        extent = agate_emit_splat(e, extent, coords->lanes);
    }
    return LLVMBuildICmp(e->builder, LLVMIntULT, at, extent, "");
}

/* `value` at `from` where `lanes` and `all` (either may be NULL) hold, else `fill`. */
static LLVMValueRef value_within(agate_emitter *e, const agate_value *value, const agate_coords *from,
                                 LLVMValueRef all, LLVMValueRef lanes, LLVMValueRef fill)
{
    agate_coords inside = *from;
    agate_branch branch;

    if (all)
        branch = agate_branch_begin(e, all);
    if (lanes)
        agate_coords_guard(e, &inside, lanes);
    LLVMValueRef result = agate_emit_value(e, value, &inside);
    if (lanes)
        result = LLVMBuildSelect(e->builder, lanes, result, fill, "");
    return all ? agate_branch_end(e, &branch, result, fill) : result;
}

static LLVMValueRef both(agate_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return a ? LLVMBuildAnd(e->builder, a, b, "") : b;
}

/* A pad in whose dimension lanes run, which copies elements: a vector where all of `from` lie in the operand,
 * lane by lane at its edges. */
static LLVMValueRef copy_edges(agate_emitter *e, const agate_node *node, const agate_coords *coords,
                               const agate_coords *from)
{
    LLVMValueRef at = from->at[from->vector];
    LLVMValueRef end = agate_emit_add(e, at, agate_emit_int(e, from->lanes));
    LLVMValueRef extent = agate_emit_dim(e, node->operands[0]->type.dims[from->vector]);
    LLVMValueRef before = LLVMBuildICmp(e->builder, LLVMIntSLT, at, agate_emit_int(e, 0), "");
    LLVMValueRef behind = LLVMBuildICmp(e->builder, LLVMIntSGT, end, extent, "");
    LLVMValueRef edge = LLVMBuildOr(e->builder, before, behind, "");
    LLVMValueRef none = LLVMConstNull(agate_emit_type(e, node->results[0].type.dtype, coords->lanes));

    agate_branch inside = agate_branch_begin(e, LLVMBuildNot(e->builder, edge, ""));
    LLVMValueRef whole = agate_branch_end(e, &inside, agate_emit_value(e, node->operands[0], from), none);
    agate_branch outside = agate_branch_begin(e, edge);
    return agate_branch_end(e, &outside, agate_emit_by_lane(e, &node->results[0], coords), whole);
}

static LLVMValueRef pad(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_attrs_pad *attrs = &node->attrs.pad;
    const agate_type *type = &node->operands[0]->type;
    agate_coords from = *coords;
    LLVMValueRef all = NULL, lanes = NULL;
    bool copies = false;

    for (int32_t i = 0; i < coords->rank; i++) {
        int64_t begin = attrs->begins.v[i], end = attrs->ends.v[i];
        LLVMValueRef extent = agate_emit_dim(e, type->dims[i]);
        from.at[i] = agate_emit_add(e, coords->at[i], agate_emit_int(e, -begin));
        if (i == coords->vector && begin % coords->lanes != 0)
            from.unaligned = true;
        if (begin <= 0 && end <= 0)
            continue;
        if (attrs->mode != AGATE_PAD_CONSTANT) {
            if (i == coords->vector)
                copies = true;
            else
                from.at[i] = fold_index(e, attrs->mode, from.at[i], extent);
        } else if (i == coords->vector) {
            lanes = is_inside(e, &from, i, agate_emit_int(e, 0), extent);
        } else {
            all = both(e, all, is_inside(e, &from, i, agate_emit_int(e, 0), extent));
        }
    }
    if (copies)
        return copy_edges(e, node, coords, &from);
    LLVMValueRef fill = agate_emit_number(e, type->dtype, attrs->value, coords->lanes);
    return value_within(e, node->operands[0], &from, all, lanes, fill);
}

/* i1: do lanes lie in lo <= at < hi? NULL where there are so few that asking costs more than reading. */
static LLVMValueRef meets(agate_emitter *e, const agate_coords *coords, int32_t axis, LLVMValueRef lo,
                          LLVMValueRef hi)
{
    if (axis != coords->vector)
        return NULL;
    LLVMValueRef at = coords->at[axis], end = agate_emit_add(e, at, agate_emit_int(e, coords->lanes));
    return LLVMBuildAnd(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, at, hi, ""),
                        LLVMBuildICmp(e->builder, LLVMIntSGT, end, lo, ""), "");
}

static LLVMValueRef concat(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    int32_t axis = (int32_t)node->attrs.axis.axis;
    agate_dtype dtype = node->results[0].type.dtype;
    LLVMValueRef result = LLVMConstNull(agate_emit_type(e, dtype, coords->lanes));
    bool uniform = axis != coords->vector;
    agate_dim offset = agate_dim_fixed(0);

    if (!uniform && !coords->unaligned) {
        /* Vectors that start at multiples of their size lie in one operand, if the operands' joints are such
         * too. */
        uniform = true;
        int64_t joint = 0;
        for (int32_t i = 0; i + 1 < node->operand_count; i++) {
            agate_dim size = node->operands[i]->type.dims[axis];
            joint += size.offset;
            uniform &= agate_dim_is_fixed(size) && joint % coords->lanes == 0;
        }
    }
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        agate_dim end = {offset.scale + operand->type.dims[axis].scale,
                         offset.offset + operand->type.dims[axis].offset};
        LLVMValueRef lo = agate_emit_dim(e, offset), hi = agate_emit_dim(e, end);
        agate_coords from = *coords, test = *coords;
        from.at[axis] = agate_emit_sub(e, coords->at[axis], lo);
        from.unaligned |= axis == coords->vector && !uniform;
        if (uniform)
            test.vector = -1;
        LLVMValueRef inside = is_inside(e, &test, axis, lo, hi);
        LLVMValueRef any = uniform ? inside : meets(e, coords, axis, lo, hi);
        result = value_within(e, operand, &from, any, uniform ? NULL : inside, result);
        offset = end;
    }
    return result;
}

/* Vectors at `from` of all operands, one behind the other, then element by element. Each is as wide as the
 * others, and their count is a power of two, so that pairs make one vector in the end. */
static LLVMValueRef interleave_lanes(agate_emitter *e, const agate_node *node, const agate_coords *from,
                                     int32_t lanes)
{
    LLVMValueRef parts[lanes], order[lanes];
    int32_t count = node->operand_count, each = from->lanes;

    for (int32_t i = 0; i < count; i++)
        parts[i] = agate_emit_to_shuffle(e, agate_emit_value(e, node->operands[i], from));
    for (int32_t i = 0; i < lanes; i++)
        order[i] = LLVMConstInt(LLVMInt32TypeInContext(e->context), (uint64_t)i, 0);
    for (int32_t width = 2 * each; count > 1; count /= 2, width *= 2)
        for (int32_t i = 0; i < count / 2; i++)
            parts[i] = LLVMBuildShuffleVector(e->builder, parts[2 * i], parts[2 * i + 1],
                                              LLVMConstVector(order, (unsigned)width), "");
    for (int32_t i = 0; i < lanes; i++) {
        int32_t source = i % node->operand_count * each + i / node->operand_count;
        order[i] = LLVMConstInt(LLVMInt32TypeInContext(e->context), (uint64_t)source, 0);
    }
    return LLVMBuildShuffleVector(e->builder, parts[0], LLVMGetPoison(LLVMTypeOf(parts[0])),
                                  LLVMConstVector(order, (unsigned)lanes), "");
}

/* Turn about from `count` operands: lane by lane, a vector of the result has every count-th element of
 * each. */
static LLVMValueRef interleave(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    int32_t axis = (int32_t)node->attrs.axis.axis, count = node->operand_count, each = coords->lanes / count;
    bool along = axis == coords->vector;
    LLVMValueRef result = NULL, turn, at;

    if (along && (coords->unaligned || coords->lanes % count != 0 || (count & (count - 1)) != 0 || each < 2))
        return agate_emit_by_lane(e, &node->results[0], coords);
    agate_emit_divide(e, coords->at[axis], count, &at, &turn);
    agate_coords from = *coords;
    from.at[axis] = at;
    if (along) {
        from.lanes = each;
        from.live = NULL;
        if (coords->live) /* lanes of the result live from the first on, so turns do */
            from.live = agate_emit_live(e, at, agate_emit_dim(e, node->operands[0]->type.dims[axis]), each);
        from.guarded = coords->guarded;
    }
    if (along)
        return interleave_lanes(e, node, &from, coords->lanes);
    for (int32_t i = 0; i < count; i++) {
        LLVMValueRef is_turn = LLVMBuildICmp(e->builder, LLVMIntEQ, turn, agate_emit_int(e, i), "");
        LLVMValueRef none =
            result ? result : LLVMConstNull(agate_emit_type(e, node->results[0].type.dtype, coords->lanes));
        result = value_within(e, node->operands[i], &from, is_turn, NULL, none);
    }
    return result;
}

/* The same elements in row-major order under another shape: through the number of the element. */
static LLVMValueRef reshape(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_type *to = &node->results[0].type, *type = &node->operands[0]->type;
    LLVMValueRef number = agate_emit_int(e, 0), extents[AGATE_MAX_RANK], digits[AGATE_MAX_RANK];
    agate_coords from = agate_coords_make(e, type->rank);

    if (coords->lanes > 1)
        return agate_emit_by_lane(e, &node->results[0], coords);
    for (int32_t i = 0; i < to->rank; i++) {
        LLVMValueRef extent = agate_emit_dim(e, to->dims[i]);
        number = agate_emit_add(e, LLVMBuildMul(e->builder, number, extent, ""), coords->at[i]);
    }
    for (int32_t i = 0; i < type->rank; i++)
        extents[i] = agate_emit_dim(e, type->dims[i]);
    agate_emit_digits(e, number, extents, type->rank, digits);
    for (int32_t i = 0; i < type->rank; i++)
        from.at[i] = digits[i];
    from.live = coords->live;
    from.guarded = coords->guarded;
    return agate_emit_value(e, node->operands[0], &from);
}

LLVMValueRef agate_emit_move(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    switch (node->op) {
    case AGATE_OP_transpose:
        return transpose(e, node, coords);
    case AGATE_OP_slice:
        return slice(e, node, coords);
    case AGATE_OP_pad:
        return pad(e, node, coords);
    case AGATE_OP_concat:
        return concat(e, node, coords);
    case AGATE_OP_interleave:
        return interleave(e, node, coords);
    case AGATE_OP_reshape:
        return reshape(e, node, coords);
    default: /* expand, reorder: broadcasting and layouts are the loads' business */
        return agate_emit_value(e, node->operands[0], coords);
    }
}
