/* infer.h: the inference functions named in ops.def's column `infer`. */
#ifndef AGATE_INFER_H
#define AGATE_INFER_H

#include "ir/graph.h"

#define AGATE_INFER(name) bool agate_infer_##name(agate_node *node, agate_type *out_type, agate_text *fault)

#define AGATE_OP(id, text, lo, hi, attrs, traits, infer, reference, family) AGATE_INFER(infer);
#include "ir/ops.def"
#undef AGATE_OP

#endif
