/* emit_value.c: what a value of the body is at some coordinates: bound, loaded, computed, or found elsewhere
 * by a move. */
#include "backend/emit_parts.h"
#include "ir/parts.h"

/* Either a value that an emitter bound (`anywhere`), or one that was computed at `coords`. */
struct agate_binding {
    const agate_value *value;
    LLVMValueRef vector;
    agate_coords coords;
    bool anywhere;
    struct agate_binding *next;
};

static void remember(agate_emitter *e, const agate_value *value, LLVMValueRef vector,
                     const agate_coords *coords)
{
    struct agate_binding *binding = AGATE_NEW(e->scratch, struct agate_binding);

    binding->value = value;
    binding->vector = vector;
    binding->anywhere = coords == NULL;
    if (coords)
        binding->coords = *coords;
    binding->next = e->bindings;
    e->bindings = binding;
}

static bool same_coords(const agate_coords *a, const agate_coords *b)
{
    return a->rank == b->rank && a->vector == b->vector && a->lanes == b->lanes && a->live == b->live &&
           a->guarded == b->guarded && a->unaligned == b->unaligned && a->flat == b->flat &&
           memcmp(a->at, b->at, sizeof a->at[0] * (size_t)a->rank) == 0;
}

static LLVMValueRef recall(agate_emitter *e, const agate_value *value, const agate_coords *coords)
{
    for (struct agate_binding *b = e->bindings; b; b = b->next)
        if (b->value == value && (b->anywhere || same_coords(&b->coords, coords)))
            return b->vector;
    return NULL;
}

void agate_emit_bind(agate_emitter *e, const agate_value *value, LLVMValueRef vector)
{
    remember(e, value, vector, NULL);
}

/* The coordinates as `type` sees them: its own rank, 0 where it broadcasts; one element where its lanes are
 * all one. */
static agate_coords project(agate_emitter *e, const agate_type *type, const agate_coords *coords)
{
    if (coords->flat)
        return *coords;
    agate_coords own = agate_coords_make(e, type->rank);
    int32_t shift = coords->rank - type->rank;

    assert(shift >= 0);
    own.live = coords->live;
    own.guarded = coords->guarded;
    own.unaligned = coords->unaligned;
    for (int32_t i = 0; i < type->rank; i++) {
        if (agate_dim_is(type->dims[i], 1))
            continue;
        own.at[i] = coords->at[i + shift];
        if (i + shift == coords->vector) {
            own.vector = i;
            own.lanes = coords->lanes;
        }
    }
    if (own.vector < 0 && coords->lanes > 1) {
        own.live = agate_coords_any_live(e, coords);
        own.guarded = own.live != NULL;
        own.unaligned = false;
    }
    return own;
}

LLVMValueRef agate_emit_by_lane(agate_emitter *e, const agate_value *value, const agate_coords *coords)
{
    LLVMValueRef vector = LLVMGetPoison(agate_emit_type(e, value->type.dtype, coords->lanes));

    for (int32_t i = 0; i < coords->lanes; i++) {
        LLVMValueRef lane = agate_emit_int(e, i);
        agate_coords one = *coords;
        one.at[coords->vector] = agate_emit_add(e, coords->at[coords->vector], lane);
        one.vector = -1;
        one.lanes = 1;
        if (coords->live) {
            one.live = LLVMBuildExtractElement(e->builder, coords->live, lane, "");
            one.guarded = true;
        }
        vector = LLVMBuildInsertElement(e->builder, vector, agate_emit_value(e, value, &one), lane, "");
    }
    return vector;
}

/* A constant inside the body: an immediate, or an array in the module. */
static LLVMValueRef constant(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    const agate_type *type = &node->results[0].type;
    agate_dim count;

    assert(node->data);
    if (agate_type_count(type, &count) && agate_dim_is(count, 1) && type->dtype != AGATE_I64 &&
        type->dtype != AGATE_U64)
        return agate_emit_number(e, type->dtype, agate_data_at(node->data, type->dtype, 0), coords->lanes);
    LLVMValueRef global =
        agate_emit_constant(e, "constant", agate_data_bytes(node->data), node->data->size_bytes);
    return agate_emit_load(e, global, type, coords);
}

static LLVMValueRef pointwise(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    LLVMValueRef operands[AGATE_MAX_RANK];

    assert(node->operand_count <= (int32_t)AGATE_COUNT(operands));
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = agate_emit_value(e, node->operands[i], coords);
    return agate_emit_scalar(e, agate_op_scalar(node->op), node->operands[0]->type.dtype, &node->attrs,
                             operands);
}

static LLVMValueRef compute(agate_emitter *e, const agate_node *node, const agate_coords *coords)
{
    switch (agate_node_info(node)->family) {
    case AGATE_FAMILY_pointwise:
        return pointwise(e, node, coords);
    case AGATE_FAMILY_cast:
        return agate_emit_cast(e, node->operands[0]->type.dtype, node->results[0].type.dtype,
                               agate_emit_value(e, node->operands[0], coords));
    case AGATE_FAMILY_data:
        return constant(e, node, coords);
    case AGATE_FAMILY_move:
    case AGATE_FAMILY_view:
        return agate_emit_move(e, node, coords);
    case AGATE_FAMILY_resample:
        return agate_emit_resample(e, node, coords);
    default:
        return agate_emit_inner(e, node, coords);
    }
}

LLVMValueRef agate_emit_value(agate_emitter *e, const agate_value *value, const agate_coords *coords)
{
    LLVMValueRef vector = recall(e, value, coords);
    if (vector)
        return vector;
    agate_coords own = project(e, &value->type, coords);
    vector = recall(e, value, &own);
    if (!vector) {
        vector = value->node ? compute(e, value->node, &own)
                             : agate_emit_load(e, e->params[value->index], &value->type, &own);
        remember(e, value, vector, &own);
    }
    if (own.lanes != coords->lanes) {
        vector = agate_emit_splat(e, vector, coords->lanes);
        remember(e, value, vector, coords);
    }
    return vector;
}

/* Long chains are evaluated from their beginning, so that the recursion from their end stays shallow. What
 * turns out not to be needed at these coordinates, LLVM drops. */
static void evaluate_in_order(agate_emitter *e, const agate_coords *coords)
{
    const agate_type *type = &e->kernel->results[0].type;

    AGATE_EACH_NODE (node, e->body) {
        agate_family family = agate_node_info(node)->family;
        bool scalar = family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_cast;
        if (scalar && agate_type_same_dims(&node->results[0].type, type))
            agate_emit_value(e, &node->results[0], coords);
    }
}

static bool is_long(const agate_graph *body)
{
    int32_t count = 0;

    for (const agate_node *node = body->first; node && count <= 256; node = node->next)
        count++;
    return count > 256;
}

/* Is yielded value `value` one to be finished now? */
static bool is_due(const agate_emitter *e, const agate_value *value)
{
    return !e->part || agate_part_of(e->part->operands[0]->node, value->node) == e->part;
}

static void fill_ring(agate_emitter *e, const agate_coords *coords)
{
    const agate_ring *ring = e->ring;
    LLVMValueRef vector = agate_emit_value(e, ring->value, coords);
    agate_coords at = *coords;

    at.at[0] = agate_emit_int(e, 0);
    at.at[2] = LLVMBuildURem(e->builder, at.at[2], agate_emit_int(e, ring->rows), "");
    agate_emit_store(e, ring->base, &ring->type, &at, vector);
    e->bindings = NULL;
}

void agate_emit_finish(agate_emitter *e, const agate_coords *coords)
{
    const agate_node *yield = e->body->last;

    if (e->ring) {
        fill_ring(e, coords);
        return;
    }
    if (is_long(e->body) && !e->part)
        evaluate_in_order(e, coords);
    /* All values first: a result may share the memory of an operand. */
    for (int32_t i = 0; i < yield->operand_count; i++)
        if (is_due(e, yield->operands[i]))
            agate_emit_value(e, yield->operands[i], coords);
    for (int32_t i = 0; i < yield->operand_count; i++)
        if (is_due(e, yield->operands[i]))
            agate_emit_store(e, e->results[i], &e->kernel->results[i].type, coords,
                             agate_emit_value(e, yield->operands[i], coords));
    e->bindings = NULL;
}

const agate_node *agate_emit_anchor_of(const agate_node *kernel)
{
    AGATE_EACH_NODE (node, kernel->body) {
        switch (agate_node_info(node)->family) {
        case AGATE_FAMILY_pointwise:
        case AGATE_FAMILY_cast:
        case AGATE_FAMILY_move:
        case AGATE_FAMILY_resample:
        case AGATE_FAMILY_view:
        case AGATE_FAMILY_data:
        case AGATE_FAMILY_terminator:
            continue;
        default:
            return node;
        }
    }
    return NULL;
}

const agate_node *agate_emit_anchor(const agate_emitter *e)
{
    return agate_emit_anchor_of(e->kernel);
}
