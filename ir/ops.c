/* ops.c: the tables of ops, strategies and tiles, from their .def files. */
#include "ir/by_rows.h"
#include "ir/graph.h"
#include "ir/infer.h"
#include "runtime/ref/table.h"

/* "Has no meaning alone." */
#define agate_ref_none    NULL
#define agate_infer_none  NULL
#define agate_infer_given NULL
#define agate_rows_none   NULL
#define A                 AGATE_ANCHOR
#define V                 AGATE_VIEW
#define C                 AGATE_CONSTANT
#define T                 AGATE_TERMINATOR
#define K                 AGATE_KERNEL
#define N                 AGATE_ANY_COUNT

const agate_op_info agate_op_table[AGATE_OP_COUNT] = {
/* clang-format off */
#define AGATE_OP(id, text, lo, hi, attrs, traits, infer, reference, family, rows)                            \
    [AGATE_OP_##id] = {text, lo, hi, AGATE_SET_##attrs, traits, agate_infer_##infer, agate_ref_##reference,  \
                       AGATE_FAMILY_##family, agate_rows_##rows},
/* clang-format on */
#include "ir/ops.def"
#undef AGATE_OP
};

_Static_assert((int)AGATE_OP_add == (int)AGATE_SCALAR_add, "scalar ops come first, in scalar.def's order");
_Static_assert((int)AGATE_OP_conv == (int)AGATE_SCALAR_COUNT, "every scalar op is an op");

agate_op agate_op_find(const char *name)
{
    for (int op = 0; op < AGATE_OP_COUNT; op++)
        if (strcmp(agate_op_table[op].name, name) == 0)
            return (agate_op)op;
    return AGATE_OP_COUNT;
}

static const char *const strategy_names[] = {
    "",
#define AGATE_STRATEGY(id, summary) #id,
#include "ir/strategies.def"
#undef AGATE_STRATEGY
};

const char *agate_strategy_name(agate_strategy strategy)
{
    assert(strategy < AGATE_STRATEGY_COUNT);
    return strategy_names[strategy];
}

agate_strategy agate_strategy_find(const char *name, size_t length)
{
    for (int strategy = 1; strategy < AGATE_STRATEGY_COUNT; strategy++)
        if (strlen(strategy_names[strategy]) == length && memcmp(strategy_names[strategy], name, length) == 0)
            return (agate_strategy)strategy;
    return AGATE_STRATEGY_none;
}

const char *const agate_tile_names[] = {
#define AGATE_TILE(id, meaning) #id,
#include "ir/tiles.def"
#undef AGATE_TILE
};
const size_t agate_tile_count = AGATE_COUNT(agate_tile_names);

_Static_assert(sizeof(agate_tiles) == sizeof(int32_t) * AGATE_COUNT(agate_tile_names),
               "agate_tiles is read as an array in tiles.def's order");
