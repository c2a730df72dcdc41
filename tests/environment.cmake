# What is tested is compiled, not found in the cache of whoever runs the tests; test_cache.sh sees to the cache.
set(ENV{AGATE_CACHE_DIR} none)

# AddressSanitizer keeps freed memory from being used again until there is this much of it. Its 256 MiB cost more page faults
# in the many short processes of the tests than all else that it does.
if(NOT DEFINED ENV{ASAN_OPTIONS})
    set(ENV{ASAN_OPTIONS} quarantine_size_mb=16:malloc_context_size=10)
endif()
