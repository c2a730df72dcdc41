/* tensor.h: tensors with memory of their own: from files, from a seed, compared, described. */
#ifndef AGATE_TENSOR_H
#define AGATE_TENSOR_H

#include "runtime/base/module.h"

/* Aligned, zeroed memory for a tensor whose dtype and dims are set; sets `data` and `size_bytes`. */
AGATE_MUST_USE agate_status agate_tensor_allocate(agate_tensor *tensor);

void agate_tensor_free(agate_tensor *tensors, size_t count);

/* Is it a file that holds a tensor as it is (.npy or .pb), by its name? */
bool agate_tensor_is_file(const char *path);

/* Reads a .npy or .pb file (untrusted). On success out_tensor->data is the caller's to free. Errors name the
 * file. */
AGATE_MUST_USE agate_status agate_tensor_load(const char *path, agate_tensor *out_tensor);

/* Fills with numbers that depend on the seed alone: floats in [-1, 1), integers in [0, 10), either bool. */
void agate_tensor_fill(agate_tensor *tensor, uint64_t seed);

/* A tensor of `type` at `batch`, allocated. Fails where the type has no size at that batch. */
AGATE_MUST_USE agate_status agate_tensor_of_type(const agate_module_type *type, int64_t batch,
                                                 agate_tensor *out_tensor);

/* Appends "f32[1,3,224,224]". */
void agate_tensor_print_type(const agate_tensor *tensor, agate_text *text);

/* Is `got` what `want` is? Equal dtype and shape; floats within atol + rtol * |want|, NaN equal to NaN; all
 * else equal. Where it is not, appends why. */
bool agate_tensor_compare(const agate_tensor *got, const agate_tensor *want, double rtol, double atol,
                          agate_text *why);

#endif
