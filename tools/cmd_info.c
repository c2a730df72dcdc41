/* cmd_info.c: what a model is and what becomes of it: interface, operators, sizes, costs, kernels. Compiles
 * no code. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ir/cost.h"
#include "ir/text.h"
#include "tools/info.h"

typedef struct settings {
    bool json;
    agate_cli_compile compile;
} settings;

static const agate_cli_option options[] = {
    {"json", AGATE_CLI_FLAG, NULL, offsetof(settings, json), "print a JSON object"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {0},
};

/* A kernel that no strategy of vectors serves. */
typedef struct slow_kernel {
    struct slow_kernel *next;
    const agate_node *kernel;
    const char *reasons; /* why the better strategies refused */
} slow_kernel;

typedef struct facts {
    agate_arena *arena;
    agate_graph *graph;
    const char *isa;
    agate_tally ops;        /* as imported */
    agate_tally strategies; /* as scheduled */
    size_t node_count, kernel_count;
    int64_t parameters;
    size_t weight_bytes, packed_bytes;
    agate_dim flops, slab;
    agate_map refusals; /* kernel -> text */
    slow_kernel *slow, **last_slow;
} facts;

/* ---- gathering ---------------------------------------------------------------------------------------- */

static void count_weight(facts *f, const agate_node *node)
{
    agate_dim count, size_bytes;
    const agate_type *type = &node->results[0].type;

    if (agate_type_count(type, &count) && agate_type_size(type, &size_bytes)) {
        f->parameters += count.offset;
        f->weight_bytes += (size_t)size_bytes.offset;
    }
}

static void gather_imported(facts *f)
{
    AGATE_EACH_NODE (node, f->graph) {
        if (node->op == AGATE_OP_weight)
            count_weight(f, node);
        if (agate_node_has(node, AGATE_CONSTANT) || agate_node_has(node, AGATE_TERMINATOR))
            continue;
        f->node_count++;
        agate_tally_add(&f->ops, agate_node_info(node)->name);
        /* Beyond 2^63 the sum would mean nothing. */
        if (!agate_dim_add(f->flops, agate_node_flops(node), &f->flops))
            f->flops = agate_dim_fixed(0);
    }
}

/* An agate_remark_fn: the scheduler says why a strategy does not serve a kernel. */
static void hear_remark(void *user, const char *pass, const agate_node *node, const char *message)
{
    facts *f = user;
    const char *before;

    /* That a strategy is for other operators ("no convolution") explains nothing. */
    if (strcmp(pass, "schedule") != 0 || !node || strstr(message, "refused: no "))
        return;
    before = agate_map_get(&f->refusals, node, 0);
    agate_map_put(&f->refusals, node, 0,
                  agate_arena_format(f->arena, "%s%s%s", before ? before : "", before ? "; " : "", message));
}

static void gather_kernel(facts *f, const agate_node *kernel)
{
    const char *reasons = agate_map_get(&f->refusals, kernel, 0);

    f->kernel_count++;
    agate_tally_add(&f->strategies, agate_strategy_name(kernel->strategy));
    if (kernel->strategy != AGATE_STRATEGY_library && kernel->strategy != AGATE_STRATEGY_nest)
        return;
    *f->last_slow = AGATE_NEW(f->arena, slow_kernel);
    **f->last_slow = (slow_kernel){.kernel = kernel, .reasons = reasons ? reasons : ""};
    f->last_slow = &(*f->last_slow)->next;
}

static agate_status gather_planned(facts *f)
{
    AGATE_EACH_NODE (node, f->graph) {
        if (agate_node_has(node, AGATE_CONSTANT) && node->data)
            f->packed_bytes += node->data->size_bytes;
        if (node->op == AGATE_OP_kernel)
            gather_kernel(f, node);
    }
    if (!agate_graph_slab_size(f->graph, &f->slab))
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "a tensor is too large");
    return AGATE_OK;
}

static agate_status gather(facts *f, const char *model, agate_driver_options *driver)
{
    agate_machine machine;

    AGATE_TRY(agate_driver_machine_exact(&driver->compile, &machine));
    f->isa = machine.name;
    AGATE_TRY(agate_driver_read(model, driver, &f->graph));
    gather_imported(f);
    agate_pass_options passes = agate_driver_passes(driver, &machine);
    passes.remark = hear_remark;
    passes.remark_user = f;
    AGATE_TRY(agate_error_within(agate_passes_run(f->graph, &passes, AGATE_STAGE_planned), "%s", model));
    return gather_planned(f);
}

/* ---- text --------------------------------------------------------------------------------------------- */

static const char *result_name(const facts *f, int32_t index)
{
    const agate_value *value = f->graph->last->operands[index];
    const char *name = f->graph->result_names ? f->graph->result_names[index] : NULL;

    return name ? name : value->name ? value->name : "";
}

static const char *param_name(const facts *f, int32_t index)
{
    return f->graph->params[index]->name ? f->graph->params[index]->name : "";
}

/* The logical type: inside, results may lie in a layout of their own. */
static const char *type_of(const facts *f, const agate_value *value)
{
    agate_type plain = value->type;
    agate_text text = {0};
    const char *copy;

    plain.layout = (agate_layout){.kind = AGATE_LAYOUT_plain};
    agate_type_print(&plain, &text);
    copy = agate_arena_text(f->arena, agate_text_c(&text));
    agate_text_deinit(&text);
    return copy;
}

static const char *slow_body(const facts *f, const agate_node *kernel)
{
    agate_text text = {0};
    const char *copy;

    AGATE_EACH_NODE (node, kernel->body)
        if (!agate_node_has(node, AGATE_TERMINATOR))
            agate_text_add(&text, "%s%s", text.size_bytes ? ", " : "", agate_node_info(node)->name);
    copy = agate_arena_text(f->arena, agate_text_c(&text));
    agate_text_deinit(&text);
    return copy;
}

static void print_report(const facts *f, const char *model)
{
    printf("%s\ninputs\n", model);
    for (int32_t i = 0; i < f->graph->param_count; i++)
        agate_info_print_value(param_name(f, i), type_of(f, f->graph->params[i]));
    printf("outputs\n");
    for (int32_t i = 0; i < f->graph->last->operand_count; i++)
        agate_info_print_value(result_name(f, i), type_of(f, f->graph->last->operands[i]));
    printf("%-12s%" PRId64 "\n", "parameters", f->parameters);
    agate_info_print_amount("weights", agate_dim_fixed((int64_t)f->weight_bytes), "B");
    agate_info_print_amount("  packed", agate_dim_fixed((int64_t)f->packed_bytes), "B");
    agate_info_print_amount("work", f->flops, "FLOP");
    agate_info_print_amount("slab", f->slab, "B");
    printf("%zu nodes as imported\n", f->node_count);
    agate_info_print_tally(&f->ops);
    printf("%zu kernels for %s, by strategy\n", f->kernel_count, f->isa);
    agate_info_print_tally(&f->strategies);
    if (f->slow)
        printf("not in vectors\n");
    for (const slow_kernel *slow = f->slow; slow; slow = slow->next)
        printf("  %s (%s) by %s: %s\n", slow->kernel->origin ? slow->kernel->origin : "?",
               slow_body(f, slow->kernel),
               slow->kernel->strategy == AGATE_STRATEGY_library ? "its reference kernel"
                                                                : "one element at a time",
               slow->reasons);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *value_json(const facts *f, const char *name, const agate_value *value)
{
    json_t *object = json_object();

    json_object_set_new(object, "name", agate_json_string(name));
    json_object_set_new(object, "dtype", json_string(agate_dtype_name(value->type.dtype)));
    json_object_set_new(object, "shape", agate_info_shape(value->type.dims, value->type.rank));
    json_object_set_new(object, "type", agate_json_string(type_of(f, value)));
    return object;
}

static json_t *slow_json(const facts *f)
{
    json_t *array = json_array();

    for (const slow_kernel *slow = f->slow; slow; slow = slow->next) {
        json_t *object = json_object();

        json_object_set_new(object, "origin",
                            agate_json_string(slow->kernel->origin ? slow->kernel->origin : ""));
        json_object_set_new(object, "ops", agate_json_string(slow_body(f, slow->kernel)));
        json_object_set_new(object, "strategy",
                            agate_json_string(agate_strategy_name(slow->kernel->strategy)));
        json_object_set_new(object, "reason", agate_json_string(slow->reasons));
        json_array_append_new(array, object);
    }
    return array;
}

static void print_json(const facts *f, const char *model)
{
    json_t *root = json_object(), *inputs = json_array(), *outputs = json_array();

    for (int32_t i = 0; i < f->graph->param_count; i++)
        json_array_append_new(inputs, value_json(f, param_name(f, i), f->graph->params[i]));
    for (int32_t i = 0; i < f->graph->last->operand_count; i++)
        json_array_append_new(outputs, value_json(f, result_name(f, i), f->graph->last->operands[i]));
    json_object_set_new(root, "model", agate_json_string(model));
    json_object_set_new(root, "inputs", inputs);
    json_object_set_new(root, "outputs", outputs);
    json_object_set_new(root, "parameters", json_integer(f->parameters));
    json_object_set_new(root, "weight_bytes", json_integer((json_int_t)f->weight_bytes));
    json_object_set_new(root, "packed_bytes", json_integer((json_int_t)f->packed_bytes));
    json_object_set_new(root, "flops", agate_info_amount(f->flops));
    json_object_set_new(root, "slab_bytes", agate_info_amount(f->slab));
    json_object_set_new(root, "nodes", json_integer((json_int_t)f->node_count));
    json_object_set_new(root, "ops", agate_json_tally(&f->ops));
    json_object_set_new(root, "isa", json_string(f->isa));
    json_object_set_new(root, "kernels", json_integer((json_int_t)f->kernel_count));
    json_object_set_new(root, "strategies", agate_json_tally(&f->strategies));
    json_object_set_new(root, "not_in_vectors", slow_json(f));
    agate_json_print(root);
}

/* ---- the verb ----------------------------------------------------------------------------------------- */

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
    facts f = {.last_slow = &f.slow};
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    /* What it was compiled for need not be a row of machines.def. */
    if (code < 0 && operands.count == 1 && agate_driver_is_compiled(operands.items[0])) {
        status = agate_info_compiled(operands.items[0], set.compile.isa, set.compile.precision, set.json);
        return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
    }
    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &driver.compile);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    f.arena = f.ops.arena = f.strategies.arena = f.refusals.arena = agate_arena_create();
    if (!f.arena)
        return agate_cli_fail(agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for a report"));
    status = gather(&f, operands.items[0], &driver);
    if (status == AGATE_OK)
        (set.json ? print_json : print_report)(&f, operands.items[0]);
    agate_graph_release(f.graph);
    agate_arena_release(f.arena);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_info = {
    .name = "info",
    .operands = "[OPTION]... MODEL",
    .summary = "Says what a model takes, gives, holds and costs, and what its kernels are.",
    .options = options,
    .details =
        "Parameters are the elements of all weights, statistics of normalizations included. Work counts the\n"
        "multiply-adds of convolutions and matrix products as two, and taps of pooling windows as one. The "
        "slab\n"
        "holds the intermediate results of one session. \"Packed\" is what compiled code reads instead of "
        "the\n"
        "weights: folded and blocked. With --isa of a set that this CPU lacks, kernels are shown all the "
        "same.\n"
        "JSON keys: model, inputs and outputs (name, dtype, shape, type), parameters, weight_bytes, "
        "packed_bytes,\n"
        "flops and slab_bytes (per_row, fixed), nodes, ops, isa, kernels, strategies, not_in_vectors "
        "(origin, ops,\n"
        "strategy, reason). Of a compiled file it tells model, inputs, outputs, packed_bytes, flops, "
        "slab_bytes,\n"
        "workspace_bytes (of a thread), isa, isas (all it was compiled for), precision, precisions (all), "
        "runs_here,\n"
        "weight_bytes (of all variants, equal ones once), variants (isa, precision, runs_here, weight_bytes, "
        "code_bytes),\n"
        "kernels and strategies; --isa and --precision then say of which.\n\n"
        "  agate info resnet50.onnx\n"
        "  agate info resnet50.onnx --isa avx2 --json\n"
        "  agate info resnet50.so\n",
    .run = run,
};
