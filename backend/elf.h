/* elf.h: data as a relocatable ELF object, written straight to a file: no assembler reads a hundred megabytes. */
#ifndef AGATE_ELF_H
#define AGATE_ELF_H

#include "runtime/base/base.h"

#include <stdio.h>

/* A read-only section that holds one global symbol from its first to its last byte. */
typedef struct agate_elf_part {
    const char *section, *symbol;
    uint64_t size_bytes;
    uint64_t alignment;                          /* a power of two, at most 4096 */
    bool (*write)(const void *user, FILE *file); /* writes size_bytes */
    const void *user;
} agate_elf_part;

#define AGATE_ELF_PARTS 4

/* Writes an x86-64 object of at most AGATE_ELF_PARTS parts. Returns false where the file cannot be written. */
AGATE_MUST_USE bool agate_elf_write(FILE *file, const agate_elf_part *parts, size_t count);

#endif
