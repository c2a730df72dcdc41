/* filetest.h: runs .agt files: text IR with commands above it and the exact expectation below it.
 *
 *     ; test pass fuse-epilogue
 *     graph @g(...) ... { ... }
 *     ; expect
 *     graph @g(...) ... { ... }
 *     ; ----                      the next case
 *
 * Commands
 *     print           the text as printed; without `; expect` the input itself, comments aside
 *     verify          each fault stands as `; error: message` at the end of its node's line; without one
 * there are none parse-error     the message pass NAME...    the graph after these passes; machine=NAME
 * (avx2), fuel=NUMBER run             computes the same before and after compilation; machine, tol, seed,
 * batch
 *
 * Each input is also printed, parsed and printed again, and must stay as it is. AGATE_BLESS=1 rewrites
 * expectations.
 */
#ifndef AGATE_FILETEST_H
#define AGATE_FILETEST_H

#include "ir/text.h"

typedef enum command_kind {
    COMMAND_NONE,
    COMMAND_PRINT,
    COMMAND_VERIFY,
    COMMAND_PARSE_ERROR,
} command_kind;

/* One part of a file. The texts are 0-terminated. */
typedef struct test_case {
    char *input;  /* up to the expectation: commands and IR */
    char *expect; /* NULL: none */
    command_kind kind;
} test_case;

/* What occurred in any file. */
typedef struct coverage {
    bool ops[AGATE_OP_COUNT];
    bool strategies[AGATE_STRATEGY_COUNT];
} coverage;

/* Runs one case. Writes what should stand in its place to `blessed`; what is wrong otherwise, in words, to
 * `fault`. */
void run_case(const test_case *test, coverage *seen, agate_text *blessed, agate_text *fault);

/* case.c: splits a file, which is changed, into cases; returns how many, at most `room`. */
size_t split_cases(char *text, test_case *cases, size_t room);

#endif
