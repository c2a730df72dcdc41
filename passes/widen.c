/* widen: what computes f16 or bf16 computes f32 and rounds its result, as a model in half precision says.
 *
 *     %1 = conv %x, %w : f16[N,64,56,56]          %a = cast %x : f32[N,64,56,56]
 *     %2 = relu %1 : f16[N,64,56,56]        ==>   %b = weight "w" : f32[64,64,3,3]
 *                                                 %c = conv %a, %b : f32[N,64,56,56]
 *                                                 %d = round_f16 %c : f32[N,64,56,56]
 *                                                 %e = relu %d : f32[N,64,56,56]
 *                                                 %2 = cast %e : f16[N,64,56,56]
 *
 * Every value of 16 bits gets a twin of f32 that holds the same numbers, and what reads it reads the twin:
 * convolutions and all else are those of f32, and their roundings scalar ops behind them. None is left out,
 * for results would be nearer then, but others. An op whose result is one of its operands' numbers, or one
 * less its sign, needs none. Casts stay at the graph's edges. Needs types; breaks nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/narrow.h"
#include "passes/rewrite.h"

static agate_value *get_twin(const agate_value *value)
{
    return (agate_value *)(intptr_t)value->scratch;
}

static void set_twin(agate_value *value, agate_value *twin)
{
    value->scratch = (intptr_t)twin;
}

static agate_value *cast_to(agate_node *before, agate_value *value, agate_dtype dtype)
{
    agate_attrs attrs;

    agate_attrs_init(AGATE_SET_cast, &attrs);
    attrs.cast.to = dtype;
    return agate_rebuild(before, AGATE_OP_cast, &attrs, &value, 1);
}

static agate_value *rounded(agate_node *before, agate_value *value, uint16_t dtype)
{
    agate_op op = dtype == AGATE_F16 ? AGATE_OP_round_f16 : AGATE_OP_round_bf16;

    return agate_rebuild(before, op, NULL, &value, 1);
}

/* Writes a piece of the f32s that the source's numbers are: these are read into its second half, and none is
 * written over before its turn. */
static bool make_wide(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out)
{
    const agate_dtype from = *(const agate_dtype *)data->owner;
    const size_t count = size_bytes / sizeof(float);
    char *wide = out, *narrow = wide + count * sizeof(uint16_t);

    if (!agate_data_read(data->source, first_bytes / 2, size_bytes / 2, narrow))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, narrow + i * sizeof bits, sizeof bits);
        const float number = from == AGATE_F16 ? agate_f16_to_f32(bits) : agate_bf16_to_f32(bits);
        memcpy(wide + i * sizeof number, &number, sizeof number);
    }
    return true;
}

/* A constant's numbers as f32s, which are made when they are packed. NULL where memory is short. */
static agate_value *wide_constant(agate_value *value)
{
    agate_node *node = value->node;
    agate_dtype *from = malloc(sizeof *from);
    agate_type type = value->type;
    agate_data *data =
        from ? agate_data_create_deferred(2 * node->data->size_bytes, make_wide, node->data, from) : NULL;

    if (!data) {
        free(from);
        return NULL;
    }
    *from = (agate_dtype)type.dtype;
    type.dtype = AGATE_F32;
    agate_value *wide = agate_build_constant(node->graph, node, &type, data, node->label);
    wide->node->origin = node->origin;
    return wide;
}

/* The f32 value of the same numbers as `value`, which `reader` asks for. */
static agate_value *twin_of(agate_value *value, agate_node *reader)
{
    const agate_node *maker = value->node;
    agate_value *twin = get_twin(value);

    if (!twin && agate_is_constant(value) && maker->data)
        twin = wide_constant(value);
    if (!twin && maker && maker->op == AGATE_OP_cast && maker->operands[0]->type.dtype == AGATE_F32)
        twin = rounded(reader, maker->operands[0], value->type.dtype);
    if (!twin)
        twin = cast_to(reader, value, AGATE_F32);
    set_twin(value, twin);
    return twin;
}

/* Are the numbers of the result numbers of the operands, but for their signs, or whole? */
static bool is_exact(const agate_node *node)
{
    switch (agate_node_family(node)) {
    case AGATE_FAMILY_move:
    case AGATE_FAMILY_view:
        return true;
    default:
        break;
    }
    switch (node->op) {
    case AGATE_OP_max_pool:
    case AGATE_OP_reduce_max:
    case AGATE_OP_reduce_min:
    case AGATE_OP_gather:
    case AGATE_OP_max:
    case AGATE_OP_min:
    case AGATE_OP_neg:
    case AGATE_OP_abs:
    case AGATE_OP_sign:
    case AGATE_OP_relu:
    case AGATE_OP_select:
    case AGATE_OP_floor:
    case AGATE_OP_ceil:
    case AGATE_OP_round:
        return true;
    default:
        return false;
    }
}

static bool reads_half(const agate_node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (agate_is_half(node->operands[i]))
            return true;
    return false;
}

/* Does the node compute something of 16 bits? Casts and moves do where what they read has a twin already: in
 * front of the graph's results moves may stand behind the cast (sink-transpose). */
static bool is_wanted(const agate_node *node)
{
    agate_family family = agate_node_family(node);

    if (family == AGATE_FAMILY_cast || family == AGATE_FAMILY_move || family == AGATE_FAMILY_view) {
        for (int32_t i = 0; i < node->operand_count; i++)
            if (agate_is_half(node->operands[i]) && get_twin(node->operands[i]))
                return true;
        return false;
    }
    if (agate_node_has(node, AGATE_CONSTANT) || agate_node_has(node, AGATE_TERMINATOR) ||
        node->op == AGATE_OP_kernel || node->result_count != 1)
        return false;
    return reads_half(node);
}

static void widen(agate_pass *pass, agate_node *node)
{
    agate_value **operands = AGATE_NEW_N(pass->scratch, agate_value *, node->operand_count);
    agate_value *result = agate_result(node);
    uint16_t dtype = result->type.dtype;

    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = agate_is_half(node->operands[i]) ? twin_of(node->operands[i], node) : node->operands[i];
    if (node->op == AGATE_OP_cast && dtype == AGATE_F32) {
        agate_replace(node, operands[0]);
        return;
    }
    bool narrows = agate_is_half(result);
    agate_value *wide = node->op == AGATE_OP_cast && narrows
                            ? operands[0]
                            : agate_rebuild(node, node->op, &node->attrs, operands, node->operand_count);
    if (!narrows)
        agate_replace(node, wide);
    else
        set_twin(result, is_exact(node) ? wide : rounded(node, wide, dtype));
}

/* What is not widened, as the graph's results are not, reads 16 bits as before. */
static void narrow_again(agate_node *reader)
{
    for (int32_t i = 0; i < reader->operand_count; i++) {
        agate_value *value = reader->operands[i], *twin = get_twin(value);
        if (agate_is_half(value) && twin && value->node && value->node->op != AGATE_OP_cast &&
            !agate_is_constant(value))
            agate_node_set_operand(reader, i, cast_to(reader, twin, (agate_dtype)value->type.dtype));
    }
}

bool agate_pass_widen(agate_pass *pass, agate_graph *graph)
{
    bool changed = false;

    agate_clear_scratch(graph);
    AGATE_EACH_NODE (node, graph) {
        if (is_wanted(node) && agate_pass_spend(pass, node, "widen")) {
            widen(pass, node);
            changed = true;
        } else {
            narrow_again(node);
        }
    }
    AGATE_EACH_NODE_REVERSE (node, graph) /* what nobody reads any more */
        if (node->result_count == 1 && get_twin(&node->results[0]))
            agate_sweep(node);
    return changed;
}
