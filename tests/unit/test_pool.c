/* links: runtime */
/* test_pool.c: every task is done once, before the call returns, and no thread keeps more than it is at. */
#include "runtime/pool.h"
#include "tests/suite.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_TASKS = 1000, MOST_THREADS = 8 };

typedef struct job {
    int32_t runs[MOST_TASKS]; /* how often each task was done; plain memory, so that a race is a race */
    atomic_bool busy[MOST_THREADS];
} job;

static void count_tasks(const void *context, int64_t first, int64_t last, int32_t thread)
{
    job *self = *(job *const *)context;
    ck_assert(!atomic_exchange(&self->busy[thread], true));
    ck_assert_int_lt(first, last);
    for (int64_t t = first; t < last; t++)
        self->runs[t]++;
    atomic_store(&self->busy[thread], false);
}

/* Runs `rounds` jobs of `tasks` tasks on a pool of `threads`, naps between them, and checks each. */
static void check_pool(int32_t threads, int32_t limit, int64_t tasks, int32_t rounds, useconds_t nap)
{
    static job memory;
    job *self = &memory;
    agate_pool *pool;
    memset(self, 0, sizeof(*self));
    ck_assert_ptr_null(agate_pool_create(threads, &pool));
    ck_assert_int_eq(agate_pool_threads(pool), threads);
    for (int32_t round = 1; round <= rounds; round++) {
        agate_pool_run(pool, limit, tasks, count_tasks, &self);
        for (int64_t t = 0; t < tasks; t++)
            ck_assert_int_eq(self->runs[t], round);
        if (nap)
            usleep(nap);
    }
    agate_pool_release(pool);
}

START_TEST(tasks_are_done_once)
{
    static const int64_t tasks[] = {0, 1, 2, 3, 7, 8, 9, 64, MOST_TASKS};
    static const int32_t threads[] = {1, 2, 3, 8};
    for (size_t i = 0; i < AGATE_COUNT(tasks); i++)
        for (size_t j = 0; j < AGATE_COUNT(threads); j++)
            check_pool(threads[j], threads[j], tasks[i], 20, 0);
}
END_TEST

START_TEST(a_step_may_use_fewer_threads)
{
    check_pool(4, 2, 100, 50, 0);
    check_pool(4, 1, 100, 50, 0);
    check_pool(2, 9, 100, 50, 0);
}
END_TEST

/* Long enough for the workers to fall asleep between the jobs. */
START_TEST(sleeping_threads_wake)
{
    check_pool(2, 2, 64, 20, 3000);
    check_pool(8, 8, 64, 5, 5000);
}
END_TEST

/* A step in which whoever claims the last task is stuck until all that it has not claimed is done. */
typedef struct stuck {
    int64_t tasks;
    _Atomic int64_t done;
} stuck;

static void wait_with_last(const void *context, int64_t first, int64_t last, int32_t thread)
{
    (void)thread;
    stuck *self = *(stuck *const *)context;
    if (last == self->tasks)
        while (atomic_load(&self->done) < first)
            sched_yield();
    atomic_fetch_add(&self->done, last - first);
}

START_TEST(a_stuck_thread_keeps_what_it_has_claimed_only)
{
    stuck memory = {.tasks = 64}, *self = &memory;
    agate_pool *pool;
    ck_assert_ptr_null(agate_pool_create(3, &pool));
    for (int32_t round = 0; round < 50; round++) {
        atomic_store(&self->done, 0);
        agate_pool_run(pool, 3, self->tasks, wait_with_last, &self);
        ck_assert_int_eq(atomic_load(&self->done), self->tasks);
    }
    agate_pool_release(pool);
}
END_TEST

/* More tasks than a share can count one by one. */
static void add_length(const void *context, int64_t first, int64_t last, int32_t thread)
{
    (void)thread;
    atomic_fetch_add(*(_Atomic int64_t *const *)context, last - first);
}

START_TEST(billions_of_tasks)
{
    const int64_t tasks = (INT64_C(1) << 40) + 12345;
    _Atomic int64_t done = 0, *sum = &done;
    agate_pool *pool;
    ck_assert_ptr_null(agate_pool_create(2, &pool));
    agate_pool_run(pool, 2, tasks, add_length, &sum);
    ck_assert_int_eq(done, tasks);
    agate_pool_release(pool);
}
END_TEST

START_TEST(an_idle_pool_can_go)
{
    for (int32_t i = 0; i < 20; i++) {
        agate_pool *pool;
        ck_assert_ptr_null(agate_pool_create(1 + i % 4, &pool));
        agate_pool_release(pool);
    }
    agate_pool_release(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, tasks_are_done_once);
    tcase_add_test(tests, a_step_may_use_fewer_threads);
    tcase_add_test(tests, sleeping_threads_wake);
    tcase_add_test(tests, a_stuck_thread_keeps_what_it_has_claimed_only);
    tcase_add_test(tests, billions_of_tasks);
    tcase_add_test(tests, an_idle_pool_can_go);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
