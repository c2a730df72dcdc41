/* file.h: whole files in and out. */
#ifndef AGATE_FILE_H
#define AGATE_FILE_H

#include "ir/graph.h"

/* Reads a regular file ("-": standard input) whole. *out_data is the caller's to free, with a 0 byte behind
 * its
 * `*out_size_bytes` bytes. Errors name the path. */
AGATE_MUST_USE agate_status agate_file_read(const char *path, char **out_data, size_t *out_size_bytes);

/* Is it a file that may be opened and read again? Standard input ("-") and pipes are none. */
bool agate_file_is_regular(const char *path);

/* An error where there is something at `path` that cannot be read again and again, like a pipe. */
AGATE_MUST_USE agate_status agate_file_check_again(const char *path);

/* The contents of a file ("-": standard input) as data: mapped where they can be. Errors name the path. */
AGATE_MUST_USE agate_status agate_file_map(const char *path, agate_data **out_data);

/* Writes a file anew, from two pieces (the second may be empty). Errors name the path. */
AGATE_MUST_USE agate_status agate_file_write(const char *path, const void *head, size_t head_bytes,
                                             const void *data, size_t size_bytes);

/* Does `path` end in this extension (".npy")? Letter case does not matter. */
bool agate_file_has_extension(const char *path, const char *extension);

/* A path of parts; the caller's to free; NULL if memory is short. */
char *agate_file_path(const char *format, ...) AGATE_PRINTF(1, 2);

/* The folder part of a path, which is the caller's to free; "." where there is none; NULL if memory is short.
 */
char *agate_file_directory(const char *path);

#endif
