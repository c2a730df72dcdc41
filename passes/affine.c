/* affine.c: chains of mul, div, add and sub by constants per channel, and of batch_norm. */
#include "passes/affine.h"

#include <math.h>

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

/* Reads operand `index`, one number per channel; false where it is not constant, or unknown. */
static bool read_channels(const agate_node *node, int32_t index, int64_t channels, double *out_numbers)
{
    const agate_value *value = node->operands[index];
    const agate_data *data = agate_value_data(value);
    const void *bytes = data && agate_is_float(value->type.dtype) ? agate_data_bytes(data) : NULL;

    if (bytes)
        agate_floats_read(bytes, value->type.dtype, 0, channels, out_numbers);
    return bytes != NULL;
}

bool agate_affine_of_norm(agate_pass *pass, const agate_node *node, int64_t channels, double *out_scale,
                          double *out_shift)
{
    enum { SCALE = 1, BIAS, MEAN, VARIANCE };
    double *mean = AGATE_NEW_N(pass->scratch, double, channels),
           *variance = AGATE_NEW_N(pass->scratch, double, channels);

    if (!read_channels(node, SCALE, channels, out_scale) || !read_channels(node, BIAS, channels, out_shift) ||
        !read_channels(node, MEAN, channels, mean) || !read_channels(node, VARIANCE, channels, variance))
        return false;
    for (int64_t c = 0; c < channels; c++) {
        out_scale[c] /= sqrt(variance[c] + node->attrs.norm.epsilon);
        out_shift[c] -= mean[c] * out_scale[c];
    }
    return true;
}

/* One op of a chain: x * scale + shift, per channel. */
typedef struct link {
    double *scale, *shift;
} link;

static link link_make(const agate_affine *chain, agate_pass *pass)
{
    return (link){AGATE_NEW_N(pass->scratch, double, chain->count),
                  AGATE_NEW_N(pass->scratch, double, chain->count)};
}

/* Makes `out` of op `op` with its constants, which stand in out->scale. */
static void set_link(agate_op op, int64_t count, link *out)
{
    for (int64_t c = 0; c < count; c++) {
        double n = out->scale[c];
        bool scales = op == AGATE_OP_mul || op == AGATE_OP_div;
        out->scale[c] = op == AGATE_OP_mul ? n : op == AGATE_OP_div ? 1 / n : 1;
        out->shift[c] = scales ? 0 : op == AGATE_OP_sub ? -n : n;
    }
}

static bool is_link(const agate_node *node)
{
    return node->op == AGATE_OP_add || node->op == AGATE_OP_mul || node->op == AGATE_OP_sub ||
           node->op == AGATE_OP_div || node->op == AGATE_OP_batch_norm;
}

/* If `node` is op(x, constant per channel) with a result like x, writes what it does and returns which
 * operand x is; else -1. */
static int32_t read_link(const agate_affine *chain, agate_pass *pass, agate_node *node, link *out)
{
    if (!is_link(node) || !agate_type_equal(&agate_result(node)->type, &chain->type))
        return -1;
    int32_t x = agate_is_constant(node->operands[0]) ? 1 : 0;
    bool swaps = node->op == AGATE_OP_add || node->op == AGATE_OP_mul;

    if (agate_is_constant(node->operands[x]) || (x == 1 && !swaps) ||
        !agate_type_equal(&node->operands[x]->type, &chain->type))
        return -1;
    if (node->op == AGATE_OP_batch_norm)
        return chain->axis == 1 && agate_affine_of_norm(pass, node, chain->count, out->scale, out->shift)
                   ? 0
                   : -1;
    const agate_value *constant = node->operands[1 - x];
    if (!agate_is_constant(constant))
        return -1;
    if (!agate_constant_along(constant, &chain->type, chain->axis, out->scale)) {
        agate_pass_remark(pass, node, "not folded: its constant is unknown or not one number per channel");
        return -1;
    }
    set_link(node->op, chain->count, out);
    return x;
}

static void add_name(agate_affine *chain, agate_pass *pass, const agate_node *node)
{
    for (int32_t i = 0; i < agate_min(node->operand_count, 2); i++) { /* of a norm: its scale */
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
    chain->scales |= node->op != AGATE_OP_add && node->op != AGATE_OP_sub;
    add_name(chain, pass, node);
}

void agate_affine_grow_behind(agate_affine *chain, agate_pass *pass)
{
    link next = link_make(chain, pass);

    for (;;) {
        agate_use *use = agate_value_sole_use(chain->end);
        if (!use || read_link(chain, pass, use->node, &next) != use->index)
            return;
        for (int64_t c = 0; c < chain->count; c++) {
            chain->scale[c] *= next.scale[c];
            chain->shift[c] = chain->shift[c] * next.scale[c] + next.shift[c];
        }
        count_link(chain, pass, use->node);
        chain->end = agate_result(use->node);
    }
}

static bool adds_nothing(const agate_affine *chain, const link *next)
{
    for (int64_t c = 0; c < chain->count; c++)
        if (next->shift[c] != 0)
            return false;
    return true;
}

void agate_affine_grow_front(agate_affine *chain, agate_pass *pass, bool shifts)
{
    link next = link_make(chain, pass);

    for (;;) {
        agate_node *node = chain->end->node;
        int32_t x = node && agate_value_sole_use(chain->end) ? read_link(chain, pass, node, &next) : -1;
        if (x < 0)
            return;
        if (!shifts && !adds_nothing(chain, &next)) {
            agate_pass_remark(pass, node, "not folded: the convolution's padding comes after this shift");
            return;
        }
        for (int64_t c = 0; c < chain->count; c++) {
            chain->shift[c] += chain->scale[c] * next.shift[c];
            chain->scale[c] *= next.scale[c];
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
