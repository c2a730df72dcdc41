/* elf.c: a relocatable ELF object of data. Head, parts, symbols, names, section headers, in that order. */
#include "backend/elf.h"

#include <elf.h>
#include <unistd.h>

/* Sections besides the parts: the null section in front, and these behind. */
enum { NULL_SECTION = 1, STACK_NOTE = 0, SYMBOLS, NAMES, EXTRA_COUNT };

typedef struct layout {
    Elf64_Ehdr head;
    Elf64_Sym symbols[AGATE_ELF_PARTS + 1];
    Elf64_Shdr sections[NULL_SECTION + AGATE_ELF_PARTS + EXTRA_COUNT];
    agate_text names;
    size_t symbol_count;
    uint64_t at; /* what is laid out so far, in bytes */
} layout;

static uint32_t add_name(layout *l, const char *name)
{
    uint32_t at = (uint32_t)l->names.size_bytes;

    agate_text_add_bytes(&l->names, name, strlen(name) + 1);
    return at;
}

/* Gives a section the next place in the file. */
static void place(layout *l, Elf64_Shdr *section, uint64_t size_bytes, uint64_t alignment)
{
    l->at = (l->at + alignment - 1) / alignment * alignment;
    section->sh_offset = l->at;
    section->sh_size = size_bytes;
    section->sh_addralign = alignment;
    l->at += size_bytes;
}

static void lay_out_parts(layout *l, const agate_elf_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Elf64_Shdr *section = &l->sections[NULL_SECTION + i];
        section->sh_name = add_name(l, parts[i].section);
        section->sh_type = SHT_PROGBITS;
        section->sh_flags = parts[i].symbol ? SHF_ALLOC : 0;
        place(l, section, parts[i].size_bytes, parts[i].alignment);
        if (!parts[i].symbol)
            continue;
        l->symbols[++l->symbol_count] = (Elf64_Sym){
            .st_name = add_name(l, parts[i].symbol),
            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
            .st_shndx = (uint16_t)(NULL_SECTION + i),
            .st_size = parts[i].size_bytes,
        };
    }
}

static void lay_out(layout *l, const agate_elf_part *parts, size_t count)
{
    Elf64_Shdr *extra = &l->sections[NULL_SECTION + count];

    l->at = sizeof l->head;
    add_name(l, "");
    lay_out_parts(l, parts, count);
    extra[STACK_NOTE].sh_name =
        add_name(l, ".note.GNU-stack"); /* says that the stack need not be executable */
    extra[STACK_NOTE].sh_type = SHT_PROGBITS;
    place(l, &extra[STACK_NOTE], 0, 1);
    extra[SYMBOLS].sh_name = add_name(l, ".symtab");
    extra[SYMBOLS].sh_type = SHT_SYMTAB;
    extra[SYMBOLS].sh_link = (uint32_t)(NULL_SECTION + count + NAMES);
    extra[SYMBOLS].sh_info = 1; /* the first global symbol */
    extra[SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
    place(l, &extra[SYMBOLS], (l->symbol_count + 1) * sizeof(Elf64_Sym), 8);
    extra[NAMES].sh_name = add_name(l, ".strtab");
    extra[NAMES].sh_type = SHT_STRTAB;
    place(l, &extra[NAMES], l->names.size_bytes, 1);
    l->at = (l->at + 7) / 8 * 8;
    l->head = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = l->at,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = (uint16_t)(NULL_SECTION + count + EXTRA_COUNT),
        .e_shstrndx = (uint16_t)(NULL_SECTION + count + NAMES),
    };
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* Zeros up to `to`, less than a page away. */
static bool fill(FILE *file, uint64_t *at, uint64_t to)
{
    static const char zeros[4096];
    size_t size = (size_t)(to - *at);

    assert(to >= *at && size <= sizeof zeros);
    *at = to;
    return fwrite(zeros, 1, size, file) == size;
}

static bool write_at(FILE *file, uint64_t *at, uint64_t to, const void *bytes, uint64_t size_bytes)
{
    if (!fill(file, at, to))
        return false;
    *at += size_bytes;
    return fwrite(bytes, 1, size_bytes, file) == size_bytes;
}

static bool write_all(FILE *file, const layout *l, const agate_elf_part *parts, size_t count)
{
    const Elf64_Shdr *extra = &l->sections[NULL_SECTION + count];
    uint64_t at = 0;
    bool done = write_at(file, &at, 0, &l->head, sizeof l->head);

    for (size_t i = 0; i < count && done; i++) {
        done =
            fill(file, &at, l->sections[NULL_SECTION + i].sh_offset) && parts[i].write(parts[i].user, file);
        at += parts[i].size_bytes;
    }
    return done && write_at(file, &at, extra[SYMBOLS].sh_offset, l->symbols, extra[SYMBOLS].sh_size) &&
           write_at(file, &at, extra[NAMES].sh_offset, l->names.data, extra[NAMES].sh_size) &&
           write_at(file, &at, l->head.e_shoff, l->sections, l->head.e_shnum * sizeof(Elf64_Shdr));
}

bool agate_elf_write(FILE *file, const agate_elf_part *parts, size_t count)
{
    layout l = {0};

    assert(count <= AGATE_ELF_PARTS);
    lay_out(&l, parts, count);
    bool done = !l.names.failed && write_all(file, &l, parts, count);
    agate_text_deinit(&l.names);
    return done;
}

/* ---- changing one -------------------------------------------------------------------------------------- */

static bool read_at(int file, void *bytes, size_t size_bytes, uint64_t at)
{
    return pread(file, bytes, size_bytes, (off_t)at) == (ssize_t)size_bytes;
}

bool agate_elf_move(int file, const char *section, uint64_t offset, uint64_t size_bytes)
{
    Elf64_Ehdr head;
    Elf64_Shdr names, row;
    char name[64];
    const size_t length = strlen(section) + 1;

    assert(length <= sizeof name);
    if (!read_at(file, &head, sizeof head, 0) ||
        !read_at(file, &names, sizeof names, head.e_shoff + head.e_shstrndx * sizeof names))
        return false;
    for (uint64_t i = 0; i < head.e_shnum; i++) {
        const uint64_t at = head.e_shoff + i * sizeof row;
        if (!read_at(file, &row, sizeof row, at))
            return false;
        if (!read_at(file, name, length, names.sh_offset + row.sh_name) || memcmp(name, section, length) != 0)
            continue;
        row.sh_offset = offset;
        row.sh_size = size_bytes;
        return pwrite(file, &row, sizeof row, (off_t)at) == (ssize_t)sizeof row;
    }
    return false;
}
