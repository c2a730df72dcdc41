/* inputs.c: files and seeds to input tensors. */
#include "tools/inputs.h"

#include <stdlib.h>

#include "tools/file.h"
#include "tools/tensor.h"

/* ---- sorting files to inputs -------------------------------------------------------------------------- */

static agate_status no_such_input(const agate_runner *runner, const char *name, size_t length)
{
    agate_text names = {0};
    agate_status status;

    for (size_t i = 0; i < runner->input_count; i++)
        agate_text_add(&names, "%s\"%s\"", i ? ", " : "", runner->inputs[i].name);
    status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has no input \"%.*s\", but %s",
                              (int)length, name, names.size_bytes ? agate_text_c(&names) : "none at all");
    agate_text_deinit(&names);
    return status;
}

static agate_status add_file(agate_source *source, const agate_module_value *input, const char *file)
{
    bool is_tensor = agate_tensor_is_file(file);

    if (source->file_count > 0 && (is_tensor || source->is_tensor))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "input \"%s\" is given twice: %s and %s",
                                input->name, source->files[0], file);
    source->files[source->file_count++] = file;
    source->is_tensor = is_tensor;
    return AGATE_OK;
}

/* A name may hold '=' itself, so the longest one that fits is taken. */
static agate_status add_named(agate_inputs *inputs, const char *word)
{
    const agate_runner *runner = inputs->runner;
    size_t best = 0, best_length = 0;
    bool found = false;

    for (size_t i = 0; i < runner->input_count; i++) {
        size_t length = strlen(runner->inputs[i].name);

        if (strncmp(word, runner->inputs[i].name, length) == 0 && word[length] == '=' &&
            length >= best_length) {
            found = true;
            best = i;
            best_length = length;
        }
    }
    if (!found)
        return no_such_input(runner, word, strcspn(word, "="));
    return add_file(&inputs->sources[best], &runner->inputs[best], word + best_length + 1);
}

/* A tensor file goes to the next input that has none; pictures all go to the same one. */
static agate_status add_unnamed(agate_inputs *inputs, const char *file)
{
    const agate_runner *runner = inputs->runner;

    for (size_t i = 0; i < runner->input_count; i++) {
        agate_source *source = &inputs->sources[i];

        if (source->file_count == 0 || (!source->is_tensor && !agate_tensor_is_file(file)))
            return add_file(source, &runner->inputs[i], file);
    }
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s is one file too many: the model has %zu input%s",
                            file, runner->input_count, runner->input_count == 1 ? "" : "s");
}

/* ---- what the files say ------------------------------------------------------------------------------- */

static agate_status prepare_pictures(agate_inputs *inputs, size_t index)
{
    const agate_module_value *input = &inputs->runner->inputs[index];
    agate_source *source = &inputs->sources[index];
    int64_t dims[AGATE_MAX_RANK];
    agate_text names = {0};
    agate_status status;

    if (!inputs->preprocess) {
        agate_preprocess_names(&names);
        status =
            agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the picture %s needs --preprocess NAME, one of %s",
                             source->files[0], agate_text_c(&names));
        agate_text_deinit(&names);
        return status;
    }
    if (inputs->picture_count > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "only one input may be pictures");
    if (input->type.dtype != AGATE_F32)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "input \"%s\" takes %s; pictures become f32",
                                input->name, agate_dtype_name(input->type.dtype));
    for (int32_t d = 0; d < input->type.rank; d++)
        dims[d] = agate_dim_is_fixed(input->type.dims[d]) ? input->type.dims[d].offset : -1;
    AGATE_TRY(
        agate_error_within(agate_picture_shape_of(inputs->preprocess, input->type.rank, dims, &source->shape),
                           "input \"%s\"", input->name));
    inputs->picture_count = source->file_count;
    inputs->pictures = source->files;
    return AGATE_OK;
}

/* The batch that a tensor implies; 0: it does not say. */
static int64_t batch_of_tensor(const agate_module_type *type, const agate_tensor *tensor)
{
    for (int32_t d = 0; d < type->rank && type->rank == tensor->rank; d++)
        if (type->dims[d].scale > 0)
            return (tensor->dims[d] - type->dims[d].offset) / type->dims[d].scale;
    return 0;
}

/* The pictures of one run: a fixed first dimension decides, then --batch, then all of them at once. */
static agate_status settle_picture_batch(agate_inputs *inputs, size_t index)
{
    agate_dim first = inputs->runner->inputs[index].type.dims[0];
    int64_t count = (int64_t)inputs->picture_count;

    if (!agate_dim_is_fixed(first)) {
        inputs->batch = inputs->batch > 0 ? inputs->batch : count;
        return AGATE_OK;
    }
    if (first.offset < 1 || count % first.offset != 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the model takes batches of %lld, and %lld pictures are no multiple of that",
                                (long long)first.offset, (long long)count);
    inputs->batch = first.offset;
    return AGATE_OK;
}

static bool takes_batch(const agate_runner *runner, int64_t batch)
{
    for (size_t i = 0; i < runner->input_count; i++) {
        const agate_module_type *type = &runner->inputs[i].type;

        if (type->rank > 0 && (!agate_dim_is_fixed(type->dims[0]) || type->dims[0].offset == batch))
            return true;
    }
    return batch == 1;
}

static agate_status prepare(agate_inputs *inputs)
{
    const agate_runner *runner = inputs->runner;
    const int64_t asked = inputs->batch;
    int64_t implied = 0;

    for (size_t i = 0; i < runner->input_count; i++) {
        agate_source *source = &inputs->sources[i];

        if (source->file_count == 0)
            continue;
        if (!source->is_tensor) {
            AGATE_TRY(prepare_pictures(inputs, i));
            AGATE_TRY(settle_picture_batch(inputs, i));
            continue;
        }
        AGATE_TRY(agate_tensor_load(source->files[0], &source->tensor));
        implied = agate_max(implied, batch_of_tensor(&runner->inputs[i].type, &source->tensor));
    }
    if (asked > 0 && !takes_batch(runner, asked))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "--batch %lld: the first dimension of this model's inputs is fixed otherwise",
                                (long long)asked);
    if (inputs->batch == 0)
        inputs->batch = implied > 0 ? implied : 1;
    if (implied > 0 && inputs->batch != implied)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the files hold a batch of %lld, not of %lld",
                                (long long)implied, (long long)inputs->batch);
    return AGATE_OK;
}

static agate_status fill(agate_inputs *inputs, const agate_inputs_options *options)
{
    size_t most = options->file_count + (options->named ? options->named->count : 0);

    inputs->sources = calloc(inputs->runner->input_count + 1, sizeof *inputs->sources);
    if (!inputs->sources)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the inputs");
    for (size_t i = 0; i < inputs->runner->input_count; i++) {
        inputs->sources[i].files = calloc(most + 1, sizeof(char *));
        if (!inputs->sources[i].files)
            return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the inputs");
    }
    for (size_t i = 0; options->named && i < options->named->count; i++)
        AGATE_TRY(add_named(inputs, options->named->items[i]));
    for (size_t i = 0; i < options->file_count; i++)
        AGATE_TRY(add_unnamed(inputs, options->files[i]));
    return prepare(inputs);
}

agate_status agate_inputs_init(agate_inputs *inputs, const agate_runner *runner,
                               const agate_inputs_options *options)
{
    agate_status status;

    *inputs = (agate_inputs){
        .runner = runner,
        .preprocess = options->preprocess,
        .seed = (uint64_t)options->seed,
        .batch = options->batch,
    };
    status = fill(inputs, options);
    if (status != AGATE_OK)
        agate_inputs_deinit(inputs);
    return status;
}

void agate_inputs_deinit(agate_inputs *inputs)
{
    for (size_t i = 0; inputs->sources && i < inputs->runner->input_count; i++) {
        free(inputs->sources[i].files);
        agate_tensor_free(&inputs->sources[i].tensor, 1);
    }
    free(inputs->sources);
    inputs->sources = NULL;
}

/* ---- making tensors ----------------------------------------------------------------------------------- */

size_t agate_inputs_run_count(const agate_inputs *inputs)
{
    return inputs->picture_count ? (size_t)agate_ceil_div((int64_t)inputs->picture_count, inputs->batch) : 1;
}

static agate_status load_pictures(const agate_inputs *inputs, const agate_source *source, size_t first,
                                  int64_t count, agate_tensor *tensor)
{
    int64_t size = source->shape.height * source->shape.width * source->shape.channels;

    /* Free dimensions other than the first would follow the batch; the check of the run's inputs refuses
     * those. */
    if ((size_t)(size * count) * sizeof(float) > tensor->size_bytes)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "the model's input does not take pictures in a batch");
    for (int64_t i = 0; i < count; i++) {
        const char *path = source->files[first + (size_t)i];
        size_t size_bytes;
        char *data;
        agate_status status;

        AGATE_TRY(agate_file_read(path, &data, &size_bytes));
        status = agate_picture_load(inputs->preprocess, data, size_bytes, &source->shape,
                                    (float *)tensor->data + i * size);
        free(data);
        AGATE_TRY(agate_error_within(status, "%s", path));
    }
    return AGATE_OK;
}

static agate_status make_one(const agate_inputs *inputs, size_t index, size_t first, int64_t batch,
                             agate_tensor *out_tensor)
{
    const agate_source *source = &inputs->sources[index];

    if (source->is_tensor) {
        *out_tensor = source->tensor;
        AGATE_TRY(agate_tensor_allocate(out_tensor));
        memcpy(out_tensor->data, source->tensor.data, out_tensor->size_bytes);
        return AGATE_OK;
    }
    AGATE_TRY(agate_tensor_of_type(&inputs->runner->inputs[index].type, batch, out_tensor));
    if (source->file_count > 0)
        return load_pictures(inputs, source, first, batch, out_tensor);
    agate_tensor_fill(out_tensor, inputs->seed + index);
    return AGATE_OK;
}

agate_status agate_inputs_make(const agate_inputs *inputs, size_t run, agate_tensor *out_tensors)
{
    size_t first = run * (size_t)inputs->batch, count = inputs->runner->input_count;
    int64_t batch = inputs->batch;

    if (inputs->picture_count)
        batch = agate_min(batch, (int64_t)(inputs->picture_count - first));
    memset(out_tensors, 0, count * sizeof *out_tensors);
    for (size_t i = 0; i < count; i++) {
        agate_status status = make_one(inputs, i, first, batch, &out_tensors[i]);

        if (status != AGATE_OK) {
            agate_tensor_free(out_tensors, i + 1);
            return status;
        }
    }
    return AGATE_OK;
}

int agate_inputs_check_names(const agate_cli_verb *verb, const agate_cli_list *named)
{
    for (size_t i = 0; i < named->count; i++)
        if (!strchr(named->items[i], '='))
            return agate_cli_usage(verb, "--input %s: NAME=FILE is needed", named->items[i]);
    return -1;
}

int agate_inputs_check_tensors(const agate_cli_verb *verb, const agate_cli_list *named)
{
    int code = agate_inputs_check_names(verb, named);

    if (code >= 0)
        return code;
    for (size_t i = 0; i < named->count; i++)
        if (!agate_tensor_is_file(named->items[i]))
            return agate_cli_usage(verb, "--input %s: a .npy or .pb file is needed", named->items[i]);
    return -1;
}
