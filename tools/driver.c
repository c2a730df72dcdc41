/* driver.c: how a file becomes a model, from end to end. */
#include "tools/driver.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "ir/text.h"
#include "runtime/artifact.h"
#include "runtime/base/rounding.h"
#include "runtime/model.h"
#include "tools/cached.h"
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

/* What this CPU has beyond a level named so, where that helps: (level, features, both as targets write them),
 * the best last. */
static const struct {
    const char *level;
    uint32_t features;
    const char *name;
} extended[] = {
    {"avx512", AGATE_CPU_AVX512_BF16, "avx512+avx512bf16"},
    {"avx512", AGATE_CPU_AVX512_BF16 | AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16,
     "avx512+avx512bf16+amx-tile+amx-bf16"},
};

static void add_features(agate_precision precision, const char *node_precisions, agate_machine *machine)
{
    const uint32_t wanted = agate_precision_features(precision, machine) |
                            agate_node_precisions_features(node_precisions, machine);
    const char *level = machine->name;

    for (size_t i = 0; i < AGATE_COUNT(extended); i++)
        if ((extended[i].features & ~machine->needs & wanted) && strcmp(level, extended[i].level) == 0 &&
            (extended[i].features & ~agate_cpu_features()) == 0) {
            machine->needs |= extended[i].features;
            machine->name = extended[i].name;
        }
}

static agate_status find_machine(const agate_compile_options *options, bool exact, agate_machine *out_machine)
{
    int32_t best = agate_machine_best(agate_cpu_features());
    int32_t index = options->isa ? agate_machine_find(options->isa) : best;
    agate_precision precision;

    if (index < 0)
        return unknown_isa(options->isa);
    AGATE_TRY(agate_precision_parse(options->precision, &precision));
    AGATE_TRY(agate_node_precisions_check(options->node_precisions, NULL));
    *out_machine = agate_machine_get(exact ? index : (int32_t)agate_min(index, best));
    if (!options->isa)
        add_features(precision, options->node_precisions, out_machine);
    return AGATE_OK;
}

agate_status agate_driver_machine_exact(const agate_compile_options *options, agate_machine *out_machine)
{
    return find_machine(options, true, out_machine);
}

agate_status agate_driver_machine(const agate_compile_options *options, agate_machine *out_machine)
{
    return find_machine(options, false, out_machine);
}

static void tell_time(const agate_driver_options *options, const char *what, uint64_t start_ns)
{
    if (options->passes.timed)
        options->passes.timed(options->passes.timed_user, what, agate_clock_ns() - start_ns);
}

agate_status agate_driver_import(const agate_model_source *source, agate_data *file,
                                 const agate_driver_options *options, const agate_import_files *files,
                                 agate_graph **out_graph)
{
    const void *data = file ? file->bytes : source->data;
    const size_t size_bytes = file ? file->size_bytes : source->size_bytes;
    agate_import_options import = {
        .directory = source->directory,
        .file = file,
        .dims = options->compile.dims,
        .dim_count = options->compile.dim_count,
        .values = options->known_inputs,
        .value_count = options->known_input_count,
        .listener = options->listener,
        .files = files,
        .memory_limit_bytes = options->compile.memory_limit_bytes,
    };

    uint64_t start_ns = agate_clock_ns();
    agate_status status = source->text ? agate_parse(data, size_bytes, out_graph)
                                       : agate_import(data, size_bytes, &import, out_graph);
    tell_time(options, "import", start_ns);
    return status;
}

bool agate_driver_is_compiled(const char *path)
{
    char magic[SELFMAG] = "";
    size_t size = 0;
    FILE *file = agate_file_is_regular(path) ? fopen(path, "rb") : NULL;

    if (file) {
        size = fread(magic, 1, sizeof magic, file);
        fclose(file);
    }
    return size == sizeof magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

agate_status agate_driver_load_compiled(const char *path, const agate_driver_options *options,
                                        agate_model **out_model)
{
    if (options->compile.dim_count > 0 || options->known_input_count > 0 || options->compile.allow ||
        options->compile.node_precisions)
        return agate_error_make(
            AGATE_CODE_INVALID_ARGUMENT,
            "%s is compiled already: give dimensions, known inputs, precisions of nodes and what is "
            "allowed when compiling",
            path);
    uint32_t features = agate_cpu_features();
    agate_machine machine;
    if (options->compile.isa) {
        AGATE_TRY(agate_driver_machine(&(agate_compile_options){.isa = options->compile.isa}, &machine));
        features &= machine.needs;
    }
    return agate_artifact_load(path, options->compile.precision, features, out_model);
}

agate_status agate_source_error(const agate_model_source *source, agate_status status)
{
    return source->path ? agate_error_within(status, "%s", source->path) : status;
}

agate_status agate_source_init(agate_model_source *source, const char *path)
{
    *source = (agate_model_source){.path = path,
                                   .directory = agate_file_directory(path),
                                   .text = agate_file_has_extension(path, ".agt")};
    return source->directory
               ? AGATE_OK
               : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the name of its folder");
}

agate_status agate_driver_read(const char *path, const agate_driver_options *options, agate_graph **out_graph)
{
    agate_model_source source;
    agate_data *file;
    uint64_t start_ns = agate_clock_ns();

    AGATE_TRY(agate_file_map(path, &file));
    tell_time(options, "read", start_ns);
    agate_status status = agate_source_init(&source, path);
    if (!status)
        status = agate_driver_import(&source, file, options, NULL, out_graph);
    free((char *)source.directory);
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

/* Says which features would have served the precision, but are refused to this process. */
static void tell_refused(const agate_pass_options *passes, const agate_machine *machine)
{
    agate_precision precision;
    agate_status status = agate_precision_parse(passes->precision, &precision);
    const uint32_t serving = status ? 0 : agate_precision_features(precision, machine);
    const uint32_t refused = serving & agate_cpu_features_refused();
    agate_text text = {0};

    agate_status_release(status);
    if (!refused || !passes->remark)
        return;
    agate_text_add(&text, "the CPU has ");
    agate_cpu_features_print(refused, &text);
    agate_text_add(&text, ", but the system refuses them to this process; %s is used instead", machine->name);
    passes->remark(passes->remark_user, "target", NULL, agate_text_c(&text));
    agate_text_deinit(&text);
}

agate_pass_options agate_driver_passes(const agate_driver_options *options, const agate_machine *machine)
{
    agate_pass_options passes = options->passes;

    passes.machine = machine;
    passes.allow = options->compile.allow;
    passes.precision = options->compile.precision;
    passes.node_precisions = options->compile.node_precisions;
    if (!options->compile.isa)
        tell_refused(&passes, machine);
    return passes;
}

agate_status agate_driver_plan(agate_graph *graph, const agate_driver_options *options,
                               agate_machine *out_machine)
{
    AGATE_TRY(check_allocator(options->compile.allocator));
    AGATE_TRY(agate_driver_machine(&options->compile, out_machine));
    const agate_pass_options passes = agate_driver_passes(options, out_machine);
    return agate_passes_run(graph, &passes, AGATE_STAGE_planned);
}

agate_status agate_driver_link(const agate_graph *graph, const agate_machine *machine,
                               const agate_driver_options *options, agate_model **out_model)
{
    agate_codegen_options codegen = {
        .machine = machine,
        .precision = options->compile.precision,
        .threads = options->compile.threads,
        .progress = options->compile.progress,
        .progress_user = options->compile.progress_user,
        .allocator = options->compile.allocator,
        .timed = options->passes.timed,
        .timed_user = options->passes.timed_user,
    };
    const agate_module *module;
    void *code = NULL;

    AGATE_TRY(agate_backend_compile(graph, &codegen, &module, &code));
    agate_status status = agate_model_create(module, agate_backend_release, code, out_model);
    if (status != AGATE_OK)
        agate_backend_release(code);
    return status;
}

agate_status agate_driver_build(agate_graph *graph, const agate_driver_options *options,
                                agate_model **out_model)
{
    agate_machine machine;

    AGATE_TRY(agate_driver_plan(graph, options, &machine));
    return agate_driver_link(graph, &machine, options, out_model);
}

agate_status agate_driver_compile(agate_graph *graph, const agate_driver_options *options,
                                  agate_model **out_model)
{
    agate_status status = agate_driver_build(graph, options, out_model);

    agate_graph_release(graph);
    return status;
}

/* ---- with or without a cache --------------------------------------------------------------------------- */

static agate_status load_uncached(const agate_model_source *source, const agate_driver_options *options,
                                  agate_model **out_model)
{
    agate_data *file = NULL;
    agate_graph *graph;

    uint64_t start_ns = agate_clock_ns();
    if (!source->data)
        AGATE_TRY(agate_file_map(source->path, &file));
    tell_time(options, "read", start_ns);
    agate_status status = agate_driver_import(source, file, options, NULL, &graph);
    agate_data_release(file);
    if (!status)
        status = agate_driver_compile(graph, options, out_model);
    return agate_source_error(source, status);
}

static agate_status check_options(const agate_compile_options *options)
{
    if (options->threads < 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "compile option threads is negative");
    for (size_t i = 0; i < options->dim_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(options->dims[i].name, options->dims[k].name) == 0)
                return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "dimension \"%s\" is given twice",
                                        options->dims[i].name);
    return AGATE_OK;
}

static agate_status load_rounded(const agate_model_source *source, const agate_driver_options *options,
                                 agate_cache_outcome *outcome, agate_model **out_model)
{
    const char *refusal = agate_cached_refuses(options);
    agate_cache *cache = NULL;

    if (!options->compile.cache_directory)
        return load_uncached(source, options, out_model);
    agate_status status = refusal ? agate_error_make(AGATE_CODE_UNSUPPORTED, "%s", refusal)
                                  : agate_cache_open(options->compile.cache_directory, &cache);
    if (status) {
        snprintf(outcome->remark, sizeof outcome->remark, "%s", agate_status_message(status));
        agate_status_release(status);
        return load_uncached(source, options, out_model);
    }
    status = agate_cached_load(cache, source, options, outcome, out_model);
    agate_cache_release(cache);
    return status;
}

/* Constants are the same numbers, however the caller's thread rounds. */
static agate_status load_source(const agate_model_source *source, const agate_driver_options *options,
                                agate_cache_outcome *outcome, agate_model **out_model)
{
    const agate_rounding before = agate_rounding_enter();
    agate_status status = check_options(&options->compile);

    if (!status)
        status = load_rounded(source, options, outcome, out_model);

    agate_rounding_leave(before);
    return status;
}

agate_status agate_driver_load(const char *path, const agate_driver_options *options,
                               agate_cache_outcome *out_outcome, agate_model **out_model)
{
    agate_cache_outcome outcome = {0};
    agate_status status;

    if (agate_driver_is_compiled(path)) {
        status = agate_driver_load_compiled(path, options, out_model);
    } else {
        agate_model_source source;
        status = agate_source_init(&source, path);
        if (!status)
            status = load_source(&source, options, &outcome, out_model);
        free((char *)source.directory);
    }
    if (out_outcome)
        *out_outcome = outcome;
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

    return agate_driver_load(path, &driver, NULL, out_model);
}

AGATE_API agate_status agate_model_load_memory(const void *data, size_t size_bytes, const char *directory,
                                               const agate_compile_options *options, agate_model **out_model)
{
    const agate_driver_options driver = driver_options(options);
    const agate_model_source source = {
        .data = data ? data : "", .size_bytes = size_bytes, .directory = directory};
    agate_cache_outcome outcome = {0};

    *out_model = NULL;
    if (!data && size_bytes > 0)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model's bytes are NULL, their count is %zu",
                                size_bytes);
    return load_source(&source, &driver, &outcome, out_model);
}
