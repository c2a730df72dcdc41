/* cmd_check.c: can a model be compiled? Every node that cannot, with its reason, and what is fine. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/json.h"

typedef struct settings {
    bool json;
    agate_cli_compile compile;
} settings;

static const agate_cli_option options[] = {
    {"json", AGATE_CLI_FLAG, NULL, offsetof(settings, json), "print a JSON object"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {0},
};

/* A fault with strings of its own, in the report's arena. */
typedef struct row {
    struct row *next;
    agate_import_fault fault;
    const char *help;
    bool printed;
} row;

typedef struct report {
    agate_arena *arena;
    row *first, **last;
    size_t fault_count;
    size_t nodes[AGATE_IMPORT_BLOCKED + 1]; /* by outcome */
    agate_tally fine;                       /* operators of the nodes that are */
    agate_tally reasons;
} report;

/* ---- listening ---------------------------------------------------------------------------------------- */

/* What helps where a reason does not say so itself. */
static const char *general_help(agate_code code)
{
    switch (code) {
    case AGATE_CODE_INVALID_MODEL:
        return "the model breaks the ONNX specification: onnx.checker.check_model says more; export it again";
    case AGATE_CODE_UNSUPPORTED:
        return "export the model so that this is left out or expressed by other operators";
    case AGATE_CODE_OUT_OF_MEMORY:
        return "a smaller model or batch";
    default:
        return "";
    }
}

static void hear_fault(void *user, const agate_import_fault *fault)
{
    report *r = user;
    row *added = AGATE_NEW(r->arena, row);
    char *reason = agate_arena_text(r->arena, fault->reason);
    char *help = strstr(reason, "; ");

    if (help)
        *help = 0;
    added->fault = (agate_import_fault){
        .code = fault->code,
        .node = fault->node ? agate_arena_text(r->arena, fault->node) : NULL,
        .op = fault->op ? agate_arena_text(r->arena, fault->op) : NULL,
        .domain = fault->domain ? agate_arena_text(r->arena, fault->domain) : NULL,
        .opset = fault->opset,
        .types = agate_arena_text(r->arena, fault->types ? fault->types : ""),
        .reason = reason,
    };
    added->help = help ? help + 2 : general_help(fault->code);
    *r->last = added;
    r->last = &added->next;
    r->fault_count++;
    agate_tally_add(&r->reasons,
                    fault->op ? agate_arena_format(r->arena, "%s: %s", fault->op, reason) : reason);
}

static void hear_node(void *user, const char *op, agate_import_outcome outcome)
{
    report *r = user;

    r->nodes[outcome]++;
    if (outcome == AGATE_IMPORT_FINE)
        agate_tally_add(&r->fine, op);
}

/* ---- reporting ---------------------------------------------------------------------------------------- */

/* A node's name, what its operands are, and its operator set. */
static void print_place(const agate_import_fault *fault)
{
    printf("    \"");
    agate_cli_put(fault->node ? fault->node : "");
    printf("\" (");
    agate_cli_put(fault->types);
    printf(") [");
    agate_cli_put(fault->domain);
    printf(" %lld]\n", (long long)fault->opset);
}

static bool is_same_trouble(const row *a, const row *b)
{
    return a->fault.code == b->fault.code &&
           strcmp(a->fault.op ? a->fault.op : "", b->fault.op ? b->fault.op : "") == 0 &&
           strcmp(a->fault.reason, b->fault.reason) == 0 && strcmp(a->help, b->help) == 0;
}

/* What is wrong, once, and every node that has it: `first` and those of its kind behind it. */
static void print_trouble(row *first)
{
    size_t count = 0;

    for (const row *one = first; one; one = one->next)
        count += !one->printed && is_same_trouble(first, one) && one->fault.op;
    agate_cli_put(first->fault.op ? first->fault.op : "the model");
    printf(": %s: ", agate_code_name(first->fault.code));
    agate_cli_put(first->fault.reason);
    if (*first->help) {
        printf("\n  what would help: ");
        agate_cli_put(first->help);
    }
    printf("\n");
    if (count > 1)
        printf("  %zu nodes:\n", count);
    for (row *one = first; one; one = one->next) {
        if (one->printed || !is_same_trouble(first, one))
            continue;
        one->printed = true;
        if (one->fault.op)
            print_place(&one->fault);
    }
    printf("\n");
}

static void print_fine(const agate_tally *tally)
{
    if (tally->count == 0)
        return;
    printf("fine:\n");
    for (size_t i = 0; i < tally->count; i++) {
        printf("  %6zu  ", tally->rows[i].count);
        agate_cli_put(tally->rows[i].name);
        printf("\n");
    }
    printf("\n");
}

static void print_report(const report *r, const char *model)
{
    size_t total = 0;

    for (size_t i = 0; i < AGATE_COUNT(r->nodes); i++)
        total += r->nodes[i];
    for (row *one = r->first; one; one = one->next)
        if (!one->printed)
            print_trouble(one);
    print_fine(&r->fine);
    printf("%s: %zu node%s: %zu fine, %zu faulty", model, total, total == 1 ? "" : "s",
           r->nodes[AGATE_IMPORT_FINE], r->nodes[AGATE_IMPORT_FAULTY]);
    if (r->nodes[AGATE_IMPORT_BLOCKED])
        printf(", %zu not examined because they use what faulty ones make", r->nodes[AGATE_IMPORT_BLOCKED]);
    printf("\n%s\n", r->fault_count ? "This model cannot be compiled." : "This model can be compiled.");
}

static json_t *string_or_null(const char *text)
{
    return text ? agate_json_string(text) : json_null();
}

static json_t *fault_json(const row *one)
{
    json_t *object = json_object();

    json_object_set_new(object, "code", json_string(agate_code_name(one->fault.code)));
    json_object_set_new(object, "node", string_or_null(one->fault.node));
    json_object_set_new(object, "op", string_or_null(one->fault.op));
    json_object_set_new(object, "domain", string_or_null(one->fault.domain));
    json_object_set_new(object, "opset", json_integer(one->fault.opset));
    json_object_set_new(object, "types", string_or_null(one->fault.types));
    json_object_set_new(object, "reason", string_or_null(one->fault.reason));
    json_object_set_new(object, "help", string_or_null(one->help));
    return object;
}

static void print_json(const report *r, const char *model)
{
    static const char *const outcomes[] = {"fine", "faulty", "not_examined"};
    json_t *root = json_object(), *nodes = json_object(), *faults = json_array();

    for (size_t i = 0; i < AGATE_COUNT(outcomes); i++)
        json_object_set_new(nodes, outcomes[i], json_integer((json_int_t)r->nodes[i]));
    for (const row *one = r->first; one; one = one->next)
        json_array_append_new(faults, fault_json(one));
    json_object_set_new(root, "model", string_or_null(model));
    json_object_set_new(root, "compiles", json_boolean(r->fault_count == 0));
    json_object_set_new(root, "nodes", nodes);
    json_object_set_new(root, "fine", agate_json_tally(&r->fine));
    json_object_set_new(root, "reasons", agate_json_tally(&r->reasons));
    json_object_set_new(root, "faults", faults);
    agate_json_print(root);
}

/* ---- the verb ----------------------------------------------------------------------------------------- */

static int check(const char *model, const settings *set, agate_driver_options *driver, report *r)
{
    const agate_import_listener listener = {.user = r, .fault = hear_fault, .node = hear_node};
    agate_graph *graph;
    agate_status status;

    driver->listener = &listener;
    status = agate_driver_read(model, driver, &graph);
    /* What ends the import before its walk (no such file, damage) was not heard, so it is the message. */
    if (status != AGATE_OK && r->fault_count == 0)
        return agate_cli_fail(status);
    if (status == AGATE_OK)
        agate_graph_release(graph);
    agate_status_release(status);
    (set->json ? print_json : print_report)(r, model);
    if (r->fault_count == 0)
        return AGATE_EXIT_OK;
    fprintf(stderr, "agate: %s: %zu fault%s\n", model, r->fault_count, r->fault_count == 1 ? "" : "s");
    return AGATE_EXIT_FAILED;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
    report r = {0};
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &driver.compile);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    r.arena = r.fine.arena = r.reasons.arena = agate_arena_create();
    r.last = &r.first;
    if (!r.arena)
        return agate_cli_fail(agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for a report"));
    code = check(operands.items[0], &set, &driver, &r);
    agate_arena_release(r.arena);
    return code;
}

const agate_cli_verb agate_cmd_check = {
    .name = "check",
    .operands = "[OPTION]... MODEL",
    .summary = "Says whether a model can be compiled: every faulty or unsupported node, why, and what helps.",
    .options = options,
    .details =
        "Exits with 0 where the model compiles, with 1 where it has faults.\n"
        "JSON keys: model, compiles, nodes (fine, faulty, not_examined), fine (operators and how many), "
        "reasons,\n"
        "faults (code, node, op, domain, opset, types of the operands, reason, help).\n\n"
        "  agate check model.onnx\n"
        "  agate check model.onnx --dim height=224 --json\n",
    .run = run,
};
