/* narrow: where bf16 is asked for, weights of convolutions and values between kernels are kept as bf16.
 *
 *     %1 = kernel(%0, %w, %b) {                       %1 = kernel(%0, %w, %b) {
 *       %a = conv $0, $1, $2 : f32[...]{nchw16c}        %a = cast $0 to=f32 : f32[...]{nchw16c}
 *       %b = relu %a : f32[...]{nchw16c}          ==>   %b = cast $1 to=f32 : f32[...]{oihw8i16o2i}
 *       yield %b                                        %c = conv %a, %b, $2 : f32[...]{nchw16c}
 *     } : f32[...]{nchw16c}                             %d = relu %c : f32[...]{nchw16c}
 *                                                       %e = cast %d to=bf16 : bf16[...]{nchw16c}
 *                                                       yield %e
 *                                                     } : bf16[...]{nchw16c}
 *
 * Weights of matrix products become bf16 as well, and meet f32 inputs: they are read once, and wait for memory.
 *
 * A kernel computes in f32 as before: what it reads is widened, what it writes is rounded once. Only values in blocked layout
 * are kept so, those that a convolution reads and that all readers can take; values that views tie together are all, or none.
 * The rest, the graph's inputs and outputs among them, stays as it is. Needs layouts and merged convolutions; breaks nothing.
 */
#include "ir/narrow.h"

#include "ir/reorder.h"
#include "passes/kernel.h"
#include "passes/rewrite.h"

/* A value that may be kept as bf16; those tied by views share the fate of the one at the end of `into`. */
typedef struct edge {
    agate_value *value;
    struct edge *into;
    const char *reason; /* why not; NULL: it may */
    bool feeds_conv;    /* a kernel of a convolution reads it */
    bool is_narrow;
} edge;

static edge *edge_of(const agate_value *value)
{
    edge *e = (edge *)(intptr_t)value->scratch;

    while (e && e->into)
        e = e->into;
    return e;
}

static bool is_narrow(const agate_value *value)
{
    const edge *e = edge_of(value);
    return e && e->is_narrow;
}

static void refuse(agate_value *value, const char *reason)
{
    edge *e = edge_of(value);

    if (e && !e->reason)
        e->reason = reason;
}

/* ---- which ---------------------------------------------------------------------------------------------- */

static bool is_eligible(const agate_node *node, const agate_value *value)
{
    bool known = node->op == AGATE_OP_kernel || node->op == AGATE_OP_join || node->op == AGATE_OP_part;

    return known && value->type.dtype == AGATE_F32 && value->type.layout.kind == AGATE_LAYOUT_channel;
}

/* Weights that this convolution alone reads. */
static bool owns_weights(const agate_node *kernel, const agate_node *conv)
{
    const agate_value *param = conv->operands[1];
    const agate_value *weights = param->node ? NULL : kernel->operands[param->index];

    return weights && param->use_count == 1 && agate_is_constant(weights);
}

/* Can the convolution be one of bf16 products? */
static const char *refuses_products(const agate_node *kernel, const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type;

    if (w->layout.kind != AGATE_LAYOUT_oi)
        return "a convolution by lanes reads it";
    if (w->dims[1].offset % 2)
        return "a convolution of an odd number of channels reads it";
    return owns_weights(kernel, conv) ? NULL : "a convolution whose weights are not its own reads it";
}

static const char *refuses_use(const agate_node *kernel, const agate_use *use)
{
    const agate_node *node = use->node;

    switch (agate_node_family(node)) {
    case AGATE_FAMILY_pointwise:
    case AGATE_FAMILY_move:
    case AGATE_FAMILY_window:
    case AGATE_FAMILY_reduce:
        return NULL;
    case AGATE_FAMILY_resample:
        return use->index == 0 ? NULL : "it has the weights of a resampling";
    case AGATE_FAMILY_conv:
        return use->index == 0 ? refuses_products(kernel, node)
                               : "it is no input of the convolution it feeds";
    case AGATE_FAMILY_terminator:
        return "a kernel hands it on";
    default:
        return "an op that works on f32 alone reads it";
    }
}

/* Why the kernel cannot read operand `index` as bf16. */
static const char *refuses_operand(const agate_node *kernel, int32_t index)
{
    const agate_value *param = kernel->body->params[index];
    const char *reason =
        agate_reduces_rows(kernel->body) ? "a kernel goes over its rows several times" : NULL;

    for (int32_t i = 0; i < param->use_count && !reason; i++)
        reason = refuses_use(kernel, &param->uses[i]);
    return reason;
}

static edge *collect(agate_pass *pass, agate_graph *graph, int64_t *out_count)
{
    int64_t count = 0;

    for (int32_t i = 0; i < graph->param_count; i++)
        graph->params[i]->scratch = 0;
    AGATE_EACH_NODE (node, graph)
        count += node->result_count;
    edge *edges = AGATE_NEW_N(pass->scratch, edge, count + 1);
    *out_count = 0;
    AGATE_EACH_NODE (node, graph)
        for (int32_t i = 0; i < node->result_count; i++) {
            agate_value *value = &node->results[i];
            edge *e = is_eligible(node, value) ? &edges[(*out_count)++] : NULL;
            if (e)
                e->value = value;
            value->scratch = (int64_t)(intptr_t)e;
        }
    return edges;
}

static void tie(agate_value *a, agate_value *b)
{
    edge *x = edge_of(a), *y = edge_of(b);

    if (!x || !y) {
        refuse(x ? a : b, "it is viewed as what stays f32");
    } else if (x != y) {
        y->reason = y->reason ? y->reason : x->reason;
        y->feeds_conv |= x->feeds_conv;
        x->into = y;
    }
}

static void ask_kernel(agate_node *kernel)
{
    const agate_node *yield = agate_kernel_yield(kernel), *anchor = agate_kernel_anchor(kernel);
    bool is_conv = anchor && anchor->op == AGATE_OP_conv;

    for (int32_t i = 0; i < kernel->result_count; i++)
        if (!yield->operands[i]->node)
            refuse(&kernel->results[i], "a kernel hands on what it reads");
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        edge *e = edge_of(kernel->operands[i]);
        const char *reason = e ? refuses_operand(kernel, i) : NULL;
        if (reason)
            refuse(kernel->operands[i], reason);
        if (e)
            e->feeds_conv |= is_conv;
    }
}

static void ask(agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph) {
        if (node->op == AGATE_OP_kernel) {
            ask_kernel(node);
            continue;
        }
        bool view = node->op == AGATE_OP_join || node->op == AGATE_OP_part;
        for (int32_t i = 0; i < node->operand_count; i++)
            if (view)
                tie(node->operands[i], agate_result(node));
            else
                refuse(node->operands[i], "it is needed in f32");
    }
}

/* ---- rewriting ------------------------------------------------------------------------------------------ */

static agate_value *build_cast(agate_graph *body, agate_node *before, agate_value *value, agate_dtype to)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = to;
    return agate_build(body, before, AGATE_OP_cast, &attrs, &value, 1);
}

/* Parameter `index` becomes `type`, and f32 again for all that read it. */
static void widen_param(agate_node *kernel, int32_t index, const agate_type *type)
{
    agate_graph *body = kernel->body;
    agate_value *param = body->params[index];

    param->type = *type;
    agate_value *wide = build_cast(body, body->first, param, AGATE_F32);
    agate_node *cast = wide->node;
    while (param->use_count > 1) {
        agate_use *use = &param->uses[param->uses[0].node == cast];
        agate_node_set_operand(use->node, use->index, wide);
    }
}

/* As bf16, those of a convolution for products of pairs. NULL where memory is short. */
static agate_value *narrow_weights(agate_value *weights)
{
    agate_node *node = weights->node;
    agate_type type = weights->type;
    agate_data *data = NULL;

    type.dtype = AGATE_BF16;
    if (type.layout.kind == AGATE_LAYOUT_oi)
        type.layout.kind = AGATE_LAYOUT_oi_pairs;
    if (node->data && !(data = agate_data_reorder(node->data, &weights->type, &type)))
        return NULL;
    agate_value *value = agate_build_constant(node->graph, node, &type, data, node->label);
    value->node->op = node->op;
    value->node->origin = node->origin;
    return value;
}

/* False: memory is short. */
static bool narrow_right_side(agate_node *kernel, const agate_node *anchor)
{
    int32_t index = anchor->operands[1]->index;
    agate_value *weights = kernel->operands[index], *value = narrow_weights(weights);

    if (!value)
        return false;
    agate_node_set_operand(kernel, index, value);
    if (weights->use_count == 0)
        agate_node_remove(weights->node);
    widen_param(kernel, index, &value->type);
    return true;
}

/* Weights of a convolution whose input is narrow become so as well. */
static bool reads_narrow(const agate_node *kernel, const agate_node *conv)
{
    const agate_value *x = conv->operands[0];
    return !x->node && is_narrow(kernel->operands[x->index]);
}

/* A matrix product of few rows takes as long as its weights come from memory: half of them take half as long. */
static bool has_panels(const agate_node *kernel, const agate_node *matmul)
{
    return matmul->operands[1]->type.layout.kind == AGATE_LAYOUT_panel && owns_weights(kernel, matmul) &&
           matmul->operands[1]->type.dtype == AGATE_F32 && matmul->operands[1]->type.layout.block % 2 == 0;
}

static void narrow_operands(agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->operand_count; i++)
        if (is_narrow(kernel->operands[i]))
            widen_param(kernel, i, &kernel->operands[i]->type);
}

/* The cast stands right behind what it rounds, with its part (ir/parts.h). */
static void narrow_results(agate_node *kernel)
{
    agate_node *yield = agate_kernel_yield(kernel);

    for (int32_t i = 0; i < kernel->result_count; i++) {
        if (!is_narrow(&kernel->results[i]))
            continue;
        agate_value *value = yield->operands[i];
        agate_node_set_operand(yield, i, build_cast(kernel->body, value->node->next, value, AGATE_BF16));
        kernel->results[i].type.dtype = AGATE_BF16;
    }
}

/* In execution order: operands have their new types. Returns whether weights of a matrix product were rounded. */
static bool rewrite(agate_pass *pass, agate_node *node)
{
    if (node->op != AGATE_OP_kernel) {
        for (int32_t i = 0; i < node->result_count; i++)
            if (is_narrow(&node->results[i]))
                node->results[i].type.dtype = AGATE_BF16;
        return false;
    }
    agate_node *anchor = agate_kernel_anchor(node);
    bool products = anchor && anchor->op == AGATE_OP_conv && reads_narrow(node, anchor);
    bool panels = anchor && anchor->op == AGATE_OP_matmul && has_panels(node, anchor) &&
                  agate_pass_spend(pass, node, "bf16 weights");

    narrow_operands(node);
    narrow_results(node);
    if ((products || panels) && !narrow_right_side(node, anchor))
        agate_pass_remark(pass, node, "memory is too short for weights in bf16");
    return panels;
}

bool agate_pass_narrow(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;
    int64_t count;

    if (pass->precision != AGATE_PRECISION_bf16)
        return false;
    edge *edges = collect(pass, graph, &count);
    ask(graph);
    for (int64_t i = 0; i < count; i++) {
        edge *e = &edges[i];
        agate_node *node = e->value->node;
        if (e->into)
            continue;
        if (e->reason || !e->feeds_conv)
            agate_pass_remark(pass, node, "stays f32: %s", e->reason ? e->reason : "no convolution reads it");
        else
            changed |= e->is_narrow = agate_pass_spend(pass, node, "bf16");
    }
    AGATE_EACH_NODE (node, graph)
        changed |= rewrite(pass, node);
    return changed;
}
