/* blake3.c: BLAKE3 as in "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020).
 *
 * A chunk of 1024 bytes is hashed block by block, and chunks are the leaves of a binary tree, so sixteen of them, and
 * sixteen pairs of any level above them, are hashed side by side in the lanes of vectors. */
#include "tools/blake3.h"

#include <stdlib.h>

#include "runtime/base/features.h"

#define BLOCK_BYTES 64
#define CHUNK_BYTES 1024
#define LANES       16
#define GROUP       256 /* chunks that come to one value at once: all levels but the last four fill vectors */
#define GROUP_BYTES ((size_t)GROUP * CHUNK_BYTES)

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Which word of the message each round uses where: the permutation of the paper, applied again and again. */
static const uint8_t schedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

typedef uint32_t lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* A value of the tree. */
typedef struct value {
    uint32_t words[8];
} value;

typedef void (*hash_group_fn)(const uint8_t *data, uint64_t number, value *out_value);

struct agate_blake3 {
    hash_group_fn hash_group; /* the CPU's best */
    value stack[64];          /* of whole subtrees, the largest first */
    size_t depth;
    uint64_t groups; /* on the stack */
    size_t filled;   /* of `buffer` */
    uint8_t buffer[GROUP_BYTES];
};

/* The same rounds on numbers and on vectors. `v` is the state, M(i) word i of the message. */
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define MIX(a, b, c, d, x, y)                                                                                \
    do {                                                                                                     \
        v[a] += v[b] + (x);                                                                                  \
        v[d] = ROTATE(v[d] ^ v[a], 16);                                                                      \
        v[c] += v[d];                                                                                        \
        v[b] = ROTATE(v[b] ^ v[c], 12);                                                                      \
        v[a] += v[b] + (y);                                                                                  \
        v[d] = ROTATE(v[d] ^ v[a], 8);                                                                       \
        v[c] += v[d];                                                                                        \
        v[b] = ROTATE(v[b] ^ v[c], 7);                                                                       \
    } while (0)
#define ROUND(M)                                                                                             \
    do {                                                                                                     \
        MIX(0, 4, 8, 12, M(0), M(1));                                                                        \
        MIX(1, 5, 9, 13, M(2), M(3));                                                                        \
        MIX(2, 6, 10, 14, M(4), M(5));                                                                       \
        MIX(3, 7, 11, 15, M(6), M(7));                                                                       \
        MIX(0, 5, 10, 15, M(8), M(9));                                                                       \
        MIX(1, 6, 11, 12, M(10), M(11));                                                                     \
        MIX(2, 7, 8, 13, M(12), M(13));                                                                      \
        MIX(3, 4, 9, 14, M(14), M(15));                                                                      \
    } while (0)
#define WORD(i) words[schedule[round][i]]

/* ---- one block ------------------------------------------------------------------------------------------ */

static void compress(value *chain, const uint8_t *block, uint64_t counter, uint32_t size_bytes,
                     uint32_t flags)
{
    uint32_t words[16], v[16];

    memcpy(words, block, sizeof words);
    memcpy(v, chain->words, sizeof chain->words);
    memcpy(v + 8, initial, 4 * sizeof *initial);
    v[12] = (uint32_t)counter;
    v[13] = (uint32_t)(counter >> 32);
    v[14] = size_bytes;
    v[15] = flags;
    for (int round = 0; round < 7; round++)
        ROUND(WORD);
    for (int i = 0; i < 8; i++)
        chain->words[i] = v[i] ^ v[i + 8];
}

static value start(void)
{
    value v;

    memcpy(v.words, initial, sizeof v.words);
    return v;
}

static value parent(const value *left, const value *right, uint32_t flags)
{
    uint8_t block[BLOCK_BYTES];
    value v = start();

    memcpy(block, left, sizeof *left);
    memcpy(block + sizeof *left, right, sizeof *right);
    compress(&v, block, 0, BLOCK_BYTES, PARENT | flags);
    return v;
}

/* A chunk of at most CHUNK_BYTES; `flags` are those of its last block. */
static value chunk(const uint8_t *data, size_t size_bytes, uint64_t number, uint32_t flags)
{
    value v = start();
    uint32_t first = CHUNK_START;

    for (; size_bytes > BLOCK_BYTES; data += BLOCK_BYTES, size_bytes -= BLOCK_BYTES, first = 0)
        compress(&v, data, number, BLOCK_BYTES, first);
    uint8_t block[BLOCK_BYTES] = {0};
    memcpy(block, data, size_bytes);
    compress(&v, block, number, (uint32_t)size_bytes, first | CHUNK_END | flags);
    return v;
}

/* ---- many blocks ---------------------------------------------------------------------------------------- */

#define LOW  ((lanes){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23})
#define HIGH ((lanes){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31})

/* words[i] becomes word i of each lane's block. Interleaving the halves four times transposes; only where vectors are whole
 * registers is that faster than word by word. */
static inline __attribute__((always_inline)) void load_words(const uint8_t *data, size_t stride, bool whole,
                                                             lanes words[16])
{
    uint32_t transposed[16][LANES];
    lanes other[16];

    if (!whole) {
        for (int lane = 0; lane < LANES; lane++)
            for (int i = 0; i < 16; i++)
                memcpy(&transposed[i][lane], data + (size_t)lane * stride + (size_t)i * 4, 4);
        memcpy(words, transposed, sizeof transposed);
        return;
    }
    for (int lane = 0; lane < LANES; lane++)
        memcpy(&words[lane], data + (size_t)lane * stride, sizeof *words);
    for (int twice = 0; twice < 2; twice++) {
        for (int i = 0; i < 8; i++) {
            other[2 * i] = __builtin_shuffle(words[i], words[i + 8], LOW);
            other[2 * i + 1] = __builtin_shuffle(words[i], words[i + 8], HIGH);
        }
        for (int i = 0; i < 8; i++) {
            words[2 * i] = __builtin_shuffle(other[i], other[i + 8], LOW);
            words[2 * i + 1] = __builtin_shuffle(other[i], other[i + 8], HIGH);
        }
    }
}

/* Hashes LANES inputs, `stride` bytes apart and `blocks` blocks long. Input i has the counter `counter` + i where `counted`,
 * 0 otherwise. */
static inline __attribute__((always_inline)) void hash_lanes(const uint8_t *data, size_t stride,
                                                             size_t blocks, uint64_t counter, bool counted,
                                                             uint32_t flags, bool whole, value *out_values)
{
    uint32_t first = counted ? CHUNK_START : 0, last = counted ? CHUNK_END : 0;
    lanes chain[8], low = {0}, high = {0};

    for (int i = 0; i < 8; i++)
        chain[i] = (lanes){0} + initial[i];
    for (int lane = 0; counted && lane < LANES; lane++) {
        low[lane] = (uint32_t)(counter + (uint64_t)lane);
        high[lane] = (uint32_t)((counter + (uint64_t)lane) >> 32);
    }
    for (size_t block = 0; block < blocks; block++, data += BLOCK_BYTES) {
        lanes words[16], v[16];
        load_words(data, stride, whole, words);
        for (int i = 0; i < 8; i++)
            v[i] = chain[i];
        for (int i = 0; i < 4; i++)
            v[8 + i] = (lanes){0} + initial[i];
        v[12] = low;
        v[13] = high;
        v[14] = (lanes){0} + BLOCK_BYTES;
        v[15] = (lanes){0} + (flags | (block == 0 ? first : 0) | (block + 1 == blocks ? last : 0));
#pragma GCC unroll 7
        for (int round = 0; round < 7; round++)
            ROUND(WORD);
        for (int i = 0; i < 8; i++)
            chain[i] = v[i] ^ v[i + 8];
    }
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 8; i++)
            out_values[lane].words[i] = chain[i][lane];
}

/* GROUP whole chunks to the value above them. Levels of less than LANES pairs compute lanes that nobody reads. */
static inline __attribute__((always_inline)) void hash_group(const uint8_t *data, uint64_t number, bool whole,
                                                             value *out_value)
{
    value values[2 * GROUP] = {0}, above[GROUP];

    for (size_t i = 0; i < GROUP; i += LANES)
        hash_lanes(data + i * CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES / BLOCK_BYTES, number + i, true, 0, whole,
                   &values[i]);
    for (size_t count = GROUP / 2; count > 0; count /= 2) {
        for (size_t i = 0; i < count; i += LANES)
            hash_lanes((const uint8_t *)&values[2 * i], 2 * sizeof(value), 1, 0, false, PARENT, whole,
                       &above[i]);
        memcpy(values, above, sizeof(value) * count);
    }
    *out_value = values[0];
}

static void hash_group_any(const uint8_t *data, uint64_t number, value *out_value)
{
    hash_group(data, number, false, out_value);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void hash_group_avx2(const uint8_t *data, uint64_t number,
                                                            value *out_value)
{
    hash_group(data, number, false, out_value);
}

__attribute__((target("avx512f,prefer-vector-width=512"))) static void
hash_group_avx512(const uint8_t *data, uint64_t number, value *out_value)
{
    hash_group(data, number, true, out_value);
}
#endif

static hash_group_fn best_hash_group(void)
{
#if defined(__x86_64__)
    const uint32_t features = agate_cpu_features();
    if (features & AGATE_CPU_AVX512F)
        return hash_group_avx512;
    if (features & AGATE_CPU_AVX2)
        return hash_group_avx2;
#endif
    return hash_group_any;
}

/* ---- the tree ------------------------------------------------------------------------------------------- */

agate_blake3 *agate_blake3_create(void)
{
    agate_blake3 *hash = malloc(sizeof *hash);

    if (hash) {
        hash->hash_group = best_hash_group();
        hash->depth = hash->filled = 0;
        hash->groups = 0;
    }
    return hash;
}

void agate_blake3_release(agate_blake3 *hash)
{
    free(hash);
}

/* Puts a subtree on the stack. `count` is how many of its size there are then: for each bit in which one more carries, two
 * become one. */
static void push(agate_blake3 *hash, value v, uint64_t count)
{
    for (; count % 2 == 0; count /= 2)
        v = parent(&hash->stack[--hash->depth], &v, 0);
    hash->stack[hash->depth++] = v;
}

static void add_group(agate_blake3 *hash, const uint8_t *data)
{
    value v;

    hash->hash_group(data, hash->groups * GROUP, &v);
    push(hash, v, ++hash->groups);
}

void agate_blake3_add(agate_blake3 *hash, const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;

    /* The last group stays in the buffer: only the end tells whether it is the root. */
    while (size_bytes > 0) {
        if (hash->filled == GROUP_BYTES) {
            add_group(hash, hash->buffer);
            hash->filled = 0;
        }
        if (hash->filled == 0 && size_bytes > GROUP_BYTES) {
            add_group(hash, bytes);
            bytes += GROUP_BYTES;
            size_bytes -= GROUP_BYTES;
            continue;
        }
        size_t part = (size_t)agate_min((int64_t)size_bytes, (int64_t)(GROUP_BYTES - hash->filled));
        memcpy(hash->buffer + hash->filled, bytes, part);
        hash->filled += part;
        bytes += part;
        size_bytes -= part;
    }
}

void agate_blake3_end(agate_blake3 *hash, uint8_t out_digest[AGATE_BLAKE3_BYTES])
{
    const uint64_t before = hash->groups * GROUP;
    const uint8_t *at = hash->buffer;
    uint64_t number = 0;

    for (; hash->filled > CHUNK_BYTES; hash->filled -= CHUNK_BYTES, at += CHUNK_BYTES, number++)
        push(hash, chunk(at, CHUNK_BYTES, before + number, 0), before + number + 1);
    value v = chunk(at, hash->filled, before + number, hash->depth ? 0 : ROOT);
    while (hash->depth > 0) {
        hash->depth--;
        v = parent(&hash->stack[hash->depth], &v, hash->depth ? 0 : ROOT);
    }
    memcpy(out_digest, v.words, AGATE_BLAKE3_BYTES);
}
