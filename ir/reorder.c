/* reorder.c: constants in another layout, with their dimensions in another order, or rounded to 16 bits. The
 * walk goes in the target's physical order, so that writes stream. */
#include "ir/reorder.h"

#include <math.h>
#include <stdlib.h>

/* For each physical axis of the target: what a step along it adds to the source offset is no single number
 * where both cut the same dimension, so offsets of every logical dimension are tabled instead. */
typedef struct walk {
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t axis_count;
    int64_t *offsets[AGATE_MAX_RANK]; /* [d][i]: source elements that coordinate i of dimension d adds */
    const agate_type *type;
    const char *source; /* the element at offset `skipped`; at any address */
    int64_t skipped;
    char *target;
    size_t source_bytes, element_bytes; /* of an element: of the source, of the target */
    agate_dtype narrower;               /* than the source's f32; none: elements stay what they are */
    int32_t plane;                      /* of bf16, which part of the f32 (ir/narrow.h) */
} walk;

/* perm[d]: the dimension of the source that is dimension d of the target; NULL: d itself. */
static void table_offsets(const agate_type *from, const int32_t *perm, agate_arena *arena, walk *w)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(from, axes);
    int64_t block = from->layout.block;
    assert(count >= 0);

    for (int32_t d = 0; d < from->rank; d++) {
        int32_t dim = perm ? perm[d] : d;
        int64_t extent = from->dims[dim].offset;
        w->offsets[d] = AGATE_NEW_N(arena, int64_t, extent + 1);
        for (int32_t a = 0; a < count; a++) {
            if (axes[a].dim != dim)
                continue;
            for (int64_t i = 0; i < extent; i++)
                w->offsets[d][i] += agate_phys_digit(axes[a].part, block, i) * axes[a].stride.offset;
        }
    }
}

typedef uint32_t loose_word __attribute__((aligned(1), may_alias));
typedef float loose_float __attribute__((aligned(1), may_alias));
typedef uint16_t loose_half __attribute__((aligned(1), may_alias));

/* Rounded to f16; or what rounding to bf16 leaves, `plane` times, is rounded to bf16. */
static uint16_t plane_of(float value, agate_dtype dtype, int32_t plane)
{
    if (dtype == AGATE_F16)
        return agate_f32_to_f16(value);
    for (int32_t i = 0; i < plane; i++)
        value -= agate_bf16_to_f32(agate_f32_to_bf16(value));
    return agate_f32_to_bf16(value);
}

/* The innermost axis: one tabled gather into consecutive elements. */
static inline void copy_run(const walk *w, char *target, const char *source, const int64_t *offsets,
                            int64_t count)
{
    size_t bytes = w->element_bytes;

    if (w->narrower)
        for (int64_t i = 0; i < count; i++)
            ((loose_half *)target)[i] =
                plane_of(((const loose_float *)source)[offsets[i]], w->narrower, w->plane);
    else if (bytes == sizeof(uint32_t)) /* the common case, as plain loads and stores */
        for (int64_t i = 0; i < count; i++)
            ((loose_word *)target)[i] = ((const loose_word *)source)[offsets[i]];
    else if (bytes == sizeof(uint16_t))
        for (int64_t i = 0; i < count; i++)
            ((loose_half *)target)[i] = ((const loose_half *)source)[offsets[i]];
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(target + (size_t)i * bytes, source + offsets[i] * (int64_t)bytes, bytes);
}

/* How many steps along an axis exist from coordinate `start` on: what is behind is pad. */
static int64_t steps(const walk *w, const agate_phys_axis *axis, int64_t start, int64_t *out_weight)
{
    *out_weight = agate_phys_weight(axis->part, w->type->layout.block);
    return agate_min(axis->extent.offset,
                     agate_ceil_div(w->type->dims[axis->dim].offset - start, *out_weight));
}

static int64_t source_offset(const walk *w, const int64_t *coords, int32_t except, int32_t except_too)
{
    int64_t offset = -w->skipped;

    for (int32_t d = 0; d < w->type->rank; d++)
        offset += d == except || d == except_too ? 0 : w->offsets[d][coords[d]];
    return offset;
}

/* The two innermost axes, of different dimensions: most of all time goes here. */
static void walk_pair(const walk *w, const int64_t *coords, int64_t target_index)
{
    const agate_phys_axis *outer = &w->axes[w->axis_count - 2], *inner = outer + 1;
    int64_t weight, one, bytes = (int64_t)w->element_bytes;
    int64_t rows = steps(w, outer, coords[outer->dim], &weight);
    int64_t count = steps(w, inner, coords[inner->dim], &one);
    const int64_t *row_offsets = w->offsets[outer->dim] + coords[outer->dim];
    int64_t from_bytes = (int64_t)w->source_bytes;
    const char *source = w->source + source_offset(w, coords, outer->dim, inner->dim) * from_bytes;
    char *target = w->target + target_index * bytes;

    if (count == 2 && bytes == 2 && !w->narrower) { /* pairs of channels */
        const int64_t *pair = w->offsets[inner->dim] + coords[inner->dim];
        for (int64_t i = 0; i < rows; i++) {
            const loose_half *from = (const loose_half *)source + row_offsets[i * weight];
            loose_half *to = (loose_half *)target + i * outer->stride.offset;
            to[0] = from[pair[0]];
            to[1] = from[pair[1]];
        }
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        copy_run(w, target + i * outer->stride.offset * bytes, source + row_offsets[i * weight] * from_bytes,
                 w->offsets[inner->dim] + coords[inner->dim], count);
}

/* Walks axis `a` and those inside it. coords[d] collects the logical coordinates. */
static void walk_axis(const walk *w, int32_t a, int64_t *coords, int64_t target_index)
{
    const agate_phys_axis *axis = &w->axes[a];
    int32_t d = axis->dim;
    int64_t start = coords[d], weight, count = steps(w, axis, start, &weight);
    int64_t bytes = (int64_t)w->element_bytes;

    if (a == w->axis_count - 1)
        return copy_run(w, w->target + target_index * bytes,
                        w->source + source_offset(w, coords, d, -1) * (int64_t)w->source_bytes,
                        w->offsets[d] + start, count);
    if (a == w->axis_count - 2 && w->axes[a + 1].dim != d)
        return walk_pair(w, coords, target_index);
    for (int64_t i = 0; i < count; i++) {
        coords[d] = start + i * weight;
        walk_axis(w, a + 1, coords, target_index + i * axis->stride.offset);
    }
    coords[d] = start;
}

static void walk_init(walk *w, const agate_type *from, const int32_t *perm, const agate_type *to,
                      int32_t plane, agate_arena *arena)
{
    bool narrows = from->dtype == AGATE_F32 && (to->dtype == AGATE_BF16 || to->dtype == AGATE_F16);

    assert((from->dtype == to->dtype || narrows) && from->rank == to->rank && agate_type_is_fixed(to));
    *w = (walk){.type = to,
                .source_bytes = agate_dtype_size(from->dtype),
                .element_bytes = agate_dtype_size(to->dtype),
                .narrower = narrows ? (agate_dtype)to->dtype : AGATE_DTYPE_NONE,
                .plane = plane};
    w->axis_count = agate_type_phys(to, w->axes);
    table_offsets(from, perm, arena, w);
}

static void walk_all(walk *w, const void *source, void *target)
{
    int64_t coords[AGATE_MAX_RANK] = {0};

    w->source = source;
    w->target = target;
    if (w->axis_count == 0)
        copy_run(w, target, source, (const int64_t[]){0}, 1); /* a scalar */
    else
        walk_axis(w, 0, coords, 0);
}

bool agate_reorder_bytes(const agate_type *from, const void *source, const agate_type *to, void *target)
{
    agate_arena *arena = agate_arena_create();
    walk w;

    if (!arena)
        return false;
    walk_init(&w, from, NULL, to, 0, arena);
    walk_all(&w, source, target);
    agate_arena_release(arena);
    return true;
}

/* ---- later --------------------------------------------------------------------------------------------- */

/* What a deferred reorder knows. */
typedef struct reordering {
    agate_type from, to;
    int32_t plane; /* of f32 made bf16 */
    bool permutes;
    int32_t perm[AGATE_MAX_RANK]; /* where it does: as in table_offsets */
} reordering;

/* The source's bytes, if they are there without being made. */
static const char *bytes_at_hand(const agate_data *data)
{
    const char *bytes = __atomic_load_n(&data->bytes, __ATOMIC_ACQUIRE);

    return bytes ? bytes : data->loose;
}

/* As agate_f32_to_bf16, without a branch. */
static inline uint32_t round_to_bf16(uint32_t bits)
{
    uint32_t is_nan = (bits & 0x7fffffff) > 0x7f800000 ? ~0u : 0;
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

    return (rounded & ~is_nan) | ((bits >> 16 | 0x40) & is_nan);
}

#define HALF                                                                                                 \
    UINT32_C(0x3f000000) /* bits of 0.5f: next to it the last bit is 2^-24, as that of a denormal f16 */

/* As agate_f32_to_f16, without a branch (backend/emit_half.c). `shifted` are the bits of abs(number) +
 * 0.5. */
static inline uint32_t round_to_f16(uint32_t bits, uint32_t shifted)
{
    uint32_t magnitude = bits & 0x7fffffff, is_nan = magnitude > 0x7f800000 ? ~0u : 0;
    uint32_t is_large = magnitude >= 0x47800000 ? ~0u : 0, is_normal = magnitude >= 0x38800000 ? ~0u : 0;
    uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
    uint32_t finite = (normal & is_normal) | ((shifted - HALF) & ~is_normal);
    uint32_t large = 0x7c00 | ((0x200 | (magnitude >> 13 & 0x3ff)) & is_nan);

    return (bits >> 16 & 0x8000) | (large & is_large) | (finite & ~is_large);
}

#define NARROWED 16 /* numbers at a time, for vectors */

static void halve_some(const float *numbers, uint16_t *out)
{
    float sums[NARROWED];
    uint32_t bits[NARROWED], shifted[NARROWED];

    memcpy(bits, numbers, sizeof bits);
    for (int i = 0; i < NARROWED; i++)
        sums[i] = fabsf(numbers[i]) + 0.5f;
    memcpy(shifted, sums, sizeof shifted);
    for (int i = 0; i < NARROWED; i++)
        out[i] = (uint16_t)round_to_f16(bits[i], shifted[i]);
}

static void narrow_some(const float *numbers, agate_dtype dtype, int32_t plane, uint16_t *out)
{
    float left[NARROWED], part[NARROWED];
    uint32_t bits[NARROWED];

    if (dtype == AGATE_F16)
        return halve_some(numbers, out);
    memcpy(left, numbers, sizeof left);
    for (int32_t p = 0; p <= plane; p++) {
        memcpy(bits, left, sizeof bits);
        for (int i = 0; i < NARROWED; i++)
            bits[i] = round_to_bf16(bits[i]) << 16;
        memcpy(part, bits, sizeof part);
        for (int i = 0; i < NARROWED; i++)
            left[i] -= part[i];
    }
    for (int i = 0; i < NARROWED; i++)
        out[i] = (uint16_t)(bits[i] >> 16);
}

/* plane_of each. `numbers` may lie at any address. */
static void narrow_numbers(const char *numbers, int64_t count, agate_dtype dtype, int32_t plane,
                           uint16_t *out)
{
    const int64_t whole = count / NARROWED * NARROWED;
    float some[NARROWED] = {0};
    uint16_t last[NARROWED];

    for (int64_t i = 0; i < whole; i += NARROWED) {
        memcpy(some, numbers + i * (int64_t)sizeof *some, sizeof some);
        narrow_some(some, dtype, plane, out + i);
    }
    memcpy(some, numbers + whole * (int64_t)sizeof *some, (size_t)(count - whole) * sizeof *some);
    narrow_some(some, dtype, plane, last);
    memcpy(out + whole, last, (size_t)(count - whole) * sizeof *last);
}

/* Rows of the source, some at a time. */
typedef struct row_reader {
    const agate_data *data;
    const char *source; /* all of them; NULL: they are to be made */
    size_t row_bytes;
    char *made;         /* room for some rows */
    uint16_t *narrowed; /* the same in 16 bits; NULL: they stay what they are */
    agate_dtype narrower;
    int32_t plane;
} row_reader;

static bool open_rows(row_reader *r, const walk *w, int64_t all_rows, int64_t rows)
{
    r->row_bytes = r->data->size_bytes / (size_t)all_rows;
    r->narrower = w->narrower;
    r->plane = w->plane;
    if (!r->source)
        r->made = malloc(r->row_bytes * (size_t)rows + 1);
    if (w->narrower)
        r->narrowed = malloc(r->row_bytes / 2 * (size_t)rows + 1);
    return (r->source || r->made) && (!w->narrower || r->narrowed);
}

/* `count` rows from `first` on; NULL: memory is short. */
static const char *read_rows(const row_reader *r, int64_t first, int64_t count)
{
    size_t begin = (size_t)first * r->row_bytes, size_bytes = (size_t)count * r->row_bytes;
    const char *rows = r->source ? r->source + begin : r->made;

    if (!r->source && !agate_data_read(r->data, begin, size_bytes, r->made))
        return NULL;
    if (!r->narrowed)
        return rows;
    narrow_numbers(rows, (int64_t)(size_bytes / sizeof(float)), r->narrower, r->plane, r->narrowed);
    return (const char *)r->narrowed;
}

/* Where contents lie by rows, and the target by blocks of those, a block of rows is made, and rounded, at a
 * time, so that it is still in the cache when it is moved. `source` may be NULL: they are to be made. */
static bool walk_by_rows(walk *w, const reordering *r, const agate_data *data, const char *source,
                         void *target)
{
    int64_t rows = r->from.dims[0].offset, weight, coords[AGATE_MAX_RANK] = {0};
    int64_t count = steps(w, &w->axes[0], 0, &weight);
    row_reader reader = {.data = data, .source = source};
    bool good = open_rows(&reader, w, rows, agate_min(weight, rows));

    w->target = target;
    if (w->narrower)
        w->source_bytes = sizeof *reader.narrowed;
    w->narrower = AGATE_DTYPE_NONE;
    for (int64_t i = 0; i < count && good; i++) {
        coords[0] = i * weight;
        w->skipped = w->offsets[0][coords[0]];
        w->source = read_rows(&reader, coords[0], agate_min(weight, rows - coords[0]));
        good = w->source != NULL;
        if (good)
            walk_axis(w, 1, coords, i * w->axes[0].stride.offset);
    }
    free(reader.made);
    free(reader.narrowed);
    return good;
}

static bool make_all(const agate_data *reordered, void *target)
{
    const reordering *r = reordered->owner;
    const agate_data *data = reordered->source;
    const void *source = bytes_at_hand(data);
    agate_arena *arena = agate_arena_create();
    agate_dim count;
    walk w;

    if (!arena)
        return false;
    walk_init(&w, &r->from, r->permutes ? r->perm : NULL, &r->to, r->plane, arena);
    if (!agate_type_count(&r->to, &count) || (size_t)count.offset * w.element_bytes < reordered->size_bytes)
        memset(target, 0, reordered->size_bytes); /* there are pads */
    bool by_rows = (!source || w.narrower) && !r->permutes && w.axis_count > 1 && w.axes[0].dim == 0 &&
                   r->from.dims[0].offset > 0 && r->from.layout.kind == AGATE_LAYOUT_plain;
    bool good =
        by_rows ? walk_by_rows(&w, r, data, source, target) : source || (source = agate_data_bytes(data));
    if (good && !by_rows)
        walk_all(&w, source, target);
    agate_arena_release(arena);
    return good;
}

/* Elements `first` and on, `count` of them, of what has its dimensions in another order. */
static bool pick_elements(const reordering *r, const char *source, int64_t first, int64_t count, char *out)
{
    agate_arena *arena = agate_arena_create();
    walk w;

    if (!arena)
        return false;
    walk_init(&w, &r->from, r->perm, &r->to, r->plane, arena);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = first + i, offset = 0;

        for (int32_t d = r->to.rank - 1; d >= 0; d--) {
            offset += w.offsets[d][rest % r->to.dims[d].offset];
            rest /= r->to.dims[d].offset;
        }
        memcpy(out + (size_t)i * w.element_bytes, source + offset * (int64_t)w.element_bytes,
               w.element_bytes);
    }
    agate_arena_release(arena);
    return true;
}

#define PICKED_BYTES 4096 /* parts up to this size are read on their own, as to tell constants apart */

static bool make_reordered(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const reordering *r = data->owner;
    int64_t element_bytes = (int64_t)agate_dtype_size(r->to.dtype);
    const char *source = bytes_at_hand(data->source), *all;

    if (size_bytes == data->size_bytes)
        return make_all(data, out);
    if (r->permutes && source && size_bytes <= PICKED_BYTES && r->to.layout.kind == AGATE_LAYOUT_plain)
        return pick_elements(r, source, (int64_t)first_bytes / element_bytes,
                             (int64_t)size_bytes / element_bytes, out);
    all = agate_data_bytes(data); /* who wants parts will want them all */
    if (all)
        memcpy(out, all + first_bytes, size_bytes);
    return all != NULL;
}

static agate_data *defer(agate_data *data, const reordering *how)
{
    agate_dim size;
    reordering *r = NULL;

    if (agate_type_size(&how->to, &size) && agate_dim_is_fixed(size))
        r = malloc(sizeof *r);
    agate_data *reordered =
        r ? agate_data_create_deferred((size_t)size.offset, make_reordered, data, r) : NULL;
    if (reordered)
        *r = *how;
    else
        free(r);
    return reordered;
}

agate_data *agate_data_plane(agate_data *data, const agate_type *from, const agate_type *to, int32_t plane)
{
    const reordering *first = data->make == make_reordered ? data->owner : NULL;
    reordering how = {.from = *from, .to = *to};

    /* What only moves elements and was never made need not be: one walk does both. Not so where it has
     * another shape by now, as behind a reshape. */
    if (first && agate_type_equal(from, &first->to) && !bytes_at_hand(data)) {
        how = *first;
        how.to = *to;
        data = data->source;
    }
    if (from->dtype == AGATE_F32)
        how.plane = plane;
    return defer(data, &how);
}

agate_data *agate_data_reorder(agate_data *data, const agate_type *from, const agate_type *to)
{
    return agate_data_plane(data, from, to, 0);
}

agate_data *agate_data_transpose(agate_data *data, const agate_type *from, const int32_t *perm,
                                 const agate_type *to)
{
    reordering how = {.from = *from, .to = *to, .permutes = true};

    assert(from->rank == to->rank);
    for (int32_t d = 0; d < to->rank; d++)
        how.perm[d] = perm[d];
    return defer(data, &how);
}
