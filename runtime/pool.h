/* pool.h: threads that share out the tasks of one step at a time. Internal to the runtime. */
#ifndef AGATE_POOL_H
#define AGATE_POOL_H

#include "runtime/base/base.h"

typedef struct agate_pool agate_pool;

/* Does tasks first <= t < last. `thread` tells those apart that run at once: 0 <= thread <
 * agate_pool_threads. */
typedef void (*agate_tasks_fn)(const void *context, int64_t first, int64_t last, int32_t thread);

/* A pool in which `threads` >= 1 threads work, the caller of agate_pool_run being one of them. Fails if the
 * system refuses a thread. Thread-compatible. */
AGATE_MUST_USE agate_status agate_pool_create(int32_t threads, agate_pool **out_pool);

/* A pool without threads: `parallel` runs the shares of each step, at most `threads` of them. */
AGATE_MUST_USE agate_status agate_pool_create_borrowed(int32_t threads, agate_parallel_fn parallel,
                                                       void *user, agate_pool **out_pool);

/* Ends and joins the threads. NULL is accepted. */
void agate_pool_release(agate_pool *pool);

int32_t agate_pool_threads(const agate_pool *pool);

/* Runs `tasks` over 0 <= t < task_count on at most `threads` threads of the pool and returns when all are
 * done. Thread i begins with the i-th contiguous share, so that it finds in its own cache what it wrote
 * before, and then helps the others; `tasks` is called for a few contiguous tasks at a time. Allocates
 * nothing and takes no lock; idle threads spin for a moment and then sleep. */
void agate_pool_run(agate_pool *pool, int32_t threads, int64_t task_count, agate_tasks_fn tasks,
                    const void *context);

#endif
