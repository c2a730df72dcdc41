/* links: passes ir ref base */
/* test_passes.c: the runner and its options; and that no pass changes what a graph computes, over every
 * filetest of the passes, with any amount of fuel. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ir/interpret.h"
#include "ir/text.h"
#include "passes/rewrite.h"
#include "tests/unit/random_graph.h"
#include "tests/suite.h"

#define BATCH         2
#define TOLERANCE     1e-5
#define RANDOM_GRAPHS 300

static const char residual[] = "graph @residual(%x: f32[N,2,4,4]) -> f32[N,2,4,4] {\n"
                               "  %w = weight \"conv1.weight\" : f32[2,2,1,1]\n"
                               "  %s = weight \"bn1.weight\" : f32[2]\n"
                               "  %b = weight \"bn1.bias\" : f32[2]\n"
                               "  %m = weight \"bn1.running_mean\" : f32[2]\n"
                               "  %v = weight \"bn1.running_var\" : f32[2]\n"
                               "  %0 = conv %x, %w : f32[N,2,4,4]\n"
                               "  %1 = batch_norm %0, %s, %b, %m, %v : f32[N,2,4,4]\n"
                               "  %2 = add %1, %x : f32[N,2,4,4]\n"
                               "  %3 = relu %2 : f32[N,2,4,4]\n"
                               "  return %3\n"
                               "}\n";

/* ---- graphs with contents -------------------------------------------------------------------------------
 */

static void check_ok(agate_status status)
{
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

/* Numbers that depend on `seed` alone; above zero where `positive`. */
static void fill(agate_dtype dtype, void *bytes, int64_t count, uint64_t seed, bool positive)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double unit = (double)(seed >> 40) / (1 << 24), number = positive ? unit + 0.5 : 4 * unit - 2;
        if (agate_is_float(dtype))
            agate_floats_write(bytes, dtype, i, 1, &number);
        else
            memset((char *)bytes + (size_t)i * agate_dtype_size(dtype), dtype == AGATE_BOOL && unit > 0.5, 1);
    }
}

static int64_t count_at(const agate_type *type)
{
    agate_dim count;
    ck_assert(agate_type_count(type, &count));
    return agate_dim_at(count, BATCH);
}

/* Parses; weights get contents that follow from their names. */
static agate_graph *parse(const char *text)
{
    agate_graph *graph = NULL;

    check_ok(agate_parse(text, strlen(text), &graph));
    AGATE_EACH_NODE (node, graph) {
        if (node->op != AGATE_OP_weight || node->data)
            continue;
        const agate_type *type = &node->results[0].type;
        int64_t count = count_at(type);
        node->data = agate_data_create((size_t)count * agate_dtype_size(type->dtype));
        ck_assert_ptr_nonnull(node->data);
        fill(type->dtype, (void *)node->data->bytes, count,
             agate_hash_bytes(AGATE_HASH_SEED, node->label, strlen(node->label)), true);
    }
    return graph;
}

static agate_pass_options default_options(void)
{
    static agate_machine machine;
    machine = agate_machine_get(agate_machine_find("avx2"));
    return (agate_pass_options){.machine = &machine, .verify_each = true};
}

static char *printed(const agate_graph *graph)
{
    agate_text text = {0};
    agate_print(graph, NULL, &text);
    ck_assert(!text.failed);
    return text.data;
}

static bool text_has(const agate_graph *graph, const char *part)
{
    char *text = printed(graph);
    bool found = strstr(text, part) != NULL;
    free(text);
    return found;
}

/* ---- meaning --------------------------------------------------------------------------------------------
 */

typedef struct answer {
    agate_tensor outputs[32];
    size_t count;
    bool failed;
} answer;

static void compute(const agate_graph *graph, answer *out)
{
    agate_tensor *inputs = calloc((size_t)graph->param_count + 1, sizeof *inputs);

    for (int32_t i = 0; i < graph->param_count; i++) {
        const agate_type *type = &graph->params[i]->type;
        int64_t count = count_at(type);
        inputs[i] = (agate_tensor){.dtype = type->dtype, .rank = type->rank};
        for (int32_t d = 0; d < type->rank; d++)
            inputs[i].dims[d] = agate_dim_at(type->dims[d], BATCH);
        inputs[i].size_bytes = (size_t)count * agate_dtype_size(type->dtype);
        inputs[i].data = calloc(1, inputs[i].size_bytes);
        fill(type->dtype, inputs[i].data, count, (uint64_t)i + 1, false);
    }
    out->count = (size_t)graph->last->operand_count;
    ck_assert_uint_le(out->count, AGATE_COUNT(out->outputs));
    agate_status status =
        agate_interpret(graph, inputs, (size_t)graph->param_count, out->outputs, out->count, BATCH);
    out->failed = status != AGATE_OK;
    agate_status_release(status);
    for (int32_t i = 0; i < graph->param_count; i++)
        free(inputs[i].data);
    free(inputs);
}

static void forget(answer *a)
{
    if (!a->failed)
        agate_interpret_free(a->outputs, a->count);
}

static bool close_to(double a, double b)
{
    if (isnan(a) || isnan(b) || isinf(a) || isinf(b))
        return (isnan(a) && isnan(b)) || a == b;
    return fabs(a - b) <= TOLERANCE * fmax(1, fabs(b));
}

static void check_same(const char *what, const answer *got, const answer *want)
{
    ck_assert_msg(got->failed == want->failed, "%s: one of the two runs failed", what);
    ck_assert_uint_eq(got->count, want->count);
    for (size_t i = 0; !got->failed && i < got->count; i++) {
        const agate_tensor *a = &got->outputs[i], *b = &want->outputs[i];
        size_t size_bytes = agate_dtype_size(b->dtype);
        ck_assert(a->dtype == b->dtype && a->rank == b->rank &&
                  memcmp(a->dims, b->dims, sizeof a->dims) == 0);
        for (size_t e = 0; e < b->size_bytes / size_bytes; e++) {
            double x, y;
            if (!agate_is_float(b->dtype)) {
                if (memcmp((char *)a->data + e * size_bytes, (char *)b->data + e * size_bytes, size_bytes))
                    ck_abort_msg("%s: result %zu, element %zu differs", what, i, e);
                continue;
            }
            agate_floats_read(a->data, a->dtype, (int64_t)e, 1, &x);
            agate_floats_read(b->data, b->dtype, (int64_t)e, 1, &y);
            /* Check writes to a file at each assertion, so only a failing one is made. */
            if (!close_to(x, y))
                ck_abort_msg("%s: result %zu, element %zu: %.9g instead of %.9g", what, i, e, x, y);
        }
    }
}

static int computed; /* comparisons of answers, rather than of errors */

/* Runs up to `stage` with this fuel and compares. Returns whether fuel was left over. */
static bool check_meaning(const char *what, const char *text, agate_stage stage, int64_t fuel)
{
    agate_graph *graph = parse(text), *whole = parse(text);
    agate_pass_options options = default_options();
    answer got, want;
    char *limited, *full;

    compute(graph, &want);
    options.fuel = fuel;
    check_ok(agate_passes_run(graph, &options, stage));
    compute(graph, &got);
    check_same(what, &got, &want);
    computed += !want.failed;
    forget(&got);
    forget(&want);

    options.fuel = 0;
    check_ok(agate_passes_run(whole, &options, stage));
    limited = printed(graph);
    full = printed(whole);
    bool same = strcmp(limited, full) == 0;
    free(limited);
    free(full);
    agate_graph_release(graph);
    agate_graph_release(whole);
    return same;
}

/* ---- every filetest of a pass ---------------------------------------------------------------------------
 */

typedef void (*case_fn)(const char *name, const char *text);

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot read %s", path);
    char *text = calloc(1, 1 << 20);
    size_t size_bytes = fread(text, 1, (1 << 20) - 1, file);
    ck_assert_uint_lt(size_bytes, (1 << 20) - 1);
    fclose(file);
    return text;
}

/* Calls `fn` with the input of each case: what stands in front of its expectation. */
static void each_case(const char *path, case_fn fn)
{
    char *text = read_file(path);

    for (char *at = text; at;) {
        char *next = strstr(at, "; ----\n");
        if (next)
            *next = 0;
        char *expect = strstr(at, "; expect\n");
        if (expect)
            *expect = 0;
        fn(path, at);
        at = next ? next + strlen("; ----\n") : NULL;
    }
    free(text);
}

static void each_file(case_fn fn)
{
    int count = 0;

    for (size_t i = 0; i < agate_pass_count; i++) {
        char path[512], below[1024];
        if (agate_pass_table[i].stage > AGATE_STAGE_fused)
            continue;
        snprintf(path, sizeof path, "%s/filetests/%s", AGATE_TESTS_DIR, agate_pass_table[i].name);
        DIR *directory = opendir(path);
        ck_assert_msg(directory != NULL, "pass %s has no filetests", agate_pass_table[i].name);
        for (struct dirent *entry; (entry = readdir(directory));) {
            size_t length = strlen(entry->d_name);
            if (length < 5 || strcmp(entry->d_name + length - 4, ".agt") != 0)
                continue;
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            each_case(below, fn);
            count++;
        }
        closedir(directory);
    }
    ck_assert_int_gt(count, 50);
}

static void check_stages(const char *name, const char *text)
{
    ck_assert(check_meaning(name, text, AGATE_STAGE_canonical, 0));
    ck_assert(check_meaning(name, text, AGATE_STAGE_fused, 0));
}

START_TEST(passes_keep_the_meaning)
{
    each_file(check_stages);
    ck_assert_int_gt(computed, 100);
}
END_TEST

static void check_each_fuel(const char *name, const char *text)
{
    int64_t fuel = 1;

    while (!check_meaning(name, text, AGATE_STAGE_fused, fuel))
        ck_assert_int_lt(++fuel, 200);
}

START_TEST(any_fuel_keeps_the_meaning)
{
    each_file(check_each_fuel);
}
END_TEST

START_TEST(random_graphs_keep_the_meaning)
{
    for (uint64_t seed = 0; seed < RANDOM_GRAPHS; seed++) {
        char *text = random_graph_text(seed), name[32];
        snprintf(name, sizeof name, "seed %d", (int)seed);
        ck_assert(check_meaning(name, text, AGATE_STAGE_fused, 0));
        free(text);
    }
}
END_TEST

START_TEST(every_rule_has_a_filetest)
{
    static const char *const names[] = {
#define AGATE_RULE(op, id, meaning) #id,
#include "passes/rules.def"
#undef AGATE_RULE
    };
    for (size_t i = 0; i < AGATE_COUNT(names); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/filetests/canonicalize/%s.agt", AGATE_TESTS_DIR, names[i]);
        free(read_file(path));
    }
}
END_TEST

/* ---- the runner -----------------------------------------------------------------------------------------
 */

START_TEST(stages_have_names)
{
    for (int i = 0; i < AGATE_STAGE_COUNT; i++) {
        agate_stage stage;
        ck_assert(agate_stage_parse(agate_stage_name((agate_stage)i), &stage));
        ck_assert_int_eq(stage, i);
    }
    agate_stage unchanged = AGATE_STAGE_fused;
    ck_assert(!agate_stage_parse("fuse", &unchanged));
    ck_assert_int_eq(unchanged, AGATE_STAGE_fused);
}
END_TEST

static void check_unknown(agate_status status)
{
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "there is no pass \"fold\""));
    for (size_t i = 0; i < agate_pass_count; i++)
        ck_assert_ptr_nonnull(strstr(agate_status_message(status), agate_pass_table[i].name));
    agate_status_release(status);
}

START_TEST(unknown_passes_are_named)
{
    static const char *const names[] = {"cse", "fold"};
    agate_graph *graph = parse(residual);
    agate_pass_options options = default_options();

    check_unknown(agate_passes_run_named(graph, &options, names, 2));
    options.skip = names;
    options.skip_count = 2;
    check_unknown(agate_passes_run(graph, &options, AGATE_STAGE_canonical));
    options.skip_count = 0;
    options.print_after = "fold";
    check_unknown(agate_passes_run(graph, &options, AGATE_STAGE_canonical));
    agate_graph_release(graph);
}
END_TEST

START_TEST(stage_import_runs_nothing)
{
    agate_graph *graph = parse(residual);
    agate_pass_options options = default_options();

    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_import));
    ck_assert(text_has(graph, "batch_norm"));
    agate_graph_release(graph);
}
END_TEST

START_TEST(folded_weights_tell_where_they_come_from)
{
    agate_graph *graph = parse(residual);
    agate_pass_options options = default_options();

    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_fused));
    ck_assert(text_has(graph, "weight \"conv1.weight*bn1\" : f32[2,2,1,1]"));
    ck_assert(text_has(graph, "weight \"conv1.weight*bn1.bias\" : f32[2]"));
    agate_graph_release(graph);
}
END_TEST

START_TEST(skipped_passes_do_not_run)
{
    static const char *const skip[] = {"fold-affine", "lower-norm", "fuse-epilogue"};
    agate_graph *graph = parse(residual);
    agate_pass_options options = default_options();

    options.skip = skip;
    options.skip_count = AGATE_COUNT(skip);
    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_canonical));
    ck_assert(text_has(graph, "batch_norm"));
    agate_graph_release(graph);
}
END_TEST

typedef struct journal {
    int dumps, timings, rewrites, remarks;
    char *before;
    char last[64];
} journal;

static void note_dump(void *user, const char *pass, const agate_graph *graph, const char *before)
{
    journal *seen = user;
    ck_assert_ptr_nonnull(graph);
    seen->dumps++;
    snprintf(seen->last, sizeof seen->last, "%s", pass);
    free(seen->before);
    seen->before = before ? strdup(before) : NULL;
}

static void note_time(void *user, const char *pass, uint64_t ns)
{
    ck_assert(agate_pass_find(pass) || strcmp(pass, "verify") == 0);
    ck_assert_uint_lt(ns, UINT64_C(10000000000));
    ((journal *)user)->timings++;
}

static void note_remark(void *user, const char *pass, const agate_node *node, const char *message)
{
    journal *seen = user;
    ck_assert(agate_pass_find(pass) && node && message[0]);
    *(strncmp(message, "rewrite: ", 9) == 0 ? &seen->rewrites : &seen->remarks) += 1;
}

START_TEST(dumps_differences_and_times)
{
    agate_graph *graph = parse(residual);
    agate_pass_options options = default_options();
    journal seen = {0};

    options.print_after = "fuse-epilogue";
    options.diff = true;
    options.dump = note_dump;
    options.timed = note_time;
    options.dump_user = options.timed_user = &seen;
    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_fused));
    ck_assert_int_eq(seen.dumps, 1);
    ck_assert_str_eq(seen.last, "fuse-epilogue");
    ck_assert_ptr_nonnull(strstr(seen.before, "= conv"));
    ck_assert_ptr_null(strstr(seen.before, "kernel"));
    ck_assert_int_gt(seen.timings, 10);
    free(seen.before);
    agate_graph_release(graph);

    graph = parse(residual);
    seen = (journal){0};
    options.print_after = "all";
    options.diff = false;
    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_fused));
    ck_assert_int_ge(seen.dumps, 10);
    ck_assert_str_eq(seen.last, "outline");
    ck_assert_ptr_null(seen.before);
    agate_graph_release(graph);
}
END_TEST

START_TEST(fuel_limits_rewrites)
{
    agate_pass_options options = default_options();

    for (int64_t fuel = 0; fuel < 6; fuel++) {
        agate_graph *graph = parse(residual);
        journal seen = {0};
        options.fuel = fuel;
        options.remark = note_remark;
        options.remark_user = &seen;
        check_ok(agate_passes_run(graph, &options, AGATE_STAGE_fused));
        ck_assert_int_eq(seen.rewrites, fuel == 0 ? 3 : agate_min(fuel - 1, 3));
        agate_graph_release(graph);
    }
}
END_TEST

/* ---- size -----------------------------------------------------------------------------------------------
 */

/* Blocks of convolution, relu, residual add, and norm; `count` of them. */
static char *long_network(int count)
{
    agate_text text = {0};

    agate_text_add(
        &text, "graph @long(%%x: f32[N,2,4,4]) -> f32[N,2,4,4] {\n  %%w = const [1, 2, 3, 4] : f32[2,2,1,1]\n"
               "  %%c = const [0.5, 0.25] : f32[2,1,1]\n  %%0 = tanh %%x : f32[N,2,4,4]\n");
    for (int i = 0; i < count; i++) {
        int n = 5 * i;
        agate_text_add(&text, "  %%%d = conv %%%d, %%w : f32[N,2,4,4]\n", n + 1, n);
        agate_text_add(&text, "  %%%d = mul %%%d, %%c : f32[N,2,4,4]\n", n + 2, n + 1);
        agate_text_add(&text, "  %%%d = relu %%%d : f32[N,2,4,4]\n", n + 3, n + 2);
        agate_text_add(&text, "  %%%d = add %%%d, %%%d : f32[N,2,4,4]\n", n + 4, n + 3, n);
        agate_text_add(&text, "  %%%d = tanh %%%d : f32[N,2,4,4]\n", n + 5, n + 4);
    }
    agate_text_add(&text, "  return %%%d\n}\n", 5 * count);
    return text.data;
}

START_TEST(long_graphs_stay_fast)
{
    enum { BLOCKS = 4000 };
    char *text = long_network(BLOCKS);
    agate_graph *graph = parse(text);
    agate_pass_options options = default_options();
    int kernels = 0;

    options.verify_each = false;
    check_ok(agate_passes_run(graph, &options, AGATE_STAGE_fused));
    AGATE_EACH_NODE (node, graph)
        kernels += node->op == AGATE_OP_kernel;
    ck_assert_int_eq(kernels, BLOCKS + 1);
    agate_graph_release(graph);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("passes");
    TCase *tests = tcase_create("passes");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, passes_keep_the_meaning);
    tcase_add_test(tests, any_fuel_keeps_the_meaning);
    tcase_add_test(tests, random_graphs_keep_the_meaning);
    tcase_add_test(tests, every_rule_has_a_filetest);
    tcase_add_test(tests, stages_have_names);
    tcase_add_test(tests, unknown_passes_are_named);
    tcase_add_test(tests, stage_import_runs_nothing);
    tcase_add_test(tests, folded_weights_tell_where_they_come_from);
    tcase_add_test(tests, skipped_passes_do_not_run);
    tcase_add_test(tests, dumps_differences_and_times);
    tcase_add_test(tests, fuel_limits_rewrites);
    tcase_add_test(tests, long_graphs_stay_fast);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
