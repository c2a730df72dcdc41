/* cmd_run.c: runs a model on photos, tensors or seeded numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"
#include "tools/classes.h"
#include "tools/inputs.h"
#include "tools/npy.h"
#include "tools/tensor.h"

typedef struct settings {
    agate_cli_list inputs;
    const char *preprocess, *labels, *output_dir;
    int64_t seed, batch;
    bool reference;
    agate_cli_compile compile;
    agate_cli_cache cache;
    agate_cli_times times;
} settings;

static const agate_cli_option options[] = {
    {"input", AGATE_CLI_LIST, "NAME=FILE", offsetof(settings, inputs),
     "a file for the input of this name; may be repeated"},
    {"preprocess", AGATE_CLI_TEXT, "NAME", offsetof(settings, preprocess),
     "how photos become numbers: imagenet, keras-caffe, dlib, unit or digits"},
    {"labels", AGATE_CLI_TEXT, "FILE", offsetof(settings, labels),
     "names of classes, one a line: print the best five"},
    {"output-dir", AGATE_CLI_TEXT, "DIR", offsetof(settings, output_dir),
     "write each output there as NAME.npy"},
    {"seed", AGATE_CLI_INTEGER, "N", offsetof(settings, seed),
     "of the numbers for inputs without a file (default 0)"},
    {"batch", AGATE_CLI_COUNT, "N", offsetof(settings, batch),
     "photos in one run (default: all), or the batch of seeded inputs (default 1)"},
    {"reference", AGATE_CLI_FLAG, NULL, offsetof(settings, reference),
     "interpret by the reference kernels instead"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    AGATE_CLI_CACHE_ROWS(settings, cache),
    AGATE_CLI_TIME_ROW(settings, times),
    {0},
};

/* ---- output ------------------------------------------------------------------------------------------- */

/* "NAME.npy", unusual characters replaced; "NAME-2.npy" in the second of several runs. */
static void file_name(const agate_runner *runner, size_t index, size_t run, size_t run_count,
                      agate_text *path)
{
    const char *output = runner->outputs[index].name;

    if (!*output)
        agate_text_add(path, "output%zu", index);
    for (; *output; output++) {
        bool usual = (*output >= 'a' && *output <= 'z') || (*output >= 'A' && *output <= 'Z') ||
                     (*output >= '0' && *output <= '9') || strchr("._-", *output);

        agate_text_add(path, "%c", usual ? *output : '_');
    }
    if (run_count > 1)
        agate_text_add(path, "-%zu", run + 1);
    agate_text_add(path, ".npy");
}

/* Writing one output must not overwrite another whose name differs only in what was replaced. */
static agate_status check_distinct(const agate_runner *runner)
{
    for (size_t i = 0; i < runner->output_count; i++)
        for (size_t k = 0; k < i; k++) {
            agate_text a = {0}, b = {0};
            bool equal;

            file_name(runner, i, 0, 1, &a);
            file_name(runner, k, 0, 1, &b);
            equal = strcmp(agate_text_c(&a), agate_text_c(&b)) == 0;
            agate_text_deinit(&a);
            agate_text_deinit(&b);
            if (equal)
                return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                        "outputs \"%s\" and \"%s\" would be written to the same file",
                                        runner->outputs[k].name, runner->outputs[i].name);
        }
    return AGATE_OK;
}

static agate_status write_outputs(const agate_runner *runner, const agate_tensor *outputs, const char *folder,
                                  size_t run, size_t run_count)
{
    AGATE_TRY(check_distinct(runner));
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return agate_error_make(AGATE_CODE_IO, "%s: %s", folder, strerror(errno));
    for (size_t i = 0; i < runner->output_count; i++) {
        agate_text path = {0};
        agate_status status;

        agate_text_add(&path, "%s/", folder);
        file_name(runner, i, run, run_count, &path);
        status = agate_npy_write(agate_text_c(&path), &outputs[i]);
        agate_text_deinit(&path);
        AGATE_TRY(status);
    }
    return AGATE_OK;
}

/* Name, type and first elements of each output. */
static void print_outputs(const agate_runner *runner, const agate_tensor *outputs)
{
    for (size_t i = 0; i < runner->output_count; i++) {
        int64_t count = agate_count(&outputs[i]);
        agate_text line = {0};

        agate_text_add(&line, "\"%s\" ", runner->outputs[i].name);
        agate_tensor_print_type(&outputs[i], &line);
        for (int64_t k = 0; k < count && k < 8; k++)
            agate_text_add(&line, "%s%.7g", k ? ", " : " = ",
                           agate_element_load(outputs[i].dtype, outputs[i].data, k));
        agate_cli_put(agate_text_c(&line));
        printf("%s\n", count > 8 ? ", ..." : "");
        agate_text_deinit(&line);
    }
}

static agate_status print_classes(const agate_runner *runner, const agate_tensor *outputs,
                                  const agate_labels *labels, const char *const *titles, size_t title_count)
{
    for (size_t i = 0; i < runner->output_count; i++) {
        if (!agate_classes_fit(&outputs[i], labels))
            continue;
        if (agate_count(&outputs[i]) != (int64_t)(title_count * labels->count))
            titles = NULL;
        return agate_classes_print(runner->outputs[i].name, &outputs[i], labels, titles);
    }
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                            "%zu label%s came, and no output has as many classes", labels->count,
                            labels->count == 1 ? "" : "s");
}

/* ---- running ------------------------------------------------------------------------------------------ */

static agate_status show(const agate_runner *runner, const agate_inputs *inputs, const settings *set,
                         const agate_labels *labels, const agate_tensor *outputs, size_t run)
{
    size_t first = run * (size_t)inputs->batch, runs = agate_inputs_run_count(inputs);
    size_t left = inputs->picture_count - agate_min(inputs->picture_count, first);
    bool titled = inputs->picture_count > 1;

    if (set->output_dir)
        AGATE_TRY(write_outputs(runner, outputs, set->output_dir, run, runs));
    if (labels->count > 0)
        return print_classes(runner, outputs, labels, titled ? inputs->pictures + first : NULL,
                             (size_t)agate_min((int64_t)left, inputs->batch));
    if (!set->output_dir)
        print_outputs(runner, outputs);
    return AGATE_OK;
}

static agate_status run_once(agate_runner *runner, const agate_inputs *inputs, const settings *set,
                             const agate_labels *labels, size_t run)
{
    agate_tensor *tensors = calloc(runner->input_count + runner->output_count + 1, sizeof *tensors), *outputs;
    agate_status status;

    if (!tensors)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    outputs = tensors + runner->input_count;
    status = agate_inputs_make(inputs, run, tensors);
    if (status == AGATE_OK) {
        status = agate_runner_run(runner, tensors, outputs);
        agate_tensor_free(tensors, runner->input_count);
    }
    if (status == AGATE_OK) {
        status = show(runner, inputs, set, labels, outputs, run);
        agate_tensor_free(outputs, runner->output_count);
    }
    free(tensors);
    return status;
}

static agate_status run_all(agate_runner *runner, const settings *set, const agate_cli_list *operands)
{
    agate_inputs_options from = {
        .named = &set->inputs,
        .files = &operands->items[1],
        .file_count = operands->count - 1,
        .preprocess = set->preprocess ? agate_preprocess_find(set->preprocess) : NULL,
        .seed = set->seed,
        .batch = set->batch,
    };
    agate_labels labels = {0};
    agate_inputs inputs;
    agate_status status;

    AGATE_TRY(agate_inputs_init(&inputs, runner, &from));
    status = set->labels ? agate_labels_read(set->labels, &labels) : AGATE_OK;
    for (size_t run = 0; run < agate_inputs_run_count(&inputs) && status == AGATE_OK; run++)
        status = run_once(runner, &inputs, set, &labels, run);
    agate_labels_deinit(&labels);
    agate_inputs_deinit(&inputs);
    return status;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_runner_options how = {0};
    agate_runner runner;
    agate_cli_path room;
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &how.driver.compile);
    if (code >= 0)
        return code;
    if (operands.count < 1)
        return agate_cli_usage(verb, "a model is needed");
    if (set.preprocess && !agate_preprocess_find(set.preprocess))
        return agate_cli_usage(verb, "no preprocessing %s", set.preprocess);
    code = agate_inputs_check_names(verb, &set.inputs);
    if (code >= 0)
        return code;
    how.reference = set.reference;
    agate_cli_cache_options(&set.cache, &room, &how.driver.compile);
    agate_cli_times_begin(&set.times, &how.driver);
    status = agate_runner_init(&runner, operands.items[0], &how);
    agate_cli_times_end(&set.times);
    if (status == AGATE_OK) {
        agate_cli_cache_report(&set.cache, operands.items[0], &runner.cache);
        status = run_all(&runner, &set, &operands);
        agate_runner_deinit(&runner);
    }
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_run = {
    .name = "run",
    .operands = "[OPTION]... MODEL [FILE]...",
    .summary = "Compiles a model and runs it on photos, .npy or .pb tensors, or seeded numbers.",
    .options = options,
    .details = "FILEs that are tensors (.npy, .pb) go to the model's inputs in order; photos (PNG, JPEG, "
               "BMP, GIF, PNM, TGA) all\n"
               "go to one input, in one batch where the model takes any, else one run after another. An "
               "input without a file\n"
               "gets numbers that depend on --seed alone.\n\n"
               "  agate run resnet50.onnx photo.jpg --preprocess imagenet --labels labels.txt\n"
               "  agate run model.onnx --input x=x.npy --output-dir out --threads 1\n"
               "  agate run model.onnx --seed 7 --batch 8\n",
    .run = run,
};
