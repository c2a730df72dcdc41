/* cached.h: loads a model through a cache, which also keeps what it was tuned to. Internal to the driver. */
#ifndef AGATE_CACHED_H
#define AGATE_CACHED_H

#include "passes/tuning.h"
#include "tools/cache.h"
#include "tools/driver.h"

/* NULL where a cache can serve these options, or why it cannot: what is to be seen or done while compiling
 * would not be. */
const char *agate_cached_refuses(const agate_driver_options *options);

/* Brings a model from the cache, or compiles it into the cache and brings it from there; where that does not
 * work, compiles it as without one. Thread-safe. */
AGATE_MUST_USE agate_status agate_cached_load(const agate_cache *cache, const agate_model_source *source,
                                              const agate_driver_options *options,
                                              agate_cache_outcome *out_outcome, agate_model **out_model);

/* The tiles that are kept for a model; none where there are none, or where `out_outcome` says what is wrong.
 * The caller releases them. */
void agate_cached_find_tuning(const char *directory, const agate_model_source *source,
                              const agate_driver_options *options, const agate_machine *machine,
                              agate_cache_outcome *out_outcome, agate_tuning *out_tuning);

/* Keeps tiles for the model at this path, or, where there are none, takes away what was kept. */
AGATE_MUST_USE agate_status agate_cached_keep_tuning(const char *directory, const char *model,
                                                     const agate_driver_options *options,
                                                     const agate_tuning *tuning);

#endif
