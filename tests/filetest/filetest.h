/* filetest.h: runs .agt files: text IR with commands above it and the exact expectation below it.
 *
 *     ; test pass fuse-epilogue
 *     graph @g(...) ... { ... }
 *     ; expect
 *     graph @g(...) ... { ... }
 *     ; ----                      the next case
 *
 * Commands
 *   - print: the text as printed; without `; expect` the input itself, comments aside
 *   - verify: each fault stands as `; error: message` at the end of its node's line; without one there are
 *     none
 *   - parse-error: the message
 *   - pass NAME...: the graph after these passes; machine=NAME (avx512), allow=STRATEGY, precision=NAME,
 *     nodes=NODE=NAME, fuel=NUMBER; with remarks=NAME, what that pass declines follows, as `; remark:
 *     message`. Interpreted with random inputs and weights, the graph must compute what it computed before:
 *     tol=1e-5, seed=7, batch=2; tol=0 leaves that out
 *   - schedule: pass assign-layout schedule
 *   - run: computes the same when all passes have run; machine, allow, precision, nodes, tol, seed, batch
 *
 * Each input is also printed, parsed and printed again, and must stay as it is. AGATE_BLESS=1 rewrites
 * expectations.
 */
#ifndef AGATE_FILETEST_H
#define AGATE_FILETEST_H

#include "ir/text.h"
#include "passes/pass.h"

typedef enum command_kind {
    COMMAND_NONE,
    COMMAND_PRINT,
    COMMAND_VERIFY,
    COMMAND_PARSE_ERROR,
    COMMAND_PASS,
    COMMAND_SCHEDULE,
    COMMAND_RUN,
    COMMAND_COUNT,
} command_kind;

enum { MOST_NAMES = 16, MOST_COMMANDS = 4, MOST_PASSES = 64 };

typedef struct command {
    char *words; /* on the heap; names, machine, allow, precision, nodes and remarks point into it */
    command_kind kind;
    const char *names[MOST_NAMES]; /* of passes */
    size_t name_count;
    const char *machine, *allow, *precision, *node_precisions, *remarks;
    double tolerance;
    int64_t seed, batch, fuel;
} command;

/* One part of a file. The texts are 0-terminated. */
typedef struct test_case {
    char *input;  /* up to the expectation: commands and IR */
    char *expect; /* NULL: none */
    command commands[MOST_COMMANDS];
    size_t command_count;
} test_case;

/* What occurred in any file. */
typedef struct coverage {
    bool ops[AGATE_OP_COUNT];
    bool strategies[AGATE_STRATEGY_COUNT];
    bool passes[MOST_PASSES];
} coverage;

/* A case that runs. */
typedef struct test_run {
    const test_case *test;
    const command *command;
    coverage *seen;
    agate_text *blessed; /* what should stand in the case's place */
    agate_text *fault;   /* what is wrong otherwise, in words */
} test_run;

/* ---- case.c -------------------------------------------------------------------------------------------- */

/* Splits a file, which is changed, into cases; returns how many, at most `room`. A command that is none is a
 * fault. */
size_t split_cases(char *text, test_case *cases, size_t room, agate_text *fault);

/* ---- commands.c ---------------------------------------------------------------------------------------- */

void run_case(const test_case *test, coverage *seen, agate_text *blessed, agate_text *fault);

typedef agate_status (*parse_fn)(const char *text, size_t size_bytes, agate_graph **out_graph);

/* The input as a graph, which must come out of printing and parsing unchanged; NULL after a fault. */
agate_graph *parse_input(const test_run *run, parse_fn parse);

/* Adds the graph as the expectation. */
void bless_graph(const test_run *run, const agate_graph *graph);

void add_fault(agate_text *fault, const char *what, agate_status status);

/* ---- passes.c ------------------------------------------------------------------------------------------ */

void run_pass(const test_run *run);
void run_schedule(const test_run *run);
void run_run(const test_run *run);

/* The machine that the command names, otherwise `otherwise`. */
bool find_machine(const test_run *run, const char *otherwise, agate_machine *out_machine);

/* ---- values.c ------------------------------------------------------------------------------------------ */

/* Gives every weight without contents random ones, which depend on seed and name alone. */
bool fill_weights(agate_graph *graph, int64_t seed);

/* Fills `outputs`, one per result of the graph; on success agate_interpret_free frees their data. */
typedef agate_status (*compute_fn)(const test_run *run, const agate_graph *graph, const agate_tensor *inputs,
                                   size_t input_count, agate_tensor *outputs, size_t output_count);

/* By the reference kernels. */
agate_status compute_interpreted(const test_run *run, const agate_graph *graph, const agate_tensor *inputs,
                                 size_t input_count, agate_tensor *outputs, size_t output_count);

/* Interprets `before`, and computes `after` from the same random inputs. A difference is a fault; where
 * `before` cannot be interpreted nothing is compared. */
void compare_graphs(const test_run *run, const agate_graph *before, const agate_graph *after,
                    compute_fn compute);

/* ---- compiled.c ---------------------------------------------------------------------------------------- */

/* By code that is compiled from the graph, which must be planned, for the machine of the command. */
agate_status compute_compiled(const test_run *run, const agate_graph *graph, const agate_tensor *inputs,
                              size_t input_count, agate_tensor *outputs, size_t output_count);

#endif
