/* links: cli driver passes backend frontend runtime ir ref base */
/* test_slices.c: batches that run a few rows at a time: which graphs may, and the same bits whether they do
 * or not. */
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

/* ---- which graphs -------------------------------------------------------------------------------------- */

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

/* ---- the same bits ------------------------------------------------------------------------------------- */

/* More than a megabyte of memory a row; results that are an input, that have no batch, that have more rows
 * than the batch. */
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
/* The mean of a batch is taken from each of its rows: two steps need the whole batch, and one of them reads
 * what the first wrote. */
static const char mixed[] = "graph @t(%x: f32[N,32,64,48], %s: f32[64,48]) -> f32[N,32,64,48] {\n"
                            "  %0 = mul %x, %s : f32[N,32,64,48]\n"
                            "  %1 = max_pool %0 kernel=[3, 3] pads=[1, 1, 1, 1] : f32[N,32,64,48]\n"
                            "  %2 = reduce_mean %1 axes=[0] : f32[1,32,64,48]\n"
                            "  %3 = sub %1, %2 : f32[N,32,64,48]\n"
                            "  return %3\n}\n";
/* The first step needs all rows. */
static const char whole[] = "graph @t(%x: f32[N,32,64,48], %s: f32[64,48]) -> f32[N,32,64,48] {\n"
                            "  %0 = reduce_mean %x axes=[0] : f32[1,32,64,48]\n"
                            "  %1 = sub %x, %0 : f32[N,32,64,48]\n"
                            "  %2 = max_pool %1 kernel=[3, 3] pads=[1, 1, 1, 1] : f32[N,32,64,48]\n"
                            "  %3 = mul %2, %s : f32[N,32,64,48]\n"
                            "  return %3\n}\n";
/* What the reduction leaves has rows of 12 bytes, where kernels take memory to be aligned. */
static const char odd[] = "graph @t(%x: f32[N,32,64,48], %s: f32[64,48]) -> (f32[1,3,1], f32[64,48]) {\n"
                          "  %0 = reshape %x shape=[N, 3, 32768] : f32[N,3,32768]\n"
                          "  %1 = reduce_mean %0 axes=[2] : f32[N,3,1]\n"
                          "  %2 = reduce_sum %1 axes=[0] : f32[1,3,1]\n"
                          "  %3 = sqrt %s : f32[64,48]\n"
                          "  return %2, %3\n}\n";

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

/* Runs it as one batch and as the session likes it: the same bits, from less memory if the batch is cut.
 * Gives how many rows each of its slices has; 0: none. `out_reports`: how many steps a profile tells of. */
static int64_t check_batch(const char *text, int64_t batch, int32_t threads, size_t *out_reports)
{
    agate_runner runner = runner_of(text, threads);
    agate_session *session;
    agate_session_options alone = {.threads = threads};
    agate_tensor inputs[2], once[4] = {{0}}, again[4] = {{0}};

    must(agate_session_create(runner.model, &alone, &session));
    const agate_cut cut = agate_session_cut(session, batch);
    make_inputs(batch, text == halves ? 16 : 32, inputs);
    must(agate_runner_allocate_outputs(&runner, batch, once));
    must(agate_runner_allocate_outputs(&runner, batch, again));
    runner.session->keeps_batch = true;
    must(agate_session_run(runner.session, inputs, 2, once, runner.output_count));
    for (int profiled = 0; profiled < 2; profiled++) {
        *out_reports = 0;
        agate_session_set_profile(session, profiled ? count_step : NULL, out_reports);
        must(agate_session_run(session, inputs, 2, again, runner.output_count));
        for (size_t i = 0; i < runner.output_count; i++) {
            ck_assert_int_eq(once[i].rank, again[i].rank);
            ck_assert_int_eq(once[i].dims[0], again[i].dims[0]);
            if (once[i].size_bytes) {
                ck_assert_mem_eq(once[i].data, again[i].data, once[i].size_bytes);
                memset(again[i].data, 0, again[i].size_bytes);
            }
        }
    }
    if (threads == 1 && cut.steps + 1 >= runner.session->module->step_count)
        ck_assert_uint_lt(agate_session_slab_size(session), agate_session_slab_size(runner.session));
    agate_tensor_free(once, runner.output_count);
    agate_tensor_free(again, runner.output_count);
    agate_tensor_free(inputs, 2);
    agate_session_release(session);
    agate_runner_deinit(&runner);
    return cut.rows;
}

typedef struct trial {
    const char *text;
    int64_t batch;
    int32_t threads;
    int64_t rows;   /* of a slice; 0: it runs whole */
    size_t reports; /* of steps */
} trial;

static const trial
    trials[] =
        {
            {sliced, 5, 1, 1, 5 * 6 + 1}, /* the step that writes no rows runs once */
            {halves, 5, 1, 2, 3 * 4},     /* of 2, 2 and 1 */
            {halves, 6, 1, 2, 3 * 4},     {sliced, 1, 1, 0, 7}, {sliced, 0, 1, 0, 7},
            {mixed, 5, 1, 1, 5 * 2 + 2},  {whole, 5, 1, 0, 3},  {odd, 5, 1, 0, 3},
            {sliced, 7, 2, 0, 7}, /* too few for slices of each thread's own */
            {sliced, 9, 2, 1, 7}, /* whose profile is of the whole batch */
            {halves, 17, 2, 2, 4},        {mixed, 9, 2, 1, 4},
};

START_TEST(slices_have_the_bits_of_the_batch)
{
    const trial *t = &trials[_i];
    size_t reports;

    if (t->threads > agate_cpu_count())
        return;
    ck_assert_int_eq(check_batch(t->text, t->batch, t->threads, &reports), t->rows);
    ck_assert_uint_eq(reports, t->reports);
}
END_TEST

/* A batch that is cut takes less than some smaller ones that are not. */
START_TEST(smaller_batches_find_their_memory)
{
    for (int32_t threads = 1; threads <= agate_min(2, agate_cpu_count()); threads++) {
        agate_runner runner = runner_of(sliced, threads);
        size_t before = 0;

        for (int64_t batch = 9; batch > 0; batch--) {
            agate_tensor inputs[2], outputs[4] = {{0}};

            make_inputs(batch, 32, inputs);
            must(agate_runner_allocate_outputs(&runner, batch, outputs));
            must(agate_session_run(runner.session, inputs, 2, outputs, runner.output_count));
            if (before)
                ck_assert_uint_eq(agate_session_slab_size(runner.session), before);
            before = agate_session_slab_size(runner.session);
            agate_tensor_free(outputs, runner.output_count);
            agate_tensor_free(inputs, 2);
        }
        agate_runner_deinit(&runner);
    }
}
END_TEST

/* ---- how batches are cut ------------------------------------------------------------------------------- */

#define KIB ((int64_t)1 << 10)

/* Steps of a chain: each reads what the one before it wrote, and weights. */
enum { CHAIN = 4 };

typedef struct chain {
    agate_module_step steps[CHAIN];
    agate_module_arg args[3 * CHAIN];
    agate_module module;
} chain;

static chain *chain_of(const int64_t row_bytes[CHAIN], const int64_t weight_bytes[CHAIN], uint32_t by_rows)
{
    static chain c;
    int64_t most = 0;

    c = (chain){0};
    for (uint32_t i = 0; i < CHAIN; i++) {
        const agate_module_arg before = {.storage = i ? AGATE_STORAGE_SLAB : AGATE_STORAGE_INPUT,
                                         .reach_bytes = {row_bytes[i ? i - 1 : 0], 0},
                                         .last_step = i};
        c.steps[i] = (agate_module_step){.first_arg = 3 * i, .operand_count = 2, .result_count = 1};
        c.args[3 * i] = before;
        c.args[3 * i + 1] =
            (agate_module_arg){.storage = AGATE_STORAGE_CONSTANT, .reach_bytes = {0, weight_bytes[i]}};
        c.args[3 * i + 2] = (agate_module_arg){
            .storage = AGATE_STORAGE_SLAB, .reach_bytes = {row_bytes[i], 0}, .last_step = i + 1};
        most = agate_max(most, row_bytes[i]);
    }
    c.module = (agate_module){.steps = c.steps,
                              .args = c.args,
                              .step_count = CHAIN,
                              .arg_count = 3 * CHAIN,
                              .slab_size_bytes = {2 * most, 0},
                              .by_rows_steps = by_rows};
    return &c;
}

START_TEST(steps_with_more_weights_than_activations_run_whole)
{
    static const int64_t rows[CHAIN] = {512 * KIB, 512 * KIB, 64 * KIB, 64 * KIB};
    static const int64_t light[CHAIN] = {KIB, KIB, KIB, KIB}, heavy[CHAIN] = {KIB, KIB, 8192 * KIB, KIB};
    static const int64_t early[CHAIN] = {8192 * KIB, KIB, KIB, KIB};

    ck_assert_uint_eq(agate_slicing_of(&chain_of(rows, light, CHAIN)->module, 1).steps, CHAIN);
    ck_assert_uint_eq(agate_slicing_of(&chain_of(rows, heavy, CHAIN)->module, 1).steps, 2);
    ck_assert_uint_eq(agate_slicing_of(&chain_of(rows, early, CHAIN)->module, 1).steps, 0);
    ck_assert_uint_eq(agate_slicing_of(&chain_of(rows, light, 3)->module, 1).steps, 3);
    ck_assert_uint_eq(agate_slicing_of(&chain_of(rows, light, 0)->module, 1).steps, 0);
}
END_TEST

/* Where slices end, rows of what crosses must be aligned. */
START_TEST(slices_end_where_rows_are_aligned)
{
    static const int64_t odd_rows[CHAIN] = {512 * KIB, 512 * KIB, 64 * KIB + 4, 64 * KIB};
    static const int64_t light[CHAIN] = {KIB, KIB, KIB, KIB};

    ck_assert_uint_eq(agate_slicing_of(&chain_of(odd_rows, light, CHAIN)->module, 1).steps, CHAIN);
    ck_assert_uint_eq(agate_slicing_of(&chain_of(odd_rows, light, 3)->module, 1).steps, 2);
}
END_TEST

START_TEST(every_row_is_in_one_slice_or_in_the_rest)
{
    for (int32_t threads = 1; threads <= 5; threads++)
        for (int64_t held = 1; held <= 9; held += 4)
            for (int64_t batch = 0; batch < 200; batch++) {
                const agate_slicing slicing = {3, held, threads > 1 ? 4 * threads : held + 1, threads};
                const agate_cut cut = agate_slicing_cut(&slicing, batch);

                ck_assert_int_eq(cut.steps, batch < slicing.least_rows ? 0 : 3);
                if (cut.steps == 0)
                    continue;
                ck_assert(cut.rows >= 1 && cut.rows <= held);
                ck_assert(cut.count >= 1 && cut.count % threads == 0);
                const int64_t rest = batch - cut.rows * cut.count;
                ck_assert(rest >= 0 && rest < cut.rows * threads);
            }
}
END_TEST

/* ---- ending early -------------------------------------------------------------------------------------- */

START_TEST(a_deadline_ends_slices_of_all_threads)
{
    for (int32_t threads = 1; threads <= 2; threads++) {
        agate_runner runner = runner_of(sliced, threads);
        agate_tensor inputs[2], outputs[4] = {{0}};

        make_inputs(9, 32, inputs);
        must(agate_runner_allocate_outputs(&runner, 9, outputs));
        ck_assert(agate_session_cut(runner.session, 9).steps > 0);
        agate_session_set_deadline(runner.session, 1);
        agate_status status = agate_session_run(runner.session, inputs, 2, outputs, runner.output_count);
        ck_assert_int_eq(agate_status_code(status), AGATE_CODE_CANCELLED);
        ck_assert_str_eq(agate_status_message(status), "the deadline of the run passed after 0 of 7 steps");
        agate_status_release(status);
        agate_session_set_deadline(runner.session, 0);
        must(agate_session_run(runner.session, inputs, 2, outputs, runner.output_count));
        agate_tensor_free(outputs, runner.output_count);
        agate_tensor_free(inputs, 2);
        agate_runner_deinit(&runner);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slices");
    TCase *graphs = tcase_create("graphs"), *bits = tcase_create("bits");

    tcase_add_loop_test(graphs, rows_are_told_from_batches, 0, AGATE_COUNT(rules));
    suite_add_tcase(suite, graphs);
    tcase_add_test(graphs, steps_with_more_weights_than_activations_run_whole);
    tcase_add_test(graphs, slices_end_where_rows_are_aligned);
    tcase_add_test(graphs, every_row_is_in_one_slice_or_in_the_rest);
    tcase_add_loop_test(bits, slices_have_the_bits_of_the_batch, 0, AGATE_COUNT(trials));
    tcase_add_test(bits, smaller_batches_find_their_memory);
    tcase_add_test(bits, a_deadline_ends_slices_of_all_threads);
    suite_add_tcase(suite, bits);
    return suite_run(suite);
}
