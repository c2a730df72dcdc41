/* slices.c: which steps are worth slices, and how many rows one has. */
#include "runtime/slices.h"

/* Of a core's own cache, that the rows of a slice may take of the slab. */
#define CACHE_BYTES ((int64_t)1 << 20)

/* Slices for each of several threads: one that loses its core then holds up the others by no more than a part
 * of its share. */
#define SLICES_PER_THREAD 4

/* What steps move: rows for each of the batch, weights for each slice. */
typedef struct traffic {
    double row_bytes, weight_bytes;
} traffic;

static traffic traffic_of(const agate_module *module, uint32_t index)
{
    const agate_module_step *step = &module->steps[index];
    traffic t = {0};
    for (uint32_t i = 0; i < step->operand_count + step->result_count; i++) {
        const agate_module_arg *arg = &module->args[step->first_arg + i];
        if (arg->storage == AGATE_STORAGE_CONSTANT)
            t.weight_bytes += (double)arg->reach_bytes.offset;
        else
            t.row_bytes += (double)arg->reach_bytes.scale;
    }
    return t;
}

/* The last step that reads what the step leaves in the slab and a slice could not write where the batch has
 * it: kernels take it for aligned. 0: there is none. */
static uint32_t bars_until(const agate_module *module, uint32_t index)
{
    const agate_module_step *step = &module->steps[index];
    uint32_t until = 0;
    for (uint32_t i = 0; i < step->operand_count + step->result_count; i++) {
        const agate_module_arg *arg = &module->args[step->first_arg + i];
        const bool aligned = arg->reach_bytes.scale > 0 && arg->reach_bytes.scale % AGATE_ALIGNMENT == 0;
        if (arg->storage == AGATE_STORAGE_SLAB && !aligned && arg->last_step > until)
            until = arg->last_step;
    }
    return until;
}

/* Steps 0 to k - 1, for the k where slices spare most: the rows that they hold against the weights that they
 * read again. */
static uint32_t best_steps(const agate_module *module, int64_t held_rows)
{
    const uint32_t most = (uint32_t)agate_min(module->by_rows_steps, module->step_count);
    uint32_t best = 0, barred = 0;
    double spared = 0, best_spared = 0;
    for (uint32_t i = 0; i < most; i++) {
        const traffic t = traffic_of(module, i);
        const uint32_t until = bars_until(module, i);
        spared += (double)held_rows * t.row_bytes - t.weight_bytes;
        barred = until > barred ? until : barred;
        if (spared > best_spared && barred <= i) {
            best_spared = spared;
            best = i + 1;
        }
    }
    return best;
}

agate_slicing agate_slicing_of(const agate_module *module, int32_t threads)
{
    const int64_t held = agate_max(1, CACHE_BYTES / agate_max(1, module->slab_size_bytes.scale));
    return (agate_slicing){
        .steps = best_steps(module, held),
        .held_rows = held,
        .least_rows = threads > 1 ? (int64_t)threads * SLICES_PER_THREAD : held + 1,
        .threads = threads,
    };
}

agate_cut agate_slicing_cut(const agate_slicing *slicing, int64_t batch)
{
    if (slicing->steps == 0 || batch < slicing->least_rows)
        return (agate_cut){0};
    const int64_t threads = slicing->threads, per_thread = threads > 1 ? SLICES_PER_THREAD : 1;
    const int64_t most = agate_min(slicing->held_rows, batch / (threads * per_thread));
    const int64_t turns = agate_ceil_div(batch, most * threads), even = batch / (turns * threads);
    const int64_t rows =
        2 * even > most ? even : most; /* of one size, unless that is much smaller than a cache holds */
    return (agate_cut){slicing->steps, rows, batch / (rows * threads) * threads};
}
