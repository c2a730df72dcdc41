/* cmd_bisect.c: prints which rewrite changed a result. */
#include <stdio.h>
#include <stdlib.h>

#include "ir/text.h"
#include "tools/bisect.h"
#include "tools/file.h"
#include "tools/diff.h"
#include "tools/inputs.h"
#include "tools/tensor.h"

typedef struct settings {
    agate_cli_list inputs;
    int64_t batch, seed;
    agate_compare_options tolerance;
    bool compiled;
    agate_cli_passes passes; /* only what to skip */
    agate_cli_compile compile;
} settings;

static const agate_cli_option options[] = {
    {"input", AGATE_CLI_LIST, "NAME=FILE", offsetof(settings, inputs),
     "a .npy or .pb file for the input of this name"},
    {"seed", AGATE_CLI_INTEGER, "N", offsetof(settings, seed),
     "of the numbers for the other inputs (default 0)"},
    {"batch", AGATE_CLI_COUNT, "N", offsetof(settings, batch), "batch size (default 1)"},
    {"rtol", AGATE_CLI_REAL, "R", offsetof(settings, tolerance.rtol), "relative tolerance (default 1e-3)"},
    {"atol", AGATE_CLI_REAL, "A", offsetof(settings, tolerance.atol),
     "absolute tolerance (default: 1e-4 of the largest magnitude in the result)"},
    {"compiled", AGATE_CLI_FLAG, NULL, offsetof(settings, compiled),
     "compile and run what the passes make, instead of interpreting it"},
    {"skip", AGATE_CLI_COMMAS, "PASS", offsetof(settings, passes.skip), "leave a pass out; may be repeated"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {0},
};

static void tried(void *user, int64_t rewrites, bool good)
{
    (void)user;
    if (rewrites < 0)
        printf("every rewrite");
    else
        printf("%lld rewrites", (long long)rewrites);
    printf(": %s\n", good ? "within the tolerance" : "past the tolerance");
    fflush(stdout);
}

/* The inputs that the command line names, made for the model as imported. */
static agate_status make_inputs(const char *model, const settings *set, const agate_runner_options *how,
                                agate_tensor **out_tensors, size_t *out_count)
{
    agate_inputs_options from = {.named = &set->inputs, .seed = set->seed, .batch = set->batch};
    agate_runner_options reference = {.reference = true, .driver = how->driver};
    agate_runner runner;
    agate_inputs inputs;
    agate_status status;

    AGATE_TRY(agate_runner_init(&runner, model, &reference));
    *out_count = runner.input_count;
    *out_tensors = calloc(runner.input_count + 1, sizeof **out_tensors);
    status = *out_tensors ? agate_inputs_init(&inputs, &runner, &from)
                          : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    if (status == AGATE_OK) {
        status = agate_inputs_make(&inputs, 0, *out_tensors);
        agate_inputs_deinit(&inputs);
    }
    if (status != AGATE_OK)
        free(*out_tensors);
    agate_runner_deinit(&runner);
    return status;
}

static int print_result(const agate_bisect_result *r, const char *model)
{
    const char *node = agate_text_c(&r->node);

    if (r->verdict == AGATE_BISECT_FINE) {
        printf("%s: %lld rewrites, and the results are within the tolerance (largest error %.3g)\n", model,
               (long long)r->rewrite_count, r->difference.max_abs);
        return AGATE_EXIT_OK;
    }
    if (r->verdict == AGATE_BISECT_BEFORE) {
        printf("%s: without any rewrite the results are past the tolerance already (largest error %.3g): no "
               "pass is to\nblame for it. agate compare finds a wrong kernel.\n",
               model, r->difference.max_abs);
    } else {
        printf("rewrite %lld of %lld breaks the result: largest error %.3g, %lld of %lld elements past the "
               "tolerance\n",
               (long long)r->number, (long long)r->rewrite_count, r->difference.max_abs,
               (long long)r->difference.wrong_count, (long long)r->difference.element_count);
        printf("pass     %s (--skip %s leaves it out; --fuel %lld ends right before this rewrite)\n", r->pass,
               r->pass, (long long)r->number);
        printf("rewrite  %s\nnode     %.*s\n\n", agate_text_c(&r->rewrite), (int)strcspn(node, "\n"), node);
        agate_diff_print(agate_text_c(&r->before), agate_text_c(&r->after), 0, stdout);
    }
    fprintf(stderr, "agate: %s: the results are past the tolerance\n", model);
    return AGATE_EXIT_FAILED;
}

static agate_status bisect(const char *model, const settings *set, const agate_runner_options *how,
                           agate_bisect_result *out_result)
{
    const agate_bisect_options options = {.runner = *how, .tolerance = set->tolerance, .tried = tried};
    agate_tensor *inputs;
    size_t count;
    agate_status status;

    AGATE_TRY(agate_file_check_again(model));
    AGATE_TRY(make_inputs(model, set, how, &inputs, &count));
    status = agate_bisect(model, inputs, &options, out_result);
    agate_tensor_free(inputs, count);
    free(inputs);
    return status;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {.tolerance = {.rtol = 1e-3, .atol = -1e-4}};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_runner_options how = {0};
    agate_bisect_result result;
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &how.driver.compile);
    if (code < 0)
        code = agate_cli_pass_options(verb, &set.passes, &how.driver.passes);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    code = agate_inputs_check_tensors(verb, &set.inputs);
    if (code >= 0)
        return code;
    how.reference = !set.compiled;
    status = bisect(operands.items[0], &set, &how, &result);
    agate_cli_passes_end(&set.passes);
    if (status != AGATE_OK)
        return agate_cli_fail(status);
    code = print_result(&result, operands.items[0]);
    agate_bisect_deinit(&result);
    return code;
}

const agate_cli_verb agate_cmd_bisect = {
    .name = "bisect",
    .operands = "[OPTION]... MODEL",
    .summary = "Finds the pass, and in it the one rewrite, that changed a result.",
    .options = options,
    .details = "Holds the results of the model as imported, run by the reference kernels, against those "
               "after the passes,\n"
               "with ever fewer rewrites. Exits with 0 where all rewrites together keep the results within "
               "the tolerance.\n"
               "Each trial is told as it ends.\n\n"
               "  agate bisect model.onnx\n"
               "  agate bisect model.onnx --compiled --isa avx2 --input image=digit.npy\n",
    .run = run,
};
