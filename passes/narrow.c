/* narrow: where narrower products are asked for, weights of convolutions and values between kernels are kept
 * in 16 bits.
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
 * Weights of matrix products become bf16 as well, and meet f32 inputs: they are read once, and wait for
 * memory. f16 in the place of bf16 is the same, but for the weights' layout: these are multiplied as f32,
 * channel by channel ({oihw16i16o}); and where the target has AMX, convolutions are those of f32x3.
 *
 * A kernel computes in f32 as before: what it reads is widened, what it writes is rounded once. Only values
 * in blocked layout are kept so, those that a convolution multiplies as they are and that all readers can
 * take; values that views tie together are all, or none. The rest, the graph's inputs and outputs among them,
 * stays as it is: what a depthwise convolution alone reads lies in a core's cache, or in a band (fuse-bands),
 * from where f32 comes as fast, and needs no widening.
 *
 * A convolution of few channels, whose input is plain, multiplies pairs of taps where the target sums pairs
 * of products. Its input is rounded once: by the kernel that makes it, where no other reads it, else by one
 * of its own.
 *
 * Where the target has AMX, dense convolutions become products of its tiles: weights are laid out for these,
 * and values that such convolutions alone read lie in blocks of 32 channels, a row of a tile; those tied by
 * views, where each fills such blocks. An input that stays f32 is rounded in the kernel. There, two or three
 * bf16 numbers may stand for an f32 (f32x3, f32x6; ir/narrow.h): the kernel that makes a value splits it, and
 * has a result for each plane, which have views of their own. Without AMX these two precisions would be
 * slower than f32, and nothing is done. Nodes may have precisions of their own; a value that convolutions of
 * different precisions read stays f32.
 *
 * Needs layouts and merged convolutions; breaks nothing.
 */
#include "ir/parts.h"
#include "passes/narrow.h"
#include "passes/strategy.h"

typedef struct narrower {
    agate_pass *pass;
    agate_edge *edges;
    int64_t edge_count;
    bool tiles; /* the target has them */
} narrower;

agate_edge *agate_edge_of(const agate_value *value)
{
    agate_edge *e = agate_own_edge(value);

    while (e && e->into)
        e = e->into;
    return e;
}

static void refuse(agate_value *value, const char *reason)
{
    agate_edge *e = agate_edge_of(value);

    if (e && !e->reason)
        e->reason = reason;
}

/* ---- which values -------------------------------------------------------------------------------------- */

/* Is `use` that of a kernel that multiplies pairs of taps, as what it rounds? */
static bool is_tapped(const agate_use *use)
{
    const agate_node *kernel = use->node;

    return kernel->op == AGATE_OP_kernel && agate_narrow_has_taps(kernel) &&
           agate_kernel_anchor(kernel)->operands[0] == kernel->body->params[use->index];
}

/* A plain value that scalar ops and moves make, and of which pairs of taps are multiplied. */
static bool is_eligible_plain(const agate_node *node, const agate_value *value)
{
    bool tapped = false;

    if (node->op != AGATE_OP_kernel || value->type.dtype != AGATE_F32 ||
        value->type.layout.kind != AGATE_LAYOUT_plain)
        return false;
    for (int32_t i = 0; i < value->use_count; i++)
        tapped |= is_tapped(&value->uses[i]);
    AGATE_EACH_NODE (inner, node->body) {
        agate_family family = agate_node_family(inner);
        tapped &= family == AGATE_FAMILY_pointwise || family == AGATE_FAMILY_cast ||
                  family == AGATE_FAMILY_terminator ||
                  (family == AGATE_FAMILY_move && inner->op != AGATE_OP_gather);
    }
    return tapped;
}

static bool is_eligible(const agate_node *node, const agate_value *value)
{
    bool known = node->op == AGATE_OP_kernel || node->op == AGATE_OP_join || node->op == AGATE_OP_part;

    return (known && value->type.dtype == AGATE_F32 && value->type.layout.kind == AGATE_LAYOUT_channel) ||
           is_eligible_plain(node, value);
}

/* Can the convolution be one of products of pairs? */
static const char *refuses_pairs(const agate_node *kernel, const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type;

    if (w->layout.kind != AGATE_LAYOUT_oi)
        return "a convolution by lanes reads it";
    if (w->dims[1].offset % 2)
        return "a convolution of an odd number of channels reads it";
    return agate_narrow_owns_weights(kernel, conv) ? NULL
                                                   : "a convolution whose weights are not its own reads it";
}

/* Does each lane have inputs of its own: is it depthwise, or of groups that do not fill vectors? */
static bool goes_by_lanes(const agate_node *conv)
{
    return conv->operands[0]->type.rank == 4 && conv->operands[0]->type.layout.kind == AGATE_LAYOUT_channel &&
           conv->operands[1]->type.layout.kind == AGATE_LAYOUT_o;
}

/* Is the kernel asked for products of bf16, and does the target sum pairs of these, at twice the rate of
 * f32? */
static bool sums_pairs(const narrower *n, const agate_node *kernel)
{
    agate_planes planes = agate_narrow_planes(n->pass, kernel);

    return planes.dtype == AGATE_BF16 && planes.count == 1 && agate_has_pair_products(n->pass->machine);
}

/* Do its weights stay f32, and make f32 of what they are multiplied by? In groups that have pairs of channels
 * they need not. */
static bool keeps_weights(const narrower *n, const agate_node *kernel, const agate_node *conv)
{
    bool pairs = conv->operands[1]->type.dims[1].offset % 2 == 0 && sums_pairs(n, kernel);

    return goes_by_lanes(conv) && !(pairs && agate_narrow_owns_weights(kernel, conv));
}

static const char *refuses_use(const narrower *n, const agate_node *kernel, const agate_use *use)
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
        if (use->index != 0)
            return "it is no input of the convolution it feeds";
        if (goes_by_lanes(node) && sums_pairs(n, kernel))
            return NULL;
        return agate_narrow_has_tiles(kernel) || agate_narrow_has_taps(kernel) ? NULL
                                                                               : refuses_pairs(kernel, node);
    case AGATE_FAMILY_terminator:
        return "a kernel hands it on";
    default:
        return "an op that works on f32 alone reads it";
    }
}

/* Why the kernel cannot read operand `index` in 16 bits. */
static const char *refuses_operand(const narrower *n, const agate_node *kernel, int32_t index)
{
    const agate_value *param = kernel->body->params[index];
    const char *reason =
        agate_reduces_rows(kernel->body) ? "a kernel goes over its rows several times" : NULL;

    if (param->type.layout.kind == AGATE_LAYOUT_plain &&
        !is_tapped(&(agate_use){(agate_node *)kernel, index}))
        reason = "a kernel that is no convolution of few channels reads it as well";
    for (int32_t i = 0; i < param->use_count && !reason; i++)
        reason = refuses_use(n, kernel, &param->uses[i]);
    return reason;
}

static void collect(narrower *n, agate_graph *graph)
{
    int64_t count = 0;

    for (int32_t i = 0; i < graph->param_count; i++)
        graph->params[i]->scratch = 0;
    AGATE_EACH_NODE (node, graph)
        count += node->result_count;
    n->edges = AGATE_NEW_N(n->pass->scratch, agate_edge, count + 1);
    AGATE_EACH_NODE (node, graph)
        for (int32_t i = 0; i < node->result_count; i++) {
            agate_value *value = &node->results[i];
            agate_edge *e = is_eligible(node, value) ? &n->edges[n->edge_count++] : NULL;
            if (e)
                *e = (agate_edge){.value = value, .stays_blocked = !n->tiles};
            value->scratch = (int64_t)(intptr_t)e;
        }
}

/* A convolution reads it that has such planes; none: nothing is known of one. */
static void ask_planes(agate_edge *e, agate_planes planes)
{
    bool differ = e->wanted.count != planes.count || e->wanted.dtype != planes.dtype;

    if (e->wanted.count > 0 && planes.count > 0 && differ && !e->reason)
        e->reason = "convolutions of different precisions read it";
    if (e->wanted.count < planes.count)
        e->wanted = planes;
}

/* It is a shortcut of a convolution with planes of `dtype`; the first says. */
static void ask_half(agate_edge *e, agate_dtype dtype)
{
    if (e->halved_as == AGATE_DTYPE_NONE)
        e->halved_as = dtype;
}

static void tie(agate_value *a, agate_value *b)
{
    agate_edge *x = agate_edge_of(a), *y = agate_edge_of(b);

    if (!x || !y) {
        refuse(x ? a : b, "it is viewed as what stays f32");
    } else if (x != y) {
        y->reason = y->reason ? y->reason : x->reason;
        y->feeds_conv |= x->feeds_conv;
        y->is_multiplied |= x->is_multiplied;
        y->is_widened |= x->is_widened;
        ask_half(y, x->halved_as);
        ask_planes(y, x->wanted);
        y->stays_blocked |= x->stays_blocked;
        y->read_as_f32 |= x->read_as_f32;
        y->is_viewed = true;
        x->into = y;
    }
}

/* Do the channels of `type`, and those among which they lie, fill blocks of tiles? */
static bool fills_tile_blocks(const agate_type *type)
{
    return type->dims[1].offset % AGATE_AMX_BLOCK == 0 && agate_type_pitch(type) % AGATE_AMX_BLOCK == 0;
}

/* Its operands and its result are kept alike, and in blocks of tiles only where each begins with one. */
static void tie_view(agate_node *view)
{
    agate_value *result = agate_result(view);
    bool fills = fills_tile_blocks(&result->type) &&
                 (view->op != AGATE_OP_part || view->attrs.slice.starts.v[1] % AGATE_AMX_BLOCK == 0);

    for (int32_t i = 0; i < view->operand_count; i++) {
        fills &= fills_tile_blocks(&view->operands[i]->type);
        tie(view->operands[i], result);
    }
    if (!fills && agate_edge_of(result))
        agate_edge_of(result)->stays_blocked = true;
}

/* May the kernel write in blocks of another size than those it computes in? */
static bool writes_any_blocks(const agate_node *kernel, const agate_node *anchor)
{
    agate_part parts[AGATE_MAX_PARTS];

    return agate_narrow_has_tiles(kernel) || (anchor && agate_node_family(anchor) == AGATE_FAMILY_window) ||
           (anchor && anchor->op == AGATE_OP_conv && agate_conv_parts(anchor, parts) == 1);
}

/* Does the convolution read this operand as its input? */
static bool is_input(const agate_node *conv, int32_t index)
{
    return !conv->operands[0]->node && conv->operands[0]->index == index;
}

static void ask_kernel(const narrower *n, agate_node *kernel)
{
    const agate_node *yield = agate_kernel_yield(kernel), *anchor = agate_kernel_anchor(kernel);
    const agate_planes planes = agate_narrow_planes(n->pass, kernel);
    bool is_conv = anchor && anchor->op == AGATE_OP_conv;

    for (int32_t i = 0; i < kernel->result_count; i++) {
        agate_edge *e = agate_edge_of(&kernel->results[i]);
        if (!yield->operands[i]->node)
            refuse(&kernel->results[i], "a kernel hands on what it reads");
        if (e && !writes_any_blocks(kernel, anchor))
            e->stays_blocked = true;
    }
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        agate_edge *e = agate_edge_of(kernel->operands[i]);
        if (!e)
            continue;
        const char *reason = refuses_operand(n, kernel, i);
        if (is_conv && is_input(anchor, i) && planes.count == 0)
            reason = "a convolution that stays f32 reads it";
        if (reason)
            refuse(kernel->operands[i], reason);
        if (is_conv && is_input(anchor, i)) {
            ask_planes(e, planes);
            e->is_multiplied |= !keeps_weights(n, kernel, anchor);
            e->is_widened |= keeps_weights(n, kernel, anchor);
        } else if (is_conv && planes.count == 1) {
            ask_half(e, planes.dtype);
        }
        e->feeds_conv |= is_conv && planes.count > 0;
        e->stays_blocked |= !agate_narrow_has_tiles(kernel);
        e->read_as_f32 |= !agate_narrow_has_tiles(kernel);
    }
}

static void ask(const narrower *n, agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph) {
        if (node->op == AGATE_OP_kernel) {
            ask_kernel(n, node);
            continue;
        }
        if (node->op == AGATE_OP_join || node->op == AGATE_OP_part) {
            tie_view(node);
            continue;
        }
        for (int32_t i = 0; i < node->operand_count; i++)
            refuse(node->operands[i], "it is needed in f32");
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Weights of a convolution whose input is narrow become so as well. */
static bool reads_narrow(const agate_node *kernel, const agate_node *conv)
{
    const agate_value *x = conv->operands[0];
    return !x->node && agate_narrow_edge(kernel->operands[x->index]);
}

/* A matrix product of few rows takes as long as its weights come from memory: half of them take half as
 * long. */
static bool has_panels(const agate_node *kernel, const agate_node *matmul)
{
    return matmul->operands[1]->type.layout.kind == AGATE_LAYOUT_panel &&
           agate_narrow_owns_weights(kernel, matmul) && matmul->operands[1]->type.dtype == AGATE_F32 &&
           matmul->operands[1]->type.layout.block % 2 == 0;
}

static agate_narrowing narrowing_of(const narrower *n, const agate_node *kernel)
{
    const agate_node *anchor = agate_kernel_anchor(kernel);

    if (agate_narrow_has_tiles(kernel) || agate_narrow_has_taps(kernel))
        return (agate_narrowing)kernel->scratch;
    if (anchor && anchor->op == AGATE_OP_conv && reads_narrow(kernel, anchor))
        return keeps_weights(n, kernel, anchor) ? AGATE_NARROW_NOTHING : AGATE_NARROW_PAIRS;
    if (agate_narrow_planes(n->pass, kernel).count == 1 && anchor && anchor->op == AGATE_OP_matmul &&
        has_panels(kernel, anchor) && agate_pass_spend(n->pass, kernel, "weights of 16 bits"))
        return AGATE_NARROW_WEIGHTS;
    return AGATE_NARROW_NOTHING;
}

/* A view of narrow values, and one like it for each further plane. */
static void rewrite_view(const narrower *n, agate_node *view, const agate_edge *e)
{
    agate_value *result = agate_result(view), **planes = agate_own_edge(result)->planes;
    agate_value **operands = AGATE_NEW_N(n->pass->scratch, agate_value *, view->operand_count);

    result->type.dtype = e->wanted.dtype;
    if (!e->stays_blocked)
        result->type.layout.block = AGATE_AMX_BLOCK;
    planes[0] = result;
    for (int32_t i = 1; i < e->wanted.count; i++) {
        for (int32_t k = 0; k < view->operand_count; k++)
            operands[k] = agate_own_edge(view->operands[k])->planes[i];
        agate_node *other = agate_node_create(view->graph, view, view->op, operands, view->operand_count, 1);
        other->attrs = view->attrs;
        other->origin = view->origin;
        other->results[0].type = result->type;
        planes[i] = agate_result(other);
    }
}

/* In execution order: operands have their new types. Returns whether weights were rounded. */
static bool rewrite(const narrower *n, agate_node *node)
{
    if (node->op == AGATE_OP_join || node->op == AGATE_OP_part) {
        if (agate_narrow_edge(agate_result(node)))
            rewrite_view(n, node, agate_narrow_edge(agate_result(node)));
        return false;
    }
    if (node->op != AGATE_OP_kernel)
        return false;
    agate_narrowing how = narrowing_of(n, node);
    if (!agate_narrow_kernel(node, how, agate_narrow_planes(n->pass, node)))
        agate_pass_remark(n->pass, node, "memory is too short for weights in 16 bits");
    return how != AGATE_NARROW_NOTHING;
}

/* Several planes are kept of what kernels of tiles alone read; what views tie together lies in blocks of
 * tiles then. */
static const char *refuses_edge(const agate_edge *e)
{
    if (e->reason)
        return e->reason;
    if (!e->feeds_conv || e->wanted.count == 0)
        return "no convolution reads it";
    if (e->is_widened && !e->is_multiplied)
        return "convolutions that multiply it keep weights of f32";
    if (e->wanted.count > 1 && e->is_viewed && e->stays_blocked)
        return "it is viewed with others, in smaller blocks than those of tiles";
    return e->wanted.count > 1 && e->read_as_f32 ? "a kernel that has no products of tiles reads it" : NULL;
}

static bool choose_edge(const narrower *n, agate_edge *e)
{
    agate_node *node = e->value->node;

    if (e->into)
        return false;
    if (e->wanted.count == 0 && e->halved_as != AGATE_DTYPE_NONE)
        e->wanted = (agate_planes){e->halved_as, 1};
    const char *reason = refuses_edge(e);
    if (reason)
        agate_pass_remark(n->pass, node, "stays f32: %s", reason);
    else
        e->is_narrow = agate_pass_spend(
            n->pass, node, e->wanted.count == 1 ? agate_dtype_name(e->wanted.dtype) : "planes of bf16");
    return e->is_narrow;
}

/* Are planes asked for that the target has no use for? Then says so of each convolution that is left as it
 * is. */
static void decline(const narrower *n, const agate_graph *graph)
{
    const agate_pass *pass = n->pass;

    AGATE_EACH_NODE (node, graph) {
        const agate_node *anchor = node->op == AGATE_OP_kernel ? agate_kernel_anchor(node) : NULL;
        if (anchor && anchor->op == AGATE_OP_conv &&
            agate_precision_planes(agate_precision_of(pass->node_precisions, pass->precision, anchor)) > 1)
            agate_pass_remark(n->pass, node,
                              "stays f32: the target has no AMX, without which products of parts are slower");
    }
}

static bool has_work(const narrower *n, const agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_kernel && agate_narrow_planes(n->pass, node).count > 0)
            return true;
    return false;
}

bool agate_pass_narrow(agate_pass *pass, agate_graph *graph)
{
    narrower n = {.pass = pass, .tiles = agate_has_tile_products(pass->machine)};
    bool changed = false;

    if (pass->precision == AGATE_PRECISION_f32 && !pass->node_precisions)
        return false;
    if (!n.tiles)
        decline(&n, graph);
    if (!has_work(&n, graph))
        return false;
    AGATE_EACH_NODE (node, graph) {
        node->scratch = AGATE_NARROW_NOTHING;
        if (node->op == AGATE_OP_kernel)
            agate_narrow_choose(pass, node);
    }
    collect(&n, graph);
    ask(&n, graph);
    for (int64_t i = 0; i < n.edge_count; i++)
        changed |= choose_edge(&n, &n.edges[i]);
    AGATE_EACH_NODE (node, graph)
        changed |= rewrite(&n, node);
    return changed;
}
