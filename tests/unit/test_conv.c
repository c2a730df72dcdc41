/* links: backend ir ref base */
/* test_conv.c: compiled convolutions of random shapes against the reference kernels. */
#include <stdio.h>

#include "tests/unit/kernel_case.h"
#include "tests/unit/kernel_text.h"
#include "tests/suite.h"

/* What stands behind the convolution. */
typedef enum epilogue {
    BARE, /* no bias, nothing */
    BIAS,
    BIAS_RELU,
    RESIDUAL,    /* bias, add of a blocked operand, relu */
    TWO_YIELDS,  /* the convolution itself, and relu(add) */
    PER_CHANNEL, /* times a plain operand [C,1,1] */
    PER_ROW,     /* plus a plain operand [H,1] */
    PLAIN,       /* the result is row-major */
    EPILOGUES,
} epilogue;

typedef struct conv_shape {
    bool depthwise;
    bool grouped;    /* groups narrower than a vector */
    bool few;        /* filters: vectors along pixels, all in plain layout */
    int32_t spatial; /* 1 to 3 */
    int64_t channels, filters, group;
    int64_t in[3], kernel[3], strides[3], dilations[3], pads[6], out[3];
    bool plain_input;
    epilogue epilogue;
    int64_t batch;
    agate_tiles tiles;
} conv_shape;

/* Each lane has weights of its own. */
static bool by_lane(const conv_shape *s)
{
    return s->depthwise || s->grouped;
}

static void add_list(agate_text *text, const char *name, const int64_t *values, int32_t count)
{
    agate_text_add(text, " %s=[", name);
    for (int32_t i = 0; i < count; i++)
        agate_text_add(text, "%s%d", i ? ", " : "", (int)values[i]);
    agate_text_add(text, "]");
}

static void add_result_type(agate_text *text, const conv_shape *s)
{
    int64_t y[5] = {0, s->filters, s->out[0], s->out[1], s->out[2]};
    bool plain = s->epilogue == PLAIN || s->few;
    add_type(text, y, 2 + s->spatial, true, plain ? AGATE_LAYOUT_plain : AGATE_LAYOUT_channel, s->tiles.v);
}

static void add_params(agate_text *text, const conv_shape *s)
{
    int32_t rank = 2 + s->spatial, v = s->tiles.v;
    bool by_filter = s->plain_input || by_lane(s);
    agate_layout_kind weights = s->few ? AGATE_LAYOUT_plain : by_filter ? AGATE_LAYOUT_o : AGATE_LAYOUT_oi;
    int64_t x[5] = {0, s->channels, s->in[0], s->in[1], s->in[2]};
    int64_t w[5] = {s->filters, s->channels / s->group, s->kernel[0], s->kernel[1], s->kernel[2]};
    int64_t each[4] = {s->filters, 1, 1, 1}, row[2] = {s->spatial > 1 ? s->out[s->spatial - 2] : 1, 1};
    agate_text_add(text, "graph @case(%%x: ");
    add_type(text, x, rank, true, s->plain_input ? AGATE_LAYOUT_plain : AGATE_LAYOUT_channel, v);
    agate_text_add(text, ", %%w: ");
    add_type(text, w, rank, false, weights, v);
    if (s->epilogue != BARE) {
        agate_text_add(text, ", %%b: ");
        add_type(text, &s->filters, 1, false, s->few ? AGATE_LAYOUT_plain : AGATE_LAYOUT_o, v);
    }
    if (s->epilogue >= RESIDUAL && s->epilogue <= PER_ROW)
        agate_text_add(text, ", %%r: ");
    if (s->epilogue == RESIDUAL || s->epilogue == TWO_YIELDS)
        add_result_type(text, s);
    else if (s->epilogue == PER_CHANNEL)
        add_type(text, each, 1 + s->spatial, false, AGATE_LAYOUT_plain, 0);
    else if (s->epilogue == PER_ROW)
        add_type(text, row, 2, false, AGATE_LAYOUT_plain, 0);
    agate_text_add(text, ")");
}

/* A line of the body: `%name = op operands : type`. */
static void add_op(agate_text *text, const conv_shape *s, const char *name, const char *op,
                   const char *operands)
{
    agate_text_add(text, "    %%%s = %s %s : ", name, op, operands);
    add_result_type(text, s);
    agate_text_add(text, "\n");
}

static void add_body(agate_text *text, const conv_shape *s)
{
    static const char *const yields[EPILOGUES] = {"%a", "%a", "%c", "%c", "%a, %c", "%d", "%d", "%c"};
    agate_text_add(text, "    %%a = conv $0, $1%s", s->epilogue == BARE ? "" : ", $2");
    add_list(text, "strides", s->strides, s->spatial);
    add_list(text, "pads", s->pads, 2 * s->spatial);
    add_list(text, "dilations", s->dilations, s->spatial);
    agate_text_add(text, " group=%d : ", (int)s->group);
    add_result_type(text, s);
    agate_text_add(text, "\n");
    switch (s->epilogue) {
    case BIAS_RELU:
    case PLAIN:
        add_op(text, s, "c", "relu", "%a");
        break;
    case RESIDUAL:
    case TWO_YIELDS:
        add_op(text, s, "d", "add", "%a, $3");
        add_op(text, s, "c", "relu", "%d");
        break;
    case PER_CHANNEL:
        add_op(text, s, "d", "mul", "%a, $3");
        break;
    case PER_ROW:
        add_op(text, s, "d", "add", "$3, %a");
        break;
    default:
        break;
    }
    agate_text_add(text, "    yield %s\n", yields[s->epilogue]);
}

static void conv_text(const conv_shape *s, agate_text *text)
{
    static const char *const operands[EPILOGUES] = {[BARE] = "%x, %w",
                                                    [BIAS] = "%x, %w, %b",
                                                    [BIAS_RELU] = "%x, %w, %b",
                                                    [RESIDUAL] = "%x, %w, %b, %r",
                                                    [TWO_YIELDS] = "%x, %w, %b, %r",
                                                    [PER_CHANNEL] = "%x, %w, %b, %r",
                                                    [PER_ROW] = "%x, %w, %b, %r",
                                                    [PLAIN] = "%x, %w, %b"};
    bool two = s->epilogue == TWO_YIELDS;
    add_params(text, s);
    agate_text_add(text, " -> %s", two ? "(" : "");
    for (int32_t i = 0; i <= two; i++) {
        agate_text_add(text, "%s", i ? ", " : "");
        add_result_type(text, s);
    }
    agate_text_add(text, "%s {\n  %%0%s = kernel(%s) ", two ? ")" : "", two ? ", %1" : "",
                   operands[s->epilogue]);
    add_tiles(text,
              s->depthwise ? "depthwise"
              : s->grouped ? "grouped_conv"
              : s->few     ? "few_filters"
                           : "direct_conv",
              &s->tiles);
    agate_text_add(text, " {\n");
    add_body(text, s);
    agate_text_add(text, "  } : ");
    for (int32_t i = 0; i <= two; i++) {
        agate_text_add(text, "%s", i ? ", " : "");
        add_result_type(text, s);
        agate_text_add(text, " at output[%d]", i);
    }
    agate_text_add(text, "\n  return %%0%s\n}\n", two ? ", %1" : "");
}

static bool set_out(conv_shape *s)
{
    for (int32_t i = 0; i < s->spatial; i++) {
        int64_t reach = (s->kernel[i] - 1) * s->dilations[i] + 1;
        int64_t room = s->in[i] + s->pads[i] + s->pads[s->spatial + i] - reach;
        if (room < 0)
            return false;
        s->out[i] = room / s->strides[i] + 1;
    }
    return true;
}

static bool is_flat(const conv_shape *s)
{
    for (int32_t i = 0; i < 2 * s->spatial; i++)
        if (s->pads[i] || s->kernel[i % s->spatial] != 1 || s->strides[i % s->spatial] != 1)
            return false;
    return !s->plain_input && !by_lane(s);
}

static void random_tiles(conv_shape *s, const agate_machine *machine, uint32_t *seed)
{
    int32_t registers = machine->vector_registers;
    agate_tiles *t = &s->tiles;
    t->oc = by_lane(s) ? 0 : (int32_t)case_range(seed, 1, 4);
    t->ow = (int32_t)case_range(seed, 1, (registers - 1) / (t->oc ? t->oc : 2) - 1);
    t->ic = (int32_t)case_range(seed, 0, 1) ? 1 << case_range(seed, 0, 4) : 0;
    t->kc = by_lane(s) ? 0 : (int32_t)case_range(seed, 0, 2) * 40;
    t->oh = (int32_t)case_range(seed, 0, 3);
    t->ocs = (int32_t)case_range(seed, 0, 2);
    t->order = (int32_t)case_range(seed, 0, 2);
    t->ahead = by_lane(s) ? 0 : (int32_t)case_range(seed, 0, 2);
    t->flat = is_flat(s) && case_range(seed, 0, 3) > 0;
}

/* Groups that share vectors: sizes that divide the lanes, no more inputs than outputs; or any. */
static void narrow_groups(conv_shape *s, uint32_t *seed)
{
    bool any = case_range(seed, 0, 1);
    int64_t outputs = any ? case_range(seed, 1, 2 * s->tiles.v) : INT64_C(1) << case_range(seed, 1, 3);
    int64_t inputs = any ? case_range(seed, 1, 9) : outputs >> case_range(seed, 0, 3);
    s->grouped = true;
    s->group = case_range(seed, 2, any ? 5 : 20);
    if (!any)
        outputs = agate_min(outputs, s->tiles.v / 2), inputs = agate_max(1, agate_min(inputs, outputs));
    s->filters = s->group * outputs;
    s->channels = s->group * inputs;
}

static conv_shape random_conv(const agate_machine *machine, uint32_t *seed)
{
    conv_shape s;
    do {
        static const int32_t dimensions[] = {1, 2, 2, 2, 3};
        s = (conv_shape){.tiles = {.v = agate_machine_lanes(machine)},
                         .spatial = dimensions[case_range(seed, 0, 4)]};
        int64_t most_in = s.spatial == 3 ? 9 : 33, most_taps = s.spatial == 3 ? 4 : 7;
        s.group = 1;
        s.depthwise = case_range(seed, 0, 3) == 0;
        s.plain_input = !s.depthwise && case_range(seed, 0, 4) == 0;
        s.channels = case_range(seed, 1, s.plain_input ? 5 : 3 * s.tiles.v);
        s.filters = case_range(seed, 1, 5 * s.tiles.v);
        if (case_range(seed, 0, 2) == 0) /* whole blocks, as parts outside pixels need */
            s.channels = s.plain_input ? s.channels : s.tiles.v * case_range(seed, 1, 5);
        if (s.depthwise)
            s.filters = s.group = s.channels;
        else if (!s.plain_input && case_range(seed, 0, 3) == 0)
            narrow_groups(&s, seed);
        bool one = case_range(seed, 0, 2) == 0;
        for (int32_t i = 0; i < s.spatial; i++) {
            s.in[i] = case_range(seed, 1, most_in);
            s.kernel[i] = one ? 1 : case_range(seed, 1, most_taps);
            s.strides[i] = one && case_range(seed, 0, 1) ? 1 : case_range(seed, 1, 3);
            s.dilations[i] = case_range(seed, 0, 2) ? 1 : case_range(seed, 2, 3);
        }
        for (int32_t i = 0; i < 2 * s.spatial && !one; i++)
            s.pads[i] = case_range(seed, 0, (s.kernel[i % s.spatial] - 1) * s.dilations[i % s.spatial]);
        s.epilogue = (epilogue)case_range(seed, 0, EPILOGUES - 1);
        if (s.epilogue == PER_ROW && s.spatial == 1)
            s.epilogue = BIAS;
        s.batch = case_range(seed, 1, 3);
    } while (!set_out(&s));
    random_tiles(&s, machine, seed);
    return s;
}

static void verify_conv(const conv_shape *s, const agate_machine *machine, uint32_t seed)
{
    agate_text text = {0};
    conv_text(s, &text);
    int64_t steps = s->channels / s->group;
    for (int32_t i = 0; i < s->spatial; i++)
        steps *= s->kernel[i];
    steps += 3;
    case_verify(agate_text_c(&text), machine, s->batch, seed, steps);
    agate_text_deinit(&text);
}

START_TEST(random_convolutions)
{
    agate_machine machine = agate_machine_get(_i);
    if (!machine_is_tested(&machine))
        return;
    for (uint32_t seed = 1; seed <= 80; seed++) {
        uint32_t state = seed * 7919;
        conv_shape s = random_conv(&machine, &state);
        verify_conv(&s, &machine, seed);
    }
}
END_TEST

/* Pixels run as one row; some operands need rows and pixels apart all the same. */
START_TEST(flat_convolutions)
{
    static const struct {
        int32_t spatial;
        int64_t in[3];
    } images[] = {{2, {5, 7}}, {2, {5, 1}},    {2, {1, 7}},   {2, {1, 1}},
                  {1, {9}},    {3, {2, 3, 5}}, {3, {3, 1, 4}}};
    agate_machine machine = agate_machine_get(_i);
    int32_t v = agate_machine_lanes(&machine);
    if (!machine_is_tested(&machine))
        return;
    for (size_t image = 0; image < AGATE_COUNT(images); image++)
        for (int32_t behind = 0; behind < EPILOGUES; behind++) {
            conv_shape s = {.spatial = images[image].spatial,
                            .group = 1,
                            .channels = v + 3,
                            .filters = 2 * v + 1,
                            .epilogue = (epilogue)behind,
                            .batch = 2,
                            .kernel = {1, 1, 1},
                            .strides = {1, 1, 1},
                            .dilations = {1, 1, 1},
                            .tiles = {.v = v, .oc = 2, .ow = 4, .ic = 4, .ahead = 1, .oh = 3, .flat = 1}};
            memcpy(s.in, images[image].in, sizeof s.in);
            if (s.epilogue == PER_ROW && s.spatial == 1)
                continue;
            ck_assert(set_out(&s));
            verify_conv(&s, &machine, 7);
        }
}
END_TEST

/* Rows of filters as long as any that is written out, in lines and in images. */
START_TEST(wide_filters)
{
    agate_machine machine = agate_machine_get(_i);
    int32_t v = agate_machine_lanes(&machine);
    if (!machine_is_tested(&machine))
        return;
    conv_shape line = {.spatial = 1,
                       .group = 1,
                       .channels = 1,
                       .filters = v + 1,
                       .plain_input = true,
                       .epilogue = BIAS_RELU,
                       .batch = 2,
                       .in = {400},
                       .kernel = {128},
                       .strides = {4},
                       .dilations = {1},
                       .pads = {60, 64},
                       .tiles = {.v = v, .oc = 2, .ow = 3, .oh = 2}};
    conv_shape image = line;
    image.spatial = 2;
    image.in[0] = 3, image.in[1] = 50;
    image.kernel[0] = 2, image.kernel[1] = 31;
    image.strides[0] = image.strides[1] = image.dilations[1] = 1;
    memcpy(image.pads, (int64_t[]){0, 15, 1, 15}, 4 * sizeof image.pads[0]);
    conv_shape lanes = image;
    lanes.plain_input = false;
    lanes.depthwise = true;
    lanes.group = lanes.channels = lanes.filters = v + 1;
    ck_assert(set_out(&line) && set_out(&image) && set_out(&lanes));
    verify_conv(&line, &machine, 3);
    verify_conv(&image, &machine, 3);
    verify_conv(&lanes, &machine, 3);
}
END_TEST

/* Vectors along pixels: any border, rows shorter than a tile and longer. */
START_TEST(few_filters)
{
    agate_machine machine = agate_machine_get(_i);
    int32_t v = agate_machine_lanes(&machine);
    if (!machine_is_tested(&machine))
        return;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        uint32_t state = seed * 7907;
        conv_shape s = random_conv(&machine, &state);
        s.depthwise = s.grouped = false;
        s.few = s.plain_input = true;
        s.group = 1;
        s.channels = case_range(&state, 1, 9);
        s.filters = case_range(&state, 1, v / 2);
        s.strides[s.spatial - 1] = 1;
        s.in[s.spatial - 1] += case_range(&state, 0, 5 * v);
        s.tiles = (agate_tiles){.v = v,
                                .ow = v * (int32_t)case_range(&state, 1, 4),
                                .oh = (int32_t)case_range(&state, 0, 3),
                                .kc = (int32_t)case_range(&state, 0, 2) * 20};
        ck_assert(set_out(&s));
        verify_conv(&s, &machine, seed);
    }
}
END_TEST

/* Groups of whole vectors of channels. */
START_TEST(grouped_convolutions)
{
    agate_machine machine = agate_machine_get(_i);
    int32_t v = agate_machine_lanes(&machine);
    if (!machine_is_tested(&machine))
        return;
    for (int32_t oc = 1; oc <= 4; oc++) {
        conv_shape s = {.spatial = 2,
                        .group = 2,
                        .channels = 4 * v,
                        .filters = 6 * v,
                        .epilogue = BIAS_RELU,
                        .batch = 2,
                        .in = {9, 11},
                        .kernel = {3, 3},
                        .strides = {1, 2},
                        .dilations = {1, 1},
                        .pads = {1, 1, 1, 1},
                        .tiles = {.v = v, .oc = oc, .ow = 3, .ic = 4, .ocs = 1, .oh = 4}};
        ck_assert(set_out(&s));
        verify_conv(&s, &machine, 5);
    }
}
END_TEST

/* An image gives the same bits alone and in a batch. */
START_TEST(batch_does_not_show)
{
    agate_machine machine = agate_machine_get(_i);
    conv_shape s = {
        .spatial = 2,
        .group = 1,
        .channels = 19,
        .filters = 40,
        .epilogue = RESIDUAL,
        .in = {13, 17},
        .kernel = {3, 3},
        .strides = {1, 1},
        .dilations = {1, 1},
        .pads = {1, 1, 1, 1},
        .tiles = {.v = agate_machine_lanes(&machine), .oc = 2, .ow = 5, .ic = 2, .oh = 4, .ocs = 1}};
    agate_text text = {0};
    if (!machine_is_tested(&machine))
        return;
    ck_assert(set_out(&s));
    conv_text(&s, &text);
    kernel_case all = case_open(agate_text_c(&text), &machine, 3, 9);
    case_run(&all, 0, all.tasks);
    for (int32_t image = 0; image < 3; image++) {
        kernel_case one = case_open(agate_text_c(&text), &machine, 1, 9);
        for (int32_t i = 0; i < 4; i++) {
            bool batched = i == 0 || i == 3;
            size_t size = case_size(&one.types[i]);
            memcpy(one.buffers[i], (const char *)all.buffers[i] + (batched ? (size_t)image * size : 0), size);
        }
        case_run(&one, 0, one.tasks);
        float *alone = case_result(&one, 0), *among = case_result(&all, 0);
        size_t count = (size_t)(s.filters * s.out[0] * s.out[1]);
        ck_assert(memcmp(alone, among + (size_t)image * count, count * 4) == 0);
        free(alone);
        free(among);
        case_close(&one);
    }
    case_close(&all);
    agate_text_deinit(&text);
}
END_TEST

/* Parts of sums outside pixels: the same sums, so the same bits, for any number of rows to a task. */
START_TEST(orders_do_not_show)
{
    agate_machine machine = agate_machine_get(_i);
    int32_t v = agate_machine_lanes(&machine);
    float *wanted = NULL;
    conv_shape s = {.spatial = 2,
                    .group = 1,
                    .channels = 5 * v,
                    .filters = 3 * v + 1,
                    .epilogue = RESIDUAL,
                    .in = {9, 11},
                    .kernel = {3, 3},
                    .strides = {2, 1},
                    .dilations = {1, 1},
                    .pads = {1, 1, 1, 1},
                    .tiles = {.v = v, .oc = 2, .ow = 4, .ic = 2, .kc = 18 * v, .ahead = 2, .ocs = 1}};
    if (!machine_is_tested(&machine))
        return;
    ck_assert(set_out(&s));
    for (int turn = 0; turn < 6; turn++) {
        agate_text text = {0};
        s.tiles.order = turn < 3 ? 0 : 2;
        s.tiles.oh = turn % 3;
        conv_text(&s, &text);
        kernel_case c = case_open(agate_text_c(&text), &machine, 2, 5);
        case_run(&c, 0, c.tasks);
        float *result = case_result(&c, 0);
        size_t size_bytes = (size_t)(2 * s.filters * s.out[0] * s.out[1]) * sizeof *result;
        if (!wanted)
            wanted = memcpy(malloc(size_bytes), result, size_bytes);
        ck_assert(memcmp(result, wanted, size_bytes) == 0);
        free(result);
        case_close(&c);
        agate_text_deinit(&text);
    }
    free(wanted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conv");
    TCase *tcase = tcase_create("conv");
    int machines = agate_machine_count();

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, random_convolutions, 0, machines);
    tcase_add_loop_test(tcase, flat_convolutions, 0, machines);
    tcase_add_loop_test(tcase, wide_filters, 0, machines);
    tcase_add_loop_test(tcase, few_filters, 0, machines);
    tcase_add_loop_test(tcase, grouped_convolutions, 0, machines);
    tcase_add_loop_test(tcase, batch_does_not_show, 0, machines);
    tcase_add_loop_test(tcase, orders_do_not_show, 0, machines);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
