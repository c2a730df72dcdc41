/* blake3.h: BLAKE3, the hash that names what the cache holds: nobody can make two models that it would mix up. */
#ifndef AGATE_BLAKE3_H
#define AGATE_BLAKE3_H

#include "runtime/base/base.h"

#define AGATE_BLAKE3_BYTES 32

/* A hash in the making. Thread-compatible. */
typedef struct agate_blake3 agate_blake3;

/* NULL if memory is short. */
agate_blake3 *agate_blake3_create(void);
void agate_blake3_release(agate_blake3 *hash); /* NULL is accepted */

/* Takes the next piece. Pieces of a megabyte are taken several times faster than small ones. */
void agate_blake3_add(agate_blake3 *hash, const void *data, size_t size_bytes);

/* The hash of all pieces; nothing may be added any more. */
void agate_blake3_end(agate_blake3 *hash, uint8_t out_digest[AGATE_BLAKE3_BYTES]);

#endif
