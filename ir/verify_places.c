/* verify_places.c: what the memory plan must keep. A value lives from its kernel to its last use; views share
 * the memory of what they view, and lengthen its life. */
#include "ir/text.h"
#include "ir/verify_parts.h"

/* One value in the slab. */
typedef struct tenant {
    const agate_value *value;
    agate_dim begin, end; /* bytes */
    int64_t first, last;  /* life: numbers of nodes, both included */
} tenant;

typedef struct places {
    agate_verifier *v;
    const agate_graph *graph;
    agate_map roots;   /* result of a view -> the value that its chain of views starts from */
    agate_map in_slab; /* value -> its tenant */
    tenant *tenants;
    int64_t tenant_count;
} places;

static const agate_value *root_of(const places *p, const agate_value *value)
{
    const agate_value *root = agate_map_get(&p->roots, value, 0);
    return root ? root : value;
}

/* ---- overlap ------------------------------------------------------------------------------------------- */

/* For every batch N >= 1. */
static bool at_most(agate_dim a, agate_dim b)
{
    return a.scale <= b.scale && agate_dim_at(a, 1) <= agate_dim_at(b, 1);
}

/* Does parameter `index` of the body reach the yield only through scalar ops on its own shape and layout,
 * element by element? One walk, which carries on what depends on it. */
static bool flows_in_place(const places *p, const agate_graph *body, int32_t index)
{
    const agate_value *param = body->params[index];
    agate_map flow = {.arena = p->v->arena};

    agate_map_put(&flow, param, 0, (void *)param);
    AGATE_EACH_NODE (node, body)
        for (int32_t i = 0; i < node->operand_count; i++) {
            if (!agate_map_get(&flow, node->operands[i], 0) || node->op == AGATE_OP_yield)
                continue;
            if (agate_node_info(node)->family != AGATE_FAMILY_pointwise ||
                !agate_type_equal(&node->results[0].type, &param->type))
                return false;
            agate_map_put(&flow, &node->results[0], 0, node);
        }
    return true;
}

/* May `late`, a result of the kernel where `early` dies, lie right on it? Then the kernel must read it only
 * where it writes. */
static bool takes_over(const places *p, const tenant *early, const tenant *late)
{
    const agate_node *kernel = late->value->node;

    if (!agate_dim_equal(early->begin, late->begin) || kernel->op != AGATE_OP_kernel)
        return false;
    size_t mark = agate_arena_mark(p->v->arena);
    bool good = true;
    for (int32_t i = 0; good && i < kernel->operand_count; i++)
        if (root_of(p, kernel->operands[i]) == early->value)
            good = agate_type_equal(&kernel->operands[i]->type, &late->value->type) &&
                   flows_in_place(p, kernel->body, i);
    agate_arena_rewind(p->v->arena, mark);
    return good;
}

/* "%3", or "%3, %4": the left side of its node as printed. */
static void print_left_side(const agate_node *node, agate_text *text)
{
    agate_text printed = {0};
    agate_print_node(node, &printed);
    const char *end = strstr(agate_text_c(&printed), " = ");
    agate_text_add_bytes(text, agate_text_c(&printed), end ? (size_t)(end - agate_text_c(&printed)) : 0);
    agate_text_deinit(&printed);
}

static void verify_pair(const places *p, const tenant *a, const tenant *b)
{
    const tenant *early = a->first <= b->first ? a : b, *late = early == a ? b : a;

    if (early->last < late->first || at_most(early->end, late->begin) || at_most(late->end, early->begin))
        return;
    if (early->last == late->first && early->first < late->first && takes_over(p, early, late))
        return;
    agate_text message = {0};
    agate_text_add(&message, "result %d lies in the slab over result %d of ", late->value->index,
                   early->value->index);
    print_left_side(early->value->node, &message);
    agate_verify_fault(p->v, late->value->node, "%s, which still lives", agate_text_c(&message));
    agate_text_deinit(&message);
}

/* ---- collecting ---------------------------------------------------------------------------------------- */

static void add_tenant(places *p, const agate_value *value, int64_t number)
{
    tenant *t = &p->tenants[p->tenant_count];
    agate_dim size = {0, 0};

    *t = (tenant){value, value->place.offset, {0, 0}, number, number};
    if (t->begin.scale < 0 || t->begin.offset < 0 || !agate_type_size(&value->type, &size) ||
        !agate_dim_add(t->begin, size, &t->end) || t->end.scale > INT64_MAX / 2 ||
        t->end.offset > INT64_MAX / 2) {
        agate_verify_fault(p->v, value->node, "the place in the slab is negative, or beyond any memory");
        return;
    }
    agate_map_put(&p->in_slab, value, 0, t);
    p->tenant_count++;
}

static void define_result(places *p, const agate_value *value, int64_t number)
{
    const agate_node *node = value->node;

    if (agate_node_has(node, AGATE_VIEW)) {
        const agate_value *root = root_of(p, node->operands[0]);
        agate_map_put(&p->roots, value, 0, (void *)root);
        if (value->place.kind != AGATE_PLACE_NONE &&
            (root->place.kind != value->place.kind ||
             !agate_dim_equal(root->place.offset, value->place.offset)))
            agate_verify_fault(p->v, node, "a view lies where what it views lies");
    } else if (value->place.kind == AGATE_PLACE_SLAB) {
        add_tenant(p, value, number);
    }
}

static void verify_output(places *p, const agate_value *value)
{
    const agate_node *last = p->graph->last;
    agate_dim number = value->place.offset;

    if (value->place.kind != AGATE_PLACE_OUTPUT)
        return;
    if (!agate_dim_is_fixed(number) || number.offset < 0 || number.offset >= last->operand_count ||
        root_of(p, last->operands[number.offset]) != root_of(p, value))
        agate_verify_fault(p->v, value->node, "the graph does not return this value as that output");
}

/* In execution order, so that what is viewed is known before its views, and a life ends with the last use
 * met. */
static void collect(places *p)
{
    int64_t number = 0;

    AGATE_EACH_NODE (node, p->graph) {
        number++;
        for (int32_t i = 0; i < node->operand_count; i++) {
            tenant *used = agate_map_get(&p->in_slab, root_of(p, node->operands[i]), 0);
            if (used)
                used->last = number;
        }
        for (int32_t i = 0; i < node->result_count; i++)
            define_result(p, &node->results[i], number);
    }
    AGATE_EACH_NODE (node, p->graph)
        for (int32_t i = 0; i < node->result_count; i++)
            verify_output(p, &node->results[i]);
}

void agate_verify_places(agate_verifier *v, const agate_graph *graph)
{
    places p = {.v = v, .graph = graph, .roots.arena = v->arena, .in_slab.arena = v->arena};
    int64_t results = 0;

    AGATE_EACH_NODE (node, graph)
        results += node->result_count;
    p.tenants = AGATE_NEW_N(v->arena, tenant, results);
    collect(&p);
    for (int64_t i = 0; i < p.tenant_count; i++)
        for (int64_t j = i + 1; j < p.tenant_count; j++)
            verify_pair(&p, &p.tenants[i], &p.tenants[j]);
}
