/* reorder.c: layout conversion of constants. The walk goes in the target's physical order, so that writes stream. */
#include "ir/reorder.h"

/* For each physical axis of the target: what a step along it adds to the source offset is no single number where both
 * cut the same dimension, so offsets of every logical dimension are tabled instead. */
typedef struct walk {
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t axis_count;
    int64_t *offsets[AGATE_MAX_RANK]; /* [d][i]: source elements that coordinate i of dimension d adds */
    const agate_type *type;
    const char *source;
    char *target;
    size_t element_bytes;
} walk;

static void table_offsets(const agate_type *from, agate_arena *arena, walk *w)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(from, axes);
    int64_t block = from->layout.block;
    assert(count >= 0);

    for (int32_t d = 0; d < from->rank; d++) {
        int64_t extent = from->dims[d].offset;
        w->offsets[d] = AGATE_NEW_N(arena, int64_t, extent + 1);
        for (int32_t a = 0; a < count; a++) {
            if (axes[a].dim != d)
                continue;
            for (int64_t i = 0; i < extent; i++) {
                int64_t digit = axes[a].part == 0 ? i : axes[a].part == 1 ? i / block : i % block;
                w->offsets[d][i] += digit * axes[a].stride.offset;
            }
        }
    }
}

/* The innermost axis: one tabled gather into consecutive elements. */
static void copy_run(const walk *w, const int64_t *offsets, int64_t count, int64_t source_index,
                     int64_t target_index)
{
    size_t bytes = w->element_bytes;
    char *target = w->target + (size_t)target_index * bytes;
    const char *source = w->source + (size_t)source_index * bytes;

    if (bytes == sizeof(uint32_t)) /* the common case, as plain loads and stores */
        for (int64_t i = 0; i < count; i++)
            ((uint32_t *)target)[i] = ((const uint32_t *)source)[offsets[i]];
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(target + (size_t)i * bytes, source + (size_t)offsets[i] * bytes, bytes);
}

/* Walks axis `a` and those inside it. coords[d] collects the logical coordinates. */
static void walk_axis(const walk *w, int32_t a, int64_t *coords, int64_t target_index)
{
    const agate_phys_axis *axis = &w->axes[a];
    int32_t d = axis->dim;
    int64_t weight = axis->part == 1 ? w->type->layout.block : 1;
    int64_t start = coords[d];
    int64_t exist = agate_ceil_div(w->type->dims[d].offset - start, weight); /* what is behind is pad */
    int64_t count = agate_min(axis->extent.offset, exist);

    if (a == w->axis_count - 1) {
        int64_t source_index = 0;
        for (int32_t other = 0; other < w->type->rank; other++)
            source_index += other == d ? 0 : w->offsets[other][coords[other]];
        copy_run(w, w->offsets[d] + start, count, source_index, target_index);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        coords[d] = start + i * weight;
        walk_axis(w, a + 1, coords, target_index + i * axis->stride.offset);
    }
    coords[d] = start;
}

bool agate_reorder_bytes(const agate_type *from, const void *source, const agate_type *to, void *target)
{
    agate_arena *arena = agate_arena_create();
    walk w = {.type = to, .source = source, .target = target, .element_bytes = agate_dtype_size(to->dtype)};
    int64_t coords[AGATE_MAX_RANK] = {0};

    if (!arena)
        return false;
    assert(from->dtype == to->dtype && from->rank == to->rank && agate_type_is_fixed(to));
    w.axis_count = agate_type_phys(to, w.axes);
    if (w.axis_count == 0) { /* a scalar */
        memcpy(target, source, w.element_bytes);
    } else {
        table_offsets(from, arena, &w);
        walk_axis(&w, 0, coords, 0);
    }
    agate_arena_release(arena);
    return true;
}

agate_data *agate_data_reorder(const agate_data *data, const agate_type *from, const agate_type *to)
{
    agate_dim size;
    if (!agate_type_size(to, &size) || !agate_dim_is_fixed(size))
        return NULL;
    agate_data *reordered = agate_data_create((size_t)size.offset);
    if (reordered && !agate_reorder_bytes(from, data->bytes, to, (void *)reordered->bytes)) {
        agate_data_release(reordered);
        return NULL;
    }
    return reordered;
}
