/* linker.h: the system's linker, run as a program of its own. */
#ifndef AGATE_LINKER_H
#define AGATE_LINKER_H

#include "runtime/base/base.h"

/* Links DIRECTORY/0.o to DIRECTORY/(count-1).o into `output`: a shared object, or one relocatable object. Looks in PATH
 * for ld.lld, ld, then cc; where there is none, the error says what to install. */
AGATE_MUST_USE agate_status agate_linker_run(const char *directory, size_t count, bool shared,
                                             const char *output);

#endif
