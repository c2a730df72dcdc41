/* digest.h: the digest of a model's weights, by as many threads as it pays. Internal. */
#ifndef AGATE_RUNTIME_DIGEST_H
#define AGATE_RUNTIME_DIGEST_H

#include "runtime/base/base.h"

/* What agate_long_digest gives of these bytes. Threads end before it returns; where none can be started it
 * works alone. */
uint64_t agate_digest_on_threads(const void *data, size_t size_bytes);

#endif
