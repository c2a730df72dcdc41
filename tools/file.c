/* file.c: whole files in and out. */
#include "tools/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static agate_status system_error(const char *path)
{
    return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s: %s", path,
                            strerror(errno));
}

static agate_status read_stream(FILE *stream, const char *path, size_t expected_bytes, char **out_data,
                                size_t *out_size_bytes)
{
    size_t room = expected_bytes + 1, size = 0;
    char *data = NULL;

    for (;;) {
        char *grown = realloc(data, room + 1);

        if (!grown) {
            free(data);
            return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "%s: no memory for %zu bytes", path, room);
        }
        data = grown;
        size += fread(data + size, 1, room - size, stream);
        if (size < room)
            break;
        room *= 2;
    }
    if (ferror(stream)) {
        free(data);
        return system_error(path);
    }
    data[size] = 0;
    *out_data = data;
    *out_size_bytes = size;
    return AGATE_OK;
}

agate_status agate_file_read(const char *path, char **out_data, size_t *out_size_bytes)
{
    struct stat info;
    agate_status status;
    FILE *stream;

    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", 1 << 16, out_data, out_size_bytes);
    stream = fopen(path, "rb");
    if (!stream)
        return system_error(path);
    if (fstat(fileno(stream), &info) != 0)
        status = system_error(path);
    else if (S_ISDIR(info.st_mode))
        status = agate_error_make(AGATE_CODE_IO, "%s: a folder, not a file", path);
    else
        status = read_stream(stream, path, S_ISREG(info.st_mode) ? (size_t)info.st_size : 1 << 16, out_data,
                             out_size_bytes);
    fclose(stream);
    return status;
}

bool agate_file_is_regular(const char *path)
{
    struct stat info;

    return strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

agate_status agate_file_check_again(const char *path)
{
    const bool is_stream = strcmp(path, "-") == 0;

    if (agate_file_is_regular(path) || (!is_stream && access(path, F_OK) != 0))
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                            "%s: this takes a regular file, which can be read more than once",
                            is_stream ? "standard input" : path);
}

static void release_mapping(agate_data *data)
{
    munmap(data->owner, data->size_bytes);
    free(data);
}

/* The contents of a regular file that is not empty; NULL where they cannot be mapped. */
static agate_data *map_file(const char *path)
{
    int fd = agate_file_is_regular(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    agate_data *data = NULL;
    struct stat info;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        size_t size_bytes = (size_t)info.st_size;
        /* Populated at once: a fault per few pages takes longer than the pages. */
        void *bytes = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        data = bytes != MAP_FAILED ? malloc(sizeof *data) : NULL;
        if (data)
            *data = (agate_data){.size_bytes = size_bytes,
                                 .bytes = bytes,
                                 .references = 1,
                                 .owner = bytes,
                                 .release = release_mapping};
        else if (bytes != MAP_FAILED)
            munmap(bytes, size_bytes);
    }
    close(fd);
    return data;
}

agate_status agate_file_map(const char *path, agate_data **out_data)
{
    size_t size_bytes;
    char *bytes;

    *out_data = map_file(path);
    if (*out_data)
        return AGATE_OK;
    AGATE_TRY(agate_file_read(path, &bytes, &size_bytes));
    *out_data = agate_data_create(size_bytes);
    if (*out_data && size_bytes > 0)
        memcpy((void *)(*out_data)->bytes, bytes, size_bytes);
    free(bytes);
    return *out_data
               ? AGATE_OK
               : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "%s: no memory for %zu bytes", path, size_bytes);
}

agate_status agate_file_write(const char *path, const void *head, size_t head_bytes, const void *data,
                              size_t size_bytes)
{
    FILE *stream = fopen(path, "wb");
    bool written;

    if (!stream)
        return system_error(path);
    written = fwrite(head, 1, head_bytes, stream) == head_bytes &&
              (size_bytes == 0 || fwrite(data, 1, size_bytes, stream) == size_bytes);
    if (fclose(stream) != 0 || !written)
        return system_error(path);
    return AGATE_OK;
}

bool agate_file_has_extension(const char *path, const char *extension)
{
    size_t length = strlen(path), tail = strlen(extension);

    return length > tail && strcasecmp(path + length - tail, extension) == 0;
}

char *agate_file_path(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *path = length < 0 ? NULL : malloc((size_t)length + 1);
    if (path) {
        va_start(args, format);
        vsnprintf(path, (size_t)length + 1, format, args);
        va_end(args);
    }
    return path;
}

char *agate_file_directory(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}
