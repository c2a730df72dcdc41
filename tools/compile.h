/* compile.h: planned graphs to a file that runs without a compiler. */
#ifndef AGATE_COMPILE_H
#define AGATE_COMPILE_H

#include "tools/driver.h"

/* The strings must outlive the compilation. */
typedef struct agate_compile_to {
    const char *path;
    bool object;           /* one relocatable object, to be linked into something else */
    bool external_weights; /* in `path`.weights */
    bool quiet;            /* the linker's own messages are dropped */
    bool locked;           /* no other user may write to it, whatever the umask says */
} agate_compile_to;

/* A file in the making, in a folder of its own beside it. Thread-compatible. */
typedef struct agate_compilation agate_compilation;

AGATE_MUST_USE agate_status agate_compilation_create(const agate_compile_to *to,
                                                     agate_compilation **out_compilation);

/* Compiles a planned graph for the machine and the precision (of the options) that it was planned for,
 * whether this CPU has it or not. What is added later is preferred where a CPU can run both, of one
 * precision; those of one come one after the other. `suffix` (NULL: none) must differ. `graph` is only
 * read. */
AGATE_MUST_USE agate_status agate_compilation_add(agate_compilation *compilation, const agate_graph *graph,
                                                  const agate_machine *machine, const char *suffix,
                                                  const agate_compile_options *options);

/* Links and puts the file in place: it appears whole or not at all. */
AGATE_MUST_USE agate_status agate_compilation_finish(agate_compilation *compilation);

/* Removes what is left of it, finished or not. NULL is accepted. */
void agate_compilation_release(agate_compilation *compilation);

#endif
