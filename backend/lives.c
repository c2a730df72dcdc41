/* lives.c: until which step the memory of a value is read.
 *
 * Values that lie in each other have one life: what a view shows, and what a join puts among each other's
 * channels. Such sets grow by union (Galler and Fischer, "An improved equivalence algorithm", CACM 7, 1964).
 */
#include "backend/lives.h"

typedef struct life {
    struct life *of; /* of the set that it went into; NULL: its own */
    uint32_t last;
} life;

static life *life_of(const agate_lives *lives, const agate_value *value)
{
    life *l = agate_map_get(&lives->of, value, 0);

    while (l && l->of)
        l = l->of;
    return l;
}

static void begin(agate_lives *lives, const agate_node *kernel, uint32_t step)
{
    for (int32_t i = 0; i < kernel->result_count; i++) {
        life *l = AGATE_NEW(lives->of.arena, life);
        *l = (life){NULL, step};
        agate_map_put(&lives->of, &kernel->results[i], 0, l);
    }
}

static void extend(const agate_lives *lives, const agate_node *kernel, uint32_t step)
{
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        life *l = life_of(lives, kernel->operands[i]);
        if (l)
            l->last = step;
    }
}

/* Views of parameters and constants have no life: those are never written. */
static void unite(agate_lives *lives, const agate_node *view)
{
    life *all = NULL;

    for (int32_t i = 0; i < view->operand_count; i++) {
        life *l = life_of(lives, view->operands[i]);
        if (!l || l == all)
            continue;
        if (all) {
            if (l->last > all->last)
                all->last = l->last;
            l->of = all;
        } else {
            all = l;
        }
    }
    if (all)
        agate_map_put(&lives->of, &view->results[0], 0, all);
}

void agate_lives_init(agate_lives *lives, const agate_graph *graph, agate_arena *arena)
{
    uint32_t step = 0;

    *lives = (agate_lives){.of.arena = arena};
    AGATE_EACH_NODE (node, graph) {
        if (node->op == AGATE_OP_kernel) {
            extend(lives, node, step);
            begin(lives, node, step++);
        } else if (agate_node_has(node, AGATE_VIEW)) {
            unite(lives, node);
        }
    }
}

uint32_t agate_lives_last(const agate_lives *lives, const agate_value *value)
{
    const life *l = life_of(lives, value);

    return l ? l->last : 0;
}
