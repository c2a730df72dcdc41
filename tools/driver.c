/* driver.c: how a file becomes a model, from end to end. */
#include "tools/driver.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "ir/text.h"
#include "runtime/model.h"
#include "tools/file.h"

static agate_status unknown_isa(const char *isa)
{
    agate_text names = {0};
    agate_status status;

    for (int32_t i = 0; i < agate_machine_count(); i++)
        agate_text_add(&names, "%s%s", i ? ", " : "", agate_machine_get(i).name);
    status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "no instruction set \"%s\": one of %s", isa,
                              agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

agate_status agate_driver_machine_exact(const char *isa, agate_machine *out_machine)
{
    int32_t index = isa ? agate_machine_find(isa) : agate_machine_best(agate_cpu_features());

    if (index < 0)
        return unknown_isa(isa);
    *out_machine = agate_machine_get(index);
    return AGATE_OK;
}

agate_status agate_driver_machine(const char *isa, agate_machine *out_machine)
{
    int32_t best = agate_machine_best(agate_cpu_features());
    int32_t cap = isa ? agate_machine_find(isa) : best;

    if (cap < 0)
        return unknown_isa(isa);
    *out_machine = agate_machine_get((int32_t)agate_min(cap, best));
    return AGATE_OK;
}

static agate_status import(const void *data, size_t size_bytes, const char *directory, agate_data *file,
                           const agate_driver_options *options, agate_graph **out_graph)
{
    agate_import_options import = {
        .directory = directory,
        .file = file,
        .dims = options->compile.dims,
        .dim_count = options->compile.dim_count,
        .values = options->known_inputs,
        .value_count = options->known_input_count,
        .listener = options->listener,
        .memory_limit_bytes = options->compile.memory_limit_bytes,
    };

    return agate_import(data, size_bytes, &import, out_graph);
}

bool agate_driver_is_compiled(const char *path)
{
    char magic[SELFMAG] = "";
    size_t size = 0;
    /* Standard input can be read only once. */
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "rb");

    if (file) {
        size = fread(magic, 1, sizeof magic, file);
        fclose(file);
    }
    return size == sizeof magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

agate_status agate_driver_load_compiled(const char *path, const agate_driver_options *options,
                                        agate_model **out_model)
{
    if (options->compile.dim_count > 0 || options->known_input_count > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "%s is compiled already: give dimensions and known inputs when compiling",
                                path);
    return agate_model_load_artifact(path, out_model);
}

agate_status agate_driver_read(const char *path, const agate_driver_options *options, agate_graph **out_graph)
{
    agate_data *file;
    char *directory;
    agate_status status;

    AGATE_TRY(agate_file_map(path, &file));
    directory = agate_file_directory(path);
    if (!directory)
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the name of its folder");
    else if (agate_file_has_extension(path, ".agt"))
        status = agate_parse(file->bytes, file->size_bytes, out_graph);
    else
        status = import(file->bytes, file->size_bytes, directory, file, options, out_graph);
    free(directory);
    agate_data_release(file);
    return agate_error_within(status, "%s", path);
}

static agate_status check_allocator(const agate_allocator *allocator)
{
    if (!allocator || (allocator->allocate && allocator->release))
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                            "the allocator of the model lacks a function to allocate or to release");
}

agate_status agate_driver_build(agate_graph *graph, const agate_driver_options *options,
                                agate_model **out_model)
{
    agate_machine machine;
    agate_pass_options passes = options->passes;
    agate_codegen_options codegen = {
        .machine = &machine,
        .threads = options->compile.threads,
        .progress = options->compile.progress,
        .progress_user = options->compile.progress_user,
        .allocator = options->compile.allocator,
    };
    const agate_module *module;
    void *code = NULL;
    agate_status status = check_allocator(options->compile.allocator);

    if (status == AGATE_OK)
        status = agate_driver_machine(options->compile.isa, &machine);

    passes.machine = &machine;
    if (status == AGATE_OK)
        status = agate_passes_run(graph, &passes, AGATE_STAGE_planned);
    if (status == AGATE_OK)
        status = agate_backend_compile(graph, &codegen, &module, &code);
    if (status == AGATE_OK)
        status = agate_model_create(module, agate_backend_release, code, out_model);
    if (status != AGATE_OK && code)
        agate_backend_release(code);
    return status;
}

agate_status agate_driver_compile(agate_graph *graph, const agate_driver_options *options,
                                  agate_model **out_model)
{
    agate_status status = agate_driver_build(graph, options, out_model);

    agate_graph_release(graph);
    return status;
}

static agate_driver_options driver_options(const agate_compile_options *options)
{
    agate_driver_options driver = {0};

    if (options)
        driver.compile = *options;
    return driver;
}

AGATE_API agate_status agate_model_load_file(const char *path, const agate_compile_options *options,
                                             agate_model **out_model)
{
    const agate_driver_options driver = driver_options(options);
    agate_graph *graph;

    if (agate_driver_is_compiled(path))
        return agate_driver_load_compiled(path, &driver, out_model);
    AGATE_TRY(agate_driver_read(path, &driver, &graph));
    return agate_error_within(agate_driver_compile(graph, &driver, out_model), "%s", path);
}

AGATE_API agate_status agate_model_load_memory(const void *data, size_t size_bytes, const char *directory,
                                               const agate_compile_options *options, agate_model **out_model)
{
    const agate_driver_options driver = driver_options(options);
    agate_graph *graph;

    AGATE_TRY(import(data, size_bytes, directory, NULL, &driver, &graph));
    return agate_driver_compile(graph, &driver, out_model);
}
