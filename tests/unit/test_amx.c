/* links: emulate base */
/* test_amx.c: AMX as tests/emulate executes it, or as the CPU does where it has AMX: each instruction against
 * plain C, and against the emulator's own functions, which the CPU thereby checks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/features.h"
#include "tests/emulate/program.h"
#include "tests/suite.h"

/* ---- configurations ------------------------------------------------------------------------------------ */

PROGRAM(program_store_configuration, "sttilecfg (%r8)");
PROGRAM(program_keep_configuration,
        "ldtilecfg (%rdi)\n sttilecfg 8(%r8,%r9,2)\n tilerelease\n sttilecfg (%r8)");
PROGRAM(program_palette_0, "ldtilecfg (%rdi)\n ldtilecfg (%rsi)\n sttilecfg (%r8)");

START_TEST(configurations)
{
    configuration c = {.palette = 1, .start_row = 3}, zero = {0}, got[3];
    agate_amx_tiles tiles = {0};

    if (skipped())
        return;
    for (int i = 0; i < 8; i++) {
        c.rows[i] = (uint8_t)(2 * i + 1);
        c.row_bytes[i] = (uint16_t)(i % 2 ? 64 : 4 * i + 2);
    }
    for (int way = 0; way < 2; way++) {
        memset(got, 0xff, sizeof got);
        if (way)
            walk(program_keep_configuration, &tiles, &c, NULL, NULL, NULL, got, 60);
        else
            program_keep_configuration(&c, NULL, NULL, NULL, got, 60);
        ck_assert_mem_eq(&got[0], &zero, sizeof zero);
        ck_assert_mem_eq(&got[2], &c, sizeof c);
        memset(got, 0xff, sizeof got);
        if (way)
            walk(program_palette_0, &tiles, &c, &zero, NULL, NULL, got, 0);
        else
            program_palette_0(&c, &zero, NULL, NULL, got, 0);
        ck_assert_mem_eq(&got[0], &zero, sizeof zero);
    }
}
END_TEST

/* ---- tiles and memory ---------------------------------------------------------------------------------- */

PROGRAM(program_move,
        "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,1), %tmm5\n tilestored %tmm5, (%r8,%r9,1)\n tilerelease");
PROGRAM(program_move_far, "ldtilecfg (%rdi)\n tileloaddt1 -0x200(%rsi,%r9,1), %tmm5\n"
                          "tilestored %tmm5, 0x40(%r8,%r9,1)\n tilerelease");
PROGRAM(program_gather,
        "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,8), %tmm5\n tilestored %tmm5, (%r8,%r9,4)\n tilerelease");
PROGRAM(program_repeat,
        "ldtilecfg (%rdi)\n tileloadd (%rsi), %tmm5\n tilestored %tmm5, (%r8,%r9,1)\n tilerelease");
PROGRAM(program_zero, "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,1), %tmm5\n tilezero %tmm5\n"
                      "tilestored %tmm5, (%r8,%r9,1)\n tilerelease");

enum { MIDDLE = 16384, MEMORY = 2 * MIDDLE };

typedef struct move {
    program *run;
    int from, to;             /* displacements */
    int from_scale, to_scale; /* of the stride; 0: every row is the same */
    bool zero;
} move;

static const move moves[] = {
    {program_move, 0, 0, 1, 1, false},   {program_move_far, -0x200, 0x40, 1, 1, false},
    {program_gather, 0, 0, 8, 4, false}, {program_repeat, 0, 0, 0, 1, false},
    {program_zero, 0, 0, 1, 1, true},
};

static void check_move(const move *m, int rows, int row_bytes, int64_t stride, const uint8_t *from)
{
    const configuration c = configuration_of(5, rows, row_bytes);
    uint8_t *want = malloc(MEMORY), *got = malloc(MEMORY), *walked = malloc(MEMORY);
    agate_amx_tiles tiles = {0};

    memset(want, 0xaa, MEMORY);
    memset(got, 0xaa, MEMORY);
    memset(walked, 0xaa, MEMORY);
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < row_bytes; i++)
            want[MIDDLE + m->to + row * m->to_scale * stride + i] =
                m->zero ? 0 : from[MIDDLE + m->from + row * m->from_scale * stride + i];
    m->run(&c, from + MIDDLE, NULL, NULL, got + MIDDLE, stride);
    walk(m->run, &tiles, &c, from + MIDDLE, NULL, NULL, walked + MIDDLE, stride);
    ck_assert_msg(memcmp(got, want, MEMORY) == 0, "move %d: %d rows of %d bytes, stride %d", (int)(m - moves),
                  rows, row_bytes, (int)stride);
    ck_assert_mem_eq(walked, want, MEMORY);
    free(want);
    free(got);
    free(walked);
}

START_TEST(tiles_and_memory)
{
    static const int rows[] = {1, 7, 16}, row_bytes[] = {4, 36, 64};
    static const int64_t strides[] = {64, 68, 100, -64, -97, 0};
    uint8_t *from = malloc(MEMORY);

    for (int i = 0; i < MEMORY; i++)
        from[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t i = 0; !skipped() && i < AGATE_COUNT(moves); i++)
        for (int r = 0; r < 3; r++)
            for (int b = 0; b < 3; b++)
                for (size_t s = 0; s < AGATE_COUNT(strides); s++)
                    check_move(&moves[i], rows[r], row_bytes[b], strides[s], from);
    free(from);
}
END_TEST

/* Loads zero what lies beyond a tile's shape, which no instruction shows. */
START_TEST(beyond_the_shape)
{
    const configuration c = configuration_of(5, 3, 8);
    uint8_t from[16 * 64], to[16 * 64];
    agate_amx_tiles tiles = {0};

    memset(from, 0x77, sizeof from);
    walk(program_move, &tiles, &c, from, NULL, NULL, to, 64);
    ck_assert(!tiles.configured); /* TILERELEASE */
    tiles.configured = true;
    tiles.shape[5].rows = 3;
    tiles.shape[5].row_bytes = 8;
    memset(tiles.data, 0xff, sizeof tiles.data);
    agate_amx_instruction load = {.op = AGATE_AMX_TILELOADD, .tiles = {5}, .base = 0, .index = 1, .scale = 1};
    const uint64_t registers[17] = {(uintptr_t)from, 64};
    ck_assert_ptr_null(agate_amx_execute(&tiles, &load, registers));
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < 64; i++)
            ck_assert_uint_eq(tiles.data[5][row][i], row < 3 && i < 8 ? 0x77 : 0);
}
END_TEST

/* ---- every register ------------------------------------------------------------------------------------ */

/* Each is base once and index once. RSP, which is no index, has a program of its own. */
#define FIRST_PAIRS(X)  X(rax, rcx) X(rcx, rdx) X(rdx, rbx) X(rbx, rbp) X(rbp, rsi)
#define SECOND_PAIRS(X) X(rsi, rdi) X(rdi, r8) X(r8, r9) X(r9, r10) X(r10, r11)
#define THIRD_PAIRS(X)  X(r11, r12) X(r12, r13) X(r13, r14) X(r14, r15) X(r15, rax)
#define EACH_PAIR(X)    FIRST_PAIRS(X) SECOND_PAIRS(X) THIRD_PAIRS(X)

#define SAVE    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
#define RESTORE "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx"
#define PAIR_PROGRAM(base, index)                                                                            \
    PROGRAM(program_##base##_##index, SAVE "push %r9\n push %r8\n pop %" #base "\n pop %" #index             \
                                           "\n tilestored %tmm0, (%" #base ",%" #index ",2)\n" RESTORE);
#define PAIR_ROW(base, index) program_##base##_##index,

EACH_PAIR(PAIR_PROGRAM)
PROGRAM(program_rsp, "sub $1024, %rsp\n tilestored %tmm0, (%rsp,%r9,2)\n mov %rsp, %rsi\n mov %r8, %rdi\n"
                     "mov $1024, %ecx\n rep movsb\n add $1024, %rsp");
PROGRAM(program_begin, "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,1), %tmm0");
PROGRAM(program_end, "tilerelease");

START_TEST(each_register)
{
    static program *const each[] = {EACH_PAIR(PAIR_ROW) program_rsp};
    const configuration c = configuration_of(0, 16, 64);
    uint8_t from[1024], to[1024];

    if (skipped())
        return;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 7 + i / 64);
    program_begin(&c, from, NULL, NULL, NULL, 64);
    for (size_t i = 0; i < AGATE_COUNT(each); i++) {
        memset(to, 0, sizeof to);
        each[i](NULL, NULL, NULL, NULL, to, 32);
        ck_assert_msg(memcmp(from, to, sizeof to) == 0, "pair %zu", i);
    }
    program_end(NULL, NULL, NULL, NULL, NULL, 0);
}
END_TEST

/* ---- decoding ------------------------------------------------------------------------------------------ */

/* Every base, index, scale and size of displacement. */
__asm__(".pushsection .text\n"
        "all_addresses:\n"
        ".irp base, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15\n"
        ".irp index, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15\n"
        ".irp scale, 1, 2, 4, 8\n"
        ".irp displacement, 0, 8, -128, 0x1234, -0x12345678\n"
        "tileloadd \\displacement(%\\base,%\\index,\\scale), %tmm6\n"
        ".endr\n .endr\n .endr\n .endr\n"
        "ret\n"
        "other_instructions:\n"
        "tileloadd 0x1000(,%rdx,4), %tmm1\n"
        "tilestored %tmm7, (%r13)\n"
        "tileloaddt1 -1(%r12), %tmm2\n"
        "ldtilecfg (%rax)\n"
        "ldtilecfg 0x7fffffff(%r12)\n"
        "ldtilecfg other_instructions(%rip)\n"
        "sttilecfg (%r13)\n"
        "sttilecfg 8(%rbp,%r15,8)\n"
        "sttilecfg 0x80(,%rcx,1)\n"
        "tilerelease\n"
        "tilezero %tmm7\n"
        "tdpbf16ps %tmm4, %tmm6, %tmm3\n"
        "ret\n"
        ".popsection\n");
extern const uint8_t all_addresses[], other_instructions[];

START_TEST(addresses_are_decoded)
{
    static const int32_t displacements[] = {0, 8, -128, 0x1234, -0x12345678};
    const uint8_t *code = all_addresses;
    agate_amx_instruction i;

    for (int base = 0; base < 16; base++)
        for (int index = 0; index < 16; index++)
            for (int scale = 1; index != 4 && scale <= 8; scale *= 2)
                for (size_t d = 0; d < AGATE_COUNT(displacements); d++) {
                    ck_assert(agate_amx_decode(code, &i));
                    ck_assert_int_eq(i.op, AGATE_AMX_TILELOADD);
                    ck_assert_int_eq(i.tiles[0], 6);
                    ck_assert_int_eq(i.base, base);
                    ck_assert_int_eq(i.index, index);
                    ck_assert_int_eq(i.scale, scale);
                    ck_assert_int_eq(i.displacement, displacements[d]);
                    code += i.length_bytes;
                }
    ck_assert_uint_eq(*code, 0xc3);
}
END_TEST

START_TEST(other_instructions_are_decoded)
{
    enum { NONE = AGATE_AMX_NO_REGISTER, RIP = AGATE_AMX_RIP };
    static const agate_amx_instruction wanted[] = {
        {AGATE_AMX_TILELOADD, 10, {1, 0, 0}, NONE, 2, 4, 0x1000},
        {AGATE_AMX_TILESTORED, 7, {7, 0, 0}, 13, NONE, 1, 0},
        {AGATE_AMX_TILELOADD, 7, {2, 0, 0}, 12, NONE, 1, -1},
        {AGATE_AMX_LDTILECFG, 5, {0}, 0, NONE, 1, 0},
        {AGATE_AMX_LDTILECFG, 10, {0}, 12, NONE, 1, 0x7fffffff},
        {AGATE_AMX_LDTILECFG, 9, {0}, RIP, NONE, 1, -(10 + 7 + 7 + 5 + 10 + 9)},
        {AGATE_AMX_STTILECFG, 6, {0}, 13, NONE, 1, 0},
        {AGATE_AMX_STTILECFG, 7, {0}, 5, 15, 8, 8},
        {AGATE_AMX_STTILECFG, 10, {0}, NONE, 1, 1, 0x80},
        {AGATE_AMX_TILERELEASE, 5, {0}, NONE, NONE, 1, 0},
        {AGATE_AMX_TILEZERO, 5, {7, 0, 0}, NONE, NONE, 1, 0},
        {AGATE_AMX_TDPBF16PS, 5, {3, 6, 4}, NONE, NONE, 1, 0},
    };
    const uint8_t *code = other_instructions;
    agate_amx_instruction got;

    for (size_t i = 0; i < AGATE_COUNT(wanted); i++) {
        const agate_amx_instruction *want = &wanted[i];
        ck_assert_msg(agate_amx_decode(code, &got), "instruction %zu", i);
        ck_assert_msg(got.op == want->op && got.length_bytes == want->length_bytes &&
                          got.base == want->base && got.index == want->index && got.scale == want->scale &&
                          got.displacement == want->displacement,
                      "instruction %zu: op %d, %d bytes, base %d, index %d, scale %d, displacement %d", i,
                      got.op, got.length_bytes, got.base, got.index, got.scale, got.displacement);
        if (want->op != AGATE_AMX_LDTILECFG && want->op != AGATE_AMX_STTILECFG)
            ck_assert_mem_eq(got.tiles, want->tiles, want->op == AGATE_AMX_TDPBF16PS ? 3 : 1);
        code += got.length_bytes;
    }
    ck_assert_uint_eq(*code, 0xc3);
}
END_TEST

START_TEST(strangers_are_left_alone)
{
    static const uint8_t strangers[][7] = {
        {0x0f, 0x0b},                   /* UD2 */
        {0xc4, 0xe1, 0x78, 0x49, 0xc0}, /* another map */
        {0xc4, 0xe2, 0xf8, 0x49, 0xc0}, /* W 1 */
        {0xc4, 0xe2, 0x7c, 0x49, 0xc0}, /* L 1 */
        {0xc4, 0xe2, 0x70, 0x49, 0xc0}, /* vvvv used by what has no third operand */
        {0xc4, 0xe2, 0x78, 0x49, 0xc1}, /* no TILERELEASE */
        {0xc4, 0xe2, 0x7b, 0x49, 0xc1}, /* no TILEZERO */
        {0xc4, 0x62, 0x7b, 0x49, 0xc0}, /* TILEZERO of tile 8 */
        {0xc4, 0xe2, 0x78, 0x49, 0x08}, /* no LDTILECFG */
        {0xc4, 0xe2, 0x7b, 0x4b, 0x00}, /* TILELOADD without SIB */
        {0xc4, 0xe2, 0x7b, 0x4b, 0xc4}, /* TILELOADD of a register */
        {0xc4, 0xe2, 0x7b, 0x5e, 0xc1}, /* TDPBSSD */
        {0xc4, 0xe2, 0x32, 0x5c, 0xc1}, /* TDPBF16PS of tile 9 */
        {0xc4, 0xe2, 0x71, 0x5c, 0xc1}, /* another prefix */
        {0xc5, 0xf8, 0x77},             /* VZEROUPPER */
    };
    agate_amx_instruction i;

    for (size_t n = 0; n < AGATE_COUNT(strangers); n++)
        ck_assert_msg(!agate_amx_decode(strangers[n], &i), "stranger %zu", n);
}
END_TEST

/* ---- threads, and the ends of pages -------------------------------------------------------------------- */

PROGRAM(program_store, "tilestored %tmm0, (%r8,%r9,1)");

static void *other_thread(void *argument)
{
    const configuration c = configuration_of(0, 2, 8);
    configuration got = {.palette = 9};
    int32_t ones[4] = {1, 1, 1, 1};

    program_store_configuration(NULL, NULL, NULL, NULL, &got, 0);
    *(bool *)argument = got.palette == 0;
    program_begin(&c, ones, NULL, NULL, NULL, 8);
    return NULL;
}

START_TEST(threads_have_their_own)
{
    const configuration c = configuration_of(0, 4, 8);
    int32_t from[8] = {1, 2, 3, 4, 5, 6, 7, 8}, to[8] = {0};
    bool fresh = false;
    pthread_t thread;

    if (skipped())
        return;
    program_begin(&c, from, NULL, NULL, NULL, 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, &fresh), 0);
    pthread_join(thread, NULL);
    program_store(NULL, NULL, NULL, NULL, to, 8);
    program_end(NULL, NULL, NULL, NULL, NULL, 0);
    ck_assert(fresh);
    ck_assert_mem_eq(from, to, sizeof from);
}
END_TEST

START_TEST(code_at_the_end_of_a_page)
{
    static const uint8_t release_and_return[] = {0xc4, 0xe2, 0x78, 0x49, 0xc0, 0xc3};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *code = map + page - sizeof release_and_return;

    ck_assert(map != MAP_FAILED);
    memcpy(code, release_and_return, sizeof release_and_return);
    mprotect(map, page, PROT_READ | PROT_EXEC);
    mprotect(map + page, page, PROT_NONE);
    if (!skipped())
        ((void (*)(void))(uintptr_t)code)();
    munmap(map, 2 * page);
}
END_TEST

/* ---- faults -------------------------------------------------------------------------------------------- */

PROGRAM(program_configure, "ldtilecfg (%rdi)");
PROGRAM(program_unconfigured, "tilerelease\n tilezero %tmm0");
PROGRAM(program_load_3, "ldtilecfg (%rdi)\n tileloadd (%rsi,%r9,1), %tmm3");
PROGRAM(program_multiply, "ldtilecfg (%rdi)\n tdpbf16ps %tmm2, %tmm1, %tmm0");
PROGRAM(program_same, "ldtilecfg (%rdi)\n .byte 0xc4, 0xe2, 0x72, 0x5c, 0xc1"); /* TMM0, TMM1, TMM1 */
PROGRAM(program_illegal, "ud2");

typedef struct fault_case {
    program *run;
    configuration config;
    const char *message; /* begins so; "": none of ours */
} fault_case;

#define SHAPES(r0, c0, r1, c1, r2, c2)                                                                       \
    {                                                                                                        \
        .palette = 1, .rows = {r0, r1, r2}, .row_bytes = { c0, c1, c2 }                                      \
    }

static const fault_case faults[] = {
    {program_configure, {.palette = 2}, "AMX: LDTILECFG of a palette"},
    {program_configure, {.palette = 1, .zero2 = {0, 1}}, "AMX: LDTILECFG with reserved bytes"},
    {program_configure, {.palette = 1, .zero1 = {[13] = 1}}, "AMX: LDTILECFG with reserved bytes"},
    {program_configure, {.palette = 1, .zero3 = {[7] = 1}}, "AMX: LDTILECFG with reserved bytes"},
    {program_configure, SHAPES(17, 64, 0, 0, 0, 0), "AMX: LDTILECFG with more than 16 rows"},
    {program_configure, SHAPES(16, 65, 0, 0, 0, 0), "AMX: LDTILECFG with rows of more than 64 bytes"},
    {program_configure, SHAPES(0, 64, 0, 0, 0, 0), "AMX: LDTILECFG with a tile of which only"},
    {program_unconfigured, {0}, "AMX: a tile is used with no configuration"},
    {program_load_3, SHAPES(16, 64, 0, 0, 0, 0), "AMX: a tile is used that the configuration gives no rows"},
    {program_load_3, {.palette = 1, .rows = {[3] = 2}, .row_bytes = {[3] = 6}}, "AMX: a tile is moved whose"},
    {program_load_3,
     {.palette = 1, .start_row = 2, .rows = {[3] = 2}, .row_bytes = {[3] = 8}},
     "AMX: a tile is moved that has no row"},
    {program_multiply, SHAPES(4, 64, 5, 64, 16, 64), "AMX: TDPBF16PS: the sums have not as many rows"},
    {program_multiply, SHAPES(4, 64, 4, 64, 16, 60), "AMX: TDPBF16PS: the sums have not as many columns"},
    {program_multiply, SHAPES(4, 64, 4, 60, 16, 64), "AMX: TDPBF16PS: the first factor"},
    {program_multiply, SHAPES(4, 62, 4, 64, 16, 62), "AMX: TDPBF16PS of rows"},
    {program_multiply, SHAPES(4, 64, 4, 64, 0, 0),
     "AMX: a tile is used that the configuration gives no rows"},
    {program_same, SHAPES(16, 64, 16, 64, 16, 64), "AMX: TDPBF16PS with a tile that it names twice"},
    {program_illegal, {0}, ""},
};

/* Runs in a process of its own; returns how that ended and what it said. */
static int run_apart(const fault_case *c, void (*prepare)(void), char *said, size_t room)
{
    char memory[1024] = {0};
    int ends[2], status = 0;

    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        prepare();
        c->run(&c->config, memory, NULL, NULL, memory, 64);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length + 1 < room && (got = read(ends[0], said + length, room - length - 1)) > 0;)
        length += (size_t)got;
    said[length] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

/* The tests' own handlers, of a sanitizer for one, are out of the way. */
static void prepare_default(void)
{
    signal(SIGILL, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    if (agate_amx_start() == AGATE_AMX_EMULATED)
        agate_amx_install();
}

START_TEST(faults_end_the_process)
{
    const fault_case *c = &faults[_i];
    char said[512];

    if (skipped())
        return;
    const int status = run_apart(c, prepare_default, said, sizeof said);
    ck_assert_msg(WIFSIGNALED(status), "case %d ends with status %d and says \"%s\"", _i, status, said);
    if (agate_amx_start() == AGATE_AMX_EMULATED) {
        ck_assert_int_eq(WTERMSIG(status), SIGILL);
        ck_assert_msg(c->message[0] ? strncmp(said, c->message, strlen(c->message)) == 0 : said[0] == 0,
                      "case %d says \"%s\"", _i, said);
    } else {
        ck_assert_int_eq(WTERMSIG(status), c->run == program_configure ? SIGSEGV : SIGILL);
    }
}
END_TEST

static void on_other(int number)
{
    _exit(number == SIGILL ? 7 : 8);
}

static void prepare_other(void)
{
    signal(SIGILL, on_other);
    agate_amx_install();
    agate_amx_install(); /* its own predecessor is not itself */
}

START_TEST(others_get_what_is_not_ours)
{
    const fault_case illegal = {program_illegal, {0}, ""};
    char said[512];

    const int status = run_apart(&illegal, prepare_other, said, sizeof said);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

/* ---- what is claimed ----------------------------------------------------------------------------------- */

START_TEST(features_are_claimed)
{
    const uint32_t amx = AGATE_CPU_AMX_TILE | AGATE_CPU_AMX_BF16, features = agate_cpu_features();

    ck_assert_int_eq((features & amx) == amx, agate_amx_start() != AGATE_AMX_ABSENT);
    ck_assert_uint_eq(agate_cpu_features_with(0, features), features);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("amx");
    TCase *tests = tcase_create("amx");
    tcase_add_test(tests, configurations);
    tcase_add_test(tests, tiles_and_memory);
    tcase_add_test(tests, beyond_the_shape);
    tcase_add_test(tests, each_register);
    tcase_add_test(tests, addresses_are_decoded);
    tcase_add_test(tests, other_instructions_are_decoded);
    tcase_add_test(tests, strangers_are_left_alone);
    tcase_add_test(tests, threads_have_their_own);
    tcase_add_test(tests, code_at_the_end_of_a_page);
    tcase_add_loop_test(tests, faults_end_the_process, 0, AGATE_COUNT(faults));
    tcase_add_test(tests, others_get_what_is_not_ours);
    tcase_add_test(tests, features_are_claimed);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
