/* element.h: single elements of any dtype, and the choice of a kernel by dtype. */
#ifndef AGATE_REF_ELEMENT_H
#define AGATE_REF_ELEMENT_H

#include "runtime/ref/ref.h"

/* Kinds of element type, as agate_scalar_types has them, for `#if`. */
#define AGATE_KIND_FLOAT   1
#define AGATE_KIND_INTEGER 2
#define AGATE_KIND_BOOL    4

int agate_dtype_kind(agate_dtype dtype);

/* An element's exact value. */
typedef struct agate_number {
    enum { AGATE_NUMBER_REAL, AGATE_NUMBER_SIGNED, AGATE_NUMBER_UNSIGNED } kind;
    union {
        double real;
        int64_t i;
        uint64_t u;
    };
} agate_number;

agate_number agate_number_load(agate_dtype dtype, const void *data, int64_t index);

/* Converts as `cast` does: reals to integers saturate, with fractions cut off and NaN giving 0; integers to
 * narrower integers wrap; anything but 0 is true. */
void agate_number_store(agate_dtype dtype, void *data, int64_t index, agate_number number);

static inline agate_number agate_number_real(double value)
{
    return (agate_number){.kind = AGATE_NUMBER_REAL, .real = value};
}

/* The element as a double, rounded if it must be. */
double agate_element_load(agate_dtype dtype, const void *data, int64_t index);

static inline void agate_element_store(agate_dtype dtype, void *data, int64_t index, double value)
{
    agate_number_store(dtype, data, index, agate_number_real(value));
}

/* A kernel for one element type; `which` tells kernels apart that share their loops. */
typedef void (*agate_typed_fn)(const agate_ref_call *call, int32_t which);

#define AGATE_DTYPE_SLOTS 17 /* one more than the greatest agate_dtype */

/* Calls the entry for the dtype of the first input; refuses where that is NULL. `op` is for the message. */
agate_status agate_call_typed(const agate_typed_fn table[AGATE_DTYPE_SLOTS], const agate_ref_call *call,
                              int32_t which, const char *op);

/* Initializers of such a table from the functions NAME(f) that a template of typed.h defined. */
#define AGATE_FLOAT_TYPED(f)                                                                                 \
    [AGATE_F32] = f##_F32, [AGATE_F64] = f##_F64, [AGATE_F16] = f##_F16, [AGATE_BF16] = f##_BF16
#define AGATE_INTEGER_TYPED(f)                                                                               \
    [AGATE_U8] = f##_U8, [AGATE_I8] = f##_I8, [AGATE_U16] = f##_U16, [AGATE_I16] = f##_I16,                  \
    [AGATE_U32] = f##_U32, [AGATE_I32] = f##_I32, [AGATE_U64] = f##_U64, [AGATE_I64] = f##_I64
#define AGATE_BOOL_TYPED(f) [AGATE_BOOL] = f##_BOOL

#endif
