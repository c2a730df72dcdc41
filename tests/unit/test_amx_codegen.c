/* links: backend ir ref base emulate */
/* test_amx_codegen.c: what LLVM makes of AMX's intrinsics for our targets, run: 2x2 tiles of sums, as a
 * kernel would hold them. */
#include <llvm-c/Core.h>
#include <math.h>
#include <stdlib.h>

#include "backend/codegen.h"
#include "backend/llvm_shim.h"
#include "tests/emulate/machine.h"
#include "tests/suite.h"

enum { ROWS = 32, COLUMNS = 32, BLOCK = 32, BLOCKS = 5, K = BLOCK * BLOCKS };

typedef struct builder {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef b;
    LLVMValueRef function;
    LLVMTypeRef pointer, i64, i8;
} builder;

static void must(agate_status status)
{
    ck_assert_msg(status == AGATE_OK, "%s", agate_status_message(status));
}

static LLVMValueRef call(builder *e, const char *name, LLVMValueRef *args, uint32_t count)
{
    return agate_llvm_intrinsic(e->module, e->b, name, NULL, 0, args, count);
}

static LLVMValueRef tile_of(builder *e, int number)
{
    return LLVMConstInt(e->i8, (unsigned long long)number, 0);
}

static LLVMValueRef number(builder *e, int64_t value)
{
    return LLVMConstInt(e->i64, (unsigned long long)value, 1);
}

/* Argument `index` of the caller's pointers. */
static LLVMValueRef buffer(builder *e, int64_t index)
{
    LLVMValueRef at = number(e, index);
    LLVMValueRef place = LLVMBuildInBoundsGEP2(e->b, e->pointer, LLVMGetParam(e->function, 0), &at, 1, "");

    return LLVMBuildLoad2(e->b, e->pointer, place, "");
}

static LLVMValueRef behind(builder *e, LLVMValueRef base, LLVMValueRef bytes, int64_t more)
{
    LLVMValueRef at = LLVMBuildAdd(e->b, bytes, number(e, more), "");

    return LLVMBuildGEP2(e->b, e->i8, base, &at, 1, "");
}

static void move_tile(builder *e, const char *name, int tile, LLVMValueRef place, int64_t stride)
{
    LLVMValueRef args[] = {tile_of(e, tile), place, number(e, stride)};

    call(e, name, args, 3);
}

/* Sums in tiles 0 to 3, rows of the first factor in 4 and 5, columns of the second in 6 and 7. */
static void build_step(builder *e, LLVMValueRef a, LLVMValueRef w, LLVMValueRef block)
{
    LLVMValueRef in_a = LLVMBuildMul(e->b, block, number(e, 2 * BLOCK), "");
    LLVMValueRef in_w = LLVMBuildMul(e->b, block, number(e, 2 * BLOCK * COLUMNS), "");

    for (int i = 0; i < 2; i++) {
        move_tile(e, "llvm.x86.tileloadd64", 4 + i, behind(e, a, in_a, 16 * i * 2 * K), 2 * K);
        move_tile(e, "llvm.x86.tileloaddt164", 6 + i, behind(e, w, in_w, 64 * i), 4 * COLUMNS);
    }
    for (int i = 0; i < 4; i++) {
        LLVMValueRef args[] = {tile_of(e, i), tile_of(e, 4 + i / 2), tile_of(e, 6 + i % 2)};
        call(e, "llvm.x86.tdpbf16ps", args, 3);
    }
}

static LLVMBasicBlockRef block_of(builder *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

/* Over the blocks from `first` to `last`, of which there is one at least. */
static void build_loop(builder *e, LLVMValueRef a, LLVMValueRef w)
{
    LLVMBasicBlockRef entry = LLVMGetInsertBlock(e->b), loop = block_of(e, "loop"), end = block_of(e, "end");

    LLVMBuildBr(e->b, loop);
    LLVMPositionBuilderAtEnd(e->b, loop);
    LLVMValueRef block = LLVMBuildPhi(e->b, e->i64, "");
    build_step(e, a, w, block);
    LLVMValueRef next = LLVMBuildAdd(e->b, block, number(e, 1), "");
    LLVMValueRef more = LLVMBuildICmp(e->b, LLVMIntSLT, next, LLVMGetParam(e->function, 3), "");
    LLVMBuildCondBr(e->b, more, loop, end);
    LLVMAddIncoming(block, (LLVMValueRef[]){LLVMGetParam(e->function, 2), next},
                    (LLVMBasicBlockRef[]){entry, loop}, 2);
    LLVMPositionBuilderAtEnd(e->b, end);
}

/* buffers: configuration, A [ROWS][K] bf16, W [K / 2][COLUMNS][2] bf16, C [ROWS][COLUMNS] f32. */
static void build_function(builder *e)
{
    LLVMTypeRef types[] = {e->pointer, e->i64, e->i64, e->i64, e->pointer};

    e->function = LLVMAddFunction(e->module, "products",
                                  LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 5, 0));
    LLVMPositionBuilderAtEnd(e->b, block_of(e, "entry"));
    LLVMValueRef config = buffer(e, 0), a = buffer(e, 1), w = buffer(e, 2), c = buffer(e, 3);
    call(e, "llvm.x86.ldtilecfg", &config, 1);
    for (int i = 0; i < 4; i++) {
        LLVMValueRef tile = tile_of(e, i);
        call(e, "llvm.x86.tilezero", &tile, 1);
    }
    build_loop(e, a, w);
    for (int i = 0; i < 4; i++)
        move_tile(e, "llvm.x86.tilestored64", i,
                  behind(e, c, number(e, 0), 16 * (i / 2) * 4 * COLUMNS + 64 * (i % 2)), 4 * COLUMNS);
    call(e, "llvm.x86.tilerelease", NULL, 0);
    LLVMBuildRetVoid(e->b);
}

static LLVMMemoryBufferRef compile(const agate_machine *machine, LLVMCodeGenFileType type)
{
    LLVMTargetMachineRef target;
    LLVMMemoryBufferRef object;
    char *message = NULL;

    must(agate_target_create(machine, &target));
    builder e = {.context = LLVMContextCreate()};
    e.module = LLVMModuleCreateWithNameInContext("products", e.context);
    e.b = LLVMCreateBuilderInContext(e.context);
    e.pointer = LLVMPointerTypeInContext(e.context, 0);
    e.i64 = LLVMInt64TypeInContext(e.context);
    e.i8 = LLVMInt8TypeInContext(e.context);
    build_function(&e);
    must(agate_llvm_run_passes(e.module, target, "function(early-cse,instcombine<no-verify-fixpoint>)"));
    ck_assert_msg(!LLVMTargetMachineEmitToMemoryBuffer(target, e.module, type, &message, &object), "%s",
                  message);
    LLVMDisposeBuilder(e.b);
    LLVMDisposeModule(e.module);
    LLVMContextDispose(e.context);
    LLVMDisposeTargetMachine(target);
    return object;
}

static int count_of(const char *text, const char *word)
{
    int count = 0;

    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

/* Every intrinsic is one instruction, on the tile that it names, and no tile is spilled. */
START_TEST(intrinsics_are_instructions)
{
    agate_machine machine;

    if (!find_amx_machine(&machine))
        return;
    LLVMMemoryBufferRef buffer = compile(&machine, LLVMAssemblyFile);
    const char *text = LLVMGetBufferStart(buffer);
    static const struct {
        const char *word;
        int count;
    } wanted[] = {{"ldtilecfg", 1},           {"sttilecfg", 0},          {"tilerelease", 1}, {"tilezero", 4},
                  {"tileloadd\t", 2},         {"tileloaddt1\t", 2},      {"tilestored", 4},  {"tdpbf16ps", 4},
                  {"%tmm6, %tmm4, %tmm0", 1}, {"%tmm7, %tmm5, %tmm3", 1}};
    for (size_t i = 0; i < AGATE_COUNT(wanted); i++)
        ck_assert_msg(count_of(text, wanted[i].word) == wanted[i].count, "%d of %s in\n%s",
                      count_of(text, wanted[i].word), wanted[i].word, text);
    LLVMDisposeMemoryBuffer(buffer);
}
END_TEST

static uint16_t a[ROWS][K], w[K / 2][COLUMNS][2];
static float c[ROWS][COLUMNS];

/* Small integers: every order of sums is exact. */
static float product(int row, int column, int first, int last)
{
    float sum = 0;

    for (int k = first * BLOCK; k < last * BLOCK; k++)
        sum += agate_bf16_to_f32(a[row][k]) * agate_bf16_to_f32(w[k / 2][column][k % 2]);
    return sum;
}

START_TEST(intrinsics_run)
{
    static const uint8_t config[64] = {
        [0] = 1,   [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64, [30] = 64,
        [48] = 16, [49] = 16, [50] = 16, [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16};
    void *const buffers[] = {(void *)config, a, w, c};
    agate_machine machine;
    agate_linker *linker;
    agate_kernel_fn run;

    if (!find_amx_machine(&machine))
        return;
    for (int i = 0; i < ROWS * K; i++) {
        a[i / K][i % K] = agate_f32_to_bf16((float)(i * 2654435761u >> 28) - 8);
        w[i / 64][i / 2 % COLUMNS][i % 2] = agate_f32_to_bf16((float)(i * 2246822519u >> 28) - 7);
    }
    must(agate_linker_create(&linker));
    must(agate_linker_add(linker, compile(&machine, LLVMObjectFile)));
    must(agate_linker_find(linker, "products", &run));
    for (int first = 0; first < BLOCKS; first++) {
        run(buffers, 1, first, BLOCKS, NULL);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            const float want = product(i / COLUMNS, i % COLUMNS, first, BLOCKS),
                        got = c[i / COLUMNS][i % COLUMNS];
            ck_assert_msg(got == want, "row %d, column %d is %g, not %g", i / COLUMNS, i % COLUMNS,
                          (double)got, (double)want);
        }
    }
    agate_linker_release(linker);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("amx codegen");
    TCase *tests = tcase_create("amx codegen");
    tcase_add_test(tests, intrinsics_are_instructions);
    tcase_add_test(tests, intrinsics_run);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
