/* cache_digest.c: what files hold, remembered by what the system says of them.
 *
 * A file whose device, inode, size and times of modification and change are what they were holds what it
 * held: every way to write to it moves the time of change, which no program can set. Only a change that
 * shortly follows another may fall on the same tick of the clock, so files are remembered once they have been
 * left alone for a while. ccache's "inode cache" rests on the same. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/cache.h"

/* Reading less than this costs no more than looking it up. */
#define SMALL_BYTES ((uint64_t)256 << 10)

/* Coarser than the clock of any file system. */
#define SETTLED_NS ((int64_t)2 * 1000000000)

/* The contents of KEY.digest. */
typedef struct record {
    char magic[8];
    agate_file_state state;
    agate_file_digest digest;
    uint64_t check; /* of the fields above */
} record;

static uint64_t check_of(const record *r)
{
    agate_digest digest = {0};

    agate_digest_add(&digest, r, offsetof(record, check));
    return agate_digest_end(&digest);
}

void agate_digest_bytes(const void *data, size_t size_bytes, agate_file_digest *out_digest)
{
    struct sha256_ctx hash;

    sha256_init(&hash);
    sha256_update(&hash, size_bytes, data);
    sha256_digest(&hash, sizeof out_digest->bytes, out_digest->bytes);
}

int64_t agate_cache_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool agate_file_state_of(int file, agate_file_state *out_state)
{
    struct stat info;

    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *out_state = (agate_file_state){
        .device = (uint64_t)info.st_dev,
        .inode = (uint64_t)info.st_ino,
        .size_bytes = (uint64_t)info.st_size,
        .modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec,
        .changed_ns = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec,
    };
    return true;
}

/* One record a file, whatever its state: what is remembered anew takes the place of what is out of date. */
static char *record_path(const agate_cache *cache, const agate_file_state *state)
{
    agate_cache_key key;
    agate_file_digest digest;

    agate_digest_bytes(state, offsetof(agate_file_state, size_bytes), &digest);
    agate_cache_key_of(&digest, &key);
    return agate_cache_path(cache, &key, "digest");
}

static bool read_record(const char *path, record *out_record)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool whole = file >= 0 && read(file, out_record, sizeof *out_record) == (ssize_t)sizeof *out_record;

    if (file >= 0)
        close(file);
    return whole && memcmp(out_record->magic, "agatedig", 8) == 0 &&
           out_record->check == check_of(out_record);
}

bool agate_cache_recall(const agate_cache *cache, const agate_file_state *state,
                        agate_file_digest *out_digest)
{
    record r = {0};
    char *path = state->size_bytes < SMALL_BYTES ? NULL : record_path(cache, state);
    bool known = path && read_record(path, &r) && memcmp(&r.state, state, sizeof *state) == 0;

    if (known) {
        *out_digest = r.digest;
        agate_cache_touch(path);
    }
    free(path);
    return known;
}

void agate_cache_remember(const agate_cache *cache, const agate_file_state *state, int64_t read_ns,
                          const agate_file_digest *digest)
{
    const int64_t last = agate_max(state->modified_ns, state->changed_ns);
    record r = {.state = *state, .digest = *digest};

    if (state->size_bytes < SMALL_BYTES || read_ns - last < SETTLED_NS)
        return;
    memcpy(r.magic, "agatedig", sizeof r.magic);
    r.check = check_of(&r);
    char *path = record_path(cache, state);
    /* A folder that cannot be written to remembers nothing, and that is all. */
    if (path && !agate_cache_write(path, &r, sizeof r))
        unlink(path);
    free(path);
}

static bool digest_open_file(int file, agate_file_digest *out_digest)
{
    const size_t piece_bytes = (size_t)1 << 20;
    uint8_t *piece = malloc(piece_bytes);
    struct sha256_ctx hash;
    ssize_t size = -1;

    sha256_init(&hash);
    while (piece && (size = read(file, piece, piece_bytes)) > 0)
        sha256_update(&hash, (size_t)size, piece);
    sha256_digest(&hash, sizeof out_digest->bytes, out_digest->bytes);
    free(piece);
    return size == 0;
}

bool agate_cache_digest_file(const agate_cache *cache, const char *path, agate_file_digest *out_digest)
{
    const int64_t now = agate_cache_now_ns();
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    agate_file_state before, after;
    bool done = file >= 0 && agate_file_state_of(file, &before);

    if (done && !agate_cache_recall(cache, &before, out_digest)) {
        done = digest_open_file(file, out_digest) && agate_file_state_of(file, &after);
        if (done && memcmp(&before, &after, sizeof before) == 0)
            agate_cache_remember(cache, &before, now, out_digest);
    }
    if (file >= 0)
        close(file);
    return done;
}
