/* lower-norm: batch_norm with constant statistics is mul and add per channel.
 *
 *     %0 = batch_norm %x, %scale, %bias, %mean, %variance
 * ==>
 *     %a = weight "bn1.scale" : f32[64,1,1]      scale / sqrt(variance + epsilon)
 *     %b = weight "bn1.shift" : f32[64,1,1]      bias - mean * a
 *     %1 = mul %x, %a
 *     %0 = add %1, %b
 *
 * What a convolution could take, fold-affine has taken. Numbers are computed in double and rounded once.
 * Needs types; breaks nothing.
 */
#include "passes/affine.h"

/* [C,1,...,1]: what broadcasts along dimension 1 of `type`. */
static agate_type channel_type(const agate_type *type)
{
    agate_dim dims[AGATE_MAX_RANK];

    dims[0] = type->dims[1];
    for (int32_t i = 1; i < type->rank - 1; i++)
        dims[i] = agate_dim_fixed(1);
    return agate_type_make(type->dtype, type->rank - 1, dims);
}

static agate_value *channel_constant(agate_pass *pass, agate_node *node, const double *numbers,
                                     const char *suffix)
{
    agate_type type = channel_type(&agate_result(node)->type);
    const char *stem = agate_label_stem(pass->scratch, node->operands[1]->node->label);
    const char *label = stem ? agate_arena_format(pass->scratch, "%s.%s", stem, suffix) : NULL;
    return agate_build_floats(node, &type, numbers, label);
}

static bool lower(agate_pass *pass, agate_node *node)
{
    const agate_type *type = &agate_result(node)->type;
    if (type->rank < 2 || !agate_dim_is_fixed(type->dims[1]) || !agate_is_float(type->dtype))
        return false;

    int64_t channels = type->dims[1].offset;
    double *scale = AGATE_NEW_N(pass->scratch, double, channels),
           *bias = AGATE_NEW_N(pass->scratch, double, channels);
    if (!agate_affine_of_norm(pass, node, channels, scale, bias)) {
        agate_pass_remark(pass, node, "kept: its statistics are not known constants");
        return false;
    }
    if (!agate_pass_spend(pass, node, "lower"))
        return false;

    agate_value *factor = channel_constant(pass, node, scale, "scale");
    agate_value *shift = factor ? channel_constant(pass, node, bias, "shift") : NULL;
    if (!shift) {
        agate_pass_remark(pass, node, "kept: memory is short");
        return false; /* a factor without use is dead code */
    }
    agate_value *product =
        agate_rebuild(node, AGATE_OP_mul, NULL, (agate_value *[]){node->operands[0], factor}, 2);
    agate_replace(node, agate_rebuild(node, AGATE_OP_add, NULL, (agate_value *[]){product, shift}, 2));
    return true;
}

bool agate_pass_lower_norm(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_batch_norm)
            changed |= lower(pass, node);
    return changed;
}
