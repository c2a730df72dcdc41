/* info.h: what `agate info` says of models and of compiled files alike. */
#ifndef AGATE_INFO_H
#define AGATE_INFO_H

#include "tools/cli.h"
#include "tools/json.h"

/* Appends "8.18 GFLOP", or of bytes, unit "B", "97.6 MiB". */
void agate_info_add_number(int64_t number, const char *unit, agate_text *text);

/* "work        8.18 GFLOP per row of the batch" */
void agate_info_print_amount(const char *title, agate_dim amount, const char *unit);
void agate_info_print_tally(const agate_tally *tally);

/* An input or output. */
void agate_info_print_value(const char *name, const char *type);

/* An amount of scale * N + offset. */
json_t *agate_info_amount(agate_dim amount);
json_t *agate_info_shape(const agate_dim *dims, int32_t rank);

/* What is known of a compiled file (info_compiled.c), and of its variant for `isa` and `precision`; NULL: of
 * what would run here. */
AGATE_MUST_USE agate_status agate_info_compiled(const char *path, const char *isa, const char *precision,
                                                bool json);

#endif
