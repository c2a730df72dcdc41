/* links: driver */
/* test_object.c: which compiled file a path is for the loader: the one that lies there, whatever was loaded
 * from that path before. */
#include "tests/unit/folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tools/compile.h"
#include "tools/driver.h"
#include "tests/suite.h"

/* A compiled file of a model whose input has this name. */
static void compile(const char *input, const char *path)
{
    const agate_driver_options options = {0};
    const agate_machine machine = agate_machine_get(agate_machine_find("sse2"));
    const agate_pass_options passes = {.machine = &machine};
    const agate_compile_to to = {.path = path};
    agate_compilation *compilation;
    agate_graph *graph;
    char text[128];

    snprintf(text, sizeof text,
             "graph @g(%%%s: f32[N,3]) -> f32[N,3] {\n  %%0 = neg %%%s : f32[N,3]\n  return %%0\n}\n", input,
             input);
    write_file(path_of("model.agt"), text, strlen(text));
    ck_assert_ptr_null(agate_driver_read(path_of("model.agt"), &options, &graph));
    ck_assert_ptr_null(agate_passes_run(graph, &passes, AGATE_STAGE_planned));
    ck_assert_ptr_null(agate_compilation_create(&to, &compilation));
    ck_assert_ptr_null(agate_compilation_add(compilation, graph, &machine, NULL, &options.compile));
    agate_status status = agate_compilation_finish(compilation);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    agate_compilation_release(compilation);
    agate_graph_release(graph);
}

/* The model at `path`, whose input must have this name. */
static agate_model *load(const char *path, const char *input)
{
    agate_model *model;
    agate_value_info info;

    agate_status status = agate_model_load_artifact(path, &model);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    ck_assert_ptr_null(agate_model_input_info(model, 0, &info));
    ck_assert_str_eq(info.name, input);
    return model;
}

static void move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(from, to), 0);
}

START_TEST(a_file_in_the_place_of_a_loaded_one_is_found)
{
    agate_model *models[4];
    make_folder();

    compile("before", path_of("model.so"));
    models[0] = load(path_of("model.so"), "before");
    compile("behind", path_of("other.so"));
    move(path_of("other.so"), path_of("model.so"));
    models[1] = load(path_of("model.so"), "behind");
    models[2] = load(path_of("model.so"), "behind");
    compile("last", path_of("model.so"));
    models[3] = load(path_of("model.so"), "last");
    for (size_t i = 0; i < AGATE_COUNT(models); i++)
        agate_model_release(models[i]);
    agate_model_release(load(path_of("model.so"), "last"));
    remove_folder();
}
END_TEST

START_TEST(a_relative_path_is_that_of_the_working_directory)
{
    agate_model *models[2];
    char *before = getcwd(NULL, 0);
    make_folder();

    ck_assert_int_eq(mkdir(path_of("a"), 0700) + mkdir(path_of("b"), 0700), 0);
    compile("a", path_of("a/model.so"));
    compile("b", path_of("b/model.so"));
    ck_assert_int_eq(chdir(path_of("a")), 0);
    models[0] = load("model.so", "a");
    ck_assert_int_eq(chdir(path_of("b")), 0);
    models[1] = load("model.so", "b");
    ck_assert_int_eq(chdir(before), 0);
    agate_model_release(models[0]);
    agate_model_release(models[1]);
    free(before);
    remove_folder();
}
END_TEST

/* The system's loader has other plans for such a name. */
START_TEST(a_path_may_hold_a_dollar_sign)
{
    make_folder();
    ck_assert_int_eq(mkdir(path_of("$LIB"), 0700), 0);
    compile("x", path_of("$LIB/${ORIGIN}.so"));
    agate_model *model = load(path_of("$LIB/${ORIGIN}.so"), "x");
    compile("y", path_of("$LIB/${ORIGIN}.so"));
    agate_model_release(load(path_of("$LIB/${ORIGIN}.so"), "y"));
    agate_model_release(model);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object");
    TCase *tests = tcase_create("object");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_file_in_the_place_of_a_loaded_one_is_found);
    tcase_add_test(tests, a_relative_path_is_that_of_the_working_directory);
    tcase_add_test(tests, a_path_may_hold_a_dollar_sign);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
