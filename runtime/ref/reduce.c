/* reduce.c: reductions over any axes (all where none are given), the index of an extreme, softmax.
 *
 * Over no elements a sum is 0, a product 1, an extreme the end of its range, a mean NaN (0 for integers). NaN
 * among the elements is the greatest and the least of them. */
#include <math.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"

/* A tensor's dimensions parted into those that stay and those that are reduced; strides in elements of the
 * tensor. */
typedef struct parts {
    int32_t kept_rank, reduced_rank;
    int64_t kept[AGATE_MAX_RANK], kept_strides[AGATE_MAX_RANK];
    int64_t reduced[AGATE_MAX_RANK], reduced_strides[AGATE_MAX_RANK];
} parts;

static bool is_axis(const agate_ints *axes, int32_t d)
{
    for (int32_t i = 0; i < axes->count; i++)
        if (axes->v[i] == d)
            return true;
    return axes->count == 0;
}

static parts parts_of(const agate_tensor *x, const agate_ints *axes)
{
    parts p = {0};
    int64_t strides[AGATE_MAX_RANK];

    agate_strides(x->rank, x->dims, strides);
    for (int32_t d = 0; d < x->rank; d++) {
        if (is_axis(axes, d)) {
            p.reduced[p.reduced_rank] = x->dims[d];
            p.reduced_strides[p.reduced_rank++] = strides[d];
        } else {
            p.kept[p.kept_rank] = x->dims[d];
            p.kept_strides[p.kept_rank++] = strides[d];
        }
    }
    return p;
}

static parts parts_of_axis(const agate_tensor *x, int64_t axis)
{
    return parts_of(x, &(agate_ints){.count = 1, .v = {axis}});
}

enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD };
enum { ARG_MAX, ARG_MIN };
enum { SOFTMAX, LOG_SOFTMAX };

#define TEMPLATE "runtime/ref/reduce_typed.h"
#include "runtime/ref/typed.h"

static agate_status reduce(const agate_ref_call *call, int32_t which, const char *op)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {
        AGATE_FLOAT_TYPED(reduce), AGATE_INTEGER_TYPED(reduce), AGATE_BOOL_TYPED(reduce)};

    return agate_call_typed(table, call, which, op);
}

AGATE_REF(reduce_sum)
{
    return reduce(call, REDUCE_SUM, "reduce_sum");
}

AGATE_REF(reduce_mean)
{
    return reduce(call, REDUCE_MEAN, "reduce_mean");
}

AGATE_REF(reduce_max)
{
    return reduce(call, REDUCE_MAX, "reduce_max");
}

AGATE_REF(reduce_min)
{
    return reduce(call, REDUCE_MIN, "reduce_min");
}

AGATE_REF(reduce_prod)
{
    return reduce(call, REDUCE_PROD, "reduce_prod");
}

static agate_status arg(const agate_ref_call *call, int32_t which, const char *op)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(arg), AGATE_INTEGER_TYPED(arg)};
    const agate_tensor *x = call->inputs[0];

    if (x->rank > 0 && x->dims[call->attrs->arg.axis] == 0 && agate_count(call->outputs[0]) > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s over a dimension without elements", op);
    return agate_call_typed(table, call, which, op);
}

AGATE_REF(arg_max)
{
    return arg(call, ARG_MAX, "arg_max");
}

AGATE_REF(arg_min)
{
    return arg(call, ARG_MIN, "arg_min");
}

static agate_status softmax(const agate_ref_call *call, int32_t which, const char *op)
{
    static const agate_typed_fn table[AGATE_DTYPE_SLOTS] = {AGATE_FLOAT_TYPED(softmax)};

    return agate_call_typed(table, call, which, op);
}

AGATE_REF(softmax)
{
    return softmax(call, SOFTMAX, "softmax");
}

AGATE_REF(log_softmax)
{
    return softmax(call, LOG_SOFTMAX, "log_softmax");
}
