/* import.h: ONNX bytes to a graph. The only users of the protobuf types are the .c files beside this one. */
#ifndef AGATE_IMPORT_H
#define AGATE_IMPORT_H

#include "ir/graph.h"

/* What is wrong with one node, or (op NULL) with the model as a whole. Strings live as long as the call. */
typedef struct agate_import_fault {
    agate_code code;
    const char *node; /* its name, or its first result's; NULL: none */
    const char *op;
    const char *domain; /* "ai.onnx", ... */
    int64_t opset;      /* of the domain; 0: not imported, or no node */
    const char *types;  /* of the operands where known, "f32[N,3], ?" */
    const char *reason; /* one sentence; behind a semicolon, what would help */
} agate_import_fault;

typedef enum agate_import_outcome {
    AGATE_IMPORT_FINE,
    AGATE_IMPORT_FAULTY,
    AGATE_IMPORT_BLOCKED, /* uses what a faulty node should have made, so it was not examined */
} agate_import_outcome;

/* Hears what the import finds. Every node is told of once, in order, its faults before it; what a call of a
 * function of the model stands for is told instead of the call. */
typedef struct agate_import_listener {
    void *user;
    void (*fault)(void *user, const agate_import_fault *fault);
    void (*node)(void *user, const char *op, agate_import_outcome outcome);
} agate_import_listener;

/* Hears which files of external data a model is made from, once each: their name in the model, and what they
 * hold. */
typedef struct agate_import_files {
    void *user;
    void (*file)(void *user, const char *location, const void *bytes, size_t size_bytes);
} agate_import_files;

/* Contents of a model input that are known beforehand. */
typedef struct agate_input_value {
    const char *name; /* NULL: the input number `index`, initializers not counted */
    size_t index;
    agate_tensor tensor; /* copied */
} agate_input_value;

/* Zero-initialize, then set what differs. */
typedef struct agate_import_options {
    const char *directory; /* where external data may lie; NULL: external data is refused */
    agate_data *file;      /* holds the model's bytes, which weights may then refer to; NULL: copy them */
    const agate_dim_binding *dims; /* values for named free dimensions */
    size_t dim_count;
    const agate_input_value *values; /* these inputs become constants, so that shapes may depend on them, and
                                        are no inputs of the graph any more */
    size_t value_count;
    const agate_import_listener *listener; /* NULL: nobody listens */
    const agate_import_files *files;       /* NULL: nobody listens */
    size_t memory_limit_bytes;             /* the most one tensor may take; 0: 16 GiB */
} agate_import_options;

/* Imports a model. Every named or unnamed free first dimension of the inputs is the batch N; other free
 * dimensions need a binding. All faults of all nodes are gathered in one message, one a line. On success the
 * caller owns *out_graph. */
AGATE_MUST_USE agate_status agate_import(const void *data, size_t size_bytes,
                                         const agate_import_options *options, agate_graph **out_graph);

/* One TensorProto (an input_0.pb of an ONNX test). The caller frees out_tensor->data. */
AGATE_MUST_USE agate_status agate_import_tensor(const void *data, size_t size_bytes,
                                                agate_tensor *out_tensor);

#endif
