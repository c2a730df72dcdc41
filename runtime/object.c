/* object.c: a file that was checked into this process, by the system's loader.
 *
 * The loader goes by names. Asked for a path that it has loaded an object from, it hands that object out,
 * though another file may have taken the place since, or the working directory may be another; and words
 * with a "$" it replaces. So what it gives is compared with the file, and where it is another, it gets a path
 * of no other meaning: that of the open file, spelled as never before. Not at once, since debuggers find
 * nothing there. */
#define _GNU_SOURCE
#include "runtime/object.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* An object in memory that is held against a file. */
typedef struct comparison {
    ElfW(Addr) base; /* of the object */
    const char *bytes;
    size_t size_bytes;
    bool same;
} comparison;

static bool lies_within(const comparison *c, uint64_t offset, uint64_t size_bytes)
{
    return offset <= c->size_bytes && size_bytes <= c->size_bytes - offset;
}

/* Of equal tables of segments, so all of the object's lie where the file says. What is written to when it is
 * loaded is no file's any more, and what is not read is code of nobody. */
static bool segments_are_same(const comparison *c, const ElfW(Phdr) * parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *part = &parts[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) || !(part->p_flags & PF_R))
            continue;
        if (!lies_within(c, part->p_offset, part->p_filesz) ||
            memcmp((const char *)c->base + part->p_vaddr, c->bytes + part->p_offset, part->p_filesz) != 0)
            return false;
    }
    return true;
}

static int compare(struct dl_phdr_info *info, size_t size, void *user)
{
    comparison *c = user;
    ElfW(Ehdr) head;
    (void)size;
    if (info->dlpi_addr != c->base)
        return 0;
    memcpy(&head, c->bytes, sizeof head);
    const size_t table_bytes = head.e_phnum * sizeof(ElfW(Phdr));
    c->same = head.e_phnum == info->dlpi_phnum && lies_within(c, head.e_phoff, table_bytes) &&
              memcmp(info->dlpi_phdr, c->bytes + head.e_phoff, table_bytes) == 0 &&
              segments_are_same(c, info->dlpi_phdr, info->dlpi_phnum);
    return 1;
}

/* ThreadSanitizer sees nothing of the lock by which the loader has written the map. */
__attribute__((no_sanitize("thread"))) static bool is_of_file(void *object, const void *bytes,
                                                              size_t size_bytes)
{
    struct link_map *map = NULL;
    if (size_bytes < sizeof(ElfW(Ehdr)) || dlinfo(object, RTLD_DI_LINKMAP, &map) != 0)
        return false;
    comparison c = {.base = map->l_addr, .bytes = bytes, .size_bytes = size_bytes};
    dl_iterate_phdr(compare, &c);
    return c.same;
}

/* The object that the loader has for `path`; NULL, too, where that is another than the file. */
static void *load(const char *path, const void *bytes, size_t size_bytes)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object || is_of_file(object, bytes, size_bytes))
        return object;
    dlclose(object);
    return NULL;
}

#define OPEN_FILES "/proc/self/fd/"
enum { MOST_SPELLING = sizeof OPEN_FILES + 2 * 64 + 10 };

/* The digits of a number that counts up stand for "/" and "./": no two calls write the same. */
static void spell(int file, char path[MOST_SPELLING])
{
    static _Atomic uint64_t calls;
    char *at = stpcpy(path, OPEN_FILES);
    for (uint64_t number = atomic_fetch_add(&calls, 1) + 1; number > 0; number /= 2)
        at = stpcpy(at, number % 2 ? "./" : "/");
    snprintf(at, (size_t)(path + MOST_SPELLING - at), "%d", file);
}

agate_status agate_object_load(const char *path, int file, const void *bytes, size_t size_bytes,
                               void **out_object)
{
    char spelled[MOST_SPELLING];
    const char *why;
    dlerror(); /* of somebody else's calls */
    void *object = load(path, bytes, size_bytes);
    if (!object && (!(why = dlerror()) || strchr(path, '$'))) {
        spell(file, spelled);
        object = load(spelled, bytes, size_bytes);
        why = object ? NULL : dlerror();
    }
    if (!object)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "the system cannot load it: %s",
                                why ? why : "it gives another file than this one");
    *out_object = object;
    return AGATE_OK;
}
