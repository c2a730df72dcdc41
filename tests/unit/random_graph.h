/* random_graph.h: random graphs as text, for tests of the passes: values of shape [N,c,h,w], and everything
 * that passes like to rewrite between them. The same seed gives the same text. */
#ifndef AGATE_TEST_RANDOM_GRAPH_H
#define AGATE_TEST_RANDOM_GRAPH_H

#include "runtime/base/base.h"

enum { RANDOM_VALUES = 64, RANDOM_MOST = 8 };

typedef struct random_graph {
    agate_text text;
    uint64_t state;
    int count;                      /* values so far; value i is %i */
    int64_t dims[RANDOM_VALUES][3]; /* c, h, w */
    int constants;
} random_graph;

static inline int64_t random_below(random_graph *g, int64_t bound)
{
    g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((g->state >> 33) % (uint64_t)bound);
}

static inline int random_value(random_graph *g)
{
    /* Rather a late value, so that chains form. */
    int64_t back = random_below(g, random_below(g, g->count) + 1);
    return g->count - 1 - (int)back;
}

/* Begins the line of a new value of this shape; `end_value` writes its type. */
static inline void begin_value(random_graph *g, int64_t c, int64_t h, int64_t w, const char *op)
{
    int64_t *dims = g->dims[g->count];
    dims[0] = c, dims[1] = h, dims[2] = w;
    agate_text_add(&g->text, "  %%%d = %s ", g->count, op);
}

static inline void end_value(random_graph *g)
{
    const int64_t *dims = g->dims[g->count++];
    agate_text_add(&g->text, " : f32[N,%lld,%lld,%lld]\n", (long long)dims[0], (long long)dims[1],
                   (long long)dims[2]);
}

/* A constant of `count` numbers between -2 and 2, half of them whole; returns its number. */
static inline int add_constant(random_graph *g, int64_t count, const char *type)
{
    agate_text_add(&g->text, "  %%c%d = const [", g->constants);
    for (int64_t i = 0; i < count; i++)
        agate_text_add(&g->text, "%s%g", i ? ", " : "", (double)(random_below(g, 9) - 4) / 2);
    agate_text_add(&g->text, "] : f32%s\n", type);
    return g->constants++;
}

static inline void add_unary(random_graph *g)
{
    static const char *const ops[] = {"relu", "sigmoid", "tanh", "abs", "neg", "relu"};
    int x = random_value(g);
    const int64_t *d = g->dims[x];
    begin_value(g, d[0], d[1], d[2], ops[random_below(g, AGATE_COUNT(ops))]);
    agate_text_add(&g->text, "%%%d", x);
    end_value(g);
}

static inline void add_binary(random_graph *g)
{
    static const char *const ops[] = {"add", "mul", "sub", "max", "add", "min"};
    int x = random_value(g);
    const int64_t *d = g->dims[x];
    const char *op = ops[random_below(g, AGATE_COUNT(ops))];

    for (int i = 0; i < 8; i++) {
        int y = random_value(g);
        if (memcmp(g->dims[y], d, sizeof g->dims[y]) != 0)
            continue;
        begin_value(g, d[0], d[1], d[2], op);
        agate_text_add(&g->text, "%%%d, %%%d", x, y);
        end_value(g);
        return;
    }
}

static inline void add_with_constant(random_graph *g)
{
    static const char *const ops[] = {"add", "mul", "sub", "max", "mul", "add"};
    int x = random_value(g), constant;
    const int64_t *d = g->dims[x];
    char type[96];

    switch (random_below(g, 3)) {
    case 0:
        constant = add_constant(g, 1, "[]");
        break;
    case 1:
        snprintf(type, sizeof type, "[%lld,1,1]", (long long)d[0]);
        constant = add_constant(g, d[0], type);
        break;
    default:
        snprintf(type, sizeof type, "[%lld]", (long long)d[2]);
        constant = add_constant(g, d[2], type);
    }
    bool left = random_below(g, 3) == 0;
    begin_value(g, d[0], d[1], d[2], ops[random_below(g, AGATE_COUNT(ops))]);
    agate_text_add(&g->text, left ? "%%c%d, %%%d" : "%%%2$d, %%c%1$d", constant, x);
    end_value(g);
}

static inline void add_conv(random_graph *g)
{
    int x = random_value(g);
    int64_t c = g->dims[x][0], h = g->dims[x][1], w = g->dims[x][2], o = 1 + random_below(g, 3);
    int64_t k = h > 1 && w > 1 ? 1 + random_below(g, 2) : 1,
            pad = h < RANDOM_MOST && w < RANDOM_MOST ? random_below(g, 2) : 0;
    char type[96];

    snprintf(type, sizeof type, "[%lld,%lld,%lld,%lld]", (long long)o, (long long)c, (long long)k,
             (long long)k);
    int weights = add_constant(g, o * c * k * k, type);
    begin_value(g, o, h + 2 * pad - k + 1, w + 2 * pad - k + 1, "conv");
    agate_text_add(&g->text, "%%%d, %%c%d pads=[%lld, %lld, %lld, %lld]", x, weights, (long long)pad,
                   (long long)pad, (long long)pad, (long long)pad);
    end_value(g);
}

static inline void add_transpose(random_graph *g)
{
    static const int perms[][3] = {{1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    const int *perm = perms[random_below(g, AGATE_COUNT(perms))];
    int x = random_value(g);
    const int64_t *d = g->dims[x];
    begin_value(g, d[perm[0]], d[perm[1]], d[perm[2]], "transpose");
    agate_text_add(&g->text, "%%%d perm=[0, %d, %d, %d]", x, perm[0] + 1, perm[1] + 1, perm[2] + 1);
    end_value(g);
}

static inline void add_pad(random_graph *g)
{
    int x = random_value(g);
    int64_t add[6], dims[3];

    for (int i = 0; i < 3; i++) {
        add[i] = random_below(g, 2);
        add[3 + i] = random_below(g, 2);
        dims[i] = g->dims[x][i] + add[i] + add[3 + i];
        if (dims[i] > RANDOM_MOST)
            return;
    }
    begin_value(g, dims[0], dims[1], dims[2], "pad");
    agate_text_add(&g->text, "%%%d begins=[0, %lld, %lld, %lld] ends=[0, %lld, %lld, %lld]", x,
                   (long long)add[0], (long long)add[1], (long long)add[2], (long long)add[3],
                   (long long)add[4], (long long)add[5]);
    end_value(g);
}

static inline void add_slice(random_graph *g)
{
    int x = random_value(g), d = (int)random_below(g, 3);
    int64_t dims[3], starts[3] = {0};

    memcpy(dims, g->dims[x], sizeof dims);
    if (dims[d] < 2)
        return;
    starts[d] = random_below(g, 2);
    dims[d]--;
    begin_value(g, dims[0], dims[1], dims[2], "slice");
    agate_text_add(&g->text, "%%%d starts=[0, %lld, %lld, %lld] shape=[N, %lld, %lld, %lld]", x,
                   (long long)starts[0], (long long)starts[1], (long long)starts[2], (long long)dims[0],
                   (long long)dims[1], (long long)dims[2]);
    end_value(g);
}

static inline void add_concat(random_graph *g)
{
    int x = random_value(g), y = random_value(g), d = (int)random_below(g, 3);
    int64_t dims[3];

    for (int i = 0; i < 3; i++) {
        dims[i] = g->dims[x][i] + (i == d ? g->dims[y][i] : 0);
        if (dims[i] > RANDOM_MOST || (i != d && g->dims[x][i] != g->dims[y][i]))
            return;
    }
    begin_value(g, dims[0], dims[1], dims[2], "concat");
    agate_text_add(&g->text, "%%%d, %%%d axis=%d", x, y, d + 1);
    end_value(g);
}

static inline void add_window(random_graph *g)
{
    static const char *const ops[] = {"max_pool", "avg_pool"};
    int x = random_value(g);
    const int64_t *d = g->dims[x];

    if (d[1] < 2 || d[2] < 2)
        return;
    if (random_below(g, 4) == 0) {
        begin_value(g, d[0], 1, 1, "reduce_mean");
        agate_text_add(&g->text, "%%%d axes=[2, 3]", x);
    } else {
        begin_value(g, d[0], d[1] - 1, d[2] - 1, ops[random_below(g, 2)]);
        agate_text_add(&g->text, "%%%d kernel=[2, 2]", x);
    }
    end_value(g);
}

static inline void add_softmax(random_graph *g)
{
    int x = random_value(g);
    const int64_t *d = g->dims[x];
    begin_value(g, d[0], d[1], d[2], "softmax");
    agate_text_add(&g->text, "%%%d axis=%d", x, 1 + (int)random_below(g, 3));
    end_value(g);
}

/* The text, which the caller frees. */
static inline char *random_graph_text(uint64_t seed)
{
    static void (*const adds[])(random_graph *) = {
        add_unary,         add_unary,  add_binary, add_binary,    add_binary,    add_with_constant,
        add_with_constant, add_conv,   add_conv,   add_transpose, add_transpose, add_pad,
        add_slice,         add_concat, add_window, add_softmax,
    };
    random_graph g = {.state = seed * 977 + 13, .count = 1, .dims = {{2, 4, 4}}};
    int64_t values = 8 + random_below(&g, RANDOM_VALUES - 8);
    agate_text whole = {0};

    for (int tries = 0; g.count < values && tries < 1000; tries++)
        adds[random_below(&g, AGATE_COUNT(adds))](&g);
    int results[4] = {g.count - 1, random_value(&g), random_value(&g), (int)random_below(&g, g.count)};
    agate_text_add(&whole, "graph @random(%%0: f32[N,2,4,4]) -> (");
    for (int i = 0; i < 4; i++) {
        const int64_t *d = g.dims[results[i]];
        agate_text_add(&whole, "%sf32[N,%lld,%lld,%lld]", i ? ", " : "", (long long)d[0], (long long)d[1],
                       (long long)d[2]);
    }
    agate_text_add(&whole, ") {\n%s  return %%%d, %%%d, %%%d, %%%d\n}\n", agate_text_c(&g.text), results[0],
                   results[1], results[2], results[3]);
    agate_text_deinit(&g.text);
    return whole.data;
}

#endif
