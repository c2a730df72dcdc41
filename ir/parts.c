/* parts.c: see parts.h. */
#include "ir/parts.h"

#include "ir/narrow.h"

static bool is_slice_of(const agate_node *node, const agate_node *conv)
{
    return node->op == AGATE_OP_slice && node->operands[0] == &conv->results[0];
}

static bool is_cut(const agate_node *conv)
{
    const agate_value *result = &conv->results[0];

    for (int32_t i = 0; i < result->use_count; i++)
        if (is_slice_of(result->uses[i].node, conv))
            return true;
    return false;
}

/* A slice of whole images, of channels that follow each other from `start`. */
static bool continues(const agate_node *slice, int64_t start)
{
    const agate_attrs_slice *attrs = &slice->attrs.slice;
    const agate_type *from = &slice->operands[0]->type, *to = &slice->results[0].type;

    for (int32_t i = 0; i < from->rank; i++)
        if (attrs->steps.v[i] != 1 || attrs->starts.v[i] != (i == 1 ? start : 0) ||
            (i != 1 && !agate_dim_equal(from->dims[i], to->dims[i])))
            return false;
    return agate_dim_is_fixed(to->dims[1]) && to->dims[1].offset > 0 &&
           agate_layout_equal(from->layout, to->layout) &&
           (from->layout.block == 0 || start % from->layout.block == 0);
}

const agate_node *agate_part_of(const agate_node *conv, const agate_node *node)
{
    while (node && node != conv && !is_slice_of(node, conv))
        node = node->previous;
    return node && node != conv ? node : NULL;
}

/* Does `node`, a scalar op or the yield behind the cut convolution, keep to its part? */
static bool keeps_to_part(const agate_node *conv, const agate_node *node, const agate_node *part)
{
    agate_family family = agate_op_table[node->op].family;

    if (node->op == AGATE_OP_yield || family == AGATE_FAMILY_data)
        return true;
    if ((family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast && !agate_changes_blocks(node)) ||
        !part)
        return false;
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_node *maker = node->operands[i]->node;
        const agate_node *from = maker && maker != conv ? agate_part_of(conv, maker) : NULL;
        /* What stands in front of the convolution belongs to none: an operand, widened. */
        if (maker == conv || (from && from != part))
            return false;
    }
    return agate_type_same_dims(&node->results[0].type, &part->results[0].type);
}

int32_t agate_conv_parts(const agate_node *conv, agate_part out_parts[AGATE_MAX_PARTS])
{
    int64_t filters = conv->results[0].type.dims[1].offset, start = 0;
    const agate_node *part = NULL;
    int32_t count = 0;

    if (!is_cut(conv)) {
        out_parts[0] = (agate_part){&conv->results[0], 0, filters};
        return 1;
    }
    for (const agate_node *node = conv->next; node; node = node->next) {
        if (is_slice_of(node, conv)) {
            if (count == AGATE_MAX_PARTS || !continues(node, start))
                return 0;
            part = node;
            out_parts[count++] = (agate_part){&node->results[0], start, node->results[0].type.dims[1].offset};
            start += out_parts[count - 1].channels;
        } else if (!keeps_to_part(conv, node, part)) {
            return 0;
        }
    }
    const agate_node *yield = conv->graph->last;
    for (int32_t i = 0; i < yield->operand_count; i++)
        if (!yield->operands[i]->node || !agate_part_of(conv, yield->operands[i]->node))
            return 0;
    return start == filters ? count : 0;
}

bool agate_is_depthwise(const agate_node *conv)
{
    int64_t group = conv->attrs.conv.group;
    const agate_type *weights = &conv->operands[1]->type;

    return group > 1 && agate_dim_is(weights->dims[1], 1) && agate_dim_is(weights->dims[0], group);
}
