/* agate.h: run compiled ONNX models from C or C++.
 *
 *     agate_model *model;
 *     agate_session *session;
 *     agate_status status = agate_model_load_file("model.onnx", NULL, &model);
 *     status = agate_session_create(model, NULL, &session);
 *     status = agate_session_run(session, inputs, 1, outputs, 1);
 *
 * A model is immutable and thread-safe: any number of threads may use one model at once. A session is one
 * inference in flight and thread-compatible: use it from one thread at a time, and create one per thread.
 * Every call that can fail returns an agate_status, NULL on success, which the caller owns and releases.
 */
#ifndef AGATE_H
#define AGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AGATE_API      __attribute__((visibility("default")))
#define AGATE_MUST_USE __attribute__((warn_unused_result))

#define AGATE_VERSION_MAJOR 0
#define AGATE_VERSION_MINOR 1
#define AGATE_VERSION_PATCH 0

/* The most dimensions a tensor may have. */
#define AGATE_MAX_RANK 8

/* ---- element types ------------------------------------------------------------------------------------ */

/* One row per element type: X(NAME, text, size in bytes, ONNX TensorProto.DataType number). */
#define AGATE_DTYPE_TABLE(X)                                                                                 \
    X(F32, "f32", 4, 1)                                                                                      \
    X(U8, "u8", 1, 2)                                                                                        \
    X(I8, "i8", 1, 3)                                                                                        \
    X(U16, "u16", 2, 4)                                                                                      \
    X(I16, "i16", 2, 5)                                                                                      \
    X(I32, "i32", 4, 6)                                                                                      \
    X(I64, "i64", 8, 7)                                                                                      \
    X(BOOL, "bool", 1, 9)                                                                                    \
    X(F16, "f16", 2, 10)                                                                                     \
    X(F64, "f64", 8, 11)                                                                                     \
    X(U32, "u32", 4, 12)                                                                                     \
    X(U64, "u64", 8, 13)                                                                                     \
    X(BF16, "bf16", 2, 16)

/* Element type of a tensor; the values are ONNX's TensorProto.DataType numbers. 0 is no type. */
typedef enum agate_dtype {
    AGATE_DTYPE_NONE = 0,
#define AGATE_DTYPE_ENUM(name, text, size_bytes, onnx) AGATE_##name = onnx,
    AGATE_DTYPE_TABLE(AGATE_DTYPE_ENUM)
#undef AGATE_DTYPE_ENUM
} agate_dtype;

/* Size of one element in bytes; 0 for a number that is no element type. */
AGATE_API size_t agate_dtype_size(agate_dtype dtype);

/* Name as in IR dumps ("f32"); "?" for a number that is no element type. */
AGATE_API const char *agate_dtype_name(agate_dtype dtype);

/* ---- status ------------------------------------------------------------------------------------------- */

typedef enum agate_code {
    AGATE_CODE_OK = 0,
    AGATE_CODE_INVALID_ARGUMENT, /* the caller's mistake: a wrong shape, dtype, count or option */
    AGATE_CODE_INVALID_MODEL,    /* the file is damaged, or breaks the ONNX specification */
    AGATE_CODE_UNSUPPORTED,      /* a valid model that needs what agate does not do */
    AGATE_CODE_NOT_FOUND,        /* a file, name or CPU feature is not there */
    AGATE_CODE_IO,               /* the system failed to read or write */
    AGATE_CODE_OUT_OF_MEMORY,    /* the system, or the caller's limit, refused memory */
    AGATE_CODE_CANCELLED,        /* the caller cancelled, or the deadline passed */
    AGATE_CODE_INTERNAL,         /* a bug of agate's own */
} agate_code;

typedef struct agate_error agate_error;

/* NULL on success, otherwise an error that the receiver owns. Thread-compatible. */
typedef agate_error *agate_status;
#define AGATE_OK ((agate_status)0)

/* Each accepts NULL (success). The strings live as long as the status; "" where there is nothing to say. */
AGATE_API agate_code agate_status_code(const agate_error *status);
AGATE_API const char *agate_status_message(const agate_error *status); /* the whole sentence, with place */
AGATE_API const char *agate_status_node(const agate_error *status);    /* ONNX node name */
AGATE_API const char *agate_status_op(const agate_error *status);      /* ONNX operator */
AGATE_API void agate_status_release(agate_status status);

/* "invalid-argument", ...: a stable word for each code. */
AGATE_API const char *agate_code_name(agate_code code);

/* ---- tensors ------------------------------------------------------------------------------------------ */

/* A view of a dense row-major tensor in memory that somebody else owns. Any alignment that suits the element
 * type is accepted; 64 bytes is fastest. */
typedef struct agate_tensor {
    agate_dtype dtype;
    int32_t rank;
    int64_t dims[AGATE_MAX_RANK];
    void *data;
    size_t size_bytes; /* room behind `data`; at least the product of dims times the element size */
} agate_tensor;

/* Bytes that a tensor of this dtype and these dims takes. Returns false, and leaves *out_size_bytes alone, on a
 * negative dimension, a bad rank or dtype, or overflow. */
AGATE_API bool agate_tensor_size(agate_dtype dtype, int32_t rank, const int64_t *dims,
                                 size_t *out_size_bytes);

/* ---- models ------------------------------------------------------------------------------------------- */

typedef struct agate_model agate_model;

/* Gives the free dimension `name` of the model's inputs a fixed value. */
typedef struct agate_dim_binding {
    const char *name;
    int64_t value;
} agate_dim_binding;

/* Called while compiling, from one thread at a time: `done` of `total` kernels are ready. */
typedef void (*agate_progress_fn)(void *user, size_t done, size_t total);

/* Zero-initialize, then set what differs from the default. */
typedef struct agate_compile_options {
    const char *isa;               /* "sse2", "avx2" or "avx512": a cap; NULL: the best this CPU has */
    int32_t threads;               /* compile threads; 0: every core granted to the process */
    const agate_dim_binding *dims; /* values for free dimensions other than the batch */
    size_t dim_count;
    size_t memory_limit_bytes; /* the most that one tensor may take; 0: 16 GiB */
    agate_progress_fn progress;
    void *progress_user;
} agate_compile_options;

/* Reads and compiles an ONNX file. External data is looked for beside it. `options` may be NULL. On success
 * *out_model is the caller's, to release. Thread-safe. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_file(const char *path,
                                                            const agate_compile_options *options,
                                                            agate_model **out_model);

/* The same from `size_bytes` of memory, which must stay unchanged only during the call. `directory` is where
 * external data may lie; NULL refuses external data. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_memory(const void *data, size_t size_bytes,
                                                              const char *directory,
                                                              const agate_compile_options *options,
                                                              agate_model **out_model);

/* Releases the model once its last session is released. NULL is accepted. Thread-safe. */
AGATE_API void agate_model_release(agate_model *model);

/* A free dimension (the batch) in agate_value_info::dims. */
#define AGATE_DIM_BATCH (-1)

/* What the model says of one input or output. `name` lives as long as the model. */
typedef struct agate_value_info {
    const char *name;
    agate_dtype dtype;
    int32_t rank;
    int64_t dims[AGATE_MAX_RANK]; /* AGATE_DIM_BATCH where the size follows the batch */
} agate_value_info;

AGATE_API size_t agate_model_input_count(const agate_model *model);
AGATE_API size_t agate_model_output_count(const agate_model *model);
AGATE_API AGATE_MUST_USE agate_status agate_model_input_info(const agate_model *model, size_t index,
                                                             agate_value_info *out_info);
AGATE_API AGATE_MUST_USE agate_status agate_model_output_info(const agate_model *model, size_t index,
                                                              agate_value_info *out_info);

/* ---- sessions ----------------------------------------------------------------------------------------- */

typedef struct agate_session agate_session;

/* Zero-initialize, then set what differs from the default. */
typedef struct agate_session_options {
    /* 0, or more than there are: every core granted to the process (affinity, cgroup quota) */
    int32_t threads;
    /* The slab is sized for this batch at once; 0: 1. A larger batch grows it on first use. */
    int64_t max_batch;
} agate_session_options;

/* A session keeps its model alive. `options` may be NULL. The session has threads of its own, which sleep between runs:
 * where many sessions run at once, give each few. Thread-safe. */
AGATE_API AGATE_MUST_USE agate_status agate_session_create(agate_model *model,
                                                           const agate_session_options *options,
                                                           agate_session **out_session);

/* NULL is accepted. Not while the session runs. */
AGATE_API void agate_session_release(agate_session *session);

/* Writes dtype, rank, dims and size_bytes (not data) of output `index` for this batch size (of no account where the
 * model's sizes are fixed). */
AGATE_API AGATE_MUST_USE agate_status agate_session_output_shape(const agate_session *session, size_t index,
                                                                 int64_t batch, agate_tensor *out_tensor);

/* Runs the model once. `inputs` are in the model's order with every field set; all must agree on the batch. `outputs`
 * come with data and size_bytes (room) set; dtype, rank and dims are written. Inputs are not changed; inputs and outputs
 * must not overlap. A tensor of no elements may have NULL data. Allocates nothing and takes no lock, unless the batch
 * exceeds every one before it. On failure the outputs' contents are unspecified; the session can run again. The answer
 * is bit-identical for any thread count, and for a row alone or in a batch. */
AGATE_API AGATE_MUST_USE agate_status agate_session_run(agate_session *session, const agate_tensor *inputs,
                                                        size_t input_count, agate_tensor *outputs,
                                                        size_t output_count);

/* "0.1.0" */
AGATE_API const char *agate_version(void);

#ifdef __cplusplus
}
#endif

#endif
