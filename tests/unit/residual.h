/* residual.h: a model for tests of the runtime, its module built by hand, and one run of it.
 *
 *     y = x - x*w    same = x    answer = [42, 43]        x: f32[N,16]
 *
 * Failures abort: Check's own assertions allocate, and are not for other threads. */
#ifndef AGATE_TEST_RESIDUAL_H
#define AGATE_TEST_RESIDUAL_H

#include "runtime/model.h"
#include "runtime/ref/ref.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 16, MOST_ROWS = 512 };

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#define ROWS                                                                                                 \
    AGATE_F32, 2,                                                                                            \
    {                                                                                                        \
        {1, 0},                                                                                              \
        {                                                                                                    \
            0, WIDTH                                                                                         \
        }                                                                                                    \
    }

#define ROWS_BYTES                                                                                           \
    {                                                                                                        \
        WIDTH * 4, 0                                                                                         \
    }

static inline void scale_rows(void *const *buffers, int64_t batch, int64_t first, int64_t last,
                              void *workspace)
{
    (void)workspace;
    const float *x = buffers[0], *w = buffers[1];
    float *y = buffers[2];
    MUST(last <= batch);
    for (int64_t i = first * WIDTH; i < last * WIDTH; i++)
        y[i] = x[i] * w[i % WIDTH];
}

static inline void add_rows(void *const *buffers, int64_t batch, int64_t first, int64_t last, void *workspace)
{
    (void)workspace;
    const float *a = buffers[0], *b = buffers[1];
    float *y = buffers[2];
    MUST(last <= batch);
    for (int64_t i = first * WIDTH; i < last * WIDTH; i++)
        y[i] = a[i] + b[i];
}

agate_status agate_ref_scalar(const agate_ref_call *call);

/* The reference kernel of neg, with a look at what the runtime hands to it. */
static inline agate_status negate(const agate_ref_call *call)
{
    const agate_tensor *x = call->inputs[0], *y = call->outputs[0];
    MUST(call->input_count == 1 && call->output_count == 1);
    MUST(x->dtype == AGATE_F32 && x->rank == 2 && x->dims[1] == WIDTH);
    MUST(x->size_bytes == (size_t)(x->dims[0] * WIDTH) * sizeof(float));
    MUST(y->dims[0] == x->dims[0] && y->size_bytes == x->size_bytes);
    return agate_ref_scalar(call);
}

static const agate_attrs no_attrs;
static _Alignas(64) const float weights[WIDTH] = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, 0.5f, 0, 9, 10, 11};
static _Alignas(64) const int64_t answer[2] = {42, 43};

static const agate_module_constant residual_constants[] = {{weights, sizeof(weights)},
                                                           {answer, sizeof(answer)}};
static const agate_module_value residual_inputs[] = {{"x", {ROWS}}};
static const agate_module_value residual_outputs[] = {
    {"y", {ROWS}}, {"same", {ROWS}}, {"answer", {AGATE_I64, 1, {{0, 2}}}}};
static const agate_module_arg residual_args[] = {
    {AGATE_STORAGE_INPUT, 0, {0, 0}, {ROWS}, ROWS_BYTES, 0},
    {AGATE_STORAGE_CONSTANT, 0, {0, 0}, {AGATE_F32, 1, {{0, WIDTH}}}, {0, WIDTH * 4}, 0},
    {AGATE_STORAGE_SLAB, 0, {0, 0}, {ROWS}, ROWS_BYTES, 1},
    {AGATE_STORAGE_SLAB, 0, {0, 0}, {ROWS}, ROWS_BYTES, 1},
    {AGATE_STORAGE_SLAB, 0, {WIDTH * 4, 0}, {ROWS}, ROWS_BYTES, 2},
    {AGATE_STORAGE_SLAB, 0, {WIDTH * 4, 0}, {ROWS}, ROWS_BYTES, 2},
    {AGATE_STORAGE_INPUT, 0, {0, 0}, {ROWS}, ROWS_BYTES, 0},
    {AGATE_STORAGE_OUTPUT, 0, {0, 0}, {ROWS}, ROWS_BYTES, 0},
};
/* FLOPs enough that the runtime finds every step worth all of its threads. */
#define STEP(fn, arg, operands)                                                                              \
    .kernel = fn, .first_arg = arg, .operand_count = operands, .result_count = 1, .task_count = {1, 0},      \
    .symbol = #fn, .label = "", .origin = "", .flops = {0, 1 << 30}

static const agate_module_step residual_steps[] = {
    {STEP(scale_rows, 0, 2)},
    {.library = negate,
     .attrs = &no_attrs,
     .variant = AGATE_SCALAR_neg,
     .first_arg = 3,
     .operand_count = 1,
     .result_count = 1,
     .symbol = "library",
     .label = "neg",
     .origin = "minus"},
    {STEP(add_rows, 5, 2)},
};
static const agate_module_copy residual_copies[] = {
    {{AGATE_STORAGE_INPUT, 0, {0, 0}, {ROWS}, ROWS_BYTES, 0}, 1},
    {{AGATE_STORAGE_CONSTANT, 1, {0, 0}, {AGATE_I64, 1, {{0, 2}}}, {0, 16}, 0}, 2},
};
static const agate_module residual = {
    .version = AGATE_MODULE_VERSION,
    .isa = "sse2",
    .precision = "f32",
    .inputs = residual_inputs,
    .outputs = residual_outputs,
    .constants = residual_constants,
    .args = residual_args,
    .steps = residual_steps,
    .copies = residual_copies,
    .input_count = 1,
    .output_count = 3,
    .constant_count = 2,
    .arg_count = AGATE_COUNT(residual_args),
    .step_count = AGATE_COUNT(residual_steps),
    .copy_count = 2,
    .slab_size_bytes = {2 * WIDTH * 4, 0},
    .by_rows_steps = 1,
};

/* ---- helpers ------------------------------------------------------------------------------------------- */

static inline agate_model *model_of(const agate_module *module)
{
    agate_model *model;
    agate_status status = agate_model_create(module, NULL, NULL, &model);
    MUST(!status);
    return model;
}

static inline agate_session *session_of(agate_model *model, int32_t threads)
{
    agate_session *session;
    const agate_session_options options = {.threads = threads};
    agate_status status = agate_session_create(model, &options, &session);
    MUST(!status);
    return session;
}

static inline void check_error(agate_status status, agate_code code, const char *message)
{
    ck_assert_str_eq(agate_status_message(status), message);
    ck_assert_int_eq(agate_status_code(status), code);
    agate_status_release(status);
}

/* One run of `residual`: its buffers, with a guard behind each. */
typedef struct trial {
    float x[MOST_ROWS * WIDTH], y[MOST_ROWS * WIDTH + 1], same[MOST_ROWS * WIDTH + 1];
    int64_t answer[3];
    agate_tensor inputs[1], outputs[3];
} trial;

static inline void trial_fill(trial *self, int64_t rows, uint32_t seed)
{
    for (int64_t i = 0; i < rows * WIDTH; i++) {
        seed = seed * 1664525 + 1013904223;
        self->x[i] = (float)(seed >> 8) * 0x1p-20f - 8;
    }
    self->y[rows * WIDTH] = self->same[rows * WIDTH] = -77;
    self->answer[2] = -77;
    self->inputs[0] =
        (agate_tensor){AGATE_F32, 2, {rows, WIDTH}, self->x, (size_t)(rows * WIDTH) * sizeof(float)};
    self->outputs[0] = (agate_tensor){.data = self->y, .size_bytes = (size_t)(rows * WIDTH) * sizeof(float)};
    self->outputs[1] =
        (agate_tensor){.data = self->same, .size_bytes = (size_t)(rows * WIDTH) * sizeof(float)};
    self->outputs[2] = (agate_tensor){.data = self->answer, .size_bytes = 16};
}

static inline void trial_run(trial *self, agate_session *session, int64_t rows, uint32_t seed)
{
    trial_fill(self, rows, seed);
    agate_status status = agate_session_run(session, self->inputs, 1, self->outputs, 3);
    MUST(!status);
    for (int64_t i = 0; i < rows * WIDTH; i++) {
        const float product = self->x[i] * weights[i % WIDTH];
        MUST(self->y[i] == self->x[i] - product && self->same[i] == self->x[i]);
    }
    MUST(self->y[rows * WIDTH] == -77 && self->same[rows * WIDTH] == -77 && self->answer[2] == -77);
    MUST(self->answer[0] == 42 && self->answer[1] == 43);
    MUST(self->outputs[0].dtype == AGATE_F32 && self->outputs[0].rank == 2);
    MUST(self->outputs[0].dims[0] == rows && self->outputs[0].dims[1] == WIDTH);
    MUST(self->outputs[2].dtype == AGATE_I64 && self->outputs[2].rank == 1 && self->outputs[2].dims[0] == 2);
}

#endif
