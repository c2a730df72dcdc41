/* compile.c: graph, objects, linker, seal: in a folder of its own beside the file, until all of it is done. */
#define _GNU_SOURCE
#include "tools/compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/artifact.h"
#include "tools/linker.h"

/* Paths of one compilation. */
typedef struct job {
    const agate_compile_to *to;
    agate_arena *arena;
    char *folder; /* NULL: not made */
    char *linked, *weights, *final_weights;
    const char *weights_name;
    size_t object_count;
} job;

static agate_status system_error(const char *path)
{
    return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s: %s", path,
                            strerror(errno));
}

static agate_status job_init(job *j, const agate_compile_to *to)
{
    const char *slash = strrchr(to->path, '/');

    *j = (job){.to = to, .arena = agate_arena_create()};
    if (!j->arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile");
    char *folder = agate_arena_format(j->arena, "%s.XXXXXX", to->path);
    if (!mkdtemp(folder))
        return system_error(to->path);
    j->folder = folder;
    j->linked = agate_arena_format(j->arena, "%s/linked", folder);
    j->weights = agate_arena_format(j->arena, "%s/weights", folder);
    j->final_weights = agate_arena_format(j->arena, "%s.weights", to->path);
    j->weights_name = slash ? j->final_weights + (slash + 1 - to->path) : j->final_weights;
    return AGATE_OK;
}

/* Removes what is left of it, done or not. */
static void job_deinit(job *j)
{
    for (size_t i = 0; j->folder; i++)
        if (unlink(agate_arena_format(j->arena, "%s/%zu.o", j->folder, i)) != 0)
            break;
    if (j->folder) {
        unlink(j->linked);
        unlink(j->weights);
        rmdir(j->folder);
    }
    agate_arena_release(j->arena);
}

static agate_status write_objects(job *j, agate_graph *graph, const agate_driver_options *options)
{
    agate_machine machine;
    agate_pass_options passes = options->passes;
    agate_codegen_options codegen = {
        .machine = &machine,
        .threads = options->compile.threads,
        .progress = options->compile.progress,
        .progress_user = options->compile.progress_user,
    };
    agate_object_options objects = {
        .directory = j->folder,
        .weights_path = j->to->external_weights ? j->weights : NULL,
        .weights_name = j->weights_name,
    };

    AGATE_TRY(agate_driver_machine_exact(options->compile.isa, &machine));
    passes.machine = &machine;
    AGATE_TRY(agate_passes_run(graph, &passes, AGATE_STAGE_planned));
    return agate_backend_write_objects(graph, &codegen, &objects, &j->object_count);
}

/* The weights first: a file that asks for weights must find them. */
static agate_status put_in_place(const job *j)
{
    if (j->to->external_weights && rename(j->weights, j->final_weights) != 0)
        return system_error(j->final_weights);
    if (rename(j->linked, j->to->path) != 0)
        return system_error(j->to->path);
    return AGATE_OK;
}

static agate_status compile(job *j, agate_graph *graph, const agate_driver_options *options)
{
    AGATE_TRY(write_objects(j, graph, options));
    AGATE_TRY(agate_linker_run(j->folder, j->object_count, !j->to->object, j->linked));
    if (!j->to->object)
        AGATE_TRY(agate_backend_seal(j->linked));
    return put_in_place(j);
}

agate_status agate_compile_file(agate_graph *graph, const agate_driver_options *options,
                                const agate_compile_to *to)
{
    job j;
    agate_status status = job_init(&j, to);

    if (!status)
        status = compile(&j, graph, options);
    job_deinit(&j);
    agate_graph_release(graph);
    return status;
}
