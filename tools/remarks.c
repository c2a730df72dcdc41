/* remarks.c: remarks grouped by what they say. */
#include "tools/remarks.h"

#include <stdlib.h>

#define EXAMPLE_WIDTH 60

static agate_remark_group *add_group(agate_remarks *remarks)
{
    if (remarks->count == remarks->room) {
        size_t room = remarks->room ? 2 * remarks->room : 32;
        agate_remark_group *grown = realloc(remarks->groups, room * sizeof *grown);

        if (!grown)
            return NULL;
        remarks->groups = grown;
        remarks->room = room;
    }
    return &remarks->groups[remarks->count++];
}

static agate_remark_group *find_group(agate_remarks *remarks, const char *pass, const char *message)
{
    for (size_t i = 0; i < remarks->count; i++)
        if (strcmp(remarks->groups[i].message, message) == 0 && strcmp(remarks->groups[i].pass, pass) == 0)
            return &remarks->groups[i];
    return NULL;
}

void agate_remarks_add(void *user, const char *pass, const agate_node *node, const char *message)
{
    agate_remarks *remarks = user;
    agate_remark_group *group = find_group(remarks, pass, message);

    if (strncmp(message, "rewrite: ", strlen("rewrite: ")) == 0)
        return;
    if (!remarks->arena)
        remarks->arena = agate_arena_create();
    if (!group) {
        group = remarks->arena ? add_group(remarks) : NULL;
        if (!group) {
            remarks->dropped++;
            return;
        }
        *group = (agate_remark_group){
            .pass = agate_arena_text(remarks->arena, pass),
            .message = agate_arena_text(remarks->arena, message),
            .example = agate_arena_text(remarks->arena, node && node->origin ? node->origin : ""),
        };
    }
    group->count++;
}

/* The first of the ONNX nodes that an origin joins, cut where it is long. */
static void print_example(const agate_remark_group *group, FILE *stream)
{
    int length = (int)agate_min((int64_t)strcspn(group->example, "+"), EXAMPLE_WIDTH);

    if (length > 0)
        fprintf(stream, group->count > 1 ? " (%.*s and %zu more)" : " (%.*s)", length, group->example,
                group->count - 1);
}

static size_t pass_number(const char *name)
{
    return (size_t)(agate_pass_find(name) - agate_pass_table);
}

/* By pass, then the most frequent first, then by what they say. */
static int compare_groups(const void *a, const void *b)
{
    const agate_remark_group *x = a, *y = b;
    size_t x_pass = pass_number(x->pass), y_pass = pass_number(y->pass);

    if (x_pass != y_pass)
        return x_pass < y_pass ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->message, y->message);
}

void agate_remarks_print(agate_remarks *remarks, FILE *stream)
{
    if (remarks->count)
        qsort(remarks->groups, remarks->count, sizeof *remarks->groups, compare_groups);
    for (size_t i = 0; i < remarks->count; i++) {
        const agate_remark_group *group = &remarks->groups[i];

        fprintf(stream, "remark: %s: %zux %s", group->pass, group->count, group->message);
        print_example(group, stream);
        fprintf(stream, "\n");
    }
    if (remarks->dropped)
        fprintf(stream, "remark: memory was too short for %zu more\n", remarks->dropped);
}

void agate_remarks_deinit(agate_remarks *remarks)
{
    agate_arena_release(remarks->arena);
    free(remarks->groups);
    *remarks = (agate_remarks){0};
}
