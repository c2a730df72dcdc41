/* links: backend ir ref base */
/* test_matmul.c: compiled matrix products of random shapes against the reference kernels. */
#include <stdio.h>

#include "tests/unit/kernel_case.h"
#include "tests/unit/kernel_text.h"
#include "tests/suite.h"

typedef struct gemm_shape {
    int32_t lhs_rank, rhs_rank;
    int64_t lhs[4], rhs[4]; /* 0: the batch */
    bool packed, epilogue;
    agate_tiles tiles;
    int64_t batch;
} gemm_shape;

static void add_gemm_type(agate_text *text, const int64_t *dims, int32_t rank, int32_t panel)
{
    add_type(text, dims, rank, dims[0] == 0, panel ? AGATE_LAYOUT_panel : AGATE_LAYOUT_plain, panel);
}

static void gemm_text(const gemm_shape *s, agate_text *text)
{
    int32_t rank = s->lhs_rank > s->rhs_rank ? s->lhs_rank : s->rhs_rank;
    int64_t y[4] = {0}, n = s->rhs[s->rhs_rank - 1];
    for (int32_t i = 0; i < rank; i++) {
        int32_t l = i - (rank - s->lhs_rank), r = i - (rank - s->rhs_rank);
        y[i] = l >= 0 && s->lhs[l] != 1 ? s->lhs[l] : r >= 0 && i < rank - 2 ? s->rhs[r] : 1;
    }
    y[rank - 1] = n;
    agate_text_add(text, "graph @case(%%x: ");
    add_gemm_type(text, s->lhs, s->lhs_rank, 0);
    agate_text_add(text, ", %%w: ");
    add_gemm_type(text, s->rhs, s->rhs_rank, s->packed ? s->tiles.v * s->tiles.oc : 0);
    if (s->epilogue) {
        agate_text_add(text, ", %%b: ");
        add_type(text, &n, 1, false, AGATE_LAYOUT_plain, 0);
    }
    agate_text_add(text, ") -> ");
    add_gemm_type(text, y, rank, 0);
    agate_text_add(text, " {\n  %%0 = kernel(%%x, %%w%s) ", s->epilogue ? ", %b" : "");
    add_tiles(text, "gemm", &s->tiles);
    agate_text_add(text, " {\n    %%a = matmul $0, $1 : ");
    add_gemm_type(text, y, rank, 0);
    if (s->epilogue) {
        agate_text_add(text, "\n    %%c = add %%a, $2 : ");
        add_gemm_type(text, y, rank, 0);
    }
    agate_text_add(text, "\n    yield %s\n  } : ", s->epilogue ? "%c" : "%a");
    add_gemm_type(text, y, rank, 0);
    agate_text_add(text, " at output[0]\n  return %%0\n}\n");
}

static gemm_shape random_gemm(const agate_machine *machine, uint32_t *seed)
{
    gemm_shape s = {.tiles = {.v = agate_machine_lanes(machine)}, .batch = case_range(seed, 1, 9)};
    int64_t m = case_range(seed, 1, 40), k = case_range(seed, 1, 60), n = case_range(seed, 1, 150);
    s.packed = case_range(seed, 0, 1);
    s.epilogue = case_range(seed, 0, 1);
    s.tiles.oc = (int32_t)case_range(seed, 1, 4);
    s.tiles.ow = (int32_t)case_range(seed, 1, 7);
    s.tiles.ic = (int32_t)case_range(seed, 0, 5);
    s.tiles.kc = (int32_t)case_range(seed, 0, 2) * 10;
    s.tiles.oh = (int32_t)case_range(seed, 0, 3);
    s.tiles.ocs = (int32_t)case_range(seed, 0, 2);
    switch (case_range(seed, 0, 4)) {
    case 0: /* rows follow the batch */
        s.lhs_rank = 2;
        s.lhs[1] = k;
        break;
    case 1: /* fixed rows */
        s.lhs_rank = 2;
        memcpy(s.lhs, (int64_t[]){m, k}, sizeof(int64_t[2]));
        break;
    case 2: /* a batch of rows, one right-hand side */
        s.lhs_rank = 3;
        memcpy(s.lhs, (int64_t[]){0, m, k}, sizeof(int64_t[3]));
        break;
    case 3: /* a batch on both sides */
        s.lhs_rank = 4;
        memcpy(s.lhs, (int64_t[]){0, 2, m, k}, sizeof(int64_t[4]));
        s.rhs_rank = 4;
        memcpy(s.rhs, (int64_t[]){0, 2, k, n}, sizeof(int64_t[4]));
        break;
    default: /* broadcast matrices */
        s.lhs_rank = 2;
        memcpy(s.lhs, (int64_t[]){m, k}, sizeof(int64_t[2]));
        s.rhs_rank = 3;
        memcpy(s.rhs, (int64_t[]){3, k, n}, sizeof(int64_t[3]));
        break;
    }
    if (!s.rhs_rank) {
        s.rhs_rank = 2;
        memcpy(s.rhs, (int64_t[]){k, n}, sizeof(int64_t[2]));
    }
    return s;
}

START_TEST(random_products)
{
    agate_machine machine = agate_machine_get(_i);
    if (!machine_is_tested(&machine))
        return;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        uint32_t state = seed * 104729;
        gemm_shape s = random_gemm(&machine, &state);
        agate_text text = {0};
        gemm_text(&s, &text);
        case_verify(agate_text_c(&text), &machine, s.batch, seed, s.lhs[s.lhs_rank - 1] + 1);
        agate_text_deinit(&text);
    }
}
END_TEST

/* A row gives the same bits whatever rows it stands among. */
START_TEST(rows_do_not_show)
{
    agate_machine machine = agate_machine_get(_i);
    gemm_shape s = {.lhs_rank = 2,
                    .lhs = {0, 70},
                    .rhs_rank = 2,
                    .rhs = {70, 50},
                    .packed = true,
                    .tiles = {.v = agate_machine_lanes(&machine), .oc = 2, .ow = 6, .ic = 4, .ocs = 1}};
    agate_text text = {0};
    if (!machine_is_tested(&machine))
        return;
    gemm_text(&s, &text);
    kernel_case all = case_open(agate_text_c(&text), &machine, 17, 3);
    case_run(&all, 0, all.tasks);
    float *among = case_result(&all, 0);
    for (int64_t rows = 1; rows <= 8; rows++) {
        kernel_case some = case_open(agate_text_c(&text), &machine, rows, 3);
        memcpy(some.buffers[0], all.buffers[0], case_size(&some.types[0]));
        memcpy(some.buffers[1], all.buffers[1], case_size(&some.types[1]));
        case_run(&some, 0, some.tasks);
        float *alone = case_result(&some, 0);
        ck_assert(memcmp(alone, among, (size_t)rows * 50 * 4) == 0);
        free(alone);
        case_close(&some);
    }
    free(among);
    case_close(&all);
    agate_text_deinit(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("matmul");
    TCase *tcase = tcase_create("matmul");
    int machines = agate_machine_count();

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, random_products, 0, machines);
    tcase_add_loop_test(tcase, rows_do_not_show, 0, machines);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
