/* graph_json.c: a graph as JSON. Values are numbered through the graph and its bodies. */
#include <stdlib.h>

#include "ir/map.h"
#include "tools/graph_formats.h"
#include "tools/json.h"

typedef struct writer {
    agate_map numbers; /* agate_value * -> its number + 1 */
    intptr_t count;
    bool origins;
} writer;

typedef void (*print_fn)(const void *thing, agate_text *text);

static void print_type(const void *type, agate_text *text)
{
    agate_type_print(type, text);
}

static void print_dim(const void *dim, agate_text *text)
{
    agate_dim_print(*(const agate_dim *)dim, text);
}

/* What `print` appends, as a string. */
static json_t *text_of(print_fn print, const void *thing)
{
    agate_text text = {0};
    json_t *string;

    print(thing, &text);
    string = json_string(agate_text_c(&text));
    agate_text_deinit(&text);
    return string;
}

static json_t *string_of(const char *text)
{
    return agate_json_string(text ? text : "");
}

static json_t *ints_of(const agate_ints *list)
{
    json_t *array = json_array();

    for (int32_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_integer(list->v[i]));
    return array;
}

static json_t *dims_of(const agate_dims *list)
{
    json_t *array = json_array();

    for (int32_t i = 0; i < list->count; i++)
        json_array_append_new(array, text_of(print_dim, &list->v[i]));
    return array;
}

static json_t *attr_of(const agate_attr_info *row, const void *field)
{
    switch (row->kind) {
    case AGATE_ATTR_int:
        return json_integer(*(const int64_t *)field);
    case AGATE_ATTR_bool:
        return json_boolean(*(const bool *)field);
    case AGATE_ATTR_float: {
        json_t *real = json_real(*(const double *)field);

        return real ? real : json_null(); /* JSON has no NaN */
    }
    case AGATE_ATTR_ints:
        return ints_of(field);
    case AGATE_ATTR_dims:
        return dims_of(field);
    case AGATE_ATTR_enum:
        return json_string(agate_padding_name(*(const agate_padding *)field));
    case AGATE_ATTR_dtype:
        return json_string(agate_dtype_name(*(const agate_dtype *)field));
    }
    return json_null();
}

static json_t *attrs_of(const agate_node *node)
{
    json_t *object = json_object();
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(agate_node_info(node)->attrs, &count);

    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, rows[i].name,
                            attr_of(&rows[i], (const char *)&node->attrs + rows[i].offset_bytes));
    return object;
}

static json_t *place_of(agate_place place)
{
    return json_pack("{s:s, s:o}", "in", place.kind == AGATE_PLACE_SLAB ? "slab" : "output", "offset",
                     text_of(print_dim, &place.offset));
}

/* Numbers a value where it is defined. */
static json_t *value_of(writer *w, const agate_value *value)
{
    json_t *object =
        json_pack("{s:I, s:o}", "value", (json_int_t)w->count, "type", text_of(print_type, &value->type));

    agate_map_put(&w->numbers, value, 0, (void *)++w->count);
    if (value->name)
        json_object_set_new(object, "name", string_of(value->name));
    if (value->place.kind != AGATE_PLACE_NONE)
        json_object_set_new(object, "place", place_of(value->place));
    return object;
}

static json_t *operands_of(const writer *w, const agate_node *node)
{
    json_t *array = json_array();

    for (int32_t i = 0; i < node->operand_count; i++)
        json_array_append_new(array,
                              json_integer((intptr_t)agate_map_get(&w->numbers, node->operands[i], 0) - 1));
    return array;
}

static json_t *tiles_of(const agate_tiles *tiles)
{
    json_t *object = json_object();
    const int32_t *numbers = (const int32_t *)tiles;

    for (size_t i = 0; i < agate_tile_count; i++)
        if (numbers[i])
            json_object_set_new(object, agate_tile_names[i], json_integer(numbers[i]));
    return object;
}

static json_t *graph_of(writer *w, const agate_graph *graph);

static json_t *node_of(writer *w, const agate_node *node)
{
    json_t *object = json_pack("{s:s, s:o, s:o}", "op", agate_node_info(node)->name, "operands",
                               operands_of(w, node), "attrs", attrs_of(node));
    json_t *results = json_array();

    if (node->body)
        json_object_set_new(object, "body", graph_of(w, node->body));
    for (int32_t i = 0; i < node->result_count; i++)
        json_array_append_new(results, value_of(w, &node->results[i]));
    json_object_set_new(object, "results", results);
    if (node->label)
        json_object_set_new(object, "label", string_of(node->label));
    if (node->strategy != AGATE_STRATEGY_none) {
        json_object_set_new(object, "strategy", json_string(agate_strategy_name(node->strategy)));
        json_object_set_new(object, "tiles", tiles_of(&node->tiles));
    }
    if (w->origins && node->origin)
        json_object_set_new(object, "origin", string_of(node->origin));
    return object;
}

static json_t *graph_of(writer *w, const agate_graph *graph)
{
    json_t *params = json_array(), *nodes = json_array();

    for (int32_t i = 0; i < graph->param_count; i++)
        json_array_append_new(params, value_of(w, graph->params[i]));
    AGATE_EACH_NODE (node, graph)
        json_array_append_new(nodes, node_of(w, node));
    return json_pack("{s:o, s:o, s:o}", "name", string_of(graph->name), "params", params, "nodes", nodes);
}

void agate_graph_print_json(const agate_graph *graph, bool origins, agate_text *text)
{
    writer w = {.numbers = {.arena = agate_arena_create()}, .origins = origins};
    json_t *root = w.numbers.arena ? graph_of(&w, graph) : NULL;
    char *printed = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;

    if (printed)
        agate_text_add(text, "%s\n", printed);
    else
        text->failed = true;
    free(printed);
    json_decref(root);
    if (w.numbers.arena)
        agate_arena_release(w.numbers.arena);
}
