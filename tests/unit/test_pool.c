/* links: runtime */
/* test_pool.c: every task is done once, by whom it should be, and before the call returns. */
#include "runtime/pool.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_TASKS = 1000 };

typedef struct job {
    int32_t runs[MOST_TASKS]; /* how often each task was done; plain memory, so that a race is a race */
    pthread_t by[MOST_TASKS];
} job;

static void count_tasks(const void *context, int64_t first, int64_t last)
{
    job *self = *(job *const *)context;
    ck_assert_int_lt(first, last);
    for (int64_t t = first; t < last; t++) {
        self->runs[t]++;
        self->by[t] = pthread_self();
    }
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
        int32_t changes = 0;
        for (int64_t t = 0; t < tasks; t++) {
            ck_assert_int_eq(self->runs[t], round);
            changes += t > 0 && self->by[t] != self->by[t - 1];
        }
        if (tasks > 0) {
            ck_assert_int_lt(changes, agate_min(agate_min(threads, limit), tasks));
            ck_assert(self->by[0] == pthread_self());
        }
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
    tcase_add_test(tests, an_idle_pool_can_go);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
