/* pool.c: fork and join without locks.
 *
 * Each worker has two bells of its own, on cache lines of their own: `posted` rings when a job lies ready,
 * `finished` when it is done. Whoever awaits one spins for a bounded time and then sleeps in the kernel
 * (futex). Nothing else is shared, so a step that uses two threads of many disturbs only those two.
 */
#define _GNU_SOURCE
#include "runtime/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CACHE_LINE = 64,
    /* Some 50 to 200 microseconds: long against the gaps between steps, short against a time slice. */
    SPINS = 4000,
};

/* A number that counts up: rung by one thread, awaited by one other. */
typedef struct agate_bell {
    _Atomic uint32_t value;
    _Atomic uint32_t asleep; /* the awaiting thread may be in the kernel */
} agate_bell;

typedef struct worker {
    _Alignas(CACHE_LINE) agate_bell posted;
    agate_tasks_fn tasks; /* NULL asks the worker to end */
    const void *context;
    int64_t first, last;
    _Alignas(CACHE_LINE) agate_bell finished;
    pthread_t thread;
} worker;

struct agate_pool {
    int32_t worker_count; /* beside the caller */
    worker workers[];
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* `asleep` and `value` are a store each on one side and a load each, the other way round, on the other:
 * sequential consistency sees to it that at least one side sees the other's, so no wake-up is lost. */
static void ring(agate_bell *bell)
{
    atomic_fetch_add(&bell->value, 1);
    if (atomic_load(&bell->asleep))
        syscall(SYS_futex, &bell->value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await(agate_bell *bell, uint32_t value)
{
    for (int32_t i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&bell->value, memory_order_acquire) == value)
            return;
        relax();
    }
    atomic_store(&bell->asleep, 1);
    for (uint32_t now; (now = atomic_load(&bell->value)) != value;)
        syscall(SYS_futex, &bell->value, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
    atomic_store(&bell->asleep, 0);
}

static void *work(void *argument)
{
    worker *self = argument;
    for (uint32_t ticket = 1;; ticket++) {
        await(&self->posted, ticket);
        if (!self->tasks)
            return NULL;
        self->tasks(self->context, self->first, self->last);
        ring(&self->finished);
    }
}

/* Signals sent to the process are the application's business: its handlers shall not run on our threads. */
static int start(worker *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&self->thread, NULL, work, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

agate_status agate_pool_create(int32_t threads, agate_pool **out_pool)
{
    assert(threads >= 1);
    const size_t size = sizeof(agate_pool) + (size_t)(threads - 1) * sizeof(worker);
    agate_pool *pool = aligned_alloc(CACHE_LINE, size);
    if (!pool)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a pool of %d threads", threads);
    memset(pool, 0, size);
    for (int32_t i = 0; i < threads - 1; i++) {
        const int failure = start(&pool->workers[i]);
        if (failure) {
            agate_pool_release(pool);
            return agate_error_make(AGATE_CODE_OUT_OF_MEMORY,
                                    "the system refused thread %d of %d (%s); ask for fewer threads", i + 2,
                                    threads, strerror(failure));
        }
        pthread_setname_np(pool->workers[i].thread, "agate-worker");
        pool->worker_count = i + 1;
    }
    *out_pool = pool;
    return AGATE_OK;
}

void agate_pool_release(agate_pool *pool)
{
    if (!pool)
        return;
    for (int32_t i = 0; i < pool->worker_count; i++) {
        pool->workers[i].tasks = NULL;
        ring(&pool->workers[i].posted);
    }
    for (int32_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool);
}

int32_t agate_pool_threads(const agate_pool *pool)
{
    return pool->worker_count + 1;
}

/* Where share `index` of `count` begins; without the product task_count * index, which might overflow. */
static int64_t share_begin(int64_t task_count, int64_t index, int64_t count)
{
    return task_count / count * index + task_count % count * index / count;
}

void agate_pool_run(agate_pool *pool, int32_t threads, int64_t task_count, agate_tasks_fn tasks,
                    const void *context)
{
    const int64_t limit = agate_min(threads, pool->worker_count + 1), shares = agate_min(limit, task_count);
    if (shares <= 1) {
        if (task_count > 0)
            tasks(context, 0, task_count);
        return;
    }
    for (int64_t i = 1; i < shares; i++) {
        worker *other = &pool->workers[i - 1];
        other->tasks = tasks;
        other->context = context;
        other->first = share_begin(task_count, i, shares);
        other->last = share_begin(task_count, i + 1, shares);
        ring(&other->posted);
    }
    tasks(context, 0, share_begin(task_count, 1, shares));
    for (int64_t i = 1; i < shares; i++) {
        worker *other = &pool->workers[i - 1];
        /* Each job rings both bells once. */
        await(&other->finished, atomic_load_explicit(&other->posted.value, memory_order_relaxed));
    }
}
