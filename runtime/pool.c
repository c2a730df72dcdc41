/* pool.c: fork and join without locks.
 *
 * A step's tasks are cut into a share for each thread. A thread claims a part of its own share at a time,
 * from the front, and then of the others', from the back (work stealing: Blumofe and Leiserson, "Scheduling
 * multithreaded computations by work stealing", JACM 46, 1999), until nothing is left. So threads of one
 * speed each do their own share, and one that has lost its core holds up no more than the part that it has
 * claimed.
 *
 * Each worker has two bells: `posted` rings when a step lies ready, `finished` when the worker is through
 * with it. Whoever awaits one spins for a bounded time and then sleeps in the kernel (futex). A worker takes
 * part in a step only if it says so (`take`) before the caller is through, who otherwise says so in its
 * place: a step never waits for a thread to wake.
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

#include "runtime/base/rounding.h"

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

/* What is left of a share: units first <= u < last, as first + last * 2^32. */
typedef struct share {
    _Alignas(CACHE_LINE) _Atomic uint64_t left;
} share;

typedef struct worker {
    _Alignas(CACHE_LINE) agate_bell posted;
    _Atomic uint32_t taken; /* the last step that the worker or the caller took, as a value of `posted` */
    agate_pool *pool;
    int32_t index; /* of its share; 0 is the caller's */

    _Alignas(CACHE_LINE) agate_bell finished;
    uint32_t finished_before; /* its value when the step was posted */
    bool away;                /* the caller took the step in its place */
    pthread_t thread;
} worker;

/* The step under way: only those who take part in it may look. */
typedef struct step {
    agate_tasks_fn tasks; /* NULL asks workers to end */
    const void *context;
    int64_t task_count;
    int64_t unit; /* tasks that are claimed together at least: 1, unless there are billions */
    int64_t share_count;
} step;

struct agate_pool {
    int32_t width;              /* threads that may work at once, the caller's included */
    int32_t worker_count;       /* of our own, beside the caller */
    agate_parallel_fn parallel; /* NULL: our own */
    void *parallel_user;
    step step;
    share *shares; /* [width], behind the workers */
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

/* ---- shares -------------------------------------------------------------------------------------------- */

static uint64_t range(uint64_t first, uint64_t last)
{
    return first | last << 32;
}

/* Claims a quarter of what is left of a share, at least a unit: from its front or its back. False: nothing is
 * left. */
static bool claim(share *from, bool front, int64_t *out_first, int64_t *out_last)
{
    uint64_t left = atomic_load_explicit(&from->left, memory_order_relaxed);
    for (;;) {
        const uint64_t first = left & UINT32_MAX, last = left >> 32, part = (last - first + 3) / 4;
        if (first == last)
            return false;
        const uint64_t rest = front ? range(first + part, last) : range(first, last - part);
        if (!atomic_compare_exchange_weak(&from->left, &left, rest))
            continue;
        *out_first = (int64_t)(front ? first : last - part);
        *out_last = *out_first + (int64_t)part;
        return true;
    }
}

/* Does what it can claim of share `index`, then of the others. */
static void take_part(agate_pool *pool, int32_t index)
{
    const step *s = &pool->step;
    int64_t first, last;
    for (int64_t i = 0; i < s->share_count; i++) {
        share *from = &pool->shares[(index + i) % s->share_count];
        while (claim(from, i == 0, &first, &last))
            s->tasks(s->context, first * s->unit, agate_min(last * s->unit, s->task_count), index);
    }
}

/* ---- workers ------------------------------------------------------------------------------------------- */

/* Step number `ticket` is the first one's who asks; only then may the worker look at it. */
static bool take(worker *self, uint32_t ticket)
{
    uint32_t before = ticket - 1;
    return atomic_compare_exchange_strong(&self->taken, &before, ticket);
}

static void *work(void *argument)
{
    worker *self = argument;
    (void)agate_rounding_enter(); /* not as whoever made the session */
    for (uint32_t seen = 0;;) {
        await(&self->posted, seen);
        seen = atomic_load(&self->posted.value);
        if (!take(self, seen))
            continue;
        if (!self->pool->step.tasks)
            return NULL;
        take_part(self->pool, self->index);
        ring(&self->finished);
    }
}

/* Kernels keep up to 192 KiB there (AGATE_BANDS_BYTES); not every C library gives a thread that much. */
#define STACK_BYTES ((size_t)1 << 20)

static void ask_for_stack(pthread_attr_t *attr)
{
    size_t size_bytes = 0;

    if (pthread_attr_getstacksize(attr, &size_bytes) == 0 && size_bytes < STACK_BYTES)
        pthread_attr_setstacksize(attr, STACK_BYTES);
}

/* Signals sent to the process are the application's business: its handlers shall not run on our threads. */
static int start(worker *self)
{
    static const int own[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE,
                              SIGSEGV}; /* what a thread raises is for its handler */
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < AGATE_COUNT(own); i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    int failure = pthread_attr_init(&attr);
    if (failure == 0) {
        ask_for_stack(&attr);
        failure = pthread_create(&self->thread, &attr, work, self);
        pthread_attr_destroy(&attr);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void post(worker *self)
{
    self->finished_before = atomic_load_explicit(&self->finished.value, memory_order_relaxed);
    ring(&self->posted);
}

void agate_pool_release(agate_pool *pool)
{
    if (!pool)
        return;
    pool->step.tasks = NULL;
    for (int32_t i = 0; i < pool->worker_count; i++)
        post(&pool->workers[i]);
    for (int32_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool);
}

static agate_pool *allocate(int32_t threads, int32_t worker_count)
{
    assert(threads >= 1);
    const size_t shares_at = sizeof(agate_pool) + (size_t)worker_count * sizeof(worker);
    const size_t size = shares_at + (size_t)threads * sizeof(share);
    agate_pool *pool = aligned_alloc(CACHE_LINE, size);
    if (!pool)
        return NULL;
    memset(pool, 0, size);
    pool->width = threads;
    pool->shares = (share *)((char *)pool + shares_at);
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
        pool->workers[i].pool = pool;
        pool->workers[i].index = i + 1;
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

/* Cuts the tasks into `count` shares of even size. */
static void cut(agate_pool *pool, int64_t count, int64_t task_count, agate_tasks_fn tasks,
                const void *context)
{
    const int64_t unit = agate_ceil_div(task_count, INT32_MAX), units = agate_ceil_div(task_count, unit);
    pool->step = (step){tasks, context, task_count, unit, count};
    for (int64_t i = 0; i < count; i++)
        atomic_store_explicit(&pool->shares[i].left,
                              range((uint64_t)(units * i / count), (uint64_t)(units * (i + 1) / count)),
                              memory_order_relaxed);
}

static void run_share(void *context, int32_t index)
{
    const agate_rounding before = agate_rounding_enter();
    take_part(context, index);
    agate_rounding_leave(before);
}

/* The caller and the pool's own workers do the step. */
static void run_own(agate_pool *pool)
{
    const int64_t workers = pool->step.share_count - 1;
    for (int64_t i = 0; i < workers; i++)
        post(&pool->workers[i]);
    take_part(pool, 0);

    for (int64_t i = 0; i < workers; i++) {
        worker *other = &pool->workers[i];
        other->away = take(other, atomic_load_explicit(&other->posted.value, memory_order_relaxed));
    }
    for (int64_t i = 0; i < workers; i++)
        if (!pool->workers[i].away)
            await(&pool->workers[i].finished, pool->workers[i].finished_before);
}

void agate_pool_run(agate_pool *pool, int32_t threads, int64_t task_count, agate_tasks_fn tasks,
                    const void *context)
{
    const int64_t shares = agate_min(agate_min(threads, pool->width), task_count);
    if (shares <= 1) {
        if (task_count > 0)
            tasks(context, 0, task_count, 0);
        return;
    }
    cut(pool, shares, task_count, tasks, context);
    if (pool->parallel)
        pool->parallel(pool->parallel_user, (int32_t)shares, run_share, pool);
    else
        run_own(pool);
}
