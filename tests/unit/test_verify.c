/* links: ir ref base */
/* test_verify.c: graphs that no text can spell, which the verifier must still see through; and the text
 * interface's edges. */

#include "ir/text.h"
#include "ir/verify.h"
#include "tests/suite.h"

static const char two_nodes[] = "graph @g(%x: f32[N,4]) -> f32[N,4] {\n"
                                "  %0 = relu %x : f32[N,4]\n"
                                "  %1 = add %0, %0 : f32[N,4]\n"
                                "  return %1\n"
                                "}\n";

static agate_graph *parse(const char *text)
{
    agate_graph *graph = NULL;
    agate_status status = agate_parse(text, strlen(text), &graph);
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
    return graph;
}

/* Expects that the graph has faults and that they tell of `message`; releases it. */
static void check_fault(agate_graph *graph, const char *message)
{
    agate_status status = agate_verify_status(graph);
    ck_assert(status != AGATE_OK);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INTERNAL);
    ck_assert_msg(strstr(agate_status_message(status), message) != NULL, "%s", agate_status_message(status));
    agate_status_release(status);
    agate_graph_release(graph);
}

/* ---- order and uses ------------------------------------------------------------------------------------ */

START_TEST(use_before_definition)
{
    agate_graph *graph = parse(two_nodes);
    agate_node_move_before(graph->first, graph->last);
    check_fault(graph, "operand 0 is not defined above");
}
END_TEST

START_TEST(value_of_another_graph)
{
    agate_graph *graph = parse(two_nodes), *other = parse(two_nodes);
    graph->last->operands[0] = &other->first->results[0];
    check_fault(graph, "return %?: operand 0 is not defined above in the same graph");
    agate_graph_release(other);
}
END_TEST

START_TEST(missing_operand)
{
    agate_graph *graph = parse(two_nodes);
    agate_value *none = NULL;
    agate_node *node = agate_node_create(graph, graph->last, AGATE_OP_return, NULL, 0, 0);
    node->operands = &none;
    node->operand_count = 1;
    check_fault(graph, "operand 0 is missing");
}
END_TEST

START_TEST(forgotten_use)
{
    agate_graph *graph = parse(two_nodes);
    graph->first->results[0].use_count--;
    check_fault(graph, "value 0 counts 1 uses and has 2");
}
END_TEST

START_TEST(use_listed_twice)
{
    agate_graph *graph = parse(two_nodes);
    graph->first->results[0].uses[1] = graph->first->results[0].uses[0];
    check_fault(graph, "use 1 of value 0 is none, or is listed twice");
}
END_TEST

START_TEST(use_out_of_range)
{
    agate_graph *graph = parse(two_nodes);
    graph->first->results[0].uses[1].index = 7;
    check_fault(graph, "use 1 of value 0 is none");
}
END_TEST

/* ---- nodes --------------------------------------------------------------------------------------------- */

START_TEST(broken_links)
{
    agate_graph *graph = parse(two_nodes);
    graph->last->previous = graph->first;
    check_fault(graph, "the list of nodes is broken here");
    graph = parse(two_nodes);
    graph->last = graph->first;
    check_fault(graph, "the list of nodes ends elsewhere");
}
END_TEST

START_TEST(result_of_another_node)
{
    agate_graph *graph = parse(two_nodes);
    graph->first->results[0].index = 3;
    check_fault(graph, "value 0 belongs to another place");
}
END_TEST

START_TEST(too_many_results)
{
    agate_graph *graph = parse(two_nodes);
    agate_node_create(graph, graph->last, AGATE_OP_relu, &graph->params[0], 1, 2);
    check_fault(graph, "relu cannot have 2 results");
}
END_TEST

START_TEST(untyped_result)
{
    agate_graph *graph = parse(two_nodes);
    agate_node_create(graph, graph->last, AGATE_OP_relu, &graph->params[0], 1, 1);
    check_fault(graph, "a value has no type");
}
END_TEST

START_TEST(unfilled_attributes)
{
    agate_graph *graph = parse("graph @g(%x: f32[1,1,4], %w: f32[1,1,1]) -> f32[1,1,4] {\n"
                               "  %0 = conv %x, %w : f32[1,1,4]\n"
                               "  return %0\n"
                               "}\n");
    graph->first->attrs.conv.strides.count = 0;
    check_fault(graph, "attribute lists are not filled in");
}
END_TEST

START_TEST(parts_of_other_ops)
{
    agate_graph *graph = parse(two_nodes);
    graph->first->label = "w";
    graph->first->body = agate_graph_create_body(graph);
    check_fault(graph, "kernels, and nothing else, have a body");

    graph = parse("graph @g() -> f32[1] {\n  %0 = const [1] : f32[1]\n  return %0\n}\n");
    graph->first->results[0].type.dims[0] = agate_dim_fixed(2);
    check_fault(graph, "contents have 4 bytes, the type 8");
}
END_TEST

START_TEST(strategy_out_of_range)
{
    agate_graph *graph = parse("graph @g(%x: f32[4]) -> f32[4] {\n"
                               "  %0 = kernel(%x) nest<v=8> {\n"
                               "    %a = relu $0 : f32[4]\n"
                               "    yield %a\n"
                               "  } : f32[4]\n"
                               "  return %0\n"
                               "}\n");
    graph->first->strategy = AGATE_STRATEGY_none;
    agate_status status = agate_verify_status(graph);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "tile v is 8 without a strategy"));
    agate_status_release(status);
    graph->first->strategy = (agate_strategy)99;
    ck_assert_uint_eq(agate_verify(graph, NULL, NULL), 1);
    agate_graph_release(graph);
}
END_TEST

START_TEST(many_faults)
{
    agate_graph *graph = parse(two_nodes);
    for (int i = 0; i < 30; i++)
        agate_node_create(graph, graph->last, AGATE_OP_relu, NULL, 0, 1);
    check_fault(graph, "and 40 more faults");
}
END_TEST

/* ---- text ---------------------------------------------------------------------------------------------- */

START_TEST(one_node_as_text)
{
    agate_graph *graph = parse(two_nodes);
    agate_text text = {0};
    agate_print_node(graph->first->next, &text);
    ck_assert_str_eq(agate_text_c(&text), "%1 = add %0, %0 : f32[N,4]");
    agate_text_deinit(&text);
    agate_graph_release(graph);
}
END_TEST

START_TEST(signature_without_names)
{
    agate_graph *graph = parse("graph @g(%x: f32[N,4]) -> f32[N,4] {\n"
                               "  %y = kernel(%x) pointwise<v=8> {\n"
                               "    %z = relu $0 : f32[N,4] from \"relu1\"\n"
                               "    yield %z\n"
                               "  } : f32[N,4] at output[0] from \"relu1\"\n"
                               "  return %y\n"
                               "}\n");
    agate_text text = {0};
    agate_print_signature(graph->first, &text);
    ck_assert_str_eq(agate_text_c(&text), "kernel(f32[N,4]) pointwise<v=8> {\n"
                                          "  %a = relu $0 : f32[N,4]\n"
                                          "  yield %a\n"
                                          "} : f32[N,4]");
    agate_text_deinit(&text);
    agate_graph_release(graph);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
    static const char zero[] = "graph @g() -> () {\0 return }";
    agate_graph *graph;
    agate_status status = agate_parse(zero, sizeof zero - 1, &graph);
    ck_assert_str_eq(agate_status_message(status), "1:19: expected an op, or '}', found byte 0x00");
    agate_status_release(status);
    status = agate_parse(NULL, 0, &graph);
    ck_assert_str_eq(agate_status_message(status), "1:1: expected 'graph', found the end of the text");
    agate_status_release(status);
}
END_TEST

/* A value with many names equal to others still prints text that parses. */
START_TEST(equal_names)
{
    agate_graph *graph = parse(two_nodes);
    agate_text text = {0};
    graph->first->results[0].name = graph->first->next->results[0].name = graph->params[0]->name;
    agate_print(graph, NULL, &text);
    ck_assert_str_eq(agate_text_c(&text), two_nodes);
    agate_text_deinit(&text);
    agate_graph_release(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *cases = tcase_create("verify");
    tcase_add_test(cases, use_before_definition);
    tcase_add_test(cases, value_of_another_graph);
    tcase_add_test(cases, missing_operand);
    tcase_add_test(cases, forgotten_use);
    tcase_add_test(cases, use_listed_twice);
    tcase_add_test(cases, use_out_of_range);
    tcase_add_test(cases, broken_links);
    tcase_add_test(cases, result_of_another_node);
    tcase_add_test(cases, too_many_results);
    tcase_add_test(cases, untyped_result);
    tcase_add_test(cases, unfilled_attributes);
    tcase_add_test(cases, parts_of_other_ops);
    tcase_add_test(cases, strategy_out_of_range);
    tcase_add_test(cases, many_faults);
    tcase_add_test(cases, one_node_as_text);
    tcase_add_test(cases, signature_without_names);
    tcase_add_test(cases, bytes_that_are_no_text);
    tcase_add_test(cases, equal_names);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
