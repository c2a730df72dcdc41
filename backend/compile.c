/* compile.c: a planned graph to a module that runs in this process; or to text for people. */
#include <llvm-c/Core.h>
#include <stdlib.h>

#include "backend/units.h"

static agate_status link_units(agate_units *units, agate_linker **out_linker)
{
    /* A model of nothing but library steps and views has nothing to link. */
    if (units->count == 0)
        return AGATE_OK;
    AGATE_TRY(agate_linker_create(out_linker));
    agate_linker *linker = *out_linker;
    for (size_t i = 0; i < units->count; i++) {
        LLVMMemoryBufferRef object = units->units[i].output;
        units->units[i].output = NULL;
        AGATE_TRY(agate_linker_add(linker, object));
    }
    for (size_t i = 0; i < units->count; i++)
        AGATE_TRY(agate_linker_find(linker, units->units[i].symbol, &units->units[i].fn));
    return AGATE_OK;
}

static void tell_time(const agate_codegen_options *options, const char *what, uint64_t start_ns)
{
    if (options->timed)
        options->timed(options->timed_user, what, agate_clock_ns() - start_ns);
}

static agate_status compile_into(agate_compiled *compiled, const agate_graph *graph, agate_units *units,
                                 const agate_codegen_options *options)
{
    uint64_t start_ns = agate_clock_ns();

    AGATE_TRY(agate_units_init(units, graph, options, compiled->arena));
    AGATE_TRY(agate_module_build(compiled, graph, units, options));
    tell_time(options, "steps", start_ns);
    AGATE_TRY(agate_units_compile(units, options, AGATE_CODEGEN_OBJECT, compiled));
    start_ns = agate_clock_ns();
    AGATE_TRY(link_units(units, &compiled->linker));
    agate_module_link(compiled, units);
    tell_time(options, "link", start_ns);
    return AGATE_OK;
}

agate_status agate_compiled_create(agate_compiled **out_compiled)
{
    agate_compiled *compiled = calloc(1, sizeof *compiled);

    if (compiled)
        compiled->arena = agate_arena_create();
    if (!compiled || !compiled->arena) {
        free(compiled);
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile a graph");
    }
    *out_compiled = compiled;
    return AGATE_OK;
}

agate_status agate_backend_compile(const agate_graph *graph, const agate_codegen_options *options,
                                   const agate_module **out_module, void **out_owner)
{
    agate_compiled *compiled = NULL;
    agate_units units = {0};

    AGATE_TRY(agate_compiled_create(&compiled));
    if (options->allocator)
        compiled->allocator = *options->allocator;
    agate_status status = compile_into(compiled, graph, &units, options);
    agate_units_deinit(&units);
    if (status) {
        agate_backend_release(compiled);
        return status;
    }
    *out_module = &compiled->module;
    *out_owner = compiled;
    return AGATE_OK;
}

void agate_backend_release(void *owner)
{
    agate_compiled *compiled = owner;

    if (!compiled)
        return;
    agate_linker_release(compiled->linker);
    agate_constants_release(compiled);
    agate_arena_release(compiled->arena);
    free(compiled);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

/* Appends the lines of `lines`, each behind `prefix`. */
static void add_comment(agate_text *text, const char *prefix, const char *lines)
{
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        agate_text_add(text, "%s%.*s\n", prefix, (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void add_unit(const agate_units *units, const agate_graph *graph, size_t number, const char *prefix,
                     agate_text *text)
{
    const agate_unit *unit = &units->units[number];
    size_t kernel = 0;

    AGATE_EACH_NODE (node, graph)
        if (node->op == AGATE_OP_kernel && units->of_kernel[kernel++] == number && node->origin)
            add_comment(text, prefix, node->origin);
    add_comment(text, prefix, unit->signature);
    agate_text_add_bytes(text, LLVMGetBufferStart(unit->output), LLVMGetBufferSize(unit->output));
    agate_text_add(text, "\n");
}

agate_status agate_backend_print(const agate_graph *graph, const agate_codegen_options *options,
                                 agate_code_format format, agate_text *text)
{
    bool is_asm = format == AGATE_CODE_ASM;
    agate_units units = {0};
    agate_arena *arena = agate_arena_create();

    if (!arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile a graph");
    agate_status status = agate_units_init(&units, graph, options, arena);
    if (!status)
        status = agate_units_compile(&units, options, is_asm ? AGATE_CODEGEN_ASM : AGATE_CODEGEN_LLVM, NULL);
    for (size_t i = 0; i < units.count && !status; i++)
        add_unit(&units, graph, i, is_asm ? "# " : "; ", text);
    agate_units_deinit(&units);
    agate_arena_release(arena);
    return status;
}
