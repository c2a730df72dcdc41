/* bands.h: a convolution and its one reader in one kernel, which goes over bands of rows and keeps no more of
 * what is between them than the reader's window covers:
 *
 *     %a = conv $0, $1, $2 strides=[2, 2] pads=[3, 3, 3, 3] : f32[N,64,112,112]{nchw16c}      the producer,
 *     %b = relu %a : f32[N,64,112,112]{nchw16c}                                               what is made of it: between them,
 *     %c = max_pool %b kernel=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1] : f32[N,64,56,56]{nchw16c}      the consumer,
 *     yield %c                                                                        behind which more
 *     scalar ops may stand
 *
 * The consumer is a pool, a depthwise convolution, or a dense 1x1 convolution with stride 1. What stands
 * behind it reads nothing of what stands in front of it. In front of a pool the producer may be one for AMX's
 * tiles (ir/narrow.h).
 */
#ifndef AGATE_BANDS_H
#define AGATE_BANDS_H

#include "ir/graph.h"

/* The most of the value between them that a task may keep, as it does so on its thread's stack. */
#define AGATE_BANDS_BYTES (192 * 1024)

typedef struct agate_bands {
    const agate_node *producer, *consumer;
    const agate_value *between;          /* the consumer's first operand */
    bool producer_by_lane;               /* the producer is depthwise; else dense */
    bool tiled;                          /* the producer is dense, for AMX's tiles */
    bool by_channel;                     /* a channel of the consumer reads that channel alone */
    int64_t taps, stride, dilation, pad; /* of the consumer's rows; pad: above */
    int32_t block;                       /* channels of a block */
} agate_bands;

/* NULL: the body is such a pair, described in *out_bands; otherwise why not. */
const char *agate_bands_find(const agate_graph *body, agate_bands *out_bands);

/* The rows that the consumer's window covers while it makes `rows` rows: the least that must be kept. */
int64_t agate_bands_reach(const agate_bands *bands, int64_t rows);

/* The rows that a kernel with these tiles keeps, and the bytes that all it keeps takes. */
int64_t agate_bands_ring(const agate_bands *bands, const agate_tiles *tiles);
int64_t agate_bands_bytes(const agate_bands *bands, const agate_tiles *tiles);

#endif
