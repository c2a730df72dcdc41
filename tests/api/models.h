/* models.h: what the tests of the public interface share: the digits model and its inputs. */
#ifndef AGATE_TEST_MODELS_H
#define AGATE_TEST_MODELS_H

#include <agate.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints and aborts on an error: it runs on any thread. */
static inline void must(agate_status status)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", agate_status_message(status));
    abort();
}

/* The model's first input with `rows` rows of numbers from `seed`, row by row the same for any number of
 * rows. The caller frees its data. */
static inline agate_tensor make_input(const agate_model *model, int64_t rows, unsigned seed)
{
    agate_value_info info;
    must(agate_model_input_info(model, 0, &info));
    agate_tensor tensor = {.dtype = info.dtype, .rank = info.rank};
    for (int32_t i = 0; i < info.rank; i++)
        tensor.dims[i] = info.dims[i] == AGATE_DIM_BATCH ? rows : info.dims[i];
    if (info.dtype != AGATE_F32 ||
        !agate_tensor_size(tensor.dtype, tensor.rank, tensor.dims, &tensor.size_bytes))
        abort();
    float *values = tensor.data = malloc(tensor.size_bytes + 1);
    for (size_t i = 0; i < tensor.size_bytes / sizeof(float); i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) * 0x1p-24f;
    }
    return tensor;
}

/* Room for the first output at this batch. The caller frees its data. */
static inline agate_tensor make_output(const agate_session *session, int64_t rows)
{
    agate_tensor output = {0};
    must(agate_session_output_shape(session, 0, rows, &output));
    output.data = calloc(output.size_bytes + 1, 1);
    return output;
}

#endif
