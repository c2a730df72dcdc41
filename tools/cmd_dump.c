/* cmd_dump.c: a model at any stage, as text, a drawing, or data; down to LLVM IR and assembly. */
#include <stdio.h>

#include "backend/backend.h"
#include "ir/text.h"
#include "tools/cli.h"
#include "tools/graph_formats.h"

typedef struct settings {
    const char *stage, *format;
    agate_cli_compile compile;
    agate_cli_passes passes;
} settings;

static const agate_cli_option options[] = {
    {"stage", AGATE_CLI_TEXT, "STAGE", offsetof(settings, stage),
     "import, canonical, fused, scheduled, planned (default), llvm or asm"},
    {"format", AGATE_CLI_TEXT, "FORMAT", offsetof(settings, format),
     "text (default), dot (Graphviz) or json"},
    AGATE_CLI_PASS_ROWS(settings, passes),
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    {0},
};

/* A way to print a graph. */
typedef struct format {
    const char *name;
    void (*print)(const agate_graph *graph, bool origins, agate_text *text);
} format;

static void print_text(const agate_graph *graph, bool origins, agate_text *text)
{
    agate_print(graph, &(agate_print_options){.origins = origins}, text);
}

static const format formats[] = {
    {"text", print_text}, {"dot", agate_graph_print_dot}, {"json", agate_graph_print_json}};

static const format *find_format(const char *name)
{
    for (size_t i = 0; i < AGATE_COUNT(formats); i++)
        if (!name || strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

/* What is asked for: a stage of the graph, or the code behind the last one. */
typedef struct request {
    agate_stage stage;
    bool is_code;
    agate_code_format code;
    const format *format;
} request;

static int parse_request(const agate_cli_verb *verb, const settings *set, request *out_request)
{
    const char *stage = set->stage ? set->stage : "planned";

    *out_request = (request){.stage = AGATE_STAGE_planned, .format = find_format(set->format)};
    if (!out_request->format)
        return agate_cli_usage(verb, "--format %s: there are text, dot and json", set->format);
    if (strcmp(stage, "llvm") == 0 || strcmp(stage, "asm") == 0) {
        out_request->is_code = true;
        out_request->code = strcmp(stage, "llvm") == 0 ? AGATE_CODE_LLVM : AGATE_CODE_ASM;
        if (set->format && strcmp(set->format, "text") != 0)
            return agate_cli_usage(verb, "--stage %s is text only", stage);
    } else if (!agate_stage_parse(stage, &out_request->stage)) {
        return agate_cli_usage(verb, "no stage %s", stage);
    }
    return -1;
}

/* Prints what is asked for of a graph that has come to its stage. */
static agate_status print(const agate_graph *graph, const request *request, const settings *set,
                          const agate_machine *machine)
{
    agate_codegen_options codegen = {.machine = machine, .threads = (int32_t)set->compile.threads};
    agate_text text = {0};
    agate_status status = AGATE_OK;

    if (request->is_code)
        status = agate_backend_print(graph, &codegen, request->code, &text);
    else
        request->format->print(graph, set->passes.origins, &text);
    if (status == AGATE_OK && text.failed)
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to print the graph");
    if (status == AGATE_OK)
        fputs(agate_text_c(&text), stdout);
    agate_text_deinit(&text);
    return status;
}

static agate_status dump(const char *path, const request *request, const settings *set,
                         agate_driver_options *options)
{
    agate_machine machine;
    agate_graph *graph;
    agate_status status;

    AGATE_TRY(agate_driver_machine_exact(&options->compile, &machine));
    AGATE_TRY(agate_driver_read(path, options, &graph));
    const agate_pass_options passes = agate_driver_passes(options, &machine);
    status =
        request->stage == AGATE_STAGE_import ? AGATE_OK : agate_passes_run(graph, &passes, request->stage);
    if (status == AGATE_OK && !set->passes.print_after)
        status = print(graph, request, set, &machine);
    agate_graph_release(graph);
    return agate_error_within(status, "%s", path);
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_driver_options driver = {0};
    request request;
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &driver.compile);
    if (code < 0)
        code = agate_cli_pass_options(verb, &set.passes, &driver.passes);
    if (code < 0)
        code = parse_request(verb, &set, &request);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    status = dump(operands.items[0], &request, &set, &driver);
    agate_cli_passes_end(&set.passes);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_dump = {
    .name = "dump",
    .operands = "[OPTION]... MODEL",
    .summary = "Prints a model (.onnx, or text IR: .agt) at any stage of its compilation.",
    .options = options,
    .details = "Code is shown for the instruction set of --isa even where this CPU lacks it. With "
               "--print-after only those\n"
               "graphs are printed.\n\n"
               "  agate dump model.onnx --stage fused\n"
               "  agate dump model.onnx --diff\n"
               "  agate dump model.onnx --stage asm --isa avx2\n"
               "  agate dump model.onnx --stage canonical --format dot | dot -Tsvg > model.svg\n",
    .run = run,
};
