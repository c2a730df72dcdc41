/* links: cli driver passes backend frontend runtime ir ref base */
/* test_bisect.c: a wrong rewrite is put among right ones, and found; and how far tensors are apart. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bisect.h"
#include "tests/suite.h"

/* Two additions of zero and a double negation, which go; the fourth relu of five is what the wrong pass
 * takes. */
static const char model[] = "graph @chain(%x: f32[N,4]) -> f32[N,4] {\n"
                            "  %z = const [0] : f32[]\n"
                            "  %0 = add %x, %z : f32[N,4]\n"
                            "  %1 = relu %0 : f32[N,4]\n"
                            "  %2 = sigmoid %1 : f32[N,4]\n"
                            "  %3 = relu %2 : f32[N,4]\n"
                            "  %4 = tanh %3 : f32[N,4]\n"
                            "  %5 = relu %4 : f32[N,4]\n"
                            "  %6 = sub %5, %x : f32[N,4]\n"
                            "  %7 = relu %6 : f32[N,4]\n"
                            "  %8 = exp %7 : f32[N,4]\n"
                            "  %9 = relu %8 : f32[N,4]\n"
                            "  return %9\n"
                            "}\n";

/* relu(x) = abs(x): right where x is never negative, so it breaks the result at %7 alone. */
static bool relu_to_abs(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        if (node->op != AGATE_OP_relu || !agate_pass_spend(pass, node, "relu to abs"))
            continue;
        agate_value_replace(agate_result(node),
                            agate_build(graph, node, AGATE_OP_abs, NULL, node->operands, 1));
        agate_node_remove(node);
        changed = true;
    }
    return changed;
}

static const agate_pass_info wrong = {"relu-to-abs", "wrong for negative numbers", AGATE_STAGE_import,
                                      relu_to_abs};

static void find(const agate_pass_info *extra, bool compiled, agate_bisect_result *out_result)
{
    char path[] = P_tmpdir "/test_bisect_XXXXXX.agt";
    float numbers[] = {1, 2, 0.5f, 3, 4, 1.5f, 0.25f, 8};
    agate_tensor input = {
        .dtype = AGATE_F32, .rank = 2, .dims = {2, 4}, .data = numbers, .size_bytes = sizeof numbers};
    agate_bisect_options options = {.runner = {.reference = !compiled}, .tolerance = {.rtol = 1e-4}};
    int file = mkstemps(path, 4);
    agate_status status;

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, model, sizeof model - 1), sizeof model - 1);
    close(file);
    options.runner.driver.passes.extra = extra;
    status = agate_bisect(path, &input, &options, out_result);
    unlink(path);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

START_TEST(nothing_wrong)
{
    agate_bisect_result result;

    find(NULL, _i, &result);
    ck_assert_int_eq(result.verdict, AGATE_BISECT_FINE);
    ck_assert_int_ge(result.rewrite_count, 1);
    agate_bisect_deinit(&result);
}
END_TEST

START_TEST(wrong_rewrite)
{
    agate_bisect_result result;

    find(&wrong, _i, &result);
    ck_assert_int_eq(result.verdict, AGATE_BISECT_REWRITE);
    ck_assert_str_eq(result.pass, "relu-to-abs");
    ck_assert_str_eq(agate_text_c(&result.rewrite), "relu to abs");
    ck_assert_ptr_nonnull(strstr(agate_text_c(&result.node), " = relu "));
    ck_assert_int_lt(result.number, result.rewrite_count);
    ck_assert_int_gt(result.difference.wrong_count, 0);
    /* One relu less and one abs more, and it is the one behind the subtraction. */
    const char *sub = strstr(agate_text_c(&result.after), " = sub ");
    ck_assert_ptr_nonnull(sub);
    ck_assert_int_eq(strncmp(strchr(strchr(sub, '\n'), '=') + 2, "abs ", 4), 0);
    sub = strstr(agate_text_c(&result.before), " = sub ");
    ck_assert_int_eq(strncmp(strchr(strchr(sub, '\n'), '=') + 2, "relu ", 5), 0);
    agate_bisect_deinit(&result);
}
END_TEST

/* ---- differences -------------------------------------------------------------------------------------- */

START_TEST(differences)
{
    float want[] = {1, 1000, 0, NAN, INFINITY}, got[] = {1.0000001f, 1000, 0, NAN, INFINITY};
    agate_tensor a = {.dtype = AGATE_F32, .rank = 1, .dims = {5}, .data = got, .size_bytes = sizeof got};
    agate_tensor b = a;
    agate_difference d;

    b.data = want;
    d = agate_tensor_difference(&a, &b, &(agate_compare_options){.rtol = 1e-6});
    ck_assert_int_eq(d.wrong_count, 0);
    ck_assert_double_eq(d.max_ulp, 1);
    ck_assert_double_eq_tol(d.max_abs, 0x1p-23, 1e-12);
    d = agate_tensor_difference(&a, &b, &(agate_compare_options){0});
    ck_assert_int_eq(d.wrong_count, 1);

    /* Where the reference is 0, only an absolute tolerance helps; here it is a share of 1000. */
    got[2] = 0.005f;
    d = agate_tensor_difference(&a, &b, &(agate_compare_options){.rtol = 1e-6});
    ck_assert_int_eq(d.wrong_count, 1);
    d = agate_tensor_difference(&a, &b, &(agate_compare_options){.rtol = 1e-6, .atol = -1e-5});
    ck_assert_int_eq(d.wrong_count, 0);

    got[3] = 1;
    d = agate_tensor_difference(&a, &b, &(agate_compare_options){.rtol = 1e-6, .atol = -1e-5});
    ck_assert_int_eq(d.wrong_count, 1);
    ck_assert(isinf(d.max_abs));
}
END_TEST

START_TEST(integers)
{
    int64_t want[] = {1, 1000000}, got[] = {1, 1000001};
    agate_tensor a = {.dtype = AGATE_I64, .rank = 1, .dims = {2}, .data = got, .size_bytes = sizeof got};
    agate_tensor b = a;

    b.data = want;
    ck_assert_int_eq(
        agate_tensor_difference(&a, &b, &(agate_compare_options){.rtol = 1, .atol = 1}).wrong_count, 1);
    /* ... also where the kernel that makes them rounds floats */
    ck_assert_int_eq(agate_tensor_difference(&a, &b, &(agate_compare_options){.grid = AGATE_F16}).wrong_count,
                     1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bisect");
    TCase *cases = tcase_create("bisect");

    tcase_add_loop_test(cases, nothing_wrong, 0, 2);
    tcase_add_loop_test(cases, wrong_rewrite, 0, 2);
    tcase_add_test(cases, differences);
    tcase_add_test(cases, integers);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
