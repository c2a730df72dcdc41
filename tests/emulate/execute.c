/* execute.c: what AMX instructions do to a tile file and to memory.
 *
 * Taken from the pseudo-code of Intel's manual (volume 2, and volume 1, chapter 18):
 *
 *     TDPBF16PS C, A, B: for each row m of C
 *         even[n] = odd[n] = 0 for each column n
 *         for each pair k of the row:                         one rounding for product and sum
 *             even[n] = fma(A[m][2k],     B[k][2n],     even[n])
 *             odd[n]  = fma(A[m][2k + 1], B[k][2n + 1], odd[n])
 *         C[m][n] = C[m][n] + (even[n] + odd[n])
 *
 * in f32, rounded to nearest even, denormal operands taken as zero and denormal results made zero, MXCSR
 * neither asked nor changed. Loads and LDTILECFG zero what lies beyond a tile's shape; TDPBF16PS zeroes it in
 * the rows that it writes. Restarting within a tile (start_row) is kept as far as a program can see it
 * without a page fault.
 */
#include <immintrin.h>
#include <string.h>

#include "tests/emulate/amx.h"

typedef const char *fault;

/* ---- the configuration --------------------------------------------------------------------------------- */

/* palette, start_row, 14 of 0, 8 x row bytes (16 bits), 16 of 0, 8 x rows, 8 of 0. */
enum { COLSB_AT = 16, ROWS_AT = 48 };

static bool is_zero(const uint8_t *bytes, size_t first, size_t end)
{
    while (first < end && bytes[first] == 0)
        first++;
    return first == end;
}

static fault load_configuration(agate_amx_tiles *tiles, const void *memory)
{
    uint8_t bytes[AGATE_AMX_CONFIG_BYTES];
    agate_amx_tiles fresh = {.configured = true};

    memcpy(bytes, memory, sizeof bytes);
    if (bytes[0] == 0) {
        *tiles = (agate_amx_tiles){0};
        return NULL;
    }
    if (bytes[0] != 1)
        return "LDTILECFG of a palette that is neither 0 nor 1";
    if (!is_zero(bytes, 2, COLSB_AT) || !is_zero(bytes, COLSB_AT + 2 * AGATE_AMX_TILES, ROWS_AT) ||
        !is_zero(bytes, ROWS_AT + AGATE_AMX_TILES, sizeof bytes))
        return "LDTILECFG with reserved bytes that are not 0";
    fresh.start_row = bytes[1];
    for (int i = 0; i < AGATE_AMX_TILES; i++) {
        memcpy(&fresh.shape[i].row_bytes, bytes + COLSB_AT + 2 * i, 2);
        fresh.shape[i].rows = bytes[ROWS_AT + i];
        if (fresh.shape[i].row_bytes > AGATE_AMX_ROW_BYTES)
            return "LDTILECFG with rows of more than 64 bytes (colsb)";
        if (fresh.shape[i].rows > AGATE_AMX_ROWS)
            return "LDTILECFG with more than 16 rows";
        if ((fresh.shape[i].rows == 0) != (fresh.shape[i].row_bytes == 0))
            return "LDTILECFG with a tile of which only rows or only colsb is 0";
    }
    *tiles = fresh;
    return NULL;
}

static void store_configuration(const agate_amx_tiles *tiles, void *memory)
{
    uint8_t bytes[AGATE_AMX_CONFIG_BYTES] = {tiles->configured, tiles->start_row};

    for (int i = 0; i < AGATE_AMX_TILES; i++) {
        memcpy(bytes + COLSB_AT + 2 * i, &tiles->shape[i].row_bytes, 2);
        bytes[ROWS_AT + i] = tiles->shape[i].rows;
    }
    memcpy(memory, bytes, sizeof bytes);
}

/* ---- tiles and memory ---------------------------------------------------------------------------------- */

static fault check_tile(const agate_amx_tiles *tiles, int tile)
{
    if (!tiles->configured)
        return "a tile is used with no configuration";
    if (tiles->shape[tile].rows == 0)
        return "a tile is used that the configuration gives no rows";
    return NULL;
}

static fault check_moved(const agate_amx_tiles *tiles, int tile)
{
    fault f = check_tile(tiles, tile);

    if (!f && tiles->shape[tile].row_bytes % 4 != 0)
        f = "a tile is moved whose rows (colsb) are no multiple of 4 bytes";
    if (!f && tiles->start_row >= tiles->shape[tile].rows)
        f = "a tile is moved that has no row to start at (start_row)";
    return f;
}

static uint64_t read_register(const uint64_t registers[17], int number)
{
    return number == AGATE_AMX_NO_REGISTER ? 0 : registers[number];
}

uint8_t *agate_amx_memory(const agate_amx_instruction *i, const uint64_t registers[17], uint64_t *out_stride)
{
    *out_stride = read_register(registers, i->index) * i->scale;
    return (uint8_t *)(uintptr_t)(read_register(registers, i->base) + (uint64_t)(int64_t)i->displacement);
}

static fault load_tile(agate_amx_tiles *tiles, int tile, const uint8_t *memory, uint64_t stride)
{
    fault f = check_moved(tiles, tile);

    if (f)
        return f;
    if (tiles->start_row == 0)
        memset(tiles->data[tile], 0, sizeof tiles->data[tile]);
    for (uint64_t row = tiles->start_row; row < tiles->shape[tile].rows; row++)
        memcpy(tiles->data[tile][row], (const uint8_t *)((uintptr_t)memory + row * stride),
               tiles->shape[tile].row_bytes);
    tiles->start_row = 0;
    return NULL;
}

static fault store_tile(agate_amx_tiles *tiles, int tile, uint8_t *memory, uint64_t stride)
{
    fault f = check_moved(tiles, tile);

    if (f)
        return f;
    for (uint64_t row = tiles->start_row; row < tiles->shape[tile].rows; row++)
        memcpy((uint8_t *)((uintptr_t)memory + row * stride), tiles->data[tile][row],
               tiles->shape[tile].row_bytes);
    tiles->start_row = 0;
    return NULL;
}

static fault zero_tile(agate_amx_tiles *tiles, int tile)
{
    fault f = check_tile(tiles, tile);

    if (f)
        return f;
    memset(tiles->data[tile], 0, sizeof tiles->data[tile]);
    tiles->start_row = 0;
    return NULL;
}

/* ---- products ------------------------------------------------------------------------------------------ */

static fault check_products(const agate_amx_tiles *tiles, int c, int a, int b)
{
    const int all[] = {c, a, b};

    if (c == a || c == b || a == b)
        return "TDPBF16PS with a tile that it names twice";
    for (int i = 0; i < 3; i++) {
        fault f = check_tile(tiles, all[i]);
        if (f)
            return f;
        if (tiles->shape[all[i]].row_bytes % 4 != 0)
            return "TDPBF16PS of rows (colsb) that are no multiple of 4 bytes";
    }
    if (tiles->shape[c].rows != tiles->shape[a].rows)
        return "TDPBF16PS: the sums have not as many rows as the first factor";
    if (tiles->shape[c].row_bytes != tiles->shape[b].row_bytes)
        return "TDPBF16PS: the sums have not as many columns as the second factor";
    if (tiles->shape[a].row_bytes / 4 != tiles->shape[b].rows)
        return "TDPBF16PS: the first factor has not as many pairs in a row as the second has rows";
    return NULL;
}

/* As MXCSR says; never inlined, so that nothing of it moves across the change of MXCSR. */
__attribute__((target("avx512f"), noinline)) static void add_products(uint8_t (*c)[AGATE_AMX_ROW_BYTES],
                                                                      const uint8_t (*a)[AGATE_AMX_ROW_BYTES],
                                                                      const uint8_t (*b)[AGATE_AMX_ROW_BYTES],
                                                                      int rows, int pairs, int columns)
{
    const __mmask16 live = (__mmask16)((1u << columns) - 1);
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512 b_even[AGATE_AMX_ROWS], b_odd[AGATE_AMX_ROWS];

    for (int k = 0; k < pairs; k++) {
        const __m512i both = _mm512_loadu_si512(b[k]);
        b_even[k] = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
        b_odd[k] = _mm512_castsi512_ps(_mm512_and_si512(both, high));
    }
    for (int m = 0; m < rows; m++) {
        __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
        for (int k = 0; k < pairs; k++) {
            int pair;
            memcpy(&pair, a[m] + 4 * k, 4);
            const __m512i both = _mm512_set1_epi32(pair);
            even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), b_even[k], even);
            odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(both, high)), b_odd[k], odd);
        }
        const __m512 sum = _mm512_add_ps(_mm512_loadu_ps(c[m]), _mm512_add_ps(even, odd));
        _mm512_storeu_ps(c[m], _mm512_maskz_mov_ps(live, sum));
    }
}

static fault multiply_tiles(agate_amx_tiles *tiles, int c, int a, int b)
{
    fault f = check_products(tiles, c, a, b);

    if (f)
        return f;
    /* All exceptions masked, to nearest even; flush to zero, denormals are zeros. */
    const unsigned before = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8000 | 0x0040);
    add_products(tiles->data[c], tiles->data[a], tiles->data[b], tiles->shape[c].rows, tiles->shape[b].rows,
                 tiles->shape[c].row_bytes / 4);
    _mm_setcsr(before);
    tiles->start_row = 0;
    return NULL;
}

const char *agate_amx_execute(agate_amx_tiles *tiles, const agate_amx_instruction *i,
                              const uint64_t registers[17])
{
    uint64_t stride;
    uint8_t *memory = agate_amx_memory(i, registers, &stride);

    switch (i->op) {
    case AGATE_AMX_LDTILECFG:
        return load_configuration(tiles, memory + stride);
    case AGATE_AMX_STTILECFG:
        store_configuration(tiles, memory + stride);
        return NULL;
    case AGATE_AMX_TILERELEASE:
        *tiles = (agate_amx_tiles){0};
        return NULL;
    case AGATE_AMX_TILEZERO:
        return zero_tile(tiles, i->tiles[0]);
    case AGATE_AMX_TILELOADD:
        return load_tile(tiles, i->tiles[0], memory, stride);
    case AGATE_AMX_TILESTORED:
        return store_tile(tiles, i->tiles[0], memory, stride);
    case AGATE_AMX_TDPBF16PS:
        return multiply_tiles(tiles, i->tiles[0], i->tiles[1], i->tiles[2]);
    }
    return "an unknown AMX instruction";
}
