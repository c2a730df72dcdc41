/* links: cli driver passes backend frontend runtime ir ref base */
/* test_slices.c: batches that run a few rows at a time: which graphs may, and the same bits whether they do or not. */
#include "tests/unit/folder.h"

#include "ir/by_rows.h"
#include "ir/text.h"
#include "runtime/base/features.h"
#include "runtime/session.h"
#include "tests/suite.h"
#include "tools/runner.h"
#include "tools/tensor.h"

static void must(agate_status status)
{
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

/* ---- which graphs --------------------------------------------------------------------------------------- */

typedef struct rule {
    bool by_rows;
    const char *body; /* of %x : f32[N,4,6], %s : f32[4,6], %i : i64[N,2], %j : i64[2] */
    const char *type; /* of its result %0 */
} rule;

static const rule rules[] = {
    {true, "%0 = add %x, %s : f32[N,4,6]", "f32[N,4,6]"},
    {true, "%0 = softmax %x axis=2 : f32[N,4,6]", "f32[N,4,6]"},
    {false, "%0 = softmax %x axis=0 : f32[N,4,6]", "f32[N,4,6]"},
    {true, "%0 = reduce_sum %x axes=[1, 2] : f32[N,1,1]", "f32[N,1,1]"},
    {false, "%0 = reduce_sum %x axes=[0] : f32[1,4,6]", "f32[1,4,6]"},
    {true, "%0 = arg_max %x axis=1 : i64[N,1,6]", "i64[N,1,6]"},
    {false, "%0 = arg_max %x axis=0 : i64[1,4,6]", "i64[1,4,6]"},
    {true, "%0 = transpose %x perm=[0, 2, 1] : f32[N,6,4]", "f32[N,6,4]"},
    {true, "%0 = reshape %x shape=[4N, 6] : f32[4N,6]", "f32[4N,6]"},
    {true, "%0 = concat %x, %x axis=1 : f32[N,8,6]", "f32[N,8,6]"},
    {false, "%0 = concat %x, %x axis=0 : f32[2N,4,6]", "f32[2N,4,6]"},
    {true, "%0 = slice %x starts=[0, 1, 0] shape=[N, 2, 6] : f32[N,2,6]", "f32[N,2,6]"},
    {true, "%0 = pad %x begins=[0, 1, 0] ends=[0, 0, 0] : f32[N,5,6]", "f32[N,5,6]"},
    {true, "%0 = gather %x, %j axis=1 : f32[N,2,6]", "f32[N,2,6]"},
    {false, "%0 = gather %x, %j axis=0 : f32[2,4,6]", "f32[2,4,6]"},
    {true, "%0 = gather %s, %i axis=0 : f32[N,2,6]", "f32[N,2,6]"},
    {false, "%0 = gather %x, %i axis=0 : f32[N,2,4,6]", "f32[N,2,4,6]"},
    {true, "%a = transpose %s perm=[1, 0] : f32[6,4]\n  %0 = matmul %x, %a : f32[N,4,4]", "f32[N,4,4]"},
    {true, "%a = transpose %x perm=[0, 2, 1] : f32[N,6,4]\n  %0 = matmul %x, %a : f32[N,4,4]", "f32[N,4,4]"},
    {true, "%a = reshape %s shape=[1, 4, 6] : f32[1,4,6]\n  %0 = expand %a shape=[N, 4, 6] : f32[N,4,6]",
     "f32[N,4,6]"},
    {true, "%0 = relu %s : f32[4,6]", "f32[4,6]"},
};

START_TEST(rows_are_told_from_batches)
{
    const rule *r = &rules[_i];
    agate_text text = {0};
    agate_graph *graph;

    agate_text_add(&text,
                   "graph @t(%%x: f32[N,4,6], %%s: f32[4,6], %%i: i64[N,2], %%j: i64[2]) -> %s {\n  %s\n"
                   "  return %%0\n}\n",
                   r->type, r->body);
    must(agate_parse(agate_text_c(&text), text.size_bytes, &graph));
    ck_assert_msg(agate_graph_is_by_rows(graph) == r->by_rows, "%s", r->body);
    agate_graph_release(graph);
    agate_text_deinit(&text);
}
END_TEST

/* ---- the same bits -------------------------------------------------------------------------------------- */

/* More than a megabyte of memory a row; a result that is an input, one that has no batch, one of more rows than the batch. */
static const char sliced[] =
    "graph @t(%x: f32[N,32,64,48], %s: f32[64,48]) -> (f32[N,32,64,48], f32[2N,16,1,1], f32[N,32,64,48],"
    " f32[64,48]) {\n"
    "  %0 = mul %x, %s : f32[N,32,64,48]\n"
    "  %1 = max_pool %0 kernel=[3, 3] pads=[1, 1, 1, 1] : f32[N,32,64,48]\n"
    "  %2 = softmax %1 axis=1 : f32[N,32,64,48]\n"
    "  %3 = reduce_mean %2 axes=[2, 3] : f32[N,32,1,1]\n"
    "  %4 = sub %1, %3 : f32[N,32,64,48]\n"
    "  %5 = max_pool %4 kernel=[2, 2] strides=[1, 1] pads=[1, 1, 0, 0] : f32[N,32,64,48]\n"
    "  %6 = reshape %3 shape=[2N, 16, 1, 1] : f32[2N,16,1,1]\n"
    "  %7 = sqrt %s : f32[64,48]\n"
    "  return %5, %6, %x, %7\n}\n";
/* Half a megabyte a row. */
static const char halves[] = "graph @t(%x: f32[N,16,64,48], %s: f32[64,48]) -> f32[N,16,64,48] {\n"
                             "  %0 = mul %x, %s : f32[N,16,64,48]\n"
                             "  %1 = max_pool %0 kernel=[3, 3] pads=[1, 1, 1, 1] : f32[N,16,64,48]\n"
                             "  %2 = softmax %1 axis=1 : f32[N,16,64,48]\n"
                             "  %3 = reduce_mean %2 axes=[2, 3] : f32[N,16,1,1]\n"
                             "  %4 = sub %1, %3 : f32[N,16,64,48]\n"
                             "  return %4\n}\n";
/* The mean of a batch is taken from each of its rows. */
static const char whole[] = "graph @t(%x: f32[N,32,64,48], %s: f32[64,48]) -> f32[N,32,64,48] {\n"
                            "  %0 = mul %x, %s : f32[N,32,64,48]\n"
                            "  %1 = max_pool %0 kernel=[3, 3] pads=[1, 1, 1, 1] : f32[N,32,64,48]\n"
                            "  %2 = reduce_mean %1 axes=[0] : f32[1,32,64,48]\n"
                            "  %3 = sub %1, %2 : f32[N,32,64,48]\n"
                            "  return %3\n}\n";

enum { SHARED = 64 * 48 };

static agate_runner runner_of(const char *text, int32_t threads)
{
    const agate_runner_options how = {.driver.compile.threads = threads};
    agate_runner runner = {0};

    make_folder();
    write_file(path_of("graph.agt"), text, strlen(text));
    must(agate_runner_init(&runner, path_of("graph.agt"), &how));
    remove_folder();
    return runner;
}

static void make_inputs(int64_t batch, int64_t channels, agate_tensor inputs[2])
{
    inputs[0] = (agate_tensor){.dtype = AGATE_F32,
                               .rank = 4,
                               .dims = {batch, channels, 64, 48},
                               .size_bytes = (size_t)(batch * channels) * SHARED * 4};
    inputs[1] = (agate_tensor){.dtype = AGATE_F32, .rank = 2, .dims = {64, 48}, .size_bytes = SHARED * 4};
    for (int i = 0; i < 2; i++) {
        must(agate_tensor_allocate(&inputs[i]));
        float *data = inputs[i].data;
        for (size_t e = 0; e < inputs[i].size_bytes / 4; e++)
            data[e] = (float)((e * 2654435761u) % 1000) / 250 - (i == 0 ? 2 : 0);
    }
}

static void count_step(void *user, const agate_step_profile *step)
{
    size_t *count = user;

    (void)step;
    (*count)++;
}

/* Runs it as one batch and as the session likes it: the same bits. Gives how many steps the latter reported. */
static size_t check_batch(const char *text, int64_t batch, int32_t threads)
{
    agate_runner runner = runner_of(text, threads);
    agate_session *session;
    agate_session_options alone = {.threads = threads};
    agate_tensor inputs[2], once[4] = {{0}}, sliced_outputs[4] = {{0}};
    size_t steps = 0;

    must(agate_session_create(runner.model, &alone, &session));
    make_inputs(batch, text == halves ? 16 : 32, inputs);
    must(agate_runner_allocate_outputs(&runner, batch, once));
    must(agate_runner_allocate_outputs(&runner, batch, sliced_outputs));
    runner.session->keeps_batch = true;
    must(agate_session_run(runner.session, inputs, 2, once, runner.output_count));
    agate_session_set_profile(session, count_step, &steps);
    must(agate_session_run(session, inputs, 2, sliced_outputs, runner.output_count));
    for (size_t i = 0; i < runner.output_count; i++) {
        ck_assert_int_eq(once[i].rank, sliced_outputs[i].rank);
        ck_assert_int_eq(once[i].dims[0], sliced_outputs[i].dims[0]);
        if (once[i].size_bytes)
            ck_assert_mem_eq(once[i].data, sliced_outputs[i].data, once[i].size_bytes);
    }
    if (batch > 2 && agate_session_slice_rows(session, batch) < batch)
        ck_assert_uint_lt(agate_session_slab_size(session), agate_session_slab_size(runner.session));
    steps = steps / runner.session->module->step_count;
    agate_tensor_free(once, runner.output_count);
    agate_tensor_free(sliced_outputs, runner.output_count);
    agate_tensor_free(inputs, 2);
    agate_session_release(session);
    agate_runner_deinit(&runner);
    return steps;
}

START_TEST(slices_have_the_bits_of_the_batch)
{
    ck_assert_uint_eq(check_batch(sliced, 5, 1), 5);
    ck_assert_uint_eq(check_batch(halves, 5, 1), 3); /* of 2, 2 and 1 */
    ck_assert_uint_eq(check_batch(sliced, 1, 1), 1);
    ck_assert_uint_eq(check_batch(sliced, 0, 1), 1);
    if (agate_cpu_count() > 1)
        ck_assert_uint_eq(check_batch(sliced, 5, 2), 1); /* threads share the whole batch */
}
END_TEST

START_TEST(a_graph_across_rows_runs_whole)
{
    ck_assert_uint_eq(check_batch(whole, 5, 1), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slices");
    TCase *graphs = tcase_create("graphs"), *bits = tcase_create("bits");

    tcase_add_loop_test(graphs, rows_are_told_from_batches, 0, AGATE_COUNT(rules));
    suite_add_tcase(suite, graphs);
    tcase_add_test(bits, slices_have_the_bits_of_the_batch);
    tcase_add_test(bits, a_graph_across_rows_runs_whole);
    suite_add_tcase(suite, bits);
    return suite_run(suite);
}
