/* links: backend ir ref base */
/* test_emit_narrow.c: compiled convolutions and matrix products whose operands are kept as bf16 or f16,
 * against the reference kernels, which widen them and sum in double: on every machine by widened products,
 * and those of bf16 by sums of pairs where AVX512-BF16 is. */
#include "tests/unit/kernel_test.h"

#include "tests/suite.h"
#include "tests/unit/error_bound.h"

typedef struct shape {
    int64_t channels, filters, group, height, width, taps, stride, pad, dilation;
    bool flat;
} shape;

static const shape shapes[] = {
    {32, 32, 1, 7, 9, 3, 1, 1, 1, false},  {48, 40, 1, 6, 17, 1, 1, 0, 1, true},
    {16, 64, 1, 9, 9, 3, 2, 1, 1, false},  {64, 16, 1, 8, 5, 1, 2, 0, 1, false},
    {6, 20, 1, 5, 5, 3, 1, 2, 2, false},   {32, 16, 1, 1, 31, 5, 1, 2, 1, false},
    {64, 64, 2, 6, 6, 3, 1, 1, 1, false},  {2, 1, 1, 4, 4, 3, 1, 1, 1, false},
    {160, 48, 1, 4, 7, 3, 1, 1, 1, false}, {18, 33, 1, 1, 1, 1, 1, 0, 1, true},
};

/* What operands are kept as; what its rounding takes of a number at most, twice that for the boundary between
 * two; weights. */
typedef struct kind {
    const char *name, *weights; /* the latter with the input's block in it, and the lanes */
    double unit;                /* as a share of the number */
    int32_t weights_block;      /* times lanes / 2: the input's block there */
} kind;

static const kind bf16 = {"bf16", "oihw%di%do2i", 0x1p-8, 1}, f16 = {"f16", "oihw%di%do", 0x1p-11, 2};

static const char *weights_layout(const kind *k, int v)
{
    static char text[32];

    snprintf(text, sizeof text, k->weights, k->weights_block * v / 2, v);
    return text;
}

static int64_t out_size(const shape *s, int64_t in)
{
    return (in + 2 * s->pad - (s->taps - 1) * s->dilation - 1) / s->stride + 1;
}

/* A convolution with bias, shortcut and relu, whose result is rounded where `rounds`. */
static void kernel_text(const kind *kind, const shape *s, int v, agate_tiles tiles, bool rounds,
                        agate_text *text)
{
    const char *half = kind->name, *result = rounds ? half : "f32", *layout = weights_layout(kind, v);
    const int h = (int)out_size(s, s->height), w = (int)out_size(s, s->width), o = (int)s->filters;
    const int c = (int)(s->channels / s->group), k = (int)s->taps;

    agate_text_add(text,
                   "graph @t(%%x: %s[N,%d,%d,%d]{nchw%dc}, %%w: %s[%d,%d,%d,%d]{%s}, "
                   "%%b: f32[%d]{o%do}, %%r: %s[N,%d,%d,%d]{nchw%dc}) -> %s[N,%d,%d,%d]{nchw%dc} {\n",
                   half, (int)s->channels, (int)s->height, (int)s->width, v, half, o, c, k, k, layout, o, v,
                   half, o, h, w, v, result, o, h, w, v);
    agate_text_add(text, "  %%0 = kernel(%%x, %%w, %%b, %%r) direct_conv<v=%d, oc=%d, ow=%d, ic=%d", v,
                   tiles.oc, tiles.ow, tiles.ic);
    if (tiles.ahead)
        agate_text_add(text, ", ahead=%d", tiles.ahead);
    if (tiles.dp)
        agate_text_add(text, ", dp=1");
    agate_text_add(text, ", oh=%d, ocs=%d%s> {\n", tiles.oh, tiles.ocs, s->flat ? ", flat=1" : "");
    agate_text_add(text, "    %%a = cast $0 to=f32 : f32[N,%d,%d,%d]{nchw%dc}\n", (int)s->channels,
                   (int)s->height, (int)s->width, v);
    agate_text_add(text, "    %%b = cast $1 to=f32 : f32[%d,%d,%d,%d]{%s}\n", o, c, k, k, layout);
    agate_text_add(text, "    %%c = cast $3 to=f32 : f32[N,%d,%d,%d]{nchw%dc}\n", o, h, w, v);
    agate_text_add(text,
                   "    %%d = conv %%a, %%b, $2 strides=[%d, %d] pads=[%d, %d, %d, %d] dilations=[%d, %d]",
                   (int)s->stride, (int)s->stride, (int)s->pad, (int)s->pad, (int)s->pad, (int)s->pad,
                   (int)s->dilation, (int)s->dilation);
    if (s->group > 1)
        agate_text_add(text, " group=%d", (int)s->group);
    agate_text_add(text, " : f32[N,%d,%d,%d]{nchw%dc}\n", o, h, w, v);
    agate_text_add(text, "    %%e = add %%d, %%c : f32[N,%d,%d,%d]{nchw%dc}\n", o, h, w, v);
    agate_text_add(text, "    %%f = relu %%e : f32[N,%d,%d,%d]{nchw%dc}\n", o, h, w, v);
    if (rounds)
        agate_text_add(text, "    %%g = cast %%f to=%s : %s[N,%d,%d,%d]{nchw%dc}\n", half, half, o, h, w, v);
    agate_text_add(text, "    yield %%%s\n  } : %s[N,%d,%d,%d]{nchw%dc}\n  return %%0\n}\n",
                   rounds ? "g" : "f", result, o, h, w, v);
}

/* Inputs come in groups of whole blocks, or there is one group. */
static bool fits(const shape *s, int v)
{
    return s->group == 1 || (s->channels / s->group % v == 0 && s->filters / s->group % v == 0);
}

static void check_shape(const kind *kind, const shape *s, const agate_machine *machine, bool dp,
                        double special)
{
    const int v = agate_machine_lanes(machine);
    const double products = (double)(s->channels / s->group * s->taps * s->taps);

    if (!fits(s, v))
        return;
    for (int turn = 0; turn < 4; turn++) {
        agate_tiles tiles = {.oc = 1 + turn % 3,
                             .ow = turn == 0 ? 14 : 1 + 3 * turn,
                             .ic = 1 << turn % 3,
                             .ahead = turn == 1 ? 2 : 0,
                             .dp = dp,
                             .oh = 1 + turn,
                             .ocs = 1 + turn % 2};
        bool rounds = turn % 2;
        agate_text text = {0};
        kernel_text(kind, s, v, tiles, rounds, &text);
        /* Sums in f32 of products within 1; and a result that falls on the other side of a boundary. */
        kernel_case c = {.text = agate_text_c(&text),
                         .rtol = rounds ? 2 * kind->unit : 1e-5,
                         .atol = 2e-7 * products,
                         .special = special,
                         .normal = dp}; /* the instruction takes denormals for 0 */
        check_kernel_on(&c, machine);
        agate_text_deinit(&text);
    }
}

/* ---- on machines --------------------------------------------------------------------------------------- */

START_TEST(widened_products)
{
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(shapes); i++) {
        check_shape(&bf16, &shapes[i], &machine, false, i % 3 ? 0 : 0.01);
        check_shape(&f16, &shapes[i], &machine, false, i % 3 ? 0 : 0.01);
    }
}
END_TEST

START_TEST(sums_of_pairs)
{
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(shapes); i++)
        check_shape(&bf16, &shapes[i], &machine, true, i % 3 ? 0 : 0.01);
}
END_TEST

/* ---- few channels -------------------------------------------------------------------------------------- */

typedef struct stem {
    int64_t channels, filters, height, width, rows, taps, stride, pad, dilation;
} stem;

static const stem stems[] = {
    {3, 64, 23, 31, 7, 7, 2, 3, 1}, {3, 33, 9, 17, 3, 3, 1, 1, 1},    {3, 16, 11, 12, 3, 3, 2, 0, 1},
    {1, 20, 12, 13, 5, 5, 1, 2, 1}, {4, 16, 5, 30, 2, 6, 3, 1, 1},    {2, 48, 9, 8, 1, 2, 1, 1, 1},
    {3, 16, 15, 15, 3, 4, 1, 2, 2}, {3, 24, 23, 24, 11, 11, 4, 2, 1}, {1, 1, 3, 3, 3, 3, 1, 1, 1},
    {2, 16, 4, 5, 3, 5, 1, 4, 1}, /* windows that lie outside */
};

/* A convolution of few channels by pairs of taps, with bias and relu, by bf16 results where `rounds`. */
static void stem_text(const stem *s, agate_tiles tiles, bool rounds, agate_text *text)
{
    const int c = (int)s->channels, o = (int)s->filters, ky = (int)s->rows, kx = (int)s->taps;
    const int reach = (int)((s->rows - 1) * s->dilation), pad = (int)s->pad, stride = (int)s->stride;
    const int h = ((int)s->height + 2 * pad - reach - 1) / stride + 1;
    const int w = ((int)s->width + 2 * pad - kx) / stride + 1;
    const char *type = rounds ? "bf16" : "f32";

    agate_text_add(text,
                   "graph @t(%%x: bf16[N,%d,%d,%d], %%w: bf16[%d,%d,%d,%d]{oihw16o2w}, %%b: f32[%d]{o16o}) "
                   "-> %s[N,%d,%d,%d]{nchw16c} {\n",
                   c, (int)s->height, (int)s->width, o, c, ky, kx, o, type, o, h, w);
    agate_text_add(
        text, "  %%0 = kernel(%%x, %%w, %%b) direct_conv<v=16, oc=%d, ow=%d, ic=1, dp=1, oh=%d, ocs=%d> {\n",
        tiles.oc, tiles.ow, tiles.oh, tiles.ocs);
    agate_text_add(text, "    %%a = cast $0 to=f32 : f32[N,%d,%d,%d]\n", c, (int)s->height, (int)s->width);
    agate_text_add(text, "    %%b = cast $1 to=f32 : f32[%d,%d,%d,%d]{oihw16o2w}\n", o, c, ky, kx);
    agate_text_add(text,
                   "    %%c = conv %%a, %%b, $2 strides=[%d, %d] pads=[%d, %d, %d, %d] dilations=[%d, 1] : "
                   "f32[N,%d,%d,%d]{nchw16c}\n",
                   stride, stride, pad, pad, pad, pad, (int)s->dilation, o, h, w);
    agate_text_add(text, "    %%d = relu %%c : f32[N,%d,%d,%d]{nchw16c}\n", o, h, w);
    if (rounds)
        agate_text_add(text, "    %%e = cast %%d to=bf16 : bf16[N,%d,%d,%d]{nchw16c}\n", o, h, w);
    agate_text_add(text, "    yield %%%s\n  } : %s[N,%d,%d,%d]{nchw16c}\n  return %%0\n}\n",
                   rounds ? "e" : "d", type, o, h, w);
}

/* Inf and NaN of the input reach the sums that they are part of, and no others. */
START_TEST(sums_of_taps)
{
    const stem *s = &stems[_i];
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    for (int turn = 0; turn < 4; turn++) {
        agate_tiles tiles = {
            .oc = 1 + turn % 2, .ow = turn == 0 ? 14 : 1 + 3 * turn, .oh = 1 + 2 * turn, .ocs = 1 + turn % 2};
        agate_text text = {0};
        stem_text(s, tiles, turn % 2, &text);
        kernel_case c = {.text = agate_text_c(&text),
                         .rtol = turn % 2 ? 0x1p-7 : 1e-5,
                         .atol = 2e-7 * (double)(s->channels * s->rows * s->taps),
                         .special = turn > 1 ? 0.02 : 0,
                         .specials = 1, /* an infinite weight may meet the 0 of a border */
                         .zero_pads = true,
                         .normal = true};
        check_kernel_on(&c, &machine);
        agate_text_deinit(&text);
    }
}
END_TEST

/* Weights of matrix products are widened as they are read: single rows and many, sums in parts and a rest,
 * columns that do not fill a panel. */
START_TEST(matrix_products)
{
    static const char *const forms[] = {
        "graph @t(%x: f32[N,37], %w: bf16[37,70]{kn@Bn}, %b: f32[70]) -> f32[N,70] {\n"
        "  %0 = kernel(%x, %w, %b) gemm<v=@V, oc=2, ow=6, ic=4, kc=16, ahead=8, ocs=1> {\n"
        "    %a = cast $1 to=f32 : f32[37,70]{kn@Bn}\n"
        "    %c = matmul $0, %a : f32[N,70]\n"
        "    %d = add %c, $2 : f32[N,70]\n"
        "    yield %d\n  } : f32[N,70]\n  return %0\n}\n",
        "graph @t(%x: f32[N,37], %w: f16[37,70]{kn@Bn}, %b: f32[70]) -> f32[N,70] {\n"
        "  %0 = kernel(%x, %w, %b) gemm<v=@V, oc=2, ow=6, ic=4, kc=16, ahead=8, ocs=1> {\n"
        "    %a = cast $1 to=f32 : f32[37,70]{kn@Bn}\n"
        "    %c = matmul $0, %a : f32[N,70]\n"
        "    %d = add %c, $2 : f32[N,70]\n"
        "    yield %d\n  } : f32[N,70]\n  return %0\n}\n",
        "graph @t(%x: f32[N,5,64], %w: bf16[64,48]{kn@Bn}) -> f32[N,5,48] {\n"
        "  %0 = kernel(%x, %w) gemm<v=@V, oc=2, ow=4, ic=2> {\n"
        "    %a = cast $1 to=f32 : f32[64,48]{kn@Bn}\n"
        "    %c = matmul $0, %a : f32[N,5,48]\n"
        "    yield %c\n  } : f32[N,5,48]\n  return %0\n}\n",
    };
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(forms); i++)
        check_kernel_on(&(kernel_case){.text = forms[i],
                                       .block = 2 * agate_machine_lanes(&machine),
                                       .rtol = 1e-5,
                                       .atol = 1e-5,
                                       .special = 0.01 * (double)(i > 0)},
                        &machine);
}
END_TEST

/* Pools in tiles of pixels widen what they read: windows that share columns and others, in the middle of
 * blocks of others. */
START_TEST(pools)
{
    static const char form[] = "graph @t(%%x: %s[N,40,9,11]{nchw@Vc%s}) -> %s[N,40,%s]{nchw@Vc} {\n"
                               "  %%0 = kernel(%%x) pool<v=@V, ow=%d, oh=2, ocs=1> {\n"
                               "    %%a = cast $0 to=f32 : f32[N,40,9,11]{nchw@Vc}\n"
                               "    %%b = %s : f32[N,40,%s]{nchw@Vc}\n"
                               "    %%c = cast %%b to=%s : %s[N,40,%s]{nchw@Vc}\n"
                               "    yield %%c\n  } : %s[N,40,%s]{nchw@Vc}\n  return %%0\n}\n";
    static const char *const pools[][2] = {
        {"max_pool %a kernel=[3, 3] pads=[1, 1, 1, 1]", "9,11"},
        {"avg_pool %a kernel=[3, 3] pads=[1, 1, 1, 1]", "9,11"},
        {"max_pool %a kernel=[3, 2] strides=[2, 2]", "4,5"},
        {"avg_pool %a kernel=[2, 3] strides=[3, 1] dilations=[2, 2] pads=[1, 2, 0, 2]", "3,11"},
    };
    static const char *const dtypes[] = {"bf16", "f16"};
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t i = 0; i < 2 * AGATE_COUNT(pools); i++) {
        const char *dtype = dtypes[i % 2], *const *pool = pools[i / 2];
        agate_text text = {0};
        agate_text_add(&text, form, dtype, i % 3 ? "" : " of 128", dtype, pool[1], (int)(3 + i), pool[0],
                       pool[1], dtype, dtype, pool[1], dtype, pool[1]);
        check_kernel_on(
            &(kernel_case){.text = agate_text_c(&text), .rtol = 0x1p-7, .special = i % 4 < 2 ? 0.02 : 0},
            &machine);
        agate_text_deinit(&text);
    }
}
END_TEST

/* ---- the bound that docs/cli.md states ----------------------------------------------------------------- */

enum { BOUND_IN = 64 };

/* Half a unit above 1, where rounding takes away the largest share; what is exactly between two rounds to the
 * even one. */
static float worst_bf16(void)
{
    return 0x1.01p0f;
}

static float worst_f16(void)
{
    return 0x1.002p0f;
}

static float any_number(void)
{
    return (float)random_number();
}

/* 1x1, without bias, of f32 numbers in plain memory, that are rounded as they are packed. Returns the largest
 * error as a share of what the bound allows. */
static double worst_share(const kind *kind, const agate_machine *machine, bool dp, float (*number)(void))
{
    static const char form[] = "graph @t(%%x: %s[N,64,6,6]{nchw%dc}, %%w: %s[32,64,1,1]{%s}) -> "
                               "f32[N,32,6,6]{nchw%dc} {\n"
                               "  %%0 = kernel(%%x, %%w) direct_conv<v=%d, oc=2, ow=6, ic=2%s> {\n"
                               "    %%a = cast $0 to=f32 : f32[N,64,6,6]{nchw%dc}\n"
                               "    %%b = cast $1 to=f32 : f32[32,64,1,1]{%s}\n"
                               "    %%c = conv %%a, %%b : f32[N,32,6,6]{nchw%dc}\n"
                               "    yield %%c\n  } : f32[N,32,6,6]{nchw%dc}\n  return %%0\n}\n";
    static bounded numbers;
    static _Alignas(64) char packed[3][sizeof numbers.x];
    const int v = agate_machine_lanes(machine);
    agate_text text = {0};
    agate_graph *graph;
    agate_linker *linker;

    const char *layout = weights_layout(kind, v);
    agate_text_add(&text, form, kind->name, v, kind->name, layout, v, v, dp ? ", dp=1" : "", v, layout, v, v);
    must(agate_parse(agate_text_c(&text), text.size_bytes, &graph));
    bounded_fill(&numbers, BOUND_IN, number);
    const agate_node *kernel = graph->first;
    agate_type types[3] = {type_at(&kernel->operands[0]->type, 1), kernel->operands[1]->type,
                           type_at(&kernel->results[0].type, 1)};
    agate_type plain[3];
    for (int i = 0; i < 3; i++)
        plain[i] = agate_type_make(AGATE_F32, 4, types[i].dims);
    ck_assert(agate_reorder_bytes(&plain[0], numbers.x, &types[0], packed[0]));
    ck_assert(agate_reorder_bytes(&plain[1], numbers.w, &types[1], packed[1]));
    void *buffers[] = {packed[0], packed[1], packed[2]};
    compile_kernel(kernel, machine, &linker)(buffers, 1, 0, agate_dim_at(agate_task_count(kernel), 1), NULL);
    ck_assert(agate_reorder_bytes(&types[2], packed[2], &plain[2], numbers.y));

    agate_linker_release(linker);
    agate_graph_release(graph);
    agate_text_deinit(&text);
    return bounded_share(&numbers, 2 * kind->unit + kind->unit * kind->unit + BOUND_IN * 0x1p-23);
}

/* Errors stay within it, and come near enough that less would not do. */
static void check_bound(const kind *kind, const agate_machine *machine, bool dp)
{
    double random = worst_share(kind, machine, dp, any_number);
    double worst = worst_share(kind, machine, dp, kind == &f16 ? worst_f16 : worst_bf16);

    ck_assert_msg(random < 1, "the largest error of random numbers is %g of the bound", random);
    ck_assert_msg(worst < 1 && worst > 0.9, "the largest error is %g of the bound", worst);
}

START_TEST(error_bound)
{
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    check_bound(&bf16, &machine, false);
    check_bound(&f16, &machine, false);
    if (find_pair_machine(&machine))
        check_bound(&bf16, &machine, true);
}
END_TEST

/* ---- single numbers ------------------------------------------------------------------------------------ */

/* Of f32 number `bits`. */
static float number_of(uint32_t bits)
{
    float number;

    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Rounds `count` f32s to 16 bits and back, as compiled. */
static void round_trip(const char *half, const agate_machine *machine, const float *in, float *out,
                       int64_t count)
{
    agate_text text = {0};
    agate_graph *graph;
    agate_linker *linker;
    void *buffers[] = {(void *)in, out};

    agate_text_add(&text,
                   "graph @t(%%x: f32[N]) -> f32[N] {\n"
                   "  %%0 = kernel(%%x) pointwise<v=%d, grain=64> {\n"
                   "    %%a = cast $0 to=%s : %s[N]\n"
                   "    %%b = cast %%a to=f32 : f32[N]\n"
                   "    yield %%b\n  } : f32[N]\n  return %%0\n}\n",
                   agate_machine_lanes(machine), half, half);
    must(agate_parse(agate_text_c(&text), text.size_bytes, &graph));
    compile_kernel(graph->first, machine, &linker)(buffers, count, 0,
                                                   agate_dim_at(agate_task_count(graph->first), count), NULL);
    agate_linker_release(linker);
    agate_graph_release(graph);
    agate_text_deinit(&text);
}

enum { COUNT = 1 << 16 };

static void check_same(const float *in, const float *out, bool is_f16)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        float want =
            is_f16 ? agate_f16_to_f32(agate_f32_to_f16(in[i])) : agate_bf16_to_f32(agate_f32_to_bf16(in[i]));
        ck_assert_msg(memcmp(&out[i], &want, sizeof want) == 0, "%a gives %a, not %a", (double)in[i],
                      (double)out[i], (double)want);
    }
}

/* Every number of 16 bits is what it was after f32, and f32s round as the reference says: all exponents,
 * ties, NaN. */
START_TEST(casts)
{
    static const uint32_t tails[] = {0, 1, 0x7fff, 0x8000, 0x8001},
                          low[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001};
    static float in[COUNT], out[COUNT];
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t t = 0; t < AGATE_COUNT(tails); t++) {
        for (uint32_t i = 0; i < COUNT; i++)
            in[i] = number_of(i << 16 | tails[t]);
        round_trip("bf16", &machine, in, out, COUNT);
        check_same(in, out, false);
        round_trip("f16", &machine, in, out, COUNT);
        check_same(in, out, true);
    }
    for (size_t t = 0; t < AGATE_COUNT(low); t++) { /* around every f16 and half way to the next */
        for (uint32_t i = 0; i < COUNT; i++) {
            float number = agate_f16_to_f32((uint16_t)i);
            uint32_t bits;
            memcpy(&bits, &number, sizeof bits);
            in[i] = number_of(bits + low[t]);
        }
        round_trip("f16", &machine, in, out, COUNT);
        check_same(in, out, true);
    }
}
END_TEST

/* An op on numbers of 16 bits as such computes in f32 and rounds, each on its own. */
START_TEST(scalar_ops)
{
    static const char *const forms[] = {
        "graph @t(%x: bf16[N,37], %y: bf16[37]) -> bf16[N,37] {\n"
        "  %0 = kernel(%x, %y) pointwise<v=@V, grain=64> {\n"
        "    %a = mul $0, $1 : bf16[N,37]\n"
        "    %b = add %a, $0 : bf16[N,37]\n"
        "    %c = max %b, $1 : bf16[N,37]\n"
        "    yield %c\n  } : bf16[N,37]\n  return %0\n}\n",
        "graph @t(%x: f16[N,37], %y: f16[37]) -> f16[N,37] {\n"
        "  %0 = kernel(%x, %y) pointwise<v=@V, grain=64> {\n"
        "    %a = mul $0, $1 : f16[N,37]\n"
        "    %b = add %a, $0 : f16[N,37]\n"
        "    %c = max %b, $1 : f16[N,37]\n"
        "    yield %c\n  } : f16[N,37]\n  return %0\n}\n",
        "graph @t(%x: f16[N,37], %y: i32[37]) -> bool[N,37] {\n"
        "  %0 = kernel(%x, %y) pointwise<v=@V, grain=64> {\n"
        "    %a = cast $1 to=f16 : f16[37]\n"
        "    %b = mul $0, %a : f16[N,37]\n"
        "    %c = less %b, $0 : bool[N,37]\n"
        "    yield %c\n  } : bool[N,37]\n  return %0\n}\n",
    };
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(forms); i++)
        check_kernel_on(&(kernel_case){.text = forms[i], .special = 0.1}, &machine);
}
END_TEST

/* What is larger than an f16 can be is infinite from where it is written, and from there on as ONNX says;
 * 65504 is not. */
START_TEST(overflow)
{
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    check_kernel_on(&(kernel_case){.text = "graph @t(%x: f32[N,37], %y: f32[37]) -> f16[N,37] {\n"
                                           "  %0 = kernel(%x, %y) pointwise<v=@V, grain=64> {\n"
                                           "    %a = mul $0, $1 : f32[N,37]\n"
                                           "    %b = cast %a to=f16 : f16[N,37]\n"
                                           "    yield %b\n  } : f16[N,37]\n  return %0\n}\n",
                                   .scale = 400},
                    &machine);
}
END_TEST

/* Plain images that become blocked bf16, of any width and number of channels: vectors of rounded numbers are
 * transposed. */
static const int moved_widths[] = {1, 5, 8, 12, 15, 16, 28, 33};

START_TEST(moves_of_rounded_numbers)
{
    static const int channels[] = {1, 3, 8, 12, 16, 20};
    const int width = moved_widths[_i];
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(channels); i++) {
        agate_text text = {0};
        agate_text_add(&text,
                       "graph @t(%%x: f32[N,%d,2,%d]) -> bf16[N,%d,2,%d]{nchw16c} {\n"
                       "  %%0 = kernel(%%x) pointwise<v=16, dp=1, grain=64> {\n"
                       "    %%a = reorder $0 : f32[N,%d,2,%d]{nchw16c}\n"
                       "    %%b = cast %%a to=bf16 : bf16[N,%d,2,%d]{nchw16c}\n"
                       "    yield %%b\n  } : bf16[N,%d,2,%d]{nchw16c}\n  return %%0\n}\n",
                       channels[i], width, channels[i], width, channels[i], width, channels[i], width,
                       channels[i], width);
        check_kernel_on(&(kernel_case){.text = agate_text_c(&text), .normal = true}, &machine);
        agate_text_deinit(&text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_narrow");
    TCase *tcase = tcase_create("emit_narrow");
    int machines = agate_machine_count();

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, widened_products, 0, machines);
    tcase_add_test(tcase, sums_of_pairs);
    tcase_add_loop_test(tcase, sums_of_taps, 0, AGATE_COUNT(stems));
    tcase_add_loop_test(tcase, matrix_products, 0, machines);
    tcase_add_loop_test(tcase, pools, 0, machines);
    tcase_add_loop_test(tcase, error_bound, 0, machines);
    tcase_add_loop_test(tcase, casts, 0, machines);
    tcase_add_loop_test(tcase, scalar_ops, 0, machines);
    tcase_add_loop_test(tcase, overflow, 0, machines);
    tcase_add_loop_test(tcase, moves_of_rounded_numbers, 0, AGATE_COUNT(moved_widths));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
