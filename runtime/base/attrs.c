/* attrs.c: the rows of attrs.def as a table. */
#include "runtime/base/attrs.h"

#include <math.h>

#define NONE NAN

const agate_attr_info agate_attr_table[] = {
#define AGATE_SET(set, ...) __VA_ARGS__
#define AGATE_ATTR(set, kind, name, value)                                                                   \
    {AGATE_SET_##set, AGATE_ATTR_##kind, #name, offsetof(agate_attrs, set.name), value},
#include "runtime/base/attrs.def"
#undef AGATE_SET
#undef AGATE_ATTR
};

const size_t agate_attr_table_count = AGATE_COUNT(agate_attr_table);

const agate_attr_info *agate_attr_rows(agate_attr_set set, size_t *out_count)
{
    size_t first = 0, count = 0;
    while (first < agate_attr_table_count && agate_attr_table[first].set != set)
        first++;
    while (first + count < agate_attr_table_count && agate_attr_table[first + count].set == set)
        count++;
    *out_count = count;
    return agate_attr_table + first;
}

void agate_attrs_init(agate_attr_set set, agate_attrs *out_attrs)
{
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(set, &count);

    memset(out_attrs, 0, sizeof(*out_attrs));
    for (size_t i = 0; i < count; i++) {
        void *field = (char *)out_attrs + rows[i].offset_bytes;
        const double value = rows[i].default_value;
        if (isnan(value))
            continue;
        switch (rows[i].kind) {
        case AGATE_ATTR_int:
            *(int64_t *)field = (int64_t)value;
            break;
        case AGATE_ATTR_bool:
            *(bool *)field = value != 0;
            break;
        case AGATE_ATTR_float:
            *(double *)field = value;
            break;
        case AGATE_ATTR_enum:
            *(agate_padding *)field = (agate_padding)value;
            break;
        case AGATE_ATTR_dtype:
            *(agate_dtype *)field = (agate_dtype)value;
            break;
        case AGATE_ATTR_ints:
        case AGATE_ATTR_dims:
            break;
        }
    }
}

static const char *const padding_names[] = {
    [AGATE_PAD_CONSTANT] = "constant",
    [AGATE_PAD_REFLECT] = "reflect",
    [AGATE_PAD_EDGE] = "edge",
    [AGATE_PAD_WRAP] = "wrap",
};

const char *agate_padding_name(agate_padding padding)
{
    return (size_t)padding < AGATE_COUNT(padding_names) ? padding_names[padding] : "?";
}

bool agate_padding_parse(const char *text, agate_padding *out_padding)
{
    for (size_t i = 0; i < AGATE_COUNT(padding_names); i++)
        if (strcmp(text, padding_names[i]) == 0) {
            *out_padding = (agate_padding)i;
            return true;
        }
    return false;
}
