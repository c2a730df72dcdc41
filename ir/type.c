/* type.c: types, their sizes, and the one place that knows the physical order of each layout. */
#include "ir/type.h"

agate_type agate_type_make(agate_dtype dtype, int32_t rank, const agate_dim *dims)
{
    assert(rank >= 0 && rank <= AGATE_MAX_RANK);
    agate_type type;
    memset(&type, 0, sizeof type);
    type.dtype = dtype;
    type.rank = rank;
    for (int32_t i = 0; i < rank; i++)
        type.dims[i] = dims[i];
    return type;
}

bool agate_layout_equal(agate_layout a, agate_layout b)
{
    return a.kind == b.kind && a.block == b.block;
}

bool agate_type_equal(const agate_type *a, const agate_type *b)
{
    return a->dtype == b->dtype && agate_type_same_places(a, b);
}

bool agate_type_same_dims(const agate_type *a, const agate_type *b)
{
    bool same = a->rank == b->rank;

    for (int32_t i = 0; same && i < a->rank; i++)
        same = agate_dim_equal(a->dims[i], b->dims[i]);
    return same;
}

bool agate_type_same_places(const agate_type *a, const agate_type *b)
{
    return a->layout.pitch == b->layout.pitch && agate_layout_equal(a->layout, b->layout) &&
           agate_type_same_dims(a, b);
}

bool agate_type_equal_but_pitch(const agate_type *a, const agate_type *b)
{
    return a->dtype == b->dtype && agate_layout_equal(a->layout, b->layout) && agate_type_same_dims(a, b);
}

bool agate_type_is_fixed(const agate_type *type)
{
    for (int32_t i = 0; i < type->rank; i++)
        if (!agate_dim_is_fixed(type->dims[i]))
            return false;
    return true;
}

bool agate_type_count(const agate_type *type, agate_dim *out_count)
{
    agate_dim count = agate_dim_fixed(1);

    for (int32_t i = 0; i < type->rank; i++)
        if (!agate_dim_mul(count, type->dims[i], &count))
            return false;
    *out_count = count;
    return true;
}

/* ---- physical order ----------------------------------------------------------------------------------- */

static void push(agate_phys_axis *axes, int32_t *count, int32_t dim, agate_phys_part part)
{
    axes[(*count)++] = (agate_phys_axis){.dim = dim, .part = part};
}

/* Dimensions first..last-1, whole. */
static void push_whole(agate_phys_axis *axes, int32_t *count, int32_t first, int32_t last)
{
    for (int32_t dim = first; dim < last; dim++)
        push(axes, count, dim, AGATE_PHYS_WHOLE);
}

/* The rows of layouts.def, column `physical order`. */
static int32_t push_order(const agate_type *type, agate_phys_axis *axes)
{
    int32_t count = 0, rank = type->rank;

    switch ((agate_layout_kind)type->layout.kind) {
    case AGATE_LAYOUT_plain:
        push_whole(axes, &count, 0, rank);
        break;
    case AGATE_LAYOUT_channel:
        push(axes, &count, 0, AGATE_PHYS_WHOLE);
        push(axes, &count, 1, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 2, rank);
        push(axes, &count, 1, AGATE_PHYS_INNER);
        break;
    case AGATE_LAYOUT_oi:
        push(axes, &count, 0, AGATE_PHYS_OUTER);
        push(axes, &count, 1, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 2, rank);
        push(axes, &count, 1, AGATE_PHYS_INNER);
        push(axes, &count, 0, AGATE_PHYS_INNER);
        break;
    case AGATE_LAYOUT_oi_pairs:
        push(axes, &count, 0, AGATE_PHYS_OUTER);
        push(axes, &count, 1, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 2, rank);
        push(axes, &count, 1, AGATE_PHYS_PAIRS);
        push(axes, &count, 0, AGATE_PHYS_INNER);
        push(axes, &count, 1, AGATE_PHYS_OF_PAIR);
        break;
    case AGATE_LAYOUT_o:
        push(axes, &count, 0, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 1, rank);
        push(axes, &count, 0, AGATE_PHYS_INNER);
        break;
    case AGATE_LAYOUT_o_pairs:
        push(axes, &count, 0, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 2, rank);
        push(axes, &count, 1, AGATE_PHYS_HALVED);
        push(axes, &count, 0, AGATE_PHYS_INNER);
        push(axes, &count, 1, AGATE_PHYS_OF_PAIR);
        break;
    case AGATE_LAYOUT_o_taps:
        push(axes, &count, 0, AGATE_PHYS_OUTER);
        push_whole(axes, &count, 1, rank - 1);
        push(axes, &count, rank - 1, AGATE_PHYS_HALVED);
        push(axes, &count, 0, AGATE_PHYS_INNER);
        push(axes, &count, rank - 1, AGATE_PHYS_OF_PAIR);
        break;
    case AGATE_LAYOUT_panel:
        push_whole(axes, &count, 0, rank - 2);
        push(axes, &count, rank - 1, AGATE_PHYS_OUTER);
        push(axes, &count, rank - 2, AGATE_PHYS_WHOLE);
        push(axes, &count, rank - 1, AGATE_PHYS_INNER);
        break;
    case AGATE_LAYOUT_COUNT:
        break;
    }
    return count;
}

/* Least rank that a layout makes sense for. */
static int32_t least_rank(agate_layout_kind kind)
{
    switch (kind) {
    case AGATE_LAYOUT_plain:
        return 0;
    case AGATE_LAYOUT_o:
        return 1;
    default:
        return 2;
    }
}

static bool axis_extent(const agate_type *type, const agate_phys_axis *axis, agate_dim *out_extent)
{
    agate_dim dim = type->dims[axis->dim];
    int64_t block = type->layout.block;

    if (axis->part == AGATE_PHYS_WHOLE) {
        *out_extent = dim;
        return true;
    }
    if (!agate_dim_is_fixed(dim)) /* only a fixed dimension can be cut in blocks */
        return false;
    switch (axis->part) {
    case AGATE_PHYS_INNER:
        *out_extent = agate_dim_fixed(block);
        break;
    case AGATE_PHYS_PAIRS:
        *out_extent = agate_dim_fixed(block / 2);
        break;
    case AGATE_PHYS_HALVED:
        *out_extent = agate_dim_fixed(agate_ceil_div(dim.offset, 2));
        break;
    case AGATE_PHYS_OF_PAIR:
        *out_extent = agate_dim_fixed(2);
        break;
    default:
        *out_extent = agate_dim_fixed(agate_ceil_div(dim.offset, block));
    }
    return true;
}

int32_t agate_type_phys(const agate_type *type, agate_phys_axis out_axes[AGATE_MAX_PHYS])
{
    agate_layout_kind kind = (agate_layout_kind)type->layout.kind;
    if (kind >= AGATE_LAYOUT_COUNT || type->rank < least_rank(kind) ||
        (kind != AGATE_LAYOUT_plain && type->layout.block == 0))
        return -1;

    int32_t count = push_order(type, out_axes);
    agate_dim stride = agate_dim_fixed(1);
    for (int32_t i = count - 1; i >= 0; i--) {
        agate_phys_axis *axis = &out_axes[i];
        if (!axis_extent(type, axis, &axis->extent))
            return -1;
        if (i == 0 && type->layout.pitch > 0) /* over the channels of others, too */
            stride = agate_dim_fixed(out_axes[1].stride.offset * (type->layout.pitch / type->layout.block));
        axis->stride = stride;
        if (!agate_dim_mul(stride, axis->extent, &stride))
            return -1;
    }
    return count;
}

int64_t agate_type_pitch(const agate_type *type)
{
    int64_t block = type->layout.block;

    assert(type->layout.kind == AGATE_LAYOUT_channel);
    return type->layout.pitch ? type->layout.pitch : agate_ceil_div(type->dims[1].offset, block) * block;
}

int64_t agate_type_channel_offset(const agate_type *type, int64_t channel)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(type, axes);

    assert(count > 1 && type->layout.kind == AGATE_LAYOUT_channel && channel % type->layout.block == 0);
    (void)count;
    return channel / type->layout.block * axes[1].stride.offset * (int64_t)agate_dtype_size(type->dtype);
}

bool agate_type_size(const agate_type *type, agate_dim *out_size_bytes)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    int32_t count = agate_type_phys(type, axes);
    if (count < 0)
        return false;

    agate_dim size = agate_dim_fixed((int64_t)agate_dtype_size(type->dtype));
    for (int32_t i = 0; i < count; i++)
        if (!agate_dim_mul(size, axes[i].extent, &size))
            return false;
    if (type->layout.pitch > 0) { /* behind the last image the others' channels do not count */
        int64_t one = axes[0].stride.offset * (int64_t)agate_dtype_size(type->dtype);
        int64_t gap =
            one - axes[1].extent.offset * axes[1].stride.offset * (int64_t)agate_dtype_size(type->dtype);
        agate_dim images = axes[0].extent;
        bool none = agate_dim_is(images, 0);
        size = (agate_dim){images.scale * one, none ? 0 : images.offset * one - gap};
    }
    *out_size_bytes = size;
    return true;
}

/* Bytes that a user-space address can reach. */
#define REACH_BYTES ((int64_t)1 << 47)

/* A pitch so large that strides overflow is found with the size. */
static bool pitch_fits(const agate_type *type)
{
    agate_layout layout = type->layout;

    return layout.pitch == 0 ||
           (layout.kind == AGATE_LAYOUT_channel && layout.pitch > 0 && layout.pitch % layout.block == 0 &&
            agate_dim_is_fixed(type->dims[1]) && type->dims[1].offset <= layout.pitch);
}

bool agate_type_check(const agate_type *type, agate_text *fault)
{
    agate_phys_axis axes[AGATE_MAX_PHYS];
    agate_layout_kind kind = (agate_layout_kind)type->layout.kind;
    agate_dim size;

    if (agate_dtype_size(type->dtype) == 0 || type->rank < 0 || type->rank > AGATE_MAX_RANK) {
        agate_text_add(fault, "a value has no type");
        return false;
    }
    if (kind >= AGATE_LAYOUT_COUNT || type->rank < least_rank(kind) ||
        (kind == AGATE_LAYOUT_plain) != (type->layout.block == 0) ||
        (kind == AGATE_LAYOUT_oi_pairs && type->layout.block % 2)) {
        agate_text_add(fault, "the layout does not fit %d dimensions", type->rank);
        return false;
    }
    if (!pitch_fits(type)) {
        agate_text_add(fault, "a pitch is whole blocks of channels, as many as there are or more");
        return false;
    }
    for (int32_t i = 0; i < type->rank; i++) {
        agate_dim dim = type->dims[i];
        if (dim.scale < 0 || dim.scale > REACH_BYTES || dim.offset > REACH_BYTES || dim.offset < -dim.scale) {
            agate_text_add(fault, "dimension %d is negative, or larger than any memory", i);
            return false;
        }
        if (i > 0 && !agate_dim_is_fixed(dim)) {
            agate_text_add(fault, "dimension %d follows the batch, which only the outermost one can", i);
            return false;
        }
    }
    if (push_order(type, axes) > 0 && !agate_dim_is_fixed(type->dims[0]) &&
        (axes[0].dim != 0 || axes[0].part != AGATE_PHYS_WHOLE)) {
        agate_text_add(fault, "the layout cuts or moves dimension 0, which follows the batch");
        return false;
    }
    if (agate_type_phys(type, axes) < 0 || !agate_type_size(type, &size) || size.scale > REACH_BYTES ||
        size.offset > REACH_BYTES) {
        agate_text_add(fault, "the tensor is larger than any memory");
        return false;
    }
    return true;
}

bool agate_broadcast(const agate_type *a, const agate_type *b, agate_type *out_type)
{
    agate_type type = a->rank >= b->rank ? *a : *b;

    for (int32_t i = 1; i <= type.rank; i++) { /* from the innermost dimension outwards */
        agate_dim left = i <= a->rank ? a->dims[a->rank - i] : agate_dim_fixed(1);
        agate_dim right = i <= b->rank ? b->dims[b->rank - i] : agate_dim_fixed(1);
        if (!agate_dim_equal(left, right) && !agate_dim_is(left, 1) && !agate_dim_is(right, 1))
            return false;
        type.dims[type.rank - i] = agate_dim_is(left, 1) ? right : left;
    }
    *out_type = type;
    return true;
}
