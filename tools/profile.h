/* profile.h: what a profile says of one kernel, short enough for a line. */
#ifndef AGATE_PROFILE_H
#define AGATE_PROFILE_H

#include "runtime/base/module.h"

/* "direct_conv<v=16, oc=2, ow=14, ic=1>" as "direct_conv oc=2 ow=14": without the vectors' width, and tiles
 * of 1. */
void agate_profile_kernel(const char *label, agate_text *text);

#define AGATE_PROFILE_NODES_WIDTH 44

/* "/layer1/layer1.0/conv1/Conv+/layer1/layer1.0/relu/Relu" as "layer1.0/conv1/Conv+Relu", in at most `width`
 * bytes: folders that the next one repeats are left out, and of all nodes but the first only the last part of
 * the name stays. */
void agate_profile_nodes(const char *origin, size_t width, agate_text *text);

/* Why a step may take longer than the peaks allow, where that shows: a sentence without its full stop. NULL:
 * no reason is known. `ms` is what it took on `threads` threads. */
const char *agate_profile_reason(const agate_module *module, const agate_module_step *step, int64_t batch,
                                 int64_t threads, double ms);

#endif
