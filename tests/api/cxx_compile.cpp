// cxx_compile.cpp: agate.h serves C++ as well as C.
#include "agate.h"

#include <cstring>

int main()
{
    const int64_t dims[] = {2, 3};
    std::size_t size_bytes = 0;
    agate_tensor tensor = {};
    agate_session_options options = {};
    agate_compile_options compile_options = {};
    agate_load_options load_options = {};
    tensor.dtype = AGATE_F32;
    const bool same_rules = agate_tensor_size(tensor.dtype, 2, dims, &size_bytes) && size_bytes == 24 &&
                            options.threads == 0 && compile_options.isa == nullptr && load_options.precision == nullptr;
    const agate_allocator allocator = {};
    agate_step_profile step = {};
    agate_metadata metadata = {};
    options.allocator = compile_options.allocator = &allocator;
    options.parallel = nullptr;
    agate_status_release(AGATE_OK);
    agate_model_release(nullptr);
    return same_rules && step.index == 0 && metadata.opset_count == 0 && agate_clock_ns() > 0 && std::strcmp(agate_version(), "0.1.0") == 0 ? 0 : 1;
}
