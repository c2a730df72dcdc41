/* metadata.c: what an ONNX file says of itself, copied out of it. */
#include "frontend/importer.h"

static agate_status copy(agate_graph *graph, const char *text, const char **out_text)
{
    text = text ? text : "";
    /* It is of no use to anybody that a description fills the room of the graph. */
    if (strlen(text) >= agate_arena_room(graph->arena) / 4)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for the model's metadata");
    *out_text = agate_arena_text(graph->arena, text);
    return AGATE_OK;
}

static agate_status copy_opsets(const Onnx__ModelProto *model, agate_graph *graph, agate_metadata *metadata)
{
    agate_opset *opsets = AGATE_NEW_N(graph->arena, agate_opset, model->n_opset_import + 1);

    for (size_t i = 0; i < model->n_opset_import; i++) {
        AGATE_TRY(copy(graph, model->opset_import[i]->domain, &opsets[i].domain));
        opsets[i].version = model->opset_import[i]->version;
    }
    metadata->opsets = opsets;
    metadata->opset_count = model->n_opset_import;
    return AGATE_OK;
}

static agate_status copy_properties(const Onnx__ModelProto *model, agate_graph *graph,
                                    agate_metadata *metadata)
{
    agate_property *properties = AGATE_NEW_N(graph->arena, agate_property, model->n_metadata_props + 1);

    for (size_t i = 0; i < model->n_metadata_props; i++) {
        AGATE_TRY(copy(graph, model->metadata_props[i]->key, &properties[i].key));
        AGATE_TRY(copy(graph, model->metadata_props[i]->value, &properties[i].value));
    }
    metadata->properties = properties;
    metadata->property_count = model->n_metadata_props;
    return AGATE_OK;
}

agate_status agate_import_metadata(const Onnx__ModelProto *model, agate_graph *graph)
{
    const size_t rows = model->n_opset_import + model->n_metadata_props;
    agate_metadata *metadata = AGATE_NEW(graph->arena, agate_metadata);

    if (rows >= agate_arena_room(graph->arena) / 4 / sizeof(agate_property))
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for the model's metadata");
    AGATE_TRY(copy(graph, model->producer_name, &metadata->producer_name));
    AGATE_TRY(copy(graph, model->producer_version, &metadata->producer_version));
    AGATE_TRY(copy(graph, model->domain, &metadata->domain));
    AGATE_TRY(copy(graph, model->doc_string, &metadata->doc));
    AGATE_TRY(copy(graph, model->graph->name, &metadata->graph_name));
    AGATE_TRY(copy(graph, model->graph->doc_string, &metadata->graph_doc));
    AGATE_TRY(copy_opsets(model, graph, metadata));
    AGATE_TRY(copy_properties(model, graph, metadata));
    metadata->ir_version = model->ir_version;
    metadata->model_version = model->model_version;
    graph->metadata = metadata;
    return AGATE_OK;
}
