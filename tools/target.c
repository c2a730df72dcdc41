/* target.c: names of machines with features added and taken away. */
#include "tools/target.h"

#include <ctype.h>
#include <stdlib.h>

static agate_status unknown_target(const char *text)
{
    agate_text names = {0};

    for (int32_t i = 0; i < agate_machine_count(); i++) {
        const agate_machine row = agate_machine_get(i);
        agate_text_add(&names, ", %s (%s)", row.level, row.name);
    }
    agate_status status = agate_error_make(
        AGATE_CODE_INVALID_ARGUMENT,
        "no target \"%s\": there are native%s, each with +FEATURE and -FEATURE as often as you like", text,
        agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

static agate_status unknown_feature(const char *text, const char *rest)
{
    agate_text names = {0};

    agate_cpu_features_list(~0u, " ", true, &names);
    agate_status status =
        agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "target \"%s\": no feature begins \"%s\": there are%s",
                         text, rest, agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

/* The length of `name` if `text` begins with it and then ends or goes on with features. */
static size_t match(const char *text, const char *name)
{
    size_t length = strlen(name);

    return strncmp(text, name, length) == 0 && strchr("+-", text[length]) ? length : 0;
}

/* Features of the row that `text` names at its start; *out_length: of the name, 0 where it names none. */
static uint32_t find_base(const char *text, size_t *out_length)
{
    uint32_t needs = 0;
    size_t longest = match(text, "native");

    if (longest)
        needs = agate_machine_get(agate_machine_best(agate_cpu_features())).needs;
    for (int32_t i = 0; i < agate_machine_count(); i++) {
        const agate_machine row = agate_machine_get(i);
        size_t length = (size_t)agate_max((int64_t)match(text, row.name), (int64_t)match(text, row.level));
        if (length > longest) {
            longest = length;
            needs = row.needs;
        }
    }
    *out_length = longest;
    return needs;
}

agate_status agate_target_parse(const char *text, agate_arena *arena, agate_machine *out_machine)
{
    size_t length;
    uint32_t needs = find_base(text, &length);

    if (length == 0)
        return unknown_target(text);
    for (const char *rest = text + length; *rest; rest += length) {
        char sign = *rest++;
        uint32_t feature = agate_cpu_feature_find(rest, &length);
        if (!feature || !strchr("+-", rest[length]))
            return unknown_feature(text, rest);
        needs = sign == '+' ? agate_cpu_features_with(needs, feature)
                            : agate_cpu_features_without(needs, feature);
    }
    agate_machine machine = agate_machine_get(agate_machine_best(needs));
    agate_text name = {0};
    agate_text_add(&name, "%s", machine.name);
    agate_cpu_features_list(needs & ~machine.needs, "+", false, &name);
    machine.name = agate_arena_text(arena, agate_text_c(&name));
    agate_text_deinit(&name);
    machine.needs = needs;
    *out_machine = machine;
    return AGATE_OK;
}

static int compare(const void *a, const void *b)
{
    const agate_machine *x = a, *y = b;
    const int bits_x = __builtin_popcount(x->needs), bits_y = __builtin_popcount(y->needs);

    if (x->vector_bits != y->vector_bits)
        return x->vector_bits < y->vector_bits ? -1 : 1;
    return bits_x != bits_y ? (bits_x < bits_y ? -1 : 1) : strcmp(x->name, y->name);
}

agate_status agate_target_sort(agate_machine *machines, size_t count)
{
    qsort(machines, count, sizeof *machines, compare);
    for (size_t i = 1; i < count; i++)
        if (machines[i - 1].needs == machines[i].needs)
            return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "target %s is given twice",
                                    machines[i].name);
    return AGATE_OK;
}

const char *agate_target_suffix(const agate_machine *machine, agate_arena *arena)
{
    char *suffix = agate_arena_format(arena, "_%s", machine->name);

    for (char *c = suffix; *c; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    return suffix;
}
