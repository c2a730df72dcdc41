/* cmd_tune.c: finds tiles for a model by measurement, and keeps them in the cache. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cache.h"
#include "tools/cached.h"
#include "tools/cli.h"
#include "tools/file.h"
#include "tools/profile.h"
#include "tools/tensor.h"
#include "tools/tune.h"

typedef struct settings {
    int64_t batch, seed, sweeps;
    double seconds;
    agate_cli_list inputs;
    agate_cli_compile compile;
    agate_cli_cache cache;
} settings;

static const agate_cli_option options[] = {
    {"batch", AGATE_CLI_COUNT, "N", offsetof(settings, batch), "batch size to tune for (default 1)"},
    {"seconds", AGATE_CLI_REAL, "S", offsetof(settings, seconds),
     "how long one comparison takes at least (default 0.5)"},
    {"sweeps", AGATE_CLI_COUNT, "N", offsetof(settings, sweeps),
     "how often at most to go on from what was found (default 3)"},
    {"input", AGATE_CLI_LIST, "NAME=FILE", offsetof(settings, inputs),
     "a .npy or .pb file for the input of this name"},
    {"seed", AGATE_CLI_INTEGER, "N", offsetof(settings, seed),
     "of the numbers for the other inputs (default 0)"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {"cache", AGATE_CLI_TEXT, "DIR", offsetof(settings, cache.directory),
     "where the tiles are kept (default: see agate cache --help)"},
    {0},
};

static void show_progress(void *user, size_t done, size_t total)
{
    (void)user;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rtuning %zu/%zu", done + 1, total);
    fflush(stderr);
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

#define NODES_WIDTH 36

static void print_change(const agate_tune_change *change)
{
    agate_text nodes = {0}, before = {0}, after = {0};

    agate_profile_nodes(change->nodes, NODES_WIDTH, &nodes);
    agate_profile_kernel(change->before, &before);
    agate_profile_kernel(change->after, &after);
    printf("%8.3f -> %8.3f ms  %s\n", change->before_ms, change->after_ms, agate_text_c(&before));
    printf("%22s  %s\n%24s%s", "", agate_text_c(&after), "", agate_text_c(&nodes));
    if (change->count > 1)
        printf(" and %zu more", change->count - 1);
    printf("\n");
    agate_text_deinit(&nodes);
    agate_text_deinit(&before);
    agate_text_deinit(&after);
}

static void print_result(const agate_tune_result *result, const char *model, const char *directory)
{
    for (size_t i = 0; i < result->change_count; i++)
        print_change(&result->changes[i]);
    printf("%s: planned %.3f ms, tuned %.3f ms (medians), %zu of %zu kernels changed in %zu comparisons\n",
           model, result->before_ms, result->after_ms, result->change_count, result->kernel_count,
           result->comparison_count);
    if (result->tuning.count > 0)
        printf("kept in %s\n", directory);
    else
        printf("the planned tiles stay: no others make the whole model faster\n");
}

/* Known before minutes of measuring rather than after. */
static agate_status check_directory(const char *directory)
{
    agate_cache *cache;

    AGATE_TRY(agate_cache_open(directory, &cache));
    agate_cache_release(cache);
    return access(directory, W_OK) == 0
               ? AGATE_OK
               : agate_error_make(AGATE_CODE_IO, "%s cannot be written: %s", directory, strerror(errno));
}

static agate_status tune(const char *model, const settings *set, const agate_driver_options *driver,
                         const char *directory)
{
    const agate_inputs_options inputs = {.named = &set->inputs, .seed = set->seed, .batch = set->batch};
    const agate_tune_options how = {.driver = driver,
                                    .inputs = &inputs,
                                    .seconds = set->seconds,
                                    .sweeps = set->sweeps,
                                    .progress = show_progress};
    agate_tune_result result;

    AGATE_TRY(agate_file_check_again(model));
    AGATE_TRY(check_directory(directory));
    agate_status status = agate_tune(model, &how, &result);
    end_progress();
    AGATE_TRY(status);
    status = agate_cached_keep_tuning(directory, model, driver, &result.tuning);
    if (!status)
        print_result(&result, model, directory);
    agate_tune_result_deinit(&result);
    return status;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {.seconds = 0.5};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
    agate_compile_options where = {0};
    agate_cli_path room;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &driver.compile);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    if (set.seconds < 0)
        return agate_cli_usage(verb, "--seconds %g: a comparison cannot take less than nothing", set.seconds);
    code = agate_inputs_check_tensors(verb, &set.inputs);
    if (code >= 0)
        return code;
    agate_cli_cache_options(&set.cache, &room, &where);
    if (!where.cache_directory)
        return agate_cli_usage(verb, "no cache is in use, which keeps the tiles: give --cache DIR");
    driver.compile.progress = NULL;
    agate_status status = tune(operands.items[0], &set, &driver, where.cache_directory);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_tune = {
    .name = "tune",
    .operands = "[OPTION]... MODEL",
    .summary = "Finds better tiles for a model's kernels by measuring them, and keeps them in the cache.",
    .options = options,
    .details =
        "`agate run`, `bench`, `test` and `compile --tuned`, and programs with the same cache, then compile "
        "this model with\n"
        "those tiles, as long as the model, the CPU, the values of dimensions and agate itself are the same. "
        "Results do\n"
        "not change by a bit: that is checked. What is not faster as a whole is not kept, and takes away "
        "what "
        "an earlier\n"
        "tuning kept. Nothing else should run meanwhile.\n\n"
        "  agate tune resnet50.onnx --threads 1\n"
        "  agate bench resnet50.onnx --threads 1\n",
    .run = run,
};
