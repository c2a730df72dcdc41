/* walk.c: the walk over a model's nodes: names to values, operators to their rows, functions to their bodies.
 */
#include "frontend/importer.h"

#include <inttypes.h>

enum {
    MAX_FUNCTION_DEPTH = 32,
    MAX_CALLS = 1 << 20,
    MAX_ATTRIBUTES = 64,
    MAX_OPERANDS = 1 << 20,
    MAX_CYCLE_SEARCHES = 8, /* each may visit the whole graph */
};

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static bool is_standard_domain(const char *domain)
{
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

int64_t agate_scope_opset(const agate_scope *scope, const char *domain)
{
    for (size_t i = 0; i < scope->opset_count; i++) {
        const char *imported = scope->opsets[i]->domain;
        if (is_standard_domain(domain) ? is_standard_domain(imported)
                                       : strcmp(text_of(imported), domain) == 0)
            return scope->opsets[i]->version;
    }
    return 0;
}

const char *agate_node_label(agate_importer *importer, const agate_scope *scope, const Onnx__NodeProto *node)
{
    const char *name = text_of(node->name);
    for (size_t i = 0; !*name && i < node->n_output; i++)
        name = node->output[i];
    char *label = agate_arena_format(importer->graph->arena, "%s%s", scope->prefix, name);
    agate_tame(label);
    return label;
}

/* ---- names -----------------------------------------------------------------------------------------------
 */

/* Turns an initializer into a constant on its first use. */
static void load_initializer(agate_importer *importer, const char *name, agate_binding *binding)
{
    agate_type type;
    agate_data *data = NULL;
    agate_status status;
    if (binding->tensor)
        status =
            agate_tensor_read(&importer->files, binding->tensor, importer->limit_bytes, true, &type, &data);
    else
        status =
            agate_tensor_read_sparse(&importer->files, binding->sparse, importer->limit_bytes, &type, &data);
    if (!status && binding->sparse && !agate_importer_charge(importer, data->size_bytes)) {
        agate_data_release(data);
        status =
            agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "the model's sparse tensors exceed %zu bytes in all",
                             importer->limit_bytes);
    }
    binding->tensor = NULL;
    binding->sparse = NULL;
    if (status) {
        agate_text line = {0};
        agate_text_add(&line, "initializer \"%s\": %s", name, agate_status_message(status));
        agate_faults_add(&importer->faults, agate_status_code(status), NULL, NULL, agate_text_c(&line));
        agate_fault_tell(importer, &(agate_import_fault){.code = agate_status_code(status),
                                                         .reason = agate_text_c(&line)});
        agate_text_deinit(&line);
        agate_status_release(status);
        return;
    }
    binding->value = agate_import_data(importer->graph, &type, data, name);
    binding->value->name = agate_arena_text(importer->graph->arena, name);
}

agate_binding *agate_scope_find(agate_importer *importer, agate_scope *scope, const char *name)
{
    agate_binding *binding = agate_names_find(&scope->names, name);
    if (binding && (binding->tensor || binding->sparse))
        load_initializer(importer, name, binding);
    return binding;
}

/* ---- a name that nothing has defined so far --------------------------------------------------------------
 */

/* Nodes of one list by what they make, for explaining faults of order. Values are indices plus 1. */
typedef struct producers {
    Onnx__NodeProto *const *nodes;
    size_t node_count;
    agate_names names;
    int searches;
} producers;

static producers producers_of(agate_importer *importer, Onnx__NodeProto *const *nodes, size_t node_count)
{
    producers made = {nodes, node_count, agate_names_make(importer->arena), 0};
    for (size_t i = 0; i < node_count; i++)
        for (size_t k = 0; k < nodes[i]->n_output; k++)
            agate_names_add(&made.names, nodes[i]->output[k], (void *)(uintptr_t)(i + 1));
    return made;
}

/* Index of the node that makes `name`, or SIZE_MAX. */
static size_t producer(const producers *made, const char *name)
{
    return (size_t)(uintptr_t)agate_names_find(&made->names, name) - 1;
}

/* Does node `from` need, directly or not, what node `to` makes? */
static bool depends(agate_importer *importer, const producers *made, size_t from, size_t to)
{
    const size_t mark = agate_arena_mark(importer->arena);
    uint8_t *seen = AGATE_NEW_N(importer->arena, uint8_t, made->node_count);
    size_t *stack = AGATE_NEW_N(importer->arena, size_t, made->node_count);
    size_t depth = 0;
    bool found = false;

    stack[depth++] = from;
    seen[from] = 1;
    while (depth && !found) {
        const size_t at = stack[--depth];
        found = at == to;
        for (size_t i = 0; i < made->nodes[at]->n_input; i++) {
            const size_t next = producer(made, made->nodes[at]->input[i]);
            if (next != SIZE_MAX && !seen[next]) {
                seen[next] = 1;
                stack[depth++] = next;
            }
        }
    }
    agate_arena_rewind(importer->arena, mark);
    return found;
}

static void fault_undefined(agate_call *call, producers *made, size_t index, const char *name)
{
    const size_t maker = producer(made, name);
    if (maker == SIZE_MAX) {
        agate_call_invalid(
            call,
            "its input \"%s\" is defined nowhere: no initializer, no input of the model and no "
            "node makes it",
            name);
        return;
    }
    const char *label = agate_node_label(call->importer, call->scope, made->nodes[maker]);
    if (made->searches++ < MAX_CYCLE_SEARCHES && depends(call->importer, made, maker, index))
        agate_call_invalid(
            call,
            "its input \"%s\" is made by node \"%s\", which itself depends on this node: the graph "
            "has a cycle",
            name, label);
    else
        agate_call_invalid(call,
                           "its input \"%s\" is made only later, by node \"%s\": ONNX wants nodes sorted by "
                           "their use",
                           name, label);
}

/* ---- calls -----------------------------------------------------------------------------------------------
 */

/* Entries of a list of names up to the last that is not empty. */
static size_t trimmed(char *const *names, size_t count)
{
    while (count && !*text_of(names[count - 1]))
        count--;
    return count;
}

bool agate_call_wants(const agate_call *call, int32_t index)
{
    return index < call->result_count && *text_of(call->node->output[index]);
}

/* Fills in call->operands. Returns false where one is faulty (then silently) or undefined. */
static bool find_operands(agate_call *call, producers *made, size_t index)
{
    bool good = true;
    for (int32_t i = 0; i < call->operand_count; i++) {
        const char *name = call->node->input[i];
        agate_binding *binding = *name ? agate_scope_find(call->importer, call->scope, name) : NULL;
        if (!*name)
            continue;
        if (!binding)
            fault_undefined(call, made, index, name);
        good = good && binding && (binding->value || binding->absent);
        call->operands[i] = binding ? binding->value : NULL;
    }
    return good;
}

static bool counts_fit(agate_call *call)
{
    const agate_onnx_op *row = call->row;
    const int32_t hi = row->operand_max < 0 ? INT32_MAX : row->operand_max;
    if (call->operand_count < row->operand_min || call->operand_count > hi)
        agate_call_invalid(call, "it has %d inputs; %s%d %s needed", call->operand_count,
                           row->operand_min == hi     ? ""
                           : call->operand_count > hi ? "at most "
                                                      : "at least ",
                           call->operand_count > hi ? hi : row->operand_min, hi == 1 ? "is" : "are");
    if (row->result_max >= 0 && call->result_count > row->result_max)
        agate_call_invalid(call, "it has %d outputs; at most %d are defined", call->result_count,
                           row->result_max);
    /* Nothing may be left out of a list of any length. */
    const int32_t required = row->operand_max < 0 ? call->operand_count : row->operand_min;
    for (int32_t i = 0; i < required && !call->faulty; i++)
        if (!call->operands[i])
            agate_call_invalid(call, "its input %d is required but left out", i);
    return !call->faulty;
}

/* Binds what the call made; faulty results are bound to nothing. */
static void bind_results(agate_call *call)
{
    agate_importer *importer = call->importer;
    for (int32_t i = 0; i < call->result_count; i++) {
        if (!agate_call_wants(call, i))
            continue;
        const char *name = call->node->output[i];
        agate_value *value = call->faulty ? NULL : call->results[i];
        if (!value && !call->faulty && call->row)
            agate_call_unsupported(call, "its output %d is not supported", i);
        if (value && value->node && !value->name)
            value->name = agate_arena_format(importer->graph->arena, "%s%s", call->scope->prefix, name);
        agate_binding *binding = AGATE_NEW(importer->arena, agate_binding);
        binding->value = value;
        if (!agate_names_add(&call->scope->names, name, binding))
            agate_call_invalid(call, "it makes \"%s\", a name that is taken already", name);
    }
}

static agate_call call_of(agate_importer *importer, agate_scope *scope, const Onnx__NodeProto *node)
{
    agate_call call = {
        .importer = importer,
        .scope = scope,
        .node = node,
        .name = agate_node_label(importer, scope, node),
        .opset = agate_scope_opset(scope, node->domain),
        .operand_count =
            (int32_t)trimmed(node->input, (size_t)agate_min((int64_t)node->n_input, MAX_OPERANDS)),
        .result_count =
            (int32_t)trimmed(node->output, (size_t)agate_min((int64_t)node->n_output, MAX_OPERANDS)),
    };
    call.operands = AGATE_NEW_N(importer->arena, agate_value *, call.operand_count);
    call.results = AGATE_NEW_N(importer->arena, agate_value *, call.result_count);
    return call;
}

static void import_operator(agate_call *call, producers *made, size_t index)
{
    const Onnx__NodeProto *node = call->node;
    if (node->n_attribute > MAX_ATTRIBUTES || node->n_input > MAX_OPERANDS || node->n_output > MAX_OPERANDS)
        agate_call_unsupported(call, "it has %zu attributes, %zu inputs and %zu outputs", node->n_attribute,
                               node->n_input, node->n_output);
    else
        agate_attrs_check(call);
    const bool good = find_operands(call, made, index);
    if (good && !call->faulty && counts_fit(call))
        call->row->handler(call);
    else
        call->faulty = true;
}

/* ---- functions -------------------------------------------------------------------------------------------
 */

const Onnx__FunctionProto *agate_find_function(const agate_importer *importer, const Onnx__NodeProto *node)
{
    const size_t mark = agate_arena_mark(importer->arena);
    const char *key = agate_arena_format(importer->arena, "%s:%s:%s", text_of(node->domain),
                                         text_of(node->op_type), text_of(node->overload));
    const Onnx__FunctionProto *function = agate_names_find(&importer->functions, key);
    agate_arena_rewind(importer->arena, mark);
    return function;
}

/* Binds the function's inputs in `inner` to the call's operands. */
static void bind_inputs(agate_call *call, const Onnx__FunctionProto *function, agate_scope *inner)
{
    if ((size_t)call->operand_count > function->n_input)
        agate_call_invalid(call, "it has %d inputs; the function %s takes %zu", call->operand_count,
                           text_of(function->name), function->n_input);
    for (size_t i = 0; i < function->n_input && !call->faulty; i++) {
        agate_binding *binding = AGATE_NEW(call->importer->arena, agate_binding);
        binding->value = agate_call_operand(call, (int32_t)agate_min((int64_t)i, INT32_MAX));
        binding->absent = !binding->value;
        if (!agate_names_add(&inner->names, function->input[i], binding))
            agate_call_invalid(call, "the function %s has two inputs \"%s\"", text_of(function->name),
                               function->input[i]);
    }
}

static void inline_function(agate_call *call, const Onnx__FunctionProto *function, producers *made,
                            size_t index)
{
    agate_importer *importer = call->importer;
    agate_scope inner = {
        .names = agate_names_make(importer->arena),
        .caller = call->scope,
        .call = call->node,
        .function = function,
        .prefix = agate_arena_format(importer->graph->arena, "%s/", call->name),
        .opsets = function->n_opset_import ? function->opset_import : call->scope->opsets,
        .opset_count = function->n_opset_import ? function->n_opset_import : call->scope->opset_count,
        .depth = call->scope->depth + 1,
    };
    if (inner.depth > MAX_FUNCTION_DEPTH)
        agate_call_invalid(call, "functions are nested more than %d deep (does one call itself?)",
                           MAX_FUNCTION_DEPTH);
    const bool good = find_operands(call, made, index);
    if (good && !call->faulty)
        bind_inputs(call, function, &inner);
    if (!good || call->faulty) {
        call->faulty = true;
        return;
    }
    agate_walk_nodes(importer, &inner, function->node, function->n_node);
    for (int32_t i = 0; i < call->result_count; i++) {
        agate_binding *binding =
            (size_t)i < function->n_output ? agate_scope_find(importer, &inner, function->output[i]) : NULL;
        if (!binding)
            agate_call_invalid(call, "the function %s makes no output %d", text_of(function->name), i);
        else if (!binding->value)
            call->faulty = true; /* reported where it went wrong */
        else
            call->results[i] = binding->value;
    }
}

/* ---- what the listener hears ------------------------------------------------------------------------------
 */

static void exhaust(agate_importer *importer)
{
    const char *reason = "the model has too many nodes, once its functions are inlined";
    if (importer->exhausted)
        return;
    importer->exhausted = true;
    agate_faults_add(&importer->faults, AGATE_CODE_UNSUPPORTED, NULL, NULL, reason);
    agate_fault_tell(importer, &(agate_import_fault){.code = AGATE_CODE_UNSUPPORTED, .reason = reason});
}

static void tell_node(const agate_call *call, bool faulty)
{
    const agate_import_listener *listener = call->importer->options->listener;
    if (listener && listener->node)
        listener->node(listener->user, text_of(call->node->op_type),
                       faulty         ? AGATE_IMPORT_FAULTY
                       : call->faulty ? AGATE_IMPORT_BLOCKED
                                      : AGATE_IMPORT_FINE);
}

/* A node that no row serves. Its operands are looked up for their types alone. */
static void refuse_unknown(agate_call *call)
{
    call->faulty = true;
    if (!call->importer->options->listener)
        return;
    for (int32_t i = 0; i < call->operand_count; i++) {
        const agate_binding *binding = agate_scope_find(call->importer, call->scope, call->node->input[i]);
        call->operands[i] = binding ? binding->value : NULL;
    }
    agate_survey_tell(call);
}

/* ---- the walk --------------------------------------------------------------------------------------------
 */

void agate_walk_nodes(agate_importer *importer, agate_scope *scope, Onnx__NodeProto *const *nodes,
                      size_t node_count)
{
    producers made = producers_of(importer, nodes, node_count);

    for (size_t i = 0; i < node_count; i++) {
        if (importer->node_count++ >= MAX_CALLS) {
            exhaust(importer);
            return;
        }
        const size_t faults = importer->faults.count;
        const agate_onnx_op *other;
        const Onnx__FunctionProto *function = agate_find_function(importer, nodes[i]);
        agate_call call = call_of(importer, scope, nodes[i]);
        if (!function && is_standard_domain(nodes[i]->domain))
            call.row = agate_onnx_find(text_of(nodes[i]->op_type), call.opset, &other);
        if (function)
            inline_function(&call, function, &made, i);
        else if (call.row)
            import_operator(&call, &made, i);
        else
            refuse_unknown(&call); /* agate_survey has reported it */
        bind_results(&call);
        if (!function)
            tell_node(&call, importer->faults.count > faults || !call.row);
    }
}
