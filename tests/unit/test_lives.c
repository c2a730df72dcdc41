/* links: backend passes runtime ir ref base */
/* test_lives.c: until which step the memory of values is read, where views and joins share it. */
#include "backend/lives.h"
#include "ir/by_rows.h"
#include "ir/text.h"
#include "tests/suite.h"

/* Step 0 and 1 write halves of %2, step 2 reads one of them, step 3 the whole; nobody reads what step 4 has
 * made but the caller. */
static const char joined[] = "graph @t(%x: f32[N,8,2,2]{nchw8c}) -> (f32[N,16,2,2]{nchw8c}, f32[N,32]) {\n"
                             "  %0 = kernel(%x) {\n"
                             "    %a = relu $0 : f32[N,8,2,2]{nchw8c}\n"
                             "    yield %a\n"
                             "  } : f32[N,8,2,2]{nchw8c of 16} at slab[0]\n"
                             "  %1 = kernel(%x) {\n"
                             "    %a = neg $0 : f32[N,8,2,2]{nchw8c}\n"
                             "    yield %a\n"
                             "  } : f32[N,8,2,2]{nchw8c of 16} at slab[128]\n"
                             "  %2 = join %0, %1 axis=1 : f32[N,16,2,2]{nchw8c} at slab[0]\n"
                             "  %3 = part %2 starts=[0, 8, 0, 0] shape=[N, 8, 2, 2] : f32[N,8,2,2]{nchw8c "
                             "of 16} at slab[128]\n"
                             "  %4 = kernel(%3) {\n"
                             "    %a = abs $0 : f32[N,8,2,2]{nchw8c}\n"
                             "    yield %a\n"
                             "  } : f32[N,8,2,2]{nchw8c} at slab[256N]\n"
                             "  %5 = kernel(%2) {\n"
                             "    %a = relu $0 : f32[N,16,2,2]{nchw8c}\n"
                             "    yield %a\n"
                             "  } : f32[N,16,2,2]{nchw8c} at output[0]\n"
                             "  %6 = kernel(%4) {\n"
                             "    %a = reorder $0 : f32[N,8,2,2]\n"
                             "    yield %a\n"
                             "  } : f32[N,8,2,2] at output[1]\n"
                             "  %7 = reshape %6 shape=[N, 32] : f32[N,32]\n"
                             "  return %5, %7\n}\n";

START_TEST(views_and_joins_have_one_life)
{
    static const uint32_t last[] = {3, 3, 3, 3, 4, 3, 4, 4}; /* of %0 to %7 */
    agate_arena *arena = agate_arena_create();
    agate_lives lives;
    agate_graph *graph;
    size_t count = 0;

    ck_assert_ptr_null(agate_parse(joined, strlen(joined), &graph));
    agate_lives_init(&lives, graph, arena);
    AGATE_EACH_NODE (node, graph)
        if (node->result_count > 0) {
            ck_assert_uint_lt(count, AGATE_COUNT(last));
            ck_assert_uint_eq(agate_lives_last(&lives, &node->results[0]), last[count]);
            count++;
        }
    ck_assert_uint_eq(count, AGATE_COUNT(last));
    ck_assert_uint_eq(agate_lives_last(&lives, graph->params[0]), 0);
    ck_assert_uint_eq(agate_graph_kernels_by_rows(graph), 5);
    agate_graph_release(graph);
    agate_arena_release(arena);
}
END_TEST

/* Kernels in front of the first that needs other rows, or writes none. */
START_TEST(kernels_by_rows_are_counted_from_the_front)
{
    static const char text[] = "graph @t(%%x: f32[N,8], %%s: f32[8]) -> (f32[N,8], f32[8], f32[1,8]) {\n"
                               "  %%0 = kernel(%%x, %%s) {\n"
                               "    %%a = add $0, $1 : f32[N,8]\n"
                               "    yield %%a\n"
                               "  } : f32[N,8]\n%s%s"
                               "  return %%0, %s, %s\n}\n";
    static const char shared[] =
        "  %1 = kernel(%s) {\n    %a = abs $0 : f32[8]\n    yield %a\n  } : f32[8]\n";
    static const char across[] = "  %2 = kernel(%0) {\n    %a = reduce_sum $0 axes=[0] : f32[1,8]\n"
                                 "    yield %a\n  } : f32[1,8]\n";

    for (int first = 0; first < 2; first++) {
        agate_text graph_text = {0};
        agate_graph *graph;
        agate_text_add(&graph_text, text, first ? shared : across, first ? across : shared, "%1", "%2");
        ck_assert_ptr_null(agate_parse(agate_text_c(&graph_text), graph_text.size_bytes, &graph));
        ck_assert_uint_eq(agate_graph_kernels_by_rows(graph), 1);
        ck_assert(!agate_graph_is_by_rows(graph));
        agate_graph_release(graph);
        agate_text_deinit(&graph_text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lives");
    TCase *tcase = tcase_create("lives");

    tcase_add_test(tcase, views_and_joins_have_one_life);
    tcase_add_test(tcase, kernels_by_rows_are_counted_from_the_front);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
