/* narrow.c: see narrow.h. */
#include "ir/narrow.h"

const agate_value *agate_unwidened(const agate_value *value)
{
    if (!agate_value_is(value, AGATE_OP_cast) || value->type.dtype != AGATE_F32)
        return value;
    const agate_value *operand = value->node->operands[0];
    return !operand->node && agate_is_bf16(operand) ? operand : value;
}

bool agate_loops_over_bf16(const agate_node *node)
{
    switch (agate_op_table[node->op].family) {
    case AGATE_FAMILY_conv:
    case AGATE_FAMILY_winograd:
    case AGATE_FAMILY_matmul:
    case AGATE_FAMILY_window:
    case AGATE_FAMILY_reduce:
    case AGATE_FAMILY_softmax:
    case AGATE_FAMILY_resample:
        return agate_is_bf16(&node->results[0]) || agate_is_bf16(node->operands[0]);
    default:
        return false;
    }
}
