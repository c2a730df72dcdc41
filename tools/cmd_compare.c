/* cmd_compare.c: which kernel of the compiled model is off, and how far. */
#include <stdio.h>
#include <stdlib.h>

#include "ir/narrow.h"
#include "ir/text.h"
#include "tools/compare.h"
#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/profile.h"
#include "tools/tensor.h"

typedef struct settings {
    agate_cli_list inputs;
    int64_t batch, seed;
    agate_compare_options tolerance;
    bool json;
    agate_cli_compile compile;
} settings;

static const agate_cli_option options[] = {
    {"input", AGATE_CLI_LIST, "NAME=FILE", offsetof(settings, inputs),
     "a .npy or .pb file for the input of this name"},
    {"seed", AGATE_CLI_INTEGER, "N", offsetof(settings, seed),
     "of the numbers for the other inputs (default 0)"},
    {"batch", AGATE_CLI_COUNT, "N", offsetof(settings, batch), "batch size (default 1)"},
    {"rtol", AGATE_CLI_REAL, "R", offsetof(settings, tolerance.rtol), "relative tolerance (default 1e-4)"},
    {"atol", AGATE_CLI_REAL, "A", offsetof(settings, tolerance.atol),
     "absolute tolerance (default: 1e-5 of the largest magnitude in the result)"},
    {"accumulated", AGATE_CLI_FLAG, NULL, offsetof(settings, tolerance.accumulated),
     "compare with a whole run by reference, so that errors add up as they do in a run"},
    {"json", AGATE_CLI_FLAG, NULL, offsetof(settings, json), "print a JSON object"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {0},
};

/* What is heard. */
typedef struct report {
    json_t *layers; /* NULL: lines are printed at once */
    size_t count, wrong_count;
    char *first; /* the first layer past the tolerance; NULL: none */
} report;

#define KERNEL_WIDTH 47 /* lines are printed as results come, so it is not known what is needed */

/* `which`: of several results, this one; else "". */
static void print_line(const agate_difference *d, const char *schedule, const char *origin, const char *which)
{
    agate_text kernel = {0}, nodes = {0};

    agate_profile_kernel(schedule, &kernel);
    agate_profile_nodes(origin, AGATE_PROFILE_NODES_WIDTH, &nodes);
    printf("%9.2e %9.2e %10.4g  %-4s %-*s %s%s", d->max_relative, d->max_abs, d->max_ulp,
           d->wrong_count ? "PAST" : "ok", KERNEL_WIDTH, agate_text_c(&kernel), agate_text_c(&nodes), which);
    if (d->wrong_count)
        printf("  (%lld of %lld elements)", (long long)d->wrong_count, (long long)d->element_count);
    printf("\n");
    agate_text_deinit(&kernel);
    agate_text_deinit(&nodes);
}

/* An infinite error is no JSON number. */
static json_t *real_or_null(double value)
{
    return json_real(value) ?: json_null();
}

static void add_layer(report *r, const agate_difference *d, const char *schedule, const char *name)
{
    json_t *layer = json_object();

    json_object_set_new(layer, "origin", agate_json_string(name));
    json_object_set_new(layer, "kernel", json_string(schedule));
    json_object_set_new(layer, "within", json_boolean(d->wrong_count == 0));
    json_object_set_new(layer, "max_relative", real_or_null(d->max_relative));
    json_object_set_new(layer, "max_abs", real_or_null(d->max_abs));
    json_object_set_new(layer, "max_ulp", real_or_null(d->max_ulp));
    json_object_set_new(layer, "elements", json_integer(d->element_count));
    json_object_set_new(layer, "elements_past", json_integer(d->wrong_count));
    json_array_append_new(r->layers, layer);
}

/* Does the kernel make more than one value? Further planes of one are part of it. */
static bool makes_several(const agate_node *kernel)
{
    for (int32_t i = 1; i < kernel->result_count; i++)
        if (agate_first_plane(kernel, i) == i)
            return true;
    return false;
}

/* An agate_difference_fn. */
static void hear(void *user, const agate_node *kernel, int32_t result, const agate_difference *difference)
{
    report *r = user;
    const char *origin = kernel->origin ? kernel->origin : "?";
    agate_text schedule = {0}, name = {0}, which = {0};

    agate_print_schedule(kernel, &schedule);
    if (makes_several(kernel))
        agate_text_add(&which, " (result %d)", result);
    agate_text_add(&name, "%s%s", origin, agate_text_c(&which));
    if (r->layers)
        add_layer(r, difference, agate_text_c(&schedule), agate_text_c(&name));
    else
        print_line(difference, agate_text_c(&schedule), origin, agate_text_c(&which));
    r->count++;
    r->wrong_count += difference->wrong_count > 0;
    if (difference->wrong_count > 0 && !r->first)
        r->first = strdup(agate_text_c(&name));
    agate_text_deinit(&schedule);
    agate_text_deinit(&which);
    agate_text_deinit(&name);
}

static const char *way_of(const settings *set)
{
    return set->tolerance.accumulated ? "accumulated" : "isolated";
}

static void print_json(const report *r, const char *model, const settings *set)
{
    json_t *root = json_object();

    json_object_set_new(root, "model", agate_json_string(model));
    json_object_set_new(root, "errors", json_string(way_of(set)));
    json_object_set_new(root, "first_past", r->first ? agate_json_string(r->first) : json_null());
    json_object_set(root, "layers", r->layers);
    agate_json_print(root);
}

static agate_status compare(agate_runner *runner, const settings *set, report *r)
{
    agate_inputs_options from = {.named = &set->inputs, .seed = set->seed, .batch = set->batch};
    agate_tensor *tensors = calloc(runner->input_count + 1, sizeof *tensors);
    agate_inputs inputs;
    agate_status status;

    if (!tensors)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    status = agate_inputs_init(&inputs, runner, &from);
    if (status == AGATE_OK) {
        status = agate_inputs_make(&inputs, 0, tensors);
        agate_inputs_deinit(&inputs);
    }
    if (status == AGATE_OK) {
        if (!r->layers)
            printf("errors are %s: %s\n\n%9s %9s %10s  %-4s %-*s %s\n", way_of(set),
                   set->tolerance.accumulated ? "both ran from the inputs, each on its own results"
                                              : "each reference kernel read what the compiled one read",
                   "relative", "absolute", "ULP", "", KERNEL_WIDTH, "kernel", "nodes");
        status = agate_compare(runner, tensors, &set->tolerance, hear, r);
        agate_tensor_free(tensors, runner->input_count);
    }
    free(tensors);
    return status;
}

static int conclude(const report *r, const char *model, const settings *set)
{
    if (r->layers)
        print_json(r, model, set);
    else
        printf("\n%zu results of kernels, %zu past the tolerance\n", r->count, r->wrong_count);
    if (r->wrong_count == 0)
        return AGATE_EXIT_OK;
    if (!r->layers)
        printf("the first one: %s\n", r->first);
    fprintf(stderr, "agate: %s: %zu results are past the tolerance\n", model, r->wrong_count);
    return AGATE_EXIT_FAILED;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {.tolerance = {.rtol = AGATE_COMPARE_RTOL, .atol = AGATE_COMPARE_ATOL}};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_runner_options how = {.keep_planned = true};
    agate_runner runner;
    report r = {0};
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &how.driver.compile);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    code = agate_inputs_check_tensors(verb, &set.inputs);
    if (code >= 0)
        return code;
    status = agate_runner_init(&runner, operands.items[0], &how);
    if (status != AGATE_OK)
        return agate_cli_fail(status);
    r.layers = set.json ? json_array() : NULL;
    status = compare(&runner, &set, &r);
    agate_runner_deinit(&runner);
    code = status == AGATE_OK ? conclude(&r, operands.items[0], &set) : agate_cli_fail(status);
    json_decref(r.layers);
    free(r.first);
    return code;
}

const agate_cli_verb agate_cmd_compare = {
    .name = "compare",
    .operands = "[OPTION]... MODEL",
    .summary = "Holds every kernel of the compiled model against the reference kernels.",
    .options = options,
    .details =
        "Exits with 1 where a result is past the tolerance: every element must be within atol + rtol * "
        "|reference|.\n"
        "Two neighbours of a 16-bit float pass, for a sum between them may be rounded to either.\n"
        "By default a reference kernel gets the very operands that the compiled kernel had, so that an error "
        "shows in\n"
        "the kernel that makes it. Relative errors and ULP (units in the last place) are the largest among "
        "elements\n"
        "of at least a thousandth of the result's largest magnitude: below that, cancellation decides them.\n"
        "JSON keys: model, errors (isolated or accumulated), first_past, layers (origin, kernel, within,\n"
        "max_relative, max_abs, max_ulp, elements, elements_past).\n\n"
        "  agate compare resnet50.onnx\n"
        "  agate compare resnet50.onnx --input input=photo.npy --accumulated\n"
        "  agate compare resnet50.onnx --isa avx2 --rtol 1e-5\n",
    .run = run,
};
