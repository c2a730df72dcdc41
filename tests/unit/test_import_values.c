/* links: frontend ref */
/* test_import_values.c: what imported operators compute, as types and numbers. */
#include <inttypes.h>

#include "ir/interpret.h"
#include "tests/unit/import_lines.h"
#include "tests/suite.h"

/* "f32[2]: 1 2.5" */
static void print_tensor(const agate_tensor *tensor, agate_text *text)
{
    int64_t count = 1;
    agate_text_add(text, "%s[", agate_dtype_name(tensor->dtype));
    for (int32_t i = 0; i < tensor->rank; i++) {
        agate_text_add(text, "%s%" PRId64, i ? "," : "", tensor->dims[i]);
        count *= tensor->dims[i];
    }
    agate_text_add(text, "]:");
    const agate_data data = {.bytes = tensor->data, .size_bytes = tensor->size_bytes};
    for (int64_t i = 0; i < count; i++)
        agate_text_add(text, " %.4g", agate_data_at(&data, tensor->dtype, i));
}

/* The results of a model without inputs, one after the other. */
static void expect_values(const char *lines, const char *wanted)
{
    enum { MOST = 4 };
    agate_graph *graph;
    agate_status status = import_lines(lines, NULL, &graph);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));

    agate_tensor results[MOST];
    agate_text text = {0};
    const size_t count = (size_t)graph->last->operand_count;
    ck_assert_uint_le(count, MOST);
    status = agate_interpret(graph, NULL, 0, results, count, 1);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    for (size_t i = 0; i < count; i++) {
        agate_text_add(&text, i ? "; " : "");
        print_tensor(&results[i], &text);
    }
    ck_assert_str_eq(agate_text_c(&text), wanted);
    agate_text_deinit(&text);
    agate_interpret_free(results, count);
    agate_graph_release(graph);
}

static void expect_refused(const char *lines, const char *part)
{
    agate_graph *graph;
    agate_status status = import_lines(lines, NULL, &graph);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_UNSUPPORTED);
    ck_assert_msg(strstr(agate_status_message(status), part), "%s", agate_status_message(status));
    agate_status_release(status);
}

/* The same of a model that has `word` where it says %s. */
static void expect_values_with(const char *model, const char *word, const char *wanted)
{
    agate_text lines = {0};
    agate_text_add(&lines, model, word);
    expect_values(agate_text_c(&lines), wanted);
    agate_text_deinit(&lines);
}

static void expect_refused_with(const char *model, const char *word, const char *part)
{
    agate_text lines = {0};
    agate_text_add(&lines, model, word);
    expect_refused(agate_text_c(&lines), part);
    agate_text_deinit(&lines);
}

/* The first result of a model that may have inputs. */
static void expect_type(const char *lines, const char *wanted)
{
    agate_graph *graph;
    agate_status status = import_lines(lines, NULL, &graph);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    agate_text text = {0};
    agate_type_print(&graph->last->operands[0]->type, &text);
    ck_assert_str_eq(agate_text_c(&text), wanted);
    agate_text_deinit(&text);
    agate_graph_release(graph);
}

/* With fewer elements than before, opset 10 takes the one behind. */
START_TEST(resizes)
{
    expect_values("opset 10\nlist x f32 1 2 3 4\nlist s f32 0.6\nnode r Resize x s -> y\noutput y",
                  "f32[2]: 1 3");
    expect_values("opset 10\nlist x f32 1 2 3 4\nlist s f32 1.5\nnode r Resize x s -> y\noutput y",
                  "f32[6]: 1 1 2 3 3 4");
}
END_TEST

/* `node` takes x, which is f16, and gives y. */
static void expect_half(const char *opset, const char *x, const char *node, const char *wanted)
{
    agate_text lines = {0};
    agate_text_add(&lines, "opset %s\n%s\nnode c Cast wide -> x ; to=10\n%s\noutput y", opset, x, node);
    expect_values(agate_text_c(&lines), wanted);
    agate_text_deinit(&lines);
}

/* Squares of f16 that f16 does not hold. */
START_TEST(squares_of_halves)
{
    const char *four = "list wide f32 400 -400 400 -400";
    const char *image = "list flat f32 400 -400 400 -400\nlist s i64 1 2 2 1\nnode s Reshape flat s -> wide";

    expect_half("13", four, "node n ReduceL2 x -> y", "f16[1]: 800");
    expect_half("13", "list wide f32 1e-4 1e-4 1e-4 1e-4", "node n ReduceL2 x -> y", "f16[1]: 0.0002");
    expect_half("13", "list wide f32 60000 60000", "node n ReduceLogSum x -> y", "f16[1]: 11.7");
    expect_half("13", four, "node n LpNormalization x -> y", "f16[4]: 0.5 -0.5 0.5 -0.5");
    expect_half("13", image, "node n GlobalLpPool x -> y", "f16[1,2,1,1]: 565.5 565.5");
    expect_half("18", image, "node n LpPool x -> y ; kernel_shape=[2,1]", "f16[1,2,1,1]: 565.5 565.5");
    expect_half("13", image, "node n LRN x -> y ; size=1 alpha=1.0 beta=0.5", "f16[1,2,2,1]: 1 -1 1 -1");
    expect_half("13", image, "node n MeanVarianceNormalization x -> y ; axes=[2]", "f16[1,2,2,1]: 1 -1 1 -1");
    expect_half("13", image,
                "list s32 f32 1 2\nnode g Cast s32 -> g ; to=10\nnode n InstanceNormalization x g g -> y",
                "f16[1,2,2,1]: 2 0 4 0");
    expect_half("18", image,
                "list s32 f32 3\nnode g Cast s32 -> g ; to=10\nnode n GroupNormalization x g g -> y ; "
                "num_groups=1",
                "f16[1,2,2,1]: 6 0 6 0");
    expect_half("21", image,
                "list s32 f32 1 2\nnode g Cast s32 -> g ; to=10\nnode n GroupNormalization x g g -> y ; "
                "num_groups=1 stash_type=1",
                "f16[1,2,2,1]: 2 0 4 0");
}
END_TEST

/* Statistics are of type stash_type, whatever the data is. */
START_TEST(layer_norm_statistics)
{
    const char *model =
        "opset 17\nlist wide f32 1 3\nlist wide_scale f32 1 1\nnode c Cast wide -> x ; to=11\n"
        "node d Cast wide_scale -> s ; to=11\n"
        "node n LayerNormalization x s -> y mean scale ; epsilon=0.0\n"
        "output y\noutput mean\noutput scale";
    expect_values(model, "f64[2]: -1 1; f32[1]: 2; f32[1]: 1");
}
END_TEST

/* A variance that the data's type does not hold, and one that it holds as 0. */
START_TEST(statistics_of_other_types)
{
    expect_half("15", "list flat f32 300 0.5\nlist s i64 1 2 1\nnode s Reshape flat s -> wide",
                "list g f32 1 1\nlist b f32 0 0\nlist v f32 90000 1e-8\n"
                "node n BatchNormalization x g b b v -> y ; epsilon=0.0",
                "f16[1,2,1]: 1 5000");
    expect_half("15", "list flat f32 1 2\nlist s i64 1 2 1\nnode s Reshape flat s -> wide",
                "list g0 f32 2 3\nnode g Cast g0 -> g ; to=10\nlist b f32 0 1\nlist v f32 1 1\n"
                "node n BatchNormalization x g g b v -> y ; epsilon=0.0",
                "f16[1,2,1]: 4 6");
}
END_TEST

/* A token for each image of the batch, as `repeat` exports. */
START_TEST(repetitions)
{
    expect_type("opset 13\ninput x f32 N 5\nlist flat f32 1 2 3\nlist s i64 1 1 3\n"
                "node r Reshape flat s -> token\nnode h Shape x -> shape\nscalar zero i64 0\n"
                "node g Gather shape zero -> n\nlist axis i64 0\nnode u Unsqueeze n axis -> n1\n"
                "list ones i64 1 1\nnode c Concat n1 ones -> repeats ; axis=0\n"
                "node t Tile token repeats -> y\noutput y",
                "f32[N,1,3]");
    expect_values("opset 13\nlist flat f32 1 2 3 4\nlist s i64 2 2\nnode r Reshape flat s -> x\n"
                  "list repeats i64 2 2\nnode t Tile x repeats -> y\noutput y",
                  "f32[4,4]: 1 2 1 2 3 4 3 4 1 2 1 2 3 4 3 4");
}
END_TEST

/* Integers beyond what f32 holds. */
START_TEST(powers_of_integers)
{
    expect_values("opset 13\nlist x i32 16777217 3 9\nlist e f32 1 2 0.5\nlist low i32 16777216 0 0\n"
                  "node p Pow x e -> power\nnode s Sub power low -> y\noutput y",
                  "i32[3]: 1 9 3");
}
END_TEST

START_TEST(products_of_integers)
{
    const char *model = "opset 11\nlist flat i32 1 2 3 4\nlist s i64 2 2\nnode r Reshape flat s -> x\n"
                        "node g Gemm x x x -> y ; alpha=%s\noutput y";
    expect_values_with(model, "2.0", "i32[2,2]: 15 22 33 48");
    expect_refused_with(model, "0.5", "broken");
}
END_TEST

START_TEST(shrinks_integers)
{
    expect_values("opset 9\nlist x i32 -4 -2 -1 0 1 2 4\nnode s Shrink x -> y ; bias=1.5 lambd=1.5\noutput y",
                  "i32[7]: -2 0 0 0 0 0 2");
    expect_values("opset 9\nlist x u8 0 1 2 255\nnode s Shrink x -> y ; lambd=-1.5\noutput y",
                  "u8[4]: 0 1 2 255");
    expect_values("opset 9\nlist x i32 -4 -1 1 4\nnode s Shrink x -> y ; bias=1.0 lambd=1.0\noutput y",
                  "i32[4]: -3 0 0 3");
    expect_values("opset 13\nnode c Constant -> x ; value_int=9007199254740993\nnode s Shrink x -> z\n"
                  "node d Sub x z -> y\noutput y",
                  "i64[]: 0");
}
END_TEST

/* Numbers on the way to the graph are doubles: integers that these do not hold must not become others. */
START_TEST(long_integers)
{
    const char *pad = "opset 13\nlist x i64 5\nlist p i64 1 0\nnode c Constant -> c ; value_int=%s\n"
                      "node n Pad x p c -> y\noutput y";
    const char *range = "opset 13\nscalar one i64 1\nnode a Constant -> a ; value_int=%s\n"
                        "node b Add a one -> b\nnode n Range a b one -> y\noutput y";
    expect_values_with(pad, "-9223372036854775808", "i64[2]: -9.223e+18 5");
    expect_refused_with(pad, "9223372036854775807", "constant_value");
    expect_values_with(range, "9007199254740991", "i64[1]: 9.007e+15");
    expect_refused_with(range, "9007199254740993", "start");
}
END_TEST

/* The last window reaches past the input, and what would start behind it is left out. */
START_TEST(pools_rounded_up)
{
    const char *model = "opset 18\nlist flat f32 1 2 3 4 5\nlist s i64 1 1 5\nnode r Reshape flat s -> x\n"
                        "node n LpPool x -> y ; kernel_shape=[2] strides=[%s] pads=[0,1] p=1 ceil_mode=1\n"
                        "output y";
    static const char *const strides[] = {"2", "3", "5"};
    static const char *const wanted[] = {"f32[1,1,3]: 3 7 5", "f32[1,1,2]: 3 9", "f32[1,1,1]: 3"};
    for (size_t i = 0; i < AGATE_COUNT(wanted); i++) {
        expect_values_with(model, strides[i], wanted[i]);
    }
}
END_TEST

/* Inputs of few dimensions, or without elements. */
START_TEST(small_inputs)
{
    expect_values("opset 9\nlist x f32 1 2 3\nlist s f32 2\nlist b f32 1\nlist v f32 4\n"
                  "node n BatchNormalization x s b b v -> y ; epsilon=0.0\noutput y",
                  "f32[3]: 1 2 3");
    expect_values("opset 13\nscalar x f32 3\nlist low f32 4\nnode c Clip x low -> y\noutput y", "f32[]: 4");
    expect_values("opset 13\nweight x f32 2 0 3\nnode n Hardmax x -> y ; axis=1\noutput y", "f32[2,0,3]:");
    expect_values("opset 11\nweight x f32 2 0 3\nnode n Hardmax x -> y ; axis=0\noutput y", "f32[2,0,3]:");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import values");
    TCase *all = tcase_create("operators");
    tcase_add_test(all, resizes);
    tcase_add_test(all, squares_of_halves);
    tcase_add_test(all, layer_norm_statistics);
    tcase_add_test(all, powers_of_integers);
    tcase_add_test(all, products_of_integers);
    tcase_add_test(all, shrinks_integers);
    tcase_add_test(all, long_integers);
    tcase_add_test(all, pools_rounded_up);
    tcase_add_test(all, statistics_of_other_types);
    tcase_add_test(all, repetitions);
    tcase_add_test(all, small_inputs);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
