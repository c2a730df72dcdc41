/* linker.h: the system's linker, run as a program of its own. */
#ifndef AGATE_LINKER_H
#define AGATE_LINKER_H

#include "runtime/base/base.h"

typedef struct agate_linker_options {
    const char *directory; /* of the objects: 0.o, 1.o, ... */
    const char *output;
    bool shared; /* a shared object; else one relocatable object */
    bool quiet;  /* its own messages are dropped */
} agate_linker_options;

/* Links so many objects. Looks in PATH for ld, ld.lld, then cc; where there is none, the error says what to
 * install. */
AGATE_MUST_USE agate_status agate_linker_run(const agate_linker_options *options, size_t object_count);

#endif
