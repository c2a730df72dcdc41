/* values.c: random tensors, and whether two graphs compute the same from them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ir/interpret.h"
#include "ir/number.h"
#include "ir/reorder.h"
#include "tests/filetest/filetest.h"

/* Larger inputs take the reference kernels too long; they are compared elsewhere. */
#define MOST_BYTES ((size_t)1 << 20)

enum { MOST_TENSORS = 64 };

/* ---- random numbers ------------------------------------------------------------------------------------ */

/* splitmix64 (Steele, Lea and Flood 2014): any state will do, so a hash seeds it. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Floats from -1 to 1 in steps that half precision holds; whole numbers from 0 to 3; true or false. */
static void fill_random(agate_dtype dtype, void *bytes, int64_t count, const char *name, int64_t seed)
{
    uint64_t state = agate_hash_bytes(AGATE_HASH_SEED ^ (uint64_t)seed, name, strlen(name));
    bool is_float = dtype == AGATE_F32 || dtype == AGATE_F64 || dtype == AGATE_F16 || dtype == AGATE_BF16;
    size_t size = agate_dtype_size(dtype);

    for (int64_t i = 0; i < count; i++) {
        uint64_t bits = next_random(&state) >> 32;
        agate_text text = {0};
        if (is_float)
            agate_double_print((double)(bits % 255) / 127 - 1, &text);
        else
            agate_text_add(&text, "%d", (int)(bits % (dtype == AGATE_BOOL ? 2 : 4)));
        agate_element_parse(agate_text_c(&text), dtype, (char *)bytes + (size_t)i * size);
        agate_text_deinit(&text);
    }
}

/* Which part of the numbers the weights are that pass narrow split: 2 of "w:2", which are to be found under
 * "w". */
static int32_t split_label(const char *label, char *out_name, size_t room)
{
    const char *colon = strrchr(label, ':');
    bool is_part = colon && colon[1] >= '1' && colon[1] <= '9' && !colon[2];

    snprintf(out_name, room, "%.*s", (int)(is_part ? colon - label : (ptrdiff_t)strlen(label)), label);
    return is_part ? colon[1] - '0' : 0;
}

static bool fill_weight(agate_node *node, int64_t seed)
{
    agate_type plain = node->results[0].type;
    bool is_part = plain.dtype == AGATE_BF16 || plain.dtype == AGATE_F16;
    agate_dim size, count;
    char name[256];
    int32_t part = split_label(node->label, name, sizeof name);

    plain.layout = (agate_layout){.kind = AGATE_LAYOUT_plain};
    if (is_part)
        plain.dtype = AGATE_F32;
    if (!agate_type_size(&plain, &size) || !agate_type_count(&plain, &count) ||
        (size_t)size.offset > 16 * MOST_BYTES)
        return false;
    agate_data *data = agate_data_create((size_t)size.offset);
    if (!data)
        return false;
    fill_random(plain.dtype, (void *)data->bytes, count.offset, is_part ? name : node->label, seed);
    node->data = agate_data_plane(data, &plain, &node->results[0].type, part);
    agate_data_release(data);
    return node->data != NULL;
}

bool fill_weights(agate_graph *graph, int64_t seed)
{
    AGATE_EACH_NODE (node, graph) {
        if (node->op == AGATE_OP_weight && !node->data && !fill_weight(node, seed))
            return false;
        if (node->body && !fill_weights(node->body, seed))
            return false;
    }
    return true;
}

/* A tensor for parameter `index`; false where it is too large. */
static bool fill_input(const agate_value *param, int64_t batch, int64_t seed, agate_tensor *out_tensor)
{
    agate_tensor tensor = {.dtype = param->type.dtype, .rank = param->type.rank};
    int64_t count = 1;
    char name[16];

    for (int32_t i = 0; i < tensor.rank; i++) {
        tensor.dims[i] = agate_dim_at(param->type.dims[i], batch);
        count *= tensor.dims[i];
        if (count > (int64_t)MOST_BYTES)
            return false;
    }
    if (!agate_tensor_size(tensor.dtype, tensor.rank, tensor.dims, &tensor.size_bytes) ||
        tensor.size_bytes > MOST_BYTES)
        return false;
    tensor.data = malloc(tensor.size_bytes + 1);
    if (!tensor.data)
        return false;
    snprintf(name, sizeof name, "%d", param->index);
    fill_random(tensor.dtype, tensor.data, count, name, seed);
    *out_tensor = tensor;
    return true;
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

static double element_at(const agate_tensor *tensor, size_t index)
{
    agate_data data = {.size_bytes = tensor->size_bytes, .bytes = tensor->data};
    return agate_data_at(&data, tensor->dtype, (int64_t)index);
}

static bool near(double a, double b, double scale, double tolerance)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * fmax(scale, fabs(b));
}

/* What an error is held against besides the element itself: 1, or, where operands are rounded (precision=),
 * the largest element, since their errors do not cancel as sums do. */
static double scale_of(const test_run *run, const agate_tensor *tensor, size_t count)
{
    double most = 1;

    bool rounds = run->command->precision || run->command->node_precisions;

    for (size_t i = 0; rounds && i < count; i++)
        most = fmax(most, fabs(element_at(tensor, i)));
    return most;
}

static void compare_tensors(const test_run *run, int32_t index, const agate_tensor *before,
                            const agate_tensor *after)
{
    size_t count = before->size_bytes / agate_dtype_size(before->dtype);

    if (before->dtype != after->dtype || before->size_bytes != after->size_bytes) {
        agate_text_add(run->fault, "result %d has another type than before\n", index);
        return;
    }
    double scale = scale_of(run, before, count);
    for (size_t i = 0; i < count; i++) {
        double was = element_at(before, i), is = element_at(after, i);
        if (!near(is, was, scale, run->command->tolerance)) {
            agate_text_add(run->fault, "result %d, element %zu: %.9g before, %.9g now\n", index, i, was, is);
            return;
        }
    }
}

typedef struct tensor_list {
    agate_tensor at[MOST_TENSORS];
    size_t count;
} tensor_list;

static bool fill_inputs(const test_run *run, const agate_graph *graph, tensor_list *inputs)
{
    for (int32_t i = 0; i < graph->param_count; i++, inputs->count++)
        if (i == MOST_TENSORS ||
            !fill_input(graph->params[i], run->command->batch, run->command->seed, &inputs->at[i]))
            return false;
    return graph->last->operand_count <= MOST_TENSORS;
}

agate_status compute_interpreted(const test_run *run, const agate_graph *graph, const agate_tensor *inputs,
                                 size_t input_count, agate_tensor *outputs, size_t output_count)
{
    return agate_interpret(graph, inputs, input_count, outputs, output_count, run->command->batch);
}

static void compare_outputs(const test_run *run, const agate_graph *before, const agate_graph *after,
                            compute_fn compute, const tensor_list *inputs)
{
    agate_tensor was[MOST_TENSORS] = {0}, is[MOST_TENSORS] = {0};
    size_t count = (size_t)before->last->operand_count;
    agate_status status = compute_interpreted(run, before, inputs->at, inputs->count, was, count);

    if (status != AGATE_OK) {
        agate_status_release(status); /* an index out of range, say: there is nothing to compare with */
        return;
    }
    status = compute(run, after, inputs->at, inputs->count, is, count);
    if (status != AGATE_OK) {
        add_fault(run->fault, "the result cannot be computed", status);
    } else {
        for (size_t i = 0; i < count; i++)
            compare_tensors(run, (int32_t)i, &was[i], &is[i]);
        agate_interpret_free(is, count);
    }
    agate_interpret_free(was, count);
}

void compare_graphs(const test_run *run, const agate_graph *before, const agate_graph *after,
                    compute_fn compute)
{
    tensor_list inputs = {0};

    if (before->param_count != after->param_count ||
        before->last->operand_count != after->last->operand_count)
        agate_text_add(run->fault, "the graph has other parameters or results than before\n");
    else if (fill_inputs(run, before, &inputs))
        compare_outputs(run, before, after, compute, &inputs);
    for (size_t i = 0; i < inputs.count; i++)
        free(inputs.at[i].data);
}
