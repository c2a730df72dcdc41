/* worker.h: a child process that does one job after another, so that a crash or a hang costs only the job at
 * hand. */
#ifndef AGATE_WORKER_H
#define AGATE_WORKER_H

#include <sys/types.h>

#include "runtime/base/base.h"

/* Does `job` in the child and appends what there is to say to `answer`, any bytes. */
typedef void agate_worker_run(void *user, const char *job, agate_text *answer);

/* Zero-initialize, then set the first three. The child is forked with the first job, and anew after one that
 * ended it. Thread-compatible. */
typedef struct agate_worker {
    agate_worker_run *run;
    void *user;
    unsigned timeout_seconds; /* of one job; 0: none */
    pid_t child;
    int link; /* a socket; valid while there is a child */
} agate_worker;

/* Appends the answer, and returns true; or how the child ended without one, and returns false. */
bool agate_worker_do(agate_worker *worker, const char *job, agate_text *out_answer);

/* Lets the child end, if there is one. Returns false, and appends how, where it did not end well (as when it
 * leaked, and a sanitizer watches). */
bool agate_worker_end(agate_worker *worker, agate_text *out_why);

#endif
