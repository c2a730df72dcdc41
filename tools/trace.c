/* trace.c: a file of events, which chrome://tracing and Perfetto read. */
#include "tools/trace.h"

#include <errno.h>
#include <unistd.h>

static agate_status unwritable(const agate_trace *trace)
{
    return agate_error_make(AGATE_CODE_IO, "%s cannot be written: %s", trace->path, strerror(errno));
}

agate_status agate_trace_open(agate_trace *trace, const char *path)
{
    trace->path = path;
    trace->is_new = access(path, F_OK) != 0;
    trace->stream = fopen(path, "a");
    return trace->stream ? AGATE_OK : unwritable(trace);
}

agate_status agate_trace_write(agate_trace *trace, json_t *events)
{
    json_t *root = json_object();

    json_object_set_new(root, "traceEvents", events);
    json_object_set_new(root, "displayTimeUnit", json_string("ms"));
    /* A pipe holds nothing to cut off. */
    const bool emptied = ftruncate(fileno(trace->stream), 0) == 0 || errno == EINVAL;
    const bool written = emptied && agate_json_write(root, trace->stream) && fflush(trace->stream) == 0;
    json_decref(root);
    trace->is_new = trace->is_new && !written;
    return written ? AGATE_OK : unwritable(trace);
}

void agate_trace_close(agate_trace *trace)
{
    if (!trace->stream)
        return;
    fclose(trace->stream);
    if (trace->is_new)
        unlink(trace->path);
    *trace = (agate_trace){0};
}
