/* emit.h: what emitters are built from: coordinates, loads and stores through layouts, the scalar language, loops.
 *
 * An emitter (one per strategy: `bool agate_emit_ID(agate_emitter *)`) writes the loops of a kernel. For its anchor it
 * computes vectors of results, binds them to the anchor's value, and calls agate_emit_finish, which evaluates the scalar
 * ops behind the anchor at the same coordinates and stores every yielded value. Whatever the body holds, an emitter
 * meets it through agate_emit_value: pointwise ops are computed, moves map the coordinates, parameters are loaded.
 */
#ifndef AGATE_EMIT_H
#define AGATE_EMIT_H

#include <llvm-c/Core.h>

#include "ir/graph.h"

typedef struct agate_emitter {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMValueRef function; /* void (ptr buffers, i64 batch, i64 first, i64 last) */
    LLVMValueRef batch, first, last;
    const agate_node *kernel;
    const agate_graph *body;
    LLVMValueRef *params;  /* base pointer of each body parameter */
    LLVMValueRef *results; /* base pointer of each kernel result */
    agate_arena *scratch;
    struct agate_binding *bindings; /* values known at the current coordinates */
} agate_emitter;

/* Task count and name are read from the emitted kernel's node; an emitter that cannot go on is a bug (asserts). */
typedef void (*agate_emit_fn)(agate_emitter *emitter);

/* How many tasks a scheduled kernel has: the other half of each emitter's bargain with the runtime. */
agate_dim agate_task_count(const agate_node *kernel);

/* ---- coordinates -------------------------------------------------------------------------------------- */

/* Logical coordinates of an element, or of `lanes` elements that follow each other along dimension `vector`. */
typedef struct agate_coords {
    int32_t rank;
    LLVMValueRef at[AGATE_MAX_RANK]; /* i64 */
    int32_t vector;    /* dimension the lanes run along; -1: one element */
    int32_t lanes;     /* 1 where vector is -1 */
    LLVMValueRef live; /* <lanes x i1>: lanes that exist; NULL: all */
} agate_coords;

/* Address of the (first) element at `coords` of a tensor of `type` at `base`. `coords` may have more dimensions than the
 * type, or run over dimensions that are 1 there: both broadcast. */
LLVMValueRef agate_emit_address(agate_emitter *e, LLVMValueRef base, const agate_type *type, const agate_coords *coords);

/* One vector (contiguous, gathered, or a splat where the type does not vary along the lanes), or a scalar if lanes is 1. */
LLVMValueRef agate_emit_load(agate_emitter *e, LLVMValueRef base, const agate_type *type, const agate_coords *coords);
void agate_emit_store(agate_emitter *e, LLVMValueRef base, const agate_type *type, const agate_coords *coords,
                      LLVMValueRef value);

/* ---- values of the body ------------------------------------------------------------------------------- */

/* The value at `coords`: bound, loaded, or computed. */
LLVMValueRef agate_emit_value(agate_emitter *e, const agate_value *value, const agate_coords *coords);

/* Says that `value` is `vector` at the coordinates of the next agate_emit_finish. */
void agate_emit_bind(agate_emitter *e, const agate_value *value, LLVMValueRef vector);

/* Evaluates and stores every yielded value at `coords`, then forgets the bindings. */
void agate_emit_finish(agate_emitter *e, const agate_coords *coords);

/* The anchor of the body: the first node that is not pointwise; NULL: none. */
const agate_node *agate_emit_anchor(const agate_emitter *e);

/* ---- scalar language (emit_scalar.c) ------------------------------------------------------------------- */

/* One row of scalar.def on values of `dtype` (LLVM scalars or vectors; bool is i8). */
LLVMValueRef agate_emit_scalar(agate_emitter *e, agate_scalar_op op, agate_dtype dtype, const agate_attrs *attrs,
                               const LLVMValueRef *operands);

LLVMTypeRef agate_emit_type(agate_emitter *e, agate_dtype dtype, int32_t lanes); /* scalar type where lanes is 1 */
LLVMValueRef agate_emit_int(agate_emitter *e, int64_t value);                      /* i64 */
LLVMValueRef agate_emit_float(agate_emitter *e, double value, int32_t lanes);      /* f32 splat */
LLVMValueRef agate_emit_splat(agate_emitter *e, LLVMValueRef scalar, int32_t lanes);
LLVMValueRef agate_emit_fma(agate_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c); /* a*b + c, fused if the target does */

/* ---- loops -------------------------------------------------------------------------------------------- */

#define AGATE_MAX_CARRIED 64

/* for (index = lo; index < hi; index += step), with values carried from turn to turn. */
typedef struct agate_loop {
    LLVMValueRef index; /* i64 */
    LLVMValueRef carried[AGATE_MAX_CARRIED]; /* inside: this turn's values; after agate_loop_end: the final ones */
    int32_t carried_count;
    LLVMBasicBlockRef head, exit;
    LLVMValueRef step;
    LLVMValueRef phis[AGATE_MAX_CARRIED + 1];
} agate_loop;

/* Opens the loop; it runs zero times where lo >= hi. */
agate_loop agate_loop_begin(agate_emitter *e, LLVMValueRef lo, LLVMValueRef hi, int64_t step,
                            const LLVMValueRef *carried, int32_t carried_count);
void agate_loop_end(agate_emitter *e, agate_loop *loop, const LLVMValueRef *carried);

/* Splits a task number into digits, the last fastest: digits[i] < extents[i]; extents[0] may be NULL (no bound). */
void agate_emit_digits(agate_emitter *e, LLVMValueRef number, const LLVMValueRef *extents, int32_t count,
                       LLVMValueRef *out_digits);

#endif
