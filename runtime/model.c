/* model.c: a compiled module, counted by reference. */
#include "runtime/model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/features.h"

struct agate_model {
    atomic_int references;
    const agate_module *module;
    void (*release)(void *owner);
    void *owner;
};

static agate_status check_features(const agate_module *module)
{
    const uint32_t missing = module->needs & ~agate_cpu_features();
    if (!missing)
        return AGATE_OK;
    agate_text names = {0};
    agate_cpu_features_explain(missing, agate_cpu_features_refused(), &names);
    agate_status status = agate_error_make(
        AGATE_CODE_NOT_FOUND, "the model was compiled for %s, and %s; compile it for a lower isa",
        module->isa, agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

/* ---- the model ----------------------------------------------------------------------------------------- */

agate_status agate_model_create(const agate_module *module, void (*release)(void *owner), void *owner,
                                agate_model **out_model)
{
    if (module->version != AGATE_MODULE_VERSION)
        return agate_error_make(
            AGATE_CODE_UNSUPPORTED,
            "the model was compiled for runtime interface %u, and this runtime has %u; compile "
            "it again",
            module->version, AGATE_MODULE_VERSION);
    AGATE_TRY(check_features(module));
    AGATE_TRY(agate_module_check(module, AGATE_CODE_INTERNAL));

    agate_model *model = malloc(sizeof(*model));
    if (!model)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a model");
    atomic_init(&model->references, 1);
    model->module = module;
    model->release = release;
    model->owner = owner;
    *out_model = model;
    return AGATE_OK;
}

void agate_model_retain(agate_model *model)
{
    atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
}

void agate_model_release(agate_model *model)
{
    if (!model || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) > 1)
        return;
    if (model->release)
        model->release(model->owner);
    free(model);
}

const agate_module *agate_model_module(const agate_model *model)
{
    return model->module;
}

/* ---- what it takes and gives --------------------------------------------------------------------------- */

size_t agate_model_input_count(const agate_model *model)
{
    return model->module->input_count;
}

size_t agate_model_output_count(const agate_model *model)
{
    return model->module->output_count;
}

static agate_status value_info(const agate_module_value *values, size_t count, size_t index, const char *what,
                               agate_value_info *out_info)
{
    if (index >= count)
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "the model has %zu %ss, so no %s %zu", count,
                                what, what, index);
    const agate_module_type *type = &values[index].type;
    agate_value_info info = {.name = values[index].name, .dtype = type->dtype, .rank = type->rank};
    for (int32_t i = 0; i < type->rank; i++)
        info.dims[i] = agate_dim_is_fixed(type->dims[i]) ? type->dims[i].offset : AGATE_DIM_BATCH;
    *out_info = info;
    return AGATE_OK;
}

agate_status agate_model_input_info(const agate_model *model, size_t index, agate_value_info *out_info)
{
    return value_info(model->module->inputs, model->module->input_count, index, "input", out_info);
}

agate_status agate_model_output_info(const agate_model *model, size_t index, agate_value_info *out_info)
{
    return value_info(model->module->outputs, model->module->output_count, index, "output", out_info);
}

const agate_metadata *agate_model_metadata(const agate_model *model)
{
    static const agate_metadata nothing = {
        .producer_name = "",
        .producer_version = "",
        .domain = "",
        .doc = "",
        .graph_name = "",
        .graph_doc = "",
    };
    return model->module->metadata ? model->module->metadata : &nothing;
}

const char *agate_model_precision(const agate_model *model)
{
    return model->module->precision;
}

#define TEXT(x)          #x
#define VERSION(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *agate_version(void)
{
    return VERSION(AGATE_VERSION_MAJOR, AGATE_VERSION_MINOR, AGATE_VERSION_PATCH);
}
