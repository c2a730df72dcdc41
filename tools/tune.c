/* tune.c: tiles by measurement.
 *
 * Kernels are never timed alone: what lies in the caches when a kernel starts is half of its time. So a whole
 * model runs with one other way for each kernel at once, in turns with the best model so far, and every
 * kernel keeps what was better for it. A sweep has as many such comparisons as the kernel with most ways, and
 * one more that the winners have to win again, for of many ways one is always lucky; then the ways of what
 * changed are tried anew from where it is now. */
#include "tools/tune.h"

#include <stdlib.h>

#include "ir/text.h"
#include "runtime/session.h"
#include "tools/tensor.h"
#include "tools/times.h"

#define LEAST_RUNS  6
#define LEAST_GAIN  0.02 /* of a kernel's time: less may be noise */
#define WHOLE_GAIN  0.005
#define CHECK_TIMES 4 /* as long as a comparison: the last one, of whole runs */

/* Kernels that are alike. */
typedef struct entry {
    uint64_t kernel;
    agate_node *first;
    size_t count;
    agate_tiles best;
    agate_tiles ways[AGATE_TUNING_WAYS];
    size_t way_count;
    int64_t winner;  /* of this sweep; -1: none */
    double ratio;    /* of the winner's time */
    bool is_changed; /* in the last sweep */
} entry;

/* A model with the time of each of its steps. */
typedef struct contender {
    agate_model *model;
    agate_session *session;
    agate_tensor *outputs;
    uint64_t *step_ns; /* the least of all runs */
    uint64_t *run_ns;  /* of whole runs, where they are wanted */
} contender;

typedef struct tuner {
    const agate_tune_options *options;
    agate_runner runner; /* the planned model, whose graph the others are made from */
    agate_machine machine;
    agate_tensor *inputs;
    entry *entries;
    size_t entry_count;
    size_t *of_step; /* entry of each step */
    size_t step_count;
    int64_t batch;
    size_t done, planned; /* comparisons */
} tuner;

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to tune in");
}

/* ---- what there is to tune ----------------------------------------------------------------------------- */

static size_t entry_of(tuner *t, agate_node *kernel)
{
    const uint64_t key = agate_tuning_kernel(kernel);
    size_t i = 0;

    while (i < t->entry_count && t->entries[i].kernel != key)
        i++;
    if (i == t->entry_count)
        t->entries[t->entry_count++] =
            (entry){.kernel = key, .first = kernel, .best = kernel->tiles, .is_changed = true};
    t->entries[i].count++;
    return i;
}

static agate_status find_entries(tuner *t)
{
    t->step_count = agate_model_module(t->runner.model)->step_count;
    t->entries = calloc(t->step_count + 1, sizeof *t->entries);
    t->of_step = calloc(t->step_count + 1, sizeof *t->of_step);
    if (!t->entries || !t->of_step)
        return out_of_memory();

    size_t step = 0;
    AGATE_EACH_NODE (node, t->runner.planned)
        if (node->op == AGATE_OP_kernel && step < t->step_count)
            t->of_step[step++] = entry_of(t, node);
    if (step != t->step_count)
        return agate_error_make(AGATE_CODE_INTERNAL, "the model has %zu steps and %zu kernels", t->step_count,
                                step);
    return AGATE_OK;
}

static void set_tiles(tuner *t, const entry *e, const agate_tiles *tiles)
{
    size_t step = 0;

    AGATE_EACH_NODE (node, t->runner.planned)
        if (node->op == AGATE_OP_kernel && &t->entries[t->of_step[step++]] == e)
            node->tiles = *tiles;
}

/* ---- contenders ---------------------------------------------------------------------------------------- */

static void contender_deinit(const tuner *t, contender *c)
{
    agate_session_release(c->session);
    agate_model_release(c->model);
    if (c->outputs)
        agate_tensor_free(c->outputs, t->runner.output_count);
    free(c->outputs);
    free(c->step_ns);
    free(c->run_ns);
    *c = (contender){0};
}

static agate_status prepare(tuner *t, contender *c)
{
    const agate_session_options session = {.threads = t->options->driver->compile.threads};

    c->outputs = calloc(t->runner.output_count + 1, sizeof *c->outputs);
    c->step_ns = calloc(t->step_count + 1, sizeof *c->step_ns);
    if (!c->outputs || !c->step_ns)
        return out_of_memory();
    AGATE_TRY(agate_driver_link(t->runner.planned, &t->machine, t->options->driver, &c->model));
    AGATE_TRY(agate_session_create(c->model, &session, &c->session));
    return agate_runner_allocate_outputs(&t->runner, t->batch, c->outputs);
}

/* The planned graph as it is now, as a model of its own. */
static agate_status contender_init(tuner *t, contender *c)
{
    *c = (contender){0};
    agate_status status = prepare(t, c);

    if (status)
        contender_deinit(t, c);
    return status;
}

static void hear_step(void *user, const agate_step_profile *step)
{
    uint64_t *step_ns = user;
    uint64_t ns = step->end_ns - step->start_ns, *least = &step_ns[step->index];

    *least = *least == 0 || ns < *least ? ns : *least;
}

static agate_status run_once(tuner *t, contender *c, uint64_t *out_ns)
{
    uint64_t start = agate_clock_ns();

    AGATE_TRY(
        agate_session_run(c->session, t->inputs, t->runner.input_count, c->outputs, t->runner.output_count));
    *out_ns = agate_clock_ns() - start;
    return AGATE_OK;
}

static agate_status check_same(const tuner *t, const contender *a, const contender *b)
{
    for (size_t i = 0; i < t->runner.output_count; i++)
        if (memcmp(a->outputs[i].data, b->outputs[i].data, a->outputs[i].size_bytes) != 0)
            return agate_error_make(AGATE_CODE_INTERNAL, "other tiles compute another output \"%s\"",
                                    t->runner.outputs[i].name);
    return AGATE_OK;
}

/* Both in turns, until each has run often and long enough, step by step. */
static agate_status run_in_turns(tuner *t, contender *a, contender *b)
{
    const uint64_t budget = (uint64_t)(t->options->seconds * 1e9);
    contender *both[] = {a, b};
    uint64_t total = 0, ns;

    for (int c = 0; c < 2; c++) {
        AGATE_TRY(run_once(t, both[c], &ns)); /* warms up */
        memset(both[c]->step_ns, 0, t->step_count * sizeof *both[c]->step_ns);
        agate_session_set_profile(both[c]->session, hear_step, both[c]->step_ns);
    }
    AGATE_TRY(check_same(t, a, b));
    for (int i = 0; i < LEAST_RUNS || total < budget; i++)
        for (int c = 0; c < 2; c++) {
            AGATE_TRY(run_once(t, both[c], &ns));
            total += ns;
        }
    return AGATE_OK;
}

static double entry_ns(const tuner *t, const entry *e, const contender *c)
{
    double total = 0;

    for (size_t i = 0; i < t->step_count; i++)
        if (&t->entries[t->of_step[i]] == e)
            total += (double)c->step_ns[i];
    return total;
}

/* ---- sweeps -------------------------------------------------------------------------------------------- */

static void tell_progress(tuner *t)
{
    if (t->options->progress)
        t->options->progress(t->options->progress_user, t->done,
                             t->planned > t->done ? t->planned : t->done + 1);
    t->done++;
}

/* Every kernel that has a way of this number tries it. */
static agate_status compare_ways(tuner *t, contender *best, size_t way)
{
    contender trial;

    tell_progress(t);
    for (size_t i = 0; i < t->entry_count; i++)
        if (way < t->entries[i].way_count)
            set_tiles(t, &t->entries[i], &t->entries[i].ways[way]);
    AGATE_TRY(contender_init(t, &trial));
    agate_status status = run_in_turns(t, best, &trial);
    for (size_t i = 0; i < t->entry_count; i++) {
        entry *e = &t->entries[i];
        if (way >= e->way_count)
            continue;
        double ratio = status ? 1 : entry_ns(t, e, &trial) / entry_ns(t, e, best);
        if (ratio < e->ratio) {
            e->ratio = ratio;
            e->winner = (int64_t)way;
        }
        set_tiles(t, e, &e->best);
    }
    contender_deinit(t, &trial);
    return status;
}

/* Returns how many comparisons the next sweep takes. */
static size_t find_ways(tuner *t)
{
    size_t most = 0;

    for (size_t i = 0; i < t->entry_count; i++) {
        entry *e = &t->entries[i];
        e->way_count = e->is_changed ? agate_tuning_ways(&t->machine, e->first, e->ways) : 0;
        e->winner = -1;
        e->ratio = 1 - LEAST_GAIN;
        most = e->way_count > most ? e->way_count : most;
    }
    return most;
}

/* Returns whether there are any. */
static bool set_winners(tuner *t)
{
    bool any = false;

    for (size_t i = 0; i < t->entry_count; i++) {
        entry *e = &t->entries[i];
        e->is_changed = e->winner >= 0;
        if (e->is_changed)
            set_tiles(t, e, &e->ways[e->winner]);
        any |= e->is_changed;
    }
    return any;
}

/* Keeps the winners that have won again in `trial`. Returns how many have not. */
static size_t keep_winners(tuner *t, const contender *best, const contender *trial)
{
    size_t lost = 0;

    for (size_t i = 0; i < t->entry_count; i++) {
        entry *e = &t->entries[i];
        if (!e->is_changed)
            continue;
        e->is_changed = entry_ns(t, e, trial) < (1 - LEAST_GAIN / 2) * entry_ns(t, e, best);
        if (e->is_changed)
            e->best = e->ways[e->winner];
        else
            lost++;
        set_tiles(t, e, &e->best);
    }
    return lost;
}

static agate_status confirm(tuner *t, contender *best)
{
    contender trial;

    tell_progress(t);
    AGATE_TRY(contender_init(t, &trial));
    agate_status status = run_in_turns(t, best, &trial);
    if (status) {
        contender_deinit(t, &trial);
        return status;
    }
    size_t lost = keep_winners(t, best, &trial);
    contender_deinit(t, best);
    *best = trial;
    if (lost == 0)
        return AGATE_OK;
    contender_deinit(t, best);
    return contender_init(t, best);
}

static bool is_any_changed(const tuner *t)
{
    for (size_t i = 0; i < t->entry_count; i++)
        if (t->entries[i].is_changed)
            return true;
    return false;
}

/* From `best`, a model with the tiles of the graph, which it replaces by a better one where there is. */
static agate_status sweep(tuner *t, contender *best, bool *out_changed)
{
    const size_t count = find_ways(t);

    t->planned = t->done + count + 1;
    *out_changed = false;
    for (size_t way = 0; way < count; way++)
        AGATE_TRY(compare_ways(t, best, way));
    if (!set_winners(t))
        return AGATE_OK;
    AGATE_TRY(confirm(t, best));
    *out_changed = is_any_changed(t);
    return AGATE_OK;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

static double median_ms(uint64_t *run_ns, size_t count)
{
    agate_runs_sort(run_ns, count);
    return agate_runs_median_ms(run_ns, count);
}

#define MOST_RUNS 10000

/* Whole runs in turns, unprofiled, and their medians. */
static agate_status compare_whole(tuner *t, contender *planned, contender *tuned, agate_tune_result *result)
{
    const uint64_t budget = (uint64_t)(CHECK_TIMES * t->options->seconds * 1e9);
    contender *both[] = {planned, tuned};
    uint64_t total = 0;
    size_t count = 0;

    for (int c = 0; c < 2; c++) {
        agate_session_set_profile(both[c]->session, NULL, NULL);
        both[c]->run_ns = calloc(MOST_RUNS, sizeof *both[c]->run_ns);
        if (!both[c]->run_ns)
            return out_of_memory();
    }
    for (; count < MOST_RUNS && (count < LEAST_RUNS || total < budget); count++)
        for (int c = 0; c < 2; c++) {
            AGATE_TRY(run_once(t, both[c], &both[c]->run_ns[count]));
            total += both[c]->run_ns[count];
        }
    result->before_ms = median_ms(planned->run_ns, count);
    result->after_ms = median_ms(tuned->run_ns, count);
    return AGATE_OK;
}

static char *copy_schedule(const agate_node *kernel, const agate_tiles *tiles)
{
    agate_node copy = *kernel;
    agate_text text = {0};

    copy.tiles = *tiles;
    agate_print_schedule(&copy, &text);
    char *copied = strdup(agate_text_c(&text));
    agate_text_deinit(&text);
    return copied;
}

static agate_status add_change(const tuner *t, const entry *e, const agate_tiles *before,
                               const contender *planned, const contender *tuned, agate_tune_result *result)
{
    agate_tune_change *change = &result->changes[result->change_count];

    *change = (agate_tune_change){
        .nodes = strdup(e->first->origin ? e->first->origin : ""),
        .before = copy_schedule(e->first, before),
        .after = copy_schedule(e->first, &e->best),
        .count = e->count,
        .before_ms = entry_ns(t, e, planned) / 1e6,
        .after_ms = entry_ns(t, e, tuned) / 1e6,
    };
    result->change_count++;
    return change->nodes && change->before && change->after &&
                   agate_tuning_set(&result->tuning, e->kernel, e->first->strategy, &e->best)
               ? AGATE_OK
               : out_of_memory();
}

static agate_status report(tuner *t, contender *planned, contender *tuned, const agate_tiles *before,
                           agate_tune_result *result)
{
    AGATE_TRY(run_in_turns(t, planned, tuned));
    result->changes = calloc(t->entry_count + 1, sizeof *result->changes);
    if (!result->changes)
        return out_of_memory();
    for (size_t i = 0; i < t->entry_count; i++)
        if (memcmp(&before[i], &t->entries[i].best, sizeof *before) != 0)
            AGATE_TRY(add_change(t, &t->entries[i], &before[i], planned, tuned, result));
    AGATE_TRY(compare_whole(t, planned, tuned, result));
    if (result->after_ms > (1 - WHOLE_GAIN) * result->before_ms)
        agate_tuning_deinit(&result->tuning); /* what single kernels gain, others may lose */
    return AGATE_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static agate_status improve(tuner *t, contender *planned, contender *best, agate_tune_result *result)
{
    agate_tiles *before = calloc(t->entry_count + 1, sizeof *before);
    agate_status status = before ? AGATE_OK : out_of_memory();
    const int64_t sweeps = t->options->sweeps ? t->options->sweeps : AGATE_TUNE_SWEEPS;
    bool changed = true;

    for (size_t i = 0; before && i < t->entry_count; i++)
        before[i] = t->entries[i].best;
    for (int64_t i = 0; i < sweeps && changed && !status; i++)
        status = sweep(t, best, &changed);
    result->comparison_count = t->done;
    result->kernel_count = t->entry_count;
    if (!status)
        status = report(t, planned, best, before, result);
    free(before);
    return status;
}

static agate_status tune(tuner *t, agate_tune_result *result)
{
    contender planned, best;
    agate_inputs inputs;

    AGATE_TRY(find_entries(t));
    AGATE_TRY(agate_driver_machine(&t->options->driver->compile, &t->machine));
    t->inputs = calloc(t->runner.input_count + 1, sizeof *t->inputs);
    if (!t->inputs)
        return out_of_memory();
    AGATE_TRY(agate_inputs_init(&inputs, &t->runner, t->options->inputs));
    agate_status status = agate_inputs_make(&inputs, 0, t->inputs);
    agate_inputs_deinit(&inputs);
    AGATE_TRY(status);
    AGATE_TRY(agate_runner_batch(&t->runner, t->inputs, &t->batch));
    AGATE_TRY(contender_init(t, &planned));
    status = contender_init(t, &best);
    if (!status)
        status = improve(t, &planned, &best, result);
    contender_deinit(t, &best);
    contender_deinit(t, &planned);
    return status;
}

agate_status agate_tune(const char *path, const agate_tune_options *options, agate_tune_result *out_result)
{
    agate_runner_options how = {.driver = *options->driver, .keep_planned = true};
    tuner t = {.options = options};

    *out_result = (agate_tune_result){0};
    AGATE_TRY(agate_runner_init(&t.runner, path, &how));
    agate_status status = tune(&t, out_result);
    if (t.inputs)
        agate_tensor_free(t.inputs, t.runner.input_count);
    free(t.inputs);
    free(t.entries);
    free(t.of_step);
    agate_runner_deinit(&t.runner);
    if (status)
        agate_tune_result_deinit(out_result);
    return agate_error_within(status, "%s", path);
}

void agate_tune_result_deinit(agate_tune_result *result)
{
    for (size_t i = 0; i < result->change_count; i++) {
        free(result->changes[i].nodes);
        free(result->changes[i].before);
        free(result->changes[i].after);
    }
    free(result->changes);
    agate_tuning_deinit(&result->tuning);
    *result = (agate_tune_result){0};
}
