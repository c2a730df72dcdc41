/* measure.c: runs that are timed, and runs that report their steps. */
#include "tools/measure.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "runtime/session.h"
#include "tools/times.h"

#define WARM_UP_NS   200000000u /* and at least WARM_UP_RUNS runs */
#define WARM_UP_RUNS 3
#define LEAST_RUNS   5

typedef struct task {
    agate_runner *runner;
    const agate_tensor *inputs;
    agate_tensor *outputs;
    agate_measurement *m;
} task;

static size_t peak_rss_bytes(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

static agate_status run_once(const task *t, uint64_t *out_ns)
{
    uint64_t start = agate_clock_ns();

    AGATE_TRY(agate_session_run(t->runner->session, t->inputs, t->runner->input_count, t->outputs,
                                t->runner->output_count));
    *out_ns = agate_clock_ns() - start;
    return AGATE_OK;
}

static agate_status warm_up(const task *t)
{
    uint64_t total = 0, ns;

    for (int i = 0; i < WARM_UP_RUNS || total < WARM_UP_NS; i++) {
        AGATE_TRY(run_once(t, &ns));
        total += ns;
    }
    return AGATE_OK;
}

static agate_status time_runs(const task *t, const agate_measure_options *options)
{
    size_t room = 0, least = options->iterations ? (size_t)options->iterations : LEAST_RUNS;
    uint64_t total = 0, budget = options->iterations ? 0 : (uint64_t)(options->seconds * 1e9);
    agate_measurement *m = t->m;

    while (m->count < least || total < budget) {
        if (m->count == room) {
            uint64_t *grown = realloc(m->times, (room = room ? 2 * room : 1024) * sizeof *grown);

            if (!grown)
                return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for %zu times", room);
            m->times = grown;
        }
        AGATE_TRY(run_once(t, &m->times[m->count]));
        total += m->times[m->count++];
    }
    agate_runs_sort(m->times, m->count);
    return AGATE_OK;
}

static void add_step_time(void *user, const agate_step_profile *step)
{
    agate_measurement *m = user;

    m->run_times[step->index] += step->end_ns - step->start_ns;
    m->spans[m->span_count++] = (agate_span){step->index, step->start_ns, step->end_ns};
}

static agate_status profile_run(const task *t, uint32_t steps, uint64_t *out_ns)
{
    agate_measurement *m = t->m;

    m->span_count = 0;
    memset(m->run_times, 0, steps * sizeof *m->run_times);
    AGATE_TRY(run_once(t, out_ns));
    for (uint32_t i = 0; i < steps; i++)
        if (m->profiled_runs == 0 || m->run_times[i] < m->step_times[i])
            m->step_times[i] = m->run_times[i];
    m->profiled_runs++;
    return AGATE_OK;
}

static agate_status profile_runs(const task *t)
{
    const uint32_t steps = agate_model_module(t->runner->model)->step_count;
    const int64_t parts =
        agate_session_cut(t->runner->session, t->m->batch).count + 2; /* the rest, and the whole */
    agate_measurement *m = t->m;
    uint64_t total = 0, ns;

    m->step_times = calloc(2 * (size_t)steps + 1, sizeof *m->step_times);
    m->spans = calloc((size_t)parts * steps + 1, sizeof *m->spans);
    if (!m->step_times || !m->spans)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a profile");
    m->run_times = m->step_times + steps;
    agate_session_set_profile(t->runner->session, add_step_time, m);
    while (m->profiled_runs < LEAST_RUNS || total < WARM_UP_NS) {
        AGATE_TRY(profile_run(t, steps, &ns));
        total += ns;
    }
    agate_session_set_profile(t->runner->session, NULL, NULL);
    return AGATE_OK;
}

agate_status agate_measure(agate_runner *runner, int64_t batch, const agate_tensor *inputs,
                           agate_tensor *outputs, const agate_measure_options *options,
                           agate_measurement *out_measurement)
{
    const agate_module *module = agate_model_module(runner->model);
    const task t = {runner, inputs, outputs, out_measurement};

    out_measurement->batch = batch;
    for (uint32_t i = 0; i < module->step_count; i++)
        out_measurement->flops += (double)agate_dim_at(module->steps[i].flops, batch);
    AGATE_TRY(warm_up(&t));
    AGATE_TRY(time_runs(&t, options));
    out_measurement->peak_rss_bytes = peak_rss_bytes();
    if (!options->profile)
        return AGATE_OK;
    AGATE_TRY(profile_runs(&t));
    out_measurement->peaks = agate_peaks_measure(module->isa, options->threads);
    return AGATE_OK;
}

void agate_measurement_deinit(agate_measurement *m)
{
    free(m->times);
    free(m->step_times);
    free(m->spans);
    *m = (agate_measurement){0};
}
