# What is tested is compiled, not found in the cache of whoever runs the tests; test_cache.sh sees to the cache.
set(ENV{AGATE_CACHE_DIR} none)
