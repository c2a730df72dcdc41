/* import_lines.h: models of lines (onnx_text.h), imported. */
#ifndef AGATE_TEST_IMPORT_LINES_H
#define AGATE_TEST_IMPORT_LINES_H

#include "frontend/import.h"
#include "tests/unit/onnx_text.h"

static inline agate_status import_lines(const char *lines, const agate_import_options *options,
                                        agate_graph **out_graph)
{
    size_t size;
    uint8_t *bytes = onnx_text_pack(lines, &size);
    agate_status status = agate_import(bytes, size, options, out_graph);
    free(bytes);
    return status;
}

#endif
