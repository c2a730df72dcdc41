/* ref.h: the reference kernels, one plain-C kernel per op: what every op means.
 *
 * Constant folding, tests, comparison and ops that the compiler has no loop for all call these. They are
 * written to be read and to be right, and need not be fast. Sums of f32 products are accumulated in double.
 */
#ifndef AGATE_REF_H
#define AGATE_REF_H

#include "runtime/base/call.h"

/* Scalar ops, in scalar.def's order. */
typedef enum agate_scalar_op {
#define AGATE_SCALAR(id, arity, types, result, expression) AGATE_SCALAR_##id,
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR
    AGATE_SCALAR_COUNT
} agate_scalar_op;

/* Which element types a scalar op takes, and what it gives. */
typedef enum agate_scalar_types {
    AGATE_TYPES_F = 1,  /* floats */
    AGATE_TYPES_I = 2,  /* integers */
    AGATE_TYPES_B = 4,  /* bool */
    AGATE_TYPES_N = 3,  /* floats and integers */
    AGATE_TYPES_A = 7,  /* all */
    AGATE_TYPES_IB = 6, /* integers and bool */
} agate_scalar_types;

typedef enum agate_scalar_result { AGATE_RESULT_SAME, AGATE_RESULT_BOOL } agate_scalar_result;

typedef struct agate_scalar_info {
    const char *name;
    int32_t arity;
    agate_scalar_types types;
    agate_scalar_result result;
} agate_scalar_info;

extern const agate_scalar_info agate_scalar_table[AGATE_SCALAR_COUNT];

/* Opens the definition of the kernel for a row of ir/ops.def's column `reference`; ir/ops.c declares them
 * all. */
#define AGATE_REF(name)                                                                                      \
    agate_status agate_ref_##name(const agate_ref_call *call);                                               \
    agate_status agate_ref_##name(const agate_ref_call *call)

#endif
