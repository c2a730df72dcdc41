/* remarks.h: what passes say of what they did not do, grouped and counted. */
#ifndef AGATE_REMARKS_H
#define AGATE_REMARKS_H

#include <stdio.h>

#include "passes/pass.h"

typedef struct agate_remark_group {
    const char *pass, *message;
    size_t count;
    const char *example; /* ONNX node that it was said of first; "": none */
} agate_remark_group;

/* Zero-initialize. Groups stand in the order of first sight. */
typedef struct agate_remarks {
    agate_arena *arena; /* made when the first remark is heard */
    agate_remark_group *groups;
    size_t count, room;
    size_t dropped; /* remarks that memory was too short for */
} agate_remarks;

/* An agate_remark_fn, with the remarks as its user. Rewrites that were made are not counted. */
void agate_remarks_add(void *user, const char *pass, const agate_node *node, const char *message);

/* One line a group, a pass after another, the most frequent first. */
void agate_remarks_print(agate_remarks *remarks, FILE *stream);
void agate_remarks_deinit(agate_remarks *remarks);

#endif
