/* passes.c: filetest commands that run passes. */
#include <stdio.h>

#include "tests/filetest/filetest.h"
#include "tools/target.h"

bool find_machine(const test_run *run, const char *otherwise, agate_machine *out_machine)
{
    static agate_arena *names; /* of machines, for as long as the process lives */
    const char *name = run->command->machine ? run->command->machine : otherwise;

    if (!names && !(names = agate_arena_create()))
        return false;
    agate_status status = agate_target_parse(name, names, out_machine);
    if (status != AGATE_OK)
        add_fault(run->fault, "there is no such machine", status);
    return status == AGATE_OK;
}

/* An agate_remark_fn: what is not done goes behind the expectation. */
typedef struct listener {
    const char *pass;
    agate_text declined;
} listener;

static void hear(void *user, const char *pass, const agate_node *node, const char *message)
{
    listener *heard = user;

    (void)node;
    if (strcmp(pass, heard->pass) == 0 && strncmp(message, "rewrite: ", 9) != 0)
        agate_text_add(&heard->declined, "; remark: %s\n", message);
}

static bool run_named(const test_run *run, agate_graph *graph, const char *const *names, size_t count,
                      listener *heard)
{
    agate_machine machine;
    agate_pass_options options = {.machine = &machine,
                                  .allow = run->command->allow,
                                  .precision = run->command->precision,
                                  .node_precisions = run->command->node_precisions,
                                  .verify_each = true,
                                  .fuel = run->command->fuel,
                                  .remark = heard->pass ? hear : NULL,
                                  .remark_user = heard};

    if (!find_machine(run, "avx512", &machine))
        return false;
    for (size_t i = 0; i < count; i++)
        if (agate_pass_find(names[i]))
            run->seen->passes[agate_pass_find(names[i]) - agate_pass_table] = true;
    agate_status status = agate_passes_run_named(graph, &options, names, count);
    if (status != AGATE_OK)
        add_fault(run->fault, "the passes failed", status);
    return status == AGATE_OK;
}

/* Runs the passes, takes what comes out as the expectation, and compares what it computes. */
static void run_names(const test_run *run, const char *const *names, size_t count)
{
    agate_graph *before = parse_input(run, agate_parse),
                *after = before ? parse_input(run, agate_parse) : NULL;
    listener heard = {.pass = run->command->remarks};

    if (after && run_named(run, after, names, count, &heard)) {
        bless_graph(run, after);
        agate_text_add(run->blessed, "%s", agate_text_c(&heard.declined));
        /* Weights are filled in only now: what passes may know of a parsed graph is its text. */
        if (run->command->tolerance > 0 && fill_weights(before, run->command->seed) &&
            fill_weights(after, run->command->seed))
            compare_graphs(run, before, after, compute_interpreted);
    }
    agate_text_deinit(&heard.declined);
    agate_graph_release(before);
    agate_graph_release(after);
}

void run_pass(const test_run *run)
{
    run_names(run, run->command->names, run->command->name_count);
}

void run_schedule(const test_run *run)
{
    static const char *const names[] = {"assign-layout", "schedule"};
    run_names(run, names, AGATE_COUNT(names));
}

/* Runs all passes on `after`; then both ways of computing it must agree with `before`. */
static void run_both(const test_run *run, const agate_machine *machine, const agate_graph *before,
                     agate_graph *after)
{
    agate_pass_options options = {.machine = machine,
                                  .allow = run->command->allow,
                                  .precision = run->command->precision,
                                  .node_precisions = run->command->node_precisions,
                                  .verify_each = true};
    agate_status status = agate_passes_run(after, &options, AGATE_STAGE_planned);

    if (status != AGATE_OK) {
        add_fault(run->fault, "the passes failed", status);
        return;
    }
    compare_graphs(run, before, after, compute_interpreted);
    if ((machine->needs & ~agate_cpu_features()) == 0)
        compare_graphs(run, before, after, compute_compiled);
    else
        printf("SKIP compiled run for %s: this CPU lacks it\n", machine->name);
}

void run_run(const test_run *run)
{
    agate_graph *before = parse_input(run, agate_parse),
                *after = before ? parse_input(run, agate_parse) : NULL;
    agate_machine best = agate_machine_get(agate_machine_best(agate_cpu_features())), machine;

    if (after && find_machine(run, best.name, &machine) && fill_weights(before, run->command->seed) &&
        fill_weights(after, run->command->seed))
        run_both(run, &machine, before, after);
    agate_graph_release(before);
    agate_graph_release(after);
}
