/* kernel_test.h: runs every kernel of a small text graph, compiled, against the reference kernels.
 *
 * In the text, `@V` stands for the machine's f32 lanes and `@B` for a block of channels. Operands lie at the
 * end of a page, so that reading past them is caught; their pads are NaN. Every kernel runs twice, whole and
 * task by task backwards, and must give the same bits.
 */
#ifndef AGATE_TESTS_KERNEL_TEST_H
#define AGATE_TESTS_KERNEL_TEST_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backend/codegen.h"
#include "backend/emit.h"
#include "ir/interpret.h"
#include "ir/reorder.h"
#include "ir/text.h"
#include "tests/unit/machines.h"

typedef struct kernel_case {
    const char *text;
    double rtol, atol;
    double special;       /* share of the inputs that are NaN, infinite, 0 or denormal */
    bool normal;          /* no denormals */
    int32_t block;        /* @B; 0: as many as lanes */
    double scale;         /* of random numbers; 0: 1 */
    const double *scales; /* ... of each operand in turn; NULL: `scale` is that of all */
    int32_t specials;     /* how many operands, from the first on, get special numbers; 0: all */
    bool zero_pads;    /* of weights, as layouts.def has them; else NaN, for kernels that do not read them */
    bool any_infinity; /* where Inf or NaN is wanted, any of them will do */
} kernel_case;

static void must(agate_status status)
{
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

/* ---- memory whose end is the end of what may be touched ------------------------------------------------ */

typedef struct fenced {
    char *map;
    size_t map_bytes;
    void *data;
} fenced;

static fenced fenced_make(size_t size_bytes, size_t align)
{
    size_t page = 4096, body = (size_bytes + page - 1) / page * page;
    fenced f = {.map_bytes = body + 2 * page};

    f.map = mmap(NULL, f.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(f.map != MAP_FAILED);
    memset(f.map, 0xff, f.map_bytes); /* NaN in f32 and f64 */
    mprotect(f.map, page, PROT_NONE);
    mprotect(f.map + page + body, page, PROT_NONE);
    f.data = f.map + page + (body - size_bytes) / align * align;
    return f;
}

static void fenced_drop(fenced *f)
{
    munmap(f->map, f->map_bytes);
}

/* ---- tensors ------------------------------------------------------------------------------------------- */

static uint64_t random_state = 1;

static double random_number(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int64_t)(random_state >> 11) / (double)(UINT64_C(1) << 52) - 1; /* -1 to 1 */
}

static agate_type type_at(const agate_type *type, int64_t batch)
{
    agate_type fixed = *type;

    for (int32_t i = 0; i < fixed.rank; i++)
        fixed.dims[i] = agate_dim_fixed(agate_dim_at(type->dims[i], batch));
    return fixed;
}

static size_t size_of(const agate_type *type)
{
    agate_dim size;

    ck_assert(agate_type_size(type, &size));
    return (size_t)size.offset;
}

static agate_tensor tensor_of(const agate_type *type, void *data)
{
    agate_tensor tensor = {.dtype = type->dtype, .rank = type->rank, .data = data};

    for (int32_t i = 0; i < type->rank; i++)
        tensor.dims[i] = type->dims[i].offset;
    ck_assert(agate_tensor_size(type->dtype, type->rank, tensor.dims, &tensor.size_bytes));
    return tensor;
}

static void fill_random(agate_tensor *t, const kernel_case *c, int32_t operand)
{
    static const double specials[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e-40};
    size_t count = t->size_bytes / agate_dtype_size(t->dtype);
    double scale = c->scales ? c->scales[operand] : c->scale != 0 ? c->scale : 1;

    for (size_t i = 0; i < count; i++) {
        double value = random_number() * scale;
        if (t->dtype == AGATE_F32 || t->dtype == AGATE_F64 || t->dtype == AGATE_BF16 ||
            t->dtype == AGATE_F16) {
            bool may = c->specials == 0 || operand < c->specials;
            if (fabs(random_number()) < c->special && may)
                value = specials[(size_t)(fabs(random_number()) * AGATE_COUNT(specials)) %
                                 (AGATE_COUNT(specials) - c->normal)];
            if (t->dtype == AGATE_F32)
                ((float *)t->data)[i] = (float)value;
            else if (t->dtype == AGATE_BF16)
                ((uint16_t *)t->data)[i] = agate_f32_to_bf16((float)value);
            else if (t->dtype == AGATE_F16)
                ((uint16_t *)t->data)[i] = value == 1e-40 ? 1 : agate_f32_to_f16((float)value);
            else
                ((double *)t->data)[i] = value;
            continue;
        }
        int64_t number = (int64_t)(value * (t->dtype == AGATE_BOOL ? 2 : 100));
        number = t->dtype == AGATE_BOOL ? number != 0 : number;
        memcpy((char *)t->data + i * agate_dtype_size(t->dtype), &number, agate_dtype_size(t->dtype));
    }
}

static agate_type plain_of(const agate_type *type)
{
    return agate_type_make(type->dtype, type->rank, type->dims);
}

/* ---- one kernel ---------------------------------------------------------------------------------------- */

static agate_kernel_fn compile_kernel(const agate_node *kernel, const agate_machine *machine,
                                      agate_linker **linker)
{
    LLVMTargetMachineRef target;
    LLVMMemoryBufferRef object;
    agate_kernel_fn fn;
    agate_arena *scratch = agate_arena_create();
    agate_codegen_times times = {0};

    must(agate_target_create(machine, &target));
    must(agate_codegen_kernel(kernel, "kernel", target, scratch, AGATE_CODEGEN_OBJECT, &times, &object));
    must(agate_linker_create(linker));
    must(agate_linker_add(*linker, object));
    must(agate_linker_find(*linker, "kernel", &fn));
    LLVMDisposeTargetMachine(target);
    agate_arena_release(scratch);
    return fn;
}

static void check_equal(const agate_tensor *got, const agate_tensor *want, const kernel_case *c,
                        const char *text)
{
    size_t count = want->size_bytes / agate_dtype_size(want->dtype);

    for (size_t i = 0; i < count; i++) {
        double g, w;
        if (want->dtype == AGATE_F32) {
            g = ((float *)got->data)[i];
            w = ((float *)want->data)[i];
        } else if (want->dtype == AGATE_F64) {
            g = ((double *)got->data)[i];
            w = ((double *)want->data)[i];
        } else if (want->dtype == AGATE_BF16) {
            g = (double)agate_bf16_to_f32(((uint16_t *)got->data)[i]);
            w = (double)agate_bf16_to_f32(((uint16_t *)want->data)[i]);
        } else if (want->dtype == AGATE_F16) {
            g = (double)agate_f16_to_f32(((uint16_t *)got->data)[i]);
            w = (double)agate_f16_to_f32(((uint16_t *)want->data)[i]);
        } else {
            size_t size = agate_dtype_size(want->dtype);
            ck_assert_msg(memcmp((char *)got->data + i * size, (char *)want->data + i * size, size) == 0,
                          "element %zu differs in\n%s", i, text);
            continue;
        }
        bool same = (isnan(g) && isnan(w)) || (c->any_infinity && !isfinite(g) && !isfinite(w)) || g == w ||
                    fabs(g - w) <= c->atol + c->rtol * fabs(w);
        ck_assert_msg(same, "element %zu is %.9g, not %.9g, in\n%s", i, g, w, text);
    }
}

/* Results of one run, unpacked to plain memory. */
static void run_once(agate_kernel_fn fn, const agate_node *kernel, void **buffers, int64_t batch,
                     bool backwards, void **out_plain)
{
    int64_t tasks = agate_dim_at(agate_task_count(kernel), batch);
    fenced results[kernel->result_count];
    fenced workspace = fenced_make((size_t)agate_workspace_bytes(kernel), AGATE_ALIGNMENT);

    for (int32_t i = 0; i < kernel->result_count; i++) {
        agate_type type = type_at(&kernel->results[i].type, batch);
        results[i] = fenced_make(size_of(&type), agate_dtype_size(type.dtype));
        buffers[kernel->operand_count + i] = results[i].data;
    }
    if (backwards)
        for (int64_t t = tasks; t-- > 0;)
            fn(buffers, batch, t, t + 1, workspace.data);
    else
        fn(buffers, batch, 0, tasks, workspace.data);
    fenced_drop(&workspace);
    for (int32_t i = 0; i < kernel->result_count; i++) {
        agate_type type = type_at(&kernel->results[i].type, batch), plain = plain_of(&type);
        ck_assert(agate_reorder_bytes(&type, results[i].data, &plain, out_plain[i]));
        fenced_drop(&results[i]);
    }
}

static void run_kernel(const agate_graph *graph, const agate_node *kernel, agate_kernel_fn fn,
                       const kernel_case *c, int64_t batch, const char *text)
{
    int32_t inputs = kernel->operand_count, outputs = kernel->result_count;
    agate_tensor plain[inputs + 1], want[outputs], got;
    void *buffers[inputs + outputs], *first[outputs], *second[outputs];
    fenced operands[inputs + 1];

    for (int32_t i = 0; i < inputs; i++) {
        agate_type type = type_at(&kernel->operands[i]->type, batch), flat = plain_of(&type);
        plain[i] = tensor_of(&flat, calloc(1, size_of(&flat) + 1));
        fill_random(&plain[i], c, i);
        operands[i] = fenced_make(size_of(&type), agate_dtype_size(type.dtype));
        if (c->zero_pads && type.layout.kind != AGATE_LAYOUT_channel)
            memset(operands[i].data, 0, size_of(&type));
        ck_assert(agate_reorder_bytes(&flat, plain[i].data, &type, operands[i].data));
        buffers[i] = operands[i].data;
    }
    must(agate_interpret(graph, plain, (size_t)inputs, want, (size_t)outputs, batch));
    for (int32_t i = 0; i < outputs; i++) {
        first[i] = malloc(want[i].size_bytes + 1);
        second[i] = malloc(want[i].size_bytes + 1);
    }
    run_once(fn, kernel, buffers, batch, false, first);
    run_once(fn, kernel, buffers, batch, true, second);
    for (int32_t i = 0; i < outputs; i++) {
        got = want[i];
        got.data = first[i];
        check_equal(&got, &want[i], c, text);
        ck_assert_msg(memcmp(first[i], second[i], want[i].size_bytes) == 0, "task splits differ in\n%s",
                      text);
        free(first[i]);
        free(second[i]);
    }
    agate_interpret_free(want, (size_t)outputs);
    for (int32_t i = 0; i < inputs; i++) {
        fenced_drop(&operands[i]);
        free(plain[i].data);
    }
}

/* ---- cases --------------------------------------------------------------------------------------------- */

static char *substitute(const char *text, int32_t lanes, int32_t block)
{
    char *out = calloc(1, strlen(text) * 2 + 64);

    for (size_t n = 0; *text; text++) {
        if (text[0] == '@' && (text[1] == 'V' || text[1] == 'B')) {
            n += (size_t)sprintf(out + n, "%d", *++text == 'V' ? lanes : block);
            continue;
        }
        out[n++] = *text;
    }
    return out;
}

/* The graph's parameters are the operands of its one kernel, in order. */
static void check_kernel_on(const kernel_case *c, const agate_machine *machine)
{
    int32_t lanes = agate_machine_lanes(machine);
    char *text = substitute(c->text, lanes, c->block ? c->block : lanes);
    agate_graph *graph;

    must(agate_parse(text, strlen(text), &graph));
    AGATE_EACH_NODE (node, graph) {
        agate_linker *linker;
        if (node->op != AGATE_OP_kernel)
            continue;
        agate_kernel_fn fn = compile_kernel(node, machine, &linker);
        for (int64_t batch = 0; batch <= 3; batch += batch ? 2 : 1)
            run_kernel(graph, node, fn, c, batch, text);
        agate_linker_release(linker);
    }
    agate_graph_release(graph);
    free(text);
}

static void check_kernel(const kernel_case *c)
{
    for (int32_t i = 0; i < agate_machine_count(); i++) {
        agate_machine machine = agate_machine_get(i);
        if (machine_is_tested(&machine))
            check_kernel_on(c, &machine);
    }
}

/* A kernel of one op over operands of the given types (`operands` of them), scheduled as `schedule`. `op` has
 * its operands and attributes: "softmax $0 axis=1". Other fields of `c` are kept. */
static inline void check_one(const char *schedule, const char *op, const char *const *types, int32_t operands,
                             const char *result, kernel_case c)
{
    agate_text text = {0};

    agate_text_add(&text, "graph @t(");
    for (int32_t i = 0; i < operands; i++)
        agate_text_add(&text, "%s%%p%d: %s", i ? ", " : "", i, types[i]);
    agate_text_add(&text, ") -> %s {\n  %%0 = kernel(", result);
    for (int32_t i = 0; i < operands; i++)
        agate_text_add(&text, "%s%%p%d", i ? ", " : "", i);
    agate_text_add(&text, ") %s {\n    %%a = %s : %s\n    yield %%a\n  } : %s\n  return %%0\n}\n", schedule,
                   op, result, result);
    c.text = agate_text_c(&text);
    check_kernel(&c);
    agate_text_deinit(&text);
}

#endif
