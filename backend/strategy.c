/* strategy.c: the emitters' half of strategies.def, as one table. */
#include "backend/emit_amx.h"
#include "backend/emit_winograd.h"

typedef struct strategy {
    void (*emit)(agate_emitter *e);
    agate_dim (*tasks)(const agate_node *kernel);
} strategy;

static const strategy strategies[AGATE_STRATEGY_COUNT] = {
    [AGATE_STRATEGY_none] = {0},
#define AGATE_STRATEGY(id, summary) {agate_emit_##id, agate_tasks_##id},
#include "ir/strategies.def"
#undef AGATE_STRATEGY
};

void agate_emit_kernel(agate_emitter *e)
{
    assert(strategies[e->kernel->strategy].emit);
    strategies[e->kernel->strategy].emit(e);
}

agate_dim agate_task_count(const agate_node *kernel)
{
    assert(strategies[kernel->strategy].tasks);
    return strategies[kernel->strategy].tasks(kernel);
}

int64_t agate_workspace_bytes(const agate_node *kernel)
{
    switch (kernel->strategy) {
    case AGATE_STRATEGY_amx_conv:
        return agate_amx_workspace_bytes(kernel);
    case AGATE_STRATEGY_amx_bands:
        return agate_amx_bands_workspace_bytes(kernel);
    case AGATE_STRATEGY_winograd:
        return agate_winograd_workspace_bytes(kernel);
    default:
        return 0;
    }
}

/* A library kernel is a call that the runtime makes, on one thread: there is nothing to emit. */
void agate_emit_library(agate_emitter *e)
{
    (void)e;
    assert(!"library kernels are not compiled");
}

agate_dim agate_tasks_library(const agate_node *kernel)
{
    (void)kernel;
    return agate_dim_fixed(1);
}
