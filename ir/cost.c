/* cost.c: the costs of nodes, from types and attributes. */
#include "ir/cost.h"

/* `each` times an attribute or extent; 0 once that is too large. */
static int64_t times(int64_t each, int64_t count)
{
    int64_t product;

    return __builtin_mul_overflow(each, count, &product) ? 0 : product;
}

/* Operations behind one element of the result. */
static int64_t flops_each(const agate_node *node)
{
    const agate_type *type = &node->operands[node->operand_count > 1 ? 1 : 0]->type;
    int64_t each = 1;

    switch (agate_node_info(node)->family) {
    case AGATE_FAMILY_conv:
        for (int32_t i = 1; i < type->rank; i++)
            each = times(each, type->dims[i].offset);
        return times(each, 2);
    case AGATE_FAMILY_winograd: { /* of a tile's products, the share of one output */
        int64_t points = type->dims[1].offset, outputs = points - 2;
        each = times(times(type->dims[3].offset, 2), points * points);
        return each / (outputs * outputs);
    }
    case AGATE_FAMILY_matmul:
        type = &node->operands[0]->type;
        return times(type->dims[type->rank - 1].offset, 2);
    case AGATE_FAMILY_resample:
        type = &node->operands[2]->type;
        return times(type->dims[1].offset, 2);
    case AGATE_FAMILY_window:
        for (int32_t i = 0; i < node->attrs.pool.kernel.count; i++)
            each = times(each, node->attrs.pool.kernel.v[i]);
        return each;
    default:
        return 0;
    }
}

agate_dim agate_node_flops(const agate_node *node)
{
    agate_dim total = {0}, count, flops;

    if (node->op == AGATE_OP_kernel) {
        AGATE_EACH_NODE (inner, node->body)
            if (!agate_dim_add(total, agate_node_flops(inner), &total))
                return agate_dim_fixed(0);
        return total;
    }
    if (node->result_count == 0 || node->operand_count == 0 || flops_each(node) == 0 ||
        !agate_type_count(&node->results[0].type, &count) ||
        !agate_dim_mul(count, agate_dim_fixed(flops_each(node)), &flops))
        return agate_dim_fixed(0);
    return flops;
}

/* ---- scalar ops ---------------------------------------------------------------------------------------- */

/* The words of scalar.def once more, here as what each costs: instructions in the low bits, divisions above
 * them, exponentials above those. Functions are as backend/emit_math.c expands them; the C library's, of
 * which each lane calls its own, are taken for 120, which eight lanes need at the very least. */
#define DIVISION     (1 << 16)
#define EXPONENTIAL  (1 << 24)
#define LIBRARY      120
#define A            0
#define B            0
#define C            0
#define P            0
#define Q            0
#define K(x)         0
#define ONE(x)       ((x) + 1)
#define TWO(x, y)    ((x) + (y) + 1)
#define ADD(x, y)    TWO(x, y)
#define SUB(x, y)    TWO(x, y)
#define MUL(x, y)    TWO(x, y)
#define DIV(x, y)    ((x) + (y) + DIVISION)
#define NEG(x)       ONE(x)
#define ABS(x)       ONE(x)
#define MOD(x, y)    ((x) + (y) + LIBRARY)
#define FMOD(x, y)   ((x) + (y) + LIBRARY)
#define MAX(x, y)    TWO(x, y)
#define MIN(x, y)    TWO(x, y)
#define SQRT(x)      ((x) + DIVISION)
#define EXP(x)       ((x) + EXPONENTIAL)
#define LOG(x)       ((x) + 30)
#define TANH(x)      ((x) + 12 + EXP(0) + DIVISION)
#define ERF(x)       ((x) + 21 + EXP(0))
#define POW(x, y)    ((x) + (y) + LIBRARY)
#define SIN(x)       ((x) + LIBRARY)
#define COS(x)       ((x) + LIBRARY)
#define TAN(x)       ((x) + LIBRARY)
#define ASIN(x)      ((x) + LIBRARY)
#define ACOS(x)      ((x) + LIBRARY)
#define ATAN(x)      ((x) + LIBRARY)
#define SINH(x)      ((x) + LIBRARY)
#define COSH(x)      ((x) + LIBRARY)
#define ASINH(x)     ((x) + LIBRARY)
#define ACOSH(x)     ((x) + LIBRARY)
#define ATANH(x)     ((x) + LIBRARY)
#define FLOOR(x)     ONE(x)
#define CEIL(x)      ONE(x)
#define ROUND(x)     ONE(x)
#define TRUNC(x)     ONE(x)
#define HALF(x)      ((x) + 2)
#define BHALF(x)     ((x) + 2)
#define LT(x, y)     TWO(x, y)
#define LE(x, y)     TWO(x, y)
#define GT(x, y)     TWO(x, y)
#define GE(x, y)     TWO(x, y)
#define EQ(x, y)     TWO(x, y)
#define NOT(c)       (c)
#define AND(c, d)    TWO(c, d)
#define OR(c, d)     TWO(c, d)
#define XOR(c, d)    TWO(c, d)
#define BNOT(x)      ONE(x)
#define BAND(x, y)   TWO(x, y)
#define BOR(x, y)    TWO(x, y)
#define BXOR(x, y)   TWO(x, y)
#define SHL(x, y)    TWO(x, y)
#define SHR(x, y)    TWO(x, y)
#define SEL(c, x, y) ((c) + (x) + (y) + 1)
#define ISNAN(x)     ONE(x)
#define ISINF(x)     ((x) + 2)
#define TRUTH(x)     ONE(x)

static const int32_t scalar_costs[AGATE_SCALAR_COUNT] = {
#define AGATE_SCALAR(id, arity, types, result, expression) expression,
#include "runtime/base/scalar.def"
#undef AGATE_SCALAR
};

/* Behind one element of what `*out_type` says: of the result, or of what is reduced. */
static int32_t scalar_cost(const agate_node *node, const agate_type **out_type)
{
    *out_type = &node->results[0].type;
    switch (agate_node_info(node)->family) {
    case AGATE_FAMILY_pointwise:
        return scalar_costs[agate_op_scalar(node->op)];
    case AGATE_FAMILY_reduce:
        *out_type = &node->operands[0]->type;
        return 1;
    case AGATE_FAMILY_arg: /* whether it is taken; it, or its place */
        *out_type = &node->operands[0]->type;
        return 3;
    case AGATE_FAMILY_softmax: /* the greatest; less that, its exponential, their sum; its share */
        return MAX(0, EXP(SUB(0, 0))) + MUL(ADD(0, 0), 0);
    default:
        return 0;
    }
}

/* Adds `each` for every element; what cannot be counted is left out. */
static void add_each(agate_dim *total, const agate_type *type, int64_t each)
{
    agate_dim count, product, sum;

    if (each > 0 && agate_type_count(type, &count) && agate_dim_mul(count, agate_dim_fixed(each), &product) &&
        agate_dim_add(*total, product, &sum))
        *total = sum;
}

/* Instructions of an exponential: where vectors are of 512 bits, there are some that look up and scale. */
static int32_t exponential_cost(const agate_machine *machine)
{
    return machine->vector_bits >= 512 ? 12 : 21;
}

static void add_scalar_work(agate_scalar_work *total, const agate_node *node, const agate_machine *machine)
{
    const agate_type *type;

    if (node->result_count == 0 || node->operand_count == 0)
        return;
    int32_t cost = scalar_cost(node, &type), exponentials = cost / EXPONENTIAL;
    add_each(&total->instructions, type, cost % DIVISION + exponentials * exponential_cost(machine));
    add_each(&total->divisions, type, cost % EXPONENTIAL / DIVISION);
}

agate_scalar_work agate_node_scalar_work(const agate_node *node, const agate_machine *machine)
{
    agate_scalar_work total = {0};

    if (node->op != AGATE_OP_kernel) {
        add_scalar_work(&total, node, machine);
        return total;
    }
    AGATE_EACH_NODE (inner, node->body)
        add_scalar_work(&total, inner, machine);
    return total;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* What scales with the batch lies behind what does not, so the greatest scale and the greatest offset bound
 * every end. */
bool agate_graph_slab_size(const agate_graph *graph, agate_dim *out_size_bytes)
{
    agate_dim slab = {0}, size, end;

    AGATE_EACH_NODE (node, graph) {
        for (int32_t i = 0; node->op == AGATE_OP_kernel && i < node->result_count; i++) {
            const agate_value *value = &node->results[i];
            if (value->place.kind != AGATE_PLACE_SLAB)
                continue;
            if (!agate_type_size(&value->type, &size) || !agate_dim_add(size, value->place.offset, &end))
                return false;
            slab.scale = agate_max(slab.scale, end.scale);
            slab.offset = agate_max(slab.offset, end.offset);
        }
    }
    *out_size_bytes = slab;
    return true;
}
