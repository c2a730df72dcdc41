/* failing.h: memory that runs out on demand. The linker sends the allocations of agate's own objects here
 * (--wrap); those inside libLLVM stay with the C library, for LLVM ends the process where it gets no
 * memory. */
#ifndef AGATE_TEST_FAILING_H
#define AGATE_TEST_FAILING_H

#include <stdbool.h>

typedef enum failing_mode {
    FAILING_ONCE,   /* one allocation fails, what follows succeeds */
    FAILING_ONWARD, /* it and all that follow fail */
} failing_mode;

/* From now on allocation number `at` (from 1) fails; 0: none does. */
void failing_arm(failing_mode mode, long at);

/* Allocations since failing_arm. */
long failing_count(void);

/* Blocks, mappings and threads that are out now. */
long failing_live(void);

/* Writes the number of the return address of each failure to standard error: for finding the culprit. */
extern bool failing_verbose;

#endif
