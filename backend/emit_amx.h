/* emit_amx.h: strategy amx_conv: a dense convolution as products of tiles of bf16 (Intel AMX: "Intel 64 and
 * IA-32 Architectures Software Developer's Manual", volume 1, chapter 18; "Optimization Reference Manual",
 * chapter 20).
 *
 * A tile of inputs is 16 positions of an image by the 32 channels that lie together, a tile of weights those
 * channels by 16 filters, and a tile of sums 16 positions by 16 filters. A block of 2 x 2 tiles of sums, 32
 * positions by 32 filters, stays in registers over a part of the taps and input channels; four loads serve
 * four products.
 *
 * Positions follow each other at equal distances, so that all taps of a filter read tiles alike. A 1x1
 * convolution of stride 1 whose input lies in blocks of 32 channels reads it there. Any other reads a copy of
 * the rows that a task needs, in the workspace of its thread: with zeros for the border, a stride's phases
 * apart, and whatever the planes of the input are, kept by another kernel or split from f32 here, each in its
 * place. Positions between the end of a row and the beginning of the next are computed like others and
 * dropped.
 *
 * Where channels are few (up to four: a network's first convolution), a row of a tile is a row of a filter:
 * pixels lie side by side in the copy, each with its channels made an even number by zeros, and the rows of a
 * tile, one for each position, overlap. Those that are longer than a tile's are cut into steps as even as can
 * be, so that no row holds what its position does not read.
 */
#ifndef AGATE_EMIT_AMX_H
#define AGATE_EMIT_AMX_H

#include "backend/emit_conv.h"
#include "ir/narrow.h"

/* Bytes of a row of a whole tile, and how many rows it has. */
#define AGATE_AMX_ROW  64
#define AGATE_AMX_ROWS 16

/* A block of tiles: positions, and bytes of the sums of 32 filters there. */
#define AGATE_AMX_POSITIONS  (2 * AGATE_AMX_ROWS)
#define AGATE_AMX_SUMS_BYTES (AGATE_AMX_POSITIONS * AGATE_AMX_BLOCK * (int64_t)sizeof(float))

/* Sizes in bytes, positions from the first of the task's band. */
typedef struct agate_amx {
    agate_emitter *e;
    const agate_node *kernel, *anchor;
    agate_tiles tiles;
    const agate_value *inputs[AGATE_MAX_PLANES], *weights[AGATE_MAX_PLANES];
    int32_t planes;
    agate_conv_axis y, x;
    int64_t channels, blocks; /* of the input; `blocks` of 32 */
    agate_part parts[AGATE_MAX_PARTS];
    int32_t part_count;
    int64_t taps;  /* of both dimensions; few channels: steps over the rows of a filter */
    int64_t pairs; /* of products that a tap sums */
    bool direct;   /* the input is read where it lies */
    bool few;      /* the input's channels lie apart, in plain memory */
    bool plain;    /* some operand or result is: there, channels past the last must not be touched */
    bool varies;   /* rows that are computed at a time: any number up to `band` */

    int64_t pitch;         /* positions from row to row */
    int64_t position_size; /* of the input as it is read: from position to position */
    int64_t phase_size;    /* of the copy: rows and pixels of one phase */
    int64_t plane_size,
        block_size; /* of the input as it is read: from plane to plane of a copy, from block to block */
    int64_t tap_at[AGATE_AMX_MAX_TAPS]; /* what each tap adds to an address */
    int64_t totals_at, workspace_size;

    int64_t band, bands;   /* rows that a task computes, and how many such bands an image has */
    int64_t group, groups; /* the same of blocks of 32 filters */
    int64_t run, runs;     /* the same of blocks of input channels that are summed at a time */

    LLVMValueRef image, row, rows;        /* of the task: its first row and how many */
    LLVMValueRef positions;               /* of the task */
    LLVMValueRef bases[AGATE_MAX_PLANES]; /* of the input: position 0, block 0 */
    LLVMValueRef sums;                    /* f32s of the block of tiles, 32 filters of each position */
    LLVMValueRef taps_table;
} agate_amx;

/* What the kernel is cut into, from the types of its convolution and these tiles. Nothing is emitted. */
void agate_amx_measure(agate_amx *a, const agate_node *kernel, const agate_node *conv,
                       const agate_tiles *tiles);

/* Begins a call: configures tiles and makes room for sums. */
void agate_amx_open(agate_amx *a, agate_emitter *e);

/* Ends it: releases them. */
void agate_amx_close(const agate_amx *a);

/* All filters of rows lo <= y < hi of image a->image, at most `band` of them. */
void agate_amx_walk(agate_amx *a, LLVMValueRef lo, LLVMValueRef hi);

/* Does any tap read in this phase of the stride? */
bool agate_amx_reads_phase(const agate_conv_axis *axis, int64_t phase);

/* How many elements of a phase the last tap lies behind the first. */
int64_t agate_amx_reach(const agate_conv_axis *axis);

/* `base` advanced by `index` times `stride` bytes. */
LLVMValueRef agate_amx_at(agate_emitter *e, LLVMValueRef base, LLVMValueRef index, int64_t stride);

/* Emits the copy of what the task reads; where channels are few. */
void agate_amx_pack(agate_amx *a);
void agate_amx_pack_few(agate_amx *a);

/* Channels of a pixel in the copy of few. */
static inline int64_t agate_amx_pixel_channels(const agate_amx *a)
{
    return agate_ceil_div(a->channels, 2) * 2;
}

int64_t agate_amx_workspace_bytes(const agate_node *kernel);
int64_t agate_amx_bands_workspace_bytes(const agate_node *kernel);

#endif
