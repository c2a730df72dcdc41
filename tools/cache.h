/* cache.h: a folder of compiled models, each under a name made of everything that it was made from.
 *
 *     KEY.so       a sealed file as `agate compile` writes it
 *     KEY.names    files of external data that the model of this key asks for, one a line
 *     KEY.tuned    tiles that measurements found for the model of this key, behind their digest
 *     FILE.digest  what a large file was found to hold, so that it need not be read again while it is
 *                  unchanged
 *
 * Files appear whole, by renaming, and are checked whenever they are read: several processes may use one
 * folder, and whatever is damaged is made anew. Files least recently used go when the folder grows beyond its
 * limit. */
#ifndef AGATE_CACHE_H
#define AGATE_CACHE_H

#include "runtime/base/base.h"

/* What a cache may hold where nobody says it. */
#define AGATE_CACHE_LIMIT_BYTES ((uint64_t)4 << 30)

/* An open folder. Immutable and thread-safe. */
typedef struct agate_cache {
    char *directory;
} agate_cache;

/* Makes the folder where there is none. Refuses one that other users may write to, since its code would be
 * run, or one that code cannot be run from. Writing may still fail. */
AGATE_MUST_USE agate_status agate_cache_open(const char *directory, agate_cache **out_cache);
void agate_cache_release(agate_cache *cache); /* NULL is accepted */

struct stat;

/* May users beside this one and the system's write to what is so? */
bool agate_cache_is_open_to_others(const struct stat *info);

/* ---- keys ---------------------------------------------------------------------------------------------- */

typedef struct agate_cache_key {
    char text[2 * 20 + 1]; /* hexadecimal */
} agate_cache_key;

/* What a file holds, or a key before it is shortened: SHA-256 (FIPS 180-4), so nobody can make two models
 * that are taken for one another. */
typedef struct agate_file_digest {
    uint8_t bytes[32];
} agate_file_digest;

void agate_cache_key_of(const agate_file_digest *digest, agate_cache_key *out_key);

/* ---- files --------------------------------------------------------------------------------------------- */

/* Path of a key's file; the caller's to free; NULL if memory is short. `kind`: "so", "names", "digest" or
 * "tuned". */
char *agate_cache_path(const agate_cache *cache, const agate_cache_key *key, const char *kind);

/* Says that a file was used just now. */
void agate_cache_touch(const char *path);

/* Writes a small file whole or not at all. Returns false where that cannot be done. */
bool agate_cache_write(const char *path, const void *data, size_t size_bytes);

/* ---- digests (cache_digest.c) -------------------------------------------------------------------------- */

/* Of memory. */
void agate_digest_bytes(const void *data, size_t size_bytes, agate_file_digest *out_digest);

/* Which file it is, and in which state. */
typedef struct agate_file_state {
    uint64_t device, inode, size_bytes;
    int64_t modified_ns, changed_ns; /* since 1970; the second moves with whatever is done to the file */
} agate_file_state;

/* Returns false where `file` is no regular file. */
bool agate_file_state_of(int file, agate_file_state *out_state);

/* The digest that was remembered of a file in this state. Returns false where there is none. */
bool agate_cache_recall(const agate_cache *cache, const agate_file_state *state,
                        agate_file_digest *out_digest);

/* Remembers what a file held that was in this state both before and after it was read. Leaves out small
 * files, and those that were changed so shortly before `read_ns` (since 1970) that one more change might not
 * show in their state. */
void agate_cache_remember(const agate_cache *cache, const agate_file_state *state, int64_t read_ns,
                          const agate_file_digest *digest);

/* What a regular file holds, remembered or read piece by piece. Returns false where it cannot be read. */
bool agate_cache_digest_file(const agate_cache *cache, const char *path, agate_file_digest *out_digest);

/* Nanoseconds since 1970, on the clock of files. */
int64_t agate_cache_now_ns(void);

/* ---- the whole folder ---------------------------------------------------------------------------------- */

/* A file of the cache; others in the folder are none of ours. */
typedef struct agate_cache_file {
    char *name;
    uint64_t size_bytes; /* on the disk */
    int64_t used_ns;     /* since 1970 */
    bool folder;         /* of a compilation: it goes on, or was broken off */
} agate_cache_file;

typedef struct agate_cache_listing {
    agate_cache_file *files; /* least recently used first */
    size_t count;
    uint64_t size_bytes;
} agate_cache_listing;

/* The caller releases *out_listing. */
AGATE_MUST_USE agate_status agate_cache_list(const agate_cache *cache, agate_cache_listing *out_listing);
void agate_cache_listing_deinit(agate_cache_listing *listing);

/* Removes files, least recently used first, until the folder holds `limit_bytes` at most (0:
 * AGATE_CACHE_LIMIT_BYTES), and what broken-off compilations have left. Files in use stay usable to who has
 * them open. */
void agate_cache_trim(const agate_cache *cache, uint64_t limit_bytes);

/* Removes every file; *out_count of them. An error names the first one that stays. */
AGATE_MUST_USE agate_status agate_cache_clear(const agate_cache *cache, size_t *out_count);

#endif
