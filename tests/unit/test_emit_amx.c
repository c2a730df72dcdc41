/* links: emulate backend ir ref base */
/* test_emit_amx.c: compiled convolutions in AMX tiles of bf16, against the reference kernels, which add up
 * the planes of an operand and sum products in double: one, two and three planes, kept by other kernels or
 * split in this one. */
#include "tests/unit/kernel_test.h"

#include "ir/narrow.h"
#include "tests/emulate/machine.h"
#include "tests/suite.h"
#include "tests/unit/error_bound.h"

typedef struct shape {
    int64_t channels, filters, height, width, taps, stride, pad, dilation;
    bool few; /* the input is plain, rows of a filter are rows of tiles, and `dilation` is that of its rows */
} shape;

static const shape shapes[] = {
    {64, 64, 9, 9, 1, 1, 0, 1, false},   {32, 40, 6, 6, 1, 1, 0, 1, false},
    {96, 48, 4, 8, 1, 1, 0, 1, false},   {64, 32, 9, 8, 1, 2, 0, 1, false},
    {32, 32, 7, 9, 3, 1, 1, 1, false},   {48, 16, 6, 17, 3, 1, 1, 1, false},
    {40, 72, 5, 5, 3, 2, 1, 1, false},   {6, 20, 8, 5, 3, 1, 2, 2, false},
    {32, 32, 1, 31, 5, 1, 2, 1, false},  {64, 96, 12, 12, 3, 2, 0, 1, false},
    {16, 33, 10, 11, 7, 2, 3, 1, false}, {130, 8, 3, 3, 3, 1, 1, 1, false},
    {32, 16, 1, 1, 1, 1, 0, 1, false},   {32, 32, 5, 4, 2, 3, 1, 2, false},
};

static const shape stems[] = {
    {3, 64, 23, 31, 7, 2, 3, 1, true},  {3, 40, 9, 17, 3, 1, 1, 1, true}, {1, 32, 28, 28, 5, 1, 2, 1, true},
    {4, 20, 11, 12, 3, 2, 0, 1, true},  {2, 48, 9, 70, 2, 3, 1, 2, true}, {3, 33, 31, 27, 11, 4, 2, 1, true},
    {3, 16, 13, 9, 3, 1, 2, 2, true},   {3, 32, 6, 6, 1, 1, 0, 1, true},  {1, 8, 3, 3, 3, 1, 3, 1, true},
    {4, 32, 18, 21, 13, 1, 6, 1, true},
};

/* How the input comes, and the result goes. */
typedef enum way { KEPT_IN_TILES, KEPT_IN_VECTORS, SPLIT_HERE } way;

typedef struct variant {
    int32_t planes;
    way input;
    bool splits_result, adds;
    agate_tiles tiles;
} variant;

static int64_t out_height(const shape *s)
{
    return (s->height + 2 * s->pad - (s->taps - 1) * s->dilation - 1) / s->stride + 1;
}

static int64_t out_width(const shape *s)
{
    return (s->width + 2 * s->pad - (s->taps - 1) * (s->few ? 1 : s->dilation) - 1) / s->stride + 1;
}

/* ---- the text ------------------------------------------------------------------------------------------ */

typedef struct writer {
    agate_text params, operands, body;
    int32_t count; /* operands so far */
} writer;

static void add_param(writer *w, const char *name, const char *type)
{
    agate_text_add(&w->params, "%s%%%s: %s", w->count ? ", " : "", name, type);
    agate_text_add(&w->operands, "%s%%%s", w->count ? ", " : "", name);
    w->count++;
}

/* Planes `name`0 and on of bf16 `places` as parameters, and their sum, which is `name`. */
static void add_planes(writer *w, const char *name, int32_t planes, const char *places)
{
    char label[32], type[128];

    for (int32_t p = 0; p < planes; p++) {
        snprintf(label, sizeof label, "p%s%d", name, p);
        snprintf(type, sizeof type, "bf16%s", places);
        add_param(w, label, type);
        agate_text_add(&w->body, "    %%%s%d = cast $%d to=f32 : f32%s\n", name, p, w->count - 1, places);
    }
    for (int32_t p = 1; p < planes; p++)
        agate_text_add(&w->body, "    %%%ss%d = add %%%s%s%d, %%%s%d : f32%s\n", name, p, name,
                       p > 1 ? "s" : "", p - 1, name, p, places);
}

/* The name of the sum of planes. */
static const char *sum_of(const char *name, int32_t planes, char *out, size_t room)
{
    snprintf(out, room,
             planes > 1 ? "%s"
                          "s%d"
                        : "%s"
                          "%d",
             name, planes - 1);
    return out;
}

/* f32 `from` (a value of the body, with its sign) of `places` split into bf16 `name`0 and on; the f32 made of
 * them again is as that of add_planes. */
static void split(writer *w, const char *from, const char *name, int32_t planes, const char *places,
                  bool widens)
{
    char left[32];

    snprintf(left, sizeof left, "%s", from);
    for (int32_t p = 0; p < planes; p++) {
        agate_text_add(&w->body, "    %%%sh%d = cast %s to=bf16 : bf16%s\n", name, p, left, places);
        if (widens || p < planes - 1)
            agate_text_add(&w->body, "    %%%s%d = cast %%%sh%d to=f32 : f32%s\n", name, p, name, p, places);
        if (p == planes - 1)
            break;
        agate_text_add(&w->body, "    %%%sl%d = sub %s, %%%s%d : f32%s\n", name, p, left, name, p, places);
        snprintf(left, sizeof left, "%%%sl%d", name, p);
    }
    for (int32_t p = 1; p < planes && widens; p++)
        agate_text_add(&w->body, "    %%%ss%d = add %%%s%s%d, %%%s%d : f32%s\n", name, p, name,
                       p > 1 ? "s" : "", p - 1, name, p, places);
}

static void image_places(char *out, size_t room, int64_t channels, int64_t h, int64_t w, int block)
{
    snprintf(out, room, "[N,%d,%d,%d]{nchw%dc}", (int)channels, (int)h, (int)w, block);
}

/* What the kernel yields of `last`, and the whole around what was written. */
static void finish_text(const shape *s, const variant *v, writer *w, const char *last, const char *y,
                        agate_text *text)
{
    int h = (int)out_height(s), wide = (int)out_width(s);
    char x[96];
    agate_text results = {0}, types = {0}, names = {0};
    if (v->splits_result) {
        split(w, last, "y", v->planes, y, false);
        for (int32_t p = 0; p < v->planes; p++) {
            agate_text_add(&results, "%s%%yh%d", p ? ", " : "", p);
            agate_text_add(&types, "%sbf16%s", p ? ", " : "", y);
            agate_text_add(&names, "%s%%z%d", p ? ", " : "", p);
        }
    } else { /* back to whole vectors */
        image_places(x, sizeof x, s->filters, h, wide, 16);
        agate_text_add(&w->body, "    %%f = reorder %s : f32%s\n", last, x);
        agate_text_add(&results, "%%f");
        agate_text_add(&types, "f32%s", x);
        agate_text_add(&names, "%%z0");
    }
    agate_text_add(text, "graph @t(%s) -> (%s) {\n  %s = kernel(%s) amx_conv<v=16, oc=2, ow=32",
                   agate_text_c(&w->params), agate_text_c(&types), agate_text_c(&names),
                   agate_text_c(&w->operands));
    if (v->tiles.kc)
        agate_text_add(text, ", kc=%d", v->tiles.kc);
    if (v->tiles.ahead)
        agate_text_add(text, ", ahead=%d", v->tiles.ahead);
    agate_text_add(text, ", dp=1, products=%d", v->planes * (v->planes + 1) / 2);
    if (v->tiles.oh)
        agate_text_add(text, ", oh=%d", v->tiles.oh);
    if (v->tiles.ocs)
        agate_text_add(text, ", ocs=%d", v->tiles.ocs);
    if (v->tiles.order)
        agate_text_add(text, ", order=%d", v->tiles.order);
    agate_text_add(text, "> {\n%s    yield %s\n  } : %s\n  return %s\n}\n", agate_text_c(&w->body),
                   agate_text_c(&results), agate_text_c(&types), agate_text_c(&names));
    agate_text *used[] = {&w->params, &w->operands, &w->body, &results, &types, &names};
    for (size_t i = 0; i < AGATE_COUNT(used); i++)
        agate_text_deinit(used[i]);
}

static void kernel_text(const shape *s, const variant *v, agate_text *text)
{
    int h = (int)out_height(s), wide = (int)out_width(s), k = (int)s->taps;
    char x[96], weights[96], y[96], type[128], input[16], right[16];
    const char *last = "%c";
    writer w = {0};

    image_places(x, sizeof x, s->channels, s->height, s->width, v->input == KEPT_IN_TILES ? 32 : 16);
    if (s->few)
        *strchr(x, '{') = 0;
    image_places(y, sizeof y, s->filters, h, wide, 32);
    snprintf(weights, sizeof weights, "[%d,%d,%d,%d]{oihw%s}", (int)s->filters, (int)s->channels, k, k,
             s->few ? "32o2i" : "16i32o2i");
    if (v->input == SPLIT_HERE) {
        snprintf(type, sizeof type, "f32%s", x);
        add_param(&w, "px", type);
        split(&w, "$0", "x", v->planes, x, true);
    } else {
        add_planes(&w, "x", v->planes, x);
    }
    add_planes(&w, "w", v->planes, weights);
    snprintf(type, sizeof type, "f32[%d]{o16o}", (int)s->filters);
    add_param(&w, "pb", type);
    int bias = w.count - 1;
    if (v->adds)
        add_planes(&w, "r", v->planes, y);
    agate_text_add(
        &w.body,
        "    %%c = conv %%%s, %%%s, $%d strides=[%d, %d] pads=[%d, %d, %d, %d] dilations=[%d, %d] : f32%s\n",
        sum_of("x", v->planes, input, sizeof input), sum_of("w", v->planes, right, sizeof right), bias,
        (int)s->stride, (int)s->stride, (int)s->pad, (int)s->pad, (int)s->pad, (int)s->pad, (int)s->dilation,
        s->few ? 1 : (int)s->dilation, y);
    if (v->adds) {
        agate_text_add(&w.body, "    %%d = add %%c, %%%s : f32%s\n    %%e = relu %%d : f32%s\n",
                       sum_of("r", v->planes, input, sizeof input), y, y);
        last = "%e";
    }
    finish_text(s, v, &w, last, y, text);
}

/* ---- cases --------------------------------------------------------------------------------------------- */

static void check_shape(const shape *s, const variant *v, const agate_machine *machine, double special)
{
    /* Part p of a number within 1 is at most half a unit in the last of the 8 p digits before it. What
     * amx_conv leaves out of a product is that of both second parts where there are two planes, and below an
     * f32's last digit where there are three. */
    static const double left_out[] = {0, 0, 0x1p-18, 0x1p-25};
    const double products = (double)(s->channels * s->taps * s->taps);
    double scales[16];
    int32_t count = 0;
    agate_text text = {0};

    for (int32_t p = 0; p < (v->input == SPLIT_HERE ? 1 : v->planes); p++)
        scales[count++] = ldexp(1, -9 * p);
    for (int32_t p = 0; p < v->planes; p++)
        scales[count++] = ldexp(1, -9 * p);
    scales[count++] = 1;
    for (int32_t p = 0; v->adds && p < v->planes; p++)
        scales[count++] = ldexp(1, -9 * p);
    kernel_text(s, v, &text);
    kernel_case c = {.text = agate_text_c(&text),
                     .rtol = v->splits_result ? 0x1p-7 : 1e-5,
                     .atol = products * (2e-7 + 1.01 * left_out[v->planes]) + (v->splits_result ? 1e-6 : 0),
                     .special = special,
                     .specials =
                         v->input == SPLIT_HERE ? 1 : v->planes, /* a border of zeros meets the weights */
                     .zero_pads = true,
                     .any_infinity = v->planes > 1,
                     .normal = true, /* tiles take denormals for 0 */
                     .scales = scales};
    check_kernel_on(&c, machine);
    agate_text_deinit(&text);
}

START_TEST(planes)
{
    agate_machine machine;
    const way ways[] = {KEPT_IN_TILES, KEPT_IN_VECTORS, SPLIT_HERE};

    if (!find_amx_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(shapes); i++)
        for (size_t w = 0; w < AGATE_COUNT(ways); w++) {
            const shape *s = &shapes[i];
            size_t turn = i + w;
            variant v = {.planes = _i,
                         .input = ways[w],
                         .splits_result = turn % 2 && _i == 1,
                         .adds = turn % 3 != 0,
                         .tiles = {.kc = turn % 2 ? 0 : (int32_t)(s->taps * s->taps * 32 * (1 + (int64_t)w)),
                                   .ahead = turn % 5 == 2 ? 3 : 0,
                                   .oh = (int32_t)(turn % 4),
                                   .ocs = (int32_t)(turn % 3),
                                   .order = turn / 2 % 2 ? AGATE_AMX_GROUPS_FIRST : 0}};
            /* Of several planes, Inf makes Inf or NaN, of which relu makes different numbers. */
            bool special = i % 4 == 1 && (_i == 1 || !v.adds);
            check_shape(s, &v, &machine, special ? 0.002 : 0);
        }
}
END_TEST

/* Few channels, kept as planes by a kernel in front or split here. Of Inf and NaN in the input nothing goes
 * beyond the sums that read them: no row of a tile has more than its position's. */
START_TEST(few_channels)
{
    agate_machine machine;
    const way ways[] = {KEPT_IN_VECTORS, SPLIT_HERE};

    if (!find_amx_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(stems); i++)
        for (size_t w = 0; w < AGATE_COUNT(ways); w++) {
            size_t turn = i + w;
            variant v = {.planes = _i,
                         .input = ways[w],
                         .splits_result = turn % 2 && _i == 1,
                         .adds = turn % 3 == 0,
                         .tiles = {.oh = (int32_t)(turn % 5 * 2),
                                   .ocs = (int32_t)(turn % 3),
                                   .order = turn % 4 == 3 ? AGATE_AMX_GROUPS_FIRST : 0}};
            bool special = turn % 2 == 1 && (_i == 1 || !v.adds);
            check_shape(&stems[i], &v, &machine, special ? 0.01 : 0);
        }
}
END_TEST

/* Channels cut into parts with work and results of their own, and a plain operand, of which nothing past the
 * last channel is read. */
START_TEST(parts)
{
    static const char form[] =
        "graph @t(%x: bf16[N,64,7,7]{nchw32c}, %w: bf16[108,64,1,1]{oihw16i32o2i}, %b: f32[108]{o16o},"
        " %m: f32[44,1,1]) -> (f32[N,64,7,7]{nchw16c}, bf16[N,44,7,7]{nchw32c}) {\n"
        "  %0, %1 = kernel(%x, %w, %b, %m) amx_conv<v=16, oc=2, ow=32, kc=32, dp=1, products=1, oh=3,"
        " ocs=1, order=3> {\n"
        "    %a = cast $0 to=f32 : f32[N,64,7,7]{nchw32c}\n"
        "    %b = cast $1 to=f32 : f32[108,64,1,1]{oihw16i32o2i}\n"
        "    %c = conv %a, %b, $2 : f32[N,108,7,7]{nchw32c}\n"
        "    %d = slice %c starts=[0, 0, 0, 0] shape=[N, 64, 7, 7] : f32[N,64,7,7]{nchw32c}\n"
        "    %e = relu %d : f32[N,64,7,7]{nchw32c}\n"
        "    %f = reorder %e : f32[N,64,7,7]{nchw16c}\n"
        "    %g = slice %c starts=[0, 64, 0, 0] shape=[N, 44, 7, 7] : f32[N,44,7,7]{nchw32c}\n"
        "    %h = mul %g, $3 : f32[N,44,7,7]{nchw32c}\n"
        "    %i = cast %h to=bf16 : bf16[N,44,7,7]{nchw32c}\n"
        "    yield %f, %i\n"
        "  } : f32[N,64,7,7]{nchw16c}, bf16[N,44,7,7]{nchw32c}\n"
        "  return %0, %1\n}\n";
    agate_machine machine;

    if (find_amx_machine(&machine))
        check_kernel_on(&(kernel_case){.text = form, .rtol = 0x1p-7, .atol = 1e-4, .zero_pads = true},
                        &machine);
}
END_TEST

/* ---- the bounds that docs/cli.md states ---------------------------------------------------------------- */

enum { BOUND_IN = 16 };

/* Nearly half a unit of 8 bits above 1, and of what that is short of it the same again: both parts round away
 * as much as they can, downwards. */
static float worst_number(void)
{
    return 0x1.00ff7ep0f;
}

static float any_number(void)
{
    return (float)random_number();
}

/* 1x1, without bias, of f32 numbers in plain memory. Returns the largest error as a share of what the bound
 * allows. */
static double worst_share(const agate_machine *machine, int32_t planes, float (*number)(void))
{
    static const shape s = {BOUND_IN, BOUND_OUT, BOUND_SIZE, BOUND_SIZE, 1, 1, 0, 1, false};
    static const double left_out[] = {0, 0x1p-7 + 0x1p-16, 0x1p-15, 0x1p-23};
    static bounded numbers;
    static _Alignas(64) char packed[2 + AGATE_MAX_PLANES + 1][sizeof numbers.x], bias[128];
    const variant v = {.planes = planes, .input = SPLIT_HERE};
    agate_text text = {0};
    agate_graph *graph;
    agate_linker *linker;

    kernel_text(&s, &v, &text);
    must(agate_parse(agate_text_c(&text), text.size_bytes, &graph));
    bounded_fill(&numbers, BOUND_IN, number);
    const agate_node *kernel = graph->first;
    agate_type input = type_at(&kernel->operands[0]->type, 1), right = kernel->operands[1]->type;
    agate_type result = type_at(&kernel->results[0].type, 1);
    agate_type plain[] = {agate_type_make(AGATE_F32, 4, input.dims),
                          agate_type_make(AGATE_F32, 4, right.dims),
                          agate_type_make(AGATE_F32, 4, result.dims)};
    void *buffers[AGATE_MAX_PLANES + 3] = {packed[0]};
    agate_data whole = {
        .size_bytes = BOUND_OUT * BOUND_IN * sizeof(float), .bytes = numbers.w, .references = 1};
    ck_assert(agate_reorder_bytes(&plain[0], numbers.x, &input, packed[0]));
    for (int32_t p = 0; p < planes; p++) {
        agate_data *part = agate_data_plane(&whole, &plain[1], &right, p);
        memcpy(packed[1 + p], agate_data_bytes(part), part->size_bytes);
        agate_data_release(part);
        buffers[1 + p] = packed[1 + p];
    }
    buffers[1 + planes] = bias;
    buffers[2 + planes] = packed[1 + planes];
    fenced workspace = fenced_make((size_t)agate_workspace_bytes(kernel), AGATE_ALIGNMENT);
    compile_kernel(kernel, machine, &linker)(buffers, 1, 0, agate_dim_at(agate_task_count(kernel), 1),
                                             workspace.data);
    fenced_drop(&workspace);
    ck_assert(agate_reorder_bytes(&result, buffers[2 + planes], &plain[2], numbers.y));
    agate_linker_release(linker);
    agate_graph_release(graph);
    agate_text_deinit(&text);
    return bounded_share(&numbers, left_out[planes] + BOUND_IN * 0x1p-23);
}

/* Errors stay within it. Where something is left out they come near enough that less would not do. */
START_TEST(error_bounds)
{
    agate_machine machine;

    if (!find_amx_machine(&machine))
        return;
    double random = worst_share(&machine, _i, any_number), worst = worst_share(&machine, _i, worst_number);
    ck_assert_msg(random < 1, "the largest error of random numbers is %g of the bound", random);
    ck_assert_msg(worst < 1 && (_i == 3 || worst > 0.9), "the largest error is %g of the bound", worst);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_amx");
    TCase *tcase = tcase_create("emit_amx");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, planes, 1, AGATE_MAX_PLANES + 1);
    tcase_add_loop_test(tcase, few_channels, 1, AGATE_MAX_PLANES + 1);
    tcase_add_test(tcase, parts);
    tcase_add_loop_test(tcase, error_bounds, 1, AGATE_MAX_PLANES + 1);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
