/* merge-siblings: convolutions of one input run as one kernel with a result for each.
 *
 *     %1 = kernel(%x, %w) { conv, relu }         %3, %4 = kernel(%x, %wv) {
 *          : f32[N,64,28,28]{nchw16c}              %a = conv $0, $1 : f32[N,80,28,28]{nchw16c}
 *     %2 = kernel(%x, %v) { conv }         ==>     %b = slice %a starts=[0, 0, 0, 0] ...
 *          : f32[N,16,28,28]{nchw16c}              %c = relu %b : f32[N,64,28,28]{nchw16c}
 *                                                  %d = slice %a starts=[0, 64, 0, 0] ...
 *                                                  yield %c, %d }
 *
 * Siblings read the same value through windows of the same shape: the 1x1 convolutions at the head of an
 * inception module. Their packed weights stand one behind the other, their results stay apart, each with the
 * scalar ops that it had (see ir/parts.h), so nothing is copied. The input is fetched once, there are fewer
 * kernels to start, and more tiles in one for threads to share.
 *
 * The merged kernel stands behind the last operand of any of them, and in front of the first that reads one
 * of their results; who would break that stays out. Register tiles do not reach from part to part; where the
 * tiles that suit all parts cost more than those that each would have had, merging is declined too. Needs
 * packed weights (assign-layout); breaks nothing.
 */
#include <stdlib.h>

#include "ir/parts.h"
#include "passes/region.h"
#include "passes/strategy.h"

/* Tiles may cost this much more when they have to suit all parts. */
#define COST_LIMIT 1.01

typedef struct family {
    agate_pass *pass;
    agate_graph *graph;
    agate_value *input;
    agate_node *members[AGATE_MAX_PARTS]; /* kernels; whole blocks first */
    int32_t count;
    int32_t operands, nodes; /* of all bodies */
    agate_node *place;       /* the merged kernel goes right behind it; NULL: to the front */
    int64_t limit;           /* the first that reads a result */
    double cycles;           /* of all members apart */
} family;

static agate_node *conv_of(const agate_node *kernel)
{
    return kernel->body->first;
}

static int64_t filters_of(const agate_node *kernel)
{
    return conv_of(kernel)->operands[1]->type.dims[0].offset;
}

/* ---- who may be one ------------------------------------------------------------------------------------ */

/* A constant that the convolution alone reads. */
static const char *refuse_constant(const agate_node *kernel, const agate_value *param, agate_layout_kind kind)
{
    const agate_value *constant = param->node ? NULL : kernel->operands[param->index];

    if (!constant || !agate_is_constant(constant) || param->use_count > 1)
        return "its weights are not its own";
    if (constant->type.layout.kind != kind)
        return "its weights are packed in another way";
    return constant->node->data ? NULL : "the contents of its weights are not known";
}

static const char *refuse_kernel(const agate_node *kernel)
{
    const agate_node *conv = conv_of(kernel);
    const char *reason = refuse_constant(kernel, conv->operands[1], AGATE_LAYOUT_oi);

    if (!reason && conv->operand_count > 2)
        reason = refuse_constant(kernel, conv->operands[2], AGATE_LAYOUT_o);
    if (reason)
        return reason;
    if (conv->attrs.conv.group != 1)
        return "it has groups";
    for (const agate_node *node = conv->next; node != kernel->body->last; node = node->next)
        if (agate_node_family(node) != AGATE_FAMILY_pointwise)
            return "its kernel holds more than scalar ops behind the convolution";
    return NULL;
}

/* A kernel that begins with a convolution of `input` in blocked layout. */
static bool is_candidate(const agate_use *use, const agate_value *input)
{
    const agate_node *kernel = use->node, *conv = kernel->op == AGATE_OP_kernel ? conv_of(kernel) : NULL;

    return conv && conv->op == AGATE_OP_conv && !conv->operands[0]->node &&
           conv->operands[0]->index == use->index && input->type.layout.kind == AGATE_LAYOUT_channel &&
           conv->results[0].type.layout.kind == AGATE_LAYOUT_channel;
}

static bool slides_alike(const agate_node *a, const agate_node *b)
{
    const agate_type *v = &a->operands[1]->type, *w = &b->operands[1]->type;

    for (int32_t i = 1; i < v->rank; i++)
        if (!agate_dim_equal(v->dims[i], w->dims[i]))
            return false;
    return memcmp(&a->attrs, &b->attrs, sizeof a->attrs) == 0;
}

/* ---- growing a family ---------------------------------------------------------------------------------- */

/* The latest node that makes an operand of `kernel`, or `place` if that is later. */
static agate_node *latest_maker(const agate_node *kernel, agate_node *place)
{
    for (int32_t i = 0; i < kernel->operand_count; i++) {
        agate_node *maker = kernel->operands[i]->node;
        if (maker && !agate_node_has(maker, AGATE_CONSTANT) &&
            (!place || agate_order(maker) > agate_order(place)))
            place = maker;
    }
    return place;
}

static int64_t first_reader(const agate_node *kernel, int64_t limit)
{
    for (int32_t r = 0; r < kernel->result_count; r++)
        for (int32_t i = 0; i < kernel->results[r].use_count; i++)
            limit = agate_min(limit, agate_order(kernel->results[r].uses[i].node));
    return limit;
}

static int32_t body_size(const agate_node *kernel)
{
    int32_t count = 0;

    AGATE_EACH_NODE (node, kernel->body)
        count++;
    return count;
}

static double cycles_with(const family *f, const agate_node *more)
{
    int64_t filters[AGATE_MAX_PARTS];
    int32_t count = 0;

    for (int32_t i = 0; i < f->count; i++)
        filters[count++] = filters_of(f->members[i]);
    if (more)
        filters[count++] = filters_of(more);
    return agate_direct_conv_cycles(f->pass->machine, conv_of(more ? more : f->members[0]), filters, count);
}

static bool fills_blocks(const agate_node *kernel)
{
    return filters_of(kernel) % conv_of(kernel)->results[0].type.layout.block == 0;
}

static bool reads_member(const family *f, const agate_node *kernel)
{
    for (int32_t i = 0; i < kernel->operand_count; i++)
        for (int32_t k = 0; k < f->count; k++)
            if (kernel->operands[i]->node == f->members[k])
                return true;
    return false;
}

static agate_precision precision_of(const family *f, const agate_node *kernel)
{
    return agate_precision_of(f->pass->node_precisions, f->pass->precision, conv_of(kernel));
}

/* Why `kernel` cannot join; NULL: it can. */
static const char *refuse(const family *f, const agate_node *kernel)
{
    const agate_node *place = latest_maker(kernel, f->place);

    if (f->count == 0)
        return NULL;
    if (reads_member(f, kernel))
        return "it reads what another makes";
    if (precision_of(f, kernel) != precision_of(f, f->members[0]))
        return "another precision is asked for it";
    if (f->count == AGATE_MAX_PARTS || f->operands + kernel->operand_count > AGATE_REGION_OPERANDS ||
        f->nodes + body_size(kernel) > AGATE_REGION_MEMBERS)
        return "the kernel is as large as it may be";
    if (!fills_blocks(kernel) && !fills_blocks(f->members[f->count - 1]))
        return "only one of them may have channels that do not fill blocks";
    if (place && agate_order(place) >= first_reader(kernel, f->limit))
        return "an operand is computed only after a result is needed";
    int64_t filters = filters_of(kernel);
    double apart = f->cycles + agate_direct_conv_cycles(f->pass->machine, conv_of(kernel), &filters, 1);
    return cycles_with(f, kernel) > COST_LIMIT * apart ? "tiles that suit both cost more" : NULL;
}

static void join(family *f, agate_node *kernel)
{
    int64_t filters = filters_of(kernel);
    int32_t at = f->count++;

    if (at > 0 && !fills_blocks(f->members[at - 1])) { /* the one with a rest stays last */
        f->members[at] = f->members[at - 1];
        at--;
    }
    f->members[at] = kernel;
    f->operands += kernel->operand_count;
    f->nodes += body_size(kernel);
    f->place = latest_maker(kernel, f->place);
    f->limit = first_reader(kernel, f->limit);
    f->cycles += agate_direct_conv_cycles(f->pass->machine, conv_of(kernel), &filters, 1);
}

/* ---- constants ----------------------------------------------------------------------------------------- */

static const agate_value *constant_at(const agate_node *kernel, int32_t operand)
{
    const agate_node *conv = conv_of(kernel);
    return operand < conv->operand_count ? kernel->operands[conv->operands[operand]->index] : NULL;
}

static bool has_bias(const family *f)
{
    for (int32_t i = 0; i < f->count; i++)
        if (conv_of(f->members[i])->operand_count > 2)
            return true;
    return false;
}

/* The type of operand `operand` of the convolution of `filters` outputs: weights (1) or bias (2). */
static agate_type constant_type(const family *f, int32_t operand, int64_t filters)
{
    const agate_type *weights = &constant_at(f->members[0], 1)->type;
    agate_type type = operand == 1 ? *weights : agate_type_make(weights->dtype, 1, weights->dims);

    type.dims[0] = agate_dim_fixed(filters);
    if (operand == 2)
        type.layout = (agate_layout){.kind = AGATE_LAYOUT_o, .block = weights->layout.block};
    return type;
}

static int64_t size_of(const agate_type *type)
{
    agate_dim size = {0, 0};
    agate_type_size(type, &size);
    return size.offset;
}

static const char *merged_label(const family *f, int32_t operand)
{
    const char *label = NULL;

    for (int32_t i = 0; i < f->count; i++) {
        const agate_value *constant = constant_at(f->members[i], operand);
        const char *own = constant ? constant->node->label : NULL;
        if (own)
            label = label ? agate_arena_format(f->graph->arena, "%s+%s", label, own) : own;
    }
    return label;
}

/* Contents one behind the other; NULL: zeros. */
typedef struct row_of_data {
    int32_t count;
    agate_data *parts[AGATE_MAX_PARTS];
    size_t sizes_bytes[AGATE_MAX_PARTS];
} row_of_data;

/* An agate_make_fn. */
static bool make_row(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const row_of_data *row = data->owner;
    size_t begin = 0, end = first_bytes + size_bytes;

    for (int32_t i = 0; i < row->count; begin += row->sizes_bytes[i++]) {
        size_t from = (size_t)agate_max((int64_t)first_bytes, (int64_t)begin);
        size_t to = (size_t)agate_min((int64_t)end, (int64_t)(begin + row->sizes_bytes[i]));
        char *target = (char *)out + (from - first_bytes);
        if (to <= from)
            continue;
        if (!row->parts[i])
            memset(target, 0, to - from);
        else if (!agate_data_read(row->parts[i], from - begin, to - from, target))
            return false;
        else if (to - from == row->sizes_bytes[i]) /* made as a whole, and not again */
            agate_data_forget(row->parts[i]);
    }
    return true;
}

static void release_row(agate_data *data)
{
    row_of_data *row = data->owner;

    for (int32_t i = 0; i < row->count; i++)
        agate_data_release(row->parts[i]);
    free(row);
    free(data);
}

/* Outputs are the outermost dimension of packed weights, and all but the last member fill blocks: one behind
 * the other is packed, too. A bias that a member lacks is 0. NULL where memory is short. */
static agate_value *merge_constants(const family *f, int32_t operand, int64_t filters, agate_node *before)
{
    agate_type type = constant_type(f, operand, filters);
    row_of_data *row = calloc(1, sizeof *row);
    agate_data *data = row ? agate_data_create_deferred((size_t)size_of(&type), make_row, NULL, row) : NULL;

    if (!data) {
        free(row);
        return NULL;
    }
    data->release = release_row;
    row->count = f->count;
    for (int32_t i = 0; i < f->count; i++) {
        const agate_value *constant = constant_at(f->members[i], operand);
        agate_type own = constant_type(f, operand, filters_of(f->members[i]));
        row->parts[i] = constant ? agate_data_retain(constant->node->data) : NULL;
        row->sizes_bytes[i] = (size_t)size_of(&own);
    }
    agate_value *merged = agate_build_constant(f->graph, before, &type, data, merged_label(f, operand));
    agate_order_insert(merged->node);
    return merged;
}

/* ---- building ------------------------------------------------------------------------------------------ */

typedef struct merging {
    family *f;
    agate_graph *body;
    agate_value **operands; /* of the kernel */
    int32_t operand_count;
    agate_value **yields;
    int32_t yield_count;
    agate_node *conv;
    int64_t start; /* first channel of the next part */
} merging;

static agate_value *add_operand(merging *m, agate_value *value)
{
    m->operands[m->operand_count++] = value;
    return agate_graph_add_param(m->body, NULL, &value->type);
}

/* What `value` of a member's body is in the merged one: kept in value->scratch. */
static agate_value *counterpart(const agate_value *value)
{
    return (agate_value *)(intptr_t)value->scratch;
}

static void set_counterpart(agate_value *value, agate_value *counterpart)
{
    value->scratch = (int64_t)(intptr_t)counterpart;
}

static agate_value *add_slice(merging *m, const agate_node *member)
{
    const agate_type *type = &conv_of(member)->results[0].type;
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_slice, &attrs);
    attrs.slice.starts.count = attrs.slice.shape.count = type->rank;
    for (int32_t i = 0; i < type->rank; i++)
        attrs.slice.shape.v[i] = type->dims[i];
    attrs.slice.starts.v[1] = m->start;
    m->start += type->dims[1].offset;
    return agate_build(m->body, NULL, AGATE_OP_slice, &attrs, (agate_value *[]){&m->conv->results[0]}, 1);
}

/* Slice and scalar ops of one member. */
static void add_part(merging *m, const agate_node *member)
{
    agate_node *conv = conv_of(member), *yield = agate_kernel_yield(member);

    for (int32_t i = 0; i < member->operand_count; i++) {
        agate_value *param = member->body->params[i];
        bool own =
            i == conv->operands[1]->index || (conv->operand_count > 2 && i == conv->operands[2]->index);
        if (!own)
            set_counterpart(param, member->operands[i] == m->f->input ? m->body->params[0]
                                                                      : add_operand(m, member->operands[i]));
    }
    set_counterpart(&conv->results[0], add_slice(m, member));
    for (agate_node *node = conv->next; node != yield; node = node->next) {
        agate_value **operands = AGATE_NEW_N(m->f->pass->scratch, agate_value *, node->operand_count);
        for (int32_t i = 0; i < node->operand_count; i++)
            operands[i] = counterpart(node->operands[i]);
        set_counterpart(agate_result(node), agate_result(agate_node_copy(m->body, node, operands)));
    }
    for (int32_t i = 0; i < yield->operand_count; i++)
        m->yields[m->yield_count++] = counterpart(yield->operands[i]);
}

static void add_conv(merging *m, agate_value *const *constants, int64_t filters)
{
    const agate_node *first = conv_of(m->f->members[0]);
    agate_value *operands[3] = {add_operand(m, m->f->input), add_operand(m, constants[0])};
    int32_t count = 2;

    if (constants[1])
        operands[count++] = add_operand(m, constants[1]);
    m->conv = agate_node_create(m->body, NULL, AGATE_OP_conv, operands, count, 1);
    m->conv->attrs = first->attrs;
    m->conv->results[0].type = first->results[0].type;
    m->conv->results[0].type.dims[1] = agate_dim_fixed(filters);
    for (int32_t i = 0; i < m->f->count; i++)
        agate_take_origin(m->conv, conv_of(m->f->members[i]));
}

static void replace_members(const family *f, agate_node *kernel)
{
    int32_t result = 0;

    for (int32_t i = 0; i < f->count; i++) {
        agate_node *member = f->members[i];
        agate_take_origin(kernel, member);
        for (int32_t r = 0; r < member->result_count; r++, result++) {
            kernel->results[result].type = member->results[r].type;
            agate_value_replace(&member->results[r], &kernel->results[result]);
        }
        agate_sweep(member);
    }
}

static bool merge(family *f)
{
    agate_arena *scratch = f->pass->scratch;
    agate_node *before = f->place ? f->place->next : f->graph->first;
    merging m = {.f = f,
                 .operands = AGATE_NEW_N(scratch, agate_value *, f->operands),
                 .yields = AGATE_NEW_N(scratch, agate_value *, f->nodes)};
    int64_t filters = 0;

    for (int32_t i = 0; i < f->count; i++)
        filters += filters_of(f->members[i]);
    agate_value *constants[2] = {merge_constants(f, 1, filters, before), NULL};
    if (constants[0] && has_bias(f))
        constants[1] = merge_constants(f, 2, filters, before);
    if (!constants[0] || (has_bias(f) && !constants[1])) {
        if (constants[0])
            agate_sweep(constants[0]->node);
        agate_pass_remark(f->pass, f->members[0], "not merged: memory is short");
        return false;
    }
    m.body = agate_graph_create_body(f->graph);
    add_conv(&m, constants, filters);
    for (int32_t i = 0; i < f->count; i++)
        add_part(&m, f->members[i]);
    agate_node_create(m.body, NULL, AGATE_OP_yield, m.yields, m.yield_count, 0);

    agate_node *kernel =
        agate_node_create(f->graph, before, AGATE_OP_kernel, m.operands, m.operand_count, m.yield_count);
    kernel->body = m.body;
    m.body->kernel = kernel;
    agate_order_insert(kernel);
    agate_order_bring_constants(kernel);
    replace_members(f, kernel);
    return true;
}

/* ---- the pass ------------------------------------------------------------------------------------------ */

static int by_order(const void *left, const void *right)
{
    int64_t a = agate_order(*(agate_node *const *)left), b = agate_order(*(agate_node *const *)right);
    return a < b ? -1 : a > b;
}

/* Kernels that convolve `input` and may have siblings, in order. */
static int32_t list_candidates(agate_pass *pass, const agate_value *input, agate_node **out_kernels)
{
    int32_t count = 0;

    for (int32_t i = 0; i < input->use_count; i++)
        if (is_candidate(&input->uses[i], input))
            out_kernels[count++] = input->uses[i].node;
    qsort(out_kernels, (size_t)count, sizeof *out_kernels, by_order);
    if (count < 2)
        return 0;

    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++) {
        const char *reason = refuse_kernel(out_kernels[i]);
        if (reason)
            agate_pass_remark(pass, out_kernels[i], "not merged with its siblings: %s", reason);
        else
            out_kernels[kept++] = out_kernels[i];
    }
    return kept;
}

static bool merge_readers(agate_pass *pass, agate_graph *graph, agate_value *input)
{
    bool changed = false;

    if (input->use_count < 2)
        return false;
    agate_node **kernels = AGATE_NEW_N(pass->scratch, agate_node *, input->use_count);
    int32_t count = list_candidates(pass, input, kernels);

    while (count > 1) {
        family f = {.pass = pass, .graph = graph, .input = input, .limit = INT64_MAX};
        int32_t left = 0;
        for (int32_t i = 0; i < count; i++) {
            bool alike = i == 0 || slides_alike(conv_of(f.members[0]), conv_of(kernels[i]));
            const char *reason = alike ? refuse(&f, kernels[i]) : "another kernel, stride, pad or dilation";
            if (!reason) {
                join(&f, kernels[i]);
                continue;
            }
            agate_pass_remark(pass, kernels[i], "not merged with its sibling: %s", reason);
            kernels[left++] = kernels[i];
        }
        count = left;
        if (f.count > 1 && agate_pass_spend(pass, f.members[0], "merge siblings"))
            changed |= merge(&f);
    }
    return changed;
}

bool agate_pass_merge_siblings(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    agate_order_number(graph);
    for (int32_t i = 0; i < graph->param_count; i++)
        changed |= merge_readers(pass, graph, graph->params[i]);
    for (agate_node *node = graph->first; node; node = node->next) {
        size_t mark = agate_arena_mark(pass->scratch);
        for (int32_t i = 0; i < node->result_count && !agate_node_has(node, AGATE_CONSTANT); i++)
            changed |= merge_readers(pass, graph, &node->results[i]);
        agate_arena_rewind(pass->scratch, mark);
    }
    return changed;
}
