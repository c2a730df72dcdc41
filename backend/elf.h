/* elf.h: data as a relocatable ELF object, written straight to a file: no assembler reads a hundred
 * megabytes. */
#ifndef AGATE_ELF_H
#define AGATE_ELF_H

#include "runtime/base/base.h"

#include <stdio.h>

/* A read-only section that holds one global symbol from its first to its last byte. */
typedef struct agate_elf_part {
    const char *section;
    const char *symbol; /* NULL: none, and the section is not loaded with the rest */
    uint64_t size_bytes;
    uint64_t alignment;                          /* a power of two, at most 4096 */
    bool (*write)(const void *user, FILE *file); /* writes size_bytes */
    const void *user;
} agate_elf_part;

#define AGATE_ELF_PARTS 4

/* Writes an x86-64 object of at most AGATE_ELF_PARTS parts. Returns false where the file cannot be
 * written. */
AGATE_MUST_USE bool agate_elf_write(FILE *file, const agate_elf_part *parts, size_t count);

/* Has the first section header of this name in an ELF file point elsewhere in it. Returns false where there
 * is none, or the file cannot be read and written. */
AGATE_MUST_USE bool agate_elf_move(int file, const char *section, uint64_t offset, uint64_t size_bytes);

#endif
