/* narrow.h: operands that are kept as bf16 or f16 and computed with in f32. In a body such an operand is
 * widened by a cast:
 *
 *     %a = cast $0 to=f32 : f32[N,64,56,56]{nchw16c}        $0 : bf16[N,64,56,56]{nchw16c}
 *     %b = cast $1 to=f32 : f32[64,64,3,3]{oihw8i16o2i}     $1 : bf16[64,64,3,3]{oihw8i16o2i}
 *     %c = conv %a, %b pads=[1, 1, 1, 1] : ...
 *
 * which says what the result is: the products of bf16 (or f16) numbers, exact in f32, summed in f32. A
 * strategy may compute them from the operands as they lie.
 */
#ifndef AGATE_NARROW_H
#define AGATE_NARROW_H

#include "ir/graph.h"

/* The bf16 or f16 parameter of the body that `value` is the widening of; else `value` itself. */
const agate_value *agate_unwidened(const agate_value *value);

static inline bool agate_is_bf16(const agate_value *value)
{
    return value->type.dtype == AGATE_BF16;
}

static inline bool agate_is_half(const agate_value *value)
{
    return agate_is_bf16(value) || value->type.dtype == AGATE_F16;
}

/* Does the node sum, or compare, many numbers of 16 bits as such? There is no loop for that: its reference
 * kernel serves. */
bool agate_loops_over_half(const agate_node *node);

/* ---- planes -----------------------------------------------------------------------------------------------
 *
 * An f32 may be kept as the sum of two or three bf16 numbers, each the rounding of what those before it
 * leave:
 *
 *     %a = cast $0 to=f32 : f32[...]{nchw32c}        $0 : bf16[...]{nchw32c}, the numbers rounded to bf16
 *     %b = cast $1 to=f32 : f32[...]{nchw32c}        $1 : bf16[...]{nchw32c}, what is left of them, rounded
 *     %c = add %a, %b : f32[...]{nchw32c}            exact: both together have no more digits than an f32
 *
 * Three hold an f32 whole, down to where the last of them is denormal. */

#define AGATE_MAX_PLANES 3

/* Writes the bf16 values of the body, parameters or computed, whose widened sum `value` is, the first the
 * largest, and returns how many: one for a cast to f32 alone. 0: it is no such sum. */
int32_t agate_planes_of(const agate_value *value, const agate_value *out_planes[AGATE_MAX_PLANES]);

/* Result `result` of a scheduled kernel may be a further plane of a value: then the index of the result that
 * is its first; else `result`. */
int32_t agate_first_plane(const agate_node *kernel, int32_t result);

/* How many products of planes stand for a product of two such values: 1, 3 or 6. What is left out is below
 * the last digit of the greatest: products of planes p and q with p + q >= planes. */
static inline int32_t agate_plane_products(int32_t planes)
{
    return planes * (planes + 1) / 2;
}

/* Does the node only move a value into blocks of another size? It stands among scalar ops like one of
 * them. */
static inline bool agate_changes_blocks(const agate_node *node)
{
    return node->op == AGATE_OP_reorder && node->results[0].type.layout.kind == AGATE_LAYOUT_channel &&
           node->operands[0]->type.layout.kind == AGATE_LAYOUT_channel;
}

/* Channels that lie together where strategy amx_conv reads: as many bf16 numbers as a row of an AMX tile
 * holds. */
#define AGATE_AMX_BLOCK 32

/* Outputs in a row of a tile of sums. */
#define AGATE_AMX_LANES 16

/* Channels of an input that lie apart: that many are padded to an even number. */
#define AGATE_AMX_FEW 4

/* The most taps of a filter. */
#define AGATE_AMX_MAX_TAPS 256

/* Tile `order` of amx_conv. */
#define AGATE_AMX_GROUPS_FIRST 3

/* Why the sizes of `conv` do not suit AMX tiles, whatever its operands are made of and wherever they lie;
 * NULL: they do. */
const char *agate_amx_sizes_refuse(const agate_node *conv);

/* Pairs of products that a step sums where a row of a tile is one of such a filter, or an even share of it;
 * and how many steps take a row. */
int64_t agate_amx_few_pairs(const agate_node *conv, int64_t *out_steps);

/* Why `conv`, whose input lies plain in memory, is none of few channels that AMX tiles could multiply; NULL:
 * it is. */
const char *agate_amx_few_refuse(const agate_node *conv);

/* Why `conv` cannot be one of products in AMX tiles by what its body says of it: both operands as many
 * planes, weights that are parameters laid out for it, a result in blocks of whole vectors. NULL: it can. */
const char *agate_amx_refuses(const agate_node *conv);

#endif
