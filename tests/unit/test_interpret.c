/* links: ir ref base */
/* test_interpret.c: graphs with kernels, blocked weights and a batch, run by the reference kernels. */
#include <stdlib.h>

#include "ir/interpret.h"
#include "ir/reorder.h"
#include "tests/suite.h"

static agate_type f32(int32_t rank, const agate_dim *dims)
{
    return agate_type_make(AGATE_F32, rank, dims);
}

/* %w = weight [2,2,1,1] stored blocked by 4; %k = kernel(%x, %w) { conv, relu }; return %k, %x */
static agate_graph *example(bool with_data)
{
    static const float weights[] = {1, 10, -1, 2};
    agate_graph *graph = agate_graph_create("main");
    agate_dim x_dims[] = {{1, 0}, {0, 2}, {0, 1}, {0, 2}}, w_dims[] = {{0, 2}, {0, 2}, {0, 1}, {0, 1}};
    agate_type x_type = f32(4, x_dims), w_type = f32(4, w_dims), blocked = w_type;
    agate_value *x = agate_graph_add_param(graph, "x", &x_type), *w, *inside[2], *conv, *relu, *results[2];
    agate_data *plain = agate_data_create(sizeof weights);
    agate_node *kernel;

    memcpy((void *)plain->bytes, weights, sizeof weights);
    blocked.layout = (agate_layout){.kind = AGATE_LAYOUT_oi, .block = 4};
    w = agate_build_constant(graph, NULL, &blocked,
                             with_data ? agate_data_reorder(plain, &w_type, &blocked) : NULL, "w");
    agate_data_release(plain);
    kernel = agate_node_create(graph, NULL, AGATE_OP_kernel, (agate_value *[]){x, w}, 2, 1);
    kernel->body = agate_graph_create_body(graph);
    inside[0] = agate_graph_add_param(kernel->body, NULL, &x_type);
    inside[1] = agate_graph_add_param(kernel->body, NULL, &w_type);
    conv = agate_build(kernel->body, NULL, AGATE_OP_conv, NULL, inside, 2);
    relu = agate_build(kernel->body, NULL, AGATE_OP_relu, NULL, &conv, 1);
    agate_node_create(kernel->body, NULL, AGATE_OP_yield, &relu, 1, 0);
    results[0] = agate_result(kernel);
    results[0]->type = x_type;
    results[1] = x;
    agate_node_create(graph, NULL, AGATE_OP_return, results, 2, 0);
    return graph;
}

START_TEST(kernel_with_blocked_weight_at_two_batches)
{
    agate_graph *graph = example(true);

    for (int64_t batch = 1; batch <= 2; batch++) {
        float data[] = {1, 2, 3, 4, 0, -1, 1, 0};
        static const float want[] = {31, 42, 5, 6, 10, 0, 2, 1};
        agate_tensor x = {AGATE_F32, 4, {batch, 2, 1, 2}, data, (size_t)batch * 16}, out[2];
        int64_t found = 0;
        agate_status status = agate_graph_batch(graph, &x, 1, &found);

        ck_assert(status == AGATE_OK);
        ck_assert_int_eq(found, batch);
        status = agate_interpret(graph, &x, 1, out, 2, batch);
        ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
        ck_assert_int_eq(out[0].dims[0], batch);
        ck_assert_mem_eq(out[0].data, want, (size_t)batch * 16);
        ck_assert_mem_eq(out[1].data, data, (size_t)batch * 16);
        agate_interpret_free(out, 2);
    }
    agate_graph_release(graph);
}
END_TEST

START_TEST(errors)
{
    agate_graph *graph = example(false);
    float data[8] = {0};
    agate_tensor x = {AGATE_F32, 4, {1, 2, 1, 2}, data, 16}, bad = x, out[2];
    agate_status status = agate_interpret(graph, &x, 1, out, 2, 1);

    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "\"w\""));
    agate_status_release(status);
    bad.dims[1] = 3;
    status = agate_interpret(graph, &bad, 1, out, 2, 1);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "f32[N,2,1,2]"));
    agate_status_release(status);
    status = agate_interpret(graph, &x, 1, out, 2, 2);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
    agate_status_release(status);
    agate_graph_release(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interpret");
    TCase *tests = tcase_create("interpret");

    tcase_add_test(tests, kernel_with_blocked_weight_at_two_batches);
    tcase_add_test(tests, errors);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
