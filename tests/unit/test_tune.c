/* links: cli driver passes backend frontend runtime ir ref base */
/* test_tune.c: tables of tiles, ways that change no bit, and what is kept of them. */
#include "tests/unit/folder.h"

#include <unistd.h>

#include "runtime/model.h"
#include "tests/suite.h"
#include "tools/cached.h"
#include "tools/tune.h"

/* ---- text ---------------------------------------------------------------------------------------------- */

START_TEST(tables_print_what_they_parse)
{
    static const char text[] = "0123456789abcdef direct_conv v=16 oc=2 ow=14\n"
                               "00000000000000ff gemm v=8 ahead=64\n";
    agate_tuning tuning = {0};
    agate_text printed = {0};

    ck_assert(agate_tuning_parse(&tuning, text));
    ck_assert_uint_eq(tuning.count, 2);
    const agate_tuning_row *row = agate_tuning_find(&tuning, 0x123456789abcdef);
    ck_assert_ptr_nonnull(row);
    ck_assert_int_eq(row->strategy, AGATE_STRATEGY_direct_conv);
    ck_assert_int_eq(row->tiles.ow, 14);
    ck_assert_ptr_null(agate_tuning_find(&tuning, 1));
    agate_tuning_print(&tuning, &printed);
    ck_assert_str_eq(agate_text_c(&printed), text);
    /* Of two rows for a kernel, the later one. */
    ck_assert(agate_tuning_parse(&tuning, "00000000000000ff gemm v=4\n"));
    ck_assert_uint_eq(tuning.count, 2);
    ck_assert_int_eq(agate_tuning_find(&tuning, 0xff)->tiles.v, 4);
    agate_text_deinit(&printed);
    agate_tuning_deinit(&tuning);
}
END_TEST

START_TEST(other_texts_are_refused)
{
    static const char *const bad[] = {
        "x",
        "0123456789abcdef\n",
        "0123456789abcde direct_conv v=16\n",
        "0123456789abcdef magic v=16\n",
        "0123456789abcdef direct_conv v=16",
        "0123456789abcdef direct_conv v\n",
        "0123456789abcdef direct_conv v=\n",
        "0123456789abcdef direct_conv v=-1\n",
        "0123456789abcdef direct_conv w=1\n",
        "0123456789abcdef direct_conv v=99999999999\n",
        "0123456789abcdef direct_conv v=1 \n",
        "\n",
    };

    for (size_t i = 0; i < AGATE_COUNT(bad); i++) {
        agate_tuning tuning = {0};
        ck_assert_msg(!agate_tuning_parse(&tuning, bad[i]), "taken: %s", bad[i]);
        agate_tuning_deinit(&tuning);
    }
}
END_TEST

/* ---- a model ------------------------------------------------------------------------------------------- */

/* A convolution of each strategy, a pool and a matmul. */
static const char lines[] =
    "opset 13\ninput x f32 N 3 12 12\n"
    "weight stem f32 40 3 3 3\nnode a Conv x stem -> a ; pads=[1,1,1,1]\nnode ra Relu a -> ra\n"
    "weight dense f32 24 40 3 3\nnode b Conv ra dense -> b ; pads=[1,1,1,1]\n"
    "weight deep f32 24 1 3 3\nnode c Conv b deep -> c ; group=24 pads=[1,1,1,1]\n"
    "weight wide f32 24 4 3 3\nnode d Conv c wide -> d ; group=6\n"
    "weight flat f32 32 24 1 1\nnode e Conv d flat -> e\n"
    "node f MaxPool e -> f ; kernel_shape=[3,3] strides=[2,2]\n"
    "node g Flatten f -> g\nweight head f32 512 20\nnode h MatMul g head -> y\noutput y";

static void make_model(void)
{
    make_folder();
    write_model(path_of("model.onnx"), lines);
}

static void count_progress(void *user, size_t done, size_t total)
{
    ck_assert_uint_lt(done, total);
    ck_assert_uint_eq(done, (*(size_t *)user)++);
}

/* Is a kernel of the model of this strategy? */
static bool plans(const agate_driver_options *options, agate_strategy strategy)
{
    agate_machine machine;
    agate_graph *graph;
    bool found = false;

    ck_assert_ptr_null(agate_driver_read(path_of("model.onnx"), options, &graph));
    ck_assert_ptr_null(agate_driver_plan(graph, options, &machine));
    AGATE_EACH_NODE (node, graph)
        found |= node->strategy == strategy;
    agate_graph_release(graph);
    return found;
}

/* The widest machine, and the narrowest where that does not take long. */
#ifdef __SANITIZE_ADDRESS__
#define MACHINES 1
#else
#define MACHINES 2
#endif

/* agate_tune itself holds every way to the bits of the planned tiles. */
START_TEST(no_way_changes_a_bit)
{
    const agate_machine machine = agate_machine_get(_i % 2 ? agate_machine_best(agate_cpu_features()) : 0);
    const agate_inputs_options inputs = {.named = &(agate_cli_list){.count = 0}, .seed = 3, .batch = 2};
    const agate_driver_options driver = {
        .compile = {.isa = machine.name, .threads = 2, .allow = _i < 2 ? NULL : "winograd"}};
    size_t heard = 0;
    const agate_tune_options options = {.driver = &driver,
                                        .inputs = &inputs,
                                        .sweeps = 1,
                                        .progress = count_progress,
                                        .progress_user = &heard};
    agate_tune_result result;

    make_model();
    ck_assert_int_eq(plans(&driver, AGATE_STRATEGY_winograd), _i >= 2);
    agate_status status = agate_tune(path_of("model.onnx"), &options, &result);
    ck_assert_msg(!status, "%s: %s", machine.name, agate_status_message(status));
    ck_assert_uint_ge(result.comparison_count, 8);
    ck_assert_uint_eq(result.comparison_count, heard);
    ck_assert_uint_ge(result.kernel_count, 7);
    ck_assert_uint_le(result.change_count, result.kernel_count);
    ck_assert_uint_le(result.tuning.count, result.change_count);
    agate_tune_result_deinit(&result);
    remove_folder();
}
END_TEST

/* ---- what is kept -------------------------------------------------------------------------------------- */

/* Loads the model and returns a copy of how its step of this strategy is scheduled. */
static void schedule_of(const char *strategy, agate_cache_outcome *outcome, char out[static 128])
{
    const agate_driver_options options = {.compile = {.cache_directory = path_of("cache"), .threads = 1}};
    agate_model *model;

    agate_status status = agate_driver_load(path_of("model.onnx"), &options, outcome, &model);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    const agate_module *module = agate_model_module(model);
    *out = 0;
    for (uint32_t i = 0; i < module->step_count; i++)
        if (strncmp(module->steps[i].label, strategy, strlen(strategy)) == 0)
            snprintf(out, 128, "%s", module->steps[i].label);
    agate_model_release(model);
}

/* Tiles of the one depthwise kernel: `ow` pixels. */
static agate_tuning tune_depthwise(int32_t ow)
{
    const agate_driver_options options = {0};
    agate_tuning tuning = {0};
    agate_machine machine;
    agate_graph *graph;

    ck_assert_ptr_null(agate_driver_read(path_of("model.onnx"), &options, &graph));
    ck_assert_ptr_null(agate_driver_plan(graph, &options, &machine));
    AGATE_EACH_NODE (node, graph)
        if (node->strategy == AGATE_STRATEGY_depthwise) {
            agate_tiles tiles = node->tiles;
            tiles.ow = ow;
            ck_assert(agate_tuning_set(&tuning, agate_tuning_kernel(node), node->strategy, &tiles));
        }
    ck_assert_uint_eq(tuning.count, 1);
    agate_graph_release(graph);
    return tuning;
}

static void keep(const agate_tuning *tuning)
{
    const agate_driver_options options = {0};
    agate_status status = agate_cached_keep_tuning(path_of("cache"), path_of("model.onnx"), &options, tuning);

    ck_assert_msg(!status, "%s", agate_status_message(status));
}

/* Changes a byte of the one file of tiles in the cache. */
static void damage_tuning(void)
{
    agate_cache *cache;
    agate_cache_listing listing;
    size_t found = 0;

    ck_assert_ptr_null(agate_cache_open(path_of("cache"), &cache));
    ck_assert_ptr_null(agate_cache_list(cache, &listing));
    for (size_t i = 0; i < listing.count; i++)
        if (strstr(listing.files[i].name, ".tuned")) {
            char path[256];
            snprintf(path, sizeof path, "%s/%s", path_of("cache"), listing.files[i].name);
            FILE *file = fopen(path, "r+");
            ck_assert_ptr_nonnull(file);
            fseek(file, -2, SEEK_END);
            fputc('7', file);
            fclose(file);
            found++;
        }
    ck_assert_uint_eq(found, 1);
    agate_cache_listing_deinit(&listing);
    agate_cache_release(cache);
}

START_TEST(tiles_are_kept_with_the_model)
{
    const agate_tuning nothing = {0};
    agate_cache_outcome outcome;
    char planned[128], label[128];

    make_model();
    schedule_of("depthwise", &outcome, planned);
    ck_assert_str_eq(outcome.remark, "");
    ck_assert_ptr_null(strstr(planned, "ow=3,"));

    agate_tuning tuning = tune_depthwise(3);
    keep(&tuning);
    for (int i = 0; i < 2; i++) {
        schedule_of("depthwise", &outcome, label);
        ck_assert_int_eq(outcome.hit, i); /* other code than the planned, found the second time */
        ck_assert_ptr_nonnull(strstr(label, "ow=3,"));
    }
    agate_tuning_deinit(&tuning);
    tuning = tune_depthwise(5);
    keep(&tuning);
    schedule_of("depthwise", &outcome, label);
    ck_assert(!outcome.hit);
    ck_assert_ptr_nonnull(strstr(label, "ow=5,"));

    damage_tuning();
    schedule_of("depthwise", &outcome, label);
    ck_assert_ptr_nonnull(strstr(outcome.remark, "damaged"));
    ck_assert_str_eq(label, planned);
    keep(&nothing);
    keep(&nothing); /* there is none to take away */
    schedule_of("depthwise", &outcome, label);
    ck_assert_str_eq(outcome.remark, "");
    ck_assert(outcome.hit);
    ck_assert_str_eq(label, planned);
    agate_tuning_deinit(&tuning);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tune");
    TCase *tests = tcase_create("tune");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, tables_print_what_they_parse);
    tcase_add_test(tests, other_texts_are_refused);
    tcase_add_loop_test(tests, no_way_changes_a_bit, 0, 4);
    tcase_add_test(tests, tiles_are_kept_with_the_model);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
