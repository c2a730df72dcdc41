/* import.c: a whole model: versions, inputs and the batch, initializers, the walk, outputs. */
#include "frontend/import.h"
#include "frontend/views.h"
#include "frontend/wire.h"

#include <inttypes.h>

#define DEFAULT_LIMIT_BYTES ((size_t)16 << 30)

static const char *text_of(const char *text)
{
    return text ? text : "";
}

/* A fault of the model, not of a node. */
AGATE_PRINTF(3, 4)
static void fault(agate_importer *importer, agate_code code, const char *format, ...)
{
    agate_text line = {0};
    va_list args;
    va_start(args, format);
    agate_text_add_v(&line, format, args);
    va_end(args);
    agate_faults_add(&importer->faults, code, NULL, NULL, agate_text_c(&line));
    agate_fault_tell(importer, &(agate_import_fault){.code = code, .reason = agate_text_c(&line)});
    agate_text_deinit(&line);
}

/* ---- versions --------------------------------------------------------------------------------------------
 */

/* Faults here make everything after them meaningless, so they come alone. */
static agate_status check_versions(const Onnx__ModelProto *model, const agate_scope *scope)
{
    const int64_t ir = model->ir_version, opset = agate_scope_opset(scope, "");
    if (ir < AGATE_ONNX_IR_FIRST || ir > AGATE_ONNX_IR_LAST)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "the model is of ONNX IR version %" PRId64 "; %d to %d are supported", ir,
                                AGATE_ONNX_IR_FIRST, AGATE_ONNX_IR_LAST);
    if (opset == 0 && model->n_opset_import == 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "the model imports no opset");
    if (opset > AGATE_ONNX_OPSET_LAST)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "the model uses opset %" PRId64 " of ONNX; the newest supported is %d", opset,
                                AGATE_ONNX_OPSET_LAST);
    return AGATE_OK;
}

/* ---- inputs ----------------------------------------------------------------------------------------------
 */

/* Free dimensions as they are met. */
typedef struct free_dims {
    agate_text unbound; /* "--dim height=... --dim width=..." */
    bool *used;         /* per binding of the options */
} free_dims;

/* The value bound to a free dimension by its name or, as "input:axis", by its place. */
static bool bound_value(agate_importer *importer, free_dims *dims, const char *name, const char *place,
                        int64_t *out_value)
{
    for (size_t i = 0; i < importer->options->dim_count; i++) {
        const agate_dim_binding *binding = &importer->options->dims[i];
        if (strcmp(binding->name, name) == 0 || strcmp(binding->name, place) == 0) {
            dims->used[i] = true;
            *out_value = binding->value;
            return true;
        }
    }
    return false;
}

static bool is_batch_name(const agate_importer *importer, const char *name)
{
    return *name && importer->batch_name && strcmp(importer->batch_name, name) == 0;
}

/* Dimension `axis` of an input; false where it is free and has no value. */
static bool input_dim(agate_importer *importer, free_dims *dims, const Onnx__ValueInfoProto *input,
                      int32_t axis, agate_dim *out_dim)
{
    const Onnx__TensorShapeProto__Dimension *dim = input->type->tensor_type->shape->dim[axis];
    const bool has_value = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    int64_t value = has_value ? dim->dim_value : -1;
    if (value >= 0) {
        *out_dim = agate_dim_fixed(value);
        return true;
    }
    const bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    const char *name = named ? text_of(dim->dim_param) : "";
    const char *place = agate_arena_format(importer->arena, "%s:%d", text_of(input->name), axis);
    if (bound_value(importer, dims, name, place, &value)) {
        if (value < 1)
            fault(importer, AGATE_CODE_INVALID_ARGUMENT, "dimension \"%s\" cannot be %" PRId64,
                  *name ? name : place, value);
        *out_dim = agate_dim_fixed(value);
        return value >= 1;
    }
    if (axis == 0 || is_batch_name(importer, name)) {
        *out_dim = (agate_dim){1, 0};
        return true;
    }
    agate_text_add(&dims->unbound, " --dim %s=...", *name ? name : place);
    return false;
}

/* The type of an input; false after a fault or a free dimension. */
static bool input_type(agate_importer *importer, free_dims *dims, const Onnx__ValueInfoProto *input,
                       agate_type *out_type)
{
    const char *name = text_of(input->name);
    const Onnx__TypeProto *type = input->type;
    const bool tensor = type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && type->tensor_type;
    agate_dim shape[AGATE_MAX_RANK];
    int64_t smallest[AGATE_MAX_RANK]; /* at batch 1 */
    bool good = true;

    if (!tensor || !type->tensor_type->shape) {
        fault(importer, tensor ? AGATE_CODE_INVALID_MODEL : AGATE_CODE_UNSUPPORTED, "input \"%s\": %s", name,
              tensor ? "its shape is not given, not even its rank"
                     : "it is no tensor; only tensors are supported");
        return false;
    }
    const size_t rank = type->tensor_type->shape->n_dim;
    for (size_t i = 0; i < rank && rank <= AGATE_MAX_RANK; i++) {
        good = input_dim(importer, dims, input, (int32_t)i, &shape[i]) && good;
        smallest[i] = good ? shape[i].scale + shape[i].offset : 1;
    }
    agate_status status =
        agate_tensor_type(smallest, rank, type->tensor_type->elem_type, importer->limit_bytes, out_type);
    if (status) {
        fault(importer, agate_status_code(status), "input \"%s\": %s", name, agate_status_message(status));
        agate_status_release(status);
        return false;
    }
    *out_type = agate_type_make(out_type->dtype, (int32_t)rank, shape);
    return good;
}

/* The name of the batch is known before any input is typed, so that every dimension of that name follows it.
 */
static void find_batch_name(agate_importer *importer, const agate_scope *scope)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    for (size_t i = 0; i < graph->n_input && !importer->batch_name; i++) {
        const Onnx__TypeProto *type = graph->input[i]->type;
        if (agate_names_find(&scope->names, text_of(graph->input[i]->name)) || !type ||
            type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type ||
            !type->tensor_type->shape || !type->tensor_type->shape->n_dim)
            continue;
        const Onnx__TensorShapeProto__Dimension *dim = type->tensor_type->shape->dim[0];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
            *text_of(dim->dim_param))
            importer->batch_name = dim->dim_param;
    }
}

/* The contents of an input, where the caller knows them. */
static const agate_tensor *known_value(const agate_importer *importer, const char *name, size_t index)
{
    for (size_t i = 0; i < importer->options->value_count; i++) {
        const agate_input_value *value = &importer->options->values[i];
        if (value->name ? strcmp(value->name, name) == 0 : value->index == index)
            return &value->tensor;
    }
    return NULL;
}

/* An input of known contents as a constant; NULL after a fault. */
static agate_value *value_constant(agate_importer *importer, const char *name, const agate_tensor *known)
{
    agate_type type;
    agate_data *data = NULL;
    agate_status status = agate_tensor_type(known->dims, (size_t)known->rank, (int32_t)known->dtype,
                                            importer->limit_bytes, &type);
    if (!status && !(data = agate_import_convert(&type, type.dtype, known->data)))
        status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for its contents");
    if (!status)
        return agate_import_data(importer->graph, &type, data, name);
    fault(importer, agate_status_code(status), "input \"%s\": %s", name, agate_status_message(status));
    agate_status_release(status);
    return NULL;
}

static void bind_input(agate_importer *importer, free_dims *dims, agate_scope *scope,
                       const Onnx__ValueInfoProto *input, size_t index)
{
    agate_binding *binding = AGATE_NEW(importer->arena, agate_binding);
    agate_type type;
    if (!*text_of(input->name))
        return fault(importer, AGATE_CODE_INVALID_MODEL, "the model has an input without a name");
    const agate_tensor *known = known_value(importer, input->name, index);
    if (known)
        binding->value = value_constant(importer, input->name, known);
    else if (input_type(importer, dims, input, &type))
        binding->value = agate_graph_add_param(importer->graph, input->name, &type);
    if (!agate_names_add(&scope->names, input->name, binding))
        fault(importer, AGATE_CODE_INVALID_MODEL, "two inputs of the model are named \"%s\"", input->name);
}

/* Up to IR 3 initializers are listed as inputs too. */
static bool is_initializer(const agate_scope *scope, const char *name)
{
    const agate_binding *binding = agate_names_find(&scope->names, name);
    return binding && (binding->tensor || binding->sparse);
}

static void bind_inputs(agate_importer *importer, agate_scope *scope)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    free_dims dims = {.used = AGATE_NEW_N(importer->arena, bool, importer->options->dim_count)};

    size_t index = 0;
    for (size_t i = 0; i < graph->n_input; i++)
        if (!is_initializer(scope, text_of(graph->input[i]->name)))
            bind_input(importer, &dims, scope, graph->input[i], index++);
    if (dims.unbound.size_bytes)
        fault(importer, AGATE_CODE_INVALID_ARGUMENT,
              "dimensions of its inputs other than the batch are free; give them sizes:%s",
              agate_text_c(&dims.unbound));
    for (size_t i = 0; i < importer->options->dim_count; i++)
        if (!dims.used[i])
            fault(importer, AGATE_CODE_INVALID_ARGUMENT,
                  "no input of the model has a free dimension named \"%s\"", importer->options->dims[i].name);
    agate_text_deinit(&dims.unbound);
}

/* ---- initializers ----------------------------------------------------------------------------------------
 */

static void bind_initializer(agate_importer *importer, agate_scope *scope, const char *name,
                             Onnx__TensorProto *tensor, Onnx__SparseTensorProto *sparse)
{
    agate_binding *binding = AGATE_NEW(importer->arena, agate_binding);
    binding->tensor = tensor;
    binding->sparse = sparse;
    if (!*text_of(name))
        fault(importer, AGATE_CODE_INVALID_MODEL, "an initializer has no name");
    else if (!agate_names_add(&scope->names, name, binding))
        fault(importer, AGATE_CODE_INVALID_MODEL, "two initializers are named \"%s\"", name);
}

static void bind_initializers(agate_importer *importer, agate_scope *scope)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        bind_initializer(importer, scope, graph->initializer[i]->name, graph->initializer[i], NULL);
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        Onnx__SparseTensorProto *sparse = graph->sparse_initializer[i];
        bind_initializer(importer, scope, sparse->values ? sparse->values->name : NULL, NULL, sparse);
    }
}

static void index_functions(agate_importer *importer)
{
    const Onnx__ModelProto *model = importer->model;
    for (size_t i = 0; i < model->n_functions; i++) {
        Onnx__FunctionProto *function = model->functions[i];
        const char *key = agate_arena_format(importer->arena, "%s:%s:%s", text_of(function->domain),
                                             text_of(function->name), text_of(function->overload));
        if (!agate_names_add(&importer->functions, key, function))
            fault(importer, AGATE_CODE_INVALID_MODEL, "two functions of the model are named \"%s\"",
                  text_of(function->name));
    }
}

/* ---- outputs ---------------------------------------------------------------------------------------------
 */

/* The value of an output; NULL after a fault. */
static agate_value *output_value(agate_importer *importer, agate_scope *scope,
                                 const Onnx__ValueInfoProto *output)
{
    const char *name = text_of(output->name);
    agate_binding *binding = agate_scope_find(importer, scope, name);
    const Onnx__TypeProto *type = output->type;

    if (!binding)
        fault(importer, AGATE_CODE_INVALID_MODEL, "output \"%s\" is made by no node", name);
    if (!binding || !binding->value)
        return NULL;
    const int32_t declared =
        type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && type->tensor_type
            ? type->tensor_type->elem_type
            : 0;
    const agate_dtype found = binding->value->type.dtype;
    if (declared && (int32_t)found != declared)
        fault(importer, AGATE_CODE_INVALID_MODEL, "output \"%s\" is declared as %s, but its node makes %s",
              name, agate_onnx_dtype_name(declared), agate_onnx_dtype_name((int32_t)found));
    if (agate_is_view(binding->value)) {
        agate_text why = {0};
        agate_view_explain(importer, &binding->value->type, &why);
        fault(importer, AGATE_CODE_UNSUPPORTED, "output \"%s\": %s", name, agate_text_c(&why));
        agate_text_deinit(&why);
    }
    if (agate_is_symbolic(binding->value))
        fault(importer, AGATE_CODE_UNSUPPORTED,
              "output \"%s\" holds the batch size as data, which is not supported; fix the batch%s%s%s", name,
              importer->batch_name ? " (--dim " : "", importer->batch_name ? importer->batch_name : "",
              importer->batch_name ? "=1)" : "");
    return binding->value;
}

static void bind_outputs(agate_importer *importer, agate_scope *scope)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    agate_arena *arena = importer->graph->arena;
    agate_value **values = AGATE_NEW_N(importer->arena, agate_value *, graph->n_output);

    if (graph->n_output == 0)
        fault(importer, AGATE_CODE_INVALID_MODEL, "the model has no outputs");
    if (graph->n_output > INT16_MAX)
        return fault(importer, AGATE_CODE_UNSUPPORTED, "the model has %zu outputs", graph->n_output);
    importer->graph->result_names = AGATE_NEW_N(arena, const char *, graph->n_output);
    for (size_t i = 0; i < graph->n_output; i++) {
        values[i] = output_value(importer, scope, graph->output[i]);
        importer->graph->result_names[i] = agate_arena_text(arena, text_of(graph->output[i]->name));
    }
    if (importer->faults.count == 0)
        agate_node_create(importer->graph, NULL, AGATE_OP_return, values, (int32_t)graph->n_output, 0);
}

/* ---- the whole -------------------------------------------------------------------------------------------
 */

/* Drops what only the import needed: constants that shapes came from, and links into its arena. */
static void tidy(agate_graph *graph)
{
    AGATE_EACH_NODE_REVERSE (node, graph) {
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i].scratch = 0;
        if (agate_node_has(node, AGATE_CONSTANT) && agate_result(node)->use_count == 0)
            agate_node_remove(node);
    }
}

/* Everything after unpacking. Faults gather in the importer. */
static agate_status import_model(agate_importer *importer)
{
    const Onnx__GraphProto *graph = importer->model->graph;
    agate_scope scope = {
        .names = agate_names_make(importer->arena),
        .prefix = "",
        .opsets = importer->model->opset_import,
        .opset_count = importer->model->n_opset_import,
    };
    AGATE_TRY(check_versions(importer->model, &scope));
    AGATE_TRY(agate_import_metadata(importer->model, importer->graph));
    importer->functions = agate_names_make(importer->arena);
    index_functions(importer);
    bind_initializers(importer, &scope);
    find_batch_name(importer, &scope);
    bind_inputs(importer, &scope);
    agate_survey(importer, &scope);
    agate_walk_nodes(importer, &scope, graph->node, graph->n_node);
    agate_survey_tell_rest(importer);
    bind_outputs(importer, &scope);
    tidy(importer->graph);
    return agate_faults_status(&importer->faults);
}

agate_status agate_import(const void *data, size_t size_bytes, const agate_import_options *options,
                          agate_graph **out_graph)
{
    static const agate_import_options defaults;
    ProtobufCMessage *message;
    AGATE_TRY(agate_wire_unpack(&onnx__model_proto__descriptor, data, size_bytes, "an ONNX model", &message));

    agate_importer importer = {.model = (Onnx__ModelProto *)message,
                               .options = options ? options : &defaults};
    agate_status status = AGATE_OK;
    importer.limit_bytes =
        importer.options->memory_limit_bytes ? importer.options->memory_limit_bytes : DEFAULT_LIMIT_BYTES;
    importer.files.directory = importer.options->directory;
    importer.files.model = importer.options->file;
    importer.files.heard = importer.options->files;
    if (!importer.model->graph) {
        status = agate_wire_refuse(data, size_bytes, "an ONNX model", "it holds no graph", 0);
    } else {
        importer.arena = agate_arena_create();
        importer.graph = agate_graph_create(importer.model->graph->name);
        if (!importer.arena || !importer.graph)
            status = agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space to import the model in");
        else
            status = import_model(&importer);
    }
    if (status)
        agate_graph_release(importer.graph);
    else
        *out_graph = importer.graph;
    agate_text_deinit(&importer.faults.text);
    agate_files_deinit(&importer.files);
    agate_arena_release(importer.arena);
    agate_wire_release(message);
    return status;
}
