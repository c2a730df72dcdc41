/* kernel_text.h: types and tiles as text, for kernels that tests write. */
#ifndef KERNEL_TEXT_H
#define KERNEL_TEXT_H

#include "ir/text.h"

/* An f32 type; `batched`: its outermost dimension is the batch. */
static inline void add_type(agate_text *text, const int64_t *dims, int32_t rank, bool batched,
                            agate_layout_kind layout, int32_t block)
{
    agate_dim list[AGATE_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        list[i] = agate_dim_fixed(dims[i]);
    if (batched)
        list[0] = (agate_dim){1, 0};
    agate_type type = agate_type_make(AGATE_F32, rank, list);
    if (layout != AGATE_LAYOUT_plain)
        type.layout = (agate_layout){.kind = (uint16_t)layout, .block = (uint16_t)block};
    agate_type_print(&type, text);
}

/* A strategy and its tiles, those of 0 left out. */
static inline void add_tiles(agate_text *text, const char *strategy, const agate_tiles *tiles)
{
    agate_text_add(text, "%s<", strategy);
    const int32_t *numbers = (const int32_t *)tiles;
    for (size_t i = 0, printed = 0; i < agate_tile_count; i++)
        if (numbers[i])
            agate_text_add(text, "%s%s=%d", printed++ ? ", " : "", agate_tile_names[i], numbers[i]);
    agate_text_add(text, ">");
}

#endif
