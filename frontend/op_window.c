/* op_window.c: convolutions, pools and matrix products. */
#include "frontend/importer.h"

#include <inttypes.h>
#include <math.h>

/* ---- windows ---------------------------------------------------------------------------------------------
 */

/* The attributes that Conv and the pools share, with nothing left out. */
typedef struct window {
    int32_t rank; /* spatial */
    agate_ints kernel, strides, pads, dilations;
    bool ceil;
} window;

void agate_attr_window(agate_call *call, const char *name, int32_t count, int64_t value, int64_t least,
                       agate_ints *out_list)
{
    const bool given = agate_attr_ints(call, name, out_list);
    if (given && out_list->count != count)
        agate_call_invalid(call, "attribute \"%s\" has %d numbers; its input needs %d", name, out_list->count,
                           count);
    for (int32_t i = 0; i < count; i++) {
        if (!given)
            out_list->v[i] = value;
        else if (out_list->v[i] < least || out_list->v[i] > INT32_MAX)
            agate_call_invalid(call, "attribute \"%s\" holds %" PRId64 "; %" PRId64 " to %d is allowed", name,
                               out_list->v[i], least, INT32_MAX);
    }
    out_list->count = count;
}

agate_auto_pad agate_attr_auto_pad(agate_call *call)
{
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *name = agate_attr_string(call, "auto_pad", "NOTSET");
    for (int i = 0; i < (int)AGATE_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (agate_auto_pad)i;
    agate_call_invalid(
        call, "attribute \"auto_pad\" is \"%s\", which is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER",
        name);
    return AGATE_AUTO_PAD_NOTSET;
}

/* Pads that make the output ceil(input / stride) large; the odd one goes to the end or, for LOWER, to the
 * begin. */
static void pad_same(agate_call *call, window *w, const agate_type *x, bool lower)
{
    for (int32_t i = 0; i < w->rank; i++) {
        const agate_dim in = x->dims[2 + i];
        if (!agate_dim_is_fixed(in)) {
            agate_call_unsupported(call, "auto_pad needs a fixed size for dimension %d", 2 + i);
            return;
        }
        const int64_t out = agate_ceil_div(in.offset, w->strides.v[i]);
        const int64_t reach = (w->kernel.v[i] - 1) * w->dilations.v[i] + 1;
        const int64_t pad = agate_max((out - 1) * w->strides.v[i] + reach - in.offset, 0);
        const int64_t begin = lower ? pad - pad / 2 : pad / 2;
        w->pads.v[i] = begin;
        w->pads.v[w->rank + i] = pad - begin;
    }
}

/* Reads a window over `x`. `kernel` is the weight's, for a Conv; NULL: the attribute must be there. */
static bool read_window(agate_call *call, const agate_type *x, const agate_ints *kernel, window *out_window)
{
    window *w = out_window;
    memset(w, 0, sizeof(*w));
    w->rank = x->rank - 2;
    if (w->rank < 1) {
        agate_call_unsupported(
            call, "its input has %d dimensions; batch, channels and at least one more are needed", x->rank);
        return false;
    }
    if (!kernel && !agate_attr_has(call, "kernel_shape"))
        agate_call_invalid(call, "it has no attribute \"kernel_shape\"");
    agate_attr_window(call, "kernel_shape", w->rank, 1, 1, &w->kernel);
    agate_attr_window(call, "strides", w->rank, 1, 1, &w->strides);
    agate_attr_window(call, "dilations", w->rank, 1, 1, &w->dilations);
    agate_attr_window(call, "pads", 2 * w->rank, 0, 0, &w->pads);
    w->ceil = agate_attr_bool(call, "ceil_mode", false);

    const agate_auto_pad mode = agate_attr_auto_pad(call);
    if (call->faulty)
        return false;
    if (kernel && !agate_attr_has(call, "kernel_shape"))
        w->kernel = *kernel;
    if (mode != AGATE_AUTO_PAD_NOTSET)
        memset(w->pads.v, 0, sizeof(w->pads.v));
    if (mode == AGATE_AUTO_PAD_SAME_UPPER || mode == AGATE_AUTO_PAD_SAME_LOWER)
        pad_same(call, w, x, mode == AGATE_AUTO_PAD_SAME_LOWER);
    return !call->faulty;
}

void agate_import_conv(agate_call *call)
{
    const agate_type *x = &call->operands[0]->type, *weight = &call->operands[1]->type;
    agate_ints kernel = {0};
    window w;

    if (weight->rank != x->rank) {
        agate_call_invalid(call, "its input has %d dimensions and its weight %d; they must agree", x->rank,
                           weight->rank);
        return;
    }
    for (int32_t i = 2; i < weight->rank; i++)
        kernel.v[kernel.count++] = weight->dims[i].offset;
    if (!read_window(call, x, &kernel, &w))
        return;
    for (int32_t i = 0; i < w.rank; i++)
        if (!agate_dim_is(weight->dims[2 + i], w.kernel.v[i]))
            agate_call_invalid(
                call, "attribute \"kernel_shape\" says %" PRId64 " for dimension %d, its weight %" PRId64,
                w.kernel.v[i], 2 + i, weight->dims[2 + i].offset);

    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_conv, &attrs);
    attrs.conv = (agate_attrs_conv){.strides = w.strides,
                                    .pads = w.pads,
                                    .dilations = w.dilations,
                                    .group = agate_attr_int(call, "group", 1)};
    const int32_t operand_count = agate_call_operand(call, 2) ? 3 : 2;
    call->results[0] = agate_lower(call, AGATE_OP_conv, &attrs, call->operands, operand_count);
}

static agate_value *emit_pool(agate_call *call, agate_op op, agate_value *x, const window *w, bool count_pads)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_pool, &attrs);
    attrs.pool = (agate_attrs_pool){.kernel = w->kernel,
                                    .strides = w->strides,
                                    .pads = w->pads,
                                    .dilations = w->dilations,
                                    .ceil = w->ceil,
                                    .count_pads = count_pads};
    return agate_lower(call, op, &attrs, &x, 1);
}

void agate_import_pool(agate_call *call)
{
    window w;
    if (agate_call_wants(call, 1))
        agate_call_unsupported(call, "its second output (indices) is not supported yet");
    if (!read_window(call, &call->operands[0]->type, NULL, &w))
        return;
    const bool count_pads = agate_attr_bool(call, "count_include_pad", false);
    call->results[0] = emit_pool(call, call->row->op, call->operands[0], &w, count_pads);
}

/* |x|^p, with room for the sums of it */
static agate_value *emit_power(agate_call *call, agate_value *x, int64_t p)
{
    x = agate_lower_widened(call, x);
    if (p == 2)
        return agate_lower2(call, AGATE_OP_mul, x, x);
    x = agate_lower1(call, AGATE_OP_abs, x);
    return p == 1 ? x : agate_lower_with(call, AGATE_OP_pow, x, (double)p);
}

/* x^(1/p), for x not negative */
static agate_value *emit_root(agate_call *call, agate_value *x, int64_t p)
{
    if (p == 2)
        return agate_lower1(call, AGATE_OP_sqrt, x);
    return p == 1 ? x : agate_lower_with(call, AGATE_OP_pow, x, 1.0 / (double)p);
}

static int64_t read_p(agate_call *call)
{
    const int64_t p = agate_attr_int(call, "p", 2);
    if (p < 1)
        agate_call_invalid(call, "attribute \"p\" is %" PRId64 "; at least 1 is needed", p);
    return p;
}

/* Makes the pads reach as far as the last window, so that none is cut off. Windows that would start behind
 * the input are not there. */
static void round_up(agate_call *call, window *w, const agate_type *x)
{
    for (int32_t i = 0; i < w->rank && w->ceil; i++) {
        const agate_dim in = x->dims[2 + i];
        const int64_t stride = w->strides.v[i], reach = (w->kernel.v[i] - 1) * w->dilations.v[i] + 1;
        const int64_t begin = w->pads.v[i], span = in.offset + begin + w->pads.v[w->rank + i] - reach;
        if (!agate_dim_is_fixed(in))
            return agate_call_unsupported(call, "ceil_mode needs a fixed size for dimension %d", 2 + i);
        if (span < 0)
            continue; /* the pool says what is wrong */
        int64_t last = agate_ceil_div(span, stride);
        if (last * stride >= in.offset + begin)
            last--;
        w->pads.v[w->rank + i] = agate_max(last * stride + reach - in.offset - begin, 0);
    }
    w->ceil = false;
}

/* The sum over a window is its average, pads counted, times its size. */
void agate_import_lp_pool(agate_call *call)
{
    const int64_t p = read_p(call);
    int64_t size = 1;
    window w;
    if (!read_window(call, &call->operands[0]->type, NULL, &w))
        return;
    round_up(call, &w, &call->operands[0]->type);
    for (int32_t i = 0; i < w.rank; i++)
        if (__builtin_mul_overflow(size, w.kernel.v[i], &size))
            agate_call_invalid(call, "its kernel is too large");
    agate_value *power = emit_power(call, call->operands[0], p);
    agate_value *mean = power ? emit_pool(call, AGATE_OP_avg_pool, power, &w, true) : NULL;
    agate_value *sum = agate_lower_with(call, AGATE_OP_mul, mean, (double)size);
    call->results[0] = agate_lower_cast(call, emit_root(call, sum, p), call->operands[0]->type.dtype);
}

/* All axes but batch and channels. */
static bool spatial_axes(agate_call *call, agate_ints *out_axes)
{
    const int32_t rank = call->operands[0]->type.rank;
    memset(out_axes, 0, sizeof(*out_axes));
    if (rank < 3)
        agate_call_unsupported(
            call, "its input has %d dimensions; batch, channels and at least one more are needed", rank);
    for (int32_t axis = 2; axis < rank; axis++)
        out_axes->v[out_axes->count++] = axis;
    return !call->faulty;
}

void agate_import_global_pool(agate_call *call)
{
    agate_ints axes;
    if (spatial_axes(call, &axes))
        call->results[0] = agate_lower_reduce(call, call->row->op, call->operands[0], &axes, true);
}

void agate_import_global_lp_pool(agate_call *call)
{
    const int64_t p = read_p(call);
    agate_ints axes;
    if (!spatial_axes(call, &axes))
        return;
    agate_value *power = emit_power(call, call->operands[0], p);
    agate_value *sum = power ? agate_lower_reduce(call, AGATE_OP_reduce_sum, power, &axes, true) : NULL;
    call->results[0] = agate_lower_cast(call, emit_root(call, sum, p), call->operands[0]->type.dtype);
}

/* x / |x|_p along an axis; 0 where the norm is 0. */
void agate_import_lp_norm(agate_call *call)
{
    const int64_t p = read_p(call);
    agate_value *x = call->operands[0];
    agate_ints axis = {.count = 1};
    if (!agate_call_axis(call, agate_attr_int(call, "axis", -1), x->type.rank, &axis.v[0]))
        return;
    agate_value *power = emit_power(call, x, p);
    agate_value *norm =
        power ? emit_root(call, agate_lower_reduce(call, AGATE_OP_reduce_sum, power, &axis, true), p) : NULL;
    /* 0/0 is avoided by dividing by 1 instead. */
    agate_value *none = agate_lower_with(call, AGATE_OP_equal, norm, 0);
    agate_value *one = none ? agate_lower_cast(call, none, norm->type.dtype) : NULL;
    agate_value *quotient = agate_lower2(call, AGATE_OP_div, agate_lower_widened(call, x),
                                         agate_lower2(call, AGATE_OP_add, norm, one));
    call->results[0] = agate_lower_cast(call, quotient, x->type.dtype);
}

/* ---- matrix products ----------------------------------------------------------------------------------- */

/* alpha * A' B' + beta * C. Factors of 1, as every exporter writes them, leave nothing behind. */
void agate_import_gemm(agate_call *call)
{
    static const int64_t swap[] = {1, 0};
    const double alpha = agate_attr_float(call, "alpha", 1), beta = agate_attr_float(call, "beta", 1);
    agate_value *a = call->operands[0], *b = call->operands[1], *c = agate_call_operand(call, 2);

    if (a->type.rank != 2 || b->type.rank != 2) {
        agate_call_invalid(call, "its inputs must be matrices, but have %d and %d dimensions", a->type.rank,
                           b->type.rank);
        return;
    }
    if (!agate_is_float(a->type.dtype) && (alpha != floor(alpha) || beta != floor(beta)))
        agate_call_unsupported(call, "it multiplies %s by broken numbers", agate_dtype_name(a->type.dtype));
    if (agate_attr_bool(call, "transA", false))
        a = agate_lower_transpose(call, a, swap);
    if (agate_attr_bool(call, "transB", false))
        b = agate_lower_transpose(call, b, swap);
    agate_value *product = agate_lower2(call, AGATE_OP_matmul, a, b);
    if (alpha != 1)
        product = agate_lower_with(call, AGATE_OP_mul, product, alpha);
    if (product && c && beta != 0) {
        agate_type sum;
        if (!agate_broadcast(&product->type, &c->type, &sum) || sum.rank != 2 ||
            !agate_dim_equal(sum.dims[0], product->type.dims[0]) ||
            !agate_dim_equal(sum.dims[1], product->type.dims[1]))
            agate_call_invalid(call, "its input C does not broadcast to the product");
        c = beta == 1 ? c : agate_lower_with(call, AGATE_OP_mul, c, beta);
        product = agate_lower2(call, AGATE_OP_add, product, c);
    }
    call->results[0] = product;
}
