/* cmd_compile.c: a model to a file: a shared object that runs without a compiler, or a step on the way to it. */
#include <stdio.h>

#include "backend/backend.h"
#include "ir/text.h"
#include "tools/cli.h"
#include "tools/compile.h"
#include "tools/file.h"

typedef struct settings {
    const char *output, *emit, *weights;
    agate_cli_compile compile;
} settings;

static const agate_cli_option options[] = {
    {"output", AGATE_CLI_TEXT, "FILE", offsetof(settings, output), "the file to write; -o for short"},
    {"emit", AGATE_CLI_TEXT, "KIND", offsetof(settings, emit),
     "so (default): a shared object; obj: an object to link; ir, llvm or asm: text"},
    {"weights", AGATE_CLI_TEXT, "PLACE", offsetof(settings, weights),
     "inside (default), or external: in FILE.weights, mapped when the model is loaded"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
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

/* ---- text ----------------------------------------------------------------------------------------------- */

static agate_status print(agate_graph *graph, kind what, agate_driver_options *driver, agate_text *text)
{
    agate_machine machine;
    agate_codegen_options codegen = {.machine = &machine, .threads = driver->compile.threads};

    AGATE_TRY(agate_driver_machine_exact(driver->compile.isa, &machine));
    driver->passes.machine = &machine;
    AGATE_TRY(agate_passes_run(graph, &driver->passes, AGATE_STAGE_planned));
    if (what != KIND_IR)
        return agate_backend_print(graph, &codegen, what == KIND_ASM ? AGATE_CODE_ASM : AGATE_CODE_LLVM,
                                   text);
    agate_print(graph, &(agate_print_options){0}, text);
    return AGATE_OK;
}

static agate_status write_text(agate_graph *graph, kind what, agate_driver_options *driver, const char *path)
{
    agate_text text = {0};
    agate_status status = print(graph, what, driver, &text);

    agate_graph_release(graph);
    if (!status && text.failed)
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the text");
    if (!status)
        status = agate_file_write(path, agate_text_c(&text), text.size_bytes, NULL, 0);
    agate_text_deinit(&text);
    return status;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static agate_status add_graph(agate_compilation *compilation, agate_graph *graph,
                              agate_driver_options *driver)
{
    agate_machine machine;

    AGATE_TRY(agate_driver_machine_exact(driver->compile.isa, &machine));
    driver->passes.machine = &machine;
    AGATE_TRY(agate_passes_run(graph, &driver->passes, AGATE_STAGE_planned));
    return agate_compilation_add(compilation, graph, &machine, NULL, &driver->compile);
}

static agate_status write_file(agate_graph *graph, const agate_compile_to *to, agate_driver_options *driver)
{
    agate_compilation *compilation = NULL;
    agate_status status = agate_compilation_create(to, &compilation);

    if (!status)
        status = add_graph(compilation, graph, driver);
    agate_graph_release(graph);
    if (!status)
        status = agate_compilation_finish(compilation);
    agate_compilation_release(compilation);
    return status;
}

/* ---- the verb ------------------------------------------------------------------------------------------- */

static agate_status compile(const char *model, kind what, const settings *set, agate_driver_options *driver)
{
    const agate_compile_to to = {
        .path = set->output,
        .object = what == KIND_OBJ,
        .external_weights = set->weights && strcmp(set->weights, "external") == 0,
    };
    agate_graph *graph;

    AGATE_TRY(agate_driver_read(model, driver, &graph));
    if (what > KIND_OBJ)
        return agate_error_within(write_text(graph, what, driver, set->output), "%s", model);
    return agate_error_within(write_file(graph, &to, driver), "%s", model);
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
    return -1;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
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
    agate_status status = compile(operands.items[0], what, &set, &driver);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_compile = {
    .name = "compile",
    .operands = "[OPTION]... MODEL -o FILE",
    .summary = "Compiles a model to a file that runs without a compiler.",
    .options = options,
    .details =
        "The file is a shared object with code, plan and weights. `agate run`, `bench` and `test` take "
        "it where they take a\n"
        "model, and programs load it with libagate-runtime alone (agate_model_load_artifact). The same "
        "model and options\n"
        "give the same bytes. --isa may name one that this CPU lacks. Linking needs ld.lld, ld or cc.\n\n"
        "  agate compile resnet50.onnx -o resnet50.so\n"
        "  agate compile resnet50.onnx -o resnet50.so --isa avx2 --weights external\n"
        "  agate compile model.onnx -o model.s --emit asm\n",
    .run = run,
};
