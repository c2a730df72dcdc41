/* emit_amx.c: strategy amx_conv (emit_amx.h): tasks, sums of products of tiles, and what is made of them.
 *
 *     tasks      image, band of rows, group of blocks of 32 filters; group, image, band where weights are to
 *                come once for a batch
 *     in a task  the rows it reads are copied, unless the call's task before left them; then for each block
 *                of filters, each run of input channels and each 32 positions: the products of planes, the
 *                smallest first, each over taps and channels
 *
 * A run's weights fit the first cache; with more than one run, totals are kept between them, 4 KB for 32
 * positions, to which a run's sums are added: the same blocked summation as in other strategies. A call
 * configures the tiles and releases them, so that no thread sleeps with live tiles, whoever owns it, and
 * nothing but kernels knows of them. */
#include "backend/emit_amx.h"
#include "backend/emit_parts.h"
#include "backend/llvm_shim.h"

#define POSITIONS  AGATE_AMX_POSITIONS
#define SUMS_BYTES AGATE_AMX_SUMS_BYTES
#define MOST_AHEAD 32 /* lines: a tile for a block's two vectors */
#define VECTORS    (AGATE_AMX_BLOCK / AGATE_AMX_LANES)

LLVMValueRef agate_amx_at(agate_emitter *e, LLVMValueRef base, LLVMValueRef index, int64_t stride)
{
    LLVMValueRef distance = agate_emit_mul(e, index, stride);
    return LLVMBuildGEP2(e->builder, LLVMInt8TypeInContext(e->context), base, &distance, 1, "");
}

/* ---- tiles --------------------------------------------------------------------------------------------- */

/* Tile registers: sums of positions m and filters n, inputs m, weights n. */
#define SUM_TILE(m, n) (2 * (m) + (n))
#define INPUT_TILE(m)  (4 + (m))
#define WEIGHT_TILE(n) (6 + (n))

static LLVMValueRef tile_number(const agate_amx *a, int32_t tile)
{
    return LLVMConstInt(LLVMInt8TypeInContext(a->e->context), (uint64_t)tile, 0);
}

static void call(const agate_amx *a, const char *name, LLVMValueRef *args, uint32_t count)
{
    (void)agate_llvm_intrinsic(a->e->module, a->e->builder, name, NULL, 0, args, count);
}

/* Loads or stores a tile whose rows lie `stride` bytes apart. */
static void move_tile(const agate_amx *a, const char *name, int32_t tile, LLVMValueRef at, int64_t stride)
{
    LLVMValueRef args[] = {tile_number(a, tile), at, agate_emit_int(a->e, stride)};
    call(a, name, args, 3);
}

static LLVMValueRef advance(const agate_amx *a, LLVMValueRef base, LLVMValueRef index, int64_t stride)
{
    return agate_amx_at(a->e, base, index, stride);
}

static LLVMValueRef advance_by(const agate_amx *a, LLVMValueRef base, int64_t bytes)
{
    return advance(a, base, agate_emit_int(a->e, bytes), 1);
}

/* Palette 1: eight tiles of 16 rows of 64 bytes, but for as many columns of inputs and rows of weights as
 * there are pairs. */
static void configure_tiles(const agate_amx *a)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = AGATE_AMX_ROW;
        config.rows[i] = AGATE_AMX_ROWS;
    }
    for (int i = 0; i < 2; i++) {
        config.row_bytes[INPUT_TILE(i)] = (uint16_t)(a->pairs * 4);
        config.rows[WEIGHT_TILE(i)] = (uint8_t)a->pairs;
    }
    LLVMValueRef at = agate_emit_constant(a->e, "tiles", &config, sizeof config);
    call(a, "llvm.x86.ldtilecfg", &at, 1);
}

/* ---- sums ---------------------------------------------------------------------------------------------- */

/* What one block of tiles is summed from, and where. */
typedef struct block {
    LLVMValueRef filters; /* number of the block of 32 filters */
    int64_t vectors;      /* of 16 filters that exist: 1 or 2 */
    LLVMValueRef bias[VECTORS];
    const agate_part *part;
    LLVMValueRef is_half;        /* 16 positions or fewer are wanted: one tile; NULL: that never is */
    LLVMValueRef first, last;    /* positions that are wanted */
    LLVMValueRef start;          /* that of the tiles: at most `first` */
    LLVMValueRef run_lo, run_hi; /* blocks of input channels */
    LLVMValueRef ahead;          /* bytes from a tile of weights to what the block fetches beside it */
    LLVMValueRef totals;         /* of the runs before; NULL: there are none */
} block;

/* Fetches the block's share of the tile of weights that stands where this one does in the next run: the next
 * one's input channels, or behind the last the next filters'. */
static void prefetch(const agate_amx *a, const block *k, LLVMValueRef weights)
{
    LLVMValueRef at = advance(a, weights, k->ahead, 1);

    for (int64_t line = 0; line < agate_min(a->tiles.ahead, MOST_AHEAD); line++)
        agate_emit_prefetch(a->e, advance_by(a, at, line * AGATE_AMX_ROW), false);
}

/* Bytes of a tap's weights, of 32 filters and a plane. */
static int64_t weights_size(const agate_amx *a)
{
    return a->pairs * 2 * AGATE_AMX_BLOCK * 2;
}

/* Tile `m` of the inputs by those of the weights. */
static void multiply_tile(const agate_amx *a, const block *k, int32_t m, LLVMValueRef input)
{
    move_tile(a, "llvm.x86.tileloadd64", INPUT_TILE(m),
              advance_by(a, input, m * AGATE_AMX_ROWS * a->position_size), a->position_size);
    for (int32_t n = 0; n < k->vectors; n++) {
        LLVMValueRef args[] = {tile_number(a, SUM_TILE(m, n)), tile_number(a, INPUT_TILE(m)),
                               tile_number(a, WEIGHT_TILE(n))};
        call(a, "llvm.x86.tdpbf16ps", args, 3);
    }
}

/* The products of planes `p` of the input and `q` of the weights at one tap. */
static void multiply(const agate_amx *a, const block *k, LLVMValueRef input, LLVMValueRef weights,
                     bool fetches)
{
    if (fetches)
        prefetch(a, k, weights);
    for (int32_t n = 0; n < k->vectors; n++)
        move_tile(a, "llvm.x86.tileloadd64", WEIGHT_TILE(n), advance_by(a, weights, n * AGATE_AMX_ROW),
                  VECTORS * AGATE_AMX_ROW);
    multiply_tile(a, k, 0, input);
    if (!k->is_half) {
        multiply_tile(a, k, 1, input);
        return;
    }
    agate_branch branch = agate_branch_begin(a->e, LLVMBuildNot(a->e->builder, k->is_half, ""));
    multiply_tile(a, k, 1, input);
    agate_branch_end(a->e, &branch, NULL, NULL);
}

static void multiply_planes(const agate_amx *a, const block *k, int32_t p, int32_t q)
{
    agate_emitter *e = a->e;
    LLVMValueRef input = advance(a, a->bases[p], k->start, a->position_size);
    LLVMValueRef weights = e->params[a->weights[q]->index];

    weights = advance(a, weights, k->filters, a->blocks * a->taps * weights_size(a));
    agate_loop blocks = agate_loop_begin(e, k->run_lo, k->run_hi, 1, NULL, 0);
    input = advance(a, input, blocks.index, a->block_size);
    weights = advance(a, weights, blocks.index, a->taps * weights_size(a));
    if (a->taps == 1) {
        multiply(a, k, advance_by(a, input, a->tap_at[0]), weights, p == 0);
    } else {
        LLVMTypeRef i64 = LLVMInt64TypeInContext(e->context);
        agate_loop taps = agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, a->taps), 1, NULL, 0);
        LLVMValueRef at =
            LLVMBuildLoad2(e->builder, i64, advance(a, a->taps_table, taps.index, sizeof(int64_t)), "");
        multiply(a, k, advance(a, input, at, 1), advance(a, weights, taps.index, weights_size(a)), p == 0);
        agate_loop_end(e, &taps, NULL);
    }
    agate_loop_end(e, &blocks, NULL);
}

/* Sums of the run's products, to `target`. The smallest come first, and what would be below the last digit of
 * the largest is left out: of two planes the product of the two smaller parts, of three those whose places
 * add up to more than two. */
static void sum_run(const agate_amx *a, const block *k, LLVMValueRef target)
{
    for (int32_t m = 0; m < 2; m++)
        for (int32_t n = 0; n < k->vectors; n++) {
            LLVMValueRef tile = tile_number(a, SUM_TILE(m, n));
            call(a, "llvm.x86.tilezero", &tile, 1);
        }
    for (int32_t places = a->planes - 1; places >= 0; places--)
        for (int32_t p = 0; p <= places; p++)
            multiply_planes(a, k, p, places - p);
    for (int32_t m = 0; m < 2; m++)
        for (int32_t n = 0; n < k->vectors; n++)
            move_tile(a, "llvm.x86.tilestored64", SUM_TILE(m, n),
                      advance_by(a, target, m * AGATE_AMX_ROWS * VECTORS * AGATE_AMX_ROW + n * AGATE_AMX_ROW),
                      VECTORS * AGATE_AMX_ROW);
}

static LLVMValueRef load_sums(const agate_amx *a, LLVMValueRef base, LLVMValueRef index)
{
    LLVMTypeRef type = agate_emit_type(a->e, AGATE_F32, AGATE_AMX_LANES);
    LLVMValueRef load = LLVMBuildLoad2(a->e->builder, type, advance(a, base, index, AGATE_AMX_ROW), "");

    LLVMSetAlignment(load, AGATE_AMX_ROW);
    return load;
}

/* Sums of a run that is not the last: the first leaves them as totals, others add theirs. */
static void add_run(const agate_amx *a, const block *k)
{
    agate_emitter *e = a->e;
    LLVMValueRef is_first = LLVMBuildICmp(e->builder, LLVMIntEQ, k->run_lo, agate_emit_int(e, 0), "");

    sum_run(a, k, LLVMBuildSelect(e->builder, is_first, k->totals, a->sums, ""));
    agate_branch branch = agate_branch_begin(e, LLVMBuildNot(e->builder, is_first, ""));
    agate_loop loop =
        agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, POSITIONS * VECTORS), VECTORS, NULL, 0);
    for (int64_t n = 0; n < k->vectors; n++) {
        LLVMValueRef index = agate_emit_add(e, loop.index, agate_emit_int(e, n));
        LLVMValueRef sum =
            LLVMBuildFAdd(e->builder, load_sums(a, k->totals, index), load_sums(a, a->sums, index), "");
        LLVMBuildStore(e->builder, sum, advance(a, k->totals, index, AGATE_AMX_ROW));
    }
    agate_loop_end(e, &loop, NULL);
    agate_branch_end(e, &branch, NULL, NULL);
}

/* ---- results ------------------------------------------------------------------------------------------- */

static LLVMValueRef filter_of(const agate_amx *a, const block *k, int64_t vector)
{
    return agate_emit_add(a->e, agate_emit_mul(a->e, k->filters, AGATE_AMX_BLOCK),
                          agate_emit_int(a->e, vector * AGATE_AMX_LANES));
}

/* Lanes of a vector that are filters; NULL: all, or the others are pads that may be touched. */
static LLVMValueRef live_filters(const agate_amx *a, const block *k, int64_t vector)
{
    int64_t end = k->part->start + k->part->channels;

    if (!a->plain || k->part->channels % AGATE_AMX_LANES == 0 || vector < k->vectors - 1)
        return NULL;
    return agate_emit_live(a->e, filter_of(a, k, vector), agate_emit_int(a->e, end), AGATE_AMX_LANES);
}

static void load_bias(const agate_amx *a, block *k)
{
    for (int64_t n = 0; n < k->vectors; n++)
        k->bias[n] =
            agate_emit_bias(a->e, a->anchor, filter_of(a, k, n), AGATE_AMX_LANES, live_filters(a, k, n));
}

/* All filters of the output at row `y` of the image, pixel `x`, which is position `position`. */
static void finish_pixel(const agate_amx *a, const block *k, LLVMValueRef position, LLVMValueRef y,
                         LLVMValueRef x)
{
    agate_emitter *e = a->e;
    LLVMValueRef from = agate_emit_mul(e, agate_emit_sub(e, position, k->start), VECTORS);

    e->part = a->part_count > 1 ? k->part->value->node : NULL;
    for (int64_t n = 0; n < k->vectors; n++) {
        agate_coords at = agate_coords_make(e, 4);
        LLVMValueRef index = agate_emit_add(e, from, agate_emit_int(e, n)),
                     sum = load_sums(a, a->sums, index);
        if (k->totals)
            sum = LLVMBuildFAdd(e->builder, load_sums(a, k->totals, index), sum, "");
        if (k->bias[n])
            sum = LLVMBuildFAdd(e->builder, sum, k->bias[n], "");
        at.vector = 1;
        at.lanes = AGATE_AMX_LANES;
        at.live = live_filters(a, k, n);
        at.at[0] = a->image;
        at.at[1] = agate_emit_add(e, filter_of(a, k, n), agate_emit_int(e, -k->part->start));
        at.at[2] = y;
        at.at[3] = x;
        agate_tile_finish(e, k->part->value, sum, at);
    }
}

/* The positions of the block that are pixels, row by row. */
static void finish_block(const agate_amx *a, const block *k)
{
    agate_emitter *e = a->e;
    LLVMValueRef first, last, column;

    agate_emit_divide(e, k->first, a->pitch, &first, &column);
    agate_emit_divide(e, agate_emit_sub(e, k->last, agate_emit_int(e, 1)), a->pitch, &last, &column);
    agate_loop rows = agate_loop_begin(e, first, agate_emit_add(e, last, agate_emit_int(e, 1)), 1, NULL, 0);
    LLVMValueRef begin = agate_emit_mul(e, rows.index, a->pitch);
    LLVMValueRef lo = agate_emit_max(e, k->first, begin);
    LLVMValueRef hi = agate_emit_min(e, k->last, agate_emit_add(e, begin, agate_emit_int(e, a->x.out)));
    agate_loop pixels = agate_loop_begin(e, lo, hi, 1, NULL, 0);
    finish_pixel(a, k, pixels.index, agate_emit_add(e, a->row, rows.index),
                 agate_emit_sub(e, pixels.index, begin));
    agate_loop_end(e, &pixels, NULL);
    agate_loop_end(e, &rows, NULL);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Do the last positions of `rows` rows fill no more than one tile? */
static bool ends_in_half(const agate_amx *a, int64_t rows)
{
    int64_t rest = (rows * a->pitch - (a->pitch - a->x.out)) % POSITIONS;
    return rest > 0 && rest <= AGATE_AMX_ROWS;
}

/* The task's positions, 32 at a time. */
static agate_loop positions_begin(const agate_amx *a, block *k)
{
    agate_emitter *e = a->e;
    agate_loop loop = agate_loop_begin(e, agate_emit_int(e, 0), a->positions, POSITIONS, NULL, 0);

    k->first = k->start = loop.index;
    k->last = agate_emit_min(e, a->positions, agate_emit_add(e, loop.index, agate_emit_int(e, POSITIONS)));
    LLVMValueRef size = agate_emit_int(e, POSITIONS), half = agate_emit_int(e, AGATE_AMX_ROWS);
    k->is_half = NULL;
    if (a->varies || ends_in_half(a, a->band) || ends_in_half(a, a->y.out - (a->bands - 1) * a->band)) {
        k->is_half = LLVMBuildICmp(e->builder, LLVMIntSLE, agate_emit_sub(e, k->last, k->first), half, "");
        size = LLVMBuildSelect(e->builder, k->is_half, half, size, "");
    }
    if (a->direct) { /* tiles end with the image: the last overlap those before */
        LLVMValueRef end =
            agate_emit_sub(e, agate_emit_int(e, a->y.out * a->x.out), agate_emit_mul(e, a->row, a->x.out));
        k->start = agate_emit_min(e, k->first, agate_emit_sub(e, end, size));
    }
    k->ahead = agate_emit_mul(e, agate_emit_sub(e, k->run_hi, k->run_lo), a->taps * weights_size(a));
    k->ahead = agate_emit_add(e, k->ahead,
                              agate_emit_mul(e, loop.index, a->tiles.ahead * AGATE_AMX_ROW / POSITIONS));
    if (a->runs > 1)
        k->totals = advance_by(a, advance(a, e->workspace, loop.index, SUMS_BYTES / POSITIONS), a->totals_at);
    return loop;
}

static void emit_filters(agate_amx *a, block *k)
{
    agate_emitter *e = a->e;
    int64_t last_run = (a->runs - 1) * a->run;

    load_bias(a, k);
    if (a->runs > 1) {
        agate_loop runs =
            agate_loop_begin(e, agate_emit_int(e, 0), agate_emit_int(e, last_run), a->run, NULL, 0);
        k->run_lo = runs.index;
        k->run_hi = agate_emit_add(e, runs.index, agate_emit_int(e, a->run));
        agate_loop positions = positions_begin(a, k);
        add_run(a, k);
        agate_loop_end(e, &positions, NULL);
        agate_loop_end(e, &runs, NULL);
    }
    k->run_lo = agate_emit_int(e, last_run);
    k->run_hi = agate_emit_int(e, a->blocks);
    agate_loop positions = positions_begin(a, k);
    sum_run(a, k, a->sums);
    finish_block(a, k);
    agate_loop_end(e, &positions, NULL);
}

/* Blocks first <= i < last of a part that are in the task's group; `before`: blocks of the parts in front. */
static void emit_part(agate_amx *a, LLVMValueRef group, const agate_part *part, int64_t before, int64_t first,
                      int64_t last, int64_t vectors)
{
    agate_emitter *e = a->e;
    LLVMValueRef lo = agate_emit_int(e, before + first), hi = agate_emit_int(e, before + last);
    block k = {.part = part, .vectors = vectors};

    if (first == last)
        return;
    if (a->groups > 1) {
        LLVMValueRef begin = agate_emit_mul(e, group, a->group);
        lo = agate_emit_max(e, lo, begin);
        hi = agate_emit_min(e, hi, agate_emit_add(e, begin, agate_emit_int(e, a->group)));
    }
    agate_loop filters = agate_loop_begin(e, lo, hi, 1, NULL, 0);
    k.filters = agate_emit_add(e, filters.index, agate_emit_int(e, part->start / AGATE_AMX_BLOCK - before));
    emit_filters(a, &k);
    agate_loop_end(e, &filters, NULL);
}

/* Blocks that lack a vector of filters have code of their own. */
static void emit_group(agate_amx *a, LLVMValueRef group)
{
    int64_t before = 0;

    for (int32_t p = 0; p < a->part_count; p++) {
        const agate_part *part = &a->parts[p];
        int64_t vectors = agate_ceil_div(part->channels, AGATE_AMX_LANES), whole = vectors / VECTORS;
        emit_part(a, group, part, before, 0, whole, VECTORS);
        emit_part(a, group, part, before, whole, agate_ceil_div(vectors, VECTORS), vectors % VECTORS);
        before += agate_ceil_div(vectors, VECTORS);
    }
}

/* Rows from `row` on, `rows` of them, and where their tiles of inputs lie. */
static void open_rows(agate_amx *a, LLVMValueRef row, LLVMValueRef rows)
{
    agate_emitter *e = a->e;

    a->row = row;
    a->rows = rows;
    /* Up to the last row's last pixel. */
    a->positions =
        agate_emit_add(e, agate_emit_mul(e, rows, a->pitch), agate_emit_int(e, a->x.out - a->pitch));
    for (int32_t p = 0; p < a->planes; p++) {
        if (!a->direct) {
            a->bases[p] = advance_by(a, e->workspace, p * a->plane_size);
            continue;
        }
        const agate_value *input = a->inputs[p];
        LLVMValueRef base =
            advance(a, e->params[input->index], a->image, 2 * agate_emit_image_stride(&input->type));
        a->bases[p] = advance(a, base, row, a->pitch * AGATE_AMX_ROW);
    }
}

static void open_band(agate_amx *a, LLVMValueRef band)
{
    agate_emitter *e = a->e;
    LLVMValueRef row = agate_emit_mul(e, band, a->band);

    open_rows(
        a, row,
        agate_emit_min(e, agate_emit_sub(e, agate_emit_int(e, a->y.out), row), agate_emit_int(e, a->band)));
}

static bool touches_plain(const agate_amx *a)
{
    for (int32_t i = 0; i < a->kernel->operand_count; i++)
        if (a->kernel->operands[i]->type.layout.kind == AGATE_LAYOUT_plain)
            return true;
    for (int32_t i = 0; i < a->kernel->result_count; i++)
        if (a->kernel->results[i].type.layout.kind == AGATE_LAYOUT_plain)
            return true;
    return false;
}

/* Opens task `task`: its image and band; returns its group. `*out_stays`: the task before read the same
 * input. */
static LLVMValueRef open_task(agate_amx *a, LLVMValueRef task, LLVMValueRef *out_stays)
{
    agate_emitter *e = a->e;
    const bool groups_first = a->tiles.order == AGATE_AMX_GROUPS_FIRST;
    LLVMValueRef images = agate_emit_dim(e, a->anchor->results[0].type.dims[0]);
    LLVMValueRef bands = agate_emit_int(e, a->bands), groups = agate_emit_int(e, a->groups), digits[3];
    const LLVMValueRef grid[] = {groups, images, bands, groups}; /* a group in front, or behind */
    const LLVMValueRef *image = digits + groups_first;

    agate_emit_digits(e, task, groups_first ? grid : grid + 1, 3, digits);
    a->image = image[0];
    open_band(a, image[1]);
    LLVMValueRef group = digits[groups_first ? 0 : 2];
    *out_stays = groups_first ? LLVMBuildICmp(e->builder, LLVMIntEQ, agate_emit_mul(e, images, a->bands),
                                              agate_emit_int(e, 1), "")
                              : LLVMBuildICmp(e->builder, LLVMIntNE, group, agate_emit_int(e, 0), "");
    return group;
}

static void pack(agate_amx *a)
{
    if (a->few)
        agate_amx_pack_few(a);
    else
        agate_amx_pack(a);
}

void agate_amx_open(agate_amx *a, agate_emitter *e)
{
    a->e = e;
    a->plain = touches_plain(a);
    a->sums = agate_emit_reserve(e, agate_emit_type(e, AGATE_F32, 1), SUMS_BYTES / (int64_t)sizeof(float),
                                 AGATE_AMX_ROW);
    if (a->taps > 1)
        a->taps_table = agate_emit_constant(e, "taps", a->tap_at, (size_t)a->taps * sizeof a->tap_at[0]);
    configure_tiles(a);
}

void agate_amx_close(const agate_amx *a)
{
    call(a, "llvm.x86.tilerelease", NULL, 0);
}

void agate_amx_walk(agate_amx *a, LLVMValueRef lo, LLVMValueRef hi)
{
    agate_emitter *e = a->e;
    agate_branch branch = agate_branch_begin(e, LLVMBuildICmp(e->builder, LLVMIntSLT, lo, hi, ""));

    assert(a->groups == 1);
    open_rows(a, lo, agate_emit_sub(e, hi, lo));
    if (!a->direct)
        pack(a);
    emit_group(a, NULL);
    agate_branch_end(e, &branch, NULL, NULL);
}

void agate_emit_amx_conv(agate_emitter *e)
{
    agate_amx a = {0};
    LLVMValueRef stays;

    agate_amx_measure(&a, e->kernel, agate_emit_anchor_of(e->kernel), &e->kernel->tiles);
    agate_amx_open(&a, e);
    agate_loop tasks = agate_task_begin(e);
    LLVMValueRef group = open_task(&a, tasks.index, &stays);
    if (!a.direct) {
        /* The task before has left them, if this call did it. */
        LLVMValueRef begins = LLVMBuildICmp(e->builder, LLVMIntEQ, tasks.index, e->first, "");
        LLVMValueRef others = LLVMBuildNot(e->builder, stays, "");
        agate_branch branch = agate_branch_begin(e, LLVMBuildOr(e->builder, begins, others, ""));
        pack(&a);
        agate_branch_end(e, &branch, NULL, NULL);
    }
    emit_group(&a, group);
    agate_loop_end(e, &tasks, NULL);
    agate_amx_close(&a);
}
