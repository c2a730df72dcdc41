/* op_conv_transpose.c: transposed convolutions, as convolutions.
 *
 * Output element s*q + r (stride s, phase 0 <= r < s) only meets the taps r, r + s, r + 2s, ... of a kernel.
 * So each phase is an ordinary convolution of stride 1 with every s-th tap, reversed; all phases together are
 * one convolution with s times the channels along each dimension, whose phases are then interleaved:
 *
 *     weight [C, M, k]  --pad to J*s-->  [C, M, J, s]  --reverse J, transpose-->  [s*M, C, J]
 *     x [N, C, L]  --conv-->  [N, s*M, Q]  --slice, interleave-->  [N, M, Q*s]  --slice-->  the result
 *
 * The channels of a phase follow each other, so that images of blocked channels are interleaved vector by
 * vector. With groups, whose outputs have to stay together, or too many phases to name them all, a channel's
 * phases follow each other:
 *
 *     x [N, C, L]  --conv-->  [N, M*s, Q]  --transpose, reshape-->  [N, M, Q*s]  --slice-->  the result
 *
 * No multiplication by an inserted zero is left. Pads of the convolution give the elements that pads of the
 * transposed one leave, whole strides at a time; the slice takes the rest.
 */
#include "frontend/importer.h"

#include <inttypes.h>

typedef struct geometry {
    int32_t rank; /* spatial */
    int64_t group, in_channels, out_channels;
    agate_ints kernel, strides, dilations, pads, output_padding;
    int64_t in[AGATE_MAX_RANK], out[AGATE_MAX_RANK];
    bool by_phase; /* the channels of a phase follow each other, else the phases of a channel */
} geometry;

#define MOST_PHASES 16

/* Of one dimension: taps of each phase, pads of the convolution (begin, end) and where its result is cut. */
typedef struct phases {
    int64_t taps, begin, end, first, total;
} phases;

static bool check_channels(agate_call *call, geometry *g)
{
    const agate_type *x = &call->operands[0]->type, *w = &call->operands[1]->type;
    g->rank = x->rank - 2;
    g->group = agate_attr_int(call, "group", 1);
    if (g->rank < 1 || w->rank != x->rank)
        agate_call_invalid(call,
                           "its input has %d dimensions and its weight %d; they must agree, and be 3 or more",
                           x->rank, w->rank);
    else if (g->rank > 3)
        agate_call_unsupported(call, "it has %d spatial dimensions; at most 3 are supported", g->rank);
    for (int32_t i = 1; i < x->rank && !call->faulty; i++)
        if (!agate_dim_is_fixed(x->dims[i]) || !agate_dim_is_fixed(w->dims[i]))
            agate_call_unsupported(call, "it needs a fixed size for dimension %d", i);
    if (call->faulty)
        return false;
    g->in_channels = x->dims[1].offset;
    if (g->group < 1 || !agate_dim_is(w->dims[0], g->in_channels) || g->in_channels % g->group)
        agate_call_invalid(
            call, "its input has %" PRId64 " channels, its weight is for %" PRId64 " in %" PRId64 " groups",
            g->in_channels, w->dims[0].offset, g->group);
    else if (__builtin_mul_overflow(w->dims[1].offset, g->group, &g->out_channels) || g->out_channels < 1 ||
             g->out_channels > AGATE_MAX_EXTENT)
        agate_call_invalid(call, "its weight is for %" PRId64 " channels of its result", g->out_channels);
    for (int32_t i = 0; i < g->rank && !call->faulty; i++) {
        g->in[i] = x->dims[2 + i].offset;
        g->kernel.v[g->kernel.count++] = w->dims[2 + i].offset;
        if (g->in[i] < 1 || g->kernel.v[i] < 1)
            agate_call_unsupported(call, "dimension %d of its input or weight is empty", 2 + i);
    }
    return !call->faulty;
}

/* Splits what the result has too much into pads: `output_shape` and auto_pad determine it. */
static void share_pads(geometry *g, int32_t i, int64_t reach, agate_auto_pad mode)
{
    const int64_t whole = g->strides.v[i] * (g->in[i] - 1) + g->output_padding.v[i] + reach;
    const int64_t total = agate_max(whole - g->out[i], 0);
    g->pads.v[i] = mode == AGATE_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    g->pads.v[g->rank + i] = total - g->pads.v[i];
}

static bool read_sizes(agate_call *call, geometry *g)
{
    const agate_auto_pad mode = agate_attr_auto_pad(call);
    const bool given = agate_attr_has(call, "output_shape");
    agate_ints kernel, shape;

    agate_attr_window(call, "kernel_shape", g->rank, 1, 1, &kernel);
    agate_attr_window(call, "strides", g->rank, 1, 1, &g->strides);
    agate_attr_window(call, "dilations", g->rank, 1, 1, &g->dilations);
    agate_attr_window(call, "output_padding", g->rank, 0, 0, &g->output_padding);
    agate_attr_window(call, "output_shape", g->rank, 1, 1, &shape);
    agate_attr_window(call, "pads", 2 * g->rank, 0, 0, &g->pads);
    if (mode == AGATE_AUTO_PAD_VALID)
        memset(g->pads.v, 0, sizeof(g->pads.v));
    for (int32_t i = 0; i < g->rank && !call->faulty; i++) {
        if (agate_attr_has(call, "kernel_shape") && kernel.v[i] != g->kernel.v[i])
            agate_call_invalid(
                call, "attribute \"kernel_shape\" says %" PRId64 " for dimension %d, its weight %" PRId64,
                kernel.v[i], 2 + i, g->kernel.v[i]);
        /* Factors are at most 31 bits wide, so their products do not overflow. */
        const int64_t reach = (g->kernel.v[i] - 1) * g->dilations.v[i] + 1;
        g->out[i] = given ? shape.v[i] : g->in[i] * g->strides.v[i];
        if (given || mode == AGATE_AUTO_PAD_SAME_UPPER || mode == AGATE_AUTO_PAD_SAME_LOWER)
            share_pads(g, i, reach, mode);
        else
            g->out[i] = g->strides.v[i] * (g->in[i] - 1) + g->output_padding.v[i] + reach - g->pads.v[i] -
                        g->pads.v[g->rank + i];
        if (g->out[i] < 1 || g->out[i] > AGATE_MAX_EXTENT || reach > AGATE_MAX_EXTENT)
            agate_call_invalid(call, "dimension %d of its result would have %" PRId64 " elements", 2 + i,
                               g->out[i]);
    }
    return !call->faulty;
}

/* ---- the weight ---------------------------------------------------------------------------------------- */

static agate_value *emit_pad(agate_call *call, agate_value *x, int32_t axis, int64_t end)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_pad, &attrs);
    if (!x || end == 0)
        return x;
    attrs.pad.begins.count = attrs.pad.ends.count = x->type.rank;
    attrs.pad.ends.v[axis] = end;
    return agate_lower(call, AGATE_OP_pad, &attrs, &x, 1);
}

/* Puts dilation - 1 zeros behind each tap but the last, so that the dilation becomes 1. */
static agate_value *undilate(agate_call *call, agate_value *w, int32_t axis, int64_t dilation)
{
    agate_dim dims[AGATE_MAX_RANK];
    if (!w || dilation == 1)
        return w;
    const int32_t rank = w->type.rank;
    const int64_t reach = (w->type.dims[axis].offset - 1) * dilation + 1;
    for (int32_t i = 0; i < rank; i++)
        dims[i + (i > axis)] = w->type.dims[i];
    dims[axis + 1] = agate_dim_fixed(1);
    w = emit_pad(call, agate_lower_reshape(call, w, rank + 1, dims), axis + 1, dilation - 1);
    for (int32_t i = axis + 1; i < rank; i++)
        dims[i] = dims[i + 1];
    dims[axis] = agate_dim_fixed(reach + dilation - 1);
    w = agate_lower_reshape(call, w, rank, dims);
    if (!w)
        return NULL;
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = rank;
    for (int32_t i = 0; i < rank; i++) {
        attrs.slice.steps.v[i] = 1;
        attrs.slice.shape.v[i] = i == axis ? agate_dim_fixed(reach) : dims[i];
    }
    return agate_lower(call, AGATE_OP_slice, &attrs, &w, 1);
}

/* [C, M/g, k...] with `group` groups of C to [M, C/g, k...] */
static agate_value *swap_channels(agate_call *call, agate_value *w, const geometry *g)
{
    agate_dim dims[AGATE_MAX_RANK];
    int64_t perm[AGATE_MAX_RANK];
    if (!w)
        return NULL;
    const int32_t rank = g->rank + 3;
    dims[0] = agate_dim_fixed(g->group);
    dims[1] = agate_dim_fixed(g->in_channels / g->group);
    for (int32_t i = 2; i < rank; i++)
        dims[i] = w->type.dims[i - 1];
    for (int32_t i = 0; i < rank; i++)
        perm[i] = i == 1 ? 2 : i == 2 ? 1 : i;
    w = agate_lower_transpose(call, agate_lower_reshape(call, w, rank, dims), perm);
    dims[0] = agate_dim_fixed(g->out_channels);
    dims[1] = agate_dim_fixed(g->in_channels / g->group);
    for (int32_t i = 2; i < rank - 1; i++)
        dims[i] = dims[i + 1];
    return agate_lower_reshape(call, w, rank - 1, dims);
}

/* [M, C/g, J*s...], each dimension reversed in steps, to [M*s..., C/g, J...], or [s...*M, C, J...] by
 * phase */
static agate_value *split_phases(agate_call *call, agate_value *w, const geometry *g, const phases *p)
{
    agate_dim dims[AGATE_MAX_RANK];
    int64_t perm[AGATE_MAX_RANK], channels = g->out_channels;
    agate_attrs reverse;
    agate_attrs_init(AGATE_SET_slice, &reverse);
    const int32_t rank = 2 + 2 * g->rank;
    dims[0] = agate_dim_fixed(g->out_channels);
    dims[1] = agate_dim_fixed(g->in_channels / g->group);
    perm[g->by_phase ? g->rank : 0] = 0, perm[1 + g->rank] = 1;
    for (int32_t i = 0; i < g->rank; i++) {
        w = emit_pad(call, w, 2 + i,
                     p[i].taps * g->strides.v[i] - ((g->kernel.v[i] - 1) * g->dilations.v[i] + 1));
        dims[2 + 2 * i] = agate_dim_fixed(p[i].taps);
        dims[3 + 2 * i] = agate_dim_fixed(g->strides.v[i]);
        perm[i + !g->by_phase] = 3 + 2 * i;
        perm[2 + g->rank + i] = 2 + 2 * i;
        if (__builtin_mul_overflow(channels, g->strides.v[i], &channels) || channels > AGATE_MAX_EXTENT)
            agate_call_invalid(call, "its strides are too large");
    }
    w = agate_lower_reshape(call, w, rank, dims);
    reverse.slice.starts.count = reverse.slice.steps.count = reverse.slice.shape.count = rank;
    for (int32_t i = 0; i < rank; i++) {
        const bool taps = i >= 2 && i % 2 == 0;
        reverse.slice.shape.v[i] = dims[i];
        reverse.slice.steps.v[i] = taps && dims[i].offset > 1 ? -1 : 1;
        reverse.slice.starts.v[i] = taps ? dims[i].offset - 1 : 0;
    }
    w = w ? agate_lower(call, AGATE_OP_slice, &reverse, &w, 1) : NULL;
    w = agate_lower_transpose(call, w, perm);
    dims[0] = agate_dim_fixed(channels);
    for (int32_t i = 0; i < g->rank; i++)
        dims[2 + i] = agate_dim_fixed(p[i].taps);
    return agate_lower_reshape(call, w, 2 + g->rank, dims);
}

/* ---- the convolution ----------------------------------------------------------------------------------- */

/* Which elements of the whole result are wanted, in strides of the convolution and a rest. */
static phases plan_phases(const geometry *g, int32_t i)
{
    const int64_t s = g->strides.v[i], reach = (g->kernel.v[i] - 1) * g->dilations.v[i] + 1;
    const int64_t taps = agate_ceil_div(reach, s), skipped = agate_min(g->pads.v[i] / s, taps - 1);
    const int64_t end = agate_ceil_div(g->pads.v[i] + g->out[i], s); /* in strides of the whole result */
    const int64_t pad = agate_max(taps - 1 + end - (g->in[i] + taps - 1), 0);
    return (phases){.taps = taps,
                    .begin = taps - 1 - skipped,
                    .end = pad,
                    .first = g->pads.v[i] - skipped * s,
                    .total = g->in[i] + taps - 1 - skipped + pad - (taps - 1)};
}

/* One number per output channel, for each of its phases. */
static agate_value *spread_bias(agate_call *call, agate_value *bias, const geometry *g, int64_t channels)
{
    const int32_t phase = g->by_phase ? 0 : 1; /* the dimension of phases */
    agate_dim dims[2];
    if (!bias)
        return NULL;
    if (bias->type.rank != 1 || !agate_dim_is(bias->type.dims[0], g->out_channels)) {
        agate_call_invalid(call, "its bias is no vector of %" PRId64 " numbers", g->out_channels);
        return NULL;
    }
    dims[1 - phase] = agate_dim_fixed(g->out_channels);
    dims[phase] = agate_dim_fixed(1);
    bias = agate_lower_reshape(call, bias, 2, dims);
    dims[phase] = agate_dim_fixed(channels / g->out_channels);
    bias = agate_lower_expand(call, bias, 2, dims);
    dims[0] = agate_dim_fixed(channels);
    return agate_lower_reshape(call, bias, 1, dims);
}

/* Phase `phase` of [N, s...*M, Q...]. */
static agate_value *take_phase(agate_call *call, agate_value *y, const geometry *g, int64_t phase)
{
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.steps.count = attrs.slice.shape.count = y->type.rank;
    for (int32_t i = 0; i < y->type.rank; i++) {
        attrs.slice.steps.v[i] = 1;
        attrs.slice.shape.v[i] = i == 1 ? agate_dim_fixed(g->out_channels) : y->type.dims[i];
    }
    attrs.slice.starts.v[1] = phase * g->out_channels;
    return agate_lower(call, AGATE_OP_slice, &attrs, &y, 1);
}

/* [N, s...*M, Q...] to [N, M, Q*s...]: phases that differ in the last dimension alone are interleaved along
 * it, then those that differ in the last but one, and so on. */
static agate_value *interleave_phases(agate_call *call, agate_value *y, const geometry *g)
{
    agate_value *parts[MOST_PHASES];
    agate_attrs attrs;
    int64_t count = y->type.dims[1].offset / g->out_channels;
    agate_attrs_init(AGATE_SET_axis, &attrs);
    for (int64_t i = 0; i < count; i++)
        parts[i] = count > 1 ? take_phase(call, y, g, i) : y;
    for (int32_t axis = g->rank - 1; axis >= 0 && !call->faulty; axis--) {
        const int64_t stride = g->strides.v[axis];
        attrs.axis.axis = 2 + axis;
        for (int64_t i = 0; i < count / stride && stride > 1 && !call->faulty; i++)
            parts[i] = agate_lower(call, AGATE_OP_interleave, &attrs, &parts[i * stride], (int32_t)stride);
        count /= stride;
    }
    return call->faulty ? NULL : parts[0];
}

/* [N, M*s..., Q...] to [N, M, Q*s...] */
static agate_value *transpose_phases(agate_call *call, agate_value *y, const geometry *g, const phases *p)
{
    agate_dim dims[AGATE_MAX_RANK];
    int64_t perm[AGATE_MAX_RANK];
    const int32_t rank = 2 + 2 * g->rank;
    dims[0] = call->operands[0]->type.dims[0];
    dims[1] = agate_dim_fixed(g->out_channels);
    perm[0] = 0, perm[1] = 1;
    for (int32_t i = 0; i < g->rank; i++) {
        dims[2 + i] = agate_dim_fixed(g->strides.v[i]);
        dims[2 + g->rank + i] = agate_dim_fixed(p[i].total);
        perm[2 + 2 * i] = 2 + g->rank + i;
        perm[3 + 2 * i] = 2 + i;
    }
    y = agate_lower_transpose(call, agate_lower_reshape(call, y, rank, dims), perm);
    for (int32_t i = 0; i < g->rank; i++)
        dims[2 + i] = agate_dim_fixed(p[i].total * g->strides.v[i]);
    return agate_lower_reshape(call, y, 2 + g->rank, dims);
}

/* Of [N, M, Q*s...], what is wanted. */
static agate_value *cut(agate_call *call, agate_value *y, const geometry *g, const phases *p)
{
    agate_attrs cut;
    agate_attrs_init(AGATE_SET_slice, &cut);
    cut.slice.starts.count = cut.slice.steps.count = cut.slice.shape.count = y->type.rank;
    bool all = true;
    for (int32_t i = 0; i < y->type.rank; i++) {
        cut.slice.steps.v[i] = 1;
        cut.slice.starts.v[i] = i < 2 ? 0 : p[i - 2].first;
        cut.slice.shape.v[i] = i < 2 ? y->type.dims[i] : agate_dim_fixed(g->out[i - 2]);
        all = all && agate_dim_equal(cut.slice.shape.v[i], y->type.dims[i]);
    }
    return all ? y : agate_lower(call, AGATE_OP_slice, &cut, &y, 1);
}

void agate_import_conv_transpose(agate_call *call)
{
    geometry g = {0};
    phases p[3];
    agate_attrs attrs;
    agate_attrs_init(AGATE_SET_conv, &attrs);
    if (!check_channels(call, &g) || !read_sizes(call, &g))
        return;
    agate_value *w = call->operands[1];
    attrs.conv.group = g.group;
    attrs.conv.strides.count = attrs.conv.dilations.count = g.rank;
    attrs.conv.pads.count = 2 * g.rank;
    int64_t phase_count = 1;
    for (int32_t i = 0; i < g.rank; i++)
        phase_count = agate_min(phase_count * g.strides.v[i], MOST_PHASES + 1);
    g.by_phase = g.group == 1 && phase_count <= MOST_PHASES;
    for (int32_t i = 0; i < g.rank; i++) {
        p[i] = plan_phases(&g, i);
        attrs.conv.strides.v[i] = attrs.conv.dilations.v[i] = 1;
        attrs.conv.pads.v[i] = p[i].begin;
        attrs.conv.pads.v[g.rank + i] = p[i].end;
        w = undilate(call, w, 2 + i, g.dilations.v[i]);
    }
    w = split_phases(call, swap_channels(call, w, &g), &g, p);
    if (!w)
        return;
    agate_value *bias = agate_call_operand(call, 2);
    bias = spread_bias(call, bias, &g, w->type.dims[0].offset);
    agate_value *y =
        agate_lower(call, AGATE_OP_conv, &attrs, (agate_value *[]){call->operands[0], w, bias}, bias ? 3 : 2);
    if (y && phase_count > 1)
        y = g.by_phase ? interleave_phases(call, y, &g) : transpose_phases(call, y, &g, p);
    call->results[0] = y ? cut(call, y, &g, p) : NULL;
}
