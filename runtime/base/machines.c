/* machines.c: the rows of machines.def. */
#include "runtime/base/features.h"

static const agate_machine machines[] = {
#define AGATE_MACHINE(id, text, psabi, bits, registers, features)                                            \
    {                                                                                                        \
        .name = text,                                                                                        \
        .level = psabi,                                                                                      \
        .vector_bits = bits,                                                                                 \
        .vector_registers = registers,                                                                       \
        .needs = features,                                                                                   \
        .l1_bytes = 48 << 10,                                                                                \
        .l2_bytes = 1 << 20,                                                                                 \
    },
#include "runtime/base/machines.def"
#undef AGATE_MACHINE
};

int32_t agate_machine_count(void)
{
    return (int32_t)AGATE_COUNT(machines);
}

agate_machine agate_machine_get(int32_t index)
{
    assert(index >= 0 && index < agate_machine_count());
    return machines[index];
}

int32_t agate_machine_find(const char *name)
{
    for (int32_t i = 0; i < agate_machine_count(); i++)
        if (strcmp(machines[i].name, name) == 0 || strcmp(machines[i].level, name) == 0)
            return i;
    return -1;
}

int32_t agate_machine_best(uint32_t features)
{
    int32_t best = 0;
    for (int32_t i = 0; i < agate_machine_count(); i++)
        if ((machines[i].needs & ~features) == 0)
            best = i;
    return best;
}
