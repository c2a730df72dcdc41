/* contents.c: what a compiled model keeps of its graph beside code: the contents of constants, which are made
 * here, each where it stays; and its metadata. */
#include "backend/units.h"

/* ---- constants ----------------------------------------------------------------------------------------- */

static bool is_in_place(const agate_compiled *compiled, const agate_data *data)
{
    /* Kernels may rely on the alignment, which bytes mapped from a file need not have. */
    return !compiled->allocator.allocate && data->bytes && (uintptr_t)data->bytes % AGATE_ALIGNMENT == 0;
}

static size_t room_of(const agate_data *data)
{
    return (data->size_bytes + AGATE_ALIGNMENT - 1) / AGATE_ALIGNMENT * AGATE_ALIGNMENT;
}

static void *allocate(agate_compiled *compiled, size_t size_bytes)
{
    const agate_allocator *allocator = &compiled->allocator;

    return size_bytes > 0 ? allocator->allocate(allocator->user, size_bytes, AGATE_ALIGNMENT) : NULL;
}

agate_status agate_constants_place(agate_compiled *compiled)
{
    size_t at = 0;

    for (size_t i = 0; i < compiled->constant_count; i++)
        if (!is_in_place(compiled, compiled->constants[i].data))
            compiled->block_bytes += room_of(compiled->constants[i].data);
    if (!compiled->allocator.allocate && compiled->block_bytes > 0 &&
        !(compiled->block = agate_block_create(compiled->block_bytes)))
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the model's weights");
    for (size_t i = 0; i < compiled->constant_count; i++) {
        agate_compiled_constant *c = &compiled->constants[i];
        if (!is_in_place(compiled, c->data)) {
            c->place = compiled->block ? compiled->block + at : allocate(compiled, c->data->size_bytes);
            if (!c->place && c->data->size_bytes > 0)
                return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the model's weights");
            at += room_of(c->data);
        }
        compiled->rows[i] =
            (agate_module_constant){c->place ? c->place : c->data->bytes, c->data->size_bytes};
    }
    return AGATE_OK;
}

agate_status agate_constant_make(agate_compiled *compiled, size_t index)
{
    agate_compiled_constant *c = &compiled->constants[index];

    if (!c->place)
        return AGATE_OK;
    if (!agate_data_read(c->data, 0, c->data->size_bytes, c->place))
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to pack a weight");
    agate_data_forget(c->data);
    agate_data_release(c->data);
    c->data = NULL;
    return AGATE_OK;
}

void agate_constants_release(agate_compiled *compiled)
{
    const agate_allocator *allocator = &compiled->allocator;

    for (size_t i = 0; i < compiled->constant_count; i++) {
        agate_data_release(compiled->constants[i].data);
        if (compiled->constants[i].place && !compiled->block)
            allocator->release(allocator->user, compiled->constants[i].place, compiled->rows[i].size_bytes);
    }
    agate_block_release(compiled->block, compiled->block_bytes);
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
