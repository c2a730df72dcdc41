/* target.h: machines to compile for, as `agate compile --target` names them. */
#ifndef AGATE_TARGET_H
#define AGATE_TARGET_H

#include "runtime/base/features.h"

/* "native" (the best row that this CPU has), or a name or level of a row of machines.def, and behind it
 * features to add and to take away, with what they build on and what builds on them: "x86-64-v3+avx512f",
 * "avx512-avx512dq". The row is then the best that these features can run. Its name, in `arena`, tells it
 * from every other target. */
AGATE_MUST_USE agate_status agate_target_parse(const char *text, agate_arena *arena,
                                               agate_machine *out_machine);

/* Puts the least first: a CPU takes the last that it can run. Fails where two are the same. */
AGATE_MUST_USE agate_status agate_target_sort(agate_machine *machines, size_t count);

/* What the functions' names of one of several machines end in, in `arena`. */
const char *agate_target_suffix(const agate_machine *machine, agate_arena *arena);

#endif
