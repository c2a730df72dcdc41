/* reorder.h: moves elements from one layout to another: packing and unpacking of constants, and rounding them
 * to bf16 or f16. */
#ifndef AGATE_REORDER_H
#define AGATE_REORDER_H

#include "ir/graph.h"

/* Copies the elements of `source` (of `from`) to `target` (of `to`). Both types have fixed equal dimensions
 * and equal dtypes, or `from` is f32 and `to` bf16 or f16, to which elements are rounded; else they differ in
 * layout only. `source` may lie at any address; `target` has the size of `to`, and its pads are left alone.
 * Returns false if memory is short. */
bool agate_reorder_bytes(const agate_type *from, const void *source, const agate_type *to, void *target);

/* Deferred data: the contents of `data`, which it retains, as above, pads zero. NULL if memory is short. */
agate_data *agate_data_reorder(agate_data *data, const agate_type *from, const agate_type *to);

/* The same where `from` is f32 and `to` of 16 bits: of each number, part `plane` of those whose sum it is
 * (ir/narrow.h); of f16 there is one, 0. */
agate_data *agate_data_plane(agate_data *data, const agate_type *from, const agate_type *to, int32_t plane);

/* Deferred data: the contents of `data`, which it retains, with dimension perm[d] as dimension d; both types
 * are plain. NULL if memory is short. */
agate_data *agate_data_transpose(agate_data *data, const agate_type *from, const int32_t *perm,
                                 const agate_type *to);

#endif
