/* json.h: what the verbs print as JSON. Names from a model need not be UTF-8: such become "?". */
#ifndef AGATE_JSON_H
#define AGATE_JSON_H

#include <jansson.h>
#include <stdio.h>

#include "tools/tally.h"

json_t *agate_json_string(const char *text);
json_t *agate_json_tally(const agate_tally *tally);

/* With its keys in the order in which they came; false where it cannot be written. */
bool agate_json_write(const json_t *root, FILE *stream);

/* The same on standard output; releases `root`. */
void agate_json_print(json_t *root);

#endif
