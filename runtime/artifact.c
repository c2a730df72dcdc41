/* artifact.c: a compiled file (an ELF shared object) into a model: checked whole, mapped, and never copied. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/image.h"
#include "runtime/model.h"

/* A file in memory, for reading. */
typedef struct mapping {
    const void *bytes;
    size_t size_bytes;
} mapping;

typedef struct artifact {
    void *object; /* of dlopen */
    mapping weights;
    agate_arena *arena;
    agate_module module;
} artifact;

/* ---- files ---------------------------------------------------------------------------------------------- */

static agate_status map_open(int file, mapping *out_mapping)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return agate_error_make(AGATE_CODE_IO, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return agate_error_make(AGATE_CODE_IO, "it is no regular file");
    if (info.st_size == 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "the file is empty");
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return agate_error_make(AGATE_CODE_IO, "it cannot be mapped: %s", strerror(errno));
    *out_mapping = (mapping){bytes, (size_t)info.st_size};
    return AGATE_OK;
}

static agate_status map_file(const char *path, mapping *out_mapping)
{
    /* Not to wait for the other end of a pipe. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s",
                                strerror(errno));
    agate_status status = map_open(file, out_mapping);
    close(file);
    return status;
}

static void unmap(mapping *m)
{
    if (m->bytes)
        munmap((void *)m->bytes, m->size_bytes);
    *m = (mapping){0};
}

/* The system's loader believes what it reads: nothing but whole and unchanged files may come to it. */
static agate_status check_seal(const mapping *file)
{
    agate_seal seal;
    const Elf64_Ehdr *head = file->bytes;
    if (file->size_bytes < sizeof *head + sizeof seal || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "this is no compiled model");
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != EM_X86_64)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "the model was compiled for another kind of CPU than x86-64");
    const size_t body = file->size_bytes - sizeof seal;
    memcpy(&seal, (const char *)file->bytes + body, sizeof seal);
    if (memcmp(seal.magic, AGATE_SEAL_MAGIC, sizeof seal.magic) != 0 || seal.size_bytes != body)
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "the file is cut off, or no compiled model, or was changed by a tool");
    agate_digest digest = {0};
    agate_digest_add(&digest, file->bytes, body);
    if (agate_digest_end(&digest) != seal.digest)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "the file is damaged; compile the model again");
    return AGATE_OK;
}

static agate_status check_file(const char *path)
{
    mapping file = {0};
    AGATE_TRY(map_file(path, &file));
    agate_status status = check_seal(&file);
    unmap(&file);
    return status;
}

/* `name` in the folder of `path`; the caller's to free, NULL if memory is short. A path without a slash gets one: the
 * system's loader would search elsewhere. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash - path) + 1 : 2, size = strlen(name) + 1;
    char *result = malloc(folder + size);
    if (result) {
        memcpy(result, slash ? path : "./", folder);
        memcpy(result + folder, name, size);
    }
    return result;
}

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a model");
}

/* ---- what the object holds ------------------------------------------------------------------------------ */

static agate_status find_part(void *object, const char *symbol, mapping *out_part)
{
    Dl_info info;
    void *entry = NULL;
    const void *bytes = dlsym(object, symbol);
    if (!bytes || !dladdr1(bytes, &info, &entry, RTLD_DL_SYMENT) || !entry || info.dli_saddr != bytes)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it has no symbol %s; compile the model again",
                                symbol);
    *out_part = (mapping){bytes, ((const ElfW(Sym) *)entry)->st_size};
    return AGATE_OK;
}

static agate_kernel_fn find_function(void *object, const char *symbol)
{
    return (agate_kernel_fn)(uintptr_t)dlsym(object, symbol);
}

static agate_status map_weights(const char *path, const agate_image_info *info, mapping *out_weights)
{
    if (strchr(info->weights_file, '/') || info->weights_file[0] == '.')
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "its weights lie outside of its folder");
    char *file = beside(path, info->weights_file);
    if (!file)
        return out_of_memory();
    agate_status status = map_file(file, out_weights);
    agate_digest digest = {0};
    if (!status)
        agate_digest_add(&digest, out_weights->bytes, out_weights->size_bytes);
    if (!status && (out_weights->size_bytes != info->weights_size_bytes ||
                    agate_digest_end(&digest) != info->weights_digest))
        status = agate_error_make(AGATE_CODE_INVALID_MODEL, "these are not the weights of this model");
    status = agate_error_within(status, "weights %s", file);
    free(file);
    return status;
}

static void release(void *owner)
{
    artifact *a = owner;
    unmap(&a->weights);
    agate_arena_release(a->arena);
    if (a->object)
        dlclose(a->object);
    free(a);
}

static agate_status load_image(artifact *a, const char *path)
{
    mapping plan, weights = {0};
    agate_image_info info;
    AGATE_TRY(find_part(a->object, AGATE_PLAN_SYMBOL, &plan));
    AGATE_TRY(agate_image_peek(plan.bytes, plan.size_bytes, &info));
    if (*info.weights_file) {
        AGATE_TRY(map_weights(path, &info, &a->weights));
        weights = a->weights;
    } else if (info.weights_size_bytes > 0) {
        AGATE_TRY(find_part(a->object, AGATE_WEIGHTS_SYMBOL, &weights));
    }
    return agate_image_load(plan.bytes, plan.size_bytes, weights.bytes, weights.size_bytes, find_function,
                            a->object, a->arena, &a->module);
}

static agate_status load(artifact *a, const char *path, agate_model **out_model)
{
    const char *slash = strrchr(path, '/');
    char *file = beside(path, slash ? slash + 1 : path);
    a->arena = agate_arena_create();
    if (!file || !a->arena) {
        free(file);
        return out_of_memory();
    }
    a->object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    free(file);
    if (!a->object)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "the system cannot load it: %s", dlerror());
    AGATE_TRY(load_image(a, path));
    return agate_model_create(&a->module, release, a, out_model);
}

AGATE_API agate_status agate_model_load_artifact(const char *path, agate_model **out_model)
{
    agate_status status = check_file(path);
    artifact *a = status ? NULL : calloc(1, sizeof *a);
    if (!status && !a)
        status = out_of_memory();
    if (!status)
        status = load(a, path, out_model);
    if (status && a)
        release(a);
    return agate_error_within(status, "%s", path);
}
