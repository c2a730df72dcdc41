/* compare.c: copies every kernel's results as the compiled model runs, then interprets the planned graph and
 * holds each result against its copy. In the isolated way each copy then takes the place of the reference's
 * result, so that every reference kernel reads what the compiled one has read. */
#include "tools/compare.h"

#include <math.h>
#include <stdlib.h>

#include "ir/interpret.h"
#include "ir/map.h"
#include "ir/narrow.h"
#include "ir/reorder.h"
#include "runtime/ref/element.h"
#include "runtime/session.h"
#include "tools/tensor.h"

/* ---- one tensor against another ----------------------------------------------------------------------- */

/* The distance from |value| to the next float of this dtype. */
static double last_place(agate_dtype dtype, double value)
{
    static const struct {
        agate_dtype dtype;
        int digits, least; /* bits of the significand; exponent of the smallest normal number */
    } formats[] = {
        {AGATE_F32, 24, -126}, {AGATE_F64, 53, -1022}, {AGATE_F16, 11, -14}, {AGATE_BF16, 8, -126}};

    for (size_t i = 0; i < AGATE_COUNT(formats); i++) {
        int exponent = 0;

        if (formats[i].dtype != dtype)
            continue;
        frexp(value, &exponent);
        return ldexp(1, (int)agate_max(exponent - 1, formats[i].least) - formats[i].digits + 1);
    }
    return 1;
}

static double largest_magnitude(const agate_tensor *tensor, int64_t count)
{
    double largest = 0;

    for (int64_t i = 0; i < count; i++) {
        double value = fabs(agate_element_load(tensor->dtype, tensor->data, i));

        if (isfinite(value) && value > largest)
            largest = value;
    }
    return largest;
}

/* |got - want|: 0 for two NaNs and for equal infinities, infinite where one alone is no finite number. */
static double distance(double got, double want)
{
    if (got == want || (isnan(got) && isnan(want)))
        return 0;
    return isfinite(got) && isfinite(want) ? fabs(got - want) : INFINITY;
}

agate_difference agate_tensor_difference(const agate_tensor *got, const agate_tensor *want,
                                         const agate_compare_options *options)
{
    agate_difference d = {.element_count = 1};
    bool is_float = agate_is_float(want->dtype);
    agate_dtype grid = options->grid && want->dtype == AGATE_F32 ? options->grid : want->dtype;
    bool is_half = grid == AGATE_F16 || grid == AGATE_BF16;

    for (int32_t i = 0; i < want->rank; i++)
        d.element_count *= want->dims[i];
    const double largest = largest_magnitude(want, d.element_count);
    const double atol = !is_float ? 0 : options->atol >= 0 ? options->atol : -options->atol * largest;

    for (int64_t i = 0; i < d.element_count; i++) {
        double value = agate_element_load(want->dtype, want->data, i);
        double is = agate_element_load(got->dtype, got->data, i);
        double off = distance(is, value);

        if (off == 0)
            continue;
        d.max_abs = fmax(d.max_abs, off);
        if (fabs(value) >= largest / 1000 && value != 0) {
            d.max_relative = fmax(d.max_relative, off / fabs(value));
            d.max_ulp = fmax(d.max_ulp, off / last_place(grid, value));
        }
        bool near = off <= atol + (is_float ? options->rtol * fabs(value) : 0);
        double size = options->regrid ? largest : fmax(fabs(is), fabs(value));
        bool neighbours = is_half && off <= last_place(grid, size);
        d.wrong_count += !near && !neighbours;
    }
    return d;
}

/* ---- the compiled run --------------------------------------------------------------------------------- */

typedef struct comparison {
    agate_runner *runner;
    const agate_compare_options *options;
    agate_difference_fn hear;
    void *user;
    const agate_node **kernels; /* by step */
    agate_arena *arena;
    agate_map results; /* agate_value * -> agate_tensor *, plain */
    agate_status status;
    int64_t batch;
} comparison;

/* `type` at the batch; false where it has no size. */
static bool fix_type(const agate_type *type, int64_t batch, agate_type *out_type, agate_tensor *out_tensor)
{
    *out_type = *type;
    *out_tensor = (agate_tensor){.dtype = type->dtype, .rank = type->rank};
    for (int32_t d = 0; d < type->rank; d++) {
        out_tensor->dims[d] = agate_dim_at(type->dims[d], batch);
        out_type->dims[d] = agate_dim_fixed(out_tensor->dims[d]);
    }
    return agate_tensor_size(type->dtype, type->rank, out_tensor->dims, &out_tensor->size_bytes);
}

static agate_status copy_result(comparison *c, const agate_value *value, const void *bytes)
{
    agate_tensor *copy = AGATE_NEW(c->arena, agate_tensor);
    agate_type type, plain;

    if (!fix_type(&value->type, c->batch, &type, copy))
        return agate_error_make(AGATE_CODE_INTERNAL, "a result has no size");
    AGATE_TRY(agate_tensor_allocate(copy));
    agate_map_put(&c->results, value, 0, copy);
    plain = type;
    plain.layout = (agate_layout){.kind = AGATE_LAYOUT_plain};
    if (type.layout.kind == AGATE_LAYOUT_plain) {
        if (copy->size_bytes)
            memcpy(copy->data, bytes, copy->size_bytes);
    } else if (!agate_reorder_bytes(&type, bytes, &plain, copy->data)) {
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to unpack a result");
    }
    return AGATE_OK;
}

/* An agate_profile_fn. What a step has written stands until the next one begins. */
static void step_done(void *user, const agate_step_profile *step)
{
    comparison *c = user;
    const agate_session *session = c->runner->session;
    const agate_module_step *row = &session->module->steps[step->index];
    const agate_node *kernel = c->kernels[step->index];

    for (int32_t i = 0; i < kernel->result_count && c->status == AGATE_OK; i++)
        c->status = copy_result(c, &kernel->results[i],
                                session->whole.buffers[row->first_arg + row->operand_count + (uint32_t)i]);
}

static agate_status run_compiled(comparison *c, const agate_tensor *inputs)
{
    agate_runner *runner = c->runner;
    agate_tensor *outputs = AGATE_NEW_N(c->arena, agate_tensor, runner->output_count + 1);
    agate_status status;

    runner->session->keeps_batch = true; /* a step's results are copied whole */
    agate_session_set_profile(runner->session, step_done, c);
    status = agate_runner_run(runner, inputs, outputs);
    agate_session_set_profile(runner->session, NULL, NULL);
    if (status != AGATE_OK) {
        agate_status_release(c->status);
        return status;
    }
    agate_tensor_free(outputs, runner->output_count);
    return c->status;
}

/* ---- the run by reference ----------------------------------------------------------------------------- */

/* Result `first` of the kernel with what its further planes (ir/narrow.h) add, as f32, from each result's
 * tensor. */
static agate_status sum_planes(const agate_node *kernel, int32_t first, agate_tensor *const *results,
                               agate_tensor *out_sum)
{
    *out_sum = *results[first];
    out_sum->dtype = AGATE_F32;
    if (!agate_tensor_size(AGATE_F32, out_sum->rank, out_sum->dims, &out_sum->size_bytes))
        return agate_error_make(AGATE_CODE_INTERNAL, "a result has no size");
    AGATE_TRY(agate_tensor_allocate(out_sum));
    const int64_t count = (int64_t)(out_sum->size_bytes / sizeof(float));
    for (int64_t k = 0; k < count; k++) {
        double sum = 0;
        for (int32_t i = 0; i < kernel->result_count; i++)
            if (agate_first_plane(kernel, i) == first)
                sum += agate_element_load(results[i]->dtype, results[i]->data, k);
        ((float *)out_sum->data)[k] = (float)sum;
    }
    return AGATE_OK;
}

/* Of planes, only their sum is to agree: where the first rounds otherwise, the next makes up for it. */
static agate_status hold_sums(comparison *c, const agate_node *kernel, int32_t first,
                              agate_tensor *const *got, agate_tensor *const *want)
{
    agate_tensor found = {0}, wanted = {0};
    agate_status status = sum_planes(kernel, first, got, &found);

    if (status == AGATE_OK)
        status = sum_planes(kernel, first, want, &wanted);
    if (status == AGATE_OK) {
        agate_difference difference = agate_tensor_difference(&found, &wanted, c->options);
        c->hear(c->user, kernel, first, &difference);
    }
    agate_tensor_free(&wanted, 1);
    agate_tensor_free(&found, 1);
    return status;
}

static int32_t count_planes(const agate_node *kernel, int32_t first)
{
    int32_t count = 0;

    for (int32_t i = 0; i < kernel->result_count; i++)
        count += agate_first_plane(kernel, i) == first;
    return count;
}

/* Does the kernel round to 16 bits, and more than once? */
static void note_rounding(const agate_node *kernel, agate_compare_options *options)
{
    AGATE_EACH_NODE (node, kernel->body) {
        if (node->op != AGATE_OP_round_f16 && node->op != AGATE_OP_round_bf16)
            continue;
        options->regrid = options->grid != 0;
        options->grid = node->op == AGATE_OP_round_f16 ? AGATE_F16 : AGATE_BF16;
    }
}

/* An agate_observe_fn. Views lie where their operand does, so only kernels are held against something. */
static agate_status observe(void *user, const agate_node *node, agate_tensor *const *results)
{
    comparison *c = user;

    if (node->op != AGATE_OP_kernel)
        return AGATE_OK;
    agate_tensor *got[node->result_count];
    for (int32_t i = 0; i < node->result_count; i++) {
        got[i] = agate_map_get(&c->results, &node->results[i], 0);
        if (!got[i] || got[i]->size_bytes != results[i]->size_bytes)
            return agate_error_make(AGATE_CODE_INTERNAL, "the compiled model lacks a result");
    }
    for (int32_t i = 0; i < node->result_count; i++) {
        int32_t planes = count_planes(node, i);
        if (planes > 1) {
            AGATE_TRY(hold_sums(c, node, i, got, results));
        } else if (planes == 1) {
            agate_compare_options options = *c->options;
            note_rounding(node, &options);
            agate_difference difference = agate_tensor_difference(got[i], results[i], &options);
            c->hear(c->user, node, i, &difference);
        }
    }
    for (int32_t i = 0; i < node->result_count && !c->options->accumulated; i++)
        if (got[i]->size_bytes)
            memcpy(results[i]->data, got[i]->data, got[i]->size_bytes);
    return AGATE_OK;
}

static agate_status run_reference(comparison *c, const agate_tensor *inputs)
{
    agate_runner *runner = c->runner;
    agate_tensor *outputs = AGATE_NEW_N(c->arena, agate_tensor, runner->output_count + 1);

    AGATE_TRY(agate_interpret_observed(runner->planned, inputs, runner->input_count, outputs,
                                       runner->output_count, c->batch, observe, c));
    agate_interpret_free(outputs, runner->output_count);
    return AGATE_OK;
}

/* ---- both --------------------------------------------------------------------------------------------- */

/* The module's steps are the graph's kernels, in order. */
static void list_kernels(comparison *c)
{
    uint32_t count = c->runner->session->module->step_count, next = 0;

    c->kernels = AGATE_NEW_N(c->arena, const agate_node *, count + 1);
    AGATE_EACH_NODE (node, c->runner->planned)
        if (node->op == AGATE_OP_kernel && next < count)
            c->kernels[next++] = node;
    assert(next == count);
}

agate_status agate_compare(agate_runner *runner, const agate_tensor *inputs,
                           const agate_compare_options *options, agate_difference_fn hear, void *user)
{
    comparison c = {.runner = runner, .options = options, .hear = hear, .user = user};
    agate_status status;

    AGATE_TRY(agate_runner_batch(runner, inputs, &c.batch));
    c.arena = c.results.arena = agate_arena_create();
    if (!c.arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space to compare in");
    list_kernels(&c);
    status = run_compiled(&c, inputs);
    if (status == AGATE_OK)
        status = run_reference(&c, inputs);
    for (size_t i = 0; i < c.results.room; i++)
        if (c.results.entries[i].key)
            agate_tensor_free(c.results.entries[i].value, 1);
    agate_arena_release(c.arena);
    return status;
}
