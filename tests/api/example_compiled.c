/* example_compiled.c: loads a classifier that `agate compile` wrote, with libagate-runtime alone, and prints
 * the first scores of one input. Of a file with several precisions, another one than f32 may be asked for. */
#include <agate.h>

#include <stdio.h>
#include <stdlib.h>

static void check(agate_status status)
{
    if (!status)
        return;
    fprintf(stderr, "example_compiled: %s\n", agate_status_message(status));
    agate_status_release(status);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    agate_model *model;
    agate_session *session;
    agate_value_info info;
    agate_tensor input = {0}, output = {0};
    agate_load_options options = {0};

    if (argc < 2 || argc > 3)
        return fprintf(stderr, "usage: example_compiled MODEL.so [PRECISION]\n"), 2;
    options.precision = argc == 3 ? argv[2] : NULL;
    check(agate_model_load_artifact_with(argv[1], &options, &model));
    fprintf(stderr, "with precision %s\n", agate_model_precision(model));
    check(agate_session_create(model, NULL, &session));

    check(agate_model_input_info(model, 0, &info));
    input.dtype = info.dtype;
    input.rank = info.rank;
    for (int32_t i = 0; i < info.rank; i++)
        input.dims[i] = info.dims[i] == AGATE_DIM_BATCH ? 1 : info.dims[i];
    check(agate_session_output_shape(session, 0, 1, &output));
    if (info.dtype != AGATE_F32 || output.dtype != AGATE_F32 ||
        !agate_tensor_size(input.dtype, input.rank, input.dims, &input.size_bytes))
        return fprintf(stderr, "example_compiled: the model is not from f32 to f32\n"), 1;

    float *values = input.data = malloc(input.size_bytes), *scores = output.data = malloc(output.size_bytes);
    for (size_t i = 0; i < input.size_bytes / sizeof(float); i++)
        values[i] = (float)(i % 7) / 7.0f;
    check(agate_session_run(session, &input, 1, &output, 1));
    for (size_t i = 0; i < 5 && i < output.size_bytes / sizeof(float); i++)
        printf("%zu %.9g\n", i, scores[i]);
    free(values);
    free(scores);
    agate_session_release(session);
    agate_model_release(model);
    return 0;
}
