/* affine.c: chains of mul, div, add and sub by constants per channel. */
#include "passes/affine.h"

#define CHANNEL_LIMIT                                                                                        \
    (1 << 20)           /* a type may claim any number of channels; numbers are only kept for so many */
#define NAMES_LIMIT 160 /* bytes of constants' names joined into a new one */

bool agate_affine_init(agate_affine *chain, agate_pass *pass, agate_value *value, int32_t axis)
{
    const agate_type *type = &value->type;

    *chain = (agate_affine){.type = *type, .axis = axis, .end = value};
    if (axis < 0 || axis >= type->rank || !agate_dim_is_fixed(type->dims[axis]) ||
        !agate_is_float(type->dtype))
        return false;
    chain->count = type->dims[axis].offset;
    if (chain->count > CHANNEL_LIMIT)
        return false;
    chain->scale = AGATE_NEW_N(pass->scratch, double, chain->count);
    chain->shift = AGATE_NEW_N(pass->scratch, double, chain->count);
    for (int64_t c = 0; c < chain->count; c++)
        chain->scale[c] = 1;
    return true;
}

void agate_affine_deinit(agate_affine *chain)
{
    agate_text_deinit(&chain->names);
}

static bool is_link(const agate_node *node)
{
    return node->op == AGATE_OP_add || node->op == AGATE_OP_mul || node->op == AGATE_OP_sub ||
           node->op == AGATE_OP_div;
}

/* If `node` is op(x, constant per channel) with a result like x, writes the constant and returns which
 * operand x is; else -1. */
static int32_t read_link(const agate_affine *chain, agate_pass *pass, agate_node *node, double *numbers)
{
    if (!is_link(node) || !agate_type_equal(&agate_result(node)->type, &chain->type))
        return -1;
    int32_t x = agate_is_constant(node->operands[0]) ? 1 : 0;
    const agate_value *constant = node->operands[1 - x];
    bool swaps = node->op == AGATE_OP_add || node->op == AGATE_OP_mul;

    if (!agate_is_constant(constant) || agate_is_constant(node->operands[x]) || (x == 1 && !swaps) ||
        !agate_type_equal(&node->operands[x]->type, &chain->type))
        return -1;
    if (!agate_constant_along(constant, &chain->type, chain->axis, numbers)) {
        agate_pass_remark(pass, node, "not folded: its constant is unknown or not one number per channel");
        return -1;
    }
    return x;
}

static void add_name(agate_affine *chain, agate_pass *pass, const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        const char *stem =
            agate_is_constant(operand) ? agate_label_stem(pass->scratch, operand->node->label) : NULL;
        /* The two constants of a norm share their stem: name it once. */
        if (stem && chain->names.size_bytes < NAMES_LIMIT &&
            (!chain->names.data || !strstr(agate_text_c(&chain->names), stem)))
            agate_text_add(&chain->names, "*%s", stem);
    }
}

static void count_link(agate_affine *chain, agate_pass *pass, const agate_node *node)
{
    chain->links++;
    chain->scales |= node->op == AGATE_OP_mul || node->op == AGATE_OP_div;
    add_name(chain, pass, node);
}

void agate_affine_grow_behind(agate_affine *chain, agate_pass *pass)
{
    double *numbers = AGATE_NEW_N(pass->scratch, double, chain->count);

    for (;;) {
        agate_use *use = agate_value_sole_use(chain->end);
        if (!use || read_link(chain, pass, use->node, numbers) != use->index)
            return;
        for (int64_t c = 0; c < chain->count; c++) {
            double n = numbers[c], *scale = &chain->scale[c], *shift = &chain->shift[c];
            switch (use->node->op) {
            case AGATE_OP_mul:
                *scale *= n, *shift *= n;
                break;
            case AGATE_OP_div:
                *scale /= n, *shift /= n;
                break;
            default:
                *shift += use->node->op == AGATE_OP_sub ? -n : n;
            }
        }
        count_link(chain, pass, use->node);
        chain->end = agate_result(use->node);
    }
}

static bool adds_nothing(const agate_affine *chain, const double *numbers)
{
    for (int64_t c = 0; c < chain->count; c++)
        if (numbers[c] != 0)
            return false;
    return true;
}

void agate_affine_grow_front(agate_affine *chain, agate_pass *pass, bool shifts)
{
    double *numbers = AGATE_NEW_N(pass->scratch, double, chain->count);

    for (;;) {
        agate_node *node = chain->end->node;
        int32_t x = node && agate_value_sole_use(chain->end) ? read_link(chain, pass, node, numbers) : -1;
        if (x < 0)
            return;
        bool adds = node->op == AGATE_OP_add || node->op == AGATE_OP_sub;
        if (adds && !shifts && !adds_nothing(chain, numbers)) {
            agate_pass_remark(pass, node, "not folded: the convolution's padding comes after this shift");
            return;
        }
        for (int64_t c = 0; c < chain->count; c++) {
            if (adds)
                chain->shift[c] += chain->scale[c] * (node->op == AGATE_OP_sub ? -numbers[c] : numbers[c]);
            else
                chain->scale[c] *= node->op == AGATE_OP_div ? 1 / numbers[c] : numbers[c];
        }
        count_link(chain, pass, node);
        chain->end = node->operands[x];
    }
}

const char *agate_affine_label(const agate_affine *chain, agate_arena *arena, const char *label)
{
    const char *names = agate_text_c(&chain->names);

    if (!label)
        return names[0] ? agate_arena_text(arena, names + 1) : NULL;
    return agate_arena_format(arena, "%s%s", label, names);
}
