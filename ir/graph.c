/* graph.c: building and editing the graph. Every edit is constant time, but for searching a value's uses. */
#include "ir/graph.h"
#include "ir/infer.h"

agate_graph *agate_graph_create(const char *name)
{
    agate_arena *arena = agate_arena_create();
    if (!arena)
        return NULL;
    agate_graph *graph = AGATE_NEW(arena, agate_graph);
    graph->arena = arena;
    graph->name = agate_arena_text(arena, name ? name : "main");
    return graph;
}

/* Data is the only thing of a graph that lives outside its arena. */
static void drop_data(agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph) {
        agate_data_release(node->data);
        if (node->body)
            drop_data(node->body);
    }
}

void agate_graph_release(agate_graph *graph)
{
    if (!graph)
        return;
    drop_data(graph);
    agate_arena_release(graph->arena);
}

agate_graph *agate_graph_create_body(agate_graph *parent)
{
    agate_graph *body = AGATE_NEW(parent->arena, agate_graph);
    body->arena = parent->arena;
    body->name = "body";
    return body;
}

agate_value *agate_graph_add_param(agate_graph *graph, const char *name, const agate_type *type)
{
    int32_t count = graph->param_count;

    if ((count & (count - 1)) == 0) { /* full at 0, 1, 2, 4, 8, ... */
        agate_value **params = AGATE_NEW_N(graph->arena, agate_value *, count ? 2 * count : 1);
        if (count)
            memcpy(params, graph->params, sizeof *params * (size_t)count);
        graph->params = params;
    }
    agate_value *param = AGATE_NEW(graph->arena, agate_value);
    param->type = *type;
    param->index = count;
    param->serial = graph->value_count++;
    param->name = agate_arena_text(graph->arena, name);
    graph->params[graph->param_count++] = param;
    return param;
}

/* ---- uses --------------------------------------------------------------------------------------------- */

static void add_use(agate_graph *graph, agate_value *value, agate_node *node, int32_t index)
{
    if (value->use_count == value->use_room) {
        int32_t room = value->use_room ? 2 * value->use_room : 2;
        agate_use *uses = AGATE_NEW_N(graph->arena, agate_use, room);
        if (value->use_count)
            memcpy(uses, value->uses, sizeof *uses * (size_t)value->use_count);
        value->uses = uses;
        value->use_room = room;
    }
    value->uses[value->use_count++] = (agate_use){node, index};
}

static void drop_use(agate_value *value, const agate_node *node, int32_t index)
{
    for (int32_t i = 0; i < value->use_count; i++) {
        if (value->uses[i].node == node && value->uses[i].index == index) {
            value->uses[i] = value->uses[--value->use_count];
            return;
        }
    }
    assert(!"a use that was never registered");
}

agate_use *agate_value_sole_use(agate_value *value)
{
    return value->use_count == 1 ? &value->uses[0] : NULL;
}

void agate_value_replace(agate_value *from, agate_value *to)
{
    assert(from != to);
    while (from->use_count > 0) {
        agate_use use = from->uses[from->use_count - 1];
        agate_node_set_operand(use.node, use.index, to);
    }
    if (!to->name)
        to->name = from->name;
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

static void link_before(agate_graph *graph, agate_node *node, agate_node *before)
{
    node->next = before;
    node->previous = before ? before->previous : graph->last;
    *(node->previous ? &node->previous->next : &graph->first) = node;
    *(before ? &before->previous : &graph->last) = node;
}

static void unlink_node(agate_node *node)
{
    agate_graph *graph = node->graph;
    *(node->previous ? &node->previous->next : &graph->first) = node->next;
    *(node->next ? &node->next->previous : &graph->last) = node->previous;
}

agate_node *agate_node_create(agate_graph *graph, agate_node *before, agate_op op,
                              agate_value *const *operands, int32_t operand_count, int32_t result_count)
{
    agate_node *node = AGATE_NEW(graph->arena, agate_node);
    node->op = op;
    node->graph = graph;
    agate_attrs_init(agate_op_table[op].attrs, &node->attrs);

    node->operand_count = operand_count;
    node->operands = AGATE_NEW_N(graph->arena, agate_value *, operand_count);
    for (int32_t i = 0; i < operand_count; i++) {
        node->operands[i] = operands[i];
        add_use(graph, operands[i], node, i);
    }
    node->result_count = result_count;
    node->results = AGATE_NEW_N(graph->arena, agate_value, result_count);
    for (int32_t i = 0; i < result_count; i++) {
        node->results[i].node = node;
        node->results[i].index = i;
        node->results[i].serial = graph->value_count++;
    }
    link_before(graph, node, before);
    return node;
}

bool agate_node_infer(agate_node *node, agate_text *fault)
{
    agate_type type;

    memset(&type, 0, sizeof type);
    if (!agate_infer_node(node, &type, fault))
        return false;
    if (node->result_count == 1)
        node->results[0].type = type;
    return true;
}

agate_node *agate_node_copy(agate_graph *graph, const agate_node *node, agate_value *const *operands)
{
    agate_node *copy =
        agate_node_create(graph, NULL, node->op, operands, node->operand_count, node->result_count);

    copy->attrs = node->attrs;
    copy->origin = node->origin;
    copy->label = node->label;
    copy->data = agate_data_retain(node->data);
    for (int32_t i = 0; i < node->result_count; i++)
        copy->results[i].type = node->results[i].type;
    return copy;
}

agate_value *agate_build(agate_graph *graph, agate_node *before, agate_op op, const agate_attrs *attrs,
                         agate_value *const *operands, int32_t operand_count)
{
    agate_node *node = agate_node_create(graph, before, op, operands, operand_count, 1);
    if (attrs)
        node->attrs = *attrs;

    agate_text fault = {0};
    bool good = agate_node_infer(node, &fault);
    assert(good && "agate_build: operands that do not fit");
    (void)good;
    agate_text_deinit(&fault);
    return agate_result(node);
}

agate_value *agate_build_constant(agate_graph *graph, agate_node *before, const agate_type *type,
                                  agate_data *data, const char *label)
{
    agate_node *node = agate_node_create(graph, before, label ? AGATE_OP_weight : AGATE_OP_const, NULL, 0, 1);
    node->label = agate_arena_text(graph->arena, label);
    node->data = data;
    agate_result(node)->type = *type;
    return agate_result(node);
}

agate_value *agate_build_scalar(agate_graph *graph, agate_node *before, agate_dtype dtype, double value)
{
    agate_type type = agate_type_make(dtype, 0, NULL);
    agate_data *data = agate_data_create(agate_dtype_size(dtype));
    double number = value;
    agate_tensor from = {.dtype = AGATE_F64, .data = &number, .size_bytes = sizeof number};
    agate_attrs attrs;

    if (!data)
        return NULL;
    agate_tensor to = {.dtype = dtype, .data = (void *)data->bytes, .size_bytes = data->size_bytes};
    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = dtype;
    agate_ref_call call = {.attrs = &attrs,
                           .input_count = 1,
                           .output_count = 1,
                           .inputs = (const agate_tensor *const[]){&from},
                           .outputs = (agate_tensor *const[]){&to}};
    agate_status status = agate_op_table[AGATE_OP_cast].reference(&call);
    assert(status == AGATE_OK);
    agate_status_release(status);
    return agate_build_constant(graph, before, &type, data, NULL);
}

void agate_node_set_operand(agate_node *node, int32_t index, agate_value *value)
{
    assert(index < node->operand_count);
    drop_use(node->operands[index], node, index);
    node->operands[index] = value;
    add_use(node->graph, value, node, index);
}

void agate_node_add_operand(agate_node *node, agate_value *value)
{
    agate_value **operands = AGATE_NEW_N(node->graph->arena, agate_value *, node->operand_count + 1);
    if (node->operand_count)
        memcpy(operands, node->operands, sizeof *operands * (size_t)node->operand_count);
    operands[node->operand_count] = value;
    node->operands = operands;
    add_use(node->graph, value, node, node->operand_count++);
}

void agate_node_remove_operand(agate_node *node, int32_t index)
{
    drop_use(node->operands[index], node, index);
    for (int32_t i = index + 1; i < node->operand_count; i++) {
        drop_use(node->operands[i], node, i);
        node->operands[i - 1] = node->operands[i];
        add_use(node->graph, node->operands[i], node, i - 1);
    }
    node->operand_count--;
}

void agate_node_move_before(agate_node *node, agate_node *before)
{
    assert(node != before);
    unlink_node(node);
    link_before(node->graph, node, before);
}

void agate_node_remove(agate_node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        assert(node->results[i].use_count == 0);
    for (int32_t i = 0; i < node->operand_count; i++)
        drop_use(node->operands[i], node, i);
    agate_data_release(node->data);
    if (node->body)
        drop_data(node->body);
    node->data = NULL;
    node->body = NULL;
    unlink_node(node);
}

const agate_data *agate_value_data(const agate_value *value)
{
    return value->node && agate_node_has(value->node, AGATE_CONSTANT) ? value->node->data : NULL;
}

void agate_node_merge_origin(agate_node *node, const agate_node *from)
{
    if (!from->origin || node == from)
        return;
    if (!node->origin)
        node->origin = from->origin;
    else if (strcmp(node->origin, from->origin) != 0)
        node->origin = agate_arena_format(node->graph->arena, "%s+%s", node->origin, from->origin);
}
