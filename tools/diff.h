/* diff.h: which lines changed between two texts. */
#ifndef AGATE_DIFF_H
#define AGATE_DIFF_H

#include <stdio.h>

/* Prints removed lines after "-", added ones after "+", with a few unchanged lines around them, and "..."
 * where more are left out; ends after `line_limit` lines (0: none), saying how many changed lines are
 * missing. Prints nothing for equal texts. */
void agate_diff_print(const char *before, const char *after, size_t line_limit, FILE *stream);

#endif
