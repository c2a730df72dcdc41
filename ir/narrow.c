/* narrow.c: see narrow.h. */
#include "ir/narrow.h"

#include "ir/parts.h"

const agate_value *agate_unwidened(const agate_value *value)
{
    if (!agate_value_is(value, AGATE_OP_cast) || value->type.dtype != AGATE_F32)
        return value;
    const agate_value *operand = value->node->operands[0];
    return !operand->node && agate_is_half(operand) ? operand : value;
}

bool agate_loops_over_half(const agate_node *node)
{
    switch (agate_op_table[node->op].family) {
    case AGATE_FAMILY_conv:
    case AGATE_FAMILY_winograd:
    case AGATE_FAMILY_matmul:
    case AGATE_FAMILY_window:
    case AGATE_FAMILY_reduce:
    case AGATE_FAMILY_softmax:
    case AGATE_FAMILY_arg:
    case AGATE_FAMILY_resample:
        return agate_is_half(&node->results[0]) || agate_is_half(node->operands[0]);
    default:
        return false;
    }
}

/* The bf16 value that `value` widens; NULL: it widens none. */
static const agate_value *widened(const agate_value *value)
{
    bool widens = agate_value_is(value, AGATE_OP_cast) && value->type.dtype == AGATE_F32 &&
                  agate_is_bf16(value->node->operands[0]);

    return widens ? value->node->operands[0] : NULL;
}

int32_t agate_planes_of(const agate_value *value, const agate_value *out_planes[AGATE_MAX_PLANES])
{
    const agate_value *last_first[AGATE_MAX_PLANES];
    int32_t count = 0;

    for (; count < AGATE_MAX_PLANES - 1 && agate_value_is(value, AGATE_OP_add); count++) {
        if (!(last_first[count] = widened(value->node->operands[1])))
            return 0;
        value = value->node->operands[0];
    }
    if (!(last_first[count++] = widened(value)))
        return 0;
    for (int32_t i = 0; i < count; i++)
        out_planes[i] = last_first[count - 1 - i];
    return count;
}

/* A further plane is what is left of a value when the one before it is taken away, rounded. */
int32_t agate_first_plane(const agate_node *kernel, int32_t result)
{
    const agate_node *yield = kernel->body->last;
    const agate_value *plane = yield->operands[result];

    if (!agate_is_bf16(plane) || !agate_value_is(plane, AGATE_OP_cast) ||
        !agate_value_is(plane->node->operands[0], AGATE_OP_sub))
        return result;
    const agate_value *before = widened(plane->node->operands[0]->node->operands[1]);
    for (int32_t i = 0; i < kernel->result_count && before; i++)
        if (i != result && yield->operands[i] == before)
            return agate_first_plane(kernel, i);
    return result;
}

/* Do all parts begin where tiles of channels do? */
static bool has_tiled_parts(const agate_node *conv)
{
    agate_part parts[AGATE_MAX_PARTS];
    int32_t count = agate_conv_parts(conv, parts);

    for (int32_t i = 0; i < count; i++)
        if (parts[i].start % AGATE_AMX_BLOCK)
            return false;
    return count > 0;
}

const char *agate_amx_sizes_refuse(const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type;

    if (w->rank != 4 || conv->attrs.conv.group != 1)
        return "it is no dense convolution of one group";
    if (w->dims[2].offset * w->dims[3].offset > AGATE_AMX_MAX_TAPS)
        return "its filters are too large";
    return has_tiled_parts(conv) ? NULL : "its parts do not begin at multiples of 32 channels";
}

int64_t agate_amx_few_pairs(const agate_node *conv, int64_t *out_steps)
{
    const agate_type *w = &conv->operands[1]->type;
    int64_t pairs = w->dims[3].offset * agate_ceil_div(w->dims[1].offset, 2);
    int64_t steps = agate_ceil_div(pairs, AGATE_AMX_BLOCK / 2);

    while (pairs % steps)
        steps++;
    *out_steps = steps;
    return pairs / steps;
}

const char *agate_amx_few_refuse(const agate_node *conv)
{
    const agate_type *x = &conv->operands[0]->type;

    if (x->rank != 4 || x->dims[1].offset < 1 || x->dims[1].offset > AGATE_AMX_FEW)
        return "its input is not in blocked layout";
    return conv->attrs.conv.dilations.v[1] == 1 ? NULL : "the taps of its filters are no neighbours";
}

const char *agate_amx_refuses(const agate_node *conv)
{
    const agate_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type;
    const agate_type *y = &conv->results[0].type;
    const agate_value *inputs[AGATE_MAX_PLANES], *weights[AGATE_MAX_PLANES];
    int32_t planes = agate_planes_of(conv->operands[0], inputs);
    bool few = x->layout.kind == AGATE_LAYOUT_plain;
    agate_layout tiles = {.kind = few ? AGATE_LAYOUT_o_pairs : AGATE_LAYOUT_oi_pairs,
                          .block = AGATE_AMX_BLOCK};

    if (planes == 0 || agate_planes_of(conv->operands[1], weights) != planes)
        return "its products are not of bf16";
    for (int32_t i = 0; i < planes; i++)
        if (weights[i]->node || !agate_layout_equal(weights[i]->type.layout, tiles))
            return "its weights are not laid out in tiles";
    if (w->layout.kind != tiles.kind || (x->layout.kind != AGATE_LAYOUT_channel && !few) ||
        y->layout.kind != AGATE_LAYOUT_channel || y->layout.block % AGATE_AMX_LANES)
        return "not in blocked layout";
    const char *reason = few ? agate_amx_few_refuse(conv) : NULL;
    if (reason)
        return reason;
    if (conv->operand_count > 2 && conv->operands[2]->node)
        return "its bias is computed in the kernel";
    return agate_amx_sizes_refuse(conv);
}
