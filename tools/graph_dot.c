/* graph_dot.c: a graph as a Graphviz digraph. */
#include "ir/map.h"
#include "ir/text.h"
#include "tools/cli.h"
#include "tools/graph_formats.h"

/* Node numbers by agate_node *, 1 and up, and the graph's parameters by agate_value *. */
typedef struct dot {
    agate_text *text;
    agate_map numbers;
    intptr_t count;
} dot;

static void add_number(dot *d, const void *key)
{
    agate_map_put(&d->numbers, key, 0, (void *)++d->count);
}

static intptr_t number_of(const dot *d, const agate_value *value)
{
    const void *key = value->node ? (const void *)value->node : (const void *)value;

    return (intptr_t)agate_map_get(&d->numbers, key, 0);
}

/* Within quotes; of several lines, each is justified to the left. */
static void add_label(agate_text *text, const char *label)
{
    const bool many = strchr(label, '\n') != NULL;

    for (; *label; label++) {
        if (*label == '\n')
            agate_text_add(text, "\\l");
        else
            agate_text_add(text, *label == '"' || *label == '\\' ? "\\%c" : "%c",
                           agate_cli_is_control(*label) ? '?' : *label);
    }
    if (many)
        agate_text_add(text, "\\l");
}

static void add_node(dot *d, const agate_node *node, bool origins)
{
    bool constant = agate_node_has(node, AGATE_CONSTANT);
    agate_text line = {0};

    agate_print_node(node, &line);
    if (origins && node->origin)
        agate_text_add(&line, "\nfrom %s", node->origin);
    agate_text_add(d->text, "  n%lld [shape=%s, label=\"",
                   (long long)(intptr_t)agate_map_get(&d->numbers, node, 0), constant ? "plaintext" : "box");
    add_label(d->text, agate_text_c(&line));
    agate_text_add(d->text, "\"];\n");
    d->text->failed |= line.failed;
    agate_text_deinit(&line);
    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_text_add(d->text, "  n%lld -> n%lld [label=\"", (long long)number_of(d, node->operands[i]),
                       (long long)(intptr_t)agate_map_get(&d->numbers, node, 0));
        agate_type_print(&node->operands[i]->type, d->text);
        agate_text_add(d->text, "\"];\n");
    }
}

void agate_graph_print_dot(const agate_graph *graph, bool origins, agate_text *text)
{
    dot d = {.text = text, .numbers = {.arena = agate_arena_create()}};

    if (!d.numbers.arena) {
        text->failed = true;
        return;
    }
    agate_text_add(text, "digraph \"");
    add_label(text, graph->name ? graph->name : "");
    agate_text_add(
        text, "\" {\n  node [fontname=monospace, fontsize=9];\n  edge [fontname=monospace, fontsize=8];\n");
    for (int32_t i = 0; i < graph->param_count; i++) {
        add_number(&d, graph->params[i]);
        agate_text_add(text, "  n%lld [shape=ellipse, label=\"", (long long)d.count);
        add_label(text, graph->params[i]->name ? graph->params[i]->name : "");
        agate_text_add(text, "\"];\n");
    }
    AGATE_EACH_NODE (node, graph)
        add_number(&d, node);
    AGATE_EACH_NODE (node, graph)
        add_node(&d, node, origins);
    agate_text_add(text, "}\n");
    agate_arena_release(d.numbers.arena);
}
