/* verify_places.c: what the memory plan must keep. A value lives from its kernel to its last use; views share
 * the memory of what they view, and lengthen its life.
 *
 * Values that a join puts among each other's channels are one tenant of the slab, from the first to the last
 * that lives. Tenants are met in the order of execution; those alive stand in a list by their place, so that
 * each is held against its neighbours alone. */
#include <stdlib.h>

#include "ir/text.h"
#include "ir/verify_parts.h"

/* One value in the slab, or several that are joined: then `into` leads to the one that stands for all. */
typedef struct tenant {
    const agate_value *value;
    agate_dim begin, end; /* bytes */
    int64_t first, last;  /* life: numbers of nodes, both included */
    struct tenant *into;
    struct tenant *next_dying; /* of those with this `last` */
} tenant;

typedef struct places {
    agate_verifier *v;
    const agate_graph *graph;
    agate_map roots;   /* result of a view -> the value that its chain of views starts from */
    agate_map in_slab; /* value -> its tenant */
    tenant *tenants;
    int64_t tenant_count;
    tenant **alive; /* by begin */
    int64_t alive_count;
} places;

static const agate_value *root_of(const places *p, const agate_value *value)
{
    const agate_value *root = agate_map_get(&p->roots, value, 0);
    return root ? root : value;
}

static tenant *leader_of(tenant *t)
{
    while (t && t->into) {
        if (t->into->into)
            t->into = t->into->into;
        t = t->into;
    }
    return t;
}

static tenant *tenant_of(const places *p, const agate_value *value)
{
    return leader_of(agate_map_get(&p->in_slab, root_of(p, value), 0));
}

/* ---- overlap ------------------------------------------------------------------------------------------- */

/* For every batch N >= 1. */
static bool at_most(agate_dim a, agate_dim b)
{
    return a.scale <= b.scale && agate_dim_at(a, 1) <= agate_dim_at(b, 1);
}

/* Does parameter `index` of the body reach the yield only through scalar ops and casts on its own shape and
 * layout, element by element? One walk, which carries on what depends on it. */
static bool flows_in_place(const places *p, const agate_graph *body, int32_t index)
{
    const agate_value *param = body->params[index];
    agate_map flow = {.arena = p->v->arena};

    agate_map_put(&flow, param, 0, (void *)param);
    AGATE_EACH_NODE (node, body)
        for (int32_t i = 0; i < node->operand_count; i++) {
            if (!agate_map_get(&flow, node->operands[i], 0) || node->op == AGATE_OP_yield)
                continue;
            agate_family family = agate_node_info(node)->family;
            if ((family != AGATE_FAMILY_pointwise && family != AGATE_FAMILY_cast) ||
                !agate_type_same_places(&node->results[0].type, &param->type))
                return false;
            agate_map_put(&flow, &node->results[0], 0, node);
        }
    return true;
}

/* May `late`, a result of the kernel where `early` dies, lie right on it? Then the kernel must read it only
 * where it writes. */
static bool takes_over(const places *p, tenant *early, const tenant *late)
{
    const agate_node *kernel = late->value->node;

    if (!agate_dim_equal(early->begin, late->begin) || kernel->op != AGATE_OP_kernel)
        return false;
    size_t mark = agate_arena_mark(p->v->arena);
    bool good = true;
    for (int32_t i = 0; good && i < kernel->operand_count; i++)
        if (tenant_of(p, kernel->operands[i]) == early)
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

static bool overlap(const tenant *a, const tenant *b)
{
    return !at_most(a->end, b->begin) && !at_most(b->end, a->begin);
}

static void report_overlap(const places *p, const tenant *early, const tenant *late)
{
    agate_text message = {0};

    agate_text_add(&message, "result %d lies in the slab over result %d of ", late->value->index,
                   early->value->index);
    print_left_side(early->value->node, &message);
    agate_verify_fault(p->v, late->value->node, "%s, which still lives", agate_text_c(&message));
    agate_text_deinit(&message);
}

static bool begins_behind(const tenant *a, const tenant *b)
{
    if (a->begin.scale != b->begin.scale)
        return a->begin.scale > b->begin.scale;
    return a->begin.offset > b->begin.offset;
}

static void take_out(places *p, int64_t at)
{
    p->alive_count--;
    memmove(&p->alive[at], &p->alive[at + 1], (size_t)(p->alive_count - at) * sizeof *p->alive);
}

/* How many of those alive begin no later than `t`. */
static int64_t rank_of(const places *p, const tenant *t)
{
    int64_t lo = 0, hi = p->alive_count;

    while (lo < hi) {
        int64_t middle = lo + (hi - lo) / 2;
        if (begins_behind(p->alive[middle], t))
            hi = middle;
        else
            lo = middle + 1;
    }
    return lo;
}

/* If no two of those alive overlap, whom `t` meets are its neighbours on either side. */
static void move_in(places *p, tenant *t)
{
    int64_t at = rank_of(p, t), lo = at;

    while (lo > 0 && overlap(p->alive[lo - 1], t))
        lo--;
    for (int64_t i = lo; i < p->alive_count && (i < at || overlap(p->alive[i], t)); i++) {
        tenant *early = p->alive[i];
        if (early->last == t->first && early->first < t->first && takes_over(p, early, t)) {
            take_out(p, i);
            at -= i < at;
            i--;
        } else {
            report_overlap(p, early, t);
        }
    }
    memmove(&p->alive[at + 1], &p->alive[at], (size_t)(p->alive_count - at) * sizeof *p->alive);
    p->alive[at] = t;
    p->alive_count++;
}

static void move_out(places *p, const tenant *t)
{
    for (int64_t i = rank_of(p, t); i-- > 0 && !begins_behind(t, p->alive[i]);)
        if (p->alive[i] == t) {
            take_out(p, i);
            return;
        }
}

static int by_first(const void *left, const void *right)
{
    const tenant *a = *(tenant *const *)left, *b = *(tenant *const *)right;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void verify_overlaps(places *p, int64_t node_count)
{
    tenant **order = AGATE_NEW_N(p->v->arena, tenant *, p->tenant_count);
    tenant **dying = AGATE_NEW_N(p->v->arena, tenant *, node_count + 1);
    int64_t count = 0, gone = 0;

    p->alive = AGATE_NEW_N(p->v->arena, tenant *, p->tenant_count + 1);
    for (int64_t i = 0; i < p->tenant_count; i++)
        if (!p->tenants[i].into)
            order[count++] = &p->tenants[i];
    if (count)
        qsort(order, (size_t)count, sizeof *order, by_first);
    for (int64_t i = 0; i < count; i++) {
        tenant *t = order[i];
        for (; gone < t->first; gone++)
            for (tenant *dead = dying[gone]; dead; dead = dead->next_dying)
                move_out(p, dead);
        move_in(p, t);
        t->next_dying = dying[t->last];
        dying[t->last] = t;
    }
}

/* ---- joined values ------------------------------------------------------------------------------------- */

/* Where channel `channel` lies of a value of `type` at `place`. */
static agate_dim place_of_channel(agate_dim place, const agate_type *type, int64_t channel)
{
    return (agate_dim){place.scale, place.offset + agate_type_channel_offset(type, channel)};
}

/* One life for both; the hull of both places. */
static void unite(tenant *a, tenant *b)
{
    if (a == b)
        return;
    tenant *to = a->first <= b->first ? a : b, *from = to == a ? b : a;
    from->into = to;
    to->last = agate_max(to->last, from->last);
    if (from->begin.offset < to->begin.offset)
        to->begin = from->begin;
    to->end.scale = agate_max(to->end.scale, from->end.scale);
    to->end.offset = agate_max(to->end.offset, from->end.offset);
}

static void verify_part(places *p, const agate_value *part)
{
    const agate_value *whole = part->node->operands[0];
    agate_dim must = place_of_channel(whole->place.offset, &whole->type, part->node->attrs.slice.starts.v[1]);

    if (part->place.kind != whole->place.kind ||
        (whole->place.kind != AGATE_PLACE_NONE && !agate_dim_equal(part->place.offset, must)))
        agate_verify_fault(p->v, part->node, "a part lies where its channels lie");
    tenant *t = tenant_of(p, whole);
    if (t)
        agate_map_put(&p->in_slab, part, 0, t);
}

static void verify_join(places *p, const agate_value *join)
{
    const agate_node *node = join->node;
    tenant *all = NULL;
    int64_t channel = 0;

    for (int32_t i = 0; i < node->operand_count; i++) {
        const agate_value *operand = node->operands[i];
        agate_dim must = place_of_channel(join->place.offset, &join->type, channel);
        channel += operand->type.dims[1].offset;
        if (operand->place.kind != join->place.kind ||
            (join->place.kind != AGATE_PLACE_NONE && !agate_dim_equal(operand->place.offset, must)))
            agate_verify_fault(p->v, node, "operand %d does not lie where the join has it", i);
        tenant *t = tenant_of(p, operand);
        if (t && all)
            unite(all, t);
        all = leader_of(all ? all : t);
    }
    if (all)
        agate_map_put(&p->in_slab, join, 0, all);
}

/* ---- within what is joined ----------------------------------------------------------------------------- */

static int by_place(const void *left, const void *right)
{
    const tenant *a = *(const tenant *const *)left, *b = *(const tenant *const *)right;
    const tenant *of_a = a->into ? a->into : a, *of_b = b->into ? b->into : b;
    if (of_a != of_b)
        return of_a < of_b ? -1 : 1;
    int64_t at_a = a->value->place.offset.offset, at_b = b->value->place.offset.offset;
    return at_a != at_b ? (at_a < at_b ? -1 : 1) : 0;
}

/* The channels of joined values must not meet either: by their places, each ends before the next begins. That
 * the last ends within the image, its type says. */
static void verify_joined(places *p)
{
    tenant **order = AGATE_NEW_N(p->v->arena, tenant *, p->tenant_count);

    for (int64_t i = 0; i < p->tenant_count; i++) {
        order[i] = &p->tenants[i];
        leader_of(order[i]);
        if (order[i]->into)
            order[i]->into = leader_of(order[i]);
    }
    if (p->tenant_count)
        qsort(order, (size_t)p->tenant_count, sizeof *order, by_place);
    for (int64_t i = 1; i < p->tenant_count; i++) {
        tenant *a = order[i - 1], *b = order[i];
        if (leader_of(a) != leader_of(b) || a->value->type.layout.kind != AGATE_LAYOUT_channel)
            continue;
        int64_t channels = agate_ceil_div(a->value->type.dims[1].offset, a->value->type.layout.block);
        int64_t bytes = agate_type_channel_offset(&a->value->type, channels * a->value->type.layout.block);
        if (a->value->place.offset.offset + bytes > b->value->place.offset.offset)
            report_overlap(p, a, b);
    }
}

/* ---- collecting ---------------------------------------------------------------------------------------- */

static void add_tenant(places *p, const agate_value *value, int64_t number)
{
    tenant *t = &p->tenants[p->tenant_count];
    agate_dim size = {0, 0};

    *t = (tenant){.value = value, .begin = value->place.offset, .first = number, .last = number};
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

    if (node->op == AGATE_OP_join) {
        verify_join(p, value);
    } else if (node->op == AGATE_OP_part) {
        verify_part(p, value);
    } else if (agate_node_has(node, AGATE_VIEW)) {
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
 * met. Returns how many nodes there are. */
static int64_t collect(places *p)
{
    int64_t number = 0;

    AGATE_EACH_NODE (node, p->graph) {
        number++;
        for (int32_t i = 0; i < node->operand_count; i++) {
            tenant *used = tenant_of(p, node->operands[i]);
            if (used)
                used->last = number;
        }
        for (int32_t i = 0; i < node->result_count; i++)
            define_result(p, &node->results[i], number);
    }
    AGATE_EACH_NODE (node, p->graph)
        for (int32_t i = 0; i < node->result_count; i++)
            verify_output(p, &node->results[i]);
    return number;
}

void agate_verify_places(agate_verifier *v, const agate_graph *graph)
{
    places p = {.v = v, .graph = graph, .roots.arena = v->arena, .in_slab.arena = v->arena};
    int64_t results = 0;

    AGATE_EACH_NODE (node, graph)
        results += node->result_count;
    p.tenants = AGATE_NEW_N(v->arena, tenant, results);
    int64_t node_count = collect(&p);
    verify_joined(&p);
    verify_overlaps(&p, node_count);
}
