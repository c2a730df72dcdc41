/* contents.c: what is known of the elements of values while importing: constants, and symbolic constants,
 * whose elements are numbers scale*N + offset. */
#include "frontend/importer.h"

#include <inttypes.h>

/* Results of more elements, and folds that cost more steps, are left to the passes. */
#define MAX_FOLDED_ELEMENTS 64
#define MAX_FOLDED_FLOATS   16
#define MAX_FOLDED_STEPS    (1 << 20)

/* Beside a symbolic constant; agate_value::scratch points to it. In the importer's arena. */
typedef struct symbolic {
    int64_t count;
    agate_dim elements[];
} symbolic;

static const symbolic *symbolic_of(const agate_value *value)
{
    return (const symbolic *)(intptr_t)value->scratch;
}

bool agate_is_symbolic(const agate_value *value)
{
    return value->node && value->scratch != 0; /* a view has no node */
}

static int64_t element_count(const agate_type *type)
{
    agate_dim count;
    return agate_type_is_fixed(type) && agate_type_count(type, &count) ? count.offset : INT64_MAX;
}

/* Element `index` of a constant as a number that may follow the batch; false where it is no whole number. */
static bool element_at(const agate_value *value, int64_t index, agate_dim *out_dim)
{
    const agate_data *data = agate_value_data(value);
    if (agate_is_symbolic(value)) {
        *out_dim = symbolic_of(value)->elements[index];
        return true;
    }
    if (value->type.dtype == AGATE_I64) {
        int64_t whole;
        if (!agate_data_read(data, (size_t)index * sizeof whole, sizeof whole, &whole))
            return false;
        *out_dim = agate_dim_fixed(whole);
        return true;
    }
    const double number = agate_data_at(data, value->type.dtype, index);
    if (!(number > -0x1p53 && number < 0x1p53) || (double)(int64_t)number != number)
        return false;
    *out_dim = agate_dim_fixed((int64_t)number);
    return true;
}

/* ---- running a reference kernel ---------------------------------------------------------------------------
 */

static agate_tensor tensor_of(const agate_type *type, agate_dtype dtype, const void *bytes)
{
    agate_tensor tensor = {.dtype = dtype, .rank = type->rank, .data = (void *)bytes};
    for (int32_t i = 0; i < type->rank; i++)
        tensor.dims[i] = type->dims[i].offset;
    agate_tensor_size(dtype, type->rank, tensor.dims, &tensor.size_bytes);
    return tensor;
}

/* The kernel of `node` over these operands into `result`. */
static bool run(agate_importer *importer, const agate_node *node, const agate_tensor *operands,
                agate_tensor *result, agate_text *fault)
{
    const agate_op_info *info = agate_node_info(node);
    const agate_tensor **inputs = AGATE_NEW_N(importer->arena, const agate_tensor *, node->operand_count);
    for (int32_t i = 0; i < node->operand_count; i++)
        inputs[i] = &operands[i];
    const agate_ref_call call = {
        .attrs = &node->attrs,
        .input_count = node->operand_count,
        .output_count = 1,
        .inputs = inputs,
        .outputs = (agate_tensor *const[]){result},
        .variant = info->family == AGATE_FAMILY_pointwise ? (int32_t)agate_op_scalar(node->op) : 0,
    };
    agate_status status = info->reference(&call);
    if (!status)
        return true;
    agate_text_add(fault, "%s", agate_status_message(status));
    agate_status_release(status);
    return false;
}

static agate_value *fold_numbers(agate_call *call, agate_node *node, agate_text *fault)
{
    agate_importer *importer = call->importer;
    const agate_type *type = &agate_result(node)->type;
    agate_tensor *operands = AGATE_NEW_N(importer->arena, agate_tensor, node->operand_count);
    bool known = true;
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        operands[i] =
            tensor_of(&operand->type, operand->type.dtype, agate_data_bytes(agate_value_data(operand)));
        known = known && operands[i].data;
    }
    agate_tensor result = tensor_of(type, type->dtype, NULL);
    agate_data *data = known ? agate_data_create(result.size_bytes) : NULL;
    if (!data) {
        agate_text_add(fault, "no memory");
        return NULL;
    }
    result.data = (void *)data->bytes;
    if (!run(importer, node, operands, &result, fault)) {
        agate_data_release(data);
        return NULL;
    }
    return agate_lower_data(call, type, data);
}

/* ---- making symbolic constants ------------------------------------------------------------------------- */

agate_data *agate_import_convert(const agate_type *type, agate_dtype from, const void *numbers)
{
    const agate_tensor source = tensor_of(type, from, numbers);
    agate_tensor result = tensor_of(type, type->dtype, NULL);
    agate_data *data = agate_data_create(result.size_bytes);
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = type->dtype;
    if (!data)
        return NULL;
    result.data = (void *)data->bytes;
    const agate_ref_call call = {.attrs = &attrs,
                                 .input_count = 1,
                                 .output_count = 1,
                                 .inputs = (const agate_tensor *const[]){&source},
                                 .outputs = (agate_tensor *const[]){&result}};
    agate_status_release(agate_op_table[AGATE_OP_cast].reference(&call)); /* takes every pair of dtypes */
    return data;
}

/* Whole numbers as data of any dtype; N counts as 0. */
static agate_data *numbers_data(agate_arena *arena, const agate_type *type, const agate_dim *elements,
                                int64_t count)
{
    int64_t *numbers = AGATE_NEW_N(arena, int64_t, count);
    for (int64_t i = 0; i < count; i++)
        numbers[i] = elements[i].offset;
    return agate_import_convert(type, AGATE_I64, numbers);
}

/* A constant of these elements: symbolic where one of them follows the batch. */
static agate_value *emit_elements(agate_call *call, const agate_type *type, const agate_dim *elements,
                                  int64_t count)
{
    bool fixed = true;
    for (int64_t i = 0; i < count; i++)
        fixed = fixed && agate_dim_is_fixed(elements[i]);
    agate_value *value =
        agate_lower_data(call, type, numbers_data(call->importer->arena, type, elements, count));
    if (!value || fixed)
        return value;
    symbolic *known =
        agate_arena_alloc(call->importer->arena, sizeof(*known) + sizeof(agate_dim) * (size_t)count);
    known->count = count;
    memcpy(known->elements, elements, sizeof(agate_dim) * (size_t)count);
    value->scratch = (int64_t)(intptr_t)known;
    return value;
}

agate_value *agate_lower_dims(agate_call *call, int32_t rank, const agate_dim *dims, int32_t count)
{
    const agate_dim size = agate_dim_fixed(count);
    const agate_type type = agate_type_make(AGATE_I64, rank, &size);
    return call->faulty ? NULL : emit_elements(call, &type, dims, count);
}

/* ---- folding over symbolic constants ------------------------------------------------------------------- */

/* The signs that s*N + o can take for batches N of 1 and more, as a range. */
static bool sign_range(agate_dim dim, int *out_least, int *out_greatest)
{
    int64_t first;
    if (__builtin_add_overflow(dim.scale, dim.offset, &first))
        return false;
    const int at_first = (first > 0) - (first < 0), slope = (dim.scale > 0) - (dim.scale < 0);
    *out_least = slope < at_first && slope != 0 ? slope : at_first;
    *out_greatest = slope > at_first && slope != 0 ? slope : at_first;
    return true;
}

static bool difference(agate_dim a, agate_dim b, agate_dim *out_dim)
{
    agate_dim minus;
    return agate_dim_mul(b, agate_dim_fixed(-1), &minus) && agate_dim_add(a, minus, out_dim);
}

/* Is `op` (a comparison) true of a and b for every batch (1), for none (0), or for some (-1)? */
static int compare(agate_op op, agate_dim a, agate_dim b)
{
    agate_dim minus;
    int least, greatest;
    if (!difference(a, b, &minus) || !sign_range(minus, &least, &greatest))
        return -1;
    switch (op) {
    case AGATE_OP_equal:
        return least == 0 && greatest == 0 ? 1 : least > 0 || greatest < 0 ? 0 : -1;
    case AGATE_OP_less:
        return greatest < 0 ? 1 : least >= 0 ? 0 : -1;
    case AGATE_OP_less_equal:
        return greatest <= 0 ? 1 : least > 0 ? 0 : -1;
    case AGATE_OP_greater:
        return least > 0 ? 1 : greatest <= 0 ? 0 : -1;
    case AGATE_OP_greater_equal:
        return least >= 0 ? 1 : greatest < 0 ? 0 : -1;
    default:
        return -1;
    }
}

/* A scalar op on whole numbers; false where the result is none, or not known for every batch. */
static bool apply(agate_op op, const agate_dim *in, agate_dim *out)
{
    int truth;
    switch (op) {
    case AGATE_OP_add:
        return agate_dim_add(in[0], in[1], out);
    case AGATE_OP_sub:
        return difference(in[0], in[1], out);
    case AGATE_OP_mul:
        return agate_dim_mul(in[0], in[1], out);
    case AGATE_OP_div:
        return agate_dim_div(in[0], in[1], out);
    case AGATE_OP_neg:
        return agate_dim_mul(in[0], agate_dim_fixed(-1), out);
    case AGATE_OP_floor:
    case AGATE_OP_ceil:
    case AGATE_OP_round:
        *out = in[0];
        return true;
    case AGATE_OP_max:
    case AGATE_OP_min:
        truth = compare(AGATE_OP_greater_equal, in[0], in[1]);
        *out = in[truth == (op == AGATE_OP_max) ? 0 : 1];
        return truth >= 0;
    case AGATE_OP_select:
        *out = in[in[0].offset ? 1 : 2];
        return agate_dim_is_fixed(in[0]);
    default:
        truth = compare(op, in[0], in[1]);
        *out = agate_dim_fixed(truth);
        return truth >= 0;
    }
}

/* Where element `index` of a tensor of type `result` lies in one of type `operand` that is broadcast to it.
 */
static int64_t broadcast_index(const agate_type *result, const agate_type *operand, int64_t index)
{
    int64_t at = 0, stride = 1;
    for (int32_t i = 1; i <= operand->rank; i++) { /* from the innermost dimension outwards */
        const int64_t size = operand->dims[operand->rank - i].offset,
                      extent = result->dims[result->rank - i].offset;
        at += size == 1 ? 0 : index % extent * stride;
        stride *= size;
        index /= extent;
    }
    return at;
}

static bool fold_pointwise(const agate_node *node, const agate_type *type, agate_dim *out_elements,
                           int64_t count)
{
    agate_dim in[3];
    for (int64_t i = 0; i < count; i++) {
        for (int32_t k = 0; k < node->operand_count; k++) {
            const agate_value *operand = node->operands[k];
            if (!element_at(operand, broadcast_index(type, &operand->type, i), &in[k]))
                return false;
        }
        if (!apply(node->op, in, &out_elements[i]))
            return false;
    }
    return true;
}

/* A sum or product over a whole vector. */
static bool fold_reduce(const agate_node *node, agate_dim *out_elements, int64_t count)
{
    const agate_value *operand = node->operands[0];
    const bool product = node->op == AGATE_OP_reduce_prod;
    if (count != 1 || (!product && node->op != AGATE_OP_reduce_sum))
        return false;
    agate_dim total = agate_dim_fixed(product), element;
    for (int64_t i = 0; i < element_count(&operand->type); i++)
        if (!element_at(operand, i, &element) ||
            !(product ? agate_dim_mul(total, element, &total) : agate_dim_add(total, element, &total)))
            return false;
    out_elements[0] = total;
    return true;
}

/* An index map moves scales and offsets alike, so its own kernel runs once over each. */
static bool fold_move(agate_importer *importer, const agate_node *node, const agate_type *type,
                      agate_dim *out_elements, int64_t count, agate_text *fault)
{
    int64_t *result = AGATE_NEW_N(importer->arena, int64_t, count);
    for (int part = 0; part < 2; part++) {
        agate_tensor *operands = AGATE_NEW_N(importer->arena, agate_tensor, node->operand_count);
        for (int32_t k = 0; k < node->operand_count; k++) {
            const agate_value *operand = node->operands[k];
            if (node->op == AGATE_OP_gather && k == 1) { /* indices, not what is moved */
                operands[k] = tensor_of(&operand->type, operand->type.dtype,
                                        agate_data_bytes(agate_value_data(operand)));
                if (agate_is_symbolic(operand) || !operands[k].data)
                    return false;
                continue;
            }
            int64_t *numbers = AGATE_NEW_N(importer->arena, int64_t, element_count(&operand->type));
            agate_dim element;
            for (int64_t i = 0; i < element_count(&operand->type); i++) {
                if (!element_at(operand, i, &element))
                    return false;
                numbers[i] = part ? element.offset : element.scale;
            }
            operands[k] = tensor_of(&operand->type, AGATE_I64, numbers);
        }
        agate_tensor to = tensor_of(type, AGATE_I64, result);
        if (!run(importer, node, operands, &to, fault))
            return false;
        for (int64_t i = 0; i < count; i++)
            *(part ? &out_elements[i].offset : &out_elements[i].scale) = result[i];
    }
    return true;
}

static agate_value *fold_symbolic(agate_call *call, agate_node *node, agate_text *fault)
{
    const agate_op_info *info = agate_node_info(node);
    const agate_type *type = &agate_result(node)->type;
    const int64_t count = element_count(type);
    agate_dim *elements = AGATE_NEW_N(call->importer->arena, agate_dim, count);
    bool good = false;

    if (info->family == AGATE_FAMILY_pointwise)
        good = fold_pointwise(node, type, elements, count);
    else if (info->family == AGATE_FAMILY_reduce)
        good = fold_reduce(node, elements, count);
    else if (info->family == AGATE_FAMILY_cast)
        for (int64_t i = 0; i < count; i++)
            good = element_at(node->operands[0], i, &elements[i]);
    else if ((info->family == AGATE_FAMILY_move || info->family == AGATE_FAMILY_view) &&
             node->op != AGATE_OP_pad)
        good = fold_move(call->importer, node, type, elements, count, fault);
    if (!good)
        agate_text_add(fault,
                       "it computes %s of a number that follows the batch, which is not known before the "
                       "model runs",
                       info->name);
    return good ? emit_elements(call, type, elements, count) : NULL;
}

/* What shapes are computed with. Windows and products are not, and cost more than their elements tell. */
static bool is_shape_work(agate_family family)
{
    return family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_cast || family == AGATE_FAMILY_reduce ||
           family == AGATE_FAMILY_move || family == AGATE_FAMILY_view;
}

bool agate_may_fold(const agate_node *node)
{
    const agate_op_info *info = agate_node_info(node);
    const int64_t count = element_count(&node->results[0].type);
    int64_t steps = count;

    if (!info->reference || !is_shape_work(info->family) || count > MAX_FOLDED_ELEMENTS)
        return false;
    for (int32_t i = 0; i < node->operand_count; i++) {
        /* Only what shapes are made of: work on the network's weights is for the passes. */
        const agate_value *operand = node->operands[i];
        const int64_t read = element_count(&operand->type);
        if (!agate_value_data(operand) || (agate_is_float(operand->type.dtype) && read > MAX_FOLDED_FLOATS))
            return false;
        if (read > MAX_FOLDED_STEPS || __builtin_add_overflow(steps, count * read, &steps))
            return false;
    }
    return steps <= MAX_FOLDED_STEPS;
}

bool agate_must_fold(const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (agate_is_symbolic(node->operands[i]))
            return true;
    return false;
}

agate_value *agate_fold(agate_call *call, agate_node *node, agate_text *fault)
{
    if (agate_may_fold(node))
        return agate_must_fold(node) ? fold_symbolic(call, node, fault) : fold_numbers(call, node, fault);
    agate_text_add(fault, "it uses a number that follows the batch as data");
    return NULL;
}

/* ---- what handlers ask -----------------------------------------------------------------------------------
 */

/* A constant operand and how many elements it has; NULL after a fault. */
static const agate_value *known_operand(agate_call *call, int32_t index, const char *what, int64_t *out_count)
{
    const agate_value *value = agate_call_operand(call, index);
    if (call->faulty)
        return NULL;
    if (!value) {
        agate_call_invalid(call, "its input %d (%s) is missing", index, what);
        return NULL;
    }
    if (!agate_value_data(value)) {
        agate_call_unsupported(
            call,
            "its input %d (%s) is computed from data while the model runs; it must be known at "
            "import (a constant, or made from shapes)",
            index, what);
        return NULL;
    }
    *out_count = element_count(&value->type);
    return value;
}

bool agate_call_dims(agate_call *call, int32_t index, const char *what, int32_t max, agate_dims *out_dims)
{
    int64_t count;
    const agate_value *value = known_operand(call, index, what, &count);
    memset(out_dims, 0, sizeof(*out_dims));
    if (!value)
        return false;
    if (value->type.rank > 1 || count > max || count > AGATE_MAX_RANK) {
        agate_call_unsupported(call, "its input %d (%s) has %" PRId64 " elements; at most %d are supported",
                               index, what, count, max < AGATE_MAX_RANK ? max : AGATE_MAX_RANK);
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        if (!element_at(value, i, &out_dims->v[i])) {
            agate_call_invalid(call, "element %" PRId64 " of its input %d (%s) is no whole number", i, index,
                               what);
            return false;
        }
    }
    out_dims->count = (int32_t)count;
    return true;
}

bool agate_call_ints(agate_call *call, int32_t index, const char *what, agate_ints *out_ints)
{
    int64_t count;
    const agate_value *value = known_operand(call, index, what, &count);
    memset(out_ints, 0, sizeof(*out_ints));
    if (!value)
        return false;
    if (value->type.rank > 1 || count > AGATE_MAX_INTS) {
        agate_call_unsupported(call, "its input %d (%s) has %" PRId64 " elements; at most %d are supported",
                               index, what, count, AGATE_MAX_INTS);
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        agate_dim element;
        if (!element_at(value, i, &element) || !agate_dim_is_fixed(element)) {
            agate_call_unsupported(
                call, "element %" PRId64 " of its input %d (%s) is no whole number known at import", i, index,
                what);
            return false;
        }
        out_ints->v[i] = element.offset;
    }
    out_ints->count = (int32_t)count;
    return true;
}

/* Is `number` the first element of `data`? Integers of 64 bits may have been rounded. */
static bool holds_exactly(double number, const agate_data *data, agate_dtype dtype)
{
    int64_t whole;
    if ((dtype != AGATE_I64 && dtype != AGATE_U64) || !agate_data_read(data, 0, sizeof(whole), &whole))
        return true;
    return dtype == AGATE_I64 ? number < 0x1p63 && (int64_t)number == whole
                              : number < 0x1p64 && (uint64_t)number == (uint64_t)whole;
}

bool agate_call_number(agate_call *call, int32_t index, const char *what, double *out_number)
{
    int64_t count;
    const agate_value *value = known_operand(call, index, what, &count);
    if (!value)
        return false;
    if (count != 1 || agate_is_symbolic(value)) {
        agate_call_unsupported(call, "its input %d (%s) must be one number known at import", index, what);
        return false;
    }
    const agate_data *data = agate_value_data(value);
    *out_number = agate_data_at(data, value->type.dtype, 0);
    if (!holds_exactly(*out_number, data, value->type.dtype))
        agate_call_unsupported(call, "its input %d (%s) has more than the 53 bits of a double", index, what);
    return !call->faulty;
}
