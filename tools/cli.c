/* cli.c: the parser of option tables, over getopt_long, and what else the verbs share. */
#include "tools/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ir/text.h"
#include "tools/diff.h"
#include "tools/driver.h"

/* ---- messages ----------------------------------------------------------------------------------------- */

int agate_cli_usage(const agate_cli_verb *verb, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "agate: %s: ", verb->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (agate %s --help)\n", verb->name);
    va_end(args);
    return AGATE_EXIT_USAGE;
}

void agate_cli_put(const char *text)
{
    for (; *text; text++)
        putchar(agate_cli_is_control(*text) ? '?' : *text);
}

int agate_cli_fail(agate_status status)
{
    fprintf(stderr, "agate: ");
    /* Of several causes, each has a line. */
    for (const char *text = agate_status_message(status); *text; text++)
        putc(agate_cli_is_control(*text) && *text != '\n' ? '?' : *text, stderr);
    putc('\n', stderr);
    agate_status_release(status);
    return AGATE_EXIT_FAILED;
}

static void print_option(const char *name, const char *value, const char *help)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-22s %s\n", left, help);
}

void agate_cli_help(const agate_cli_verb *verb)
{
    printf("agate %s %s\n\n%s\n\n", verb->name, verb->operands, verb->summary);
    for (const agate_cli_option *option = verb->options; option->name; option++)
        print_option(option->name, option->value, option->help);
    print_option("help", NULL, "print this");
    printf("\nExit codes: 0 done, 1 it failed, 2 the command line makes no sense.\n\n%s", verb->details);
}

/* ---- parsing ------------------------------------------------------------------------------------------ */

static bool list_add(agate_cli_list *list, const char *item)
{
    if (list->count == AGATE_CLI_MAX)
        return false;
    list->items[list->count++] = item;
    return true;
}

static bool list_add_commas(agate_cli_list *list, char *items)
{
    char *rest;

    for (char *item = strtok_r(items, ",", &rest); item; item = strtok_r(NULL, ",", &rest))
        if (!list_add(list, item))
            return false;
    return true;
}

static bool parse_integer(const char *text, int64_t least, int64_t *out_value)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least)
        return false;
    *out_value = value;
    return true;
}

static bool parse_real(const char *text, double *out_value)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= 0 && value <= 1e18))
        return false;
    *out_value = value;
    return true;
}

/* Stores one option's value; returns what it should have been, or NULL if it is fine. */
static const char *store(const agate_cli_option *option, char *value, void *settings)
{
    void *target = (char *)settings + option->offset_bytes;

    switch (option->kind) {
    case AGATE_CLI_FLAG:
        *(bool *)target = true;
        return NULL;
    case AGATE_CLI_TEXT:
        *(const char **)target = value;
        return NULL;
    case AGATE_CLI_LIST:
        return list_add(target, value) ? NULL : "given less often";
    case AGATE_CLI_COMMAS:
        if (value[strspn(value, ",")] == 0)
            return "a name, or several with commas between";
        return list_add_commas(target, value) ? NULL : "given less often";
    case AGATE_CLI_COUNT:
        return parse_integer(value, 1, target) ? NULL : "a whole number, 1 or more";
    case AGATE_CLI_INTEGER:
        return parse_integer(value, 0, target) ? NULL : "a whole number, 0 or more";
    case AGATE_CLI_REAL:
        return parse_real(value, target) ? NULL : "a number, 0 or more";
    }
    return NULL;
}

#define MAX_OPTIONS 40

int agate_cli_parse(const agate_cli_verb *verb, int argc, char **argv, void *settings,
                    agate_cli_list *out_operands)
{
    struct option longs[MAX_OPTIONS + 2] = {{0}};
    int count = 0, found;

    for (; verb->options[count].name; count++) {
        assert(count < MAX_OPTIONS);
        longs[count].name = verb->options[count].name;
        longs[count].has_arg = verb->options[count].value ? required_argument : no_argument;
        longs[count].val = 256 + count;
    }
    longs[count] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    optind = 1;
    while ((found = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        const agate_cli_option *option = &verb->options[found >= 256 ? found - 256 : 0];
        const char *wanted;

        if (found == 'h') {
            agate_cli_help(verb);
            return AGATE_EXIT_OK;
        }
        if (found == ':')
            return agate_cli_usage(verb, "%s needs a value", argv[optind - 1]);
        if (found == '?')
            return agate_cli_usage(verb, "no option %s", argv[optind - 1]);
        wanted = store(option, optarg, settings);
        if (wanted)
            return agate_cli_usage(verb, "--%s must be %s", option->name, wanted);
    }
    out_operands->count = 0;
    for (; optind < argc; optind++)
        if (!list_add(out_operands, argv[optind]))
            return agate_cli_usage(verb, "more than %d operands", AGATE_CLI_MAX);
    return -1;
}

int agate_cli_usage_of(const agate_cli_verb *verb, const char *option, agate_status status)
{
    int code = agate_cli_usage(verb, "--%s: %s", option, agate_status_message(status));

    agate_status_release(status);
    return code;
}

/* ---- shared options ----------------------------------------------------------------------------------- */

int agate_cli_check_code(const agate_cli_verb *verb, const char *isa, const char *allow,
                         const char *precision, const char *node_precisions)
{
    agate_precision parsed;
    uint64_t allowed;

    if (isa && agate_machine_find(isa) < 0)
        return agate_cli_usage(verb, "--isa %s: there are sse2, sse4, avx2 and avx512", isa);
    agate_status status = agate_passes_parse_allowed(allow, &allowed);
    if (status)
        return agate_cli_usage_of(verb, "allow", status);
    status = agate_precision_parse(precision, &parsed);
    if (status)
        return agate_cli_usage_of(verb, "precision", status);
    status = agate_node_precisions_check(node_precisions, NULL);
    return status ? agate_cli_usage_of(verb, "node-precision", status) : -1;
}

void agate_cli_note_precision(const char *precision, const agate_machine *machine)
{
    agate_precision parsed;
    agate_status status = agate_precision_parse(precision, &parsed);

    if (!status && agate_precision_planes(parsed) > 1 && !agate_has_tile_products(machine))
        fprintf(stderr,
                "agate: --precision %s: %s has no AMX, without which f32 is faster: computed in f32\n",
                precision, machine->name);
    if (!status && parsed == AGATE_PRECISION_f16 && agate_has_tile_products(machine))
        fprintf(stderr,
                "agate: --precision f16: %s has AMX, with which f32x3 is faster and more exact: convolutions "
                "are that\n",
                machine->name);
    agate_status_release(status);
}

static void note_precision(const agate_compile_options *options)
{
    agate_machine machine;
    agate_status status = agate_driver_machine(options, &machine);

    if (!status)
        agate_cli_note_precision(options->precision, &machine);
    agate_status_release(status);
}

int agate_cli_compile_options(const agate_cli_verb *verb, agate_cli_compile *settings,
                              agate_dim_binding *bindings, agate_compile_options *out_options)
{
    int code = agate_cli_check_code(verb, settings->isa, settings->allow, settings->precision,
                                    settings->node_precisions);

    if (code >= 0)
        return code;
    if (settings->threads > 1024)
        return agate_cli_usage(verb, "--threads must be 1024 at most");
    for (size_t i = 0; i < settings->dims.count; i++) {
        char *equals = strchr(settings->dims.items[i], '=');

        if (!equals || !parse_integer(equals + 1, 0, &bindings[i].value))
            return agate_cli_usage(verb, "--dim must be NAME=V, V a whole number");
        *equals = 0;
        bindings[i].name = settings->dims.items[i];
        for (size_t k = 0; k < i; k++)
            if (strcmp(bindings[k].name, bindings[i].name) == 0)
                return agate_cli_usage(verb, "--dim %s is given twice", bindings[i].name);
    }
    *out_options = (agate_compile_options){
        .isa = settings->isa,
        .threads = (int32_t)settings->threads,
        .allow = settings->allow,
        .precision = settings->precision,
        .node_precisions = settings->node_precisions,
        .dims = bindings,
        .dim_count = settings->dims.count,
        .progress = agate_cli_progress,
    };
    note_precision(out_options);
    return -1;
}

/* An agate_rewrote_fn: counts, until another pass begins. */
static void count_rewrite(void *user, const char *pass, const agate_node *node, const char *rewrite)
{
    agate_cli_rewrites *made = &((agate_cli_passes *)user)->rewrites;
    size_t i = 0;

    (void)node;
    if (!made->pass || strcmp(made->pass, pass) != 0)
        *made = (agate_cli_rewrites){.pass = pass};
    while (i < made->name_count && strcmp(made->names[i], rewrite) != 0)
        i++;
    if (i == AGATE_COUNT(made->names))
        return;
    made->name_count += i == made->name_count;
    made->names[i] = rewrite;
    made->counts[i]++;
}

/* "; after fold-affine: 53 fold into conv" */
static void print_rewrites(const char *pass, agate_cli_rewrites *made)
{
    bool own = made->pass && strcmp(made->pass, pass) == 0;

    printf("; after %s", pass);
    for (size_t i = 0; own && i < made->name_count; i++)
        printf("%s %zu %s", i ? "," : ":", made->counts[i], made->names[i]);
    printf("\n");
    *made = (agate_cli_rewrites){0};
}

#define DIFF_LINES 24 /* enough to see what a pass does */

static void dump(void *user, const char *pass, const agate_graph *graph, const char *before)
{
    agate_cli_passes *settings = user;
    agate_print_options options = {.origins = settings->origins && !before, .serials = before != NULL};
    agate_text text = {0};

    agate_print(graph, &options, &text);
    print_rewrites(pass, &settings->rewrites);
    if (before)
        agate_diff_print(before, agate_text_c(&text), settings->diff_all ? 0 : DIFF_LINES, stdout);
    else
        fputs(agate_text_c(&text), stdout);
    agate_text_deinit(&text);
}

static void remark(void *user, const char *pass, const agate_node *node, const char *message)
{
    agate_text text = {0};

    (void)user;
    if (node)
        agate_print_node(node, &text);
    /* A kernel prints as several lines; the first one names it. */
    fprintf(stderr, "remark: %s: %.*s%s%s\n", pass, (int)strcspn(agate_text_c(&text), "\n"),
            agate_text_c(&text), node ? ": " : "", message);
    agate_text_deinit(&text);
}

static void time_passes(agate_cli_times *settings, agate_pass_options *options)
{
    if (!settings->wanted)
        return;
    settings->times.begin_ns = agate_clock_ns();
    options->timed = agate_times_add;
    options->timed_user = &settings->times;
}

void agate_cli_times_begin(agate_cli_times *settings, agate_driver_options *options)
{
    time_passes(settings, &options->passes);
    if (settings->wanted)
        options->compile.cache_directory = NULL;
}

void agate_cli_times_end(agate_cli_times *settings)
{
    if (settings->times.count > 0)
        agate_times_print(&settings->times, agate_clock_ns() - settings->times.begin_ns, stderr);
    settings->times.count = 0;
    settings->times.begin_ns = agate_clock_ns();
}

void agate_cli_passes_end(agate_cli_passes *settings)
{
    agate_cli_times_end(&settings->times);
    agate_remarks_print(&settings->heard, stderr);
    agate_remarks_deinit(&settings->heard);
}

int agate_cli_pass_options(const agate_cli_verb *verb, agate_cli_passes *settings,
                           agate_pass_options *out_options)
{
    const char *after;

    if ((settings->diff || settings->diff_all) && !settings->print_after)
        settings->print_after = "all";
    after = settings->print_after;
    for (size_t i = 0; i < settings->skip.count; i++)
        if (!agate_pass_find(settings->skip.items[i]))
            return agate_cli_usage(verb, "--skip: no pass %s", settings->skip.items[i]);
    if (after && strcmp(after, "all") != 0 && !agate_pass_find(after))
        return agate_cli_usage(verb, "--print-after: no pass %s", after);
    *out_options = (agate_pass_options){
        .skip = settings->skip.items,
        .skip_count = settings->skip.count,
        .print_after = after,
        .diff = settings->diff || settings->diff_all,
        .dump = dump,
        .dump_user = settings,
        .rewrote = count_rewrite,
        .rewrote_user = settings,
        .verify_each = settings->verify_each,
        .fuel = settings->fuel,
        .remark = settings->remarks_all ? remark
                  : settings->remarks   ? agate_remarks_add
                                        : NULL,
        .remark_user = &settings->heard,
    };
    time_passes(&settings->times, out_options);
    return -1;
}

void agate_cli_progress(void *user, size_t done, size_t total)
{
    (void)user;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rcompiling %zu/%zu%s", done, total, done == total ? "\r\033[K" : "");
    fflush(stderr);
}
