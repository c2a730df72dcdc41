/* interpret.c: one graph, node by node, by the reference kernels. */
#include "ir/interpret.h"

#include <stdlib.h>

#include "ir/map.h"
#include "ir/reorder.h"

/* What a value is while its graph runs. */
typedef struct slot {
    agate_tensor tensor; /* data NULL: not computed yet, or dead */
    bool owned;
    int32_t uses_left;
} slot;

typedef struct frame {
    agate_arena *arena;
    agate_map slots; /* agate_value * -> slot * */
    int64_t batch;
    agate_observe_fn observe; /* NULL: nobody does */
    void *user;
} frame;

static slot *slot_of(frame *f, const agate_value *value)
{
    slot *s = agate_map_get(&f->slots, value, 0);

    if (!s) {
        s = AGATE_NEW(f->arena, slot);
        agate_map_put(&f->slots, value, 0, s);
    }
    return s;
}

static void slot_clear(slot *s)
{
    if (s->owned)
        free(s->tensor.data);
    s->tensor.data = NULL;
    s->owned = false;
}

static agate_status frame_init(frame *f)
{
    f->arena = agate_arena_create();
    f->slots.arena = f->arena;
    return f->arena ? AGATE_OK
                    : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space to interpret a graph in");
}

static void frame_deinit(frame *f)
{
    for (size_t i = 0; i < f->slots.room; i++)
        if (f->slots.entries[i].key)
            slot_clear(f->slots.entries[i].value);
    agate_arena_release(f->arena);
}

/* A plain tensor of `type` at `batch`; its data is not set. */
static agate_status tensor_shape(const agate_type *type, int64_t batch, agate_tensor *out_tensor)
{
    *out_tensor = (agate_tensor){.dtype = type->dtype, .rank = type->rank};
    for (int32_t d = 0; d < type->rank; d++)
        out_tensor->dims[d] = agate_dim_at(type->dims[d], batch);
    if (!agate_tensor_size(type->dtype, type->rank, out_tensor->dims, &out_tensor->size_bytes))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "a tensor has no valid size for a batch of %lld",
                                (long long)batch);
    return AGATE_OK;
}

/* The same with memory of its own, never NULL. */
static agate_status tensor_create(const agate_type *type, int64_t batch, agate_tensor *out_tensor)
{
    AGATE_TRY(tensor_shape(type, batch, out_tensor));
    if (out_tensor->size_bytes > SIZE_MAX - AGATE_ALIGNMENT ||
        posix_memalign(&out_tensor->data, AGATE_ALIGNMENT, out_tensor->size_bytes + 1) != 0) {
        out_tensor->data = NULL;
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a tensor of %zu bytes",
                                out_tensor->size_bytes);
    }
    return AGATE_OK;
}

static agate_status bind_own(frame *f, const agate_value *value, slot **out_slot)
{
    slot *s = slot_of(f, value);

    AGATE_TRY(tensor_create(&value->type, f->batch, &s->tensor));
    s->owned = true;
    s->uses_left = value->use_count;
    *out_slot = s;
    return AGATE_OK;
}

static void bind_borrowed(frame *f, const agate_value *value, const agate_tensor *tensor)
{
    slot *s = slot_of(f, value);

    s->tensor = *tensor;
    s->uses_left = value->use_count;
}

static agate_status run_constant(frame *f, const agate_node *node)
{
    const agate_value *value = &node->results[0];
    agate_type plain = value->type;
    agate_tensor tensor;
    slot *s;

    if (!node->data)
        return agate_error_make(AGATE_CODE_NOT_FOUND, "weight \"%s\" has no contents",
                                node->label ? node->label : "");
    const void *bytes = agate_data_bytes(node->data);
    if (!bytes)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a weight");
    if (value->type.layout.kind == AGATE_LAYOUT_plain) {
        AGATE_TRY(tensor_shape(&value->type, f->batch, &tensor));
        tensor.data = (void *)bytes;
        bind_borrowed(f, value, &tensor);
        return AGATE_OK;
    }
    plain.layout = (agate_layout){.kind = AGATE_LAYOUT_plain};
    AGATE_TRY(bind_own(f, value, &s));
    if (!agate_reorder_bytes(&value->type, bytes, &plain, s->tensor.data))
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to unpack a weight");
    return AGATE_OK;
}

static agate_status run_graph(const agate_graph *graph, const agate_tensor *const *params, frame *f,
                              agate_tensor *const *results);

static agate_status run_op(frame *f, const agate_node *node, const agate_tensor *const *inputs,
                           agate_tensor *const *outputs)
{
    agate_ref_call call = {
        .attrs = &node->attrs,
        .input_count = node->operand_count,
        .output_count = node->result_count,
        .inputs = inputs,
        .outputs = outputs,
        .variant = (int)node->op < (int)AGATE_SCALAR_COUNT ? (int32_t)agate_op_scalar(node->op) : 0,
    };

    if (node->op == AGATE_OP_kernel)
        return run_graph(node->body, inputs, &(frame){.batch = f->batch}, outputs);
    /* Between plain tensors a reorder is a copy. */
    if (node->op == AGATE_OP_reorder)
        return agate_op_table[AGATE_OP_reshape].reference(&call);
    if (!agate_node_info(node)->reference)
        return agate_error_make(AGATE_CODE_INTERNAL, "the op has no reference kernel");
    return agate_node_info(node)->reference(&call);
}

static agate_status run_node(frame *f, const agate_node *node)
{
    const agate_tensor **inputs = AGATE_NEW_N(f->arena, const agate_tensor *, node->operand_count);
    agate_tensor **outputs = AGATE_NEW_N(f->arena, agate_tensor *, node->result_count);

    if (agate_node_has(node, AGATE_CONSTANT))
        return run_constant(f, node);
    for (int32_t i = 0; i < node->operand_count; i++) {
        inputs[i] = &slot_of(f, node->operands[i])->tensor;
        if (!inputs[i]->data)
            return agate_error_make(AGATE_CODE_INTERNAL, "operand %d is used before it is computed", i);
    }
    for (int32_t i = 0; i < node->result_count; i++) {
        slot *s;

        AGATE_TRY(bind_own(f, &node->results[i], &s));
        outputs[i] = &s->tensor;
    }
    AGATE_TRY(run_op(f, node, inputs, outputs));
    if (f->observe)
        AGATE_TRY(f->observe(f->user, node, outputs));
    for (int32_t i = 0; i < node->operand_count; i++) {
        slot *s = slot_of(f, node->operands[i]);

        if (--s->uses_left == 0)
            slot_clear(s);
    }
    return AGATE_OK;
}

static agate_status run_nodes(frame *f, const agate_graph *graph, agate_tensor *const *results)
{
    AGATE_EACH_NODE (node, graph) {
        if (node != graph->last)
            AGATE_TRY(agate_error_at(run_node(f, node), node->origin, agate_node_info(node)->name));
    }
    for (int32_t i = 0; i < graph->last->operand_count; i++) {
        const agate_tensor *from = &slot_of(f, graph->last->operands[i])->tensor;

        if (!from->data || from->size_bytes != results[i]->size_bytes)
            return agate_error_make(AGATE_CODE_INTERNAL, "result %d of @%s was not computed", i,
                                    graph->name ? graph->name : "");
        memcpy(results[i]->data, from->data, from->size_bytes);
    }
    return AGATE_OK;
}

/* Runs `graph` into `results`, whose memory and shape are there, in a frame that has the batch and who
 * observes. */
static agate_status run_graph(const agate_graph *graph, const agate_tensor *const *params, frame *f,
                              agate_tensor *const *results)
{
    agate_status status = frame_init(f);

    if (status == AGATE_OK) {
        for (int32_t i = 0; i < graph->param_count; i++)
            bind_borrowed(f, graph->params[i], params[i]);
        status = run_nodes(f, graph, results);
    }
    frame_deinit(f);
    return status;
}

/* Learns the batch from one dimension, or holds it against what is known; *batch is -1 while unknown. */
static bool dim_fits(agate_dim dim, int64_t extent, int64_t *batch)
{
    int64_t rest;

    if (extent < 0 || __builtin_sub_overflow(extent, dim.offset, &rest))
        return false;
    if (dim.scale == 0 || *batch >= 0)
        return agate_dim_at(dim, agate_max(*batch, 0)) == extent;
    *batch = rest / dim.scale;
    return rest >= 0 && rest % dim.scale == 0;
}

static bool input_fits(const agate_type *type, const agate_tensor *input, int64_t *batch)
{
    size_t size_bytes;

    if (input->dtype != type->dtype || input->rank != type->rank)
        return false;
    for (int32_t d = 0; d < input->rank; d++)
        if (!dim_fits(type->dims[d], input->dims[d], batch))
            return false;
    return agate_tensor_size(input->dtype, input->rank, input->dims, &size_bytes) &&
           input->size_bytes >= size_bytes;
}

static agate_status misfit(const agate_value *param, const agate_tensor *input, int64_t batch)
{
    agate_text text = {0};
    agate_status status;

    agate_text_add(&text, "input \"%s\" is %s[", param->name ? param->name : "",
                   agate_dtype_name(input->dtype));
    for (int32_t d = 0; d < input->rank && d < AGATE_MAX_RANK; d++)
        agate_text_add(&text, "%s%lld", d ? "," : "", (long long)input->dims[d]);
    agate_text_add(&text, "], the model takes ");
    agate_type_print(&param->type, &text);
    if (batch >= 0)
        agate_text_add(&text, " with N = %lld", (long long)batch);
    status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s", agate_text_c(&text));
    agate_text_deinit(&text);
    return status;
}

/* Holds the inputs against the graph's parameters; *batch is -1 where it is to be found. */
static agate_status check_inputs(const agate_graph *graph, const agate_tensor *inputs, size_t input_count,
                                 int64_t *batch)
{
    if (input_count != (size_t)graph->param_count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%zu inputs given, the model has %d",
                                input_count, graph->param_count);
    for (size_t i = 0; i < input_count; i++)
        if (!input_fits(&graph->params[i]->type, &inputs[i], batch))
            return misfit(graph->params[i], &inputs[i], *batch);
    return AGATE_OK;
}

agate_status agate_graph_batch(const agate_graph *graph, const agate_tensor *inputs, size_t input_count,
                               int64_t *out_batch)
{
    int64_t batch = -1;

    AGATE_TRY(check_inputs(graph, inputs, input_count, &batch));
    *out_batch = batch < 0 ? 1 : batch;
    return AGATE_OK;
}

agate_status agate_interpret(const agate_graph *graph, const agate_tensor *inputs, size_t input_count,
                             agate_tensor *outputs, size_t output_count, int64_t batch)
{
    return agate_interpret_observed(graph, inputs, input_count, outputs, output_count, batch, NULL, NULL);
}

agate_status agate_interpret_observed(const agate_graph *graph, const agate_tensor *inputs,
                                      size_t input_count, agate_tensor *outputs, size_t output_count,
                                      int64_t batch, agate_observe_fn observe, void *user)
{
    const agate_tensor **params = calloc(input_count + 1, sizeof *params);
    agate_tensor **results = calloc(output_count + 1, sizeof *results);
    agate_status status = check_inputs(graph, inputs, input_count, &batch);

    assert(output_count == (size_t)graph->last->operand_count && batch >= 0);
    memset(outputs, 0, output_count * sizeof *outputs);
    if (status == AGATE_OK && (!params || !results))
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to interpret a graph");
    for (size_t i = 0; i < input_count && status == AGATE_OK; i++)
        params[i] = &inputs[i];
    for (size_t i = 0; i < output_count && status == AGATE_OK; i++) {
        status = tensor_create(&graph->last->operands[i]->type, batch, &outputs[i]);
        results[i] = &outputs[i];
    }
    if (status == AGATE_OK)
        status =
            run_graph(graph, params, &(frame){.batch = batch, .observe = observe, .user = user}, results);
    if (status != AGATE_OK)
        agate_interpret_free(outputs, output_count);
    free(params);
    free(results);
    return status;
}

void agate_interpret_free(agate_tensor *outputs, size_t output_count)
{
    for (size_t i = 0; i < output_count; i++) {
        free(outputs[i].data);
        outputs[i].data = NULL;
    }
}
