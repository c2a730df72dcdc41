/* runner.c: runs passes, and owns verifying, dumping, diffing, skipping, timing, fuel and remarks. */
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/rewrite.h"

/* Each rewrite of the first stage makes a graph smaller in this order: operations on non-constants; then the
 * distance from transposes to the results; then ops that have a simpler spelling (see rules.def). So rounds
 * end; a network needs a handful, and the bound only guards against a rule that breaks the order. */
#define ROUND_LIMIT 100

static const char *const stage_names[] = {"import", "canonical", "fused", "scheduled", "planned"};

_Static_assert(AGATE_COUNT(stage_names) == AGATE_STAGE_COUNT, "one name per stage, in order");

const agate_pass_info agate_pass_table[] = {
#define AGATE_PASS(id, text, stage, summary) {text, summary, AGATE_STAGE_##stage, agate_pass_##id},
#include "passes/passes.def"
#undef AGATE_PASS
};
const size_t agate_pass_count = AGATE_COUNT(agate_pass_table);

const char *agate_stage_name(agate_stage stage)
{
    assert(stage < AGATE_STAGE_COUNT);
    return stage_names[stage];
}

bool agate_stage_parse(const char *text, agate_stage *out_stage)
{
    for (size_t i = 0; i < AGATE_COUNT(stage_names); i++) {
        if (strcmp(text, stage_names[i]) == 0) {
            *out_stage = (agate_stage)i;
            return true;
        }
    }
    return false;
}

const agate_pass_info *agate_pass_find(const char *name)
{
    for (size_t i = 0; i < agate_pass_count; i++)
        if (strcmp(name, agate_pass_table[i].name) == 0)
            return &agate_pass_table[i];
    return NULL;
}

/* ---- what passes ask for ------------------------------------------------------------------------------- */

bool agate_pass_spend(agate_pass *pass, const agate_node *node, const char *rewrite)
{
    if (*pass->fuel == 0)
        return false;
    if (*pass->fuel > 0)
        --*pass->fuel;
    agate_pass_remark(pass, node, "rewrite: %s", rewrite);
    if (pass->rewrote)
        pass->rewrote(pass->rewrote_user, pass->name, node, rewrite);
    return true;
}

void agate_pass_remark(agate_pass *pass, const agate_node *node, const char *format, ...)
{
    if (!pass->remark)
        return;
    agate_text text = {0};
    va_list args;
    va_start(args, format);
    agate_text_add_v(&text, format, args);
    va_end(args);
    pass->remark(pass->remark_user, pass->name, node, agate_text_c(&text));
    agate_text_deinit(&text);
}

/* ---- the runner ---------------------------------------------------------------------------------------- */

typedef struct runner {
    agate_graph *graph;
    const agate_pass_options *options;
    agate_arena *scratch;
    int64_t fuel;
    uint64_t allowed;
    agate_precision precision;
} runner;

static bool is_skipped(const runner *r, const char *name)
{
    for (size_t i = 0; i < r->options->skip_count; i++)
        if (strcmp(r->options->skip[i], name) == 0)
            return true;
    return false;
}

static bool is_shown(const runner *r, const char *name)
{
    const char *wanted = r->options->print_after;
    return r->options->dump && wanted && (strcmp(wanted, "all") == 0 || strcmp(wanted, name) == 0);
}

static bool run_timed(runner *r, const agate_pass_info *info)
{
    agate_pass pass = {.name = info->name,
                       .machine = r->options->machine,
                       .tuning = r->options->tuning,
                       .scratch = r->scratch,
                       .fuel = &r->fuel,
                       .allowed = r->allowed,
                       .precision = r->precision,
                       .node_precisions = r->options->node_precisions,
                       .remark = r->options->remark,
                       .remark_user = r->options->remark_user,
                       .rewrote = r->options->rewrote,
                       .rewrote_user = r->options->rewrote_user};
    size_t mark = agate_arena_mark(r->scratch);
    uint64_t start_ns = agate_clock_ns();
    bool changed = info->run(&pass, r->graph);

    if (r->options->timed)
        r->options->timed(r->options->timed_user, info->name, agate_clock_ns() - start_ns);
    agate_arena_rewind(r->scratch, mark);
    return changed;
}

/* One pass with all that surrounds it. In rounds after the first, a pass that did nothing is not shown again.
 */
static agate_status run_pass(runner *r, const agate_pass_info *info, bool first_round, bool *out_changed)
{
    *out_changed = false;
    if (is_skipped(r, info->name))
        return AGATE_OK;

    bool shown = is_shown(r, info->name);
    agate_text before = {0};
    if (shown && r->options->diff)
        agate_print(r->graph, &(agate_print_options){.serials = true}, &before);

    *out_changed = run_timed(r, info);

    if (shown && (*out_changed || first_round))
        r->options->dump(r->options->dump_user, info->name, r->graph,
                         r->options->diff ? agate_text_c(&before) : NULL);
    agate_text_deinit(&before);
    if (!r->options->verify_each)
        return AGATE_OK;
    return agate_error_within(agate_verify_status(r->graph), "after pass %s", info->name);
}

/* The first `count` passes, again and again until a round changes nothing. */
static agate_status run_rounds(runner *r, size_t count)
{
    for (int round = 0; round < ROUND_LIMIT; round++) {
        bool changed = false;
        for (size_t i = 0; i < count; i++) {
            bool one = false;
            AGATE_TRY(run_pass(r, &agate_pass_table[i], round == 0, &one));
            changed |= one;
        }
        if (!changed)
            break;
    }
    return AGATE_OK;
}

static agate_status check_name(const char *name)
{
    if (agate_pass_find(name))
        return AGATE_OK;

    agate_text names = {0};
    for (size_t i = 0; i < agate_pass_count; i++)
        agate_text_add(&names, "%s%s", i ? ", " : "", agate_pass_table[i].name);
    agate_status status =
        agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "there is no pass \"%s\"; the passes are: %s", name,
                         agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

/* Strategies whose results differ from the reference's by more than the order of sums. */
static const agate_strategy by_name_only[] = {AGATE_STRATEGY_winograd};

static agate_status no_such_allowance(const char *name, size_t length)
{
    agate_text names = {0};
    for (size_t i = 0; i < AGATE_COUNT(by_name_only); i++)
        agate_text_add(&names, "%s%s", i ? ", " : "", agate_strategy_name(by_name_only[i]));
    agate_status status =
        agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "there is no \"%.*s\" to allow, but: %s", (int)length,
                         name, agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

agate_status agate_passes_parse_allowed(const char *list, uint64_t *out_allowed)
{
    *out_allowed = 0;
    while (list && *list) {
        const size_t length = strcspn(list, ",");
        const agate_strategy strategy = agate_strategy_find(list, length);
        bool found = false;
        for (size_t i = 0; i < AGATE_COUNT(by_name_only); i++)
            found |= by_name_only[i] == strategy;
        if (!found)
            return no_such_allowance(list, length);
        *out_allowed |= UINT64_C(1) << strategy;
        list += length + (list[length] == ',');
    }
    return AGATE_OK;
}

static agate_status begin(runner *r, agate_graph *graph, const agate_pass_options *options)
{
    *r = (runner){.graph = graph, .options = options, .fuel = options->fuel - 1};
    for (size_t i = 0; i < options->skip_count; i++)
        AGATE_TRY(check_name(options->skip[i]));
    if (options->print_after && strcmp(options->print_after, "all") != 0)
        AGATE_TRY(check_name(options->print_after));
    AGATE_TRY(agate_passes_parse_allowed(options->allow, &r->allowed));
    AGATE_TRY(agate_precision_parse(options->precision, &r->precision));
    AGATE_TRY(agate_node_precisions_check(options->node_precisions, graph));
    r->scratch = agate_arena_create();
    if (!r->scratch)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for the passes' scratch memory");
    return AGATE_OK;
}

static agate_status end(runner *r, agate_status status)
{
    uint64_t start_ns = agate_clock_ns();

    agate_arena_release(r->scratch);
    if (status == AGATE_OK)
        status = agate_verify_status(r->graph);
    if (r->options->timed)
        r->options->timed(r->options->timed_user, "verify", agate_clock_ns() - start_ns);
    return status;
}

static agate_status run_to_stage(runner *r, agate_stage stage)
{
    size_t next = 0;

    while (next < agate_pass_count && agate_pass_table[next].stage == AGATE_STAGE_import)
        next++;
    if (stage > AGATE_STAGE_import)
        AGATE_TRY(run_rounds(r, next));
    if (stage > AGATE_STAGE_import && r->options->extra) {
        bool changed;
        AGATE_TRY(run_pass(r, r->options->extra, true, &changed));
    }
    for (; next < agate_pass_count && agate_pass_table[next].stage <= stage; next++) {
        bool changed;
        AGATE_TRY(run_pass(r, &agate_pass_table[next], true, &changed));
    }
    return AGATE_OK;
}

agate_status agate_passes_run(agate_graph *graph, const agate_pass_options *options, agate_stage stage)
{
    runner r;
    AGATE_TRY(begin(&r, graph, options));
    return end(&r, run_to_stage(&r, stage));
}

static agate_status run_names(runner *r, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool changed;
        AGATE_TRY(run_pass(r, agate_pass_find(names[i]), true, &changed));
    }
    return AGATE_OK;
}

agate_status agate_passes_run_named(agate_graph *graph, const agate_pass_options *options,
                                    const char *const *names, size_t count)
{
    runner r;
    for (size_t i = 0; i < count; i++)
        AGATE_TRY(check_name(names[i]));
    AGATE_TRY(begin(&r, graph, options));
    return end(&r, run_names(&r, names, count));
}
