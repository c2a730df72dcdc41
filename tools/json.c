/* json.c: see json.h. */
#include "tools/json.h"

json_t *agate_json_string(const char *text)
{
    return json_string(text) ?: json_string("?");
}

json_t *agate_json_tally(const agate_tally *tally)
{
    json_t *object = json_object();

    for (size_t i = 0; i < tally->count; i++)
        json_object_set_new(object, tally->rows[i].name, json_integer((json_int_t)tally->rows[i].count));
    return object;
}

bool agate_json_write(const json_t *root, FILE *stream)
{
    return json_dumpf(root, stream, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0 && fputc('\n', stream) != EOF;
}

void agate_json_print(json_t *root)
{
    agate_json_write(root, stdout);
    json_decref(root);
}
