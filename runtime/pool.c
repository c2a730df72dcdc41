/* pool.c: fork and join without locks.
 *
 * Each worker has a job and two bells of its own: `posted` rings when the job lies ready, `finished` when it
 * is done. Whoever awaits one spins for a bounded time and then sleeps in the kernel (futex). A job is done
 * by whoever takes it first: nearly always its worker, but the caller, once through with its own share, takes
 * what a worker that sleeps or has lost its core has not begun. So a step never waits for a thread to wake.
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
    _Atomic uint32_t asleep; /* the awaiting thread is in the kernel, or about to be */
} agate_bell;

typedef struct worker {
    _Alignas(CACHE_LINE) agate_bell posted;
    _Atomic uint32_t taken; /* the last job that somebody took, as a value of `posted` */
    agate_tasks_fn tasks;   /* NULL asks the worker to end */
    const void *context;
    int64_t first, last;

    _Alignas(CACHE_LINE) agate_bell finished;
    uint32_t finished_before; /* its value when the job was posted */
    bool callers;             /* the caller took the job */
    pthread_t thread;
} worker;

struct agate_pool {
    int32_t width;              /* threads that may work at once, the caller's included */
    int32_t worker_count;       /* of our own, beside the caller */
    agate_parallel_fn parallel; /* NULL: our own */
    void *parallel_user;
    worker workers[];
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* One side stores `value` and then loads `asleep`, the other stores `asleep` and then loads `value`:
 * sequential consistency sees to it that at least one sees the other's, so no wake-up is lost. */
static void ring(agate_bell *bell)
{
    atomic_fetch_add(&bell->value, 1);
    if (atomic_load(&bell->asleep) && atomic_exchange(&bell->asleep, 0))
        syscall(SYS_futex, &bell->value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Returns once the bell's value is another than `before`. */
static void await(agate_bell *bell, uint32_t before)
{
    for (int32_t i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&bell->value, memory_order_acquire) != before)
            return;
        relax();
    }
    for (;;) {
        atomic_store(&bell->asleep, 1);
        if (atomic_load(&bell->value) != before)
            break;
        syscall(SYS_futex, &bell->value, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
    }
    atomic_store(&bell->asleep, 0);
}

/* Is job number `ticket` ours? It is the first one's who asks; only then may its fields be read. */
static bool take(worker *self, uint32_t ticket)
{
    uint32_t before = ticket - 1;
    return atomic_compare_exchange_strong(&self->taken, &before, ticket);
}

static void *work(void *argument)
{
    worker *self = argument;
    for (uint32_t seen = 0;;) {
        await(&self->posted, seen);
        seen = atomic_load(&self->posted.value);
        if (!take(self, seen))
            continue;
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

static void post(worker *self, agate_tasks_fn tasks, const void *context, int64_t first, int64_t last)
{
    self->tasks = tasks;
    self->context = context;
    self->first = first;
    self->last = last;
    self->finished_before = atomic_load_explicit(&self->finished.value, memory_order_relaxed);
    ring(&self->posted);
}

void agate_pool_release(agate_pool *pool)
{
    if (!pool)
        return;
    for (int32_t i = 0; i < pool->worker_count; i++) {
        post(&pool->workers[i], NULL, NULL, 0, 0);
    }
    for (int32_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool);
}

static agate_pool *allocate(int32_t threads, int32_t worker_count)
{
    assert(threads >= 1);
    const size_t size = sizeof(agate_pool) + (size_t)worker_count * sizeof(worker);
    agate_pool *pool = aligned_alloc(CACHE_LINE, size);
    if (!pool)
        return NULL;
    memset(pool, 0, size);
    pool->width = threads;
    return pool;
}

static agate_status out_of_memory(int32_t threads)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a pool of %d threads", threads);
}

agate_status agate_pool_create_borrowed(int32_t threads, agate_parallel_fn parallel, void *user,
                                        agate_pool **out_pool)
{
    agate_pool *pool = allocate(threads, 0);
    if (!pool)
        return out_of_memory(threads);
    pool->parallel = parallel;
    pool->parallel_user = user;
    *out_pool = pool;
    return AGATE_OK;
}

agate_status agate_pool_create(int32_t threads, agate_pool **out_pool)
{
    agate_pool *pool = allocate(threads, threads - 1);
    if (!pool)
        return out_of_memory(threads);
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

int32_t agate_pool_threads(const agate_pool *pool)
{
    return pool->width;
}

/* Where share `index` of `count` begins; without the product task_count * index, which might overflow. */
static int64_t share_begin(int64_t task_count, int64_t index, int64_t count)
{
    return task_count / count * index + task_count % count * index / count;
}

/* A step cut into shares, for the caller's threads. */
typedef struct cut {
    agate_tasks_fn tasks;
    const void *context;
    int64_t task_count, shares;
} cut;

static void run_share(void *context, int32_t index)
{
    const cut *step = context;
    step->tasks(step->context, share_begin(step->task_count, index, step->shares),
                share_begin(step->task_count, index + 1, step->shares));
}

void agate_pool_run(agate_pool *pool, int32_t threads, int64_t task_count, agate_tasks_fn tasks,
                    const void *context)
{
    const int64_t shares = agate_min(agate_min(threads, pool->width), task_count);
    if (shares <= 1) {
        if (task_count > 0)
            tasks(context, 0, task_count);
        return;
    }
    if (pool->parallel) {
        cut step = {tasks, context, task_count, shares};
        pool->parallel(pool->parallel_user, (int32_t)shares, run_share, &step);
        return;
    }
    /* Share 0 is the caller's, share i + 1 that of worker i. */
    for (int64_t i = 0; i < shares - 1; i++)
        post(&pool->workers[i], tasks, context, share_begin(task_count, i + 1, shares),
             share_begin(task_count, i + 2, shares));
    tasks(context, 0, share_begin(task_count, 1, shares));

    for (int64_t i = 0; i < shares - 1; i++) {
        worker *other = &pool->workers[i];
        other->callers = take(other, atomic_load_explicit(&other->posted.value, memory_order_relaxed));
        if (other->callers)
            tasks(context, other->first, other->last);
    }
    for (int64_t i = 0; i < shares - 1; i++)
        if (!pool->workers[i].callers)
            await(&pool->workers[i].finished, pool->workers[i].finished_before);
}
