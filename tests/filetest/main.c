/* main.c: runs .agt files.
 *
 *     filetest [--coverage] DIR...     every .agt file below; --coverage: and looks for ops, passes and
 *                                      strategies in none
 *     filetest --random N              N random graphs, compiled, against the reference kernels
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/filetest/filetest.h"
#include "tests/unit/random_graph.h"
#include "tools/diff.h"

enum { MOST_CASES = 200 };

typedef struct tally {
    bool bless;
    int passed;
    int failed;
    coverage seen;
} tally;

/* The whole file, 0-terminated; NULL where it cannot be read. */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    agate_text text = {0};
    char bytes[4096];
    size_t count;

    if (!file)
        return NULL;
    agate_text_add(&text, "%s", "");
    while ((count = fread(bytes, 1, sizeof bytes, file)) > 0)
        agate_text_add_bytes(&text, bytes, count);
    fclose(file);
    return text.data;
}

static void write_file(const char *path, const agate_text *text)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(agate_text_c(text), 1, text->size_bytes, file) != text->size_bytes ||
        fclose(file) != 0) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(2);
    }
}

/* Runs the cases of a file; *out_blessed becomes what the file should hold. Returns false if a case is at
 * fault. */
static bool run_cases(const char *path, char *text, coverage *seen, agate_text *out_blessed)
{
    static test_case cases[MOST_CASES];
    agate_text wrong = {0};
    size_t count = split_cases(text, cases, MOST_CASES, &wrong);
    bool good = wrong.size_bytes == 0;

    if (!good)
        printf("FAIL %s\n%s", path, agate_text_c(&wrong));
    agate_text_deinit(&wrong);
    for (size_t i = 0; i < count; i++) {
        agate_text fault = {0};
        agate_text_add(out_blessed, "%s", i ? "; ----\n" : "");
        run_case(&cases[i], seen, out_blessed, &fault);
        if (fault.size_bytes > 0) {
            printf("FAIL %s, case %zu\n%s", path, i + 1, agate_text_c(&fault));
            good = false;
        }
        agate_text_deinit(&fault);
        for (size_t c = 0; c < cases[i].command_count; c++)
            free(cases[i].commands[c].words);
    }
    return good;
}

static void run_file(const char *path, tally *total)
{
    char *text = read_file(path), *original = text ? strdup(text) : NULL;
    agate_text blessed = {0};

    if (!original) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    bool good = run_cases(path, text, &total->seen, &blessed);
    bool same = strcmp(original, agate_text_c(&blessed)) == 0;
    if (good && !same && total->bless) {
        write_file(path, &blessed);
        printf("blessed %s\n", path);
    } else if (good && !same) {
        printf("FAIL %s: - expected, + found\n", path);
        agate_diff_print(original, agate_text_c(&blessed), 0, stdout);
        good = false;
    }
    total->passed += good;
    total->failed += !good;
    agate_text_deinit(&blessed);
    free(original);
    free(text);
}

static bool is_agt(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".agt") == 0;
}

/* Every .agt file in and below `path`, in the order of names. */
static void walk(const char *path, tally *total)
{
    struct stat status;
    struct dirent **entries;

    if (stat(path, &status) != 0) {
        fprintf(stderr, "there is no %s\n", path);
        exit(2);
    }
    if (!S_ISDIR(status.st_mode)) {
        if (is_agt(path))
            run_file(path, total);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        agate_text below = {0};
        agate_text_add(&below, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            walk(agate_text_c(&below), total);
        agate_text_deinit(&below);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* Compiles random graphs and compares them with the reference kernels. */
static void run_random(int count, tally *total)
{
    for (int seed = 0; seed < count; seed++) {
        agate_text test = {0}, blessed = {0};
        char *graph = random_graph_text((uint64_t)seed), name[64];
        snprintf(name, sizeof name, "random graph %d", seed);
        agate_text_add(&test, "; test run tol=1e-3\n%s", graph);
        bool good = run_cases(name, test.data, &total->seen, &blessed);
        if (!good)
            printf("%s", graph);
        total->passed += good;
        total->failed += !good;
        agate_text_deinit(&blessed);
        agate_text_deinit(&test);
        free(graph);
    }
}

static void check_coverage(tally *total)
{
    for (int op = 0; op < AGATE_OP_COUNT; op++)
        if (!total->seen.ops[op]) {
            printf("FAIL op %s is in no filetest\n", agate_op_table[op].name);
            total->failed++;
        }
    for (size_t pass = 0; pass < agate_pass_count; pass++)
        if (!total->seen.passes[pass]) {
            printf("FAIL pass %s is in no filetest\n", agate_pass_table[pass].name);
            total->failed++;
        }
    for (int strategy = AGATE_STRATEGY_none + 1; strategy < AGATE_STRATEGY_COUNT; strategy++)
        if (!total->seen.strategies[strategy]) {
            printf("FAIL strategy %s is in no filetest\n", agate_strategy_name((agate_strategy)strategy));
            total->failed++;
        }
}

int main(int argc, char **argv)
{
    static tally total;
    bool coverage = argc > 1 && strcmp(argv[1], "--coverage") == 0;
    bool random = argc == 3 && strcmp(argv[1], "--random") == 0;

    total.bless = getenv("AGATE_BLESS") != NULL;
    if (random)
        run_random(atoi(argv[2]), &total);
    for (int i = 1 + coverage; i < argc && !random; i++)
        walk(argv[i], &total);
    if (coverage)
        check_coverage(&total);
    printf("%d passed, %d failed\n", total.passed, total.failed);
    return total.failed > 0;
}
