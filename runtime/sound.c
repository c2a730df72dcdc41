/* sound.c: do the numbers of a module fit together? Whatever a run trusts is checked here, once. */
#include "runtime/model.h"

/* A workspace is meant for a cache: more is no plan of ours. */
#define MAX_WORKSPACE_BYTES (INT64_C(1) << 30)

/* Elements as a function of the batch; false where they are no linear one. */
static bool count_elements(const agate_module_type *type, agate_dim *out_count)
{
    *out_count = agate_dim_fixed(1);
    for (int32_t i = 0; i < type->rank; i++)
        if (!agate_dim_mul(*out_count, type->dims[i], out_count))
            return false;
    return true;
}

static bool count_bytes(const agate_module_type *type, agate_dim *out_bytes)
{
    const agate_dim size = agate_dim_fixed((int64_t)agate_dtype_size(type->dtype));
    return count_elements(type, out_bytes) && agate_dim_mul(*out_bytes, size, out_bytes);
}

static bool type_is_sound(const agate_module_type *type)
{
    bool sound = agate_dtype_size(type->dtype) > 0 && type->rank >= 0 && type->rank <= AGATE_MAX_RANK;
    for (int32_t i = 0; sound && i < type->rank; i++)
        sound = type->dims[i].scale >= 0;
    return sound;
}

/* The shapes may differ: a view may lie between. */
static bool is_as_large(const agate_module_type *a, const agate_module_type *b)
{
    agate_dim a_count, b_count;
    return a->dtype == b->dtype && count_elements(a, &a_count) && count_elements(b, &b_count) &&
           agate_dim_equal(a_count, b_count);
}

/* For any batch; for any but 0, where a batch of 0 has no bytes. */
static bool ends_within(agate_dim end, agate_dim slab, bool follows_batch)
{
    int64_t first_end = end.offset, first_slab = slab.offset;

    if (follows_batch && (__builtin_add_overflow(end.scale, end.offset, &first_end) ||
                          __builtin_add_overflow(slab.scale, slab.offset, &first_slab)))
        return false;
    return end.scale <= slab.scale && first_end <= first_slab;
}

/* Does it end within the slab, for any batch? */
static bool is_in_slab(const agate_module *module, const agate_module_arg *arg)
{
    const int64_t size = (int64_t)agate_dtype_size(arg->type.dtype);
    const agate_dim offset = arg->offset;
    agate_dim end;
    return offset.scale >= 0 && offset.offset >= 0 && offset.scale % size == 0 && offset.offset % size == 0 &&
           agate_dim_add(offset, arg->reach_bytes, &end) &&
           ends_within(end, module->slab_size_bytes, arg->reach_bytes.scale > 0);
}

static bool is_in_constant(const agate_module_constant *constant, agate_dim reach)
{
    return agate_dim_is_fixed(reach) && reach.offset >= 0 && (uint64_t)reach.offset <= constant->size_bytes;
}

static bool arg_is_sound(const agate_module *module, const agate_module_arg *arg)
{
    agate_dim bytes;
    if (!type_is_sound(&arg->type) || !count_bytes(&arg->type, &bytes) ||
        !ends_within(bytes, arg->reach_bytes, bytes.scale > 0))
        return false;
    const bool is_dense = agate_dim_equal(bytes, arg->reach_bytes);
    switch (arg->storage) {
    case AGATE_STORAGE_INPUT:
        return is_dense && arg->index < module->input_count &&
               is_as_large(&arg->type, &module->inputs[arg->index].type);
    case AGATE_STORAGE_OUTPUT:
        return is_dense && arg->index < module->output_count &&
               is_as_large(&arg->type, &module->outputs[arg->index].type);
    case AGATE_STORAGE_CONSTANT:
        return arg->index < module->constant_count &&
               is_in_constant(&module->constants[arg->index], arg->reach_bytes);
    case AGATE_STORAGE_SLAB:
        return is_in_slab(module, arg);
    }
    return false;
}

static bool value_is_sound(const agate_module_value *value)
{
    return value->name && type_is_sound(&value->type);
}

static bool constant_is_sound(const agate_module_constant *constant)
{
    return (uintptr_t)constant->bytes % AGATE_ALIGNMENT == 0 && (constant->bytes || !constant->size_bytes);
}

/* A copy moves as many bytes as the output takes, so what it comes from must be as large. */
static bool copy_is_sound(const agate_module *module, const agate_module_copy *copy)
{
    return copy->output < module->output_count && copy->from.storage != AGATE_STORAGE_SLAB &&
           arg_is_sound(module, &copy->from) &&
           is_as_large(&copy->from.type, &module->outputs[copy->output].type);
}

static bool step_is_sound(const agate_module *module, const agate_module_step *step)
{
    const uint64_t first_result = (uint64_t)step->first_arg + step->operand_count;
    const bool callable = step->kernel || (step->library && step->attrs);
    if (first_result + step->result_count > module->arg_count || !callable || !step->symbol || !step->label ||
        !step->origin)
        return false;
    for (uint32_t i = 0; i < step->result_count; i++) {
        const agate_storage storage = module->args[first_result + i].storage;
        if (storage != AGATE_STORAGE_OUTPUT && storage != AGATE_STORAGE_SLAB)
            return false;
    }
    return true;
}

static agate_status damaged(const char *what, uint32_t index, agate_code code)
{
    return agate_error_make(code, "%s %u of the compiled module is damaged", what, index);
}

agate_status agate_module_check(const agate_module *module, agate_code code)
{
    if (!module->precision || !*module->precision)
        return agate_error_make(code, "the precision of the compiled module is damaged");
    if (module->workspace_size_bytes < 0 || module->workspace_size_bytes > MAX_WORKSPACE_BYTES)
        return agate_error_make(code, "the workspace of the compiled module is damaged");
    for (uint32_t i = 0; i < module->input_count; i++)
        if (!value_is_sound(&module->inputs[i]))
            return damaged("input", i, code);
    for (uint32_t i = 0; i < module->output_count; i++)
        if (!value_is_sound(&module->outputs[i]))
            return damaged("output", i, code);
    for (uint32_t i = 0; i < module->constant_count; i++)
        if (!constant_is_sound(&module->constants[i]))
            return damaged("constant", i, code);
    for (uint32_t i = 0; i < module->arg_count; i++)
        if (!arg_is_sound(module, &module->args[i]))
            return damaged("argument", i, code);
    for (uint32_t i = 0; i < module->copy_count; i++)
        if (!copy_is_sound(module, &module->copies[i]))
            return damaged("copy", i, code);
    for (uint32_t i = 0; i < module->step_count; i++)
        if (!step_is_sound(module, &module->steps[i]))
            return damaged("step", i, code);
    return AGATE_OK;
}
