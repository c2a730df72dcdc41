/* canonicalize: one form for each thing, by the rules of rules.def.
 *
 *     %0 = reshape %x shape=[N, 64, 49]        %0 = reshape %x shape=[N, 3136]
 *     %1 = reshape %0 shape=[N, 3136]    ==>   %1 = relu %0
 *     %2 = max %1, 0
 *
 * Walks forward, so that a chain collapses in one walk. Also drops what nothing uses, so that the passes
 * after it may count uses. Needs types; breaks nothing.
 */
#include "passes/rules.h"

typedef struct rule {
    agate_op op;
    const char *name;
    agate_rule_fn apply;
} rule;

static const rule rules[] = {
#define AGATE_RULE(op, id, meaning) {AGATE_OP_##op, #id, agate_rule_##id},
#include "passes/rules.def"
#undef AGATE_RULE
};

/* Applies the first rule that fits. *node becomes what now makes the value, to go on with; NULL: a parameter.
 */
static bool rewrite_once(agate_pass *pass, agate_node **node)
{
    for (const rule *rule = rules; rule < rules + AGATE_COUNT(rules); rule++) {
        if (rule->op != (*node)->op || *pass->fuel == 0)
            continue;
        agate_value *with = rule->apply(*node);
        if (!with)
            continue;
        agate_pass_spend(pass, *node, rule->name);
        assert(agate_type_equal(&with->type, &agate_result(*node)->type));
        if (with != agate_result(*node))
            agate_replace(*node, with);
        *node = with->node;
        return true;
    }
    return false;
}

bool agate_pass_canonicalize(agate_pass *pass, agate_graph *graph)
{
    bool changed = agate_pass_dce(pass, graph);

    AGATE_EACH_NODE (node, graph)
        for (agate_node *at = node; at && rewrite_once(pass, &at);)
            changed = true;
    return changed;
}
