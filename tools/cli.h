/* cli.h: what the verbs share: tables of options with one parser and one help text, messages, exit codes. */
#ifndef AGATE_CLI_H
#define AGATE_CLI_H

#include "tools/driver.h"
#include "tools/remarks.h"
#include "tools/times.h"

enum {
    AGATE_EXIT_OK = 0,
    AGATE_EXIT_FAILED = 1, /* the work failed, or a test did */
    AGATE_EXIT_USAGE = 2,  /* the command line makes no sense */
};

#define AGATE_CLI_MAX 256 /* values of one repeatable option */

/* Values of a repeatable option, or operands, as they stand in argv. */
typedef struct agate_cli_list {
    const char *items[AGATE_CLI_MAX];
    size_t count;
} agate_cli_list;

typedef enum agate_cli_kind {
    AGATE_CLI_FLAG,    /* bool */
    AGATE_CLI_TEXT,    /* const char * */
    AGATE_CLI_LIST,    /* agate_cli_list: may be repeated */
    AGATE_CLI_COMMAS,  /* agate_cli_list: may be repeated, and a value may hold several parted by commas */
    AGATE_CLI_COUNT,   /* int64_t, 1 or more */
    AGATE_CLI_INTEGER, /* int64_t, 0 or more */
    AGATE_CLI_REAL,    /* double, 0 or more */
} agate_cli_kind;

typedef struct agate_cli_option {
    const char *name; /* without "--" */
    agate_cli_kind kind;
    const char *value;   /* what stands for the value in the help; NULL for a flag */
    size_t offset_bytes; /* where it goes in the verb's settings */
    const char *help;
} agate_cli_option;

typedef struct agate_cli_verb {
    const char *name;
    const char *operands; /* "MODEL [FILE]..." */
    const char *summary;
    const agate_cli_option *options; /* ends with a row without name */
    const char *details;             /* printed under the options: exit codes, examples */
    int (*run)(const struct agate_cli_verb *verb, int argc, char **argv);
} agate_cli_verb;

/* Parses argv[1..] into `settings`, which holds the defaults, and the operands into *out_operands. Returns -1
 * to go on; otherwise the exit code to end with (--help was printed, or an error). Splits commas in argv in
 * place. */
int agate_cli_parse(const agate_cli_verb *verb, int argc, char **argv, void *settings,
                    agate_cli_list *out_operands);

void agate_cli_help(const agate_cli_verb *verb);

/* Would a terminal obey it? */
static inline bool agate_cli_is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* Prints text from a model, with '?' in place of what a terminal would obey. */
void agate_cli_put(const char *text);

/* Print "agate: ..." on standard error and return AGATE_EXIT_USAGE; AGATE_EXIT_FAILED, releasing `status`. */
int agate_cli_usage(const agate_cli_verb *verb, const char *format, ...) AGATE_PRINTF(2, 3);
int agate_cli_fail(agate_status status);

/* What is wrong with an option's value: prints it, releases `status` and returns AGATE_EXIT_USAGE. */
int agate_cli_usage_of(const agate_cli_verb *verb, const char *option, agate_status status);

/* ---- options that several verbs have ------------------------------------------------------------------ */

/* How to read and compile a model. */
typedef struct agate_cli_compile {
    const char *isa;
    int64_t threads;
    const char *allow;
    const char *precision, *node_precisions;
    agate_cli_list dims; /* NAME=V */
} agate_cli_compile;

#define AGATE_CLI_COMPILE_ROWS(settings, member)                                                             \
    AGATE_CLI_COMPILE_BASE_ROWS(settings, member), AGATE_CLI_PRECISION_ROW(settings, member.precision)

#define AGATE_CLI_PRECISION_ROW(settings, member)                                                            \
    {                                                                                                        \
        "precision", AGATE_CLI_TEXT, "P", offsetof(settings, member),                                        \
            "of products in convolutions and of weights: f32 (default), f32x6, f32x3, f16 or bf16"           \
    }

#define AGATE_CLI_NODE_PRECISION_ROW(settings, member)                                                       \
    {                                                                                                        \
        "node-precision", AGATE_CLI_TEXT, "NODE=P[,NODE=P]", offsetof(settings, member),                     \
            "precision of single nodes, by their names in the model, in place of --precision"                \
    }

/* All but the precision, for a verb that takes several. */
#define AGATE_CLI_COMPILE_BASE_ROWS(settings, member)                                                        \
    {"isa", AGATE_CLI_TEXT, "ISA", offsetof(settings, member.isa),                                           \
     "use at most this instruction set: sse2, sse4, avx2 or avx512"},                                        \
        {"threads", AGATE_CLI_COUNT, "N", offsetof(settings, member.threads),                                \
         "threads to compile and run with (default: every core granted)"},                                   \
        {"allow", AGATE_CLI_TEXT, "NAME[,NAME]", offsetof(settings, member.allow),                           \
         "compute faster in ways that round otherwise: winograd"},                                           \
        AGATE_CLI_NODE_PRECISION_ROW(settings, member.node_precisions),                                      \
    {                                                                                                        \
        "dim", AGATE_CLI_LIST, "NAME=V", offsetof(settings, member.dims),                                    \
            "fix a free dimension of the inputs; may be repeated"                                            \
    }

/* Are there this instruction set and what is to be allowed (NULL: not asked for)? Returns -1, or the exit
 * code of a mistake that has been reported. */
int agate_cli_check_code(const agate_cli_verb *verb, const char *isa, const char *allow,
                         const char *precision, const char *node_precisions);

/* Says on standard error where code for the machine computes in another precision than this one (NULL:
 * f32). */
void agate_cli_note_precision(const char *precision, const agate_machine *machine);

/* Fills `options`; `bindings` has room for AGATE_CLI_MAX and must outlive it. Returns -1, or the exit code of
 * a mistake that has been reported. */
int agate_cli_compile_options(const agate_cli_verb *verb, agate_cli_compile *settings,
                              agate_dim_binding *bindings, agate_compile_options *out_options);

/* Where compiled models are kept. */
typedef struct agate_cli_cache {
    const char *directory;
    bool verbose;
} agate_cli_cache;

#define AGATE_CLI_CACHE_ROWS(settings, member)                                                               \
    {"cache", AGATE_CLI_TEXT, "DIR", offsetof(settings, member.directory),                                   \
     "where compiled models are kept, or none (default: see agate cache --help)"},                           \
    {                                                                                                        \
        "verbose", AGATE_CLI_FLAG, NULL, offsetof(settings, member.verbose),                                 \
            "say on standard error what the cache did"                                                       \
    }

/* Has the options use the cache that the command line names, or else the environment: AGATE_CACHE_DIR,
 * XDG_CACHE_HOME, HOME. `room` holds the path. */
typedef struct agate_cli_path {
    char text[4096];
} agate_cli_path;
void agate_cli_cache_options(const agate_cli_cache *settings, agate_cli_path *room,
                             agate_compile_options *options);

/* With --verbose, says what the cache did for `model`. */
void agate_cli_cache_report(const agate_cli_cache *settings, const char *model,
                            const agate_cache_outcome *outcome);

/* What rewrites a pass has made; names live as long as the passes. */
typedef struct agate_cli_rewrites {
    const char *pass;
    const char *names[64];
    size_t counts[64];
    size_t name_count;
} agate_cli_rewrites;

/* Where the time goes. */
typedef struct agate_cli_times {
    bool wanted;
    agate_times times;
} agate_cli_times;

#define AGATE_CLI_TIME_ROW(settings, member)                                                                 \
    {                                                                                                        \
        "time-passes", AGATE_CLI_FLAG, NULL, offsetof(settings, member.wanted),                              \
            "print on standard error where the time goes; goes past the cache"                               \
    }

/* Begins to count, in `options`, if that is wanted, and leaves out the cache; `settings` must outlive
 * them. */
void agate_cli_times_begin(agate_cli_times *settings, agate_driver_options *options);

/* Prints what was counted since, once; nothing where it is not wanted. */
void agate_cli_times_end(agate_cli_times *settings);

/* How to run the passes. */
typedef struct agate_cli_passes {
    agate_cli_list skip;
    int64_t fuel;
    const char *print_after;
    bool diff, diff_all, origins, verify_each, remarks, remarks_all;
    agate_cli_times times;
    agate_cli_rewrites rewrites; /* no options: counted while passes run */
    agate_remarks heard;
} agate_cli_passes;

#define AGATE_CLI_PASS_ROWS(settings, member)                                                                \
    {"print-after", AGATE_CLI_TEXT, "PASS", offsetof(settings, member.print_after),                          \
     "print the graph after this pass, or after all"},                                                       \
        {"diff", AGATE_CLI_FLAG, NULL, offsetof(settings, member.diff),                                      \
         "print what each pass did, or that of --print-after, and the first lines it changed"},              \
        {"diff-all", AGATE_CLI_FLAG, NULL, offsetof(settings, member.diff_all),                              \
         "the same with every line that the pass changed"},                                                  \
        {"origins", AGATE_CLI_FLAG, NULL, offsetof(settings, member.origins),                                \
         "print the ONNX nodes that each node came from"},                                                   \
        {"skip", AGATE_CLI_COMMAS, "PASS", offsetof(settings, member.skip),                                  \
         "leave a pass out; may be repeated"},                                                               \
        {"fuel", AGATE_CLI_COUNT, "N", offsetof(settings, member.fuel),                                      \
         "stop after N - 1 rewrites, to find the one that breaks a result"},                                 \
        {"verify-each", AGATE_CLI_FLAG, NULL, offsetof(settings, member.verify_each),                        \
         "check the graph after every pass"},                                                                \
        {"remarks", AGATE_CLI_FLAG, NULL, offsetof(settings, member.remarks),                                \
         "sum up on standard error what passes did not do, and why"},                                        \
        {"remarks-all", AGATE_CLI_FLAG, NULL, offsetof(settings, member.remarks_all),                        \
         "the same one by one, with the nodes, and each rewrite"},                                           \
        AGATE_CLI_TIME_ROW(settings, member.times)

/* Fills `options` but for the machine. Graphs are printed on standard output. Returns -1, or the exit code of
 * a mistake that has been reported. */
int agate_cli_pass_options(const agate_cli_verb *verb, agate_cli_passes *settings,
                           agate_pass_options *out_options);

/* Prints what was gathered while passes ran: remarks and times. Call it once they are through. */
void agate_cli_passes_end(agate_cli_passes *settings);

/* Prints "compiling 12/40" in one line of standard error, if that is a terminal; an agate_progress_fn. */
void agate_cli_progress(void *user, size_t done, size_t total);

/* ---- the verbs ---------------------------------------------------------------------------------------- */

extern const agate_cli_verb agate_cmd_run, agate_cmd_compile, agate_cmd_dump, agate_cmd_opt, agate_cmd_test,
    agate_cmd_bench, agate_cmd_cache, agate_cmd_check, agate_cmd_info, agate_cmd_compare, agate_cmd_bisect,
    agate_cmd_tune;

#endif
