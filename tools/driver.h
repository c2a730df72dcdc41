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

/* The machine that `isa` (NULL: no cap) means on this CPU: the named level, or the best there is where that
 * is less. */
AGATE_MUST_USE agate_status agate_driver_machine(const char *isa, agate_machine *out_machine);

/* The machine of that very name, whether this CPU has it or not; NULL: the best there is. For looking at
 * code. */
AGATE_MUST_USE agate_status agate_driver_machine_exact(const char *isa, agate_machine *out_machine);

/* Is this a file of `agate compile` (an ELF file), and not a model to compile? False where it cannot be read. */
bool agate_driver_is_compiled(const char *path);

/* agate_model_load_artifact, refusing options that come too late: values of dimensions, known inputs. */
AGATE_MUST_USE agate_status agate_driver_load_compiled(const char *path, const agate_driver_options *options,
                                                       agate_model **out_model);

/* Reads a graph: text IR from a file that ends in ".agt", ONNX from any other. On success the graph is the
 * caller's. */
AGATE_MUST_USE agate_status agate_driver_read(const char *path, const agate_driver_options *options,
                                              agate_graph **out_graph);

/* From a graph as imported, which the passes turn into the planned one and which stays the caller's, to a model. */
AGATE_MUST_USE agate_status agate_driver_build(agate_graph *graph, const agate_driver_options *options,
                                               agate_model **out_model);

/* From a graph as imported, which is used up whatever comes of it, to a model. */
AGATE_MUST_USE agate_status agate_driver_compile(agate_graph *graph, const agate_driver_options *options,
                                                 agate_model **out_model);

#endif
