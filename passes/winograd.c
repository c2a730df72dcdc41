/* winograd: 3x3 convolutions read transformed weights, where that is allowed by name and pays.
 *
 *     %0 = kernel(%x, %w, %b) {                       %0 = kernel(%x, %u, %b) {
 *       %a = conv $0, $1, $2 pads=[1, 1, 1, 1]  ==>     %a = winograd $0, $1, $2 pads=[1, 1, 1, 1]
 *       ...                                             ...
 *
 * with %w : f32[O,I,3,3] and %u : f32[O,t,t,I], u[o,:,:,i] = G w[o,i] G^T (runtime/ref/winograd.h), t = 4 or
 * 6. Each output then takes t*t / (t-2)^2 products per channel, 4 or 2.25, in place of 9, but the sums are of
 * differences, so results are not those of a convolution to the last bit: the pass does nothing unless it is
 * allowed. Weights are transformed in double and rounded once. Needs layouts; breaks nothing.
 */
#include "passes/winograd.h"

#include <stdlib.h>

#include "ir/narrow.h"
#include "ir/parts.h"
#include "ir/reorder.h"
#include "passes/rewrite.h"
#include "runtime/ref/winograd.h"

/* ---- weights ------------------------------------------------------------------------------------------- */

/* An owner of deferred data. */
typedef struct transform {
    agate_type from; /* [O,I,3,3] */
    int64_t t;
    int64_t block; /* outputs that lie together */
} transform;

static int64_t size_of(const agate_type *type)
{
    agate_dim size = {0, 0};
    agate_type_size(type, &size);
    return size.offset;
}

/* u[k] = (G g G^T)[k] for each of the t*t points k, `stride` apart. */
static void transform_filter(const agate_winograd_matrices *m, int64_t t, const float *g, float *u,
                             int64_t stride)
{
    double half[AGATE_WINOGRAD_MOST][3];

    for (int64_t r = 0; r < t; r++)
        for (int64_t c = 0; c < 3; c++)
            half[r][c] =
                m->g[r][0] * (double)g[c] + m->g[r][1] * (double)g[3 + c] + m->g[r][2] * (double)g[6 + c];
    for (int64_t r = 0; r < t; r++)
        for (int64_t c = 0; c < t; c++)
            u[(r * t + c) * stride] =
                (float)(half[r][0] * m->g[c][0] + half[r][1] * m->g[c][1] + half[r][2] * m->g[c][2]);
}

static void transform_all(const transform *tr, const float *plain, float *out)
{
    const agate_winograd_matrices *m = agate_winograd_matrices_of((int)tr->t);
    int64_t filters = tr->from.dims[0].offset, channels = tr->from.dims[1].offset;
    int64_t point = channels * tr->block, panel = tr->t * tr->t * point;

    for (int64_t o = 0; o < filters; o++)
        for (int64_t i = 0; i < channels; i++)
            transform_filter(m, tr->t, plain + (o * channels + i) * 9,
                             out + o / tr->block * panel + i * tr->block + o % tr->block, point);
}

static bool make_all(const agate_data *data, void *out)
{
    const transform *tr = data->owner;
    agate_type plain = agate_type_make(AGATE_F32, tr->from.rank, tr->from.dims);
    size_t plain_bytes = (size_t)size_of(&plain);
    void *packed = agate_block_create(data->source->size_bytes), *unpacked = agate_block_create(plain_bytes);
    bool good = packed && unpacked && agate_data_read(data->source, 0, data->source->size_bytes, packed) &&
                agate_reorder_bytes(&tr->from, packed, &plain, unpacked);

    if (good) {
        if (tr->from.dims[0].offset % tr->block)
            memset(out, 0, data->size_bytes); /* there are pads */
        transform_all(tr, unpacked, out);
    }
    agate_block_release(packed, data->source->size_bytes);
    agate_block_release(unpacked, plain_bytes);
    return good;
}

/* An agate_make_fn. Parts of it are wanted by nobody but a reader of single elements. */
static bool make_transformed(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    if (size_bytes == data->size_bytes)
        return make_all(data, out);
    char *all = agate_block_create(data->size_bytes);
    bool good = all && make_all(data, all);
    if (good)
        memcpy(out, all + first_bytes, size_bytes);
    agate_block_release(all, data->size_bytes);
    return good;
}

/* Transformed weights in front of `kernel`; NULL where memory is short. */
static agate_value *transformed(agate_node *kernel, const agate_value *weights, int64_t t, int64_t block)
{
    agate_node *node = weights->node;
    const agate_type *from = &weights->type;
    const agate_dim dims[] = {from->dims[0], agate_dim_fixed(t), agate_dim_fixed(t), from->dims[1]};
    agate_type type = agate_type_make(AGATE_F32, 4, dims);
    agate_data *data = NULL;

    type.layout = (agate_layout){.kind = AGATE_LAYOUT_o, .block = (uint16_t)block};
    if (node->data) {
        transform *tr = malloc(sizeof *tr);
        data =
            tr ? agate_data_create_deferred((size_t)size_of(&type), make_transformed, node->data, tr) : NULL;
        if (!data) {
            free(tr);
            return NULL;
        }
        *tr = (transform){*from, t, block};
    }
    agate_value *value = agate_build_constant(kernel->graph, kernel, &type, data, node->label);
    value->node->op = node->op;
    value->node->origin = node->origin;
    return value;
}

/* ---- choice -------------------------------------------------------------------------------------------- */

/* Why a convolution that stands alone among scalar ops cannot be one; NULL: it can. */
static const char *refuses(const agate_node *kernel, const agate_node *conv)
{
    const agate_attrs_conv *attrs = &conv->attrs.conv;
    const agate_type *w = &conv->operands[1]->type;
    agate_part parts[AGATE_MAX_PARTS];

    if (w->rank != 4 || !agate_dim_is(w->dims[2], 3) || !agate_dim_is(w->dims[3], 3))
        return "the kernel is not 3x3";
    if (!agate_ints_are(&attrs->strides, 1))
        return "the stride is not 1";
    if (!agate_ints_are(&attrs->dilations, 1))
        return "the kernel is dilated";
    if (attrs->group != 1)
        return "it is in groups";
    if (agate_is_half(agate_unwidened(conv->operands[1])))
        return "its products are of 16 bits";
    if (w->layout.kind != AGATE_LAYOUT_oi || conv->results[0].type.layout.kind != AGATE_LAYOUT_channel)
        return "its input or result is not in blocked layout";
    if (agate_conv_parts(conv, parts) > 1)
        return "its channels are cut into parts";
    AGATE_EACH_NODE (node, kernel->body)
        if (node != conv && agate_node_family(node) != AGATE_FAMILY_pointwise &&
            !agate_node_has(node, AGATE_TERMINATOR) && !agate_node_has(node, AGATE_CONSTANT))
            return "its kernel holds more than scalar ops";
    for (int32_t i = 0; i < conv->operand_count; i++)
        if (conv->operands[i]->node || conv->operands[i]->use_count != 1)
            return "an operand of it is computed or used elsewhere in its kernel";
    return agate_is_constant(agate_kernel_operand(kernel, conv->operands[1]))
               ? NULL
               : "its weights are not constant";
}

/* The algorithm of least cost, or t = 0 where the convolution as it is takes less. */
static agate_winograd_choice choose(agate_pass *pass, const agate_node *kernel, const agate_node *conv)
{
    const agate_type *w = &conv->operands[1]->type, *y = &conv->results[0].type;
    int64_t filters = w->dims[0].offset, channels = w->dims[1].offset;
    double direct = agate_direct_conv_cycles(pass->machine, conv, &filters, 1) * (double)channels * 9;
    agate_winograd_choice best = {.cycles = direct};

    for (int64_t t = 4; t <= 6; t += 2) {
        agate_winograd_choice one = agate_winograd_choose(pass->machine, t, channels, filters,
                                                          y->dims[2].offset, y->dims[3].offset, 0);
        agate_pass_remark(pass, kernel, "as F(%dx%d,3x3) it would take %.2f of the time", (int)t - 2,
                          (int)t - 2, one.cycles / direct);
        if (one.cycles < best.cycles)
            best = one;
    }
    return best;
}

static bool rewrite(agate_pass *pass, agate_node *kernel, agate_node *conv,
                    const agate_winograd_choice *choice)
{
    int32_t index = conv->operands[1]->index;
    agate_value *weights = kernel->operands[index];
    agate_value *u = transformed(kernel, weights, choice->t, (int64_t)choice->tiles.oc * choice->tiles.v);

    if (!u) {
        agate_pass_remark(pass, kernel, "memory is too short for transformed weights");
        return false;
    }
    agate_node_set_operand(kernel, index, u);
    kernel->body->params[index]->type = u->type;
    if (weights->use_count == 0)
        agate_node_remove(weights->node);
    conv->op = AGATE_OP_winograd;
    return true;
}

bool agate_pass_winograd(agate_pass *pass, agate_graph *graph)
{
    bool changed = false, allowed = (pass->allowed >> AGATE_STRATEGY_winograd & 1) != 0;

    AGATE_EACH_NODE (node, graph) {
        agate_node *conv = node->op == AGATE_OP_kernel ? agate_kernel_anchor(node) : NULL;
        if (!conv || conv->op != AGATE_OP_conv)
            continue;
        const char *reason = allowed ? refuses(node, conv) : "it is not allowed (--allow winograd)";
        if (reason) {
            agate_pass_remark(pass, node, "winograd refused: %s", reason);
            continue;
        }
        agate_winograd_choice choice = choose(pass, node, conv);
        if (!choice.t)
            agate_pass_remark(pass, node, "winograd refused: the convolution as it is takes less time");
        else if (agate_pass_spend(pass, node, choice.t == 4 ? "F(2x2,3x3)" : "F(4x4,3x3)"))
            changed |= rewrite(pass, node, conv, &choice);
    }
    return changed;
}
