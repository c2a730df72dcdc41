/* narrow.h: what pass narrow decides of kernels (narrow_products.c) and of values (narrow.c), and what its
 * rewriting carries out (narrow_kernel.c). */
#ifndef AGATE_PASSES_NARROW_H
#define AGATE_PASSES_NARROW_H

#include "ir/narrow.h"
#include "passes/kernel.h"
#include "passes/rewrite.h"

/* What stands for an f32: so many numbers of `dtype` (ir/narrow.h). None: it stays f32. */
typedef struct agate_planes {
    agate_dtype dtype;
    int32_t count;
} agate_planes;

/* A value that may be kept in 16 bits; those tied by views share the fate of the one at the end of `into`. */
typedef struct agate_edge {
    agate_value *value;
    struct agate_edge *into;
    const char *reason; /* why not; NULL: it may */
    bool feeds_conv;    /* a kernel of a convolution reads it */
    bool is_multiplied; /* a convolution multiplies it as it is, */
    bool is_widened;    /* ... or one whose weights stay f32 */
    bool is_narrow;
    /* as a shortcut it takes half the memory traffic in one plane of this; of several it would take no
     * less */
    agate_dtype halved_as;
    bool is_viewed;      /* a view ties it to others */
    bool read_as_f32;    /* a kernel that has no products of tiles reads it */
    agate_planes wanted; /* by the convolutions that read it; none was met yet: 0 of them */
    bool stays_blocked; /* something reads or writes it by vectors: its blocks of channels stay as they are */
    /* of this value, whatever it is tied to, once what makes it is rewritten */
    agate_value *planes[AGATE_MAX_PLANES];
} agate_edge;

/* That of `value` or of what it is tied to; NULL: it stays what it is. Kept in value->scratch. */
agate_edge *agate_edge_of(const agate_value *value);

/* Its own, which holds its planes. */
static inline agate_edge *agate_own_edge(const agate_value *value)
{
    return (agate_edge *)(intptr_t)value->scratch;
}

/* The edge if it becomes so; else NULL. */
static inline agate_edge *agate_narrow_edge(const agate_value *value)
{
    agate_edge *e = agate_edge_of(value);
    return e && e->is_narrow ? e : NULL;
}

/* What to make of a kernel's anchor. */
typedef enum agate_narrowing {
    AGATE_NARROW_NOTHING,
    AGATE_NARROW_WEIGHTS, /* weights of a matrix product of 16 bits, which meet f32 */
    AGATE_NARROW_PAIRS,   /* products of 16 bits in a convolution, in pairs of channels */
    AGATE_NARROW_TAPS,    /* ... of bf16, in pairs of taps, where channels are few */
    AGATE_NARROW_TILES    /* ... of bf16, in AMX tiles */
} agate_narrowing;

/* What stands for an operand of the kernel's products. */
agate_planes agate_narrow_planes(const agate_pass *pass, const agate_node *kernel);

/* Decides whether the kernel multiplies in tiles, or pairs of taps: kept in kernel->scratch while the pass
 * runs. */
void agate_narrow_choose(agate_pass *pass, agate_node *kernel);

static inline bool agate_narrow_has_tiles(const agate_node *kernel)
{
    return kernel->scratch == AGATE_NARROW_TILES;
}

static inline bool agate_narrow_has_taps(const agate_node *kernel)
{
    return kernel->scratch == AGATE_NARROW_TAPS;
}

/* Are the weights of `conv`, or of a matrix product, read by it alone? */
bool agate_narrow_owns_weights(const agate_node *kernel, const agate_node *conv);

/* Rewrites what `kernel` reads and writes; in its products `planes` stand for an f32. Returns false where
 * memory for weights is short: then some of the kernel stays f32. */
bool agate_narrow_kernel(agate_node *kernel, agate_narrowing how, agate_planes planes);

#endif
