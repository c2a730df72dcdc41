/* bisect.h: which rewrite of which pass changed what a model computes? */
#ifndef AGATE_BISECT_H
#define AGATE_BISECT_H

#include "tools/compare.h"

typedef struct agate_bisect_options {
    agate_runner_options runner; /* `reference`: interpret the planned graph; else compile and run it */
    agate_compare_options tolerance;
    void (*tried)(void *user, int64_t rewrites, bool good); /* NULL: nobody listens */
    void *user;
} agate_bisect_options;

typedef enum agate_bisect_verdict {
    AGATE_BISECT_FINE,    /* with every rewrite the results are within the tolerance */
    AGATE_BISECT_BEFORE,  /* without any they are past it: no rewrite is to blame */
    AGATE_BISECT_REWRITE, /* one was found */
} agate_bisect_verdict;

typedef struct agate_bisect_result {
    agate_bisect_verdict verdict;
    int64_t rewrite_count;       /* that all passes make */
    agate_difference difference; /* of the worst result; AGATE_BISECT_REWRITE: the first time it is past */
    int64_t number;              /* of the rewrite, from 1; the rest only where one was found */
    const char *pass;            /* lives as long as the table of passes, or as `options.runner...extra` */
    agate_text rewrite;          /* what the pass calls it */
    agate_text node;             /* in front of it, as text */
    agate_text before, after;    /* the graph, once the pass's stage is reached */
} agate_bisect_result;

/* Interprets the model as imported, then runs it with ever fewer rewrites until one is left that makes the
 * difference. On success the caller releases the result with agate_bisect_deinit. */
AGATE_MUST_USE agate_status agate_bisect(const char *model, const agate_tensor *inputs,
                                         const agate_bisect_options *options,
                                         agate_bisect_result *out_result);
void agate_bisect_deinit(agate_bisect_result *result);

#endif
