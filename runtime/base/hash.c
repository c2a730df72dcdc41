/* hash.c: FNV-1a (Fowler, Noll, Vo), 64 bits. */
#include "runtime/base/base.h"

uint64_t agate_hash_bytes(uint64_t hash, const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}
