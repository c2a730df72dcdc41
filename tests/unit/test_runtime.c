/* links: runtime ref */
/* test_runtime.c: models, and sessions that run. */
#include "runtime/base/features.h"
#include "tests/suite.h"
#include "tests/unit/residual.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* ---- counting allocations ------------------------------------------------------------------------------ */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
static atomic_long allocation_count;
void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);

void *malloc(size_t size_bytes)
{
    allocation_count++;
    return __libc_malloc(size_bytes);
}

void *calloc(size_t count, size_t size_bytes)
{
    allocation_count++;
    return __libc_calloc(count, size_bytes);
}
#endif

/* ---- models -------------------------------------------------------------------------------------------- */

START_TEST(a_model_says_what_it_takes)
{
    agate_model *model = model_of(&residual);
    agate_value_info info;
    ck_assert_uint_eq(agate_model_input_count(model), 1);
    ck_assert_uint_eq(agate_model_output_count(model), 3);
    ck_assert_ptr_null(agate_model_input_info(model, 0, &info));
    ck_assert_str_eq(info.name, "x");
    ck_assert(info.dtype == AGATE_F32 && info.rank == 2 && info.dims[0] == AGATE_DIM_BATCH &&
              info.dims[1] == WIDTH);
    ck_assert_ptr_null(agate_model_output_info(model, 2, &info));
    ck_assert(info.dtype == AGATE_I64 && info.rank == 1 && info.dims[0] == 2);
    check_error(agate_model_output_info(model, 3, &info), AGATE_CODE_INVALID_ARGUMENT,
                "the model has 3 outputs, so no output 3");
    ck_assert_ptr_eq(agate_model_module(model), &residual);
    ck_assert_str_eq(agate_version(), "0.1.0");
    agate_model_release(model);
    agate_model_release(NULL);
}
END_TEST

START_TEST(a_module_of_another_version_or_cpu_is_refused)
{
    agate_model *model;
    agate_module other = residual;
    other.version = AGATE_MODULE_VERSION + 1;
    agate_status status = agate_model_create(&other, NULL, NULL, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_UNSUPPORTED);
    agate_status_release(status);

    other = residual;
    other.isa = "avx9000";
    other.needs = 1u << 31;
    check_error(
        agate_model_create(&other, NULL, NULL, &model), AGATE_CODE_NOT_FOUND,
        "the model was compiled for avx9000, and this CPU lacks unknown features 0x80000000; compile it for "
        "a lower isa");
}
END_TEST

START_TEST(a_damaged_module_is_refused)
{
    agate_model *model;
    agate_module other = residual;
    other.constant_count = 0;
    check_error(agate_model_create(&other, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "argument 1 of the compiled module is damaged");

    agate_module_step steps[3] = {residual_steps[0], residual_steps[1], residual_steps[2]};
    steps[2].first_arg = UINT32_MAX;
    other = residual;
    other.steps = steps;
    check_error(agate_model_create(&other, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "step 2 of the compiled module is damaged");

    agate_module_copy copies[2] = {residual_copies[0], residual_copies[1]};
    copies[1].output = 0; /* a small constant copied into a large output */
    other = residual;
    other.copies = copies;
    check_error(agate_model_create(&other, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "copy 1 of the compiled module is damaged");
}
END_TEST

static void set_flag(void *owner)
{
    *(bool *)owner = true;
}

START_TEST(a_session_outlives_its_model)
{
    static trial memory;
    bool released = false;
    agate_model *model;
    ck_assert_ptr_null(agate_model_create(&residual, set_flag, &released, &model));
    agate_session *a = session_of(model, 1), *b = session_of(model, 2);
    agate_model_release(model);
    ck_assert(!released);
    trial_run(&memory, a, 3, 1);
    agate_session_release(a);
    trial_run(&memory, b, 3, 1);
    ck_assert(!released);
    agate_session_release(b);
    ck_assert(released);
    agate_session_release(NULL);
}
END_TEST

/* ---- sessions ------------------------------------------------------------------------------------------ */

START_TEST(session_options_are_checked)
{
    agate_model *model = model_of(&residual);
    agate_session *session;
    check_error(agate_session_create(model, &(agate_session_options){.threads = -1}, &session),
                AGATE_CODE_INVALID_ARGUMENT, "session option threads is negative");
    check_error(agate_session_create(model, &(agate_session_options){.max_batch = -1}, &session),
                AGATE_CODE_INVALID_ARGUMENT, "session option max_batch is negative");
    check_error(agate_session_create(model, &(agate_session_options){.max_batch = INT64_MAX / 2}, &session),
                AGATE_CODE_INVALID_ARGUMENT, "batch 4611686018427387903 is too large: sizes overflow");
    agate_status status =
        agate_session_create(model, &(agate_session_options){.max_batch = 1ll << 50}, &session);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_OUT_OF_MEMORY);
    agate_status_release(status);
    ck_assert_ptr_null(agate_session_create(model, NULL, &session));
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

START_TEST(the_batch_grows_and_shrinks)
{
    static const int64_t rows[] = {1, 3, 8, 2, 0, 1, 300, 300, 7, 301, 0, 512, 1};
    static trial memory;
    agate_model *model = model_of(&residual);
    for (int32_t threads = 1; threads <= 2; threads++) {
        agate_session *session = session_of(model, threads);
        size_t slab_before = agate_session_slab_size(session);
        for (size_t i = 0; i < AGATE_COUNT(rows); i++) {
            trial_run(&memory, session, rows[i], (uint32_t)i);
            ck_assert_uint_ge(agate_session_slab_size(session), slab_before);
            slab_before = agate_session_slab_size(session);
        }
        /* Two threads take slices of 64 rows each through the first step, beside the batch that the others
         * read. */
        const size_t rows_held = threads == 1 ? 512 : 512 + 2 * 64;
        ck_assert_uint_eq(slab_before, rows_held * 2 * WIDTH * 4);
        agate_session_release(session);
    }
    agate_model_release(model);
}
END_TEST

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    static const int32_t threads[] = {1, 2, 8};
    static trial first, other;
    agate_model *model = model_of(&residual);
    for (size_t i = 0; i < AGATE_COUNT(threads); i++) {
        agate_session *session = session_of(model, threads[i]);
        trial_run(i ? &other : &first, session, MOST_ROWS, 5);
        if (i)
            ck_assert_mem_eq(first.y, other.y, sizeof(first.y));
        agate_session_release(session);
    }
    agate_model_release(model);
}
END_TEST

START_TEST(null_data_does_for_no_elements)
{
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 2);
    int64_t two[2];
    const agate_tensor input = {.dtype = AGATE_F32, .rank = 2, .dims = {0, WIDTH}};
    agate_tensor outputs[3] = {{.rank = 0}, {.rank = 0}, {.data = two, .size_bytes = sizeof(two)}};
    ck_assert_ptr_null(agate_session_run(session, &input, 1, outputs, 3));
    ck_assert(outputs[0].rank == 2 && outputs[0].dims[0] == 0 && outputs[0].dims[1] == WIDTH);
    ck_assert_int_eq(two[0], 42);
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

START_TEST(output_shapes_follow_the_batch)
{
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 1);
    agate_tensor tensor = {0};
    ck_assert_ptr_null(agate_session_output_shape(session, 0, 5, &tensor));
    ck_assert(tensor.dims[0] == 5 && tensor.dims[1] == WIDTH && tensor.size_bytes == 5 * WIDTH * 4);
    check_error(agate_session_output_shape(session, 3, 5, &tensor), AGATE_CODE_INVALID_ARGUMENT,
                "the model has 3 outputs, so no output 3");
    check_error(agate_session_output_shape(session, 0, -1, &tensor), AGATE_CODE_INVALID_ARGUMENT,
                "output \"y\" has no size at batch -1");
    check_error(agate_session_output_shape(session, 0, INT64_MAX, &tensor), AGATE_CODE_INVALID_ARGUMENT,
                "output \"y\" has no size at batch 9223372036854775807");
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

static void note_step(void *user, const agate_step_profile *step)
{
    uint32_t *next = user;
    ck_assert_uint_eq(step->index, *next);
    ck_assert(step->end_ns >= step->start_ns && step->start_ns > 0);
    (*next)++;
}

START_TEST(a_profile_sees_each_step)
{
    static trial memory;
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 2);
    uint32_t next = 0;
    agate_session_set_profile(session, note_step, &next);
    trial_run(&memory, session, 9, 1);
    ck_assert_uint_eq(next, 3);
    agate_session_set_profile(session, NULL, NULL);
    trial_run(&memory, session, 9, 1);
    ck_assert_uint_eq(next, 3);
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST

#ifdef COUNTS_ALLOCATIONS
START_TEST(a_run_allocates_nothing)
{
    static trial memory;
    agate_model *model = model_of(&residual);
    agate_session *session = session_of(model, 2);
    trial_run(&memory, session, 64, 1);
    static const int64_t rows[] = {64, 64, 3, 0, 64};
    for (size_t i = 0; i < AGATE_COUNT(rows); i++) {
        trial_fill(&memory, rows[i], 1);
        const long before = allocation_count;
        agate_status status = agate_session_run(session, memory.inputs, 1, memory.outputs, 3);
        ck_assert_int_eq(allocation_count, before);
        ck_assert_ptr_null(status);
    }
    agate_session_release(session);
    agate_model_release(model);
}
END_TEST
#endif

/* ---- many at once -------------------------------------------------------------------------------------- */

static void *run_many(void *argument)
{
    agate_model *model = argument;
    trial *memory = calloc(1, sizeof(*memory));
    agate_session *session = session_of(model, 2);
    agate_model_release(model); /* each thread got a reference of its own */
    for (uint32_t i = 0; i < 60; i++)
        trial_run(memory, session, (int64_t)(i * 37 % 200), i);
    agate_session_release(session);
    free(memory);
    return NULL;
}

START_TEST(sessions_run_concurrently)
{
    bool released = false;
    agate_model *model;
    pthread_t threads[6];
    ck_assert_ptr_null(agate_model_create(&residual, set_flag, &released, &model));
    for (size_t i = 0; i < AGATE_COUNT(threads); i++) {
        agate_model_retain(model);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_many, model), 0);
    }
    agate_model_release(model);
    for (size_t i = 0; i < AGATE_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    ck_assert(released);
}
END_TEST

/* A kernel that runs its own session: what a second thread would do at the worst moment. */
static agate_session *again_session;
static trial again_memory;

static void run_again(void *const *buffers, int64_t batch, int64_t first, int64_t last, void *workspace)
{
    (void)buffers, (void)batch, (void)first, (void)last, (void)workspace;
    check_error(agate_session_run(again_session, again_memory.inputs, 1, again_memory.outputs, 3),
                AGATE_CODE_INVALID_ARGUMENT,
                "the session is already running on another thread; create a session per thread");
}

START_TEST(a_session_runs_one_inference_at_a_time)
{
    const agate_module_step steps[] = {
        {STEP(run_again, 0, 2)}, residual_steps[0], residual_steps[1], residual_steps[2]};
    agate_module module = residual;
    module.steps = steps;
    module.step_count = 4;
    agate_model *model = model_of(&module);
    again_session = session_of(model, 1);
    trial_run(&again_memory, again_session, 4, 1);
    agate_session_release(again_session);
    agate_model_release(model);
}
END_TEST

/* A kernel that writes its workspace, lets other threads run, and finds it as it was. */
#define WORKSPACE_BYTES 1000

static void keep_workspace(void *const *buffers, int64_t batch, int64_t first, int64_t last, void *workspace)
{
    (void)buffers, (void)batch, (void)last;
    MUST((uintptr_t)workspace % AGATE_ALIGNMENT == 0);
    memset(workspace, (int)(first % 251), WORKSPACE_BYTES);
    for (int i = 0; i < 20; i++)
        sched_yield();
    for (size_t i = 0; i < WORKSPACE_BYTES; i++)
        MUST(((unsigned char *)workspace)[i] == first % 251);
}

START_TEST(each_thread_has_a_workspace)
{
    static trial memory;
    const agate_module_step steps[] = {
        residual_steps[0], {STEP(keep_workspace, 0, 2)}, residual_steps[1], residual_steps[2]};
    agate_module module = residual;
    module.steps = steps;
    module.step_count = 4;
    module.workspace_size_bytes = WORKSPACE_BYTES;
    agate_model *model = model_of(&module);
    for (int32_t threads = 1; threads <= agate_cpu_count(); threads++) {
        agate_session *session = session_of(model, threads);
        for (int64_t rows = 1; rows <= MOST_ROWS; rows = 2 * rows + 1)
            trial_run(&memory, session, rows, 1); /* what the workspaces lie behind is unharmed */
        ck_assert_uint_ge(agate_session_slab_size(session), (size_t)threads * WORKSPACE_BYTES);
        agate_session_release(session);
    }
    agate_model_release(model);

    module.workspace_size_bytes = -1;
    check_error(agate_model_create(&module, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "the workspace of the compiled module is damaged");
}
END_TEST

START_TEST(a_module_has_a_precision)
{
    agate_module module = residual;
    agate_model *model = model_of(&module);

    ck_assert_str_eq(agate_model_precision(model), "f32");
    agate_model_release(model);
    module.precision = "";
    check_error(agate_model_create(&module, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "the precision of the compiled module is damaged");
    module.precision = NULL;
    check_error(agate_model_create(&module, NULL, NULL, &model), AGATE_CODE_INTERNAL,
                "the precision of the compiled module is damaged");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime");
    TCase *tests = tcase_create("runtime");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_model_says_what_it_takes);
    tcase_add_test(tests, a_module_of_another_version_or_cpu_is_refused);
    tcase_add_test(tests, a_damaged_module_is_refused);
    tcase_add_test(tests, a_module_has_a_precision);
    tcase_add_test(tests, a_session_outlives_its_model);
    tcase_add_test(tests, session_options_are_checked);
    tcase_add_test(tests, the_batch_grows_and_shrinks);
    tcase_add_test(tests, any_number_of_threads_gives_the_same_bits);
    tcase_add_test(tests, null_data_does_for_no_elements);
    tcase_add_test(tests, output_shapes_follow_the_batch);
    tcase_add_test(tests, a_profile_sees_each_step);
#ifdef COUNTS_ALLOCATIONS
    tcase_add_test(tests, a_run_allocates_nothing);
#endif
    tcase_add_test(tests, sessions_run_concurrently);
    tcase_add_test(tests, a_session_runs_one_inference_at_a_time);
    tcase_add_test(tests, each_thread_has_a_workspace);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
