/* cmd_test.c: runs ONNX test folders: a model.onnx (or model.so, compiled), and test_data_set_N folders with
 * input_K.pb and output_K.pb. */
#define _GNU_SOURCE /* versionsort */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/runner.h"
#include "tools/tensor.h"
#include "tools/worker.h"

typedef struct settings {
    double rtol, atol; /* negative: not given */
    bool reference;
    const char *stage;
    int64_t timeout;
    agate_cli_compile compile;
    agate_cli_cache cache;
    agate_cli_passes passes;
} settings;

static const agate_cli_option options[] = {
    {"rtol", AGATE_CLI_REAL, "R", offsetof(settings, rtol),
     "relative tolerance (default 1e-3, or data.json's)"},
    {"atol", AGATE_CLI_REAL, "A", offsetof(settings, atol),
     "absolute tolerance (default 1e-7, or data.json's)"},
    {"reference", AGATE_CLI_FLAG, NULL, offsetof(settings, reference),
     "interpret by the reference kernels instead"},
    {"stage", AGATE_CLI_TEXT, "STAGE", offsetof(settings, stage),
     "with --reference: after the passes up to this stage (default import: none)"},
    {"timeout", AGATE_CLI_COUNT, "S", offsetof(settings, timeout),
     "seconds that one folder may take (default 300)"},
    AGATE_CLI_PASS_ROWS(settings, passes),
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    AGATE_CLI_CACHE_ROWS(settings, cache),
    {0},
};

typedef enum verdict { PASS, FAIL, SKIP, VERDICT_COUNT } verdict;

static const char *const verdict_words[] = {"PASS", "FAIL", "SKIP"};

/* ---- one data set ------------------------------------------------------------------------------------- */

#define MAX_TENSORS 64

/* What a folder holds, and which inputs are made known when the model is compiled. */
typedef struct data_set {
    agate_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    size_t input_count, output_count;
    agate_input_value known[MAX_TENSORS]; /* borrowed from `inputs` */
    size_t known_count;
} data_set;

/* Reads PREFIX_0.pb, PREFIX_1.pb, ... as far as they go. */
static agate_status read_tensors(const char *folder, const char *prefix, agate_tensor *tensors,
                                 size_t *out_count)
{
    for (*out_count = 0; *out_count < MAX_TENSORS; (*out_count)++) {
        agate_text path = {0};
        agate_status status = AGATE_OK;
        bool there;

        agate_text_add(&path, "%s/%s_%zu.pb", folder, prefix, *out_count);
        there = access(agate_text_c(&path), F_OK) == 0;
        if (there)
            status = agate_tensor_load(agate_text_c(&path), &tensors[*out_count]);
        agate_text_deinit(&path);
        if (status != AGATE_OK || !there)
            return status;
    }
    return agate_error_make(AGATE_CODE_UNSUPPORTED, "%s: more than %d tensors", folder, MAX_TENSORS - 1);
}

static agate_status data_set_read(data_set *data, const char *folder)
{
    AGATE_TRY(read_tensors(folder, "input", data->inputs, &data->input_count));
    return read_tensors(folder, "output", data->outputs, &data->output_count);
}

static void data_set_free(data_set *data)
{
    agate_tensor_free(data->inputs, MAX_TENSORS);
    agate_tensor_free(data->outputs, MAX_TENSORS);
}

/* Scalars and short lists: what says how an operator works (axes, shapes, limits, scales) and not on what. */
static bool is_parameter(const agate_tensor *input)
{
    return input->rank == 0 || (input->rank == 1 && input->dims[0] <= AGATE_MAX_INTS);
}

static void make_known(data_set *data)
{
    for (size_t i = 0; i < data->input_count; i++)
        if (is_parameter(&data->inputs[i]))
            data->known[data->known_count++] = (agate_input_value){.index = i, .tensor = data->inputs[i]};
}

/* The inputs that are left for the run; returns how many. */
static size_t unknown_inputs(const data_set *data, agate_tensor out_inputs[MAX_TENSORS])
{
    size_t count = 0, known = 0;

    for (size_t i = 0; i < data->input_count; i++) {
        if (known < data->known_count && data->known[known].index == i)
            known++;
        else
            out_inputs[count++] = data->inputs[i];
    }
    return count;
}

/* Test data from before numpy could name bfloat16 hold its bits as uint16. */
static void name_bfloat16(const agate_module_value *values, agate_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].type.dtype == AGATE_BF16 && tensors[i].dtype == AGATE_U16)
            tensors[i].dtype = AGATE_BF16;
}

static agate_status compare_outputs(const agate_runner *runner, const agate_tensor *got,
                                    const agate_tensor *want, const settings *set)
{
    for (size_t i = 0; i < runner->output_count; i++) {
        agate_text why = {0};
        agate_status status = AGATE_OK;

        if (!agate_tensor_compare(&got[i], &want[i], set->rtol, set->atol, &why))
            status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "output \"%s\": %s",
                                      runner->outputs[i].name, agate_text_c(&why));
        agate_text_deinit(&why);
        AGATE_TRY(status);
    }
    return AGATE_OK;
}

static agate_status data_set_run(data_set *data, agate_runner *runner, const settings *set)
{
    agate_tensor inputs[MAX_TENSORS], got[MAX_TENSORS];
    size_t input_count = unknown_inputs(data, inputs);
    agate_status status;

    if (input_count != runner->input_count || data->output_count != runner->output_count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "%zu input and %zu output tensors; the model has %zu and %zu", input_count,
                                data->output_count, runner->input_count, runner->output_count);
    name_bfloat16(runner->inputs, inputs, input_count);
    name_bfloat16(runner->outputs, data->outputs, data->output_count);
    AGATE_TRY(agate_runner_run(runner, inputs, got));
    status = compare_outputs(runner, got, data->outputs, set);
    agate_tensor_free(got, runner->output_count);
    return status;
}

/* ---- one folder --------------------------------------------------------------------------------------- */

/* A model and how to run it. */
typedef struct test {
    const char *model;
    settings set;
    agate_runner_options how;
    agate_runner runner;  /* compiled for all data sets */
    agate_status refusal; /* why it could not be; NULL: it could */
    size_t known_count;   /* inputs that had to be known when it was compiled */
} test;

/* Where the model is refused as it is, it may still do for these inputs: an axis or a shape that is an input
 * often must be known. */
static agate_status run_known(test *t, data_set *data)
{
    agate_runner_options how = t->how;
    agate_runner runner;
    agate_status status;

    make_known(data);
    how.driver.known_inputs = data->known;
    how.driver.known_input_count = data->known_count;
    status = agate_runner_init(&runner, t->model, &how);
    if (agate_status_code(status) == AGATE_CODE_UNSUPPORTED)
        return status; /* the first refusal stands */
    agate_status_release(t->refusal);
    t->refusal = NULL;
    AGATE_TRY(status);
    t->known_count = data->known_count;
    status = data_set_run(data, &runner, &t->set);
    agate_runner_deinit(&runner);
    return status;
}

static agate_status run_data_set(test *t, const char *folder)
{
    data_set *data = calloc(1, sizeof *data);
    agate_status status;

    if (!data)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    status = data_set_read(data, folder);
    if (status == AGATE_OK)
        status = t->runner.outputs ? data_set_run(data, &t->runner, &t->set) : run_known(t, data);
    data_set_free(data);
    free(data);
    return status;
}

static int is_data_set(const struct dirent *entry)
{
    return strncmp(entry->d_name, "test_data_set_", 14) == 0;
}

static agate_status run_data_sets(test *t, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_data_set, versionsort);
    agate_status status = AGATE_OK;

    if (count < 0)
        return agate_error_make(AGATE_CODE_IO, "%s: %s", folder, strerror(errno));
    if (count == 0)
        status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the folder has no test_data_set");
    for (int i = 0; i < count; i++) {
        agate_text path = {0};

        agate_text_add(&path, "%s/%s", folder, entries[i]->d_name);
        if (status == AGATE_OK)
            status = agate_error_within(run_data_set(t, agate_text_c(&path)), "%s", entries[i]->d_name);
        agate_text_deinit(&path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* Fills in what the command line left out: from data.json, or the usual tolerances. */
static void settle_tolerances(const char *folder, settings *set)
{
    agate_text path = {0};
    json_t *root, *rtol, *atol;

    agate_text_add(&path, "%s/data.json", folder);
    root = json_load_file(agate_text_c(&path), 0, NULL);
    rtol = json_object_get(root, "rtol");
    atol = json_object_get(root, "atol");
    if (set->rtol < 0)
        set->rtol = json_is_number(rtol) ? json_number_value(rtol) : 1e-3;
    if (set->atol < 0)
        set->atol = json_is_number(atol) ? json_number_value(atol) : 1e-7;
    json_decref(root);
    agate_text_deinit(&path);
}

/* Appends the message; the model's name at its head is left out, for the line begins with it. */
static void explain(const test *t, const agate_error *status, agate_text *reason)
{
    const char *message = agate_status_message(status);
    size_t length = strlen(t->model);

    if (strncmp(message, t->model, length) == 0)
        message += length + strspn(message + length, ": ");
    agate_text_add(reason, "%s", message);
}

static verdict run_model(test *t, const char *folder, agate_text *reason)
{
    agate_status status = agate_runner_init(&t->runner, t->model, &t->how);
    verdict result = PASS;

    if (status == AGATE_OK)
        agate_cli_cache_report(&t->set.cache, t->model, &t->runner.cache);

    if (agate_status_code(status) == AGATE_CODE_UNSUPPORTED) {
        t->refusal = status;
        status = AGATE_OK;
    }
    if (status == AGATE_OK)
        status = run_data_sets(t, folder);
    if (t->refusal) {
        explain(t, t->refusal, reason);
        result = SKIP;
    } else if (status != AGATE_OK) {
        explain(t, status, reason);
        result = FAIL;
    } else if (t->known_count > 0) {
        agate_text_add(reason, "(compiled for its %zu input%s of shapes, axes or scalars)", t->known_count,
                       t->known_count == 1 ? "" : "s");
    }
    agate_runner_deinit(&t->runner);
    agate_status_release(t->refusal);
    agate_status_release(status);
    return result;
}

/* Appends the path of a folder's model: model.onnx, or one that is compiled already. Returns false where
 * there is none. */
static bool find_model(const char *folder, agate_text *path)
{
    agate_text compiled = {0};
    bool found;

    agate_text_add(path, "%s/model.onnx", folder);
    found = access(agate_text_c(path), F_OK) == 0;
    agate_text_add(&compiled, "%s/model.so", folder);
    if (!found && access(agate_text_c(&compiled), F_OK) == 0) {
        agate_text swap = *path;
        *path = compiled;
        compiled = swap;
        found = true;
    }
    agate_text_deinit(&compiled);
    return found;
}

static verdict run_folder(const char *folder, const settings *set, const agate_runner_options *how,
                          agate_text *reason)
{
    agate_text model = {0};
    test t = {.set = *set, .how = *how};
    verdict result;

    settle_tolerances(folder, &t.set);
    find_model(folder, &model);
    t.model = agate_text_c(&model);
    result = run_model(&t, folder, reason);
    agate_text_deinit(&model);
    return result;
}

/* ---- the worker: a crash or a hang costs only the folder at hand --------------------------------------- */

typedef struct guard {
    const settings *set;
    const agate_runner_options *how;
    agate_worker worker;
} guard;

/* In the worker. The first byte of the answer is the verdict, the rest its reason. */
static void answer_for(void *user, const char *folder, agate_text *answer)
{
    const guard *g = user;
    agate_text reason = {0};
    char result = (char)('0' + run_folder(folder, g->set, g->how, &reason));

    agate_cli_passes_end((agate_cli_passes *)&g->set->passes); /* the worker's own copy */
    agate_text_add_bytes(answer, &result, 1);
    agate_text_add_bytes(answer, agate_text_c(&reason), reason.size_bytes);
    agate_text_deinit(&reason);
}

static verdict run_guarded(guard *g, const char *folder, agate_text *reason)
{
    agate_text answer = {0};
    verdict result = FAIL;

    if (agate_worker_do(&g->worker, folder, &answer)) {
        result = (verdict)(answer.data[0] - '0');
        agate_text_add(reason, "%s", answer.data + 1);
    } else {
        agate_text_add(reason, "%s", agate_text_c(&answer));
    }
    agate_text_deinit(&answer);
    return result;
}

/* ---- folders ------------------------------------------------------------------------------------------ */

typedef struct totals {
    size_t counts[VERDICT_COUNT];
} totals;

static void report(const char *folder, verdict result, const agate_text *reason, totals *totals)
{
    const char *name = strrchr(folder, '/');

    totals->counts[result]++;
    printf("%s %s%s", verdict_words[result], name ? name + 1 : folder, reason->size_bytes ? " " : "");
    /* One line each, however many faults there are. */
    for (const char *c = agate_text_c(reason); *c; c++)
        fputs(*c == '\n' ? "; " : (char[]){*c, 0}, stdout);
    putchar('\n');
    fflush(stdout);
}

static bool is_folder(const char *path)
{
    struct stat info;

    /* Links are not followed below what was asked for: they could lead in circles. */
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void run_tree(const char *folder, guard *g, totals *totals)
{
    agate_text model = {0}, reason = {0};
    struct dirent **entries;
    int count;

    if (find_model(folder, &model))
        report(folder, run_guarded(g, folder, &reason), &reason, totals);
    else if ((count = scandir(folder, &entries, NULL, versionsort)) >= 0) {
        for (int i = 0; i < count; i++) {
            agate_text path = {0};

            agate_text_add(&path, "%s/%s", folder, entries[i]->d_name);
            if (entries[i]->d_name[0] != '.' && is_folder(agate_text_c(&path)))
                run_tree(agate_text_c(&path), g, totals);
            agate_text_deinit(&path);
            free(entries[i]);
        }
        free(entries);
    }
    agate_text_deinit(&model);
    agate_text_deinit(&reason);
}

static size_t total(const totals *totals)
{
    return totals->counts[PASS] + totals->counts[FAIL] + totals->counts[SKIP];
}

static int run_all(agate_cli_list *folders, const settings *set, const agate_runner_options *how)
{
    guard g = {.set = set,
               .how = how,
               .worker = {.run = answer_for, .user = &g, .timeout_seconds = (unsigned)set->timeout}};
    totals totals = {0};
    agate_text why = {0};
    int code = AGATE_EXIT_OK;

    for (size_t i = 0; i < folders->count; i++) {
        char *folder = (char *)folders->items[i];
        size_t before = total(&totals), length = strlen(folder);

        while (length > 1 && folder[length - 1] == '/')
            folder[--length] = 0;
        run_tree(folder, &g, &totals);
        if (total(&totals) == before) {
            fprintf(stderr, "agate: %s: no test folder is there\n", folder);
            code = AGATE_EXIT_FAILED;
        }
    }
    if (!agate_worker_end(&g.worker, &why)) {
        fprintf(stderr, "agate: the process that ran the last tests, once they were done: %s\n",
                agate_text_c(&why));
        code = AGATE_EXIT_FAILED;
    }
    agate_text_deinit(&why);
    printf("%zu passed, %zu failed, %zu skipped\n", totals.counts[PASS], totals.counts[FAIL],
           totals.counts[SKIP]);
    return totals.counts[FAIL] ? AGATE_EXIT_FAILED : code;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {.rtol = -1, .atol = -1, .timeout = 300};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_runner_options how = {0};
    agate_cli_path room;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &how.driver.compile);
    if (code < 0)
        code = agate_cli_pass_options(verb, &set.passes, &how.driver.passes);
    if (code >= 0)
        return code;
    if (set.stage && !agate_stage_parse(set.stage, &how.stage))
        return agate_cli_usage(verb, "no stage %s", set.stage);
    if (set.stage && !set.reference)
        return agate_cli_usage(verb, "--stage goes with --reference");
    if (operands.count < 1)
        return agate_cli_usage(verb, "a folder is needed");
    how.reference = set.reference;
    how.driver.compile.progress = NULL;
    agate_cli_cache_options(&set.cache, &room, &how.driver.compile);
    return run_all(&operands, &set, &how);
}

const agate_cli_verb agate_cmd_test = {
    .name = "test",
    .operands = "[OPTION]... DIR...",
    .summary = "Runs ONNX test folders, and folders of them, against their expected outputs.",
    .options = options,
    .details =
        "Prints \"PASS name\", \"FAIL name reason\" or \"SKIP name reason\" for each folder, and last\n"
        "\"N passed, N failed, N skipped\". Skipped is what agate says it does not support. Floats may "
        "differ by\n"
        "atol + rtol * |expected|; NaN equals NaN; all other types, and shapes, must be equal. A folder's "
        "model is\n"
        "compiled once and runs all its data sets. The exit code is 1 if a test failed, or a DIR holds "
        "none.\n\n"
        "  agate test onnx/backend/test/data/node\n"
        "  agate test node/test_conv_with_strides_padding --reference\n",
    .run = run,
};
