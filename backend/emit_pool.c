/* emit_pool.c: windows in blocked layout, by register tiles of a row's pixels (emit_pool_tile.c) where there
 * are any, and reductions: vectors of what is kept, the inner loops as anywhere. */
#include "backend/emit_conv.h"
#include "backend/emit_space.h"

static void finish(agate_emitter *e, const agate_coords *coords, void *user)
{
    (void)user;
    agate_emit_finish(e, coords);
}

static agate_space pool_space(const agate_node *kernel)
{
    const agate_type *type = &kernel->results[0].type;
    int32_t lanes, vector = agate_space_vector(type, (int32_t)agate_max(kernel->tiles.v, 1), &lanes);
    int64_t row =
        type->layout.kind == AGATE_LAYOUT_channel && type->rank > 2 ? type->dims[type->rank - 1].offset : 1;

    return agate_space_make(type, vector, lanes,
                            agate_max(kernel->tiles.oh, 1) * row * agate_max(type->layout.block, 1));
}

void agate_emit_pool(agate_emitter *e)
{
    if (e->kernel->tiles.ow > 0) {
        agate_conv_emit(e, agate_pool_tile);
        return;
    }
    agate_space space = pool_space(e->kernel);
    agate_emit_space(e, &space, finish, NULL);
}

agate_dim agate_tasks_pool(const agate_node *kernel)
{
    return kernel->tiles.ow > 0 ? agate_conv_tasks(kernel) : pool_space(kernel).tasks;
}

/* Where the innermost dimension is reduced, the vectors belong to the reduction; else they run along the
 * result. */
static agate_space reduce_space(const agate_node *kernel)
{
    const agate_type *type = &kernel->results[0].type;
    const agate_node *node = agate_emit_anchor_of(kernel);
    const agate_type *from = &node->operands[0]->type;
    const agate_ints *axes = &node->attrs.reduce.axes;
    bool along_row = from->layout.kind == AGATE_LAYOUT_plain && axes->count > 0 &&
                     axes->v[axes->count - 1] == from->rank - 1 &&
                     !agate_dim_is(from->dims[from->rank - 1], 1);
    int32_t lanes = 1, vector = -1;

    if (!along_row)
        vector = agate_space_vector(type, (int32_t)agate_max(kernel->tiles.v, 1), &lanes);
    return agate_space_make(type, vector, lanes, agate_max(kernel->tiles.grain, 1));
}

void agate_emit_reduce(agate_emitter *e)
{
    agate_space space = reduce_space(e->kernel);
    agate_emit_space(e, &space, finish, NULL);
}

agate_dim agate_tasks_reduce(const agate_node *kernel)
{
    return reduce_space(kernel).tasks;
}
