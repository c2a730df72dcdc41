/* links: backend ir ref base */
/* test_emit_anchors.c: pools, reductions and softmax by their strategies, and every anchor by the generic
 * nest. */
#include "tests/unit/kernel_test.h"
#include "tests/suite.h"

typedef struct anchor {
    const char *op, *result;
    const char *operands[3];
} anchor;

static void check_anchors(const char *const *schedules, size_t schedule_count, const anchor *anchors,
                          size_t count, kernel_case c)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < schedule_count; k++) {
            int32_t operands = 0;
            while (operands < 3 && anchors[i].operands[operands])
                operands++;
            check_one(schedules[k], anchors[i].op, anchors[i].operands, operands, anchors[i].result, c);
        }
}

#define CHECK(schedules, anchors, ...)                                                                       \
    check_anchors(schedules, AGATE_COUNT(schedules), anchors, AGATE_COUNT(anchors),                          \
                  (kernel_case){__VA_ARGS__})

START_TEST(pools)
{
    static const char *const schedules[] = {"pool<v=@V, oh=1>", "pool<v=@V, oh=3>", "nest<v=1>"};
    static const anchor anchors[] = {
        {"max_pool $0 kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[2, 2] strides=[2, 2]", "f32[N,32,6,7]{nchw@Bc}", {"f32[N,32,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[3, 2] dilations=[2, 3] pads=[2, 1, 1, 0]",
         "f32[N,16,11,13]{nchw@Bc}",
         {"f32[N,16,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[3, 3] strides=[2, 2] ceil=true",
         "f32[N,16,6,7]{nchw@Bc}",
         {"f32[N,16,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[3, 3]", "f32[N,1,5,6]{nchw@Bc}", {"f32[N,1,7,8]{nchw@Bc}"}},
        {"max_pool $0 kernel=[13] pads=[6, 6]", "f32[N,16,9]{ncw@Bc}", {"f32[N,16,9]{ncw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1] count_pads=true",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] strides=[2, 2] pads=[0, 0, 1, 1] ceil=true count_pads=true",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[7, 7]", "f32[N,20,1,1]{nchw@Bc}", {"f32[N,20,7,7]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[2, 2, 2]", "f32[N,8,2,3,4]{ncdhw@Bc}", {"f32[N,8,3,4,5]{ncdhw@Bc}"}},
    };
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6);
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6, .block = 8, .special = 0.01);
}
END_TEST

/* Tiles of a row's pixels: windows apart, and one element apart, where they share columns; borders, and
 * windows of none. */
START_TEST(pools_in_tiles)
{
    static const char *const schedules[] = {"pool<v=@V, ow=5, oh=2, ocs=1>", "pool<v=@V, ow=14>"};
    static const anchor anchors[] = {
        {"max_pool $0 kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
         "f32[N,40,6,8]{nchw@Bc}",
         {"f32[N,40,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[3, 3] pads=[1, 1, 1, 1]",
         "f32[N,40,12,15]{nchw@Bc}",
         {"f32[N,40,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[3, 2] dilations=[2, 3] pads=[2, 1, 1, 0]",
         "f32[N,16,11,13]{nchw@Bc}",
         {"f32[N,16,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[1, 16] pads=[0, 8, 0, 9]",
         "f32[N,3,5,18]{nchw@Bc}",
         {"f32[N,3,5,16]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] pads=[1, 1, 1, 1]",
         "f32[N,40,12,15]{nchw@Bc}",
         {"f32[N,40,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] pads=[1, 1, 1, 1] count_pads=true",
         "f32[N,40,12,15]{nchw@Bc}",
         {"f32[N,40,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[3, 3] strides=[2, 2] pads=[0, 0, 1, 1] ceil=true count_pads=true",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"avg_pool $0 kernel=[2, 2] strides=[2, 2] ceil=true",
         "f32[N,20,6,8]{nchw@Bc}",
         {"f32[N,20,12,15]{nchw@Bc}"}},
        {"max_pool $0 kernel=[4] strides=[2] pads=[1, 3]", "f32[N,20,17]{ncw@Bc}", {"f32[N,20,33]{ncw@Bc}"}},
        {"avg_pool $0 kernel=[5] pads=[2, 2]", "f32[N,20,40]{ncw@Bc}", {"f32[N,20,40]{ncw@Bc}"}},
        {"avg_pool $0 kernel=[3] strides=[2] pads=[1, 1] ceil=true count_pads=true",
         "f32[N,20,18]{ncw@Bc}",
         {"f32[N,20,34]{ncw@Bc}"}},
        {"max_pool $0 kernel=[2, 3, 3] strides=[2, 1, 2] pads=[1, 0, 1, 0, 1, 1] dilations=[1, 2, 1]",
         "f32[N,20,3,4,6]{ncdhw@Bc}",
         {"f32[N,20,5,7,11]{ncdhw@Bc}"}},
        {"avg_pool $0 kernel=[3, 2, 3] strides=[2, 1, 1] pads=[1, 1, 1, 1, 0, 1]",
         "f32[N,20,3,7,9]{ncdhw@Bc}",
         {"f32[N,20,5,7,9]{ncdhw@Bc}"}},
        {"avg_pool $0 kernel=[3, 2, 3] strides=[2, 2, 2] pads=[0, 1, 1, 1, 0, 1] ceil=true count_pads=true",
         "f32[N,20,3,4,5]{ncdhw@Bc}",
         {"f32[N,20,5,7,9]{ncdhw@Bc}"}},
        {"avg_pool $0 kernel=[7, 7]", "f32[N,20,1,1]{nchw@Bc}", {"f32[N,20,7,7]{nchw@Bc}"}},
    };
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6, .special = 0.01);
}
END_TEST

START_TEST(plain_pools)
{
    static const char *const schedules[] = {"nest<v=1>", "nest<v=@V>"};
    static const anchor anchors[] = {
        {"max_pool $0 kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]", "f32[N,5,6,8]", {"f32[N,5,12,15]"}},
        {"avg_pool $0 kernel=[3, 3] pads=[1, 1, 1, 1]", "f32[N,5,6,8]", {"f32[N,5,6,8]"}},
        {"max_pool $0 kernel=[3, 3]", "i8[N,5,4,6]", {"i8[N,5,6,8]"}},
        {"max_pool $0 kernel=[3, 3]", "f64[N,5,4,6]", {"f64[N,5,6,8]"}},
    };
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6, .special = 0.02);
}
END_TEST

START_TEST(reductions)
{
    static const char *const schedules[] = {"reduce<v=@V, kc=3, grain=1>", "reduce<v=@V, grain=100>",
                                            "nest<v=1>"};
    static const char *const ops[] = {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"};
    static const anchor anchors[] = {
        {"axes=[2, 3]", "f32[N,40,1,1]{nchw@Bc}", {"f32[N,40,7,7]{nchw@Bc}"}},
        {"axes=[2, 3]", "f32[N,40,1,1]", {"f32[N,40,7,7]{nchw@Bc}"}},
        {"axes=[2, 3] keep=false", "f32[N,40]", {"f32[N,40,7,7]{nchw@Bc}"}},
        {"axes=[2, 3] keep=false", "f32[N,40]", {"f32[N,40,7,7]"}},
        {"axes=[1, 2]", "f32[N,1,1,21]", {"f32[N,7,7,21]"}},
        {"axes=[1]", "f32[N,1,2,21]", {"f32[N,7,2,21]"}},
        {"axes=[1]", "f32[N,1]", {"f32[N,1000]"}},
        {"axes=[1] keep=false", "f32[N]", {"f32[N,37]"}},
        {"axes=[0, 1, 2]", "f32[1,1,1]", {"f32[3,5,37]"}},
        {"axes=[0]", "f32[1,5]", {"f32[N,5]"}},
        {"axes=[1]", "f32[N,1]", {"f32[N,3]"}},
        {"axes=[1]", "f32[N,1,4]", {"f32[N,0,4]"}},
    };
    for (size_t i = 0; i < AGATE_COUNT(ops); i++)
        for (size_t k = 0; k < AGATE_COUNT(anchors); k++) {
            char op[128];
            snprintf(op, sizeof op, "%s $0 %s", ops[i], anchors[k].op);
            anchor a = anchors[k];
            a.op = op;
            check_anchors(schedules, AGATE_COUNT(schedules), &a, 1,
                          (kernel_case){.rtol = 1e-5, .atol = 1e-5});
            /* A product may leave the range of f32 on its way; the reference multiplies in f64. */
            if (strcmp(ops[i], "reduce_prod") != 0)
                check_anchors(schedules, 1, &a, 1,
                              (kernel_case){.rtol = 1e-5, .atol = 1e-5, .special = 0.005});
        }
}
END_TEST

START_TEST(integer_reductions)
{
    static const char *const schedules[] = {"nest<v=1>", "nest<v=@V>"};
    static const anchor anchors[] = {
        {"reduce_sum $0 axes=[1]", "i64[N,1,3]", {"i64[N,5,3]"}},
        {"reduce_mean $0 axes=[1]", "i32[N,1,3]", {"i32[N,5,3]"}},
        {"reduce_max $0 axes=[1, 2]", "i8[N,1,1]", {"i8[N,5,3]"}},
        {"reduce_min $0 axes=[1, 2]", "u8[N,1,1]", {"u8[N,5,3]"}},
    };
    CHECK(schedules, anchors, .rtol = 0);
}
END_TEST

START_TEST(softmaxes)
{
    static const char *const schedules[] = {"softmax<v=@V, grain=1>", "softmax<v=@V, grain=20>", "softmax"};
    static const anchor anchors[] = {
        {"softmax $0 axis=1", "f32[N,1000]", {"f32[N,1000]"}},
        {"softmax $0 axis=1", "f32[N,10]", {"f32[N,10]"}},
        {"softmax $0 axis=1", "f32[N,32]", {"f32[N,32]"}},
        {"log_softmax $0 axis=1", "f32[N,37]", {"f32[N,37]"}},
        {"log_softmax $0 axis=1", "f32[N,3,37]", {"f32[N,3,37]"}},
        {"softmax $0 axis=1", "f32[N,5,6,7]", {"f32[N,5,6,7]"}},
        {"softmax $0 axis=2", "f32[N,20,6,7]{nchw@Bc}", {"f32[N,20,6,7]{nchw@Bc}"}},
        {"softmax $0 axis=1", "f32[N,20,6,7]{nchw@Bc}", {"f32[N,20,6,7]{nchw@Bc}"}},
        {"softmax $0 axis=0", "f32[9]", {"f32[9]"}},
        {"softmax $0 axis=0", "f32[1]", {"f32[1]"}},
    };
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6, .scale = 8);
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-6, .special = 0.01);
}
END_TEST

/* A layer norm over `axes` of `whole`, by `schedule`, with a gain per `gain`. */
static void check_norm(const char *schedule, const char *whole, const char *axes, const char *reduced,
                       const char *gain, kernel_case c)
{
    char text[2048];

    snprintf(text, sizeof text,
             "graph @t(%%x: %s, %%g: %s) -> (%s, %s) {\n"
             "  %%0, %%1 = kernel(%%x, %%g) %s {\n"
             "    %%z = const [1e-05] : f32[]\n"
             "    %%a = reduce_mean $0 axes=%s : %s\n"
             "    %%b = sub $0, %%a : %s\n"
             "    %%c = mul %%b, %%b : %s\n"
             "    %%d = reduce_mean %%c axes=%s : %s\n"
             "    %%e = add %%d, %%z : %s\n"
             "    %%f = sqrt %%e : %s\n"
             "    %%g = div %%b, %%f : %s\n"
             "    %%h = mul %%g, $1 : %s\n"
             "    yield %%h, %%c\n"
             "  } : %s, %s\n"
             "  return %%0, %%1\n"
             "}\n",
             whole, gain, whole, whole, schedule, axes, reduced, whole, whole, axes, reduced, reduced,
             reduced, whole, whole, whole, whole);
    c.text = text;
    check_kernel(&c);
}

START_TEST(norms)
{
    static const char *const schedules[] = {"rows<v=@V, grain=1>", "rows<v=@V, kc=3, grain=20>", "rows"};

    for (size_t i = 0; i < AGATE_COUNT(schedules); i++) {
        kernel_case c = {.rtol = 1e-4, .atol = 1e-5};
        for (int special = 0; special < 2; special++, c.special = 0.002) {
            check_norm(schedules[i], "f32[N,20,6,7]{nchw@Bc}", "[1]", "f32[N,1,6,7]{nchw@Bc}",
                       "f32[1,20,1,1]{nchw@Bc}", c);
            check_norm(schedules[i], "f32[N,32,3,5]{nchw@Bc}", "[1]", "f32[N,1,3,5]{nchw@Bc}", "f32[]", c);
            check_norm(schedules[i], "f32[N,20,6,7]{nchw@Bc}", "[2, 3]", "f32[N,20,1,1]{nchw@Bc}", "f32[]",
                       c);
            check_norm(schedules[i], "f32[N,20,6,7]", "[1]", "f32[N,1,6,7]", "f32[20,1,1]", c);
            check_norm(schedules[i], "f32[N,5,6,7]", "[1, 2, 3]", "f32[N,1,1,1]", "f32[7]", c);
            check_norm(schedules[i], "f32[N,37]", "[1]", "f32[N,1]", "f32[37]", c);
            check_norm(schedules[i], "f32[N,3,64]", "[2]", "f32[N,3,1]", "f32[64]", c);
            check_norm(schedules[i], "f32[N,3,5]", "[1]", "f32[N,1,5]", "f32[N,1,5]", c);
        }
    }
}
END_TEST

/* The mean of 65,536 squares: one long sum is off by a millionth. */
START_TEST(long_sums)
{
    static const char *const texts[] = {
        "graph @t(%x: f32[N,4,256,256]{nchw@Bc}) -> f32[N,4,1,1]{nchw@Bc} {\n"
        "  %0 = kernel(%x) reduce<v=@V, kc=16, grain=1> {\n"
        "    %a = mul $0, $0 : f32[N,4,256,256]{nchw@Bc}\n"
        "    %b = reduce_mean %a axes=[2, 3] : f32[N,4,1,1]{nchw@Bc}\n"
        "    yield %b\n"
        "  } : f32[N,4,1,1]{nchw@Bc}\n"
        "  return %0\n"
        "}\n",
        "graph @t(%x: f32[N,65536]) -> f32[N,1] {\n"
        "  %0 = kernel(%x) reduce<v=@V, kc=100, grain=1> {\n"
        "    %a = mul $0, $0 : f32[N,65536]\n"
        "    %b = reduce_mean %a axes=[1] : f32[N,1]\n"
        "    yield %b\n"
        "  } : f32[N,1]\n"
        "  return %0\n"
        "}\n",
    };
    for (size_t i = 0; i < AGATE_COUNT(texts); i++)
        check_kernel(&(kernel_case){.text = texts[i], .rtol = 4e-7});
}
END_TEST

/* A bias hundreds of times as large as the sum before it: added last, it costs one rounding, and the result
 * is exact but for the last bit; a sum that began with it would lose a bit or more at each step. */
START_TEST(biases)
{
    static const char *const schedules[][2] = {
        {"direct_conv<v=@V, oc=2, ow=3, ic=4>", "nest<v=1>"},
        {"direct_conv<v=@V, oc=2, ow=3, ic=4, kc=64>", "nest<v=@V>"},
        {"depthwise<v=@V, ow=4>", "nest<v=@V>"},
        {"grouped_conv<v=@V, ow=4>", "nest<v=@V>"},
    };
    static const anchor anchors[] = {
        {"conv $0, $1, $2 pads=[1, 1, 1, 1]",
         "f32[N,24,6,5]{nchw@Bc}",
         {"f32[N,20,6,5]{nchw@Bc}", "f32[24,20,3,3]{oihw@Bi@Bo}", "f32[24]{o@Bo}"}},
        {"conv $0, $1, $2 pads=[1, 1, 1, 1]",
         "f32[N,24,6,5]{nchw@Bc}",
         {"f32[N,20,6,5]{nchw@Bc}", "f32[24,20,3,3]{oihw@Bi@Bo}", "f32[24]{o@Bo}"}},
        {"conv $0, $1, $2 pads=[2, 2, 2, 2] group=20",
         "f32[N,20,6,5]{nchw@Bc}",
         {"f32[N,20,6,5]{nchw@Bc}", "f32[20,1,5,5]{oihw@Bo}", "f32[20]{o@Bo}"}},
        {"conv $0, $1, $2 pads=[1, 1, 1, 1] group=6",
         "f32[N,24,6,5]{nchw@Bc}",
         {"f32[N,24,6,5]{nchw@Bc}", "f32[24,4,3,3]{oihw@Bo}", "f32[24]{o@Bo}"}},
    };
    for (size_t i = 0; i < AGATE_COUNT(anchors); i++)
        check_anchors(schedules[i], 2, &anchors[i], 1,
                      (kernel_case){.rtol = 1.2e-7, .atol = 1e-11, .scale = 1e-3});
}
END_TEST

START_TEST(nests)
{
    static const char *const schedules[] = {"nest<v=1, grain=40>", "nest<v=@V>"};
    static const anchor anchors[] = {
        {"conv $0, $1, $2 pads=[1, 1, 1, 1]", "f32[N,7,6,5]", {"f32[N,4,6,5]", "f32[7,4,3,3]", "f32[7]"}},
        {"conv $0, $1 strides=[2, 1] pads=[1, 0, 0, 1] dilations=[1, 2] group=2",
         "f32[N,6,3,5]",
         {"f32[N,4,6,8]", "f32[6,2,3,3]"}},
        {"conv $0, $1 pads=[1, 1, 1, 1]",
         "f32[N,24,6,5]{nchw@Bc}",
         {"f32[N,20,6,5]{nchw@Bc}", "f32[24,20,3,3]"}},
        {"conv $0, $1 pads=[1, 1]", "f64[N,3,6]", {"f64[N,2,6]", "f64[3,2,3]"}},
        {"matmul $0, $1", "f32[N,5,19]", {"f32[N,5,7]", "f32[7,19]"}},
        {"matmul $0, $1", "f32[2,5,19]", {"f32[5,7]", "f32[2,7,19]"}},
        {"matmul $0, $1", "f32[N,19]", {"f32[N,7]", "f32[7,19]"}},
        {"matmul $0, $1", "f32[N]", {"f32[N,7]", "f32[7]"}},
        {"matmul $0, $1", "i32[N,19]", {"i32[N,7]", "i32[7,19]"}},
        {"matmul $0, $1", "f32[5,4]", {"f32[5,0]", "f32[0,4]"}},
    };
    CHECK(schedules, anchors, .rtol = 1e-5, .atol = 1e-5);
}
END_TEST

START_TEST(epilogues_and_prologues)
{
    check_kernel(
        &(kernel_case){.text = "graph @t(%x: f32[N,20,7,7]{nchw@Bc}, %y: f32[20,1,1]) -> f32[N,20,1,1] {\n"
                               "  %0 = kernel(%x, %y) reduce<v=@V> {\n"
                               "    %a = relu $0 : f32[N,20,7,7]{nchw@Bc}\n"
                               "    %b = reduce_mean %a axes=[2, 3] : f32[N,20,1,1]\n"
                               "    %c = mul %b, $1 : f32[N,20,1,1]\n"
                               "    yield %c\n"
                               "  } : f32[N,20,1,1]\n"
                               "  return %0\n"
                               "}\n",
                       .rtol = 1e-5,
                       .atol = 1e-6});
    check_kernel(&(kernel_case){
        .text = "graph @t(%x: f32[N,20,7,7]{nchw@Bc}, %y: f32[20,1,1]) -> f32[N,20,3,3]{nchw@Bc} {\n"
                "  %0 = kernel(%x, %y) pool<v=@V, oh=2> {\n"
                "    %b = max_pool $0 kernel=[3, 3] strides=[2, 2] : f32[N,20,3,3]{nchw@Bc}\n"
                "    %c = mul %b, $1 : f32[N,20,3,3]{nchw@Bc}\n"
                "    %d = sigmoid %c : f32[N,20,3,3]{nchw@Bc}\n"
                "    %e = mul %d, %b : f32[N,20,3,3]{nchw@Bc}\n"
                "    yield %e\n"
                "  } : f32[N,20,3,3]{nchw@Bc}\n"
                "  return %0\n"
                "}\n",
        .rtol = 1e-5,
        .atol = 1e-6});
    check_kernel(&(kernel_case){.text = "graph @t(%x: f32[N,100], %y: f32[100]) -> f32[N,100] {\n"
                                        "  %0 = kernel(%x, %y) softmax<v=@V> {\n"
                                        "    %b = softmax $0 axis=1 : f32[N,100]\n"
                                        "    %c = mul %b, $1 : f32[N,100]\n"
                                        "    yield %c\n"
                                        "  } : f32[N,100]\n"
                                        "  return %0\n"
                                        "}\n",
                                .rtol = 1e-5,
                                .atol = 1e-6});
}
END_TEST

/* Convolutions with transformed weights whose input, shortcut and result lie among others' channels; nothing
 * is read behind the end of an operand, and nothing of the workspace that is not there. */
START_TEST(winograd_tiles)
{
    static const char *const texts[] = {
        "graph @t(%x: f32[N,20,9,7]{nchw@Bc of 64}, %u: f32[36,4,4,20]{oihw16o}, %b: f32[36]{o@Bo}, %r: "
        "f32[N,36,9,7]{nchw@Bc of 96}) -> f32[N,36,9,7]{nchw@Bc of 80} {\n"
        "  %0 = kernel(%x, %u, %b, %r) winograd<v=@V, ow=3, ic=4, ahead=3, ocs=1, grain=6> {\n"
        "    %a = winograd $0, $1, $2 pads=[1, 1, 1, 1] : f32[N,36,9,7]{nchw@Bc}\n"
        "    %b = add %a, $3 : f32[N,36,9,7]{nchw@Bc}\n"
        "    %c = sigmoid %b : f32[N,36,9,7]{nchw@Bc}\n"
        "    yield %c\n"
        "  } : f32[N,36,9,7]{nchw@Bc of 80}\n"
        "  return %0\n"
        "}\n",
        "graph @t(%x: f32[N,20,9,12]{nchw@Bc}, %u: f32[24,6,6,20]{oihw32o}) -> f32[N,24,10,10]{nchw@Bc} {\n"
        "  %0 = kernel(%x, %u) winograd<v=@V, ow=2, ic=3, kc=16> {\n"
        "    %a = winograd $0, $1 pads=[2, 0, 1, 0] : f32[N,24,10,10]{nchw@Bc}\n"
        "    yield %a\n"
        "  } : f32[N,24,10,10]{nchw@Bc}\n"
        "  return %0\n"
        "}\n",
    };
    for (size_t i = 0; i < AGATE_COUNT(texts); i++)
        check_kernel(&(kernel_case){.text = texts[i], .scale = 0.1, .rtol = 1e-5, .atol = 1e-4});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_anchors");
    TCase *tcase = tcase_create("anchors");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, pools);
    tcase_add_test(tcase, pools_in_tiles);
    tcase_add_test(tcase, plain_pools);
    tcase_add_test(tcase, reductions);
    tcase_add_test(tcase, integer_reductions);
    tcase_add_test(tcase, softmaxes);
    tcase_add_test(tcase, norms);
    tcase_add_test(tcase, long_sums);
    tcase_add_test(tcase, biases);
    tcase_add_test(tcase, nests);
    tcase_add_test(tcase, epilogues_and_prologues);
    tcase_add_test(tcase, winograd_tiles);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
