/* links: backend runtime ir ref base */
/* test_image.c: modules as bytes and back, whole, cut off and damaged. */
#include "tests/unit/residual.h"

#include "backend/artifact.h"
#include "runtime/digest.h"
#include "runtime/image.h"
#include "runtime/ref/table.h"
#include "tests/suite.h"

#define WEIGHTS_BYTES 128

static agate_module_step steps[AGATE_COUNT(residual_steps)];
static _Alignas(64) char blob[WEIGHTS_BYTES];

static agate_kernel_fn find(void *user, const char *symbol)
{
    (void)user;
    return strcmp(symbol, "scale_rows") == 0 ? scale_rows : strcmp(symbol, "add_rows") == 0 ? add_rows : NULL;
}

static const agate_opset opsets[] = {{"", 17}};
static const agate_property properties[] = {{"stage", "2"}, {"", "of no name"}};
static const agate_metadata metadata = {
    .producer_name = "a test",
    .producer_version = "1",
    .domain = "",
    .doc = "words",
    .graph_name = "residual",
    .graph_doc = "",
    .ir_version = 8,
    .opsets = opsets,
    .opset_count = 1,
    .properties = properties,
    .property_count = 2,
};

/* The residual model, its middle step by a reference kernel that has a name. */
static agate_module named_residual(void)
{
    agate_module module = residual;

    memcpy(steps, residual_steps, sizeof steps);
    steps[1].library = agate_ref_scalar;
    module.steps = steps;
    module.metadata = &metadata;
    return module;
}

/* A plan in memory of just its size, so that sanitizers see one byte too much. */
static char *plan_of(size_t *out_size_bytes)
{
    agate_module module = named_residual();
    agate_image image = {0};
    agate_text plan = {0};

    ck_assert_ptr_null(agate_image_add(&image, &module));
    ck_assert_ptr_null(agate_image_write(&image, "", &plan));
    ck_assert_uint_eq(image.weights_size_bytes, WEIGHTS_BYTES);
    agate_image_deinit(&image);
    memcpy(blob, weights, sizeof weights);
    memcpy(blob + 64, answer, sizeof answer);
    char *exact = malloc(plan.size_bytes);
    memcpy(exact, plan.data, plan.size_bytes);
    *out_size_bytes = plan.size_bytes;
    agate_text_deinit(&plan);
    return exact;
}

static agate_status load(const void *plan, size_t size_bytes, agate_arena *arena, agate_module *out_module)
{
    agate_image_variant variant;
    AGATE_TRY(agate_image_variant_at(plan, size_bytes, 0, &variant));
    return agate_image_load(&variant, blob, sizeof blob, find, NULL, arena, out_module);
}

START_TEST(what_is_written_runs_when_read)
{
    static trial memory;
    size_t size;
    char *plan = plan_of(&size);
    agate_arena *arena = agate_arena_create();
    agate_module module;
    agate_image_info info;
    agate_image_variant variant;

    ck_assert_ptr_null(agate_image_peek(plan, size, &info));
    ck_assert_uint_eq(info.variant_count, 1);
    ck_assert_ptr_null(agate_image_variant_at(plan, size, 0, &variant));
    ck_assert_str_eq(variant.isa, "sse2");
    ck_assert_str_eq(variant.precision, "f32");
    ck_assert_uint_eq(info.weights_size_bytes, WEIGHTS_BYTES);
    ck_assert_ptr_null(load(plan, size, arena, &module));
    ck_assert_ptr_eq(module.constants[0].bytes, blob);
    ck_assert_str_eq(module.steps[1].origin, "minus");
    ck_assert_str_eq(module.precision, "f32");
    ck_assert_uint_eq(module.by_rows_steps, 1);
    ck_assert_str_eq(module.metadata->graph_name, "residual");
    ck_assert_int_eq(module.metadata->opsets[0].version, 17);
    ck_assert_str_eq(module.metadata->properties[1].value, "of no name");
    agate_model *model = model_of(&module);
    agate_session *session = session_of(model, 2);
    agate_model_release(model);
    trial_run(&memory, session, 5, 1);
    trial_run(&memory, session, 200, 2);
    agate_session_release(session);
    agate_arena_release(arena);
    free(plan);
}
END_TEST

START_TEST(each_attribute_comes_back)
{
    /* One of each kind, of kernels whose steps share a scalar's shape. */
    agate_attrs pad = {
        .pad = {.begins = {2, {1, -2}}, .ends = {2, {3, 4}}, .mode = AGATE_PAD_EDGE, .value = 0.1}};
    agate_attrs slice = {
        .slice = {.starts = {2, {0, 1}}, .steps = {2, {1, -1}}, .shape = {2, {{1, 0}, {0, 16}}}}};
    agate_attrs arg = {.arg = {.axis = 1, .keep = true}};
    agate_attrs cast = {.cast = {.to = AGATE_BF16}};
    const struct {
        const char *kernel;
        const agate_attrs *attrs;
    } cases[] = {{"pad", &pad}, {"slice", &slice}, {"arg_max", &arg}, {"cast", &cast}};

    for (size_t i = 0; i < AGATE_COUNT(cases); i++) {
        agate_module module = named_residual(), back;
        agate_image image = {0};
        agate_arena *arena = agate_arena_create();
        agate_text plan = {0};
        steps[1].library = agate_ref_row_named(cases[i].kernel)->fn;
        steps[1].attrs = cases[i].attrs;
        ck_assert_ptr_null(agate_image_add(&image, &module));
        ck_assert_ptr_null(agate_image_write(&image, "", &plan));
        agate_image_deinit(&image);
        ck_assert_ptr_null(load(plan.data, plan.size_bytes, arena, &back));
        ck_assert_mem_eq(back.steps[1].attrs, cases[i].attrs, sizeof(agate_attrs));
        ck_assert(back.steps[1].library == steps[1].library);
        agate_arena_release(arena);
        agate_text_deinit(&plan);
    }
}
END_TEST

START_TEST(a_plan_that_is_cut_off_is_refused)
{
    size_t size;
    char *plan = plan_of(&size);
    agate_arena *arena = agate_arena_create();
    const size_t empty = agate_arena_mark(arena);
    agate_module module;

    for (size_t length = 0; length < size; length++) {
        char *part = malloc(length + 1);
        memcpy(part, plan, length);
        agate_status status = load(part, length, arena, &module);
        ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
        agate_status_release(status);
        if (length >= 24) { /* also where it says that this is all */
            uint64_t words = length;
            memcpy(part + 16, &words, sizeof words);
            status = load(part, length, arena, &module);
            ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
            agate_status_release(status);
        }
        agate_arena_rewind(arena, empty);
        free(part);
    }
    agate_arena_release(arena);
    free(plan);
}
END_TEST

/* Numbers that break careless readers. */
static const uint64_t evil[] = {0,          1,          7,         255,        INT32_MAX,
                                UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX};

START_TEST(a_damaged_plan_never_crashes)
{
    size_t size;
    char *plan = plan_of(&size), *copy = malloc(size);
    agate_arena *arena = agate_arena_create();
    const size_t empty = agate_arena_mark(arena);
    uint32_t seed = 1;
    agate_module module;

    for (size_t trial = 0; trial < 60000; trial++) {
        memcpy(copy, plan, size);
        for (size_t edit = 0; edit <= trial % 3; edit++) {
            seed = seed * 1664525 + 1013904223;
            size_t at = (seed >> 4) % size;
            if (trial % 2)
                memcpy(copy + at / 8 * 8, &evil[(seed >> 20) % AGATE_COUNT(evil)], 8);
            else
                copy[at] = (char)(seed >> 24);
        }
        agate_status status = load(copy, size, arena, &module);
        ck_assert(!status || agate_status_message(status)[0]);
        agate_status_release(status);
        agate_arena_rewind(arena, empty);
    }
    agate_arena_release(arena);
    free(copy);
    free(plan);
}
END_TEST

START_TEST(other_versions_and_missing_parts_are_named)
{
    size_t size;
    char *plan = plan_of(&size);
    agate_arena *arena = agate_arena_create();
    agate_module module;

    agate_image_variant variant;
    ck_assert_ptr_null(agate_image_variant_at(plan, size, 0, &variant));
    agate_status status = agate_image_load(&variant, blob, 64, find, NULL, arena, &module);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_INVALID_MODEL);
    ck_assert_ptr_nonnull(strstr(agate_status_message(status), "a constant lies outside of the weights"));
    agate_status_release(status);
    check_error(load("nonsense, and no plan at all", 28, arena, &module), AGATE_CODE_INVALID_MODEL,
                "this is no compiled model");
    plan[8] = 9;
    check_error(load(plan, size, arena, &module), AGATE_CODE_UNSUPPORTED,
                "the model was compiled to format 9, and this runtime reads 7; compile it again");
    agate_arena_release(arena);
    free(plan);
}
END_TEST

START_TEST(the_digest_sees_each_bit)
{
    static unsigned char bytes[200];
    agate_digest whole = {0}, pieces = {0};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    agate_digest_add(&whole, bytes, sizeof bytes);
    agate_digest_add(&pieces, bytes, 128);
    agate_digest_add(&pieces, bytes + 128, sizeof bytes - 128);
    ck_assert_uint_eq(agate_digest_end(&whole), agate_digest_end(&pieces));
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        agate_digest other = {0};
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        agate_digest_add(&other, bytes, sizeof bytes);
        ck_assert_uint_ne(agate_digest_end(&whole), agate_digest_end(&other));
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}
END_TEST

START_TEST(the_digest_by_pieces_is_one)
{
    const size_t most = 5 * AGATE_PIECE_BYTES + 8000;
    char *bytes = malloc(most);

    for (size_t i = 0; i < most; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    for (size_t size = 0; size <= most; size = size * 5 + 64) {
        agate_long_digest whole = {0}, parts = {0};
        agate_long_digest_add(&whole, bytes, size);
        for (size_t at = 0; at < size; at += 64 * 4999)
            agate_long_digest_add(&parts, bytes + at, size - at < 64 * 4999 ? size - at : 64 * 4999);
        uint64_t digest = agate_long_digest_end(&whole);
        ck_assert_uint_eq(digest, agate_long_digest_end(&parts));
        ck_assert_uint_eq(digest, agate_digest_on_threads(bytes, size));
        if (size > 0) {
            bytes[size - 1] ^= 1;
            ck_assert_uint_ne(digest, agate_digest_on_threads(bytes, size));
            bytes[size - 1] ^= 1;
        }
    }
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tests = tcase_create("image");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, what_is_written_runs_when_read);
    tcase_add_test(tests, each_attribute_comes_back);
    tcase_add_test(tests, a_plan_that_is_cut_off_is_refused);
    tcase_add_test(tests, a_damaged_plan_never_crashes);
    tcase_add_test(tests, other_versions_and_missing_parts_are_named);
    tcase_add_test(tests, the_digest_sees_each_bit);
    tcase_add_test(tests, the_digest_by_pieces_is_one);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
