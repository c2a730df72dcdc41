/* main.c: the agate command: finds the verb. */
#include <signal.h>
#include <stdio.h>

#include "tools/cli.h"

static const agate_cli_verb *const verbs[] = {
    &agate_cmd_run,  &agate_cmd_compile, &agate_cmd_dump,   &agate_cmd_opt,
    &agate_cmd_test, &agate_cmd_bench,   &agate_cmd_cache,  &agate_cmd_check,
    &agate_cmd_info, &agate_cmd_compare, &agate_cmd_bisect, &agate_cmd_tune,
};

static void print_overview(FILE *stream)
{
    fprintf(stream, "agate VERB [OPTION]... [OPERAND]...\n\nCompiles ONNX models for the CPU it runs on, and "
                    "runs them.\n\n");
    for (size_t i = 0; i < AGATE_COUNT(verbs); i++)
        fprintf(stream, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
    fprintf(stream, "  %-8s %s\n  %-8s %s\n", "help",
            "Explains a verb: agate help VERB, or agate VERB --help.", "version", "Prints the version.");
    fprintf(stream, "\nExit codes: 0 done, 1 it failed, 2 the command line makes no sense.\n");
}

static const agate_cli_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < AGATE_COUNT(verbs); i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static bool is(const char *word, const char *name, const char *option)
{
    return strcmp(word, name) == 0 || strcmp(word, option) == 0;
}

static int help(const char *name)
{
    const agate_cli_verb *verb = name ? find_verb(name) : NULL;

    if (verb)
        agate_cli_help(verb);
    else if (name)
        fprintf(stderr, "agate: no verb %s (agate --help)\n", name);
    else
        print_overview(stdout);
    return name && !verb ? AGATE_EXIT_USAGE : AGATE_EXIT_OK;
}

int main(int argc, char **argv)
{
    const agate_cli_verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    int code;

    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error that can be told */
    if (argc < 2) {
        print_overview(stderr);
        return AGATE_EXIT_USAGE;
    }
    if (verb)
        code = verb->run(verb, argc - 1, argv + 1);
    else if (is(argv[1], "version", "--version"))
        code = printf("agate %s\n", agate_version()) > 0 ? AGATE_EXIT_OK : AGATE_EXIT_FAILED;
    else if (is(argv[1], "help", "--help") || strcmp(argv[1], "-h") == 0)
        code = help(argc > 2 ? argv[2] : NULL);
    else
        code = help(argv[1]);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "agate: standard output cannot be written\n");
        return AGATE_EXIT_FAILED;
    }
    return code;
}
