/* trace.h: a file of events in Chrome's format, opened before what it is to tell of is measured. */
#ifndef AGATE_TRACE_H
#define AGATE_TRACE_H

#include <stdio.h>

#include "runtime/base/base.h"
#include "tools/json.h"

/* Zero-initialize. */
typedef struct agate_trace {
    FILE *stream; /* NULL: none is wanted */
    const char *path;
    bool is_new; /* nothing was there, and nothing is written yet */
} agate_trace;

/* Fails where `path`, which must stay, cannot be written. What is there stays until there is something to
 * write. */
AGATE_MUST_USE agate_status agate_trace_open(agate_trace *trace, const char *path);

/* Takes over the events, an array. */
AGATE_MUST_USE agate_status agate_trace_write(agate_trace *trace, json_t *events);

/* Leaves no file behind that was not there and is not written. */
void agate_trace_close(agate_trace *trace);

#endif
