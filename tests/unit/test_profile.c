/* links: cli */
/* test_profile.c: names cut to the width of a table, reasons for slow kernels, remarks and times summed
 * up. */
#include <stdlib.h>

#include "tools/peaks.h"
#include "tools/profile.h"
#include "tools/remarks.h"
#include "tools/times.h"
#include "tests/suite.h"

START_TEST(kernels_lose_what_says_nothing)
{
    static const char *const pairs[][2] = {
        {"direct_conv<v=16, oc=2, ow=14, ic=1, oh=28, ocs=1>", "direct_conv oc=2 ow=14 oh=28"},
        {"pool<v=16, oh=1>", "pool"},
        {"reduce", "reduce"},
        {"gemm<v=8, rows=11>", "gemm rows=11"},
        {"", ""},
    };

    for (size_t i = 0; i < AGATE_COUNT(pairs); i++) {
        agate_text text = {0};
        agate_profile_kernel(pairs[i][0], &text);
        ck_assert_str_eq(agate_text_c(&text), pairs[i][1]);
        agate_text_deinit(&text);
    }
}
END_TEST

START_TEST(nodes_fit_a_column)
{
    static const char *const pairs[][2] = {
        {"/conv1/Conv+/bn1/BatchNormalization+/relu/Relu", "conv1/Conv+BatchNormalization+Relu"},
        {"/layer1/layer1.0/conv1/Conv+/layer1/layer1.0/relu/Relu", "layer1.0/conv1/Conv+Relu"},
        {"/layer2/layer2.0/downsample/downsample.0/Conv", "layer2.0/downsample.0/Conv"},
        {"/a/ab/Conv", "a/ab/Conv"},
        {"plain", "plain"},
        {"", ""},
        {"/features/features.0/features.0.0/Conv+/features/features.0/Add", "features.0.0/Conv+Add"},
        {"/quite/a/long/way/to/go/before/the/last/part/of/the/name/Conv",
         "quite/a/long/way/to/go/before/the/last/pa..."},
    };

    for (size_t i = 0; i < AGATE_COUNT(pairs); i++) {
        agate_text text = {0};
        agate_profile_nodes(pairs[i][0], 44, &text);
        ck_assert_str_eq(agate_text_c(&text), pairs[i][1]);
        agate_text_deinit(&text);
    }
}
END_TEST

START_TEST(reasons_come_from_what_a_step_is)
{
    agate_module_arg args[] = {
        {.type = {.dtype = AGATE_F32, .rank = 4, .dims = {{1, 0}, {0, 3}, {0, 8}, {0, 8}}}},
        {.type = {.dtype = AGATE_F32, .rank = 4, .dims = {{1, 0}, {0, 64}, {0, 8}, {0, 8}}}},
        {.type = {.dtype = AGATE_F32, .rank = 4, .dims = {{1, 0}, {0, 29}, {0, 8}, {0, 8}}}},
        {.type = {.dtype = AGATE_F32, .rank = 4, .dims = {{1, 0}, {0, 21}, {0, 8}, {0, 8}}}}};
    const agate_module module = {.args = args};
    agate_module_step step = {
        .label = "direct_conv<v=16, oc=2>", .operand_count = 1, .result_count = 1, .task_count = {1, 7}};

    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 1), "input has too few channels"));
    step.label = "bands<v=16, oc=2>";
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 1), "input has too few channels"));
    step.label = "direct_conv<v=16, oc=2>";
    step.first_arg = 1;
    ck_assert_ptr_null(agate_profile_reason(&module, &step, 1, 2, 1));
    step.first_arg = 2;
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 1), "leave lanes of its vectors empty"));
    step.label = "direct_conv<v=4, oc=2>";
    ck_assert_ptr_null(agate_profile_reason(&module, &step, 1, 2, 1));
    step.first_arg = 1;
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 9, 1), "fewer tasks"));
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 0.001), "short"));
    step.label = "depthwise<v=16>";
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 1), "one filter"));
    step.label = "library";
    ck_assert(strstr(agate_profile_reason(&module, &step, 1, 2, 1), "reference kernel"));
}
END_TEST

START_TEST(peaks_are_those_of_what_multiplies)
{
    const agate_peaks peaks = {.gflops = 100, .pair_gflops = 200, .tile_gflops = 1200};

    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "direct_conv<v=16, oc=2, ow=14, ic=1>"), 100);
    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "direct_conv<v=16, oc=2, dp=1, oh=28>"), 200);
    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "amx_conv<v=16, ow=32, dp=1, products=1>"), 1200);
    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "amx_conv<v=16, ow=32, dp=1, products=3, oh=7>"), 400);
    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "amx_conv<v=16, ow=32, dp=1, products=6, oh=7>"), 200);
    ck_assert_double_eq(agate_peaks_of_kernel(&peaks, "library"), 100);
}
END_TEST

static void check_printed(void (*print)(void *user, FILE *stream), void *user, const char *want)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    print(user, stream);
    fclose(stream);
    ck_assert_str_eq(text, want);
    free(text);
}

static void print_remarks(void *user, FILE *stream)
{
    agate_remarks_print(user, stream);
}

START_TEST(remarks_are_grouped_and_counted)
{
    agate_remarks remarks = {0};
    const agate_node one = {.origin = "/a/Conv+/a/Relu"}, other = {.origin = "/b/Conv"};

    agate_remarks_add(&remarks, "schedule", &one, "pool refused: no window");
    agate_remarks_add(&remarks, "schedule", &one, "gemm refused: no matmul");
    agate_remarks_add(&remarks, "schedule", &other, "gemm refused: no matmul");
    agate_remarks_add(&remarks, "fold-affine", &other, "not folded: memory is short");
    agate_remarks_add(&remarks, "fold-affine", &other, "rewrite: fold into conv");
    check_printed(print_remarks, &remarks,
                  "remark: fold-affine: 1x not folded: memory is short (/b/Conv)\n"
                  "remark: schedule: 2x gemm refused: no matmul (/a/Conv and 1 more)\n"
                  "remark: schedule: 1x pool refused: no window (/a/Conv)\n");
    agate_remarks_deinit(&remarks);
}
END_TEST

static void print_times(void *user, FILE *stream)
{
    agate_times_print(user, 10000000, stream);
}

START_TEST(times_add_up_to_the_whole)
{
    agate_times times = {0};

    agate_times_add(&times, "import", 1000000);
    agate_times_add(&times, "cse", 2000000);
    agate_times_add(&times, "  a part", 9000000);
    agate_times_add(&times, "cse", 3000000);
    check_printed(print_times, &times,
                  "     1.000 ms  10.0 %  import\n"
                  "     5.000 ms  50.0 %  cse (2 times)\n"
                  "     9.000 ms            a part\n"
                  "     4.000 ms  40.0 %  other\n"
                  "    10.000 ms 100.0 %  in all\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *tests = tcase_create("profile");
    tcase_add_test(tests, kernels_lose_what_says_nothing);
    tcase_add_test(tests, nodes_fit_a_column);
    tcase_add_test(tests, reasons_come_from_what_a_step_is);
    tcase_add_test(tests, peaks_are_those_of_what_multiplies);
    tcase_add_test(tests, remarks_are_grouped_and_counted);
    tcase_add_test(tests, times_add_up_to_the_whole);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
