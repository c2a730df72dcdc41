/* parts.h: a convolution whose channels are cut into parts, each with scalar work and results of its own:
 *
 *     %a = conv $0, $1 : f32[N,96,28,28]{nchw16c}
 *     %b = slice %a starts=[0, 0, 0, 0] shape=[N, 64, 28, 28] : ...      a part is a slice of the convolution,
 *     %c = relu %b : ...                                                  followed by what is made of it
 *     %d = slice %a starts=[0, 64, 0, 0] shape=[N, 32, 28, 28] : ...
 *     yield %c, %d
 *
 * The parts follow each other from channel 0 to the last, each but the last of whole blocks. A body's node
 * belongs to the part whose slice stands last in front of it, and reads nothing of the others.
 */
#ifndef AGATE_PARTS_H
#define AGATE_PARTS_H

#include "ir/graph.h"

#define AGATE_MAX_PARTS 8

typedef struct agate_part {
    const agate_value *value; /* the slice; of a convolution that is not cut, its result */
    int64_t start, channels;
} agate_part;

/* Writes the parts of `conv`, which stands in a kernel's body, and returns how many: one for a convolution
 * that no slice reads. 0 where slices read it in any other way than above. */
int32_t agate_conv_parts(const agate_node *conv, agate_part out_parts[AGATE_MAX_PARTS]);

/* The slice of `conv` that opens the part to which `node`, behind it in the body, belongs; NULL: none. */
const agate_node *agate_part_of(const agate_node *conv, const agate_node *node);

/* Is `conv` a convolution with one filter for each channel? */
bool agate_is_depthwise(const agate_node *conv);

#endif
