/* precision.c: the rows of precision.def by their names. */
#include "passes/pass.h"

static const char *const names[AGATE_PRECISION_COUNT] = {
#define AGATE_PRECISION(id, text, planes, summary) text,
#include "passes/precision.def"
#undef AGATE_PRECISION
};

const char *agate_precision_name(agate_precision precision)
{
    return names[precision];
}

static const int32_t planes[AGATE_PRECISION_COUNT] = {
#define AGATE_PRECISION(id, text, planes, summary) planes,
#include "passes/precision.def"
#undef AGATE_PRECISION
};

int32_t agate_precision_planes(agate_precision precision)
{
    return planes[precision];
}

bool agate_has_tile_products(const agate_machine *machine)
{
    const uint32_t needs = AGATE_CPU_AVX512_BF16 | AGATE_CPU_AMX_BF16;

    return (machine->needs & needs) == needs && machine->vector_bits == 512;
}

agate_status agate_precision_parse(const char *text, agate_precision *out_precision)
{
    *out_precision = AGATE_PRECISION_f32;
    if (!text)
        return AGATE_OK;
    for (size_t i = 0; i < AGATE_COUNT(names); i++)
        if (strcmp(names[i], text) == 0) {
            *out_precision = (agate_precision)i;
            return AGATE_OK;
        }
    agate_text known = {0};
    for (size_t i = 0; i < AGATE_COUNT(names); i++)
        agate_text_add(&known, "%s%s", i ? ", " : "", names[i]);
    agate_status status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "no precision \"%s\": one of %s",
                                           text, agate_text_c(&known));
    agate_text_deinit(&known);
    return status;
}

uint32_t agate_precision_features(agate_precision precision, const agate_machine *machine)
{
    if (machine->vector_bits != 512 || planes[precision] == 0)
        return 0;
    return AGATE_CPU_AVX512_BF16 | AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16;
}
