/* links: backend ir ref base */
/* test_winograd.c: compiled Winograd convolutions against the reference kernels: against that of the same
 * algorithm, and, for the error that is promised, against that of the convolution itself. */
#include <stdio.h>

#include "runtime/ref/winograd.h"
#include "tests/suite.h"
#include "tests/unit/kernel_case.h"

/* What stands behind the convolution. */
typedef enum epilogue {
    BARE, /* no bias, nothing */
    BIAS_RELU,
    RESIDUAL,    /* bias, add of a blocked operand, relu */
    PER_CHANNEL, /* times a plain operand [C,1,1] */
    TWO_YIELDS,  /* the sum, and its relu */
    EPILOGUES,
} epilogue;

typedef struct shape {
    int64_t t, channels, filters, in[2], pads[4], out[2], batch;
    int32_t oc, ow, grain, kc, ocs;
    epilogue epilogue;
} shape;

static const char *const bodies[EPILOGUES] = {
    [BARE] = "yield %a\n",
    [BIAS_RELU] = "%b = relu %a : @Y\n yield %b\n",
    [RESIDUAL] = "%b = add %a, $3 : @Y\n %c = relu %b : @Y\n yield %c\n",
    [PER_CHANNEL] = "%b = mul %a, $3 : @Y\n yield %b\n",
    [TWO_YIELDS] = "%b = relu %a : @Y\n yield %a, %b\n",
};

static void add_dims(agate_text *text, const shape *s, bool out, int32_t block)
{
    const int64_t *size = out ? s->out : s->in;
    agate_text_add(text, "f32[N,%d,%d,%d]", (int)(out ? s->filters : s->channels), (int)size[0],
                   (int)size[1]);
    if (block)
        agate_text_add(text, "{nchw%dc}", block);
}

static void add_body(agate_text *text, const shape *s, int32_t block)
{
    for (const char *at = bodies[s->epilogue]; *at; at++) {
        if (*at != '@') {
            agate_text_add_bytes(text, at, 1);
            continue;
        }
        add_dims(text, s, true, block);
        at++;
    }
}

/* The kernel on machines of `lanes`; with lanes 0, the plain convolution that it stands for. */
static void add_graph(agate_text *text, const shape *s, int32_t lanes)
{
    bool two = s->epilogue == TWO_YIELDS;
    agate_text signature = {0}, y = {0};

    add_dims(&y, s, true, lanes);
    agate_text_add(&signature, "%%x: ");
    add_dims(&signature, s, false, lanes);
    if (lanes)
        agate_text_add(&signature, ", %%w: f32[%d,%d,%d,%d]{oihw%do}", (int)s->filters, (int)s->t, (int)s->t,
                       (int)s->channels, lanes * s->oc);
    else
        agate_text_add(&signature, ", %%w: f32[%d,%d,3,3]", (int)s->filters, (int)s->channels);
    if (s->epilogue != BARE)
        agate_text_add(&signature, ", %%b: f32[%d]", (int)s->filters);
    if (s->epilogue != BARE && lanes)
        agate_text_add(&signature, "{o%do}", lanes);
    if (s->epilogue == RESIDUAL)
        agate_text_add(&signature, ", %%r: %s", agate_text_c(&y));
    if (s->epilogue == PER_CHANNEL)
        agate_text_add(&signature, ", %%r: f32[%d,1,1]", (int)s->filters);
    agate_text_add(text, "graph @t(%s) -> %s%s%s%s%s {\n", agate_text_c(&signature), two ? "(" : "",
                   agate_text_c(&y), two ? ", " : "", two ? agate_text_c(&y) : "", two ? ")" : "");
    agate_text_add(text, "  %%0%s = kernel(%%x, %%w%s%s) ", two ? ", %1" : "", s->epilogue ? ", %b" : "",
                   s->epilogue == RESIDUAL || s->epilogue == PER_CHANNEL ? ", %r" : "");
    if (lanes)
        agate_text_add(text, "winograd<v=%d, oc=%d, ow=%d, ic=4, kc=%d, ahead=2, ocs=%d, grain=%d> ", lanes,
                       s->oc, s->ow, s->kc ? s->kc : 1000, s->ocs ? s->ocs : 1000,
                       s->grain ? s->grain : 1000);
    agate_text_add(text, "{\n    %%a = %s $0, $1%s pads=[%d, %d, %d, %d] : %s\n    ",
                   lanes ? "winograd" : "conv", s->epilogue ? ", $2" : "", (int)s->pads[0], (int)s->pads[1],
                   (int)s->pads[2], (int)s->pads[3], agate_text_c(&y));
    add_body(text, s, lanes);
    agate_text_add(text, "  } : %s at output[0]%s%s%s\n  return %%0%s\n}\n", agate_text_c(&y),
                   two ? ", " : "", two ? agate_text_c(&y) : "", two ? " at output[1]" : "",
                   two ? ", %1" : "");
    agate_text_deinit(&signature);
    agate_text_deinit(&y);
}

/* G g G^T in double, rounded once. */
static void transform(const shape *s, const float *w, float *u)
{
    const agate_winograd_matrices *m = agate_winograd_matrices_of((int)s->t);

    for (int64_t o = 0; o < s->filters; o++)
        for (int64_t i = 0; i < s->channels; i++)
            for (int64_t r = 0; r < s->t; r++)
                for (int64_t c = 0; c < s->t; c++) {
                    double sum = 0;
                    for (int64_t k = 0; k < 9; k++)
                        sum += m->g[r][k / 3] * m->g[c][k % 3] * (double)w[(o * s->channels + i) * 9 + k];
                    u[((o * s->t + r) * s->t + c) * s->channels + i] = (float)sum;
                }
}

/* A case whose weights are those of a convolution, `w`. */
static kernel_case open_case(const shape *s, const char *text, const agate_machine *machine, const float *w)
{
    kernel_case c = case_open(text, machine, s->batch, 7);
    agate_type plain = case_plain_type(&c.types[1]);

    transform(s, w, c.plain[1]);
    CASE_REQUIRE(agate_reorder_bytes(&plain, c.plain[1], &c.types[1], c.buffers[1]), "memory is short");
    return c;
}

/* What convolving with `w` gives, by the reference kernels. */
static void convolve(const shape *s, const kernel_case *c, float *w, agate_tensor *outputs)
{
    agate_text text = {0};
    add_graph(&text, s, 0);
    agate_graph *graph = case_parse(agate_text_c(&text));
    agate_tensor inputs[KERNEL_CASE_BUFFERS];

    for (int32_t i = 0; i < c->input_count; i++) {
        agate_type type = case_fixed_type(&graph->params[i]->type, c->batch);
        inputs[i] = case_tensor(&type, i == 1 ? w : c->plain[i]);
    }
    agate_status status =
        agate_interpret(graph, inputs, (size_t)c->input_count, outputs, (size_t)c->result_count, c->batch);
    CASE_REQUIRE(status == AGATE_OK, "%s", agate_status_message(status));
    agate_graph_release(graph);
    agate_text_deinit(&text);
}

/* What is promised (docs/cli.md): no output is off by more than so many roundings of what its sum may come
 * to, which is the number of products times the greatest of them; */
static double worst_roundings(int64_t t)
{
    return t == 4 ? 2 : 8;
}

/* and the mean square of the errors is within so many roundings of that of the results. */
static double mean_roundings(int64_t t)
{
    return t == 4 ? 12 : 64;
}

static void check_errors(const shape *s, const kernel_case *c, const agate_tensor *want, const char *text)
{
    double unit = 0x1p-24 * 9 * (double)s->channels; /* inputs and weights are 1 at most */
    for (int32_t r = 0; r < c->result_count; r++) {
        float *got = case_result(c, r);
        size_t count = want[r].size_bytes / 4;
        double worst = 0, squares = 0, sizes = 0;
        for (size_t i = 0; i < count; i++) {
            double wanted = ((const float *)want[r].data)[i], error = fabs((double)got[i] - wanted);
            CASE_REQUIRE(!isnan(got[i]), "not a number at %zu in\n%s", i, text);
            worst = error > worst ? error : worst;
            squares += error * error;
            sizes += wanted * wanted;
        }
        double mean = sqrt(squares / sizes) * 0x1p24;
        if (getenv("AGATE_TEST_VERBOSE"))
            printf("t=%d C=%d: worst %.3f, mean %.2f roundings\n", (int)s->t, (int)s->channels, worst / unit,
                   mean);
        CASE_REQUIRE(worst <= worst_roundings(s->t) * unit, "off by %g, more than %g, in\n%s", worst,
                     worst_roundings(s->t) * unit, text);
        CASE_REQUIRE(mean <= mean_roundings(s->t), "off by %g roundings on average in\n%s", mean, text);
        free(got);
    }
}

/* All results in row-major order, in new memory. */
static void run_all(kernel_case *c, bool backwards, float **out_results)
{
    if (backwards)
        for (int64_t task = c->tasks - 1; task >= 0; task--)
            case_run(c, task, task + 1);
    else
        case_run(c, 0, c->tasks);
    for (int32_t r = 0; r < c->result_count; r++)
        out_results[r] = case_result(c, r);
}

/* Task by task, and image by image, the same bits. */
static void check_cuts(const shape *s, kernel_case *c, const char *text, const agate_machine *machine,
                       float *w)
{
    float *once[2], *again[2], *alone[2];
    shape single = *s;
    run_all(c, false, once);
    run_all(c, true, again);
    single.batch = 1;
    for (int64_t n = 0; n < s->batch; n++) {
        kernel_case one = open_case(&single, text, machine, w);
        for (int32_t i = 0; i < c->input_count; i++) {
            agate_type plain = case_plain_type(&one.types[i]);
            size_t count = case_size(&plain) / 4;
            bool batched = !agate_type_equal(&one.types[i], &c->types[i]);
            memcpy(one.plain[i], c->plain[i] + (batched ? (size_t)n * count : 0), count * 4);
            CASE_REQUIRE(agate_reorder_bytes(&plain, one.plain[i], &one.types[i], one.buffers[i]), "memory");
        }
        run_all(&one, false, alone);
        for (int32_t r = 0; r < c->result_count; r++) {
            agate_type plain = case_plain_type(&one.types[one.input_count + r]);
            size_t bytes = case_size(&plain);
            CASE_REQUIRE(memcmp(alone[r], (char *)once[r] + (size_t)n * bytes, bytes) == 0,
                         "the batch shows in\n%s", text);
            free(alone[r]);
        }
        case_close(&one);
    }
    for (int32_t r = 0; r < c->result_count; r++) {
        agate_type plain = case_plain_type(&c->types[c->input_count + r]);
        CASE_REQUIRE(memcmp(once[r], again[r], case_size(&plain)) == 0, "the cut into tasks shows in\n%s",
                     text);
        free(once[r]);
        free(again[r]);
    }
}

static void check_shape(const shape *s, const agate_machine *machine)
{
    size_t count = (size_t)(s->filters * s->channels * 9);
    float *w = malloc(count * 4 + 4);
    agate_text text = {0};
    agate_tensor want[2];
    uint32_t seed = 3;

    for (size_t i = 0; i < count; i++)
        w[i] = case_random(&seed);
    add_graph(&text, s, agate_machine_lanes(machine));
    kernel_case c = open_case(s, agate_text_c(&text), machine, w);
    convolve(s, &c, w, want);
    case_run(&c, 0, c.tasks);
    check_errors(s, &c, want, agate_text_c(&text));
    check_cuts(s, &c, agate_text_c(&text), machine, w);
    agate_interpret_free(want, (size_t)c.result_count);
    case_close(&c);
    agate_text_deinit(&text);
    free(w);
}

static void check_everywhere(shape s)
{
    s.out[0] = s.in[0] + s.pads[0] + s.pads[2] - 2;
    s.out[1] = s.in[1] + s.pads[1] + s.pads[3] - 2;
    for (int32_t i = 0; i < agate_machine_count(); i++) {
        agate_machine machine = agate_machine_get(i);
        for (s.t = 4; s.t <= 6 && machine_is_tested(&machine); s.t += 2)
            check_shape(&s, &machine);
    }
}

START_TEST(whole_tiles)
{
    check_everywhere((shape){
        .channels = 32, .filters = 64, .in = {10, 10}, .batch = 2, .oc = 2, .ow = 4, .grain = 4, .ocs = 1});
    check_everywhere((shape){.channels = 16,
                             .filters = 16,
                             .in = {8, 8},
                             .pads = {1, 1, 1, 1},
                             .batch = 1,
                             .oc = 1,
                             .ow = 3,
                             .epilogue = BIAS_RELU});
}
END_TEST

START_TEST(tiles_that_reach_out_of_the_image)
{
    check_everywhere((shape){.channels = 16,
                             .filters = 32,
                             .in = {7, 9},
                             .pads = {1, 1, 1, 1},
                             .batch = 3,
                             .oc = 2,
                             .ow = 5,
                             .grain = 5,
                             .ocs = 1,
                             .epilogue = RESIDUAL});
    check_everywhere((shape){.channels = 16,
                             .filters = 32,
                             .in = {5, 3},
                             .pads = {2, 0, 3, 4},
                             .batch = 2,
                             .oc = 2,
                             .ow = 2,
                             .grain = 4,
                             .epilogue = TWO_YIELDS});
    check_everywhere((shape){
        .channels = 16, .filters = 16, .in = {1, 1}, .pads = {1, 1, 1, 1}, .batch = 2, .oc = 1, .ow = 14});
}
END_TEST

START_TEST(channels_that_do_not_fill_vectors)
{
    check_everywhere((shape){.channels = 5,
                             .filters = 7,
                             .in = {6, 6},
                             .pads = {1, 1, 1, 1},
                             .batch = 2,
                             .oc = 2,
                             .ow = 3,
                             .grain = 3,
                             .epilogue = RESIDUAL});
    check_everywhere((shape){.channels = 21,
                             .filters = 37,
                             .in = {9, 9},
                             .pads = {1, 1, 1, 1},
                             .batch = 1,
                             .oc = 2,
                             .ow = 4,
                             .grain = 8,
                             .epilogue = PER_CHANNEL});
    check_everywhere((shape){.channels = 20,
                             .filters = 33,
                             .in = {9, 4},
                             .pads = {1, 1, 1, 1},
                             .batch = 1,
                             .oc = 1,
                             .ow = 4,
                             .grain = 8,
                             .ocs = 2,
                             .epilogue = BIAS_RELU});
}
END_TEST

START_TEST(long_sums)
{
    check_everywhere((shape){.channels = 300,
                             .filters = 16,
                             .in = {8, 8},
                             .pads = {1, 1, 1, 1},
                             .batch = 1,
                             .oc = 1,
                             .ow = 6,
                             .grain = 6,
                             .kc = 128,
                             .epilogue = BIAS_RELU});
    check_everywhere((shape){.channels = 512,
                             .filters = 16,
                             .in = {7, 6},
                             .pads = {1, 1, 1, 1},
                             .batch = 1,
                             .oc = 1,
                             .ow = 6,
                             .grain = 6,
                             .kc = 128,
                             .epilogue = BIAS_RELU});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("winograd");
    TCase *tests = tcase_create("winograd");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, whole_tiles);
    tcase_add_test(tests, tiles_that_reach_out_of_the_image);
    tcase_add_test(tests, channels_that_do_not_fill_vectors);
    tcase_add_test(tests, long_sums);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
