/* hash.c: FNV-1a (Fowler, Noll, Vo), 64 bits, and a digest of whole files at the speed of memory. */
#include "runtime/base/base.h"

uint64_t agate_hash_bytes(uint64_t hash, const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Odd, with bits spread evenly; and a rotation that brings the high bits of a product into the next one's low
 * half. */
#define FACTOR   UINT64_C(0x9e3779b97f4a7c15)
#define ROTATION 29

static inline uint64_t stir(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * FACTOR;
    return lane << ROTATION | lane >> (64 - ROTATION);
}

static void add_block(agate_digest *digest, const void *block)
{
    uint64_t words[AGATE_DIGEST_LANES];
    memcpy(words, block, sizeof words);
    for (int i = 0; i < AGATE_DIGEST_LANES; i++)
        digest->lanes[i] = stir(digest->lanes[i], words[i]);
}

void agate_digest_add(agate_digest *digest, const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;
    size_t done = 0;
    /* In a copy of its own the state stays in registers. */
    agate_digest state = *digest;
    for (; size_bytes - done >= sizeof state.lanes; done += sizeof state.lanes)
        add_block(&state, bytes + done);
    if (done < size_bytes) {
        uint8_t last[sizeof state.lanes] = {0};
        memcpy(last, bytes + done, size_bytes - done);
        add_block(&state, last);
    }
    *digest = state;
}

uint64_t agate_digest_end(const agate_digest *digest)
{
    uint64_t all = AGATE_HASH_SEED;
    for (int i = 0; i < AGATE_DIGEST_LANES; i++)
        all = stir(stir(all, digest->lanes[i]), (uint64_t)i);
    return all;
}

/* ---- by pieces ----------------------------------------------------------------------------------------- */

void agate_long_digest_add_piece(agate_long_digest *digest, uint64_t piece)
{
    agate_digest_add(&digest->pieces, &piece, sizeof piece);
}

static void end_piece(agate_long_digest *digest)
{
    agate_long_digest_add_piece(digest, agate_digest_end(&digest->piece));
    digest->piece = (agate_digest){0};
    digest->filled = 0;
}

void agate_long_digest_add(agate_long_digest *digest, const void *data, size_t size_bytes)
{
    for (const char *bytes = data; size_bytes > 0;) {
        const size_t part =
            (size_t)agate_min((int64_t)size_bytes, (int64_t)(AGATE_PIECE_BYTES - digest->filled));
        agate_digest_add(&digest->piece, bytes, part);
        digest->filled += part;
        bytes += part;
        size_bytes -= part;
        if (digest->filled == AGATE_PIECE_BYTES)
            end_piece(digest);
    }
}

uint64_t agate_long_digest_end(agate_long_digest *digest)
{
    if (digest->filled > 0)
        end_piece(digest);
    return agate_digest_end(&digest->pieces);
}
