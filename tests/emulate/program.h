/* program.h: AMX instructions for tests, run by whoever runs them here and by the emulator's functions. */
#ifndef AGATE_TESTS_AMX_PROGRAM_H
#define AGATE_TESTS_AMX_PROGRAM_H

#include <check.h>
#include <stdio.h>

#include "tests/emulate/amx.h"

/* Programs of AMX instructions alone, with arguments in RDI RSI RDX RCX R8 R9. */
typedef void program(const void *rdi, const void *rsi, const void *rdx, const void *rcx, void *r8,
                     int64_t r9);

#define PROGRAM(name, text)                                                                                  \
    void name(const void *, const void *, const void *, const void *, void *, int64_t);                      \
    __asm__(".pushsection .text\n" #name ":\n" text "\nret\n.popsection\n")

static inline bool skipped(void)
{
    if (agate_amx_start() != AGATE_AMX_ABSENT)
        return false;
    printf("SKIP AMX: this CPU has neither it nor the AVX-512 that emulating it takes\n");
    return true;
}

/* The program as the emulator's functions execute it. */
static inline void walk(program *run, agate_amx_tiles *tiles, const void *rdi, const void *rsi,
                        const void *rdx, const void *rcx, void *r8, int64_t r9)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)run;
    uint64_t registers[17] = {[7] = (uintptr_t)rdi, [6] = (uintptr_t)rsi, [2] = (uintptr_t)rdx,
                              [1] = (uintptr_t)rcx, [8] = (uintptr_t)r8,  [9] = (uint64_t)r9};
    agate_amx_instruction instruction;

    for (; agate_amx_decode(code, &instruction); code += instruction.length_bytes) {
        registers[AGATE_AMX_RIP] = (uintptr_t)code + (uint64_t)instruction.length_bytes;
        const char *fault = agate_amx_execute(tiles, &instruction, registers);
        ck_assert_msg(!fault, "%s", fault);
    }
    ck_assert_uint_eq(*code, 0xc3); /* RET: nothing was taken for the end that is not */
}

/* As LDTILECFG reads it. */
typedef struct configuration {
    uint8_t palette, start_row, zero1[14];
    uint16_t row_bytes[8], zero2[8];
    uint8_t rows[8], zero3[8];
} configuration;
_Static_assert(sizeof(configuration) == 64, "palette 1");

/* One tile of this shape. */
static inline configuration configuration_of(int tile, int rows, int row_bytes)
{
    configuration c = {.palette = 1};

    c.rows[tile] = (uint8_t)rows;
    c.row_bytes[tile] = (uint16_t)row_bytes;
    return c;
}

#endif
