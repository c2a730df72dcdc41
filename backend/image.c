/* image.c: writes the plan of modules, as runtime/base/image.h has it. */
#include "backend/artifact.h"

#include <stdlib.h>

#include "runtime/base/image.h"
#include "runtime/ref/table.h"

/* ---- weights ----------------------------------------------------------------------------------------- */

size_t agate_image_fill(size_t size_bytes)
{
    return (AGATE_ALIGNMENT - size_bytes % AGATE_ALIGNMENT) % AGATE_ALIGNMENT;
}

static uint64_t hash_of(const agate_image_weight *w)
{
    agate_digest digest = {0};

    agate_digest_add(&digest, w->bytes, w->size_bytes);
    return agate_digest_end(&digest);
}

/* One of equal contents; NULL where there is none. A single module has none: it holds each of its constants
 * once. */
static const agate_image_weight *find_weight(agate_image *image, agate_image_weight *wanted)
{
    if (image->variant_count == 0)
        return NULL;
    for (size_t i = 0; image->variant_count == 1 && i < image->weight_count; i++)
        if (!image->weights[i].hash)
            image->weights[i].hash = hash_of(&image->weights[i]);
    wanted->hash = hash_of(wanted);
    for (size_t i = 0; i < image->weight_count; i++) {
        const agate_image_weight *w = &image->weights[i];
        if (w->hash == wanted->hash && w->size_bytes == wanted->size_bytes &&
            memcmp(w->bytes, wanted->bytes, w->size_bytes) == 0)
            return w;
    }
    return NULL;
}

/* Where a constant lies in the weights: with equal contents, or behind all others. */
static uint64_t place_of(agate_image *image, const agate_module_constant *constant)
{
    agate_image_weight weight = {.bytes = constant->bytes, .size_bytes = constant->size_bytes};
    const agate_image_weight *same = find_weight(image, &weight);

    if (same)
        return same->offset;
    if (image->weight_count == image->weight_room) {
        size_t room = image->weight_room ? 2 * image->weight_room : 64;
        agate_image_weight *grown = realloc(image->weights, room * sizeof *grown);
        if (!grown) {
            image->parts.failed = true;
            return 0;
        }
        image->weights = grown;
        image->weight_room = room;
    }
    weight.offset = image->weights_size_bytes;
    image->weights[image->weight_count++] = weight;
    image->weights_size_bytes += constant->size_bytes + agate_image_fill(constant->size_bytes);
    return weight.offset;
}

static uint64_t weights_digest(const agate_image *image)
{
    agate_long_digest digest = {0};

    for (size_t i = 0; i < image->weight_count; i++) {
        /* The last bytes and the zeros behind them as one whole unit of the digest. */
        const agate_image_weight *w = &image->weights[i];
        size_t whole = w->size_bytes / AGATE_ALIGNMENT * AGATE_ALIGNMENT;
        char last[AGATE_ALIGNMENT] = {0};
        agate_long_digest_add(&digest, w->bytes, whole);
        if (whole == w->size_bytes)
            continue;
        memcpy(last, (const char *)w->bytes + whole, w->size_bytes - whole);
        agate_long_digest_add(&digest, last, sizeof last);
    }
    return agate_long_digest_end(&digest);
}

/* ---- words --------------------------------------------------------------------------------------------- */

static void put(agate_text *plan, uint64_t word)
{
    agate_text_add_bytes(plan, &word, sizeof word);
}

static void put_text(agate_text *plan, const char *text)
{
    static const char zeros[8];
    size_t length = strlen(text);

    put(plan, length);
    agate_text_add_bytes(plan, text, length);
    agate_text_add_bytes(plan, zeros, 8 - length % 8);
}

static void put_dim(agate_text *plan, agate_dim dim)
{
    put(plan, (uint64_t)dim.scale);
    put(plan, (uint64_t)dim.offset);
}

static void put_dims(agate_text *plan, const agate_dim *dims, int32_t count)
{
    put(plan, (uint64_t)count);
    for (int32_t i = 0; i < count; i++)
        put_dim(plan, dims[i]);
}

static void put_type(agate_text *plan, const agate_module_type *type)
{
    put(plan, (uint64_t)type->dtype);
    put_dims(plan, type->dims, type->rank);
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static void put_values(agate_text *plan, const agate_module_value *values, uint32_t count)
{
    put(plan, count);
    for (uint32_t i = 0; i < count; i++) {
        put_text(plan, values[i].name);
        put_type(plan, &values[i].type);
    }
}

static void put_constants(agate_image *image, const agate_module *module)
{
    put(&image->parts, module->constant_count);
    for (uint32_t i = 0; i < module->constant_count; i++) {
        put(&image->parts, place_of(image, &module->constants[i]));
        put(&image->parts, module->constants[i].size_bytes);
    }
}

static void put_arg(agate_text *plan, const agate_module_arg *arg)
{
    put(plan, arg->storage);
    put(plan, arg->index);
    put_dim(plan, arg->offset);
    put_type(plan, &arg->type);
    put_dim(plan, arg->reach_bytes);
    put(plan, arg->last_step);
}

static void put_attr(agate_text *plan, const agate_attr_info *info, const agate_attrs *attrs)
{
    const void *field = (const char *)attrs + info->offset_bytes;
    const agate_ints *ints = field;
    const agate_dims *dims = field;

    put_text(plan, info->name);
    switch (info->kind) {
    case AGATE_ATTR_int:
        put(plan, (uint64_t) * (const int64_t *)field);
        break;
    case AGATE_ATTR_bool:
        put(plan, *(const bool *)field);
        break;
    case AGATE_ATTR_float:
        agate_text_add_bytes(plan, field, sizeof(double));
        break;
    case AGATE_ATTR_ints:
        put(plan, (uint64_t)ints->count);
        for (int32_t i = 0; i < ints->count; i++)
            put(plan, (uint64_t)ints->v[i]);
        break;
    case AGATE_ATTR_dims:
        put_dims(plan, dims->v, dims->count);
        break;
    case AGATE_ATTR_enum:
        put_text(plan, agate_padding_name(*(const agate_padding *)field));
        break;
    case AGATE_ATTR_dtype:
        put(plan, (uint64_t) * (const agate_dtype *)field);
        break;
    }
}

static agate_status put_library(agate_text *plan, const agate_module_step *step)
{
    const agate_ref_row *row = agate_ref_row_of(step->library);
    size_t count;

    if (!row)
        return agate_error_make(AGATE_CODE_INTERNAL, "step \"%s\" calls a reference kernel without a name",
                                step->label);
    put_text(plan, row->name);
    put_text(plan, row->fn == agate_ref_scalar ? agate_scalar_table[step->variant].name : "");
    const agate_attr_info *rows = agate_attr_rows(row->attrs, &count);
    for (size_t i = 0; i < count; i++)
        put_attr(plan, &rows[i], step->attrs);
    return AGATE_OK;
}

static agate_status put_step(agate_text *plan, const agate_module_step *step)
{
    put_text(plan, step->symbol);
    put_text(plan, step->label);
    put_text(plan, step->origin);
    put(plan, step->first_arg);
    put(plan, step->operand_count);
    put(plan, step->result_count);
    put_dim(plan, step->task_count);
    put_dim(plan, step->flops);
    put_dim(plan, step->scalar_instructions);
    put_dim(plan, step->divisions);
    if (step->library)
        return put_library(plan, step);
    put_text(plan, "");
    return AGATE_OK;
}

static void put_metadata(agate_text *plan, const agate_metadata *m)
{
    put(plan, m != NULL);
    if (!m)
        return;
    const char *const texts[] = {m->producer_name, m->producer_version, m->domain,
                                 m->doc,           m->graph_name,       m->graph_doc};
    for (size_t i = 0; i < AGATE_COUNT(texts); i++)
        put_text(plan, texts[i] ? texts[i] : "");
    put(plan, (uint64_t)m->ir_version);
    put(plan, (uint64_t)m->model_version);
    put(plan, m->opset_count);
    for (size_t i = 0; i < m->opset_count; i++) {
        put_text(plan, m->opsets[i].domain);
        put(plan, (uint64_t)m->opsets[i].version);
    }
    put(plan, m->property_count);
    for (size_t i = 0; i < m->property_count; i++) {
        put_text(plan, m->properties[i].key);
        put_text(plan, m->properties[i].value);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

agate_status agate_image_add(agate_image *image, const agate_module *module)
{
    agate_text *part = &image->parts;
    size_t start = part->size_bytes;

    assert(image->variant_count < AGATE_COUNT(image->variants));
    put_dim(part, module->slab_size_bytes);
    put(part, (uint64_t)module->workspace_size_bytes);
    put(part, module->by_rows_steps);
    put_values(part, module->inputs, module->input_count);
    put_values(part, module->outputs, module->output_count);
    put_constants(image, module);
    put(part, module->arg_count);
    for (uint32_t i = 0; i < module->arg_count; i++)
        put_arg(part, &module->args[i]);
    put(part, module->step_count);
    for (uint32_t i = 0; i < module->step_count; i++)
        AGATE_TRY(put_step(part, &module->steps[i]));
    put(part, module->copy_count);
    for (uint32_t i = 0; i < module->copy_count; i++) {
        put_arg(part, &module->copies[i].from);
        put(part, module->copies[i].output);
    }
    put_metadata(part, module->metadata);
    if (part->failed)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to write a compiled model");
    image->variants[image->variant_count++] =
        (agate_image_row){module->needs, module->isa, module->precision, part->size_bytes - start};
    return AGATE_OK;
}

agate_status agate_image_write(const agate_image *image, const char *weights_file, agate_text *plan)
{
    size_t start = plan->size_bytes, size_at = start + 16;

    agate_text_add_bytes(plan, AGATE_IMAGE_MAGIC, 8);
    put(plan, AGATE_IMAGE_VERSION);
    put(plan, 0); /* the size, when it is known */
    put(plan, image->weights_size_bytes);
    put(plan, weights_digest(image));
    put_text(plan, weights_file);
    put(plan, image->variant_count);
    for (size_t i = 0; i < image->variant_count; i++) {
        put(plan, image->variants[i].needs);
        put_text(plan, image->variants[i].isa);
        put_text(plan, image->variants[i].precision);
        put(plan, image->variants[i].part_bytes);
    }
    agate_text_add_bytes(plan, image->parts.data, image->parts.size_bytes);
    if (plan->failed)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to write a compiled model");
    uint64_t size_bytes = plan->size_bytes - start;
    memcpy(plan->data + size_at, &size_bytes, sizeof size_bytes);
    return AGATE_OK;
}

void agate_image_deinit(agate_image *image)
{
    agate_text_deinit(&image->parts);
    free(image->weights);
    *image = (agate_image){0};
}
