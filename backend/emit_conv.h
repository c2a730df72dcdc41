/* emit_conv.h: a convolution in blocked layout, cut into tasks and register tiles: the walk over the tiles,
 * in which dense and depthwise convolutions are alike (emit_conv.c), and what a tile shares between them. */
#ifndef AGATE_EMIT_CONV_H
#define AGATE_EMIT_CONV_H

#include "backend/emit_tile.h"
#include "ir/parts.h"

#define AGATE_MAX_STATIC_TAPS 128 /* of a row, which are written out */

/* One spatial dimension of a convolution. */
typedef struct agate_conv_axis {
    int64_t in, out, taps, stride, dilation, pad; /* pad: in front */
} agate_conv_axis;

/* Spatial dimension `spatial` of convolution `conv`. */
agate_conv_axis agate_conv_axis_of(const agate_node *conv, int32_t spatial);

/* A dimension that the image does not have. */
#define AGATE_NO_AXIS ((agate_conv_axis){1, 1, 1, 1, 1, 0})

/* A run of tiles that meet the border alike: bit i of live[t] says that tap t of a tile's i-th point lies in
 * the image. */
typedef struct agate_conv_span {
    agate_run run;
    uint32_t live[AGATE_MAX_STATIC_TAPS];
    /* of channels: tiles do not reach from part to part, so each is finished as its part asks */
    int32_t part;
} agate_conv_span;

/* One of the nested loops over tiles, and where it stands. */
typedef struct agate_conv_level {
    agate_conv_span *spans;
    int32_t span_count;
    int64_t tile_count;
    LLVMValueRef lo, hi;         /* tiles of this task */
    const agate_conv_span *span; /* the one being emitted */
    LLVMValueRef tile;           /* the number of the tile, */
    LLVMValueRef at; /* and its first element of the tile: output row, pixel, or block of channels */
} agate_conv_level;

typedef struct agate_conv agate_conv;

struct agate_conv {
    agate_emitter *e;
    const agate_node *kernel, *anchor;
    agate_tiles tiles;
    agate_conv_axis z, y, x; /* planes of an image, rows of a plane, pixels of a row */
    int64_t height;          /* rows of the result's planes: row r of an image is row r % height of one */
    LLVMValueRef input;      /* where channel 0 of image 0 begins */
    int64_t plane;           /* rows from one block of input channels to the next */
    int64_t ring; /* > 0: the input has this many rows, of which row y lies in place y modulo that */
    int64_t groups;
    agate_tile_products products;
    agate_dtype dtype;    /* of the input in memory */
    agate_dtype unit;     /* what offsets of inputs count: `dtype`, or pairs as large as an f32 */
    bool paired;          /* `image_stride`, `channels` and `block` count pairs of channels */
    int64_t image_stride; /* from one input image to the next */
    int64_t columns;      /* of weights: taps of a row, or pairs of them */
    int64_t channels;     /* inputs of one group */
    int64_t filters;      /* outputs of all groups */
    agate_part parts[AGATE_MAX_PARTS];
    int32_t part_count;
    int32_t lanes;           /* v */
    int32_t vectors, pixels; /* the register tile, at most */
    int32_t ahead;           /* cache lines of weights prefetched by a turn of the innermost loop */
    int32_t block;  /* channels that lie together in the input: v, or 1 if it is plain; pairs of them: v/2 */
    int32_t unroll; /* steps over channels in the innermost loop */
    bool flat;      /* all pixels are one row; `x` is that row */
    bool by_pixels; /* there is one row: tasks are bands of its tiles, not of rows */
    int64_t image_width; /* of the image that became one row */
    bool apart;          /* some operand needs its rows and pixels apart */
    bool plain;          /* some operand or result is: there, channels past the last must not be touched */
    LLVMValueRef image;
    LLVMValueRef totals;           /* order 2: of all tiles that a tile of channels goes over; on the stack */
    LLVMValueRef part_lo, part_hi; /* order 2: the blocks of input channels that are summed now */
    agate_conv_level channel, row, pixel;
    void (*emit_tile)(agate_conv *c); /* computes the tile at which the levels stand, and stores it */
};

/* The whole kernel, of either kind, and its tasks. */
void agate_conv_emit(agate_emitter *e, void (*emit_tile)(agate_conv *c));
agate_dim agate_conv_tasks(const agate_node *kernel);

/* One tile of a dense convolution. */
void agate_conv_tile(agate_conv *c);

/* Does each part of the sums go over all pixels before the next (tile `order` 2), in a task of `rows` rows of
 * tiles (flat: tiles)? Then their totals are kept between, and the walk over tiles of channels emits each by
 * agate_conv_channels. */
bool agate_conv_by_parts(const agate_conv *c, int64_t rows);
void agate_conv_keep_totals(agate_conv *c, int64_t rows);
void agate_conv_channels(agate_conv *c);

/* Emits, by `emit_tile`, the tiles of rows and pixels at which the levels' `lo` and `hi` are set. */
void agate_conv_walk_pixels(agate_conv *c, void (*emit_tile)(agate_conv *c));

/* Writes the shape of convolution (or pool) `anchor` of `kernel`, as `tiles` cut it; `by_lane`: each lane has
 * weights of its own. Nothing else of `c` is set. */
void agate_conv_measure(agate_conv *c, const agate_node *kernel, const agate_node *anchor,
                        const agate_tiles *tiles, bool by_lane);

/* Prepares to emit what was measured: the levels, uncut into tasks, and what the epilogue asks for. */
void agate_conv_open(agate_conv *c, agate_emitter *e, void (*emit_tile)(agate_conv *c));

/* Emits the tiles at which the levels' `lo` and `hi` are set: channels outside, then rows, then pixels. */
void agate_conv_walk(agate_conv *c);

/* A level's tiles for task `number` of those that have `each`. */
void agate_conv_clip(agate_conv *c, agate_conv_level *level, LLVMValueRef number, int64_t each);

/* `inputs` moved to the row that kernel row 0 reads; in a ring, where rows do not follow each other: not
 * moved. */
LLVMValueRef agate_conv_row(agate_conv *c, LLVMValueRef inputs);

/* The `count` inputs at `address`, in f32 whatever they are in memory, or as many pairs of them. */
LLVMValueRef agate_conv_load(const agate_conv *c, LLVMValueRef address, int64_t count);

/* One tile of a depthwise convolution, and of a pool. */
void agate_depthwise_tile(agate_conv *c);
void agate_pool_tile(agate_conv *c);

/* The plane, and the row of that plane, at which the levels stand. */
void agate_conv_place(agate_conv *c, LLVMValueRef *out_plane, LLVMValueRef *out_row);

/* Taps lo <= tap < hi, along planes and along rows, that meet the image in the tile's row. */
typedef struct agate_conv_range {
    LLVMValueRef lo, hi;
} agate_conv_range;

typedef struct agate_conv_reach {
    agate_conv_range z, y;
} agate_conv_reach;

agate_conv_reach agate_conv_reach_of(agate_conv *c);

/* The loops over the kernel rows that meet the image, plane by plane, and where they stand: the number of the
 * kernel row among `z.taps * y.taps`, and the inputs that it reads, from `inputs` on, which stand at
 * agate_conv_row. They carry the sums of `tile`. */
typedef struct agate_kernel_rows {
    agate_loop z, y;
    LLVMValueRef number, inputs;
} agate_kernel_rows;

agate_kernel_rows agate_kernel_rows_begin(agate_conv *c, agate_tile *tile, const agate_conv_reach *reach,
                                          LLVMValueRef inputs);
void agate_kernel_rows_end(agate_conv *c, agate_tile *tile, agate_kernel_rows *rows);

static inline int64_t agate_kernel_row_count(const agate_conv *c)
{
    return c->z.taps * c->y.taps;
}

/* Starts a tile's sums, */
void agate_conv_start(agate_conv *c, agate_tile *tile);

/* and stores what the scalar ops make of them and the bias. */
void agate_conv_finish(agate_conv *c, const agate_tile *tile);

#endif
