/* decode.c: what an AMX instruction is and names.
 *
 * All have a VEX prefix of three bytes, C4 RXBmmmmm WvvvvLpp, map 0F38, W 0 and L 0; R, X, B and vvvv lie
 * inverted. By their opcode and pp (Intel's manual, volume 2, has one line of encoding for each):
 *
 *     49 none  LDTILECFG m512 (reg 0); TILERELEASE (ModRM C0)
 *     49 66    STTILECFG m512 (reg 0)
 *     49 F2    TILEZERO tmm(reg), rm 0
 *     4B F2    TILELOADD tmm(reg), sibmem
 *     4B 66    TILELOADDT1 tmm(reg), sibmem
 *     4B F3    TILESTORED sibmem, tmm(reg)
 *     5C F3    TDPBF16PS tmm(reg), tmm(rm), tmm(vvvv)
 *
 * "sibmem" is memory that a SIB byte names: row r lies at base + displacement + r * (index * scale).
 */
#include <string.h>

#include "tests/emulate/amx.h"

enum { NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 };

typedef struct encoding {
    uint8_t opcode, prefix;
    bool memory;
    agate_amx_op op;
} encoding;

static const encoding encodings[] = {
    {0x49, NO_PREFIX, true, AGATE_AMX_LDTILECFG},    {0x49, PREFIX_66, true, AGATE_AMX_STTILECFG},
    {0x49, NO_PREFIX, false, AGATE_AMX_TILERELEASE}, {0x49, PREFIX_F2, false, AGATE_AMX_TILEZERO},
    {0x4b, PREFIX_F2, true, AGATE_AMX_TILELOADD},    {0x4b, PREFIX_66, true, AGATE_AMX_TILELOADD},
    {0x4b, PREFIX_F3, true, AGATE_AMX_TILESTORED},   {0x5c, PREFIX_F3, false, AGATE_AMX_TDPBF16PS},
};

static const encoding *find(uint8_t opcode, uint8_t prefix, bool memory)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (encodings[i].opcode == opcode && encodings[i].prefix == prefix && encodings[i].memory == memory)
            return &encodings[i];
    return NULL;
}

/* The operand in memory. `code` stands behind ModRM; returns what follows. `x` and `b` are 8 or 0. */
static const uint8_t *decode_memory(const uint8_t *code, uint8_t modrm, int x, int b, bool *out_sib,
                                    agate_amx_instruction *out)
{
    const int mod = modrm >> 6, rm = modrm & 7;
    int displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    *out_sib = rm == 4;
    out->base = (int8_t)(rm | b);
    out->index = AGATE_AMX_NO_REGISTER;
    out->scale = 1;
    if (*out_sib) {
        const uint8_t sib = *code++;
        const int index = (sib >> 3 & 7) | x;
        out->base = (int8_t)((sib & 7) | b);
        out->index = index == 4 ? AGATE_AMX_NO_REGISTER : (int8_t)index;
        out->scale = (uint8_t)(1 << (sib >> 6));
    }
    if (mod == 0 && (*out_sib ? out->base & 7 : rm) == 5) {
        out->base = *out_sib ? AGATE_AMX_NO_REGISTER : AGATE_AMX_RIP;
        displacement_bytes = 4;
    }
    out->displacement = displacement_bytes == 1 ? (int8_t)*code : 0;
    if (displacement_bytes == 4)
        memcpy(&out->displacement, code, 4);
    return code + displacement_bytes;
}

bool agate_amx_decode(const uint8_t *code, agate_amx_instruction *out_instruction)
{
    const uint8_t *start = code;

    /* Byte by byte: the next may lie in a page that is not there. */
    if (*code++ != 0xc4)
        return false;
    const uint8_t registers = *code++, rest = registers & 0x1f;
    if (rest != 2)
        return false;
    const uint8_t vex = *code++, vvvv = ~vex >> 3 & 15;
    if (vex & 0x84)
        return false;
    const uint8_t opcode = *code++;
    if (opcode != 0x49 && opcode != 0x4b && opcode != 0x5c)
        return false;
    const uint8_t modrm = *code++, reg = modrm >> 3 & 7, rm = modrm & 7;
    const int r = ~registers >> 4 & 8, x = ~registers >> 3 & 8, b = ~registers >> 2 & 8;
    const encoding *e = find(opcode, vex & 3, modrm >> 6 != 3);
    bool sib = false;

    if (!e || r || (e->op != AGATE_AMX_TDPBF16PS && vvvv))
        return false;
    *out_instruction = (agate_amx_instruction){
        .op = e->op,
        .tiles = {reg, rm, vvvv & 7},
        .base = AGATE_AMX_NO_REGISTER,
        .index = AGATE_AMX_NO_REGISTER,
        .scale = 1,
    };
    if (e->memory)
        code = decode_memory(code, modrm, x, b, &sib, out_instruction);
    out_instruction->length_bytes = (int32_t)(code - start);
    switch (e->op) {
    case AGATE_AMX_LDTILECFG:
    case AGATE_AMX_STTILECFG:
        return reg == 0;
    case AGATE_AMX_TILERELEASE:
        return modrm == 0xc0 && !b;
    case AGATE_AMX_TILEZERO:
        return rm == 0 && !b;
    case AGATE_AMX_TILELOADD:
    case AGATE_AMX_TILESTORED:
        return sib;
    case AGATE_AMX_TDPBF16PS:
        return vvvv < AGATE_AMX_TILES && !b;
    }
    return false;
}
