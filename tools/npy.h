/* npy.h: numpy's file format for one array. */
#ifndef AGATE_NPY_H
#define AGATE_NPY_H

#include "runtime/base/base.h"

/* Parses a file's bytes (untrusted). On success out_tensor->data is the caller's to free. Takes little-endian
 * numbers and bool in C order. */
AGATE_MUST_USE agate_status agate_npy_parse(const char *data, size_t size_bytes, agate_tensor *out_tensor);

/* Writes a tensor. numpy has no bfloat16, so that is written as float32, which is exact. */
AGATE_MUST_USE agate_status agate_npy_write(const char *path, const agate_tensor *tensor);

#endif
