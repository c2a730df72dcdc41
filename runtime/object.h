/* object.h: shared objects that are the file that was checked. Internal. */
#ifndef AGATE_RUNTIME_OBJECT_H
#define AGATE_RUNTIME_OBJECT_H

#include "runtime/base/base.h"

/* Loads the ELF file at `path`, which is open as `file` and begins with `bytes`: that one, whatever else was
 * loaded from there before or lies there by now. On success the caller owns *out_object, to dlclose.
 * Thread-safe. */
AGATE_MUST_USE agate_status agate_object_load(const char *path, int file, const void *bytes,
                                              size_t size_bytes, void **out_object);

#endif
