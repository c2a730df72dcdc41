/* importer.h: what the files of the importer share.
 *
 * A model is imported in one walk over its nodes. Each node becomes a call: its row of onnx_ops.def, its
 * operands and the results that the row's handler fills in with agate_lower. A handler that meets a fault
 * records it and leaves its results NULL; a NULL operand silences everything that depends on it, so that one
 * fault makes one line.
 *
 * Values that are known at import are `const` nodes, and agate_lower computes small ones at once through the
 * reference kernels. So shape arithmetic disappears while it is imported. Where the batch N takes part in it
 * (Shape of an input), a const carries beside it what each element is in terms of N: a symbolic constant.
 * Only shapes may use one.
 *
 * Where a model moves the batch inwards, a value is a view, which agate_lower resolves (views.h).
 */
#ifndef AGATE_IMPORTER_H
#define AGATE_IMPORTER_H

#include "frontend/import.h"
#include "frontend/names.h"
#include "ir/infer.h"
#include "onnx.pb-c.h"

#define AGATE_ONNX_OPSET_FIRST 7 /* of older models, only operators that have not changed since import */
#define AGATE_ONNX_OPSET_LAST  28
#define AGATE_ONNX_IR_FIRST    3
#define AGATE_ONNX_IR_LAST     14

/* The largest dimension. Tensors without elements have no other bound, and loops run over dimensions. */
#define AGATE_MAX_EXTENT INT32_MAX

typedef struct agate_importer agate_importer;
typedef struct agate_call agate_call;

/* ---- faults ---------------------------------------------------------------------------------------------
 */

typedef struct agate_faults {
    agate_text text; /* one line per fault */
    size_t count;
    agate_code code;        /* of the worst: an invalid model outweighs an unsupported one */
    const char *first_node; /* place of the first fault, for agate_status_node and agate_status_op */
    const char *first_op;
} agate_faults;

/* Adds a line. `node` and `op` may be NULL. */
void agate_faults_add(agate_faults *faults, agate_code code, const char *node, const char *op,
                      const char *line);

/* Tells the listener, if there is one. */
void agate_fault_tell(agate_importer *importer, const agate_import_fault *fault);

/* Makes control characters '?': names come from the file and go to terminals. */
void agate_tame(char *text);

/* All faults as one status (NULL where there are none). */
AGATE_MUST_USE agate_status agate_faults_status(const agate_faults *faults);

/* ---- external files -------------------------------------------------------------------------------------
 */

/* The files of external data that are open; each is mapped once. */
typedef struct agate_files {
    const char *directory;
    agate_data *model;               /* the model's own bytes; NULL: they go away after the import */
    const agate_import_files *heard; /* NULL: nobody listens */
    struct agate_mapping *first;
} agate_files;

void agate_files_deinit(agate_files *files);

/* `size_bytes` bytes at `offset` of the file `location` in files->directory, as data that keeps the mapping
 * alive. */
AGATE_MUST_USE agate_status agate_files_data(agate_files *files, const char *location, uint64_t offset,
                                             uint64_t size_bytes, agate_data **out_data);

/* ---- tensors --------------------------------------------------------------------------------------------
 */

/* Dtype of an ONNX element type; AGATE_DTYPE_NONE where the core has none. agate_onnx_dtype_name knows them
 * all. */
agate_dtype agate_onnx_dtype(int32_t data_type);
const char *agate_onnx_dtype_name(int32_t data_type);

/* Type of a tensor or sparse tensor, its size checked against `limit_bytes`. */
AGATE_MUST_USE agate_status agate_tensor_type(const int64_t *dims, size_t rank, int32_t data_type,
                                              size_t limit_bytes, agate_type *out_type);

/* Type and contents. With `take`, the tensor's own memory is used where it fits, and the message loses it. */
AGATE_MUST_USE agate_status agate_tensor_read(agate_files *files, Onnx__TensorProto *tensor,
                                              size_t limit_bytes, bool take, agate_type *out_type,
                                              agate_data **out_data);
AGATE_MUST_USE agate_status agate_tensor_read_sparse(agate_files *files,
                                                     const Onnx__SparseTensorProto *tensor,
                                                     size_t limit_bytes, agate_type *out_type,
                                                     agate_data **out_data);

/* ---- the walk -------------------------------------------------------------------------------------------
 */

/* What a name stands for. A faulty definition has neither value nor source: uses of it stay silent. */
typedef struct agate_binding {
    agate_value *value;
    Onnx__TensorProto *tensor; /* an initializer not yet used */
    Onnx__SparseTensorProto *sparse;
    bool absent; /* a function's optional input that the call leaves out */
} agate_binding;

/* Names of one graph or of one call of a function. */
typedef struct agate_scope {
    agate_names names; /* to agate_binding */
    const struct agate_scope *caller;
    const Onnx__NodeProto *call; /* the function's caller, whose attributes fill in; NULL: the main graph */
    const Onnx__FunctionProto *function; /* NULL: the main graph */
    const char *prefix;                  /* of node names: "block1/" */
    Onnx__OperatorSetIdProto **opsets;
    size_t opset_count;
    int32_t depth;
} agate_scope;

struct agate_importer {
    agate_arena *arena; /* for the time of the import */
    agate_graph *graph;
    Onnx__ModelProto *model;
    const agate_import_options *options;
    size_t limit_bytes;
    size_t made_bytes; /* of constants that are not as large in the file: at most limit_bytes in all */
    agate_files files;
    agate_faults faults;
    const char *batch_name; /* of the first free first dimension; NULL: none or unnamed */
    agate_names functions;  /* "domain:name:overload" to Onnx__FunctionProto */
    agate_names known_ops;  /* "domain:op:opset" to agate_unknown, or to a mark where it imports */
    struct agate_unknown *unknown_ops;
    int64_t node_count; /* core nodes and calls so far, against an explosion of function calls */
    bool exhausted;     /* that was too many, and reported */
};

/* Copies what the file says of itself into the graph (metadata.c). */
AGATE_MUST_USE agate_status agate_import_metadata(const Onnx__ModelProto *model, agate_graph *graph);

/* Imports the nodes of a graph or function into importer->graph, with names from and to `scope`. */
void agate_walk_nodes(agate_importer *importer, agate_scope *scope, Onnx__NodeProto *const *nodes,
                      size_t node_count);

/* What `name` stands for, an initializer loaded now if it is one; NULL: not defined (so far). */
agate_binding *agate_scope_find(agate_importer *importer, agate_scope *scope, const char *name);

/* The version that the scope imports of a domain; 0: none. */
int64_t agate_scope_opset(const agate_scope *scope, const char *domain);

/* What to call a node by: its name, or its first output's. In the graph's arena. */
const char *agate_node_label(agate_importer *importer, const agate_scope *scope, const Onnx__NodeProto *node);

/* The model's own function that a node calls, or NULL. */
const Onnx__FunctionProto *agate_find_function(const agate_importer *importer, const Onnx__NodeProto *node);

/* A kind of operator that does not import. */
typedef struct agate_unknown {
    struct agate_unknown *next;
    const char *op;
    const char *domain;
    const char *first_node;
    const char *line; /* why */
    int64_t opset;
    size_t count;
    bool told; /* to the listener */
} agate_unknown;

/* Records a fault for every kind of operator in the model that does not import. */
void agate_survey(agate_importer *importer, const agate_scope *scope);

/* Tells the listener of a node that the survey has reported; and of the kinds that the walk did not get
 * to. */
void agate_survey_tell(const agate_call *call);
void agate_survey_tell_rest(agate_importer *importer);

/* ---- calls ----------------------------------------------------------------------------------------------
 */

typedef void (*agate_import_fn)(agate_call *call);

/* A row of onnx_ops.def. */
typedef struct agate_onnx_op {
    const char *name;
    int16_t first, last;              /* opsets in which the row holds; last 0: the newest */
    int16_t operand_min, operand_max; /* operand_max -1: any number */
    int16_t result_max;               /* -1: any number */
    agate_import_fn handler;
    agate_op op;            /* what `handler` builds, or most of it; one handler serves several rows by it */
    const char *attributes; /* names that the operator knows, separated by blanks */
    double p, q;            /* defaults of the first two attributes, for pointwise operators */
} agate_onnx_op;

/* The row for a name in an opset, or NULL. *out_other is set where the name exists in another opset. */
const agate_onnx_op *agate_onnx_find(const char *name, int64_t opset, const agate_onnx_op **out_other);

struct agate_call {
    agate_importer *importer;
    agate_scope *scope;
    const Onnx__NodeProto *node;
    const agate_onnx_op *row;
    const char *name; /* to call the node by: its name, or its first result's */
    int64_t opset;
    int32_t operand_count;
    int32_t result_count;   /* as the node lists them; trailing empty ones left out */
    agate_value **operands; /* NULL: an optional one left out */
    agate_value **results;  /* to be filled in */
    bool faulty;
};

/* Records a fault at this node and marks the call faulty. */
void agate_call_fault(agate_call *call, agate_code code, const char *format, ...) AGATE_PRINTF(3, 4);
#define agate_call_invalid(call, ...)     agate_call_fault(call, AGATE_CODE_INVALID_MODEL, __VA_ARGS__)
#define agate_call_unsupported(call, ...) agate_call_fault(call, AGATE_CODE_UNSUPPORTED, __VA_ARGS__)

/* Operand `index`, or NULL where it is left out. */
static inline agate_value *agate_call_operand(const agate_call *call, int32_t index)
{
    return index < call->operand_count ? call->operands[index] : NULL;
}

/* Types of the operands, "?" for each that is not known; in the importer's arena. */
const char *agate_call_types(const agate_call *call);

/* Is result `index` asked for? */
bool agate_call_wants(const agate_call *call, int32_t index);

/* ---- attributes -----------------------------------------------------------------------------------------
 */

/* Each returns the default where the attribute is absent, and faults where it is of another kind. Attributes
 * that refer to those of the calling node of a function are followed. */
bool agate_attr_has(agate_call *call, const char *name);
int64_t agate_attr_int(agate_call *call, const char *name, int64_t value);
bool agate_attr_bool(agate_call *call, const char *name, bool value);
double agate_attr_float(agate_call *call, const char *name, double value);
const char *agate_attr_string(agate_call *call, const char *name, const char *value);

/* Returns false where it is absent or faulty; *out_ints is then empty. At most AGATE_MAX_INTS numbers. */
bool agate_attr_ints(agate_call *call, const char *name, agate_ints *out_ints);

/* The attribute itself, references followed; NULL: absent. */
const Onnx__AttributeProto *agate_attr_find(agate_call *call, const char *name);

/* Faults unless every attribute of the node is one that the row knows, and named once. */
void agate_attrs_check(agate_call *call);

/* ---- building -------------------------------------------------------------------------------------------
 */

/* Adds a core node and returns its result; computes it at once where it is small and all operands are
 * constant. NULL operands give NULL. Faults where the operands do not fit. */
agate_value *agate_lower(agate_call *call, agate_op op, const agate_attrs *attrs,
                         agate_value *const *operands, int32_t operand_count);
agate_value *agate_lower1(agate_call *call, agate_op op, agate_value *a);
agate_value *agate_lower2(agate_call *call, agate_op op, agate_value *a, agate_value *b);

/* `value` op `number` */
agate_value *agate_lower_with(agate_call *call, agate_op op, agate_value *value, double number);

/* Shorthands for the views and moves that lowering is made of. */
agate_value *agate_lower_reshape(agate_call *call, agate_value *value, int32_t rank, const agate_dim *dims);
agate_value *agate_lower_transpose(agate_call *call, agate_value *value, const int64_t *perm);
agate_value *agate_lower_expand(agate_call *call, agate_value *value, int32_t rank, const agate_dim *dims);
agate_value *agate_lower_cast(agate_call *call, agate_value *value, agate_dtype dtype);
agate_value *agate_lower_reduce(agate_call *call, agate_op op, agate_value *value, const agate_ints *axes,
                                bool keep);

/* As f32 where it is of 16 bits: squares and sums on the way to a result may lie far beyond the range of
 * f16 when the result does not. Anything else stays as it is. */
agate_value *agate_lower_widened(agate_call *call, agate_value *value);

/* A constant scalar of this dtype. */
agate_value *agate_lower_scalar(agate_call *call, agate_dtype dtype, double value);

/* The vector 0, 1, ... count - 1 of int64; faults where `count` follows the batch. */
agate_value *agate_lower_count(agate_call *call, agate_dim count);

/* Counts a constant that the import makes; false where they come to more than the limit. */
bool agate_importer_charge(agate_importer *importer, size_t size_bytes);

/* A constant: a `weight` called `name` where it is large or a list of floats, else a `const`. Takes over
 * `data`. */
agate_value *agate_import_data(agate_graph *graph, const agate_type *type, agate_data *data,
                               const char *name);

/* The same for a call. */
agate_value *agate_lower_data(agate_call *call, const agate_type *type, agate_data *data);

/* A vector (or with `rank` 0 a scalar) of int64 that may follow the batch. */
agate_value *agate_lower_dims(agate_call *call, int32_t rank, const agate_dim *dims, int32_t count);

/* Is anything known of the elements of `value`? */
bool agate_is_symbolic(const agate_value *value);

/* ---- known contents (contents.c) --------------------------------------------------------------------------
 */

/* The elements of integer operand `index`, which a shape depends on; in the importer's arena. Faults, naming
 * `what`
 * ("shape"), where they depend on data, are no integers or are more than `max`. */
bool agate_call_dims(agate_call *call, int32_t index, const char *what, int32_t max, agate_dims *out_dims);

/* The same, where N may not take part. */
bool agate_call_ints(agate_call *call, int32_t index, const char *what, agate_ints *out_ints);

/* A constant operand of one element as a number; faults where a double does not hold it. */
bool agate_call_number(agate_call *call, int32_t index, const char *what, double *out_number);

/* Computes `node`, whose operands are all constant and whose result is typed and small. Returns the
 * constant's value; NULL where there is no reference kernel or it refuses (then `fault` says why). */
agate_value *agate_fold(agate_call *call, agate_node *node, agate_text *fault);

/* Numbers of dtype `from` as data of `type`, which is fixed. NULL where memory is short. */
agate_data *agate_import_convert(const agate_type *type, agate_dtype from, const void *numbers);

/* Whether agate_fold may be tried, and whether it must (a symbolic operand). */
bool agate_may_fold(const agate_node *node);
bool agate_must_fold(const agate_node *node);

/* ---- shared by handlers ---------------------------------------------------------------------------------
 */

/* Makes an axis of -rank..rank-1 count from the front; faults where it lies outside. */
bool agate_call_axis(agate_call *call, int64_t axis, int32_t rank, int64_t *out_axis);

/* What was attribute `name` before opset `since` is input `index` from there on: a fault where a node has the
 * other form, which would be passed over in silence. */
bool agate_call_form_fits(agate_call *call, const char *name, int32_t index, int64_t since);

/* Axes from attribute "axes" before opset `since`, from operand `index` after; normalized, ascending, each
 * once. False where there are none or they are faulty (call->faulty). */
bool agate_call_axes(agate_call *call, int64_t since, int32_t index, int32_t rank, agate_ints *out_axes);

/* Product of the dimensions first..last-1; faults where it is none. */
bool agate_call_product(agate_call *call, const agate_dim *dims, int32_t first, int32_t last,
                        agate_dim *out_product);

/* The list `name` of a window: `count` numbers of at least `least`; left out, each is `value`. */
void agate_attr_window(agate_call *call, const char *name, int32_t count, int64_t value, int64_t least,
                       agate_ints *out_list);

/* Attribute "auto_pad"; NOTSET after a fault. */
typedef enum agate_auto_pad {
    AGATE_AUTO_PAD_NOTSET,
    AGATE_AUTO_PAD_VALID,
    AGATE_AUTO_PAD_SAME_UPPER,
    AGATE_AUTO_PAD_SAME_LOWER
} agate_auto_pad;
agate_auto_pad agate_attr_auto_pad(agate_call *call);

/* Handlers, one per distinct entry of onnx_ops.def. */
#define AGATE_ONNX(name, first, last, lo, hi, results, handler, op, attributes, p, q)                        \
    void agate_import_##handler(agate_call *call);
#include "frontend/onnx_ops.def"
#undef AGATE_ONNX

#endif
