/* cache.c: the folder of a cache: its files, their age, and what they add up to. */
#define _GNU_SOURCE
#include "tools/cache.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tools/file.h"

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a cache");
}

/* "DIRECTORY/NAME.KIND"; `kind` NULL: without. */
static char *join(const agate_cache *cache, const char *name, const char *kind)
{
    return agate_file_path("%s/%s%s%s", cache->directory, name, kind ? "." : "", kind ? kind : "");
}

void agate_cache_key_of(const agate_file_digest *digest, agate_cache_key *out_key)
{
    for (size_t i = 0; 2 * i + 1 < sizeof out_key->text; i++)
        snprintf(out_key->text + 2 * i, 3, "%02x", digest->bytes[i]);
}

char *agate_cache_path(const agate_cache *cache, const agate_cache_key *key, const char *kind)
{
    return join(cache, key->text, kind);
}

/* ---- the folder ---------------------------------------------------------------------------------------- */

/* Makes a folder and those above it, for this user alone. */
static bool make_folders(char *path)
{
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

bool agate_cache_is_open_to_others(const struct stat *info)
{
    return (info->st_uid != geteuid() && info->st_uid != 0) || (info->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

static agate_status check_folder(const char *path)
{
    struct stat info;
    struct statvfs system;

    if (stat(path, &info) != 0)
        return agate_error_make(AGATE_CODE_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return agate_error_make(AGATE_CODE_IO, "%s: it is no folder", path);
    if (agate_cache_is_open_to_others(&info))
        return agate_error_make(AGATE_CODE_IO,
                                "%s: other users may write to it, and code from it would be run (chmod go-w)",
                                path);
    if (statvfs(path, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0)
        return agate_error_make(AGATE_CODE_IO, "%s: it is on a file system without execution (noexec)", path);
    return AGATE_OK;
}

agate_status agate_cache_open(const char *directory, agate_cache **out_cache)
{
    agate_cache *cache = calloc(1, sizeof *cache);
    agate_status status = AGATE_OK;

    if (cache)
        cache->directory = strdup(directory);
    if (!cache || !cache->directory)
        status = out_of_memory();
    else if (!make_folders(cache->directory) && access(directory, F_OK) != 0)
        status = agate_error_make(AGATE_CODE_IO, "%s: %s", directory, strerror(errno));
    if (!status)
        status = check_folder(directory);
    if (status)
        agate_cache_release(cache);
    else
        *out_cache = cache;
    return status;
}

void agate_cache_release(agate_cache *cache)
{
    if (cache)
        free(cache->directory);
    free(cache);
}

/* ---- files --------------------------------------------------------------------------------------------- */

void agate_cache_touch(const char *path)
{
    /* A folder that may only be read has no order of use, and needs none. */
    if (utimensat(AT_FDCWD, path, NULL, 0) != 0)
        return;
}

bool agate_cache_write(const char *path, const void *data, size_t size_bytes)
{
    char *temporary = agate_file_path("%s.XXXXXX", path);

    if (!temporary)
        return false;
    int file = mkstemp(temporary);
    bool done = file >= 0 && write(file, data, size_bytes) == (ssize_t)size_bytes;
    if (file >= 0)
        done = close(file) == 0 && done;
    done = done && rename(temporary, path) == 0;
    if (file >= 0 && !done)
        unlink(temporary);
    free(temporary);
    return done;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

/* "0123...ef.so", and the same with ".XXXXXX" behind it while it is made. */
static bool is_ours(const char *name)
{
    static const char *const kinds[] = {".so", ".names", ".digest", ".tuned"};
    size_t digits = 0;

    while (isxdigit((unsigned char)name[digits]))
        digits++;
    if (digits != sizeof((agate_cache_key){0}).text - 1)
        return false;
    for (size_t i = 0; i < AGATE_COUNT(kinds); i++) {
        size_t length = strlen(kinds[i]);
        const char *behind = name + digits + length;
        if (strncmp(name + digits, kinds[i], length) == 0 &&
            (!*behind || (*behind == '.' && strlen(behind) == 7)))
            return true;
    }
    return false;
}

static bool add_file(agate_cache_listing *listing, size_t *room, int folder, const char *name)
{
    struct stat info;

    if (!is_ours(name) || fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (listing->count == *room) {
        size_t more = *room ? 2 * *room : 64;
        agate_cache_file *grown = realloc(listing->files, more * sizeof *grown);
        if (!grown)
            return false;
        listing->files = grown;
        *room = more;
    }
    agate_cache_file file = {
        .name = strdup(name),
        .size_bytes = (uint64_t)info.st_blocks * 512,
        .used_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec,
        .folder = S_ISDIR(info.st_mode),
    };
    if (!file.name)
        return false;
    listing->size_bytes += file.size_bytes;
    listing->files[listing->count++] = file;
    return true;
}

static int compare_age(const void *a, const void *b)
{
    const agate_cache_file *x = a, *y = b;

    return x->used_ns != y->used_ns ? (x->used_ns < y->used_ns ? -1 : 1) : strcmp(x->name, y->name);
}

agate_status agate_cache_list(const agate_cache *cache, agate_cache_listing *out_listing)
{
    agate_cache_listing listing = {0};
    size_t room = 0;
    DIR *folder = opendir(cache->directory);
    bool complete = true;

    if (!folder)
        return agate_error_make(AGATE_CODE_IO, "%s: %s", cache->directory, strerror(errno));
    for (struct dirent *entry; complete && (entry = readdir(folder));)
        complete = add_file(&listing, &room, dirfd(folder), entry->d_name);
    closedir(folder);
    if (!complete) {
        agate_cache_listing_deinit(&listing);
        return out_of_memory();
    }
    if (listing.count > 0)
        qsort(listing.files, listing.count, sizeof *listing.files, compare_age);
    *out_listing = listing;
    return AGATE_OK;
}

void agate_cache_listing_deinit(agate_cache_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->files[i].name);
    free(listing->files);
    *listing = (agate_cache_listing){0};
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);

    for (struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(path);
}

static bool remove_file(const agate_cache *cache, const agate_cache_file *file)
{
    char *path = join(cache, file->name, NULL);

    if (path && file->folder)
        remove_folder(path);
    else if (path)
        unlink(path);
    bool gone = path && access(path, F_OK) != 0;
    free(path);
    return gone;
}

/* No compilation takes that long: whoever began it is gone. */
#define BROKEN_OFF_NS ((int64_t)24 * 3600 * 1000000000)

void agate_cache_trim(const agate_cache *cache, uint64_t limit_bytes)
{
    agate_cache_listing listing;
    agate_status status = agate_cache_list(cache, &listing);

    if (status) {
        agate_status_release(status);
        return;
    }
    const int64_t now = agate_cache_now_ns();
    if (limit_bytes == 0)
        limit_bytes = AGATE_CACHE_LIMIT_BYTES;
    for (size_t i = 0; i < listing.count; i++) {
        const agate_cache_file *file = &listing.files[i];
        bool making = strchr(strchr(file->name, '.') + 1, '.') != NULL;
        bool old = now - file->used_ns > BROKEN_OFF_NS;
        if (making ? old : listing.size_bytes > limit_bytes)
            listing.size_bytes -= remove_file(cache, file) ? file->size_bytes : 0;
    }
    agate_cache_listing_deinit(&listing);
}

agate_status agate_cache_clear(const agate_cache *cache, size_t *out_count)
{
    agate_cache_listing listing;
    agate_status status = AGATE_OK;

    *out_count = 0;
    AGATE_TRY(agate_cache_list(cache, &listing));
    for (size_t i = 0; i < listing.count; i++) {
        if (remove_file(cache, &listing.files[i]))
            ++*out_count;
        else if (!status)
            status = agate_error_make(AGATE_CODE_IO, "%s/%s cannot be removed: %s", cache->directory,
                                      listing.files[i].name, strerror(errno));
    }
    agate_cache_listing_deinit(&listing);
    return status;
}
