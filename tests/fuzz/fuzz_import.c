/* fuzz_import.c: any bytes to the importer, as a model and as a tensor; what imports must verify and print.
 *
 * Half of the mutations change bytes; the others unpack the model, put a telling number or another operator
 * somewhere and pack it again, which reaches far behind the wire format. */
#include <stdlib.h>

#include "frontend/import.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "onnx.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size_bytes, size_t room_bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes, size_t room_bytes, unsigned seed);

/* ---- mutation of messages --------------------------------------------------------------------------------
 */

static uint32_t draw(uint32_t *state, size_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return below ? (*state >> 8) % (uint32_t)below : 0;
}

static int64_t telling_number(uint32_t *state)
{
    static const int64_t numbers[] = {0,         1,         -1,        2,         3,
                                      4,         7,         8,         9,         16,
                                      255,       256,       65535,     1 << 20,   -2,
                                      -8,        INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
                                      1LL << 31, 1LL << 32, 1LL << 61, 1LL << 62, INT64_MAX - 1};
    return numbers[draw(state, AGATE_COUNT(numbers))];
}

static void mutate_numbers(int64_t *numbers, size_t count, uint32_t *state)
{
    if (count)
        numbers[draw(state, count)] = telling_number(state);
}

static void mutate_tensor(Onnx__TensorProto *tensor, uint32_t *state)
{
    switch (draw(state, 4)) {
    case 0:
        mutate_numbers(tensor->dims, tensor->n_dims, state);
        break;
    case 1:
        tensor->data_type = (int32_t)draw(state, 28);
        break;
    default: /* lists of shapes, axes, starts are int64 */
        mutate_numbers(tensor->int64_data, tensor->n_int64_data, state);
        mutate_numbers((int64_t *)tensor->raw_data.data, tensor->raw_data.len / sizeof(int64_t), state);
    }
}

static void mutate_attribute(Onnx__AttributeProto *attribute, uint32_t *state)
{
    mutate_numbers(attribute->ints, attribute->n_ints, state);
    attribute->i = telling_number(state);
    if (attribute->t)
        mutate_tensor(attribute->t, state);
}

/* Exchanges two strings, which stay owned once each. */
static void swap(char **a, char **b)
{
    char *kept = *a;
    *a = *b;
    *b = kept;
}

static void mutate_node(Onnx__GraphProto *graph, Onnx__NodeProto *node, uint32_t *state)
{
    Onnx__NodeProto *other = graph->node[draw(state, graph->n_node)];
    const uint32_t choice = draw(state, 4);
    if (choice == 0 && node->op_type && other->op_type)
        swap(&node->op_type, &other->op_type);
    else if (choice == 1 && node->n_input && other->n_input)
        swap(&node->input[draw(state, node->n_input)], &other->input[draw(state, other->n_input)]);
    else if (node->n_attribute)
        mutate_attribute(node->attribute[draw(state, node->n_attribute)], state);
}

static void mutate_input(Onnx__ValueInfoProto *input, uint32_t *state)
{
    const Onnx__TypeProto *type = input->type;
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type->shape ||
        !type->tensor_type->shape->n_dim)
        return;
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    Onnx__TensorShapeProto__Dimension *dim = shape->dim[draw(state, shape->n_dim)];
    if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = telling_number(state);
    }
}

static void mutate_model(Onnx__ModelProto *model, uint32_t *state)
{
    Onnx__GraphProto *graph = model->graph;
    switch (graph ? draw(state, 5) : 0) {
    case 0:
        if (model->n_opset_import)
            model->opset_import[0]->version = 1 + draw(state, 28);
        break;
    case 1:
        if (graph->n_input)
            mutate_input(graph->input[draw(state, graph->n_input)], state);
        break;
    case 2:
        if (graph->n_initializer)
            mutate_tensor(graph->initializer[draw(state, graph->n_initializer)], state);
        break;
    default:
        if (graph->n_node)
            mutate_node(graph, graph->node[draw(state, graph->n_node)], state);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes, size_t room_bytes, unsigned seed)
{
    uint32_t state = seed;
    Onnx__ModelProto *model = draw(&state, 2) ? onnx__model_proto__unpack(NULL, size_bytes, data) : NULL;
    size_t packed = model ? onnx__model_proto__get_packed_size(model) : SIZE_MAX;
    if (model && packed <= room_bytes) {
        mutate_model(model, &state);
        packed = onnx__model_proto__get_packed_size(model); /* numbers vary in length */
        if (packed <= room_bytes)
            onnx__model_proto__pack(model, data);
    }
    if (model)
        onnx__model_proto__free_unpacked(model, NULL);
    return packed <= room_bytes ? packed : LLVMFuzzerMutate(data, size_bytes, room_bytes);
}

/* ---- the target ------------------------------------------------------------------------------------------
 */

static void check_model(const uint8_t *data, size_t size_bytes)
{
    const agate_import_options options = {.memory_limit_bytes = 1 << 20};
    agate_graph *graph;
    agate_text text = {0};
    agate_status status = agate_import(data, size_bytes, &options, &graph);

    if (status) {
        agate_status_release(status);
        return;
    }
    if (agate_verify(graph, NULL, NULL) > 0)
        abort();
    agate_print(graph, NULL, &text);
    agate_text_deinit(&text);
    agate_graph_release(graph);
}

static void check_tensor(const uint8_t *data, size_t size_bytes)
{
    agate_tensor tensor;
    agate_status status = agate_import_tensor(data, size_bytes, &tensor);

    if (status)
        agate_status_release(status);
    else
        free(tensor.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    check_model(data, size_bytes);
    check_tensor(data, size_bytes);
    return 0;
}
