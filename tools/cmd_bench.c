/* cmd_bench.c: how fast a model runs, and where the time goes. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/inputs.h"
#include "tools/json.h"
#include "tools/measure.h"
#include "tools/profile.h"
#include "tools/tensor.h"
#include "tools/trace.h"

typedef struct settings {
    agate_cli_list inputs;
    int64_t batch, iterations, seed;
    double seconds;
    bool json, profile;
    const char *trace;
    agate_cli_compile compile;
    agate_cli_cache cache;
    agate_cli_times times;
} settings;

static const agate_cli_option options[] = {
    {"batch", AGATE_CLI_COUNT, "N", offsetof(settings, batch), "batch size (default 1)"},
    {"iterations", AGATE_CLI_COUNT, "N", offsetof(settings, iterations),
     "timed runs (default: as --seconds allows)"},
    {"seconds", AGATE_CLI_REAL, "S", offsetof(settings, seconds), "how long to time (default 2)"},
    {"input", AGATE_CLI_LIST, "NAME=FILE", offsetof(settings, inputs),
     "a .npy or .pb file for the input of this name"},
    {"seed", AGATE_CLI_INTEGER, "N", offsetof(settings, seed),
     "of the numbers for the other inputs (default 0)"},
    {"profile", AGATE_CLI_FLAG, NULL, offsetof(settings, profile),
     "also the time of each kernel, and its share of what the machine can do"},
    {"trace", AGATE_CLI_TEXT, "FILE", offsetof(settings, trace),
     "write one run's kernels to FILE as a Chrome trace (chrome://tracing, Perfetto)"},
    {"json", AGATE_CLI_FLAG, NULL, offsetof(settings, json), "print a JSON object"},
    AGATE_CLI_COMPILE_ROWS(settings, compile),
    AGATE_CLI_CACHE_ROWS(settings, cache),
    AGATE_CLI_TIME_ROW(settings, times),
    {0},
};

/* A runner with its tensors. */
typedef struct bench {
    agate_runner runner;
    agate_tensor *inputs, *outputs;
    uint64_t compile_ns;
    agate_measurement m;
    agate_trace trace;
} bench;

/* ---- measuring ---------------------------------------------------------------------------------------- */

static int64_t thread_count(const settings *set)
{
    const int64_t granted = agate_cpu_count();

    return set->compile.threads ? agate_min(set->compile.threads, granted) : granted;
}

static agate_status measure(bench *b, const settings *set)
{
    const agate_measure_options how = {.iterations = set->iterations,
                                       .seconds = set->seconds,
                                       .profile = set->profile || set->trace,
                                       .threads = (int32_t)thread_count(set)};
    int64_t batch;

    AGATE_TRY(agate_runner_batch(&b->runner, b->inputs, &batch));
    AGATE_TRY(agate_runner_allocate_outputs(&b->runner, batch, b->outputs));
    return agate_measure(&b->runner, batch, b->inputs, b->outputs, &how, &b->m);
}

static agate_status prepare_and_measure(bench *b, const settings *set)
{
    agate_inputs_options from = {.named = &set->inputs, .seed = set->seed, .batch = set->batch};
    agate_inputs inputs;
    agate_status status;

    b->inputs = calloc(b->runner.input_count + b->runner.output_count + 1, sizeof *b->inputs);
    if (!b->inputs)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for the tensors");
    b->outputs = b->inputs + b->runner.input_count;
    AGATE_TRY(agate_inputs_init(&inputs, &b->runner, &from));
    status = agate_inputs_make(&inputs, 0, b->inputs);
    agate_inputs_deinit(&inputs);
    return status == AGATE_OK ? measure(b, set) : status;
}

static void bench_deinit(bench *b)
{
    if (b->inputs)
        agate_tensor_free(b->inputs, b->runner.input_count + b->runner.output_count);
    free(b->inputs);
    agate_measurement_deinit(&b->m);
    agate_runner_deinit(&b->runner);
    agate_trace_close(&b->trace);
}

/* ---- reporting ---------------------------------------------------------------------------------------- */

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double median_ms(const agate_measurement *m)
{
    return agate_runs_median_ms(m->times, m->count);
}

/* The least time that this share of runs does not exceed. */
static double percentile_ms(const agate_measurement *m, size_t percent)
{
    return ms(m->times[(m->count * percent + 99) / 100 - 1]);
}

static double per_second(double flops, double milliseconds)
{
    return milliseconds > 0 ? flops / milliseconds / 1e6 : 0;
}

static double step_ms(const agate_measurement *m, uint32_t step)
{
    return ms(m->step_times[step]);
}

/* Bytes that a step reads and writes once each, weights as they are packed. */
static double step_bytes(const bench *b, uint32_t step)
{
    const agate_module *module = agate_model_module(b->runner.model);
    const agate_module_step *row = &module->steps[step];
    double total = 0;

    for (uint32_t i = 0; i < row->operand_count + row->result_count; i++) {
        const agate_module_arg *arg = &module->args[row->first_arg + i];
        double bytes = (double)agate_dtype_size(arg->type.dtype);

        for (int32_t d = 0; d < arg->type.rank; d++)
            bytes *= (double)agate_dim_at(arg->type.dims[d], b->m.batch);
        total +=
            arg->storage == AGATE_STORAGE_CONSTANT ? (double)module->constants[arg->index].size_bytes : bytes;
    }
    return total;
}

/* What one step is, by the profile. */
typedef struct step_facts {
    double ms, gflops, gb_per_second;
    double roofline; /* the time that the peaks allow, as a share of the time taken */
    double scalar;   /* share of scalar ops in what is computed */
} step_facts;

static double at_batch(const bench *b, agate_dim count)
{
    return (double)agate_dim_at(count, b->m.batch);
}

/* The least time that computing takes: multiply-adds and scalar ops share the pipes of the one, divisions
 * have their own. */
static double computing_ms(const bench *b, const agate_module_step *row, double *out_scalar)
{
    const agate_peaks *peaks = &b->m.peaks;
    const double peak = agate_peaks_of_kernel(peaks, row->label);
    const double products = peak > 0 ? at_batch(b, row->flops) / peak : 0;
    const double scalars = peaks->gflops > 0 ? 2 * at_batch(b, row->scalar_instructions) / peaks->gflops : 0;
    const double divisions = peaks->gdivisions > 0 ? at_batch(b, row->divisions) / peaks->gdivisions : 0;
    const double pipes = products + scalars, most = pipes > divisions ? pipes : divisions;

    *out_scalar = most > 0 ? (most - products) / most : 0;
    return most / 1e6;
}

static step_facts facts_of(const bench *b, uint32_t step)
{
    const agate_module_step *row = &agate_model_module(b->runner.model)->steps[step];
    const agate_peaks *peaks = &b->m.peaks;
    step_facts f = {.ms = step_ms(&b->m, step)};

    f.gflops = per_second(at_batch(b, row->flops), f.ms);
    f.gb_per_second = per_second(step_bytes(b, step), f.ms);
    double least_ms = computing_ms(b, row, &f.scalar);
    if (f.ms > 0)
        f.roofline = least_ms / f.ms;
    if (peaks->gb_per_second > 0 && f.gb_per_second / peaks->gb_per_second > f.roofline)
        f.roofline = f.gb_per_second / peaks->gb_per_second;
    return f;
}

static size_t constant_bytes(const agate_module *module)
{
    size_t total = 0;

    for (uint32_t i = 0; i < module->constant_count; i++)
        total += module->constants[i].size_bytes;
    return total;
}

#define LOW_ROOF 0.6 /* a kernel below it deserves a remark */

static json_t *profile_json(const bench *b, int64_t threads)
{
    const agate_module *module = agate_model_module(b->runner.model);
    json_t *array = json_array();

    for (uint32_t i = 0; i < module->step_count; i++) {
        const agate_module_step *step = &module->steps[i];
        step_facts f = facts_of(b, i);
        json_t *row = json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f}", "label", step->label, "symbol",
                                step->symbol, "tasks", (json_int_t)agate_dim_at(step->task_count, b->m.batch),
                                "ms", f.ms, "gflops", f.gflops, "gb_per_second", f.gb_per_second,
                                "scalar_share", f.scalar, "roofline", f.roofline);

        const char *reason =
            f.roofline < LOW_ROOF ? agate_profile_reason(module, step, b->m.batch, threads, f.ms) : NULL;
        if (reason)
            json_object_set_new(row, "reason", json_string(reason));
        json_object_set_new(row, "origin", agate_json_string(step->origin));
        json_array_append_new(array, row);
    }
    return array;
}

static void print_json(const bench *b, const char *model, int64_t threads)
{
    const agate_measurement *m = &b->m;
    const agate_module *module = agate_model_module(b->runner.model);
    json_t *root = json_object();

    json_object_set_new(root, "model", agate_json_string(model));
    json_object_set_new(root, "isa", json_string(module->isa));
    json_object_set_new(root, "precision", json_string(module->precision));
    json_object_set_new(root, "threads", json_integer(threads));
    json_object_set_new(root, "batch", json_integer(m->batch));
    json_object_set_new(root, "iterations", json_integer((json_int_t)m->count));
    json_object_set_new(root, "min_ms", json_real(ms(m->times[0])));
    json_object_set_new(root, "median_ms", json_real(median_ms(m)));
    json_object_set_new(root, "p90_ms", json_real(percentile_ms(m, 90)));
    json_object_set_new(root, "p99_ms", json_real(percentile_ms(m, 99)));
    json_object_set_new(root, "flops", json_real(m->flops));
    json_object_set_new(root, "gflops", json_real(per_second(m->flops, median_ms(m))));
    json_object_set_new(root, "compile_ms", json_real(ms(b->compile_ns)));
    json_object_set_new(root, "from_cache", json_boolean(b->runner.cache.hit));
    json_object_set_new(root, "peak_rss_bytes", json_integer((json_int_t)m->peak_rss_bytes));
    json_object_set_new(root, "slab_bytes",
                        json_integer((json_int_t)agate_session_slab_size(b->runner.session)));
    json_object_set_new(root, "constant_bytes", json_integer((json_int_t)constant_bytes(module)));
    if (m->step_times) {
        json_object_set_new(root, "peak_gflops", json_real(m->peaks.gflops));
        json_object_set_new(root, "peak_gdivisions", json_real(m->peaks.gdivisions));
        json_object_set_new(root, "peak_gb_per_second", json_real(m->peaks.gb_per_second));
        if (m->peaks.pair_gflops > 0)
            json_object_set_new(root, "peak_pair_gflops", json_real(m->peaks.pair_gflops));
        if (m->peaks.tile_gflops > 0)
            json_object_set_new(root, "peak_tile_gflops", json_real(m->peaks.tile_gflops));
        json_object_set_new(root, "profile", profile_json(b, threads));
    }
    agate_json_print(root);
}

#define LEAST_SHARE 0.005 /* of the time, for a remark */

/* Of the column of kernels. */
static int kernel_width(const agate_module *module)
{
    size_t width = strlen("kernel");

    for (uint32_t i = 0; i < module->step_count; i++) {
        agate_text kernel = {0};
        agate_profile_kernel(module->steps[i].label, &kernel);
        width = kernel.size_bytes > width ? kernel.size_bytes : width;
        agate_text_deinit(&kernel);
    }
    return (int)width;
}

static void print_rows(const bench *b, double total)
{
    const agate_module *module = agate_model_module(b->runner.model);
    const int width = kernel_width(module);

    printf("\n%8s %6s %8s %6s %5s  %-*s %s\n", "ms", "share", "GFLOP/s", "GB/s", "roof", width, "kernel",
           "nodes");
    for (uint32_t i = 0; i < module->step_count; i++) {
        const agate_module_step *step = &module->steps[i];
        step_facts f = facts_of(b, i);
        agate_text kernel = {0}, nodes = {0};

        agate_profile_kernel(step->label, &kernel);
        agate_profile_nodes(step->origin, AGATE_PROFILE_NODES_WIDTH, &nodes);
        printf("%8.3f %5.1f%% %8.1f %6.1f %4.0f%%  %-*s %s\n", f.ms, total > 0 ? 100 * f.ms / total : 0,
               f.gflops, f.gb_per_second, 100 * f.roofline, width, agate_text_c(&kernel),
               agate_text_c(&nodes));
        agate_text_deinit(&kernel);
        agate_text_deinit(&nodes);
    }
}

/* Kernels far from what the peaks allow, for one reason (NULL: none is known). */
typedef struct low_group {
    const char *reason;
    size_t count;
    double least, most; /* share of the roofline */
    uint32_t worst;     /* the step with the least */
} low_group;

#define LOW_GROUPS 16

static size_t group_low_roofs(const bench *b, double total, int64_t threads, low_group *groups)
{
    const agate_module *module = agate_model_module(b->runner.model);
    size_t count = 0;

    for (uint32_t i = 0; i < module->step_count; i++) {
        step_facts f = facts_of(b, i);
        size_t g = 0;

        if (f.roofline >= LOW_ROOF || f.ms < LEAST_SHARE * total)
            continue;
        const char *reason = agate_profile_reason(module, &module->steps[i], b->m.batch, threads, f.ms);
        while (g < count && groups[g].reason != reason)
            g++;
        if (g == LOW_GROUPS)
            continue;
        if (g == count)
            groups[count++] = (low_group){.reason = reason, .least = f.roofline, .worst = i};
        groups[g].count++;
        groups[g].most = f.roofline > groups[g].most ? f.roofline : groups[g].most;
        if (f.roofline < groups[g].least)
            groups[g].least = f.roofline, groups[g].worst = i;
    }
    return count;
}

/* Says of the kernels that matter and are far from what the peaks allow why that is. */
static void print_low_roofs(const bench *b, double total, int64_t threads)
{
    const agate_module *module = agate_model_module(b->runner.model);
    low_group groups[LOW_GROUPS];
    size_t count = group_low_roofs(b, total, threads, groups);

    if (count > 0)
        printf("\nbelow %.0f %% of the roofline, among kernels with %.1f %% of the time or more:\n",
               100 * LOW_ROOF, 100 * LEAST_SHARE);
    for (size_t g = 0; g < count; g++) {
        const low_group *group = &groups[g];
        bool many = !group->reason && 2 * group->count > module->step_count;
        agate_text nodes = {0};

        agate_profile_nodes(module->steps[group->worst].origin, AGATE_PROFILE_NODES_WIDTH, &nodes);
        printf("  %zu of %u, at %.0f to %.0f %%: %s (least: %s)\n", group->count, module->step_count,
               100 * group->least, 100 * group->most,
               group->reason ? group->reason
               : many        ? "no reason is known; with so many, something else may be using the cores"
                             : "no reason is known",
               agate_text_c(&nodes));
        agate_text_deinit(&nodes);
    }
}

static void print_profile(const bench *b, int64_t threads)
{
    const agate_module *module = agate_model_module(b->runner.model);
    double total = 0;

    for (uint32_t i = 0; i < module->step_count; i++)
        total += step_ms(&b->m, i);
    printf("\npeaks measured in this run: %.1f GFLOP/s (%s multiply-adds in registers), %.1f G divisions/s, ",
           b->m.peaks.gflops, module->isa, b->m.peaks.gdivisions);
    if (b->m.peaks.pair_gflops > 0)
        printf("%.1f GFLOP/s (bf16 in pairs), ", b->m.peaks.pair_gflops);
    if (b->m.peaks.tile_gflops > 0)
        printf("%.1f GFLOP/s (bf16 in tiles), ", b->m.peaks.tile_gflops);
    printf("%.1f GB/s (reads from memory)\n", b->m.peaks.gb_per_second);
    print_rows(b, total);
    print_low_roofs(b, total, threads);
}

static void print_report(const bench *b, const char *model, int64_t threads, bool with_profile)
{
    const agate_measurement *m = &b->m;
    const agate_module *module = agate_model_module(b->runner.model);

    printf("%s: %s, %s, %lld thread%s, batch %lld\n", model, module->isa, module->precision,
           (long long)threads, threads == 1 ? "" : "s", (long long)m->batch);
    printf("  compile  %10.1f ms%s\n", ms(b->compile_ns), b->runner.cache.hit ? "   (from the cache)" : "");
    printf("  median   %10.3f ms   (%zu runs; min %.3f, p90 %.3f, p99 %.3f)\n", median_ms(m), m->count,
           ms(m->times[0]), percentile_ms(m, 90), percentile_ms(m, 99));
    printf("  speed    %10.1f GFLOP/s of %.3f GFLOP\n", per_second(m->flops, median_ms(m)), m->flops / 1e9);
    printf("  memory   %10.1f MiB slab, %.1f MiB constants, %.1f MiB peak resident\n",
           (double)agate_session_slab_size(b->runner.session) / 1048576,
           (double)constant_bytes(module) / 1048576, (double)m->peak_rss_bytes / 1048576);
    if (with_profile)
        print_profile(b, threads);
}

/* One complete event ("ph": "X") per step and slice of the batch, in microseconds from the first. */
static json_t *trace_events(const bench *b)
{
    const agate_module *module = agate_model_module(b->runner.model);
    json_t *events = json_array();

    for (size_t n = 0; n < b->m.span_count; n++) {
        const agate_span *s = &b->m.spans[n];
        const uint32_t i = (uint32_t)s->step;
        step_facts f = facts_of(b, i);
        json_t *event = json_pack("{s:s, s:s, s:i, s:i, s:f, s:f}", "ph", "X", "cat", "kernel", "pid", 1,
                                  "tid", 1, "ts", (double)(s->begin_ns - b->m.spans[0].begin_ns) / 1e3, "dur",
                                  (double)(s->end_ns - s->begin_ns) / 1e3);
        json_t *details = json_pack("{s:s, s:s, s:f, s:f, s:f}", "kernel", module->steps[i].label, "symbol",
                                    module->steps[i].symbol, "gflops", f.gflops, "gb_per_second",
                                    f.gb_per_second, "roofline", f.roofline);

        json_object_set_new(event, "name", agate_json_string(module->steps[i].origin));
        json_object_set_new(event, "args", details);
        json_array_append_new(events, event);
    }
    return events;
}

static agate_status run_bench(const char *model, settings *set, agate_runner_options *how)
{
    int64_t threads = set->compile.threads ? set->compile.threads : agate_cpu_count();
    bench b = {0};
    uint64_t start = agate_clock_ns();
    agate_status status;

    if (set->trace)
        AGATE_TRY(agate_trace_open(&b.trace, set->trace));
    agate_cli_times_begin(&set->times, &how->driver);
    status = agate_runner_init(&b.runner, model, how);
    agate_cli_times_end(&set->times);
    if (status != AGATE_OK) {
        agate_trace_close(&b.trace);
        return status;
    }
    b.compile_ns = agate_clock_ns() - start;
    agate_cli_cache_report(&set->cache, model, &b.runner.cache);
    status = prepare_and_measure(&b, set);
    if (status == AGATE_OK && set->json)
        print_json(&b, model, threads);
    else if (status == AGATE_OK)
        print_report(&b, model, threads, set->profile);
    if (status == AGATE_OK && set->trace)
        status = agate_trace_write(&b.trace, trace_events(&b));
    bench_deinit(&b);
    return status;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {.seconds = 2};
    agate_cli_list operands;
    agate_dim_binding bindings[AGATE_CLI_MAX];
    agate_runner_options how = {0};
    agate_cli_path room;
    agate_status status;
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code < 0)
        code = agate_cli_compile_options(verb, &set.compile, bindings, &how.driver.compile);
    if (code >= 0)
        return code;
    if (operands.count != 1)
        return agate_cli_usage(verb, "one model is needed");
    code = agate_inputs_check_tensors(verb, &set.inputs);
    if (code >= 0)
        return code;
    agate_cli_cache_options(&set.cache, &room, &how.driver.compile);
    status = run_bench(operands.items[0], &set, &how);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_bench = {
    .name = "bench",
    .operands = "[OPTION]... MODEL",
    .summary = "Times a model after a warm-up: minimum, median, p90, p99, GFLOP/s, compile time, memory.",
    .options = options,
    .details =
        "JSON keys: model, isa, precision, threads, batch, iterations, min_ms, median_ms, p90_ms, p99_ms,\n"
        "flops, gflops, compile_ms (reading the file to a session that is ready), from_cache (compiled\n"
        "before: give --cache none to time the compiler), peak_rss_bytes, slab_bytes, constant_bytes; with\n"
        "--profile: peak_gflops, peak_gdivisions, peak_gb_per_second, peak_pair_gflops and peak_tile_gflops\n"
        "(of bf16, where it is used; of AMX's tiles f32x3 takes 3 products for one, f32x6 takes 6), and\n"
        "profile, a list of label, symbol, tasks, ms, gflops, gb_per_second, scalar_share, roofline, origin\n"
        "and, below a roofline of 0.6, reason (where one is known) per kernel. Profiled runs are apart from\n"
        "the timed ones; a kernel's time is the least of them. The table shortens names and leaves out\n"
        "tiles of 1 and the vectors' width; the JSON object has them whole. GFLOP/s counts multiply-adds\n"
        "and windows, GB/s what a kernel reads and writes once each. \"roof\" is the longest of three times\n"
        "over the time it took, by peaks measured with as many threads: that of its instructions, where\n"
        "each of a scalar op (12 or 21 of an exponential) counts as a multiply-add; that of its divisions;\n"
        "and that of reading memory. What caches hold, and additions where they have pipes of their own,\n"
        "can come to more than 100 %. scalar_share is the scalar ops' part of the computing.\n\n"
        "  agate bench resnet50.onnx --threads 1\n"
        "  agate bench resnet50.onnx --batch 8 --isa avx2 --profile\n"
        "  agate bench resnet50.onnx --json --iterations 100\n",
    .run = run,
};
