/* links: base */
/* test_base.c: errors, arena, text, dimensions, hashing, half precision, element types, attributes, CPU and
 * machines. */
#include "runtime/base/attrs.h"
#include "runtime/base/features.h"
#include "tests/suite.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

/* ---- errors ------------------------------------------------------------------------------------------- */

START_TEST(error_without_place)
{
    agate_status status = agate_error_make(AGATE_CODE_IO, "read %d of %d bytes", 3, 10);
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_IO);
    ck_assert_str_eq(agate_status_message(status), "read 3 of 10 bytes");
    ck_assert_str_eq(agate_status_node(status), "");
    ck_assert_str_eq(agate_status_op(status), "");
    agate_status_release(status);
}
END_TEST

START_TEST(error_with_place)
{
    agate_status status = agate_error_make(AGATE_CODE_UNSUPPORTED, "group is %d", 3);
    status = agate_error_at(status, "conv1", "Conv");
    status = agate_error_at(status, "graph", "Loop"); /* the innermost place stays */
    status = agate_error_within(status, "%s.onnx", "model");
    ck_assert_str_eq(agate_status_message(status), "model.onnx: node \"conv1\" (Conv): group is 3");
    ck_assert_str_eq(agate_status_node(status), "conv1");
    ck_assert_str_eq(agate_status_op(status), "Conv");
    ck_assert_int_eq(agate_status_code(status), AGATE_CODE_UNSUPPORTED);
    agate_status_release(status);
}
END_TEST

START_TEST(error_with_half_a_place)
{
    agate_status status = agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "m"), "", "Conv");
    ck_assert_str_eq(agate_status_message(status), "unnamed node (Conv): m");
    agate_status_release(status);
    status = agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "m"), "n", NULL);
    ck_assert_str_eq(agate_status_message(status), "node \"n\": m");
    agate_status_release(status);
    status = agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "m"), NULL, NULL);
    ck_assert_str_eq(agate_status_message(status), "m");
    agate_status_release(status);
}
END_TEST

START_TEST(success_is_null)
{
    ck_assert_ptr_null(agate_error_at(AGATE_OK, "n", "o"));
    ck_assert_ptr_null(agate_error_within(AGATE_OK, "file"));
    ck_assert_int_eq(agate_status_code(AGATE_OK), AGATE_CODE_OK);
    ck_assert_str_eq(agate_status_message(AGATE_OK), "");
    ck_assert_str_eq(agate_status_node(AGATE_OK), "");
    agate_status_release(AGATE_OK);
    ck_assert_str_eq(agate_code_name(AGATE_CODE_OUT_OF_MEMORY), "out-of-memory");
    ck_assert_str_eq(agate_code_name((agate_code)99), "unknown");
}
END_TEST

/* ---- arena -------------------------------------------------------------------------------------------- */

static bool all_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

START_TEST(arena_gives_zeroed_aligned_memory)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 5000, 1 << 20, 3};
    agate_arena *arena = agate_arena_create();
    ck_assert_ptr_nonnull(arena);
    char *before = NULL;
    for (size_t i = 0; i < AGATE_COUNT(sizes); i++) {
        char *memory = agate_arena_alloc(arena, sizes[i]);
        ck_assert_uint_eq((uintptr_t)memory % 16, 0);
        ck_assert(memory >= before);
        ck_assert(all_zero(memory, sizes[i]));
        memset(memory, 0xa5, sizes[i]);
        before = memory + sizes[i];
    }
    agate_arena_release(arena);
    agate_arena_release(NULL);
}
END_TEST

START_TEST(arena_rewind_gives_zeroed_memory_again)
{
    static const size_t sizes[] = {100, 5000, 300 << 10,
                                   5 << 20}; /* cleared by hand, and by giving pages back */
    agate_arena *arena = agate_arena_create();
    char *keep = agate_arena_text(arena, "keep");
    for (size_t i = 0; i < AGATE_COUNT(sizes); i++) {
        const size_t mark = agate_arena_mark(arena);
        char *first = agate_arena_alloc(arena, sizes[i]);
        memset(first, 0xa5, sizes[i]);
        agate_arena_rewind(arena, mark);
        char *again = agate_arena_alloc(arena, sizes[i]);
        ck_assert_ptr_eq(first, again);
        ck_assert(all_zero(again, sizes[i]));
        agate_arena_rewind(arena, mark);
    }
    ck_assert_str_eq(keep, "keep");
    agate_arena_release(arena);
}
END_TEST

START_TEST(arena_text)
{
    agate_arena *arena = agate_arena_create();
    ck_assert_ptr_null(agate_arena_text(arena, NULL));
    ck_assert_str_eq(agate_arena_text(arena, ""), "");
    ck_assert_str_eq(agate_arena_format(arena, "%s-%03d", "ab", 7), "ab-007");
    ck_assert_str_eq(agate_arena_format(arena, "%s", ""), "");
    agate_arena_release(arena);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) &&                                                                        \
    !defined(__SANITIZE_THREAD__) /* which reserve address space of their own */
START_TEST(arena_fits_under_an_address_space_limit)
{
    const struct rlimit limit = {2u << 30, 2u << 30};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    agate_arena *arena = agate_arena_create();
    ck_assert_ptr_nonnull(arena);
    memset(agate_arena_alloc(arena, 1 << 20), 1, 1 << 20);
    agate_arena_release(arena);
}
END_TEST
#endif

/* ---- text --------------------------------------------------------------------------------------------- */

START_TEST(text_grows)
{
    agate_text text = {0};
    ck_assert_str_eq(agate_text_c(&text), "");
    agate_text_add(&text, "%s", "");
    agate_text_add_bytes(&text, NULL, 0);
    for (int i = 0; i < 1000; i++)
        agate_text_add(&text, "%d,", i % 10);
    agate_text_add_bytes(&text, "end", 3);
    ck_assert_uint_eq(text.size_bytes, 2003);
    ck_assert_uint_eq(strlen(text.data), 2003);
    ck_assert_str_eq(text.data + 1996, "8,9,end");
    ck_assert(!text.failed);
    agate_text_deinit(&text);
    ck_assert_ptr_null(text.data);
}
END_TEST

START_TEST(text_failure_sticks)
{
    agate_text text = {0};
    agate_text_add(&text, "kept");
    agate_text_add_bytes(&text, "x", SIZE_MAX / 2);
    agate_text_add(&text, "dropped");
    ck_assert(text.failed);
    ck_assert_str_eq(agate_text_c(&text), "kept");
    agate_text_deinit(&text);
}
END_TEST

/* ---- dimensions --------------------------------------------------------------------------------------- */

START_TEST(dims_add_and_multiply)
{
    agate_dim d;
    ck_assert(agate_dim_add((agate_dim){1, 2}, (agate_dim){3, -5}, &d) && d.scale == 4 && d.offset == -3);
    ck_assert(!agate_dim_add((agate_dim){INT64_MAX, 0}, (agate_dim){1, 0}, &d));
    ck_assert(!agate_dim_add((agate_dim){0, INT64_MIN}, (agate_dim){0, -1}, &d));
    ck_assert(agate_dim_mul((agate_dim){2, 3}, agate_dim_fixed(5), &d) && d.scale == 10 && d.offset == 15);
    ck_assert(agate_dim_mul(agate_dim_fixed(5), (agate_dim){2, 3}, &d) && d.scale == 10 && d.offset == 15);
    ck_assert(agate_dim_mul(agate_dim_fixed(0), (agate_dim){2, 3}, &d) && agate_dim_is(d, 0));
    ck_assert(!agate_dim_mul((agate_dim){1, 0}, (agate_dim){1, 0}, &d));
    ck_assert(!agate_dim_mul(agate_dim_fixed(INT64_MAX), agate_dim_fixed(2), &d));
    ck_assert(!agate_dim_mul((agate_dim){INT64_MAX, 0}, agate_dim_fixed(2), &d));
    ck_assert_int_eq(agate_dim_at((agate_dim){49, 1}, 3), 148);
}
END_TEST

START_TEST(dims_divide)
{
    agate_dim d;
    ck_assert(agate_dim_div((agate_dim){6, 4}, agate_dim_fixed(2), &d) && d.scale == 3 && d.offset == 2);
    ck_assert(agate_dim_div((agate_dim){6, 4}, (agate_dim){3, 2}, &d) && agate_dim_is(d, 2));
    ck_assert(agate_dim_div((agate_dim){64, 0}, (agate_dim){1, 0}, &d) && agate_dim_is(d, 64));
    ck_assert(!agate_dim_div((agate_dim){3, 0}, agate_dim_fixed(2), &d));
    ck_assert(!agate_dim_div((agate_dim){2, 1}, agate_dim_fixed(2), &d));
    ck_assert(!agate_dim_div((agate_dim){2, 1}, (agate_dim){1, 1}, &d));
    ck_assert(!agate_dim_div(agate_dim_fixed(8), agate_dim_fixed(0), &d));
    ck_assert(!agate_dim_div(agate_dim_fixed(8), (agate_dim){1, 0}, &d));
    ck_assert(!agate_dim_div(agate_dim_fixed(INT64_MIN), agate_dim_fixed(-1), &d));
}
END_TEST

START_TEST(hash_is_fnv_1a)
{
    ck_assert_uint_eq(agate_hash_bytes(AGATE_HASH_SEED, "", 0), UINT64_C(0xcbf29ce484222325));
    ck_assert_uint_eq(agate_hash_bytes(AGATE_HASH_SEED, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    ck_assert_uint_eq(agate_hash_bytes(AGATE_HASH_SEED, "foobar", 6), UINT64_C(0x85944171f73967e8));
}
END_TEST

/* ---- half precision ----------------------------------------------------------------------------------- */

START_TEST(half_round_trips_every_value)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float f16 = agate_f16_to_f32((uint16_t)bits), bf16 = agate_bf16_to_f32((uint16_t)bits);
        if (isnan(f16))
            ck_assert(isnan(agate_f16_to_f32(agate_f32_to_f16(f16))));
        else
            ck_assert_uint_eq(agate_f32_to_f16(f16), bits);
        if (isnan(bf16))
            ck_assert(isnan(agate_bf16_to_f32(agate_f32_to_bf16(bf16))));
        else
            ck_assert_uint_eq(agate_f32_to_bf16(bf16), bits);
    }
}
END_TEST

/* Between neighbours the nearer one is taken; half way, the even one. */
START_TEST(half_rounds_to_nearest_even)
{
    for (uint16_t bits = 0; bits < 0x7bff; bits++) {
        const float low = agate_f16_to_f32(bits), high = agate_f16_to_f32(bits + 1),
                    middle = (low + high) / 2;
        ck_assert_uint_eq(agate_f32_to_f16(middle), bits + (bits & 1));
        ck_assert_uint_eq(agate_f32_to_f16(nextafterf(middle, 0)), bits);
        ck_assert_uint_eq(agate_f32_to_f16(-nextafterf(middle, INFINITY)), 0x8000 | (bits + 1));
    }
    ck_assert_uint_eq(agate_f32_to_f16(65519.0f), 0x7bff);
    ck_assert_uint_eq(agate_f32_to_f16(65520.0f), 0x7c00);
    ck_assert_uint_eq(agate_f32_to_f16(-1e30f), 0xfc00);
    ck_assert_uint_eq(agate_f32_to_f16(0x1p-25f), 0);
    ck_assert_uint_eq(agate_f32_to_f16(0x1p-60f), 0);
    ck_assert_uint_eq(agate_f32_to_bf16(0x1.01p0f), 0x3f80); /* a tie: down to even */
    ck_assert_uint_eq(agate_f32_to_bf16(0x1.03p0f), 0x3f82); /* a tie: up to even */
    ck_assert_uint_eq(agate_f32_to_bf16(3.4e38f), 0x7f80);   /* past the largest */
}
END_TEST

/* ---- element types and tensors ------------------------------------------------------------------------ */

START_TEST(dtypes_have_rows)
{
    ck_assert_uint_eq(agate_dtype_size(AGATE_BF16), 2);
    ck_assert_uint_eq(agate_dtype_size(AGATE_I64), 8);
    ck_assert_str_eq(agate_dtype_name(AGATE_BOOL), "bool");
    ck_assert_uint_eq(agate_dtype_size(AGATE_DTYPE_NONE), 0);
    ck_assert_uint_eq(agate_dtype_size((agate_dtype)8), 0);
    ck_assert_str_eq(agate_dtype_name((agate_dtype)-1), "?");
}
END_TEST

START_TEST(tensor_sizes_are_checked)
{
    size_t size = 77;
    const int64_t dims[] = {2, 3, 4}, huge[] = {INT64_C(1) << 40, INT64_C(1) << 40}, bad[] = {2, -1};
    const int64_t empty[] = {0, 5}, empty_huge[] = {0, INT64_MAX, 2};
    ck_assert(!agate_tensor_size(AGATE_F32, 2, huge, &size));
    ck_assert(!agate_tensor_size(AGATE_F32, 2, bad, &size));
    ck_assert(!agate_tensor_size(AGATE_F32, AGATE_MAX_RANK + 1, dims, &size));
    ck_assert(!agate_tensor_size(AGATE_F32, -1, dims, &size));
    ck_assert(!agate_tensor_size(AGATE_DTYPE_NONE, 1, dims, &size));
    ck_assert(!agate_tensor_size(AGATE_U8, 3, empty_huge, &size));
    ck_assert_uint_eq(size, 77);
    ck_assert(agate_tensor_size(AGATE_F64, 3, dims, &size));
    ck_assert_uint_eq(size, 192);
    ck_assert(agate_tensor_size(AGATE_F32, 0, NULL, &size));
    ck_assert_uint_eq(size, 4);
    ck_assert(agate_tensor_size(AGATE_F32, 2, empty, &size));
    ck_assert_uint_eq(size, 0);
}
END_TEST

/* ---- attributes --------------------------------------------------------------------------------------- */

START_TEST(attributes_have_rows_and_defaults)
{
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(AGATE_SET_conv, &count);
    ck_assert_uint_eq(count, 4);
    ck_assert_str_eq(rows[0].name, "strides");
    ck_assert_int_eq(rows[3].kind, AGATE_ATTR_int);
    ck_assert_uint_eq(rows[3].offset_bytes, offsetof(agate_attrs, conv.group));
    agate_attr_rows(AGATE_SET_none, &count);
    ck_assert_uint_eq(count, 0);

    agate_attrs attrs;
    memset(&attrs, 0xff, sizeof(attrs));
    agate_attrs_init(AGATE_SET_conv, &attrs);
    ck_assert_int_eq(attrs.conv.group, 1);
    ck_assert_int_eq(attrs.conv.strides.count, 0);
    agate_attrs_init(AGATE_SET_reduce, &attrs);
    ck_assert(attrs.reduce.keep);
    agate_attrs_init(AGATE_SET_norm, &attrs);
    ck_assert_double_eq(attrs.norm.epsilon, 1e-5);

    rows = agate_attr_rows(AGATE_SET_pool, &count);
    ck_assert(isnan(rows[0].default_value));
    ck_assert_double_eq(rows[1].default_value, 1);
}
END_TEST

START_TEST(padding_names_round_trip)
{
    agate_padding padding = AGATE_PAD_CONSTANT;
    ck_assert(agate_padding_parse("reflect", &padding));
    ck_assert_str_eq(agate_padding_name(padding), "reflect");
    ck_assert(!agate_padding_parse("mirror", &padding));
    ck_assert_str_eq(agate_padding_name((agate_padding)99), "?");
}
END_TEST

/* ---- CPU and machines --------------------------------------------------------------------------------- */

START_TEST(machines_are_ordered_levels)
{
    ck_assert_int_eq(agate_machine_best(0), agate_machine_find("sse2"));
    ck_assert_int_eq(agate_machine_best(AGATE_CPU_V3), agate_machine_find("avx2"));
    ck_assert_int_eq(agate_machine_find("x86-64-v2"), agate_machine_find("sse4"));
    ck_assert_int_eq(agate_machine_best(~0u), agate_machine_count() - 1);
    ck_assert_int_eq(agate_machine_find("mmx"), -1);
    for (int32_t i = 1; i < agate_machine_count(); i++) {
        const agate_machine less = agate_machine_get(i - 1), more = agate_machine_get(i);
        ck_assert_int_ge(agate_machine_lanes(&more), agate_machine_lanes(&less));
        ck_assert(less.needs != more.needs && (less.needs & ~more.needs) == 0);
    }
}
END_TEST

START_TEST(cpu_features_follow_the_compiler)
{
    const uint32_t features = agate_cpu_features();
    ck_assert_int_eq(!!(features & AGATE_CPU_AVX512_VNNI), !!__builtin_cpu_supports("avx512vnni"));
    ck_assert_int_eq(!!(features & AGATE_CPU_SSE42), !!__builtin_cpu_supports("sse4.2"));
    ck_assert_int_eq(!!(features & AGATE_CPU_FMA), !!__builtin_cpu_supports("fma"));
    bool v3 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    bool v4 = v3 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    ck_assert_int_eq((features & AGATE_CPU_V3) == AGATE_CPU_V3, v3);
    ck_assert_int_eq((features & AGATE_CPU_V4) == AGATE_CPU_V4, v4);
    /* What is there stands on what is there. */
    ck_assert_uint_eq(agate_cpu_features_with(features, features), features);
    ck_assert_int_ge(agate_cpu_count(), 1);
}
END_TEST

START_TEST(cpu_features_print)
{
    agate_text text = {0};
    agate_cpu_features_print(AGATE_CPU_AVX2 | AGATE_CPU_AMX_INT8 | 1u << 31, &text);
    ck_assert_str_eq(agate_text_c(&text), "AVX2, AMX INT8, unknown features 0x80000000");
    agate_text_deinit(&text);
    agate_cpu_features_list(AGATE_CPU_AVX2 | AGATE_CPU_FMA, "+", true, &text);
    ck_assert_str_eq(agate_text_c(&text), "+avx2,+fma");
    agate_text_deinit(&text);
}
END_TEST

/* A CPU that has everything, on a system that gives it all, or refuses the tiles. */
START_TEST(features_of_refused_state)
{
    const uint32_t tiles = AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16 | AGATE_CPU_AMX_INT8;
    agate_cpu_facts facts = {.xcr0 = ~UINT64_C(0)};
    agate_text text = {0};
    uint32_t refused;

    for (size_t i = 0; i < AGATE_COUNT(facts.cpuid); i++)
        facts.cpuid[i] = ~0u;
    const uint32_t all = agate_cpu_features_from(&facts, &refused);
    ck_assert_uint_eq(refused, 0);
    ck_assert_uint_eq(all & tiles, tiles);
    ck_assert_uint_eq(all & AGATE_CPU_V4, AGATE_CPU_V4);
    facts.refused = 1u << 18;
    ck_assert_uint_eq(agate_cpu_features_from(&facts, &refused), all & ~tiles);
    ck_assert_uint_eq(refused, tiles);
    /* What the CPU or the system lacks is not refused. */
    facts.cpuid[3] &= ~(1u << 22);
    ck_assert_uint_eq(agate_cpu_features_from(&facts, &refused), all & ~tiles);
    ck_assert_uint_eq(refused, tiles & ~(uint32_t)AGATE_CPU_AMX_BF16);
    facts.xcr0 = 0xe7;
    ck_assert_uint_eq(agate_cpu_features_from(&facts, &refused), all & ~tiles);
    ck_assert_uint_eq(refused, 0);
    ck_assert_uint_eq(agate_cpu_features() & agate_cpu_features_refused(), 0);

    agate_cpu_features_explain(AGATE_CPU_AVX2 | AGATE_CPU_AMX_TILE, tiles, &text);
    ck_assert_str_eq(agate_text_c(&text),
                     "this CPU lacks AVX2, and the system refuses this process AMX tiles");
    agate_text_deinit(&text);
    agate_cpu_features_explain(AGATE_CPU_AMX_TILE, tiles, &text);
    ck_assert_str_eq(agate_text_c(&text), "the system refuses this process AMX tiles");
    agate_text_deinit(&text);
    agate_cpu_features_explain(0, tiles, &text);
    ck_assert_str_eq(agate_text_c(&text), "");
    agate_text_deinit(&text);
}
END_TEST

START_TEST(features_build_on_each_other)
{
    size_t length;

    ck_assert_uint_eq(agate_cpu_feature_find("avx512bf16+x", &length), AGATE_CPU_AVX512_BF16);
    ck_assert_uint_eq(length, 10);
    ck_assert_uint_eq(agate_cpu_feature_find("avx", &length), AGATE_CPU_AVX);
    ck_assert_uint_eq(agate_cpu_feature_find("mmx", &length), 0);
    ck_assert_uint_eq(agate_cpu_features_with(0, AGATE_CPU_SSE42),
                      AGATE_CPU_SSE42 | AGATE_CPU_SSE41 | AGATE_CPU_SSSE3 | AGATE_CPU_SSE3);
    ck_assert_uint_eq(agate_cpu_features_without(AGATE_CPU_V4, AGATE_CPU_AVX512F), AGATE_CPU_V3);
    ck_assert_uint_eq(agate_cpu_features_without(AGATE_CPU_V4, AGATE_CPU_SSE3) & AGATE_CPU_V2,
                      AGATE_CPU_POPCNT | AGATE_CPU_CX16 | AGATE_CPU_SAHF);
    /* Every level is closed: what it has stands on what it has. */
    ck_assert_uint_eq(agate_cpu_features_with(0, AGATE_CPU_V2), AGATE_CPU_V2);
    ck_assert_uint_eq(agate_cpu_features_with(0, AGATE_CPU_V3), AGATE_CPU_V3);
    ck_assert_uint_eq(agate_cpu_features_with(0, AGATE_CPU_V4), AGATE_CPU_V4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_add_test(tests, error_without_place);
    tcase_add_test(tests, error_with_place);
    tcase_add_test(tests, error_with_half_a_place);
    tcase_add_test(tests, success_is_null);
    tcase_add_test(tests, arena_gives_zeroed_aligned_memory);
    tcase_add_test(tests, arena_rewind_gives_zeroed_memory_again);
    tcase_add_test(tests, arena_text);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test(tests, arena_fits_under_an_address_space_limit);
#endif
    tcase_add_test(tests, text_grows);
    tcase_add_test(tests, text_failure_sticks);
    tcase_add_test(tests, dims_add_and_multiply);
    tcase_add_test(tests, dims_divide);
    tcase_add_test(tests, hash_is_fnv_1a);
    tcase_add_test(tests, half_round_trips_every_value);
    tcase_add_test(tests, half_rounds_to_nearest_even);
    tcase_add_test(tests, dtypes_have_rows);
    tcase_add_test(tests, tensor_sizes_are_checked);
    tcase_add_test(tests, attributes_have_rows_and_defaults);
    tcase_add_test(tests, padding_names_round_trip);
    tcase_add_test(tests, machines_are_ordered_levels);
    tcase_add_test(tests, cpu_features_follow_the_compiler);
    tcase_add_test(tests, cpu_features_print);
    tcase_add_test(tests, features_of_refused_state);
    tcase_add_test(tests, features_build_on_each_other);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
