/* print.c: the graph as text. See text.h for the language. */
#include <ctype.h>

#include "ir/map.h"
#include "ir/number.h"
#include "ir/text.h"

typedef struct printer {
    agate_text *text;
    agate_arena *arena;
    agate_map names; /* agate_value * -> const char *, for the graph whose nodes are printed and its bodies */
    bool origins;
    bool serials;
    bool signature; /* leave out what does not change the code: places, origins */
    int indent;
} printer;

/* ---- words --------------------------------------------------------------------------------------------- */

bool agate_is_identifier(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_' && *name != '.')
            return false;
    return true;
}

static void print_string(agate_text *text, const char *string)
{
    agate_text_add(text, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\')
            agate_text_add(text, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            agate_text_add(text, "\\x%02x", c);
        else
            agate_text_add_bytes(text, string, 1);
    }
    agate_text_add(text, "\"");
}

static void print_name(agate_text *text, const char *name)
{
    if (agate_is_identifier(name))
        agate_text_add(text, "%s", name);
    else
        print_string(text, name);
}

/* ---- names of values ----------------------------------------------------------------------------------- */

/* 0 is a, 25 is z, 26 is aa. */
static const char *letters(agate_arena *arena, int64_t number)
{
    char name[16];
    size_t at = sizeof name;

    name[--at] = 0;
    for (number++; number > 0; number = (number - 1) / 26)
        name[--at] = (char)('a' + (number - 1) % 26);
    return agate_arena_format(arena, "%%%s", &name[at]);
}

/* A value's own name, if it may print and no other value has it. */
static const char *own_name(printer *p, agate_map *taken, const agate_value *value)
{
    bool may = value->name && (!value->node || agate_is_identifier(value->name));
    if (!may || agate_map_get(taken, value->name, strlen(value->name) + 1))
        return NULL;
    agate_map_put(taken, value->name, strlen(value->name) + 1, (void *)value);
    agate_text quoted = {0};
    print_name(&quoted, value->name);
    const char *name = agate_arena_format(p->arena, "%%%s", agate_text_c(&quoted));
    agate_text_deinit(&quoted);
    return name;
}

static void name_value(printer *p, agate_map *taken, const agate_value *value, bool in_body, int64_t *number)
{
    const char *name = in_body ? NULL : own_name(p, taken, value);
    if (!name)
        name = in_body ? letters(p->arena, (*number)++)
                       : agate_arena_format(p->arena, "%%%lld",
                                            (long long)(p->serials ? value->serial : (*number)++));
    agate_map_put(&p->names, value, 0, (void *)name);
}

/* Names every value of `graph`: in a body $0, $1, ... and letters, else ONNX names and numbers. */
static void name_values(printer *p, const agate_graph *graph)
{
    agate_map taken = {.arena = p->arena};
    bool in_body = graph->kernel != NULL;
    int64_t number = 0;

    for (int32_t i = 0; i < graph->param_count; i++) {
        if (in_body)
            agate_map_put(&p->names, graph->params[i], 0, agate_arena_format(p->arena, "$%d", i));
        else
            name_value(p, &taken, graph->params[i], false, &number);
    }
    AGATE_EACH_NODE (node, graph)
        for (int32_t i = 0; i < node->result_count; i++)
            name_value(p, &taken, &node->results[i], in_body, &number);
}

static void print_value(const printer *p, const agate_value *value)
{
    const char *name = agate_map_get(&p->names, value, 0);
    agate_text_add(p->text, "%s", name ? name : "%?");
}

static void print_values(const printer *p, agate_value *const *values, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        agate_text_add(p->text, "%s", i ? ", " : "");
        print_value(p, values[i]);
    }
}

/* ---- attributes ---------------------------------------------------------------------------------------- */

static bool list_is_default(const agate_ints *list, double value)
{
    for (int32_t i = 0; i < list->count; i++)
        if ((double)list->v[i] != value)
            return false;
    return true;
}

static bool is_default(const agate_attr_info *row, const void *field)
{
    switch (row->kind) {
    case AGATE_ATTR_int:
        return (double)*(const int64_t *)field == row->default_value;
    case AGATE_ATTR_bool:
        return (double)*(const bool *)field == row->default_value;
    case AGATE_ATTR_float:
        return memcmp(field, &row->default_value, sizeof row->default_value) == 0;
    case AGATE_ATTR_ints:
        return list_is_default(field, row->default_value);
    case AGATE_ATTR_dims:
        return ((const agate_dims *)field)->count == 0;
    case AGATE_ATTR_enum:
        return (double)*(const agate_padding *)field == row->default_value;
    case AGATE_ATTR_dtype:
        return (double)*(const agate_dtype *)field == row->default_value;
    }
    return false;
}

static void print_ints(agate_text *text, const agate_ints *list)
{
    for (int32_t i = 0; i < list->count; i++)
        agate_text_add(text, "%s%lld", i ? ", " : "[", (long long)list->v[i]);
    agate_text_add(text, "]");
}

static void print_dims(agate_text *text, const agate_dims *list)
{
    for (int32_t i = 0; i < list->count; i++) {
        agate_text_add(text, "%s", i ? ", " : "[");
        agate_dim_print(list->v[i], text);
    }
    agate_text_add(text, "]");
}

static void print_attr(agate_text *text, const agate_attr_info *row, const void *field)
{
    switch (row->kind) {
    case AGATE_ATTR_int:
        agate_text_add(text, "%lld", (long long)*(const int64_t *)field);
        break;
    case AGATE_ATTR_bool:
        agate_text_add(text, "%s", *(const bool *)field ? "true" : "false");
        break;
    case AGATE_ATTR_float:
        agate_double_print(*(const double *)field, text);
        break;
    case AGATE_ATTR_ints:
        print_ints(text, field);
        break;
    case AGATE_ATTR_dims:
        print_dims(text, field);
        break;
    case AGATE_ATTR_enum:
        agate_text_add(text, "%s", agate_padding_name(*(const agate_padding *)field));
        break;
    case AGATE_ATTR_dtype:
        agate_text_add(text, "%s", agate_dtype_name(*(const agate_dtype *)field));
        break;
    }
}

static void print_attrs(agate_text *text, const agate_node *node)
{
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(agate_node_info(node)->attrs, &count);

    for (size_t i = 0; i < count; i++) {
        const void *field = (const char *)&node->attrs + rows[i].offset_bytes;
        if (is_default(&rows[i], field))
            continue;
        agate_text_add(text, " %s=", rows[i].name);
        print_attr(text, &rows[i], field);
    }
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

static void print_lines(printer *p, const agate_graph *graph);

void agate_print_schedule(const agate_node *node, agate_text *text)
{
    const int32_t *tiles = (const int32_t *)&node->tiles;
    const char *separator = "<";

    if (node->strategy == AGATE_STRATEGY_none)
        return;
    agate_text_add(text, "%s", agate_strategy_name(node->strategy));
    for (size_t i = 0; i < agate_tile_count; i++) {
        if (tiles[i] == 0)
            continue;
        agate_text_add(text, "%s%s=%d", separator, agate_tile_names[i], tiles[i]);
        separator = ", ";
    }
    agate_text_add(text, "%s", *separator == ',' ? ">" : "");
}

static void print_schedule(agate_text *text, const agate_node *node)
{
    if (node->strategy != AGATE_STRATEGY_none)
        agate_text_add(text, " ");
    agate_print_schedule(node, text);
}

static void print_body(printer *p, const agate_node *node)
{
    agate_text_add(p->text, " {\n");
    if (node->body) {
        name_values(p, node->body);
        p->indent += 2;
        print_lines(p, node->body);
        p->indent -= 2;
    }
    agate_text_add(p->text, "%*s}", p->indent, "");
}

static void print_elements(agate_text *text, const agate_node *node)
{
    agate_dtype dtype = node->results[0].type.dtype;
    size_t size = agate_dtype_size(dtype);
    const char *bytes = node->data ? agate_data_bytes(node->data) : NULL;

    agate_text_add(text, " [");
    for (size_t at = 0; bytes && size && at + size <= node->data->size_bytes; at += size) {
        agate_text_add(text, "%s", at ? ", " : "");
        agate_element_print(dtype, bytes + at, text);
    }
    agate_text_add(text, "]");
}

static void print_place(const printer *p, agate_place place)
{
    if (place.kind == AGATE_PLACE_NONE || p->signature)
        return;
    agate_text_add(p->text, place.kind == AGATE_PLACE_SLAB ? " at slab[" : " at output[");
    agate_dim_print(place.offset, p->text);
    agate_text_add(p->text, "]");
}

/* What stands between the op's name and the types. */
static void print_operation(printer *p, const agate_node *node)
{
    if (node->op == AGATE_OP_const) {
        print_elements(p->text, node);
    } else if (node->op == AGATE_OP_weight) {
        agate_text_add(p->text, " ");
        print_string(p->text, node->label ? node->label : "");
    } else if (agate_node_has(node, AGATE_KERNEL)) {
        agate_text_add(p->text, "(");
        print_values(p, node->operands, node->operand_count);
        agate_text_add(p->text, ")");
        print_schedule(p->text, node);
        print_body(p, node);
    } else {
        agate_text_add(p->text, "%s", node->operand_count ? " " : "");
        print_values(p, node->operands, node->operand_count);
        print_attrs(p->text, node);
    }
}

static void print_node(printer *p, const agate_node *node)
{
    for (int32_t i = 0; i < node->result_count; i++) {
        agate_text_add(p->text, "%s", i ? ", " : "");
        print_value(p, &node->results[i]);
    }
    agate_text_add(p->text, "%s%s", node->result_count ? " = " : "", agate_node_info(node)->name);
    print_operation(p, node);
    for (int32_t i = 0; i < node->result_count; i++) {
        agate_text_add(p->text, i ? ", " : " : ");
        agate_type_print(&node->results[i].type, p->text);
        print_place(p, node->results[i].place);
    }
    if (node->origin && p->origins && !p->signature) {
        agate_text_add(p->text, " from ");
        print_string(p->text, node->origin);
    }
}

static void print_lines(printer *p, const agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph) {
        agate_text_add(p->text, "%*s", p->indent, "");
        print_node(p, node);
        agate_text_add(p->text, "\n");
    }
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

/* The operands of the terminator, with their names: one bare, else in parentheses. */
static void print_results(printer *p, const agate_graph *graph)
{
    const agate_node *last = graph->last;
    int32_t count = last && agate_node_has(last, AGATE_TERMINATOR) ? last->operand_count : 0;

    agate_text_add(p->text, count == 1 ? " -> " : " -> (");
    for (int32_t i = 0; i < count; i++) {
        const char *name = graph->result_names ? graph->result_names[i] : NULL;
        agate_text_add(p->text, "%s", i ? ", " : "");
        if (name) {
            print_name(p->text, name);
            agate_text_add(p->text, ": ");
        }
        agate_type_print(&last->operands[i]->type, p->text);
    }
    agate_text_add(p->text, count == 1 ? " {\n" : ") {\n");
}

static void print_graph(printer *p, const agate_graph *graph)
{
    name_values(p, graph);
    agate_text_add(p->text, "graph @");
    print_name(p->text, graph->name);
    agate_text_add(p->text, "(");
    for (int32_t i = 0; i < graph->param_count; i++) {
        agate_text_add(p->text, "%s", i ? ", " : "");
        print_value(p, graph->params[i]);
        agate_text_add(p->text, ": ");
        agate_type_print(&graph->params[i]->type, p->text);
    }
    agate_text_add(p->text, ")");
    print_results(p, graph);
    p->indent = 2;
    print_lines(p, graph);
    agate_text_add(p->text, "}\n");
}

static printer open_printer(agate_text *text)
{
    printer p = {.text = text, .arena = agate_arena_create()};
    p.names.arena = p.arena;
    text->failed |= p.arena == NULL;
    return p;
}

void agate_print(const agate_graph *graph, const agate_print_options *options, agate_text *text)
{
    printer p = open_printer(text);
    if (!p.arena)
        return;
    p.origins = options && options->origins;
    p.serials = options && options->serials;
    print_graph(&p, graph);
    agate_arena_release(p.arena);
}

void agate_print_node(const agate_node *node, agate_text *text)
{
    printer p = open_printer(text);
    if (!p.arena)
        return;
    name_values(&p, node->graph);
    print_node(&p, node);
    agate_arena_release(p.arena);
}

void agate_print_signature(const agate_node *kernel, agate_text *text)
{
    printer p = open_printer(text);
    if (!p.arena)
        return;
    p.signature = true;
    agate_text_add(text, "%s(", agate_node_info(kernel)->name);
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        agate_text_add(text, "%s", i ? ", " : "");
        agate_type_print(&kernel->operands[i]->type, text);
    }
    agate_text_add(text, ")");
    print_schedule(text, kernel);
    print_body(&p, kernel);
    for (int32_t i = 0; i < kernel->result_count; i++) {
        agate_text_add(text, i ? ", " : " : ");
        agate_type_print(&kernel->results[i].type, text);
    }
    agate_arena_release(p.arena);
}
