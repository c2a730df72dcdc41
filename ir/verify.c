/* verify.c: is this a well-formed graph? Structure and types here; planned memory in verify_places.c. */
#include "ir/infer.h"
#include "ir/text.h"
#include "ir/verify_parts.h"

void agate_verify_fault(agate_verifier *v, const agate_node *node, const char *format, ...)
{
    agate_text message = {0};
    va_list args;

    v->fault_count++;
    if (!v->report)
        return;
    va_start(args, format);
    agate_text_add_v(&message, format, args);
    va_end(args);
    v->report(v->user, node, agate_text_c(&message));
    agate_text_deinit(&message);
}

/* ---- values and uses ----------------------------------------------------------------------------------- */

/* Uses that operands of this graph make of `value`, in v->uses as a number. */
static int64_t uses_seen(const agate_verifier *v, const agate_value *value)
{
    return (int64_t)(intptr_t)agate_map_get(&v->uses, value, 0);
}

static void verify_operands(agate_verifier *v, const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *value = node->operands[i];
        if (!value) {
            agate_verify_fault(v, node, "operand %d is missing", i);
            continue;
        }
        if (!agate_map_get(&v->defined, value, 0))
            agate_verify_fault(v, node, "operand %d is not defined above in the same graph", i);
        agate_map_put(&v->uses, value, 0, (void *)(intptr_t)(uses_seen(v, value) + 1));
    }
}

/* Marks `value` as defined; `index` is where it stands among the results of `node`, or the params. */
static void define(agate_verifier *v, const agate_node *node, const agate_value *value, int32_t index)
{
    agate_text fault = {0};

    if (value->node != node || value->index != index)
        agate_verify_fault(v, node, "value %d belongs to another place", index);
    if (!agate_type_check(&value->type, &fault))
        agate_verify_fault(v, node, "%s", agate_text_c(&fault));
    agate_text_deinit(&fault);
    agate_map_put(&v->defined, value, 0, (void *)value);
}

/* As many uses as operands, each use a real one and none twice: then they are the same. */
static void verify_uses(agate_verifier *v, const agate_node *node, const agate_value *value)
{
    if (value->use_count != uses_seen(v, value))
        agate_verify_fault(v, node, "value %d counts %d uses and has %lld", value->index, value->use_count,
                           (long long)uses_seen(v, value));
    for (int32_t i = 0; i < value->use_count; i++) {
        agate_use use = value->uses[i];
        bool inside = use.index >= 0 && use.index < use.node->operand_count;
        agate_value **slot = inside ? &use.node->operands[use.index] : NULL;
        if (!slot || *slot != value || agate_map_get(&v->slots, slot, 0))
            agate_verify_fault(v, node, "use %d of value %d is none, or is listed twice", i, value->index);
        else
            agate_map_put(&v->slots, slot, 0, slot);
    }
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

/* How many results ops of this row make; 0 stands for one or more. */
static int32_t results_of(const agate_node *node)
{
    return agate_node_has(node, AGATE_TERMINATOR) ? 0 : 1;
}

static bool operands_complete(const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (!node->operands[i])
            return false;
    return true;
}

/* Types and attributes against the op's row, on a copy: the rule fills attributes in. */
static void verify_type(agate_verifier *v, const agate_node *node)
{
    agate_node copy = *node;
    agate_type must;
    agate_text fault = {0};

    memset(&must, 0, sizeof must);
    bool good = agate_infer_node(&copy, &must, &fault);
    if (!good) {
        agate_verify_fault(v, node, "%s", agate_text_c(&fault));
    } else if (node->result_count == 1 && !agate_type_equal(&must, &node->results[0].type)) {
        agate_type_print(&must, &fault);
        agate_text_add(&fault, " is what %s gives here, not ", agate_node_info(node)->name);
        agate_type_print(&node->results[0].type, &fault);
        agate_verify_fault(v, node, "%s", agate_text_c(&fault));
    }
    if (good && memcmp(&copy.attrs, &node->attrs, sizeof copy.attrs) != 0)
        agate_verify_fault(v, node, "attribute lists are not filled in: infer the node after building it");
    agate_text_deinit(&fault);
}

/* What only some ops have: contents, a label, a body, tiles. */
static void verify_parts(agate_verifier *v, const agate_node *node)
{
    bool constant = agate_node_has(node, AGATE_CONSTANT);
    agate_dim size;

    if (node->data && !constant)
        agate_verify_fault(v, node, "only constants have contents");
    if (node->op == AGATE_OP_const && !node->data)
        agate_verify_fault(v, node, "a const without contents");
    if ((node->op == AGATE_OP_weight) != (node->label != NULL))
        agate_verify_fault(v, node, "weights, and nothing else, have a name");
    if (constant && (!agate_type_size(&node->results[0].type, &size) || !agate_dim_is_fixed(size)))
        agate_verify_fault(v, node, "a constant follows the batch");
    else if (constant && node->data && node->data->size_bytes != (size_t)size.offset)
        agate_verify_fault(v, node, "contents have %zu bytes, the type %lld", node->data->size_bytes,
                           (long long)size.offset);
    if (agate_node_has(node, AGATE_KERNEL) != (node->body != NULL))
        agate_verify_fault(v, node, "kernels, and nothing else, have a body");
}

static void verify_node(agate_verifier *v, const agate_graph *graph, const agate_node *node)
{
    bool terminator = agate_node_has(node, AGATE_TERMINATOR), kernel = agate_node_has(node, AGATE_KERNEL);

    if (node->graph != graph)
        agate_verify_fault(v, node, "the node belongs to another graph");
    verify_operands(v, node);
    bool counted = kernel ? node->result_count > 0 : node->result_count == results_of(node);
    if (!counted)
        agate_verify_fault(v, node, "%s cannot have %d results", agate_node_info(node)->name,
                           node->result_count);
    for (int32_t i = 0; i < node->result_count; i++)
        define(v, node, &node->results[i], i);
    if (!counted || !operands_complete(node))
        return;
    if (terminator != (node == graph->last))
        agate_verify_fault(v, node, terminator ? "nodes follow" : "the graph must end in %s",
                           graph->kernel ? "yield" : "return");
    if (terminator && node->op != (graph->kernel ? AGATE_OP_yield : AGATE_OP_return))
        agate_verify_fault(v, node, "graphs end in return, bodies of kernels in yield");
    verify_type(v, node);
    verify_parts(v, node);
    if (kernel && node->body)
        agate_verify_kernel(v, node);
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

static void verify_links(agate_verifier *v, const agate_graph *graph)
{
    const agate_node *previous = NULL;

    for (const agate_node *node = graph->first; node; previous = node, node = node->next)
        if (node->previous != previous)
            agate_verify_fault(v, node, "the list of nodes is broken here");
    if (graph->last != previous)
        agate_verify_fault(v, previous, "the list of nodes ends elsewhere");
    if (!graph->last)
        agate_verify_fault(v, NULL, "the graph is empty: it must end in %s",
                           graph->kernel ? "yield" : "return");
}

/* The caller's tensors have memory of their own. */
static void verify_ends(agate_verifier *v, const agate_graph *graph)
{
    for (int32_t i = 0; i < graph->param_count; i++)
        if (graph->params[i]->type.layout.pitch)
            agate_verify_fault(v, NULL, "parameter %d lies among others' channels", i);
    for (int32_t i = 0; graph->last && i < graph->last->operand_count; i++) {
        const agate_value *value = graph->last->operands[i];
        if (value && (value->type.layout.pitch || agate_value_is(value, AGATE_OP_join) ||
                      agate_value_is(value, AGATE_OP_part)))
            agate_verify_fault(v, graph->last, "result %d lies among others' channels", i);
    }
}

void agate_verify_nodes(agate_verifier *v, const agate_graph *graph)
{
    verify_links(v, graph);
    if (!graph->kernel)
        verify_ends(v, graph);
    for (int32_t i = 0; i < graph->param_count; i++)
        define(v, NULL, graph->params[i], i);
    for (const agate_node *node = graph->first; node; node = node->next)
        verify_node(v, graph, node);

    for (int32_t i = 0; i < graph->param_count; i++)
        verify_uses(v, NULL, graph->params[i]);
    for (const agate_node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            verify_uses(v, node, &node->results[i]);
}

size_t agate_verify(const agate_graph *graph, agate_fault_fn report, void *user)
{
    agate_verifier v = {.report = report, .user = user};

    v.slots.arena = v.uses.arena = v.defined.arena = v.arena = agate_arena_create();
    if (!v.arena) {
        agate_verify_fault(&v, NULL, "no address space left to verify the graph");
        return v.fault_count;
    }
    agate_verify_nodes(&v, graph);
    if (v.fault_count == 0) /* lives and overlaps mean nothing in a broken graph */
        agate_verify_places(&v, graph);
    agate_arena_release(v.arena);
    return v.fault_count;
}

/* ---- as a status --------------------------------------------------------------------------------------- */

enum { MOST_LINES = 20 };

typedef struct fault_list {
    agate_text text;
    size_t count;
} fault_list;

/* "%3 = conv %1, %2: message", one a line. */
static void add_line(void *user, const agate_node *node, const char *message)
{
    fault_list *list = user;

    if (list->count++ >= MOST_LINES)
        return;
    agate_text_add(&list->text, "%s", list->text.size_bytes ? "\n" : "");
    if (node) {
        agate_text printed = {0};
        agate_print_node(node, &printed);
        agate_text_add(&list->text, "%.*s: ", (int)strcspn(agate_text_c(&printed), "\n"),
                       agate_text_c(&printed));
        agate_text_deinit(&printed);
    }
    agate_text_add(&list->text, "%s", message);
}

agate_status agate_verify_status(const agate_graph *graph)
{
    fault_list list = {0};
    agate_status status = AGATE_OK;
    size_t count = agate_verify(graph, add_line, &list);

    if (count > MOST_LINES)
        agate_text_add(&list.text, "\nand %zu more faults", count - MOST_LINES);
    if (count > 0)
        status = agate_error_make(AGATE_CODE_INTERNAL, "%s", agate_text_c(&list.text));
    agate_text_deinit(&list.text);
    return status;
}
