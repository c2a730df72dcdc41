/* schedule: a strategy and tiles for each kernel.
 *
 *     %0 = kernel(%x, %w, %b) {...}   ==>   %0 = kernel(%x, %w, %b) direct_conv<v=16, oc=2, ow=14, ...> {...}
 *
 * The rows of strategies.def are asked in order; the first that applies plans the tiles. Each refusal before
 * it is a remark. Tiles that tuning found for a kernel take the place of the planned ones. Kernels that have
 * a strategy already (a person's, in a text, or another pass's) keep it if it applies. Needs layouts; breaks
 * nothing.
 */
#include "ir/narrow.h"
#include "passes/strategy.h"
#include "passes/tuning.h"

typedef struct strategy_row {
    agate_applies_fn applies;
    agate_plan_fn plan;
} strategy_row;

static const strategy_row rows[AGATE_STRATEGY_COUNT] = {
#define AGATE_STRATEGY(id, summary) [AGATE_STRATEGY_##id] = {agate_##id##_applies, agate_##id##_plan},
#include "ir/strategies.def"
#undef AGATE_STRATEGY
};

/* Does one instruction round what the kernel keeps as bf16? */
static bool rounds_vectors(const agate_candidate *c)
{
    if (!agate_has_pair_products(c->machine))
        return false;
    AGATE_EACH_NODE (node, c->kernel->body)
        if (node->op == AGATE_OP_cast && agate_is_bf16(agate_result(node)))
            return true;
    return false;
}

/* Measurements overrule the plan's tiles, not the choice of the strategy. */
static void take_tuned(agate_pass *pass, agate_node *kernel)
{
    const agate_tuning_row *row =
        pass->tuning ? agate_tuning_find(pass->tuning, agate_tuning_kernel(kernel)) : NULL;

    if (row && row->strategy == kernel->strategy)
        kernel->tiles = row->tiles;
}

static void schedule_kernel(agate_pass *pass, agate_node *kernel)
{
    agate_candidate candidate = {pass->machine, kernel, agate_kernel_anchor(kernel)};

    for (int strategy = 1; strategy < AGATE_STRATEGY_COUNT; strategy++) {
        const char *reason = rows[strategy].applies(&candidate);
        if (reason) {
            agate_pass_remark(pass, kernel, "%s refused: %s", agate_strategy_name((agate_strategy)strategy),
                              reason);
            continue;
        }
        kernel->strategy = (agate_strategy)strategy;
        kernel->tiles = rows[strategy].plan(&candidate);
        kernel->tiles.dp |= kernel->tiles.v > 0 && rounds_vectors(&candidate);
        take_tuned(pass, kernel);
        return;
    }
    agate_pass_remark(pass, kernel, "no strategy can compute this kernel");
}

/* A person may choose a strategy, but not one that cannot do it: emitters rely on that. */
static bool stands(agate_pass *pass, agate_node *kernel)
{
    agate_candidate candidate = {pass->machine, kernel, agate_kernel_anchor(kernel)};

    if (kernel->strategy == AGATE_STRATEGY_none)
        return false;
    const char *reason = rows[kernel->strategy].applies(&candidate);
    if (!reason)
        return true;
    agate_pass_remark(pass, kernel, "%s, as given, is dropped: %s", agate_strategy_name(kernel->strategy),
                      reason);
    kernel->strategy = AGATE_STRATEGY_none;
    return false;
}

bool agate_pass_schedule(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    AGATE_EACH_NODE (node, graph) {
        if (node->op != AGATE_OP_kernel || stands(pass, node))
            continue;
        schedule_kernel(pass, node);
        changed = true;
    }
    return changed;
}
