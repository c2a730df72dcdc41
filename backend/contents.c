/* contents.c: what a compiled model keeps of its graph beside code: the contents of constants, and its metadata. */
#include <stdlib.h>

#include "backend/units.h"

/* ---- constants ----------------------------------------------------------------------------------------- */

static void release_placed(agate_data *data)
{
    const agate_allocator *allocator = data->owner;

    allocator->release(allocator->user, (void *)data->bytes, data->size_bytes);
    free(data);
}

static agate_data *copy_to(const agate_data *data, const agate_allocator *allocator)
{
    agate_data *copy = malloc(sizeof *copy);
    void *bytes = copy ? allocator->allocate(allocator->user, data->size_bytes, AGATE_ALIGNMENT) : NULL;

    if (!bytes) {
        free(copy);
        return NULL;
    }
    memcpy(bytes, data->bytes, data->size_bytes);
    *copy = (agate_data){
        .size_bytes = data->size_bytes,
        .bytes = bytes,
        .references = 1,
        .release = release_placed,
        .owner = (void *)allocator,
    };
    return copy;
}

agate_data *agate_constant_place(agate_data *data, const agate_allocator *allocator)
{
    if (allocator->allocate && data->size_bytes > 0)
        return copy_to(data, allocator);
    /* Kernels may rely on the alignment, which bytes mapped from a file need not have. */
    if ((uintptr_t)data->bytes % AGATE_ALIGNMENT == 0)
        return agate_data_retain(data);
    agate_data *copy = agate_data_create(data->size_bytes);
    if (copy && data->size_bytes > 0)
        memcpy((void *)copy->bytes, data->bytes, data->size_bytes);
    return copy;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

const agate_metadata *agate_metadata_copy(const agate_metadata *metadata, agate_arena *arena)
{
    if (!metadata)
        return NULL;
    agate_metadata *copy = AGATE_NEW(arena, agate_metadata);
    agate_opset *opsets = AGATE_NEW_N(arena, agate_opset, metadata->opset_count + 1);
    agate_property *properties = AGATE_NEW_N(arena, agate_property, metadata->property_count + 1);

    *copy = *metadata;
    copy->producer_name = agate_arena_text(arena, metadata->producer_name);
    copy->producer_version = agate_arena_text(arena, metadata->producer_version);
    copy->domain = agate_arena_text(arena, metadata->domain);
    copy->doc = agate_arena_text(arena, metadata->doc);
    copy->graph_name = agate_arena_text(arena, metadata->graph_name);
    copy->graph_doc = agate_arena_text(arena, metadata->graph_doc);
    for (size_t i = 0; i < metadata->opset_count; i++) {
        opsets[i].domain = agate_arena_text(arena, metadata->opsets[i].domain);
        opsets[i].version = metadata->opsets[i].version;
    }
    for (size_t i = 0; i < metadata->property_count; i++) {
        properties[i].key = agate_arena_text(arena, metadata->properties[i].key);
        properties[i].value = agate_arena_text(arena, metadata->properties[i].value);
    }
    copy->opsets = opsets;
    copy->properties = properties;
    return copy;
}
