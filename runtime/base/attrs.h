/* attrs.h: attribute structs generated from attrs.def, shared by the IR and the reference kernels. */
#ifndef AGATE_ATTRS_H
#define AGATE_ATTRS_H

#include "runtime/base/base.h"

/* A short list of numbers, by value. */
#define AGATE_MAX_INTS (2 * AGATE_MAX_RANK)
typedef struct agate_ints {
    int32_t count;
    int64_t v[AGATE_MAX_INTS];
} agate_ints;

/* Are all of `ints` (a left-out list counts as all) `wanted`? */
static inline bool agate_ints_are(const agate_ints *ints, int64_t wanted)
{
    for (int32_t i = 0; i < ints->count; i++)
        if (ints->v[i] != wanted)
            return false;
    return true;
}

typedef struct agate_dims {
    int32_t count;
    agate_dim v[AGATE_MAX_RANK];
} agate_dims;

typedef enum agate_padding {
    AGATE_PAD_CONSTANT,
    AGATE_PAD_REFLECT,
    AGATE_PAD_EDGE,
    AGATE_PAD_WRAP
} agate_padding;

#define AGATE_ATTR_TYPE_int   int64_t
#define AGATE_ATTR_TYPE_bool  bool
#define AGATE_ATTR_TYPE_float double
#define AGATE_ATTR_TYPE_ints  agate_ints
#define AGATE_ATTR_TYPE_dims  agate_dims
#define AGATE_ATTR_TYPE_enum  agate_padding
#define AGATE_ATTR_TYPE_dtype agate_dtype

/* struct agate_attrs_conv { agate_ints strides; ... }; a leading byte keeps the empty set a valid struct. */
#define AGATE_SET(set, ...)                                                                                  \
    typedef struct agate_attrs_##set {                                                                       \
        uint8_t unused;                                                                                      \
        __VA_ARGS__                                                                                          \
    } agate_attrs_##set;
#define AGATE_ATTR(set, kind, name, value) AGATE_ATTR_TYPE_##kind name;
#include "runtime/base/attrs.def"
#undef AGATE_SET
#undef AGATE_ATTR

/* AGATE_SET_conv, ... */
typedef enum agate_attr_set {
#define AGATE_SET(set, ...) AGATE_SET_##set,
#define AGATE_ATTR(set, kind, name, value)
#include "runtime/base/attrs.def"
#undef AGATE_SET
#undef AGATE_ATTR
    AGATE_SET_COUNT
} agate_attr_set;

/* Any attribute set. Always zeroed before it is filled, so that equal sets are equal bytes. */
typedef union agate_attrs {
#define AGATE_SET(set, ...) agate_attrs_##set set;
#define AGATE_ATTR(set, kind, name, value)
#include "runtime/base/attrs.def"
#undef AGATE_SET
#undef AGATE_ATTR
} agate_attrs;

typedef enum agate_attr_kind {
    AGATE_ATTR_int,
    AGATE_ATTR_bool,
    AGATE_ATTR_float,
    AGATE_ATTR_ints,
    AGATE_ATTR_dims,
    AGATE_ATTR_enum,
    AGATE_ATTR_dtype
} agate_attr_kind;

/* For printing, parsing and comparing without a case per set. */
typedef struct agate_attr_info {
    agate_attr_set set;
    agate_attr_kind kind;
    const char *name;
    size_t offset_bytes;  /* within agate_attrs */
    double default_value; /* NaN: no default */
} agate_attr_info;

/* All attributes, grouped by set in attrs.def's order. */
extern const agate_attr_info agate_attr_table[];
extern const size_t agate_attr_table_count;

/* The rows of one set, as a slice of agate_attr_table. */
const agate_attr_info *agate_attr_rows(agate_attr_set set, size_t *out_count);

/* Zeroes *out_attrs and sets the defaults of scalar attributes (lists stay empty). */
void agate_attrs_init(agate_attr_set set, agate_attrs *out_attrs);

/* "constant", "reflect", ...; and back (returns false for another word). */
const char *agate_padding_name(agate_padding padding);
bool agate_padding_parse(const char *text, agate_padding *out_padding);

#endif
