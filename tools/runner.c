/* runner.c: one face for compiled models and interpreted graphs. */
#include "tools/runner.h"

#include <stdlib.h>

#include "ir/interpret.h"
#include "runtime/session.h"
#include "tools/tensor.h"

static agate_module_value value_of(const agate_value *value, const char *name)
{
    agate_module_value result = {.name = name ? name : ""};

    result.type.dtype = value->type.dtype;
    result.type.rank = value->type.rank;
    memcpy(result.type.dims, value->type.dims, sizeof result.type.dims);
    return result;
}

/* Takes over the graph. */
static agate_status init_reference(agate_runner *runner, agate_graph *graph,
                                   const agate_runner_options *options)
{
    size_t inputs = (size_t)graph->param_count, outputs = (size_t)graph->last->operand_count;
    agate_machine machine;

    runner->graph = graph;
    AGATE_TRY(agate_driver_machine(&options->driver.compile, &machine));
    const agate_pass_options passes = agate_driver_passes(&options->driver, &machine);
    if (options->stage != AGATE_STAGE_import)
        AGATE_TRY(agate_passes_run(graph, &passes, options->stage));
    runner->values = calloc(inputs + outputs + 1, sizeof *runner->values);
    if (!runner->values)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a model's interface");
    for (size_t i = 0; i < inputs; i++)
        runner->values[i] = value_of(graph->params[i], graph->params[i]->name);
    for (size_t i = 0; i < outputs; i++)
        runner->values[inputs + i] =
            value_of(graph->last->operands[i], graph->result_names ? graph->result_names[i] : NULL);
    runner->inputs = runner->values;
    runner->outputs = runner->values + inputs;
    runner->input_count = inputs;
    runner->output_count = outputs;
    return AGATE_OK;
}

/* Makes a session for runner->model. */
static agate_status init_session(agate_runner *runner, const agate_runner_options *options)
{
    agate_session_options session = {.threads = options->driver.compile.threads};
    const agate_pass_options *passes = &options->driver.passes;
    uint64_t start_ns = agate_clock_ns();
    const agate_module *module;

    AGATE_TRY(agate_session_create(runner->model, &session, &runner->session));
    if (passes->timed)
        passes->timed(passes->timed_user, "session", agate_clock_ns() - start_ns);
    module = agate_model_module(runner->model);
    runner->inputs = module->inputs;
    runner->outputs = module->outputs;
    runner->input_count = module->input_count;
    runner->output_count = module->output_count;
    return AGATE_OK;
}

/* Takes over the graph, and keeps it as planned. */
static agate_status init_planned(agate_runner *runner, agate_graph *graph,
                                 const agate_runner_options *options)
{
    runner->planned = graph;
    AGATE_TRY(agate_driver_build(graph, &options->driver, &runner->model));
    return init_session(runner, options);
}

/* From a file of any kind, by the shortest way. */
static agate_status init_model(agate_runner *runner, const char *path, const agate_runner_options *options)
{
    AGATE_TRY(agate_driver_load(path, &options->driver, &runner->cache, &runner->model));
    agate_status status = agate_error_within(init_session(runner, options), "%s", path);
    if (status)
        agate_runner_deinit(runner);
    return status;
}

agate_status agate_runner_init(agate_runner *runner, const char *path, const agate_runner_options *options)
{
    agate_graph *graph;
    agate_status status;

    *runner = (agate_runner){0};
    if (!options->reference && !options->keep_planned)
        return init_model(runner, path, options);
    if (agate_driver_is_compiled(path))
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                "%s is compiled: use the model that it was made from", path);
    AGATE_TRY(agate_driver_read(path, &options->driver, &graph));
    status =
        options->reference ? init_reference(runner, graph, options) : init_planned(runner, graph, options);
    if (status != AGATE_OK)
        agate_runner_deinit(runner);
    return agate_error_within(status, "%s", path);
}

void agate_runner_deinit(agate_runner *runner)
{
    agate_session_release(runner->session);
    agate_model_release(runner->model);
    agate_graph_release(runner->graph);
    agate_graph_release(runner->planned);
    free(runner->values);
    *runner = (agate_runner){0};
}

agate_status agate_runner_batch(const agate_runner *runner, const agate_tensor *inputs, int64_t *out_batch)
{
    if (runner->graph)
        return agate_graph_batch(runner->graph, inputs, runner->input_count, out_batch);
    return agate_check_inputs(agate_model_module(runner->model), inputs, runner->input_count, out_batch);
}

agate_status agate_runner_allocate_outputs(const agate_runner *runner, int64_t batch, agate_tensor *outputs)
{
    memset(outputs, 0, runner->output_count * sizeof *outputs);
    for (size_t i = 0; i < runner->output_count; i++) {
        agate_status status = agate_tensor_of_type(&runner->outputs[i].type, batch, &outputs[i]);

        if (status != AGATE_OK) {
            agate_tensor_free(outputs, i);
            return status;
        }
    }
    return AGATE_OK;
}

agate_status agate_runner_run(agate_runner *runner, const agate_tensor *inputs, agate_tensor *outputs)
{
    int64_t batch;
    agate_status status;

    AGATE_TRY(agate_runner_batch(runner, inputs, &batch));
    if (runner->graph)
        return agate_interpret(runner->graph, inputs, runner->input_count, outputs, runner->output_count,
                               batch);
    AGATE_TRY(agate_runner_allocate_outputs(runner, batch, outputs));
    status = agate_session_run(runner->session, inputs, runner->input_count, outputs, runner->output_count);
    if (status != AGATE_OK)
        agate_tensor_free(outputs, runner->output_count);
    return status;
}
