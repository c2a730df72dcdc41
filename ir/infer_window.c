/* infer_window.c: types of what slides windows or contracts: convolution, pooling, matrix products. */
#include "ir/infer.h"

/* The window of a convolution or pool over `spatial` dimensions. */
typedef struct window {
    const int64_t *kernel;
    agate_ints *strides, *pads, *dilations;
    bool ceil;
} window;

/* Output size along spatial dimension `i` of `spatial`, over an input of `in`. */
static bool window_extent(const window *w, int32_t spatial, int32_t i, agate_dim in, int64_t *out_extent,
                          agate_text *fault)
{
    int64_t kernel = w->kernel[i], stride = w->strides->v[i], dilation = w->dilations->v[i];
    int64_t begin = w->pads->v[i], end = w->pads->v[spatial + i], reach, padded;

    if (!agate_dim_is_fixed(in))
        return agate_fault(fault, "spatial dimension %d follows the batch", i);
    if (kernel < 1 || stride < 1 || dilation < 1)
        return agate_fault(fault,
                           "kernel, stride and dilation along spatial dimension %d are %lld, %lld and %lld: "
                           "each must be at least 1",
                           i, (long long)kernel, (long long)stride, (long long)dilation);
    if (begin < 0 || end < 0)
        return agate_fault(fault, "pads along spatial dimension %d are %lld and %lld: none may be negative",
                           i, (long long)begin, (long long)end);
    if (__builtin_mul_overflow(kernel - 1, dilation, &reach) || __builtin_add_overflow(reach, 1, &reach) ||
        __builtin_add_overflow(in.offset, begin, &padded) || __builtin_add_overflow(padded, end, &padded))
        return agate_fault(fault, "kernel or pads along spatial dimension %d are larger than any memory", i);
    if (reach > padded)
        return agate_fault(
            fault, "the kernel spans %lld along spatial dimension %d, where the padded input has %lld",
            (long long)reach, i, (long long)padded);

    int64_t steps = w->ceil ? agate_ceil_div(padded - reach, stride) : (padded - reach) / stride;
    /* ONNX: the last window must start inside the input or the padding in front of it. */
    if (w->ceil && steps > 0 && steps >= agate_ceil_div(in.offset + begin, stride))
        steps--;
    *out_extent = steps + 1;
    return true;
}

/* Fills the window's lists, then writes the spatial dimensions of `type`. */
static bool window_dims(const window *w, const agate_type *x, agate_type *type, agate_text *fault)
{
    int32_t spatial = x->rank - 2;

    if (!agate_infer_list(w->strides, spatial, 1, "strides", fault) ||
        !agate_infer_list(w->pads, 2 * spatial, 0, "pads", fault) ||
        !agate_infer_list(w->dilations, spatial, 1, "dilations", fault))
        return false;
    for (int32_t i = 0; i < spatial; i++) {
        int64_t extent = 0;
        if (!window_extent(w, spatial, i, x->dims[2 + i], &extent, fault))
            return false;
        type->dims[2 + i] = agate_dim_fixed(extent);
    }
    return true;
}

/* ---- convolution --------------------------------------------------------------------------------------- */

static bool kind_is(agate_layout layout, agate_layout_kind a, agate_layout_kind b, agate_layout_kind c)
{
    return layout.kind == a || layout.kind == b || layout.kind == c;
}

static bool is_packed_dense(agate_layout layout)
{
    return layout.kind == AGATE_LAYOUT_oi || layout.kind == AGATE_LAYOUT_oi_pairs ||
           layout.kind == AGATE_LAYOUT_o_pairs || layout.kind == AGATE_LAYOUT_o_taps;
}

static bool conv_layouts(const agate_node *node, const agate_type *result, agate_text *fault)
{
    if (!kind_is(agate_operand_type(node, 0)->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel,
                 AGATE_LAYOUT_plain))
        return agate_fault(fault, "conv reads plain or channel-blocked inputs");
    if (!is_packed_dense(agate_operand_type(node, 1)->layout) &&
        !kind_is(agate_operand_type(node, 1)->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_o, AGATE_LAYOUT_o))
        return agate_fault(fault, "conv reads plain, oi- or o-blocked weights");
    if (node->operand_count == 3 &&
        !kind_is(agate_operand_type(node, 2)->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_o, AGATE_LAYOUT_plain))
        return agate_fault(fault, "conv reads a plain or o-blocked bias");
    if (!kind_is(result->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel, AGATE_LAYOUT_plain))
        return agate_fault(fault, "conv writes plain or channel-blocked results");
    return true;
}

/* Channels of input, weight and bias against each other. */
static bool conv_channels(const agate_node *node, const agate_type *x, const agate_type *weight,
                          agate_text *fault)
{
    int64_t group = node->attrs.conv.group, in = x->dims[1].offset, out = weight->dims[0].offset, of_weight;

    if (!agate_type_is_fixed(weight) || !agate_dim_is_fixed(x->dims[1]))
        return agate_fault(fault, "channels or weights follow the batch");
    if (group < 1 || out % group != 0)
        return agate_fault(fault, "%lld output channels do not divide into %lld groups", (long long)out,
                           (long long)group);
    if (__builtin_mul_overflow(weight->dims[1].offset, group, &of_weight) || of_weight != in)
        return agate_fault(fault, "the input has %lld channels, the weight reads %lld in each of %lld groups",
                           (long long)in, (long long)weight->dims[1].offset, (long long)group);
    if (node->operand_count == 3) {
        const agate_type *bias = agate_operand_type(node, 2);
        if (bias->rank != 1 || !agate_dim_is(bias->dims[0], out) || bias->dtype != x->dtype)
            return agate_fault(fault, "the bias must be %s[%lld]", agate_dtype_name(x->dtype),
                               (long long)out);
    }
    return true;
}

AGATE_INFER(conv)
{
    agate_attrs_conv *attrs = &node->attrs.conv;
    const agate_type *x = agate_operand_type(node, 0), *weight = agate_operand_type(node, 1);
    int64_t kernel[AGATE_MAX_RANK];
    agate_type type = *x;

    if (x->rank < 3 || weight->rank != x->rank)
        return agate_fault(fault, "conv needs input and weight of one rank, 3 or more, not %d and %d",
                           x->rank, weight->rank);
    if (!agate_is_float(x->dtype) || weight->dtype != x->dtype)
        return agate_fault(fault, "conv needs floats of one type, not %s and %s", agate_dtype_name(x->dtype),
                           agate_dtype_name(weight->dtype));
    if (!conv_channels(node, x, weight, fault))
        return false;
    for (int32_t i = 2; i < weight->rank; i++)
        kernel[i - 2] = weight->dims[i].offset;

    window w = {kernel, &attrs->strides, &attrs->pads, &attrs->dilations, false};
    type.dims[1] = weight->dims[0];
    if (!window_dims(&w, x, &type, fault))
        return false;
    bool packed = x->layout.kind == AGATE_LAYOUT_plain && weight->layout.kind != AGATE_LAYOUT_plain;
    agate_layout blocked = {.kind = AGATE_LAYOUT_channel, .block = weight->layout.block};
    type.layout = agate_infer_layout(node, packed ? blocked : x->layout);
    *out_type = type;
    return conv_layouts(node, &type, fault);
}

/* ---- winograd ------------------------------------------------------------------------------------------ */

static bool winograd_layouts(const agate_node *node, const agate_type *result, agate_text *fault)
{
    agate_layout x = agate_operand_type(node, 0)->layout;

    if (!kind_is(x, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel, AGATE_LAYOUT_plain) ||
        !kind_is(result->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel, AGATE_LAYOUT_plain))
        return agate_fault(fault, "winograd reads and writes plain or channel-blocked images");
    for (int32_t i = 1; i < node->operand_count; i++)
        if (!kind_is(agate_operand_type(node, i)->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_o,
                     AGATE_LAYOUT_plain))
            return agate_fault(fault, "winograd reads plain or o-blocked weights and bias");
    return true;
}

/* Its weights are [O,t,t,I]: t is 4 for F(2x2,3x3), 6 for F(4x4,3x3). */
AGATE_INFER(winograd)
{
    static const int64_t kernel[] = {3, 3};
    agate_attrs_conv *attrs = &node->attrs.conv;
    const agate_type *x = agate_operand_type(node, 0), *u = agate_operand_type(node, 1);
    agate_type type = *x;

    if (x->rank != 4 || u->rank != 4 || x->dtype != AGATE_F32 || u->dtype != AGATE_F32)
        return agate_fault(fault, "winograd needs f32 input and weight of rank 4");
    if (!agate_type_is_fixed(u) || !agate_dim_is_fixed(x->dims[1]))
        return agate_fault(fault, "channels or weights follow the batch");
    if ((u->dims[1].offset != 4 && u->dims[1].offset != 6) || u->dims[2].offset != u->dims[1].offset)
        return agate_fault(fault, "transformed weights are 4x4 or 6x6, not %lldx%lld",
                           (long long)u->dims[1].offset, (long long)u->dims[2].offset);
    if (x->dims[1].offset != u->dims[3].offset)
        return agate_fault(fault, "the input has %lld channels, the weight reads %lld",
                           (long long)x->dims[1].offset, (long long)u->dims[3].offset);
    if (node->operand_count == 3) {
        const agate_type *bias = agate_operand_type(node, 2);
        if (bias->rank != 1 || !agate_dim_equal(bias->dims[0], u->dims[0]) || bias->dtype != AGATE_F32)
            return agate_fault(fault, "the bias must be f32[%lld]", (long long)u->dims[0].offset);
    }
    window w = {kernel, &attrs->strides, &attrs->pads, &attrs->dilations, false};
    type.dims[1] = u->dims[0];
    if (!window_dims(&w, x, &type, fault))
        return false;
    if (!agate_ints_are(&attrs->strides, 1) || !agate_ints_are(&attrs->dilations, 1) || attrs->group != 1)
        return agate_fault(fault, "winograd has stride 1, dilation 1 and one group");
    type.layout = agate_infer_layout(node, x->layout);
    *out_type = type;
    return winograd_layouts(node, &type, fault);
}

/* ---- pooling ------------------------------------------------------------------------------------------- */

/* A window that lies wholly in the padding would have nothing to pool. */
static bool pads_fit(const agate_attrs_pool *attrs, int32_t spatial, agate_text *fault)
{
    for (int32_t i = 0; i < 2 * spatial; i++) {
        int64_t reach = (attrs->kernel.v[i % spatial] - 1) * attrs->dilations.v[i % spatial] + 1;
        if (attrs->pads.v[i] >= reach)
            return agate_fault(fault, "a pad of %lld holds a whole window, which spans %lld",
                               (long long)attrs->pads.v[i], (long long)reach);
    }
    return true;
}

AGATE_INFER(pool)
{
    agate_attrs_pool *attrs = &node->attrs.pool;
    const agate_type *x = agate_operand_type(node, 0);
    agate_type type = *x;

    if (x->rank < 3)
        return agate_fault(fault, "%s needs rank 3 or more, not %d", agate_node_info(node)->name, x->rank);
    if (x->dtype == AGATE_BOOL || (node->op == AGATE_OP_avg_pool && !agate_is_float(x->dtype)))
        return agate_fault(fault, "%s does not take %s", agate_node_info(node)->name,
                           agate_dtype_name(x->dtype));
    if (attrs->kernel.count != x->rank - 2)
        return agate_fault(fault, "kernel has %d of %d numbers", attrs->kernel.count, x->rank - 2);

    window w = {attrs->kernel.v, &attrs->strides, &attrs->pads, &attrs->dilations, attrs->ceil};
    if (!window_dims(&w, x, &type, fault) || !pads_fit(attrs, x->rank - 2, fault))
        return false;
    type.layout = agate_infer_layout(node, x->layout);
    *out_type = type;
    if (!kind_is(x->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel, AGATE_LAYOUT_plain) ||
        !kind_is(type.layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_channel, AGATE_LAYOUT_plain))
        return agate_fault(fault, "%s reads and writes plain or channel-blocked layouts",
                           agate_node_info(node)->name);
    return true;
}

/* ---- matrix product ------------------------------------------------------------------------------------ */

/* Shape of the stack of matrices in front of the last two dimensions; a vector is one matrix. */
static agate_type stack_of(const agate_type *type)
{
    agate_type stack = agate_type_make(type->dtype, (int32_t)agate_max(type->rank - 2, 0), type->dims);
    return stack;
}

/* numpy's rules: a vector on the left is a row, on the right a column, and that dimension leaves the result.
 */
AGATE_INFER(matmul)
{
    const agate_type *a = agate_operand_type(node, 0), *b = agate_operand_type(node, 1);

    if (a->rank < 1 || b->rank < 1)
        return agate_fault(fault, "matmul needs operands of rank 1 or more, not %d and %d", a->rank, b->rank);
    if (a->dtype != b->dtype || a->dtype == AGATE_BOOL)
        return agate_fault(fault, "matmul needs numbers of one type, not %s and %s",
                           agate_dtype_name(a->dtype), agate_dtype_name(b->dtype));
    if (a->layout.kind != AGATE_LAYOUT_plain ||
        !kind_is(b->layout, AGATE_LAYOUT_plain, AGATE_LAYOUT_panel, AGATE_LAYOUT_plain))
        return agate_fault(fault, "matmul reads a plain left side and a plain or panel-packed right side");

    agate_dim left = a->dims[a->rank - 1], right = b->dims[agate_max(b->rank - 2, 0)];
    agate_type stack_a = stack_of(a), stack_b = stack_of(b), type;
    if (!agate_dim_equal(left, right) || !agate_broadcast(&stack_a, &stack_b, &type)) {
        agate_text_add(fault, "shapes do not contract: ");
        agate_type_print(a, fault);
        agate_text_add(fault, " and ");
        agate_type_print(b, fault);
        return false;
    }
    if (a->rank > 1)
        type.dims[type.rank++] = a->dims[a->rank - 2];
    if (b->rank > 1)
        type.dims[type.rank++] = b->dims[b->rank - 1];
    type.layout = agate_infer_layout(node, AGATE_PLAIN);
    *out_type = type;
    return type.layout.kind == AGATE_LAYOUT_plain || agate_fault(fault, "matmul writes plain results");
}
