/* cmd_opt.c: named passes over text IR: text in, text out. */
#include <stdio.h>
#include <stdlib.h>

#include "ir/text.h"
#include "tools/cli.h"
#include "tools/file.h"

typedef struct settings {
    agate_cli_list names;
    bool list;
    const char *isa, *allow, *precision, *node_precisions;
    agate_cli_passes passes;
} settings;

static const agate_cli_option options[] = {
    {"pass", AGATE_CLI_COMMAS, "NAME[,NAME]", offsetof(settings, names), "run these passes, in this order"},
    {"list", AGATE_CLI_FLAG, NULL, offsetof(settings, list), "print all passes, in the pipeline's order"},
    {"isa", AGATE_CLI_TEXT, "ISA", offsetof(settings, isa),
     "the machine to schedule for: sse2, sse4, avx2 or avx512"},
    {"allow", AGATE_CLI_TEXT, "NAME[,NAME]", offsetof(settings, allow),
     "compute faster in ways that round otherwise: winograd"},
    AGATE_CLI_PRECISION_ROW(settings, precision),
    AGATE_CLI_NODE_PRECISION_ROW(settings, node_precisions),
    AGATE_CLI_PASS_ROWS(settings, passes),
    {0},
};

static int list_passes(void)
{
    for (size_t i = 0; i < agate_pass_count; i++)
        printf("%-16s %-10s %s\n", agate_pass_table[i].name, agate_stage_name(agate_pass_table[i].stage),
               agate_pass_table[i].summary);
    return AGATE_EXIT_OK;
}

static agate_status parse_file(const char *path, agate_graph **out_graph)
{
    char *data;
    size_t size_bytes;
    agate_status status;

    AGATE_TRY(agate_file_read(path, &data, &size_bytes));
    status = agate_parse(data, size_bytes, out_graph);
    free(data);
    return agate_error_within(status, "%s", path);
}

static agate_status optimize(const char *path, const settings *set, agate_pass_options *passes)
{
    agate_text text = {0};
    agate_machine machine;
    agate_graph *graph;
    agate_status status;

    AGATE_TRY(agate_driver_machine_exact(&(agate_compile_options){.isa = set->isa,
                                                                  .precision = set->precision,
                                                                  .node_precisions = set->node_precisions},
                                         &machine));
    AGATE_TRY(parse_file(path, &graph));
    passes->machine = &machine;
    passes->allow = set->allow;
    passes->precision = set->precision;
    passes->node_precisions = set->node_precisions;
    status = agate_passes_run_named(graph, passes, set->names.items, set->names.count);
    if (status == AGATE_OK && !set->passes.print_after) {
        agate_print(graph, &(agate_print_options){.origins = set->passes.origins}, &text);
        if (text.failed)
            status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to print the graph");
        else
            fputs(agate_text_c(&text), stdout);
        agate_text_deinit(&text);
    }
    agate_graph_release(graph);
    return agate_error_within(status, "%s", path);
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_pass_options passes;
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_pass_options(verb, &set.passes, &passes);
    if (code >= 0)
        return code;
    if (set.list)
        return list_passes();
    for (size_t i = 0; i < set.names.count; i++)
        if (!agate_pass_find(set.names.items[i]))
            return agate_cli_usage(verb, "no pass %s; --list prints them", set.names.items[i]);
    code = agate_cli_check_code(verb, set.isa, set.allow, set.precision, set.node_precisions);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one file is needed (- for standard input)");
    status = optimize(operands.items[0], &set, &passes);
    agate_cli_passes_end(&set.passes);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_opt = {
    .name = "opt",
    .operands = "[OPTION]... FILE.agt",
    .summary = "Runs passes over text IR and prints the result.",
    .options = options,
    .details = "Without --pass the graph is parsed, checked and printed.\n\n"
               "  agate opt block.agt --pass canonicalize,fuse-epilogue\n"
               "  agate dump model.onnx --stage import | agate opt - --pass canonicalize --remarks\n",
    .run = run,
};
