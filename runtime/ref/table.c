/* table.c: the rows of ref.def. */
#include "runtime/ref/table.h"

static const agate_ref_row rows[] = {
#define AGATE_ROW(name, attrs) {#name, agate_ref_##name, AGATE_SET_##attrs},
#include "runtime/ref/ref.def"
#undef AGATE_ROW
};

const agate_ref_row *agate_ref_row_named(const char *name)
{
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

const agate_ref_row *agate_ref_row_of(agate_ref_fn fn)
{
    for (size_t i = 0; i < AGATE_COUNT(rows); i++)
        if (rows[i].fn == fn)
            return &rows[i];
    return NULL;
}
