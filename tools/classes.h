/* classes.h: what a classifier saw: its best classes, by name and probability. */
#ifndef AGATE_CLASSES_H
#define AGATE_CLASSES_H

#include "runtime/base/base.h"

/* The lines of a labels file: line n names class n. */
typedef struct agate_labels {
    char *text;
    const char **names;
    size_t count;
} agate_labels;

/* On success the caller releases it with agate_labels_deinit, which accepts a zeroed one. */
AGATE_MUST_USE agate_status agate_labels_read(const char *path, agate_labels *out_labels);
void agate_labels_deinit(agate_labels *labels);

/* Does the tensor hold rows of one float per label? */
bool agate_classes_fit(const agate_tensor *tensor, const agate_labels *labels);

/* Prints the five best classes of each row on standard output, under the row's title if there is one (NULL:
 * none). Rows that are no distributions (not negative, sum 1) are put through a softmax; a line says which it
 * is. */
AGATE_MUST_USE agate_status agate_classes_print(const char *output, const agate_tensor *tensor,
                                                const agate_labels *labels, const char *const *titles);

#endif
