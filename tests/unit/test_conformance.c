/* links: frontend */
/* test_conformance.c: ONNX's own operator tests, imported and run by the reference kernels. A model that
 * agate does not support is left out; one that it imports must give the expected numbers. Set
 * AGATE_CONFORMANCE to a part of a test's name to run only those and see why others are left out. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend/import.h"
#include "ir/interpret.h"
#include "onnx.pb-c.h"
#include "tests/suite.h"

enum { MAX_TENSORS = 64, LEAST_PASSED = 500, MOST_MISFITS = 4 };

typedef struct file {
    void *data;
    size_t size_bytes;
} file;

static bool read_file(const char *path, file *out_file)
{
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return false;
    fseek(stream, 0, SEEK_END);
    out_file->size_bytes = (size_t)ftell(stream);
    rewind(stream);
    out_file->data = malloc(out_file->size_bytes + 1);
    const bool good = fread(out_file->data, 1, out_file->size_bytes, stream) == out_file->size_bytes;
    fclose(stream);
    return good;
}

/* Reads input_0.pb, input_1.pb, ... of a data set. */
static size_t read_tensors(const char *folder, const char *kind, agate_tensor *out_tensors, agate_text *why)
{
    size_t count = 0;
    for (; count < MAX_TENSORS; count++) {
        char path[1024];
        file pb;
        snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, count);
        if (!read_file(path, &pb))
            break;
        agate_status status = agate_import_tensor(pb.data, pb.size_bytes, &out_tensors[count]);
        free(pb.data);
        if (status) {
            agate_text_add(why, "%s: %s", path, agate_status_message(status));
            agate_status_release(status);
            break;
        }
    }
    return count;
}

static bool close_enough(double found, double wanted, double rtol)
{
    if (isnan(wanted) || isnan(found))
        return isnan(wanted) && isnan(found);
    return found == wanted || fabs(found - wanted) <= 1e-7 + rtol * fabs(wanted);
}

static bool same_tensor(const agate_tensor *found, const agate_tensor *wanted, double rtol, agate_text *why)
{
    if (found->dtype != wanted->dtype || found->rank != wanted->rank ||
        memcmp(found->dims, wanted->dims, sizeof(int64_t) * (size_t)wanted->rank) != 0) {
        agate_text_add(why, "dtype or shape differs: %s[", agate_dtype_name(found->dtype));
        for (int32_t i = 0; i < found->rank; i++)
            agate_text_add(why, "%s%lld", i ? "," : "", (long long)found->dims[i]);
        agate_text_add(why, "] for %s[", agate_dtype_name(wanted->dtype));
        for (int32_t i = 0; i < wanted->rank; i++)
            agate_text_add(why, "%s%lld", i ? "," : "", (long long)wanted->dims[i]);
        agate_text_add(why, "]");
        return false;
    }
    const agate_data a = {.size_bytes = found->size_bytes, .bytes = found->data};
    const agate_data b = {.size_bytes = wanted->size_bytes, .bytes = wanted->data};
    const int64_t count = (int64_t)(wanted->size_bytes / agate_dtype_size(wanted->dtype));
    for (int64_t i = 0; i < count; i++) {
        const double x = agate_data_at(&a, found->dtype, i), y = agate_data_at(&b, wanted->dtype, i);
        if (!close_enough(x, y, rtol)) {
            agate_text_add(why, "element %lld is %g for %g", (long long)i, x, y);
            return false;
        }
    }
    return true;
}

typedef enum verdict {
    PASSED,
    FAILED,
    LEFT_OUT, /* the model needs what agate does not support */
    MISFIT,   /* the data are not of the shapes that the model says: some old data sets are so */
} verdict;

/* One data set, and which of its inputs are given at import. */
typedef struct data_set {
    agate_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    size_t input_count, output_count;
    bool given[MAX_TENSORS];
} data_set;

/* Test data from before numpy could name bfloat16 holds its bits as uint16, cut off and not rounded. */
static bool name_bfloat16(const agate_value *value, agate_tensor *tensor)
{
    const bool old = value->type.dtype == AGATE_BF16 && tensor->dtype == AGATE_U16;
    if (old)
        tensor->dtype = AGATE_BF16;
    return old;
}

/* Runs the graph on the inputs that are not given and compares. */
static verdict replay(const agate_graph *graph, data_set *set, agate_text *why)
{
    agate_tensor inputs[MAX_TENSORS], found[MAX_TENSORS] = {0};
    const size_t result_count = (size_t)graph->last->operand_count;
    size_t input_count = 0;
    int64_t batch;

    for (size_t i = 0; i < set->input_count; i++)
        if (!set->given[i])
            inputs[input_count++] = set->inputs[i];
    for (size_t i = 0; i < input_count && i < (size_t)graph->param_count; i++)
        name_bfloat16(graph->params[i], &inputs[i]);
    agate_status status = agate_graph_batch(graph, inputs, input_count, &batch);
    const bool fits = !status && set->output_count == result_count;
    if (fits)
        status = agate_interpret(graph, inputs, input_count, found, result_count, batch);
    bool good = fits && !status;
    agate_text_add(why, "%s", agate_status_message(status));
    for (size_t i = 0; i < result_count && good; i++) {
        const bool cut_off = name_bfloat16(graph->last->operands[i], &set->outputs[i]);
        good = same_tensor(&found[i], &set->outputs[i], cut_off ? 0x1p-7 : 1e-3, why);
    }
    if (fits && !status)
        agate_interpret_free(found, result_count);
    agate_status_release(status);
    return good ? PASSED : fits ? FAILED : MISFIT;
}

/* Imports with the contents of all short lists of integers among the inputs. */
static agate_status import_given(const file *model, data_set *set, agate_graph **out_graph)
{
    Onnx__ModelProto *proto = onnx__model_proto__unpack(NULL, model->size_bytes, model->data);
    agate_input_value values[MAX_TENSORS];
    agate_import_options options = {.values = values};
    for (size_t i = 0; i < set->input_count && i < proto->graph->n_input; i++) {
        const agate_tensor *input = &set->inputs[i];
        const bool integer =
            input->dtype == AGATE_I64 || input->dtype == AGATE_I32 || input->dtype == AGATE_BOOL;
        set->given[i] =
            input->rank == 0 || (input->rank == 1 && integer && input->dims[0] <= 2 * AGATE_MAX_RANK);
        if (set->given[i])
            values[options.value_count++] =
                (agate_input_value){.name = proto->graph->input[i]->name, .tensor = *input};
    }
    agate_status status = agate_import(model->data, model->size_bytes, &options, out_graph);
    onnx__model_proto__free_unpacked(proto, NULL);
    return status;
}

static verdict run_model(const file *model, data_set *set, agate_text *why)
{
    agate_graph *graph;
    agate_status status = agate_import(model->data, model->size_bytes, NULL, &graph);
    if (agate_status_code(status) == AGATE_CODE_UNSUPPORTED) {
        agate_status_release(status);
        status = import_given(model, set, &graph);
    }
    if (status) {
        const agate_code code = agate_status_code(status);
        agate_text_add(why, "%s", agate_status_message(status));
        agate_status_release(status);
        return code == AGATE_CODE_UNSUPPORTED ? LEFT_OUT : FAILED;
    }
    const verdict found = replay(graph, set, why);
    agate_graph_release(graph);
    return found;
}

static verdict run_test(const char *folder, agate_text *why)
{
    char path[1024 + 32];
    file model;
    data_set set = {0};
    verdict found = LEFT_OUT;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (!read_file(path, &model))
        return LEFT_OUT;
    snprintf(path, sizeof path, "%s/test_data_set_0", folder);
    set.input_count = read_tensors(path, "input", set.inputs, why);
    set.output_count = read_tensors(path, "output", set.outputs, why);
    if (!why->size_bytes)
        found = run_model(&model, &set, why);
    for (size_t i = 0; i < set.input_count; i++)
        free(set.inputs[i].data);
    for (size_t i = 0; i < set.output_count; i++)
        free(set.outputs[i].data);
    free(model.data);
    return found;
}

START_TEST(operators)
{
    const char *only = getenv("AGATE_CONFORMANCE");
    size_t counts[4] = {0};
    DIR *folder = opendir(AGATE_ONNX_NODE_TESTS);
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[1024];
        agate_text why = {0};
        if (strncmp(entry->d_name, "test_", 5) != 0 || (only && !strstr(entry->d_name, only)))
            continue;
        snprintf(path, sizeof path, "%s/%s", AGATE_ONNX_NODE_TESTS, entry->d_name);
        const verdict found = run_test(path, &why);
        counts[found]++;
        if (found == FAILED || found == MISFIT || (only && found == LEFT_OUT))
            printf("%s %s: %s\n", found == FAILED ? "FAIL" : "SKIP", entry->d_name, agate_text_c(&why));
        agate_text_deinit(&why);
    }
    closedir(folder);
    printf("%zu passed, %zu failed, %zu left out\n", counts[PASSED], counts[FAILED],
           counts[LEFT_OUT] + counts[MISFIT]);
    fflush(stdout); /* an assertion ends the forked process at once */
    ck_assert_uint_eq(counts[FAILED], 0);
    ck_assert_uint_le(counts[MISFIT], MOST_MISFITS);
    if (!only)
        ck_assert_uint_ge(counts[PASSED], LEAST_PASSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conformance");
    TCase *tests = tcase_create("operators");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, operators);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
