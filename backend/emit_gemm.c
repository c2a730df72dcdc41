/* emit_gemm.c: strategy gemm: a matrix product in register tiles of rows by vectors of columns.
 *
 *     tasks: matrix of the batch, band of row tiles, group of column tiles
 *     in a task: loops over column tiles, rows `ow` at a time, then what is left by halves
 *
 * The right-hand side is read plain, or packed in panels as wide as a tile, of f32 or of 16 bits that are
 * widened as they are read. Where it has no batch of its own, all rows of the left-hand side are one matrix;
 * how many that is may follow the run-time batch, and then one task has them all. Each element is summed over
 * k in order, in parts of `kc` (emit_tile.h), so its bits depend neither on its neighbours nor on the cut. */
#include "backend/emit_tile.h"
#include "ir/narrow.h"

#define MAX_LANES  16
#define MAX_UNROLL 64
#define MAX_AHEAD  1024 /* lines */
#define LINE       16   /* floats in a cache line */

typedef struct gemm {
    agate_emitter *e;
    const agate_node *kernel, *anchor;
    const agate_type *lhs, *rhs, *result;
    agate_dim batch; /* matrices */
    agate_dim rows;  /* of one matrix */
    int64_t k, columns;
    bool folded; /* the batch has become rows */
    bool packed; /* rhs in panels */
    bool half;   /* ... of bf16 or f16 */
    int32_t lanes, vectors, tile_rows, unroll;
    int64_t column_tiles;
    LLVMValueRef at[AGATE_MAX_RANK]; /* batch coordinates */
    LLVMValueRef tile_column;        /* number of the column tile */
    LLVMValueRef tile_row;           /* first row of the tile */
} gemm;

/* Does the right-hand side have one matrix for all? */
static bool is_one_matrix(const agate_type *type)
{
    for (int32_t i = 0; i + 2 < type->rank; i++)
        if (!agate_dim_is(type->dims[i], 1))
            return false;
    return true;
}

static agate_dim product(const agate_dim *dims, int32_t count)
{
    agate_dim all = agate_dim_fixed(1);
    for (int32_t i = 0; i < count; i++) {
        bool ok = agate_dim_mul(all, dims[i], &all);
        assert(ok);
        (void)ok;
    }
    return all;
}

static void measure(gemm *g, const agate_node *kernel)
{
    const agate_tiles *tiles = &kernel->tiles;
    g->kernel = kernel;
    g->anchor = agate_emit_anchor_of(kernel);
    g->lhs = &g->anchor->operands[0]->type;
    g->rhs = &g->anchor->operands[1]->type;
    g->result = &g->anchor->results[0].type;
    int32_t rank = g->result->rank;
    g->k = g->lhs->dims[g->lhs->rank - 1].offset;
    g->columns = g->result->dims[rank - 1].offset;
    g->packed = g->rhs->layout.kind == AGATE_LAYOUT_panel;
    g->half = g->packed && agate_is_half(agate_unwidened(g->anchor->operands[1]));
    g->folded = is_one_matrix(g->rhs) && g->lhs->rank == rank;
    g->rows = g->folded ? product(g->result->dims, rank - 1) : g->result->dims[rank - 2];
    g->batch = g->folded ? agate_dim_fixed(1) : product(g->result->dims, rank - 2);
    g->lanes = (int32_t)agate_max(1, agate_min(tiles->v, MAX_LANES));
    int32_t panel = g->packed ? g->rhs->layout.block : 0;
    if (panel % g->lanes || panel / g->lanes > AGATE_MAX_VECTORS)
        g->lanes = panel;
    agate_tile_clamp(g->packed ? panel / g->lanes : tiles->oc, tiles->ow, &g->vectors, &g->tile_rows);
    assert(!g->packed || g->vectors * g->lanes == panel);
    g->unroll = (int32_t)agate_max(1, agate_min(tiles->ic, agate_min(g->k, MAX_UNROLL)));
    g->column_tiles = agate_max(1, agate_ceil_div(g->columns, g->lanes * g->vectors));
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

typedef struct task_grid {
    int64_t band, bands;   /* rows in one, how many; rows that follow the batch are one band */
    int64_t group, groups; /* column tiles in one, how many */
} task_grid;

static task_grid cut_tasks(const gemm *g)
{
    const agate_tiles *tiles = &g->kernel->tiles;
    task_grid grid = {.bands = 1, .group = tiles->ocs > 0 ? tiles->ocs : g->column_tiles};
    if (agate_dim_is_fixed(g->rows) && tiles->oh > 0) {
        grid.band = (int64_t)tiles->oh * g->tile_rows;
        grid.bands = agate_ceil_div(g->rows.offset, grid.band);
    }
    grid.groups = agate_ceil_div(g->column_tiles, grid.group);
    return grid;
}

agate_dim agate_tasks_gemm(const agate_node *kernel)
{
    gemm g = {0};
    measure(&g, kernel);
    task_grid grid = cut_tasks(&g);
    return agate_dim_times(g.batch, grid.bands * grid.groups);
}

/* ---- one tile -------------------------------------------------------------------------------------------
 */

/* Coordinates in the result. */
static agate_coords point_coords(gemm *g, int32_t point, int32_t vector, bool partial)
{
    agate_emitter *e = g->e;
    int32_t rank = g->result->rank;
    agate_coords at = agate_coords_make(e, rank);
    LLVMValueRef row = agate_emit_add(e, g->tile_row, agate_emit_int(e, point));
    LLVMValueRef column = agate_emit_mul(e, g->tile_column, g->vectors);
    column = agate_emit_mul(e, agate_emit_add(e, column, agate_emit_int(e, vector)), g->lanes);

    for (int32_t i = 0; i < rank - 2; i++)
        at.at[i] = g->at[i];
    for (int32_t i = rank - 2; g->folded && i > 0; i--)
        agate_emit_divide(e, row, g->result->dims[i].offset, &row, &at.at[i]);
    at.at[g->folded ? 0 : rank - 2] = row;
    at.at[rank - 1] = column;
    at.vector = rank - 1;
    at.lanes = g->lanes;
    if (partial)
        at.live = agate_emit_live(e, column, agate_emit_int(e, g->columns), g->lanes);
    return at;
}

/* First elements of the tile in the operands. */
static LLVMValueRef lhs_base(gemm *g)
{
    agate_emitter *e = g->e;
    LLVMValueRef base = e->params[g->anchor->operands[0]->index];
    if (!g->folded) {
        agate_coords at = agate_coords_make(e, g->result->rank);
        memcpy(at.at, g->at, (size_t)(at.rank - 2) * sizeof at.at[0]);
        base = agate_emit_address(e, base, g->lhs, &at);
    }
    return agate_emit_advance(e, base, g->tile_row, g->k, 0);
}

/* From a row of a panel to the next, in f32s. */
static int64_t panel_step(const gemm *g)
{
    return (int64_t)g->vectors * g->lanes / (g->half ? 2 : 1);
}

static LLVMValueRef rhs_base(gemm *g)
{
    agate_emitter *e = g->e;
    agate_coords at = agate_coords_make(e, g->result->rank);
    if (!g->folded)
        memcpy(at.at, g->at, (size_t)(at.rank - 2) * sizeof at.at[0]);
    const agate_value *rhs = agate_unwidened(g->anchor->operands[1]);
    LLVMValueRef base = agate_emit_address(e, e->params[rhs->index], g->rhs, &at);
    return agate_emit_advance(e, base, g->tile_column,
                              g->packed ? panel_step(g) * g->k : (int64_t)g->vectors * g->lanes, 0);
}

/* A single row uses each weight once: memory decides how long it takes. What is fetched may lie behind the
 * weights' end, which no fetch minds. */
static void fetch_ahead(gemm *g, LLVMValueRef weights, int64_t step)
{
    int64_t distance = agate_max(0, agate_min(g->kernel->tiles.ahead, MAX_AHEAD)) * LINE;
    for (int64_t at = 0; g->packed && distance && at < g->unroll * step; at += LINE)
        agate_emit_prefetch(g->e, agate_emit_advance(g->e, weights, NULL, 0, distance + at), false);
}

/* Sums of `rows` rows by the tile's column vectors. The last of these may be `partial`. */
static void emit_tile(gemm *g, int32_t rows, int32_t vectors, bool partial)
{
    agate_emitter *e = g->e;
    int64_t step = g->packed ? panel_step(g) : g->columns;
    int64_t whole = g->k / g->unroll * g->unroll;
    int32_t stride = g->lanes / (g->half ? 2 : 1);
    agate_tile tile = {.products = g->half ? AGATE_PRODUCTS_WEIGHTS : AGATE_PRODUCTS_F32,
                       .dtype = (agate_dtype)agate_unwidened(g->anchor->operands[1])->type.dtype,
                       .lanes = g->lanes,
                       .vectors = vectors,
                       .points = rows,
                       .vector_stride = stride,
                       .align_bytes = g->packed ? stride * 4 : 4};
    for (int32_t i = 0; i < rows; i++)
        tile.point_at[i] = i * g->k;
    for (int32_t i = 0; i < rows * vectors; i++)
        tile.sums[i] = agate_emit_float(e, 0, g->lanes);
    if (partial && !g->packed)
        tile.last_live = point_coords(g, 0, vectors - 1, true).live;

    LLVMValueRef lhs = lhs_base(g), rhs = rhs_base(g);
    int64_t part = agate_ceil_div(g->kernel->tiles.kc, g->unroll);
    agate_tile_parts parts = agate_tile_parts_begin(e, &tile, whole / g->unroll, part);
    agate_loop k = agate_tile_loop_begin(e, &tile, agate_emit_mul(e, parts.lo, g->unroll),
                                         agate_emit_mul(e, parts.hi, g->unroll), g->unroll);
    LLVMValueRef weights = agate_emit_opaque(e, agate_emit_advance(e, rhs, k.index, step, 0));
    LLVMValueRef inputs = agate_emit_opaque(e, agate_emit_advance(e, lhs, k.index, 1, 0));
    if (rows == 1)
        fetch_ahead(g, weights, step);
    for (int32_t i = 0; i < g->unroll; i++)
        agate_tile_step(e, &tile, weights, i * step, inputs, i, UINT32_MAX);
    agate_tile_loop_end(e, &tile, &k);
    agate_tile_parts_end(e, &tile, &parts);
    for (int64_t i = whole; i < g->k; i++)
        agate_tile_step(e, &tile, rhs, i * step, lhs, i, UINT32_MAX);

    for (int32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < vectors; j++) {
            agate_coords at = point_coords(g, i, j, partial && j == vectors - 1);
            agate_tile_finish(e, &g->anchor->results[0], tile.sums[i * vectors + j], at);
        }
}

/* ---- the walk -------------------------------------------------------------------------------------------
 */

/* Rows lo <= row < hi: as many tiles of `tile_rows` as fit, then of half as many, and so on. */
static void emit_rows(gemm *g, LLVMValueRef lo, LLVMValueRef hi, int32_t vectors, bool partial)
{
    agate_emitter *e = g->e;
    int64_t rest = g->rows.offset; /* an upper bound on what is left, if the rows are fixed */
    for (int32_t width = g->tile_rows; width > 0; width /= 2) {
        if (agate_dim_is_fixed(g->rows) && rest < width)
            continue;
        LLVMValueRef tiles =
            LLVMBuildUDiv(e->builder, agate_emit_sub(e, hi, lo), agate_emit_int(e, width), "");
        LLVMValueRef end = agate_emit_add(e, lo, agate_emit_mul(e, tiles, width));
        agate_loop loop = agate_loop_begin(e, lo, end, width, NULL, 0);
        g->tile_row = loop.index;
        emit_tile(g, width, vectors, partial);
        agate_loop_end(e, &loop, NULL);
        lo = end;
        rest %= width;
    }
}

/* Column tiles lo <= tile < hi, all rows of the band for each. The last tile may be narrower. */
static void emit_columns(gemm *g, LLVMValueRef lo, LLVMValueRef hi, LLVMValueRef first_row,
                         LLVMValueRef last_row)
{
    agate_emitter *e = g->e;
    int64_t whole = g->columns / (g->lanes * g->vectors), rest = g->columns - whole * g->lanes * g->vectors;
    if (whole) {
        agate_loop loop =
            agate_loop_begin(e, lo, agate_emit_min(e, hi, agate_emit_int(e, whole)), 1, NULL, 0);
        g->tile_column = loop.index;
        emit_rows(g, first_row, last_row, g->vectors, false);
        agate_loop_end(e, &loop, NULL);
    }
    if (rest) {
        LLVMValueRef last = agate_emit_int(e, whole);
        agate_branch branch = agate_branch_begin(e, LLVMBuildICmp(e->builder, LLVMIntSGT, hi, last, ""));
        g->tile_column = last;
        emit_rows(g, first_row, last_row, (int32_t)agate_ceil_div(rest, g->lanes), rest % g->lanes != 0);
        agate_branch_end(e, &branch, NULL, NULL);
    }
}

void agate_emit_gemm(agate_emitter *e)
{
    gemm g = {.e = e};
    measure(&g, e->kernel);
    task_grid grid = cut_tasks(&g);
    int32_t batch_rank = g.folded ? 0 : g.result->rank - 2;
    agate_loop task = agate_task_begin(e);
    LLVMValueRef digits[AGATE_MAX_RANK + 2], extents[AGATE_MAX_RANK + 2];
    int32_t count = 0;
    for (int32_t i = 0; i < batch_rank; i++)
        extents[count++] = agate_emit_dim(e, g.result->dims[i]);
    extents[count++] = agate_emit_int(e, grid.bands);
    extents[count++] = agate_emit_int(e, grid.groups);
    agate_emit_digits(e, task.index, extents, count, digits);
    memcpy(g.at, digits, (size_t)batch_rank * sizeof g.at[0]);

    LLVMValueRef first_row = agate_emit_int(e, 0), last_row = agate_emit_dim(e, g.rows);
    if (grid.bands > 1) {
        first_row = agate_emit_mul(e, digits[batch_rank], grid.band);
        last_row = agate_emit_min(e, agate_emit_add(e, first_row, agate_emit_int(e, grid.band)), last_row);
    }
    LLVMValueRef lo = agate_emit_mul(e, digits[batch_rank + 1], grid.group);
    LLVMValueRef hi = agate_emit_add(e, lo, agate_emit_int(e, grid.group));
    hi = agate_emit_min(e, hi, agate_emit_int(e, g.column_tiles));
    emit_columns(&g, lo, hi, first_row, last_row);
    agate_loop_end(e, &task, NULL);
}
