/* kernel_case.h: one scheduled kernel, given as text, compiled for a machine and held against the reference
 * kernels.
 *
 * The text is a graph of one kernel whose operands are all parameters. Buffers are filled with seeded numbers
 * in [-1, 1]; pads of blocked inputs hold NaN, so that one that is read shows; results stand between guards.
 */
#ifndef KERNEL_CASE_H
#define KERNEL_CASE_H

#include <math.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "ir/interpret.h"
#include "ir/reorder.h"
#include "ir/text.h"
#include "tests/unit/machines.h"

/* What to do where `condition` fails; the message is as for printf. */
#ifndef CASE_REQUIRE
#include <check.h>
#define CASE_REQUIRE ck_assert_msg
#endif

#define KERNEL_CASE_BUFFERS 8
#define KERNEL_CASE_GUARD   64 /* floats in front of and behind a result */

typedef struct kernel_case {
    agate_graph *graph;
    const agate_node *kernel;
    const agate_module *module;
    void *owner;
    int64_t batch, tasks;
    int32_t input_count, result_count;
    agate_type types[KERNEL_CASE_BUFFERS]; /* at this batch; operands, then results */
    float *plain[KERNEL_CASE_BUFFERS];     /* row-major */
    void *buffers[KERNEL_CASE_BUFFERS];    /* as laid out */
    void *workspace;
    agate_tensor expected[KERNEL_CASE_BUFFERS]; /* of each result */
    agate_tensor sums[KERNEL_CASE_BUFFERS];     /* the same of the inputs' absolute values */
} kernel_case;

static inline float case_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1.0f;
}

static inline int64_t case_range(uint32_t *seed, int64_t lo, int64_t hi)
{
    *seed = *seed * 1664525u + 1013904223u;
    return lo + (int64_t)(*seed >> 8) % (hi - lo + 1);
}

static inline agate_type case_fixed_type(const agate_type *type, int64_t batch)
{
    agate_type fixed = *type;
    for (int32_t i = 0; i < fixed.rank; i++)
        fixed.dims[i] = agate_dim_fixed(agate_dim_at(type->dims[i], batch));
    return fixed;
}

static inline agate_type case_plain_type(const agate_type *type)
{
    agate_type plain = *type;
    plain.layout = (agate_layout){.kind = AGATE_LAYOUT_plain};
    return plain;
}

static inline size_t case_size(const agate_type *type)
{
    agate_dim size;
    CASE_REQUIRE(agate_type_size(type, &size) && agate_dim_is_fixed(size), "no size");
    return (size_t)size.offset;
}

static inline agate_tensor case_tensor(const agate_type *type, float *data)
{
    agate_type plain = case_plain_type(type);
    agate_tensor tensor = {
        .dtype = AGATE_F32, .rank = type->rank, .data = data, .size_bytes = case_size(&plain)};
    for (int32_t i = 0; i < type->rank; i++)
        tensor.dims[i] = type->dims[i].offset;
    return tensor;
}

/* Memory of `type` filled with `pad` between guards of the same; the pointer is behind the first guard. */
static inline void *case_buffer(const agate_type *type, float pad)
{
    size_t count = case_size(type) / 4 + 2 * KERNEL_CASE_GUARD;
    float *data =
        aligned_alloc(AGATE_ALIGNMENT, (count * 4 + AGATE_ALIGNMENT - 1) / AGATE_ALIGNMENT * AGATE_ALIGNMENT);
    CASE_REQUIRE(data != NULL, "memory is short");
    for (size_t i = 0; i < count; i++)
        data[i] = pad;
    return data + KERNEL_CASE_GUARD;
}

static inline void case_release_buffer(void *buffer)
{
    if (buffer)
        free((float *)buffer - KERNEL_CASE_GUARD);
}

/* Weights are padded with zeros, activations with anything. */
static inline float case_pad(const agate_type *type)
{
    return type->layout.kind == AGATE_LAYOUT_channel ? NAN : 0.0f;
}

static inline void case_fill(kernel_case *c, int32_t index, uint32_t *seed)
{
    agate_type *type = &c->types[index], plain = case_plain_type(type);
    size_t count = case_size(&plain) / 4;
    c->plain[index] = malloc(count * 4 + 4);
    for (size_t i = 0; i < count; i++)
        c->plain[index][i] = case_random(seed);
    c->buffers[index] = case_buffer(type, case_pad(type));
    CASE_REQUIRE(agate_reorder_bytes(&plain, c->plain[index], type, c->buffers[index]), "memory is short");
}

static inline void case_interpret(kernel_case *c, bool absolute, agate_tensor *outputs)
{
    agate_tensor inputs[KERNEL_CASE_BUFFERS];
    for (int32_t i = 0; i < c->input_count; i++) {
        inputs[i] = case_tensor(&c->types[i], c->plain[i]);
        size_t count = inputs[i].size_bytes / 4;
        float *data = malloc(inputs[i].size_bytes + 4);
        for (size_t k = 0; k < count; k++)
            data[k] = absolute ? fabsf(c->plain[i][k]) : c->plain[i][k];
        inputs[i].data = data;
    }
    agate_status status =
        agate_interpret(c->graph, inputs, (size_t)c->input_count, outputs, (size_t)c->result_count, c->batch);
    CASE_REQUIRE(status == AGATE_OK, "%s", agate_status_message(status));
    for (int32_t i = 0; i < c->input_count; i++)
        free(inputs[i].data);
}

static inline agate_graph *case_parse(const char *text)
{
    agate_graph *graph = NULL;
    agate_status status = agate_parse(text, strlen(text), &graph);
    CASE_REQUIRE(status == AGATE_OK, "%s\n%s", agate_status_message(status), text);
    return graph;
}

/* Compiles and fills; does not run. Takes over the graph. */
static inline kernel_case case_open_graph(agate_graph *graph, const agate_machine *machine, int64_t batch,
                                          uint32_t seed)
{
    kernel_case c = {.batch = batch, .graph = graph, .kernel = graph->first};
    agate_codegen_options options = {.machine = machine, .threads = 1};
    agate_status status = agate_backend_compile(c.graph, &options, &c.module, &c.owner);
    CASE_REQUIRE(status == AGATE_OK, "%s", agate_status_message(status));
    c.tasks = agate_dim_at(c.module->steps[0].task_count, batch);
    c.workspace = agate_block_create((size_t)c.module->workspace_size_bytes);
    CASE_REQUIRE(c.workspace != NULL, "memory is short");
    c.input_count = c.graph->param_count;
    c.result_count = c.kernel->result_count;
    CASE_REQUIRE(c.input_count + c.result_count <= KERNEL_CASE_BUFFERS, "too many buffers");
    for (int32_t i = 0; i < c.input_count; i++) {
        c.types[i] = case_fixed_type(&c.graph->params[i]->type, batch);
        case_fill(&c, i, &seed);
    }
    for (int32_t i = 0; i < c.result_count; i++) {
        c.types[c.input_count + i] = case_fixed_type(&c.kernel->results[i].type, batch);
        c.buffers[c.input_count + i] = case_buffer(&c.types[c.input_count + i], 12345.0f);
    }
    return c;
}

static inline kernel_case case_open(const char *text, const agate_machine *machine, int64_t batch,
                                    uint32_t seed)
{
    return case_open_graph(case_parse(text), machine, batch, seed);
}

/* What it should give, and the sums of absolute values that error bounds are measured by. */
static inline void case_expect(kernel_case *c)
{
    case_interpret(c, false, c->expected);
    case_interpret(c, true, c->sums);
}

static inline void case_run(kernel_case *c, int64_t first, int64_t last)
{
    c->module->steps[0].kernel(c->buffers, c->batch, first, last, c->workspace);
}

/* Result `index` in row-major order, in new memory. */
static inline float *case_result(const kernel_case *c, int32_t index)
{
    const agate_type *type = &c->types[c->input_count + index];
    agate_type plain = case_plain_type(type);
    float *data = malloc(case_size(&plain) + 4);
    CASE_REQUIRE(agate_reorder_bytes(type, c->buffers[c->input_count + index], &plain, data),
                 "memory is short");
    return data;
}

/* Every element within `steps` roundings of its sum of absolute values; no guard touched. `text` is for the
 * message. */
static inline void case_check(const kernel_case *c, int64_t steps, const char *text)
{
    for (int32_t r = 0; r < c->result_count; r++) {
        float *got = case_result(c, r);
        const float *want = c->expected[r].data, *sum = c->sums[r].data;
        for (size_t i = 0; i < c->expected[r].size_bytes / 4; i++) {
            float bound = (float)(steps + 2) * 0x1p-24f * sum[i] + 1e-30f;
            CASE_REQUIRE(fabsf(got[i] - want[i]) <= bound,
                         "result %d, element %zu: %g, not %g (bound %g) in\n%s", r, i, (double)got[i],
                         (double)want[i], (double)bound, text);
        }
        free(got);
        const float *data = c->buffers[c->input_count + r];
        size_t count = case_size(&c->types[c->input_count + r]) / 4;
        for (size_t i = 0; i < KERNEL_CASE_GUARD; i++)
            CASE_REQUIRE(data[(ptrdiff_t)i - KERNEL_CASE_GUARD] == 12345.0f && data[count + i] == 12345.0f,
                         "written outside result %d in\n%s", r, text);
    }
}

static inline void case_close(kernel_case *c)
{
    if (c->expected[0].data) {
        agate_interpret_free(c->expected, (size_t)c->result_count);
        agate_interpret_free(c->sums, (size_t)c->result_count);
    }
    for (int32_t i = 0; i < c->input_count + c->result_count; i++) {
        case_release_buffer(c->buffers[i]);
        free(c->plain[i]);
    }
    agate_block_release(c->workspace, (size_t)c->module->workspace_size_bytes);
    agate_backend_release(c->owner);
    agate_graph_release(c->graph);
}

/* Runs all tasks at once, then one by one from the last: the same bits. Then checks against the reference. */
static inline void case_verify(const char *text, const agate_machine *machine, int64_t batch, uint32_t seed,
                               int64_t steps)
{
    kernel_case c = case_open(text, machine, batch, seed);
    case_expect(&c);
    case_run(&c, 0, c.tasks);
    case_check(&c, steps, text);
    for (int32_t r = 0; r < c.result_count; r++) {
        int32_t index = c.input_count + r;
        float *once = case_result(&c, r);
        case_release_buffer(c.buffers[index]);
        c.buffers[index] = case_buffer(&c.types[index], 12345.0f);
        for (int64_t task = c.tasks - 1; task >= 0; task--)
            case_run(&c, task, task + 1);
        float *split = case_result(&c, r);
        CASE_REQUIRE(memcmp(once, split, c.expected[r].size_bytes) == 0, "the cut into tasks shows in\n%s",
                     text);
        free(once);
        free(split);
    }
    case_close(&c);
}

#endif
