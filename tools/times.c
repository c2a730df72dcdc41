/* times.c: rows of times, summed by name. */
#include "tools/times.h"

#include <stdlib.h>

void agate_times_add(void *user, const char *name, uint64_t ns)
{
    agate_times *times = user;
    size_t i = 0;

    while (i < times->count && strcmp(times->rows[i].name, name) != 0)
        i++;
    if (i == AGATE_TIMES_MOST)
        return;
    times->count += i == times->count;
    times->rows[i].name = name;
    times->rows[i].ns += ns;
    times->rows[i].count++;
}

static void print_row(FILE *stream, const char *name, uint64_t ns, uint64_t total_ns, size_t count)
{
    fprintf(stream, "%10.3f ms %5.1f %%  %s", (double)ns / 1e6,
            total_ns ? 100.0 * (double)ns / (double)total_ns : 0, name);
    if (count > 1)
        fprintf(stream, " (%zu times)", count);
    fprintf(stream, "\n");
}

void agate_times_print(const agate_times *times, uint64_t total_ns, FILE *stream)
{
    uint64_t accounted_ns = 0;

    for (size_t i = 0; i < times->count; i++) {
        const agate_times_row *row = &times->rows[i];
        bool is_part = row->name[0] == ' ';

        accounted_ns += is_part ? 0 : row->ns;
        if (is_part)
            fprintf(stream, "%10.3f ms          %s\n", (double)row->ns / 1e6, row->name);
        else
            print_row(stream, row->name, row->ns, total_ns, row->count);
    }
    print_row(stream, "other", total_ns > accounted_ns ? total_ns - accounted_ns : 0, total_ns, 1);
    print_row(stream, "in all", total_ns, total_ns, 1);
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

static int compare_runs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void agate_runs_sort(uint64_t *run_ns, size_t count)
{
    qsort(run_ns, count, sizeof *run_ns, compare_runs);
}

double agate_runs_median_ms(const uint64_t *run_ns, size_t count)
{
    return ((double)run_ns[(count - 1) / 2] / 1e6 + (double)run_ns[count / 2] / 1e6) / 2;
}
