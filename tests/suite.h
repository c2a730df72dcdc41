/* suite.h: how a test program ends. */
#ifndef AGATE_SUITE_H
#define AGATE_SUITE_H

#include <check.h>

/* Runs the suite, which it takes over, as the CK_ variables of the environment say; returns main's exit
 * status. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
