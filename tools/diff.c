/* diff.c: the longest common subsequence of two texts' lines, by the plain quadratic table.
 *
 * A pass changes little, so equal lines at both ends are set aside first; what is left is small. Where it is
 * not (beyond MAX_CELLS) it is shown as replaced whole.
 */
#include "tools/diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CELLS ((size_t)64 << 20)
#define CONTEXT   2

typedef struct lines {
    const char **at;
    size_t *size;
    size_t count;
} lines;

static bool split(const char *text, lines *out)
{
    size_t count = 0;

    for (const char *c = text; *c; c++)
        count += *c == '\n';
    *out = (lines){calloc(count + 1, sizeof *out->at), calloc(count + 1, sizeof *out->size), 0};
    if (!out->at || !out->size)
        return false;
    while (*text) {
        size_t size = strcspn(text, "\n");

        out->at[out->count] = text;
        out->size[out->count++] = size;
        text += size + (text[size] == '\n');
    }
    return true;
}

static void lines_deinit(lines *l)
{
    free(l->at);
    free(l->size);
}

static bool same(const lines *a, size_t i, const lines *b, size_t j)
{
    return a->size[i] == b->size[j] && memcmp(a->at[i], b->at[j], a->size[i]) == 0;
}

/* One line of the answer. */
typedef struct edit {
    char mark; /* ' ', '-' or '+' */
    const char *text;
    int size;
} edit;

typedef struct edits {
    edit *at;
    size_t count;
} edits;

static void put(edits *out, char mark, const lines *l, size_t i)
{
    out->at[out->count++] = (edit){mark, l->at[i], (int)l->size[i]};
}

/* common[i][j]: how many lines a[skip+i..] and b[skip+j..] have in common, up to their ends m and n. NULL:
 * too large. */
static uint32_t *common_table(const lines *a, size_t m, const lines *b, size_t n, size_t skip)
{
    size_t width = n + 1;
    uint32_t *common = (m + 1) <= MAX_CELLS / width ? calloc((m + 1) * width, sizeof *common) : NULL;

    for (size_t i = m; common && i-- > 0;)
        for (size_t j = n; j-- > 0;) {
            uint32_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
            bool equal = same(a, skip + i, b, skip + j);

            common[i * width + j] = equal ? common[(i + 1) * width + j + 1] + 1 : down > right ? down : right;
        }
    return common;
}

static void edit_part(const lines *a, size_t m, const lines *b, size_t n, size_t skip, edits *out)
{
    uint32_t *common = common_table(a, m, b, n, skip);
    size_t i = 0, j = 0, width = n + 1;

    while (i < m || j < n) {
        if (i < m && j < n && common && same(a, skip + i, b, skip + j)) {
            put(out, ' ', a, skip + i++);
            j++;
        } else if (j == n ||
                   (i < m && (!common || common[(i + 1) * width + j] >= common[i * width + j + 1]))) {
            put(out, '-', a, skip + i++);
        } else {
            put(out, '+', b, skip + j++);
        }
    }
    free(common);
}

static bool near_change(const edits *all, size_t i)
{
    size_t first = i > CONTEXT ? i - CONTEXT : 0;

    for (size_t k = first; k <= i + CONTEXT && k < all->count; k++)
        if (all->at[k].mark != ' ')
            return true;
    return false;
}

static void print(const edits *all, size_t line_limit, FILE *stream)
{
    size_t printed = 0, missing = 0;
    bool shown = true;

    for (size_t i = 0; i < all->count; i++) {
        bool show = near_change(all, i), full = line_limit && printed >= line_limit;

        missing += full && all->at[i].mark != ' ';
        if (full)
            continue;
        printed += show;
        if (show)
            fprintf(stream, "%c %.*s\n", all->at[i].mark, all->at[i].size, all->at[i].text);
        else if (shown)
            fputs("...\n", stream);
        shown = show;
    }
    if (missing)
        fprintf(stream, "... and %zu more changed lines (--diff-all)\n", missing);
}

static void diff(const lines *a, const lines *b, edits *out)
{
    size_t head = 0, tail = 0;

    while (head < a->count && head < b->count && same(a, head, b, head))
        put(out, ' ', a, head++);
    while (tail < a->count - head && tail < b->count - head &&
           same(a, a->count - 1 - tail, b, b->count - 1 - tail))
        tail++;
    edit_part(a, a->count - head - tail, b, b->count - head - tail, head, out);
    while (tail > 0)
        put(out, ' ', a, a->count - tail--);
}

void agate_diff_print(const char *before, const char *after, size_t line_limit, FILE *stream)
{
    lines a = {0}, b = {0};

    if (strcmp(before, after) != 0 && split(before, &a) && split(after, &b)) {
        edits all = {.at = calloc(a.count + b.count, sizeof(edit))};

        if (all.at) {
            diff(&a, &b, &all);
            print(&all, line_limit, stream);
        }
        free(all.at);
    }
    lines_deinit(&a);
    lines_deinit(&b);
}
