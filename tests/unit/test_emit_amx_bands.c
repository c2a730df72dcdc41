/* links: emulate backend ir ref base */
/* test_emit_amx_bands.c: a convolution in AMX tiles and the pool behind it in one kernel, against the
 * reference kernels: one, two and three planes, split in the kernel. */
#include "tests/unit/kernel_test.h"

#include "ir/narrow.h"
#include "tests/emulate/machine.h"
#include "tests/suite.h"

typedef struct pair {
    const char *x;             /* "[N,...]{...}" of the input; plain where channels are few */
    const char *w;             /* of the weights */
    const char *conv;          /* attributes */
    const char *between;       /* dimensions of what it makes */
    const char *pool;          /* op and attributes */
    const char *y;             /* dimensions of the result */
    int32_t filters, products; /* of a sum */
    agate_tiles tiles;
} pair;

#define RESNET_STEM                                                                                          \
    "[N,3,23,31]", "[64,3,7,7]{oihw32o2i}", "strides=[2, 2] pads=[3, 3, 3, 3]", "[N,64,12,16]",              \
        "max_pool kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]", "[N,64,6,8]", 64, 147

static const pair pairs[] = {
    {RESNET_STEM, {.oh = 4, .rows = 2, .ring = 5, .px = 4}},
    {RESNET_STEM, {.oh = 6, .rows = 1, .ring = 12, .px = 8}},
    {"[N,4,19,18]",
     "[40,4,3,3]{oihw32o2i}",
     "pads=[1, 1, 1, 1]",
     "[N,40,19,18]",
     "avg_pool kernel=[2, 3] strides=[3, 1] pads=[0, 1, 1, 1]",
     "[N,40,7,18]",
     40,
     36,
     {.oh = 2, .rows = 2, .px = 6}}, /* rows that no window covers */
    {"[N,1,9,40]",
     "[16,1,5,5]{oihw32o2i}",
     "pads=[2, 2, 2, 2]",
     "[N,16,9,40]",
     "max_pool kernel=[9, 1]",
     "[N,16,1,40]",
     16,
     25,
     {.oh = 1, .rows = 1, .px = 4}},
    {"[N,64,12,10]{nchw32c}",
     "[48,64,3,3]{oihw16i32o2i}",
     "pads=[1, 1, 1, 1]",
     "[N,48,12,10]",
     "max_pool kernel=[2, 2] strides=[2, 2]",
     "[N,48,6,5]",
     48,
     576,
     {.oh = 3, .rows = 1, .ring = 2, .px = 5, .kc = 288}},
    {"[N,40,9,9]{nchw16c}",
     "[32,40,1,1]{oihw16i32o2i}",
     "strides=[1, 2]",
     "[N,32,9,5]",
     "max_pool kernel=[3, 3] strides=[1, 1] pads=[2, 1, 2, 1] dilations=[2, 1]",
     "[N,32,9,5]",
     32,
     40,
     {.oh = 5, .rows = 3, .px = 3}},
};

/* f32 `from` of `places` as the sum of `planes` bf16 numbers, named x; returns its name. */
static const char *split(agate_text *body, int32_t planes, const char *places)
{
    static const char *const sums[] = {"%x0", "%x0", "%xs1", "%xs2"};
    const char *left[] = {"$0", "%xl0", "%xl1"};

    for (int32_t p = 0; p < planes; p++) {
        agate_text_add(body, "    %%xh%d = cast %s to=bf16 : bf16%s\n", p, left[p], places);
        agate_text_add(body, "    %%x%d = cast %%xh%d to=f32 : f32%s\n", p, p, places);
        if (p < planes - 1)
            agate_text_add(body, "    %%xl%d = sub %s, %%x%d : f32%s\n", p, left[p], p, places);
        if (p > 0)
            agate_text_add(body, "    %%xs%d = add %%x%s%d, %%x%d : f32%s\n", p, p > 1 ? "s" : "", p - 1, p,
                           places);
    }
    return sums[planes];
}

static const char *sum_weights(agate_text *body, int32_t planes, const char *places)
{
    static const char *const sums[] = {"%w1", "%w1", "%ws2", "%ws3"};

    for (int32_t p = 1; p <= planes; p++) {
        agate_text_add(body, "    %%w%d = cast $%d to=f32 : f32%s\n", p, p, places);
        if (p > 1)
            agate_text_add(body, "    %%ws%d = add %%w%s%d, %%w%d : f32%s\n", p, p > 2 ? "s" : "", p - 1, p,
                           places);
    }
    return sums[planes];
}

static void pair_text(const pair *p, int32_t planes, agate_text *text)
{
    int32_t space = (int32_t)strcspn(p->pool, " ");
    agate_text body = {0};

    agate_text_add(text, "graph @t(%%x: f32%s", p->x);
    for (int32_t i = 0; i < planes; i++)
        agate_text_add(text, ", %%w%d: bf16%s", i, p->w);
    agate_text_add(text, ", %%b: f32[%d]{o16o}) -> f32%s{nchw16c} {\n  %%0 = kernel(%%x", p->filters, p->y);
    for (int32_t i = 0; i < planes; i++)
        agate_text_add(text, ", %%w%d", i);
    agate_text_add(text, ", %%b) amx_bands<v=16, oc=2, ow=32");
    if (p->tiles.kc)
        agate_text_add(text, ", kc=%d", p->tiles.kc);
    agate_text_add(text, ", dp=1, products=%d, oh=%d, px=%d, rows=%d", agate_plane_products(planes),
                   p->tiles.oh, p->tiles.px, p->tiles.rows);
    if (p->tiles.ring)
        agate_text_add(text, ", ring=%d", p->tiles.ring);
    const char *x = split(&body, planes, p->x), *w = sum_weights(&body, planes, p->w);
    agate_text_add(text,
                   "> {\n%s    %%c = conv %s, %s, $%d %s : f32%s{nchw32c}\n"
                   "    %%d = relu %%c : f32%s{nchw32c}\n"
                   "    %%e = reorder %%d : f32%s{nchw16c}\n"
                   "    %%f = %.*s %%e%s : f32%s{nchw16c}\n"
                   "    yield %%f\n  } : f32%s{nchw16c}\n  return %%0\n}\n",
                   agate_text_c(&body), x, w, planes + 1, p->conv, p->between, p->between, p->between, space,
                   p->pool, p->pool + space, p->y, p->y);
    agate_text_deinit(&body);
}

START_TEST(pools_behind_tiles)
{
    /* What a product of two planes leaves out is that of both second parts; of three, it is below an f32's
     * last digit. */
    static const double left_out[] = {0, 0, 0x1p-18, 0x1p-25};
    agate_machine machine;

    if (!find_amx_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(pairs); i++) {
        double scales[] = {1, 1, 0x1p-9, 0x1p-18, 1};
        agate_text text = {0};

        scales[_i + 1] = 1;
        pair_text(&pairs[i], _i, &text);
        kernel_case c = {.text = agate_text_c(&text),
                         .rtol = 1e-5,
                         .atol = pairs[i].products * (2e-7 + 1.01 * left_out[_i]),
                         .specials = 1,
                         .zero_pads = true,
                         .normal = true, /* tiles take denormals for 0 */
                         .scales = scales};
        check_kernel_on(&c, &machine);
        agate_text_deinit(&text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_amx_bands");
    TCase *tcase = tcase_create("emit_amx_bands");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, pools_behind_tiles, 1, AGATE_MAX_PLANES + 1);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
