/* classes.c: the best classes of a classifier's output. */
#include "tools/classes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/ref/element.h"
#include "runtime/ref/index.h"
#include "tools/cli.h"
#include "tools/file.h"

#define BEST 5

agate_status agate_labels_read(const char *path, agate_labels *out_labels)
{
    agate_labels labels = {0};
    size_t size_bytes, lines = 1;
    char *rest;

    AGATE_TRY(agate_file_read(path, &labels.text, &size_bytes));
    for (size_t i = 0; i < size_bytes; i++)
        lines += labels.text[i] == '\n';
    labels.names = calloc(lines, sizeof *labels.names);
    if (!labels.names) {
        agate_labels_deinit(&labels);
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "%s: no memory", path);
    }
    for (rest = labels.text; rest && *rest;) {
        char *line = strsep(&rest, "\n");

        line[strcspn(line, "\r")] = 0;
        labels.names[labels.count++] = line;
    }
    if (labels.count == 0) {
        agate_labels_deinit(&labels);
        return agate_error_make(AGATE_CODE_INVALID_ARGUMENT, "%s: no labels", path);
    }
    *out_labels = labels;
    return AGATE_OK;
}

void agate_labels_deinit(agate_labels *labels)
{
    free(labels->text);
    free(labels->names);
    *labels = (agate_labels){0};
}

bool agate_classes_fit(const agate_tensor *tensor, const agate_labels *labels)
{
    int64_t row = 1;

    if (tensor->rank == 0 || agate_dtype_kind(tensor->dtype) != AGATE_KIND_FLOAT)
        return false;
    /* [batch, classes], or with dimensions of 1 behind; a single row may do without a batch. */
    for (int32_t d = tensor->rank > 1; d < tensor->rank; d++)
        row *= tensor->dims[d];
    return row == (int64_t)labels->count;
}

static bool is_distribution(const double *row, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (!(row[i] >= 0))
            return false;
        sum += row[i];
    }
    return fabs(sum - 1) < 1e-2;
}

static void soften(double *row, size_t count)
{
    double most = -INFINITY, sum = 0;

    for (size_t i = 0; i < count; i++)
        most = fmax(most, row[i]);
    for (size_t i = 0; i < count; i++)
        sum += row[i] = exp(row[i] - most);
    for (size_t i = 0; i < count; i++)
        row[i] /= sum;
}

static void print_best(double *row, const agate_labels *labels)
{
    for (size_t k = 0; k < BEST && k < labels->count; k++) {
        size_t best = 0;

        for (size_t i = 1; i < labels->count; i++)
            if (row[i] > row[best] || isnan(row[best]))
                best = i;
        printf("%7.2f %%  %s\n", 100 * row[best], labels->names[best]);
        row[best] = -INFINITY;
    }
}

agate_status agate_classes_print(const char *output, const agate_tensor *tensor, const agate_labels *labels,
                                 const char *const *titles)
{
    int64_t rows = agate_count(tensor) / (int64_t)labels->count;
    double *row = calloc(labels->count, sizeof *row);

    if (!row)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for %zu classes", labels->count);
    for (int64_t r = 0; r < rows; r++) {
        bool given;

        for (size_t i = 0; i < labels->count; i++)
            row[i] = agate_element_load(tensor->dtype, tensor->data, r * (int64_t)labels->count + (int64_t)i);
        given = is_distribution(row, labels->count);
        if (!given)
            soften(row, labels->count);
        printf("%s%s\"", titles ? titles[r] : "", titles ? ": " : "");
        agate_cli_put(output);
        printf("\" (%s)\n", given ? "probabilities as they are" : "probabilities by softmax");
        print_best(row, labels);
    }
    free(row);
    return AGATE_OK;
}
