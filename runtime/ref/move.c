/* move.c: ops that only move elements; they serve every dtype by its size. */
#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

/* A tensor's elements as a box that is stepped through with strides of any sign. */
typedef struct view {
    const agate_tensor *tensor;
    int64_t offset;
    int64_t strides[AGATE_MAX_RANK];
} view;

static view view_of(const agate_tensor *tensor)
{
    view v = {.tensor = tensor};

    agate_strides(tensor->rank, tensor->dims, v.strides);
    return v;
}

static void copy_element(const agate_tensor *to, int64_t to_index, const agate_tensor *from,
                         int64_t from_index)
{
    size_t size_bytes = agate_dtype_size(to->dtype);

    memcpy((char *)to->data + (size_t)to_index * size_bytes,
           (const char *)from->data + (size_t)from_index * size_bytes, size_bytes);
}

/* Copies the box of `dims` from one view to the other, its last dimension in a plain loop. */
static void copy_box(int32_t rank, const int64_t *dims, const view *to, const view *from)
{
    int32_t outer = rank > 0 ? rank - 1 : 0;
    int64_t count = rank > 0 ? dims[outer] : 1, to_step = rank > 0 ? to->strides[outer] : 0,
            from_step = rank > 0 ? from->strides[outer] : 0;

    for (agate_walk w = agate_walk_begin(outer, dims); w.live; agate_walk_next(&w)) {
        int64_t to_index = to->offset + agate_offset(outer, w.at, to->strides);
        int64_t from_index = from->offset + agate_offset(outer, w.at, from->strides);

        for (int64_t i = 0; i < count; i++)
            copy_element(to->tensor, to_index + i * to_step, from->tensor, from_index + i * from_step);
    }
}

/* Fills the whole output from `from`. */
static agate_status fill_from(const agate_ref_call *call, const view *from)
{
    view to = view_of(call->outputs[0]);

    copy_box(to.tensor->rank, to.tensor->dims, &to, from);
    return AGATE_OK;
}

AGATE_REF(copy)
{
    const agate_tensor *x = call->inputs[0];
    int64_t count = agate_count(x);

    if (count > 0)
        memcpy(call->outputs[0]->data, x->data, (size_t)count * agate_dtype_size(x->dtype));
    return AGATE_OK;
}

AGATE_REF(transpose)
{
    view straight = view_of(call->inputs[0]), from = straight;

    for (int32_t d = 0; d < call->outputs[0]->rank; d++)
        from.strides[d] = straight.strides[call->attrs->perm.perm.v[d]];
    return fill_from(call, &from);
}

AGATE_REF(slice)
{
    const agate_attrs_slice *attrs = &call->attrs->slice;
    view from = view_of(call->inputs[0]);

    for (int32_t d = 0; d < call->outputs[0]->rank; d++) {
        from.offset += attrs->starts.v[d] * from.strides[d];
        from.strides[d] *= agate_ints_at(&attrs->steps, d, 1);
    }
    return fill_from(call, &from);
}

AGATE_REF(expand)
{
    const agate_tensor *x = call->inputs[0];
    view from = {.tensor = x};

    agate_broadcast_strides(x->rank, x->dims, call->outputs[0]->rank, from.strides);
    return fill_from(call, &from);
}

AGATE_REF(concat)
{
    view to = view_of(call->outputs[0]);
    int64_t axis = call->attrs->axis.axis;

    for (int32_t i = 0; i < call->input_count; i++) {
        view from = view_of(call->inputs[i]);

        copy_box(from.tensor->rank, from.tensor->dims, &to, &from);
        to.offset += from.tensor->dims[axis] * to.strides[axis];
    }
    return AGATE_OK;
}

AGATE_REF(interleave)
{
    int64_t axis = call->attrs->axis.axis;

    for (int32_t i = 0; i < call->input_count; i++) {
        view from = view_of(call->inputs[i]), to = view_of(call->outputs[0]);

        to.offset = i * to.strides[axis];
        to.strides[axis] *= call->input_count;
        copy_box(from.tensor->rank, from.tensor->dims, &to, &from);
    }
    return AGATE_OK;
}

static int64_t modulo(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}

/* Where element `at` of a padded dimension comes from in the `extent` elements there are; -1: it is filled.
 */
static int64_t pad_source(int64_t at, int64_t extent, agate_padding mode)
{
    int64_t period = agate_max(2 * (extent - 1), 1),
            place = modulo(at, mode == AGATE_PAD_REFLECT ? period : extent);

    if (at >= 0 && at < extent)
        return at;
    switch (mode) {
    case AGATE_PAD_EDGE:
        return at < 0 ? 0 : extent - 1;
    case AGATE_PAD_REFLECT:
        return place < extent ? place : period - place;
    case AGATE_PAD_WRAP:
        return place;
    default:
        return -1;
    }
}

/* Index into `x` of the element that the result has at `at`; -1: filled. */
static int64_t pad_index(const agate_ref_call *call, const view *x, const int64_t *at)
{
    const agate_attrs_pad *attrs = &call->attrs->pad;
    int64_t index = 0;

    for (int32_t d = 0; d < x->tensor->rank; d++) {
        int64_t extent = x->tensor->dims[d], place = at[d] - agate_ints_at(&attrs->begins, d, 0);
        int64_t source = extent > 0 ? pad_source(place, extent, attrs->mode) : -1;

        if (source < 0)
            return -1;
        index += source * x->strides[d];
    }
    return index;
}

AGATE_REF(pad)
{
    const agate_attrs_pad *attrs = &call->attrs->pad;
    view x = view_of(call->inputs[0]);
    agate_tensor *y = call->outputs[0];
    int64_t i = 0;

    if (attrs->mode != AGATE_PAD_CONSTANT && agate_count(x.tensor) == 0 && agate_count(y) > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "pad: nothing to repeat in a tensor without elements");
    for (agate_walk w = agate_walk_begin(y->rank, y->dims); w.live; agate_walk_next(&w), i++) {
        int64_t index = pad_index(call, &x, w.at);

        if (index >= 0)
            copy_element(y, i, x.tensor, index);
        else
            agate_element_store(y->dtype, y->data, i, attrs->value);
    }
    return AGATE_OK;
}

/* Result [outer..., indices..., inner...]: one block of `inner` elements for each index. */
AGATE_REF(gather)
{
    const agate_tensor *x = call->inputs[0], *indices = call->inputs[1];
    int32_t axis = (int32_t)call->attrs->axis.axis;
    int64_t extent = x->dims[axis], outer = agate_product(x->dims, axis), count = agate_count(indices);
    size_t block_bytes =
        (size_t)agate_product(&x->dims[axis + 1], x->rank - axis - 1) * agate_dtype_size(x->dtype);
    char *to = call->outputs[0]->data;

    for (int64_t i = 0; i < count; i++) {
        int64_t index = agate_number_load(indices->dtype, indices->data, i).i;

        if (index < -extent || index >= extent)
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                    "gather: index %lld is outside of a dimension of %lld", (long long)index,
                                    (long long)extent);
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < count && block_bytes > 0; i++, to += block_bytes) {
            int64_t index = agate_number_load(indices->dtype, indices->data, i).i;

            memcpy(to, (const char *)x->data + (size_t)(o * extent + modulo(index, extent)) * block_bytes,
                   block_bytes);
        }
    }
    return AGATE_OK;
}
