/* op_shape.c: operators that compute or change shapes, and constants. */
#include "frontend/importer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* ---- shared by handlers ----------------------------------------------------------------------------------
 */

bool agate_call_axis(agate_call *call, int64_t axis, int32_t rank, int64_t *out_axis)
{
    if (axis < -rank || axis >= rank) {
        agate_call_invalid(call, "axis %" PRId64 " is outside the %d dimensions of its input", axis, rank);
        return false;
    }
    *out_axis = axis < 0 ? axis + rank : axis;
    return !call->faulty;
}

bool agate_call_form_fits(agate_call *call, const char *name, int32_t index, int64_t since)
{
    if (call->opset >= since && agate_attr_has(call, name))
        agate_call_invalid(call, "since opset %" PRId64 " \"%s\" is an input, not an attribute", since, name);
    else if (call->opset < since && agate_call_operand(call, index))
        agate_call_invalid(call, "before opset %" PRId64 " \"%s\" is an attribute, not an input", since,
                           name);
    return !call->faulty;
}

/* Reads "axes" as they stand. */
static bool read_axes(agate_call *call, int64_t since, int32_t index, agate_ints *out_axes)
{
    memset(out_axes, 0, sizeof(*out_axes));
    if (!agate_call_form_fits(call, "axes", index, since))
        return false;
    if (call->opset < since)
        return agate_attr_ints(call, "axes", out_axes);
    return agate_call_operand(call, index) && agate_call_ints(call, index, "axes", out_axes);
}

bool agate_call_axes(agate_call *call, int64_t since, int32_t index, int32_t rank, agate_ints *out_axes)
{
    agate_ints listed;
    bool seen[AGATE_MAX_RANK] = {false};

    memset(out_axes, 0, sizeof(*out_axes));
    if (!read_axes(call, since, index, &listed))
        return false;
    for (int32_t i = 0; i < listed.count; i++) {
        int64_t axis;
        if (!agate_call_axis(call, listed.v[i], rank, &axis))
            return false;
        if (seen[axis]) {
            agate_call_invalid(call, "\"axes\" names dimension %" PRId64 " twice", axis);
            return false;
        }
        seen[axis] = true;
    }
    for (int32_t axis = 0; axis < rank; axis++)
        if (seen[axis])
            out_axes->v[out_axes->count++] = axis;
    return out_axes->count > 0;
}

bool agate_call_product(agate_call *call, const agate_dim *dims, int32_t first, int32_t last,
                        agate_dim *out_product)
{
    agate_dim product = agate_dim_fixed(1);
    for (int32_t i = first; i < last; i++) {
        if (!agate_dim_mul(product, dims[i], &product)) {
            agate_call_unsupported(call, "its dimensions %d to %d are too large, or follow the batch twice",
                                   first, last - 1);
            return false;
        }
    }
    *out_product = product;
    return true;
}

/* ---- reading shapes --------------------------------------------------------------------------------------
 */

void agate_import_identity(agate_call *call)
{
    call->results[0] = call->operands[0];
}

void agate_import_shape(agate_call *call)
{
    const agate_type *type = &call->operands[0]->type;
    int64_t start = agate_attr_int(call, "start", 0), end = agate_attr_int(call, "end", type->rank);
    /* Out of range is clamped, not refused. */
    start = start < 0 ? agate_max(start + type->rank, 0) : agate_min(start, type->rank);
    end = end < 0 ? agate_max(end + type->rank, 0) : agate_min(end, type->rank);
    call->results[0] = agate_lower_dims(call, 1, &type->dims[start], (int32_t)agate_max(end - start, 0));
}

void agate_import_size(agate_call *call)
{
    const agate_type *type = &call->operands[0]->type;
    agate_dim count;
    if (agate_call_product(call, type->dims, 0, type->rank, &count))
        call->results[0] = agate_lower_dims(call, 0, &count, 1);
}

/* ---- changing shapes -------------------------------------------------------------------------------------
 */

/* The number that -1 stands for: what the other dimensions leave of the elements. */
static void fill_in_rest(agate_call *call, const agate_type *from, agate_dims *shape, int32_t rest)
{
    agate_dim count, known = agate_dim_fixed(1);
    if (!agate_call_product(call, from->dims, 0, from->rank, &count))
        return;
    shape->v[rest] = agate_dim_fixed(1);
    if (!agate_call_product(call, shape->v, 0, shape->count, &known))
        return;
    if (agate_dim_is(count, 0) && agate_dim_is(known, 0)) /* anything fits; nothing is meant */
        agate_call_invalid(call, "-1 in its shape is undetermined, as there are no elements");
    else if (!agate_dim_div(count, known, &shape->v[rest])) {
        agate_text text = {0};
        agate_type_print(from, &text);
        agate_text_add(&text, " has not a whole multiple of ");
        agate_dim_print(known, &text);
        agate_call_invalid(call, "-1 in its shape is no whole number: its input %s elements",
                           agate_text_c(&text));
        agate_text_deinit(&text);
    }
}

/* Says more than that the counts differ where a batch size was fixed at export. */
static bool counts_fit(agate_call *call, const agate_type *from, const agate_dims *shape)
{
    agate_dim before, after;
    if (!agate_call_product(call, from->dims, 0, from->rank, &before) ||
        !agate_call_product(call, shape->v, 0, shape->count, &after))
        return false;
    if (agate_dim_equal(before, after))
        return true;
    agate_type type = agate_type_make(from->dtype, shape->count, shape->v);
    agate_text text = {0};
    agate_type_print(from, &text);
    agate_text_add(&text, " does not have as many elements as ");
    agate_type_print(&type, &text);
    if (!agate_dim_is_fixed(before) && agate_dim_is_fixed(after))
        agate_text_add(&text,
                       "; the shape holds a batch size fixed at export: fix the batch too (--dim %s=...), or "
                       "export with a free batch throughout",
                       call->importer->batch_name ? call->importer->batch_name : "NAME");
    agate_call_invalid(call, "%s", agate_text_c(&text));
    agate_text_deinit(&text);
    return false;
}

void agate_import_reshape(agate_call *call)
{
    const bool allow_zero = agate_attr_bool(call, "allowzero", false);
    agate_value *x = call->operands[0];
    agate_dims shape;
    int32_t rest = -1;

    if (!agate_call_dims(call, 1, "shape", AGATE_MAX_RANK, &shape))
        return;
    for (int32_t i = 0; i < shape.count && !call->faulty; i++) {
        if (agate_dim_is(shape.v[i], 0) && !allow_zero) {
            if (i >= x->type.rank)
                agate_call_invalid(call,
                                   "element %d of its shape, 0, copies a dimension that its input lacks", i);
            else
                shape.v[i] = x->type.dims[i];
        } else if (agate_dim_is(shape.v[i], -1)) {
            if (rest >= 0)
                agate_call_invalid(call, "its shape holds -1 twice");
            rest = i;
        } else if (shape.v[i].offset < 0 || shape.v[i].scale < 0) {
            agate_call_invalid(call, "element %d of its shape is negative", i);
        }
    }
    if (rest >= 0 && !call->faulty)
        fill_in_rest(call, &x->type, &shape, rest);
    if (!call->faulty && counts_fit(call, &x->type, &shape))
        call->results[0] = agate_lower_reshape(call, x, shape.count, shape.v);
}

void agate_import_flatten(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    int64_t axis = agate_attr_int(call, "axis", 1);
    agate_dim flat[2];

    if (axis < -rank || axis > rank)
        return agate_call_invalid(call, "axis %" PRId64 " is outside the %d dimensions of its input", axis,
                                  rank);
    axis = axis < 0 ? axis + rank : axis;
    if (agate_call_product(call, x->type.dims, 0, (int32_t)axis, &flat[0]) &&
        agate_call_product(call, x->type.dims, (int32_t)axis, rank, &flat[1]))
        call->results[0] = agate_lower_reshape(call, x, 2, flat);
}

void agate_import_squeeze(agate_call *call)
{
    agate_value *x = call->operands[0];
    agate_dim dims[AGATE_MAX_RANK];
    agate_ints axes;
    int32_t rank = 0, next = 0;

    const bool listed = agate_call_axes(call, 13, 1, x->type.rank, &axes);
    for (int32_t i = 0; i < x->type.rank; i++) {
        const bool named = next < axes.count && axes.v[next] == i, one = agate_dim_is(x->type.dims[i], 1);
        next += named;
        if (named && !one)
            agate_call_invalid(call, "dimension %d of its input is not 1 and cannot be taken out", i);
        if (listed ? !named : !one)
            dims[rank++] = x->type.dims[i];
    }
    if (!call->faulty)
        call->results[0] = agate_lower_reshape(call, x, rank, dims);
}

/* Its axes count in the result, whose rank they decide. */
void agate_import_unsqueeze(agate_call *call)
{
    agate_value *x = call->operands[0];
    agate_dim dims[AGATE_MAX_RANK];
    agate_ints axes;
    int32_t next = 0, from = 0;

    if (!read_axes(call, 13, 1, &axes)) {
        if (!call->faulty)
            agate_call_invalid(call, "it has no axes");
        return;
    }
    const int32_t rank = x->type.rank + axes.count;
    if (rank > AGATE_MAX_RANK)
        return agate_call_unsupported(call, "its result would have %d dimensions; at most %d are supported",
                                      rank, AGATE_MAX_RANK);
    if (axes.count && !agate_call_axes(call, 13, 1, rank, &axes))
        return;
    for (int32_t i = 0; i < rank; i++) {
        const bool named = next < axes.count && axes.v[next] == i;
        next += named;
        dims[i] = named ? agate_dim_fixed(1) : x->type.dims[from++];
    }
    call->results[0] = agate_lower_reshape(call, x, rank, dims);
}

/* The shape that `type` and `shape` broadcast to. */
static bool broadcast_shape(agate_call *call, const agate_type *type, const agate_dims *shape,
                            agate_type *out_type)
{
    for (int32_t i = 0; i < shape->count; i++)
        if (shape->v[i].offset < 0 || shape->v[i].scale < 0)
            agate_call_invalid(call, "element %d of its shape is negative", i);
    const agate_type wanted = agate_type_make(type->dtype, shape->count, shape->v);
    if (!call->faulty && !agate_broadcast(type, &wanted, out_type)) {
        agate_text text = {0};
        agate_type_print(type, &text);
        agate_text_add(&text, " and ");
        agate_type_print(&wanted, &text);
        agate_call_invalid(call, "its input and shape do not broadcast: %s", agate_text_c(&text));
        agate_text_deinit(&text);
    }
    return !call->faulty;
}

void agate_import_expand(agate_call *call)
{
    agate_value *x = call->operands[0];
    agate_type type;
    agate_dims shape;
    if (agate_call_dims(call, 1, "shape", AGATE_MAX_RANK, &shape) &&
        broadcast_shape(call, &x->type, &shape, &type))
        call->results[0] = agate_lower_expand(call, x, type.rank, type.dims);
}

/* ---- constants -------------------------------------------------------------------------------------------
 */

static void constant_tensor(agate_call *call, const Onnx__AttributeProto *value)
{
    agate_importer *importer = call->importer;
    agate_type type;
    agate_data *data;
    agate_status status =
        value->t ? agate_tensor_read(&importer->files, value->t, importer->limit_bytes, false, &type, &data)
        : value->sparse_tensor ? agate_tensor_read_sparse(&importer->files, value->sparse_tensor,
                                                          importer->limit_bytes, &type, &data)
                               : agate_error_make(AGATE_CODE_INVALID_MODEL, "it holds no tensor");
    if (!status) {
        call->results[0] = agate_lower_data(call, &type, data);
        return;
    }
    agate_call_fault(call, agate_status_code(status), "in its attribute \"%s\", %s", value->name,
                     agate_status_message(status));
    agate_status_release(status);
}

/* A list in an attribute, as a vector; `rank` 0: its one element. */
static void constant_numbers(agate_call *call, agate_dtype dtype, int32_t rank, const void *numbers,
                             size_t count)
{
    if (count > INT32_MAX / 8)
        return agate_call_unsupported(call, "its list of %zu numbers is too long", count);
    const agate_dim size = agate_dim_fixed((int64_t)count);
    const agate_type type = agate_type_make(dtype, rank, &size);
    agate_data *data = agate_data_create(count * agate_dtype_size(dtype));
    if (data && count)
        memcpy((void *)data->bytes, numbers, count * agate_dtype_size(dtype));
    call->results[0] = agate_lower_data(call, &type, data);
}

void agate_import_constant(agate_call *call)
{
    const Onnx__AttributeProto *value = NULL;
    if (call->node->n_attribute == 1)
        value = agate_attr_find(call, call->node->attribute[0]->name);
    const char *name = value ? call->node->attribute[0]->name : "";

    if (!value)
        agate_call_invalid(call, "it must have exactly one attribute, its value");
    else if (strcmp(name, "value") == 0 || strcmp(name, "sparse_value") == 0)
        constant_tensor(call, value);
    else if (strcmp(name, "value_float") == 0)
        constant_numbers(call, AGATE_F32, 0, &value->f, 1);
    else if (strcmp(name, "value_floats") == 0)
        constant_numbers(call, AGATE_F32, 1, value->floats, value->n_floats);
    else if (strcmp(name, "value_int") == 0)
        constant_numbers(call, AGATE_I64, 0, &value->i, 1);
    else if (strcmp(name, "value_ints") == 0)
        constant_numbers(call, AGATE_I64, 1, value->ints, value->n_ints);
    else
        agate_call_unsupported(call, "strings are not supported yet");
}

void agate_import_constant_of_shape(agate_call *call)
{
    const Onnx__AttributeProto *value = agate_attr_find(call, "value");
    agate_dims shape;
    agate_type type;
    if (!agate_call_dims(call, 0, "shape", AGATE_MAX_RANK, &shape))
        return;
    if (value)
        constant_tensor(call, value);
    else
        call->results[0] = agate_lower_scalar(call, AGATE_F32, 0);
    agate_value *fill = call->results[0];
    call->results[0] = NULL;
    if (!fill)
        return;
    agate_dim count;
    if (!agate_type_count(&fill->type, &count) || !agate_dim_is(count, 1))
        return agate_call_invalid(call, "its attribute \"value\" must hold one element");
    fill = agate_lower_reshape(call, fill, 0, NULL);
    if (fill && broadcast_shape(call, &fill->type, &shape, &type))
        call->results[0] = agate_lower_expand(call, fill, type.rank, type.dims);
}

/* Three scalars of one element type. */
static bool range_bounds(agate_call *call, double *out_bounds)
{
    static const char *const names[] = {"start", "limit", "delta"};
    for (int32_t i = 0; i < 3; i++) {
        if (!agate_call_number(call, i, names[i], &out_bounds[i]))
            return false;
        if (call->operands[i]->type.dtype != call->operands[0]->type.dtype)
            agate_call_invalid(call, "its inputs are of different element types");
    }
    return !call->faulty;
}

/* start, start + delta, ... before limit */
void agate_import_range(agate_call *call)
{
    const agate_dtype dtype = call->operands[0]->type.dtype;
    double in[3];
    if (!range_bounds(call, in))
        return;
    const double count = in[2] != 0 ? fmax(ceil((in[1] - in[0]) / in[2]), 0) : NAN;
    if (!(count * (double)sizeof(double) <= (double)call->importer->limit_bytes) || count > INT32_MAX)
        return agate_call_invalid(call, "it counts from %g to %g by %g", in[0], in[1], in[2]);
    const agate_dim size = agate_dim_fixed((int64_t)count);
    const agate_type type = agate_type_make(dtype, 1, &size);
    double *numbers = malloc(sizeof(double) * (size_t)size.offset + 1);
    for (int64_t i = 0; numbers && i < size.offset; i++)
        numbers[i] = in[0] + (double)i * in[2];
    call->results[0] =
        agate_lower_data(call, &type, numbers ? agate_import_convert(&type, AGATE_F64, numbers) : NULL);
    free(numbers);
}

/* Ones on diagonal k of a matrix of its input's shape. */
void agate_import_eye_like(agate_call *call)
{
    const agate_type *like = &call->operands[0]->type;
    const int64_t k = agate_attr_int(call, "k", 0), to = agate_attr_int(call, "dtype", like->dtype);
    const agate_dtype dtype = agate_onnx_dtype(to >= 0 && to < 64 ? (int32_t)to : -1);

    if (like->rank != 2 || !agate_type_is_fixed(like) || dtype == AGATE_DTYPE_NONE)
        return agate_call_unsupported(call, "a matrix of fixed size and a supported element type are needed");
    const int64_t rows = like->dims[0].offset, columns = like->dims[1].offset;
    const agate_type type = agate_type_make(dtype, 2, like->dims);
    uint8_t *bits = calloc((size_t)(rows * columns) + 1, 1); /* its input is as large, and within the limit */
    /* The diagonal enters at the top, or for k below 0 further down. */
    int64_t row = k >= 0 ? 0 : k > -rows ? -k : rows;
    for (; bits && row < rows && k < columns - row; row++)
        bits[row * columns + row + k] = 1;
    call->results[0] =
        agate_lower_data(call, &type, bits ? agate_import_convert(&type, AGATE_U8, bits) : NULL);
    free(bits);
}

/* ---- element types ---------------------------------------------------------------------------------------
 */

void agate_import_cast(agate_call *call)
{
    const bool like = call->operand_count > 1;
    const int64_t to = like ? call->operands[1]->type.dtype : agate_attr_int(call, "to", 0);
    const int32_t number = to >= 0 && to < 64 ? (int32_t)to : -1;
    if (agate_onnx_dtype(number) == AGATE_DTYPE_NONE)
        return agate_call_unsupported(call, "elements of type %s are not supported yet",
                                      number == 0 ? "(none given)" : agate_onnx_dtype_name(number));
    call->results[0] = agate_lower_cast(call, call->operands[0], agate_onnx_dtype(number));
}
