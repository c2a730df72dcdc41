/* index.h: walking over the elements of N-dimensional tensors, and the geometry of sliding windows. */
#ifndef AGATE_REF_INDEX_H
#define AGATE_REF_INDEX_H

#include "runtime/ref/ref.h"

/* Visits every coordinate of a box in row-major order:
 *     for (agate_walk w = agate_walk_begin(rank, dims); w.live; agate_walk_next(&w)) use(w.at);
 * A box of rank 0 has one coordinate; one with an empty dimension has none. */
typedef struct agate_walk {
    bool live;
    int32_t rank;
    int64_t dims[AGATE_MAX_RANK];
    int64_t at[AGATE_MAX_RANK];
} agate_walk;

static inline agate_walk agate_walk_begin(int32_t rank, const int64_t *dims)
{
    agate_walk walk = {.live = true, .rank = rank};

    for (int32_t d = 0; d < rank; d++) {
        walk.dims[d] = dims[d];
        walk.live = walk.live && dims[d] > 0;
    }
    return walk;
}

static inline void agate_walk_next(agate_walk *walk)
{
    for (int32_t d = walk->rank - 1; d >= 0; d--) {
        if (++walk->at[d] < walk->dims[d])
            return;
        walk->at[d] = 0;
    }
    walk->live = false;
}

static inline int64_t agate_offset(int32_t rank, const int64_t *at, const int64_t *strides)
{
    int64_t offset = 0;

    for (int32_t d = 0; d < rank; d++)
        offset += at[d] * strides[d];
    return offset;
}

/* Product of `count` dimensions; 1 for none. */
static inline int64_t agate_product(const int64_t *dims, int32_t count)
{
    int64_t product = 1;

    for (int32_t d = 0; d < count; d++)
        product *= dims[d];
    return product;
}

static inline int64_t agate_count(const agate_tensor *tensor)
{
    return agate_product(tensor->dims, tensor->rank);
}

/* Strides, in elements, of a dense row-major box. */
static inline void agate_strides(int32_t rank, const int64_t *dims, int64_t *out_strides)
{
    int64_t stride = 1;

    for (int32_t d = rank - 1; d >= 0; d--) {
        out_strides[d] = stride;
        stride *= dims[d];
    }
}

/* Strides with which a box of `rank` and `dims` is read at coordinates of a box of `to_rank` >= `rank` that
 * it broadcasts to: aligned at the last dimension, 0 along what is repeated. */
static inline void agate_broadcast_strides(int32_t rank, const int64_t *dims, int32_t to_rank,
                                           int64_t *out_strides)
{
    int64_t strides[AGATE_MAX_RANK];

    agate_strides(rank, dims, strides);
    for (int32_t d = 0; d < to_rank; d++) {
        int32_t own = d - (to_rank - rank);

        out_strides[d] = own >= 0 && dims[own] != 1 ? strides[own] : 0;
    }
}

/* Element `index` of a list, or what all elements default to where the list is left out. */
static inline int64_t agate_ints_at(const agate_ints *list, int32_t index, int64_t otherwise)
{
    return index < list->count ? list->v[index] : otherwise;
}

/* The spatial dimensions of a convolution or pool. */
typedef struct agate_window {
    int32_t rank;
    int64_t in[AGATE_MAX_RANK];
    int64_t in_strides[AGATE_MAX_RANK]; /* of a plane, in elements */
    int64_t kernel[AGATE_MAX_RANK];
    int64_t strides[AGATE_MAX_RANK];
    int64_t begins[AGATE_MAX_RANK];
    int64_t ends[AGATE_MAX_RANK];
    int64_t dilations[AGATE_MAX_RANK];
} agate_window;

static inline agate_window agate_window_make(const agate_tensor *x, const int64_t *kernel,
                                             const agate_ints *strides, const agate_ints *pads,
                                             const agate_ints *dilations)
{
    agate_window window = {.rank = x->rank - 2};

    for (int32_t d = 0; d < window.rank; d++) {
        window.in[d] = x->dims[d + 2];
        window.kernel[d] = kernel[d];
        window.strides[d] = agate_ints_at(strides, d, 1);
        window.begins[d] = agate_ints_at(pads, d, 0);
        window.ends[d] = agate_ints_at(pads, window.rank + d, 0);
        window.dilations[d] = agate_ints_at(dilations, d, 1);
    }
    agate_strides(window.rank, window.in, window.in_strides);
    return window;
}

/* Input coordinate along dimension `d` of a tap at an output coordinate; outside of the input where it meets
 * a pad. */
static inline int64_t agate_window_at(const agate_window *window, int32_t d, int64_t out, int64_t tap)
{
    return out * window->strides[d] - window->begins[d] + tap * window->dilations[d];
}

/* Offset within a plane, over the first `rank` dimensions; -1 where the tap meets a pad. */
static inline int64_t agate_window_offset(const agate_window *window, int32_t rank, const int64_t *out,
                                          const int64_t *tap)
{
    int64_t offset = 0;

    for (int32_t d = 0; d < rank; d++) {
        int64_t at = agate_window_at(window, d, out[d], tap[d]);

        if (at < 0 || at >= window->in[d])
            return -1;
        offset += at * window->in_strides[d];
    }
    return offset;
}

#endif
