/* rules_scalar.c: rules for pointwise ops. What changes a rounding is left alone. */
#include <math.h>
#include <stdlib.h>

#include "passes/rules.h"

/* The operand itself, where the result has its type: a constant must not have broadcast it. */
static agate_value *left_if_same_type(agate_node *node)
{
    return agate_type_equal(&node->operands[0]->type, &agate_result(node)->type) ? node->operands[0] : NULL;
}

static bool right_is(const agate_node *node, double wanted)
{
    double number;
    return agate_constant_splat(node->operands[1], &number) && number == wanted;
}

agate_value *agate_rule_constant_right(agate_node *node)
{
    agate_value *left = node->operands[0], *right = node->operands[1];

    if (!agate_is_constant(left) || agate_is_constant(right))
        return NULL;
    agate_node_set_operand(node, 0, right);
    agate_node_set_operand(node, 1, left);
    return agate_result(node);
}

agate_value *agate_rule_add_zero(agate_node *node)
{
    return right_is(node, 0) ? left_if_same_type(node) : NULL;
}

agate_value *agate_rule_mul_one(agate_node *node)
{
    return right_is(node, 1) ? left_if_same_type(node) : NULL;
}

/* `op`(x, `by`(c)); fold-constants computes `by`. */
static agate_value *with_new_right(agate_node *node, agate_op op, agate_op by)
{
    agate_value *constant = agate_rebuild(node, by, NULL, &node->operands[1], 1);
    agate_value *operands[] = {node->operands[0], constant};
    return agate_rebuild(node, op, NULL, operands, 2);
}

agate_value *agate_rule_sub_constant(agate_node *node)
{
    const agate_value *right = node->operands[1];
    bool folds =
        agate_value_data(right) && agate_is_float(right->type.dtype) && !agate_is_constant(node->operands[0]);
    return folds ? with_new_right(node, AGATE_OP_add, AGATE_OP_neg) : NULL;
}

/* Powers of two in the middle of the range of every float type, so that the reciprocal is one too. */
static bool all_powers_of_two(const agate_value *value)
{
    const agate_data *data = agate_value_data(value);
    agate_dim count;

    if (!data || !agate_type_count(&value->type, &count))
        return false;
    for (int64_t i = 0; i < count.offset; i++) {
        int exponent;
        double fraction = frexp(agate_data_at(data, value->type.dtype, i), &exponent);
        if (fabs(fraction) != 0.5 || abs(exponent) > 12)
            return false;
    }
    return true;
}

agate_value *agate_rule_div_constant(agate_node *node)
{
    const agate_value *right = node->operands[1];
    bool folds = agate_is_float(right->type.dtype) && !agate_is_constant(node->operands[0]) &&
                 all_powers_of_two(right);
    return folds ? with_new_right(node, AGATE_OP_mul, AGATE_OP_reciprocal) : NULL;
}

agate_value *agate_rule_max_zero(agate_node *node)
{
    if (!right_is(node, 0) || !left_if_same_type(node))
        return NULL;
    return agate_rebuild(node, AGATE_OP_relu, NULL, node->operands, 1);
}

agate_value *agate_rule_relu_of_positive(agate_node *node)
{
    const agate_node *inner = node->operands[0]->node;
    double floor = 0;

    if (!inner || (inner->op != AGATE_OP_relu && inner->op != AGATE_OP_max))
        return NULL;
    if (inner->op == AGATE_OP_max && !agate_constant_splat(inner->operands[1], &floor))
        return NULL;
    return floor >= 0 ? node->operands[0] : NULL;
}

agate_value *agate_rule_max_of_relu(agate_node *node)
{
    double floor;

    if (!agate_value_is(node->operands[0], AGATE_OP_relu) || !agate_constant_splat(node->operands[1], &floor))
        return NULL;
    return floor <= 0 ? left_if_same_type(node) : NULL;
}

agate_value *agate_rule_pow_two(agate_node *node)
{
    agate_value *x = node->operands[0];

    if (!right_is(node, 2) || !agate_is_float(x->type.dtype) || !left_if_same_type(node))
        return NULL;
    return agate_rebuild(node, AGATE_OP_mul, NULL, (agate_value *[]){x, x}, 2);
}

/* Of a product x * op(x): the node `op`; *out_x is x. NULL: it is no such product. */
static agate_node *self_gate(agate_node *node, agate_op op, agate_value **out_x)
{
    for (int32_t i = 0; i < 2; i++) {
        agate_node *gate = agate_made_by(node->operands[i], op);
        *out_x = node->operands[1 - i];
        if (gate && gate->operands[0] == *out_x)
            return gate;
    }
    return NULL;
}

agate_value *agate_rule_silu(agate_node *node)
{
    agate_value *x;
    return self_gate(node, AGATE_OP_sigmoid, &x) ? agate_rebuild(node, AGATE_OP_silu, NULL, &x, 1) : NULL;
}

agate_value *agate_rule_hard_swish(agate_node *node)
{
    agate_value *x;
    agate_node *gate = self_gate(node, AGATE_OP_hard_sigmoid, &x);
    /* The slope comes from a file as f32; hard_swish's 1/6 is rounded to the element type. */
    bool same = gate && gate->attrs.param.beta == 0.5 &&
                (x->type.dtype == AGATE_F64 ? gate->attrs.param.alpha == 1.0 / 6
                                            : (float)gate->attrs.param.alpha == (float)(1.0 / 6));
    return same ? agate_rebuild(node, AGATE_OP_hard_swish, NULL, &x, 1) : NULL;
}
