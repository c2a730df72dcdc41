/* links: ir */
/* test_cost.c: what nodes cost: multiply-adds, and the instructions and divisions of scalar ops beside
 * them. */
#include <stdio.h>

#include "ir/cost.h"
#include "ir/text.h"
#include "tests/suite.h"

/* Of the node whose result is returned, with two rows. */
static void check_on(const char *isa, const char *body, int64_t flops, int64_t instructions,
                     int64_t divisions)
{
    char text[512];
    agate_graph *graph;

    snprintf(text, sizeof text, "graph @g(%%x: f32[N,4,6,6]) -> f32[N,4,6,6] {\n%s  return %%y\n}\n", body);
    agate_status status = agate_parse(text, strlen(text), &graph);
    ck_assert_msg(status == AGATE_OK, "%s", status == AGATE_OK ? "" : agate_status_message(status));
    const agate_node *node = graph->last->operands[0]->node;
    const agate_machine machine = agate_machine_get(agate_machine_find(isa));
    const agate_scalar_work work = agate_node_scalar_work(node, &machine);
    ck_assert_int_eq(agate_dim_at(agate_node_flops(node), 2), flops);
    ck_assert_int_eq(agate_dim_at(work.instructions, 2), instructions);
    ck_assert_int_eq(agate_dim_at(work.divisions, 2), divisions);
    agate_graph_release(graph);
}

static void check(const char *body, int64_t flops, int64_t instructions, int64_t divisions)
{
    check_on("avx512", body, flops, instructions, divisions);
}

#define ELEMENTS INT64_C(288)
#define TYPE     " : f32[N,4,6,6]\n"

START_TEST(scalar_ops_cost_what_they_are_made_of)
{
    check("  %y = relu %x" TYPE, 0, ELEMENTS, 0);
    check("  %y = exp %x" TYPE, 0, 12 * ELEMENTS, 0);
    check_on("avx2", "  %y = exp %x" TYPE, 0, 21 * ELEMENTS, 0);
    check("  %y = sqrt %x" TYPE, 0, 0, ELEMENTS);
    check("  %y = silu %x" TYPE, 0, (12 + 2) * ELEMENTS, ELEMENTS);
    check("  %y = div %x, %x" TYPE, 0, 0, ELEMENTS);
    check("  %y = softmax %x axis=3" TYPE, 0, (12 + 4) * ELEMENTS, 0);
}
END_TEST

START_TEST(multiply_adds_are_counted_apart)
{
    check("  %y = avg_pool %x kernel=[3, 3] pads=[1, 1, 1, 1]" TYPE, 9 * ELEMENTS, 0, 0);
    check("  %y = transpose %x perm=[0, 1, 3, 2]" TYPE, 0, 0, 0);
}
END_TEST

START_TEST(kernels_cost_what_their_bodies_do)
{
    check("  %y = kernel(%x) {\n"
          "    %0 = reduce_mean $0 axes=[2, 3] : f32[N,4,1,1]\n"
          "    %1 = sigmoid %0 : f32[N,4,1,1]\n"
          "    %2 = mul $0, %1" TYPE "    yield %2\n  }" TYPE,
          0, 2 * ELEMENTS + 8 * 14, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost");
    TCase *tests = tcase_create("cost");
    tcase_add_test(tests, scalar_ops_cost_what_they_are_made_of);
    tcase_add_test(tests, multiply_adds_are_counted_apart);
    tcase_add_test(tests, kernels_cost_what_their_bodies_do);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
