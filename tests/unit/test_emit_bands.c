/* links: backend ir ref base */
/* test_emit_bands.c: a convolution and its reader in one kernel: against the reference kernels, and to the
 * bit against the same two in kernels of their own. */
#include "backend/units.h"
#include "tests/unit/kernel_test.h"
#include "tests/suite.h"

/* `conv $0, $1, $2` with these attributes, `scalar` of it, then `reader` of `%b`; a reader with weights reads
 * $3 and $4. A residual is added to what it makes. */
typedef struct pair {
    const char *x, *w, *bias, *conv, *between, *scalar;
    const char *reader, *w2, *bias2, *result;
    bool residual;
    const char *alone[2]; /* schedules of the two apart */
} pair;

typedef struct texts {
    agate_text fused, first, second;
} texts;

static void add_head(agate_text *text, const char *const *types, int32_t count, const char *result,
                     const char *schedule)
{
    agate_text_add(text, "graph @t(");
    for (int32_t i = 0; i < count; i++)
        agate_text_add(text, "%s%%p%d: %s", i ? ", " : "", i, types[i]);
    agate_text_add(text, ") -> %s {\n  %%0 = kernel(", result);
    for (int32_t i = 0; i < count; i++)
        agate_text_add(text, "%s%%p%d", i ? ", " : "", i);
    agate_text_add(text, ") %s {\n", schedule);
}

/* What a kernel computes has no pitch, only where it lies has. */
static void add_own_type(agate_text *text, const char *type)
{
    const char *pitch = strstr(type, " of ");

    if (pitch)
        agate_text_add(text, "%.*s}", (int)(pitch - type), type);
    else
        agate_text_add(text, "%s", type);
    agate_text_add(text, "\n");
}

static void add_tail(agate_text *text, const char *yielded, const char *result)
{
    agate_text_add(text, "    yield %s\n  } : %s\n  return %%0\n}\n", yielded, result);
}

/* What is bf16 is widened. */
static void add_producer(agate_text *text, const pair *p)
{
    bool narrow = strncmp(p->x, "bf16", 4) == 0;

    if (narrow)
        agate_text_add(text, "    %%x = cast $0 to=f32 : f32%s\n    %%w = cast $1 to=f32 : f32%s\n",
                       strchr(p->x, '['), strchr(p->w, '['));
    agate_text_add(text, "    %%a = conv %s, $2 %s : %s\n", narrow ? "%x, %w" : "$0, $1", p->conv,
                   p->between);
    agate_text_add(text, "    %%b = %s %%a : %s\n", p->scalar, p->between);
}

/* `first`: the parameter from which on it has its own. */
static const char *add_reader(agate_text *text, const pair *p, const char *read, int32_t first)
{
    int32_t space = (int32_t)strcspn(p->reader, " ");

    agate_text_add(text, "    %%c = %.*s %s", space, p->reader, read);
    if (p->w2)
        agate_text_add(text, ", $%d, $%d", first, first + 1);
    agate_text_add(text, "%s : ", p->reader + space);
    add_own_type(text, p->result);
    if (!p->residual)
        return "%c";
    agate_text_add(text, "    %%d = add %%c, $%d : ", first + (p->w2 ? 2 : 0));
    add_own_type(text, p->result);
    return "%d";
}

static texts make_texts(const pair *p, const char *schedule)
{
    const char *types[8] = {p->x, p->w, p->bias}, *second[4] = {p->between};
    int32_t count = 3, second_count = 1;
    texts t = {{0}, {0}, {0}};

    if (p->w2) {
        types[count++] = second[second_count++] = p->w2;
        types[count++] = second[second_count++] = p->bias2;
    }
    if (p->residual)
        types[count++] = second[second_count++] = p->result;
    add_head(&t.fused, types, count, p->result, schedule);
    add_producer(&t.fused, p);
    add_tail(&t.fused, add_reader(&t.fused, p, "%b", 3), p->result);
    add_head(&t.first, types, 3, p->between, p->alone[0]);
    add_producer(&t.first, p);
    add_tail(&t.first, "%b", p->between);
    add_head(&t.second, second, second_count, p->result, p->alone[1]);
    add_tail(&t.second, add_reader(&t.second, p, "$0", 1), p->result);
    return t;
}

/* ---- to the bit ---------------------------------------------------------------------------------------- */

typedef struct compiled {
    agate_graph *graph;
    const agate_node *kernel;
    agate_linker *linker;
    agate_kernel_fn fn;
} compiled;

static compiled compile(const agate_text *text, const agate_machine *machine)
{
    compiled c;
    char *full = substitute(agate_text_c((agate_text *)text), agate_machine_lanes(machine),
                            agate_machine_lanes(machine));

    must(agate_parse(full, strlen(full), &c.graph));
    c.kernel = c.graph->first;
    const char *refused = agate_emit_refuses(c.kernel);
    ck_assert_msg(!refused, "%s in\n%s", refused, full);
    c.fn = compile_kernel(c.kernel, machine, &c.linker);
    free(full);
    return c;
}

static void release(compiled *c)
{
    agate_linker_release(c->linker);
    agate_graph_release(c->graph);
}

static fenced operand(const agate_type *batched, int64_t batch, const kernel_case *numbers)
{
    agate_type type = type_at(batched, batch), flat = plain_of(&type);
    agate_tensor plain = tensor_of(&flat, calloc(1, size_of(&flat) + 1));
    fenced memory = fenced_make(size_of(&type), agate_dtype_size(type.dtype));

    if (type.dtype == AGATE_BF16 && type.layout.kind != AGATE_LAYOUT_channel)
        memset(memory.data, 0, size_of(&type)); /* a pad of weights meets what is missing of a pair */
    fill_random(&plain, numbers, 0);
    ck_assert(agate_reorder_bytes(&flat, plain.data, &type, memory.data));
    free(plain.data);
    return memory;
}

/* One NaN is as good as another. */
static void check_same(const float *got, const float *want, size_t count, const pair *p)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(memcmp(&got[i], &want[i], sizeof *got) == 0 || (isnan(got[i]) && isnan(want[i])),
                      "element %zu is %.9g, in two kernels %.9g: %s, %s", i, (double)got[i], (double)want[i],
                      p->conv, p->reader);
}

static void check_bits(const texts *t, const pair *p, const agate_machine *machine, double special)
{
    kernel_case numbers = {.special = special};
    compiled fused = compile(&t->fused, machine), first = compile(&t->first, machine),
             second = compile(&t->second, machine);
    int32_t count = fused.kernel->operand_count;
    const int64_t batch = 2;
    agate_type between = type_at(&first.kernel->results[0].type, batch);
    agate_type flat = type_at(&fused.kernel->results[0].type, batch), plain = plain_of(&flat);
    void *buffers[8], *apart[8], *got = malloc(size_of(&plain) + 1), *want = malloc(size_of(&plain) + 1);
    fenced operands[8], middle = fenced_make(size_of(&between), 4);

    for (int32_t i = 0; i < count; i++) {
        operands[i] = operand(&fused.kernel->operands[i]->type, batch, &numbers);
        buffers[i] = apart[i] = operands[i].data;
    }
    run_once(fused.fn, fused.kernel, buffers, batch, false, &got);
    apart[3] = middle.data;
    first.fn(apart, batch, 0, agate_dim_at(agate_task_count(first.kernel), batch), NULL);
    apart[0] = middle.data;
    for (int32_t i = 3; i < count; i++)
        apart[i - 2] = operands[i].data;
    run_once(second.fn, second.kernel, apart, batch, false, &want);
    check_same(got, want, size_of(&plain) / sizeof(float), p);
    for (int32_t i = 0; i < count; i++)
        fenced_drop(&operands[i]);
    fenced_drop(&middle);
    free(got);
    free(want);
    release(&fused);
    release(&first);
    release(&second);
}

/* On one machine alone, of numbers that its products take as they are. */
static void check_pair_on(const pair *p, const char *schedule, const agate_machine *machine)
{
    texts t = make_texts(p, schedule);
    kernel_case c = {
        .text = agate_text_c(&t.fused), .rtol = 1e-4, .atol = 1e-4, .normal = true, .zero_pads = true};

    check_kernel_on(&c, machine);
    check_bits(&t, p, machine, 0);
    check_bits(&t, p, machine, 0.003);
    agate_text_deinit(&t.fused);
    agate_text_deinit(&t.first);
    agate_text_deinit(&t.second);
}

static void check_pair(const pair *p, const char *const *schedules, size_t schedule_count)
{
    for (size_t k = 0; k < schedule_count; k++) {
        texts t = make_texts(p, schedules[k]);
        kernel_case c = {.text = agate_text_c(&t.fused), .rtol = 1e-4, .atol = 1e-4};
        check_kernel(&c);
        /* Bits do not depend on how wide vectors are: the narrowest and the widest. */
        for (int i = 0; i < 2; i++) {
            agate_machine machine = agate_machine_get(i ? agate_machine_best(agate_cpu_features()) : 0);
            check_bits(&t, p, &machine, 0);
            check_bits(&t, p, &machine, 0.003);
        }
        agate_text_deinit(&t.fused);
        agate_text_deinit(&t.first);
        agate_text_deinit(&t.second);
    }
}

#define CHECK(pairs, schedules)                                                                              \
    for (size_t i = 0; i < AGATE_COUNT(pairs); i++)                                                          \
    check_pair(&pairs[i], schedules, AGATE_COUNT(schedules))

/* ---- cases --------------------------------------------------------------------------------------------- */

#define DENSE     "direct_conv<v=@V, oc=2, ow=3, ic=1, kc=16>"
#define POOL      "pool<v=@V, ow=3, oh=1>"
#define DEPTHWISE "depthwise<v=@V, ow=3>"

#define STRIDED "strides=[2, 2] pads=[3, 3, 3, 3]"

static const pair stem_pairs[] = {
    {"f32[N,3,23,27]",
     "f32[20,3,7,7]{oihw@Bo}",
     "f32[20]{o@Bo}",
     STRIDED,
     "f32[N,20,12,14]{nchw@Bc}",
     "relu",
     "max_pool kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
     NULL,
     NULL,
     "f32[N,20,6,7]{nchw@Bc}",
     false,
     {DENSE, POOL}},
    {"f32[N,3,23,27]",
     "f32[80,3,7,7]{oihw@Bo}",
     "f32[80]{o@Bo}",
     STRIDED,
     "f32[N,80,12,14]{nchw@Bc}",
     "silu",
     "max_pool kernel=[3, 3] strides=[2, 2] ceil=true",
     NULL,
     NULL,
     "f32[N,80,6,7]{nchw@Bc}",
     true,
     {DENSE, POOL}},
    {"f32[N,5,9,8]{nchw@Bc}",
     "f32[36,5,3,3]{oihw@Bi@Bo}",
     "f32[36]{o@Bo}",
     "pads=[1, 1, 1, 1]",
     "f32[N,36,9,8]{nchw@Bc}",
     "relu",
     "avg_pool kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1] count_pads=true",
     NULL,
     NULL,
     "f32[N,36,5,4]{nchw@Bc}",
     false,
     {DENSE, POOL}},
    {"f32[N,5,9,8]{nchw@Bc}",
     "f32[36,5,3,3]{oihw@Bi@Bo}",
     "f32[36]{o@Bo}",
     "pads=[1, 1, 1, 1]",
     "f32[N,36,9,8]{nchw@Bc}",
     "relu",
     "avg_pool kernel=[2, 3] strides=[3, 1] dilations=[2, 2] pads=[1, 2, 0, 2]",
     NULL,
     NULL,
     "f32[N,36,3,8]{nchw@Bc}",
     true,
     {DENSE, POOL}},
    {"f32[N,1,5,5]",
     "f32[1,1,2,2]{oihw@Bo}",
     "f32[1]{o@Bo}",
     "",
     "f32[N,1,4,4]{nchw@Bc}",
     "neg",
     "max_pool kernel=[1, 1] strides=[3, 3]",
     NULL,
     NULL,
     "f32[N,1,2,2]{nchw@Bc}",
     false,
     {DENSE, POOL}},
    {"f32[N,24,9,8]{nchw@Bc}",
     "f32[24,1,3,3]{oihw@Bo}",
     "f32[24]{o@Bo}",
     "pads=[1, 1, 1, 1] group=24",
     "f32[N,24,9,8]{nchw@Bc}",
     "relu",
     "max_pool kernel=[2, 2] strides=[2, 2]",
     NULL,
     NULL,
     "f32[N,24,4,4]{nchw@Bc}",
     false,
     {DEPTHWISE, POOL}},
};

START_TEST(stems)
{
    static const char *const schedules[] = {
        "bands<v=@V, oc=2, ow=3, ic=1, kc=16, oh=2, ocs=1, px=3, rows=1>",
        "bands<v=@V, oc=2, ow=3, ic=1, kc=16, px=5, rows=3, ring=8>",
        "bands<v=@V, oc=2, ow=3, ic=1, kc=16, oh=3, ocs=2, rows=100, ring=100>",
    };
    CHECK(stem_pairs, schedules);
}
END_TEST

#define PAIRS "direct_conv<v=16, oc=2, ow=3, ic=1, dp=1>"

/* Producers of bf16 products: pairs of channels, and of taps. */
START_TEST(narrow_producers)
{
    static const char *const schedules[] = {
        "bands<v=16, oc=2, ow=3, ic=2, dp=1, oh=2, ocs=1, px=3, rows=1>",
        "bands<v=16, oc=2, ow=3, ic=1, dp=1, px=5, rows=3, ring=8>",
    };
    static const pair pairs[] = {
        {"bf16[N,3,23,27]",
         "bf16[40,3,7,7]{oihw16o2w}",
         "f32[40]{o16o}",
         STRIDED,
         "f32[N,40,12,14]{nchw16c}",
         "relu",
         "max_pool kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
         NULL,
         NULL,
         "f32[N,40,6,7]{nchw16c}",
         false,
         {PAIRS, POOL}},
        {"bf16[N,48,9,11]{nchw16c}",
         "bf16[40,48,1,1]{oihw8i16o2i}",
         "f32[40]{o16o}",
         "",
         "f32[N,40,9,11]{nchw16c}",
         "relu",
         "conv strides=[2, 2] pads=[1, 1, 1, 1] group=40",
         "f32[40,1,3,3]{oihw16o}",
         "f32[40]{o16o}",
         "f32[N,40,5,6]{nchw16c}",
         true,
         {PAIRS, DEPTHWISE}},
    };
    agate_machine machine;

    if (!find_pair_machine(&machine))
        return;
    for (size_t i = 0; i < AGATE_COUNT(pairs); i++)
        for (size_t k = 0; k < AGATE_COUNT(schedules); k++)
            check_pair_on(&pairs[i], schedules[k], &machine);
}
END_TEST

START_TEST(depthwise_then_pointwise)
{
    static const char *const schedules[] = {
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, oh=2, px=3, rows=1>",
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, oh=4, px=4, rows=2, ring=3>",
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, px=1, rows=5>",
    };
    static const pair pairs[] = {
        {"f32[N,40,9,11]{nchw@Bc}",
         "f32[40,1,3,3]{oihw@Bo}",
         "f32[40]{o@Bo}",
         "pads=[1, 1, 1, 1] group=40",
         "f32[N,40,9,11]{nchw@Bc}",
         "hard_swish",
         "conv",
         "f32[24,40,1,1]{oihw@Bi@Bo}",
         "f32[24]{o@Bo}",
         "f32[N,24,9,11]{nchw@Bc}",
         true,
         {DEPTHWISE, "direct_conv<v=@V, oc=2, ow=5, ic=4, kc=16, flat=1>"}},
        {"f32[N,36,12,9]{nchw@Bc of 96}",
         "f32[36,1,5,3]{oihw@Bo}",
         "f32[36]{o@Bo}",
         "strides=[2, 2] dilations=[2, 1] pads=[4, 1, 4, 0] group=36",
         "f32[N,36,6,4]{nchw@Bc}",
         "relu",
         "conv",
         "f32[20,36,1,1]{oihw@Bi@Bo}",
         "f32[20]{o@Bo}",
         "f32[N,20,6,4]{nchw@Bc of 64}",
         false,
         {DEPTHWISE, "direct_conv<v=@V, oc=2, ow=5, ic=4, kc=16, flat=1>"}},
    };
    CHECK(pairs, schedules);
}
END_TEST

START_TEST(pointwise_then_depthwise)
{
    static const char *const schedules[] = {
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, oh=2, ocs=1, px=3, rows=1>",
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, oh=5, ocs=2, px=4, rows=2, ring=9>",
        "bands<v=@V, oc=2, ow=3, ic=4, kc=16, px=3, rows=3>",
    };
    static const pair pairs[] = {
        {"f32[N,24,9,11]{nchw@Bc}",
         "f32[100,24,1,1]{oihw@Bi@Bo}",
         "f32[100]{o@Bo}",
         "",
         "f32[N,100,9,11]{nchw@Bc}",
         "relu",
         "conv pads=[1, 1, 1, 1] group=100",
         "f32[100,1,3,3]{oihw@Bo}",
         "f32[100]{o@Bo}",
         "f32[N,100,9,11]{nchw@Bc}",
         true,
         {DENSE, DEPTHWISE}},
        {"f32[N,24,9,12]{nchw@Bc of 80}",
         "f32[52,24,1,1]{oihw@Bi@Bo}",
         "f32[52]{o@Bo}",
         "",
         "f32[N,52,9,12]{nchw@Bc}",
         "silu",
         "conv strides=[2, 2] dilations=[1, 2] pads=[2, 3, 2, 4] group=52",
         "f32[52,1,5,3]{oihw@Bo}",
         "f32[52]{o@Bo}",
         "f32[N,52,5,8]{nchw@Bc of 64}",
         false,
         {DENSE, DEPTHWISE}},
        {"f32[N,36,9,11]{nchw@Bc}",
         "f32[36,1,3,3]{oihw@Bo}",
         "f32[36]{o@Bo}",
         "pads=[1, 1, 1, 1] group=36",
         "f32[N,36,9,11]{nchw@Bc}",
         "relu",
         "conv pads=[1, 1, 1, 1] group=36",
         "f32[36,1,3,3]{oihw@Bo}",
         "f32[36]{o@Bo}",
         "f32[N,36,9,11]{nchw@Bc}",
         false,
         {DEPTHWISE, DEPTHWISE}},
    };
    CHECK(pairs, schedules);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit_bands");
    TCase *tcase = tcase_create("bands");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, stems);
    tcase_add_test(tcase, narrow_producers);
    tcase_add_test(tcase, depthwise_then_pointwise);
    tcase_add_test(tcase, pointwise_then_depthwise);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
