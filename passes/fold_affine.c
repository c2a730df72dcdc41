/* fold-affine: mul and add per channel, and batch_norm, move into the convolution before or behind them.
 *
 *     %0 = conv %x, %w                         %v = weight "w*bn"         w[o,...] * scale[o]
 *     %1 = mul %0, %scale           ==>        %b = weight "w*bn.bias"    shift[o]
 *     %2 = add %1, %shift                      %2 = conv %x, %v, %b
 *
 *     %0 = mul %x, %scale                      %v: w[o,i,...] * scale[i]
 *     %1 = add %0, %shift           ==>        %b: the sum of w[o,i,...] * shift[i]
 *     %2 = conv %1, %w                         %2 = conv %x, %v, %b
 *
 * Whole chains at once, in double, rounded once. Only where the convolution alone uses, or feeds, the chain.
 * In front of a convolution that pads, a shift may not move: the padding would have to be shifted too. Behind
 * a matmul with constant columns the same holds by column; its shift stays an add. Each fold removes an op,
 * so the pass ends. Needs types; breaks nothing.
 */
#include <math.h>

#include "passes/affine.h"
#include "passes/scaled.h"

/* A convolution or matmul, its constant weights as rows, and what becomes of them. */
typedef struct fold {
    agate_pass *pass;
    agate_node *node;
    const agate_value *weights;
    agate_data *data; /* the weights' */
    int64_t rows, row_count;
    double *bias;     /* one number per row (conv) or column (matmul); starts as the old bias */
    agate_data *made; /* new weights, made when they are packed; NULL: they stay */
} fold;

/* False where weights or bias are not known floats. */
static bool fold_init(fold *f, agate_pass *pass, agate_node *node, int64_t bias_count)
{
    const agate_value *weights = node->operands[1];
    const agate_data *data = agate_value_data(weights);
    agate_dim count;

    *f = (fold){
        .pass = pass, .node = node, .weights = weights, .data = weights->node ? weights->node->data : NULL};
    if (!data || !agate_is_float(weights->type.dtype) || weights->type.rank < 2 ||
        !agate_type_count(&weights->type, &count) || count.offset == 0) {
        if (agate_is_constant(weights) && !data)
            agate_pass_remark(pass, node, "not folded: the contents of its weights are unknown");
        return false;
    }
    f->rows = weights->type.dims[0].offset;
    f->row_count = count.offset / f->rows;
    f->bias = AGATE_NEW_N(pass->scratch, double, bias_count);
    if (node->operand_count < 3)
        return true;
    data = agate_value_data(node->operands[2]);
    const void *bias = data ? agate_data_bytes(data) : NULL;
    if (bias)
        agate_floats_read(bias, node->operands[2]->type.dtype, 0, bias_count, f->bias);
    return bias != NULL;
}

/* Number row/rows_per_group * inputs + i/window of the chain's scales meets element i of a row. */
static bool scale_weights(fold *f, const agate_affine *chain, int64_t rows_per_group, int64_t inputs,
                          int64_t window)
{
    agate_scaling scaling = {chain->scale, chain->count, f->row_count, rows_per_group, inputs, window};
    agate_dtype dtype = f->weights->type.dtype;
    bool finite = agate_data_scales_finite(f->data, dtype, &scaling);

    f->made = finite ? agate_data_scale(f->data, dtype, &scaling) : NULL;
    if (!f->made)
        agate_pass_remark(f->pass, f->node, "not folded: %s",
                          finite ? "memory is short" : "the new weights would not be finite");
    return f->made != NULL;
}

static agate_value *build_bias(fold *f, const agate_affine *chain, int64_t count)
{
    agate_dim dim = agate_dim_fixed(count);
    agate_type type = agate_type_make(f->weights->type.dtype, 1, &dim);
    const char *label = agate_affine_label(chain, f->pass->scratch, f->weights->node->label);
    return agate_build_floats(f->node, &type, f->bias,
                              label ? agate_arena_format(f->pass->scratch, "%s.bias", label) : NULL);
}

/* Replaces operand `index`, or adds it, and drops a constant that nobody uses any more. */
static void put_operand(agate_node *node, int32_t index, agate_value *value)
{
    agate_node *old = index < node->operand_count ? node->operands[index]->node : NULL;

    if (index == node->operand_count)
        agate_node_add_operand(node, value);
    else
        agate_node_set_operand(node, index, value);
    if (old)
        agate_sweep(old);
}

/* Are the new numbers fit to use, and may they be? Builds the new bias constant (`bias_count` 0: none is
 * needed). */
static bool commit(fold *f, const agate_affine *chain, int64_t bias_count, const char *rewrite,
                   agate_value **out_bias)
{
    bool good = true;
    for (int64_t i = 0; i < bias_count; i++)
        good &= isfinite(f->bias[i]) != 0;
    if (!good)
        agate_pass_remark(f->pass, f->node, "not folded: the new bias would not be finite");
    good = good && agate_pass_spend(f->pass, f->node, rewrite);

    *out_bias = good && bias_count > 0 ? build_bias(f, chain, bias_count) : NULL;
    if (!good || (bias_count > 0 && !*out_bias)) {
        agate_data_release(f->made);
        return false;
    }
    if (f->made) {
        const char *label = agate_affine_label(chain, f->pass->scratch, f->weights->node->label);
        put_operand(f->node, 1,
                    agate_build_constant(f->node->graph, f->node, &f->weights->type, f->made, label));
    }
    if (*out_bias)
        agate_node_move_before((*out_bias)->node, f->node); /* behind the weights, where one looks for it */
    return true;
}

static bool any_nonzero(const double *numbers, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (numbers[i] != 0)
            return true;
    return false;
}

/* The origins of everything from the chain's end back to `start`. */
static void take_origins(agate_node *node, const agate_value *end, const agate_value *start)
{
    while (end != start && end->node && end->node != node) {
        agate_take_origin(node, end->node);
        end = end->node->operands[agate_is_constant(end->node->operands[0]) ? 1 : 0];
    }
}

/* ---- behind a convolution -------------------------------------------------------------------------------
 */

static bool fold_into_conv(fold *f, agate_affine *chain)
{
    agate_value *result = agate_result(f->node), *bias;

    if (chain->scales && !scale_weights(f, chain, 1, 1, f->row_count))
        return false;
    for (int64_t o = 0; o < f->rows; o++)
        f->bias[o] = f->bias[o] * chain->scale[o] + chain->shift[o];

    bool biased = f->node->operand_count > 2 || any_nonzero(f->bias, f->rows);
    if (!commit(f, chain, biased ? f->rows : 0, "fold into conv", &bias))
        return false;
    if (bias)
        put_operand(f->node, 2, bias);
    take_origins(f->node, chain->end, result);
    agate_replace(chain->end->node, result);
    return true;
}

/* ---- behind a matmul ------------------------------------------------------------------------------------
 */

static bool fold_into_matmul(fold *f, agate_affine *chain)
{
    agate_value *result = agate_result(f->node), *bias;
    bool shifted = any_nonzero(chain->shift, chain->count);

    if (chain->scales && !scale_weights(f, chain, agate_max(f->rows, 1), f->row_count, 1))
        return false;
    memcpy(f->bias, chain->shift, sizeof *f->bias * (size_t)chain->count);
    if (!commit(f, chain, shifted ? chain->count : 0, "fold into matmul", &bias))
        return false;
    take_origins(f->node, chain->end, result);
    agate_node *last = chain->end->node;
    agate_replace(last, bias ? agate_rebuild(last, AGATE_OP_add, NULL, (agate_value *[]){result, bias}, 2)
                             : result);
    return true;
}

static bool fold_behind(agate_pass *pass, agate_node *node)
{
    bool conv = node->op == AGATE_OP_conv, folded = false;
    const agate_type *type = &agate_result(node)->type;
    agate_affine chain;
    fold f;

    if (!conv && node->operands[1]->type.rank != 2)
        return false;
    if (agate_affine_init(&chain, pass, agate_result(node), conv ? 1 : type->rank - 1)) {
        agate_affine_grow_behind(&chain, pass);
        /* One add behind a matmul is how it should be. */
        bool useful = conv ? chain.links > 0 : chain.scales || chain.links > 1;
        if (useful && fold_init(&f, pass, node, chain.count))
            folded = conv ? fold_into_conv(&f, &chain) : fold_into_matmul(&f, &chain);
    }
    agate_affine_deinit(&chain);
    return folded;
}

/* ---- in front of a convolution --------------------------------------------------------------------------
 */

static bool is_padded(const agate_node *conv)
{
    const agate_ints *pads = &conv->attrs.conv.pads;
    for (int32_t i = 0; i < pads->count; i++)
        if (pads->v[i] != 0)
            return true;
    return false;
}

/* Adds what the shifts come to behind the convolution to its bias. */
static bool add_shifts(fold *f, const agate_affine *chain, int64_t rows_per_group, int64_t inputs,
                       int64_t window)
{
    double *row = AGATE_NEW_N(f->pass->scratch, double, f->row_count);
    size_t row_bytes = (size_t)f->row_count * agate_dtype_size(f->weights->type.dtype);
    void *bytes = agate_arena_alloc(f->pass->scratch, row_bytes);

    if (!any_nonzero(chain->shift, chain->count))
        return true;
    for (int64_t o = 0; o < f->rows; o++) {
        const double *shift = &chain->shift[o / rows_per_group * inputs];
        if (!agate_data_read(f->data, (size_t)o * row_bytes, row_bytes, bytes)) {
            agate_pass_remark(f->pass, f->node, "not folded: memory is short");
            return false;
        }
        agate_floats_read(bytes, f->weights->type.dtype, 0, f->row_count, row);
        for (int64_t i = 0; i < f->row_count; i++)
            f->bias[o] += row[i] * shift[i / window];
    }
    return true;
}

/* Weights are [O, I/group, ...]: output channel o of group g reads input channels from g * I/group on. */
static bool fold_from_front(fold *f, agate_affine *chain)
{
    int64_t inputs = f->weights->type.dims[1].offset, window = f->row_count / agate_max(inputs, 1);
    int64_t rows_per_group = f->rows / f->node->attrs.conv.group;
    agate_value *bias;

    if (!add_shifts(f, chain, rows_per_group, inputs, window) ||
        !scale_weights(f, chain, rows_per_group, inputs, window))
        return false;
    bool biased = f->node->operand_count > 2 || any_nonzero(f->bias, f->rows);
    if (!commit(f, chain, biased ? f->rows : 0, "fold into conv", &bias))
        return false;
    if (bias)
        put_operand(f->node, 2, bias);
    take_origins(f->node, f->node->operands[0], chain->end);
    put_operand(f->node, 0, chain->end);
    return true;
}

static bool fold_front(agate_pass *pass, agate_node *conv)
{
    const agate_type *type = &agate_result(conv)->type;
    bool folded = false;
    agate_affine chain;
    fold f;

    if (agate_affine_init(&chain, pass, conv->operands[0], 1)) {
        agate_affine_grow_front(&chain, pass, !is_padded(conv));
        if (chain.links > 0 && fold_init(&f, pass, conv, type->dims[1].offset))
            folded = fold_from_front(&f, &chain);
    }
    agate_affine_deinit(&chain);
    return folded;
}

bool agate_pass_fold_affine(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;
    int32_t count = 0;

    /* A list first: folding removes nodes before and behind the anchor, but never an anchor. */
    AGATE_EACH_NODE (node, graph)
        count += node->op == AGATE_OP_conv || node->op == AGATE_OP_matmul;
    agate_node **anchors = AGATE_NEW_N(pass->scratch, agate_node *, count);
    count = 0;
    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_conv || node->op == AGATE_OP_matmul)
            anchors[count++] = node;

    for (int32_t i = 0; i < count; i++) {
        size_t mark = agate_arena_mark(pass->scratch);
        if (anchors[i]->op == AGATE_OP_conv)
            changed |= fold_front(pass, anchors[i]);
        changed |= fold_behind(pass, anchors[i]);
        agate_arena_rewind(pass->scratch, mark);
    }
    return changed;
}
