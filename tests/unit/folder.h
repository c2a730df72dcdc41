/* folder.h: a folder that a test works in. */
#ifndef AGATE_TEST_FOLDER_H
#define AGATE_TEST_FOLDER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/onnx_text.h"
#include "tools/file.h"

static char folder[32];

static inline void make_folder(void)
{
    strcpy(folder, P_tmpdir "/agate-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void remove_folder(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -r '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* A path in it; good until sixteen more were asked for. */
static inline const char *path_of(const char *name)
{
    static char paths[16][128];
    static int next;
    char *path = paths[next++ % 16];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t size_bytes)
{
    agate_status status = agate_file_write(path, bytes, size_bytes, NULL, 0);

    ck_assert_msg(!status, "%s", agate_status_message(status));
}

/* An ONNX model of these lines (onnx_text.h). */
static inline void write_model(const char *path, const char *lines)
{
    size_t size_bytes;
    uint8_t *bytes = onnx_text_pack(lines, &size_bytes);

    write_file(path, bytes, size_bytes);
    free(bytes);
}

#endif
