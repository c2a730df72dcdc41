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

#define AGATE_API      __attribute__((visibility("default"))) /* exported by the libraries */
#define AGATE_MUST_USE __attribute__((warn_unused_result))    /* a status that nobody looks at is a mistake */

#define AGATE_VERSION_MAJOR 0 /* of this header; agate_version tells the library's */
#define AGATE_VERSION_MINOR 1 /* grows with what is added */
#define AGATE_VERSION_PATCH 0 /* grows with what is mended */

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
/* A row of AGATE_DTYPE_TABLE as an enumerator. */
#define AGATE_DTYPE_ENUM(name, text, size_bytes, onnx) AGATE_##name = onnx,
    AGATE_DTYPE_TABLE(AGATE_DTYPE_ENUM)
#undef AGATE_DTYPE_ENUM
} agate_dtype;

/* Size of one element in bytes; 0 for a number that is no element type. */
AGATE_API size_t agate_dtype_size(agate_dtype dtype);

/* Name as in IR dumps ("f32"); "?" for a number that is no element type. */
AGATE_API const char *agate_dtype_name(agate_dtype dtype);

/* ---- status ------------------------------------------------------------------------------------------- */

/* What kind of error it is. */
typedef enum agate_code {
    AGATE_CODE_OK = 0,           /* no error */
    AGATE_CODE_INVALID_ARGUMENT, /* the caller's mistake: a wrong shape, dtype, count or option */
    AGATE_CODE_INVALID_MODEL,    /* the file is damaged, or breaks the ONNX specification */
    AGATE_CODE_UNSUPPORTED,      /* a valid model that needs what agate does not do */
    AGATE_CODE_NOT_FOUND,        /* a file, name or CPU feature is not there */
    AGATE_CODE_IO,               /* the system failed to read or write */
    AGATE_CODE_OUT_OF_MEMORY,    /* the system, or the caller's limit, refused memory */
    AGATE_CODE_CANCELLED,        /* the caller cancelled, or the deadline passed */
    AGATE_CODE_INTERNAL,         /* a bug of agate's own */
} agate_code;

/* An error: what happened, where, and what would help. Immutable. */
typedef struct agate_error agate_error;

/* NULL on success, otherwise an error that the receiver owns. Thread-compatible. */
typedef agate_error *agate_status;
#define AGATE_OK ((agate_status)0) /* success */

/* AGATE_CODE_OK for NULL (success). */
AGATE_API agate_code agate_status_code(const agate_error *status);

/* The whole sentence, with the place; "" for NULL. Lives as long as the status, like the two below. */
AGATE_API const char *agate_status_message(const agate_error *status);

/* Name of the ONNX node at fault; "" where there is none, and for NULL. */
AGATE_API const char *agate_status_node(const agate_error *status);

/* Operator of the ONNX node at fault; "" where there is none, and for NULL. */
AGATE_API const char *agate_status_op(const agate_error *status);

/* NULL is accepted. */
AGATE_API void agate_status_release(agate_status status);

/* "invalid-argument", ...: a stable word for each code. */
AGATE_API const char *agate_code_name(agate_code code);

/* ---- tensors ------------------------------------------------------------------------------------------ */

/* A view of a dense row-major tensor in memory that somebody else owns. Any alignment that suits the element
 * type is accepted; 64 bytes is fastest. */
typedef struct agate_tensor {
    agate_dtype dtype;            /* of each element */
    int32_t rank;                 /* how many of `dims` count; 0: a scalar */
    int64_t dims[AGATE_MAX_RANK]; /* outermost first, each 0 or more */
    void *data;                   /* the first element */
    size_t size_bytes; /* room behind `data`; at least the product of dims times the element size */
} agate_tensor;

/* Bytes that a tensor of this dtype and these dims takes. Returns false, and leaves *out_size_bytes alone, on
 * a negative dimension, a bad rank or dtype, or overflow. */
AGATE_API bool agate_tensor_size(agate_dtype dtype, int32_t rank, const int64_t *dims,
                                 size_t *out_size_bytes);

/* ---- the caller's memory and threads ------------------------------------------------------------------- */

/* Where large blocks come from: a session's slab, a model's weights. Both functions are required, may be
 * called from any thread that creates, runs or releases what uses them, and must outlive that. */
typedef struct agate_allocator {
    /* `size_bytes` > 0 bytes, aligned to `alignment` (a power of two, 64 at most); NULL where there are none,
     * which ends the call in AGATE_CODE_OUT_OF_MEMORY. The memory need not be cleared. */
    void *(*allocate)(void *user, size_t size_bytes, size_t alignment);
    /* Takes back what `allocate` gave, with the size that was asked for. */
    void (*release)(void *user, void *memory, size_t size_bytes);
    void *user; /* handed to both */
} agate_allocator;

/* Calls body(context, i) once for each 0 <= i < count, on any threads and in any order, and returns when all
 * calls have returned. Memory written before it is visible to the calls, and what they write is visible after
 * it. */
typedef void (*agate_parallel_fn)(void *user, int32_t count, void (*body)(void *context, int32_t index),
                                  void *context);

/* ---- models ------------------------------------------------------------------------------------------- */

/* A compiled model: code, constants and plan. Immutable and thread-safe. */
typedef struct agate_model agate_model;

/* Gives the free dimension `name` of the model's inputs a fixed value. */
typedef struct agate_dim_binding {
    const char *name; /* of the dimension, or "INPUT:AXIS" */
    int64_t value;    /* 1 or more */
} agate_dim_binding;

/* Called while compiling, from one thread at a time: `done` of `total` kernels are ready. */
typedef void (*agate_progress_fn)(void *user, size_t done, size_t total);

/* Zero-initialize, then set what differs from the default. */
typedef struct agate_compile_options {
    const char *isa; /* "sse2", "sse4", "avx2" or "avx512": a cap; NULL: the best this CPU has */
    int32_t threads; /* compile threads; 0: every core granted to the process */
    const agate_dim_binding *dims; /* values for free dimensions other than the batch */
    size_t dim_count;              /* of `dims` */
    size_t memory_limit_bytes;     /* the most that one tensor may take; 0: 16 GiB */
    agate_progress_fn progress;    /* NULL: nobody is told */
    void *progress_user;           /* handed to `progress` */
    /* copied; for the model's constants; NULL: the C library's; no cache serves it */
    const agate_allocator *allocator;
    const char *cache_directory; /* where compiled models are kept and found again; NULL: nowhere */
    uint64_t cache_limit_bytes;  /* the most that folder may hold: least recently used ones go; 0: 4 GiB */
    /* faster ways to compute that round otherwise, separated by commas: "winograd"; NULL: none */
    const char *allow;
    /* of products in convolutions: "f32"; "f32x6" or "f32x3", sums of bfloat16 numbers for each f32, where
     * the CPU has AMX; or "f16" or "bf16", to which operands are rounded: less exact, half the memory, and
     * bf16 faster. NULL: "f32". Of a compiled file as in agate_load_options */
    const char *precision;
    /* of single nodes by their ONNX names, "NODE=P,NODE=P", in place of `precision`; NULL: of none */
    const char *node_precisions;
} agate_compile_options;

/* Reads and compiles an ONNX file, or maps a compiled one. External data is looked for beside it. `options`
 * may be NULL. On success *out_model is the caller's, to release. Thread-safe. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_file(const char *path,
                                                            const agate_compile_options *options,
                                                            agate_model **out_model);

/* The same from `size_bytes` of memory, which must stay unchanged only during the call. `directory` is where
 * external data may lie; NULL refuses external data. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_memory(const void *data, size_t size_bytes,
                                                              const char *directory,
                                                              const agate_compile_options *options,
                                                              agate_model **out_model);

/* Maps a file of `agate compile`; needs no compiler, so the library without one has it too. The file, and its
 * weights where they are apart, must not be written to while the model lives: put a new file in its place
 * instead. A damaged file, or one that needs CPU features that are not here, is an error. Its code runs in
 * this process: trust it as you would any shared object. On success *out_model is the caller's, to release.
 * Thread-safe. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_artifact(const char *path, agate_model **out_model);

/* Zero-initialize, then set what differs from the default. */
typedef struct agate_load_options {
    /* Which of the precisions that the file was compiled with, "f32", "bf16" and so on. One that it lacks is
     * AGATE_CODE_NOT_FOUND, an error that lists those it has. NULL: "f32" where the file has it, else its
     * only one; where it has several others, one must be named. */
    const char *precision;
} agate_load_options;

/* agate_model_load_artifact with a choice of what the file holds. `options` may be NULL. */
AGATE_API AGATE_MUST_USE agate_status agate_model_load_artifact_with(const char *path,
                                                                     const agate_load_options *options,
                                                                     agate_model **out_model);

/* The precision that the model was compiled with: "f32", or what was asked for. Lives as long as the model.
 * Thread-safe. */
AGATE_API const char *agate_model_precision(const agate_model *model);

/* Releases the model once its last session is released. NULL is accepted. Thread-safe. */
AGATE_API void agate_model_release(agate_model *model);

/* A free dimension (the batch) in agate_value_info::dims. */
#define AGATE_DIM_BATCH (-1)

/* What the model says of one input or output. `name` lives as long as the model. */
typedef struct agate_value_info {
    const char *name;             /* in the ONNX file */
    agate_dtype dtype;            /* of each element */
    int32_t rank;                 /* how many of `dims` count */
    int64_t dims[AGATE_MAX_RANK]; /* AGATE_DIM_BATCH where the size follows the batch */
} agate_value_info;

/* Inputs that a run takes; initializers are none. Thread-safe, like the three below. */
AGATE_API size_t agate_model_input_count(const agate_model *model);

/* Outputs that a run gives. */
AGATE_API size_t agate_model_output_count(const agate_model *model);

/* Describes input `index`, counted from 0 in the file's order. Fails on a wrong index only. */
AGATE_API AGATE_MUST_USE agate_status agate_model_input_info(const agate_model *model, size_t index,
                                                             agate_value_info *out_info);

/* Describes output `index`, counted from 0 in the file's order. Fails on a wrong index only. */
AGATE_API AGATE_MUST_USE agate_status agate_model_output_info(const agate_model *model, size_t index,
                                                              agate_value_info *out_info);

/* One imported operator set. */
typedef struct agate_opset {
    const char *domain; /* "": ONNX's own */
    int64_t version;    /* as the file says */
} agate_opset;

/* One of metadata_props. */
typedef struct agate_property {
    const char *key;   /* need not be unique */
    const char *value; /* any text */
} agate_property;

/* What the ONNX file says of itself, byte for byte, so not to be trusted on a terminal. No string is NULL:
 * what the file leaves out is "" or 0. */
typedef struct agate_metadata {
    const char *producer_name;        /* the tool that wrote the file */
    const char *producer_version;     /* of that tool */
    const char *domain;               /* of the model: a reversed host name */
    const char *doc;                  /* the model's description */
    const char *graph_name;           /* of the model's graph */
    const char *graph_doc;            /* the graph's description */
    int64_t ir_version;               /* of the ONNX file format */
    int64_t model_version;            /* as its author counts */
    const agate_opset *opsets;        /* in the file's order */
    size_t opset_count;               /* of `opsets` */
    const agate_property *properties; /* in the file's order */
    size_t property_count;            /* of `properties` */
} agate_metadata;

/* Never NULL; lives as long as the model. Thread-safe. */
AGATE_API const agate_metadata *agate_model_metadata(const agate_model *model);

/* ---- sessions ----------------------------------------------------------------------------------------- */

/* One inference in flight: working memory, threads, bound tensors. Thread-compatible. */
typedef struct agate_session agate_session;

/* Zero-initialize, then set what differs from the default. */
typedef struct agate_session_options {
    /* 0, or more than there are: every core granted to the process (affinity, cgroup quota) */
    int32_t threads;
    /* The slab is sized for this batch at once (or for as many of its rows as are computed at a time); 0: 1.
     * A larger batch grows it on first use. */
    int64_t max_batch;
    const agate_allocator *allocator; /* copied; for the slab; NULL: pages of the system */
    /* Runs the session's parallel loops, each at most `threads` wide, in the place of threads of its own.
     * Called by the thread that runs the session, several times in a run. */
    agate_parallel_fn parallel;
    void *parallel_user; /* handed to `parallel` */
} agate_session_options;

/* A session keeps its model alive. `options` may be NULL. Without `parallel` the session has threads of its
 * own, which sleep between runs: where many sessions run at once, give each few. Thread-safe. */
AGATE_API AGATE_MUST_USE agate_status agate_session_create(agate_model *model,
                                                           const agate_session_options *options,
                                                           agate_session **out_session);

/* NULL is accepted. Not while the session runs. */
AGATE_API void agate_session_release(agate_session *session);

/* Writes dtype, rank, dims and size_bytes (not data) of output `index` for this batch size (of no account
 * where the model's sizes are fixed). */
AGATE_API AGATE_MUST_USE agate_status agate_session_output_shape(const agate_session *session, size_t index,
                                                                 int64_t batch, agate_tensor *out_tensor);

/* Runs the model once. `inputs` are in the model's order with every field set; all must agree on the batch.
 * `outputs` come with data and size_bytes (room) set; dtype, rank and dims are written. Inputs are not
 * changed; inputs and outputs must not overlap. A tensor of no elements may have NULL data. Allocates nothing
 * and takes no lock, unless the batch exceeds every one before it. The calling thread computes, too, with up
 * to 256 KiB of stack. On failure the outputs' contents are unspecified; the session can run again. The
 * answer is bit-identical for any thread count, and for a row alone or in a batch. */
AGATE_API AGATE_MUST_USE agate_status agate_session_run(agate_session *session, const agate_tensor *inputs,
                                                        size_t input_count, agate_tensor *outputs,
                                                        size_t output_count);

/* ---- bound tensors ------------------------------------------------------------------------------------- */

/* Binds the caller's memory to input `index` for agate_session_run_bound. The tensor is copied, its data is
 * not: `data` must stay until another is bound or the session is released. NULL unbinds. What
 * agate_session_run asks of an input is asked of `tensor`, but by the run. Fails on a wrong index only. */
AGATE_API AGATE_MUST_USE agate_status agate_session_bind_input(agate_session *session, size_t index,
                                                               const agate_tensor *tensor);

/* agate_session_bind_input for an output: data and size_bytes (room) are what counts. */
AGATE_API AGATE_MUST_USE agate_status agate_session_bind_output(agate_session *session, size_t index,
                                                                const agate_tensor *tensor);

/* agate_session_run on the bound tensors; AGATE_CODE_INVALID_ARGUMENT, naming it, where one is not bound. */
AGATE_API AGATE_MUST_USE agate_status agate_session_run_bound(agate_session *session);

/* Writes the tensor bound to output `index`: after a run, with the dtype, rank and dims that the run
 * wrote. */
AGATE_API AGATE_MUST_USE agate_status agate_session_bound_output(const agate_session *session, size_t index,
                                                                 agate_tensor *out_tensor);

/* ---- ending a run early -------------------------------------------------------------------------------- */

/* Makes the run in progress, and every later one, end with AGATE_CODE_CANCELLED before its next step. A step
 * (one kernel) that has begun is finished. A run whose last step has begun succeeds. Thread-safe: the one
 * call, with agate_session_resume, that is meant for another thread while the session runs. */
AGATE_API void agate_session_cancel(agate_session *session);

/* Takes agate_session_cancel back: the session runs again. Thread-safe. */
AGATE_API void agate_session_resume(agate_session *session);

/* Runs end with AGATE_CODE_CANCELLED before the first step that would begin at `deadline_ns` of
 * agate_clock_ns or later; 0: never. Holds for all later runs, until it is set anew. Thread-compatible. */
AGATE_API void agate_session_set_deadline(agate_session *session, uint64_t deadline_ns);

/* Nanoseconds on a clock that only moves forward (CLOCK_MONOTONIC): of deadlines and profiles.
 * Thread-safe. */
AGATE_API uint64_t agate_clock_ns(void);

/* ---- profiles ------------------------------------------------------------------------------------------ */

/* One step of a run, or of a slice of the batch, if caches hold more when a few rows go through several steps
 * before the next few. Where a session has more threads than one, profiled runs are not cut into slices. The
 * strings live as long as the model. */
typedef struct agate_step_profile {
    size_t index;       /* in the model's order, from 0 */
    const char *name;   /* of the compiled function, as debuggers see it, or "library" */
    const char *kernel; /* strategy and tiles, as in IR dumps */
    const char *origin; /* the ONNX nodes it computes, joined by "+"; "" where none */
    uint64_t start_ns;  /* of agate_clock_ns */
    uint64_t end_ns;    /* of agate_clock_ns */
} agate_step_profile;

/* Called on the running thread after each step; `step` is valid during the call only. Must not use the
 * session, but for agate_session_cancel. */
typedef void (*agate_profile_fn)(void *user, const agate_step_profile *step);

/* Has all later runs report to `fn`; NULL: to nobody, which costs nothing. Thread-compatible. */
AGATE_API void agate_session_set_profile(agate_session *session, agate_profile_fn fn, void *user);

/* ---- version ------------------------------------------------------------------------------------------- */

/* "0.1.0" */
AGATE_API const char *agate_version(void);

#ifdef __cplusplus
}
#endif

#endif
