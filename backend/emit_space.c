/* emit_space.c: tasks, rows and vectors of a result. */
#include "backend/emit_space.h"

int32_t agate_space_vector(const agate_type *type, int32_t lanes, int32_t *out_lanes)
{
    int32_t vector = type->rank - 1;

    if (type->layout.kind == AGATE_LAYOUT_channel)
        vector = agate_dim_is(type->dims[1], 1) ? -1 : 1;
    else
        while (vector >= 0 && agate_dim_is(type->dims[vector], 1))
            vector--;
    if (vector >= 0 && type->layout.kind == AGATE_LAYOUT_channel)
        lanes = (int32_t)agate_min(lanes, type->layout.block);
    else if (vector >= 0 && agate_dim_is_fixed(type->dims[vector]))
        while (lanes > 1 && lanes / 2 >= type->dims[vector].offset)
            lanes /= 2;
    *out_lanes = vector < 0 || lanes < 2 ? 1 : lanes;
    return *out_lanes == 1 ? -1 : vector;
}

/* The axes: memory's own where vectors run within blocks, else the dimensions. */
static void push_axes(agate_space *s)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];

    if (s->block) {
        int32_t count = agate_type_phys(s->type, axes);
        for (int32_t i = 0; i < count; i++)
            if (axes[i].part != AGATE_PHYS_INNER)
                s->axes[s->axis_count++] = axes[i];
        return;
    }
    for (int32_t i = 0; i < s->type->rank; i++)
        if (i != s->vector)
            s->axes[s->axis_count++] = (agate_phys_axis){.dim = i, .extent = s->type->dims[i]};
}

/* Elements in a row: the vectors' dimension and the axis within the row. 1 for what follows the batch. */
static int64_t row_size(const agate_space *s)
{
    int64_t size = 1;

    if (s->block)
        size = s->block;
    else if (s->vector >= 0 && agate_dim_is_fixed(s->type->dims[s->vector]))
        size = s->type->dims[s->vector].offset;
    if (s->row_axes < s->axis_count)
        size *= s->axes[s->axis_count - 1].extent.offset;
    return agate_max(size, 1);
}

agate_space agate_space_make(const agate_type *type, int32_t vector, int32_t lanes, int64_t grain)
{
    agate_space s = {.type = type, .vector = vector, .lanes = lanes};
    agate_dim rows = agate_dim_fixed(1);
    bool fits = true;

    if (vector >= 0 && type->layout.kind == AGATE_LAYOUT_channel && vector == 1)
        s.block = type->layout.block;
    push_axes(&s);
    s.row_axes = s.axis_count;
    if ((s.block || vector < 0) && s.axis_count > 1 && agate_dim_is_fixed(s.axes[s.axis_count - 1].extent))
        s.row_axes--;
    for (int32_t i = 0; i < s.row_axes; i++) {
        bool first = i == 0 && !agate_dim_is_fixed(s.axes[i].extent);
        s.by_first |= first;
        if (!first)
            fits &= agate_dim_mul(rows, s.axes[i].extent, &rows);
    }
    if (!agate_dim_is_fixed(rows)) { /* the batch is an inner dimension: one row, one task */
        assert(!s.by_first);
        s.task_rows = 1;
        s.tasks = rows;
        return s;
    }
    s.rows = rows.offset;
    s.task_rows = agate_max(1, agate_min(grain / row_size(&s), agate_max(s.rows, 1)));
    s.tasks = agate_dim_fixed(agate_ceil_div(s.rows, s.task_rows));
    if (s.by_first)
        fits &= agate_dim_mul(s.tasks, s.axes[0].extent, &s.tasks);
    assert(fits);
    (void)fits;
    return s;
}

/* ---- loops --------------------------------------------------------------------------------------------- */

typedef struct walk {
    const agate_space *space;
    agate_coords coords;
    agate_space_fn body;
    void *user;
} walk;

static void call_body(agate_emitter *e, walk *w, LLVMValueRef at, LLVMValueRef live)
{
    w->coords.at[w->space->vector] = at;
    w->coords.live = live;
    w->body(e, &w->coords, w->user);
}

/* The vectors of one block, whose first element stands at coords.at[vector]. The last block may not be full.
 */
static void walk_block(agate_emitter *e, walk *w)
{
    const agate_space *s = w->space;
    int64_t extent = s->type->dims[s->vector].offset;
    LLVMValueRef first = w->coords.at[s->vector], end = agate_emit_int(e, s->block);
    bool whole = extent % s->lanes == 0;

    if (extent % s->block != 0)
        end = agate_emit_min(e, end, agate_emit_sub(e, agate_emit_int(e, extent), first));
    if (s->lanes == s->block) {
        call_body(e, w, first, whole ? NULL : agate_emit_live(e, first, agate_emit_int(e, extent), s->lanes));
        return;
    }
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), end, s->lanes, NULL, 0);
    LLVMValueRef at = agate_emit_add(e, first, loop.index);
    call_body(e, w, at, whole ? NULL : agate_emit_live(e, at, agate_emit_int(e, extent), s->lanes));
    agate_loop_end(e, &loop, NULL);
    w->coords.at[s->vector] = first;
}

/* A whole dimension by vectors: full ones, then the rest under a mask. */
static void walk_whole(agate_emitter *e, walk *w)
{
    const agate_space *s = w->space;
    agate_dim dim = s->type->dims[s->vector];
    LLVMValueRef extent = agate_emit_dim(e, dim), full, rest;

    agate_emit_divide(e, extent, s->lanes, &full, &rest);
    full = agate_emit_mul(e, full, s->lanes);
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), full, s->lanes, NULL, 0);
    call_body(e, w, loop.index, NULL);
    agate_loop_end(e, &loop, NULL);
    if (agate_dim_is_fixed(dim) && dim.offset % s->lanes == 0)
        return;
    loop = agate_loop_begin(e, full, extent, s->lanes, NULL, 0);
    call_body(e, w, loop.index, agate_emit_live(e, loop.index, extent, s->lanes));
    agate_loop_end(e, &loop, NULL);
}

static void walk_vectors(agate_emitter *e, walk *w)
{
    if (w->space->vector < 0)
        w->body(e, &w->coords, w->user);
    else if (w->space->block)
        walk_block(e, w);
    else
        walk_whole(e, w);
}

static void set_axis(agate_emitter *e, walk *w, const agate_phys_axis *axis, LLVMValueRef digit)
{
    w->coords.at[axis->dim] =
        axis->part == AGATE_PHYS_OUTER ? agate_emit_mul(e, digit, w->space->block) : digit;
}

static void walk_row(agate_emitter *e, walk *w, int32_t first_axis, LLVMValueRef row)
{
    const agate_space *s = w->space;
    LLVMValueRef extents[AGATE_MAX_PHYS] = {0}, digits[AGATE_MAX_PHYS];
    int32_t count = s->row_axes - first_axis;

    for (int32_t i = 0; i < count; i++)
        extents[i] = agate_emit_dim(e, s->axes[first_axis + i].extent);
    agate_emit_digits(e, row, extents, count, digits);
    for (int32_t i = 0; i < count; i++)
        set_axis(e, w, &s->axes[first_axis + i], digits[i]);
    if (s->row_axes == s->axis_count) {
        walk_vectors(e, w);
        return;
    }
    const agate_phys_axis *inner = &s->axes[s->axis_count - 1];
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_dim(e, inner->extent), 1, NULL, 0);
    set_axis(e, w, inner, loop.index);
    walk_vectors(e, w);
    agate_loop_end(e, &loop, NULL);
}

void agate_emit_space(agate_emitter *e, const agate_space *s, agate_space_fn body, void *user)
{
    walk w = {.space = s, .body = body, .user = user, .coords = agate_coords_make(e, s->type->rank)};
    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef chunk = tasks.index;

    w.coords.vector = s->vector;
    w.coords.lanes = s->lanes;
    if (s->by_first) {
        LLVMValueRef extents[2] = {NULL, agate_emit_int(e, agate_ceil_div(s->rows, s->task_rows))}, digits[2];
        agate_emit_digits(e, tasks.index, extents, 2, digits);
        set_axis(e, &w, &s->axes[0], digits[0]);
        chunk = digits[1];
    }
    if (s->task_rows == 1) {
        walk_row(e, &w, s->by_first, chunk);
    } else {
        LLVMValueRef lo = agate_emit_mul(e, chunk, s->task_rows);
        LLVMValueRef hi = agate_emit_add(e, lo, agate_emit_int(e, s->task_rows));
        agate_loop rows =
            agate_loop_begin(e, lo, agate_emit_min(e, hi, agate_emit_int(e, s->rows)), 1, NULL, 0);
        walk_row(e, &w, s->by_first, rows.index);
        agate_loop_end(e, &rows, NULL);
    }
    agate_loop_end(e, &tasks, NULL);
}
