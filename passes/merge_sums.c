/* merge-sums: the sum of two 1x1 convolutions is one over the channels of both inputs.
 *
 *     %0 = conv %a, %v, %p : f32[N,256,56,56]       %0 = concat %a, %b axis=1 : f32[N,128,56,56]
 *     %1 = conv %b, %w, %q : f32[N,256,56,56]  ==>  %x = weight "v+w"              a row of v, then one of w, ...
 *     %2 = add %0, %1                               %r = weight "p+q"              p + q
 *                                                   %2 = conv %0, %x, %r : f32[N,256,56,56]
 *
 * The last convolution of a residual block and its shortcut's: one of the two results need be neither written
 * nor read back. That pays where the concat costs nothing, as its operands are written where it has them
 * (join-channels). So each must come from a kernel that writes it in blocked layout, whole blocks of it on
 * every machine, and lie among no other channels. One that a depthwise convolution makes stays apart: its 1x1
 * may read it from a band (fuse-bands).
 *
 * Three ops become two, so the pass ends. Needs types; breaks nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "ir/narrow.h"
#include "ir/parts.h"
#include "passes/rewrite.h"

#define MAKER_DEPTH 8 /* ops looked through for the convolution that a value comes from */

/* An add and the convolutions of which it is the sum. */
typedef struct sum {
    agate_pass *pass;
    agate_node *add;
    agate_node *convs[2];
} sum;

/* ---- what may be one ----------------------------------------------------------------------------------- */

/* Will `value` be computed in blocked layout? Convolutions are, and what follows them op by op. */
static bool is_blocked(const agate_value *value, int depth)
{
    const agate_node *node = value->node;

    if (!node || depth == 0)
        return false;
    if (node->op == AGATE_OP_conv)
        return agate_is_constant(node->operands[1]);
    if (node->op == AGATE_OP_max_pool || node->op == AGATE_OP_avg_pool)
        return is_blocked(node->operands[0], depth - 1);
    if (agate_node_family(node) != AGATE_FAMILY_pointwise)
        return false;
    for (int32_t i = 0; i < node->operand_count; i++)
        if (agate_type_equal(&node->operands[i]->type, &value->type) &&
            is_blocked(node->operands[i], depth - 1))
            return true;
    return false;
}

/* Does a depthwise convolution make `value`, with or without scalar ops behind it? */
static bool is_depthwise_result(const agate_value *value)
{
    for (int depth = 0; depth < MAKER_DEPTH && value->node; depth++) {
        if (value->node->op == AGATE_OP_conv)
            return agate_is_depthwise(value->node);
        if (agate_node_family(value->node) != AGATE_FAMILY_pointwise)
            return false;
        value = value->node->operands[0];
    }
    return false;
}

/* Why `value` would have to be copied to lie beside another; NULL: it need not. */
static const char *refuse_input(const agate_value *value)
{
    const agate_type *type = &value->type;

    if (type->rank != 4 || type->dtype != AGATE_F32 || !is_blocked(value, MAKER_DEPTH))
        return "what it reads is not made in blocked layout";
    if (!agate_dim_is_fixed(type->dims[1]) || type->dims[1].offset % AGATE_AMX_BLOCK != 0)
        return "channels of what it reads do not fill blocks";
    if (is_depthwise_result(value))
        return "a depthwise convolution makes what it reads";
    for (int32_t i = 0; i < value->use_count; i++) {
        const agate_node *user = value->uses[i].node;
        if (agate_node_has(user, AGATE_TERMINATOR) || agate_node_family(user) == AGATE_FAMILY_view)
            return "what it reads may be returned";
        if (user->op == AGATE_OP_concat)
            return "what it reads lies among other channels";
    }
    return NULL;
}

static const char *refuse_constants(const agate_node *conv)
{
    for (int32_t i = 1; i < conv->operand_count; i++)
        if (!agate_value_data(conv->operands[i]))
            return "the contents of its weights are not known";
    return NULL;
}

static const char *refuse_conv(const agate_node *conv)
{
    const agate_attrs_conv *attrs = &conv->attrs.conv;
    const agate_type *weights = &conv->operands[1]->type;
    const char *reason;

    if (conv->results[0].use_count > 1)
        return "its result is needed elsewhere as well";
    for (int32_t i = 2; i < weights->rank; i++)
        if (!agate_dim_is(weights->dims[i], 1))
            return "its filters are larger than 1x1";
    if (attrs->group != 1 || !agate_ints_are(&attrs->strides, 1) || !agate_ints_are(&attrs->pads, 0))
        return "it has strides, pads or groups";
    reason = refuse_constants(conv);
    return reason ? reason : refuse_input(conv->operands[0]);
}

static agate_precision precision_of(const sum *s, const agate_node *conv)
{
    return agate_precision_of(s->pass->node_precisions, s->pass->precision, conv);
}

static bool refuses(const sum *s)
{
    const agate_node *a = s->convs[0], *b = s->convs[1];
    const char *reason = NULL;

    for (int32_t i = 0; i < 2; i++) {
        reason = refuse_conv(s->convs[i]);
        if (!reason)
            continue;
        agate_pass_remark(s->pass, s->convs[i], "its sum stays: %s", reason);
        return true;
    }
    if (!agate_type_equal(&a->results[0].type, &b->results[0].type))
        reason = "the shapes differ";
    else if (a->operands[0] == b->operands[0])
        reason = "both read the same";
    else if (precision_of(s, a) != precision_of(s, b))
        reason = "different precisions are asked for";
    if (reason)
        agate_pass_remark(s->pass, s->add, "it stays: %s", reason);
    return reason != NULL;
}

/* ---- constants ----------------------------------------------------------------------------------------- */

/* Rows of two matrices side by side. */
typedef struct beside {
    agate_data *parts[2];
    size_t row_bytes[2];
} beside;

/* An agate_make_fn. */
static bool make_beside(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const beside *b = data->owner;
    size_t whole = b->row_bytes[0] + b->row_bytes[1], end = first_bytes + size_bytes, run;

    for (size_t at = first_bytes; at < end; at += run) {
        size_t row = at / whole, in_row = at % whole;
        int32_t part = in_row >= b->row_bytes[0];
        size_t in_part = in_row - (part ? b->row_bytes[0] : 0);
        run = (size_t)agate_min((int64_t)(end - at), (int64_t)(b->row_bytes[part] - in_part));
        char *target = (char *)out + (at - first_bytes);
        if (!agate_data_read(b->parts[part], row * b->row_bytes[part] + in_part, run, target))
            return false;
    }
    return true;
}

static void release_beside(agate_data *data)
{
    beside *b = data->owner;

    agate_data_release(b->parts[0]);
    agate_data_release(b->parts[1]);
    free(b);
    free(data);
}

/* The weights of both, made when they are packed; NULL where memory is short. */
static agate_data *weights_beside(const sum *s)
{
    beside *b = calloc(1, sizeof *b);
    size_t size_bytes = 0;

    for (int32_t i = 0; i < 2; i++)
        size_bytes += s->convs[i]->operands[1]->node->data->size_bytes;
    agate_data *data = b ? agate_data_create_deferred(size_bytes, make_beside, NULL, b) : NULL;
    if (!data) {
        free(b);
        return NULL;
    }
    data->release = release_beside;
    for (int32_t i = 0; i < 2; i++) {
        const agate_value *weights = s->convs[i]->operands[1];
        b->parts[i] = agate_data_retain(weights->node->data);
        b->row_bytes[i] = weights->node->data->size_bytes / (size_t)weights->type.dims[0].offset;
    }
    return data;
}

static const char *label_of(const sum *s, int32_t operand)
{
    const char *label = NULL;

    for (int32_t i = 0; i < 2; i++) {
        const agate_node *conv = s->convs[i];
        const char *own = operand < conv->operand_count ? conv->operands[operand]->node->label : NULL;
        if (own)
            label = label ? agate_arena_format(conv->graph->arena, "%s+%s", label, own) : own;
    }
    return label;
}

/* The sum of the biases that there are, or NULL: there is none. False where it would not be finite, or memory
 * is short. */
static bool sum_biases(const sum *s, double **out_bias)
{
    const agate_type *type = &s->convs[0]->results[0].type;
    int64_t count = type->dims[1].offset;
    double *own = AGATE_NEW_N(s->pass->scratch, double, count);

    *out_bias = NULL;
    for (int32_t i = 0; i < 2; i++) {
        const agate_node *conv = s->convs[i];
        const void *bytes = conv->operand_count > 2 ? agate_data_bytes(conv->operands[2]->node->data) : NULL;
        if (conv->operand_count > 2 && !bytes)
            return false;
        if (!bytes)
            continue;
        if (!*out_bias)
            *out_bias = AGATE_NEW_N(s->pass->scratch, double, count);
        agate_floats_read(bytes, type->dtype, 0, count, own);
        for (int64_t o = 0; o < count; o++)
            (*out_bias)[o] += own[o];
    }
    for (int64_t o = 0; *out_bias && o < count; o++)
        if (!isfinite((float)(*out_bias)[o]))
            return false;
    return true;
}

/* ---- building ------------------------------------------------------------------------------------------ */

static agate_value *build_weights(const sum *s, agate_data *data)
{
    agate_type type = s->convs[0]->operands[1]->type;

    type.dims[1] = agate_dim_fixed(type.dims[1].offset + s->convs[1]->operands[1]->type.dims[1].offset);
    return agate_build_constant(s->add->graph, s->add, &type, data, label_of(s, 1));
}

static void build(const sum *s, agate_data *weights, agate_value *bias)
{
    agate_attrs attrs;
    agate_value *inputs[2] = {s->convs[0]->operands[0], s->convs[1]->operands[0]};

    agate_attrs_init(AGATE_SET_axis, &attrs);
    attrs.axis.axis = 1;
    agate_value *operands[3] = {agate_rebuild(s->add, AGATE_OP_concat, &attrs, inputs, 2),
                                build_weights(s, weights), bias};
    agate_value *conv = agate_rebuild(s->add, AGATE_OP_conv, &s->convs[0]->attrs, operands, bias ? 3 : 2);
    conv->node->origin = NULL;
    for (int32_t i = 0; i < 2; i++)
        agate_take_origin(conv->node, s->convs[i]);
    agate_take_origin(conv->node, s->add);
    agate_replace(s->add, conv);
}

static bool merge(const sum *s)
{
    agate_data *weights = weights_beside(s);
    double *numbers = NULL;
    agate_value *bias = NULL;
    bool good = weights && sum_biases(s, &numbers);

    if (!good)
        agate_pass_remark(s->pass, s->add, "it stays: memory is short, or a bias would not be finite");
    good = good && agate_pass_spend(s->pass, s->add, "merge convolutions");
    if (good && numbers) {
        agate_type type = agate_type_make(AGATE_F32, 1, &s->convs[0]->results[0].type.dims[1]);
        bias = agate_build_floats(s->add, &type, numbers, label_of(s, 2));
        good = bias != NULL;
    }
    if (!good) {
        agate_data_release(weights);
        return false;
    }
    build(s, weights, bias);
    return true;
}

bool agate_pass_merge_sums(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        if (node->op != AGATE_OP_add || !agate_value_is(node->operands[0], AGATE_OP_conv) ||
            !agate_value_is(node->operands[1], AGATE_OP_conv) || node->operands[0] == node->operands[1])
            continue;
        sum s = {pass, node, {node->operands[0]->node, node->operands[1]->node}};
        if (!refuses(&s))
            changed |= merge(&s);
    }
    return changed;
}
