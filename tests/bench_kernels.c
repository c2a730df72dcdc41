/* bench_kernels.c: how near the convolution kernels come to the CPU's peak: a program for choosing tiles by.
 *
 *     bench_kernels [machine=avx512] [conv=C,M,H,K,S,P] [TILE=NUMBER]... [batch=N] [ms=N] [cold=1] [check=0]
 *
 * Without `conv` it runs the distinct convolutions of ResNet-50 and sums them up as often as they occur.
 * Tiles are the scheduler's, but for those given. The time is the least of many runs; the peak is measured
 * between them. `cold` puts the weights out of all caches before each run, as a whole network does. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CASE_REQUIRE(condition, ...)                                                                         \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#include "passes/strategy.h"
#include "tests/unit/kernel_case.h"

typedef struct layer {
    int32_t channels, filters, size, kernel, stride, pad;
    int32_t count;
    bool residual;
} layer;

static const layer resnet50[] = {
    {3, 64, 224, 7, 2, 3, 1, false},     {64, 64, 56, 1, 1, 0, 1, false},
    {64, 64, 56, 3, 1, 1, 3, false},     {64, 256, 56, 1, 1, 0, 1, false},
    {64, 256, 56, 1, 1, 0, 3, true},     {256, 64, 56, 1, 1, 0, 2, false},
    {256, 128, 56, 1, 1, 0, 1, false},   {128, 128, 56, 3, 2, 1, 1, false},
    {256, 512, 56, 1, 2, 0, 1, false},   {128, 512, 28, 1, 1, 0, 4, true},
    {512, 128, 28, 1, 1, 0, 3, false},   {128, 128, 28, 3, 1, 1, 3, false},
    {512, 256, 28, 1, 1, 0, 1, false},   {256, 256, 28, 3, 2, 1, 1, false},
    {512, 1024, 28, 1, 2, 0, 1, false},  {256, 1024, 14, 1, 1, 0, 6, true},
    {1024, 256, 14, 1, 1, 0, 5, false},  {256, 256, 14, 3, 1, 1, 5, false},
    {1024, 512, 14, 1, 1, 0, 1, false},  {512, 512, 14, 3, 2, 1, 1, false},
    {1024, 2048, 14, 1, 2, 0, 1, false}, {512, 2048, 7, 1, 1, 0, 3, true},
    {2048, 512, 7, 1, 1, 0, 2, false},   {512, 512, 7, 3, 1, 1, 2, false},
};

typedef struct options {
    agate_machine machine;
    int64_t batch, milliseconds;
    bool cold, check;
    agate_tiles tiles; /* -1: the scheduler's */
} options;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the peak ---------------------------------------------------------------------------------------------
 */

#define TIMES_14(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define FMA_512(i)  "vfmadd231ps %%zmm15, %%zmm14, %%zmm" #i "\n"
#define FMA_256(i)  "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i "\n"
#define MUL_128(i)  "mulps %%xmm14, %%xmm" #i "\n"
#define ADD_128(i)  "addps %%xmm15, %%xmm" #i "\n"
#define TURNS       4000

/* Independent multiply-adds on registers: floating-point operations a second, the best of a few tries. */
static double peak(int32_t lanes)
{
    double best = 0;
    for (int32_t try = 0; try < 4; try++) {
        int64_t turns = TURNS;
        double start = now();
        if (lanes == 16)
            __asm__ volatile("vpxord %%zmm14, %%zmm14, %%zmm14\n1:\n" TIMES_14(FMA_512) "dec %0\njnz 1b\n"
                             : "+r"(turns)::"cc");
        else if (lanes == 8)
            __asm__ volatile("vxorps %%ymm14, %%ymm14, %%ymm14\n1:\n" TIMES_14(FMA_256) "dec %0\njnz 1b\n"
                             : "+r"(turns)::"cc");
        else /* zeros, so that nothing is denormal */
            __asm__ volatile(
                "xorps %%xmm14, %%xmm14\nxorps %%xmm15, %%xmm15\n" TIMES_14(MUL_128) "1:\n" MUL_128(0)
                    ADD_128(1) MUL_128(2) ADD_128(3) MUL_128(4) ADD_128(5) MUL_128(6) ADD_128(7) MUL_128(8)
                        ADD_128(9) MUL_128(10) ADD_128(11) MUL_128(12) ADD_128(13) "dec %0\njnz 1b\n"
                : "+r"(turns)::"cc");
        double rate = 14.0 * TURNS * lanes * (lanes == 4 ? 1 : 2) / (now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- one layer ----------------------------------------------------------------------------------------- */

static int64_t out_size(const layer *l)
{
    return (l->size + 2 * l->pad - l->kernel) / l->stride + 1;
}

static agate_graph *layer_graph(const layer *l, const options *o)
{
    char result[64], input[64], text[2048];
    int32_t v = agate_machine_lanes(&o->machine), size = (int32_t)out_size(l);
    bool plain = l->channels < v;
    snprintf(result, sizeof result, "f32[N,%d,%d,%d]{nchw%dc}", l->filters, size, size, v);
    if (plain)
        snprintf(input, sizeof input, "f32[N,%d,%d,%d]", l->channels, l->size, l->size);
    else
        snprintf(input, sizeof input, "f32[N,%d,%d,%d]{nchw%dc}", l->channels, l->size, l->size, v);
    char inner[16] = "";
    if (!plain)
        snprintf(inner, sizeof inner, "%di", v);
    snprintf(text, sizeof text,
             "graph @g(%%x: %s, %%w: f32[%d,%d,%d,%d]{oihw%s%do}, %%b: f32[%d]{o%do}%s%s) -> %s {\n"
             "%%0 = kernel(%%x, %%w, %%b%s) {\n"
             "%%a = conv $0, $1, $2 strides=[%d, %d] pads=[%d, %d, %d, %d] : %s\n"
             "%%c = %s : %s\n%%d = relu %%c : %s\nyield %%d } : %s at output[0]\nreturn %%0 }\n",
             input, l->filters, l->channels, l->kernel, l->kernel, inner, v, l->filters, v,
             l->residual ? ", %r: " : "", l->residual ? result : "", result, l->residual ? ", %r" : "",
             l->stride, l->stride, l->pad, l->pad, l->pad, l->pad, result,
             l->residual ? "add %a, $3" : "relu %a", result, result, result);
    return case_parse(text);
}

static void schedule(agate_graph *graph, const options *o)
{
    agate_node *kernel = graph->first;
    agate_candidate candidate = {&o->machine, kernel, agate_kernel_anchor(kernel)};
    const int32_t *given = (const int32_t *)&o->tiles;
    kernel->strategy = AGATE_STRATEGY_direct_conv;
    kernel->tiles = agate_direct_conv_plan(&candidate);
    for (size_t i = 0; i < agate_tile_count; i++)
        if (given[i] >= 0)
            ((int32_t *)&kernel->tiles)[i] = given[i];
}

static void flush(const void *data, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i += 64)
        __builtin_ia32_clflush((const char *)data + i);
    __builtin_ia32_mfence();
}

/* Multiply-adds on taps that lie in the image, as a part of all. */
static double inside(const layer *l)
{
    double taps = 0;
    for (int64_t i = 0; i < out_size(l); i++)
        for (int64_t k = 0; k < l->kernel; k++) {
            int64_t at = i * l->stride - l->pad + k;
            taps += at >= 0 && at < l->size;
        }
    taps /= (double)(out_size(l) * l->kernel);
    return taps * taps;
}

typedef struct totals {
    double seconds, at_peak, compile;
} totals;

static void print_tiles(const agate_tiles *tiles)
{
    const int32_t *numbers = (const int32_t *)tiles;
    char text[128] = "";
    size_t length = 0;
    for (size_t i = 1; i < agate_tile_count && length < sizeof text; i++)
        if (numbers[i])
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s=%d", length ? "," : "",
                                       agate_tile_names[i], numbers[i]);
    printf(" %s\n", text);
}

static void bench(const layer *l, const options *o, totals *sum)
{
    double flops = 2.0 * (double)(o->batch * l->filters * out_size(l) * out_size(l)) * l->channels *
                   l->kernel * l->kernel;
    double best = 1e9, best_peak = 0, start = now();
    agate_graph *graph = layer_graph(l, o);
    schedule(graph, o);
    kernel_case c = case_open_graph(graph, &o->machine, o->batch, 1);
    double opened = now() - start;
    case_run(&c, 0, c.tasks);
    if (o->check) {
        case_expect(&c);
        case_check(&c, l->channels * l->kernel * l->kernel + 2, "this layer");
    }
    int64_t runs = 0;
    for (double end = now() + (double)o->milliseconds * 1e-3; now() < end || runs < 8; runs++) {
        if (o->cold)
            flush(c.buffers[1], case_size(&c.types[1]));
        start = now();
        case_run(&c, 0, c.tasks);
        double seconds = now() - start, rate = runs % 4 == 0 ? peak(agate_machine_lanes(&o->machine)) : 0;
        best = seconds < best ? seconds : best;
        best_peak = rate > best_peak ? rate : best_peak;
    }
    printf(
        "%4d %4d %3d k%d s%d x%d %8.3f ms %7.1f GFLOP/s %6.1f%% of peak, %5.1f%% inside, ready in %4.0f ms ",
        l->channels, l->filters, l->size, l->kernel, l->stride, l->count, best * 1e3, flops / best * 1e-9,
        100 * flops / best / best_peak, 100 * flops * inside(l) / best / best_peak, opened * 1e3);
    print_tiles(&c.kernel->tiles);
    fflush(stdout);
    sum->seconds += best * l->count;
    sum->at_peak += flops / best_peak * l->count;
    sum->compile += opened;
    case_close(&c);
}

/* ---- the command --------------------------------------------------------------------------------------- */

static bool read_tile(const char *word, options *o)
{
    for (size_t i = 0; i < agate_tile_count; i++) {
        size_t length = strlen(agate_tile_names[i]);
        if (strncmp(word, agate_tile_names[i], length) == 0 && word[length] == '=') {
            ((int32_t *)&o->tiles)[i] = atoi(word + length + 1);
            return true;
        }
    }
    return false;
}

static void read_word(const char *word, options *o, layer *one)
{
    const char *value = strchr(word, '=');
    int32_t machine = value && strncmp(word, "machine=", 8) == 0 ? agate_machine_find(value + 1) : -1;
    if (machine >= 0)
        o->machine = agate_machine_get(machine);
    else if (sscanf(word, "conv=%d,%d,%d,%d,%d,%d", &one->channels, &one->filters, &one->size, &one->kernel,
                    &one->stride, &one->pad) == 6)
        one->count = 1;
    else if (value && strncmp(word, "batch=", 6) == 0)
        o->batch = atoi(value + 1);
    else if (value && strncmp(word, "ms=", 3) == 0)
        o->milliseconds = atoi(value + 1);
    else if (value && strncmp(word, "cold=", 5) == 0)
        o->cold = atoi(value + 1);
    else if (value && strncmp(word, "check=", 6) == 0)
        o->check = atoi(value + 1);
    else
        CASE_REQUIRE(read_tile(word, o), "what is \"%s\"?\n", word);
}

int main(int argc, char **argv)
{
    options o = {.batch = 1, .milliseconds = 150, .check = true};
    layer one = {0};
    totals sum = {0};
    o.machine = agate_machine_get(agate_machine_best(agate_cpu_features()));
    memset(&o.tiles, 0xff, sizeof o.tiles);
    for (int i = 1; i < argc; i++)
        read_word(argv[i], &o, &one);
    if (!machine_is_tested(&o.machine))
        return 1;
    if (one.count)
        bench(&one, &o, &sum);
    for (size_t i = 0; i < AGATE_COUNT(resnet50) && !one.count; i++)
        bench(&resnet50[i], &o, &sum);
    printf("%s: %.2f ms, %.2f at peak: %.1f%%; ready in %.0f ms\n", o.machine.name, sum.seconds * 1e3,
           sum.at_peak * 1e3, 100 * sum.at_peak / sum.seconds, sum.compile * 1e3);
    return 0;
}
