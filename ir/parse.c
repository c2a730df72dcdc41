/* parse.c: text to graph: nodes, kernels, the graph itself. See text.h for the language. */
#include "ir/infer.h"
#include "ir/parse.h"

/* Values of one list: names in front of a `=`, operands, or params. */
typedef struct value_list {
    agate_value **values;
    int32_t count;
} value_list;

typedef struct name_list {
    agate_word *names;
    int32_t count;
} name_list;

/* An arena cannot refuse, so room is asked for beforehand: more than any one node or value can take here, or
 * all of them in the tables of verifier and printer. That is in proportion to the text: a node may have as
 * many operands as it has commas. */
static bool has_room(agate_parser *p)
{
    size_t most_bytes = ((size_t)64 << 10) + 512 * (size_t)(p->end - p->text);

    if (agate_arena_room(p->graph->arena) >= most_bytes && agate_arena_room(p->scratch) >= most_bytes)
        return true;
    if (p->status == AGATE_OK)
        p->status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY,
                                     "line %lld: no address space left for the graph", (long long)p->line);
    return false;
}

/* Room for one more in an array that doubles when full, at powers of two. */
static void *grown(agate_arena *arena, void *array, int32_t count, size_t size_bytes)
{
    if (count & (count - 1))
        return array;
    char *larger = agate_arena_alloc(arena, (count ? 2 * (size_t)count : 1) * size_bytes);
    if (count)
        memcpy(larger, array, (size_t)count * size_bytes);
    return larger;
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* The text after a % or $: an identifier, a number, or a string. The key of a quoted identifier is that
 * identifier. */
static bool parse_value_name(agate_parser *p, agate_word *out_key)
{
    const char *name;

    agate_parse_blanks(p);
    if (*p->at != '"')
        return agate_parse_word(p, out_key) || agate_parse_expected(p, "the name or number of a value");
    const char *start = p->at;
    if (!agate_parse_string(p, &name))
        return false;
    *out_key = agate_is_identifier(name) ? (agate_word){name, strlen(name)}
                                         : (agate_word){start, (size_t)(p->at - start)};
    return true;
}

static bool define_value(agate_parser *p, agate_word key, agate_value *value, const char *where)
{
    if (agate_map_get(&p->names, key.start, key.length))
        return agate_parse_fail(p, where, "%%%.*s is defined twice", (int)agate_min((int64_t)key.length, 40),
                                key.start);
    agate_map_put(&p->names, key.start, key.length, value);
    return true;
}

/* Is the key a name, rather than a number? */
static bool is_name(agate_word key)
{
    return !(*key.start >= '0' && *key.start <= '9');
}

/* The ONNX name behind a key: the word, or what its quotes hold. Values in a kernel have none. */
static const char *name_of(agate_parser *p, agate_word key)
{
    if (p->graph->kernel || !is_name(key))
        return NULL;
    if (*key.start != '"')
        return agate_arena_format(p->graph->arena, "%.*s", (int)key.length, key.start);
    agate_parser again = *p;
    const char *name = NULL;
    again.at = key.start;
    return agate_parse_string(&again, &name) ? name : NULL;
}

/* %NAME, or in a body $NUMBER. */
static bool parse_operand(agate_parser *p, agate_value **out_value)
{
    const char *start = p->at;
    agate_word key;
    int64_t number;

    if (agate_parse_accept(p, "$")) {
        if (!p->graph->kernel)
            return agate_parse_fail(p, start, "$ names an operand of a kernel, and stands only inside one");
        if (!agate_parse_int(p, &number))
            return false;
        if (number < 0 || number >= p->graph->param_count)
            return agate_parse_fail(p, start, "the kernel has no operand %lld", (long long)number);
        *out_value = p->graph->params[number];
        return true;
    }
    if (!agate_parse_accept(p, "%"))
        return agate_parse_expected(p, "a value");
    start = p->at - 1;
    if (!parse_value_name(p, &key))
        return false;
    *out_value = agate_map_get(&p->names, key.start, key.length);
    return *out_value || agate_parse_fail(p, start, "%%%.*s is not defined above",
                                          (int)agate_min((int64_t)key.length, 40), key.start);
}

static bool next_is_value(agate_parser *p)
{
    agate_parse_blanks(p);
    return *p->at == '%' || *p->at == '$';
}

static bool parse_operands(agate_parser *p, value_list *list)
{
    if (!next_is_value(p))
        return true;
    do {
        if (!has_room(p))
            return false;
        list->values = grown(p->scratch, list->values, list->count, sizeof *list->values);
        if (!parse_operand(p, &list->values[list->count]))
            return false;
        list->count++;
    } while (agate_parse_accept(p, ","));
    return true;
}

/* ---- the parts of a node ------------------------------------------------------------------------------- */

/* %a, %b = */
static bool parse_result_names(agate_parser *p, name_list *list)
{
    if (!next_is_value(p))
        return true;
    do {
        if (!has_room(p))
            return false;
        list->names = grown(p->scratch, list->names, list->count, sizeof *list->names);
        if (!agate_parse_expect(p, "%") || !parse_value_name(p, &list->names[list->count]))
            return false;
        list->count++;
    } while (agate_parse_accept(p, ","));
    return agate_parse_expect(p, "=");
}

static bool parse_place(agate_parser *p, agate_place *place)
{
    if (!agate_parse_keyword(p, "at"))
        return p->status == AGATE_OK;
    bool output = agate_parse_keyword(p, "output");
    if (!output && !agate_parse_keyword(p, "slab"))
        return agate_parse_expected(p, "slab or output");
    place->kind = output ? AGATE_PLACE_OUTPUT : AGATE_PLACE_SLAB;
    return agate_parse_expect(p, "[") && agate_parse_dim(p, &place->offset) && agate_parse_expect(p, "]");
}

/* Types of all results, and their places, behind the colon. Where the op's row says what the one type must
 * be, says so. */
static bool parse_types(agate_parser *p, agate_node *node)
{
    agate_text fault = {0};
    agate_type must;
    const char *start = NULL;

    for (int32_t i = 0; i < node->result_count; i++) {
        if (!agate_parse_expect(p, i ? "," : ":"))
            return false;
        agate_parse_blanks(p);
        start = i ? start : p->at;
        if (!agate_parse_type(p, &node->results[i].type) || !parse_place(p, &node->results[i].place))
            return false;
    }
    memset(&must, 0, sizeof must);
    bool good = agate_infer_node(node, &must, &fault);
    if (p->checked && !good) {
        agate_parse_fail(p, start, "%s", agate_text_c(&fault));
    } else if (p->checked && node->result_count == 1 && !agate_type_equal(&must, &node->results[0].type)) {
        agate_type_print(&must, &fault);
        agate_parse_fail(p, start, "%s of these operands gives %s", agate_node_info(node)->name,
                         agate_text_c(&fault));
    }
    agate_text_deinit(&fault);
    return p->status == AGATE_OK;
}

static bool parse_origin(agate_parser *p, agate_node *node)
{
    return !agate_parse_keyword(p, "from") || agate_parse_string(p, &node->origin);
}

static agate_node *add_node(agate_parser *p, agate_op op, const value_list *operands, int32_t result_count)
{
    agate_node *node = agate_node_create(p->graph, NULL, op, operands->values, operands->count, result_count);
    node->scratch = p->node_line;
    return node;
}

/* ---- kernels ------------------------------------------------------------------------------------------- */

static bool parse_nodes(agate_parser *p);

/* The body, with names of its own. */
static bool parse_body(agate_parser *p, agate_node *kernel)
{
    agate_parser outer = *p;
    agate_graph *body = agate_graph_create_body(p->graph);

    body->kernel = kernel;
    kernel->body = body;
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        if (!has_room(p))
            return false;
        agate_graph_add_param(body, NULL, &kernel->operands[i]->type);
    }
    p->graph = body;
    p->names = (agate_map){.arena = p->scratch};
    bool good = agate_parse_expect(p, "{") && parse_nodes(p);
    p->graph = outer.graph;
    p->names = outer.names;
    return good;
}

/* Says what the graph that `last` closes passes on, instead of what is stated at `where`. */
static bool fail_passed_on(agate_parser *p, const agate_node *last, const char *where)
{
    agate_text found = {0};

    for (int32_t i = 0; i < last->operand_count; i++) {
        agate_text_add(&found, "%s", i ? ", " : "");
        agate_type_print(&last->operands[i]->type, &found);
    }
    agate_parse_fail(p, where, "the %s passes on (%s), not this",
                     p->graph == last->graph ? "graph" : "kernel", agate_text_c(&found));
    agate_text_deinit(&found);
    return false;
}

/* Do the yielded values have the types that the kernel states? */
static bool check_yield(agate_parser *p, const agate_node *kernel, const char *where)
{
    const agate_node *yield = kernel->body->last; /* parse_nodes has seen to it that there is one */
    bool good = yield->operand_count == kernel->result_count;

    for (int32_t i = 0; good && i < kernel->result_count; i++)
        good = agate_type_equal_but_pitch(&yield->operands[i]->type, &kernel->results[i].type);
    return good || fail_passed_on(p, yield, where);
}

static bool parse_kernel(agate_parser *p, const name_list *names, agate_node **out_node)
{
    value_list operands = {0};

    if (p->graph->kernel)
        return agate_parse_fail(p, NULL, "a kernel holds no kernels");
    if (!agate_parse_expect(p, "(") || !parse_operands(p, &operands) || !agate_parse_expect(p, ")"))
        return false;
    agate_node *node = *out_node = add_node(p, AGATE_OP_kernel, &operands, names->count);
    if (!agate_parse_strategy(p, node) || !parse_body(p, node))
        return false;
    agate_parse_blanks(p);
    const char *start = p->at;
    return parse_types(p, node) && (!p->checked || check_yield(p, node, start));
}

/* ---- other nodes --------------------------------------------------------------------------------------- */

static bool parse_constant(agate_parser *p, agate_op op, agate_node **out_node)
{
    agate_node *node = *out_node = add_node(p, op, &(value_list){0}, 1);
    agate_word elements;

    if (op == AGATE_OP_weight)
        return agate_parse_string(p, &node->label) && parse_types(p, node);
    return agate_parse_skip_elements(p, &elements) && parse_types(p, node) &&
           agate_parse_elements(p, elements, node);
}

static bool parse_plain(agate_parser *p, agate_op op, int32_t result_count, agate_node **out_node)
{
    value_list operands = {0};

    if (!parse_operands(p, &operands))
        return false;
    *out_node = add_node(p, op, &operands, result_count);
    return agate_parse_attrs(p, *out_node) && parse_types(p, *out_node);
}

static bool parse_op(agate_parser *p, agate_op *out_op)
{
    agate_word word;
    char name[32];

    agate_parse_blanks(p);
    const char *start = p->at;
    if (!agate_parse_word(p, &word))
        return agate_parse_expected(p, "an op, or '}'");
    size_t length = (size_t)agate_min((int64_t)word.length, (int64_t)sizeof name - 1);
    memcpy(name, word.start, length);
    name[length] = 0;
    *out_op = agate_op_find(name);
    return *out_op != AGATE_OP_COUNT || agate_parse_fail(p, start, "there is no op '%s'", name);
}

/* How many results the op makes, against how many names stand in front. */
static bool check_result_count(agate_parser *p, agate_op op, int32_t count, const char *where)
{
    const agate_op_info *info = &agate_op_table[op];

    if (info->traits & AGATE_TERMINATOR)
        return count == 0 || agate_parse_fail(p, where, "%s has no result", info->name);
    if (info->traits & AGATE_KERNEL)
        return count > 0 || agate_parse_fail(p, where, "%s has one or more results", info->name);
    return count == 1 || agate_parse_fail(p, where, "%s has one result", info->name);
}

static bool parse_node(agate_parser *p)
{
    name_list names = {0};
    agate_node *node = NULL;
    agate_op op = 0;
    bool good;

    agate_parse_blanks(p);
    const char *start = p->at;
    p->node_line = p->line;
    if (!has_room(p) || !parse_result_names(p, &names) || !parse_op(p, &op) ||
        !check_result_count(p, op, names.count, start))
        return false;
    if (agate_op_table[op].traits & AGATE_KERNEL)
        good = parse_kernel(p, &names, &node);
    else if (agate_op_table[op].traits & AGATE_CONSTANT)
        good = parse_constant(p, op, &node);
    else
        good = parse_plain(p, op, names.count, &node);
    if (!good || !parse_origin(p, node))
        return false;
    for (int32_t i = 0; i < names.count; i++) {
        if (!define_value(p, names.names[i], &node->results[i], start))
            return false;
        node->results[i].name = name_of(p, names.names[i]);
    }
    return true;
}

/* Nodes up to the closing brace. */
static bool parse_nodes(agate_parser *p)
{
    while (!agate_parse_accept(p, "}"))
        if (!parse_node(p))
            return false;
    const agate_node *last = p->graph->last;
    agate_op end = p->graph->kernel ? AGATE_OP_yield : AGATE_OP_return;
    return !p->checked || (last && last->op == end) ||
           agate_parse_fail(p, p->at - 1, "%s must come before the brace", agate_op_table[end].name);
}

/* ---- the graph ----------------------------------------------------------------------------------------- */

static bool parse_params(agate_parser *p)
{
    agate_word key;
    agate_type type;

    if (!agate_parse_expect(p, "("))
        return false;
    if (agate_parse_accept(p, ")"))
        return true;
    do {
        agate_parse_blanks(p);
        const char *start = p->at;
        if (!has_room(p) || !agate_parse_expect(p, "%") || !parse_value_name(p, &key) ||
            !agate_parse_expect(p, ":") || !agate_parse_type(p, &type))
            return false;
        agate_value *param = agate_graph_add_param(p->graph, name_of(p, key), &type);
        if (!define_value(p, key, param, start))
            return false;
    } while (agate_parse_accept(p, ","));
    return agate_parse_expect(p, ")");
}

/* What the header says of the graph's results. */
typedef struct result_list {
    agate_type *types;
    const char **names;
    int32_t count;
} result_list;

/* [NAME:] TYPE */
static bool parse_result(agate_parser *p, result_list *list)
{
    int32_t i = list->count;
    agate_word word;

    list->types = grown(p->scratch, list->types, i, sizeof *list->types);
    list->names = grown(p->graph->arena, list->names, i, sizeof *list->names);
    list->count++;
    agate_parse_blanks(p);
    const char *start = p->at;
    bool named = *p->at == '"' || (agate_parse_word(p, &word) && agate_parse_accept(p, ":"));
    p->at = start;
    list->names[i] = NULL;
    if (named && (!agate_parse_name(p, &list->names[i]) || !agate_parse_expect(p, ":")))
        return false;
    return agate_parse_type(p, &list->types[i]);
}

static bool parse_results(agate_parser *p, result_list *list)
{
    if (!agate_parse_expect(p, "->"))
        return false;
    if (!agate_parse_accept(p, "("))
        return parse_result(p, list);
    if (agate_parse_accept(p, ")"))
        return true;
    do
        if (!has_room(p) || !parse_result(p, list))
            return false;
    while (agate_parse_accept(p, ","));
    return agate_parse_expect(p, ")");
}

/* A header that differs from what is returned could not be kept, so it is refused even unchecked. */
static bool check_results(agate_parser *p, const result_list *list, const char *where)
{
    const agate_node *last = p->graph->last;
    bool ends = last && agate_node_has(last, AGATE_TERMINATOR);
    bool good = ends ? last->operand_count == list->count : list->count == 0;

    for (int32_t i = 0; good && i < list->count; i++)
        good = agate_type_equal(&last->operands[i]->type, &list->types[i]);
    if (!good && !ends)
        return agate_parse_fail(p, where, "the graph passes on nothing");
    return good || fail_passed_on(p, last, where);
}

static bool parse_graph(agate_parser *p)
{
    result_list results = {0};

    if (!agate_parse_keyword(p, "graph"))
        return agate_parse_expected(p, "'graph'");
    if (!agate_parse_expect(p, "@") || !agate_parse_name(p, &p->graph->name) || !parse_params(p))
        return false;
    agate_parse_blanks(p);
    const char *start = p->at;
    if (!parse_results(p, &results) || !agate_parse_expect(p, "{") || !parse_nodes(p) ||
        !check_results(p, &results, start))
        return false;
    p->graph->result_names = results.names;
    agate_parse_blanks(p);
    return p->at == p->end || agate_parse_expected(p, "the end of the text");
}

static agate_status parse(const char *text, size_t size_bytes, bool checked, agate_graph **out_graph)
{
    agate_parser p = {.line = 1, .checked = checked};

    p.scratch = agate_arena_create();
    p.graph = agate_graph_create(NULL);
    if (!p.scratch || !p.graph || agate_arena_room(p.scratch) / 2 < size_bytes) {
        p.status =
            agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for %zu bytes of text", size_bytes);
    } else {
        char *copy = agate_arena_alloc(p.scratch, size_bytes + 1);
        if (size_bytes)
            memcpy(copy, text, size_bytes);
        p.text = p.at = copy;
        p.end = copy + size_bytes;
        p.names.arena = p.scratch;
        parse_graph(&p);
    }
    agate_arena_release(p.scratch);
    if (p.status != AGATE_OK) {
        agate_graph_release(p.graph);
        return p.status;
    }
    *out_graph = p.graph;
    return AGATE_OK;
}

agate_status agate_parse(const char *text, size_t size_bytes, agate_graph **out_graph)
{
    return parse(text, size_bytes, true, out_graph);
}

agate_status agate_parse_unchecked(const char *text, size_t size_bytes, agate_graph **out_graph)
{
    return parse(text, size_bytes, false, out_graph);
}
