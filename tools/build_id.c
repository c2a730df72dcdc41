/* build_id.c: the build ID of the ELF file that this code is in. */
#define _GNU_SOURCE
#include "tools/build_id.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

/* The loaded object that holds an address, and its build ID. */
typedef struct search {
    uintptr_t address;
    const uint8_t *id;
    size_t size_bytes; /* 0: not found */
} search;

static void look_at_notes(search *s, const uint8_t *at, size_t size_bytes)
{
    while (size_bytes >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        size_t name = (note.n_namesz + 3u) & ~(size_t)3, content = (note.n_descsz + 3u) & ~(size_t)3;
        if (sizeof note + name + content > size_bytes)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(at + sizeof note, "GNU", 4) == 0) {
            s->id = at + sizeof note + name;
            s->size_bytes = note.n_descsz;
            return;
        }
        at += sizeof note + name + content;
        size_bytes -= sizeof note + name + content;
    }
}

static int look_at(struct dl_phdr_info *info, size_t size, void *user)
{
    search *s = user;
    bool here = false;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        here |= part->p_type == PT_LOAD && s->address - (info->dlpi_addr + part->p_vaddr) < part->p_memsz;
    }
    for (int i = 0; here && i < info->dlpi_phnum && s->size_bytes == 0; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            look_at_notes(s, (const uint8_t *)(info->dlpi_addr + part->p_vaddr), part->p_memsz);
    }
    return here;
}

bool agate_build_id(agate_text *text)
{
    search s = {.address = (uintptr_t)&agate_build_id};
    Dl_info info;
    struct stat file;

    dl_iterate_phdr(look_at, &s);
    for (size_t i = 0; i < s.size_bytes; i++)
        agate_text_add(text, "%02x", s.id[i]);
    if (s.size_bytes > 0)
        return true;
    if (!dladdr((void *)s.address, &info) || stat(info.dli_fname, &file) != 0)
        return false;
    agate_text_add(text, "%llu-%llu-%lld-%lld.%09ld", (unsigned long long)file.st_dev,
                   (unsigned long long)file.st_ino, (long long)file.st_size, (long long)file.st_mtim.tv_sec,
                   file.st_mtim.tv_nsec);
    return true;
}
