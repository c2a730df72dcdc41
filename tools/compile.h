/* compile.h: a model to a file that runs without a compiler. */
#ifndef AGATE_COMPILE_H
#define AGATE_COMPILE_H

#include "tools/driver.h"

typedef struct agate_compile_to {
    const char *path;
    bool object;           /* one relocatable object, to be linked into something else */
    bool external_weights; /* in `path`.weights */
} agate_compile_to;

/* Compiles a graph as imported, which is used up whatever comes of it, for the machine of the options' isa, whether this CPU
 * has it or not. The file appears whole or not at all. */
AGATE_MUST_USE agate_status agate_compile_file(agate_graph *graph, const agate_driver_options *options,
                                               const agate_compile_to *to);

#endif
