/* module.c: the plan of a compiled graph as data: where each value lies, and the steps in order. */
#include "backend/emit.h"
#include "backend/lives.h"
#include "backend/units.h"
#include "ir/cost.h"
#include "ir/map.h"
#include "ir/by_rows.h"
#include "ir/text.h"

typedef struct builder {
    agate_compiled *compiled;
    agate_arena *arena;
    const agate_graph *graph;
    const agate_units *units;
    const agate_machine *machine;
    agate_map constants; /* data -> its number + 1 */
    agate_lives lives;
    agate_module_arg *args;
    agate_module_step *steps;
    agate_module_copy *copies;
} builder;

static agate_module_type module_type(const agate_type *type)
{
    agate_module_type out = {.dtype = type->dtype, .rank = type->rank};

    memcpy(out.dims, type->dims, sizeof out.dims);
    return out;
}

static agate_status too_large(void)
{
    return agate_error_make(AGATE_CODE_INVALID_MODEL, "a tensor is too large");
}

/* A reshape has no memory of its own; other views have a place, among others' channels. */
static const agate_value *root_of(const agate_value *value)
{
    while (agate_value_is(value, AGATE_OP_reshape))
        value = value->node->operands[0];
    return value;
}

/* ---- constants ----------------------------------------------------------------------------------------- */

static agate_status constant_number(builder *b, const agate_node *node, uint32_t *out_number)
{
    if (!node->data)
        return agate_error_make(AGATE_CODE_NOT_FOUND, "the contents of weight \"%s\" are not known",
                                node->label ? node->label : "");
    uintptr_t number = (uintptr_t)agate_map_get(&b->constants, node->data, 0);
    if (!number) {
        b->compiled->constants[b->compiled->constant_count++].data = agate_data_retain(node->data);
        number = b->compiled->constant_count;
        agate_map_put(&b->constants, node->data, 0, (void *)number);
    }
    *out_number = (uint32_t)(number - 1);
    return AGATE_OK;
}

/* ---- places -------------------------------------------------------------------------------------------- */

static agate_status add_arg(builder *b, const agate_value *value, agate_module_arg *out_arg)
{
    const agate_value *root = root_of(value);
    agate_module_arg arg = {.type = module_type(&value->type)};

    if (!agate_type_size(&value->type, &arg.reach_bytes))
        return too_large();
    if (!root->node) {
        arg.storage = AGATE_STORAGE_INPUT;
        arg.index = (uint32_t)root->index;
    } else if (agate_node_has(root->node, AGATE_CONSTANT)) {
        arg.storage = AGATE_STORAGE_CONSTANT;
        AGATE_TRY(constant_number(b, root->node, &arg.index));
    } else if (root->place.kind == AGATE_PLACE_OUTPUT) {
        arg.storage = AGATE_STORAGE_OUTPUT;
        arg.index = (uint32_t)root->place.offset.offset;
    } else if (root->place.kind == AGATE_PLACE_SLAB) {
        arg.storage = AGATE_STORAGE_SLAB;
        arg.offset = root->place.offset;
        arg.last_step = agate_lives_last(&b->lives, value);
    } else {
        return agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "a value has no place in memory"),
                              root->node->origin, NULL);
    }
    *out_arg = arg;
    return AGATE_OK;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static agate_status add_args(builder *b, agate_value *const *operands, int32_t count,
                             const agate_node *kernel, agate_module_step *step)
{
    step->first_arg = b->compiled->module.arg_count;
    step->operand_count = (uint32_t)count;
    step->result_count = (uint32_t)kernel->result_count;
    for (int32_t i = 0; i < count; i++)
        AGATE_TRY(add_arg(b, operands[i], &b->args[b->compiled->module.arg_count++]));
    for (int32_t i = 0; i < kernel->result_count; i++)
        AGATE_TRY(add_arg(b, &kernel->results[i], &b->args[b->compiled->module.arg_count++]));
    return AGATE_OK;
}

/* A call of the reference kernel of the body's one op, with that op's operands in its own order. */
static agate_status add_library_step(builder *b, const agate_node *kernel, agate_module_step *step)
{
    const agate_node *node = kernel->body->first;
    agate_value **operands = AGATE_NEW_N(b->arena, agate_value *, node->operand_count + 1);
    agate_attrs *attrs = AGATE_NEW(b->arena, agate_attrs);

    for (int32_t i = 0; i < node->operand_count; i++) {
        assert(!node->operands[i]->node);
        operands[i] = kernel->operands[node->operands[i]->index];
    }
    *attrs = node->attrs;
    step->library = agate_node_info(node)->reference;
    step->attrs = attrs;
    step->variant = (int)node->op < (int)AGATE_SCALAR_COUNT ? (int32_t)node->op : 0;
    step->symbol = "library";
    return add_args(b, operands, node->operand_count, kernel, step);
}

static agate_status add_step(builder *b, const agate_node *kernel, size_t unit)
{
    agate_module_step *step = &b->steps[b->compiled->module.step_count++];
    agate_text label = {0};

    agate_print_schedule(kernel, &label);
    step->label = agate_arena_text(b->arena, agate_text_c(&label));
    agate_text_deinit(&label);
    step->origin = agate_arena_text(b->arena, kernel->origin ? kernel->origin : "");
    step->task_count = agate_task_count(kernel);
    const agate_scalar_work work = agate_node_scalar_work(kernel, b->machine);
    step->flops = agate_node_flops(kernel);
    step->scalar_instructions = work.instructions;
    step->divisions = work.divisions;
    if (unit == SIZE_MAX)
        return add_library_step(b, kernel, step);
    step->symbol = b->units->units[unit].symbol;
    return add_args(b, kernel->operands, kernel->operand_count, kernel, step);
}

static agate_status add_steps(builder *b)
{
    size_t number = 0;

    AGATE_EACH_NODE (node, b->graph) {
        if (node->op == AGATE_OP_kernel)
            AGATE_TRY(add_step(b, node, b->units->of_kernel[number++]));
        else if (!agate_node_has(node, AGATE_VIEW) && !agate_node_has(node, AGATE_CONSTANT) &&
                 !agate_node_has(node, AGATE_TERMINATOR))
            return agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "an op stands outside of a kernel"),
                                  node->origin, agate_node_info(node)->name);
    }
    return AGATE_OK;
}

/* ---- inputs and outputs -------------------------------------------------------------------------------- */

static const char *name_of(builder *b, const char *name)
{
    return agate_arena_text(b->arena, name ? name : "");
}

static agate_status add_outputs(builder *b)
{
    const agate_node *last = b->graph->last;
    agate_module_value *outputs = AGATE_NEW_N(b->arena, agate_module_value, last->operand_count + 1);

    for (int32_t i = 0; i < last->operand_count; i++) {
        const agate_value *value = last->operands[i], *root = root_of(value);
        const char *name = b->graph->result_names ? b->graph->result_names[i] : NULL;
        outputs[i].name = name_of(b, name ? name : value->name);
        outputs[i].type = module_type(&value->type);
        bool in_place = root->place.kind == AGATE_PLACE_OUTPUT && root->place.offset.offset == i &&
                        root->node && root->node->op == AGATE_OP_kernel;
        if (in_place)
            continue;
        agate_module_copy *copy = &b->copies[b->compiled->module.copy_count++];
        AGATE_TRY(add_arg(b, value, &copy->from));
        copy->output = (uint32_t)i;
    }
    b->compiled->module.outputs = outputs;
    b->compiled->module.output_count = (uint32_t)last->operand_count;
    return AGATE_OK;
}

static void add_inputs(builder *b)
{
    agate_module_value *inputs = AGATE_NEW_N(b->arena, agate_module_value, b->graph->param_count + 1);

    for (int32_t i = 0; i < b->graph->param_count; i++) {
        inputs[i].name = name_of(b, b->graph->params[i]->name);
        inputs[i].type = module_type(&b->graph->params[i]->type);
    }
    b->compiled->module.inputs = inputs;
    b->compiled->module.input_count = (uint32_t)b->graph->param_count;
}

/* Makes room for as many rows of each kind as the graph can ask for. */
static void make_room(builder *b)
{
    size_t args = 0, constants = 0;

    AGATE_EACH_NODE (node, b->graph) {
        constants += agate_node_has(node, AGATE_CONSTANT);
        if (node->op == AGATE_OP_kernel) {
            size_t operands = (size_t)node->operand_count;
            if (node->strategy == AGATE_STRATEGY_library)
                operands = (size_t)node->body->first->operand_count;
            args += operands + (size_t)node->result_count;
        }
    }
    b->args = AGATE_NEW_N(b->arena, agate_module_arg, args + 1);
    b->steps = AGATE_NEW_N(b->arena, agate_module_step, b->units->kernel_count + 1);
    b->copies = AGATE_NEW_N(b->arena, agate_module_copy, b->graph->last->operand_count + 1);
    b->compiled->rows = AGATE_NEW_N(b->arena, agate_module_constant, constants + 1);
    b->compiled->constants = AGATE_NEW_N(b->arena, agate_compiled_constant, constants + 1);
}

agate_status agate_module_build(agate_compiled *compiled, const agate_graph *graph, const agate_units *units,
                                const agate_codegen_options *options)
{
    agate_module *module = &compiled->module;
    builder b = {.compiled = compiled,
                 .arena = compiled->arena,
                 .graph = graph,
                 .units = units,
                 .machine = options->machine};

    b.constants.arena = b.arena;
    agate_lives_init(&b.lives, graph, b.arena);
    make_room(&b);
    add_inputs(&b);
    AGATE_TRY(add_steps(&b));
    AGATE_TRY(add_outputs(&b));
    module->version = AGATE_MODULE_VERSION;
    module->needs = options->machine->needs;
    module->isa = agate_arena_text(b.arena, options->machine->name);
    module->precision = agate_arena_text(b.arena, options->precision ? options->precision : "f32");
    module->constants = compiled->rows;
    module->constant_count = (uint32_t)compiled->constant_count;
    module->args = b.args;
    module->steps = b.steps;
    module->copies = b.copies;
    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_kernel)
            module->workspace_size_bytes =
                agate_max(module->workspace_size_bytes, agate_workspace_bytes(node));
    if (!agate_graph_slab_size(graph, &module->slab_size_bytes))
        return too_large();
    module->by_rows_steps = agate_graph_kernels_by_rows(graph);
    module->metadata = agate_metadata_copy(graph->metadata, b.arena);
    return agate_constants_place(compiled);
}

void agate_module_link(agate_compiled *compiled, const agate_units *units)
{
    agate_module_step *steps = (agate_module_step *)compiled->module.steps;

    for (size_t i = 0; i < units->kernel_count; i++)
        if (units->of_kernel[i] != SIZE_MAX)
            steps[i].kernel = units->units[units->of_kernel[i]].fn;
}
