/* info.c: amounts, tallies and shapes, as text and as JSON. */
#include "tools/info.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct scale {
    double size;
    const char *prefix;
} scale;

void agate_info_add_number(int64_t number, const char *unit, agate_text *text)
{
    static const scale decimal[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};
    static const scale binary[] = {{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}, {1, ""}};
    const scale *s = *unit == 'B' ? binary : decimal;

    while (s->size > 1 && (double)number < s->size)
        s++;
    agate_text_add(text, "%.4g %s%s", (double)number / s->size, s->prefix, unit);
}

void agate_info_print_amount(const char *title, agate_dim amount, const char *unit)
{
    agate_text text = {0};

    if (amount.scale != 0) {
        agate_info_add_number(amount.scale, unit, &text);
        agate_text_add(&text, " per row of the batch%s", amount.offset ? ", and " : "");
    }
    if (amount.scale == 0 || amount.offset != 0)
        agate_info_add_number(amount.offset, unit, &text);
    printf("%-12s%s\n", title, agate_text_c(&text));
    agate_text_deinit(&text);
}

void agate_info_print_tally(const agate_tally *tally)
{
    for (size_t i = 0; i < tally->count; i++)
        printf("  %6zu  %s\n", tally->rows[i].count, tally->rows[i].name);
}

void agate_info_print_value(const char *name, const char *type)
{
    printf("  ");
    agate_cli_put(name);
    printf(": %s\n", type);
}

json_t *agate_info_amount(agate_dim amount)
{
    return json_pack("{s:I, s:I}", "per_row", (json_int_t)amount.scale, "fixed", (json_int_t)amount.offset);
}

json_t *agate_info_shape(const agate_dim *dims, int32_t rank)
{
    json_t *shape = json_array();

    for (int32_t d = 0; d < rank; d++) {
        agate_text text = {0};

        agate_dim_print(dims[d], &text);
        json_array_append_new(shape, agate_dim_is_fixed(dims[d]) ? json_integer(dims[d].offset)
                                                                 : agate_json_string(agate_text_c(&text)));
        agate_text_deinit(&text);
    }
    return shape;
}
