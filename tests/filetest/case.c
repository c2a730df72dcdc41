/* case.c: cuts a file into cases, and a case into commands, input and expectation. */
#include <stdio.h>

#include "tests/filetest/filetest.h"

#define CASE_LINE   "; ----\n"
#define EXPECT_LINE "; expect\n"

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

static command_kind find_command(char *input)
{
    static const struct {
        const char *line;
        command_kind kind;
    } rows[] = {
        {"; test print\n", COMMAND_PRINT},
        {"; test verify\n", COMMAND_VERIFY},
        {"; test parse-error\n", COMMAND_PARSE_ERROR},
    };
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        if (find_line(input, rows[i].line))
            return rows[i].kind;
    return COMMAND_NONE;
}

size_t split_cases(char *text, test_case *cases, size_t room)
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
        test->kind = find_command(text);
        text = next;
    }
    return count;
}
