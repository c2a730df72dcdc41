/* op_reduce.c: reductions, softmax, and the normalizations that are made of them. */
#include "frontend/importer.h"

#include <inttypes.h>

/* ---- reductions ------------------------------------------------------------------------------------------
 */

static void all_axes(int32_t rank, agate_ints *out_axes)
{
    memset(out_axes, 0, sizeof(*out_axes));
    out_axes->count = rank;
    for (int32_t i = 0; i < rank; i++)
        out_axes->v[i] = i;
}

/* The axes of a Reduce operator. False where there is nothing to reduce: *out_noop, or a fault. */
static bool read_axes(agate_call *call, agate_ints *out_axes, bool *out_noop)
{
    const int64_t since =
        call->row->op == AGATE_OP_reduce_sum && strcmp(call->row->name, "ReduceSum") == 0 ? 13 : 18;
    const int32_t rank = call->operands[0]->type.rank;
    *out_noop = false;
    if (agate_call_axes(call, since, 1, rank, out_axes))
        return true;
    if (call->faulty)
        return false;
    if (agate_attr_bool(call, "noop_with_empty_axes", false)) {
        *out_noop = true;
        return false;
    }
    all_axes(rank, out_axes);
    return true;
}

/* Reduces `value`, which stands for the node's operand, by its row's op. */
static agate_value *reduce(agate_call *call, agate_value *value)
{
    agate_ints axes;
    bool noop;
    if (!read_axes(call, &axes, &noop) || !value)
        return noop ? value : NULL;
    const agate_dtype dtype = value->type.dtype;
    if (dtype == AGATE_BOOL) /* the extreme of bools is that of 0 and 1 */
        value = agate_lower_cast(call, value, AGATE_U8);
    value =
        value ? agate_lower_reduce(call, call->row->op, value, &axes, agate_attr_bool(call, "keepdims", true))
              : NULL;
    return agate_lower_cast(call, value, dtype);
}

void agate_import_reduce(agate_call *call)
{
    call->results[0] = reduce(call, call->operands[0]);
}

void agate_import_reduce_l1(agate_call *call)
{
    call->results[0] = reduce(call, agate_lower1(call, AGATE_OP_abs, call->operands[0]));
}

static agate_value *reduce_square(agate_call *call)
{
    agate_value *x = agate_lower_widened(call, call->operands[0]);
    return reduce(call, agate_lower2(call, AGATE_OP_mul, x, x));
}

void agate_import_reduce_square(agate_call *call)
{
    call->results[0] = agate_lower_cast(call, reduce_square(call), call->operands[0]->type.dtype);
}

/* `op`, which takes floats, of a value that may be of integers; as the node's operand is. */
static agate_value *emit_float(agate_call *call, agate_op op, agate_value *value)
{
    if (value && !agate_is_float(value->type.dtype))
        value = agate_lower_cast(call, value, AGATE_F64);
    return agate_lower_cast(call, agate_lower1(call, op, value), call->operands[0]->type.dtype);
}

void agate_import_reduce_l2(agate_call *call)
{
    call->results[0] = emit_float(call, AGATE_OP_sqrt, reduce_square(call));
}

void agate_import_reduce_log(agate_call *call)
{
    agate_value *sum = reduce(call, agate_lower_widened(call, call->operands[0]));
    call->results[0] = emit_float(call, AGATE_OP_log, sum);
}

/* log(sum(exp(x - m))) + m with the greatest element as m, so that exp does not overflow; with 0 where that
 * is not finite, so that infinities do not cancel to NaN. */
void agate_import_reduce_log_exp(agate_call *call)
{
    agate_value *x = call->operands[0];
    const agate_dtype dtype = x->type.dtype;
    agate_ints axes;
    bool noop;
    if (!read_axes(call, &axes, &noop)) {
        call->results[0] = noop ? x : NULL;
        return;
    }
    x = agate_is_float(dtype) ? agate_lower_widened(call, x) : agate_lower_cast(call, x, AGATE_F64);
    agate_value *most = agate_lower_reduce(call, AGATE_OP_reduce_max, x, &axes, true);
    agate_value *infinite = agate_lower1(call, AGATE_OP_is_inf, most);
    if (infinite) {
        agate_value *mask = agate_lower_cast(call, infinite, most->type.dtype);
        agate_value *zero = agate_lower_scalar(call, most->type.dtype, 0);
        most = agate_lower(call, AGATE_OP_select, NULL, (agate_value *[]){mask, zero, most}, 3);
    }
    agate_value *power = agate_lower1(call, AGATE_OP_exp, agate_lower2(call, AGATE_OP_sub, x, most));
    agate_value *sum = power ? agate_lower_reduce(call, AGATE_OP_reduce_sum, power, &axes, true) : NULL;
    agate_value *total = agate_lower2(call, AGATE_OP_add, agate_lower1(call, AGATE_OP_log, sum), most);
    if (total && !agate_attr_bool(call, "keepdims", true)) {
        agate_dim dims[AGATE_MAX_RANK];
        int32_t rank = 0, next = 0;
        for (int32_t i = 0; i < total->type.rank; i++) {
            if (next < axes.count && axes.v[next] == i)
                next++;
            else
                dims[rank++] = total->type.dims[i];
        }
        total = agate_lower_reshape(call, total, rank, dims);
    }
    call->results[0] = agate_lower_cast(call, total, dtype);
}

void agate_import_arg(agate_call *call)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_arg, &attrs);
    if (!agate_call_axis(call, agate_attr_int(call, "axis", 0), call->operands[0]->type.rank,
                         &attrs.arg.axis))
        return;
    attrs.arg.keep = agate_attr_bool(call, "keepdims", true);
    attrs.arg.last = agate_attr_bool(call, "select_last_index", false);
    call->results[0] = agate_lower(call, call->row->op, &attrs, call->operands, 1);
}

/* ---- softmax ---------------------------------------------------------------------------------------------
 */

/* 1 where the greatest element (of equals, the first) is. */
static agate_value *emit_hardmax(agate_call *call, agate_value *x, int64_t axis)
{
    agate_attrs attrs;
    agate_dim dims[AGATE_MAX_RANK];
    if (agate_dim_is(x->type.dims[axis], 0)) /* nothing has no greatest element, and needs none */
        return x;
    agate_attrs_init(AGATE_SET_arg, &attrs);
    attrs.arg.axis = axis;
    agate_value *most = agate_lower(call, AGATE_OP_arg_max, &attrs, &x, 1);
    for (int32_t i = 0; i < x->type.rank; i++)
        dims[i] = i == axis ? x->type.dims[i] : agate_dim_fixed(1);
    agate_value *index = agate_lower_reshape(call, agate_lower_count(call, dims[axis]), x->type.rank, dims);
    return agate_lower_cast(call, agate_lower2(call, AGATE_OP_equal, index, most), x->type.dtype);
}

static agate_value *emit_softmax(agate_call *call, agate_value *x, int64_t axis)
{
    agate_attrs attrs;
    if (call->row->op == AGATE_OP_arg_max)
        return emit_hardmax(call, x, axis);
    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = axis;
    return agate_lower(call, call->row->op, &attrs, &x, 1);
}

/* Before opset 13 softmax ran over all dimensions from `axis` on, seen as one. */
void agate_import_softmax(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    int64_t axis;
    if (!agate_call_axis(call, agate_attr_int(call, "axis", call->opset >= 13 ? -1 : 1), rank, &axis))
        return;
    if (call->opset >= 13 || axis == rank - 1) {
        call->results[0] = emit_softmax(call, x, axis);
        return;
    }
    agate_dim flat[2];
    if (!agate_call_product(call, x->type.dims, 0, (int32_t)axis, &flat[0]) ||
        !agate_call_product(call, x->type.dims, (int32_t)axis, rank, &flat[1]))
        return;
    agate_value *soft = agate_lower_reshape(call, x, 2, flat);
    soft = soft ? emit_softmax(call, soft, 1) : NULL;
    call->results[0] = agate_lower_reshape(call, soft, rank, x->type.dims);
}

/* ---- normalization ---------------------------------------------------------------------------------------
 */

void agate_import_batch_norm(agate_call *call)
{
    if (agate_attr_bool(call, "training_mode", false))
        agate_call_unsupported(call,
                               "it is in training mode, which updates its statistics; export the model for "
                               "inference (in PyTorch: model.eval())");
    for (int32_t i = 1; i < call->result_count; i++)
        if (agate_call_wants(call, i) && !call->faulty)
            agate_call_unsupported(
                call, "it asks for running statistics, which only training has; export the model "
                      "for inference (in PyTorch: model.eval())");
    if (!agate_attr_bool(call, "spatial", true))
        agate_call_unsupported(call, "statistics for each pixel (spatial=0) are not supported");

    agate_value *x = call->operands[0];
    const agate_type type = x->type;
    if (type.rank == 1) /* of one channel */
        x = agate_lower_reshape(call, x, 2, (agate_dim[]){type.dims[0], agate_dim_fixed(1)});
    /* Statistics may be of another float type than the data, of which the wider holds both. */
    agate_dtype wide = type.dtype;
    for (int i = 1; i < 5; i++)
        if (agate_dtype_size(call->operands[i]->type.dtype) > agate_dtype_size(wide))
            wide = call->operands[i]->type.dtype;
    agate_value *operands[5] = {agate_lower_cast(call, x, wide)};
    for (int i = 1; i < 5; i++)
        operands[i] = agate_lower_cast(call, call->operands[i], wide);
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_norm, &attrs);
    attrs.norm.epsilon = agate_attr_float(call, "epsilon", 1e-5);
    agate_value *normal = agate_lower(call, AGATE_OP_batch_norm, &attrs, operands, 5);
    normal = agate_lower_cast(call, normal, type.dtype);
    call->results[0] = agate_lower_reshape(call, normal, type.rank, type.dims);
}

/* What normalizing over some axes gives on the way. */
typedef struct moments {
    agate_value *mean;  /* NULL: not subtracted */
    agate_value *scale; /* 1 / standard deviation */
    agate_value *result;
} moments;

/* (x - mean) / sqrt(variance + epsilon) over `axes`; without `center` the mean counts as 0. */
static moments normalize(agate_call *call, agate_value *x, const agate_ints *axes, double epsilon,
                         bool center)
{
    moments m = {0};
    agate_value *deviation = x;
    if (center) {
        m.mean = x ? agate_lower_reduce(call, AGATE_OP_reduce_mean, x, axes, true) : NULL;
        deviation = agate_lower2(call, AGATE_OP_sub, x, m.mean);
    }
    agate_value *square = agate_lower2(call, AGATE_OP_mul, deviation, deviation);
    agate_value *variance =
        square ? agate_lower_reduce(call, AGATE_OP_reduce_mean, square, axes, true) : NULL;
    variance = agate_lower_with(call, AGATE_OP_add, variance, epsilon);
    m.scale = agate_lower1(call, AGATE_OP_reciprocal, agate_lower1(call, AGATE_OP_sqrt, variance));
    m.result = agate_lower2(call, AGATE_OP_mul, deviation, m.scale);
    return m;
}

/* A vector with one number per channel, shaped to go with [N, C, ...] of `rank` dimensions. */
static agate_value *per_channel(agate_call *call, agate_value *vector, int32_t rank)
{
    agate_dim dims[AGATE_MAX_RANK];
    for (int32_t i = 0; i < rank - 1; i++)
        dims[i] = agate_dim_fixed(1);
    dims[0] = vector->type.dims[0];
    return agate_lower_reshape(call, vector, rank - 1, dims);
}

/* Scale and shift, inputs 1 and 2, must have a number for each of `count`. */
static bool are_vectors_of(agate_call *call, agate_dim count)
{
    for (int32_t i = 1; i <= 2; i++) {
        const agate_type *type = &call->operands[i]->type;
        if (type->rank != 1 || !agate_dim_equal(type->dims[0], count))
            agate_call_invalid(call, "its input %d must be a vector of %" PRId64 " numbers", i, count.offset);
    }
    return !call->faulty;
}

static agate_value *scale_and_shift(agate_call *call, agate_value *value, agate_value *scale,
                                    agate_value *shift)
{
    return agate_lower2(call, AGATE_OP_add, agate_lower2(call, AGATE_OP_mul, value, scale), shift);
}

void agate_import_instance_norm(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    agate_ints axes = {0};
    if (rank < 3)
        agate_call_unsupported(call, "its input has %d dimensions; at least 3 are needed", rank);
    if (call->faulty || !are_vectors_of(call, x->type.dims[1]))
        return;
    for (int32_t i = 2; i < rank; i++)
        axes.v[axes.count++] = i;
    const moments m =
        normalize(call, agate_lower_widened(call, x), &axes, agate_attr_float(call, "epsilon", 1e-5), true);
    agate_value *scale = per_channel(call, call->operands[1], rank);
    agate_value *shift = per_channel(call, call->operands[2], rank);
    agate_value *normal = agate_lower_cast(call, m.result, x->type.dtype);
    call->results[0] = scale_and_shift(call, normal, scale, shift);
}

/* Statistics are kept in `stash_type`, float unless told otherwise. */
static agate_dtype stash_dtype(agate_call *call)
{
    const int64_t stash = agate_attr_int(call, "stash_type", AGATE_F32);
    const agate_dtype dtype = agate_onnx_dtype(stash >= 0 && stash < 64 ? (int32_t)stash : -1);
    if (!agate_is_float(dtype))
        agate_call_unsupported(call, "attribute \"stash_type\" is %" PRId64 ", which is no float type",
                               stash);
    /* The double of a double is not narrowed. */
    return call->operands[0]->type.dtype == AGATE_F64 ? AGATE_F64 : dtype;
}

/* Elements of the groups are made one dimension, normalized, and put back. Before opset 21 scale and bias had
 * one number per group, since then one per channel. */
void agate_import_group_norm(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    const int64_t groups = agate_attr_int(call, "num_groups", 0);
    agate_dim grouped[3], inner;

    if (rank < 2 || !agate_dim_is_fixed(x->type.dims[1]) || groups < 1 || x->type.dims[1].offset % groups)
        agate_call_invalid(
            call, "its channels do not divide into %" PRId64 " groups (attribute \"num_groups\")", groups);
    if (call->faulty || !are_vectors_of(call, call->opset < 21 ? agate_dim_fixed(groups) : x->type.dims[1]) ||
        !agate_call_product(call, x->type.dims, 1, rank, &inner))
        return;
    grouped[0] = x->type.dims[0];
    grouped[1] = agate_dim_fixed(groups);
    if (!agate_dim_div(inner, grouped[1], &grouped[2]))
        return agate_call_unsupported(call, "its channels follow the batch");
    agate_value *flat = agate_lower_reshape(call, x, 3, grouped);
    const agate_ints axes = {.count = 1, .v = {2}};
    const double epsilon = agate_attr_float(call, "epsilon", 1e-5);
    flat = agate_lower_cast(call, flat, stash_dtype(call));
    agate_value *normal = normalize(call, flat, &axes, epsilon, true).result;
    normal = agate_lower_cast(call, normal, x->type.dtype);
    agate_value *scale = call->operands[1], *shift = call->operands[2];
    if (call->opset < 21) {
        scale = per_channel(call, scale, 3);
        shift = per_channel(call, shift, 3);
        normal = scale_and_shift(call, normal, scale, shift);
        call->results[0] = agate_lower_reshape(call, normal, rank, x->type.dims);
        return;
    }
    normal = agate_lower_reshape(call, normal, rank, x->type.dims);
    scale = per_channel(call, scale, rank);
    shift = per_channel(call, shift, rank);
    call->results[0] = scale_and_shift(call, normal, scale, shift);
}

/* Axes from attribute "axis" to the last. */
static bool trailing_axes(agate_call *call, agate_ints *out_axes)
{
    const int32_t rank = call->operands[0]->type.rank;
    int64_t axis;
    memset(out_axes, 0, sizeof(*out_axes));
    if (!agate_call_axis(call, agate_attr_int(call, "axis", -1), rank, &axis))
        return false;
    for (; axis < rank; axis++)
        out_axes->v[out_axes->count++] = axis;
    return true;
}

void agate_import_layer_norm(agate_call *call)
{
    agate_value *x = call->operands[0], *bias = agate_call_operand(call, 2);
    const agate_dtype dtype = x->type.dtype, stash = stash_dtype(call);
    agate_ints axes;
    if (!trailing_axes(call, &axes))
        return;
    const double epsilon = agate_attr_float(call, "epsilon", 1e-5);
    const moments m = normalize(call, agate_lower_cast(call, x, stash), &axes, epsilon, true);
    agate_value *value = agate_lower_cast(call, m.result, dtype);
    value = agate_lower2(call, AGATE_OP_mul, value, call->operands[1]);
    call->results[0] = bias ? agate_lower2(call, AGATE_OP_add, value, bias) : value;
    /* They are of the type asked for even where a double was not narrowed. */
    const agate_dtype kept = (agate_dtype)agate_attr_int(call, "stash_type", AGATE_F32);
    if (agate_call_wants(call, 1))
        call->results[1] = agate_lower_cast(call, m.mean, kept);
    if (agate_call_wants(call, 2))
        call->results[2] = agate_lower_cast(call, m.scale, kept);
}

void agate_import_rms_norm(agate_call *call)
{
    agate_value *x = call->operands[0];
    const agate_dtype dtype = x->type.dtype, stash = stash_dtype(call);
    agate_ints axes;
    if (!trailing_axes(call, &axes))
        return;
    const double epsilon = agate_attr_float(call, "epsilon", 1e-5);
    const moments m = normalize(call, agate_lower_cast(call, x, stash), &axes, epsilon, false);
    call->results[0] =
        agate_lower2(call, AGATE_OP_mul, agate_lower_cast(call, m.result, dtype), call->operands[1]);
}

/* The operator's definition adds its epsilon to the standard deviation, not to the variance. */
void agate_import_mvn(agate_call *call)
{
    agate_value *x = call->operands[0];
    agate_ints axes;
    if (!agate_call_axes(call, AGATE_ONNX_OPSET_LAST + 1, 1, x->type.rank, &axes)) {
        if (call->faulty || x->type.rank != 4)
            return agate_call_invalid(call, "without \"axes\" its input must have 4 dimensions");
        axes = (agate_ints){.count = 3, .v = {0, 2, 3}};
    }
    const agate_dtype dtype = x->type.dtype;
    x = agate_lower_widened(call, x);
    agate_value *mean = x ? agate_lower_reduce(call, AGATE_OP_reduce_mean, x, &axes, true) : NULL;
    agate_value *deviation = agate_lower2(call, AGATE_OP_sub, x, mean);
    agate_value *square = agate_lower2(call, AGATE_OP_mul, deviation, deviation);
    agate_value *variance =
        square ? agate_lower_reduce(call, AGATE_OP_reduce_mean, square, &axes, true) : NULL;
    agate_value *spread =
        agate_lower_with(call, AGATE_OP_add, agate_lower1(call, AGATE_OP_sqrt, variance), 1e-9);
    call->results[0] = agate_lower_cast(call, agate_lower2(call, AGATE_OP_div, deviation, spread), dtype);
}

/* x / (bias + alpha * mean)^beta, where the mean is that of x*x over `size` neighbouring channels, missing
 * ones counted as 0: an average pool along the channels, which become a spatial dimension for it. */
void agate_import_lrn(agate_call *call)
{
    const int64_t size = agate_attr_int(call, "size", 0);
    agate_value *x = call->operands[0];
    agate_dim flat[4], inner;

    if (size < 1 || size > INT16_MAX || x->type.rank < 2)
        agate_call_invalid(call,
                           "attribute \"size\" is %" PRId64
                           " and its input has %d dimensions; 1 to %d and 2 or more "
                           "are needed",
                           size, x->type.rank, INT16_MAX);
    if (call->faulty || !agate_call_product(call, x->type.dims, 2, x->type.rank, &inner))
        return;
    flat[0] = x->type.dims[0], flat[1] = agate_dim_fixed(1), flat[2] = x->type.dims[1], flat[3] = inner;

    const agate_dtype dtype = x->type.dtype;
    x = agate_lower_widened(call, x);
    if (!x)
        return;
    agate_value *square = agate_lower_reshape(call, agate_lower2(call, AGATE_OP_mul, x, x), 4, flat);
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_pool, &attrs);
    attrs.pool.kernel = (agate_ints){.count = 2, .v = {size, 1}};
    attrs.pool.pads = (agate_ints){.count = 4, .v = {(size - 1) / 2, 0, size - 1 - (size - 1) / 2, 0}};
    attrs.pool.count_pads = true;
    agate_value *mean = agate_lower(call, AGATE_OP_avg_pool, &attrs, &square, 1);
    mean = agate_lower_reshape(call, mean, x->type.rank, x->type.dims);
    agate_value *base = agate_lower_with(call, AGATE_OP_mul, mean, agate_attr_float(call, "alpha", 1e-4));
    base = agate_lower_with(call, AGATE_OP_add, base, agate_attr_float(call, "bias", 1));
    agate_value *divisor = agate_lower_with(call, AGATE_OP_pow, base, agate_attr_float(call, "beta", 0.75));
    call->results[0] = agate_lower_cast(call, agate_lower2(call, AGATE_OP_div, x, divisor), dtype);
}
