/* case.c: cuts a file into cases, and a case into commands, input and expectation. */
#include <stdlib.h>

#include "tests/filetest/filetest.h"

#define CASE_LINE   "; ----\n"
#define EXPECT_LINE "; expect\n"
#define TEST_WORDS  "; test "

/* The start of the line that is `line`; NULL: none. */
static char *find_line(char *text, const char *line)
{
    for (char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, strlen(line)) == 0)
            return at;
    }
    return NULL;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static const char *const command_names[COMMAND_COUNT] = {
    [COMMAND_PRINT] = "print", [COMMAND_VERIFY] = "verify",     [COMMAND_PARSE_ERROR] = "parse-error",
    [COMMAND_PASS] = "pass",   [COMMAND_SCHEDULE] = "schedule", [COMMAND_RUN] = "run",
};

static command_kind find_kind(const char *name)
{
    for (command_kind kind = COMMAND_NONE + 1; name && kind < COMMAND_COUNT; kind++)
        if (strcmp(name, command_names[kind]) == 0)
            return kind;
    return COMMAND_NONE;
}

/* NAME=VALUE; false for another name. */
static bool set_option(command *c, const char *name, const char *value)
{
    if (strcmp(name, "machine") == 0)
        c->machine = value;
    else if (strcmp(name, "allow") == 0)
        c->allow = value;
    else if (strcmp(name, "remarks") == 0)
        c->remarks = value;
    else if (strcmp(name, "precision") == 0)
        c->precision = value;
    else if (strcmp(name, "nodes") == 0)
        c->node_precisions = value;
    else if (strcmp(name, "tol") == 0)
        c->tolerance = strtod(value, NULL);
    else if (strcmp(name, "seed") == 0)
        c->seed = strtoll(value, NULL, 10);
    else if (strcmp(name, "batch") == 0)
        c->batch = strtoll(value, NULL, 10);
    else if (strcmp(name, "fuel") == 0)
        c->fuel = strtoll(value, NULL, 10);
    else
        return false;
    return true;
}

/* The words behind `; test`, which are changed. */
static bool parse_command(char *words, command *out)
{
    char *rest = NULL;

    *out = (command){.words = words, .tolerance = 1e-5, .seed = 7, .batch = 2};
    out->kind = find_kind(strtok_r(words, " ", &rest));
    for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;) {
        char *equals = strchr(word, '=');
        if (equals) {
            *equals = 0;
            if (!set_option(out, word, equals + 1))
                return false;
        } else if (out->name_count == MOST_NAMES || out->kind != COMMAND_PASS) {
            return false;
        } else {
            out->names[out->name_count++] = word;
        }
    }
    return out->kind != COMMAND_NONE;
}

/* Every line of the input that begins with `; test `. */
static void parse_commands(test_case *test, agate_text *fault)
{
    char *line = test->input;

    while ((line = find_line(line, TEST_WORDS)) && test->command_count < MOST_COMMANDS) {
        line += strlen(TEST_WORDS);
        size_t length = strcspn(line, "\n");
        char *words = strndup(line, length);
        if (!words || !parse_command(words, &test->commands[test->command_count++]))
            agate_text_add(fault, "`; test %.*s` is no command\n", (int)length, line);
    }
    if (test->command_count == 0)
        agate_text_add(fault, "no command: expected a line such as `; test print`\n");
}

/* -------------------------------------------------------------------------------------------------------- */

size_t split_cases(char *text, test_case *cases, size_t room, agate_text *fault)
{
    size_t count = 0;

    while (text && count < room) {
        test_case *test = &cases[count++];
        char *next = find_line(text, CASE_LINE), *expect;
        if (next) {
            *next = 0;
            next += strlen(CASE_LINE);
        }
        *test = (test_case){.input = text};
        expect = find_line(text, EXPECT_LINE);
        if (expect) {
            *expect = 0;
            test->expect = expect + strlen(EXPECT_LINE);
        }
        parse_commands(test, fault);
        text = next;
    }
    return count;
}
