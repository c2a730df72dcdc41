/* external.c: files of external data, mapped read-only. A location may not leave the model's folder: it is
 * opened one component at a time below the folder, and neither "..", an absolute path nor a symbolic link is
 * followed. */
#include "frontend/importer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* One mapped file. Every agate_data cut from it and the importer hold a reference. */
typedef struct agate_mapping {
    struct agate_mapping *next;
    char *location;
    const uint8_t *bytes;
    size_t size_bytes;
    int64_t references; /* changed atomically: data may be released on any thread */
} agate_mapping;

static void mapping_release(agate_mapping *mapping)
{
    if (__atomic_sub_fetch(&mapping->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (mapping->size_bytes)
        munmap((void *)mapping->bytes, mapping->size_bytes);
    free(mapping->location);
    free(mapping);
}

void agate_files_deinit(agate_files *files)
{
    while (files->first) {
        agate_mapping *mapping = files->first;
        files->first = mapping->next;
        mapping_release(mapping);
    }
}

static agate_status open_failed(const char *location)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return agate_error_make(AGATE_CODE_NOT_FOUND,
                                "its external data file \"%s\" is not in the model's folder (copy it there)",
                                location);
    case ELOOP:
        return agate_error_make(
            AGATE_CODE_INVALID_MODEL,
            "its external data file \"%s\" is, or lies behind, a symbolic link, which may leave "
            "the model's folder (copy the file there)",
            location);
    default:
        return agate_error_make(AGATE_CODE_IO, "its external data file \"%s\" cannot be opened: %s", location,
                                strerror(errno));
    }
}

/* Opens `location` below `directory`. */
static agate_status open_below(const char *directory, const char *location, int *out_fd)
{
    char name[NAME_MAX + 1];
    const char *rest = location;
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (at < 0)
        return agate_error_make(AGATE_CODE_IO, "the model's folder \"%s\" cannot be opened: %s", directory,
                                strerror(errno));
    for (;;) {
        const size_t length = strcspn(rest, "/");
        const bool last = rest[length] == '\0';
        if (length == 0 || length > NAME_MAX || (length == 2 && memcmp(rest, "..", 2) == 0)) {
            close(at);
            return agate_error_make(
                AGATE_CODE_INVALID_MODEL,
                "its external data \"%s\" lies outside the model's folder: only a path below that "
                "is allowed",
                location);
        }
        memcpy(name, rest, length);
        name[length] = '\0';
        /* O_NONBLOCK: a FIFO must not hold us up. */
        const int next =
            openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY));
        const int open_error = errno;
        close(at);
        errno = open_error;
        if (next < 0)
            return open_failed(location);
        if (last) {
            *out_fd = next;
            return AGATE_OK;
        }
        at = next;
        rest += length + 1;
    }
}

static agate_status map_file(int fd, const char *location, agate_mapping **out_mapping)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode))
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "its external data \"%s\" is no regular file",
                                location);
    agate_mapping *mapping = calloc(1, sizeof(*mapping));
    char *name = strdup(location);
    void *bytes = stat.st_size ? mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (!mapping || !name || bytes == MAP_FAILED) {
        free(mapping);
        free(name);
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "its external data file \"%s\" cannot be mapped",
                                location);
    }
    *mapping = (agate_mapping){
        .location = name, .bytes = bytes, .size_bytes = (size_t)stat.st_size, .references = 1};
    *out_mapping = mapping;
    return AGATE_OK;
}

static agate_status find_mapping(agate_files *files, const char *location, agate_mapping **out_mapping)
{
    for (agate_mapping *mapping = files->first; mapping; mapping = mapping->next) {
        if (strcmp(mapping->location, location) == 0) {
            *out_mapping = mapping;
            return AGATE_OK;
        }
    }
    if (!files->directory)
        return agate_error_make(
            AGATE_CODE_INVALID_ARGUMENT,
            "its data lies in the file \"%s\", but the model was loaded without a folder to look in",
            location);
    int fd;
    AGATE_TRY(open_below(files->directory, location, &fd));
    agate_status status = map_file(fd, location, out_mapping);
    close(fd);
    if (!status) {
        (*out_mapping)->next = files->first;
        files->first = *out_mapping;
        if (files->heard)
            files->heard->file(files->heard->user, location, (*out_mapping)->bytes,
                               (*out_mapping)->size_bytes);
    }
    return status;
}

static void release_mapped(agate_data *data)
{
    mapping_release(data->owner);
    free(data);
}

agate_status agate_files_data(agate_files *files, const char *location, uint64_t offset, uint64_t size_bytes,
                              agate_data **out_data)
{
    agate_mapping *mapping = NULL;
    AGATE_TRY(find_mapping(files, location, &mapping));
    if (offset > mapping->size_bytes || size_bytes > mapping->size_bytes - offset)
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "its external data, %" PRIu64 " bytes at %" PRIu64
                                " of \"%s\", runs past the end of the file (%zu bytes)",
                                size_bytes, offset, location, mapping->size_bytes);

    agate_data *data = size_bytes ? agate_data_create_loose(size_bytes, mapping->bytes + offset, NULL)
                                  : agate_data_create(0);
    if (!data)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its %" PRIu64 " bytes", size_bytes);
    if (size_bytes) {
        __atomic_add_fetch(&mapping->references, 1, __ATOMIC_RELAXED);
        data->release = release_mapped;
        data->owner = mapping;
    }
    if (offset % AGATE_ALIGNMENT == 0 && size_bytes)
        data->bytes = data->loose; /* consumers load whole vectors: it may serve as it is */
    *out_data = data;
    return AGATE_OK;
}
