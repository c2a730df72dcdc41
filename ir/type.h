/* type.h: what a value is: element type, shape that may follow the batch, layout in memory. */
#ifndef AGATE_TYPE_H
#define AGATE_TYPE_H

#include "runtime/base/attrs.h"

typedef enum agate_layout_kind {
#define AGATE_LAYOUT(id, text, order) AGATE_LAYOUT_##id,
#include "ir/layouts.def"
#undef AGATE_LAYOUT
    AGATE_LAYOUT_COUNT
} agate_layout_kind;

/* `block` is B in layouts.def; 0 for plain.
 *
 * `pitch` is for the channel-blocked layout of a value that lies among others' channels: how many channels
 * there are from one image to the next, a multiple of the block. 0: its own, padded. Only values in memory
 * have one: kernels' operands and results, and views; not what a kernel computes in between. */
typedef struct agate_layout {
    uint16_t kind;
    uint16_t block;
    int32_t pitch;
} agate_layout;

typedef struct agate_type {
    agate_dtype dtype; /* AGATE_DTYPE_NONE: no type (not inferred yet) */
    agate_layout layout;
    int32_t rank;
    agate_dim dims[AGATE_MAX_RANK]; /* logical, outermost first; entries past rank are zero */
} agate_type;

static inline bool agate_is_float(agate_dtype dtype)
{
    return dtype == AGATE_F32 || dtype == AGATE_F64 || dtype == AGATE_F16 || dtype == AGATE_BF16;
}

agate_type agate_type_make(agate_dtype dtype, int32_t rank, const agate_dim *dims);
bool agate_type_equal(const agate_type *a, const agate_type *b);
bool agate_layout_equal(agate_layout a, agate_layout b); /* pitch aside */

/* The same in memory of its own. */
static inline agate_layout agate_layout_own(agate_layout layout)
{
    layout.pitch = 0;
    return layout;
}

/* Do the logical dimensions agree? */
bool agate_type_same_dims(const agate_type *a, const agate_type *b);

/* Do the dimensions and the layout with its pitch agree? Element types may differ. */
bool agate_type_same_places(const agate_type *a, const agate_type *b);

/* Equal but for pitches: the same elements in the same order. */
bool agate_type_equal_but_pitch(const agate_type *a, const agate_type *b);

/* Channels from one image to the next of a channel-blocked type: its pitch, or its own channels with their
 * pads. */
int64_t agate_type_pitch(const agate_type *type);

/* Bytes from the first channel of such a type to channel `channel`, the first of a block. */
int64_t agate_type_channel_offset(const agate_type *type, int64_t channel);

/* All dimensions fixed? */
bool agate_type_is_fixed(const agate_type *type);

/* A batch of channels of one, two or three dimensions? */
static inline bool agate_is_image(const agate_type *type)
{
    return type->rank >= 3 && type->rank <= 5;
}

/* Rows of an image's channel, whose last dimension is a row: of all planes where there are some. */
static inline int64_t agate_image_rows(const agate_type *type)
{
    int64_t rows = 1;
    for (int32_t i = 2; i < type->rank - 1; i++)
        rows *= type->dims[i].offset;
    return rows;
}

/* Product of the logical dimensions. Returns false on overflow, or where it is no linear function of the
 * batch. */
bool agate_type_count(const agate_type *type, agate_dim *out_count);

/* Bytes in memory, pads of a blocked layout included; with a pitch, from its first to its last byte. Returns
 * false as above. */
bool agate_type_size(const agate_type *type, agate_dim *out_size_bytes);

/* Can a value have this type? Looks for an element type, dimensions that are never negative, a layout that
 * fits the rank, a batch that only the outermost dimension follows, and a size that an address can reach. On
 * a fault appends a sentence to `fault` and returns false. */
bool agate_type_check(const agate_type *type, agate_text *fault);

/* What of a dimension's coordinate d an axis of the physical order counts; B is the layout's block. */
typedef enum agate_phys_part {
    AGATE_PHYS_WHOLE,
    AGATE_PHYS_OUTER,  /* d/B */
    AGATE_PHYS_INNER,  /* d%B */
    AGATE_PHYS_PAIRS,  /* (d%B)/2 */
    AGATE_PHYS_HALVED, /* d/2 */
    AGATE_PHYS_OF_PAIR /* d%2 */
} agate_phys_part;

typedef struct agate_phys_axis {
    int32_t dim;
    agate_phys_part part;
    agate_dim extent;
    agate_dim stride; /* in elements */
} agate_phys_axis;

#define AGATE_MAX_PHYS (AGATE_MAX_RANK + 3)

/* Where coordinate `at` stands along an axis with this part of it, and by how much the coordinate grows with
 * a step there. */
static inline int64_t agate_phys_digit(agate_phys_part part, int64_t block, int64_t at)
{
    switch (part) {
    case AGATE_PHYS_OUTER:
        return at / block;
    case AGATE_PHYS_INNER:
        return at % block;
    case AGATE_PHYS_PAIRS:
        return at % block / 2;
    case AGATE_PHYS_HALVED:
        return at / 2;
    case AGATE_PHYS_OF_PAIR:
        return at % 2;
    default:
        return at;
    }
}

static inline int64_t agate_phys_weight(agate_phys_part part, int64_t block)
{
    bool pairs = part == AGATE_PHYS_PAIRS || part == AGATE_PHYS_HALVED;

    return part == AGATE_PHYS_OUTER ? block : pairs ? 2 : 1;
}

/* Writes the physical axes of `type`, outermost first, and returns how many. The one place that knows the
 * orders of layouts.def; addresses, sizes and the reorder kernel all derive from it. Only the outermost
 * extent may follow the batch; returns -1 where an inner one does or a stride overflows. */
int32_t agate_type_phys(const agate_type *type, agate_phys_axis out_axes[AGATE_MAX_PHYS]);

/* Shape that operands broadcast to by ONNX's (numpy's) rules. Returns false where they do not. */
bool agate_broadcast(const agate_type *a, const agate_type *b, agate_type *out_type);

/* Appends "f32[N,64,56,56]{nchw16c}"; and parses it back out of a 0-terminated text, returning the end of
 * what was read, or NULL where it is no type. A layout is named by its dimensions, then block and dimension
 * of each inner axis, as layouts.def shows for rank 4: {ncw8c}, {nc16c}, {ncdhw16c}, {oihw16i16o}, {oihw16o},
 * {o16o}, {kn16n}, {bkn16n}. A pitch stands behind it: {nchw16c of 256}. */
void agate_type_print(const agate_type *type, agate_text *text);
const char *agate_type_parse(const char *text, agate_type *out_type);
const char *agate_dim_parse(const char *text, agate_dim *out_dim);

#endif
