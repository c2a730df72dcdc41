/* links: backend runtime ir ref base */
/* test_backend.c: whole graphs: one unit for equal kernels, views, library steps, copies, progress, errors,
 * text. */
#include <stdlib.h>

#include "backend/backend.h"
#include "ir/interpret.h"
#include "ir/text.h"
#include "runtime/model.h"
#include "tests/suite.h"

static void must(agate_status status)
{
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

static agate_graph *parse(const char *text)
{
    agate_graph *graph;

    must(agate_parse(text, strlen(text), &graph));
    return graph;
}

/* %0 and %2 are equal kernels, %1 a view, %3 a call of the library; %3 is returned twice, %x passed
 * through. */
static const char *const several =
    "graph @t(%x: f32[N,4,6], %i: i64[2]) -> (a: f32[N,2,24], b: f32[N,2,24], c: f32[N,4,6], d: f32[2]) {\n"
    "  %k = const [1.5, -2] : f32[2]\n"
    "  %0 = kernel(%x) pointwise<v=4> {\n"
    "    %a = relu $0 : f32[N,4,6]\n"
    "    yield %a\n"
    "  } : f32[N,4,6] at slab[64]\n"
    "  %2 = kernel(%0) pointwise<v=4> {\n"
    "    %a = relu $0 : f32[N,4,6]\n"
    "    yield %a\n"
    "  } : f32[N,4,6] at slab[96N+64]\n"
    "  %1 = reshape %2 shape=[N, 24] : f32[N,24]\n"
    "  %4 = reshape %1 shape=[N, 1, 24] : f32[N,1,24]\n"
    "  %3 = kernel(%4, %4) library {\n"
    "    %a = concat $0, $1 axis=1 : f32[N,2,24]\n"
    "    yield %a\n"
    "  } : f32[N,2,24] at output[0]\n"
    "  return %3, %3, %x, %k\n"
    "}\n";

static void count_progress(void *user, size_t done, size_t total)
{
    size_t *seen = user;

    ck_assert_uint_eq(done, *seen + 1);
    ck_assert_uint_eq(total, 1);
    *seen = done;
}

static agate_machine least_machine(void)
{
    return agate_machine_get(0);
}

static void check_structure(const agate_module *module)
{
    ck_assert_uint_eq(module->step_count, 3);
    ck_assert_str_eq(module->steps[0].symbol, module->steps[1].symbol);
    ck_assert_ptr_eq((void *)(uintptr_t)module->steps[0].kernel, (void *)(uintptr_t)module->steps[1].kernel);
    ck_assert_str_eq(module->steps[0].label, "pointwise<v=4>");
    ck_assert_ptr_null((void *)(uintptr_t)module->steps[2].kernel);
    ck_assert_ptr_nonnull((void *)(uintptr_t)module->steps[2].library);
    ck_assert_uint_eq(module->copy_count, 3);
    ck_assert_int_eq(module->copies[0].from.storage, AGATE_STORAGE_OUTPUT);
    ck_assert_int_eq(module->copies[1].from.storage, AGATE_STORAGE_INPUT);
    ck_assert_int_eq(module->copies[2].from.storage, AGATE_STORAGE_CONSTANT);
    ck_assert_int_eq(module->slab_size_bytes.offset, 64);
    ck_assert_int_eq(module->slab_size_bytes.scale, 192);
    ck_assert_str_eq(module->outputs[3].name, "d");

    /* The library reads the second kernel's memory through both views. */
    const agate_module_arg *arg = &module->args[module->steps[2].first_arg];
    ck_assert_int_eq(arg->storage, AGATE_STORAGE_SLAB);
    ck_assert_int_eq(arg->offset.scale, 96);
    ck_assert_int_eq(arg->type.rank, 3);
}

static void check_run(agate_model *model, const agate_graph *graph, int64_t batch)
{
    float x[3 * 24], results[4][3 * 48];
    int64_t indices[2] = {0, 1};
    agate_tensor inputs[2] = {{AGATE_F32, 3, {batch, 4, 6}, x, (size_t)batch * 96},
                              {AGATE_I64, 1, {2}, indices, sizeof indices}};
    agate_tensor outputs[4], want[4];
    agate_session *session;

    for (int32_t i = 0; i < 3 * 24; i++)
        x[i] = (float)(i % 7 - 3);
    for (int32_t i = 0; i < 4; i++)
        outputs[i] = (agate_tensor){.data = results[i], .size_bytes = sizeof results[i]};
    must(agate_interpret(graph, inputs, 2, want, 4, batch));
    must(agate_session_create(model, NULL, &session));
    must(agate_session_run(session, inputs, 2, outputs, 4));
    for (int32_t i = 0; i < 4; i++)
        ck_assert_mem_eq(outputs[i].data, want[i].data, want[i].size_bytes);
    agate_session_release(session);
    agate_interpret_free(want, 4);
}

START_TEST(a_graph_runs)
{
    agate_graph *graph = parse(several);
    agate_machine machine = least_machine();
    size_t seen = 0;
    agate_codegen_options options = {
        .machine = &machine, .threads = 3, .progress = count_progress, .progress_user = &seen};
    const agate_module *module;
    void *owner;
    agate_model *model;

    must(agate_backend_compile(graph, &options, &module, &owner));
    ck_assert_uint_eq(seen, 1);
    check_structure(module);
    must(agate_model_create(module, agate_backend_release, owner, &model));
    for (int64_t batch = 1; batch <= 3; batch++)
        check_run(model, graph, batch);
    agate_model_release(model);
    agate_graph_release(graph);
}
END_TEST

static const char *const among_others = "graph @t(%x: f32[N,4,4,4]{nchw4c}) -> f32[N,8,4,4]{nchw4c} {\n"
                                        "  %0 = kernel(%x) pointwise<v=4> {\n"
                                        "    %a = relu $0 : f32[N,4,4,4]{nchw4c}\n"
                                        "    yield %a\n"
                                        "  } : f32[N,4,4,4]{nchw4c of 8} at slab[0]\n"
                                        "  %1 = kernel(%x) pointwise<v=4> {\n"
                                        "    %a = neg $0 : f32[N,4,4,4]{nchw4c}\n"
                                        "    yield %a\n"
                                        "  } : f32[N,4,4,4]{nchw4c of 8} at slab[256]\n"
                                        "  %2 = join %0, %1 axis=1 : f32[N,8,4,4]{nchw4c} at slab[0]\n"
                                        "  %3 = kernel(%2) pointwise<v=4> {\n"
                                        "    %a = relu $0 : f32[N,8,4,4]{nchw4c}\n"
                                        "    yield %a\n"
                                        "  } : f32[N,8,4,4]{nchw4c} at output[0]\n"
                                        "  return %3\n"
                                        "}\n";

/* Images among others' channels reach farther than their own elements fill. */
START_TEST(what_a_kernel_reaches_ends_in_the_slab)
{
    agate_graph *graph = parse(among_others);
    agate_machine machine = least_machine();
    agate_codegen_options options = {.machine = &machine};
    const agate_module *module;
    void *owner;

    must(agate_backend_compile(graph, &options, &module, &owner));
    must(agate_module_check(module, AGATE_CODE_INVALID_MODEL));
    agate_module edited = *module;
    agate_module_arg args[8];
    ck_assert_uint_le(module->arg_count, AGATE_COUNT(args));
    memcpy(args, module->args, module->arg_count * sizeof *args);
    edited.args = args;
    agate_module_arg *second = &args[module->steps[1].first_arg + 1];
    ck_assert_int_eq(second->offset.offset, 256);
    ck_assert_int_eq(module->slab_size_bytes.scale, 512);
    second->offset = (agate_dim){256, 0}; /* the second half, if images followed each other */
    agate_status status = agate_module_check(&edited, AGATE_CODE_INVALID_MODEL);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
    ck_assert_str_eq(agate_status_message(status), "argument 3 of the compiled module is damaged");
    agate_status_release(status);
    agate_backend_release(owner);
    agate_graph_release(graph);
}
END_TEST

/* Compiling `text` fails with `code`, and the message holds `part`. */
static void check_refused(const char *text, agate_code code, const char *part)
{
    agate_graph *graph = parse(text);
    agate_machine machine = least_machine();
    agate_codegen_options options = {.machine = &machine};
    const agate_module *module;
    void *owner;
    agate_status status = agate_backend_compile(graph, &options, &module, &owner);

    ck_assert_int_eq(agate_status_code(status), code);
    ck_assert_msg(strstr(agate_status_message(status), part) != NULL, "%s", agate_status_message(status));
    agate_status_release(status);
    agate_graph_release(graph);
}

START_TEST(errors)
{
    check_refused("graph @t(%x: f32[4]) -> f32[4] {\n"
                  "  %w = weight \"conv.w\" : f32[4]\n"
                  "  %0 = kernel(%x, %w) pointwise<v=4> {\n"
                  "    %a = add $0, $1 : f32[4]\n"
                  "    yield %a\n"
                  "  } : f32[4] at output[0]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_NOT_FOUND, "conv.w");
    check_refused("graph @t(%x: f32[4]) -> f32[4] {\n"
                  "  %0 = relu %x : f32[4]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "outside of a kernel");
    check_refused("graph @t(%x: f32[4]) -> f32[4] {\n"
                  "  %0 = kernel(%x) {\n"
                  "    %a = relu $0 : f32[4]\n"
                  "    yield %a\n"
                  "  } : f32[4]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "not scheduled");
    check_refused("graph @t(%x: f32[4]) -> f32[4] {\n"
                  "  %0 = kernel(%x) pointwise {\n"
                  "    %a = relu $0 : f32[4]\n"
                  "    yield %a\n"
                  "  } : f32[4]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "no place");
    check_refused("graph @t(%x: f32[4]) -> f32[4] {\n"
                  "  %0 = kernel(%x) softmax<v=4> {\n"
                  "    %a = relu $0 : f32[4]\n"
                  "    yield %a\n"
                  "  } : f32[4] at output[0]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "no op of the kind");
    check_refused("graph @t(%x: f32[4], %y: f32[2, 4]) -> (f32[4], f32[2, 4]) {\n"
                  "  %0, %1 = kernel(%x, %y) pointwise<v=4> {\n"
                  "    %a = relu $0 : f32[4]\n"
                  "    %b = relu $1 : f32[2, 4]\n"
                  "    yield %a, %b\n"
                  "  } : f32[4] at output[0], f32[2, 4] at output[1]\n"
                  "  return %0, %1\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "differ in shape");
}
END_TEST

START_TEST(convolutions_that_are_not_what_their_tiles_say)
{
    check_refused("graph @t(%x: f32[N,4,3,3]{nchw4c}, %w: f32[8,4,1,1]{oihw4i4o}) -> f32[N,4,3,3]{nchw4c} {\n"
                  "  %0 = kernel(%x, %w) direct_conv<v=4> {\n"
                  "    %a = conv $0, $1 : f32[N,8,3,3]{nchw4c}\n"
                  "    %b = slice %a starts=[0, 4, 0, 0] shape=[N, 4, 3, 3] : f32[N,4,3,3]{nchw4c}\n"
                  "    yield %b\n"
                  "  } : f32[N,4,3,3]{nchw4c} at output[0]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "in other ways than into parts");
    check_refused("graph @t(%x: bf16[N,32,3,3]{nchw32c}, %w: bf16[32,32,1,1]{oihw16i32o2i})"
                  " -> f32[N,32,3,3]{nchw32c} {\n"
                  "  %0 = kernel(%x, %w) amx_conv<v=16, oc=2, ow=32, dp=1, products=3> {\n"
                  "    %a = cast $0 to=f32 : f32[N,32,3,3]{nchw32c}\n"
                  "    %b = cast $1 to=f32 : f32[32,32,1,1]{oihw16i32o2i}\n"
                  "    %c = conv %a, %b : f32[N,32,3,3]{nchw32c}\n"
                  "    yield %c\n"
                  "  } : f32[N,32,3,3]{nchw32c} at output[0]\n"
                  "  return %0\n"
                  "}\n",
                  AGATE_CODE_INTERNAL, "tile products");
}
END_TEST

START_TEST(code_as_text)
{
    agate_graph *graph = parse(several);
    agate_machine machine = least_machine();
    agate_codegen_options options = {.machine = &machine};
    agate_text llvm = {0}, assembly = {0};

    must(agate_backend_print(graph, &options, AGATE_CODE_LLVM, &llvm));
    must(agate_backend_print(graph, &options, AGATE_CODE_ASM, &assembly));
    ck_assert_ptr_nonnull(strstr(agate_text_c(&llvm), "; kernel(f32[N,4,6]) pointwise<v=4> {"));
    ck_assert_ptr_nonnull(strstr(agate_text_c(&llvm), "define void @pointwise_"));
    ck_assert_ptr_nonnull(strstr(agate_text_c(&assembly), "# kernel("));
    ck_assert_ptr_nonnull(strstr(agate_text_c(&assembly), "maxps"));
    agate_text_deinit(&llvm);
    agate_text_deinit(&assembly);
    agate_graph_release(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backend");
    TCase *tcase = tcase_create("graphs");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_graph_runs);
    tcase_add_test(tcase, what_a_kernel_reaches_ends_in_the_slab);
    tcase_add_test(tcase, errors);
    tcase_add_test(tcase, convolutions_that_are_not_what_their_tiles_say);
    tcase_add_test(tcase, code_as_text);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
