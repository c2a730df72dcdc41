/* links: emulate base */
/* test_amx_products.c: TDPBF16PS, as tests/emulate executes it or as the CPU does, against plain C and
 * against the emulator's own function. */
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/base.h"
#include "tests/emulate/program.h"
#include "tests/suite.h"

PROGRAM(program_products,
        "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,1), %tmm0\n tileloaddt1 (%rdx,%r9,1), %tmm6\n"
        "tileloadd (%rcx,%r9,1), %tmm7\n tdpbf16ps %tmm7, %tmm6, %tmm0\n"
        "tilestored %tmm0, (%r8,%r9,1)\n tilerelease");

typedef union number {
    uint32_t bits;
    float value;
} number;

static float without_denormal(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

/* A result that is denormal once it is rounded as if there were no least exponent is 0: `scaled` is that,
 * times 2^60. */
static float flush(float result, float scaled)
{
    return fabsf(result) <= 0x1p-126f && fabsf(scaled) < 0x1p-66f ? copysignf(0, result) : result;
}

static float fma_flushed(float a, float b, float c)
{
    a = without_denormal(a), b = without_denormal(b), c = without_denormal(c);
    const float result = fmaf(a, b, c);

    return isnan(result) ? result : flush(result, (float)((double)a * 0x1p60 * b + (double)c * 0x1p60));
}

static float add_flushed(float a, float b)
{
    return fma_flushed(a, 1, b);
}

static float widen(uint16_t bf16)
{
    return (number){.bits = (uint32_t)bf16 << 16}.value;
}

typedef struct products {
    int rows, pairs, columns;
    /* As tiles: sums, first factor, second factor. */
    float c[16][16];
    uint16_t a[16][32], b[16][32];
} products;

static void multiply(const products *p, float out[16][16])
{
    for (int m = 0; m < p->rows; m++)
        for (int n = 0; n < p->columns; n++) {
            float even = 0, odd = 0;
            for (int k = 0; k < p->pairs; k++) {
                even = fma_flushed(widen(p->a[m][2 * k]), widen(p->b[k][2 * n]), even);
                odd = fma_flushed(widen(p->a[m][2 * k + 1]), widen(p->b[k][2 * n + 1]), odd);
            }
            out[m][n] = add_flushed(p->c[m][n], add_flushed(even, odd));
        }
}

static void check_sums(const products *p, float want[16][16], float got[16][16], const char *who)
{
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            const number w = {.value = want[m][n]}, g = {.value = got[m][n]};
            ck_assert_msg(w.bits == g.bits || (isnan(w.value) && isnan(g.value)),
                          "%s: row %d, column %d of %dx%dx%d: %a, not %a", who, m, n, p->rows, p->pairs,
                          p->columns, (double)g.value, (double)w.value);
        }
}

static void check_products(const products *p)
{
    configuration c = {.palette = 1};
    float want[16][16], got[16][16], walked[16][16];
    agate_amx_tiles tiles = {0};

    c.rows[0] = c.rows[6] = (uint8_t)p->rows;
    c.rows[7] = (uint8_t)p->pairs;
    c.row_bytes[0] = c.row_bytes[7] = (uint16_t)(4 * p->columns);
    c.row_bytes[6] = (uint16_t)(4 * p->pairs);
    memset(want, 0x55, sizeof want);
    memset(got, 0x55, sizeof got);
    memset(walked, 0x55, sizeof walked);
    multiply(p, want);
    /* Neither asked nor changed: rounding towards zero, denormals kept, and the flag of inexact results
     * clear. */
    const unsigned before = _mm_getcsr(), odd = 0x1f80 | 0x6000;
    _mm_setcsr(odd);
    program_products(&c, p->c, p->a, p->b, got, 64);
    const unsigned after_run = _mm_getcsr();
    walk(program_products, &tiles, &c, p->c, p->a, p->b, walked, 64);
    const unsigned after_walk = _mm_getcsr();
    _mm_setcsr(before);
    ck_assert_uint_eq(after_run, odd);
    ck_assert_uint_eq(after_walk, odd);
    check_sums(p, want, got, "run");
    check_sums(p, want, walked, "walked");
}

static uint64_t random_state = 1;

static uint32_t random_bits(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 32);
}

/* Of sign and exponent at random: around 1; around the least normal number when `low`; now and then
 * special. */
static uint32_t random_float(bool low, bool special)
{
    static const uint32_t specials[] = {0x7f800000, 0xff800000, 0x7fc10000, 0,          0x80000000,
                                        0x00010000, 0x807f0000, 0x7f7f0000, 0x00800000, 0x80800000};
    const uint32_t r = random_bits(), exponent = (low ? 58 : 122) + random_bits() % 10;

    if (special && r % 16 == 0)
        return specials[random_bits() % AGATE_COUNT(specials)];
    return (r & 0x807fffff) | exponent << 23;
}

static void fill(products *p, bool low, bool special)
{
    for (int i = 0; i < 16 * 32; i++) {
        p->a[i / 32][i % 32] = (uint16_t)(random_float(low, special) >> 16);
        p->b[i / 32][i % 32] = (uint16_t)(random_float(low, special) >> 16);
    }
    for (int i = 0; i < 16 * 16; i++) {
        number sum = {.bits = random_float(false, special)};
        p->c[i / 16][i % 16] = low ? ldexpf(sum.value, -126) : sum.value;
    }
}

/* `_i`: bit 0: products and sums around the least normal number; bit 1: special numbers. */
START_TEST(products_of_tiles)
{
    static const int counts[] = {1, 6, 16};
    products p;

    for (int i = 0; !skipped() && i < 27 * 3; i++) {
        p.rows = counts[i % 3];
        p.pairs = counts[i / 3 % 3];
        p.columns = counts[i / 9 % 3];
        fill(&p, _i & 1, _i & 2);
        check_products(&p);
    }
}
END_TEST

/* Numbers of which another order of additions, another rounding or kept denormals would make something
 * else. */
START_TEST(products_by_hand)
{
    products p = {.rows = 1, .pairs = 2, .columns = 4};

    if (skipped())
        return;
    /* Column 0: even and odd products have sums of their own, which meet at the end: 2^24 + 1 + 1 loses
     * nothing of 2. */
    p.a[0][0] = p.a[0][1] = p.a[0][2] = p.a[0][3] = 0x3f80; /* 1 */
    p.b[0][0] = 0x4b80;                                     /* 2^24 */
    p.b[0][1] = p.b[1][1] = 0x3f80;
    /* Column 1: a product that is a denormal is 0, though the sum would be none. */
    p.b[0][2] = 0x0040, p.b[0][3] = 0x0040, p.c[0][1] = 0;
    /* Column 2: denormal sums are 0, with their sign. */
    p.c[0][2] = -0x1p-130f;
    /* Column 3: inf - inf. */
    p.b[0][6] = 0x7f80, p.b[0][7] = 0xff80;
    check_products(&p);
    float want[16][16];
    multiply(&p, want);
    ck_assert(want[0][0] == 0x1p24f + 2);
    ck_assert(want[0][1] == 0);
    ck_assert(want[0][2] == 0 && isnan(want[0][3]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("amx products");
    TCase *tests = tcase_create("amx products");
    tcase_add_loop_test(tests, products_of_tiles, 0, 4);
    tcase_add_test(tests, products_by_hand);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
