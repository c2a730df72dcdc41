/* test_session.c: what a session offers beside a plain run: bound tensors, the caller's memory and threads,
 * cancelling, deadlines, profiles; and what a model says of its file. */
#include "models.h"
#include "../suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { ROWS = 3, MOST_SHARES = 64 };

static agate_model *model;
static agate_tensor input, expected;

static void set_up(void)
{
    agate_session *session;
    must(agate_model_load_file(AGATE_DIGITS, NULL, &model));
    must(agate_session_create(model, NULL, &session));
    input = make_input(model, ROWS, 7);
    expected = make_output(session, ROWS);
    must(agate_session_run(session, &input, 1, &expected, 1));
    agate_session_release(session);
}

static void tear_down(void)
{
    free(input.data);
    free(expected.data);
    agate_model_release(model);
}

static agate_session *session_with(const agate_session_options *options)
{
    agate_session *session;
    must(agate_session_create(model, options, &session));
    return session;
}

/* A run of `session` gives `expected`, to the bit. */
static void expect_run(agate_session *session)
{
    agate_tensor output = make_output(session, ROWS);
    must(agate_session_run(session, &input, 1, &output, 1));
    ck_assert_uint_eq(output.size_bytes, expected.size_bytes);
    ck_assert_mem_eq(output.data, expected.data, expected.size_bytes);
    free(output.data);
}

/* A run of `session` ends with `code` and a message that holds `word`. */
static void expect_refusal(agate_session *session, agate_code code, const char *word)
{
    agate_tensor output = make_output(session, ROWS);
    agate_status status = agate_session_run(session, &input, 1, &output, 1);
    ck_assert_int_eq(agate_status_code(status), code);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), word));
    agate_status_release(status);
    free(output.data);
}

/* ---- bound tensors ------------------------------------------------------------------------------------- */

START_TEST(bound_tensors_run_again_and_again)
{
    agate_session *session = session_with(NULL);
    agate_tensor output = make_output(session, ROWS), bound;
    must(agate_session_bind_input(session, 0, &input));
    output.rank = -1; /* of no account */
    must(agate_session_bind_output(session, 0, &output));
    for (int32_t i = 0; i < 3; i++) {
        memset(output.data, 0, output.size_bytes);
        must(agate_session_run_bound(session));
        ck_assert_mem_eq(output.data, expected.data, expected.size_bytes);
    }
    must(agate_session_bound_output(session, 0, &bound));
    ck_assert_ptr_eq(bound.data, output.data);
    ck_assert_int_eq(bound.rank, expected.rank);
    ck_assert_mem_eq(bound.dims, expected.dims, sizeof bound.dims);

    /* Fewer rows in the same memory. */
    agate_tensor first = input;
    first.dims[0] = 1;
    must(agate_session_bind_input(session, 0, &first));
    must(agate_session_run_bound(session));
    must(agate_session_bound_output(session, 0, &bound));
    ck_assert_int_eq(bound.dims[0], 1);
    ck_assert_mem_eq(output.data, expected.data, expected.size_bytes / ROWS);
    free(output.data);
    agate_session_release(session);
}
END_TEST

static void expect_unbound(agate_status status, const char *word)
{
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
    ck_assert_msg(strstr(agate_status_message(status), word), "%s", agate_status_message(status));
    agate_status_release(status);
}

START_TEST(what_is_not_bound_is_named)
{
    agate_session *session = session_with(NULL);
    agate_tensor output = make_output(session, ROWS), bound;
    agate_value_info info;
    must(agate_model_input_info(model, 0, &info));
    expect_unbound(agate_session_run_bound(session), info.name);
    must(agate_session_bind_input(session, 0, &input));
    must(agate_model_output_info(model, 0, &info));
    expect_unbound(agate_session_run_bound(session), info.name);
    expect_unbound(agate_session_bound_output(session, 0, &bound), info.name);
    must(agate_session_bind_output(session, 0, &output));
    must(agate_session_run_bound(session));
    must(agate_session_bind_input(session, 0, NULL));
    expect_unbound(agate_session_run_bound(session), "not bound");

    expect_unbound(agate_session_bind_input(session, 1, &input), "no input 1");
    expect_unbound(agate_session_bind_output(session, 9, &output), "no output 9");
    expect_unbound(agate_session_bound_output(session, 9, &bound), "no output 9");
    agate_tensor odd = input;
    odd.rank = -1;
    must(agate_session_bind_input(session, 0, &odd));
    expect_unbound(agate_session_run_bound(session), "it has -1 dimensions");
    output.size_bytes = 1;
    must(agate_session_bind_input(session, 0, &input));
    must(agate_session_bind_output(session, 0, &output));
    expect_unbound(agate_session_run_bound(session), "room for 1 bytes");
    free(output.data);
    agate_session_release(session);
}
END_TEST

/* ---- the caller's memory ------------------------------------------------------------------------------- */

/* Counts what is out, fills with NaN, and fails once `left` blocks are given. */
typedef struct counter {
    atomic_size_t bytes, blocks;
    atomic_int left;
} counter;

static void *count_in(void *user, size_t size_bytes, size_t alignment)
{
    counter *self = user;
    if (atomic_fetch_sub(&self->left, 1) <= 0)
        return NULL;
    void *memory = aligned_alloc(alignment, (size_bytes + alignment - 1) / alignment * alignment);
    memset(memory, 0xff, size_bytes);
    atomic_fetch_add(&self->bytes, size_bytes);
    atomic_fetch_add(&self->blocks, 1);
    return memory;
}

static void count_out(void *user, void *memory, size_t size_bytes)
{
    counter *self = user;
    atomic_fetch_sub(&self->bytes, size_bytes);
    atomic_fetch_sub(&self->blocks, 1);
    free(memory);
}

START_TEST(the_slab_comes_from_the_allocator)
{
    counter memory = {.left = 1};
    const agate_allocator allocator = {count_in, count_out, &memory};
    const agate_session_options options = {.allocator = &allocator, .max_batch = ROWS};
    agate_session *session = session_with(&options);
    ck_assert_uint_eq(memory.blocks, 1);
    expect_run(session);

    /* A batch that needs a larger slab, which is refused; the session goes on with the one it has. */
    agate_tensor many = make_input(model, 8 * ROWS, 1), output = make_output(session, 8 * ROWS);
    agate_status status = agate_session_run(session, &many, 1, &output, 1);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_OUT_OF_MEMORY);
    agate_status_release(status);
    expect_run(session);
    memory.left = 1;
    must(agate_session_run(session, &many, 1, &output, 1));
    ck_assert_uint_eq(memory.blocks, 1);
    free(many.data);
    free(output.data);
    agate_session_release(session);
    ck_assert_uint_eq(memory.blocks, 0);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

START_TEST(the_constants_come_from_the_allocator)
{
    counter memory = {.left = 1000000};
    const agate_allocator allocator = {count_in, count_out, &memory};
    const agate_compile_options options = {.allocator = &allocator};
    agate_model *own = model, *other;
    must(agate_model_load_file(AGATE_DIGITS, &options, &other));
    ck_assert_uint_gt(memory.blocks, 4);
    ck_assert_uint_gt(memory.bytes, 10000);
    model = other;
    agate_session *session = session_with(NULL);
    expect_run(session);
    agate_session_release(session);
    agate_model_release(other);
    model = own;
    ck_assert_uint_eq(memory.blocks, 0);
    ck_assert_uint_eq(memory.bytes, 0);

    memory.left = 3;
    agate_status status = agate_model_load_file(AGATE_DIGITS, &options, &other);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_OUT_OF_MEMORY);
    agate_status_release(status);
    ck_assert_uint_eq(memory.blocks, 0);
}
END_TEST

START_TEST(half_an_allocator_is_refused)
{
    const agate_allocator allocator = {.allocate = count_in};
    const agate_session_options options = {.allocator = &allocator};
    const agate_compile_options compile = {.allocator = &allocator};
    agate_session *session;
    agate_model *other;
    expect_unbound(agate_session_create(model, &options, &session), "allocator");
    expect_unbound(agate_model_load_file(AGATE_DIGITS, &compile, &other), "allocator");
}
END_TEST

/* ---- the caller's threads ------------------------------------------------------------------------------ */

typedef struct share {
    void (*body)(void *context, int32_t index);
    void *context;
    int32_t index;
} share;

static void *run_share(void *argument)
{
    const share *self = argument;
    self->body(self->context, self->index);
    return NULL;
}

/* A thread for each share, and a count of the loops. */
static void with_threads(void *user, int32_t count, void (*body)(void *, int32_t), void *context)
{
    pthread_t threads[MOST_SHARES];
    share shares[MOST_SHARES];
    ++*(int32_t *)user;
    for (int32_t i = 0; i < count; i++) {
        shares[i] = (share){body, context, i};
        if (pthread_create(&threads[i], NULL, run_share, &shares[i]))
            abort();
    }
    for (int32_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* One after the other, the last first. */
static void backwards(void *user, int32_t count, void (*body)(void *, int32_t), void *context)
{
    ++*(int32_t *)user;
    for (int32_t i = count - 1; i >= 0; i--)
        body(context, i);
}

START_TEST(the_callers_threads_give_the_same_bits)
{
    static const agate_parallel_fn ways[] = {with_threads, backwards};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int32_t loops = 0;
        const agate_session_options options = {.threads = 2, .parallel = ways[i], .parallel_user = &loops};
        agate_session *session = session_with(&options);
        expect_run(session);
        agate_session_release(session);
        if (sysconf(_SC_NPROCESSORS_ONLN) >= 2)
            ck_assert_int_gt(loops, 0);
    }
}
END_TEST

/* ---- how threads round --------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Upwards, denormals taken for 0, exceptions trapped: none of it reaches a model or its runs, and all of it
 * stays. */
START_TEST(how_a_thread_rounds_is_of_no_account)
{
    static const unsigned odd[] = {_MM_MASK_MASK | _MM_ROUND_UP | _MM_FLUSH_ZERO_ON, _MM_MASK_INEXACT};
    int32_t loops = 0;
    const agate_session_options lent = {.threads = 2, .parallel = with_threads, .parallel_user = &loops};
    const agate_session_options ways[] = {{.threads = 1}, {.threads = 2}, lent};
    const unsigned before = _mm_getcsr();
    agate_model *again;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        _mm_setcsr(odd[i]);
        must(agate_model_load_file(AGATE_DIGITS, NULL, &again));
        for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
            agate_session *session;
            must(agate_session_create(k < 2 ? model : again, &ways[k], &session));
            expect_run(session);
            agate_session_release(session);
        }
        agate_model_release(again);
        ck_assert_uint_eq(_mm_getcsr(), odd[i]);
    }
    _mm_setcsr(before);
}
END_TEST
#endif

/* ---- cancelling and deadlines -------------------------------------------------------------------------- */

START_TEST(a_cancelled_session_runs_again_when_resumed)
{
    agate_session *session = session_with(NULL);
    agate_session_cancel(session);
    expect_refusal(session, AGATE_CODE_CANCELLED, "cancelled after 0 of");
    expect_refusal(session, AGATE_CODE_CANCELLED, "cancelled");
    agate_session_resume(session);
    expect_run(session);
    agate_session_release(session);
}
END_TEST

static void cancel_at_two(void *user, const agate_step_profile *step)
{
    if (step->index == 1)
        agate_session_cancel(user);
}

START_TEST(a_run_ends_between_steps)
{
    agate_session *session = session_with(NULL);
    agate_session_set_profile(session, cancel_at_two, session);
    expect_refusal(session, AGATE_CODE_CANCELLED, "cancelled after 2 of");
    agate_session_set_profile(session, NULL, NULL);
    agate_session_resume(session);
    expect_run(session);
    agate_session_release(session);
}
END_TEST

static void *cancel(void *session)
{
    agate_session_cancel(session);
    return NULL;
}

START_TEST(another_thread_may_cancel)
{
    agate_session *session = session_with(NULL);
    agate_tensor output = make_output(session, ROWS);
    pthread_t thread;
    agate_status status = AGATE_OK;
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel, session), 0);
    while (!status)
        status = agate_session_run(session, &input, 1, &output, 1);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_CANCELLED);
    agate_status_release(status);
    pthread_join(thread, NULL);
    free(output.data);
    agate_session_release(session);
}
END_TEST

START_TEST(a_deadline_that_passed_ends_runs)
{
    agate_session *session = session_with(NULL);
    agate_session_set_deadline(session, agate_clock_ns());
    expect_refusal(session, AGATE_CODE_CANCELLED, "deadline of the run passed after 0 of");
    agate_session_set_deadline(session, agate_clock_ns() + UINT64_C(3600000000000));
    expect_run(session);
    agate_session_set_deadline(session, 0);
    expect_run(session);
    agate_session_release(session);
}
END_TEST

/* ---- profiles and metadata ----------------------------------------------------------------------------- */

typedef struct seen {
    size_t steps, with_origin;
    uint64_t last_ns;
} seen;

static void note(void *user, const agate_step_profile *step)
{
    seen *self = user;
    if (step->index != self->steps++ || step->start_ns < self->last_ns || step->end_ns < step->start_ns ||
        !*step->name || !step->kernel)
        abort();
    self->with_origin += strstr(step->origin, "onv") != NULL;
    self->last_ns = step->end_ns;
}

START_TEST(a_profile_names_what_runs)
{
    agate_session *session = session_with(NULL);
    seen seen = {0};
    agate_session_set_profile(session, note, &seen);
    expect_run(session);
    ck_assert_uint_ge(seen.with_origin, 3);
    agate_session_release(session);
}
END_TEST

START_TEST(a_model_says_where_it_comes_from)
{
    const agate_metadata *metadata = agate_model_metadata(model);
    ck_assert_str_eq(metadata->producer_name, "pytorch");
    ck_assert_str_ne(metadata->graph_name, "");
    ck_assert_str_eq(metadata->doc, "");
    ck_assert_int_ge(metadata->ir_version, 3);
    ck_assert_uint_ge(metadata->opset_count, 1);
    ck_assert_str_eq(metadata->opsets[0].domain, "");
    ck_assert_int_ge(metadata->opsets[0].version, 7);
    ck_assert_uint_eq(metadata->property_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tests = tcase_create("session");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, bound_tensors_run_again_and_again);
    tcase_add_test(tests, what_is_not_bound_is_named);
    tcase_add_test(tests, the_slab_comes_from_the_allocator);
    tcase_add_test(tests, the_constants_come_from_the_allocator);
    tcase_add_test(tests, half_an_allocator_is_refused);
    tcase_add_test(tests, the_callers_threads_give_the_same_bits);
#if defined(__x86_64__)
    tcase_add_test(tests, how_a_thread_rounds_is_of_no_account);
#endif
    tcase_add_test(tests, a_cancelled_session_runs_again_when_resumed);
    tcase_add_test(tests, a_run_ends_between_steps);
    tcase_add_test(tests, another_thread_may_cancel);
    tcase_add_test(tests, a_deadline_that_passed_ends_runs);
    tcase_add_test(tests, a_profile_names_what_runs);
    tcase_add_test(tests, a_model_says_where_it_comes_from);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
