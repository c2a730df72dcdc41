/* fold-pad: a zero pad moves into the convolution or pool behind it.
 *
 *     %0 = pad %x begins=[0, 0, 3, 3] ends=[0, 0, 3, 3]       ==>     %1 = conv %x, %w pads=[3, 3, 3, 3]
 *     %1 = conv %0, %w
 *
 * Also through a transpose between them, as exports of channels-last models have it. An average counts what
 * was padded, so only a pool without other, uncounted pads can take it. A maximum ignores its pads, so it can
 * take pads of -inf, and pads of 0 where nothing is below 0 and no window misses the image. Needs types;
 * breaks nothing.
 */
#include <math.h>

#include "passes/rewrite.h"

#define SIGN_DEPTH 8 /* ops looked through for a proof that a value is not negative */

/* A pad, and what its spatial pads are as the anchor sees them. */
typedef struct padding {
    agate_node *pad;
    agate_node *transpose; /* between pad and anchor; NULL: none */
    agate_ints pads;       /* as in conv and pool: begins, then ends */
} padding;

/* Recognizes pad (and transpose) in front of `anchor`. False where it pads batch or channels, or crops. */
static bool find_padding(const agate_node *anchor, padding *out)
{
    agate_value *value = anchor->operands[0];
    int32_t rank = value->type.rank;

    *out = (padding){.transpose = agate_made_by(value, AGATE_OP_transpose)};
    if (out->transpose)
        value = out->transpose->operands[0];
    out->pad = agate_made_by(value, AGATE_OP_pad);
    if (!out->pad || out->pad->attrs.pad.mode != AGATE_PAD_CONSTANT)
        return false;

    const agate_attrs_pad *attrs = &out->pad->attrs.pad;
    out->pads.count = 2 * (rank - 2);
    for (int32_t i = 0; i < rank; i++) {
        int64_t from = out->transpose ? out->transpose->attrs.perm.perm.v[i] : i;
        int64_t begin = attrs->begins.v[from], end = attrs->ends.v[from];
        if (begin < 0 || end < 0 || (i < 2 && begin + end > 0))
            return false;
        if (i >= 2) {
            out->pads.v[i - 2] = begin;
            out->pads.v[rank - 2 + i - 2] = end;
        }
    }
    return true;
}

/* Proves, looking through a few ops, that no float is below zero (it may be NaN). */
static bool is_not_negative(const agate_value *value, int depth)
{
    const agate_node *node = value->node;
    double number;

    if (!node || depth == 0 || !agate_is_float(value->type.dtype))
        return false;
    switch (node->op) {
    case AGATE_OP_relu:
    case AGATE_OP_abs:
    case AGATE_OP_exp:
    case AGATE_OP_sigmoid:
    case AGATE_OP_hard_sigmoid:
    case AGATE_OP_softmax:
        return true;
    case AGATE_OP_max:
        return is_not_negative(node->operands[0], depth - 1) || is_not_negative(node->operands[1], depth - 1);
    case AGATE_OP_min:
    case AGATE_OP_add:
    case AGATE_OP_mul:
        return is_not_negative(node->operands[0], depth - 1) && is_not_negative(node->operands[1], depth - 1);
    case AGATE_OP_max_pool:
    case AGATE_OP_avg_pool:
    case AGATE_OP_transpose:
    case AGATE_OP_reshape:
    case AGATE_OP_slice:
        return is_not_negative(node->operands[0], depth - 1);
    default:
        return agate_constant_splat(value, &number) && number >= 0;
    }
}

/* Does every window hold an element of the image? So where the pads are smaller than the window and it has no
 * holes. */
static bool windows_touch(const agate_node *pool, const agate_ints *pads)
{
    const agate_attrs_pool *attrs = &pool->attrs.pool;
    int32_t spatial = attrs->kernel.count;

    for (int32_t i = 0; i < spatial; i++) {
        if (attrs->dilations.v[i] != 1 || pads->v[i] + attrs->pads.v[i] >= attrs->kernel.v[i] ||
            pads->v[spatial + i] + attrs->pads.v[spatial + i] >= attrs->kernel.v[i])
            return false;
    }
    return true;
}

static bool all_zero(const agate_ints *ints)
{
    for (int32_t i = 0; i < ints->count; i++)
        if (ints->v[i] != 0)
            return false;
    return true;
}

/* Why `anchor` cannot take these pads; NULL: it can. */
static const char *refuse(const agate_node *anchor, const padding *p)
{
    double value = p->pad->attrs.pad.value;
    const agate_attrs_pool *pool = &anchor->attrs.pool;

    if (anchor->op == AGATE_OP_conv)
        return value == 0 ? NULL : "a convolution pads with zero";
    if (pool->ceil)
        return "a pool that rounds its size up treats pads of its own differently";
    if (anchor->op == AGATE_OP_avg_pool) {
        bool counts = pool->count_pads || all_zero(&pool->pads);
        return value == 0 && counts ? NULL : "the average would change";
    }
    if (!windows_touch(anchor, &p->pads))
        return "a window might lie in the pads alone";
    if (value < 0 && isinf(value))
        return NULL;
    return value == 0 && is_not_negative(p->pad->operands[0], SIGN_DEPTH) ? NULL
                                                                          : "the pads might be the maximum";
}

/* The anchor without its pad; where it no longer has the same type (a limit on pads), gives the old pads
 * back. */
static bool take(agate_node *anchor, const padding *p)
{
    agate_ints *pads = anchor->op == AGATE_OP_conv ? &anchor->attrs.conv.pads : &anchor->attrs.pool.pads;
    agate_value *old = anchor->operands[0], *source = p->pad->operands[0];
    agate_type type = agate_result(anchor)->type;
    agate_attrs attrs = anchor->attrs;
    agate_text fault = {0};

    pads->count = p->pads.count;
    for (int32_t i = 0; i < pads->count; i++)
        if (__builtin_add_overflow(pads->v[i], p->pads.v[i], &pads->v[i]))
            pads->v[i] = INT64_MAX; /* no type fits: given back below */
    if (anchor->op == AGATE_OP_avg_pool)
        anchor->attrs.pool.count_pads = true;
    if (p->transpose) {
        source = agate_build(anchor->graph, anchor, AGATE_OP_transpose, &p->transpose->attrs, &source, 1);
        source->node->origin = p->transpose->origin;
    }
    agate_node_set_operand(anchor, 0, source);

    bool good = agate_node_infer(anchor, &fault) && agate_type_equal(&agate_result(anchor)->type, &type);
    agate_text_deinit(&fault);
    if (!good) {
        anchor->attrs = attrs;
        agate_result(anchor)->type = type;
        agate_node_set_operand(anchor, 0, old);
        old = source;
    } else {
        agate_take_origin(anchor, p->pad);
    }
    if (old->node)
        agate_sweep(old->node);
    return good;
}

bool agate_pass_fold_pad(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        padding p;
        if (node->op != AGATE_OP_conv && node->op != AGATE_OP_max_pool && node->op != AGATE_OP_avg_pool)
            continue;
        if (!find_padding(node, &p))
            continue;
        const char *reason = refuse(node, &p);
        if (reason)
            agate_pass_remark(pass, node, "pad not folded: %s", reason);
        else if (agate_pass_spend(pass, node, "fold pad"))
            changed |= take(node, &p);
    }
    return changed;
}
