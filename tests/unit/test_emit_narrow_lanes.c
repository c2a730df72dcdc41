/* links: backend ir ref base */
/* test_emit_narrow_lanes.c: compiled depthwise and grouped convolutions that read bf16 or f16, against the
 * reference kernels: on every machine by weights of f32, and in groups of an even number of channels by sums
 * of pairs where AVX512-BF16 is. */
#include "tests/unit/kernel_test.h"

#include "tests/suite.h"
#include "tests/unit/error_bound.h"

/* `channels` inputs and `filters` outputs of each group. */
typedef struct shape {
    int groups, channels, filters, height, width, taps, stride, pad, dilation;
} shape;

static const shape depthwise[] = {
    {32, 1, 1, 7, 9, 3, 1, 1, 1}, {37, 1, 1, 9, 17, 3, 2, 1, 1}, {16, 1, 1, 6, 31, 5, 1, 2, 1},
    {8, 1, 1, 5, 5, 3, 1, 2, 2},  {3, 1, 1, 1, 1, 1, 1, 0, 1},
};

/* Whole groups in a vector; groups that vectors cut; more inputs than outputs, and fewer; one input; odd
 * numbers of them. */
static const shape grouped[] = {
    {8, 4, 4, 7, 9, 3, 1, 1, 1}, {32, 2, 2, 6, 17, 3, 2, 1, 1}, {5, 8, 8, 9, 8, 3, 1, 1, 1},
    {6, 6, 6, 6, 6, 3, 1, 2, 2}, {4, 24, 24, 5, 7, 3, 1, 1, 1}, {8, 4, 2, 5, 15, 1, 1, 0, 1},
    {8, 2, 4, 8, 4, 5, 1, 2, 1}, {9, 8, 1, 4, 5, 3, 1, 1, 1},   {2, 1, 8, 5, 6, 3, 1, 1, 1},
    {4, 3, 4, 6, 6, 3, 1, 1, 1},
};

static int out_size(const shape *s, int in)
{
    return (in + 2 * s->pad - (s->taps - 1) * s->dilation - 1) / s->stride + 1;
}

/* With bias, shortcut and relu; the result is rounded where `rounds`. Weights are of f32, or of bf16 in
 * `pairs`. */
static void kernel_text(const char *half, const shape *s, agate_tiles tiles, bool rounds, agate_text *text)
{
    const bool pairs = tiles.dp;
    const int h = out_size(s, s->height), w = out_size(s, s->width), o = s->groups * s->filters,
              i = s->groups * s->channels;
    const char *result = rounds ? half : "f32", *layout = pairs ? "oihw@Vo2i" : "oihw@Vo";

    agate_text_add(text,
                   "graph @t(%%x: %s[N,%d,%d,%d]{nchw@Vc}, %%w: %s[%d,%d,%d,%d]{%s}, %%b: f32[%d]{o@Vo}, "
                   "%%r: %s[N,%d,%d,%d]{nchw@Vc}) -> %s[N,%d,%d,%d]{nchw@Vc} {\n",
                   half, i, s->height, s->width, pairs ? half : "f32", o, s->channels, s->taps, s->taps,
                   layout, o, half, o, h, w, result, o, h, w);
    agate_text_add(text, "  %%0 = kernel(%%x, %%w, %%b, %%r) %s<v=@V, ow=%d%s, oh=%d, ocs=%d> {\n",
                   s->channels == 1 && s->filters == 1 ? "depthwise" : "grouped_conv", tiles.ow,
                   pairs ? ", dp=1" : "", tiles.oh, tiles.ocs);
    agate_text_add(text, "    %%a = cast $0 to=f32 : f32[N,%d,%d,%d]{nchw@Vc}\n", i, s->height, s->width);
    if (pairs)
        agate_text_add(text, "    %%w = cast $1 to=f32 : f32[%d,%d,%d,%d]{%s}\n", o, s->channels, s->taps,
                       s->taps, layout);
    agate_text_add(text, "    %%c = cast $3 to=f32 : f32[N,%d,%d,%d]{nchw@Vc}\n", o, h, w);
    agate_text_add(text,
                   "    %%d = conv %%a, %s, $2 strides=[%d, %d] pads=[%d, %d, %d, %d] dilations=[%d, %d] "
                   "group=%d : f32[N,%d,%d,%d]{nchw@Vc}\n",
                   pairs ? "%w" : "$1", s->stride, s->stride, s->pad, s->pad, s->pad, s->pad, s->dilation,
                   s->dilation, s->groups, o, h, w);
    agate_text_add(text, "    %%e = add %%d, %%c : f32[N,%d,%d,%d]{nchw@Vc}\n", o, h, w);
    agate_text_add(text, "    %%f = relu %%e : f32[N,%d,%d,%d]{nchw@Vc}\n", o, h, w);
    if (rounds)
        agate_text_add(text, "    %%g = cast %%f to=%s : %s[N,%d,%d,%d]{nchw@Vc}\n", half, half, o, h, w);
    agate_text_add(text, "    yield %%%s\n  } : %s[N,%d,%d,%d]{nchw@Vc}\n  return %%0\n}\n",
                   rounds ? "g" : "f", result, o, h, w);
}

/* Does the strategy for lanes take it? */
static bool fits(const shape *s, int lanes)
{
    return s->channels % lanes || s->filters % lanes;
}

static void check_shape(const char *half, const shape *s, const agate_machine *machine, bool dp,
                        double special)
{
    const double unit = strcmp(half, "f16") == 0 ? 0x1p-11 : 0x1p-8;

    if (!fits(s, agate_machine_lanes(machine)))
        return;
    for (int turn = 0; turn < 4; turn++) {
        agate_tiles tiles = {
            .ow = turn == 0 ? 14 : 1 + 3 * turn, .oh = 1 + turn, .ocs = 1 + turn % 2, .dp = dp};
        bool rounds = turn % 2;
        agate_text text = {0};
        kernel_text(half, s, tiles, rounds, &text);
        kernel_case c = {.text = agate_text_c(&text),
                         .rtol = rounds ? 2 * unit : 1e-5,
                         .atol = 2e-7 * s->channels * s->taps * s->taps,
                         .special = special,
                         .normal = dp}; /* the instruction takes denormals for 0 */
        check_kernel_on(&c, machine);
        agate_text_deinit(&text);
    }
}

START_TEST(weights_of_f32)
{
    agate_machine machine = agate_machine_get(_i);

    if (!machine_is_tested(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(depthwise); i++) {
        check_shape("bf16", &depthwise[i], &machine, false, i % 3 ? 0 : 0.01);
        check_shape("f16", &depthwise[i], &machine, false, i % 3 ? 0 : 0.01);
    }
    for (size_t i = 0; i < AGATE_COUNT(grouped); i++) {
        check_shape("bf16", &grouped[i], &machine, false, i % 3 ? 0 : 0.01);
        check_shape("f16", &grouped[i], &machine, false, i % 3 ? 0 : 0.01);
    }
}
END_TEST

START_TEST(sums_of_pairs)
{
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(grouped); i++)
        if (grouped[i].channels % 2 == 0)
            check_shape("bf16", &grouped[i], &machine, true, i % 3 ? 0 : 0.01);
}
END_TEST

/* ---- the bound that docs/cli.md states for bf16 -------------------------------------------------------- */

enum { GROUPS = 8, OF_GROUP = BOUND_MOST_IN / GROUPS, OUT_OF_GROUP = BOUND_OUT / GROUPS };

/* Half a unit above 1, where rounding takes away the largest share; what is exactly between two rounds to the
 * even one. */
static float worst_number(void)
{
    return 0x1.01p0f;
}

static float any_number(void)
{
    return (float)random_number();
}

/* Packs the channels of each group and its filters' weights, all others of which are 0, computes, and returns
 * the largest error as a share of what the bound allows. */
static double worst_share(const agate_machine *machine, float (*number)(void))
{
    static const char form[] =
        "graph @t(%x: bf16[N,64,6,6]{nchw16c}, %w: bf16[32,8,1,1]{oihw16o2i}) -> f32[N,32,6,6]{nchw16c} {\n"
        "  %0 = kernel(%x, %w) grouped_conv<v=16, ow=6, dp=1> {\n"
        "    %a = cast $0 to=f32 : f32[N,64,6,6]{nchw16c}\n"
        "    %b = cast $1 to=f32 : f32[32,8,1,1]{oihw16o2i}\n"
        "    %c = conv %a, %b group=8 : f32[N,32,6,6]{nchw16c}\n"
        "    yield %c\n  } : f32[N,32,6,6]{nchw16c}\n  return %0\n}\n";
    static bounded numbers;
    static float weights[BOUND_OUT * OF_GROUP];
    static _Alignas(64) char packed[3][sizeof numbers.x];
    agate_graph *graph;
    agate_linker *linker;

    must(agate_parse(form, sizeof form - 1, &graph));
    bounded_fill(&numbers, BOUND_MOST_IN, number);
    for (int o = 0; o < BOUND_OUT; o++)
        for (int i = 0; i < BOUND_MOST_IN; i++) {
            float *weight = &numbers.w[o * BOUND_MOST_IN + i];
            if (i / OF_GROUP == o / OUT_OF_GROUP)
                weights[o * OF_GROUP + i % OF_GROUP] = *weight;
            else
                *weight = 0;
        }
    const agate_node *kernel = graph->first;
    agate_type types[3] = {type_at(&kernel->operands[0]->type, 1), kernel->operands[1]->type,
                           type_at(&kernel->results[0].type, 1)};
    agate_type plain[3];
    for (int i = 0; i < 3; i++)
        plain[i] = agate_type_make(AGATE_F32, 4, types[i].dims);
    ck_assert(agate_reorder_bytes(&plain[0], numbers.x, &types[0], packed[0]));
    ck_assert(agate_reorder_bytes(&plain[1], weights, &types[1], packed[1]));
    void *buffers[] = {packed[0], packed[1], packed[2]};
    compile_kernel(kernel, machine, &linker)(buffers, 1, 0, agate_dim_at(agate_task_count(kernel), 1), NULL);
    ck_assert(agate_reorder_bytes(&types[2], packed[2], &plain[2], numbers.y));

    agate_linker_release(linker);
    agate_graph_release(graph);
    return bounded_share(&numbers, 0x1p-7 + 0x1p-16 + OF_GROUP * 0x1p-23);
}

START_TEST(error_bound)
{
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    double random = worst_share(&machine, any_number), worst = worst_share(&machine, worst_number);
    ck_assert_msg(random < 1, "the largest error of random numbers is %g of the bound", random);
    ck_assert_msg(worst < 1 && worst > 0.9, "the largest error is %g of the bound", worst);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_narrow_lanes");
    TCase *tcase = tcase_create("emit_narrow_lanes");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, weights_of_f32, 0, agate_machine_count());
    tcase_add_test(tcase, sums_of_pairs);
    tcase_add_test(tcase, error_bound);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
