/* emit_winograd.c: strategy winograd: a 3x3 convolution by Winograd's minimal filtering (Lavin and Gray 2016,
 * arXiv 1509.09308; the matrices are in runtime/ref/winograd.h).
 *
 *     tasks      image, run of `grain` tiles, group of `ocs` panels; a tile is m x m outputs, made from t x t
 *                inputs
 *     in a task  1. B^T d B of each tile and block of input channels, to the workspace
 *                2. for each panel of output channels: t*t matrix products of tiles by channels, to the
 *                   workspace,
 *                3. then A^T (sums) A of each tile, the scalar ops behind it, and the result
 *
 * The workspace holds, in floats:
 *
 *     inputs     [chunk][t*t][block of channels][ow tiles][v]    a chunk is the `ow` tiles of a register tile
 *     products   [t*t][chunk][ow tiles][oc][v]
 *     edge       [t*t][v]      a tile that does not lie in the image as a whole
 *
 * The last chunk is filled up with tiles that nobody reads. Rows of both arrays are a cache line longer than
 * they need be: at powers of two they would meet in few places of the cache. */
#include "backend/emit_winograd.h"

#include "backend/emit_tile.h"
#include "runtime/ref/winograd.h"

#define LINE       16 /* floats in a cache line */
#define MAX_AHEAD  32
#define MOST       AGATE_WINOGRAD_MOST
#define MOST_BYTES (INT64_C(1) << 30) /* of a workspace: more is no sound plan (runtime/sound.c) */

typedef struct winograd {
    agate_emitter *e;
    const agate_node *kernel, *anchor;
    int64_t t, m, points; /* points: t*t */
    int64_t in[2], out[2], pads[2];
    int64_t image_stride; /* elements from one input image to the next */
    int64_t channels, blocks;
    int64_t filters;
    int64_t lanes, vectors; /* of a panel */
    int64_t panel_channels; /* vectors * lanes */
    int64_t across, tiles;  /* in a row of the image, and in all of it */
    int64_t ow, grain, chunks;
    int64_t runs, panels, group, groups;  /* of an image; panels of a task */
    int64_t input_stride, product_stride; /* from point to point */
    LLVMValueRef inputs, products, edge;
    LLVMValueRef image, first, count; /* tiles of the task */
    LLVMValueRef chunk_count;
} winograd;

static void measure(winograd *w, const agate_node *kernel)
{
    const agate_tiles *tiles = &kernel->tiles;
    int32_t vectors, ow;

    w->kernel = kernel;
    w->anchor = agate_emit_anchor_of(kernel);
    const agate_type *x = &w->anchor->operands[0]->type, *u = &w->anchor->operands[1]->type;
    const agate_type *y = &w->anchor->results[0].type;
    w->t = u->dims[1].offset;
    w->m = w->t - 2;
    w->points = w->t * w->t;
    for (int32_t i = 0; i < 2; i++) {
        w->in[i] = x->dims[2 + i].offset;
        w->out[i] = y->dims[2 + i].offset;
        w->pads[i] = w->anchor->attrs.conv.pads.v[i];
    }
    w->channels = x->dims[1].offset;
    w->filters = u->dims[0].offset;
    w->lanes = y->layout.block;
    w->panel_channels = u->layout.block;
    w->vectors = w->panel_channels / w->lanes;
    w->blocks = agate_ceil_div(w->channels, w->lanes);
    w->across = agate_ceil_div(w->out[1], w->m);
    w->tiles = agate_ceil_div(w->out[0], w->m) * w->across;
    agate_tile_clamp((int32_t)w->vectors, tiles->ow, &vectors, &ow);
    w->ow = ow;
    w->chunks =
        agate_ceil_div(agate_max(1, tiles->grain > 0 ? agate_min(tiles->grain, w->tiles) : w->tiles), w->ow);
    w->grain = w->chunks * w->ow;
    w->runs = agate_max(1, agate_ceil_div(w->tiles, w->grain));
    w->panels = agate_ceil_div(w->filters, w->panel_channels);
    w->group = agate_max(1, tiles->ocs > 0 ? agate_min(tiles->ocs, w->panels) : w->panels);
    w->groups = agate_max(1, agate_ceil_div(w->panels, w->group));
    w->input_stride = w->blocks * w->ow * w->lanes + LINE;
    w->product_stride = w->chunks * w->ow * w->panel_channels + LINE;
}

static int64_t workspace_floats(const winograd *w)
{
    return w->chunks * w->points * w->input_stride + w->points * w->product_stride + w->points * w->lanes;
}

int64_t agate_winograd_workspace_bytes(const agate_node *kernel)
{
    winograd w = {0};

    measure(&w, kernel);
    return workspace_floats(&w) * (int64_t)sizeof(float);
}

const char *agate_winograd_refuses(const agate_node *kernel)
{
    const agate_node *anchor = agate_emit_anchor_of(kernel);
    const agate_layout x = anchor->operands[0]->type.layout, u = anchor->operands[1]->type.layout;
    const agate_layout y = anchor->results[0].type.layout;

    if (x.kind != AGATE_LAYOUT_channel || y.kind != AGATE_LAYOUT_channel || x.block != y.block)
        return "its images are not in one blocked layout";
    if (u.kind != AGATE_LAYOUT_o || u.block % y.block || u.block / y.block > AGATE_MAX_VECTORS)
        return "its weights do not lie in panels of such blocks";
    for (int32_t i = 0; i < anchor->operand_count; i++)
        if (anchor->operands[i]->node)
            return "its operands are computed in the kernel";
    return agate_winograd_workspace_bytes(kernel) > MOST_BYTES ? "its tiles ask for too large a workspace"
                                                               : NULL;
}

agate_dim agate_tasks_winograd(const agate_node *kernel)
{
    winograd w = {0};

    measure(&w, kernel);
    return agate_dim_times(w.anchor->results[0].type.dims[0], w.runs * w.groups);
}

/* ---- lines of the transforms --------------------------------------------------------------------------- */

static LLVMValueRef add(const winograd *w, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFAdd(w->e->builder, a, b, "");
}

static LLVMValueRef sub(const winograd *w, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFSub(w->e->builder, a, b, "");
}

/* factor*a + b */
static LLVMValueRef mad(const winograd *w, double factor, LLVMValueRef a, LLVMValueRef b)
{
    return agate_emit_fma(w->e, a, agate_emit_float(w->e, factor, (int32_t)w->lanes), b);
}

/* B^T d */
static void input_line(const winograd *w, LLVMValueRef *d)
{
    if (w->t == 4) {
        LLVMValueRef v[4] = {sub(w, d[0], d[2]), add(w, d[1], d[2]), sub(w, d[2], d[1]), sub(w, d[1], d[3])};
        memcpy(d, v, sizeof v);
        return;
    }
    LLVMValueRef even = mad(w, -4, d[2], d[4]), odd = mad(w, -4, d[1], d[3]);
    LLVMValueRef far = sub(w, d[4], d[2]), near = sub(w, d[3], d[1]);
    LLVMValueRef v[6] = {mad(w, 4, d[0], mad(w, -5, d[2], d[4])),
                         add(w, even, odd),
                         sub(w, even, odd),
                         mad(w, 2, near, far),
                         mad(w, -2, near, far),
                         mad(w, 4, d[1], mad(w, -5, d[3], d[5]))};
    memcpy(d, v, sizeof v);
}

/* A^T s: the first m of `s`. */
static void output_line(const winograd *w, LLVMValueRef *s)
{
    LLVMValueRef sum = add(w, s[1], s[2]), difference = sub(w, s[1], s[2]);

    if (w->t == 4) {
        LLVMValueRef y[2] = {add(w, s[0], sum), sub(w, difference, s[3])};
        memcpy(s, y, sizeof y);
        return;
    }
    LLVMValueRef sum_far = add(w, s[3], s[4]), difference_far = sub(w, s[3], s[4]);
    LLVMValueRef y[4] = {add(w, add(w, s[0], sum), sum_far), mad(w, 2, difference_far, difference),
                         mad(w, 4, sum_far, sum), add(w, mad(w, 8, difference_far, difference), s[5])};
    memcpy(s, y, sizeof y);
}

/* ---- tiles --------------------------------------------------------------------------------------------- */

static LLVMValueRef load(const winograd *w, LLVMValueRef base, int64_t offset)
{
    LLVMValueRef vector = LLVMBuildLoad2(w->e->builder, agate_emit_type(w->e, AGATE_F32, (int32_t)w->lanes),
                                         agate_emit_advance(w->e, base, NULL, 0, offset), "");
    LLVMSetAlignment(vector, (unsigned)w->lanes * 4);
    return vector;
}

static void store(const winograd *w, LLVMValueRef vector, LLVMValueRef base, int64_t offset)
{
    LLVMSetAlignment(LLVMBuildStore(w->e->builder, vector, agate_emit_advance(w->e, base, NULL, 0, offset)),
                     (unsigned)w->lanes * 4);
}

/* Row and column of the image's tile `number`. */
static void place_of(const winograd *w, LLVMValueRef number, LLVMValueRef *out_row, LLVMValueRef *out_column)
{
    agate_emit_divide(w->e, number, w->across, out_row, out_column);
}

/* ---- inputs -------------------------------------------------------------------------------------------- */

/* A tile's place in the input: coordinates of its first element, and those of its elements that lie in the
 * image. */
typedef struct window {
    LLVMValueRef at[2], lo[2], hi[2];
    LLVMValueRef inside; /* i1: all of them do */
} window;

static window window_of(const winograd *w, LLVMValueRef row, LLVMValueRef column)
{
    agate_emitter *e = w->e;
    LLVMValueRef place[2] = {row, column};
    window win = {0};

    for (int32_t i = 0; i < 2; i++) {
        win.at[i] = agate_emit_add(e, agate_emit_mul(e, place[i], w->m), agate_emit_int(e, -w->pads[i]));
        win.lo[i] = agate_emit_max(e, LLVMBuildNSWNeg(e->builder, win.at[i], ""), agate_emit_int(e, 0));
        win.hi[i] = agate_emit_min(e, agate_emit_sub(e, agate_emit_int(e, w->in[i]), win.at[i]),
                                   agate_emit_int(e, w->t));
        LLVMValueRef begins = LLVMBuildICmp(e->builder, LLVMIntSGE, win.at[i], agate_emit_int(e, 0), "");
        LLVMValueRef ends =
            LLVMBuildICmp(e->builder, LLVMIntSLE, win.at[i], agate_emit_int(e, w->in[i] - w->t), "");
        LLVMValueRef both = LLVMBuildAnd(e->builder, begins, ends, "");
        win.inside = win.inside ? LLVMBuildAnd(e->builder, win.inside, both, "") : both;
    }
    return win;
}

/* Copies what there is of a tile to `edge`, zeros elsewhere. */
static void copy_edge(const winograd *w, const window *win, LLVMValueRef source)
{
    agate_emitter *e = w->e;
    LLVMValueRef zero = agate_emit_float(e, 0, (int32_t)w->lanes);

    for (int64_t i = 0; i < w->points; i++)
        store(w, zero, w->edge, i * w->lanes);
    agate_loop rows = agate_loop_begin(e, win->lo[0], win->hi[0], 1, NULL, 0);
    agate_loop columns = agate_loop_begin(e, win->lo[1], win->hi[1], 1, NULL, 0);
    LLVMValueRef from = agate_emit_advance(e, source, rows.index, w->in[1] * w->lanes, 0);
    LLVMValueRef to = agate_emit_advance(e, w->edge, rows.index, w->t * w->lanes, 0);
    from = agate_emit_advance(e, from, columns.index, w->lanes, 0);
    to = agate_emit_advance(e, to, columns.index, w->lanes, 0);
    store(w, load(w, from, 0), to, 0);
    agate_loop_end(e, &columns, NULL);
    agate_loop_end(e, &rows, NULL);
}

/* The tile whose rows begin at `base` and lie `pitch` apart, to each point of `target`. */
static void transform_tile(const winograd *w, LLVMValueRef base, LLVMValueRef pitch, LLVMValueRef target)
{
    LLVMValueRef d[MOST][MOST];

    for (int64_t r = 0; r < w->t; r++) {
        for (int64_t c = 0; c < w->t; c++)
            d[r][c] = load(w, base, c * w->lanes);
        input_line(w, d[r]);
        base = LLVMBuildGEP2(w->e->builder, agate_emit_type(w->e, AGATE_F32, 1), base, &pitch, 1, "");
    }
    for (int64_t c = 0; c < w->t; c++) {
        LLVMValueRef line[MOST];
        for (int64_t r = 0; r < w->t; r++)
            line[r] = d[r][c];
        input_line(w, line);
        for (int64_t r = 0; r < w->t; r++)
            store(w, line[r], target, (r * w->t + c) * w->input_stride);
    }
}

/* Tiles of a block of channels follow each other, so that rows of the image are read, and points written, in
 * order. */
static void transform_inputs(const winograd *w)
{
    agate_emitter *e = w->e;
    int64_t plane = w->in[0] * w->in[1] * w->lanes;
    LLVMValueRef images = e->params[w->anchor->operands[0]->index], row, column, chunk, place;

    agate_loop blocks = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, w->blocks), 1, NULL, 0);
    LLVMValueRef image = agate_emit_advance(e, images, w->image, w->image_stride, 0);
    image = agate_emit_advance(e, image, blocks.index, plane, 0);
    LLVMValueRef points = agate_emit_advance(e, w->inputs, blocks.index, w->ow * w->lanes, 0);

    agate_loop tiles = agate_loop_begin(e, agate_emit_int(e, 0), w->count, 1, NULL, 0);
    place_of(w, agate_emit_add(e, w->first, tiles.index), &row, &column);
    window win = window_of(w, row, column);
    agate_emit_divide(e, tiles.index, w->ow, &chunk, &place);
    LLVMValueRef target = agate_emit_advance(e, points, chunk, w->points * w->input_stride, 0);
    target = agate_emit_advance(e, target, place, w->lanes, 0);
    LLVMValueRef source = agate_emit_advance(e, image, win.at[0], w->in[1] * w->lanes, 0);
    source = agate_emit_advance(e, source, win.at[1], w->lanes, 0);
    LLVMValueRef pitch = LLVMBuildSelect(e->builder, win.inside, agate_emit_int(e, w->in[1] * w->lanes),
                                         agate_emit_int(e, w->t * w->lanes), "");
    agate_branch branch = agate_branch_begin(e, LLVMBuildNot(e->builder, win.inside, ""));
    copy_edge(w, &win, source);
    source = agate_branch_end(e, &branch, w->edge, source);
    transform_tile(w, agate_emit_opaque(e, source), pitch, agate_emit_opaque(e, target));
    agate_loop_end(e, &tiles, NULL);
    agate_loop_end(e, &blocks, NULL);
}

/* ---- products ------------------------------------------------------------------------------------------ */

/* Channels first <= ic < last of a block, `unroll` at a time. */
static void sum_channels(const winograd *w, agate_tile *tile, LLVMValueRef weights, LLVMValueRef inputs,
                         LLVMValueRef ahead, int64_t first, int64_t last, int64_t unroll)
{
    agate_emitter *e = w->e;
    int64_t lines = agate_min(w->kernel->tiles.ahead, MAX_AHEAD);
    agate_loop loop =
        agate_tile_loop_begin(e, tile, agate_emit_int(e, first), agate_emit_int(e, last), unroll);
    LLVMValueRef u = agate_emit_opaque(e, agate_emit_advance(e, weights, loop.index, w->panel_channels, 0));
    LLVMValueRef v = agate_emit_opaque(e, agate_emit_advance(e, inputs, loop.index, 1, 0));

    if (lines > 0) {
        ahead = agate_emit_advance(e, ahead, loop.index, lines * LINE / unroll, 0);
        for (int64_t i = 0; i < lines; i++)
            agate_emit_prefetch(e, agate_emit_advance(e, ahead, NULL, 0, i * LINE), false);
    }
    for (int64_t ic = 0; ic < unroll; ic++)
        agate_tile_step(e, tile, u, ic * w->panel_channels, v, ic, UINT32_MAX);
    agate_tile_loop_end(e, tile, &loop);
}

/* Products of one chunk and point. `weights` are the panel's, `ahead` what is to be fetched while they are
 * used. */
static void sum_products(const winograd *w, agate_tile *tile, LLVMValueRef weights, LLVMValueRef inputs,
                         LLVMValueRef ahead)
{
    agate_emitter *e = w->e;
    int64_t unroll = agate_max(1, agate_min(w->kernel->tiles.ic, w->lanes)), rest = w->channels % w->lanes;
    int64_t whole = w->channels / w->lanes, lines = agate_min(w->kernel->tiles.ahead, MAX_AHEAD);
    int64_t block_ahead = w->lanes / unroll * lines * LINE;

    unroll = w->lanes % unroll ? 1 : unroll;
    for (int32_t i = 0; i < tile->vectors * tile->points; i++)
        tile->sums[i] = agate_emit_float(e, 0, tile->lanes);
    if (whole) {
        agate_tile_parts parts = agate_tile_parts_begin(e, tile, whole, w->kernel->tiles.kc / w->lanes);
        agate_loop blocks = agate_tile_loop_begin(e, tile, parts.lo, parts.hi, 1);
        sum_channels(w, tile, agate_emit_advance(e, weights, blocks.index, w->lanes * w->panel_channels, 0),
                     agate_emit_advance(e, inputs, blocks.index, w->ow * w->lanes, 0),
                     agate_emit_advance(e, ahead, blocks.index, block_ahead, 0), 0, w->lanes, unroll);
        agate_tile_loop_end(e, tile, &blocks);
        agate_tile_parts_end(e, tile, &parts);
    }
    if (rest) /* the lanes behind are pads, and may hold anything */
        sum_channels(w, tile, agate_emit_advance(e, weights, NULL, 0, whole * w->lanes * w->panel_channels),
                     agate_emit_advance(e, inputs, NULL, 0, whole * w->ow * w->lanes),
                     agate_emit_advance(e, ahead, NULL, 0, whole * block_ahead), 0, rest, 1);
}

/* All points of a panel, of which `vectors` exist. */
static void multiply(const winograd *w, LLVMValueRef panel, int64_t vectors)
{
    agate_emitter *e = w->e;
    int64_t point_weights = w->channels * w->panel_channels;
    int64_t lines = agate_min(w->kernel->tiles.ahead, MAX_AHEAD);
    int64_t unroll = agate_max(1, agate_min(w->kernel->tiles.ic, w->lanes));
    LLVMValueRef u = e->params[w->anchor->operands[1]->index];
    agate_tile tile = {.lanes = (int32_t)w->lanes,
                       .vectors = (int32_t)vectors,
                       .points = (int32_t)w->ow,
                       .vector_stride = w->lanes,
                       .align_bytes = (int32_t)w->lanes * 4};

    for (int64_t i = 0; i < w->ow; i++)
        tile.point_at[i] = i * w->lanes;
    u = agate_emit_advance(e, u, panel, w->points * point_weights, 0);
    agate_loop points = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, w->points), 1, NULL, 0);
    LLVMValueRef weights = agate_emit_advance(e, u, points.index, point_weights, 0);
    LLVMValueRef inputs = agate_emit_advance(e, w->inputs, points.index, w->input_stride, 0);
    LLVMValueRef products = agate_emit_advance(e, w->products, points.index, w->product_stride, 0);

    agate_loop chunks = agate_loop_begin(e, agate_emit_int(e, 0), w->chunk_count, 1, NULL, 0);
    LLVMValueRef ahead =
        agate_emit_advance(e, weights, chunks.index, w->channels / unroll * lines * LINE, point_weights);
    sum_products(w, &tile, weights,
                 agate_emit_advance(e, inputs, chunks.index, w->points * w->input_stride, 0), ahead);
    LLVMValueRef to = agate_emit_advance(e, products, chunks.index, w->ow * w->panel_channels, 0);
    for (int64_t i = 0; i < w->ow; i++)
        for (int64_t j = 0; j < vectors; j++)
            store(w, tile.sums[i * vectors + j], to, i * w->panel_channels + j * w->lanes);
    agate_loop_end(e, &chunks, NULL);
    agate_loop_end(e, &points, NULL);
}

/* ---- outputs ------------------------------------------------------------------------------------------- */

/* Where a vector of outputs of a tile stands. */
typedef struct place {
    LLVMValueRef channel, y, x; /* of the tile's first output */
    LLVMValueRef live, bias;    /* either may be NULL */
} place;

static void finish(const winograd *w, const place *at, LLVMValueRef row, LLVMValueRef column,
                   LLVMValueRef vector)
{
    agate_emitter *e = w->e;
    agate_coords coords = agate_coords_make(e, 4);

    coords.vector = 1;
    coords.lanes = (int32_t)w->lanes;
    coords.at[0] = w->image;
    coords.at[1] = at->channel;
    coords.at[2] = agate_emit_add(e, at->y, row);
    coords.at[3] = agate_emit_add(e, at->x, column);
    coords.live = at->live;
    agate_tile_finish(e, &w->anchor->results[0], at->bias ? add(w, vector, at->bias) : vector, coords);
}

/* A^T s A of the products at `base`, row by row: to the result, or where `edge` to w->edge. */
static void transform_products(const winograd *w, const place *at, LLVMValueRef base, bool edge)
{
    agate_emitter *e = w->e;
    LLVMValueRef s[MOST][MOST]; /* [column][row] */

    for (int64_t c = 0; c < w->t; c++) {
        for (int64_t r = 0; r < w->t; r++)
            s[c][r] = load(w, base, (r * w->t + c) * w->product_stride);
        output_line(w, s[c]);
    }
    for (int64_t r = 0; r < w->m; r++) {
        LLVMValueRef line[MOST];
        for (int64_t c = 0; c < w->t; c++)
            line[c] = s[c][r];
        output_line(w, line);
        for (int64_t c = 0; c < w->m; c++) {
            if (edge)
                store(w, line[c], w->edge, (r * w->m + c) * w->lanes);
            else
                finish(w, at, agate_emit_int(e, r), agate_emit_int(e, c), line[c]);
        }
    }
}

/* The outputs in w->edge that lie in the image. */
static void finish_edge(const winograd *w, const place *at)
{
    agate_emitter *e = w->e;
    LLVMValueRef zero = agate_emit_int(e, 0), most = agate_emit_int(e, w->m);
    LLVMValueRef height = agate_emit_min(e, agate_emit_sub(e, agate_emit_int(e, w->out[0]), at->y), most);
    LLVMValueRef width = agate_emit_min(e, agate_emit_sub(e, agate_emit_int(e, w->out[1]), at->x), most);

    agate_loop rows = agate_loop_begin(e, zero, height, 1, NULL, 0);
    agate_loop columns = agate_loop_begin(e, zero, width, 1, NULL, 0);
    LLVMValueRef from = agate_emit_advance(e, w->edge, rows.index, w->m * w->lanes, 0);
    from = agate_emit_advance(e, from, columns.index, w->lanes, 0);
    finish(w, at, rows.index, columns.index, load(w, from, 0));
    agate_loop_end(e, &columns, NULL);
    agate_loop_end(e, &rows, NULL);
}

static void finish_tile(const winograd *w, const place *at, LLVMValueRef base)
{
    agate_emitter *e = w->e;
    bool always = w->out[0] % w->m == 0 && w->out[1] % w->m == 0;

    if (always) {
        transform_products(w, at, base, false);
        return;
    }
    LLVMValueRef rows = LLVMBuildICmp(e->builder, LLVMIntSLE, at->y, agate_emit_int(e, w->out[0] - w->m), "");
    LLVMValueRef columns =
        LLVMBuildICmp(e->builder, LLVMIntSLE, at->x, agate_emit_int(e, w->out[1] - w->m), "");
    LLVMValueRef whole = LLVMBuildAnd(e->builder, rows, columns, "");
    agate_branch branch = agate_branch_begin(e, whole);
    transform_products(w, at, base, false);
    agate_branch_end(e, &branch, NULL, NULL);
    branch = agate_branch_begin(e, LLVMBuildNot(e->builder, whole, ""));
    transform_products(w, at, base, true);
    finish_edge(w, at);
    agate_branch_end(e, &branch, NULL, NULL);
}

/* All tiles of a panel, of which `vectors` exist. */
static void transform_outputs(const winograd *w, LLVMValueRef panel, int64_t vectors, bool partial)
{
    agate_emitter *e = w->e;
    agate_loop each = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, vectors), 1, NULL, 0);
    LLVMValueRef block = agate_emit_add(e, agate_emit_mul(e, panel, w->vectors), each.index), row, column;
    place at = {.channel = agate_emit_mul(e, block, w->lanes)};

    if (partial && w->filters % w->lanes)
        at.live = agate_emit_live(e, at.channel, agate_emit_int(e, w->filters), (int32_t)w->lanes);
    at.bias = agate_emit_bias(e, w->anchor, at.channel, (int32_t)w->lanes, at.live);
    agate_loop tiles = agate_loop_begin(e, agate_emit_int(e, 0), w->count, 1, NULL, 0);
    place_of(w, agate_emit_add(e, w->first, tiles.index), &row, &column);
    at.y = agate_emit_mul(e, row, w->m);
    at.x = agate_emit_mul(e, column, w->m);
    LLVMValueRef base = agate_emit_advance(e, w->products, tiles.index, w->panel_channels, 0);
    base = agate_emit_advance(e, base, each.index, w->lanes, 0);
    finish_tile(w, &at, agate_emit_opaque(e, base));
    agate_loop_end(e, &tiles, NULL);
    agate_loop_end(e, &each, NULL);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Those of the panels first <= panel < last, each of `vectors`, that are in the task's group. */
static void emit_panels(const winograd *w, LLVMValueRef group, int64_t first, int64_t last, int64_t vectors)
{
    agate_emitter *e = w->e;
    LLVMValueRef lo = agate_emit_int(e, first), hi = agate_emit_int(e, last);

    if (first == last)
        return;
    if (w->groups > 1) {
        LLVMValueRef begin = agate_emit_mul(e, group, w->group);
        lo = agate_emit_max(e, lo, begin);
        hi = agate_emit_min(e, hi, agate_emit_add(e, begin, agate_emit_int(e, w->group)));
    }
    agate_loop panels = agate_loop_begin(e, lo, hi, 1, NULL, 0);
    multiply(w, panels.index, vectors);
    transform_outputs(w, panels.index, vectors, last * w->panel_channels > w->filters);
    agate_loop_end(e, &panels, NULL);
}

/* All panels of the task's group: those that lack lanes or vectors have code of their own. */
static void emit_group(const winograd *w, LLVMValueRef group)
{
    int64_t vectors = agate_ceil_div(w->filters, w->lanes), whole = w->filters / w->panel_channels;

    emit_panels(w, group, 0, whole, w->vectors);
    if (whole * w->vectors < vectors)
        emit_panels(w, group, whole, whole + 1, vectors - whole * w->vectors);
}

void agate_emit_winograd(agate_emitter *e)
{
    winograd w = {.e = e};
    LLVMValueRef digits[3];

    measure(&w, e->kernel);
    w.image_stride = agate_emit_image_stride(&w.anchor->operands[0]->type);
    w.inputs = e->workspace;
    w.products = agate_emit_advance(e, w.inputs, NULL, 0, w.chunks * w.points * w.input_stride);
    w.edge = agate_emit_advance(e, w.products, NULL, 0, w.points * w.product_stride);

    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef extents[3] = {NULL, agate_emit_int(e, w.runs), agate_emit_int(e, w.groups)};
    agate_emit_digits(e, tasks.index, extents, 3, digits);
    w.image = digits[0];
    w.first = agate_emit_mul(e, digits[1], w.grain);
    w.count =
        agate_emit_min(e, agate_emit_sub(e, agate_emit_int(e, w.tiles), w.first), agate_emit_int(e, w.grain));
    LLVMValueRef filled = agate_emit_add(e, w.count, agate_emit_int(e, w.ow - 1));
    w.chunk_count = LLVMBuildUDiv(e->builder, filled, agate_emit_int(e, w.ow), "");
    /* The task before, if this call did it, has left them for all of its run. */
    LLVMValueRef begins = LLVMBuildICmp(e->builder, LLVMIntEQ, tasks.index, e->first, "");
    LLVMValueRef other = LLVMBuildICmp(e->builder, LLVMIntEQ, digits[2], agate_emit_int(e, 0), "");
    agate_branch branch = agate_branch_begin(e, LLVMBuildOr(e->builder, begins, other, ""));
    transform_inputs(&w);
    agate_branch_end(e, &branch, NULL, NULL);
    emit_group(&w, digits[2]);
    agate_loop_end(e, &tasks, NULL);
}
