/* links: backend ir ref base */
/* test_emit_pointwise.c: scalar chains and broadcasting, flat and by rows, in every dtype that is compiled.
 */
#include "tests/unit/kernel_test.h"
#include "tests/suite.h"

/* One op of `arity` operands of type `in`, giving `out`. */
static void check_op(const char *op, int arity, const char *in, const char *out, kernel_case c)
{
    const char *const types[] = {in, in, in};
    char line[128];

    snprintf(line, sizeof line, "%s $0%s%s", op, arity > 1 ? ", $1" : "", arity > 2 ? ", $2" : "");
    check_one("pointwise<v=@V>", line, types, arity, out, c);
}

START_TEST(flat_chain)
{
    check_kernel(&(kernel_case){.text = "graph @t(%x: f32[N,3,5,7], %y: f32[N,3,5,7]) -> f32[N,3,5,7] {\n"
                                        "  %0 = kernel(%x, %y) pointwise<v=@V, grain=32> {\n"
                                        "    %a = add $0, $1 : f32[N,3,5,7]\n"
                                        "    %b = relu %a : f32[N,3,5,7]\n"
                                        "    yield %b\n"
                                        "  } : f32[N,3,5,7]\n"
                                        "  return %0\n"
                                        "}\n",
                                .special = 0.2});
}
END_TEST

/* Every scalar op on every kind of number it takes. */
START_TEST(every_scalar_op)
{
    for (int op = 0; op < AGATE_SCALAR_COUNT; op++) {
        const agate_scalar_info *info = &agate_scalar_table[op];
        static const struct {
            agate_scalar_types kind;
            const char *dtype;
        } dtypes[] = {{AGATE_TYPES_F, "f32"}, {AGATE_TYPES_F, "f64"}, {AGATE_TYPES_I, "i32"},
                      {AGATE_TYPES_I, "u8"},  {AGATE_TYPES_I, "i64"}, {AGATE_TYPES_B, "bool"}};
        char name[64];

        snprintf(name, sizeof name, "%s", info->name);
        for (size_t i = 0; i < AGATE_COUNT(dtypes); i++) {
            char in[32], out[32];
            bool needs_sign = strcmp(name, "neg") == 0 || strcmp(name, "sign") == 0;
            if (!(info->types & dtypes[i].kind) || (needs_sign && dtypes[i].dtype[0] == 'u'))
                continue;
            snprintf(in, sizeof in, "%s[N,21]", dtypes[i].dtype);
            snprintf(out, sizeof out, "%s[N,21]",
                     info->result == AGATE_RESULT_BOOL ? "bool" : dtypes[i].dtype);
            check_op(name, info->arity, in, out,
                     (kernel_case){.rtol = 1e-6, .atol = 1e-38, .special = 0.3, .scale = 4});
        }
    }
}
END_TEST

START_TEST(functions_are_close)
{
    static const char *const ops[] = {"exp", "log", "tanh", "erf", "sigmoid"};

    for (size_t i = 0; i < AGATE_COUNT(ops); i++) {
        kernel_case near = {.rtol = 2.4e-7, .atol = 1e-45, .special = 0.1};
        kernel_case far = {.rtol = 3e-7, .atol = 3e-45, .special = 0.1, .scale = 110};
        kernel_case huge = {.rtol = 3e-7, .atol = 3e-45, .special = 0.1, .scale = 1e37};
        check_op(ops[i], 1, "f32[N,4096]", "f32[N,4096]", near);
        check_op(ops[i], 1, "f32[N,4096]", "f32[N,4096]", far);
        check_op(ops[i], 1, "f32[N,4096]", "f32[N,4096]", huge);
    }
}
END_TEST

START_TEST(broadcasting)
{
    static const char *const shapes[][3] = {
        {"f32[N,5,6,7]", "f32[5,1,1]", "f32[N,5,6,7]"},
        {"f32[N,5,6,7]", "f32[7]", "f32[N,5,6,7]"},
        {"f32[N,20,6,7]{nchw@Bc}", "f32[20,1,1]", "f32[N,20,6,7]{nchw@Bc}"},
        {"f32[N,20,6,7]{nchw@Bc}", "f32[1,20,6,1]{nchw@Bc}", "f32[N,20,6,7]{nchw@Bc}"},
        {"f32[N,20,1,7]{nchw@Bc}", "f32[N,1,6,7]", "f32[N,20,6,7]{nchw@Bc}"},
        {"f32[N,33]", "f32[N,1]", "f32[N,33]"},
        {"f32[]", "f32[3,1]", "f32[3,1]"},
        {"f32[2,0,3]", "f32[3]", "f32[2,0,3]"},
        {"f32[N]", "f32[1]", "f32[N]"},
        {"f64[N,5,18]", "f64[5,1]", "f64[N,5,18]"},
        {"i32[N,5,18]", "i32[18]", "i32[N,5,18]"},
    };
    static const char *const strategies[] = {"pointwise<v=@V, grain=16>", "nest<v=@V, grain=50>"};

    for (size_t i = 0; i < AGATE_COUNT(shapes); i++)
        for (size_t k = 0; k < AGATE_COUNT(strategies); k++)
            for (int32_t block = 4; block <= (strchr(shapes[i][2], '{') ? 16 : 4); block *= 4) {
                char text[1024];
                snprintf(text, sizeof text,
                         "graph @t(%%x: %s, %%y: %s) -> %s {\n"
                         "  %%0 = kernel(%%x, %%y) %s {\n"
                         "    %%a = sub $0, $1 : %s\n"
                         "    %%b = mul %%a, $0 : %s\n"
                         "    yield %%b\n"
                         "  } : %s\n"
                         "  return %%0\n"
                         "}\n",
                         shapes[i][0], shapes[i][1], shapes[i][2], strategies[k], shapes[i][2], shapes[i][2],
                         shapes[i][2]);
                check_kernel(&(kernel_case){.text = text, .special = 0.1, .block = block});
            }
}
END_TEST

START_TEST(casts)
{
    static const char *const dtypes[] = {"f32", "f64", "i8", "u8", "i32", "i64", "u32", "bool"};

    for (size_t i = 0; i < AGATE_COUNT(dtypes); i++)
        for (size_t k = 0; k < AGATE_COUNT(dtypes); k++) {
            char op[64], in[32], out[32];
            const char *const types[] = {in};
            snprintf(op, sizeof op, "cast $0 to=%s", dtypes[k]);
            snprintf(in, sizeof in, "%s[N,37]", dtypes[i]);
            snprintf(out, sizeof out, "%s[N,37]", dtypes[k]);
            check_one("pointwise<v=@V>", op, types, 1, out, (kernel_case){.special = 0.3, .scale = 300});
        }
}
END_TEST

START_TEST(several_results_and_constants)
{
    check_kernel(&(kernel_case){.text =
                                    "graph @t(%x: f32[N,9,5], %y: f32[9,1]) -> (f32[N,9,5], bool[N,9,5]) {\n"
                                    "  %0, %1 = kernel(%x, %y) pointwise<v=@V> {\n"
                                    "    %c = const [0.5] : f32[]\n"
                                    "    %d = const [1, 2, 3, 4, 5] : f32[5]\n"
                                    "    %a = mul $0, %c : f32[N,9,5]\n"
                                    "    %b = add %a, $1 : f32[N,9,5]\n"
                                    "    %e = leaky_relu %b alpha=0.1 : f32[N,9,5]\n"
                                    "    %f = add %e, %d : f32[N,9,5]\n"
                                    "    %g = less %f, $0 : bool[N,9,5]\n"
                                    "    yield %f, %g\n"
                                    "  } : f32[N,9,5], bool[N,9,5]\n"
                                    "  return %0, %1\n"
                                    "}\n"});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_pointwise");
    TCase *tcase = tcase_create("pointwise");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, flat_chain);
    tcase_add_test(tcase, every_scalar_op);
    tcase_add_test(tcase, functions_are_close);
    tcase_add_test(tcase, broadcasting);
    tcase_add_test(tcase, casts);
    tcase_add_test(tcase, several_results_and_constants);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
