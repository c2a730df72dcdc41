/* emit_rows.c: strategy rows: reductions over the same axes and what is made of them.
 *
 *     tasks      bands of rows: elements of the reduced shape
 *     in a task  for each row every reduction in turn, by a loop over the row; then a loop that stores the
 *                results
 *
 * Vectors run along the row where its elements lie side by side (the last dimension, channels in blocks),
 * else over rows next to each other. What is one number per row is computed once and remembered; the rest is
 * computed anew by each loop: it is cheap, and the row in the first cache. */
#include "backend/emit_space.h"

typedef struct rows {
    const agate_type *whole;
    agate_type reduced;
    agate_space space; /* of the reduced shape */
    int32_t along;     /* the dimension within the row that vectors run along; -1: they run over rows */
    int32_t lanes;     /* along it */
} rows;

/* In place: the space points to the reduced type. */
static void rows_init(rows *r, const agate_node *kernel)
{
    const agate_node *anchor = agate_emit_anchor_of(kernel);
    const agate_ints *axes = &anchor->attrs.reduce.axes;
    int32_t last = (int32_t)axes->v[axes->count - 1], vector = -1, lanes = 1;
    int32_t wanted = (int32_t)agate_max(kernel->tiles.v, 1);
    const agate_type *whole = &anchor->operands[0]->type;
    bool blocked = whole->layout.kind == AGATE_LAYOUT_channel;

    *r = (rows){.whole = whole, .reduced = anchor->results[0].type, .along = -1};
    if (blocked ? last == 1 : last == r->whole->rank - 1) {
        r->along = last;
        r->lanes = blocked ? (int32_t)agate_min(wanted, r->whole->layout.block) : wanted;
        r->reduced.layout = (agate_layout){.kind = AGATE_LAYOUT_plain}; /* walked element by element */
    } else {
        vector = agate_space_vector(&r->reduced, wanted, &lanes);
    }
    r->space = agate_space_make(&r->reduced, vector, lanes, agate_max(kernel->tiles.grain, 1));
}

/* The innermost axis by vectors, whole ones and a rest. */
static void store_along(agate_emitter *e, const rows *r, agate_coords at)
{
    int64_t extent = r->whole->dims[r->along].offset, full = extent / r->lanes * r->lanes;

    at.vector = r->lanes > 1 ? r->along : -1;
    at.lanes = r->lanes;
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, full), r->lanes, NULL, 0);
    at.at[r->along] = loop.index;
    agate_emit_finish(e, &at);
    agate_loop_end(e, &loop, NULL);
    if (full == extent)
        return;
    at.at[r->along] = agate_emit_int(e, full);
    at.live = agate_emit_live(e, at.at[r->along], agate_emit_int(e, extent), r->lanes);
    agate_emit_finish(e, &at);
}

static void store_row(agate_emitter *e, const rows *r, agate_coords at, int32_t number)
{
    const agate_ints *axes = &agate_emit_anchor(e)->attrs.reduce.axes;

    if (number == axes->count) {
        agate_emit_finish(e, &at);
        return;
    }
    int32_t axis = (int32_t)axes->v[number];
    if (axis == r->along) {
        store_along(e, r, at);
        return;
    }
    agate_loop loop =
        agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_dim(e, r->whole->dims[axis]), 1, NULL, 0);
    at.at[axis] = loop.index;
    store_row(e, r, at, number + 1);
    agate_loop_end(e, &loop, NULL);
}

static void emit_row(agate_emitter *e, const agate_coords *coords, void *user)
{
    const rows *r = user;

    AGATE_EACH_NODE (node, e->body)
        for (int32_t i = 0; i < node->result_count; i++)
            if (agate_type_same_dims(&node->results[i].type, &r->reduced))
                agate_emit_value(e, &node->results[i], coords);
    store_row(e, r, *coords, 0);
}

void agate_emit_rows(agate_emitter *e)
{
    rows r;

    rows_init(&r, e->kernel);
    agate_emit_space(e, &r.space, emit_row, &r);
}

agate_dim agate_tasks_rows(const agate_node *kernel)
{
    rows r;

    rows_init(&r, kernel);
    return r.space.tasks;
}
