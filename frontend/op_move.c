/* op_move.c: operators that only move elements. */
#include "frontend/importer.h"

#include <inttypes.h>

void agate_import_transpose(agate_call *call)
{
    const agate_type *type = &call->operands[0]->type;
    agate_ints perm;
    if (agate_attr_ints(call, "perm", &perm)) {
        if (perm.count != type->rank)
            return agate_call_invalid(call, "attribute \"perm\" has %d numbers for %d dimensions", perm.count,
                                      type->rank);
    } else {
        for (int32_t i = 0; i < type->rank; i++)
            perm.v[i] = type->rank - 1 - i;
    }
    if (!call->faulty)
        call->results[0] = agate_lower_transpose(call, call->operands[0], perm.v);
}

/* A core op along one axis. */
static agate_value *emit_along(agate_call *call, agate_op op, int64_t axis, agate_value *const *operands,
                               int32_t operand_count)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = axis;
    return agate_lower(call, op, &attrs, operands, operand_count);
}

void agate_import_concat(agate_call *call)
{
    int64_t axis;
    if (!agate_attr_has(call, "axis"))
        return agate_call_invalid(call, "it has no attribute \"axis\"");
    if (agate_call_axis(call, agate_attr_int(call, "axis", 0), call->operands[0]->type.rank, &axis))
        call->results[0] = call->operand_count == 1
                               ? call->operands[0]
                               : emit_along(call, AGATE_OP_concat, axis, call->operands, call->operand_count);
}

void agate_import_gather(agate_call *call)
{
    int64_t axis;
    if (agate_call_axis(call, agate_attr_int(call, "axis", 0), call->operands[0]->type.rank, &axis))
        call->results[0] = emit_along(call, AGATE_OP_gather, axis, call->operands, 2);
}

/* ---- slice -----------------------------------------------------------------------------------------------
 */

/* The whole of a value, to be narrowed axis by axis. */
static agate_attrs whole(const agate_type *type)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = type->rank;
    for (int32_t i = 0; i < type->rank; i++) {
        attrs.slice.steps.v[i] = 1;
        attrs.slice.shape.v[i] = type->dims[i];
    }
    return attrs;
}

static agate_value *emit_slice(agate_call *call, agate_value *x, const agate_attrs *attrs)
{
    bool all = true;
    for (int32_t i = 0; i < x->type.rank; i++)
        all =
            all && attrs->slice.steps.v[i] == 1 && agate_dim_equal(attrs->slice.shape.v[i], x->type.dims[i]);
    return all ? x : agate_lower(call, AGATE_OP_slice, attrs, &x, 1);
}

/* Start or end of a slice with ONNX's rules: negative counts from the back, outside is clamped to [least,
 * most]. */
static int64_t clamp_index(int64_t index, int64_t size, int64_t least, int64_t most)
{
    if (index < 0 && __builtin_add_overflow(index, size, &index))
        return least;
    return agate_min(agate_max(index, least), most);
}

/* Narrows axis `axis` of a fixed size. */
static void slice_fixed(agate_attrs_slice *slice, int64_t axis, int64_t size, int64_t start, int64_t end,
                        int64_t step)
{
    const int64_t least = step > 0 ? 0 : -1, most = step > 0 ? size : size - 1;
    start = clamp_index(start, size, 0, most);
    end = clamp_index(end, size, least, most);
    const int64_t span = step > 0 ? end - start : start - end;
    /* -INT64_MIN does not exist; a step that long takes one element all the same. */
    const int64_t stride = step > 0 ? step : step == INT64_MIN ? INT64_MAX : -step;
    const int64_t count = span > 0 && size > 0 ? agate_ceil_div(span, stride) : 0;
    slice->starts.v[axis] = count ? start : 0;
    slice->steps.v[axis] = count > 1 ? step : 1;
    slice->shape.v[axis] = agate_dim_fixed(count);
}

/* Does a slice leave an axis that follows the batch as it is? Its end may be the size itself, or beyond any
 * size. */
static bool takes_all(agate_dim size, agate_dim start, agate_dim end, int64_t step)
{
    return agate_dim_is(start, 0) && step == 1 &&
           (agate_dim_equal(end, size) || (agate_dim_is_fixed(end) && end.offset >= INT32_MAX));
}

/* One range per entry of `axes`. */
static void slice_axes(agate_call *call, const agate_dims *starts, const agate_dims *ends,
                       const agate_ints *axes, const agate_ints *steps)
{
    agate_value *x = call->operands[0];
    agate_attrs attrs = whole(&x->type);
    bool seen[AGATE_MAX_RANK] = {false};

    if (starts->count != ends->count || axes->count != starts->count || steps->count != starts->count)
        return agate_call_invalid(
            call, "its starts, ends, axes and steps are %d, %d, %d and %d long; they must agree",
            starts->count, ends->count, axes->count, steps->count);
    for (int32_t i = 0; i < axes->count; i++) {
        int64_t axis;
        if (!agate_call_axis(call, axes->v[i], x->type.rank, &axis))
            return;
        const agate_dim size = x->type.dims[axis];
        if (seen[axis])
            return agate_call_invalid(call, "it slices dimension %" PRId64 " twice", axis);
        if (steps->v[i] == 0)
            return agate_call_invalid(call, "its step along dimension %" PRId64 " is 0", axis);
        seen[axis] = true;
        if (agate_dim_is_fixed(size) && agate_dim_is_fixed(starts->v[i]) && agate_dim_is_fixed(ends->v[i]))
            slice_fixed(&attrs.slice, axis, size.offset, starts->v[i].offset, ends->v[i].offset, steps->v[i]);
        else if (!takes_all(size, starts->v[i], ends->v[i], steps->v[i]))
            return agate_call_unsupported(
                call, "it takes a part of dimension %" PRId64 " that depends on the batch", axis);
    }
    call->results[0] = emit_slice(call, x, &attrs);
}

static void count_up(int32_t count, agate_ints *out_ints)
{
    out_ints->count = count;
    for (int32_t i = 0; i < count; i++)
        out_ints->v[i] = i;
}

static void repeat(int32_t count, int64_t value, agate_ints *out_ints)
{
    out_ints->count = count;
    for (int32_t i = 0; i < count; i++)
        out_ints->v[i] = value;
}

static bool attr_dims(agate_call *call, const char *name, agate_dims *out_dims)
{
    agate_ints ints;
    const bool given = agate_attr_ints(call, name, &ints);
    if (!given || ints.count > AGATE_MAX_RANK) {
        agate_call_invalid(call, given ? "attribute \"%s\" is too long" : "it has no attribute \"%s\"", name);
        return false;
    }
    out_dims->count = ints.count;
    for (int32_t i = 0; i < ints.count; i++)
        out_dims->v[i] = agate_dim_fixed(ints.v[i]);
    return true;
}

void agate_import_slice(agate_call *call)
{
    agate_dims starts, ends;
    agate_ints axes, steps;

    if (call->opset < 10) {
        if (!attr_dims(call, "starts", &starts) || !attr_dims(call, "ends", &ends))
            return;
        if (!agate_attr_ints(call, "axes", &axes))
            count_up(starts.count, &axes);
        repeat(starts.count, 1, &steps);
        return slice_axes(call, &starts, &ends, &axes, &steps);
    }
    if (!agate_call_dims(call, 1, "starts", AGATE_MAX_RANK, &starts) ||
        !agate_call_dims(call, 2, "ends", AGATE_MAX_RANK, &ends))
        return;
    if (!agate_call_operand(call, 3))
        count_up(starts.count, &axes);
    else if (!agate_call_ints(call, 3, "axes", &axes))
        return;
    if (!agate_call_operand(call, 4))
        repeat(starts.count, 1, &steps);
    else if (!agate_call_ints(call, 4, "steps", &steps))
        return;
    slice_axes(call, &starts, &ends, &axes, &steps);
}

/* ---- split -----------------------------------------------------------------------------------------------
 */

/* Sizes of the parts as listed: in attribute "split", or since opset 13 an input. There may be more than a
 * list of attributes holds, so they are read one by one. False where none are listed. */
static bool listed_sizes(agate_call *call, int64_t *out_sizes)
{
    const int32_t parts = call->result_count;
    if (!agate_call_form_fits(call, "split", 1, 13))
        return false;
    if (call->opset < 13) {
        const Onnx__AttributeProto *split = agate_attr_find(call, "split");
        if (!split)
            return false;
        if (split->n_ints != (size_t)parts)
            agate_call_invalid(call, "its attribute \"split\" has %zu sizes for %d outputs", split->n_ints,
                               parts);
        for (int32_t i = 0; i < parts && !call->faulty; i++)
            out_sizes[i] = split->ints[i];
        return true;
    }
    const agate_value *split = agate_call_operand(call, 1);
    if (!split)
        return false;
    const agate_data *data = agate_value_data(split);
    if (!data || agate_is_symbolic(split) || split->type.dtype != AGATE_I64)
        agate_call_unsupported(call, "its input 1 (split) must be known at import");
    else if (split->type.rank != 1 || split->type.dims[0].offset != parts)
        agate_call_invalid(call, "its input 1 (split) does not have %d sizes, one for each output", parts);
    else
        agate_data_read(data, 0, (size_t)parts * sizeof(int64_t), out_sizes);
    return true;
}

/* Equal parts, save the last since opset 18. */
static void equal_sizes(agate_call *call, int64_t size, int64_t *out_sizes)
{
    const int32_t parts = call->result_count;
    const bool uneven = call->opset >= 18;
    if (uneven && agate_attr_int(call, "num_outputs", parts) != parts)
        agate_call_invalid(call, "its attribute \"num_outputs\" is not its number of outputs, %d", parts);
    if (!uneven && size % parts)
        agate_call_invalid(call, "%" PRId64 " elements do not split into %d equal parts", size, parts);
    const int64_t each = agate_ceil_div(size, parts);
    for (int32_t i = 0; i < parts; i++) {
        out_sizes[i] = agate_min(each, size);
        size -= out_sizes[i];
    }
}

void agate_import_split(agate_call *call)
{
    agate_value *x = call->operands[0];
    int64_t *sizes = AGATE_NEW_N(call->importer->arena, int64_t, call->result_count);
    int64_t axis, at = 0, left;

    if (!agate_call_axis(call, agate_attr_int(call, "axis", 0), x->type.rank, &axis) ||
        call->result_count == 0)
        return;
    if (!agate_dim_is_fixed(x->type.dims[axis]))
        return agate_call_unsupported(call, "it splits the batch");
    left = x->type.dims[axis].offset;
    if (!listed_sizes(call, sizes) && !call->faulty)
        equal_sizes(call, left, sizes);
    for (int32_t i = 0; i < call->result_count && !call->faulty; i++) {
        if (sizes[i] < 0 || sizes[i] > left)
            return agate_call_invalid(call,
                                      "its parts do not fit the %" PRId64 " elements of dimension %" PRId64,
                                      x->type.dims[axis].offset, axis);
        agate_attrs attrs = whole(&x->type);
        attrs.slice.starts.v[axis] = sizes[i] ? at : 0;
        attrs.slice.shape.v[axis] = agate_dim_fixed(sizes[i]);
        if (agate_call_wants(call, i))
            call->results[i] = emit_slice(call, x, &attrs);
        at += sizes[i];
        left -= sizes[i];
    }
    if (left && !call->faulty)
        agate_call_invalid(call, "its parts leave %" PRId64 " elements of dimension %" PRId64 " over", left,
                           axis);
}

/* ---- pad -------------------------------------------------------------------------------------------------
 */

/* Reads begins then ends, for all axes or the listed ones. */
static bool read_pads(agate_call *call, agate_attrs_pad *pad)
{
    const int32_t rank = call->operands[0]->type.rank;
    agate_ints pads, axes;

    if (call->opset < 11 ? !agate_attr_ints(call, "pads", &pads) : !agate_call_ints(call, 1, "pads", &pads)) {
        if (!call->faulty)
            agate_call_invalid(call, "it has no attribute \"pads\"");
        return false;
    }
    if (!agate_call_operand(call, 3))
        count_up(rank, &axes);
    else if (!agate_call_ints(call, 3, "axes", &axes))
        return false;
    if (pads.count != 2 * axes.count) {
        agate_call_invalid(call, "it has %d pads for %d dimensions; two for each are needed", pads.count,
                           axes.count);
        return false;
    }
    pad->begins.count = pad->ends.count = rank;
    for (int32_t i = 0; i < axes.count; i++) {
        int64_t axis;
        if (!agate_call_axis(call, axes.v[i], rank, &axis))
            return false;
        pad->begins.v[axis] = pads.v[i];
        pad->ends.v[axis] = pads.v[axes.count + i];
    }
    return true;
}

void agate_import_pad(agate_call *call)
{
    const char *mode = agate_attr_string(call, "mode", "constant");
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_pad, &attrs);
    if (!agate_padding_parse(mode, &attrs.pad.mode))
        return agate_call_unsupported(call, "its mode \"%s\" is none of constant, reflect, edge, wrap", mode);
    if (!read_pads(call, &attrs.pad))
        return;
    attrs.pad.value = agate_attr_float(call, "value", 0);
    if (call->opset >= 11 && agate_call_operand(call, 2) &&
        !agate_call_number(call, 2, "constant_value", &attrs.pad.value))
        return;
    call->results[0] = agate_lower(call, AGATE_OP_pad, &attrs, call->operands, 1);
}

/* ---- repetition ------------------------------------------------------------------------------------------
 */

/* Each repeated axis is cut out as [before, 1, axis, after], expanded and put back. With nothing before it
 * the repetition comes first, where it may follow the batch. */
static agate_value *repeat_axis(agate_call *call, agate_value *x, int32_t axis, agate_dim times)
{
    agate_dim dims[AGATE_MAX_RANK], parts[4];
    if (!x)
        return NULL;
    const int32_t rank = x->type.rank;
    memcpy(dims, x->type.dims, sizeof(dims));
    if (!agate_call_product(call, dims, 0, axis, &parts[0]) ||
        !agate_call_product(call, dims, axis + 1, rank, &parts[3]))
        return NULL;
    const int32_t first = agate_dim_is(parts[0], 1) ? 1 : 0;
    parts[1] = agate_dim_fixed(1);
    parts[2] = dims[axis];
    x = agate_lower_reshape(call, x, 4 - first, parts + first);
    parts[1] = times;
    x = agate_lower_expand(call, x, 4 - first, parts + first);
    if (!agate_dim_mul(dims[axis], times, &dims[axis]))
        agate_call_unsupported(call, "its repeats are too large, or follow the batch twice");
    return agate_lower_reshape(call, x, rank, dims);
}

void agate_import_tile(agate_call *call)
{
    agate_value *x = call->operands[0];
    agate_dims repeats;
    if (!agate_call_dims(call, 1, "repeats", AGATE_MAX_RANK, &repeats))
        return;
    if (repeats.count != x->type.rank)
        return agate_call_invalid(call, "it has %d repeats for %d dimensions", repeats.count, x->type.rank);
    for (int32_t i = 0; i < repeats.count; i++) {
        if (repeats.v[i].offset < 0 || repeats.v[i].scale < 0)
            return agate_call_invalid(call, "its repeats along dimension %d are negative", i);
        if (!agate_dim_is(repeats.v[i], 1))
            x = repeat_axis(call, x, i, repeats.v[i]);
    }
    call->results[0] = x;
}

/* ---- depth and space -------------------------------------------------------------------------------------
 */

/* [N, C, H, W] with a block size that divides what it must. */
static bool read_block(agate_call *call, int64_t *out_block)
{
    const agate_type *type = &call->operands[0]->type;
    const int64_t block = agate_attr_int(call, "blocksize", 0);
    if (type->rank != 4 || !agate_dim_is_fixed(type->dims[1]) || !agate_dim_is_fixed(type->dims[2]) ||
        !agate_dim_is_fixed(type->dims[3]))
        agate_call_unsupported(call, "its input must be [N, C, H, W] with fixed C, H and W");
    else if (block < 1 || block > INT16_MAX)
        agate_call_invalid(call, "its attribute \"blocksize\" is %" PRId64, block);
    *out_block = block;
    return !call->faulty;
}

static agate_value *rearrange(agate_call *call, const int64_t *cut, const int64_t *perm,
                              const int64_t *result)
{
    agate_dim dims[6] = {call->operands[0]->type.dims[0]};
    for (int i = 1; i < 6; i++)
        dims[i] = agate_dim_fixed(cut[i]);
    agate_value *x = agate_lower_transpose(call, agate_lower_reshape(call, call->operands[0], 6, dims), perm);
    for (int i = 1; i < 4; i++)
        dims[i] = agate_dim_fixed(result[i]);
    return agate_lower_reshape(call, x, 4, dims);
}

void agate_import_depth_to_space(agate_call *call)
{
    static const int64_t depth_first[] = {0, 3, 4, 1, 5, 2}, columns_first[] = {0, 1, 4, 2, 5, 3};
    const char *mode = agate_attr_string(call, "mode", "DCR");
    const bool crd = strcmp(mode, "CRD") == 0;
    int64_t b;
    if (!crd && strcmp(mode, "DCR") != 0)
        agate_call_invalid(call, "its mode \"%s\" is neither DCR nor CRD", mode);
    if (!read_block(call, &b))
        return;
    const agate_dim *dims = call->operands[0]->type.dims;
    const int64_t c = dims[1].offset / (b * b), h = dims[2].offset, w = dims[3].offset;
    if (c * b * b != dims[1].offset)
        return agate_call_invalid(
            call, "its %" PRId64 " channels do not divide by the square of the block size, %" PRId64,
            dims[1].offset, b);
    call->results[0] = rearrange(call, crd ? (int64_t[]){0, c, b, b, h, w} : (int64_t[]){0, b, b, c, h, w},
                                 crd ? columns_first : depth_first, (int64_t[]){0, c, h * b, w * b});
}

void agate_import_space_to_depth(agate_call *call)
{
    static const int64_t perm[] = {0, 3, 5, 1, 2, 4};
    int64_t b;
    if (!read_block(call, &b))
        return;
    const agate_dim *dims = call->operands[0]->type.dims;
    const int64_t c = dims[1].offset, h = dims[2].offset / b, w = dims[3].offset / b;
    if (h * b != dims[2].offset || w * b != dims[3].offset)
        return agate_call_invalid(call, "its height and width do not divide by the block size, %" PRId64, b);
    call->results[0] = rearrange(call, (int64_t[]){0, c, h, b, w, b}, perm, (int64_t[]){0, c * b * b, h, w});
}

/* ---- triangles -------------------------------------------------------------------------------------------
 */

/* Keeps what is on and above (with upper=0: below) the k-th diagonal of each matrix. */
void agate_import_trilu(agate_call *call)
{
    agate_value *x = call->operands[0];
    const int32_t rank = x->type.rank;
    const bool upper = agate_attr_bool(call, "upper", true);
    agate_ints k = {.count = 1};
    if (agate_call_operand(call, 1) && !agate_call_ints(call, 1, "k", &k))
        return;
    if (rank < 2 || k.count != 1)
        return agate_call_invalid(
            call, "its input has %d dimensions and its k %d numbers; 2 or more and 1 are needed", rank,
            k.count);
    const agate_dim *dims = x->type.dims;
    agate_value *row = agate_lower_count(call, dims[rank - 2]),
                *column = agate_lower_count(call, dims[rank - 1]);
    row = agate_lower_reshape(call, row, 2, (agate_dim[]){dims[rank - 2], agate_dim_fixed(1)});
    /* Diagonals further out are all alike. */
    const int64_t bound = AGATE_MAX_EXTENT, diagonal = agate_min(agate_max(k.v[0], -bound), bound);
    row = agate_lower_with(call, AGATE_OP_add, row, (double)diagonal);
    agate_value *kept = agate_lower2(call, upper ? AGATE_OP_greater_equal : AGATE_OP_less_equal, column, row);
    agate_value *zero = agate_lower_scalar(call, x->type.dtype, 0);
    kept = agate_lower_cast(call, kept, x->type.dtype);
    call->results[0] = agate_lower(call, AGATE_OP_select, NULL, (agate_value *[]){kept, x, zero}, 3);
}

/* ---- dropout ---------------------------------------------------------------------------------------------
 */

/* Inference passes the data through; the mask keeps everything. */
void agate_import_dropout(agate_call *call)
{
    double training = 0;
    agate_value *x = call->operands[0];
    if (agate_call_operand(call, 2) && !agate_call_number(call, 2, "training_mode", &training))
        return;
    if (training != 0)
        return agate_call_unsupported(
            call, "it is in training mode, which is random; export the model for inference");
    call->results[0] = x;
    if (agate_call_wants(call, 1)) {
        agate_value *one = agate_lower_scalar(call, call->opset >= 10 ? AGATE_BOOL : x->type.dtype, 1);
        call->results[1] = agate_lower_expand(call, one, x->type.rank, x->type.dims);
    }
}
