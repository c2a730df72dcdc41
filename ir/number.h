/* number.h: numbers as text that loses no bit, and back. */
#ifndef AGATE_NUMBER_H
#define AGATE_NUMBER_H

#include "ir/type.h"

/* The shortest decimals that read back as `value`; "nan", "inf", "-inf". */
void agate_double_print(double value, agate_text *text);

/* Decimals or hexadecimals. Returns the end of what was read; NULL where there is no number or it is out of
 * range. */
const char *agate_double_parse(const char *text, double *out_value);

/* A whole number with an optional sign. */
const char *agate_int_parse(const char *text, int64_t *out_value);

/* One element of a constant. A NaN other than the usual one keeps its bits: nan(0x7fc00001). */
void agate_element_print(agate_dtype dtype, const void *element, agate_text *text);
const char *agate_element_parse(const char *text, agate_dtype dtype, void *out_element);

#endif
