/* compare.h: a compiled model against the reference kernels, kernel by kernel. */
#ifndef AGATE_COMPARE_H
#define AGATE_COMPARE_H

#include "tools/runner.h"

typedef struct agate_compare_options {
    double rtol;
    double atol; /* negative: its magnitude is that share of the result's largest magnitude */
    /* hold results against a whole run by reference, not against the reference kernel with the very operands
     * that the compiled one had */
    bool accumulated;
    /* F16 or BF16: f32s that are compared were rounded to that, and its neighbours pass; 0: as the tensors'
     * own type says */
    agate_dtype grid;
    bool regrid; /* what it was made of was rounded, too, and may have been larger */
} agate_compare_options;

#define AGATE_COMPARE_RTOL 1e-4
#define AGATE_COMPARE_ATOL (-1e-5)

/* How far one result of a kernel is off. */
typedef struct agate_difference {
    double max_abs; /* largest |got - want|; infinite where only one of them is a number */
    /* the largest |got - want| / |want|, and that in units of want's last place; of elements at */
    double max_relative;
    /* least a thousandth of the largest |want|: below, rounding of what cancels says nothing */
    double max_ulp;
    int64_t element_count, wrong_count;
} agate_difference;

/* Holds `got` against `want`, of equal type and shape. Every element must be within atol + rtol * |want|;
 * integers and booleans must be equal. Neighbouring floats of 16 bits pass: a sum between them may be rounded
 * to either. */
agate_difference agate_tensor_difference(const agate_tensor *got, const agate_tensor *want,
                                         const agate_compare_options *options);

/* Hears each result of each kernel, in the order of execution. */
typedef void (*agate_difference_fn)(void *user, const agate_node *kernel, int32_t result,
                                    const agate_difference *difference);

/* Runs the model once, then by reference, telling `hear` of each result. `runner` is compiled and has its
 * planned graph; `inputs` fit it. Takes the memory of all intermediate results at once. */
AGATE_MUST_USE agate_status agate_compare(agate_runner *runner, const agate_tensor *inputs,
                                          const agate_compare_options *options, agate_difference_fn hear,
                                          void *user);

#endif
