/* sink-transpose: transposes move towards the results, through what works on each element, until they meet
 * and cancel.
 *
 *     %0 = transpose %x perm=[0, 2, 3, 1]         %0 = add %x, %c'      c' = transpose of reshape of c
 *     %1 = add %0, %c                     ==>     %1 = relu %0
 *     %2 = relu %1                                %3 = %1
 *     %3 = transpose %2 perm=[0, 3, 1, 2]
 *
 * What exporters leave of channels-last models: a transpose around every convolution, with BatchNorm, ReLU,
 * pads, sums and concats in between. A matmul of the channels with constant weights is a 1x1 convolution in
 * front of the transpose. Constants are transposed the other way, pads, axes and slices are
 * renumbered, reductions drop what they reduce. A transpose of a graph input stays where it is, unless its
 * opposite is near: the scaling that often follows folds better behind it. Each step brings a transpose
 * closer to the results; no pass takes it back. Needs types; breaks nothing.
 */
#include "passes/rewrite.h"

#define LOOK_AHEAD 16 /* ops between a transposed graph input and the opposite transpose */
#define USE_LIMIT  64 /* uses of a transpose that are looked at */

/* How `node`'s attributes follow when its operands are no longer transposed by `perm`: writes the new
 * attributes, and the transpose that the result then needs. False: this node cannot be passed. */
typedef bool (*pass_fn)(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                        agate_ints *out_perm);

static bool pass_plain(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                       agate_ints *out_perm)
{
    (void)out_attrs;
    *out_perm = *perm;
    return node->results[0].type.rank == perm->count; /* a constant of more dimensions would shift them */
}

static bool pass_axis(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                      agate_ints *out_perm)
{
    out_attrs->axis.axis = perm->v[node->attrs.axis.axis];
    *out_perm = *perm;
    return true;
}

static bool pass_pad(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                     agate_ints *out_perm)
{
    for (int32_t i = 0; i < perm->count; i++) {
        out_attrs->pad.begins.v[perm->v[i]] = node->attrs.pad.begins.v[i];
        out_attrs->pad.ends.v[perm->v[i]] = node->attrs.pad.ends.v[i];
    }
    *out_perm = *perm;
    return true;
}

static bool pass_slice(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                       agate_ints *out_perm)
{
    for (int32_t i = 0; i < perm->count; i++) {
        out_attrs->slice.starts.v[perm->v[i]] = node->attrs.slice.starts.v[i];
        out_attrs->slice.steps.v[perm->v[i]] = node->attrs.slice.steps.v[i];
        out_attrs->slice.shape.v[perm->v[i]] = node->attrs.slice.shape.v[i];
    }
    *out_perm = *perm;
    return true;
}

/* Without the reduced dimensions, those that stay are renumbered in their order. */
static bool pass_reduce(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                        agate_ints *out_perm)
{
    bool reduced[AGATE_MAX_RANK] = {false}; /* of the operand before its transpose */
    int64_t number[AGATE_MAX_RANK];
    const agate_ints *axes = &node->attrs.reduce.axes;

    for (int32_t i = 0; i < axes->count; i++)
        reduced[perm->v[axes->v[i]]] = true;
    out_attrs->reduce.axes.count = 0;
    *out_perm = *perm;
    for (int32_t i = 0, kept = 0; i < perm->count; i++) {
        number[i] = kept;
        kept += !reduced[i];
        if (reduced[i])
            out_attrs->reduce.axes.v[out_attrs->reduce.axes.count++] = i;
    }
    if (node->attrs.reduce.keep)
        return true;
    *out_perm = (agate_ints){0};
    for (int32_t i = 0; i < perm->count; i++)
        if (!reduced[perm->v[i]])
            out_perm->v[out_perm->count++] = number[perm->v[i]];
    return true;
}

/* Of channels that a transpose brought behind the image, by constant weights: a 1x1 convolution without
 * it. */
static bool is_projection(const agate_node *node)
{
    static const int64_t channels_last[] = {0, 2, 3, 1};
    const agate_node *transpose = agate_made_by(node->operands[0], AGATE_OP_transpose);
    const agate_value *weights = node->operands[1];

    return transpose && transpose->attrs.perm.perm.count == 4 &&
           memcmp(transpose->attrs.perm.perm.v, channels_last, sizeof channels_last) == 0 &&
           agate_is_constant(weights) && weights->type.rank == 2 && agate_is_float(weights->type.dtype);
}

static bool pass_projection(const agate_node *node, const agate_ints *perm, agate_attrs *out_attrs,
                            agate_ints *out_perm)
{
    (void)node;
    agate_attrs_init(AGATE_SET_conv, out_attrs);
    *out_perm = *perm;
    return true;
}

static pass_fn find_pass(const agate_node *node)
{
    static const pass_fn by_op[AGATE_OP_COUNT] = {
        [AGATE_OP_cast] = pass_plain,         [AGATE_OP_pad] = pass_pad,
        [AGATE_OP_slice] = pass_slice,        [AGATE_OP_concat] = pass_axis,
        [AGATE_OP_softmax] = pass_axis,       [AGATE_OP_log_softmax] = pass_axis,
        [AGATE_OP_reduce_sum] = pass_reduce,  [AGATE_OP_reduce_mean] = pass_reduce,
        [AGATE_OP_reduce_max] = pass_reduce,  [AGATE_OP_reduce_min] = pass_reduce,
        [AGATE_OP_reduce_prod] = pass_reduce,
    };
    if (node->op == AGATE_OP_matmul)
        return is_projection(node) ? pass_projection : NULL;
    return agate_node_family(node) == AGATE_FAMILY_pointwise ? pass_plain : by_op[node->op];
}

/* Is operand `index` a constant that follows the transposed ones? */
static bool follows(const agate_node *node, int32_t index)
{
    bool may =
        agate_node_family(node) == AGATE_FAMILY_pointwise || (node->op == AGATE_OP_matmul && index == 1);
    return may && agate_is_constant(node->operands[index]);
}

static bool perm_equal(const agate_ints *a, const agate_ints *b)
{
    return a->count == b->count && memcmp(a->v, b->v, sizeof a->v[0] * (size_t)a->count) == 0;
}

/* a after b is the identity. */
static bool perm_opposite(const agate_ints *a, const agate_ints *b)
{
    for (int32_t i = 0; i < a->count; i++)
        if (b->v[a->v[i]] != i)
            return false;
    return a->count == b->count;
}

static bool leads_to_opposite(const agate_node *transpose)
{
    const agate_node *node = transpose;

    for (int i = 0; i < LOOK_AHEAD; i++) {
        const agate_value *value = &node->results[0];
        if (value->use_count != 1)
            return false;
        node = value->uses[0].node;
        if (node->op == AGATE_OP_transpose)
            return perm_opposite(&node->attrs.perm.perm, &transpose->attrs.perm.perm);
        if (!find_pass(node) || (agate_node_family(node) == AGATE_FAMILY_reduce))
            return false;
    }
    return false;
}

/* The transpose that every operand shares, constants apart, rather one that is not of a graph input; NULL:
 * none. */
static const agate_node *shared_transpose(const agate_node *node)
{
    const agate_node *shared = NULL;

    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        if (follows(node, i))
            continue;
        const agate_node *transpose = agate_made_by(operand, AGATE_OP_transpose);
        if (!transpose || (shared && !perm_equal(&transpose->attrs.perm.perm, &shared->attrs.perm.perm)))
            return NULL;
        if (!shared || !shared->operands[0]->node)
            shared = transpose;
    }
    return shared;
}

/* Could every other use of the transposes be passed as well? Else they stay, and one more would be added
 * below. */
static bool sinks_everywhere(const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        if (agate_is_constant(operand))
            continue;
        if (operand->use_count > USE_LIMIT)
            return false;
        for (int32_t j = 0; j < operand->use_count; j++) {
            const agate_node *user = operand->uses[j].node;
            if (user->op != AGATE_OP_transpose && !find_pass(user))
                return false;
        }
    }
    return true;
}

/* Constant `value`, broadcast to the rank of the result and transposed the other way. */
static agate_value *untranspose(agate_node *node, agate_value *value, const agate_ints *perm)
{
    int32_t rank = perm->count, lead = rank - value->type.rank;
    agate_attrs attrs;

    if (lead > 0) {
        agate_attrs_init(AGATE_SET_shape, &attrs);
        attrs.shape.shape.count = rank;
        for (int32_t i = 0; i < rank; i++)
            attrs.shape.shape.v[i] = i < lead ? agate_dim_fixed(1) : value->type.dims[i - lead];
        value = agate_rebuild(node, AGATE_OP_reshape, &attrs, &value, 1);
    }
    agate_attrs_init(AGATE_SET_perm, &attrs);
    attrs.perm.perm.count = rank;
    for (int32_t i = 0; i < rank; i++)
        attrs.perm.perm.v[perm->v[i]] = i;
    return agate_rebuild(node, AGATE_OP_transpose, &attrs, &value, 1);
}

/* [C,M] as the weights of a convolution, [M,C,1,1]. */
static agate_value *as_filters(agate_node *node, agate_value *weights)
{
    agate_dim channels = weights->type.dims[0], filters = weights->type.dims[1];
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_perm, &attrs);
    attrs.perm.perm = (agate_ints){.count = 2, .v = {1, 0}};
    weights = agate_rebuild(node, AGATE_OP_transpose, &attrs, &weights, 1);
    agate_attrs_init(AGATE_SET_shape, &attrs);
    attrs.shape.shape.count = 4;
    attrs.shape.shape.v[0] = filters;
    attrs.shape.shape.v[1] = channels;
    attrs.shape.shape.v[2] = attrs.shape.shape.v[3] = agate_dim_fixed(1);
    return agate_rebuild(node, AGATE_OP_reshape, &attrs, &weights, 1);
}

static void sink(agate_pass *pass, agate_node *node, const agate_node *transpose, const agate_attrs *attrs,
                 const agate_ints *result_perm)
{
    const agate_ints *perm = &transpose->attrs.perm.perm;
    agate_value **operands = AGATE_NEW_N(pass->scratch, agate_value *, node->operand_count);

    for (int32_t i = 0; i < node->operand_count; i++) {
        agate_value *operand = node->operands[i];
        if (!follows(node, i))
            operands[i] = operand->node->operands[0];
        else if (node->op == AGATE_OP_matmul)
            operands[i] = as_filters(node, operand);
        else
            operands[i] = operand->type.rank == 0 ? operand : untranspose(node, operand, perm);
    }
    agate_op op = node->op == AGATE_OP_matmul ? AGATE_OP_conv : node->op;
    agate_value *moved = agate_rebuild(node, op, attrs, operands, node->operand_count);
    agate_attrs after;
    agate_attrs_init(AGATE_SET_perm, &after);
    after.perm.perm = *result_perm;
    moved = agate_build(node->graph, node, AGATE_OP_transpose, &after, &moved, 1);
    moved->node->origin = transpose->origin;
    agate_replace(node, moved);
}

bool agate_pass_sink_transpose(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        pass_fn pass_by = find_pass(node);
        const agate_node *transpose = pass_by ? shared_transpose(node) : NULL;
        agate_attrs attrs = node->attrs;
        agate_ints perm;

        if (!transpose || !sinks_everywhere(node))
            continue;
        if (!transpose->operands[0]->node && !leads_to_opposite(transpose)) {
            agate_pass_remark(pass, node, "the transpose of a graph input stays in front of it");
            continue;
        }
        if (pass_by(node, &transpose->attrs.perm.perm, &attrs, &perm) &&
            agate_pass_spend(pass, node, "sink transpose")) {
            sink(pass, node, transpose, &attrs, &perm);
            changed = true;
        }
    }
    return changed;
}
