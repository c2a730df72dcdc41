/* amx.h: AMX-TILE and AMX-BF16 in software, so that what is compiled for them runs and is tested on CPUs
 * without.
 *
 * A program that links agate_emulate (tests/emulate/CMakeLists.txt) finds AMX among agate_cpu_features
 * wherever there is AVX-512: where the CPU has no tiles, the first call installs a handler of SIGILL that
 * executes the instructions that LLVM emits for them. Their values are those of the pseudo-code in Intel's
 * manual; their speed is that of a signal for each run of adjacent ones, about a million a second at best.
 *
 * A tile file is palette 1: 8 tiles of at most 16 rows of 64 bytes. Every thread has its own.
 */
#ifndef AGATE_TESTS_AMX_H
#define AGATE_TESTS_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AGATE_AMX_TILES = 8, AGATE_AMX_ROWS = 16, AGATE_AMX_ROW_BYTES = 64, AGATE_AMX_CONFIG_BYTES = 64 };

/* ---- using it ------------------------------------------------------------------------------------------ */

typedef enum agate_amx_means {
    AGATE_AMX_ABSENT,   /* neither AMX nor the AVX-512 that emulating it takes */
    AGATE_AMX_EMULATED, /* the handler is installed */
    AGATE_AMX_NATIVE,   /* the CPU has it and the system lets us */
} agate_amx_means;

/* How AMX instructions are executed from now on. The first call installs the handler if need be.
 * Thread-safe. */
agate_amx_means agate_amx_start(void);

/* ---- its parts, for its own test ----------------------------------------------------------------------- */

typedef enum agate_amx_op {
    AGATE_AMX_LDTILECFG,
    AGATE_AMX_STTILECFG,
    AGATE_AMX_TILERELEASE,
    AGATE_AMX_TILEZERO,
    AGATE_AMX_TILELOADD, /* TILELOADDT1, too */
    AGATE_AMX_TILESTORED,
    AGATE_AMX_TDPBF16PS,
} agate_amx_op;

/* Registers by their number in encodings: RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15, and RIP. */
enum { AGATE_AMX_RIP = 16, AGATE_AMX_NO_REGISTER = -1 };

typedef struct agate_amx_instruction {
    agate_amx_op op;
    int32_t length_bytes;
    uint8_t tiles[3];   /* that it names: destination or source of a store; first factor, second factor */
    int8_t base, index; /* registers or none */
    uint8_t scale;      /* of the index: 1, 2, 4, 8 */
    int32_t displacement;
} agate_amx_instruction;

/* Zero-initialize: not configured. */
typedef struct agate_amx_tiles {
    bool configured;
    uint8_t start_row;
    struct {
        uint16_t row_bytes;
        uint8_t rows;
    } shape[AGATE_AMX_TILES];
    /* Zero beyond its shape. */
    uint8_t data[AGATE_AMX_TILES][AGATE_AMX_ROWS][AGATE_AMX_ROW_BYTES] __attribute__((aligned(64)));
} agate_amx_tiles;

/* Reads the instruction at `code`, and no byte behind it. False: it is none of ours. */
bool agate_amx_decode(const uint8_t *code, agate_amx_instruction *out_instruction);

/* Executes it. `registers`: the 16, and RIP behind the instruction. Returns why the CPU would have raised #UD
 * or #GP; NULL: done. Needs AVX-512F. */
const char *agate_amx_execute(agate_amx_tiles *tiles, const agate_amx_instruction *instruction,
                              const uint64_t registers[17]);

/* What its operand in memory begins with, and the index register times the scale: a tile's rows lie that far
 * apart. */
uint8_t *agate_amx_memory(const agate_amx_instruction *instruction, const uint64_t registers[17],
                          uint64_t *out_stride);

/* Counts what an instruction that was executed has read (count.c). Not thread-safe. */
void agate_amx_count(const agate_amx_tiles *tiles, const agate_amx_instruction *instruction,
                     const uint64_t registers[17]);

/* Takes over SIGILL; what is not ours goes to whoever had it before. */
bool agate_amx_install(void);

#endif
