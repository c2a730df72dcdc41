/* infer.c: types of pointwise ops, softmax, normalization, reductions; and what all the rules share. */
#include "ir/infer.h"

bool agate_fault(agate_text *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    agate_text_add_v(fault, format, args);
    va_end(args);
    return false;
}

agate_layout agate_infer_layout(const agate_node *node, agate_layout otherwise)
{
    const agate_type *stated = &node->results[0].type;
    return agate_layout_own(stated->dtype != AGATE_DTYPE_NONE ? stated->layout : otherwise);
}

bool agate_infer_list(agate_ints *list, int32_t count, int64_t value, const char *name, agate_text *fault)
{
    if (list->count == 0) {
        list->count = count;
        for (int32_t i = 0; i < count; i++)
            list->v[i] = value;
    }
    if (list->count != count)
        return agate_fault(fault, "%s has %d of %d numbers", name, list->count, count);
    return true;
}

bool agate_infer_axis(int64_t axis, int32_t rank, agate_text *fault)
{
    if (axis < 0 || axis >= rank)
        return agate_fault(fault, "axis %lld is outside the %d dimensions", (long long)axis, rank);
    return true;
}

/* "2 operands", "1 to 2 operands", "at least 1 operand" */
static void print_count(const agate_op_info *info, agate_text *text)
{
    int32_t least = info->operand_min, most = info->operand_max;

    if (most == AGATE_ANY_COUNT)
        agate_text_add(text, "at least %d operand%s", least, least == 1 ? "" : "s");
    else if (least == most)
        agate_text_add(text, "%d operand%s", least, least == 1 ? "" : "s");
    else
        agate_text_add(text, "%d to %d operands", least, most);
}

bool agate_infer_node(agate_node *node, agate_type *out_type, agate_text *fault)
{
    const agate_op_info *info = agate_node_info(node);

    if (node->operand_count < info->operand_min || node->operand_count > info->operand_max) {
        agate_text_add(fault, "%s takes ", info->name);
        print_count(info, fault);
        return agate_fault(fault, ", not %d", node->operand_count);
    }
    for (int32_t i = 0; i < node->operand_count; i++)
        if (!agate_type_check(agate_operand_type(node, i), fault))
            return agate_fault(fault, " (operand %d)", i);
    if (info->infer) {
        assert(node->result_count == 1);
        return info->infer(node, out_type, fault) && agate_type_check(out_type, fault);
    }
    if (node->result_count > 0)
        *out_type = node->results[0].type;
    return true;
}

/* ---- pointwise ----------------------------------------------------------------------------------------- */

/* The blocked layout among the operands, if any. An operand of another layout must be one that is broadcast
 * and plain. */
static bool join_layouts(const agate_node *node, agate_type *type, agate_text *fault)
{
    type->layout = AGATE_PLAIN;
    for (int32_t i = 0; i < node->operand_count; i++)
        if (agate_operand_type(node, i)->layout.kind != AGATE_LAYOUT_plain)
            type->layout = agate_layout_own(agate_operand_type(node, i)->layout);

    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_type *operand = agate_operand_type(node, i);
        bool equal = agate_layout_equal(operand->layout, type->layout);
        bool aligned = operand->layout.kind == AGATE_LAYOUT_plain || operand->rank == type->rank;
        bool broadcast = operand->layout.kind == AGATE_LAYOUT_plain && !agate_type_same_dims(operand, type);
        if (!aligned || (!equal && !broadcast))
            return agate_fault(fault, "the layout of operand %d does not go with the others: reorder it", i);
    }
    return true;
}

static agate_scalar_types types_of(agate_dtype dtype)
{
    return agate_is_float(dtype) ? AGATE_TYPES_F : dtype == AGATE_BOOL ? AGATE_TYPES_B : AGATE_TYPES_I;
}

AGATE_INFER(scalar)
{
    const agate_scalar_info *scalar = &agate_scalar_table[agate_op_scalar(node->op)];
    agate_type type = *agate_operand_type(node, 0);

    if (!(scalar->types & types_of(type.dtype)))
        return agate_fault(fault, "%s does not take %s", scalar->name, agate_dtype_name(type.dtype));
    for (int32_t i = 1; i < node->operand_count; i++) {
        const agate_type *operand = agate_operand_type(node, i);
        if (operand->dtype != type.dtype)
            return agate_fault(fault, "operand %d is %s, operand 0 %s", i, agate_dtype_name(operand->dtype),
                               agate_dtype_name(type.dtype));
        if (!agate_broadcast(&type, operand, &type)) {
            agate_text_add(fault, "shapes do not broadcast: ");
            agate_type_print(agate_operand_type(node, 0), fault);
            agate_text_add(fault, " and ");
            agate_type_print(operand, fault);
            return false;
        }
    }
    if (!join_layouts(node, &type, fault))
        return false;
    if (scalar->result == AGATE_RESULT_BOOL)
        type.dtype = AGATE_BOOL;
    *out_type = type;
    return true;
}

AGATE_INFER(cast)
{
    if (agate_dtype_size(node->attrs.cast.to) == 0)
        return agate_fault(fault, "cast needs the element type to cast to");
    *out_type = *agate_operand_type(node, 0);
    out_type->dtype = node->attrs.cast.to;
    out_type->layout = agate_layout_own(out_type->layout);
    return true;
}

/* ---- along one dimension ------------------------------------------------------------------------------- */

AGATE_INFER(softmax)
{
    *out_type = *agate_operand_type(node, 0);
    out_type->layout = agate_layout_own(out_type->layout);
    if (!agate_is_float(out_type->dtype))
        return agate_fault(fault, "softmax takes floats, not %s", agate_dtype_name(out_type->dtype));
    return agate_infer_axis(node->attrs.axis.axis, out_type->rank, fault);
}

AGATE_INFER(batch_norm)
{
    static const char *const names[] = {"x", "scale", "bias", "mean", "variance"};
    const agate_type *x = agate_operand_type(node, 0);

    if (x->rank < 2 || !agate_is_float(x->dtype))
        return agate_fault(fault, "batch_norm takes floats of rank 2 or more");
    for (int32_t i = 1; i < node->operand_count; i++) {
        const agate_type *statistic = agate_operand_type(node, i);
        if (statistic->rank != 1 || !agate_dim_equal(statistic->dims[0], x->dims[1]) ||
            statistic->dtype != x->dtype) {
            agate_text_add(fault, "%s must be %s[", names[i], agate_dtype_name(x->dtype));
            agate_dim_print(x->dims[1], fault);
            return agate_fault(fault, "], one for each channel");
        }
    }
    *out_type = *x;
    out_type->layout = agate_layout_own(out_type->layout);
    return true;
}

/* ---- reductions ---------------------------------------------------------------------------------------- */

/* Drops dimension `axis` of `type`, or makes it 1. */
static void reduce_dim(agate_type *type, int32_t axis, bool keep)
{
    if (keep) {
        type->dims[axis] = agate_dim_fixed(1);
        return;
    }
    type->rank--;
    for (int32_t i = axis; i < type->rank; i++)
        type->dims[i] = type->dims[i + 1];
    type->dims[type->rank] = (agate_dim){0, 0};
}

AGATE_INFER(reduce)
{
    const agate_attrs_reduce *attrs = &node->attrs.reduce;
    agate_type type = *agate_operand_type(node, 0);
    int32_t rank = type.rank;

    if (type.dtype == AGATE_BOOL)
        return agate_fault(fault, "%s takes numbers, not bool", agate_node_info(node)->name);
    if (attrs->axes.count == 0 && rank > 0)
        return agate_fault(fault, "axes names no dimension to reduce");
    for (int32_t i = attrs->axes.count - 1; i >= 0; i--) {
        int64_t axis = attrs->axes.v[i];
        if (!agate_infer_axis(axis, rank, fault))
            return false;
        if (i > 0 && attrs->axes.v[i - 1] >= axis)
            return agate_fault(fault, "axes must ascend");
        reduce_dim(&type, (int32_t)axis, attrs->keep);
    }
    type.layout = agate_infer_layout(node, attrs->keep ? type.layout : AGATE_PLAIN);
    *out_type = type;
    return true;
}

AGATE_INFER(arg)
{
    const agate_attrs_arg *attrs = &node->attrs.arg;
    agate_type type = *agate_operand_type(node, 0);

    if (type.dtype == AGATE_BOOL)
        return agate_fault(fault, "%s takes numbers, not bool", agate_node_info(node)->name);
    if (!agate_infer_axis(attrs->axis, type.rank, fault))
        return false;
    if (agate_dim_is(type.dims[attrs->axis], 0))
        return agate_fault(fault, "dimension %lld is empty and has no extreme element",
                           (long long)attrs->axis);
    reduce_dim(&type, (int32_t)attrs->axis, attrs->keep);
    type.dtype = AGATE_I64;
    type.layout = agate_infer_layout(node, AGATE_PLAIN);
    *out_type = type;
    return true;
}
