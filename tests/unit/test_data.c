/* links: passes ir ref base */
/* test_data.c: contents of constants that are made later: the same as at once, in whole and in part. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ir/reorder.h"
#include "passes/scaled.h"
#include "tests/suite.h"

enum { OUT = 37, IN = 19, TAPS = 3, COUNT = OUT * IN * TAPS };

static agate_type weights_type(agate_layout_kind kind, uint16_t block)
{
    const agate_dim dims[] = {{0, OUT}, {0, IN}, {0, TAPS}};
    agate_type type = agate_type_make(AGATE_F32, 3, dims);
    type.layout = (agate_layout){.kind = kind, .block = block};
    return type;
}

static agate_data *numbers(void)
{
    agate_data *data = agate_data_create(COUNT * sizeof(float));
    for (int i = 0; i < COUNT; i++)
        ((float *)data->bytes)[i] = (float)(i % 1009) / 64 - 7;
    return data;
}

/* Those of `data`, at an address that suits no vector. */
static agate_data *loose(agate_data *data, char **out_memory)
{
    *out_memory = malloc(data->size_bytes + 1);
    memcpy(*out_memory + 1, data->bytes, data->size_bytes);
    return agate_data_create_loose(data->size_bytes, *out_memory + 1, NULL);
}

static double scales[OUT > IN *TAPS ? OUT : IN *TAPS];

static agate_scaling scaling(int64_t rows_per_group, int64_t inputs, int64_t window, int64_t count)
{
    for (int i = 0; i < count; i++)
        scales[i] = 0.37 * i - 3;
    return (agate_scaling){scales, count, IN * TAPS, rows_per_group, inputs, window};
}

START_TEST(loose_contents_are_aligned_when_asked_for)
{
    agate_data *plain = numbers();
    char *memory;
    agate_data *data = loose(plain, &memory);
    float some[5];

    ck_assert(agate_data_read(data, 7 * sizeof(float), sizeof some, some));
    ck_assert_mem_eq(some, (const float *)plain->bytes + 7, sizeof some);
    ck_assert_ptr_null(data->bytes); /* reading keeps nothing */
    ck_assert_double_eq(agate_data_at(data, AGATE_F32, 9), ((const float *)plain->bytes)[9]);
    const void *bytes = agate_data_bytes(data);
    ck_assert_uint_eq((uintptr_t)bytes % AGATE_ALIGNMENT, 0);
    ck_assert_mem_eq(bytes, plain->bytes, plain->size_bytes);
    ck_assert_ptr_eq(agate_data_bytes(data), bytes);
    agate_data_release(data);
    free(memory);
    agate_data_release(plain);
}
END_TEST

/* What is made from a file's pages is made again after they have gone. */
START_TEST(pages_of_a_file_may_be_forgotten)
{
    agate_data *plain = numbers();
    agate_scaling s = scaling(1, 1, IN * TAPS, OUT);
    FILE *file = tmpfile();

    ck_assert_uint_eq(fwrite(plain->bytes, 1, plain->size_bytes, file), plain->size_bytes);
    fflush(file);
    void *mapped = mmap(NULL, plain->size_bytes, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    ck_assert_ptr_ne(mapped, MAP_FAILED);
    agate_data *data = agate_data_create_loose(plain->size_bytes, mapped, NULL);
    agate_data *scaled = agate_data_scale(data, AGATE_F32, &s);
    double before = agate_data_at(scaled, AGATE_F32, 100);
    agate_data_forget(scaled);
    ck_assert_double_eq(agate_data_at(scaled, AGATE_F32, 100), before);
    agate_data_forget(plain); /* lies in no file */
    ck_assert_double_eq(agate_data_at(plain, AGATE_F32, 64), -6);
    agate_data *model = agate_data_create(1 << 16); /* as if it came through a pipe */
    agate_data *piece = agate_data_create_loose(model->size_bytes - 4, (const char *)model->bytes + 4, model);
    memset((void *)model->bytes, 1, model->size_bytes);
    agate_data_forget(piece);
    for (size_t i = 0; i < model->size_bytes; i++)
        ck_assert_int_eq(((const char *)model->bytes)[i], 1);
    agate_data_release(piece);
    agate_data_release(model);
    agate_data_release(scaled);
    agate_data_release(data);
    munmap(mapped, plain->size_bytes);
    fclose(file);
    agate_data_release(plain);
}
END_TEST

/* Element i of row r, the slow way. */
static float scaled_at(const agate_data *plain, const agate_scaling *s, int64_t r, int64_t i)
{
    double scale = s->scale[r / s->rows_per_group * s->inputs + i / s->window];
    return (float)(((const float *)plain->bytes)[r * s->row_count + i] * scale);
}

static void check_scaled(agate_scaling s)
{
    agate_data *plain = numbers();
    agate_data *data = agate_data_scale(plain, AGATE_F32, &s);
    float part[IN * TAPS + 5];

    ck_assert(agate_data_scales_finite(plain, AGATE_F32, &s));
    ck_assert(agate_data_read(data, 11 * sizeof(float), sizeof part, part));
    for (int64_t k = 0; k < (int64_t)AGATE_COUNT(part); k++)
        ck_assert_float_eq(part[k], scaled_at(plain, &s, (11 + k) / s.row_count, (11 + k) % s.row_count));
    const float *all = agate_data_bytes(data);
    for (int64_t k = 0; k < COUNT; k++)
        ck_assert_float_eq(all[k], scaled_at(plain, &s, k / s.row_count, k % s.row_count));
    agate_data_release(data);
    agate_data_release(plain);
}

START_TEST(scales_by_row_by_input_and_by_column)
{
    check_scaled(scaling(1, 1, IN * TAPS, OUT));
    check_scaled(scaling(OUT, IN, TAPS, IN));
    check_scaled(scaling(OUT, IN * TAPS, 1, IN * TAPS));
}
END_TEST

START_TEST(weights_that_leave_the_range_are_seen)
{
    agate_data *plain = numbers();
    agate_scaling s = scaling(1, 1, IN * TAPS, OUT);
    float *number = &((float *)plain->bytes)[COUNT - 1];

    for (int i = 0; i < 3; i++) {
        *number = (const float[]){INFINITY, NAN, 3e38f}[i];
        ck_assert(!agate_data_scales_finite(plain, AGATE_F32, &s));
    }
    *number = 1;
    scales[3] = NAN;
    ck_assert(!agate_data_scales_finite(plain, AGATE_F32, &s));
    scales[3] = 1e300; /* too large for the bound; row 3 alone meets it */
    ck_assert(!agate_data_scales_finite(plain, AGATE_F32, &s));
    memset((float *)plain->bytes + 3 * s.row_count, 0, sizeof(float) * (size_t)s.row_count);
    ck_assert(agate_data_scales_finite(plain, AGATE_F32, &s));
    agate_data_release(plain);
}
END_TEST

/* Packs `data`, of plain weights whose contents are `plain`, later; expects what packing at once gives. */
static void check_packed(agate_data *data, const void *plain, agate_type to)
{
    agate_type from = weights_type(AGATE_LAYOUT_plain, 0);
    agate_data *packed = agate_data_reorder(data, &from, &to);
    char *want = calloc(1, packed->size_bytes), *found = malloc(packed->size_bytes);

    ck_assert(agate_reorder_bytes(&from, plain, &to, want));
    memset(found, 0x5a, packed->size_bytes); /* pads are written too */
    ck_assert(agate_data_read(packed, 0, packed->size_bytes, found));
    ck_assert_mem_eq(found, want, packed->size_bytes);
    ck_assert(agate_data_read(packed, 64, 64, found));
    ck_assert_mem_eq(found, want + 64, 64);
    ck_assert_mem_eq(agate_data_bytes(packed), want, packed->size_bytes);
    agate_data_release(packed);
    free(want);
    free(found);
}

START_TEST(packing_later_gives_what_packing_at_once_gives)
{
    static const agate_layout_kind kinds[] = {AGATE_LAYOUT_oi, AGATE_LAYOUT_o, AGATE_LAYOUT_channel,
                                              AGATE_LAYOUT_panel};
    const agate_scaling s = scaling(1, 1, IN * TAPS, OUT);
    agate_data *plain = numbers();

    for (size_t i = 0; i < AGATE_COUNT(kinds); i++) {
        agate_type to = weights_type(kinds[i], _i ? 16 : 2);
        char *memory;
        agate_data *sources[] = {agate_data_retain(plain), loose(plain, &memory),
                                 agate_data_scale(plain, AGATE_F32, &s)};
        agate_data *scaled = agate_data_scale(plain, AGATE_F32, &s);
        for (int k = 0; k < 3; k++)
            check_packed(sources[k], k < 2 ? plain->bytes : agate_data_bytes(scaled), to);
        for (int k = 0; k < 3; k++)
            agate_data_release(sources[k]);
        agate_data_release(scaled);
        free(memory);
    }
    agate_data_release(plain);
}
END_TEST

/* Part `plane` of each number, of what rounding to bf16 left. */
static void split(const float *numbers, int32_t plane, uint16_t *out)
{
    for (int i = 0; i < COUNT; i++) {
        float left = numbers[i];
        for (int32_t p = 0; p < plane; p++)
            left -= agate_bf16_to_f32(agate_f32_to_bf16(left));
        out[i] = agate_f32_to_bf16(left);
    }
}

/* Plain weights with all that rounds in a way of its own. */
static agate_data *odd_numbers(void)
{
    static const uint32_t odd[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x7f7fffff, 0x7f800000,
                                   0xff800000, 0x7f800001, 0xffc00000, 0x3f808000, 0x3f818000, 0x3f80ff7e,
                                   0x7f7f8000, 0x477fefff, 0x477ff000, 0x387fffff, 0x33000000, 0x33000001,
                                   0x33c00000, 0x3f801000, 0x3f803000, 0xc7800000};
    agate_data *data = numbers();
    uint32_t *bits = (uint32_t *)data->bytes;

    for (uint32_t i = 0; i < COUNT; i++)
        bits[i] = i % 3 ? i * 2654435761u : odd[i / 3 % AGATE_COUNT(odd)];
    return data;
}

/* As bf16, whole and in parts, from memory and made on the way: as each number would be split by itself. */
START_TEST(weights_are_split_number_by_number)
{
    static const agate_layout_kind kinds[] = {AGATE_LAYOUT_oi_pairs, AGATE_LAYOUT_panel, AGATE_LAYOUT_plain,
                                              AGATE_LAYOUT_o_pairs, AGATE_LAYOUT_o_taps};
    const size_t kind_count = AGATE_COUNT(kinds);
    const agate_scaling s = scaling(1, 1, IN * TAPS, OUT);
    agate_data *plain = odd_numbers(), *scaled = agate_data_scale(plain, AGATE_F32, &s);
    agate_type from = weights_type(AGATE_LAYOUT_plain, 0), half = from;
    char *memory;
    agate_data *sources[] = {agate_data_retain(plain), loose(plain, &memory), agate_data_retain(scaled)};
    uint16_t *parts = malloc(COUNT * sizeof *parts);

    half.dtype = AGATE_BF16;
    for (size_t i = 0; i < 3 * kind_count * 3; i++) {
        agate_data *source = sources[i % 3];
        agate_layout_kind kind = kinds[i / 3 % kind_count];
        agate_type to = weights_type(kind, kind == AGATE_LAYOUT_plain ? 0 : _i ? 32 : 4);
        int32_t plane = (int32_t)(i / (3 * kind_count));
        to.dtype = AGATE_BF16;
        agate_data *packed = agate_data_plane(source, &from, &to, plane);
        char *want = calloc(1, packed->size_bytes), *found = malloc(packed->size_bytes);
        ck_assert(agate_data_read(packed, 0, packed->size_bytes, found));
        split(agate_data_bytes(i % 3 == 2 ? scaled : plain), plane, parts);
        ck_assert(agate_reorder_bytes(&half, parts, &to, want));
        ck_assert_mem_eq(found, want, packed->size_bytes);
        agate_data_release(packed);
        free(want);
        free(found);
    }
    for (int k = 0; k < 3; k++)
        agate_data_release(sources[k]);
    agate_data_release(scaled);
    agate_data_release(plain);
    free(memory);
    free(parts);
}
END_TEST

/* As f16, likewise. */
START_TEST(weights_are_halved_number_by_number)
{
    static const agate_layout_kind kinds[] = {AGATE_LAYOUT_oi, AGATE_LAYOUT_panel, AGATE_LAYOUT_plain};
    agate_data *plain = odd_numbers();
    agate_type from = weights_type(AGATE_LAYOUT_plain, 0), half = from;
    char *memory;
    agate_data *sources[] = {agate_data_retain(plain), loose(plain, &memory)};
    uint16_t *halves = malloc(COUNT * sizeof *halves);

    half.dtype = AGATE_F16;
    for (uint32_t i = 0; i < COUNT; i++)
        halves[i] = agate_f32_to_f16(((const float *)plain->bytes)[i]);
    for (size_t i = 0; i < 2 * AGATE_COUNT(kinds); i++) {
        agate_type to = weights_type(kinds[i / 2], kinds[i / 2] == AGATE_LAYOUT_plain ? 0 : 16);
        to.dtype = AGATE_F16;
        agate_data *packed = agate_data_reorder(sources[i % 2], &from, &to);
        char *want = calloc(1, packed->size_bytes), *found = malloc(packed->size_bytes);
        ck_assert(agate_data_read(packed, 0, packed->size_bytes, found));
        ck_assert(agate_reorder_bytes(&half, halves, &to, want));
        ck_assert_mem_eq(found, want, packed->size_bytes);
        memset(want, 0, packed->size_bytes);
        ck_assert(agate_reorder_bytes(&from, plain->bytes, &to, want)); /* one by one */
        ck_assert_mem_eq(found, want, packed->size_bytes);
        agate_data_release(packed);
        free(want);
        free(found);
    }
    for (int k = 0; k < 2; k++)
        agate_data_release(sources[k]);
    agate_data_release(plain);
    free(memory);
    free(halves);
}
END_TEST

static void *ask(void *data)
{
    return (void *)agate_data_bytes(data);
}

START_TEST(threads_that_ask_at_once_get_the_same_bytes)
{
    agate_scaling s = scaling(1, 1, IN * TAPS, OUT);
    agate_data *plain = numbers();

    for (int i = 0; i < 50; i++) {
        agate_data *data = agate_data_scale(plain, AGATE_F32, &s);
        pthread_t threads[2];
        void *found[2];
        for (int k = 0; k < 2; k++)
            ck_assert_int_eq(pthread_create(&threads[k], NULL, ask, data), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], &found[k]);
        ck_assert_ptr_nonnull(found[0]);
        ck_assert_ptr_eq(found[0], found[1]);
        agate_data_release(data);
    }
    agate_data_release(plain);
}
END_TEST

START_TEST(blocks_of_every_size_are_clear_and_aligned)
{
    static const size_t sizes[] = {0, 1, 4096, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};

    for (size_t i = 0; i < AGATE_COUNT(sizes); i++) {
        char *block = agate_block_create(sizes[i]);
        ck_assert_uint_eq((uintptr_t)block % AGATE_ALIGNMENT, 0);
        for (size_t at = 0; at < sizes[i]; at += 997)
            ck_assert_int_eq(block[at], 0);
        memset(block, 1, sizes[i]);
        agate_block_release(block, sizes[i]);
    }
}
END_TEST

/* The dimensions in another order, read in parts, as a whole, and packed in one walk. */
START_TEST(transposing_later_gives_what_transposing_at_once_gives)
{
    static const int32_t perm[] = {2, 0, 1};
    agate_data *plain = numbers();
    agate_type from = weights_type(AGATE_LAYOUT_plain, 0), to = from, packed_type;
    char *memory;
    agate_data *sources[] = {agate_data_retain(plain), loose(plain, &memory)};
    float *want = malloc(plain->size_bytes), part[7];
    int64_t at = 0;

    for (int32_t d = 0; d < 3; d++)
        to.dims[d] = from.dims[perm[d]];
    for (int64_t tap = 0; tap < TAPS; tap++)
        for (int64_t o = 0; o < OUT; o++)
            for (int64_t i = 0; i < IN; i++)
                want[at++] = ((const float *)plain->bytes)[(o * IN + i) * TAPS + tap];

    packed_type = to;
    packed_type.layout = weights_type(AGATE_LAYOUT_oi, 16).layout;
    for (int i = 0; i < 2; i++) {
        agate_data *transposed = agate_data_transpose(sources[i], &from, perm, &to);
        agate_data *packed = agate_data_reorder(transposed, &to, &packed_type);
        char *packed_want = calloc(1, packed->size_bytes);

        ck_assert(agate_reorder_bytes(&to, want, &packed_type, packed_want));
        ck_assert_mem_eq(agate_data_bytes(packed), packed_want, packed->size_bytes);
        ck_assert(agate_data_read(transposed, 5 * sizeof *part, sizeof part, part));
        ck_assert_mem_eq(part, want + 5, sizeof part);
        ck_assert_ptr_null(transposed->bytes); /* neither needed all of it */
        ck_assert_mem_eq(agate_data_bytes(transposed), want, plain->size_bytes);
        free(packed_want);
        agate_data_release(packed);
        agate_data_release(transposed);
        agate_data_release(sources[i]);
    }
    free(want);
    free(memory);
    agate_data_release(plain);
}
END_TEST

/* A reshape keeps the contents, so what is packed has another shape than what was transposed. */
START_TEST(packs_what_was_reshaped_since_it_was_transposed)
{
    static const int32_t perm[] = {1, 0};
    agate_data *plain = numbers();
    const agate_dim dims[] = {{0, OUT}, {0, IN * TAPS}}, turned[] = {{0, IN * TAPS}, {0, OUT}};
    const agate_dim shaped[] = {{0, IN * TAPS}, {0, OUT}, {0, 1}};
    agate_type from = agate_type_make(AGATE_F32, 2, dims), to = agate_type_make(AGATE_F32, 2, turned);
    agate_type reshaped = agate_type_make(AGATE_F32, 3, shaped), packed_type = reshaped;
    agate_data *transposed = agate_data_transpose(plain, &from, perm, &to);
    float *want = malloc(plain->size_bytes);

    packed_type.layout = weights_type(AGATE_LAYOUT_oi, 16).layout;
    for (int64_t i = 0; i < IN * TAPS; i++)
        for (int64_t o = 0; o < OUT; o++)
            want[i * OUT + o] = ((const float *)plain->bytes)[o * IN * TAPS + i];
    agate_data *packed = agate_data_reorder(transposed, &reshaped, &packed_type);
    char *packed_want = calloc(1, packed->size_bytes);
    ck_assert(agate_reorder_bytes(&reshaped, want, &packed_type, packed_want));
    ck_assert_mem_eq(agate_data_bytes(packed), packed_want, packed->size_bytes);
    free(packed_want);
    free(want);
    agate_data_release(packed);
    agate_data_release(transposed);
    agate_data_release(plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *tests = tcase_create("data");
    tcase_add_test(tests, loose_contents_are_aligned_when_asked_for);
    tcase_add_test(tests, pages_of_a_file_may_be_forgotten);
    tcase_add_test(tests, scales_by_row_by_input_and_by_column);
    tcase_add_test(tests, weights_that_leave_the_range_are_seen);
    tcase_add_loop_test(tests, packing_later_gives_what_packing_at_once_gives, 0, 2);
    tcase_add_loop_test(tests, weights_are_split_number_by_number, 0, 2);
    tcase_add_test(tests, weights_are_halved_number_by_number);
    tcase_add_test(tests, transposing_later_gives_what_transposing_at_once_gives);
    tcase_add_test(tests, packs_what_was_reshaped_since_it_was_transposed);
    tcase_add_test(tests, threads_that_ask_at_once_get_the_same_bytes);
    tcase_add_test(tests, blocks_of_every_size_are_clear_and_aligned);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
