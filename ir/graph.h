/* graph.h: the typed SSA graph.
 *
 * A graph owns an arena with its nodes, values and names; data of constants is counted by reference, so that
 * graphs share it. Nodes stand in one list in execution order (a definition before its uses), closed by a
 * `return` (or, in a kernel's body, `yield`) whose operands are the graph's results. Graphs are
 * thread-compatible.
 */
#ifndef AGATE_GRAPH_H
#define AGATE_GRAPH_H

#include "ir/type.h"
#include "runtime/ref/ref.h"

typedef struct agate_graph agate_graph;
typedef struct agate_node agate_node;
typedef struct agate_value agate_value;

/* ---- ops ---------------------------------------------------------------------------------------------- */

typedef enum agate_op {
#define AGATE_OP(id, text, lo, hi, attrs, traits, infer, reference, family, rows) AGATE_OP_##id,
#include "ir/ops.def"
#undef AGATE_OP
    AGATE_OP_COUNT
} agate_op;

typedef enum agate_family {
    AGATE_FAMILY_pointwise,
    AGATE_FAMILY_conv,
    AGATE_FAMILY_winograd,
    AGATE_FAMILY_matmul,
    AGATE_FAMILY_window,
    AGATE_FAMILY_reduce,
    AGATE_FAMILY_softmax,
    AGATE_FAMILY_arg,
    AGATE_FAMILY_cast, /* one value in, one out, like pointwise, but the dtype changes */
    /* elements that follow each other, weighted and summed; which and how, data says */
    AGATE_FAMILY_resample,
    AGATE_FAMILY_move, /* an index map: every result element is a copy of one operand element, or a fill */
    AGATE_FAMILY_library,
    AGATE_FAMILY_view,
    AGATE_FAMILY_data,
    AGATE_FAMILY_kernel,
    AGATE_FAMILY_terminator,
} agate_family;

typedef enum agate_trait {
    AGATE_ANCHOR = 1,
    AGATE_VIEW = 2,
    AGATE_CONSTANT = 4,
    AGATE_TERMINATOR = 8,
    AGATE_KERNEL = 16,
} agate_trait;

#define AGATE_ANY_COUNT INT32_MAX /* `N` in ops.def */

/* Types the results of `node` from its operands and attributes, filling left-out attribute lists with their
 * defaults. On a fault appends one sentence to `fault` and returns false. */
typedef bool (*agate_infer_fn)(agate_node *node, agate_type *out_type, agate_text *fault);

/* Does row i of the results of `node` come of row i of its operands alone? Asked where some operand and every
 * result have rows. */
typedef bool (*agate_rows_fn)(const agate_node *node);

typedef struct agate_op_info {
    const char *name;
    int32_t operand_min;
    int32_t operand_max;
    agate_attr_set attrs;
    uint32_t traits;
    agate_infer_fn infer;   /* NULL: the type is given (data, kernel) or there is no result (terminators) */
    agate_ref_fn reference; /* NULL: none */
    agate_family family;
    agate_rows_fn keeps_rows; /* NULL: it has no operands */
} agate_op_info;

extern const agate_op_info agate_op_table[AGATE_OP_COUNT];

/* Returns AGATE_OP_COUNT for an unknown name. */
agate_op agate_op_find(const char *name);

/* The scalar op of a pointwise op. The first AGATE_SCALAR_COUNT ops are the scalar ops, in order. */
static inline agate_scalar_op agate_op_scalar(agate_op op)
{
    assert((int)op < (int)AGATE_SCALAR_COUNT);
    return (agate_scalar_op)op;
}

/* ---- constants ---------------------------------------------------------------------------------------- */

/* Contents of a constant, in the physical order of its type. Counted; immutable once shared. They may not be
 * made yet: then they are known by how to make them, so that what passes do to a network's weights costs its
 * memory once. */
typedef struct agate_data agate_data;
struct agate_data {
    size_t size_bytes;
    const void *bytes;  /* aligned to AGATE_ALIGNMENT; NULL: not made yet, ask agate_data_bytes */
    const void *loose;  /* the same at any address, in a mapped file or in `source`; NULL: nowhere */
    int64_t references; /* changed atomically */
    agate_data *source; /* what `make` reads, or `loose` lies in; released with it; NULL: nothing */
    bool (*make)(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out);
    void *owner;                       /* for `make` and `release`: numbers, a mapping */
    void (*release)(agate_data *data); /* of `owner` and `data` itself; NULL: both are freed */
};

/* New zeroed, 64-byte-aligned, writable memory with one reference; NULL if memory is short (a pass then
 * declines). */
agate_data *agate_data_create(size_t size_bytes);

typedef bool (*agate_make_fn)(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out);

/* Contents that `make` writes when they are wanted, from `source`, which is retained, and `owner`, which is
 * freed in the end: any whole elements of them, on several threads at once; false where memory is short. NULL
 * if memory is short. */
agate_data *agate_data_create_deferred(size_t size_bytes, agate_make_fn make, agate_data *source,
                                       void *owner);

/* Contents at `loose`, at any address, inside of those of `source`, which is retained. NULL if memory is
 * short. */
agate_data *agate_data_create_loose(size_t size_bytes, const void *loose, agate_data *source);

agate_data *agate_data_retain(agate_data *data);
void agate_data_release(agate_data *data); /* NULL is accepted */

/* All the contents, made now where they were not, and kept as long as `data`; NULL if memory is short.
 * Thread-safe. */
const void *agate_data_bytes(const agate_data *data);

/* Writes a part of the contents, whole elements, without keeping what is made for it. Returns false if memory
 * is short. Thread-safe. */
bool agate_data_read(const agate_data *data, size_t first_bytes, size_t size_bytes, void *out);

/* Says that what `data` is made from will hardly be read again: if it lies in a mapped file, its pages may
 * go. */
void agate_data_forget(const agate_data *data);

/* Memory for large contents, zeroed, aligned to AGATE_ALIGNMENT and in huge pages where it fills some; NULL
 * if the system refuses. Goes back with the size it was asked for. */
void *agate_block_create(size_t size_bytes);
void agate_block_release(void *block, size_t size_bytes);

/* ---- kernels ------------------------------------------------------------------------------------------ */

typedef enum agate_strategy {
    AGATE_STRATEGY_none, /* not scheduled yet */
#define AGATE_STRATEGY(id, summary) AGATE_STRATEGY_##id,
#include "ir/strategies.def"
#undef AGATE_STRATEGY
    AGATE_STRATEGY_COUNT
} agate_strategy;

typedef struct agate_tiles {
#define AGATE_TILE(id, meaning) int32_t id;
#include "ir/tiles.def"
#undef AGATE_TILE
} agate_tiles;

const char *agate_strategy_name(agate_strategy strategy); /* "" for none */
agate_strategy agate_strategy_find(const char *name, size_t length);

/* Tile field `index` in tiles.def's order, for printing and parsing. */
extern const char *const agate_tile_names[];
extern const size_t agate_tile_count;

/* ---- nodes and values --------------------------------------------------------------------------------- */

typedef struct agate_use {
    agate_node *node;
    int32_t index; /* which operand */
} agate_use;

/* Where the memory plan put a value. */
typedef enum agate_place_kind {
    AGATE_PLACE_NONE,   /* not planned, or needs no memory (constants, graph inputs) */
    AGATE_PLACE_SLAB,   /* at `offset` bytes of the session's slab */
    AGATE_PLACE_OUTPUT, /* in the caller's buffer of graph result number `offset` */
} agate_place_kind;

typedef struct agate_place {
    agate_place_kind kind;
    agate_dim offset;
} agate_place;

struct agate_value {
    agate_type type;
    agate_node *node; /* defining node; NULL: a parameter of the graph */
    int32_t index;    /* which result of the node, or which parameter */
    const char *name; /* ONNX name; NULL: none, printed as a number */
    agate_place place;
    agate_use *uses; /* unordered */
    int32_t use_count;
    int32_t use_room;
    int64_t scratch; /* for the pass that is running */
    int64_t serial;  /* counts the values of a graph as they are made; never used again */
};

struct agate_node {
    agate_op op;
    agate_attrs attrs;
    int32_t operand_count;
    int32_t result_count;
    agate_value **operands; /* never NULL entries: optional operands are trailing and left out */
    agate_value *results;   /* `result_count` values, in place */
    agate_node *previous;
    agate_node *next;
    agate_graph *graph;
    const char *origin; /* ONNX nodes this came from, joined by "+"; NULL: none */
    const char *label;  /* weight: its name */
    agate_data *data;   /* const and weight; NULL: contents unknown (a weight in a parsed text) */
    agate_graph *body;  /* kernel */
    agate_strategy strategy;
    agate_tiles tiles;
    int64_t scratch; /* for the pass that is running */
};

struct agate_graph {
    agate_arena *arena;
    const char *name;
    agate_value **params; /* graph inputs; in a body, `$0`, `$1`, ... */
    int32_t param_count;
    agate_node *first;
    agate_node *last;          /* the terminator, once the graph is complete */
    int64_t value_count;       /* ever made */
    agate_node *kernel;        /* the kernel node whose body this is; NULL: a top graph */
    const char **result_names; /* one per operand of the terminator; NULL entries allowed; NULL in bodies */
    const agate_metadata *metadata; /* of the ONNX file, in the arena; NULL: read from text */
};

/* Returns NULL if memory is refused. */
agate_graph *agate_graph_create(const char *name);

/* Releases arena, bodies and references to data. NULL is accepted. */
void agate_graph_release(agate_graph *graph);

/* A body for a kernel node, in the arena of `parent`. */
agate_graph *agate_graph_create_body(agate_graph *parent);

agate_value *agate_graph_add_param(agate_graph *graph, const char *name, const agate_type *type);

/* Creates a node in front of `before` (NULL: at the end of the list), with default attributes, `result_count`
 * untyped results, and the given operands, whose uses are registered. */
agate_node *agate_node_create(agate_graph *graph, agate_node *before, agate_op op,
                              agate_value *const *operands, int32_t operand_count, int32_t result_count);

/* A node like `node` (its op, attributes, types, label, contents and origin) with as many other operands, at
 * the end of `graph`. */
agate_node *agate_node_copy(agate_graph *graph, const agate_node *node, agate_value *const *operands);

/* agate_node_create for an op with one result, followed by `attrs` (may be NULL) and inference: asserts that
 * it succeeds, so use it only where the operands are known to fit. Returns the result. */
agate_value *agate_build(agate_graph *graph, agate_node *before, agate_op op, const agate_attrs *attrs,
                         agate_value *const *operands, int32_t operand_count);

/* A constant in front of `before`. Takes over the reference to `data`. `label` NULL makes a `const`, else a
 * `weight`. */
agate_value *agate_build_constant(agate_graph *graph, agate_node *before, const agate_type *type,
                                  agate_data *data, const char *label);

/* A scalar (rank 0) constant of `dtype` with this value. */
agate_value *agate_build_scalar(agate_graph *graph, agate_node *before, agate_dtype dtype, double value);

void agate_node_set_operand(agate_node *node, int32_t index, agate_value *value);
void agate_node_add_operand(agate_node *node, agate_value *value);
void agate_node_remove_operand(agate_node *node, int32_t index);
void agate_node_move_before(agate_node *node, agate_node *before);

/* Takes `node` (whose results are unused) out of the list and drops its operand uses and data. */
void agate_node_remove(agate_node *node);

/* Every use of `from` becomes a use of `to`. A name of `from` passes to `to` if that has none. */
void agate_value_replace(agate_value *from, agate_value *to);

/* The sole use of `value`, or NULL where it has none or several. */
agate_use *agate_value_sole_use(agate_value *value);

static inline agate_value *agate_result(agate_node *node)
{
    assert(node->result_count == 1);
    return &node->results[0];
}

static inline const agate_op_info *agate_node_info(const agate_node *node)
{
    return &agate_op_table[node->op];
}

static inline bool agate_node_has(const agate_node *node, agate_trait trait)
{
    return (agate_op_table[node->op].traits & trait) != 0;
}

/* Is `value` made by a node of this op? */
static inline bool agate_value_is(const agate_value *value, agate_op op)
{
    return value->node && value->node->op == op;
}

/* Contents of a constant value, or NULL: not constant, or contents unknown. */
const agate_data *agate_value_data(const agate_value *value);

/* Joins the origins of `node` and `from` into `node`. */
void agate_node_merge_origin(agate_node *node, const agate_node *from);

/* Infers the one result's type of `node` by its op's row. On a fault appends a sentence to `fault`, returns
 * false. */
bool agate_node_infer(agate_node *node, agate_text *fault);

/* Does the body reduce over the same axes of one shape, work on the rows by scalar ops, and yield whole rows
 * alone? So do a layer norm and a softmax. (rows.c) */
bool agate_reduces_rows(const agate_graph *body);

/* Reads element `index` (in physical order) of a constant as a double; NaN where memory is too short to make
 * it. */
double agate_data_at(const agate_data *data, agate_dtype dtype, int64_t index);

/* The body is safe against removing `node` itself. */
#define AGATE_EACH_NODE(node, graph)                                                                         \
    for (agate_node *node = (graph)->first, *node##_next = node ? node->next : NULL; node;                   \
         node = node##_next, node##_next = node ? node->next : NULL)
#define AGATE_EACH_NODE_REVERSE(node, graph)                                                                 \
    for (agate_node *node = (graph)->last, *node##_next = node ? node->previous : NULL; node;                \
         node = node##_next, node##_next = node ? node->previous : NULL)

#endif
