/* fold-constants: compute what has constant operands.
 *
 *     %0 = const 2 : f32[]
 *     %1 = const 3 : f32[]       ==>     %2 = const 6 : f32[]
 *     %2 = mul %0, %1
 *
 * By the reference kernels, so that folding and running agree. What would grow (an expand) is folded while it
 * and all constants together stay moderate: weights that a model makes from a few numbers can then be packed;
 * a hostile model cannot ask for more. Large transposes are not computed but noted. Needs types; breaks
 * nothing.
 */
#include "ir/reorder.h"
#include "passes/rewrite.h"

#define GROWN_BYTES (INT64_C(16) << 20) /* the largest result that may outgrow its operands */
#define TOTAL_BYTES (INT64_C(1) << 30)  /* of all constants, once some have grown */
#define LATER_BYTES 65536               /* transposes of as much are not computed here */
#define CONST_COUNT 16 /* up to so many elements print in place; more become a named weight */

static agate_tensor tensor_of(const agate_value *value, const agate_data *data)
{
    agate_tensor tensor = {.dtype = value->type.dtype, .rank = value->type.rank};

    for (int32_t i = 0; i < tensor.rank; i++)
        tensor.dims[i] = value->type.dims[i].offset;
    tensor.data = (void *)agate_data_bytes(data);
    tensor.size_bytes = data->size_bytes;
    return tensor;
}

static int64_t constant_bytes(const agate_graph *graph)
{
    int64_t total = 0;

    AGATE_EACH_NODE (node, graph)
        total += node->data ? (int64_t)node->data->size_bytes : 0;
    return total;
}

/* Are all operands known, and the result fixed and not too large beside `total` bytes of constants? */
static bool is_foldable(agate_pass *pass, const agate_node *node, int64_t total, size_t *out_size_bytes)
{
    size_t operand_bytes = 0;
    agate_dim size;

    if (node->operand_count == 0 || node->result_count != 1 || !agate_op_table[node->op].reference)
        return false;
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_data *data = agate_value_data(node->operands[i]);
        if (!data)
            return false;
        operand_bytes += data->size_bytes;
    }
    if (!agate_type_size(&node->results[0].type, &size) || !agate_dim_is_fixed(size))
        return false;
    bool grows = size.offset > (int64_t)operand_bytes;
    if (grows && (size.offset > GROWN_BYTES || total + size.offset > TOTAL_BYTES)) {
        agate_pass_remark(pass, node, "not folded: its %lld bytes outgrow the operands' %zu",
                          (long long)size.offset, operand_bytes);
        return false;
    }
    *out_size_bytes = (size_t)size.offset;
    return true;
}

/* A large transposed weight, as most heads of networks have one, can wait: packing it then reads the
 * original. */
static agate_data *transpose_later(const agate_node *node)
{
    const agate_value *operand = node->operands[0];
    int32_t perm[AGATE_MAX_RANK];

    for (int32_t d = 0; d < operand->type.rank; d++)
        perm[d] = (int32_t)node->attrs.perm.perm.v[d];
    return agate_data_transpose((agate_data *)agate_value_data(operand), &operand->type, perm,
                                &node->results[0].type);
}

/* The contents of the result; NULL: memory is short, or the data have no meaning (which the run will
 * report). */
static agate_data *compute(agate_pass *pass, agate_node *node, size_t size_bytes)
{
    if (agate_node_has(node, AGATE_VIEW))
        return agate_data_retain((agate_data *)agate_value_data(node->operands[0]));
    if (node->op == AGATE_OP_transpose && size_bytes >= LATER_BYTES)
        return transpose_later(node);

    agate_data *data = agate_data_create(size_bytes);
    if (!data)
        return NULL;
    agate_tensor *tensors = AGATE_NEW_N(pass->scratch, agate_tensor, node->operand_count);
    const agate_tensor **inputs = AGATE_NEW_N(pass->scratch, const agate_tensor *, node->operand_count);
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_data *operand = agate_value_data(node->operands[i]);
        if (!agate_data_bytes(operand)) {
            agate_data_release(data);
            return NULL;
        }
        tensors[i] = tensor_of(node->operands[i], operand);
        inputs[i] = &tensors[i];
    }
    agate_tensor output = tensor_of(agate_result(node), data), *outputs[] = {&output};
    agate_ref_call call = {.attrs = &node->attrs,
                           .input_count = node->operand_count,
                           .output_count = 1,
                           .inputs = inputs,
                           .outputs = outputs,
                           .variant =
                               agate_node_family(node) == AGATE_FAMILY_pointwise ? (int32_t)node->op : 0};
    agate_status status = agate_op_table[node->op].reference(&call);
    if (status == AGATE_OK)
        return data;
    agate_pass_remark(pass, node, "not folded: %s", agate_status_message(status));
    agate_status_release(status);
    agate_data_release(data);
    return NULL;
}

/* NULL where the elements can print in place; else a name that tells where the weight came from. */
static const char *label_of(agate_pass *pass, const agate_node *node)
{
    const agate_value *result = &node->results[0];
    agate_dim count;
    const char *label = NULL;

    for (int32_t i = 0; i < node->operand_count && !label; i++)
        label = node->operands[i]->node->label;
    if (!label && agate_type_count(&result->type, &count) && count.offset <= CONST_COUNT)
        return NULL;
    if (result->name)
        return result->name;
    if (label && agate_node_has(node, AGATE_VIEW))
        return label;
    return agate_arena_format(pass->scratch, "%s.%s", label ? label : "folded",
                              agate_op_table[node->op].name);
}

bool agate_pass_fold_constants(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;
    int64_t total = constant_bytes(graph);

    AGATE_EACH_NODE (node, graph) {
        size_t size_bytes;
        if (*pass->fuel == 0 || !is_foldable(pass, node, total, &size_bytes))
            continue;
        agate_data *data = compute(pass, node, size_bytes);
        if (!data)
            continue;
        agate_pass_spend(pass, node, "fold");
        agate_value *result =
            agate_build_constant(graph, node, &agate_result(node)->type, data, label_of(pass, node));
        result->node->origin = node->origin;
        agate_replace(node, result);
        total += (int64_t)size_bytes;
        changed = true;
    }
    return changed;
}
