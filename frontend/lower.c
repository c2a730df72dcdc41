/* lower.c: building core nodes for an ONNX node. */
#include "frontend/views.h"
#include "ir/narrow.h"

#include <inttypes.h>

/* What one model may become: enough for any network, and a bound on what a hostile one costs. */
#define MAX_NODES ((int64_t)1 << 20)

static bool within_limit(agate_call *call, const agate_type *type)
{
    agate_dim size, most;
    bool sane = true;
    for (int32_t i = 0; i < type->rank; i++)
        sane = sane && type->dims[i].scale <= AGATE_MAX_EXTENT && type->dims[i].offset <= AGATE_MAX_EXTENT;
    if (sane && agate_type_size(type, &size) && agate_dim_add(size, agate_dim_fixed(size.scale), &most) &&
        most.offset >= 0 && (uint64_t)most.offset <= call->importer->limit_bytes)
        return true;
    agate_text text = {0};
    agate_type_print(type, &text);
    agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY,
                     "its result %s exceeds the limit of %zu bytes for one tensor", agate_text_c(&text),
                     call->importer->limit_bytes);
    agate_text_deinit(&text);
    return false;
}

/* Types `node`. On a fault the node is taken out. */
static bool settle_type(agate_call *call, agate_node *node)
{
    agate_text fault = {0};
    bool good = agate_node_infer(node, &fault);
    if (!good)
        agate_call_invalid(call, "%s", agate_text_c(&fault));
    agate_text_deinit(&fault);
    good = good && within_limit(call, &agate_result(node)->type);
    if (!good)
        agate_node_remove(node);
    return good;
}

/* The constant that `node` amounts to; NULL with the node still there where it stays, or taken out after a
 * fault. */
static agate_value *settle_constant(agate_call *call, agate_node *node)
{
    const bool must = agate_must_fold(node);
    if (!must && !agate_may_fold(node))
        return NULL;
    agate_text fault = {0};
    agate_value *value = agate_fold(call, node, &fault);
    if (!value && must) {
        const char *batch = call->importer->batch_name;
        agate_call_unsupported(call, "%s; give the batch a fixed size (%s%s=1)", agate_text_c(&fault),
                               batch ? "--dim " : "when exporting the model, batch", batch ? batch : "");
    }
    agate_text_deinit(&fault);
    if (value || must)
        agate_node_remove(node);
    return value;
}

agate_value *agate_lower(agate_call *call, agate_op op, const agate_attrs *attrs,
                         agate_value *const *operands, int32_t operand_count)
{
    agate_importer *importer = call->importer;
    for (int32_t i = 0; i < operand_count; i++)
        if (!operands[i])
            return NULL;
    if (call->faulty)
        return NULL;
    if (importer->node_count++ >= MAX_NODES) {
        agate_call_unsupported(call, "the model has more than %" PRId64 " operations", MAX_NODES);
        return NULL;
    }
    agate_value *viewed;
    if (agate_view_lower(call, op, attrs, operands, operand_count, &viewed))
        return viewed;
    agate_node *node = agate_node_create(importer->graph, NULL, op, operands, operand_count, 1);
    if (attrs)
        node->attrs = *attrs;
    node->origin = call->name;
    if (!settle_type(call, node))
        return NULL;
    agate_value *constant = settle_constant(call, node);
    return constant ? constant : call->faulty ? NULL : agate_result(node);
}

agate_value *agate_lower1(agate_call *call, agate_op op, agate_value *a)
{
    return agate_lower(call, op, NULL, &a, 1);
}

agate_value *agate_lower2(agate_call *call, agate_op op, agate_value *a, agate_value *b)
{
    return agate_lower(call, op, NULL, (agate_value *[]){a, b}, 2);
}

/* ---- shorthands ------------------------------------------------------------------------------------------
 */

static bool has_shape(const agate_value *value, int32_t rank, const agate_dim *dims)
{
    if (value->type.rank != rank)
        return false;
    for (int32_t i = 0; i < rank; i++)
        if (!agate_dim_equal(value->type.dims[i], dims[i]))
            return false;
    return true;
}

/* `op` (reshape or expand) to a shape; nothing where the shape is that already. */
static agate_value *emit_shaped(agate_call *call, agate_op op, agate_value *value, int32_t rank,
                                const agate_dim *dims)
{
    if (!value || has_shape(value, rank, dims))
        return value;
    if (rank > AGATE_MAX_RANK) {
        agate_call_unsupported(call, "it needs a tensor of %d dimensions; at most %d are supported", rank,
                               AGATE_MAX_RANK);
        return NULL;
    }
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_shape, &attrs);
    attrs.shape.shape.count = rank;
    for (int32_t i = 0; i < rank; i++)
        attrs.shape.shape.v[i] = dims[i];
    return agate_lower(call, op, &attrs, &value, 1);
}

agate_value *agate_lower_reshape(agate_call *call, agate_value *value, int32_t rank, const agate_dim *dims)
{
    return emit_shaped(call, AGATE_OP_reshape, value, rank, dims);
}

agate_value *agate_lower_expand(agate_call *call, agate_value *value, int32_t rank, const agate_dim *dims)
{
    return emit_shaped(call, AGATE_OP_expand, value, rank, dims);
}

agate_value *agate_lower_transpose(agate_call *call, agate_value *value, const int64_t *perm)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_perm, &attrs);
    if (!value)
        return NULL;
    attrs.perm.perm.count = value->type.rank;
    for (int32_t i = 0; i < value->type.rank; i++)
        attrs.perm.perm.v[i] = perm[i];
    return agate_lower(call, AGATE_OP_transpose, &attrs, &value, 1);
}

agate_value *agate_lower_cast(agate_call *call, agate_value *value, agate_dtype dtype)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = dtype;
    if (!value || value->type.dtype == dtype)
        return value;
    return agate_lower(call, AGATE_OP_cast, &attrs, &value, 1);
}

agate_value *agate_lower_widened(agate_call *call, agate_value *value)
{
    return value && agate_is_half(value) ? agate_lower_cast(call, value, AGATE_F32) : value;
}

agate_value *agate_lower_reduce(agate_call *call, agate_op op, agate_value *value, const agate_ints *axes,
                                bool keep)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_reduce, &attrs);
    attrs.reduce.axes = *axes;
    attrs.reduce.keep = keep;
    return agate_lower(call, op, &attrs, &value, 1);
}

/* ---- constants -------------------------------------------------------------------------------------------
 */

/* A constant of more elements gets a name instead of being printed whole; so do lists of floats. */
#define MAX_PRINTED_ELEMENTS 16

agate_value *agate_import_data(agate_graph *graph, const agate_type *type, agate_data *data, const char *name)
{
    agate_dim count = {0, 0};
    agate_type_count(type, &count);
    const bool named = count.offset > (agate_is_float(type->dtype) ? 1 : MAX_PRINTED_ELEMENTS);
    return agate_build_constant(graph, NULL, type, data, named ? name : NULL);
}

bool agate_importer_charge(agate_importer *importer, size_t size_bytes)
{
    if (size_bytes > importer->limit_bytes - importer->made_bytes)
        return false;
    importer->made_bytes += size_bytes;
    return true;
}

agate_value *agate_lower_data(agate_call *call, const agate_type *type, agate_data *data)
{
    if (!data) {
        agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY, "no memory for a constant");
        return NULL;
    }
    if (!agate_importer_charge(call->importer, data->size_bytes)) {
        agate_data_release(data);
        agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY,
                         "the constants that the model computes exceed %zu bytes in all",
                         call->importer->limit_bytes);
        return NULL;
    }
    agate_value *value = agate_import_data(call->importer->graph, type, data, call->name);
    value->node->origin = call->name;
    call->importer->node_count++;
    return value;
}

agate_value *agate_lower_scalar(agate_call *call, agate_dtype dtype, double number)
{
    if (call->faulty)
        return NULL;
    agate_value *value = agate_build_scalar(call->importer->graph, NULL, dtype, number);
    if (!value) {
        agate_call_fault(call, AGATE_CODE_OUT_OF_MEMORY, "no memory for a constant");
        return NULL;
    }
    value->node->origin = call->name;
    return value;
}

agate_value *agate_lower_count(agate_call *call, agate_dim count)
{
    if (call->faulty)
        return NULL;
    if (!agate_dim_is_fixed(count)) {
        agate_call_unsupported(call, "it counts along a dimension that depends on the batch");
        return NULL;
    }
    const agate_type type = {.dtype = AGATE_I64, .rank = 1, .dims = {count}};
    const size_t size_bytes = (size_t)count.offset * sizeof(int64_t);
    agate_data *data = size_bytes <= call->importer->limit_bytes ? agate_data_create(size_bytes) : NULL;
    for (int64_t i = 0; data && i < count.offset; i++)
        ((int64_t *)data->bytes)[i] = i;
    return agate_lower_data(call, &type, data);
}

agate_value *agate_lower_with(agate_call *call, agate_op op, agate_value *value, double number)
{
    return value ? agate_lower2(call, op, value, agate_lower_scalar(call, value->type.dtype, number)) : NULL;
}
