/* peaks.c: calibrated loops. Twelve chains of multiply-adds, then of divisions, that never leave the
 * registers: enough to fill two pipes of four cycles, and few enough for sixteen registers. Products of AMX
 * tiles, with the loads of their factors from the first cache that four products share: no kernel can do
 * without. And a sum over memory that no cache holds. Of many short pieces the fastest counts, since anything
 * else on the machine only makes them slower; threads add up. */
#include "tools/peaks.h"

#include <immintrin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agate.h"

#define FMA_ROUNDS  20000
#define DIV_ROUNDS  2000
#define TILE_ROUNDS 250
#define PIECES      60
#define ENOUGH_NS   100000000 /* of pieces that take longer than they should */
#define CHAINS      12
#define READ_BYTES  ((size_t)96 << 20)
#define READ_ROUNDS 4
#define PIECE_BYTES ((size_t)6 << 20) /* short enough that now and then nothing comes between */
#define MAX_THREADS 64

#define CHAIN(n)      a##n = a##n * x + y;
#define DIVIDE(n)     a##n = y / a##n;
#define EACH_CHAIN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define START(n)      vector a##n = x + n;
#define SUM(n)        y += a##n;

/* Returns something that depends on all of it. */
#define LOOP(name, step, rounds, features, width_bytes)                                                      \
    __attribute__((target(features))) static float name(float factor)                                        \
    {                                                                                                        \
        typedef float vector __attribute__((vector_size(width_bytes)));                                      \
        vector x = (vector){0} + factor, y = x;                                                              \
        EACH_CHAIN(START)                                                                                    \
        for (int i = 0; i < (rounds); i++) {                                                                 \
            EACH_CHAIN(step)                                                                                 \
        }                                                                                                    \
        EACH_CHAIN(SUM)                                                                                      \
        return y[0];                                                                                         \
    }

#define LOOPS(isa, features, width_bytes)                                                                    \
    LOOP(fma_##isa, CHAIN, FMA_ROUNDS, features, width_bytes)                                                \
    LOOP(div_##isa, DIVIDE, DIV_ROUNDS, features, width_bytes)

LOOPS(sse2, "sse2", 16)
LOOPS(avx2, "avx2,fma", 32)
LOOPS(avx512, "avx512f", 64)

#define PAIR_START(n) __m512 a##n = _mm512_set1_ps(factor + n);
#define PAIR_CHAIN(n) a##n = _mm512_dpbf16_ps(a##n, x, y);
#define PAIR_SUM(n)   total = _mm512_add_ps(total, a##n);

__attribute__((target("avx512bf16,avx512f"))) static float pairs_avx512(float factor)
{
    __m512bh x = (__m512bh)_mm512_set1_ps(factor), y = x;
    __m512 total = _mm512_setzero_ps();
    EACH_CHAIN(PAIR_START)
    for (int i = 0; i < FMA_ROUNDS; i++) {
        EACH_CHAIN(PAIR_CHAIN)
    }
    EACH_CHAIN(PAIR_SUM)
    return _mm512_cvtss_f32(total);
}

/* What TILECFG holds. */
typedef struct tile_shapes {
    uint8_t palette, start_row, none[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

#define TILE_BLOCKS 4 /* of 32 channels, whose factors the first cache holds with room to spare */
#define TILE_FLOPS  (2.0 * 32 * 32 * 32 * TILE_BLOCKS * TILE_ROUNDS)

/* 32 pixels of 32 filters: tiles 0 to 3 are sums, 4 and 5 weights, 6 and 7 inputs. */
__attribute__((target("amx-tile,amx-bf16"))) static float tiles_amx(float factor)
{
    static _Alignas(64) uint8_t weights[TILE_BLOCKS][2048], inputs[TILE_BLOCKS][2048]; /* only read */
    _Alignas(64) float sums[16][16];
    _Alignas(64) tile_shapes shapes = {.palette = 1};

    for (int i = 0; i < 8; i++)
        shapes.row_bytes[i] = 64, shapes.rows[i] = 16;
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < TILE_BLOCKS * TILE_ROUNDS; i++) {
        const uint8_t *w = weights[i % TILE_BLOCKS], *x = inputs[i % TILE_BLOCKS];
        _tile_loadd(4, w, 128);
        _tile_loadd(5, w + 64, 128);
        _tile_loadd(6, x, 64);
        _tile_dpbf16ps(0, 6, 4);
        _tile_dpbf16ps(1, 6, 5);
        _tile_loadd(7, x + 1024, 64);
        _tile_dpbf16ps(2, 7, 4);
        _tile_dpbf16ps(3, 7, 5);
    }
    _tile_stored(0, sums, 64);
    _tile_release();
    return factor + sums[0][0];
}

typedef float loop_fn(float factor);

typedef struct loops {
    const char *isa; /* how its name begins */
    int lanes;
    loop_fn *multiply_add, *divide;
} loops;

static const loops by_isa[] = {
    {"sse2", 4, fma_sse2, div_sse2}, {"avx2", 8, fma_avx2, div_avx2}, {"avx512", 16, fma_avx512, div_avx512}};

#define PAIRS_ISA "avx512+avx512bf16"
#define TILES_ISA "+amx-bf16" /* within it */

typedef struct worker {
    const loops *loops;
    bool with_pairs, with_tiles;
    agate_peaks peaks;
    float sink;
} worker;

/* Operations in a nanosecond of a loop that makes `count` of them. */
static double measure_loop(worker *w, loop_fn *run, double count)
{
    volatile float half = 0.5f; /* so that nothing is known when this is compiled */
    double best = 0;
    uint64_t total_ns = 0;

    for (int i = 0; i < PIECES && total_ns < ENOUGH_NS; i++) {
        uint64_t start = agate_clock_ns(), ns;
        double rate;

        w->sink += run(half);
        ns = agate_clock_ns() - start;
        total_ns += ns;
        rate = count / (double)(ns + 1);
        best = rate > best ? rate : best;
    }
    return best;
}

static void measure_read(worker *w)
{
    typedef float vector __attribute__((vector_size(16)));
    vector *data = aligned_alloc(64, READ_BYTES), sums[4] = {0};

    if (!data)
        return;
    memset(data, 0, READ_BYTES);
    for (size_t i = 0; i < READ_ROUNDS * (READ_BYTES / PIECE_BYTES); i++) {
        const vector *piece = data + i % (READ_BYTES / PIECE_BYTES) * (PIECE_BYTES / sizeof *data);
        uint64_t start = agate_clock_ns();
        double rate;

        for (size_t k = 0; k < PIECE_BYTES / sizeof *data; k += 4) {
            sums[0] += piece[k];
            sums[1] += piece[k + 1];
            sums[2] += piece[k + 2];
            sums[3] += piece[k + 3];
        }
        rate = (double)PIECE_BYTES / (double)(agate_clock_ns() - start + 1);
        w->peaks.gb_per_second = rate > w->peaks.gb_per_second ? rate : w->peaks.gb_per_second;
        w->sink += sums[0][0] + sums[1][1] + sums[2][2] + sums[3][3];
    }
    free(data);
}

static void *measure(void *argument)
{
    worker *w = argument;

    const double vectors = (double)CHAINS * w->loops->lanes;

    w->peaks.gflops = measure_loop(w, w->loops->multiply_add, 2 * vectors * FMA_ROUNDS);
    w->peaks.gdivisions = measure_loop(w, w->loops->divide, vectors * DIV_ROUNDS);
    if (w->with_pairs)
        w->peaks.pair_gflops = measure_loop(w, pairs_avx512, 4 * vectors * FMA_ROUNDS);
    if (w->with_tiles)
        w->peaks.tile_gflops = measure_loop(w, tiles_amx, TILE_FLOPS);
    measure_read(w);
    return NULL;
}

agate_peaks agate_peaks_measure(const char *isa, int32_t threads)
{
    worker workers[MAX_THREADS] = {0};
    pthread_t others[MAX_THREADS];
    agate_peaks peaks = {0};
    int32_t started = 1, count = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;

    for (int32_t i = 0; i < count; i++) {
        workers[i].loops = &by_isa[0];
        workers[i].with_pairs = strncmp(PAIRS_ISA, isa, strlen(PAIRS_ISA)) == 0;
        workers[i].with_tiles = strstr(isa, TILES_ISA) != NULL;
        for (size_t k = 0; k < sizeof by_isa / sizeof *by_isa; k++)
            if (strncmp(by_isa[k].isa, isa, strlen(by_isa[k].isa)) == 0)
                workers[i].loops = &by_isa[k];
    }
    while (started < count && pthread_create(&others[started], NULL, measure, &workers[started]) == 0)
        started++;
    measure(&workers[0]);
    for (int32_t i = 1; i < started; i++)
        pthread_join(others[i], NULL);
    for (int32_t i = 0; i < started; i++) {
        const agate_peaks *own = &workers[i].peaks;
        peaks.gflops += own->gflops;
        peaks.gdivisions += own->gdivisions;
        peaks.pair_gflops += own->pair_gflops;
        peaks.tile_gflops += own->tile_gflops;
        peaks.gb_per_second += own->gb_per_second;
    }
    return peaks;
}

double agate_peaks_of_kernel(const agate_peaks *peaks, const char *label)
{
    const char *products = strstr(label, "products=");

    if (products)
        return peaks->tile_gflops / (double)strtol(products + strlen("products="), NULL, 10);
    return strstr(label, "dp=1") ? peaks->pair_gflops : peaks->gflops;
}
