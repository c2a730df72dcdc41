/* onnx_text.h: small ONNX models from lines of text, for tests. One line, one thing:
 *
 *     ir 8                              opset 13          opset my.domain 1
 *     input x f32 N 3 8 8               a number, a name, or ? for a dimension
 *     output y f32                      the element type may be left out
 *     weight w f32 4 3 3 3              elements 0, 0.5, 1, ...
 *     list s i64 1 -1                   a vector of these           scalar c f32 6
 *     external w f32 file.bin 0 16 4    location, offset, length, dimensions
 *     node conv Conv x w -> y ; pads=[1,1,1,1] group=1 alpha=0.5 mode=edge a=@b
 *     function my.domain Twice x -> y   nodes up to `end` are its body
 *     end
 *
 * `_` stands for an empty name; @b makes an attribute that refers to attribute b of a function's caller.
 */
#ifndef AGATE_TEST_ONNX_TEXT_H
#define AGATE_TEST_ONNX_TEXT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx.pb-c.h"
#include "runtime/base/base.h"

#define MAX_WORDS 64

typedef struct onnx_text {
    agate_arena *arena;
    Onnx__ModelProto *model;
    Onnx__FunctionProto *function; /* being read; NULL: the graph */
} onnx_text;

/* Appends `item` to a repeated field: field `n_f` counts the pointers at `f`. */
#define APPEND(text, count, items, item)                                                                     \
    do {                                                                                                     \
        void *grown = agate_arena_alloc((text)->arena, sizeof(*(items)) * ((count) + 1));                    \
        if (count)                                                                                           \
            memcpy(grown, (items), sizeof(*(items)) * (count));                                              \
        (items) = grown;                                                                                     \
        (items)[(count)++] = (item);                                                                         \
    } while (0)

/* A new message of this kind, as protobuf-c initializes it. */
#define NEW_MESSAGE(text, type, kind)                                                                        \
    ({                                                                                                       \
        type *made = AGATE_NEW((text)->arena, type);                                                         \
        onnx__##kind##__init(made);                                                                          \
        made;                                                                                                \
    })

static inline agate_dtype onnx_text_dtype(const char *name)
{
    for (int dtype = 1; dtype < 17; dtype++)
        if (agate_dtype_size((agate_dtype)dtype) && strcmp(agate_dtype_name((agate_dtype)dtype), name) == 0)
            return (agate_dtype)dtype;
    return (agate_dtype)atoi(name); /* a number: a type that agate does not know */
}

static inline Onnx__TypeProto *onnx_text_type(onnx_text *text, char **words, size_t count)
{
    Onnx__TypeProto *type = NEW_MESSAGE(text, Onnx__TypeProto, type_proto);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = NEW_MESSAGE(text, Onnx__TypeProto__Tensor, type_proto__tensor);
    type->tensor_type->has_elem_type = true;
    type->tensor_type->elem_type = (int32_t)onnx_text_dtype(words[0]);
    type->tensor_type->shape = NEW_MESSAGE(text, Onnx__TensorShapeProto, tensor_shape_proto);
    for (size_t i = 1; i < count; i++) {
        Onnx__TensorShapeProto__Dimension *dim =
            NEW_MESSAGE(text, Onnx__TensorShapeProto__Dimension, tensor_shape_proto__dimension);
        char *end;
        const int64_t value = strtoll(words[i], &end, 10);
        if (*end == '\0') {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = value;
        } else if (words[i][0] != '?') {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = words[i];
        }
        APPEND(text, type->tensor_type->shape->n_dim, type->tensor_type->shape->dim, dim);
    }
    return type;
}

static inline Onnx__ValueInfoProto *onnx_text_value(onnx_text *text, char **words, size_t count)
{
    Onnx__ValueInfoProto *value = NEW_MESSAGE(text, Onnx__ValueInfoProto, value_info_proto);
    value->name = words[0];
    if (count > 1)
        value->type = onnx_text_type(text, words + 1, count - 1);
    return value;
}

/* An empty tensor of this name and dtype in the graph. */
static inline Onnx__TensorProto *onnx_text_tensor(onnx_text *text, char **words)
{
    Onnx__TensorProto *tensor = NEW_MESSAGE(text, Onnx__TensorProto, tensor_proto);
    tensor->name = words[0];
    tensor->has_data_type = true;
    tensor->data_type = (int32_t)onnx_text_dtype(words[1]);
    APPEND(text, text->model->graph->n_initializer, text->model->graph->initializer, tensor);
    return tensor;
}

static inline void onnx_text_dims(onnx_text *text, Onnx__TensorProto *tensor, char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        APPEND(text, tensor->n_dims, tensor->dims, strtoll(words[i], NULL, 10));
}

static inline void onnx_text_number(onnx_text *text, Onnx__TensorProto *tensor, double number)
{
    if (tensor->data_type == AGATE_F32)
        APPEND(text, tensor->n_float_data, tensor->float_data, (float)number);
    else if (tensor->data_type == AGATE_I64)
        APPEND(text, tensor->n_int64_data, tensor->int64_data, (int64_t)number);
    else
        APPEND(text, tensor->n_int32_data, tensor->int32_data, (int32_t)number);
}

static inline void onnx_text_weight(onnx_text *text, char **words, size_t count)
{
    Onnx__TensorProto *tensor = onnx_text_tensor(text, words);
    int64_t elements = 1;
    onnx_text_dims(text, tensor, words + 2, count - 2);
    /* A huge one stays empty: it is there to be refused. */
    for (size_t i = 0; i < tensor->n_dims; i++)
        elements = tensor->dims[i] < 10000 ? elements * tensor->dims[i] : 0;
    for (int64_t i = 0; i < elements; i++)
        onnx_text_number(text, tensor, (double)i * 0.5);
}

static inline void onnx_text_external(onnx_text *text, char **words, size_t count)
{
    static char *const keys[] = {"location", "offset", "length"};
    Onnx__TensorProto *tensor = onnx_text_tensor(text, words);
    onnx_text_dims(text, tensor, words + 5, count - 5);
    tensor->has_data_location = true;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    for (int i = 0; i < 3; i++) {
        Onnx__StringStringEntryProto *entry =
            NEW_MESSAGE(text, Onnx__StringStringEntryProto, string_string_entry_proto);
        entry->key = keys[i];
        entry->value = words[2 + i];
        APPEND(text, tensor->n_external_data, tensor->external_data, entry);
    }
}

/* name=value */
static inline Onnx__AttributeProto *onnx_text_attribute(onnx_text *text, char *word)
{
    Onnx__AttributeProto *attribute = NEW_MESSAGE(text, Onnx__AttributeProto, attribute_proto);
    char *value = strchr(word, '='), *end;
    *value++ = '\0';
    attribute->name = word;
    attribute->has_type = true;
    const int64_t whole = strtoll(value, &end, 10);
    if (*value == '@') {
        attribute->ref_attr_name = value + 1;
        attribute->has_type = false;
    } else if (*value == '[') {
        attribute->type = ONNX__ATTRIBUTE_PROTO__KIND__INTS;
        for (char *at = value + 1; *at && *at != ']'; at += *at == ',')
            APPEND(text, attribute->n_ints, attribute->ints, strtoll(at, &at, 10));
    } else if (*end == '\0') {
        attribute->type = ONNX__ATTRIBUTE_PROTO__KIND__INT;
        attribute->has_i = true;
        attribute->i = whole;
    } else if (end != value) {
        attribute->type = ONNX__ATTRIBUTE_PROTO__KIND__FLOAT;
        attribute->has_f = true;
        attribute->f = strtof(value, NULL);
    } else {
        attribute->type = ONNX__ATTRIBUTE_PROTO__KIND__STRING;
        attribute->has_s = true;
        attribute->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
    }
    return attribute;
}

/* Splits "my.domain:Op". */
static inline void onnx_text_op(Onnx__NodeProto *node, char *word)
{
    char *colon = strchr(word, ':');
    node->op_type = colon ? colon + 1 : word;
    if (colon) {
        *colon = '\0';
        node->domain = word;
    }
}

static inline void onnx_text_node(onnx_text *text, char **words, size_t count)
{
    Onnx__NodeProto *node = NEW_MESSAGE(text, Onnx__NodeProto, node_proto);
    enum { INPUTS, OUTPUTS, ATTRIBUTES } part = INPUTS;
    node->name = strcmp(words[0], "_") == 0 ? "" : words[0];
    onnx_text_op(node, words[1]);
    for (size_t i = 2; i < count; i++) {
        char *name = strcmp(words[i], "_") == 0 ? "" : words[i];
        if (strcmp(words[i], "->") == 0)
            part = OUTPUTS;
        else if (strcmp(words[i], ";") == 0)
            part = ATTRIBUTES;
        else if (part == INPUTS)
            APPEND(text, node->n_input, node->input, name);
        else if (part == OUTPUTS)
            APPEND(text, node->n_output, node->output, name);
        else
            APPEND(text, node->n_attribute, node->attribute, onnx_text_attribute(text, words[i]));
    }
    if (text->function)
        APPEND(text, text->function->n_node, text->function->node, node);
    else
        APPEND(text, text->model->graph->n_node, text->model->graph->node, node);
}

static inline void onnx_text_function(onnx_text *text, char **words, size_t count)
{
    Onnx__FunctionProto *function = NEW_MESSAGE(text, Onnx__FunctionProto, function_proto);
    bool outputs = false;
    function->domain = words[0];
    function->name = words[1];
    for (size_t i = 2; i < count; i++) {
        if (strcmp(words[i], "->") == 0)
            outputs = true;
        else if (outputs)
            APPEND(text, function->n_output, function->output, words[i]);
        else
            APPEND(text, function->n_input, function->input, words[i]);
    }
    APPEND(text, text->model->n_functions, text->model->functions, function);
    text->function = function;
}

static inline void onnx_text_opset(onnx_text *text, char **words, size_t count)
{
    Onnx__OperatorSetIdProto *opset = NEW_MESSAGE(text, Onnx__OperatorSetIdProto, operator_set_id_proto);
    opset->domain = count > 1 ? words[0] : "";
    opset->has_version = true;
    opset->version = strtoll(words[count - 1], NULL, 10);
    APPEND(text, text->model->n_opset_import, text->model->opset_import, opset);
}

static inline void onnx_text_line(onnx_text *text, char *line)
{
    char *words[MAX_WORDS], *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    Onnx__GraphProto *graph = text->model->graph;
    char **operands = words + 1;

    if (strcmp(words[0], "ir") == 0)
        text->model->ir_version = strtoll(words[1], NULL, 10);
    else if (strcmp(words[0], "opset") == 0)
        onnx_text_opset(text, operands, count - 1);
    else if (strcmp(words[0], "input") == 0)
        APPEND(text, graph->n_input, graph->input, onnx_text_value(text, operands, count - 1));
    else if (strcmp(words[0], "output") == 0)
        APPEND(text, graph->n_output, graph->output, onnx_text_value(text, operands, count - 1));
    else if (strcmp(words[0], "weight") == 0)
        onnx_text_weight(text, operands, count - 1);
    else if (strcmp(words[0], "external") == 0)
        onnx_text_external(text, operands, count - 1);
    else if (strcmp(words[0], "node") == 0)
        onnx_text_node(text, operands, count - 1);
    else if (strcmp(words[0], "function") == 0)
        onnx_text_function(text, operands, count - 1);
    else if (strcmp(words[0], "end") == 0)
        text->function = NULL;
    else if (strcmp(words[0], "list") == 0 || strcmp(words[0], "scalar") == 0) {
        Onnx__TensorProto *tensor = onnx_text_tensor(text, operands);
        if (words[0][0] == 'l')
            APPEND(text, tensor->n_dims, tensor->dims, (int64_t)count - 3);
        for (size_t i = 3; i < count; i++)
            onnx_text_number(text, tensor, strtod(words[i], NULL));
    } else {
        ck_abort_msg("onnx_text: what is \"%s\"?", words[0]);
    }
}

/* The bytes of the model that `lines` (separated by newlines) describe; free them. */
static inline uint8_t *onnx_text_pack(const char *lines, size_t *out_size_bytes)
{
    onnx_text text = {.arena = agate_arena_create()};
    char *copy = agate_arena_text(text.arena, lines), *rest = NULL;

    text.model = NEW_MESSAGE(&text, Onnx__ModelProto, model_proto);
    text.model->has_ir_version = true;
    text.model->ir_version = 8;
    text.model->graph = NEW_MESSAGE(&text, Onnx__GraphProto, graph_proto);
    text.model->graph->name = "g";
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (line[strspn(line, " ")])
            onnx_text_line(&text, line);
    *out_size_bytes = onnx__model_proto__get_packed_size(text.model);
    uint8_t *bytes = malloc(*out_size_bytes);
    onnx__model_proto__pack(text.model, bytes);
    agate_arena_release(text.arena);
    return bytes;
}

#endif
