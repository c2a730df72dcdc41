/* image.c: reads an image, trusting none of its bytes. */
#include "runtime/image.h"

#include "runtime/model.h"
#include "runtime/ref/table.h"

/* A place in the plan. The first fault sticks; what is taken behind it is zero. */
typedef struct reader {
    const char *start, *at, *end;
    const char *fault; /* NULL: none */
    agate_arena *arena;
} reader;

static void fail(reader *r, const char *fault)
{
    if (!r->fault)
        r->fault = fault;
    r->at = r->end;
}

static uint64_t take(reader *r)
{
    uint64_t word = 0;
    if (r->end - r->at < (ptrdiff_t)sizeof word) {
        fail(r, "it is cut off");
        return 0;
    }
    memcpy(&word, r->at, sizeof word);
    r->at += sizeof word;
    return word;
}

/* A number of at most `most`. */
static uint64_t take_number(reader *r, uint64_t most)
{
    const uint64_t word = take(r);
    if (word > most)
        fail(r, "a number is too large");
    return word > most ? 0 : word;
}

static const char *take_text(reader *r)
{
    const uint64_t length = take(r), left = (uint64_t)(r->end - r->at);
    const char *text = r->at;
    if (r->fault || length >= left || (length / 8 + 1) * 8 > left) {
        fail(r, "a text is cut off");
        return "";
    }
    if (strnlen(text, length + 1) != length) {
        fail(r, "a text does not end where it should");
        return "";
    }
    r->at += (length / 8 + 1) * 8;
    return text;
}

static agate_dim take_dim(reader *r)
{
    const int64_t scale = (int64_t)take(r);
    return (agate_dim){scale, (int64_t)take(r)};
}

/* The length of a list, and memory for it. Each row takes a word of the plan at least, which bounds the
 * memory. */
static void *take_list(reader *r, size_t row_bytes, uint32_t *out_count)
{
    const uint64_t count = take_number(r, (uint64_t)(r->end - r->at) / 8);
    *out_count = 0;
    if (count > UINT32_MAX || (count + 1) * row_bytes > agate_arena_room(r->arena) / 2) {
        fail(r, "a list is too long");
        return NULL;
    }
    *out_count = (uint32_t)count;
    return agate_arena_alloc(r->arena, (count + 1) * row_bytes);
}

static agate_module_type take_type(reader *r)
{
    agate_module_type type = {.dtype = (agate_dtype)take_number(r, INT32_MAX)};
    type.rank = (int32_t)take_number(r, AGATE_MAX_RANK);
    for (int32_t i = 0; i < type.rank; i++)
        type.dims[i] = take_dim(r);
    return type;
}

/* ---- the rows ------------------------------------------------------------------------------------------ */

static const agate_module_value *take_values(reader *r, uint32_t *out_count)
{
    agate_module_value *values = take_list(r, sizeof *values, out_count);
    for (uint32_t i = 0; i < *out_count; i++) {
        values[i].name = take_text(r);
        values[i].type = take_type(r);
    }
    return values;
}

static const agate_module_constant *take_constants(reader *r, const char *weights, size_t size_bytes,
                                                   uint32_t *out_count)
{
    agate_module_constant *constants = take_list(r, sizeof *constants, out_count);
    for (uint32_t i = 0; i < *out_count; i++) {
        const uint64_t offset = take(r), size = take(r);
        if (offset > size_bytes || size > size_bytes - offset)
            fail(r, "a constant lies outside of the weights");
        else
            constants[i] = (agate_module_constant){weights + offset, size};
    }
    return constants;
}

static agate_module_arg take_arg(reader *r)
{
    agate_module_arg arg = {.storage = (agate_storage)take_number(r, AGATE_STORAGE_SLAB)};
    arg.index = (uint32_t)take_number(r, UINT32_MAX);
    arg.offset = take_dim(r);
    arg.type = take_type(r);
    arg.reach_bytes = take_dim(r);
    arg.last_step = (uint32_t)take_number(r, UINT32_MAX);
    return arg;
}

static const agate_module_arg *take_args(reader *r, uint32_t *out_count)
{
    agate_module_arg *args = take_list(r, sizeof *args, out_count);
    for (uint32_t i = 0; i < *out_count; i++)
        args[i] = take_arg(r);
    return args;
}

static const agate_module_copy *take_copies(reader *r, uint32_t *out_count)
{
    agate_module_copy *copies = take_list(r, sizeof *copies, out_count);
    for (uint32_t i = 0; i < *out_count; i++) {
        copies[i].from = take_arg(r);
        copies[i].output = (uint32_t)take_number(r, UINT32_MAX);
    }
    return copies;
}

/* ---- library steps ------------------------------------------------------------------------------------- */

static void take_ints(reader *r, agate_ints *out_ints)
{
    out_ints->count = (int32_t)take_number(r, AGATE_MAX_INTS);
    for (int32_t i = 0; i < out_ints->count; i++)
        out_ints->v[i] = (int64_t)take(r);
}

static void take_dims(reader *r, agate_dims *out_dims)
{
    out_dims->count = (int32_t)take_number(r, AGATE_MAX_RANK);
    for (int32_t i = 0; i < out_dims->count; i++)
        out_dims->v[i] = take_dim(r);
}

static void take_attr(reader *r, agate_attr_kind kind, void *field)
{
    uint64_t word;
    switch (kind) {
    case AGATE_ATTR_int:
        *(int64_t *)field = (int64_t)take(r);
        break;
    case AGATE_ATTR_bool:
        *(bool *)field = take_number(r, 1) != 0;
        break;
    case AGATE_ATTR_float:
        word = take(r);
        memcpy(field, &word, sizeof word);
        break;
    case AGATE_ATTR_ints:
        take_ints(r, field);
        break;
    case AGATE_ATTR_dims:
        take_dims(r, field);
        break;
    case AGATE_ATTR_enum:
        if (!agate_padding_parse(take_text(r), field))
            fail(r, "no such padding");
        break;
    case AGATE_ATTR_dtype:
        *(agate_dtype *)field = (agate_dtype)take_number(r, INT32_MAX);
        break;
    }
}

static const agate_attrs *take_attrs(reader *r, agate_attr_set set)
{
    size_t count;
    const agate_attr_info *rows = agate_attr_rows(set, &count);
    if (sizeof(agate_attrs) > agate_arena_room(r->arena) / 2) {
        fail(r, "there are too many steps");
        return NULL;
    }
    agate_attrs *attrs = AGATE_NEW(r->arena, agate_attrs);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(take_text(r), rows[i].name) != 0)
            fail(r, "a kernel has other attributes than it takes");
        take_attr(r, rows[i].kind, (char *)attrs + rows[i].offset_bytes);
    }
    return attrs;
}

static int32_t take_variant(reader *r)
{
    const char *name = take_text(r);
    for (int32_t op = 0; op < (int32_t)AGATE_SCALAR_COUNT; op++)
        if (strcmp(agate_scalar_table[op].name, name) == 0)
            return op;
    if (*name)
        fail(r, "no such scalar operator");
    return 0;
}

static void take_library(reader *r, const char *name, agate_module_step *step)
{
    const agate_ref_row *row = agate_ref_row_named(name);
    if (!row) {
        fail(r, "no such reference kernel");
        return;
    }
    step->library = row->fn;
    step->variant = take_variant(r);
    step->attrs = take_attrs(r, row->attrs);
}

static agate_module_step take_step(reader *r, agate_image_find_fn find, void *user)
{
    agate_module_step step = {.symbol = take_text(r)};
    step.label = take_text(r);
    step.origin = take_text(r);
    step.first_arg = (uint32_t)take_number(r, UINT32_MAX);
    step.operand_count = (uint32_t)take_number(r, INT32_MAX);
    step.result_count = (uint32_t)take_number(r, INT32_MAX);
    step.task_count = take_dim(r);
    step.flops = take_dim(r);
    step.scalar_instructions = take_dim(r);
    step.divisions = take_dim(r);
    const char *library = take_text(r);
    if (*library) {
        take_library(r, library, &step);
    } else if (!r->fault) {
        step.kernel = find(user, step.symbol);
        if (!step.kernel)
            fail(r, "a function that it names is not in the file");
    }
    return step;
}

static const agate_module_step *take_steps(reader *r, agate_image_find_fn find, void *user,
                                           uint32_t *out_count)
{
    agate_module_step *steps = take_list(r, sizeof *steps, out_count);
    for (uint32_t i = 0; i < *out_count; i++)
        steps[i] = take_step(r, find, user);
    return steps;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

static const agate_metadata *take_metadata(reader *r)
{
    uint32_t count;
    if (!take_number(r, 1))
        return NULL;
    if (agate_arena_room(r->arena) / 2 < sizeof(agate_metadata)) {
        fail(r, "it is too large");
        return NULL;
    }
    agate_metadata *m = AGATE_NEW(r->arena, agate_metadata);
    const char **texts[] = {&m->producer_name, &m->producer_version, &m->domain,
                            &m->doc,           &m->graph_name,       &m->graph_doc};
    for (size_t i = 0; i < AGATE_COUNT(texts); i++)
        *texts[i] = take_text(r);
    m->ir_version = (int64_t)take(r);
    m->model_version = (int64_t)take(r);
    agate_opset *opsets = take_list(r, sizeof *opsets, &count);
    m->opsets = opsets;
    m->opset_count = count;
    for (uint32_t i = 0; i < count; i++) {
        opsets[i].domain = take_text(r);
        opsets[i].version = (int64_t)take(r);
    }
    agate_property *properties = take_list(r, sizeof *properties, &count);
    m->properties = properties;
    m->property_count = count;
    for (uint32_t i = 0; i < count; i++) {
        properties[i].key = take_text(r);
        properties[i].value = take_text(r);
    }
    return m;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static agate_status status_of(const reader *r, const char *last)
{
    if (!r->fault)
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_INVALID_MODEL, "the compiled model is damaged: %s (in its %s)",
                            r->fault, last);
}

static agate_status take_head(reader *r, agate_image_info *out_info)
{
    const size_t size_bytes = (size_t)(r->end - r->start);
    if (size_bytes < 16 || memcmp(r->at, AGATE_IMAGE_MAGIC, 8) != 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "this is no compiled model");
    r->at += 8;
    const uint64_t version = take(r);
    if (version != AGATE_IMAGE_VERSION)
        return agate_error_make(
            AGATE_CODE_UNSUPPORTED,
            "the model was compiled to format %llu, and this runtime reads %d; compile it "
            "again",
            (unsigned long long)version, AGATE_IMAGE_VERSION);
    if (take(r) != size_bytes)
        fail(r, "it is not as long as it says");
    out_info->weights_size_bytes = take_number(r, INT64_MAX);
    out_info->weights_digest = take(r);
    out_info->weights_file = take_text(r);
    /* A row of four words, and a part of one at least. */
    out_info->variant_count = (uint32_t)take_number(r, (uint64_t)(r->end - r->at) / 40);
    if (out_info->variant_count == 0)
        fail(r, "it serves no instruction set");
    return status_of(r, "head");
}

agate_status agate_image_peek(const void *plan, size_t size_bytes, agate_image_info *out_info)
{
    reader r = {.start = plan, .at = plan, .end = (const char *)plan + size_bytes};
    *out_info = (agate_image_info){0};
    return take_head(&r, out_info);
}

agate_status agate_image_variant_at(const void *plan, size_t size_bytes, uint32_t index,
                                    agate_image_variant *out_variant)
{
    reader r = {.start = plan, .at = plan, .end = (const char *)plan + size_bytes};
    agate_image_info info = {0};
    agate_image_variant variant = {0};
    uint64_t before = 0;

    AGATE_TRY(take_head(&r, &info));
    assert(index < info.variant_count);
    for (uint32_t i = 0; i < info.variant_count; i++) {
        const uint32_t needs = (uint32_t)take_number(&r, UINT32_MAX);
        const char *isa = take_text(&r), *precision = take_text(&r);
        const uint64_t part_bytes = take_number(&r, size_bytes);
        if (i == index)
            variant = (agate_image_variant){needs, isa, precision, NULL, part_bytes};
        before += i < index ? part_bytes : 0;
    }
    const uint64_t left = (uint64_t)(r.end - r.at);
    if (before > left || variant.part_bytes > left - before || before % 8)
        fail(&r, "a part is cut off");
    AGATE_TRY(status_of(&r, "variants"));
    variant.part = r.at + before;
    *out_variant = variant;
    return AGATE_OK;
}

agate_status agate_image_load(const agate_image_variant *variant, const void *weights,
                              size_t weights_size_bytes, agate_image_find_fn find, void *user,
                              agate_arena *arena, agate_module *out_module)
{
    reader r = {.start = variant->part,
                .at = variant->part,
                .end = (const char *)variant->part + variant->part_bytes,
                .arena = arena};
    agate_module module = {.version = AGATE_MODULE_VERSION,
                           .needs = variant->needs,
                           .isa = variant->isa,
                           .precision = variant->precision};

    module.slab_size_bytes = take_dim(&r);
    if (module.slab_size_bytes.scale < 0 || module.slab_size_bytes.offset < 0)
        fail(&r, "the slab is of less than no bytes");
    module.workspace_size_bytes = (int64_t)take_number(&r, INT64_MAX);
    module.by_rows_steps = (uint32_t)take_number(&r, UINT32_MAX);
    module.inputs = take_values(&r, &module.input_count);
    module.outputs = take_values(&r, &module.output_count);
    AGATE_TRY(status_of(&r, "inputs and outputs"));
    module.constants = take_constants(&r, weights, weights_size_bytes, &module.constant_count);
    AGATE_TRY(status_of(&r, "constants"));
    module.args = take_args(&r, &module.arg_count);
    AGATE_TRY(status_of(&r, "arguments"));
    module.steps = take_steps(&r, find, user, &module.step_count);
    AGATE_TRY(status_of(&r, "steps"));
    module.copies = take_copies(&r, &module.copy_count);
    AGATE_TRY(status_of(&r, "copies"));
    module.metadata = take_metadata(&r);
    if (r.at != r.end)
        fail(&r, "there is more than it should hold");
    AGATE_TRY(status_of(&r, "metadata"));
    AGATE_TRY(agate_module_check(&module, AGATE_CODE_INVALID_MODEL));
    *out_module = module;
    return AGATE_OK;
}
