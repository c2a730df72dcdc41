/* links: backend ir ref base */
/* test_emit_pointwise.c: scalar chains and broadcasting, flat and by rows, in every dtype that is compiled.
 */
#include "tests/unit/kernel_test.h"

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

int main(void)
{
    Suite *suite = suite_create("emit_pointwise");
    TCase *tcase = tcase_create("pointwise");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, flat_chain);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
