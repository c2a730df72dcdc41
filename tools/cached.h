/* cached.h: loads a model through a cache. Internal to the driver. */
#ifndef AGATE_CACHED_H
#define AGATE_CACHED_H

#include "tools/cache.h"
#include "tools/driver.h"

/* NULL where a cache can serve these options, or why it cannot: what is to be seen or done while compiling would not be. */
const char *agate_cached_refuses(const agate_driver_options *options);

/* Brings a model from the cache, or compiles it into the cache and brings it from there; where that does not work, compiles it
 * as without one. Thread-safe. */
AGATE_MUST_USE agate_status agate_cached_load(const agate_cache *cache, const agate_model_source *source,
                                              const agate_driver_options *options,
                                              agate_cache_outcome *out_outcome, agate_model **out_model);

#endif
