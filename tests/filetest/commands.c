/* commands.c: what each command of a filetest does. */
#include "ir/verify.h"
#include "tests/filetest/filetest.h"

static const agate_print_options with_origins = {.origins = true};

void add_fault(agate_text *fault, const char *what, agate_status status)
{
    agate_text_add(fault, "%s: %s\n", what, agate_status_message(status));
    agate_status_release(status);
}

static void cover(coverage *seen, const agate_graph *graph)
{
    AGATE_EACH_NODE (node, graph) {
        seen->ops[node->op] = true;
        seen->strategies[node->strategy] = true;
        if (node->body)
            cover(seen, node->body);
    }
}

/* ---- what holds for every input ------------------------------------------------------------------------ */

/* What prints, parses: the same text comes out again. */
static void check_round_trip(const agate_graph *graph, parse_fn parse, agate_text *fault)
{
    agate_text first = {0}, second = {0};
    agate_graph *again;

    agate_print(graph, &with_origins, &first);
    agate_status status = parse(agate_text_c(&first), first.size_bytes, &again);
    if (status != AGATE_OK) {
        add_fault(fault, "what was printed does not parse", status);
        agate_text_add(fault, "%s", agate_text_c(&first));
    } else {
        agate_print(again, &with_origins, &second);
        if (strcmp(agate_text_c(&first), agate_text_c(&second)) != 0)
            agate_text_add(fault, "printing and parsing changes the text from\n%sto\n%s",
                           agate_text_c(&first), agate_text_c(&second));
        agate_graph_release(again);
    }
    agate_text_deinit(&first);
    agate_text_deinit(&second);
}

agate_graph *parse_input(const test_run *run, parse_fn parse)
{
    agate_graph *graph = NULL;
    agate_status status = parse(run->test->input, strlen(run->test->input), &graph);

    if (status != AGATE_OK) {
        add_fault(run->fault, "the input does not parse", status);
        return NULL;
    }
    cover(run->seen, graph);
    check_round_trip(graph, parse, run->fault);
    return graph;
}

void bless_graph(const test_run *run, const agate_graph *graph)
{
    cover(run->seen, graph);
    check_round_trip(graph, agate_parse, run->fault);
    agate_text_add(run->blessed, "%s; expect\n", run->test->input);
    agate_print(graph, &with_origins, run->blessed);
}

/* ---- print --------------------------------------------------------------------------------------------- */

/* The text without lines that are blank or comments. */
static void add_bare(agate_text *out, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        size_t blanks = strspn(text, " ");
        length += text[length] == '\n';
        if (text[blanks] != ';' && text[blanks] != '\n')
            agate_text_add_bytes(out, text, length);
        text += length;
    }
}

static void run_print(const test_run *run)
{
    agate_graph *graph = parse_input(run, agate_parse);
    agate_text printed = {0}, bare = {0};

    if (!graph)
        return;
    agate_status status = agate_verify_status(graph);
    if (status != AGATE_OK)
        add_fault(run->fault, "the input does not verify", status);
    agate_print(graph, &with_origins, &printed);
    add_bare(&bare, run->test->input);
    if (run->test->expect || strcmp(agate_text_c(&bare), agate_text_c(&printed)) != 0)
        bless_graph(run, graph);
    else
        agate_text_add(run->blessed, "%s", run->test->input);
    agate_text_deinit(&printed);
    agate_text_deinit(&bare);
    agate_graph_release(graph);
}

/* ---- verify -------------------------------------------------------------------------------------------- */

enum { MOST_LINES = 1000 };

typedef struct line_faults {
    int64_t header; /* the line that faults of the graph itself belong to */
    agate_text lines[MOST_LINES];
} line_faults;

static void note_fault(void *user, const agate_node *node, const char *message)
{
    line_faults *faults = user;
    int64_t line = node ? node->scratch : faults->header;
    agate_text_add(&faults->lines[line < MOST_LINES ? line : 0], " ; error: %s", message);
}

/* Copies `text`, with the faults of each line in place of those that stand there. */
static void add_annotated(agate_text *out, const char *text, const line_faults *faults)
{
    for (int64_t line = 1; *text; line++) {
        size_t length = strcspn(text, "\n"), kept = length;
        for (size_t i = 0; i + 8 <= length && kept == length; i++)
            if (strncmp(text + i, "; error:", 8) == 0)
                kept = i;
        while (kept > 0 && text[kept - 1] == ' ')
            kept--;
        agate_text_add_bytes(out, text, kept);
        agate_text_add(out, "%s\n", line < MOST_LINES ? agate_text_c(&faults->lines[line]) : "");
        text += length + (text[length] == '\n');
    }
}

static int64_t header_line(const char *text)
{
    int64_t line = 1;
    for (; *text && strncmp(text, "graph ", 6) != 0; line++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return line;
}

static void run_verify(const test_run *run)
{
    agate_graph *graph = parse_input(run, agate_parse_unchecked);
    line_faults faults = {.header = header_line(run->test->input)};

    if (!graph)
        return;
    agate_verify(graph, note_fault, &faults);
    add_annotated(run->blessed, run->test->input, &faults);
    for (int i = 0; i < MOST_LINES; i++)
        agate_text_deinit(&faults.lines[i]);
    agate_graph_release(graph);
}

/* ---- parse-error --------------------------------------------------------------------------------------- */

static void run_parse_error(const test_run *run)
{
    agate_graph *graph;
    agate_status status = agate_parse(run->test->input, strlen(run->test->input), &graph);

    if (status == AGATE_OK) {
        agate_text_add(run->fault, "the input parses\n");
        agate_graph_release(graph);
        return;
    }
    agate_text_add(run->blessed, "%s; expect\n%s\n", run->test->input, agate_status_message(status));
    agate_status_release(status);
}

/* -------------------------------------------------------------------------------------------------------- */

void run_case(const test_case *test, coverage *seen, agate_text *blessed, agate_text *fault)
{
    static void (*const runs[COMMAND_COUNT])(const test_run *) = {
        [COMMAND_PRINT] = run_print,
        [COMMAND_VERIFY] = run_verify,
        [COMMAND_PARSE_ERROR] = run_parse_error,
        [COMMAND_PASS] = run_pass,
        [COMMAND_SCHEDULE] = run_schedule,
        [COMMAND_RUN] = run_run,
    };
    size_t start_bytes = blessed->size_bytes;

    for (size_t i = 0; i < test->command_count; i++) {
        const command *c = &test->commands[i];
        if (c->kind != COMMAND_NONE)
            runs[c->kind](&(test_run){test, c, seen, blessed, fault});
    }
    if (blessed->size_bytes == start_bytes) /* no command has an expectation */
        agate_text_add(blessed, "%s", test->input);
}
