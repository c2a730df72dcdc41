/* op_resize.c: Resize and its older forms, one dimension after the other.
 *
 * Along a dimension each output element is a weighted sum of input elements, mostly of a few that follow each
 * other: a resample. Where they are many, resizing multiplies by a matrix of the weights, [outputs, inputs].
 * Where each output is one input element, it is a slice (every n-th), an expansion (each n times) or a gather
 * instead.
 */
#include "frontend/importer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* How coordinates of the output become ones of the input. */
#define COORDINATES                                                                                          \
    MODE(half_pixel)                                                                                         \
    MODE(half_pixel_symmetric)                                                                               \
    MODE(pytorch_half_pixel)                                                                                 \
    MODE(align_corners)                                                                                      \
    MODE(asymmetric)                                                                                         \
    MODE(tf_half_pixel_for_nn)                                                                               \
    MODE(tf_crop_and_resize)
#define KINDS     MODE(nearest) MODE(linear) MODE(cubic)
#define ROUNDINGS MODE(round_prefer_floor) MODE(round_prefer_ceil) MODE(floor) MODE(ceil)
#define POLICIES  MODE(stretch) MODE(not_larger) MODE(not_smaller)

#define MODE(name) MODE_##name,
typedef enum coordinates { COORDINATES } coordinates;
typedef enum kind { KINDS } kind;
typedef enum rounding { ROUNDINGS } rounding;
typedef enum policy { POLICIES } policy;
#undef MODE
#define MODE(name) #name,
static const char *const coordinate_names[] = {COORDINATES NULL};
static const char *const kind_names[] = {KINDS NULL};
static const char *const rounding_names[] = {ROUNDINGS NULL};
static const char *const policy_names[] = {POLICIES NULL};
#undef MODE

/* What the node says of all dimensions. */
typedef struct method {
    coordinates coordinates;
    kind kind;
    rounding rounding;
    policy policy;
    bool antialias, exclude_outside;
    bool shrinks_up; /* the nearest element is the one behind, where there are fewer than before */
    double cubic, extrapolation;
} method;

/* One dimension. */
typedef struct extent {
    int64_t in, out;
    float scale;      /* outputs per input, as the node gives it or as the sizes are */
    float start, end; /* of the region, for tf_crop_and_resize */
    bool active;
} extent;

static int read_mode(agate_call *call, const char *attribute, const char *const *names, const char *absent)
{
    const char *name = agate_attr_string(call, attribute, absent);
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    agate_call_unsupported(call, "its attribute \"%s\" is \"%s\", which is not known", attribute, name);
    return 0;
}

static method read_method(agate_call *call)
{
    const bool old = call->opset < 11;
    const char *mode = agate_attr_string(call, "mode", "nearest");
    return (method){
        /* An old name of linear. */
        .kind = strcmp(mode, "bilinear") == 0 ? MODE_linear
                                              : (kind)read_mode(call, "mode", kind_names, "nearest"),
        .coordinates = (coordinates)read_mode(call, "coordinate_transformation_mode", coordinate_names,
                                              old ? "asymmetric" : "half_pixel"),
        .rounding =
            (rounding)read_mode(call, "nearest_mode", rounding_names, old ? "floor" : "round_prefer_floor"),
        .policy = (policy)read_mode(call, "keep_aspect_ratio_policy", policy_names, "stretch"),
        .antialias = agate_attr_bool(call, "antialias", false),
        .exclude_outside = agate_attr_bool(call, "exclude_outside", false),
        /* Opset 10 says nothing of rounding; ONNX's own test of it makes [1, 3] of [1, 2, 3, 4] by 0.6. */
        .shrinks_up = call->opset == 10,
        .cubic = agate_attr_float(call, "cubic_coeff_a", -0.75),
        .extrapolation = agate_attr_float(call, "extrapolation_value", 0),
    };
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

static bool has_elements(agate_call *call, int32_t index)
{
    const agate_value *value = agate_call_operand(call, index);
    return value && !(value->type.rank == 1 && agate_dim_is(value->type.dims[0], 0));
}

/* Floats of operand `index`, which must be known and `count` many. */
static bool read_floats(agate_call *call, int32_t index, const char *what, int32_t count, float *out_floats)
{
    const agate_value *value = agate_call_operand(call, index);
    const agate_data *data = value ? agate_value_data(value) : NULL;
    if (!data || agate_is_symbolic(value))
        agate_call_unsupported(call, "its input %d (%s) must be known at import", index, what);
    else if (value->type.rank != 1 || !agate_dim_is(value->type.dims[0], count) ||
             !agate_is_float(value->type.dtype))
        agate_call_invalid(call, "its input %d (%s) is no vector of %d numbers", index, what, count);
    for (int32_t i = 0; i < count && !call->faulty; i++)
        out_floats[i] = (float)agate_data_at(data, value->type.dtype, i);
    return !call->faulty;
}

/* Scales of the old forms: an attribute, or the second of two inputs. */
static bool read_scales(agate_call *call, int32_t count, float *out_scales)
{
    if (call->opset >= 9)
        return read_floats(call, call->opset < 11 ? 1 : 2, "scales", count, out_scales);
    const Onnx__AttributeProto *scales = agate_attr_find(call, "scales");
    if (!scales || scales->n_floats != (size_t)count)
        agate_call_invalid(call, "its attribute \"scales\" does not have %d numbers", count);
    for (int32_t i = 0; i < count && !call->faulty; i++)
        out_scales[i] = scales->floats[i];
    return !call->faulty;
}

static void size_by_scales(agate_call *call, const agate_ints *axes, extent *extents)
{
    float scales[AGATE_MAX_RANK];
    if (!read_scales(call, axes->count, scales))
        return;
    for (int32_t i = 0; i < axes->count; i++) {
        const agate_dim size = call->operands[0]->type.dims[axes->v[i]];
        extent *e = &extents[axes->v[i]];
        if (scales[i] == 1)
            continue;
        if (!agate_dim_is_fixed(size))
            return agate_call_unsupported(call, "it resizes the batch");
        const double out = floor((double)size.offset * (double)scales[i]);
        if (!(scales[i] > 0) || !(out >= 1 && out <= AGATE_MAX_EXTENT))
            return agate_call_invalid(call, "its scale %g does not suit dimension %" PRId64 ", of %" PRId64,
                                      scales[i], axes->v[i], size.offset);
        *e = (extent){.in = size.offset, .out = (int64_t)out, .scale = scales[i], .end = 1, .active = true};
    }
}

/* Sizes as listed, or with a policy the largest (not_larger) or smallest (not_smaller) of equal scales. */
static void size_by_sizes(agate_call *call, const method *m, const agate_ints *axes, extent *extents)
{
    const agate_type *x = &call->operands[0]->type;
    agate_dims sizes;
    float common = 0;
    if (!agate_call_dims(call, 3, "sizes", AGATE_MAX_RANK, &sizes))
        return;
    if (sizes.count != axes->count)
        return agate_call_invalid(call, "it has %d sizes for %d dimensions", sizes.count, axes->count);
    for (int32_t i = 0; i < axes->count; i++) {
        const agate_dim in = x->dims[axes->v[i]], out = sizes.v[i];
        if (agate_dim_equal(in, out) && m->policy == MODE_stretch)
            continue;
        if (!agate_dim_is_fixed(in) || !agate_dim_is_fixed(out))
            return agate_call_unsupported(
                call, "it resizes dimension %" PRId64 ", which depends on the batch", axes->v[i]);
        if (out.offset < 1 || out.offset > AGATE_MAX_EXTENT || in.offset < 1)
            return agate_call_invalid(call, "it resizes dimension %" PRId64 " from %" PRId64 " to %" PRId64,
                                      axes->v[i], in.offset, out.offset);
        const float scale = (float)out.offset / (float)in.offset;
        const bool better = m->policy == MODE_not_larger ? scale < common : scale > common;
        common = common == 0 || better ? scale : common;
        extents[axes->v[i]] =
            (extent){.in = in.offset, .out = out.offset, .scale = scale, .end = 1, .active = true};
    }
    for (int32_t i = 0; i < x->rank && m->policy != MODE_stretch; i++) {
        extent *e = &extents[i];
        if (!e->active)
            continue;
        const double out = round((double)common * (double)e->in);
        if (!(out >= 1 && out <= AGATE_MAX_EXTENT))
            return agate_call_invalid(call, "its result has no size for dimension %d", i);
        e->scale = common;
        e->out = (int64_t)out;
    }
}

/* The dimensions that scales and sizes are for, in their order. */
static bool read_axes(agate_call *call, int32_t rank, agate_ints *out_axes)
{
    bool seen[AGATE_MAX_RANK] = {false};
    if (!agate_attr_ints(call, "axes", out_axes)) {
        out_axes->count = rank;
        for (int32_t i = 0; i < rank; i++)
            out_axes->v[i] = i;
    }
    for (int32_t i = 0; i < out_axes->count && !call->faulty; i++) {
        if (!agate_call_axis(call, out_axes->v[i], rank, &out_axes->v[i]))
            return false;
        if (seen[out_axes->v[i]])
            agate_call_invalid(call, "\"axes\" names dimension %" PRId64 " twice", out_axes->v[i]);
        seen[out_axes->v[i]] = true;
    }
    return !call->faulty;
}

static void read_region(agate_call *call, const agate_ints *axes, extent *extents)
{
    float region[2 * AGATE_MAX_RANK];
    if (!read_floats(call, 1, "roi", 2 * axes->count, region))
        return;
    for (int32_t i = 0; i < axes->count; i++) {
        const agate_dim size = call->operands[0]->type.dims[axes->v[i]];
        extent *e = &extents[axes->v[i]];
        const float start = region[i], end = region[axes->count + i];
        const bool whole = start == 0 && end == 1;
        if (!e->active && !whole && !agate_dim_is_fixed(size))
            return agate_call_unsupported(call, "it takes a part of the batch");
        if (!e->active && !whole)
            *e = (extent){.in = size.offset, .out = size.offset, .scale = 1, .active = true};
        e->start = start;
        e->end = end;
    }
}

static bool read_extents(agate_call *call, const method *m, extent *extents)
{
    agate_ints axes;
    if (!read_axes(call, call->operands[0]->type.rank, &axes))
        return false;
    if (call->opset >= 11 && has_elements(call, 3) == has_elements(call, 2))
        agate_call_invalid(call, "it needs one of its inputs 2 (scales) and 3 (sizes), not both");
    else if (call->opset >= 11 && has_elements(call, 3))
        size_by_sizes(call, m, &axes, extents);
    else
        size_by_scales(call, &axes, extents);
    if (m->coordinates == MODE_tf_crop_and_resize && !call->faulty)
        read_region(call, &axes, extents);
    return !call->faulty;
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* Where output element `i` lies in the input. In single precision: which of two elements is the nearest
 * depends on how it is rounded, and models expect what other programs give. */
static float coordinate(const method *m, const extent *e, int64_t i)
{
    const float at = (float)i, in = (float)e->in, out = (float)e->out;
    const float exact = e->scale * in;
    switch (m->coordinates) {
    case MODE_half_pixel:
        return (at + 0.5F) / e->scale - 0.5F;
    case MODE_half_pixel_symmetric:
        return in / 2 * (1 - out / exact) + (at + 0.5F) / e->scale - 0.5F;
    case MODE_pytorch_half_pixel:
        return e->out > 1 ? (at + 0.5F) / e->scale - 0.5F : 0;
    case MODE_align_corners:
        return e->out > 1 ? at * (in - 1) / (out - 1) : 0;
    case MODE_asymmetric:
        return at / e->scale;
    case MODE_tf_half_pixel_for_nn:
        return (at + 0.5F) / e->scale;
    case MODE_tf_crop_and_resize:
        return e->out > 1 ? e->start * (in - 1) + at * (e->end - e->start) * (in - 1) / (out - 1)
                          : (e->start + e->end) * (in - 1) / 2;
    }
    return 0;
}

static double bounded(double x, double most)
{
    return x > 0 ? fmin(x, most) : 0; /* NaN: 0 */
}

static int64_t nearest(const method *m, const extent *e, int64_t i)
{
    const float x = coordinate(m, e, i);
    const rounding mode = m->shrinks_up && e->scale < 1 ? MODE_ceil : m->rounding;
    const float rounded = mode == MODE_floor                ? floorf(x)
                          : mode == MODE_ceil               ? ceilf(x)
                          : mode == MODE_round_prefer_floor ? ceilf(x - 0.5F)
                                                            : floorf(x + 0.5F);
    return (int64_t)bounded(rounded, (double)(e->in - 1));
}

static bool outside(const method *m, const extent *e, int64_t i)
{
    const float x = coordinate(m, e, i);
    return m->coordinates == MODE_tf_crop_and_resize && !(x >= 0 && x <= (float)(e->in - 1));
}

/* The weight of an element `distance` away: a triangle, or Keys' cubic convolution. */
static double filter(const method *m, double distance)
{
    const double x = fabs(distance), a = m->cubic;
    if (m->kind == MODE_linear)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Input elements begin <= at < end. */
typedef struct span {
    int64_t begin, end;
} span;

/* Adds the weights of one output element to a row of the matrix, and says where. Elements beyond an end count
 * as the one at the end. */
static span weigh(const method *m, const extent *e, int64_t i, float *row)
{
    const double last = (double)(e->in - 1), shrink = m->antialias ? fmin(e->scale, 1) : 1;
    const double reach = (m->kind == MODE_linear ? 1 : 2) / shrink;
    double x = coordinate(m, e, i), sum = 0;
    if (outside(m, e, i))
        return (span){0};
    if (m->kind == MODE_nearest) {
        const int64_t at = nearest(m, e, i);
        row[at] = 1;
        return (span){at, at + 1};
    }
    /* So far outside all of the filter lies on the element at the end. */
    x = x > -reach ? fmin(x, last + reach) : -reach;
    const double begin = ceil(x - reach), end = floor(x + reach);
    for (double at = begin; at <= end; at++)
        if (!m->exclude_outside || (at >= 0 && at <= last))
            sum += filter(m, (at - x) * shrink);
    for (double at = begin; at <= end && sum != 0; at++)
        if (!m->exclude_outside || (at >= 0 && at <= last))
            row[(int64_t)bounded(at, last)] += (float)(filter(m, (at - x) * shrink) / sum);
    return (span){(int64_t)bounded(begin, last), (int64_t)bounded(end, last) + 1};
}

/* ---- one dimension ------------------------------------------------------------------------------------- */

static agate_data *new_data(agate_call *call, const int64_t *dims, int32_t rank, agate_dtype dtype,
                            agate_type *out_type)
{
    agate_dim size;
    *out_type = (agate_type){.dtype = dtype, .rank = rank};
    for (int32_t i = 0; i < rank; i++)
        out_type->dims[i] = agate_dim_fixed(dims[i]);
    const bool known = agate_type_size(out_type, &size);
    agate_data *data = known && (uint64_t)size.offset <= call->importer->limit_bytes
                           ? agate_data_create((size_t)size.offset)
                           : NULL;
    if (!data)
        agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY, "no memory for the weights of its elements");
    return data;
}

/* Each element `times` times, one after the other. */
static agate_value *repeat_each(agate_call *call, agate_value *x, int32_t axis, int64_t times)
{
    agate_dim dims[AGATE_MAX_RANK];
    agate_dim parts[4] = {[2] = agate_dim_fixed(1)};
    memcpy(dims, x->type.dims, sizeof(dims));
    if (!agate_call_product(call, dims, 0, axis + 1, &parts[0]) ||
        !agate_call_product(call, dims, axis + 1, x->type.rank, &parts[2]))
        return NULL;
    const int32_t rank = x->type.rank;
    parts[1] = agate_dim_fixed(1);
    x = agate_lower_reshape(call, x, 3, parts);
    parts[1] = agate_dim_fixed(times);
    x = agate_lower_expand(call, x, 3, parts);
    dims[axis].offset *= times; /* no more than the size of the result */
    return agate_lower_reshape(call, x, rank, dims);
}

static agate_value *take_each(agate_call *call, agate_value *x, int32_t axis, const extent *e, int64_t first,
                              int64_t step)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = x->type.rank;
    for (int32_t i = 0; i < x->type.rank; i++) {
        attrs.slice.steps.v[i] = i == axis ? step : 1;
        attrs.slice.starts.v[i] = i == axis ? first : 0;
        attrs.slice.shape.v[i] = i == axis ? agate_dim_fixed(e->out) : x->type.dims[i];
    }
    return agate_lower(call, AGATE_OP_slice, &attrs, &x, 1);
}

static agate_value *resize_nearest(agate_call *call, agate_value *x, int32_t axis, const method *m,
                                   const extent *e)
{
    const int64_t times = e->out / e->in, first = nearest(m, e, 0);
    const int64_t step = e->out > 1 ? agate_max(nearest(m, e, 1) - first, 1) : 1;
    bool repeats = e->out == times * e->in, steps = true;
    agate_type type;
    agate_data *data = new_data(call, &e->out, 1, AGATE_I64, &type);
    if (!data)
        return NULL;
    int64_t *indices = (int64_t *)data->bytes;
    for (int64_t i = 0; i < e->out; i++) {
        indices[i] = nearest(m, e, i);
        repeats = repeats && indices[i] == i / times;
        steps = steps && indices[i] == first + i * step;
    }
    if (repeats || steps) {
        agate_data_release(data);
        return repeats ? repeat_each(call, x, axis, times) : take_each(call, x, axis, e, first, step);
    }
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = axis;
    return agate_lower(call, AGATE_OP_gather, &attrs,
                       (agate_value *[]){x, agate_lower_data(call, &type, data)}, 2);
}

/* What elements outside of the region get: shaped to be added along `axis`. NULL where there are none or a
 * fault. */
static agate_value *fill_outside(agate_call *call, int32_t rank, int32_t axis, const method *m,
                                 const extent *e)
{
    int64_t dims[AGATE_MAX_RANK];
    bool any = false;
    agate_type type;
    for (int64_t i = 0; i < e->out; i++)
        any = any || outside(m, e, i);
    if (!any || m->extrapolation == 0)
        return NULL;
    for (int32_t i = 0; i < rank; i++)
        dims[i] = i == axis ? e->out : 1;
    agate_data *data = new_data(call, dims, rank, AGATE_F32, &type);
    if (!data)
        return NULL;
    for (int64_t i = 0; i < e->out; i++)
        ((float *)data->bytes)[i] = outside(m, e, i) ? (float)m->extrapolation : 0;
    return agate_lower_data(call, &type, data);
}

/* The matrix of weights; for the last dimension, which it multiplies from the right, transposed. */
static agate_value *make_matrix(agate_call *call, const method *m, const extent *e, bool transposed)
{
    agate_type type;
    agate_data *data = new_data(call, (int64_t[]){e->out, e->in}, 2, AGATE_F32, &type);
    if (!data)
        return NULL;
    for (int64_t i = 0; i < e->out; i++)
        weigh(m, e, i, (float *)data->bytes + i * e->in);
    agate_value *matrix = agate_lower_data(call, &type, data);
    return transposed ? agate_lower_transpose(call, matrix, (int64_t[]){1, 0}) : matrix;
}

/* Weights of one output element: `row` has room for as many as there are inputs, and zeros before and
 * after. */
static span find_weights(const method *m, const extent *e, int64_t i, float *row)
{
    span all = weigh(m, e, i, row), some = all;
    while (some.begin < some.end && row[some.begin] == 0)
        some.begin++;
    while (some.end > some.begin && row[some.end - 1] == 0)
        some.end--;
    return some;
}

static void forget_weights(float *row, span some)
{
    memset(row + some.begin, 0, (size_t)(some.end - some.begin) * sizeof(*row));
}

/* The most inputs that an output element has weights for, at least 1. */
static int64_t count_taps(const method *m, const extent *e, float *row)
{
    int64_t taps = 1;
    for (int64_t i = 0; i < e->out; i++) {
        const span some = find_weights(m, e, i, row);
        forget_weights(row, some);
        taps = agate_max(taps, some.end - some.begin);
    }
    return taps;
}

static agate_value *resample(agate_call *call, agate_value *x, int32_t axis, const method *m, const extent *e,
                             float *row, int64_t taps)
{
    agate_type first_type, type;
    agate_attrs attrs;
    agate_data *first = new_data(call, &e->out, 1, AGATE_I64, &first_type);
    agate_data *data = first ? new_data(call, (int64_t[]){e->out, taps}, 2, AGATE_F32, &type) : NULL;
    if (!data) {
        agate_data_release(first);
        return NULL;
    }
    for (int64_t i = 0; i < e->out; i++) {
        const span some = find_weights(m, e, i, row);
        const int64_t begin = agate_min(some.begin, e->in - taps);
        ((int64_t *)first->bytes)[i] = begin;
        memcpy((float *)data->bytes + i * taps, row + begin, (size_t)taps * sizeof(*row));
        forget_weights(row, some);
    }
    agate_value *firsts = agate_lower_data(call, &first_type, first);
    agate_value *weights = agate_lower_cast(call, agate_lower_data(call, &type, data), x->type.dtype);
    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = axis;
    return firsts && weights
               ? agate_lower(call, AGATE_OP_resample, &attrs, (agate_value *[]){x, firsts, weights}, 3)
               : NULL;
}

static agate_value *multiply_by_weights(agate_call *call, agate_value *x, int32_t axis, const method *m,
                                        const extent *e)
{
    const int32_t rank = x->type.rank;
    const agate_dtype dtype = x->type.dtype;
    agate_dim dims[AGATE_MAX_RANK], parts[3];
    memcpy(dims, x->type.dims, sizeof(dims));
    dims[axis] = agate_dim_fixed(e->out);
    agate_value *matrix = agate_lower_cast(call, make_matrix(call, m, e, axis == rank - 1), dtype);
    if (axis == rank - 1) {
        return matrix ? agate_lower2(call, AGATE_OP_matmul, x, matrix) : NULL;
    }
    /* What comes before and behind is one dimension each. */
    if (!agate_call_product(call, dims, 0, axis, &parts[0]) ||
        !agate_call_product(call, dims, axis + 1, rank, &parts[2]))
        return NULL;
    parts[1] = agate_dim_fixed(e->in);
    x = agate_lower2(call, AGATE_OP_matmul, matrix, agate_lower_reshape(call, x, 3, parts));
    return agate_lower_reshape(call, x, rank, dims);
}

/* A product runs at several times the speed of a resample, for which there is no tile. */
#define PRODUCT_SPEEDUP 4
#define FEW_TAPS        4

static agate_value *resize_weighted(agate_call *call, agate_value *x, int32_t axis, const method *m,
                                    const extent *e)
{
    const int32_t rank = x->type.rank;
    const agate_dtype dtype = x->type.dtype;
    const uint64_t least_bytes = (uint64_t)e->out * (sizeof(int64_t) + sizeof(float));
    float *row = least_bytes <= call->importer->limit_bytes ? calloc((size_t)e->in, sizeof(*row)) : NULL;
    if (!row) {
        agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY, "no memory for the weights of its elements");
        return NULL;
    }
    const int64_t taps = count_taps(m, e, row);
    x = taps <= FEW_TAPS || PRODUCT_SPEEDUP * taps <= e->in ? resample(call, x, axis, m, e, row, taps)
                                                            : multiply_by_weights(call, x, axis, m, e);
    free(row);
    agate_value *fill = agate_lower_cast(call, fill_outside(call, rank, axis, m, e), dtype);
    return fill && x ? agate_lower2(call, AGATE_OP_add, x, fill) : x;
}

void agate_import_resize(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    extent extents[AGATE_MAX_RANK] = {0};
    const method m = read_method(call);
    if (call->faulty || !read_extents(call, &m, extents))
        return;
    const bool weighted = m.kind != MODE_nearest || m.coordinates == MODE_tf_crop_and_resize;
    if (weighted && !agate_is_float(x->type.dtype))
        agate_call_unsupported(call, "it interpolates %s; only floats are supported",
                               agate_dtype_name(x->type.dtype));
    for (int32_t axis = 0; axis < rank && x && !call->faulty; axis++)
        if (extents[axis].active)
            x = (weighted ? resize_weighted : resize_nearest)(call, x, axis, &m, &extents[axis]);
    call->results[0] = x;
}
