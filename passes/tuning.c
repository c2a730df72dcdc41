/* tuning.c: a table of tiles by kernel, and its text. */
#include "passes/tuning.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ir/text.h"

uint64_t agate_tuning_kernel(const agate_node *kernel)
{
    agate_node bare = *kernel;
    agate_text text = {0};

    bare.strategy = AGATE_STRATEGY_none;
    bare.tiles = (agate_tiles){0};
    agate_print_signature(&bare, &text);
    uint64_t hash = agate_hash_bytes(AGATE_HASH_SEED, agate_text_c(&text), text.size_bytes);
    agate_text_deinit(&text);
    return hash;
}

static agate_tuning_row *find(const agate_tuning *tuning, uint64_t kernel)
{
    for (size_t i = 0; i < tuning->count; i++)
        if (tuning->rows[i].kernel == kernel)
            return &tuning->rows[i];
    return NULL;
}

const agate_tuning_row *agate_tuning_find(const agate_tuning *tuning, uint64_t kernel)
{
    return find(tuning, kernel);
}

bool agate_tuning_set(agate_tuning *tuning, uint64_t kernel, agate_strategy strategy,
                      const agate_tiles *tiles)
{
    agate_tuning_row *row = find(tuning, kernel);

    if (!row && tuning->count == tuning->room) {
        size_t room = tuning->room ? 2 * tuning->room : 16;
        agate_tuning_row *rows = realloc(tuning->rows, room * sizeof *rows);
        if (!rows)
            return false;
        tuning->rows = rows;
        tuning->room = room;
    }
    if (!row)
        row = &tuning->rows[tuning->count++];
    *row = (agate_tuning_row){kernel, strategy, *tiles};
    return true;
}

void agate_tuning_deinit(agate_tuning *tuning)
{
    free(tuning->rows);
    *tuning = (agate_tuning){0};
}

/* ---- text ---------------------------------------------------------------------------------------------- */

void agate_tuning_print(const agate_tuning *tuning, agate_text *text)
{
    for (size_t i = 0; i < tuning->count; i++) {
        const agate_tuning_row *row = &tuning->rows[i];
        const int32_t *numbers = (const int32_t *)&row->tiles;

        agate_text_add(text, "%016" PRIx64 " %s", row->kernel, agate_strategy_name(row->strategy));
        for (size_t t = 0; t < agate_tile_count; t++)
            if (numbers[t])
                agate_text_add(text, " %s=%d", agate_tile_names[t], numbers[t]);
        agate_text_add(text, "\n");
    }
}

static size_t tile_named(const char *name, size_t length)
{
    size_t t = 0;

    while (t < agate_tile_count &&
           (strlen(agate_tile_names[t]) != length || memcmp(agate_tile_names[t], name, length) != 0))
        t++;
    return t;
}

/* " NAME=NUMBER"; returns what is behind it, or NULL. */
static const char *parse_tile(const char *text, agate_tiles *tiles)
{
    size_t length = strcspn(text + 1, "= \n"), t = tile_named(text + 1, length);
    const char *digits = text + 1 + length + 1;
    char *end;

    if (text[1 + length] != '=' || t == agate_tile_count || *digits < '0' || *digits > '9')
        return NULL;
    long number = strtol(digits, &end, 10);
    if (number > INT32_MAX)
        return NULL;
    ((int32_t *)tiles)[t] = (int32_t)number;
    return end;
}

static const char *parse_row(const char *text, agate_tuning_row *row)
{
    char *end;

    *row = (agate_tuning_row){.kernel = strtoull(text, &end, 16)};
    if (end != text + 16 || *end != ' ')
        return NULL;
    const char *name = end + 1;
    size_t length = strcspn(name, " \n");
    row->strategy = agate_strategy_find(name, length);
    if (row->strategy == AGATE_STRATEGY_none)
        return NULL;
    for (text = name + length; text && *text == ' ';)
        text = parse_tile(text, &row->tiles);
    return text && *text == '\n' ? text + 1 : NULL;
}

bool agate_tuning_parse(agate_tuning *tuning, const char *text)
{
    agate_tuning_row row;

    while (*text) {
        text = parse_row(text, &row);
        if (!text || !agate_tuning_set(tuning, row.kernel, row.strategy, &row.tiles))
            return false;
    }
    return true;
}
