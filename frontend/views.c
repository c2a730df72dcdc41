/* views.c: what a view is, how it is made, and how its dimensions become the base's. */
#include "frontend/views.h"

typedef struct view {
    agate_value value; /* what handlers hold: of the model's type, and in no graph */
    agate_value *base;
    int64_t perm[AGATE_MAX_RANK];
} view;

static const view *view_of(const agate_value *value)
{
    return value->node ? NULL : (const view *)(intptr_t)value->scratch;
}

bool agate_is_view(const agate_value *value)
{
    return view_of(value) != NULL;
}

/* The first dimension behind the outermost that follows the batch; 0: none does. */
static int32_t inner_batch(const agate_type *type)
{
    for (int32_t i = 1; i < type->rank; i++)
        if (!agate_dim_is_fixed(type->dims[i]))
            return i;
    return 0;
}

static void add_help(const agate_importer *importer, agate_text *text)
{
    agate_text_add(text, "; fix the batch (--dim %s=1), or export the model with a batch of fixed size",
                   importer->batch_name ? importer->batch_name : "NAME");
}

void agate_view_explain(const agate_importer *importer, const agate_type *type, agate_text *text)
{
    const int32_t inner = inner_batch(type);
    agate_text_add(text,
                   inner ? "dimension %d follows the batch, which only the outermost one can"
                         : "dimension %d holds the batch within another dimension",
                   inner);
    add_help(importer, text);
}

/* ---- shapes ----------------------------------------------------------------------------------------------
 */

/* Product of the dimensions first..last-1; false where it is none. */
static bool product(const agate_dim *dims, int32_t first, int32_t last, agate_dim *out_product)
{
    *out_product = agate_dim_fixed(1);
    for (int32_t i = first; i < last; i++)
        if (!agate_dim_mul(*out_product, dims[i], out_product))
            return false;
    return true;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* The order of a base that is `perm`, but for the batch, which comes first. Returns where it was. */
static int32_t batch_first(int32_t rank, const int64_t *perm, int64_t *out_perm)
{
    int32_t batch = 0, next = 1;
    out_perm[0] = 0;
    for (int32_t i = 0; i < rank; i++) {
        if (perm[i] == 0)
            batch = i;
        else
            out_perm[next++] = perm[i];
    }
    return batch;
}

static void invert(int32_t rank, const int64_t *perm, int64_t *out_perm)
{
    for (int32_t i = 0; i < rank; i++)
        out_perm[perm[i]] = i;
}

/* Transposes and reshapes; only the latter where dimensions longer than 1 keep their order. */
static agate_value *move(agate_call *call, agate_value *value, const int64_t *perm, int32_t rank,
                         const agate_dim *dims)
{
    int64_t last = -1;
    bool kept = true;
    for (int32_t i = 0; value && i < value->type.rank; i++) {
        if (agate_dim_is(value->type.dims[perm[i]], 1))
            continue;
        kept = kept && perm[i] > last;
        last = perm[i];
    }
    return agate_lower_reshape(call, kept ? value : agate_lower_transpose(call, value, perm), rank, dims);
}

/* ---- views -----------------------------------------------------------------------------------------------
 */

agate_value *agate_view_make(agate_call *call, agate_value *base, const int64_t *perm, const agate_type *type)
{
    int64_t order[AGATE_MAX_RANK];
    if (!base || agate_batch_axis(&base->type) != 0)
        return NULL;
    const int32_t batch = batch_first(base->type.rank, perm, order);
    bool outermost = agate_batch_axis(type) == 0;
    for (int32_t i = 0; i < batch; i++)
        outermost = outermost && agate_dim_is(base->type.dims[perm[i]], 1);
    if (outermost)
        return move(call, base, order, type->rank, type->dims);
    view *made = AGATE_NEW(call->importer->arena, view);
    made->value.type = *type;
    made->value.scratch = (int64_t)(intptr_t)made;
    made->base = base;
    memcpy(made->perm, perm, sizeof(int64_t) * (size_t)base->type.rank);
    return &made->value;
}

/* ---- spreading -------------------------------------------------------------------------------------------
 */

/* The shape that a view's spread has, where `ahead` elements of the base stand in front of the batch: the
 * view's own, or with the dimension of the batch in two. */
static bool spread_shape(const agate_type *type, int64_t ahead, agate_spread *spread, agate_dim *out_dims)
{
    const int32_t batch = agate_batch_axis(type);
    agate_dim stated;
    spread->rank = type->rank;
    spread->fold = -1;
    memcpy(out_dims, type->dims, sizeof(agate_dim) * (size_t)type->rank);
    if (batch < 0 || !product(type->dims, 0, batch, &stated))
        return false;
    if (stated.offset == ahead)
        return true;
    if (stated.offset == 0 || ahead == 0 || ahead % stated.offset || type->rank == AGATE_MAX_RANK)
        return false;
    const agate_dim factor = agate_dim_fixed(ahead / stated.offset);
    spread->rank++;
    spread->fold = batch;
    for (int32_t i = type->rank; i > batch + 1; i--)
        out_dims[i] = type->dims[i - 1];
    out_dims[batch] = factor;
    return agate_dim_div(type->dims[batch], factor, &out_dims[batch + 1]);
}

/* Cuts a base anew. Between the batch N and what follows it, elements may change sides: the dimension u*N of
 * the base becomes w*N, as [T,N,H*d] becomes [T,N*H,d]. `base` is [uN, ahead, behind]. */
static agate_value *recut(agate_call *call, agate_value *base, agate_dim to, int64_t ahead, int64_t behind)
{
    static const int64_t swap[] = {0, 2, 1, 3};
    const agate_dim from = base->type.dims[0];
    const int64_t had = common_divisor(from.scale, from.offset), has = common_divisor(to.scale, to.offset);
    const int64_t both = common_divisor(had, has);
    if (both == 0 || had / both * behind % (has / both))
        return NULL;
    const int64_t out = had / both, in = has / both, rest = out * behind / in;
    agate_dim unit, unit_wanted;
    if (!agate_dim_div(from, agate_dim_fixed(out), &unit) ||
        !agate_dim_div(to, agate_dim_fixed(in), &unit_wanted) || !agate_dim_equal(unit, unit_wanted))
        return NULL;
    if (out > 1) {
        const agate_dim dims[] = {unit, agate_dim_fixed(out), agate_dim_fixed(ahead),
                                  agate_dim_fixed(behind)};
        base = agate_lower_transpose(call, agate_lower_reshape(call, base, 4, dims), swap);
    }
    if (in > 1) {
        const agate_dim dims[] = {unit, agate_dim_fixed(ahead), agate_dim_fixed(in), agate_dim_fixed(rest)};
        base = agate_lower_transpose(call, agate_lower_reshape(call, base, 4, dims), swap);
    }
    return base;
}

/* Spreads a view whose dimensions are not those of its base. */
static bool spread_anew(agate_call *call, const view *source, int32_t place, const agate_dim *dims,
                        agate_spread *spread)
{
    const agate_type *type = &source->base->type;
    int64_t order[AGATE_MAX_RANK];
    agate_dim ordered[AGATE_MAX_RANK], ahead, behind, to[AGATE_MAX_RANK];

    batch_first(type->rank, source->perm, order);
    for (int32_t i = 0; i < type->rank; i++)
        ordered[i] = type->dims[order[i]];
    if (!product(ordered, 1, place + 1, &ahead) || !product(ordered, place + 1, type->rank, &behind) ||
        ahead.offset == 0)
        return false;
    const int32_t batch = spread->fold < 0 ? agate_batch_axis(&source->value.type) : spread->fold + 1;
    to[0] = dims[batch];
    for (int32_t i = 0, next = 1; i < spread->rank; i++)
        if (i != batch)
            to[next++] = dims[i];
    agate_value *base = move(call, source->base, order, type->rank, ordered);
    base = base ? recut(call, base, dims[batch], ahead.offset, behind.offset) : NULL;
    spread->base = agate_lower_reshape(call, base, spread->rank, to);
    for (int32_t i = 0; i < spread->rank; i++)
        spread->perm[i] = i < batch ? i + 1 : i == batch ? 0 : i;
    return spread->base != NULL;
}

agate_spread agate_view_source(agate_value *value)
{
    const view *source = view_of(value);
    agate_spread spread = {.base = source ? source->base : value, .fold = -1};
    spread.rank = spread.base->type.rank;
    for (int32_t i = 0; i < spread.rank; i++)
        spread.perm[i] = source ? source->perm[i] : i;
    return spread;
}

bool agate_view_spread(agate_call *call, agate_value *value, agate_spread *out_spread)
{
    const view *source = view_of(value);
    agate_dim dims[AGATE_MAX_RANK], ahead = agate_dim_fixed(1);
    *out_spread = agate_view_source(value);
    if (!source)
        return true;
    const agate_type *type = &source->base->type;
    int32_t place = 0;
    for (; source->perm[place] != 0; place++)
        if (!agate_dim_mul(ahead, type->dims[source->perm[place]], &ahead))
            return false;
    if (!spread_shape(&value->type, ahead.offset, out_spread, dims))
        return false;
    bool same = out_spread->rank == type->rank;
    for (int32_t i = 0; same && i < type->rank; i++)
        same = agate_dim_equal(dims[i], type->dims[source->perm[i]]);
    return same || spread_anew(call, source, place, dims, out_spread);
}

static agate_dim spread_dim(const agate_spread *spread, int64_t axis)
{
    return spread->base->type.dims[spread->perm[axis]];
}

int32_t agate_view_axis(const agate_spread *spread, int64_t axis)
{
    const int64_t place = spread->fold >= 0 && axis > spread->fold ? axis + 1 : axis;
    const bool batch = axis == spread->fold || !agate_dim_is_fixed(spread_dim(spread, place));
    return batch ? -1 : (int32_t)spread->perm[place];
}

/* ---- frames ----------------------------------------------------------------------------------------------
 */

bool agate_view_frame(agate_call *call, agate_value *const *operands, int32_t operand_count,
                      const agate_type *type, int32_t tail, agate_frame *out_frame)
{
    const int32_t batch = agate_batch_axis(type);
    bool met = false, ordered = false;

    *out_frame = (agate_frame){.factor = -1};
    for (int32_t i = 0; i < operand_count; i++) {
        const agate_type *operand = &operands[i]->type;
        const int32_t place = agate_batch_axis(operand);
        agate_spread spread;
        if (place < 0)
            continue;
        if (operand->rank - place != type->rank - batch || !agate_view_spread(call, operands[i], &spread))
            return false;
        const int64_t factor = spread.fold < 0 ? -1 : spread_dim(&spread, spread.fold).offset;
        if (met && factor != out_frame->factor)
            return false;
        met = true;
        out_frame->factor = factor;
        if (ordered || spread.rank != type->rank + (factor >= 0))
            continue;
        invert(spread.rank, spread.perm, out_frame->order);
        ordered = true;
        for (int32_t k = spread.rank - tail; k < spread.rank; k++)
            ordered = ordered && spread.perm[k] == k;
    }
    const bool folded = out_frame->factor >= 0;
    out_frame->rank = type->rank + folded;
    out_frame->batch = batch + folded;
    if (batch < 0 || out_frame->rank > AGATE_MAX_RANK)
        return false;
    for (int32_t i = 0; i < out_frame->rank && !ordered; i++)
        out_frame->order[i] = i == 0 ? out_frame->batch : i <= out_frame->batch ? i - 1 : i;
    return true;
}

/* A value without the batch gets a 1 beside the 1 that it has where the batch is folded. */
static bool spread_fixed(agate_call *call, const agate_frame *frame, agate_spread *spread)
{
    const int32_t place = spread->rank - (frame->rank - frame->batch);
    agate_dim dims[AGATE_MAX_RANK];
    if (frame->factor < 0 || place < 0)
        return true;
    for (int32_t i = 0; i <= spread->rank; i++)
        dims[i] = i == place ? agate_dim_fixed(1) : spread->base->type.dims[i < place ? i : i - 1];
    spread->perm[spread->rank] = spread->rank;
    spread->rank++;
    spread->base = agate_lower_reshape(call, spread->base, spread->rank, dims);
    return spread->base != NULL;
}

agate_value *agate_view_bring(agate_call *call, agate_value *value, const agate_frame *frame, int32_t least)
{
    const bool fixed = agate_batch_axis(&value->type) < 0;
    agate_dim dims[AGATE_MAX_RANK];
    int64_t from[AGATE_MAX_RANK];
    int32_t count = 0, skipped = 0;
    agate_spread spread;
    if (!agate_view_spread(call, value, &spread) || (fixed && !spread_fixed(call, frame, &spread)))
        return NULL;
    for (int32_t i = 0; i < frame->rank; i++) {
        const int64_t axis = frame->order[i] - (frame->rank - spread.rank);
        dims[i] = axis < 0 ? agate_dim_fixed(1) : spread_dim(&spread, axis);
        if (axis >= 0)
            from[count++] = spread.perm[axis];
    }
    while (fixed && skipped < frame->rank - least && agate_dim_is(dims[skipped], 1))
        skipped++;
    return move(call, spread.base, from, frame->rank - skipped, dims + skipped);
}

agate_value *agate_view_leave(agate_call *call, agate_value *base, const agate_frame *frame,
                              const agate_type *type)
{
    int64_t perm[AGATE_MAX_RANK];
    invert(frame->rank, frame->order, perm);
    return agate_view_make(call, base, perm, type);
}

/* ---- building --------------------------------------------------------------------------------------------
 */

/* The type that an op's rule gives its result, wherever the batch is in it. */
static bool infer(agate_call *call, agate_view_work *work, agate_attrs *attrs, agate_text *fault)
{
    const agate_op_info *info = &agate_op_table[work->op];
    agate_value result = {0};
    agate_node node = {.op = work->op,
                       .operand_count = work->operand_count,
                       .operands = (agate_value **)work->operands,
                       .result_count = 1,
                       .results = &result,
                       .graph = call->importer->graph};
    if (work->operand_count < info->operand_min || work->operand_count > info->operand_max || !info->infer)
        return false;
    if (work->attrs)
        node.attrs = *work->attrs;
    const bool good = info->infer(&node, &work->type, fault);
    *attrs = node.attrs; /* with the lists filled in that were left out */
    return good;
}

/* A dimension follows the batch at most: two of them would be its square. */
static bool follows_once(const agate_type *type)
{
    int32_t count = 0;
    for (int32_t i = 0; i < type->rank; i++)
        count += !agate_dim_is_fixed(type->dims[i]);
    return count == 1;
}

/* Says what inference did, if that failed: the batch may well be why. Else speaks of the result where that
 * has the batch inside, or of the first view. */
static void refuse(agate_call *call, const agate_view_work *work, agate_text *fault)
{
    const agate_type *type = inner_batch(&work->type) ? &work->type : NULL;
    for (int32_t i = 0; i < work->operand_count && !type; i++)
        if (agate_is_view(work->operands[i]))
            type = &work->operands[i]->type;
    if (fault->size_bytes)
        add_help(call->importer, fault);
    else
        agate_view_explain(call->importer, type, fault);
    agate_call_unsupported(call, "%s", agate_text_c(fault));
}

bool agate_view_lower(agate_call *call, agate_op op, const agate_attrs *attrs, agate_value *const *operands,
                      int32_t operand_count, agate_value **out_value)
{
    agate_view_work work = {op, attrs, operands, operand_count, {0}};
    agate_attrs filled = {0};
    agate_text fault = {0};
    bool viewed = false;
    for (int32_t i = 0; i < operand_count; i++)
        viewed = viewed || agate_is_view(operands[i]);

    *out_value = NULL;
    const agate_view_rule rule = agate_view_rule_of(op);
    const bool typed = infer(call, &work, &filled, &fault);
    const bool concerned = viewed || (typed && inner_batch(&work.type));
    work.attrs = &filled;
    if (concerned && typed && rule && follows_once(&work.type))
        *out_value = rule(call, &work);
    if (concerned && !*out_value && !call->faulty)
        refuse(call, &work, &fault);
    agate_text_deinit(&fault);
    return concerned;
}
