/* links: driver */
/* test_cache.c: hashes, what is remembered of files, external data, the bound of the folder, and compiled
 * files of every kind that must not be loaded. */
#include "tests/unit/folder.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/artifact.h"
#include "runtime/base/features.h"
#include "runtime/base/image.h"
#include "tools/cached.h"
#include "tools/compile.h"
#include "tests/suite.h"

/* ---- the digest ---------------------------------------------------------------------------------------- */

/* The examples that FIPS 180-4's authors publish. */
START_TEST(the_digest_is_sha256)
{
    static const struct {
        const char *text, *key;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a3"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce459"},
    };

    for (size_t i = 0; i < AGATE_COUNT(known); i++) {
        agate_file_digest digest;
        agate_cache_key key;
        agate_digest_bytes(known[i].text, strlen(known[i].text), &digest);
        agate_cache_key_of(&digest, &key);
        ck_assert_str_eq(key.text, known[i].key);
    }
}
END_TEST

/* ---- remembered digests -------------------------------------------------------------------------------- */

START_TEST(digests_are_remembered_while_nothing_changes)
{
    const size_t size_bytes = 400000;
    char *bytes = calloc(1, size_bytes);
    agate_cache *cache = NULL;
    agate_file_state state;
    agate_file_digest first, again, digest;
    make_folder();
    const char *path = path_of("model");

    ck_assert_ptr_null(agate_cache_open(path_of("cache"), &cache));
    write_file(path, bytes, size_bytes);
    int file = open(path, O_RDWR);
    ck_assert(agate_file_state_of(file, &state));
    agate_digest_bytes(bytes, size_bytes, &first);
    /* Changed just now: not remembered. */
    agate_cache_remember(cache, &state, agate_cache_now_ns(), &first);
    ck_assert(!agate_cache_recall(cache, &state, &again));
    /* As if read in a while. */
    agate_cache_remember(cache, &state, agate_cache_now_ns() + 3000000000, &first);
    ck_assert(agate_cache_recall(cache, &state, &again));
    ck_assert_mem_eq(&first, &again, sizeof first);
    ck_assert(agate_cache_digest_file(cache, path, &again));
    ck_assert_mem_eq(&first, &again, sizeof first);
    /* Each part of its state counts. */
    for (size_t i = 0; i < sizeof state / 8; i++) {
        agate_file_state other = state;
        ((uint64_t *)&other)[i]++;
        ck_assert(!agate_cache_recall(cache, &other, &again));
    }
    /* Written to, even with its old time of modification put back. */
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {state.modified_ns / 1000000000, state.modified_ns % 1000000000}};
    usleep(20000);
    ck_assert_int_eq(pwrite(file, "x", 1, 5000), 1);
    ck_assert_int_eq(futimens(file, times), 0);
    agate_file_state later;
    ck_assert(agate_file_state_of(file, &later));
    ck_assert_int_eq(later.modified_ns, state.modified_ns);
    ck_assert(!agate_cache_recall(cache, &later, &again));
    bytes[5000] = 'x';
    agate_digest_bytes(bytes, size_bytes, &digest);
    ck_assert(agate_cache_digest_file(cache, path, &again));
    ck_assert_mem_eq(&digest, &again, sizeof digest);
    close(file);
    free(bytes);
    agate_cache_release(cache);
    remove_folder();
}
END_TEST

/* ---- models -------------------------------------------------------------------------------------------- */

#define EXTERNAL                                                                                             \
    "opset 13\ninput x f32 N 4\nexternal w f32 w.bin 0 16 4\nexternal v f32 sub/v.bin 0 16 4\n"              \
    "node a Add x w -> b\nnode m Mul b v -> y\noutput y"

/* Loads and runs on x = [1, 1, 1, 1]; tells whether the cache had it, and the first element of y. */
static bool load(const char *path, const agate_compile_options *compile, float *out_first)
{
    const agate_driver_options options = {.compile = *compile};
    agate_cache_outcome outcome;
    agate_model *model;
    agate_session *session;
    float x[4] = {1, 1, 1, 1}, y[4];
    const agate_tensor input = {AGATE_F32, 2, {1, 4}, x, sizeof x};
    agate_tensor output = {.data = y, .size_bytes = sizeof y};

    agate_status status = agate_driver_load(path, &options, &outcome, &model);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    ck_assert_str_eq(outcome.remark, "");
    ck_assert_ptr_null(agate_session_create(model, NULL, &session));
    agate_model_release(model);
    ck_assert_ptr_null(agate_session_run(session, &input, 1, &output, 1));
    agate_session_release(session);
    *out_first = y[0];
    return outcome.hit;
}

static void write_floats(const char *path, float first)
{
    const float numbers[4] = {first, 2, 3, 4};

    write_file(path, numbers, sizeof numbers);
}

START_TEST(external_data_is_part_of_the_key)
{
    make_folder();
    char cache[64];
    snprintf(cache, sizeof cache, "%s/a/b/cache", folder);
    const agate_compile_options options = {.cache_directory = cache};
    char path[64];
    float y;

    snprintf(path, sizeof path, "%s/model.onnx", folder);

    ck_assert_int_eq(mkdir(path_of("sub"), 0755), 0);
    write_model(path, EXTERNAL);
    write_floats(path_of("w.bin"), 1);
    write_floats(path_of("sub/v.bin"), 10);
    ck_assert(!load(path, &options, &y) && y == 20);
    ck_assert(load(path, &options, &y) && y == 20);
    write_floats(path_of("w.bin"), 2);
    ck_assert(!load(path, &options, &y) && y == 30);
    write_floats(path_of("sub/v.bin"), 11);
    ck_assert(!load(path, &options, &y) && y == 33);
    ck_assert(load(path, &options, &y) && y == 33);
    write_floats(path_of("w.bin"), 1);
    write_floats(path_of("sub/v.bin"), 10);
    ck_assert(load(path, &options, &y) && y == 20);

    /* Where the names are lost or damaged, they are found again. */
    char command[128];
    snprintf(command, sizeof command, "rm '%s'/*.names", cache);
    ck_assert_int_eq(system(command), 0);
    ck_assert(!load(path, &options, &y) && y == 20);
    ck_assert(load(path, &options, &y) && y == 20);
    snprintf(command, sizeof command, "for f in '%s'/*.names; do echo 99:x >$f; done", cache);
    ck_assert_int_eq(system(command), 0);
    ck_assert(!load(path, &options, &y) && y == 20);
    ck_assert(load(path, &options, &y) && y == 20);

    /* What cannot be found is an error, cache or not. */
    ck_assert_int_eq(unlink(path_of("w.bin")), 0);
    agate_model *model;
    agate_status status = agate_model_load_file(path, &options, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    agate_status_release(status);
    remove_folder();
}
END_TEST

/* A model of some 400 KB whose numbers begin with `first`. */
static void write_large(const char *path, int first)
{
    static float weights[4 * 25000];
    char lines[200];

    for (size_t i = 0; i < AGATE_COUNT(weights); i++)
        weights[i] = (float)(i % 1000 + (size_t)first);
    write_file(path_of("large.bin"), weights, sizeof weights);
    snprintf(lines, sizeof lines,
             "opset 13\ninput x f32 N 4\nscalar c f32 %d\nexternal w f32 large.bin 0 400000 4 25000\nnode a "
             "Add x c -> b\n"
             "node g MatMul b w -> y\noutput y",
             first);
    write_model(path, lines);
}

static bool load_large(int first, uint64_t limit_bytes)
{
    const agate_driver_options options = {
        .compile = {.cache_directory = path_of("cache"), .cache_limit_bytes = limit_bytes, .threads = 1}};
    agate_cache_outcome outcome;
    agate_model *model;
    const char *path = path_of("model.onnx");

    write_large(path, first);
    agate_status status = agate_driver_load(path, &options, &outcome, &model);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    ck_assert_str_eq(outcome.remark, "");
    agate_model_release(model);
    return outcome.hit;
}

START_TEST(least_recently_used_models_go)
{
    const uint64_t limit = 1700000; /* three of them, not four */
    agate_cache *cache = NULL;
    agate_cache_listing listing;
    make_folder();

    for (int i = 1; i <= 3; i++)
        ck_assert(!load_large(i, limit));
    ck_assert_int_eq(mkdir(path_of("cache/0123456789012345678901234567890123456789.so.abcdef"), 0700), 0);
    ck_assert(load_large(1, limit));  /* used: 2 is the oldest */
    ck_assert(!load_large(4, limit)); /* in the place of 2 */
    ck_assert(load_large(1, limit) && load_large(3, limit) && load_large(4, limit));
    ck_assert(!load_large(2, limit)); /* in the place of 1 */
    ck_assert(!load_large(1, limit));
    ck_assert_ptr_null(agate_cache_open(path_of("cache"), &cache));
    ck_assert_ptr_null(agate_cache_list(cache, &listing));
    ck_assert(listing.size_bytes <= limit && listing.size_bytes > limit / 2);
    agate_cache_listing_deinit(&listing);

    /* A model that is larger than all that may be kept still runs. */
    ck_assert(!load_large(5, 1000) && !load_large(5, 1000));
    /* What is being compiled stays until it must have been broken off. */
    const char *broken = path_of("cache/0123456789012345678901234567890123456789.so.abcdef");
    ck_assert_int_eq(access(broken, F_OK), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, broken, (struct timespec[2]){{1000, 0}, {1000, 0}}, 0), 0);
    agate_cache_trim(cache, limit);
    ck_assert_int_ne(access(broken, F_OK), 0);
    size_t count;
    ck_assert_ptr_null(agate_cache_clear(cache, &count));
    ck_assert_uint_eq(count, 0);
    agate_cache_release(cache);
    remove_folder();
}
END_TEST

/* ---- compiled files ------------------------------------------------------------------------------------ */

static char *compiled;
static size_t compiled_bytes;

typedef struct variant {
    const char *machine, *precision;
} variant;

/* The code is that of f32, whatever it is called: so there may be precisions that no pass knows. */
static void add_variant(agate_compilation *compilation, const variant *v)
{
    const agate_driver_options options = {.compile = {.precision = v->precision}};
    const agate_machine machine = agate_machine_get(agate_machine_find(v->machine));
    const agate_pass_options passes = {.machine = &machine};
    agate_graph *graph;
    char suffix[32];

    ck_assert_ptr_null(agate_driver_read(path_of("model.onnx"), &options, &graph));
    ck_assert_ptr_null(agate_passes_run(graph, &passes, AGATE_STAGE_planned));
    snprintf(suffix, sizeof suffix, "_%s_%s", v->machine, v->precision);
    ck_assert_ptr_null(agate_compilation_add(compilation, graph, &machine, suffix, &options.compile));
    agate_graph_release(graph);
}

/* Makes model.so in the folder and reads it. */
static void compile_for(const variant *variants, size_t count)
{
    const agate_compile_to to = {.path = path_of("model.so")};
    agate_compilation *compilation;

    write_large(path_of("model.onnx"), 7);
    ck_assert_ptr_null(agate_compilation_create(&to, &compilation));
    for (size_t i = 0; i < count; i++)
        add_variant(compilation, &variants[i]);
    agate_status status = agate_compilation_finish(compilation);
    ck_assert_msg(!status, "%s", agate_status_message(status));
    agate_compilation_release(compilation);
    ck_assert_ptr_null(agate_file_read(path_of("model.so"), &compiled, &compiled_bytes));
}

static void chooses_of(const agate_artifact *artifact, const char *precision, uint32_t features,
                       uint32_t wanted)
{
    uint32_t index = UINT32_MAX;
    agate_status status = agate_artifact_choose(artifact, precision, features, &index);

    ck_assert_msg(!status, "%s", agate_status_message(status));
    ck_assert_uint_eq(index, wanted);
}

static void chooses(const agate_artifact *artifact, uint32_t features, uint32_t wanted)
{
    chooses_of(artifact, NULL, features, wanted);
}

START_TEST(the_best_that_a_cpu_can_run_is_chosen)
{
    static const variant variants[] = {{"sse4", "f32"}, {"avx2", "f32"}, {"avx512", "f32"}};
    agate_artifact *artifact = NULL;
    uint32_t index;
    make_folder();

    compile_for(variants, AGATE_COUNT(variants));
    ck_assert_ptr_null(agate_artifact_open(path_of("model.so"), &artifact));
    ck_assert_uint_eq(agate_artifact_variant_count(artifact), 3);
    chooses(artifact, ~0u, 2);
    chooses(artifact, AGATE_CPU_V4, 2);
    chooses(artifact, AGATE_CPU_V4 & ~AGATE_CPU_AVX512DQ, 1);
    chooses(artifact, AGATE_CPU_V3, 1);
    chooses(artifact, AGATE_CPU_V3 & ~AGATE_CPU_FMA, 0);
    chooses(artifact, AGATE_CPU_V2, 0);
    agate_status status = agate_artifact_choose(artifact, NULL, AGATE_CPU_V2 & ~AGATE_CPU_POPCNT, &index);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    ck_assert_str_eq(agate_status_message(status),
                     "the model was compiled for sse4, avx2, avx512, and this CPU lacks "
                     "POPCNT; compile it for a lower isa");
    agate_status_release(status);
    for (uint32_t i = 0; i < 3; i++) {
        const agate_module *module;
        ck_assert_ptr_null(agate_artifact_module(artifact, i, &module));
        ck_assert_str_eq(module->isa, variants[i].machine);
        ck_assert_ptr_nonnull(strstr(module->steps[module->step_count - 1].symbol, variants[i].machine));
    }
    agate_artifact_release(artifact);
    free(compiled);
    remove_folder();
}
END_TEST

static void fails(agate_status status, agate_code code, const char *message)
{
    ck_assert_int_eq(agate_status_code(status), code);
    ck_assert_str_eq(agate_status_message(status), message);
    agate_status_release(status);
}

/* Opens what compile_for made. */
static agate_artifact *open_compiled(const variant *variants, size_t count)
{
    agate_artifact *artifact = NULL;

    compile_for(variants, count);
    ck_assert_ptr_null(agate_artifact_open(path_of("model.so"), &artifact));
    free(compiled);
    return artifact;
}

START_TEST(a_precision_is_chosen_by_name)
{
    static const variant variants[] = {
        {"sse4", "f32"}, {"avx2", "f32"}, {"sse4", "wide"}, {"avx2", "wide"}, {"avx512", "bf16"}};
    const char *precision = NULL;
    const agate_module *module;
    uint32_t index;
    make_folder();
    agate_artifact *artifact = open_compiled(variants, AGATE_COUNT(variants));

    for (uint32_t i = 0; i < AGATE_COUNT(variants); i++) {
        ck_assert_ptr_null(agate_artifact_module(artifact, i, &module));
        ck_assert_str_eq(module->precision, variants[i].precision);
    }
    chooses_of(artifact, NULL, ~0u, 1);
    chooses_of(artifact, "f32", AGATE_CPU_V2, 0);
    chooses_of(artifact, "wide", ~0u, 3);
    chooses_of(artifact, "wide", AGATE_CPU_V2, 2);
    chooses_of(artifact, "bf16", AGATE_CPU_V4, 4);
    /* What does not run here is in no other precision, whatever that could. */
    fails(agate_artifact_choose(artifact, "bf16", AGATE_CPU_V4 & ~AGATE_CPU_AVX512DQ, &index),
          AGATE_CODE_NOT_FOUND,
          "the model was compiled for avx512 with precision bf16, and this CPU lacks AVX-512DQ; compile it "
          "for a lower isa");
    fails(agate_artifact_choose(artifact, NULL, AGATE_CPU_V2 & ~AGATE_CPU_POPCNT, &index),
          AGATE_CODE_NOT_FOUND,
          "the model was compiled for sse4, avx2 with precision f32, and this CPU lacks POPCNT; compile it "
          "for a lower isa");
    fails(agate_artifact_precision(artifact, "f32x3", &precision), AGATE_CODE_NOT_FOUND,
          "the model was not compiled with precision f32x3, but with f32, wide, bf16");
    /* All say the same of the weights, so they are there once for each way to pack them. */
    ck_assert_uint_lt(agate_artifact_weight_bytes(artifact), 3 * 600000);
    agate_artifact_release(artifact);
    remove_folder();
}
END_TEST

START_TEST(a_file_of_one_precision_is_an_ask_for_it)
{
    static const variant alone[] = {{"sse2", "bf16"}};
    static const variant without_f32[] = {{"sse2", "wide"}, {"sse2", "bf16"}};
    const agate_load_options bf16 = {.precision = "bf16"}, f32 = {.precision = "f32"};
    const char *precision = NULL;
    agate_model *model;
    make_folder();
    agate_artifact *artifact = open_compiled(alone, 1);

    ck_assert_ptr_null(agate_artifact_precision(artifact, NULL, &precision));
    ck_assert_str_eq(precision, "bf16");
    agate_artifact_release(artifact);
    ck_assert_ptr_null(agate_model_load_artifact(path_of("model.so"), &model));
    ck_assert_str_eq(agate_model_precision(model), "bf16");
    agate_model_release(model);
    ck_assert_ptr_null(agate_model_load_artifact_with(path_of("model.so"), &bf16, &model));
    agate_model_release(model);
    agate_status status = agate_model_load_artifact_with(path_of("model.so"), &f32, &model);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_NOT_FOUND);
    ck_assert_ptr_nonnull(
        strstr(agate_status_message(status), "not compiled with precision f32, but with bf16"));
    agate_status_release(status);

    artifact = open_compiled(without_f32, AGATE_COUNT(without_f32));
    fails(agate_artifact_precision(artifact, NULL, &precision), AGATE_CODE_INVALID_ARGUMENT,
          "the model was not compiled with precision f32, but with wide, bf16: ask for one of them");
    agate_artifact_release(artifact);
    remove_folder();
}
END_TEST

static void refused(const void *bytes, size_t size_bytes, agate_code code, const char *reason)
{
    agate_model *model;
    const char *path = path_of("bad.so");

    write_file(path, bytes, size_bytes);
    agate_status status = agate_model_load_artifact(path, &model);
    ck_assert_msg(status, "loaded, where \"%s\" was to be said", reason);
    ck_assert_msg(strstr(agate_status_message(status), reason), "%s: not \"%s\"",
                  agate_status_message(status), reason);
    ck_assert_int_eq(agate_status_code(status), code);
    agate_status_release(status);
    unlink(path);
}

/* The seal at the end, with its own digest made right again. */
static void reseal(char *bytes, void (*change)(agate_seal *seal))
{
    agate_seal seal;
    char *at = bytes + compiled_bytes - sizeof seal;

    memcpy(&seal, at, sizeof seal);
    change(&seal);
    seal.digest = agate_seal_digest(&seal);
    memcpy(at, &seal, sizeof seal);
}

static void other_version(agate_seal *seal)
{
    seal->version++;
}

static void longer_body(agate_seal *seal)
{
    seal->body_bytes += 4096;
    seal->weights_bytes -= 4096;
}

static void endless_weights(agate_seal *seal)
{
    seal->weights_bytes = UINT64_MAX - seal->body_bytes;
}

START_TEST(only_whole_files_are_loaded)
{
    const agate_code invalid = AGATE_CODE_INVALID_MODEL;
    make_folder();
    compile_for(&(variant){"sse2", "f32"}, 1);
    char *copy = malloc(compiled_bytes);

    for (size_t length = 0; length < compiled_bytes; length += length < 200 ? 1 : length / 3)
        refused(compiled, length, invalid,
                length == 0   ? "empty"
                : length < 64 ? "no compiled model"
                              : "cut off");
    for (size_t at = 0; at < compiled_bytes; at += at < 64 ? 1 : compiled_bytes / 61) {
        memcpy(copy, compiled, compiled_bytes);
        copy[at] ^= 0x10;
        refused(copy, compiled_bytes,
                at == EI_CLASS || at == 18 || at == 19 ? AGATE_CODE_UNSUPPORTED : invalid, "");
    }
    for (size_t at = compiled_bytes - sizeof(agate_seal); at < compiled_bytes; at++) {
        memcpy(copy, compiled, compiled_bytes);
        copy[at] ^= 1;
        refused(copy, compiled_bytes, invalid,
                at < compiled_bytes - sizeof(agate_seal) + 8 ? "cut off" : "damaged");
    }
    static const struct {
        void (*change)(agate_seal *seal);
        agate_code code;
        const char *reason;
    } changes[] = {
        {other_version, AGATE_CODE_UNSUPPORTED,
         "compiled to format 8, and this runtime reads 7; compile it again"},
        {longer_body, AGATE_CODE_INVALID_MODEL, "damaged"},
        {endless_weights, AGATE_CODE_INVALID_MODEL, "damaged"},
    };
    for (size_t i = 0; i < AGATE_COUNT(changes); i++) {
        memcpy(copy, compiled, compiled_bytes);
        reseal(copy, changes[i].change);
        refused(copy, compiled_bytes, changes[i].code, changes[i].reason);
    }
    free(copy);
    free(compiled);
    remove_folder();
}
END_TEST

/* Another ELF file behind our seal: the system loads it, and it has no plan. */
START_TEST(a_sealed_file_needs_a_plan)
{
    char *program;
    size_t size_bytes;
    agate_seal seal = {.version = AGATE_IMAGE_VERSION};
    agate_digest digest = {0};
    make_folder();

    ck_assert_ptr_null(agate_file_read("/proc/self/exe", &program, &size_bytes));
    agate_digest_add(&digest, program, size_bytes);
    memcpy(seal.magic, AGATE_SEAL_MAGIC, sizeof seal.magic);
    seal.body_bytes = size_bytes;
    seal.body_digest = agate_digest_end(&digest);
    seal.digest = agate_seal_digest(&seal);
    program = realloc(program, size_bytes + sizeof seal);
    memcpy(program + size_bytes, &seal, sizeof seal);
    refused(program, size_bytes + sizeof seal, AGATE_CODE_INVALID_MODEL, "");
    free(program);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tests = tcase_create("cache");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_digest_is_sha256);
    tcase_add_test(tests, digests_are_remembered_while_nothing_changes);
    tcase_add_test(tests, external_data_is_part_of_the_key);
    tcase_add_test(tests, least_recently_used_models_go);
    tcase_add_test(tests, the_best_that_a_cpu_can_run_is_chosen);
    tcase_add_test(tests, a_precision_is_chosen_by_name);
    tcase_add_test(tests, a_file_of_one_precision_is_an_ask_for_it);
    tcase_add_test(tests, only_whole_files_are_loaded);
    tcase_add_test(tests, a_sealed_file_needs_a_plan);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
