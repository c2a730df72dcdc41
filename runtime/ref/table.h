/* table.h: the reference kernels by name, for files that outlive the numbers of enums. */
#ifndef AGATE_REF_TABLE_H
#define AGATE_REF_TABLE_H

#include "runtime/ref/ref.h"

#define AGATE_ROW(name, attrs) agate_status agate_ref_##name(const agate_ref_call *call);
#include "runtime/ref/ref.def"
#undef AGATE_ROW

typedef struct agate_ref_row {
    const char *name;
    agate_ref_fn fn;
    agate_attr_set attrs;
} agate_ref_row;

/* NULL: no such kernel. */
const agate_ref_row *agate_ref_row_named(const char *name);
const agate_ref_row *agate_ref_row_of(agate_ref_fn fn);

#endif
