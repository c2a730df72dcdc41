/* info_compiled.c: what a compiled file says of itself. Nothing of it is run, so the CPU may be any. */
#define _GNU_SOURCE /* dladdr1 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/artifact.h"
#include "runtime/base/features.h"
#include "tools/info.h"

/* One of those in the file. */
typedef struct variant {
    const agate_module *module;
    size_t weight_bytes;
    size_t code_bytes; /* of its functions */
    uint32_t missing;  /* CPU features that this CPU lacks */
} variant;

typedef struct facts {
    agate_arena *arena;
    agate_artifact *artifact;
    variant *variants;
    uint32_t variant_count;
    const variant *shown;
    agate_tally strategies;
    agate_dim flops; /* of the one that is shown */
} facts;

/* ---- gathering ----------------------------------------------------------------------------------------- */

static size_t function_bytes(agate_kernel_fn function)
{
    Dl_info info;
    void *entry = NULL;
    const void *address = (const void *)(uintptr_t)function;

    return dladdr1(address, &info, &entry, RTLD_DL_SYMENT) && entry ? ((const ElfW(Sym) *)entry)->st_size : 0;
}

static int compare_functions(const void *a, const void *b)
{
    const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

    return (x > y) - (x < y);
}

/* Steps may share functions. */
static size_t code_bytes(const facts *f, const agate_module *module)
{
    uintptr_t *functions = AGATE_NEW_N(f->arena, uintptr_t, module->step_count + 1);
    size_t sum = 0;

    for (uint32_t i = 0; i < module->step_count; i++)
        functions[i] = (uintptr_t)module->steps[i].kernel;
    qsort(functions, module->step_count, sizeof *functions, compare_functions);
    for (uint32_t i = 0; i < module->step_count; i++)
        if (functions[i] && (i == 0 || functions[i] != functions[i - 1]))
            sum += function_bytes((agate_kernel_fn)functions[i]);
    return sum;
}

static agate_status gather_variants(facts *f)
{
    f->variant_count = agate_artifact_variant_count(f->artifact);
    f->variants = AGATE_NEW_N(f->arena, variant, f->variant_count);
    for (uint32_t i = 0; i < f->variant_count; i++) {
        variant *v = &f->variants[i];
        AGATE_TRY(agate_artifact_module(f->artifact, i, &v->module));
        for (uint32_t c = 0; c < v->module->constant_count; c++)
            v->weight_bytes += v->module->constants[c].size_bytes;
        v->code_bytes = code_bytes(f, v->module);
        v->missing = v->module->needs & ~agate_cpu_features();
    }
    return AGATE_OK;
}

static agate_status unknown_isa(const facts *f, const char *isa, const char *precision)
{
    agate_text names = {0};

    for (uint32_t i = 0; i < f->variant_count; i++)
        if (!precision || strcmp(f->variants[i].module->precision, precision) == 0)
            agate_text_add(&names, "%s%s", names.size_bytes ? ", " : "", f->variants[i].module->isa);
    agate_status status = agate_error_make(
        AGATE_CODE_INVALID_ARGUMENT, "it was not compiled for %s%s%s, but for %s", isa,
        precision ? " with precision " : "", precision ? precision : "", agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

/* What whoever names no precision gets; "" where one has to be named. */
static const char *usual_precision(const facts *f)
{
    const char *usual = "";
    agate_status status = agate_artifact_precision(f->artifact, NULL, &usual);

    agate_status_release(status);
    return usual;
}

/* Of the variants of these names the one that would run here, or where none would, the least. */
static agate_status choose(facts *f, const char *isa, const char *precision)
{
    const char *usual = usual_precision(f);
    int best = -1;

    if (precision)
        AGATE_TRY(agate_artifact_precision(f->artifact, precision, &precision));
    for (uint32_t i = 0; i < f->variant_count; i++) {
        const variant *v = &f->variants[i];
        int rank = 2 * (strcmp(v->module->precision, usual) == 0) + (v->missing == 0);
        if ((isa && strcmp(v->module->isa, isa) != 0) ||
            (precision && strcmp(v->module->precision, precision) != 0))
            continue;
        if (rank > best || (rank == best && v->missing == 0)) {
            best = rank;
            f->shown = v;
        }
    }
    return best < 0 ? unknown_isa(f, isa, precision) : AGATE_OK;
}

static void gather_steps(facts *f)
{
    const agate_module *m = f->shown->module;

    for (uint32_t i = 0; i < m->step_count; i++) {
        const char *label = m->steps[i].label;
        char *strategy = agate_arena_format(f->arena, "%.*s", (int)strcspn(label, "< "), label);
        agate_tally_add(&f->strategies, strategy);
        /* Beyond 2^63 the sum would mean nothing. */
        if (!agate_dim_add(f->flops, m->steps[i].flops, &f->flops))
            f->flops = agate_dim_fixed(0);
    }
}

/* ---- text ---------------------------------------------------------------------------------------------- */

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
        agate_info_print_value(values[i].name, type_of(f, &values[i].type));
}

/* The widest name in a column. */
static int width_of(const facts *f, const char *(*name_of)(const agate_module *module))
{
    size_t width = 0;

    for (uint32_t i = 0; i < f->variant_count; i++)
        width = (size_t)agate_max((int64_t)width, (int64_t)strlen(name_of(f->variants[i].module)));
    return (int)width;
}

static const char *isa_of(const agate_module *module)
{
    return module->isa;
}

static const char *precision_of(const agate_module *module)
{
    return module->precision;
}

static void print_variants(const facts *f)
{
    const int isa_width = width_of(f, isa_of), precision_width = width_of(f, precision_of);
    agate_text all = {0};

    printf("compiled for\n");
    for (uint32_t i = 0; i < f->variant_count; i++) {
        const variant *v = &f->variants[i];
        agate_text weights = {0}, code = {0}, missing = {0};
        agate_info_add_number((int64_t)v->weight_bytes, "B", &weights);
        agate_info_add_number((int64_t)v->code_bytes, "B", &code);
        agate_cpu_features_explain(v->missing, agate_cpu_features_refused(), &missing);
        printf("  %-*s  %-*s  %10s of weights, %10s of code%s%s\n", isa_width, v->module->isa,
               precision_width, v->module->precision, agate_text_c(&weights), agate_text_c(&code),
               missing.size_bytes ? "; " : "", agate_text_c(&missing));
        agate_text_deinit(&weights);
        agate_text_deinit(&code);
        agate_text_deinit(&missing);
    }
    if (f->variant_count == 1)
        return;
    agate_info_add_number((int64_t)agate_artifact_weight_bytes(f->artifact), "B", &all);
    printf("  %s of weights together, equal ones once\n", agate_text_c(&all));
    agate_text_deinit(&all);
}

static void print_report(const facts *f, const char *path)
{
    const agate_module *m = f->shown->module;

    printf("%s\n", path);
    print_values(f, "inputs", m->inputs, m->input_count);
    print_values(f, "outputs", m->outputs, m->output_count);
    agate_info_print_amount("packed", agate_dim_fixed((int64_t)f->shown->weight_bytes), "B");
    agate_info_print_amount("work", f->flops, "FLOP");
    agate_info_print_amount("slab", m->slab_size_bytes, "B");
    if (m->workspace_size_bytes > 0)
        agate_info_print_amount("workspace", agate_dim_fixed(m->workspace_size_bytes), "B per thread");
    print_variants(f);
    printf("%u kernels for %s with precision %s, by strategy\n", m->step_count, m->isa, m->precision);
    agate_info_print_tally(&f->strategies);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

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

/* The names in a column, each once. */
static json_t *names_json(const facts *f, const char *(*name_of)(const agate_module *module))
{
    json_t *names = json_array();

    for (uint32_t i = 0; i < f->variant_count; i++) {
        const char *name = name_of(f->variants[i].module);
        uint32_t first = 0;
        while (strcmp(name_of(f->variants[first].module), name) != 0)
            first++;
        if (first == i)
            json_array_append_new(names, agate_json_string(name));
    }
    return names;
}

static json_t *variants_json(const facts *f)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < f->variant_count; i++) {
        const variant *v = &f->variants[i];
        json_t *object = json_object();
        json_object_set_new(object, "isa", agate_json_string(v->module->isa));
        json_object_set_new(object, "precision", agate_json_string(v->module->precision));
        json_object_set_new(object, "runs_here", json_boolean(v->missing == 0));
        json_object_set_new(object, "weight_bytes", json_integer((json_int_t)v->weight_bytes));
        json_object_set_new(object, "code_bytes", json_integer((json_int_t)v->code_bytes));
        json_array_append_new(array, object);
    }
    return array;
}

static bool runs_here(const facts *f)
{
    for (uint32_t i = 0; i < f->variant_count; i++)
        if (f->variants[i].missing == 0)
            return true;
    return false;
}

static void print_json(const facts *f, const char *path)
{
    const agate_module *m = f->shown->module;
    json_t *root = json_object();

    json_object_set_new(root, "model", agate_json_string(path));
    json_object_set_new(root, "inputs", values_json(f, m->inputs, m->input_count));
    json_object_set_new(root, "outputs", values_json(f, m->outputs, m->output_count));
    json_object_set_new(root, "packed_bytes", json_integer((json_int_t)f->shown->weight_bytes));
    json_object_set_new(root, "flops", agate_info_amount(f->flops));
    json_object_set_new(root, "slab_bytes", agate_info_amount(m->slab_size_bytes));
    json_object_set_new(root, "workspace_bytes", json_integer((json_int_t)m->workspace_size_bytes));
    json_object_set_new(root, "isa", agate_json_string(m->isa));
    json_object_set_new(root, "isas", names_json(f, isa_of));
    json_object_set_new(root, "precision", agate_json_string(m->precision));
    json_object_set_new(root, "precisions", names_json(f, precision_of));
    json_object_set_new(root, "runs_here", json_boolean(runs_here(f)));
    json_object_set_new(root, "weight_bytes",
                        json_integer((json_int_t)agate_artifact_weight_bytes(f->artifact)));
    json_object_set_new(root, "variants", variants_json(f));
    json_object_set_new(root, "kernels", json_integer(m->step_count));
    json_object_set_new(root, "strategies", agate_json_tally(&f->strategies));
    agate_json_print(root);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

agate_status agate_info_compiled(const char *path, const char *isa, const char *precision, bool json)
{
    facts f = {.arena = agate_arena_create()};

    if (!f.arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no address space for a report");
    f.strategies.arena = f.arena;
    agate_status status = agate_artifact_open(path, &f.artifact);
    if (!status) {
        status = gather_variants(&f);
        if (!status)
            status = choose(&f, isa, precision);
        if (!status) {
            gather_steps(&f);
            (json ? print_json : print_report)(&f, path);
        }
        status = agate_error_within(status, "%s", path);
    }
    agate_artifact_release(f.artifact);
    agate_arena_release(f.arena);
    return status;
}
