/* tuning.h: tiles that measurements preferred to the scheduler's, kernel by kernel. */
#ifndef AGATE_TUNING_H
#define AGATE_TUNING_H

#include "ir/graph.h"
#include "runtime/base/features.h"

typedef struct agate_tuning_row {
    uint64_t kernel; /* agate_tuning_kernel */
    agate_strategy strategy;
    agate_tiles tiles;
} agate_tuning_row;

/* Zero-initialize. Thread-compatible. */
typedef struct agate_tuning {
    agate_tuning_row *rows;
    size_t count, room;
} agate_tuning;

/* What tiles are remembered by: a hash of the kernel's operands, body and results, scheduled or not. */
uint64_t agate_tuning_kernel(const agate_node *kernel);

/* NULL: nothing is known of the kernel. */
const agate_tuning_row *agate_tuning_find(const agate_tuning *tuning, uint64_t kernel);

/* Adds a row, or replaces the kernel's. Returns false if memory is short. */
bool agate_tuning_set(agate_tuning *tuning, uint64_t kernel, agate_strategy strategy,
                      const agate_tiles *tiles);

void agate_tuning_deinit(agate_tuning *tuning);

/* One row a line: "0123456789abcdef direct_conv v=16 oc=2 ow=14". */
void agate_tuning_print(const agate_tuning *tuning, agate_text *text);

/* Adds the rows of a text. Returns false where it has another form, or memory is short. */
bool agate_tuning_parse(agate_tuning *tuning, const char *text);

/* ---- what could be tried ------------------------------------------------------------------------------- */

#define AGATE_TUNING_WAYS 16

/* Other tiles for a scheduled kernel that differ from its own in one respect and compute the same bits,
 * likely ones first. Returns how many; 0 where its strategy leaves no choice. (candidates.c) */
size_t agate_tuning_ways(const agate_machine *machine, const agate_node *kernel,
                         agate_tiles out_ways[AGATE_TUNING_WAYS]);

#endif
