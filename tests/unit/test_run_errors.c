/* links: runtime ref */
/* test_run_errors.c: what callers get wrong is explained, and harms nothing. */
#include "tests/unit/residual.h"
#include "tests/suite.h"

/* ---- what callers get wrong ---------------------------------------------------------------------------- */

/* Changes a good call by `change` and expects this message; then runs again, unharmed. */
static void check_refused(void (*change)(trial *), const char *message)
{
    static trial memory;
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 2);
    trial_fill(&memory, 3, 1);
    change(&memory);
    check_error(agate_session_run(session, memory.inputs, 1, memory.outputs, 3), AGATE_CODE_INVALID_ARGUMENT,
                message);
    trial_run(&memory, session, 3, 1);
    agate_session_release(session);
    agate_model_release(model);
}

static void wrong_dtype(trial *t)
{
    t->inputs[0].dtype = AGATE_U8;
}

static void wrong_rank(trial *t)
{
    t->inputs[0].rank = 3;
    t->inputs[0].dims[2] = 1;
}

static void absurd_rank(trial *t)
{
    t->inputs[0].rank = INT32_MIN;
}

static void wrong_dimension(trial *t)
{
    t->inputs[0].dims[1] = 17;
}

static void negative_batch(trial *t)
{
    t->inputs[0].dims[0] = -2;
}

static void huge_batch(trial *t)
{
    t->inputs[0].dims[0] = INT64_MAX;
}

static void short_input(trial *t)
{
    t->inputs[0].size_bytes = 191;
}

static void null_input(trial *t)
{
    t->inputs[0].data = NULL;
}

static void crooked_input(trial *t)
{
    t->inputs[0].data = (char *)t->x + 2;
}

static void short_output(trial *t)
{
    t->outputs[1].size_bytes = 128;
}

static void null_output(trial *t)
{
    t->outputs[2].data = NULL;
}

static void output_over_input(trial *t)
{
    t->outputs[0].data = t->x + WIDTH;
}

static void output_over_output(trial *t)
{
    t->outputs[1].data = t->y + WIDTH;
}

START_TEST(mistakes_are_explained)
{
    check_refused(wrong_dtype, "input \"x\": expected f32[N,16], but got u8[3,16]: the element type is u8");
    check_refused(wrong_rank,
                  "input \"x\": expected f32[N,16], but got f32[3,16,1]: it has 3 dimensions, not 2");
    check_refused(absurd_rank,
                  "input \"x\": expected f32[N,16], but got f32[]: it has -2147483648 dimensions, not 2");
    check_refused(wrong_dimension,
                  "input \"x\": expected f32[N,16], but got f32[3,17]: dimension 1 is 17, not 16");
    check_refused(negative_batch,
                  "input \"x\": expected f32[N,16], but got f32[-2,16]: dimension 0 is -2, not N");
    check_refused(huge_batch, "input \"x\": its size overflows");
    check_refused(short_input, "input \"x\": it brings 191 bytes (size_bytes), but 192 are needed");
    check_refused(null_input, "input \"x\": its data is NULL");
    check_refused(crooked_input, "input \"x\": its data is not aligned to its elements of 4 bytes");
    check_refused(short_output,
                  "output \"same\": there is room for 128 bytes (size_bytes), but 192 are needed");
    check_refused(null_output, "output \"answer\": its data is NULL");
    check_refused(output_over_input, "output \"y\": its memory overlaps that of input \"x\"");
    check_refused(output_over_output, "output \"same\": its memory overlaps that of output \"y\"");
}
END_TEST

START_TEST(counts_are_checked)
{
    static trial memory;
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 1);
    trial_fill(&memory, 3, 1);
    check_error(agate_session_run(session, memory.inputs, 0, memory.outputs, 3), AGATE_CODE_INVALID_ARGUMENT,
                "the model has 1 input (\"x\"), but 0 came");
    check_error(agate_session_run(session, memory.inputs, 1, memory.outputs, 2), AGATE_CODE_INVALID_ARGUMENT,
                "the model has 3 outputs (\"y\", \"same\", \"answer\"), but 2 came");
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

/* Two inputs that follow the batch, and no steps. */
static const agate_module_value pair_values[] = {{"a", {AGATE_F32, 2, {{1, 0}, {0, 2}}}},
                                                 {"b", {AGATE_U8, 1, {{2, 1}}}}};
static const agate_module_copy pair_copies[] = {
    {{AGATE_STORAGE_INPUT, 0, {0, 0}, {AGATE_F32, 2, {{1, 0}, {0, 2}}}, {8, 0}, 0}, 0},
    {{AGATE_STORAGE_INPUT, 1, {0, 0}, {AGATE_U8, 1, {{2, 1}}}, {2, 1}, 0}, 1}};
static const agate_module pair = {
    .version = AGATE_MODULE_VERSION,
    .isa = "sse2",
    .precision = "f32",
    .inputs = pair_values,
    .outputs = pair_values,
    .copies = pair_copies,
    .input_count = 2,
    .output_count = 2,
    .copy_count = 2,
};

START_TEST(inputs_agree_on_the_batch)
{
    agate_model *model = model_of(&pair);
    agate_session *session = session_of(model, 1);
    float a[6] = {1, 2, 3, 4, 5, 6}, a_copy[6];
    uint8_t b[7] = {1, 2, 3, 4, 5, 6, 7}, b_copy[7];
    agate_tensor inputs[] = {{AGATE_F32, 2, {3, 2}, a, sizeof(a)}, {AGATE_U8, 1, {7}, b, sizeof(b)}};
    agate_tensor outputs[] = {{.data = a_copy, .size_bytes = sizeof(a)},
                              {.data = b_copy, .size_bytes = sizeof(b)}};
    ck_assert_ptr_null(agate_session_run(session, inputs, 2, outputs, 2));
    ck_assert_mem_eq(a, a_copy, sizeof(a));
    ck_assert_mem_eq(b, b_copy, sizeof(b));
    ck_assert_int_eq(outputs[1].dims[0], 7);

    inputs[1].dims[0] = 5;
    check_error(agate_session_run(session, inputs, 2, outputs, 2), AGATE_CODE_INVALID_ARGUMENT,
                "input \"b\": dimension 0 makes the batch N 2, but dimension 0 of input \"a\" made it 3");
    inputs[1].dims[0] = 6;
    check_error(agate_session_run(session, inputs, 2, outputs, 2), AGATE_CODE_INVALID_ARGUMENT,
                "input \"b\": expected u8[2N+1], but got u8[6]: dimension 0 is 6, not 2N+1");
    inputs[1].dims[0] = 0;
    check_error(agate_session_run(session, inputs, 2, outputs, 2), AGATE_CODE_INVALID_ARGUMENT,
                "input \"b\": expected u8[2N+1], but got u8[0]: dimension 0 is 0, not 2N+1");
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

static agate_status out_of_range(const agate_ref_call *call)
{
    (void)call;
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "index 9 is out of range");
}

START_TEST(a_library_kernel_may_fail)
{
    static trial memory;
    agate_module_step steps[3] = {residual_steps[0], residual_steps[1], residual_steps[2]};
    steps[1].library = out_of_range;
    agate_module module = residual;
    module.steps = steps;
    agate_model *model = model_of(&module);
    agate_session *session = session_of(model, 2);
    trial_fill(&memory, 3, 1);
    for (int32_t i = 0; i < 2; i++)
        check_error(agate_session_run(session, memory.inputs, 1, memory.outputs, 3),
                    AGATE_CODE_INVALID_ARGUMENT, "node \"minus\" (neg): index 9 is out of range");
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run errors");
    TCase *tests = tcase_create("run errors");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, mistakes_are_explained);
    tcase_add_test(tests, counts_are_checked);
    tcase_add_test(tests, inputs_agree_on_the_batch);
    tcase_add_test(tests, a_library_kernel_may_fail);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
