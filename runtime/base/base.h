/* base.h: what every folder shares: errors, an arena, growable text, symbolic dimensions, hashing.
 *
 * Nothing here prints, exits, reads the environment or keeps mutable globals.
 */
#ifndef AGATE_BASE_H
#define AGATE_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/agate.h"

#define AGATE_COUNT(array)       (sizeof(array) / sizeof((array)[0]))
#define AGATE_PRINTF(text, args) __attribute__((format(printf, text, args)))

/* Of weights, slabs and our own tensors, in bytes: a cache line, an AVX-512 vector. */
#define AGATE_ALIGNMENT 64

static inline int64_t agate_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t agate_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Ceiling of a / b for a >= 0, b > 0. */
static inline int64_t agate_ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

/* Makes an error; cannot fail: when memory is short a static out-of-memory error is returned instead. */
AGATE_MUST_USE agate_status agate_error_make(agate_code code, const char *format, ...) AGATE_PRINTF(2, 3);

/* Names the ONNX node and operator at fault and puts them in front of the message. Takes `status` and returns
 * it (NULL stays NULL); an error that already has a place keeps it. */
AGATE_MUST_USE agate_status agate_error_at(agate_status status, const char *node, const char *op);

/* Puts "`prefix`: " in front of the message: a file, a stage. Takes and returns `status`. */
AGATE_MUST_USE agate_status agate_error_within(agate_status status, const char *format, ...)
    AGATE_PRINTF(2, 3);

#define AGATE_TRY(expression)                                                                                \
    do {                                                                                                     \
        agate_status try_status = (expression);                                                              \
        if (try_status != AGATE_OK)                                                                          \
            return try_status;                                                                               \
    } while (0)

/* ---- arena -------------------------------------------------------------------------------------------- */

/* A region that is filled by bumping a pointer and released whole. Creating one reserves address space (not
 * memory); that is the only step that can fail. Thread-compatible. */
typedef struct agate_arena agate_arena;

/* Returns NULL if the address space is refused. */
agate_arena *agate_arena_create(void);
void agate_arena_release(agate_arena *arena);

/* Zeroed memory, aligned to 16. Never NULL: callers bound what they ask for (counts from a file are checked
 * at import); outrunning the reservation is a bug and aborts. */
void *agate_arena_alloc(agate_arena *arena, size_t size_bytes);

#define AGATE_NEW(arena, type)          ((type *)agate_arena_alloc((arena), sizeof(type)))
#define AGATE_NEW_N(arena, type, count) ((type *)agate_arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* Bytes that can still be allocated: what a reader of untrusted input asks before it goes on. */
size_t agate_arena_room(const agate_arena *arena);

/* Copies; `text` may be NULL, which gives NULL. */
char *agate_arena_text(agate_arena *arena, const char *text);
char *agate_arena_format(agate_arena *arena, const char *format, ...) AGATE_PRINTF(2, 3);

/* Forgets everything allocated since `mark` (a value of agate_arena_mark). For pass scratch. */
size_t agate_arena_mark(const agate_arena *arena);
void agate_arena_rewind(agate_arena *arena, size_t mark);

/* ---- text --------------------------------------------------------------------------------------------- */

/* A growable, always 0-terminated string. Zero-initialize. When memory runs out, what was appended is dropped
 * and `failed` is set and stays set: check it once at the end. */
typedef struct agate_text {
    char *data; /* NULL while empty; agate_text_c never gives NULL */
    size_t size_bytes;
    size_t room_bytes;
    bool failed;
} agate_text;

void agate_text_add(agate_text *text, const char *format, ...) AGATE_PRINTF(2, 3);
void agate_text_add_v(agate_text *text, const char *format, va_list args);
void agate_text_add_bytes(agate_text *text, const void *bytes, size_t size_bytes);
void agate_text_deinit(agate_text *text);

static inline const char *agate_text_c(const agate_text *text)
{
    return text->data ? text->data : "";
}

/* ---- dimensions that may follow the batch -------------------------------------------------------------- */

/* The number scale*N + offset, where N is the batch at run time. {0, 64} is 64; {1, 0} is N; {49, 0} is
 * 49N. */
typedef struct agate_dim {
    int64_t scale;
    int64_t offset;
} agate_dim;

static inline agate_dim agate_dim_fixed(int64_t value)
{
    return (agate_dim){0, value};
}

static inline bool agate_dim_is_fixed(agate_dim dim)
{
    return dim.scale == 0;
}

static inline bool agate_dim_equal(agate_dim a, agate_dim b)
{
    return a.scale == b.scale && a.offset == b.offset;
}

static inline bool agate_dim_is(agate_dim dim, int64_t value)
{
    return dim.scale == 0 && dim.offset == value;
}

static inline int64_t agate_dim_at(agate_dim dim, int64_t batch)
{
    return dim.scale * batch + dim.offset;
}

/* `count` times as much, where neither factor is large. */
static inline agate_dim agate_dim_times(agate_dim dim, int64_t count)
{
    return (agate_dim){dim.scale * count, dim.offset * count};
}

/* Each returns false on overflow, or where the result is no dimension (N*N, a fraction of N). */
bool agate_dim_add(agate_dim a, agate_dim b, agate_dim *out_dim);
bool agate_dim_mul(agate_dim a, agate_dim b, agate_dim *out_dim);
bool agate_dim_div(agate_dim a, agate_dim b, agate_dim *out_dim); /* exact division only */

/* Appends "64", "N", "49N", "2N+1". */
void agate_dim_print(agate_dim dim, agate_text *text);

/* ---- hashing ------------------------------------------------------------------------------------------ */

/* FNV-1a, 64 bits, for tables in memory; start with AGATE_HASH_SEED. */
#define AGATE_HASH_SEED UINT64_C(0xcbf29ce484222325)
uint64_t agate_hash_bytes(uint64_t hash, const void *data, size_t size_bytes);

/* Tells whether a file is as it was written; no defence against somebody who forges one. Zero-initialize.
 * Each piece is taken as if zeros filled it up to a multiple of 64 bytes. */
#define AGATE_DIGEST_LANES 8
typedef struct agate_digest {
    uint64_t lanes[AGATE_DIGEST_LANES];
} agate_digest;
void agate_digest_add(agate_digest *digest, const void *data, size_t size_bytes);
uint64_t agate_digest_end(const agate_digest *digest);

/* The same for much: the digest of the digests of pieces of this size (the last may be shorter), so that
 * several threads can make it. Zero-initialize. All but the last addition are of multiples of 64 bytes. */
#define AGATE_PIECE_BYTES ((size_t)4 << 20)
typedef struct agate_long_digest {
    agate_digest pieces, piece;
    size_t filled; /* of `piece` */
} agate_long_digest;
void agate_long_digest_add(agate_long_digest *digest, const void *data, size_t size_bytes);
void agate_long_digest_add_piece(agate_long_digest *digest, uint64_t piece); /* a whole one's digest */
uint64_t agate_long_digest_end(agate_long_digest *digest);

/* ---- half precision ----------------------------------------------------------------------------------- */

/* IEEE binary16 and bfloat16, round to nearest even; NaN stays NaN. */
float agate_f16_to_f32(uint16_t bits);
uint16_t agate_f32_to_f16(float value);
float agate_bf16_to_f32(uint16_t bits);
uint16_t agate_f32_to_bf16(float value);

#endif
