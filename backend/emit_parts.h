/* emit_parts.h: what the emit_*.c files share among themselves, beneath emit.h. */
#ifndef AGATE_EMIT_PARTS_H
#define AGATE_EMIT_PARTS_H

#include "backend/emit.h"

/* i1: does any lane live? NULL where one surely does. */
LLVMValueRef agate_coords_any_live(agate_emitter *e, const agate_coords *coords);

/* `value` at each lane's own coordinates, one element at a time; for lanes that do not follow each other in
 * an operand. */
LLVMValueRef agate_emit_by_lane(agate_emitter *e, const agate_value *value, const agate_coords *coords);

/* The result of a move (or view) at `coords`: its operand elsewhere, or a fill. */
LLVMValueRef agate_emit_move(agate_emitter *e, const agate_node *node, const agate_coords *coords);

/* The result of a convolution, matmul, window or reduction at `coords`, by loops of its own. */
LLVMValueRef agate_emit_inner(agate_emitter *e, const agate_node *node, const agate_coords *coords);
LLVMValueRef agate_emit_resample(agate_emitter *e, const agate_node *node, const agate_coords *coords);

/* ... of a reduction alone (emit_reduce.c). */
LLVMValueRef agate_emit_reduction(agate_emitter *e, const agate_node *node, const agate_coords *coords);

/* A scalar as wide as `model`; what is as wide already stays. */
LLVMValueRef agate_emit_splat_to(agate_emitter *e, LLVMValueRef value, LLVMValueRef model);

/* What a pool or reduction starts from, how it takes in one more, and how the lanes of a vector become one.
 */
LLVMValueRef agate_emit_neutral(agate_emitter *e, agate_op op, agate_dtype dtype, int32_t lanes);
LLVMValueRef agate_emit_join(agate_emitter *e, agate_op op, agate_dtype dtype, LLVMValueRef so_far,
                             LLVMValueRef value);
LLVMValueRef agate_emit_join_lanes(agate_emitter *e, agate_op op, agate_dtype dtype, LLVMValueRef value);

/* sum / count in floats, 0 where count (i64) is 0. */
LLVMValueRef agate_emit_average(agate_emitter *e, agate_dtype dtype, LLVMValueRef sum, LLVMValueRef count);

/* The taps of a sliding window in one dimension that fall into the input: lo <= k < hi, at origin +
 * k*dilation. */
typedef struct agate_taps {
    LLVMValueRef origin, lo, hi;
    int64_t dilation;
} agate_taps;

/* Those of `count` taps at output coordinate `at` that meet input coordinates `lo` to `hi` - 1; `begin` is
 * the padding. */
agate_taps agate_emit_taps(agate_emitter *e, LLVMValueRef at, int64_t count, int64_t stride, int64_t dilation,
                           int64_t begin, LLVMValueRef lo, LLVMValueRef hi);

/* Float functions on scalars or vectors of f32 (emit_math.c), to within 2 units in the last place. */
LLVMValueRef agate_emit_exp(agate_emitter *e, LLVMValueRef x);
LLVMValueRef agate_emit_log(agate_emitter *e, LLVMValueRef x);
LLVMValueRef agate_emit_tanh(agate_emitter *e, LLVMValueRef x);
LLVMValueRef agate_emit_erf(agate_emitter *e, LLVMValueRef x);

#endif
