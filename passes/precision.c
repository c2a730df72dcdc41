/* precision.c: the rows of precision.def by their names. */
#include "passes/pass.h"

static const char *const names[AGATE_PRECISION_COUNT] = {
#define AGATE_PRECISION(id, text, dtype, planes, summary) text,
#include "passes/precision.def"
#undef AGATE_PRECISION
};

const char *agate_precision_name(agate_precision precision)
{
    return names[precision];
}

static const int32_t planes[AGATE_PRECISION_COUNT] = {
#define AGATE_PRECISION(id, text, dtype, planes, summary) planes,
#include "passes/precision.def"
#undef AGATE_PRECISION
};

int32_t agate_precision_planes(agate_precision precision)
{
    return planes[precision];
}

static const agate_dtype dtypes[AGATE_PRECISION_COUNT] = {
#define AGATE_PRECISION(id, text, dtype, planes, summary) AGATE_##dtype,
#include "passes/precision.def"
#undef AGATE_PRECISION
};

agate_dtype agate_precision_dtype(agate_precision precision)
{
    return dtypes[precision];
}

bool agate_has_pair_products(const agate_machine *machine)
{
    return (machine->needs & AGATE_CPU_AVX512_BF16) && machine->vector_bits == 512;
}

bool agate_has_tile_products(const agate_machine *machine)
{
    const uint32_t needs = AGATE_CPU_AVX512_BF16 | AGATE_CPU_AMX_BF16;

    return (machine->needs & needs) == needs && machine->vector_bits == 512;
}

static agate_status parse(const char *text, size_t length, agate_precision *out_precision)
{
    for (size_t i = 0; i < AGATE_COUNT(names); i++)
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            *out_precision = (agate_precision)i;
            return AGATE_OK;
        }
    agate_text known = {0};
    for (size_t i = 0; i < AGATE_COUNT(names); i++)
        agate_text_add(&known, "%s%s", i ? ", " : "", names[i]);
    agate_status status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "no precision \"%.*s\": one of %s",
                                           (int)length, text, agate_text_c(&known));
    agate_text_deinit(&known);
    return status;
}

agate_status agate_precision_parse(const char *text, agate_precision *out_precision)
{
    *out_precision = AGATE_PRECISION_f32;
    return text ? parse(text, strlen(text), out_precision) : AGATE_OK;
}

uint32_t agate_precision_features(agate_precision precision, const agate_machine *machine)
{
    const uint32_t tiles = AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16;

    if (machine->vector_bits != 512 || planes[precision] == 0)
        return 0;
    return dtypes[precision] == AGATE_F16 ? tiles : tiles | AGATE_CPU_AVX512_BF16;
}

/* ---- of single nodes ----------------------------------------------------------------------------------- */

/* One of a list "NODE=P,NODE=P". */
typedef struct item {
    const char *node, *precision;
    size_t node_length, precision_length; /* precision_length 0: there is no "=P" */
    const char *rest;                     /* of the list; NULL: it was the last */
} item;

/* A node's name may hold "=", a precision does not. */
static item item_at(const char *list)
{
    size_t length = strcspn(list, ","), equals = length;

    while (equals > 0 && list[equals - 1] != '=')
        equals--;
    return (item){.node = list,
                  .node_length = equals > 0 ? equals - 1 : length,
                  .precision = list + equals,
                  .precision_length = equals > 0 ? length - equals : 0,
                  .rest = list[length] ? list + length + 1 : NULL};
}

/* Does `origin`, names joined by "+", hold this one? */
static bool names_node(const char *origin, const char *node, size_t length)
{
    while (origin) {
        size_t own = strcspn(origin, "+");
        if (own == length && memcmp(origin, node, length) == 0)
            return true;
        origin = origin[own] ? origin + own + 1 : NULL;
    }
    return false;
}

static bool has_node(const agate_graph *graph, const item *wanted)
{
    AGATE_EACH_NODE (node, graph)
        if ((node->origin && names_node(node->origin, wanted->node, wanted->node_length)) ||
            (node->body && has_node(node->body, wanted)))
            return true;
    return false;
}

agate_status agate_node_precisions_check(const char *list, const agate_graph *graph)
{
    agate_precision precision;

    while (list) {
        item one = item_at(list);
        if (one.precision_length == 0 || one.node_length == 0)
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "\"%.*s\" is not NODE=P",
                                    (int)strcspn(list, ","), list);
        AGATE_TRY(parse(one.precision, one.precision_length, &precision));
        if (graph && !has_node(graph, &one))
            return agate_error_make(
                AGATE_CODE_INVALID_ARGUMENT,
                "the model has no node \"%.*s\" to give a precision: agate dump --origins names them",
                (int)one.node_length, one.node);
        list = one.rest;
    }
    return AGATE_OK;
}

agate_precision agate_precision_of(const char *list, agate_precision otherwise, const agate_node *node)
{
    while (list && node->origin) {
        item one = item_at(list);
        agate_precision precision = otherwise;
        if (names_node(node->origin, one.node, one.node_length)) {
            agate_status_release(parse(one.precision, one.precision_length, &precision));
            return precision;
        }
        list = one.rest;
    }
    return otherwise;
}

uint32_t agate_node_precisions_features(const char *list, const agate_machine *machine)
{
    uint32_t features = 0;

    while (list) {
        item one = item_at(list);
        agate_precision precision = AGATE_PRECISION_f32;
        agate_status_release(parse(one.precision, one.precision_length, &precision));
        features |= agate_precision_features(precision, machine);
        list = one.rest;
    }
    return features;
}
