/* onnx_ops.c: the table of ONNX operators. */
#include "frontend/importer.h"

static const agate_onnx_op table[] = {
#define AGATE_ONNX(name, first, last, lo, hi, results, handler, op, attributes, p, q)                        \
    {#name, first, last, lo, hi, results, agate_import_##handler, AGATE_OP_##op, attributes, p, q},
#include "frontend/onnx_ops.def"
#undef AGATE_ONNX
};

const agate_onnx_op *agate_onnx_find(const char *name, int64_t opset, const agate_onnx_op **out_other)
{
    *out_other = NULL;
    for (size_t i = 0; i < AGATE_COUNT(table); i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        if (opset >= table[i].first && (table[i].last == 0 || opset <= table[i].last))
            return &table[i];
        *out_other = &table[i];
    }
    return NULL;
}
