/* bisect.c: a search over fuel, the number of rewrites that the passes may make.
 *
 * With none the results are good, with all of them they are not; so there is a number at which one more
 * rewrite makes them bad, and halving the distance finds it. Where rewrites mend what others broke there may
 * be several such numbers: one of them is found.
 */
#include "tools/bisect.h"

#include <stdlib.h>

#include "ir/text.h"
#include "tools/tensor.h"

typedef struct search {
    const char *model;
    const agate_tensor *inputs;
    const agate_bisect_options *options;
    agate_tensor *want; /* results of the graph as imported */
    size_t output_count;
} search;

/* A rewrite that is waited for; an agate_rewrote_fn counts down to it. */
typedef struct witness {
    int64_t number, seen;
    agate_bisect_result *result;
} witness;

static void hear_rewrite(void *user, const char *pass, const agate_node *node, const char *rewrite)
{
    witness *w = user;

    if (++w->seen != w->number)
        return;
    w->result->pass = pass;
    agate_text_add(&w->result->rewrite, "%s", rewrite);
    if (node)
        agate_print_node(node, &w->result->node);
}

/* Runs the model with this many rewrites (negative: all) and keeps the difference of the worst result. */
static agate_status try(const search *s, int64_t rewrites, witness *w, agate_difference *out_worst)
{
    agate_runner_options how = s->options->runner;
    agate_runner runner;
    agate_tensor *got = calloc(s->output_count + 1, sizeof *got);
    agate_status status;

    if (!got)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    how.stage = AGATE_STAGE_planned;
    how.driver.passes.fuel = rewrites + 1;
    how.driver.passes.rewrote = w ? hear_rewrite : NULL;
    how.driver.passes.rewrote_user = w;
    status = agate_runner_init(&runner, s->model, &how);
    if (status == AGATE_OK) {
        status = agate_runner_run(&runner, s->inputs, got);
        agate_runner_deinit(&runner);
    }
    *out_worst = (agate_difference){0};
    for (size_t i = 0; status == AGATE_OK && i < s->output_count; i++) {
        agate_difference d = agate_tensor_difference(&got[i], &s->want[i], &s->options->tolerance);

        if (d.wrong_count > out_worst->wrong_count || d.max_abs > out_worst->max_abs)
            *out_worst = d;
    }
    if (status == AGATE_OK)
        agate_tensor_free(got, s->output_count);
    free(got);
    if (status == AGATE_OK && s->options->tried)
        s->options->tried(s->options->user, rewrites, out_worst->wrong_count == 0);
    return status;
}

/* The graph with this many rewrites, as far as the stage of the pass. */
static agate_status print_graph(const search *s, int64_t rewrites, const char *pass, agate_text *text)
{
    const agate_pass_info *info = agate_pass_find(pass);
    agate_pass_options passes;
    agate_stage stage = info ? info->stage : AGATE_STAGE_canonical; /* an extra pass is of the first stage */
    agate_machine machine;
    agate_graph *graph;
    agate_status status;

    AGATE_TRY(agate_driver_machine(&s->options->runner.driver.compile, &machine));
    AGATE_TRY(agate_driver_read(s->model, &s->options->runner.driver, &graph));
    passes = agate_driver_passes(&s->options->runner.driver, &machine);
    passes.fuel = rewrites + 1;
    /* The passes of the first stage run in rounds, which end with the next stage. */
    status = agate_passes_run(graph, &passes, agate_max(stage, AGATE_STAGE_canonical));
    if (status == AGATE_OK)
        agate_print(graph, &(agate_print_options){.serials = true}, text);
    agate_graph_release(graph);
    return status;
}

static agate_status describe(const search *s, agate_bisect_result *result)
{
    witness w = {.number = result->number, .result = result};

    AGATE_TRY(try(s, result->number, &w, &result->difference));
    if (!result->pass)
        return agate_error_make(AGATE_CODE_INTERNAL, "the passes did not make rewrite %lld again",
                                (long long)result->number);
    AGATE_TRY(print_graph(s, result->number - 1, result->pass, &result->before));
    return print_graph(s, result->number, result->pass, &result->after);
}

static agate_status halve(const search *s, agate_bisect_result *result)
{
    agate_difference difference;
    int64_t good = 0, bad = result->rewrite_count;
    witness w = {.number = -1, .result = result};

    AGATE_TRY(try(s, -1, &w, &result->difference));
    result->rewrite_count = bad = w.seen;
    if (result->difference.wrong_count == 0)
        return AGATE_OK;
    AGATE_TRY(try(s, 0, NULL, &difference));
    if (difference.wrong_count > 0 || bad == 0) {
        result->verdict = AGATE_BISECT_BEFORE;
        return AGATE_OK;
    }
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;

        AGATE_TRY(try(s, middle, NULL, &difference));
        *(difference.wrong_count > 0 ? &bad : &good) = middle;
    }
    result->verdict = AGATE_BISECT_REWRITE;
    result->number = bad;
    return describe(s, result);
}

agate_status agate_bisect(const char *model, const agate_tensor *inputs, const agate_bisect_options *options,
                          agate_bisect_result *out_result)
{
    search s = {.model = model, .inputs = inputs, .options = options};
    agate_runner_options how = {.reference = true, .driver = options->runner.driver};
    agate_runner runner;
    agate_status status;

    *out_result = (agate_bisect_result){0};
    AGATE_TRY(agate_runner_init(&runner, model, &how));
    s.output_count = runner.output_count;
    s.want = calloc(s.output_count + 1, sizeof *s.want);
    status = s.want ? agate_runner_run(&runner, inputs, s.want)
                    : agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    agate_runner_deinit(&runner);
    if (status == AGATE_OK) {
        status = halve(&s, out_result);
        agate_tensor_free(s.want, s.output_count);
    }
    free(s.want);
    if (status != AGATE_OK)
        agate_bisect_deinit(out_result);
    return status;
}

void agate_bisect_deinit(agate_bisect_result *result)
{
    agate_text_deinit(&result->rewrite);
    agate_text_deinit(&result->node);
    agate_text_deinit(&result->before);
    agate_text_deinit(&result->after);
    *result = (agate_bisect_result){0};
}
