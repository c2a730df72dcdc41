/* emit_tile.h: the register tile under convolutions and matmuls.
 *
 * `vectors` x `points` sums stay in registers while a reduction runs. Each step loads `vectors` vectors of
 * weights, and one input per point, which is broadcast and multiplied into all of them. Steps run in one
 * fixed order, so a sum's bits do not depend on how many points the tile has.
 *
 * Where operands are bf16 or f16, inputs are pairs of them, each as large as an f32, and a step adds both
 * products: offsets count f32s or pairs. Weights of bf16 are pairs as well; those of f16 are a vector for the
 * even products and one for the odd behind it. A pair of taps in a row are neighbours in memory from any
 * element on: offsets of inputs count elements.
 */
#ifndef AGATE_EMIT_TILE_H
#define AGATE_EMIT_TILE_H

#include "backend/emit.h"

#define AGATE_MAX_POINTS  32
#define AGATE_MAX_VECTORS (AGATE_MAX_CARRIED / 4)

/* What a step multiplies. */
typedef enum agate_tile_products {
    AGATE_PRODUCTS_F32,
    /* f32 inputs by weights of 16 bits, made f32; offsets of weights count pairs of them */
    AGATE_PRODUCTS_WEIGHTS,
    AGATE_PRODUCTS_WIDENED, /* pairs of 16 bits, made f32: the even products first */
    AGATE_PRODUCTS_PAIRS,   /* the same of bf16 by AVX512-BF16's instruction, which takes denormals for 0 */
    AGATE_PRODUCTS_TAPS     /* ... of pairs of taps */
} agate_tile_products;

typedef struct agate_tile {
    agate_tile_products products;
    agate_dtype dtype; /* of what has 16 bits: bf16 or f16 */
    int32_t lanes;
    int32_t vectors;
    int32_t points;                       /* vectors * points <= AGATE_MAX_CARRIED */
    int64_t vector_stride;                /* elements between the weights of neighbouring vectors */
    int64_t point_at[AGATE_MAX_POINTS];   /* each point's input, in elements from the tile's base */
    LLVMValueRef sums[AGATE_MAX_CARRIED]; /* [points][vectors] */
    LLVMValueRef last_live;               /* <lanes x i1>: lanes that the last weight vector has; NULL: all */
    int32_t align_bytes;                  /* of weight vectors */
} agate_tile;

/* What of a wanted tile fits agate_tile; 0 and less are taken for 1. */
void agate_tile_clamp(int32_t vectors, int32_t points, int32_t *out_vectors, int32_t *out_points);

/* `base` advanced by `index` (may be NULL: 0) times `stride`, plus `offset` elements of f32. */
LLVMValueRef agate_emit_advance(agate_emitter *e, LLVMValueRef base, LLVMValueRef index, int64_t stride,
                                int64_t offset);

/* The same of inputs, whose offsets count `unit`s. */
LLVMValueRef agate_tile_advance(agate_emitter *e, agate_dtype unit, LLVMValueRef base, LLVMValueRef index,
                                int64_t stride, int64_t offset);

/* One step of the sums: weights at `weights` + `weight_offset`, inputs at `inputs` + `input_offset` +
 * point_at, for the points whose bit is set in `active`. Steps are fenced from each other: see emit_tile.c.
 */
void agate_tile_step(agate_emitter *e, agate_tile *tile, LLVMValueRef weights, int64_t weight_offset,
                     LLVMValueRef inputs, int64_t input_offset, uint32_t active);

/* The same for pairs of taps, of which some points have only the first, or the second: their bits are set in
 * `first` and `second`. What is missing is not read, and counts as 0. */
void agate_tile_pair_step(agate_emitter *e, agate_tile *tile, LLVMValueRef weights, int64_t weight_offset,
                          LLVMValueRef inputs, int64_t input_offset, uint32_t first, uint32_t second);

/* `sum` and the two products of each pair of bf16 numbers in vectors `x` and `w`, by AVX512-BF16's
 * instruction. */
LLVMValueRef agate_emit_pair_products(agate_emitter *e, LLVMValueRef x, LLVMValueRef w, LLVMValueRef sum);

/* An empty piece of assembly that claims to change memory and `count` vectors (at most AGATE_MAX_CARRIED). It
 * costs no instruction, but the optimizer moves no load across it and merges none with one behind it: else it
 * keeps weights and inputs loaded early, or shared by neighbouring taps, in registers, and pushes the sums
 * out to the stack. */
void agate_emit_fence(agate_emitter *e, LLVMValueRef *vectors, int32_t count);

/* A loop that carries the sums. A single turn between constant bounds is emitted straight. */
agate_loop agate_tile_loop_begin(agate_emitter *e, agate_tile *tile, LLVMValueRef lo, LLVMValueRef hi,
                                 int64_t step);
void agate_tile_loop_end(agate_emitter *e, agate_tile *tile, agate_loop *loop);

/* A long reduction in parts: each part is summed from 0 and then joins totals on the stack, so that rounding
 * errors grow with the length of a part plus the number of parts, not with the whole length (blocked
 * summation: Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14, 1993). Between
 * begin and end stands the code for steps lo <= step < hi. */
typedef struct agate_tile_parts {
    LLVMValueRef lo, hi;
    LLVMValueRef totals; /* <lanes x f32>[points * vectors]; NULL: there is one part */
    agate_loop loop;
} agate_tile_parts;

/* Steps of each part but the last, where `steps` are cut into parts of at most `most` (not 0). */
static inline int64_t agate_tile_even_part(int64_t steps, int64_t most)
{
    return agate_ceil_div(steps, agate_ceil_div(steps, most));
}

/* Cuts 0 <= step < `steps` into parts of at most `most` steps (0: no cut), as even as they can be. */
agate_tile_parts agate_tile_parts_begin(agate_emitter *e, agate_tile *tile, int64_t steps, int64_t most);
void agate_tile_parts_end(agate_emitter *e, agate_tile *tile, agate_tile_parts *parts);

/* What totals of a task's tiles may take of the stack of a thread. */
#define AGATE_MOST_TOTALS_BYTES (INT64_C(1) << 18)

/* Totals of a tile, one vector after the other from `totals` on. */
void agate_tile_store(agate_emitter *e, const agate_tile *tile, LLVMValueRef totals);
void agate_tile_load(agate_emitter *e, agate_tile *tile, LLVMValueRef totals);

/* A part by itself: puts what was summed on the stack and starts anew; adds it to what was summed since. */
LLVMValueRef agate_tile_set_aside(agate_emitter *e, agate_tile *tile);
void agate_tile_join(agate_emitter *e, agate_tile *tile, LLVMValueRef totals);

/* Binds the sums of one point and vector to `value`, and finishes the kernel at `at`. */
void agate_tile_finish(agate_emitter *e, const agate_value *value, LLVMValueRef sums, agate_coords at);

/* The bias of `lanes` outputs of convolution `conv` (or winograd) from `channel` on; NULL where it has none.
 * `live` may be NULL: all lanes. */
LLVMValueRef agate_emit_bias(agate_emitter *e, const agate_node *conv, LLVMValueRef channel, int32_t lanes,
                             LLVMValueRef live);

/* Fetches the cache line at `address` into L2 (near false) or L1. */
void agate_emit_prefetch(agate_emitter *e, LLVMValueRef address, bool near);

/* A range of tiles of one width along a dimension that is cut into register tiles. */
typedef struct agate_run {
    int64_t first; /* number of its first tile */
    int64_t count;
    int64_t width;
    int64_t start; /* first element of its first tile */
} agate_run;

/* Cuts `extent` into ceil(extent / most) tiles whose widths differ by one at most, the wider first; returns
 * how many runs: none where it is 0. */
int32_t agate_runs_balance(int64_t extent, int64_t most, agate_run out_runs[2]);

#endif
