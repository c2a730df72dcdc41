/* rewrite.c: what the passes share. */
#include "passes/rewrite.h"

#define ORIGIN_LIMIT 400 /* bytes: enough to find the nodes again, and joining stays linear */

/* ---- constants ---------------------------------------------------------------------------------------- */

/* Elements of a fixed type; -1 where it is not fixed. */
static int64_t fixed_count(const agate_type *type)
{
    agate_dim count;
    return agate_type_count(type, &count) && agate_dim_is_fixed(count) ? count.offset : -1;
}

bool agate_constant_splat(const agate_value *value, double *out_number)
{
    const agate_data *data = agate_value_data(value);
    int64_t count = data ? fixed_count(&value->type) : 0;

    if (count <= 0)
        return false;
    double number = agate_data_at(data, value->type.dtype, 0);
    for (int64_t i = 0; i < count; i++)
        if (!(agate_data_at(data, value->type.dtype, i) == number))
            return false;
    *out_number = number;
    return true;
}

bool agate_constant_along(const agate_value *value, const agate_type *type, int32_t axis, double *out_numbers)
{
    const agate_data *data = agate_value_data(value);
    int32_t lead = type->rank - value->type.rank;

    if (!data || lead < 0 || !agate_dim_is_fixed(type->dims[axis]))
        return false;
    for (int32_t i = 0; i < value->type.rank; i++) {
        bool varies = !agate_dim_is(value->type.dims[i], 1);
        if (varies && (lead + i != axis || !agate_dim_equal(value->type.dims[i], type->dims[axis])))
            return false;
    }
    int64_t count = fixed_count(&value->type);
    for (int64_t i = 0; i < type->dims[axis].offset; i++)
        out_numbers[i] = agate_data_at(data, value->type.dtype, count == 1 ? 0 : i);
    return true;
}

void agate_floats_read(const void *bytes, agate_dtype dtype, int64_t start, int64_t count,
                       double *out_numbers)
{
    const uint16_t *halves = (const uint16_t *)bytes + start;

    assert(agate_is_float(dtype));
    if (dtype == AGATE_F32)
        for (int64_t i = 0; i < count; i++)
            out_numbers[i] = ((const float *)bytes)[start + i];
    else if (dtype == AGATE_F64)
        memcpy(out_numbers, (const double *)bytes + start, sizeof *out_numbers * (size_t)count);
    else
        for (int64_t i = 0; i < count; i++)
            out_numbers[i] = dtype == AGATE_F16 ? agate_f16_to_f32(halves[i]) : agate_bf16_to_f32(halves[i]);
}

void agate_floats_write(void *bytes, agate_dtype dtype, int64_t start, int64_t count, const double *numbers)
{
    uint16_t *halves = (uint16_t *)bytes + start;

    assert(agate_is_float(dtype));
    if (dtype == AGATE_F32)
        for (int64_t i = 0; i < count; i++)
            ((float *)bytes)[start + i] = (float)numbers[i];
    else if (dtype == AGATE_F64)
        memcpy((double *)bytes + start, numbers, sizeof *numbers * (size_t)count);
    else
        for (int64_t i = 0; i < count; i++)
            halves[i] = dtype == AGATE_F16 ? agate_f32_to_f16((float)numbers[i])
                                           : agate_f32_to_bf16((float)numbers[i]);
}

agate_value *agate_build_floats(agate_node *before, const agate_type *type, const double *numbers,
                                const char *label)
{
    int64_t count = fixed_count(type);
    agate_data *data = count >= 0 ? agate_data_create((size_t)count * agate_dtype_size(type->dtype)) : NULL;

    if (!data)
        return NULL;
    agate_floats_write((void *)data->bytes, type->dtype, 0, count, numbers);
    return agate_build_constant(before->graph, before, type, data, label);
}

const char *agate_label_stem(agate_arena *arena, const char *label)
{
    size_t length = label ? strlen(label) : 0;

    for (size_t i = length; i-- > 1;)
        if (label[i] == '.' || label[i] == '/')
            return agate_arena_format(arena, "%.*s", (int)i, label);
    return label;
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

agate_value *agate_rebuild(agate_node *node, agate_op op, const agate_attrs *attrs,
                           agate_value *const *operands, int32_t operand_count)
{
    agate_value *value = agate_build(node->graph, node, op, attrs, operands, operand_count);
    value->node->origin = node->origin;
    return value;
}

/* Is `part` one of the origins, or some of them in a row, that `origin` joins? */
static bool has_origin(const char *origin, const char *part)
{
    size_t length = strlen(part);

    for (const char *at = origin; (at = strstr(at, part)); at++)
        if ((at == origin || at[-1] == '+') && (at[length] == '+' || at[length] == 0))
            return true;
    return false;
}

void agate_take_origin(agate_node *node, const agate_node *from)
{
    if (!from->origin || (node->origin && has_origin(node->origin, from->origin)))
        return;
    if (!node->origin || strlen(node->origin) < ORIGIN_LIMIT)
        agate_node_merge_origin(node, from);
}

static bool is_unused(const agate_node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        if (node->results[i].use_count > 0)
            return false;
    return !agate_node_has(node, AGATE_TERMINATOR);
}

bool agate_sweep(agate_node *node)
{
    if (!is_unused(node))
        return false;

    /* A stack threaded through the removed nodes, whose memory stays until the graph goes; `graph` NULL marks
     * them. */
    agate_node_remove(node);
    node->graph = NULL;
    node->next = NULL;
    for (agate_node *stack = node; stack;) {
        agate_node *gone = stack;
        stack = gone->next;
        for (int32_t i = 0; i < gone->operand_count; i++) {
            agate_node *maker = gone->operands[i]->node;
            if (!maker || !maker->graph || !is_unused(maker))
                continue;
            agate_node_remove(maker);
            maker->graph = NULL;
            maker->next = stack;
            stack = maker;
        }
    }
    return true;
}

void agate_replace(agate_node *node, agate_value *with)
{
    agate_value_replace(agate_result(node), with);
    agate_sweep(node);
}
