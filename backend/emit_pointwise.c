/* emit_pointwise.c: scalar chains and moves; and `nest`, which is the same walk over any body.
 *
 * Three ways, by what is asked for: where all operands have the result's type but for the dtype (or are
 * single elements) the elements are one row in memory order; where reading along the result's innermost
 * dimension would pick single elements and another dimension reads vectors, square tiles are transposed in
 * registers; otherwise rows of vectors.
 */
#include "backend/emit_space.h"

#define DEFAULT_GRAIN 16384

static int64_t grain_of(const agate_node *kernel)
{
    return kernel->tiles.grain > 0 ? kernel->tiles.grain : DEFAULT_GRAIN;
}

/* ---- flat ---------------------------------------------------------------------------------------------- */

static bool same_elements(const agate_type *a, const agate_type *b)
{
    agate_type as = *a;

    as.dtype = b->dtype;
    return agate_type_equal(&as, b);
}

static bool is_single(const agate_type *type)
{
    agate_dim count;
    return agate_type_count(type, &count) && agate_dim_is(count, 1);
}

static bool is_flat(const agate_node *kernel)
{
    const agate_type *type = &kernel->results[0].type;

    AGATE_EACH_NODE (node, kernel->body) {
        agate_family family = agate_node_info(node)->family;
        bool moves = family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast &&
                     family != AGATE_FAMILY_data && family != AGATE_FAMILY_terminator;
        if (moves)
            return false;
        for (int32_t i = 0; i < node->operand_count; i++)
            if (!same_elements(&node->operands[i]->type, type) && !is_single(&node->operands[i]->type))
                return false;
    }
    for (int32_t i = 0; i < kernel->result_count; i++)
        if (!same_elements(&kernel->results[i].type, type))
            return false;
    return !is_single(type) && !type->layout.pitch; /* other channels lie between images */
}

/* Elements in memory, cut into tasks: `chunks` for each turn of the outermost axis, if that follows the
 * batch. */
typedef struct flat {
    agate_dim outer; /* 1 if nothing follows the batch */
    int64_t size;    /* elements for each of `outer` */
    int64_t grain, chunks;
} flat;

static bool flat_make(const agate_node *kernel, flat *out_flat)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(&kernel->results[0].type, axes);
    flat f = {.outer = agate_dim_fixed(1), .size = 1, .grain = grain_of(kernel)};

    for (int32_t i = 0; i < count; i++) {
        if (agate_dim_is_fixed(axes[i].extent))
            f.size *= axes[i].extent.offset;
        else if (i == 0)
            f.outer = axes[i].extent;
        else
            return false;
    }
    f.chunks = agate_ceil_div(f.size, f.grain);
    *out_flat = f;
    return true;
}

static void emit_flat(agate_emitter *e, const flat *f)
{
    int32_t lanes = e->kernel->tiles.v > 1 ? e->kernel->tiles.v : 1;
    agate_coords coords = agate_coords_make(e, 1);
    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef extents[2] = {NULL, agate_emit_int(e, f->chunks)}, digits[2];

    agate_emit_digits(e, tasks.index, extents, 2, digits);
    LLVMValueRef start = agate_emit_mul(e, digits[0], f->size);
    LLVMValueRef lo = agate_emit_mul(e, digits[1], f->grain);
    LLVMValueRef hi =
        agate_emit_min(e, agate_emit_add(e, lo, agate_emit_int(e, f->grain)), agate_emit_int(e, f->size));
    LLVMValueRef full, rest;
    lo = agate_emit_add(e, start, lo);
    hi = agate_emit_add(e, start, hi);
    agate_emit_divide(e, agate_emit_sub(e, hi, lo), lanes, &full, &rest);
    full = agate_emit_add(e, lo, agate_emit_mul(e, full, lanes));

    coords.flat = true;
    coords.vector = lanes > 1 ? 0 : -1;
    coords.lanes = lanes;
    agate_loop loop = agate_loop_begin(e, lo, full, lanes, NULL, 0);
    coords.at[0] = loop.index;
    agate_emit_finish(e, &coords);
    agate_loop_end(e, &loop, NULL);
    if (lanes > 1 && (f->size % lanes != 0 || f->grain % lanes != 0)) {
        loop = agate_loop_begin(e, full, hi, lanes, NULL, 0);
        coords.at[0] = loop.index;
        coords.live = agate_emit_live(e, loop.index, hi, lanes);
        agate_emit_finish(e, &coords);
        agate_loop_end(e, &loop, NULL);
    }
    agate_loop_end(e, &tasks, NULL);
}

/* ---- rows of vectors ----------------------------------------------------------------------------------- */

static agate_space space_of(const agate_node *kernel)
{
    const agate_type *type = &kernel->results[0].type;
    int32_t lanes, vector = agate_space_vector(type, agate_max(kernel->tiles.v, 1), &lanes);

    return agate_space_make(type, vector, lanes, grain_of(kernel));
}

static void finish(agate_emitter *e, const agate_coords *coords, void *user)
{
    (void)user;
    agate_emit_finish(e, coords);
}

void agate_emit_pointwise(agate_emitter *e)
{
    flat f;

    if (is_flat(e->kernel) && flat_make(e->kernel, &f)) {
        emit_flat(e, &f);
        return;
    }
    agate_transposition t;
    if (agate_transposition_find(e->kernel, &t)) {
        agate_emit_transposition(e, &t);
        return;
    }
    agate_space space = space_of(e->kernel);
    agate_emit_space(e, &space, finish, NULL);
}

agate_dim agate_tasks_pointwise(const agate_node *kernel)
{
    agate_dim tasks;
    flat f;
    agate_transposition t;

    if (!is_flat(kernel) || !flat_make(kernel, &f))
        return agate_transposition_find(kernel, &t) ? t.space.tasks : space_of(kernel).tasks;
    bool fits = agate_dim_mul(f.outer, agate_dim_fixed(f.chunks), &tasks);
    assert(fits);
    (void)fits;
    return tasks;
}

void agate_emit_nest(agate_emitter *e)
{
    agate_space space = space_of(e->kernel);
    agate_emit_space(e, &space, finish, NULL);
}

agate_dim agate_tasks_nest(const agate_node *kernel)
{
    return space_of(kernel).tasks;
}
