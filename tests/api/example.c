/* example.c: load an ONNX classifier, run it on one random input, print its five best classes. */
#include <agate.h>

#include <stdio.h>
#include <stdlib.h>

static void check(agate_status status)
{
    if (!status)
        return;
    fprintf(stderr, "example: %s\n", agate_status_message(status));
    agate_status_release(status);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    agate_model *model;
    agate_session *session;
    agate_value_info info;
    agate_tensor input = {0}, output = {0};

    if (argc != 2)
        return fprintf(stderr, "usage: example MODEL.onnx\n"), 2;
    check(agate_model_load_file(argv[1], NULL, &model));
    check(agate_session_create(model, NULL, &session));

    /* One row of whatever the model takes, filled with numbers from a fixed seed. */
    check(agate_model_input_info(model, 0, &info));
    input.dtype = info.dtype;
    input.rank = info.rank;
    for (int32_t i = 0; i < info.rank; i++)
        input.dims[i] = info.dims[i] == AGATE_DIM_BATCH ? 1 : info.dims[i];
    check(agate_session_output_shape(session, 0, 1, &output));
    if (info.dtype != AGATE_F32 || output.dtype != AGATE_F32 ||
        !agate_tensor_size(input.dtype, input.rank, input.dims, &input.size_bytes))
        return fprintf(stderr, "example: the model is not from f32 to f32\n"), 1;

    float *pixels = input.data = malloc(input.size_bytes), *scores = output.data = malloc(output.size_bytes);
    srand(7);
    for (size_t i = 0; i < input.size_bytes / sizeof(float); i++)
        pixels[i] = (float)rand() / (float)RAND_MAX;
    check(agate_session_run(session, &input, 1, &output, 1));

    const size_t class_count = output.size_bytes / sizeof(float);
    for (size_t place = 1; place <= 5 && place <= class_count; place++) {
        size_t best = 0;
        for (size_t i = 1; i < class_count; i++)
            best = scores[i] > scores[best] ? i : best;
        printf("%zu. %4zu %9.4f\n", place, best, scores[best]);
        scores[best] = -1e30f; /* out of the next round */
    }
    free(pixels);
    free(scores);
    agate_session_release(session);
    agate_model_release(model);
    return 0;
}
