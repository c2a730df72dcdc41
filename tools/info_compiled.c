/* info_compiled.c: what a compiled file says of itself. Nothing of it is run, so the CPU may be any. */
#include <inttypes.h>
#include <stdio.h>

#include "runtime/artifact.h"
#include "runtime/base/features.h"
#include "tools/info.h"

typedef struct facts {
    agate_arena *arena;
    agate_artifact *artifact;
    agate_image_variant variant; /* that is shown */
    bool runs_here;              /* some variant does */
    const agate_module *module;
    agate_tally strategies;
    size_t weight_bytes;
    agate_dim flops;
} facts;

/* ---- gathering ------------------------------------------------------------------------------------------ */

static agate_status unknown_isa(const facts *f, const char *isa)
{
    agate_text names = {0};
    agate_image_variant variant;

    for (uint32_t i = 0; i < agate_artifact_variant_count(f->artifact); i++) {
        AGATE_TRY(agate_artifact_variant(f->artifact, i, &variant));
        agate_text_add(&names, "%s%s", i ? ", " : "", variant.isa);
    }
    agate_status status = agate_error_make(
        AGATE_CODE_INVALID_ARGUMENT, "it was not compiled for %s, but for %s", isa, agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

/* The variant of this name; or the one that would run here, or where none would, the least. */
static agate_status choose(facts *f, const char *isa)
{
    uint32_t index = 0, count = agate_artifact_variant_count(f->artifact);
    agate_status status = agate_artifact_choose(f->artifact, agate_cpu_features(), &index);

    f->runs_here = status == AGATE_OK;
    agate_status_release(status);
    for (uint32_t i = 0; isa && i < count; i++) {
        AGATE_TRY(agate_artifact_variant(f->artifact, i, &f->variant));
        if (strcmp(f->variant.isa, isa) == 0)
            return agate_artifact_module(f->artifact, i, &f->module);
    }
    if (isa)
        return unknown_isa(f, isa);
    AGATE_TRY(agate_artifact_variant(f->artifact, index, &f->variant));
    return agate_artifact_module(f->artifact, index, &f->module);
}

static void gather_steps(facts *f)
{
    const agate_module *m = f->module;

    for (uint32_t i = 0; i < m->constant_count; i++)
        f->weight_bytes += m->constants[i].size_bytes;
    for (uint32_t i = 0; i < m->step_count; i++) {
        const char *label = m->steps[i].label;
        char *strategy = agate_arena_format(f->arena, "%.*s", (int)strcspn(label, "< "), label);
        agate_tally_add(&f->strategies, strategy);
        /* Beyond 2^63 the sum would mean nothing. */
        if (!agate_dim_add(f->flops, m->steps[i].flops, &f->flops))
            f->flops = agate_dim_fixed(0);
    }
}

/* ---- text ----------------------------------------------------------------------------------------------- */

/* "f32[N,3,224,224]" */
static char *type_of(const facts *f, const agate_module_type *type)
{
    agate_text text = {0};

    agate_text_add(&text, "%s[", agate_dtype_name(type->dtype));
    for (int32_t d = 0; d < type->rank; d++) {
        agate_text_add(&text, "%s", d ? "," : "");
        agate_dim_print(type->dims[d], &text);
    }
    agate_text_add(&text, "]");
    char *copy = agate_arena_text(f->arena, agate_text_c(&text));
    agate_text_deinit(&text);
    return copy;
}

static void print_values(const facts *f, const char *title, const agate_module_value *values, uint32_t count)
{
    printf("%s\n", title);
    for (uint32_t i = 0; i < count; i++)
        printf("  %s: %s\n", values[i].name, type_of(f, &values[i].type));
}

static agate_status print_variants(const facts *f)
{
    const uint32_t here = agate_cpu_features();
    agate_image_variant variant;

    printf("compiled for\n");
    for (uint32_t i = 0; i < agate_artifact_variant_count(f->artifact); i++) {
        agate_text missing = {0};
        AGATE_TRY(agate_artifact_variant(f->artifact, i, &variant));
        agate_cpu_features_print(variant.needs & ~here, &missing);
        printf("  %s%s%s\n", variant.isa, missing.size_bytes ? ": this CPU lacks " : "",
               agate_text_c(&missing));
        agate_text_deinit(&missing);
    }
    return AGATE_OK;
}

static agate_status print_report(const facts *f, const char *path)
{
    printf("%s\n", path);
    print_values(f, "inputs", f->module->inputs, f->module->input_count);
    print_values(f, "outputs", f->module->outputs, f->module->output_count);
    agate_info_print_amount("packed", agate_dim_fixed((int64_t)f->weight_bytes), "B");
    agate_info_print_amount("work", f->flops, "FLOP");
    agate_info_print_amount("slab", f->module->slab_size_bytes, "B");
    if (f->module->workspace_size_bytes > 0)
        agate_info_print_amount("workspace", agate_dim_fixed(f->module->workspace_size_bytes),
                                "B per thread");
    AGATE_TRY(print_variants(f));
    printf("%u kernels for %s, by strategy\n", f->module->step_count, f->variant.isa);
    agate_info_print_tally(&f->strategies);
    return AGATE_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------------------- */

static json_t *values_json(const facts *f, const agate_module_value *values, uint32_t count)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < count; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "name", agate_json_string(values[i].name));
        json_object_set_new(object, "dtype", json_string(agate_dtype_name(values[i].type.dtype)));
        json_object_set_new(object, "shape", agate_info_shape(values[i].type.dims, values[i].type.rank));
        json_object_set_new(object, "type", agate_json_string(type_of(f, &values[i].type)));
        json_array_append_new(array, object);
    }
    return array;
}

static agate_status print_json(const facts *f, const char *path)
{
    json_t *root = json_object(), *isas = json_array();
    agate_image_variant variant;
    agate_status status = AGATE_OK;

    for (uint32_t i = 0; i < agate_artifact_variant_count(f->artifact) && !status; i++) {
        status = agate_artifact_variant(f->artifact, i, &variant);
        if (!status)
            json_array_append_new(isas, agate_json_string(variant.isa));
    }
    json_object_set_new(root, "model", agate_json_string(path));
    json_object_set_new(root, "inputs", values_json(f, f->module->inputs, f->module->input_count));
    json_object_set_new(root, "outputs", values_json(f, f->module->outputs, f->module->output_count));
    json_object_set_new(root, "packed_bytes", json_integer((json_int_t)f->weight_bytes));
    json_object_set_new(root, "flops", agate_info_amount(f->flops));
    json_object_set_new(root, "slab_bytes", agate_info_amount(f->module->slab_size_bytes));
    json_object_set_new(root, "workspace_bytes", json_integer((json_int_t)f->module->workspace_size_bytes));
    json_object_set_new(root, "isa", agate_json_string(f->variant.isa));
    json_object_set_new(root, "isas", isas);
    json_object_set_new(root, "runs_here", json_boolean(f->runs_here));
    json_object_set_new(root, "kernels", json_integer(f->module->step_count));
    json_object_set_new(root, "strategies", agate_json_tally(&f->strategies));
    if (status)
        json_decref(root);
    else
        agate_json_print(root);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

agate_status agate_info_compiled(const char *path, const char *isa, bool json)
{
    facts f = {.arena = agate_arena_create()};

    if (!f.arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for a report");
    f.strategies.arena = f.arena;
    agate_status status = agate_artifact_open(path, &f.artifact);
    if (!status) {
        status = choose(&f, isa);
        if (!status) {
            gather_steps(&f);
            status = (json ? print_json : print_report)(&f, path);
        }
        status = agate_error_within(status, "%s", path);
    }
    agate_artifact_release(f.artifact);
    agate_arena_release(f.arena);
    return status;
}
