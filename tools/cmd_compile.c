/* cmd_compile.c: a model to a file: a shared object that runs without a compiler, or a step on the way to
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/artifact.h"
#include "ir/text.h"
#include "tools/cached.h"
#include "tools/cli.h"
#include "tools/compile.h"
#include "tools/file.h"
#include "tools/target.h"

typedef struct settings {
    const char *output, *emit, *weights;
    agate_cli_list targets, precisions;
    bool tuned;
    agate_cli_compile compile;
    agate_cli_cache cache;
} settings;

static const agate_cli_option options[] = {
    {"output", AGATE_CLI_TEXT, "FILE", offsetof(settings, output), "the file to write; -o for short"},
    {"emit", AGATE_CLI_TEXT, "KIND", offsetof(settings, emit),
     "so (default): a shared object; obj: an object to link; ir, llvm or asm: text"},
    {"weights", AGATE_CLI_TEXT, "PLACE", offsetof(settings, weights),
     "inside (default), or external: in FILE.weights, mapped when the model is loaded"},
    {"target", AGATE_CLI_COMMAS, "TARGET", offsetof(settings, targets),
     "native (default), x86-64, x86-64-v2, -v3 or -v4, +FEATURE, -FEATURE; several go into one file"},
    {"tuned", AGATE_CLI_FLAG, NULL, offsetof(settings, tuned),
     "with the tiles that agate tune found for this model, if it did, and keeps in the cache"},
    AGATE_CLI_COMPILE_BASE_ROWS(settings, compile),
    {"precision", AGATE_CLI_COMMAS, "P", offsetof(settings, precisions),
     "of products in convolutions and of weights: f32 (default), f32x6, f32x3, f16 or bf16; several go into "
     "one file"},
    AGATE_CLI_CACHE_ROWS(settings, cache),
    {0},
};

typedef enum kind { KIND_SO, KIND_OBJ, KIND_IR, KIND_LLVM, KIND_ASM } kind;
static const char *const kinds[] = {"so", "obj", "ir", "llvm", "asm"};

static int find(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (!word || strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* What one set of code in the file is for. */
typedef struct variant {
    agate_machine machine;
    agate_precision precision;
} variant;

/* A model, read once, and what it is compiled for. */
typedef struct job {
    agate_arena *arena;
    agate_driver_options *driver;
    agate_model_source source;
    agate_data *file;
    variant variants[AGATE_MAX_VARIANTS]; /* by precision, then the least machine first */
    size_t variant_count;
    bool many_precisions;
    const char *tuned;           /* the cache to look for tiles in; NULL: the planned ones */
    agate_cache_outcome outcome; /* of looking there */
    size_t tuned_count;          /* kernels that tiles were found for */
} job;

static agate_driver_options options_of(const job *j, const variant *v)
{
    agate_driver_options driver = *j->driver;

    driver.compile.precision = agate_precision_name(v->precision);
    return driver;
}

/* Reads and plans the graph for one variant. On success it is the caller's. */
static agate_status plan(job *j, const variant *v, agate_graph **out_graph)
{
    const agate_driver_options driver = options_of(j, v);
    agate_pass_options passes = agate_driver_passes(&driver, &v->machine);
    agate_tuning tuning = {0};
    agate_graph *graph;

    AGATE_TRY(agate_driver_import(&j->source, j->file, &driver, NULL, &graph));
    if (j->tuned) {
        /* By what was read: a pipe has nothing more to say. */
        agate_model_source source = j->source;
        source.data = j->file->bytes;
        source.size_bytes = j->file->size_bytes;
        agate_cached_find_tuning(j->tuned, &source, &driver, &v->machine, &j->outcome, &tuning);
    }
    j->tuned_count += tuning.count;
    passes.tuning = &tuning;
    agate_status status = agate_passes_run(graph, &passes, AGATE_STAGE_planned);
    agate_tuning_deinit(&tuning);
    if (status)
        agate_graph_release(graph);
    else
        *out_graph = graph;
    return status;
}

/* What the functions' names end in; NULL: the file has no others. */
static const char *suffix_of(const job *j, const variant *v)
{
    const char *precision = agate_precision_name(v->precision);

    if (j->variant_count == 1)
        return NULL;
    const char *suffix = agate_target_suffix(&v->machine, j->arena);
    return j->many_precisions ? agate_arena_format(j->arena, "%s_%s", suffix, precision) : suffix;
}

static agate_status add_variant(job *j, const variant *v, agate_compilation *compilation)
{
    const agate_driver_options driver = options_of(j, v);
    agate_graph *graph;

    AGATE_TRY(plan(j, v, &graph));
    agate_status status =
        agate_compilation_add(compilation, graph, &v->machine, suffix_of(j, v), &driver.compile);
    agate_graph_release(graph);
    return status;
}

static agate_status write_file(job *j, const agate_compile_to *to)
{
    agate_compilation *compilation = NULL;
    agate_status status = agate_compilation_create(to, &compilation);

    for (size_t i = 0; i < j->variant_count && !status; i++)
        status = add_variant(j, &j->variants[i], compilation);
    if (!status)
        status = agate_compilation_finish(compilation);
    agate_compilation_release(compilation);
    return status;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static agate_status print(const job *j, kind what, const agate_graph *graph, agate_text *text)
{
    const agate_codegen_options codegen = {.machine = &j->variants[0].machine,
                                           .threads = j->driver->compile.threads};

    if (what != KIND_IR)
        return agate_backend_print(graph, &codegen, what == KIND_ASM ? AGATE_CODE_ASM : AGATE_CODE_LLVM,
                                   text);
    agate_print(graph, &(agate_print_options){0}, text);
    return AGATE_OK;
}

static agate_status write_text(job *j, kind what, const char *path)
{
    agate_text text = {0};
    agate_graph *graph;

    AGATE_TRY(plan(j, &j->variants[0], &graph));
    agate_status status = print(j, what, graph, &text);
    agate_graph_release(graph);
    if (!status && text.failed)
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the text");
    if (!status)
        status = agate_file_write(path, agate_text_c(&text), text.size_bytes, NULL, 0);
    agate_text_deinit(&text);
    return status;
}

/* ---- the verb ------------------------------------------------------------------------------------------ */

/* Every target that is given, the least first; *out_count: 0 where none is. */
static agate_status parse_targets(const job *j, const settings *set, agate_machine *machines,
                                  size_t *out_count)
{
    *out_count = set->targets.count;
    for (size_t i = 0; i < set->targets.count; i++)
        AGATE_TRY(agate_target_parse(set->targets.items[i], j->arena, &machines[i]));
    return agate_target_sort(machines, set->targets.count);
}

/* What code of this precision has use for. */
static uint32_t served_features(const agate_machine *machine, agate_precision precision)
{
    uint32_t others = 0;

    for (int32_t p = 0; p < AGATE_PRECISION_COUNT; p++)
        others |= agate_precision_features((agate_precision)p, machine);
    return machine->needs & ~(others & ~agate_precision_features(precision, machine));
}

/* Is all that machine `index` has more than a lesser one of them a feature that serves other precisions? Then
 * the code would be that one's. */
static bool is_spare(const agate_machine *machines, size_t index, agate_precision precision)
{
    const agate_machine *machine = &machines[index];

    for (size_t i = 0; i < index; i++)
        if ((machines[i].needs & ~machine->needs) == 0 &&
            served_features(&machines[i], precision) == served_features(machine, precision))
            return true;
    return false;
}

static agate_status add_precision(job *j, agate_precision precision, const agate_machine *machines,
                                  size_t count)
{
    agate_machine machine;

    for (size_t i = 0; i < count; i++)
        if (!j->many_precisions || !is_spare(machines, i, precision))
            j->variants[j->variant_count++] = (variant){machines[i], precision};
    if (count > 0)
        return AGATE_OK;
    agate_compile_options options = j->driver->compile;
    options.precision = agate_precision_name(precision);
    AGATE_TRY(agate_driver_machine_exact(&options, &machine));
    j->variants[j->variant_count++] = (variant){machine, precision};
    return AGATE_OK;
}

/* Bit p: precision p is asked for. An error that names one that there is not, or that is given twice. */
static agate_status parse_precisions(const agate_cli_list *list, uint32_t *out_set)
{
    uint32_t set = 0;
    agate_precision precision;

    for (size_t i = 0; i < list->count; i++) {
        AGATE_TRY(agate_precision_parse(list->items[i], &precision));
        if (set & (1u << precision))
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s is given twice", list->items[i]);
        set |= 1u << precision;
    }
    *out_set = set ? set : 1u << AGATE_PRECISION_f32;
    return AGATE_OK;
}

static agate_status find_variants(job *j, const settings *set)
{
    agate_machine machines[AGATE_MAX_VARIANTS];
    size_t count;
    uint32_t precisions = 0;

    AGATE_TRY(parse_targets(j, set, machines, &count));
    AGATE_TRY(parse_precisions(&set->precisions, &precisions));
    j->many_precisions = set->precisions.count > 1;
    for (int32_t p = 0; p < AGATE_PRECISION_COUNT; p++)
        if (precisions & (1u << p))
            AGATE_TRY(add_precision(j, (agate_precision)p, machines, count));
    for (size_t i = 0; i < j->variant_count; i++)
        agate_cli_note_precision(agate_precision_name(j->variants[i].precision), &j->variants[i].machine);
    return AGATE_OK;
}

/* What is written is not to take the model's place. */
static agate_status check_output(const char *model, const char *output)
{
    struct stat from, to;

    if (strcmp(model, "-") == 0 || stat(model, &from) != 0 || stat(output, &to) != 0 ||
        from.st_dev != to.st_dev || from.st_ino != to.st_ino)
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s is the model itself: write to another file",
                            output);
}

static agate_status compile(job *j, kind what, const settings *set)
{
    const agate_compile_to to = {
        .path = set->output,
        .object = what == KIND_OBJ,
        .external_weights = set->weights && strcmp(set->weights, "external") == 0,
    };

    AGATE_TRY(check_output(j->source.path, set->output));
    AGATE_TRY(find_variants(j, set));
    AGATE_TRY(agate_file_map(j->source.path, &j->file));
    return agate_source_error(&j->source,
                              what > KIND_OBJ ? write_text(j, what, set->output) : write_file(j, &to));
}

/* Whoever asks for tuned tiles should know where there were none. */
static void report_tuning(const job *j, const char *path)
{
    if (j->tuned && (j->tuned_count == 0 || j->outcome.remark[0]))
        fprintf(stderr, "agate: %s: compiled with the planned tiles: %s\n", path,
                j->outcome.remark[0] ? j->outcome.remark
                                     : "agate tune has found none for it, as it is compiled here");
}

static agate_status run_job(const char *path, kind what, const settings *set, agate_driver_options *driver,
                            const char *tuned)
{
    job j = {.driver = driver, .arena = agate_arena_create(), .tuned = tuned};

    if (!j.arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile");
    agate_status status = agate_source_init(&j.source, path);
    if (!status)
        status = compile(&j, what, set);
    if (!status)
        report_tuning(&j, path);
    free((char *)j.source.directory);
    agate_data_release(j.file);
    agate_arena_release(j.arena);
    return status;
}

/* Is there all that the file is to be for, and has it room for that? */
static int check_variants(const agate_cli_verb *verb, const settings *set, kind what)
{
    const size_t most = what > KIND_OBJ ? 1 : AGATE_MAX_VARIANTS;
    uint32_t precisions;
    agate_status status = parse_precisions(&set->precisions, &precisions);

    if (status)
        return agate_cli_usage_of(verb, "precision", status);
    if (set->targets.count > most)
        return agate_cli_usage(verb, "--target: too many for --emit %s", kinds[what]);
    if (set->precisions.count > most)
        return agate_cli_usage(verb, "--precision: too many for --emit %s", kinds[what]);
    if (set->targets.count * set->precisions.count > most)
        return agate_cli_usage(verb, "--target and --precision: more than %zu pairs", most);
    return -1;
}

static int check_targets(const agate_cli_verb *verb, const settings *set)
{
    agate_arena *arena = agate_arena_create();
    agate_status status = AGATE_OK;
    agate_machine machine;

    for (size_t i = 0; arena && i < set->targets.count && !status; i++)
        status = agate_target_parse(set->targets.items[i], arena, &machine);
    agate_arena_release(arena);
    return status ? agate_cli_usage_of(verb, "target", status) : -1;
}

static int check(const agate_cli_verb *verb, const settings *set, size_t operand_count, kind what)
{
    static const char *const places[] = {"inside", "external"};

    if (operand_count != 1)
        return agate_cli_usage(verb, "one model is needed");
    if ((int)what < 0)
        return agate_cli_usage(verb, "--emit %s: there are so, obj, ir, llvm and asm", set->emit);
    if (!set->output)
        return agate_cli_usage(verb, "--output is needed: the file to write");
    if (find(places, AGATE_COUNT(places), set->weights) < 0)
        return agate_cli_usage(verb, "--weights %s: there are inside and external", set->weights);
    if (set->weights && what > KIND_OBJ)
        return agate_cli_usage(verb, "--weights is for --emit so and obj");
    if (set->targets.count > 0 && set->compile.isa)
        return agate_cli_usage(verb, "--isa and --target say the same: give one");
    const int code = check_variants(verb, set, what);
    return code >= 0 ? code : check_targets(verb, set);
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
    agate_compile_options where = {0};
    agate_cli_path room;
    int code;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = "--output";
    code = agate_cli_parse(verb, argc, argv, &set, &operands);
    const kind what = (kind)find(kinds, AGATE_COUNT(kinds), set.emit);
    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &driver.compile);
    if (code < 0)
        code = check(verb, &set, operands.count, what);
    if (code >= 0)
        return code;
    agate_cli_cache_options(&set.cache, &room, &where);
    if (set.tuned && !where.cache_directory)
        return agate_cli_usage(verb, "--tuned: no cache is in use: give --cache DIR");
    agate_status status =
        run_job(operands.items[0], what, &set, &driver, set.tuned ? where.cache_directory : NULL);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_compile = {
    .name = "compile",
    .operands = "[OPTION]... MODEL -o FILE",
    .summary = "Compiles a model to a file that runs without a compiler.",
    .options = options,
    .details =
        "The file is a shared object with code, plan and weights. `agate run`, `bench`, `test` and "
        "`info` take "
        "it where they\n"
        "take a model, and programs load it with libagate-runtime alone (agate_model_load_artifact). "
        "The same "
        "model and\n"
        "options give the same bytes. --target, or --isa, may name what this CPU lacks. Of several "
        "targets, the "
        "best that a CPU\n"
        "can run is taken when the file is loaded. Of several precisions, f32 is taken unless another is "
        "asked for\n"
        "(--precision, agate_model_load_artifact_with); each is compiled for each target. All share "
        "weights that are\n"
        "packed alike. Linking needs ld, ld.lld or cc.\n\n"
        "  agate compile resnet50.onnx -o resnet50.so\n"
        "  agate compile resnet50.onnx -o resnet50.so --isa avx2 --weights external\n"
        "  agate compile resnet50.onnx -o resnet50.so --target x86-64-v2,x86-64-v3,x86-64-v4\n"
        "  agate compile resnet50.onnx -o resnet50.so --target x86-64-v4+avx512bf16\n"
        "  agate compile resnet50.onnx -o resnet50.so --precision f32,bf16\n"
        "  agate compile resnet50.onnx -o resnet50.so --tuned\n"
        "  agate compile model.onnx -o model.s --emit asm\n",
    .run = run,
};
