/* test_api.c: the public interface alone, on the digits model: a file, memory, batches, threads, mistakes.
 *
 * Links only the shared library, so what it needs and the library does not export shows here. */
#include "models.h"
#include "../suite.h"

#include <pthread.h>
#include <string.h>

enum { MOST_ROWS = 8 };

static agate_model *load(void)
{
    agate_model *model;
    agate_status status = agate_model_load_file(AGATE_DIGITS, NULL, &model);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    return model;
}

/* The whole file; the caller frees it. */
static char *read_file(const char *path, size_t *out_size_bytes)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *out_size_bytes = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*out_size_bytes);
    ck_assert_uint_eq(fread(bytes, 1, *out_size_bytes, file), *out_size_bytes);
    fclose(file);
    return bytes;
}

/* Runs and returns the first output, whose data the caller frees; aborts on failure, for it runs on any
 * thread. */
static agate_tensor run(agate_session *session, const agate_tensor *input)
{
    agate_tensor output = make_output(session, input->dims[0]);
    must(agate_session_run(session, input, 1, &output, 1));
    return output;
}

static agate_session *session_of(agate_model *model, int32_t threads)
{
    agate_session *session;
    const agate_session_options options = {.threads = threads};
    must(agate_session_create(model, &options, &session));
    return session;
}

START_TEST(a_row_is_the_same_alone_and_in_a_batch)
{
    agate_model *model = load();
    for (int32_t threads = 1; threads <= 2; threads++) {
        agate_session *session = session_of(model, threads);
        agate_tensor all = make_input(model, MOST_ROWS, 7), many = run(session, &all);
        const size_t in_bytes = all.size_bytes / MOST_ROWS, out_bytes = many.size_bytes / MOST_ROWS;
        static const int64_t batches[] = {1, 3, 8, 0};
        for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
            agate_tensor some = all;
            some.dims[0] = batches[i];
            some.data = (char *)all.data + (size_t)(MOST_ROWS - batches[i]) * in_bytes; /* the last rows */
            some.size_bytes = (size_t)batches[i] * in_bytes;
            agate_tensor few = run(session, &some);
            ck_assert_int_eq(few.dims[0], batches[i]);
            ck_assert(memcmp(few.data, (char *)many.data + (size_t)(MOST_ROWS - batches[i]) * out_bytes,
                             (size_t)batches[i] * out_bytes) == 0);
            free(few.data);
        }
        free(all.data);
        free(many.data);
        agate_session_release(session);
    }
    agate_model_release(model);
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    agate_model *model = load();
    agate_session *one = session_of(model, 1), *two = session_of(model, 2);
    agate_tensor input = make_input(model, 5, 3);
    agate_model_release(model); /* the sessions keep it */
    agate_tensor a = run(one, &input), b = run(two, &input);
    ck_assert_uint_eq(a.size_bytes, b.size_bytes);
    ck_assert_mem_eq(a.data, b.data, a.size_bytes);
    free(input.data);
    free(a.data);
    free(b.data);
    agate_session_release(one);
    agate_session_release(two);
}
END_TEST

START_TEST(memory_gives_what_the_file_gives)
{
    size_t size_bytes;
    char *bytes = read_file(AGATE_DIGITS, &size_bytes);
    agate_model *a = load(), *b;
    ck_assert_ptr_null(agate_model_load_memory(bytes, size_bytes, NULL, NULL, &b));
    memset(bytes, 0, size_bytes); /* needed during the call only */
    free(bytes);
    agate_session *of_file = session_of(a, 1), *of_memory = session_of(b, 1);
    agate_tensor input = make_input(a, 2, 5), x = run(of_file, &input), y = run(of_memory, &input);
    ck_assert_mem_eq(x.data, y.data, x.size_bytes);
    free(input.data);
    free(x.data);
    free(y.data);
    agate_session_release(of_file);
    agate_session_release(of_memory);
    agate_model_release(a);
    agate_model_release(b);
}
END_TEST

typedef struct concurrent {
    agate_model *model;
    const agate_tensor *input, *expected;
} concurrent;

static void *run_often(void *argument)
{
    const concurrent *self = argument;
    agate_session *session = session_of(self->model, 1);
    for (int32_t i = 0; i < 20; i++) {
        agate_tensor output = run(session, self->input);
        if (memcmp(output.data, self->expected->data, self->expected->size_bytes) != 0)
            abort();
        free(output.data);
    }
    agate_session_release(session);
    return NULL;
}

/* `work`, with its `concurrent`, on some threads at once. */
static void do_at_once(void *(*work)(void *argument), size_t thread_count)
{
    agate_model *model = load();
    agate_session *session = session_of(model, 2);
    agate_tensor input = make_input(model, 3, 11), expected = run(session, &input);
    concurrent shared = {model, &input, &expected};
    pthread_t threads[4];
    for (size_t i = 0; i < thread_count; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &shared), 0);
    for (size_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    free(input.data);
    free(expected.data);
    agate_session_release(session);
    agate_model_release(model);
}

START_TEST(many_sessions_run_at_once)
{
    do_at_once(run_often, 4);
}
END_TEST

/* Compiling, linking, running and releasing, each thread on its own. */
static void *load_and_run(void *argument)
{
    const concurrent *self = argument;
    const agate_compile_options options = {.threads = 2};
    agate_model *model;
    must(agate_model_load_file(AGATE_DIGITS, &options, &model));
    agate_session *session = session_of(model, 2);
    agate_model_release(model);
    agate_tensor output = run(session, self->input);
    if (memcmp(output.data, self->expected->data, self->expected->size_bytes) != 0)
        abort();
    free(output.data);
    agate_session_release(session);
    return NULL;
}

START_TEST(many_models_load_at_once)
{
    do_at_once(load_and_run, 3);
}
END_TEST

START_TEST(options_that_make_no_sense_are_named)
{
    static const agate_dim_binding twice[] = {{"N", 3}, {"N", 4}};
    static const struct {
        agate_compile_options options;
        const char *word;
    } cases[] = {
        {{.threads = -1}, "threads is negative"},
        {{.dims = twice, .dim_count = 2}, "dimension \"N\" is given twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        agate_model *model;
        agate_status status = agate_model_load_file(AGATE_DIGITS, &cases[i].options, &model);
        ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
        ck_assert_msg(strstr(agate_status_message(status), cases[i].word), "%s",
                      agate_status_message(status));
        agate_status_release(status);
    }
}
END_TEST

START_TEST(what_is_no_model_is_refused)
{
    size_t size_bytes;
    char *bytes = read_file(AGATE_DIGITS, &size_bytes);
    agate_model *model = NULL;
    agate_status status = agate_model_load_file("no-such-file.onnx", NULL, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "no-such-file.onnx"));
    agate_status_release(status);

    status = agate_model_load_memory(bytes, size_bytes / 2, NULL, NULL, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
    ck_assert_str_ne(agate_status_message(status), "");
    agate_status_release(status);

    status = agate_model_load_memory("hello", 5, NULL, NULL, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
    agate_status_release(status);

    status = agate_model_load_memory(NULL, 5, NULL, NULL, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
    ck_assert_ptr_null(model);
    agate_status_release(status);

    const agate_compile_options options = {.isa = "avx9000"};
    status = agate_model_load_memory(bytes, size_bytes, NULL, &options, &model);
    ck_assert_int_ne(agate_status_code(status), AGATE_CODE_OK);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "avx9000"));
    agate_status_release(status);
    ck_assert_ptr_null(model);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tests = tcase_create("api");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_row_is_the_same_alone_and_in_a_batch);
    tcase_add_test(tests, threads_do_not_change_a_bit);
    tcase_add_test(tests, memory_gives_what_the_file_gives);
    tcase_add_test(tests, many_sessions_run_at_once);
    tcase_add_test(tests, many_models_load_at_once);
    tcase_add_test(tests, options_that_make_no_sense_are_named);
    tcase_add_test(tests, what_is_no_model_is_refused);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
