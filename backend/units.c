/* units.c: kernels of equal signature are one unit; a pool of threads compiles the units, then makes the
 * constants. */
#include "backend/units.h"

#include <llvm-c/Core.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ir/map.h"
#include "ir/text.h"

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile kernels");
}

/* ---- finding them -------------------------------------------------------------------------------------- */

/* `known`: signature -> its unit. */
static size_t unit_of(agate_units *units, agate_map *known, const agate_node *kernel,
                      const agate_text *signature)
{
    const char *text = agate_text_c(signature);
    agate_unit *unit = agate_map_get(known, text, signature->size_bytes);

    if (unit)
        return (size_t)(unit - units->units);
    uint64_t hash = agate_hash_bytes(AGATE_HASH_SEED, text, signature->size_bytes);
    unit = &units->units[units->count];
    unit->kernel = kernel;
    unit->signature = agate_arena_text(units->arena, text);
    agate_map_put(known, unit->signature, signature->size_bytes, unit);
    unit->symbol = agate_arena_format(units->arena, "%s_%016llx%s", agate_strategy_name(kernel->strategy),
                                      (unsigned long long)hash, units->suffix);
    return units->count++;
}

static agate_status check_kernel(const agate_node *kernel, const agate_machine *machine)
{
    const char *reason = NULL;

    if (kernel->strategy == AGATE_STRATEGY_none)
        reason = "it is not scheduled";
    else if (kernel->strategy != AGATE_STRATEGY_library)
        reason = agate_emit_refuses(kernel);
    if (!reason && kernel->tiles.dp && !(machine->needs & AGATE_CPU_AVX512_BF16))
        reason = "tile dp takes AVX512-BF16, which the machine lacks";
    if (!reason)
        return AGATE_OK;
    return agate_error_at(agate_error_make(AGATE_CODE_INTERNAL, "a kernel (%s) cannot be compiled: %s",
                                           agate_strategy_name(kernel->strategy), reason),
                          kernel->origin, NULL);
}

agate_status agate_units_init(agate_units *units, const agate_graph *graph,
                              const agate_codegen_options *options, agate_arena *arena)
{
    agate_map known = {.arena = arena};

    *units = (agate_units){.arena = arena, .suffix = options->suffix ? options->suffix : ""};
    AGATE_EACH_NODE (node, graph)
        units->kernel_count += node->op == AGATE_OP_kernel;
    units->units = AGATE_NEW_N(arena, agate_unit, units->kernel_count + 1);
    units->of_kernel = AGATE_NEW_N(arena, size_t, units->kernel_count + 1);

    size_t number = 0;
    AGATE_EACH_NODE (node, graph) {
        agate_text signature = {0};
        if (node->op != AGATE_OP_kernel)
            continue;
        AGATE_TRY(check_kernel(node, options->machine));
        if (node->strategy == AGATE_STRATEGY_library) {
            units->of_kernel[number++] = SIZE_MAX;
            continue;
        }
        agate_print_signature(node, &signature);
        bool failed = signature.failed;
        if (!failed)
            units->of_kernel[number++] = unit_of(units, &known, node, &signature);
        agate_text_deinit(&signature);
        if (failed)
            return out_of_memory();
    }
    return AGATE_OK;
}

void agate_units_deinit(agate_units *units)
{
    for (size_t i = 0; i < units->count; i++) {
        if (units->units[i].output)
            LLVMDisposeMemoryBuffer(units->units[i].output);
        agate_status_release(units->units[i].status);
    }
    units->count = 0;
}

/* ---- compiling them ------------------------------------------------------------------------------------ */

/* What the compiling threads share. */
typedef struct queue {
    agate_units *units;
    const agate_codegen_options *options;
    agate_codegen_output output;
    agate_compiled *compiled; /* NULL: no constants to make */
    size_t constant_count;
    atomic_size_t next; /* units first, which take longer */
    atomic_bool failed;
    pthread_mutex_t lock; /* of what follows */
    size_t done;
    agate_codegen_times times;
    uint64_t constants_ns;
} queue;

static agate_status compile_unit(queue *q, agate_unit *unit, LLVMTargetMachineRef target,
                                 agate_arena *scratch)
{
    agate_codegen_times times = {0};

    AGATE_TRY(
        agate_codegen_kernel(unit->kernel, unit->symbol, target, scratch, q->output, &times, &unit->output));
    pthread_mutex_lock(&q->lock);
    q->times.emit += times.emit;
    q->times.optimize += times.optimize;
    q->times.generate += times.generate;
    q->done++;
    if (q->options->progress)
        q->options->progress(q->options->progress_user, q->done, q->units->count);
    pthread_mutex_unlock(&q->lock);
    return AGATE_OK;
}

static agate_status make_constant(queue *q, size_t index)
{
    uint64_t start = agate_clock_ns();

    AGATE_TRY(agate_constant_make(q->compiled, index));
    pthread_mutex_lock(&q->lock);
    q->constants_ns += agate_clock_ns() - start;
    pthread_mutex_unlock(&q->lock);
    return AGATE_OK;
}

static agate_status work_through(queue *q, LLVMTargetMachineRef target, agate_arena *scratch)
{
    for (;;) {
        size_t i = atomic_fetch_add(&q->next, 1);
        if (i >= q->units->count + q->constant_count || atomic_load(&q->failed))
            return AGATE_OK;
        if (i >= q->units->count) {
            AGATE_TRY(make_constant(q, i - q->units->count));
            continue;
        }
        agate_unit *unit = &q->units->units[i];
        unit->status = compile_unit(q, unit, target, scratch);
        if (unit->status)
            atomic_store(&q->failed, true);
    }
}

/* Returns an agate_status of the thread's own troubles. */
static void *worker(void *user)
{
    queue *q = user;
    LLVMTargetMachineRef target = NULL;
    agate_arena *scratch = agate_arena_create();
    agate_status status = scratch ? AGATE_OK : out_of_memory();
    if (!status && q->units->count > 0)
        status = agate_target_create(q->options->machine, &target);

    if (!status)
        status = work_through(q, target, scratch);
    else
        atomic_store(&q->failed, true);
    if (target)
        LLVMDisposeTargetMachine(target);
    agate_arena_release(scratch);
    return status;
}

static agate_status first_failure(agate_units *units)
{
    for (size_t i = 0; i < units->count; i++) {
        agate_status status = units->units[i].status;
        units->units[i].status = AGATE_OK;
        if (status)
            return agate_error_at(status, units->units[i].kernel->origin, NULL);
    }
    return AGATE_OK;
}

static void tell_times(const queue *q, uint64_t start)
{
    void (*timed)(void *, const char *, uint64_t) = q->options->timed;
    void *user = q->options->timed_user;

    if (!timed)
        return;
    timed(user, "kernels and weights", agate_clock_ns() - start);
    timed(user, "  LLVM IR, on all threads", q->times.emit);
    timed(user, "  LLVM's optimization", q->times.optimize);
    timed(user, "  LLVM's code generation", q->times.generate);
    timed(user, "  weights", q->constants_ns);
}

#define MAX_THREADS 256

agate_status agate_units_compile(agate_units *units, const agate_codegen_options *options,
                                 agate_codegen_output output, agate_compiled *compiled)
{
    queue q = {.units = units,
               .options = options,
               .output = output,
               .compiled = compiled,
               .constant_count = compiled ? compiled->constant_count : 0,
               .lock = PTHREAD_MUTEX_INITIALIZER};
    int64_t tasks = (int64_t)(units->count + q.constant_count);
    uint64_t start_ns = agate_clock_ns();
    int64_t wanted = options->threads > 0 ? options->threads : agate_cpu_count();
    pthread_t threads[MAX_THREADS];
    int32_t started = 0;

    wanted = agate_min(agate_min(wanted, tasks), MAX_THREADS);
    /* A thread that does not start is no loss but of time: this one works through whatever the others leave.
     */
    while (started < wanted - 1 && pthread_create(&threads[started], NULL, worker, &q) == 0)
        started++;
    agate_status status = tasks ? worker(&q) : AGATE_OK;
    for (int32_t i = 0; i < started; i++) {
        void *result;
        pthread_join(threads[i], &result);
        if (status)
            agate_status_release(result);
        else
            status = result;
    }
    tell_times(&q, start_ns);
    return status ? status : first_failure(units);
}
