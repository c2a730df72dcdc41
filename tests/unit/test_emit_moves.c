/* links: backend ir ref base */
/* test_emit_moves.c: transposes, slices, pads, concats, gathers, reorders: through rows and through
 * transposed tiles. */
#include "tests/unit/kernel_test.h"
#include "tests/suite.h"

typedef struct move {
    const char *op, *result;
    const char *operands[3];
} move;

static void check_moves(const move *moves, size_t count)
{
    static const char *const schedules[] = {"pointwise<v=@V, grain=64>", "pointwise<v=@V>", "nest<v=1>"};

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < AGATE_COUNT(schedules); k++) {
            int32_t operands = 0;
            while (operands < 3 && moves[i].operands[operands])
                operands++;
            check_one(schedules[k], moves[i].op, moves[i].operands, operands, moves[i].result,
                      (kernel_case){.special = 0.1});
        }
}

START_TEST(transposes)
{
    static const move moves[] = {
        {"transpose $0 perm=[0, 2, 3, 1]", "f32[N,5,33,3]", {"f32[N,3,5,33]"}},
        {"transpose $0 perm=[0, 3, 1, 2]", "f32[N,3,5,33]", {"f32[N,5,33,3]"}},
        {"transpose $0 perm=[0, 3, 1, 2]", "f32[N,40,4,17]", {"f32[N,4,17,40]"}},
        {"transpose $0 perm=[0, 2, 1]", "f32[N,50,48]", {"f32[N,48,50]"}},
        {"transpose $0 perm=[1, 0]", "f64[35,17]", {"f64[17,35]"}},
        {"transpose $0 perm=[1, 0]", "u8[35,17]", {"u8[17,35]"}},
        {"transpose $0 perm=[0, 2, 1]", "f32[N,0,4]", {"f32[N,4,0]"}},
        {"transpose $0 perm=[0, 3, 2, 1]", "f32[N,20,3,6]{nchw@Bc}", {"f32[N,6,3,20]{nchw@Bc}"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

START_TEST(reorders)
{
    static const move moves[] = {
        {"reorder $0", "f32[N,3,5,33]{nchw@Bc}", {"f32[N,3,5,33]"}},
        {"reorder $0", "f32[N,3,5,33]", {"f32[N,3,5,33]{nchw@Bc}"}},
        {"reorder $0", "f32[N,40,7,7]{nchw@Bc}", {"f32[N,40,7,7]"}},
        {"reorder $0", "f32[N,40,7,7]", {"f32[N,40,7,7]{nchw@Bc}"}},
        {"reorder $0", "f32[N,48,32]{ncw@Bc}", {"f32[N,48,32]"}},
        {"reorder $0", "f32[N,48,32]", {"f32[N,48,32]{ncw@Bc}"}},
        {"reorder $0", "f32[N,40,1,1]", {"f32[N,40,1,1]{nchw@Bc}"}},
        {"reorder $0", "f32[N,40]{nc@Bc}", {"f32[N,40]"}},
        {"reorder $0", "f32[N,1,9,20]{nchw@Bc}", {"f32[N,1,9,20]"}},
        {"reorder $0", "f32[N,1,9,20]", {"f32[N,1,9,20]{nchw@Bc}"}},
        {"reorder $0", "f32[N,40,3,2]{nchw8c}", {"f32[N,40,3,2]{nchw@Bc}"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

START_TEST(slices)
{
    static const move moves[] = {
        {"slice $0 starts=[0, 1, 0, 2] shape=[N, 3, 5, 20]", "f32[N,3,5,20]", {"f32[N,5,5,33]"}},
        {"slice $0 starts=[0, 0, 4, 32] steps=[1, 1, -2, -3] shape=[N, 5, 3, 11]",
         "f32[N,5,3,11]",
         {"f32[N,5,5,33]"}},
        {"slice $0 starts=[0, 3, 0, 0] shape=[N, 20, 5, 3]",
         "f32[N,20,5,3]{nchw@Bc}",
         {"f32[N,40,5,3]{nchw@Bc}"}},
        {"slice $0 starts=[0, 16, 0, 1] shape=[N, 24, 5, 2]",
         "f32[N,24,5,2]{nchw@Bc}",
         {"f32[N,40,5,3]{nchw@Bc}"}},
        {"slice $0 starts=[0, 0, 0, 0] steps=[1, 1, 2, 2] shape=[N, 40, 3, 2]",
         "f32[N,40,3,2]{nchw@Bc}",
         {"f32[N,40,5,3]{nchw@Bc}"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

START_TEST(pads)
{
    static const move moves[] = {
        {"pad $0 begins=[0, 0, 1, 3] ends=[0, 0, 2, 0] value=1.5", "f32[N,3,8,20]", {"f32[N,3,5,17]"}},
        {"pad $0 begins=[0, 0, 1, -3] ends=[0, 0, -2, 2]", "f32[N,3,4,16]", {"f32[N,3,5,17]"}},
        {"pad $0 begins=[0, 5, 1, 0] ends=[0, 7, 1, 0]",
         "f32[N,32,7,3]{nchw@Bc}",
         {"f32[N,20,5,3]{nchw@Bc}"}},
        {"pad $0 begins=[0, 0, 1, 0] ends=[0, 44, 1, 0]",
         "f32[N,64,7,3]{nchw@Bc}",
         {"f32[N,20,5,3]{nchw@Bc}"}},
        {"pad $0 begins=[0, 2, 3] ends=[0, 1, 2] mode=reflect", "f32[N,7,22]", {"f32[N,4,17]"}},
        {"pad $0 begins=[0, 2, 3] ends=[0, 1, 2] mode=edge", "f32[N,7,22]", {"f32[N,4,17]"}},
        {"pad $0 begins=[0, 2, 3] ends=[0, 1, 2] mode=wrap", "f32[N,7,22]", {"f32[N,4,17]"}},
        {"pad $0 begins=[0, 3, 2] ends=[0, 1, 5] mode=reflect", "f32[N,9,87]", {"f32[N,5,80]"}},
        {"pad $0 begins=[0, -1, 2] ends=[0, 1, -3] mode=edge", "f32[N,5,79]", {"f32[N,5,80]"}},
        {"pad $0 begins=[0, 0, 2, 1] ends=[0, 0, 1, 3] mode=reflect",
         "f32[N,20,8,12]{nchw@Bc}",
         {"f32[N,20,5,8]{nchw@Bc}"}},
        {"pad $0 begins=[0, 0, 0, 2] ends=[0, 0, 1, 3] mode=wrap",
         "f32[N,20,6,13]{nchw@Bc}",
         {"f32[N,20,5,8]{nchw@Bc}"}},
        {"pad $0 begins=[0, 1] ends=[0, 1] value=2", "i32[N,2]", {"i32[N,0]"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

START_TEST(concats)
{
    static const move moves[] = {
        {"concat $0, $1, $2 axis=1", "f32[N,26,3,5]", {"f32[N,3,3,5]", "f32[N,3,3,5]", "f32[N,20,3,5]"}},
        {"concat $0, $1 axis=2", "f32[N,3,25]", {"f32[N,3,5]", "f32[N,3,20]"}},
        {"concat $0, $1, $2 axis=2", "f32[N,3,37]", {"f32[N,3,16]", "f32[N,3,16]", "f32[N,3,5]"}},
        {"concat $0, $1 axis=1",
         "f32[N,36,3,5]{nchw@Bc}",
         {"f32[N,16,3,5]{nchw@Bc}", "f32[N,20,3,5]{nchw@Bc}"}},
        {"concat $0, $1 axis=1",
         "f32[N,36,3,5]{nchw@Bc}",
         {"f32[N,17,3,5]{nchw@Bc}", "f32[N,19,3,5]{nchw@Bc}"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

START_TEST(expands_and_reshapes)
{
    static const move moves[] = {
        {"expand $0 shape=[N, 3, 5, 17]", "f32[N,3,5,17]", {"f32[3,1,17]"}},
        {"expand $0 shape=[N, 3, 5, 17]", "f32[N,3,5,17]", {"f32[N,1,5,1]"}},
        {"reshape $0 shape=[N, 255]", "f32[N,255]", {"f32[N,3,5,17]"}},
        {"reshape $0 shape=[N, 15, 17]", "f32[N,15,17]", {"f32[N,3,5,17]"}},
    };
    check_moves(moves, AGATE_COUNT(moves));
}
END_TEST

/* Random first taps lie beyond both ends, too. */
START_TEST(resamplings)
{
    static const move resamplings[] = {
        {"resample $0, $1, $2 axis=2",
         "f32[N,20,33,3]{nchw@Bc}",
         {"f32[N,20,64,3]{nchw@Bc}", "i64[33]", "f32[33,2]"}},
        {"resample $0, $1, $2 axis=3",
         "f32[N,20,3,33]{nchw@Bc}",
         {"f32[N,20,3,9]{nchw@Bc}", "i64[33]", "f32[33,4]"}},
        {"resample $0, $1, $2 axis=1",
         "f32[N,20,3,3]{nchw@Bc}",
         {"f32[N,9,3,3]{nchw@Bc}", "i64[20]", "f32[20,3]"}},
        {"resample $0, $1, $2 axis=3", "f32[N,3,5,37]", {"f32[N,3,5,64]", "i64[37]", "f32[37,2]"}},
        {"resample $0, $1, $2 axis=2", "f32[N,3,5,37]", {"f32[N,3,64,37]", "i64[5]", "f32[5,30]"}},
        {"resample $0, $1, $2 axis=1", "f64[N,5,17]", {"f64[N,4,17]", "i64[5]", "f64[5,1]"}},
    };
    static const char *const schedules[] = {"pointwise<v=@V, grain=64>", "pointwise<v=@V>", "nest<v=1>"};

    for (size_t i = 0; i < AGATE_COUNT(resamplings); i++)
        for (size_t k = 0; k < AGATE_COUNT(schedules); k++)
            check_one(schedules[k], resamplings[i].op, resamplings[i].operands, 3, resamplings[i].result,
                      (kernel_case){.rtol = 1e-5, .atol = 1e-6, .special = 0.02, .normal = true});
}
END_TEST

START_TEST(moves_within_chains)
{
    check_kernel(&(kernel_case){
        .text = "graph @t(%x: f32[N,6,7,20], %y: f32[20]) -> f32[N,20,6,9] {\n"
                "  %0 = kernel(%x, %y) pointwise<v=@V> {\n"
                "    %a = add $0, $1 : f32[N,6,7,20]\n"
                "    %b = transpose %a perm=[0, 3, 1, 2] : f32[N,20,6,7]\n"
                "    %c = pad %b begins=[0, 0, 0, 1] ends=[0, 0, 0, 1] value=-1 : f32[N,20,6,9]\n"
                "    %d = relu %c : f32[N,20,6,9]\n"
                "    %e = mul %d, %c : f32[N,20,6,9]\n"
                "    yield %e\n"
                "  } : f32[N,20,6,9]\n"
                "  return %0\n"
                "}\n"});
    check_kernel(&(kernel_case){.text =
                                    "graph @t(%x: f32[N,6,7,20], %y: f32[20]) -> f32[N,20,6,7]{nchw@Bc} {\n"
                                    "  %0 = kernel(%x, %y) pointwise<v=@V> {\n"
                                    "    %a = add $0, $1 : f32[N,6,7,20]\n"
                                    "    %b = transpose %a perm=[0, 3, 1, 2] : f32[N,20,6,7]\n"
                                    "    %c = reorder %b : f32[N,20,6,7]{nchw@Bc}\n"
                                    "    yield %c\n"
                                    "  } : f32[N,20,6,7]{nchw@Bc}\n"
                                    "  return %0\n"
                                    "}\n"});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_moves");
    TCase *tcase = tcase_create("moves");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, transposes);
    tcase_add_test(tcase, reorders);
    tcase_add_test(tcase, slices);
    tcase_add_test(tcase, pads);
    tcase_add_test(tcase, concats);
    tcase_add_test(tcase, expands_and_reshapes);
    tcase_add_test(tcase, resamplings);
    tcase_add_test(tcase, moves_within_chains);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
