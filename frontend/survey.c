/* survey.c: a look over all nodes before the walk: which operators does agate not know? Each is reported
 * once, with how often it occurs, so that one run tells everything that a model lacks. */
#include "frontend/importer.h"

#include <inttypes.h>

typedef struct survey {
    agate_importer *importer;
    agate_names seen_functions; /* "domain:op:overload" */
    agate_unknown **last;
} survey;

static const char *text_of(const char *text)
{
    return text ? text : "";
}

/* What to say of operators that are left out on purpose, for now. */
static const struct hint {
    const char *word; /* in the operator's name */
    const char *text;
} hints[] = {
    {"uantizeLinear", "quantized models are not supported yet; use the model in floats"},
    {"QLinear", "quantized models are not supported yet; use the model in floats"},
    {"MatMulInteger", "quantized models are not supported yet; use the model in floats"},
    {"ConvInteger", "quantized models are not supported yet; use the model in floats"},
    {"Random", "random numbers are not supported"},
    {"Sequence", "sequences are not supported yet"},
    {"Optional", "optional values are not supported yet"},
    {"String", "strings are not supported yet"},
};

/* Operators that have a graph inside. */
static bool has_body(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->g || node->attribute[i]->n_graphs)
            return true;
    return false;
}

static const char *hint_for(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < AGATE_COUNT(hints); i++)
        if (strstr(text_of(node->op_type), hints[i].word))
            return hints[i].text;
    return has_body(node) ? "control flow is not supported yet" : NULL;
}

/* One line for an operator: why it does not import. */
static const char *explain(agate_importer *importer, const agate_unknown *found, const Onnx__NodeProto *node)
{
    const agate_onnx_op *other = NULL;
    const bool standard = !*found->domain || strcmp(found->domain, "ai.onnx") == 0;
    const char *hint = hint_for(node);
    agate_arena *arena = importer->arena;

    if (standard)
        agate_onnx_find(found->op, found->opset, &other);
    if (found->opset == 0)
        return agate_arena_format(arena, "the model imports no opset for its domain \"%s\"",
                                  standard ? "ai.onnx" : found->domain);
    if (other && found->opset < AGATE_ONNX_OPSET_FIRST)
        return agate_arena_format(arena,
                                  "its form in opset %" PRId64
                                  " is not supported; convert the model to opset %d "
                                  "or newer with onnx.version_converter",
                                  found->opset, AGATE_ONNX_OPSET_FIRST);
    if (other && other->first > found->opset)
        return agate_arena_format(arena, "this operator exists since opset %d, the model uses %" PRId64,
                                  other->first, found->opset);
    if (hint)
        return hint;
    if (standard)
        return "this operator is not supported yet, or no ONNX operator";
    return agate_arena_format(arena,
                              "operators of domain \"%s\" are not supported; export the model with "
                              "standard operators only",
                              found->domain);
}

static char *key_of(agate_arena *arena, const Onnx__NodeProto *node, int64_t opset)
{
    return agate_arena_format(arena, "%s:%s:%" PRId64, text_of(node->domain), text_of(node->op_type), opset);
}

static const char known; /* marks operators that import; only its address is used */

static void survey_nodes(survey *s, const agate_scope *scope, Onnx__NodeProto *const *nodes, size_t count);

static void survey_node(survey *s, const agate_scope *scope, const Onnx__NodeProto *node)
{
    agate_arena *arena = s->importer->arena;
    const Onnx__FunctionProto *function = agate_find_function(s->importer, node);
    if (function) {
        char *key = agate_arena_format(arena, "%s:%s:%s", text_of(node->domain), text_of(node->op_type),
                                       text_of(node->overload));
        const bool imports = function->n_opset_import > 0;
        const agate_scope inner = {.prefix = key,
                                   .opsets = imports ? function->opset_import : scope->opsets,
                                   .opset_count = imports ? function->n_opset_import : scope->opset_count,
                                   .depth = scope->depth + 1};
        if (inner.depth < 100 && agate_names_add(&s->seen_functions, key, key))
            survey_nodes(s, &inner, function->node, function->n_node);
        return;
    }
    const int64_t opset = agate_scope_opset(scope, node->domain);
    const char *op = text_of(node->op_type), *domain = text_of(node->domain);
    const agate_onnx_op *other;
    char *key = key_of(arena, node, opset);
    void *seen = agate_names_find(&s->importer->known_ops, key);
    if (seen) {
        if (seen != &known)
            ((agate_unknown *)seen)->count++;
        return;
    }
    const bool standard = !*domain || strcmp(domain, "ai.onnx") == 0;
    if (standard && opset && agate_onnx_find(op, opset, &other)) {
        agate_names_add(&s->importer->known_ops, key, (void *)&known);
        return;
    }
    char *shown = agate_arena_text(arena, op);
    agate_tame(shown);
    agate_unknown *found = AGATE_NEW(arena, agate_unknown);
    *found = (agate_unknown){.op = shown,
                             .domain = domain,
                             .first_node = agate_node_label(s->importer, scope, node),
                             .opset = opset,
                             .count = 1};
    found->line = explain(s->importer, found, node);
    agate_names_add(&s->importer->known_ops, key, found);
    *s->last = found;
    s->last = &found->next;
}

static void survey_nodes(survey *s, const agate_scope *scope, Onnx__NodeProto *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        survey_node(s, scope, nodes[i]);
}

void agate_survey(agate_importer *importer, const agate_scope *scope)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    survey s = {.importer = importer, .seen_functions = agate_names_make(importer->arena)};
    importer->known_ops = agate_names_make(importer->arena);
    s.last = &importer->unknown_ops;
    survey_nodes(&s, scope, graph->node, graph->n_node);
    for (const agate_unknown *found = importer->unknown_ops; found; found = found->next) {
        const char *domain = *found->domain ? found->domain : "ai.onnx";
        const char *line =
            agate_arena_format(importer->arena, "%s [%s %" PRId64 ", %zu node%s]", found->line, domain,
                               found->opset, found->count, found->count == 1 ? "" : "s");
        agate_faults_add(&importer->faults, AGATE_CODE_UNSUPPORTED, found->first_node, found->op, line);
    }
}

/* ---- telling ---------------------------------------------------------------------------------------------
 */

static void tell(agate_importer *importer, agate_unknown *found, const char *node, const char *types)
{
    found->told = true;
    agate_fault_tell(importer, &(agate_import_fault){.code = AGATE_CODE_UNSUPPORTED,
                                                     .node = node,
                                                     .op = found->op,
                                                     .domain = *found->domain ? found->domain : "ai.onnx",
                                                     .opset = found->opset,
                                                     .types = types,
                                                     .reason = found->line});
}

void agate_survey_tell(const agate_call *call)
{
    agate_importer *importer = call->importer;
    void *found = agate_names_find(&importer->known_ops, key_of(importer->arena, call->node, call->opset));
    if (found && found != &known)
        tell(importer, found, call->name, agate_call_types(call));
}

void agate_survey_tell_rest(agate_importer *importer)
{
    for (agate_unknown *found = importer->unknown_ops; found; found = found->next)
        if (!found->told)
            tell(importer, found, found->first_node, "");
}
