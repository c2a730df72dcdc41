/* compiled.c: computes a planned graph by compiling it and running the code. */
#include <stdlib.h>

#include "backend/backend.h"
#include "runtime/model.h"
#include "tests/filetest/filetest.h"

static agate_status compile(const test_run *run, const agate_graph *graph, agate_model **out_model)
{
    agate_machine best = agate_machine_get(agate_machine_best(agate_cpu_features())), machine;
    agate_codegen_options options = {.machine = &machine, .threads = 1};
    const agate_module *module;
    void *owner;

    if (!find_machine(run, best.name, &machine))
        return agate_error_make(AGATE_CODE_NOT_FOUND, "no machine");
    AGATE_TRY(agate_backend_compile(graph, &options, &module, &owner));
    agate_status status = agate_model_create(module, agate_backend_release, owner, out_model);
    if (status != AGATE_OK)
        agate_backend_release(owner);
    return status;
}

/* Asks for each output's shape and gives it memory. */
static agate_status shape_outputs(const test_run *run, agate_session *session, agate_tensor *outputs,
                                  size_t output_count)
{
    for (size_t i = 0; i < output_count; i++) {
        AGATE_TRY(agate_session_output_shape(session, i, run->command->batch, &outputs[i]));
        outputs[i].data = malloc(outputs[i].size_bytes + 1);
        if (!outputs[i].data)
            return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for an output");
    }
    return AGATE_OK;
}

agate_status compute_compiled(const test_run *run, const agate_graph *graph, const agate_tensor *inputs,
                              size_t input_count, agate_tensor *outputs, size_t output_count)
{
    agate_session_options options = {.threads = 1};
    agate_model *model = NULL;
    agate_session *session = NULL;
    agate_status status = compile(run, graph, &model);

    if (status == AGATE_OK)
        status = agate_session_create(model, &options, &session);
    if (status == AGATE_OK)
        status = shape_outputs(run, session, outputs, output_count);
    if (status == AGATE_OK)
        status = agate_session_run(session, inputs, input_count, outputs, output_count);
    for (size_t i = 0; status != AGATE_OK && i < output_count; i++)
        free(outputs[i].data);
    agate_session_release(session);
    agate_model_release(model);
    return status;
}
