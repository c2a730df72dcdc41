/* links: backend ir ref base */
/* test_emit_random.c: random shapes, blocks and attributes through the emitters of pools, reductions, moves,
 * softmax and scalar chains; and a body long enough to be evaluated from its beginning. */
#include "tests/unit/kernel_test.h"
#include "tests/suite.h"

#define CASES 12

static uint64_t shape_state = 7;

/* lo..hi */
static int pick(int lo, int hi)
{
    shape_state = shape_state * UINT64_C(6364136223846793005) + 1;
    return lo + (int)((shape_state >> 33) % (uint64_t)(hi - lo + 1));
}

static const char *layout(void)
{
    static const char *const layouts[] = {"", "{nchw@Bc}", "{nchw8c}"};
    return layouts[pick(0, 2)];
}

START_TEST(pools)
{
    for (int i = 0; i < CASES; i++) {
        char op[192], in[64], out[64];
        const char *types[] = {in};
        int c = pick(1, 40), h = pick(3, 20), w = pick(3, 20), kh = pick(1, 4), kw = pick(1, 6),
            sh = pick(1, 3), sw = pick(1, 3), ph = pick(0, kh - 1), pw = pick(0, kw - 1);
        bool average = pick(0, 1), blocked = pick(0, 2) > 0;
        int oh = (h + 2 * ph - kh) / sh + 1, ow = (w + 2 * pw - kw) / sw + 1;

        if (h + 2 * ph < kh || w + 2 * pw < kw)
            continue;
        snprintf(op, sizeof op, "%s $0 kernel=[%d, %d] strides=[%d, %d] pads=[%d, %d, %d, %d]%s",
                 average ? "avg_pool" : "max_pool", kh, kw, sh, sw, ph, pw, ph, pw,
                 average && pick(0, 1) ? " count_pads=true" : "");
        snprintf(in, sizeof in, "f32[N,%d,%d,%d]%s", c, h, w, blocked ? "{nchw@Bc}" : "");
        snprintf(out, sizeof out, "f32[N,%d,%d,%d]%s", c, oh, ow, blocked ? "{nchw@Bc}" : "");
        check_one(blocked ? "pool<v=@V, oh=2>" : "nest<v=@V>", op, types, 1, out,
                  (kernel_case){.rtol = 1e-5, .atol = 1e-6, .special = average ? 0 : 0.02});
    }
}
END_TEST

START_TEST(reorders_and_transposes)
{
    static const int orders[][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}, {0, 1, 3, 2}, {0, 3, 2, 1}, {0, 2, 1, 3}};

    for (int i = 0; i < CASES; i++) {
        char op[64], in[64], out[64];
        const char *types[] = {in};
        int dims[4] = {0, pick(1, 40), pick(1, 20), pick(1, 40)};
        const int *order = orders[pick(0, 4)];

        snprintf(in, sizeof in, "f32[N,%d,%d,%d]%s", dims[1], dims[2], dims[3], layout());
        snprintf(out, sizeof out, "f32[N,%d,%d,%d]%s", dims[1], dims[2], dims[3], layout());
        check_one("pointwise<v=@V, grain=500>", "reorder $0", types, 1, out, (kernel_case){.special = 0.1});
        snprintf(op, sizeof op, "transpose $0 perm=[0, %d, %d, %d]", order[1], order[2], order[3]);
        snprintf(out, sizeof out, "f32[N,%d,%d,%d]%s", dims[order[1]], dims[order[2]], dims[order[3]],
                 layout());
        check_one("pointwise<v=@V, grain=500>", op, types, 1, out, (kernel_case){.special = 0.1});
    }
}
END_TEST

START_TEST(reductions_and_softmax)
{
    static const char *const ops[] = {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min"};

    for (int i = 0; i < CASES; i++) {
        char op[64], in[64], out[64];
        const char *types[] = {in};
        int dims[4] = {0, pick(1, 40), pick(1, 9), pick(1, 40)}, kept[4], first = pick(1, 3),
            last = pick(first, 3);
        char axes[16] = "";

        memcpy(kept, dims, sizeof kept);
        for (int k = first; k <= last; k++) {
            snprintf(axes + strlen(axes), 8, "%s%d", k > first ? ", " : "", k);
            kept[k] = 1;
        }
        snprintf(in, sizeof in, "f32[N,%d,%d,%d]%s", dims[1], dims[2], dims[3], layout());
        snprintf(op, sizeof op, "%s $0 axes=[%s]", ops[pick(0, 3)], axes);
        snprintf(out, sizeof out, "f32[N,%d,%d,%d]%s", kept[1], kept[2], kept[3], layout());
        check_one("reduce<v=@V, grain=30>", op, types, 1, out, (kernel_case){.rtol = 1e-5, .atol = 1e-5});
        snprintf(op, sizeof op, "%ssoftmax $0 axis=%d", pick(0, 1) ? "log_" : "", first);
        check_one("softmax<v=@V, grain=30>", op, types, 1, in,
                  (kernel_case){.rtol = 1e-5, .atol = 1e-5, .scale = 5});
    }
}
END_TEST

START_TEST(chains_with_broadcasting)
{
    for (int i = 0; i < CASES; i++) {
        char in[64], other[64];
        const char *types[] = {in, other, in};
        int dims[4] = {0, pick(1, 40), pick(1, 9), pick(1, 40)};

        snprintf(in, sizeof in, "f32[N,%d,%d,%d]%s", dims[1], dims[2], dims[3], layout());
        snprintf(other, sizeof other, "f32[%d,%d,%d]", pick(0, 1) ? dims[1] : 1, pick(0, 1) ? dims[2] : 1,
                 pick(0, 1) ? dims[3] : 1);
        check_one("pointwise<v=@V, grain=300>", "sub $0, $1", types, 2, in, (kernel_case){.special = 0.1});
        check_one("pointwise<v=@V, grain=300>", "max $1, $0", types, 2, in, (kernel_case){.special = 0.1});
    }
}
END_TEST

START_TEST(long_body)
{
    agate_text text = {0};

    agate_text_add(&text, "graph @t(%%x: f32[N,40]) -> f32[N,40] {\n  %%0 = kernel(%%x) pointwise<v=@V> {\n");
    for (int i = 0; i < 1000; i++)
        agate_text_add(&text, "    %%v%d = %s %s%d, $0 : f32[N,40]\n", i, i % 2 ? "mul" : "sub",
                       i ? "%v" : "$", i ? i - 1 : 0);
    agate_text_add(&text, "    yield %%v999\n  } : f32[N,40]\n  return %%0\n}\n");
    check_kernel(&(kernel_case){.text = agate_text_c(&text)});
    agate_text_deinit(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_random");
    TCase *tcase = tcase_create("random");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, pools);
    tcase_add_test(tcase, reorders_and_transposes);
    tcase_add_test(tcase, reductions_and_softmax);
    tcase_add_test(tcase, chains_with_broadcasting);
    tcase_add_test(tcase, long_body);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
