/* emit.h: what emitters are built from: coordinates, loads and stores through layouts, the scalar language,
 * loops.
 *
 * An emitter (one per strategy: `void agate_emit_ID(agate_emitter *)`) writes the loops of a kernel over the
 * tasks first <= t < last. For its anchor it computes vectors of results, binds them to the anchor's value,
 * and calls agate_emit_finish, which evaluates the scalar ops behind the anchor at the same coordinates and
 * stores every yielded value. Whatever the body holds, an emitter meets it through agate_emit_value:
 * pointwise ops are computed, moves map the coordinates, parameters are loaded.
 *
 * Emitters cannot fail: what they cannot do, the schedule does not ask of them (asserts).
 */
#ifndef AGATE_EMIT_H
#define AGATE_EMIT_H

#include <llvm-c/Core.h>

#include "ir/graph.h"

/* A value of the body of which the last `rows` rows of an image are kept, row y in place y modulo `rows`. */
typedef struct agate_ring {
    const agate_value *value;
    LLVMValueRef base; /* where its channel 0 would lie */
    agate_type type;   /* of what is kept */
    int64_t rows;
} agate_ring;

typedef struct agate_emitter {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMValueRef function; /* void (ptr buffers, i64 batch, i64 first, i64 last, ptr workspace) */
    LLVMValueRef batch, first, last, workspace;
    bool exponentials; /* AVX-512 has instructions for most of an exponential (emit_math.c) */
    bool halves;       /* F16C is there, which converts f16 (emit_half.c) */
    const agate_node *kernel;
    const agate_graph *body;
    LLVMValueRef *params;  /* base pointer of each body parameter */
    LLVMValueRef *results; /* base pointer of each kernel result */
    agate_arena *scratch;
    struct agate_binding *bindings; /* values known at the current coordinates, newest first */
    const agate_ring *ring;         /* what is finished goes there, and nowhere else; NULL: to the results */
    const agate_node *part; /* the slice that opens the part to be finished (ir/parts.h); NULL: all of it */
} agate_emitter;

/* Opens a module with the function `symbol` for `kernel` and positions the builder in it;
 * agate_emitter_deinit closes the function and leaves the module to the caller. */
void agate_emitter_init(agate_emitter *e, LLVMContextRef context, const agate_node *kernel,
                        const char *symbol, agate_arena *scratch);
void agate_emitter_deinit(agate_emitter *e);

/* ---- strategies (strategy.c) --------------------------------------------------------------------------- */

/* One emitter for each row of strategies.def that compiles, and how many tasks it cuts a kernel into: the two
 * halves of its bargain with the runtime. */
#define AGATE_STRATEGY(id, summary)                                                                          \
    void agate_emit_##id(agate_emitter *e);                                                                  \
    agate_dim agate_tasks_##id(const agate_node *kernel);
#include "ir/strategies.def"
#undef AGATE_STRATEGY

/* Emits the whole function of the kernel by its strategy (not `library`). */
void agate_emit_kernel(agate_emitter *e);

/* How many tasks a scheduled kernel has. */
agate_dim agate_task_count(const agate_node *kernel);

/* Bytes of the workspace that each thread needs for a scheduled kernel; 0: none. */
int64_t agate_workspace_bytes(const agate_node *kernel);

/* ---- numbers ------------------------------------------------------------------------------------------- */

LLVMTypeRef agate_emit_type(agate_emitter *e, agate_dtype dtype,
                            int32_t lanes);                   /* scalar type where lanes is 1 */
LLVMValueRef agate_emit_int(agate_emitter *e, int64_t value); /* i64 */
LLVMValueRef agate_emit_dim(agate_emitter *e, agate_dim dim); /* i64, from the batch */
LLVMValueRef agate_emit_float(agate_emitter *e, double value, int32_t lanes); /* f32 splat */
LLVMValueRef agate_emit_number(agate_emitter *e, agate_dtype dtype, double value, int32_t lanes);
LLVMValueRef agate_emit_splat(agate_emitter *e, LLVMValueRef scalar, int32_t lanes);
LLVMValueRef agate_emit_iota(agate_emitter *e, int32_t lanes); /* <0, 1, 2, ...> of i64; 0 where lanes is 1 */
int32_t agate_emit_lanes(LLVMValueRef value);                  /* 1 for a scalar */

/* a*b + c on floats, in one rounding where the target has that. */
LLVMValueRef agate_emit_fma(agate_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c);

/* Arithmetic on coordinates: i64 (or vectors of it), folded where an operand is a constant. */
LLVMValueRef agate_emit_add(agate_emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef agate_emit_sub(agate_emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef agate_emit_mul(agate_emitter *e, LLVMValueRef a, int64_t factor);
LLVMValueRef agate_emit_min(agate_emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef agate_emit_max(agate_emitter *e, LLVMValueRef a, LLVMValueRef b);

/* Quotient and remainder of a >= 0 by divisor > 0. Sees through a = x*divisor + y, so that coordinates put
 * together from block numbers and lanes come apart again at no cost. */
void agate_emit_divide(agate_emitter *e, LLVMValueRef a, int64_t divisor, LLVMValueRef *out_quotient,
                       LLVMValueRef *out_remainder);

/* Calls intrinsic `name` ("llvm.fmuladd"), overloaded on the type of the first argument. */
LLVMValueRef agate_emit_intrinsic(agate_emitter *e, const char *name, LLVMValueRef *args, uint32_t count);

/* The same address, number or vector of numbers, of which the optimizer knows nothing: what is read behind an
 * address is addressed by plain distances from one register, and no time is spent on looking for something
 * better. Vectors are those of AVX-512. */
LLVMValueRef agate_emit_opaque(agate_emitter *e, LLVMValueRef value);

/* ---- coordinates --------------------------------------------------------------------------------------- */

/* Logical coordinates of an element, or of `lanes` elements that follow each other along dimension `vector`.
 */
typedef struct agate_coords {
    int32_t rank;
    LLVMValueRef at[AGATE_MAX_RANK]; /* i64; `vector`'s is that of the first lane */
    int32_t vector;                  /* dimension the lanes run along; -1: one element */
    int32_t lanes;                   /* 1 where vector is -1 */
    LLVMValueRef
        live; /* <lanes x i1> (i1 where lanes is 1): lanes that exist; NULL: all. Never none (see guarded) */
    bool guarded;   /* `live` may be false in every lane */
    bool unaligned; /* at[vector] is not known to be a multiple of `lanes` */
    bool flat;      /* rank 1: at[0] counts elements in memory order, which all types met share */
} agate_coords;

/* The coordinates of rank `rank`, all 0, one element. */
agate_coords agate_coords_make(agate_emitter *e, int32_t rank);

/* Address of the (first) element at `coords` of a tensor of `type` at `base`. `coords` may have more
 * dimensions than the type (the trailing ones count), or run over dimensions that are 1 there: both
 * broadcast. */
LLVMValueRef agate_emit_address(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                                const agate_coords *coords);

/* One vector (contiguous, gathered, or a splat where the type does not vary along the lanes), or a scalar if
 * lanes is 1. Lanes that are not live are not read, and are 0. Along a blocked dimension lanes may run into
 * the pads. */
LLVMValueRef agate_emit_load(agate_emitter *e, LLVMValueRef base, const agate_type *type,
                             const agate_coords *coords);
void agate_emit_store(agate_emitter *e, LLVMValueRef base, const agate_type *type, const agate_coords *coords,
                      LLVMValueRef value);

/* Mask of the lanes of a vector that starts at `at` which lie below `extent`. */
LLVMValueRef agate_emit_live(agate_emitter *e, LLVMValueRef at, LLVMValueRef extent, int32_t lanes);

/* Narrows coords->live by `condition`: lanes' own, or one i1 for all. */
void agate_coords_guard(agate_emitter *e, agate_coords *coords, LLVMValueRef condition);

/* Elements from one image of `type` to the next: where it lies among others' channels, those are in
 * between. */
int64_t agate_emit_image_stride(const agate_type *type);

/* Memory on the stack, once for the whole function. */
LLVMValueRef agate_emit_reserve(agate_emitter *e, LLVMTypeRef type, int64_t count, int32_t align_bytes);

/* Constant bytes in the module, aligned to AGATE_ALIGNMENT: their address. */
LLVMValueRef agate_emit_constant(agate_emitter *e, const char *name, const void *bytes, size_t size_bytes);

/* ---- values of the body -------------------------------------------------------------------------------- */

/* The value at `coords`: bound, loaded, or computed. */
LLVMValueRef agate_emit_value(agate_emitter *e, const agate_value *value, const agate_coords *coords);

/* Says that `value` is `vector` at the coordinates of the next agate_emit_finish. */
void agate_emit_bind(agate_emitter *e, const agate_value *value, LLVMValueRef vector);

/* Evaluates and stores every yielded value (of e->part), or e->ring's value, at `coords`, then forgets the
 * bindings. */
void agate_emit_finish(agate_emitter *e, const agate_coords *coords);

/* The anchor of the body: the first node that is neither pointwise, cast, move, resampling nor constant;
 * NULL: none. */
const agate_node *agate_emit_anchor(const agate_emitter *e);
const agate_node *agate_emit_anchor_of(const agate_node *kernel);

/* ---- scalar language (emit_scalar.c) ------------------------------------------------------------------- */

/* One row of scalar.def on values of `dtype` (LLVM scalars or vectors; bool is i8; f16 and bf16 are i16 in
 * memory and computed in f32). */
LLVMValueRef agate_emit_scalar(agate_emitter *e, agate_scalar_op op, agate_dtype dtype,
                               const agate_attrs *attrs, const LLVMValueRef *operands);
LLVMValueRef agate_emit_cast(agate_emitter *e, agate_dtype from, agate_dtype to, LLVMValueRef value);

/* bf16 or f16 made f32, which is exact, and f32 rounded to these, to the nearest, of two the even one
 * (emit_half.c). */
LLVMValueRef agate_emit_widened(agate_emitter *e, agate_dtype from, LLVMValueRef value);
LLVMValueRef agate_emit_rounded(agate_emitter *e, agate_dtype to, LLVMValueRef value);

/* Elements of two vectors in turns, from number `first` of each on, `count` of all. */
LLVMValueRef agate_emit_interleaved(agate_emitter *e, LLVMValueRef even, LLVMValueRef odd, int32_t first,
                                    int32_t count);

/* The same vector, for shuffles. LLVM 22 knows what AVX512-BF16 has rounded for a vector of bfloat, and
 * shuffles some of these by instructions that it then cannot select: such a one is hidden from it. */
LLVMValueRef agate_emit_to_shuffle(agate_emitter *e, LLVMValueRef value);

/* ---- loops --------------------------------------------------------------------------------------------- */

#define AGATE_MAX_CARRIED 64

/* for (index = lo; index < hi; index += step), with values carried from turn to turn. */
typedef struct agate_loop {
    LLVMValueRef index; /* i64 */
    LLVMValueRef
        carried[AGATE_MAX_CARRIED]; /* inside: this turn's values; after agate_loop_end: the final ones */
    int32_t carried_count;
    int64_t step;
    LLVMValueRef hi;
    LLVMValueRef initial[AGATE_MAX_CARRIED];
    LLVMBasicBlockRef before, head, exit;
    bool guarded; /* may run zero times */
    struct agate_binding *bindings;
} agate_loop;

/* Opens the loop; it runs zero times where lo >= hi. Values computed inside are not visible behind it, save
 * the carried. */
agate_loop agate_loop_begin(agate_emitter *e, LLVMValueRef lo, LLVMValueRef hi, int64_t step,
                            const LLVMValueRef *carried, int32_t carried_count);
void agate_loop_end(agate_emitter *e, agate_loop *loop, const LLVMValueRef *carried);

/* The loop over the tasks first <= index < last. */
agate_loop agate_task_begin(agate_emitter *e);

/* if (condition) { ... }: values of the two ways meet in agate_branch_end. */
typedef struct agate_branch {
    LLVMBasicBlockRef before, then, exit;
    struct agate_binding *bindings;
} agate_branch;

agate_branch agate_branch_begin(agate_emitter *e, LLVMValueRef condition);

/* Closes the branch; gives `yes` where it was taken, else `no` (which must be known before the branch). Both
 * may be NULL. */
LLVMValueRef agate_branch_end(agate_emitter *e, agate_branch *branch, LLVMValueRef yes, LLVMValueRef no);

/* Splits a task number into digits, the last fastest: digits[i] < extents[i]; extents[0] may be NULL (no
 * bound). */
void agate_emit_digits(agate_emitter *e, LLVMValueRef number, const LLVMValueRef *extents, int32_t count,
                       LLVMValueRef *out_digits);

#endif
