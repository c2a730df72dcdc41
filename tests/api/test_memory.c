/* test_memory.c: every allocation of agate's own fails in turn while the digits model is loaded and run.
 * Either the work succeeds all the same (a pass may decline, an arena be smaller) and the answer is right, or
 * an error comes back; in both cases nothing stays behind.
 *
 *     test_memory              what ctest runs: evenly spaced allocations
 *     test_memory all          every single one
 *     test_memory AT [onward]  number AT, naming where
 *
 * LLVM's own memory is left out: LLVM ends the process where the system refuses it.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "models.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tools/cache.h"

enum { ROWS = 2, MOST_CLASSES = 64 };

typedef struct trial {
    char *bytes; /* NULL: load the file itself */
    size_t size_bytes;
    const char *cache; /* NULL: none */
    bool cleared;      /* the cache is, before each trial */
    float scores[ROWS * MOST_CLASSES];
    size_t score_count;
} trial;

static float expected[ROWS * MOST_CLASSES];

static void progress(void *user, size_t done, size_t total)
{
    (void)user, (void)done, (void)total;
}

static agate_status run(agate_model *model, agate_session *session, trial *self)
{
    agate_value_info info;
    agate_tensor output = {0};
    static float numbers[ROWS * 28 * 28];
    agate_status status = agate_model_input_info(model, 0, &info);
    if (!status)
        status = agate_session_output_shape(session, 0, ROWS, &output);
    if (status)
        return status;
    agate_tensor input = {info.dtype, info.rank, {ROWS}, numbers, sizeof numbers};
    for (int32_t i = 1; i < info.rank; i++)
        input.dims[i] = info.dims[i];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        numbers[i] = (float)(i * 37 % 101) / 101;
    self->score_count = output.size_bytes / sizeof(float);
    output.data = self->scores;
    output.size_bytes = sizeof self->scores;
    return agate_session_run(session, &input, 1, &output, 1);
}

/* Everything from a file to an answer. */
static agate_status work(trial *self)
{
    const agate_compile_options options = {
        .threads = 2, .isa = "sse2", .progress = progress, .cache_directory = self->cache};
    const agate_session_options session_options = {.threads = 2};
    agate_model *model = NULL;
    agate_session *session = NULL;
    agate_status status = self->bytes
                              ? agate_model_load_memory(self->bytes, self->size_bytes, NULL, &options, &model)
                              : agate_model_load_file(AGATE_DIGITS, &options, &model);
    if (!status)
        status = agate_session_create(model, &session_options, &session);
    if (!status)
        status = run(model, session, self);
    agate_session_release(session);
    agate_model_release(model);
    return status;
}

static bool is_right(const trial *self)
{
    for (size_t i = 0; i < self->score_count; i++)
        if (!(fabsf(self->scores[i] - expected[i]) <= 1e-3f * (1 + fabsf(expected[i]))))
            return false;
    return self->score_count > 0;
}

static void clear(const trial *self)
{
    agate_cache *cache;
    size_t count;
    if (!self->cleared)
        return;
    must(agate_cache_open(self->cache, &cache));
    must(agate_cache_clear(cache, &count));
    agate_cache_release(cache);
}

/* One failure; returns whether all is well. */
static bool try(trial *self, failing_mode mode, long at, bool wants_error)
{
    clear(self);
    const long live = failing_live();
    memset(self->scores, 0, sizeof self->scores);
    self->score_count = 0;
    failing_arm(mode, at);
    agate_status status = work(self);
    failing_arm(mode, 0);

    const agate_code code = agate_status_code(status);
    const bool says = !status || *agate_status_message(status);
    const bool good = status ? wants_error || code == AGATE_CODE_OUT_OF_MEMORY : is_right(self);
    if (failing_verbose)
        fprintf(stderr, "%s: %s\n", agate_code_name(code), agate_status_message(status));
    if (!good || !says)
        printf("allocation %ld%s: %s (%s)\n", at, mode == FAILING_ONCE ? "" : " onward",
               status ? agate_status_message(status) : "a wrong answer", agate_code_name(code));
    agate_status_release(status);
    if (failing_live() != live)
        printf("allocation %ld%s: %ld blocks stay behind\n", at, mode == FAILING_ONCE ? "" : " onward",
               failing_live() - live);
    return good && says && failing_live() == live;
}

/* Every allocation of the work fails, in at most `tries` steps. Returns the number of faults. */
static int sweep(trial *self, failing_mode mode, bool wants_error, long tries)
{
    int faults = 0;
    clear(self);
    failing_arm(mode, 0);
    agate_status_release(work(self));
    const long count = failing_count(), step = count / tries + 1;
    for (long at = 1; at <= count; at += step)
        faults += !try(self, mode, at, wants_error);
    printf("%ld allocations in steps of %ld, %s: %d faults\n", count, step,
           mode == FAILING_ONCE ? "each fails alone" : "all fail from it on", faults);
    return faults;
}

int main(int argc, char **argv)
{
    static trial trial;
    const bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    const long tries = all ? LONG_MAX : 80;
    int faults = 0;
    must(work(&trial));
    memcpy(expected, trial.scores, sizeof expected);
    if (argc > 1 && !all) {
        failing_verbose = true;
        return !try(&trial, argc > 2 ? FAILING_ONWARD : FAILING_ONCE, atol(argv[1]), false);
    }
    faults += sweep(&trial, FAILING_ONCE, false, tries);
    faults += sweep(&trial, FAILING_ONWARD, false, tries);

    /* Found in a cache, and compiled into it: where memory is short the cache is done without, or an error
     * comes back. */
    char folder[] = P_tmpdir "/agate-memory-XXXXXX";
    if (!mkdtemp(folder))
        return 1;
    trial.cache = folder;
    must(work(&trial));
    faults += sweep(&trial, FAILING_ONCE, false, tries);
    faults += sweep(&trial, FAILING_ONWARD, false, tries);
    trial.cleared = true;
    faults += sweep(&trial, FAILING_ONCE, false, all ? tries : 20);
    faults += sweep(&trial, FAILING_ONWARD, false, all ? tries : 20);
    clear(&trial);
    trial.cleared = false;
    trial.cache = NULL;
    faults += rmdir(folder) != 0;

    /* Models that are refused: half a file, which is damaged, and operators that nobody knows. */
    FILE *file = fopen(AGATE_DIGITS, "rb");
    trial.bytes = malloc(1 << 20);
    const size_t size_bytes = fread(trial.bytes, 1, 1 << 20, file);
    fclose(file);
    trial.size_bytes = size_bytes / 2;
    faults += sweep(&trial, FAILING_ONCE, true, tries);
    trial.size_bytes = size_bytes;
    for (char *at = trial.bytes; (at = memmem(at, size_bytes - (size_t)(at - trial.bytes), "Relu", 4)); at++)
        memcpy(at, "Rely", 4);
    faults += sweep(&trial, FAILING_ONCE, true, tries);
    faults += sweep(&trial, FAILING_ONWARD, true, tries);
    free(trial.bytes);
    return faults > 0;
}
