/* driver.h: the whole pipeline: file, graph, passes, backend, module, model. Internal; agate.h is its public
 * face. */
#ifndef AGATE_DRIVER_H
#define AGATE_DRIVER_H

#include "frontend/import.h"
#include "passes/pass.h"

/* Zero-initialize, then set what differs. */
typedef struct agate_driver_options {
    agate_compile_options compile;
    agate_pass_options passes;             /* `machine` is filled in by the driver */
    const agate_input_value *known_inputs; /* of ONNX models: become constants, and are inputs no more */
    size_t known_input_count;
    const agate_import_listener *listener; /* of ONNX models; NULL: none */
} agate_driver_options;

/* Where a model comes from. */
typedef struct agate_model_source {
    const char *path;      /* "-": standard input; NULL: memory */
    const void *data;      /* NULL: to be read from `path` */
    size_t size_bytes;     /* of `data` */
    const char *directory; /* where external data may lie; NULL: nowhere */
    bool text;             /* text IR, not ONNX */
} agate_model_source;

/* A file by its name. `directory` is the caller's to free. */
AGATE_MUST_USE agate_status agate_source_init(agate_model_source *source, const char *path);

/* Puts the file's name in front of an error; agate_file_read has done so already. */
AGATE_MUST_USE agate_status agate_source_error(const agate_model_source *source, agate_status status);

/* What a cache did when a model was loaded. */
typedef struct agate_cache_outcome {
    bool hit;         /* the model came from it */
    char remark[256]; /* what kept it from serving, or was wrong with what it held; "": nothing */
} agate_cache_outcome;

/* The machine that the options mean on this CPU: the level named by `isa`, or the best there is where that is
 * less; where none is named, with the features that their precision can use. */
AGATE_MUST_USE agate_status agate_driver_machine(const agate_compile_options *options,
                                                 agate_machine *out_machine);

/* The same, but of the very level that `isa` names, whether this CPU has it or not. For looking at code. */
AGATE_MUST_USE agate_status agate_driver_machine_exact(const agate_compile_options *options,
                                                       agate_machine *out_machine);

/* Is this a file of `agate compile` (an ELF file), and not a model to compile? False where it cannot be
 * read. */
bool agate_driver_is_compiled(const char *path);

/* agate_model_load_artifact_with, refusing options that come too late: values of dimensions, known inputs. */
AGATE_MUST_USE agate_status agate_driver_load_compiled(const char *path, const agate_driver_options *options,
                                                       agate_model **out_model);

/* Reads a graph: text IR from a file that ends in ".agt", ONNX from any other. On success the graph is the
 * caller's. */
AGATE_MUST_USE agate_status agate_driver_read(const char *path, const agate_driver_options *options,
                                              agate_graph **out_graph);

/* The same from a source: from `file`, what agate_file_map gave of it, or where that is NULL from the
 * source's memory. `files` hears of external data; NULL: nobody does. */
AGATE_MUST_USE agate_status agate_driver_import(const agate_model_source *source, agate_data *file,
                                                const agate_driver_options *options,
                                                const agate_import_files *files, agate_graph **out_graph);

/* How to run passes for `machine`, as these options say. A remark tells of features that would have served
 * the precision and that the system refuses to this process. */
agate_pass_options agate_driver_passes(const agate_driver_options *options, const agate_machine *machine);

/* Runs all passes for the machine of these options, *out_machine. */
AGATE_MUST_USE agate_status agate_driver_plan(agate_graph *graph, const agate_driver_options *options,
                                              agate_machine *out_machine);

/* From a planned graph, which stays the caller's, to a model in this process. */
AGATE_MUST_USE agate_status agate_driver_link(const agate_graph *graph, const agate_machine *machine,
                                              const agate_driver_options *options, agate_model **out_model);

/* From a graph as imported, which the passes turn into the planned one and which stays the caller's, to a
 * model. */
AGATE_MUST_USE agate_status agate_driver_build(agate_graph *graph, const agate_driver_options *options,
                                               agate_model **out_model);

/* From a graph as imported, which is used up whatever comes of it, to a model. */
AGATE_MUST_USE agate_status agate_driver_compile(agate_graph *graph, const agate_driver_options *options,
                                                 agate_model **out_model);

/* From a file of any kind to a model, through the cache of the options where it can serve. `out_outcome` may
 * be NULL. */
AGATE_MUST_USE agate_status agate_driver_load(const char *path, const agate_driver_options *options,
                                              agate_cache_outcome *out_outcome, agate_model **out_model);

#endif
