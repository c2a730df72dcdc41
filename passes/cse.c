/* cse: one node for equal computations.
 *
 *     %0 = relu %x               %0 = relu %x
 *     %1 = relu %x        ==>    %2 = add %0, %0
 *     %2 = add %0, %1
 *
 * Equal: op, attributes and operands, in either order where the op commutes; constants by type and bytes,
 * whatever their names. One walk with a hash table. Needs nothing; breaks nothing.
 */
#include "passes/rewrite.h"

/* A multiple of every element: so many bytes of each end of a constant are hashed; equal hashes are compared
 * in full. */
#define SAMPLE_BYTES 1024

typedef struct table {
    agate_node **slots; /* open addressing; a power of two of them */
    size_t mask;
} table;

static bool commutes(agate_op op)
{
    return op == AGATE_OP_add || op == AGATE_OP_mul || op == AGATE_OP_max || op == AGATE_OP_min;
}

static uint64_t hash_data(uint64_t hash, const agate_data *data)
{
    size_t sample = (size_t)agate_min((int64_t)data->size_bytes, SAMPLE_BYTES);
    char bytes[SAMPLE_BYTES];

    if (agate_data_read(data, 0, sample, bytes))
        hash = agate_hash_bytes(hash, bytes, sample);
    if (agate_data_read(data, data->size_bytes - sample, sample, bytes))
        hash = agate_hash_bytes(hash, bytes, sample);
    return hash;
}

static uint64_t hash_node(const agate_node *node)
{
    uint64_t hash = AGATE_HASH_SEED, operands = 0;

    if (agate_node_has(node, AGATE_CONSTANT)) {
        const agate_type *type = &node->results[0].type;
        hash = agate_hash_bytes(hash, &type->dtype, sizeof type->dtype);
        hash = agate_hash_bytes(hash, type->dims, sizeof type->dims);
        return node->data ? hash_data(hash, node->data) : hash;
    }
    hash = agate_hash_bytes(hash, &node->op, sizeof node->op);
    hash = agate_hash_bytes(hash, &node->attrs, sizeof node->attrs);
    for (int32_t i = 0; i < node->operand_count; i++) {
        if (!commutes(node->op))
            operands *= 31;
        operands += (uint64_t)(uintptr_t)node->operands[i];
    }
    return agate_hash_bytes(hash, &operands, sizeof operands);
}

static bool equal_contents(const agate_data *a, const agate_data *b)
{
    const void *bytes = agate_data_bytes(a), *others = bytes ? agate_data_bytes(b) : NULL;

    return others && memcmp(bytes, others, a->size_bytes) == 0;
}

static bool equal_constants(const agate_node *a, const agate_node *b)
{
    if (!agate_type_equal(&a->results[0].type, &b->results[0].type))
        return false;
    if (a->data && b->data)
        return a->data == b->data ||
               (a->data->size_bytes == b->data->size_bytes && equal_contents(a->data, b->data));
    /* Weights of unknown contents are known by their names. */
    return !a->data && !b->data && a->label && b->label && strcmp(a->label, b->label) == 0;
}

static bool equal_nodes(const agate_node *a, const agate_node *b)
{
    if (agate_node_has(a, AGATE_CONSTANT) && agate_node_has(b, AGATE_CONSTANT))
        return equal_constants(a, b);
    if (a->op != b->op || a->operand_count != b->operand_count ||
        memcmp(&a->attrs, &b->attrs, sizeof a->attrs) != 0)
        return false;
    if (commutes(a->op) && a->operands[0] == b->operands[1] && a->operands[1] == b->operands[0])
        return true;
    return memcmp(a->operands, b->operands, sizeof *a->operands * (size_t)a->operand_count) == 0;
}

/* The first node equal to `node`, which is `node` itself, now entered, if there was none. */
static agate_node *find_or_enter(table *t, agate_node *node)
{
    for (size_t i = hash_node(node) & t->mask;; i = (i + 1) & t->mask) {
        if (!t->slots[i])
            t->slots[i] = node;
        if (t->slots[i] == node || equal_nodes(t->slots[i], node))
            return t->slots[i];
    }
}

bool agate_pass_cse(agate_pass *pass, agate_graph *graph)
{
    size_t count = 0, room = 16;
    bool changed = false;

    AGATE_EACH_NODE (node, graph)
        count++;
    while (room < 2 * count)
        room *= 2;
    table t = {AGATE_NEW_N(pass->scratch, agate_node *, room), room - 1};

    AGATE_EACH_NODE (node, graph) {
        if (node->result_count != 1 || agate_node_has(node, AGATE_KERNEL) || *pass->fuel == 0)
            continue;
        agate_node *first = find_or_enter(&t, node);
        if (first == node || !agate_pass_spend(pass, node, "merge with an equal one"))
            continue;
        agate_take_origin(first, node);
        agate_replace(node, agate_result(first));
        changed = true;
    }
    return changed;
}
