/* join-channels: concats of channels and slices of them become views: nothing is copied.
 *
 *     %1 = kernel(...) {...} : f32[N,64,28,28]{nchw16c}       %1 = kernel(...) {...} : f32[N,64,28,28]{nchw16c of 96}
 *     %2 = kernel(...) {...} : f32[N,32,28,28]{nchw16c}  ==>  %2 = kernel(...) {...} : f32[N,32,28,28]{nchw16c of 96}
 *     %3 = kernel(%1, %2) { concat } : f32[N,96,28,28]        %3 = join %1, %2 axis=1 : f32[N,96,28,28]{nchw16c}
 *          {nchw16c}
 *
 * In blocked layout the channels of an image follow each other in whole blocks, so what is to be joined is
 * written where it belongs at once: at its channel's offset, with as many channels from image to image as all
 * have together (the pitch). A concat of channels that scalar ops follow leaves its kernel, which then reads
 * the join. A slice of whole blocks becomes a `part` of its operand.
 *
 * From the last concat to the first, so that the longest of several that begin alike (a dense block's) comes
 * first: the others are found where it has put their operands. A concat's own result may have its place among
 * others already; its operands then go there. Needs layouts; what is returned, or comes from outside, has its
 * own memory and is not joined.
 */
#include "passes/rewrite.h"

/* Where a kernel's result lies, in channels. */
typedef struct seat {
    int64_t row; /* which values lie among each other; 0: by itself */
    int64_t channel;
    int64_t pitch;
} seat;

typedef struct joiner {
    agate_pass *pass;
    agate_graph *graph;
    seat *seats; /* value->scratch is the number of a kernel result's seat */
    int64_t rows;
    bool changed;
} joiner;

static seat *seat_of(joiner *j, const agate_value *value)
{
    return &j->seats[value->scratch];
}

static bool is_kernel_result(const agate_value *value)
{
    return agate_value_is(value, AGATE_OP_kernel);
}

/* ---- types --------------------------------------------------------------------------------------------- */

/* What reads `value` sees its new pitch. */
static void spread_pitch(agate_value *value)
{
    for (int32_t i = 0; i < value->use_count; i++) {
        agate_node *user = value->uses[i].node;
        if (user->op == AGATE_OP_kernel)
            user->body->params[value->uses[i].index]->type.layout.pitch = value->type.layout.pitch;
        else if (user->op == AGATE_OP_reshape &&
                 agate_result(user)->type.layout.pitch != value->type.layout.pitch) {
            agate_result(user)->type.layout.pitch = value->type.layout.pitch;
            spread_pitch(agate_result(user));
        }
    }
}

static int64_t own_pitch(const agate_type *type)
{
    agate_type own = *type;
    own.layout = agate_layout_own(own.layout);
    return agate_type_pitch(&own);
}

static void set_pitch(agate_value *value, int64_t pitch)
{
    value->type.layout.pitch = pitch == own_pitch(&value->type) ? 0 : (int32_t)pitch;
    spread_pitch(value);
}

/* ---- concats ------------------------------------------------------------------------------------------- */

/* The concat of channels, of the kernel's operands alone, that its body holds; NULL: none. */
static agate_node *find_concat(const agate_node *kernel)
{
    AGATE_EACH_NODE (node, kernel->body)
        if (node->op == AGATE_OP_concat && node->attrs.axis.axis == 1 &&
            node->results[0].type.layout.kind == AGATE_LAYOUT_channel)
            return node;
    return NULL;
}

static bool is_alone(const agate_node *kernel, const agate_node *node)
{
    return kernel->body->first == node && node->next == kernel->body->last;
}

/* Is `value` returned, in any shape? Then it lies in the caller's memory. */
static bool is_returned(const agate_value *value)
{
    for (int32_t i = 0; i < value->use_count; i++) {
        const agate_node *user = value->uses[i].node;
        if (agate_node_has(user, AGATE_TERMINATOR) ||
            (user->op == AGATE_OP_reshape && is_returned(&user->results[0])))
            return true;
    }
    return false;
}

/* Why operand `index` of `concat` cannot be written where the concat has it. */
static const char *refuse_operand(const agate_node *kernel, const agate_node *concat, int32_t index)
{
    const agate_value *param = concat->operands[index], *value;

    if (param->node)
        return "an operand is computed in the same kernel";
    if (param->use_count > 1)
        return "an operand is used twice";
    value = kernel->operands[param->index];
    for (int32_t i = 0; i < index; i++)
        if (kernel->operands[concat->operands[i]->index] == value)
            return "an operand comes twice";
    if (!is_kernel_result(value) || is_returned(value))
        return "an operand is no kernel's result, or is returned";
    if (index + 1 < concat->operand_count && value->type.dims[1].offset % value->type.layout.block != 0)
        return "channels of an operand do not fill blocks";
    return NULL;
}

/* Whether the operands can sit in a row from `at`; where some have seats, *at is what these ask for. */
static const char *refuse_seats(joiner *j, const agate_node *kernel, const agate_node *concat, seat *at)
{
    int64_t channel = 0;
    int32_t seated = 0;

    for (int32_t i = 0; i < concat->operand_count; i++) {
        const agate_value *value = kernel->operands[concat->operands[i]->index];
        const seat *s = seat_of(j, value);
        if (s->row && !at->row)
            *at = (seat){s->row, s->channel - channel, s->pitch};
        if (s->row && (s->row != at->row || s->channel != at->channel + channel))
            return "an operand lies among other channels already";
        seated += s->row != 0;
        channel += value->type.dims[1].offset;
    }
    return seated > 0 && seated < concat->operand_count ? "some operands lie among other channels already"
                                                        : NULL;
}

static const char *refuse(joiner *j, const agate_node *kernel, const agate_node *concat, seat *at)
{
    bool returned = is_alone(kernel, concat) && is_returned(&kernel->results[0]);
    const char *reason = returned ? "its result is returned" : NULL;

    for (int32_t i = 0; i < concat->operand_count && !reason; i++)
        reason = refuse_operand(kernel, concat, i);
    if (reason)
        return reason;
    return refuse_seats(j, kernel, concat, at);
}

/* Drops operand `index` of the kernel, whose parameter nothing in the body reads. */
static void drop_operand(agate_node *kernel, int32_t index)
{
    agate_graph *body = kernel->body;

    assert(body->params[index]->use_count == 0);
    agate_node_remove_operand(kernel, index);
    body->param_count--;
    for (int32_t i = index; i < body->param_count; i++) {
        body->params[i] = body->params[i + 1];
        body->params[i]->index = i;
    }
}

/* The body reads the join, as a new operand, in place of the concat. */
static void read_join(agate_node *kernel, agate_node *concat, agate_value *join)
{
    agate_node_add_operand(kernel, join);
    agate_value_replace(agate_result(concat), agate_graph_add_param(kernel->body, NULL, &join->type));
    int32_t count = concat->operand_count, *dropped = AGATE_NEW_N(kernel->graph->arena, int32_t, count);
    for (int32_t i = 0; i < count; i++)
        dropped[i] = concat->operands[i]->index;
    agate_node_remove(concat);
    for (int32_t i = 0; i < count; i++) {
        drop_operand(kernel, dropped[i]);
        for (int32_t k = i + 1; k < count; k++)
            dropped[k] -= dropped[k] > dropped[i];
    }
}

static void join_concat(joiner *j, agate_node *kernel, agate_node *concat)
{
    agate_type type = agate_result(concat)->type;
    bool alone = is_alone(kernel, concat);
    seat at = alone ? *seat_of(j, &kernel->results[0]) : (seat){0};
    const char *reason = refuse(j, kernel, concat, &at);

    if (reason || !agate_pass_spend(j->pass, kernel, "join channels")) {
        agate_pass_remark(j->pass, kernel, "the concat stays: %s", reason ? reason : "no fuel is left");
        return;
    }
    if (!at.row)
        at = (seat){++j->rows, 0, own_pitch(&type)};
    agate_value **operands = AGATE_NEW_N(j->pass->scratch, agate_value *, concat->operand_count);
    int64_t channel = at.channel;
    for (int32_t i = 0; i < concat->operand_count; i++) {
        operands[i] = kernel->operands[concat->operands[i]->index];
        *seat_of(j, operands[i]) = (seat){at.row, channel, at.pitch};
        set_pitch(operands[i], at.pitch);
        channel += operands[i]->type.dims[1].offset;
    }
    agate_node *join = agate_node_create(j->graph, kernel, AGATE_OP_join, operands, concat->operand_count, 1);
    join->attrs = concat->attrs;
    join->origin = concat->origin;
    agate_result(join)->type = type;
    set_pitch(agate_result(join), at.pitch);
    if (alone) {
        agate_value_replace(&kernel->results[0], agate_result(join));
        agate_node_remove(kernel);
    } else {
        read_join(kernel, concat, agate_result(join));
    }
    spread_pitch(agate_result(join));
    j->changed = true;
}

/* ---- slices -------------------------------------------------------------------------------------------- */

/* Will `value` lie in the slab? */
static bool is_in_slab(const agate_value *value)
{
    while (agate_value_is(value, AGATE_OP_reshape) && !is_returned(value))
        value = value->node->operands[0];
    bool has_place = is_kernel_result(value) || agate_value_is(value, AGATE_OP_join) ||
                     agate_value_is(value, AGATE_OP_part);
    return has_place && !is_returned(value);
}

static const char *refuse_slice(const agate_node *slice, const agate_value *from)
{
    const agate_attrs_slice *attrs = &slice->attrs.slice;
    const agate_type *type = &from->type;

    for (int32_t i = 0; i < type->rank; i++)
        if (attrs->steps.v[i] != 1 ||
            (i != 1 && !agate_dim_equal(type->dims[i], slice->results[0].type.dims[i])))
            return "it does not take whole images";
    if (attrs->starts.v[1] % type->layout.block != 0)
        return "it begins within a block of channels";
    return is_in_slab(from) ? NULL : "its operand comes from outside, or is returned";
}

static void make_part(joiner *j, agate_node *kernel)
{
    agate_node *slice = kernel->body->first;
    agate_value *from = kernel->operands[0], *result = &kernel->results[0];

    if (slice->op != AGATE_OP_slice || !is_alone(kernel, slice) ||
        from->type.layout.kind != AGATE_LAYOUT_channel || result->type.layout.kind != AGATE_LAYOUT_channel)
        return;
    const char *reason = refuse_slice(slice, from);
    if (!reason && (result->type.layout.pitch || is_returned(result)))
        reason = "its result lies elsewhere";
    if (reason || !agate_pass_spend(j->pass, kernel, "slice in place")) {
        agate_pass_remark(j->pass, kernel, "the slice stays: %s", reason ? reason : "no fuel is left");
        return;
    }
    agate_node *part = agate_node_create(j->graph, kernel, AGATE_OP_part, &from, 1, 1);
    part->attrs = slice->attrs;
    part->origin = slice->origin;
    agate_result(part)->type = result->type;
    agate_value_replace(result, agate_result(part));
    agate_node_remove(kernel);
    set_pitch(agate_result(part), agate_type_pitch(&from->type));
    j->changed = true;
}

/* -------------------------------------------------------------------------------------------------------- */

bool agate_pass_join_channels(agate_pass *pass, agate_graph *graph)
{
    joiner j = {.pass = pass, .graph = graph};
    int64_t results = 0;

    AGATE_EACH_NODE (node, graph)
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i].scratch = results++;
    j.seats = AGATE_NEW_N(pass->scratch, seat, results);
    AGATE_EACH_NODE_REVERSE (node, graph) {
        agate_node *concat = node->op == AGATE_OP_kernel ? find_concat(node) : NULL;
        if (concat)
            join_concat(&j, node, concat);
    }
    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_kernel)
            make_part(&j, node);
    return j.changed;
}
