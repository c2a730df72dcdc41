/* compile.c: graph, objects, linker, seal: in a folder of its own beside the file, until all of it is
 * done. */
#define _GNU_SOURCE
#include "tools/compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/artifact.h"
#include "tools/linker.h"

struct agate_compilation {
    agate_compile_to to;
    agate_arena *arena;
    char *folder; /* NULL: not made */
    char *linked, *weights, *final_weights;
    agate_writer *writer;
};

static agate_status system_error(const char *path)
{
    return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s: %s", path,
                            strerror(errno));
}

/* What is written takes the place of what was there, which should be no device and nothing that others listen
 * to. */
static agate_status check_place(const char *path)
{
    const char streams[] = "/proc/"; /* /dev/stdout is a link to there */
    char target[sizeof streams] = "";
    const bool is_stream =
        readlink(path, target, sizeof target) > 0 && memcmp(target, streams, strlen(streams)) == 0;
    struct stat info;

    if (stat(path, &info) != 0 || (S_ISREG(info.st_mode) && !is_stream))
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_IO, "%s: a %s, not a file", path,
                            S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
}

static agate_status init(agate_compilation *c, const agate_compile_to *to)
{
    const char *slash = strrchr(to->path, '/');

    *c = (agate_compilation){.to = *to, .arena = agate_arena_create()};
    if (!c->arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile");
    AGATE_TRY(check_place(to->path));
    char *folder = agate_arena_format(c->arena, "%s.XXXXXX", to->path);
    if (!mkdtemp(folder))
        return system_error(to->path);
    c->folder = folder;
    c->linked = agate_arena_format(c->arena, "%s/linked", folder);
    c->weights = agate_arena_format(c->arena, "%s/weights", folder);
    c->final_weights = agate_arena_format(c->arena, "%s.weights", to->path);
    const agate_writer_options options = {
        .directory = folder,
        .weights_path = to->external_weights ? c->weights : NULL,
        .weights_name = slash ? c->final_weights + (slash + 1 - to->path) : c->final_weights,
        .relocatable = to->object,
    };
    return agate_writer_create(&options, &c->writer);
}

agate_status agate_compilation_create(const agate_compile_to *to, agate_compilation **out_compilation)
{
    agate_compilation *c = malloc(sizeof *c);

    if (!c)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile");
    agate_status status = init(c, to);
    if (status)
        agate_compilation_release(c);
    else
        *out_compilation = c;
    return status;
}

void agate_compilation_release(agate_compilation *compilation)
{
    agate_compilation *c = compilation;

    if (!c)
        return;
    for (size_t i = 0; c->folder; i++)
        if (unlink(agate_arena_format(c->arena, "%s/%zu.o", c->folder, i)) != 0)
            break;
    if (c->folder) {
        unlink(c->linked);
        unlink(c->weights);
        rmdir(c->folder);
    }
    agate_writer_release(c->writer);
    agate_arena_release(c->arena);
    free(c);
}

agate_status agate_compilation_add(agate_compilation *compilation, const agate_graph *graph,
                                   const agate_machine *machine, const char *suffix,
                                   const agate_compile_options *options)
{
    const agate_codegen_options codegen = {
        .machine = machine,
        .precision = options->precision,
        .threads = options->threads,
        .progress = options->progress,
        .progress_user = options->progress_user,
        .suffix = suffix,
    };

    return agate_writer_add(compilation->writer, graph, &codegen);
}

/* Whatever the umask says. */
static bool lock(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && chmod(path, info.st_mode & 07777 & ~(mode_t)(S_IWGRP | S_IWOTH)) == 0;
}

/* The weights first: a file that asks for weights must find them. */
static agate_status put_in_place(const agate_compilation *c)
{
    if (c->to.external_weights && rename(c->weights, c->final_weights) != 0)
        return system_error(c->final_weights);
    if (c->to.locked && !lock(c->linked))
        return system_error(c->linked);
    if (rename(c->linked, c->to.path) != 0)
        return system_error(c->to.path);
    return AGATE_OK;
}

agate_status agate_compilation_finish(agate_compilation *compilation)
{
    agate_compilation *c = compilation;
    const agate_linker_options options = {
        .directory = c->folder,
        .shared = !c->to.object,
        .output = c->linked,
        .quiet = c->to.quiet,
    };
    size_t object_count;

    AGATE_TRY(agate_writer_close(c->writer, &object_count));
    AGATE_TRY(agate_linker_run(&options, object_count));
    if (!c->to.object)
        AGATE_TRY(agate_writer_seal(c->writer, c->linked));
    return put_in_place(c);
}
