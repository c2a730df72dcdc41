/* artifact.c: a compiled file (an ELF shared object) into a model: checked whole, mapped, and never
 * copied. */
#define _GNU_SOURCE
#include "runtime/artifact.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/features.h"
#include "runtime/digest.h"
#include "runtime/model.h"
#include "runtime/object.h"

/* A file in memory, for reading. */
typedef struct mapping {
    const void *bytes;
    size_t size_bytes;
} mapping;

struct agate_artifact {
    void *object; /* of dlopen */
    mapping plan; /* in the object */
    mapping weights;
    agate_image_info info;
    agate_arena *arena;
};

/* ---- files --------------------------------------------------------------------------------------------- */

static agate_status open_file(const char *path, int *out_file, size_t *out_size_bytes)
{
    struct stat info = {0};
    /* Not to wait for the other end of a pipe. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s",
                                strerror(errno));
    agate_status status = AGATE_OK;
    if (fstat(file, &info) != 0)
        status = agate_error_make(AGATE_CODE_IO, "%s", strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = agate_error_make(AGATE_CODE_IO, "it is no regular file");
    else if (info.st_size == 0)
        status = agate_error_make(AGATE_CODE_INVALID_MODEL, "the file is empty");
    if (status)
        close(file);
    *out_file = file;
    *out_size_bytes = (size_t)info.st_size;
    return status;
}

static agate_status map_part(int file, size_t offset, size_t size_bytes, mapping *out_mapping)
{
    void *bytes = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE, file, (off_t)offset);
    if (bytes == MAP_FAILED)
        return agate_error_make(AGATE_CODE_IO, "it cannot be mapped: %s", strerror(errno));
    /* What is not in memory yet is to be read into huge pages. A mere wish: not every system has them for
     * files. */
    if (size_bytes >= AGATE_HUGE_PAGE_BYTES)
        madvise(bytes, size_bytes, MADV_HUGEPAGE);
    *out_mapping = (mapping){bytes, size_bytes};
    return AGATE_OK;
}

static void unmap(mapping *m)
{
    if (m->bytes)
        munmap((void *)m->bytes, m->size_bytes);
    *m = (mapping){0};
}

static uint64_t digest_of(const mapping *m)
{
    agate_digest digest = {0};
    agate_digest_add(&digest, m->bytes, m->size_bytes);
    return agate_digest_end(&digest);
}

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a model");
}

static agate_status damaged(void)
{
    return agate_error_make(AGATE_CODE_INVALID_MODEL, "the file is damaged; compile the model again");
}

/* ---- the seal ------------------------------------------------------------------------------------------ */

static agate_status check_head(int file, size_t size_bytes)
{
    Elf64_Ehdr head;
    if (size_bytes < sizeof head || pread(file, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "this is no compiled model");
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "the model was compiled for another kind of CPU than x86-64");
    return AGATE_OK;
}

static agate_status read_seal(int file, size_t size_bytes, agate_seal *out_seal)
{
    agate_seal seal = {0};
    AGATE_TRY(check_head(file, size_bytes));
    const off_t at = (off_t)size_bytes - (off_t)sizeof seal;
    if (at < 0 || pread(file, &seal, sizeof seal, at) != (ssize_t)sizeof seal ||
        memcmp(seal.magic, AGATE_SEAL_MAGIC, sizeof seal.magic) != 0)
        return agate_error_make(AGATE_CODE_INVALID_MODEL,
                                "the file is cut off, or no compiled model, or was changed by a tool");
    if (seal.digest != agate_seal_digest(&seal))
        return damaged();
    if (seal.version != AGATE_IMAGE_VERSION)
        return agate_error_make(
            AGATE_CODE_UNSUPPORTED,
            "the model was compiled to format %llu, and this runtime reads %d; compile it again",
            (unsigned long long)seal.version, AGATE_IMAGE_VERSION);
    if (seal.body_bytes > (size_t)at || seal.weights_bytes != (size_t)at - seal.body_bytes ||
        (seal.weights_bytes > 0 && seal.body_bytes % agate_weights_alignment(seal.weights_bytes) != 0))
        return damaged();
    *out_seal = seal;
    return AGATE_OK;
}

/* ---- what the file holds ------------------------------------------------------------------------------- */

/* `name` in the folder of `path`; the caller's to free, NULL if memory is short. A path without a slash gets
 * one: the system's loader would search elsewhere. */
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

static agate_status load_object(agate_artifact *a, const char *path, int file, const mapping *body)
{
    const char *slash = strrchr(path, '/');
    char *with_slash = beside(path, slash ? slash + 1 : path);
    if (!with_slash)
        return out_of_memory();
    agate_status status = agate_object_load(with_slash, file, body->bytes, body->size_bytes, &a->object);
    free(with_slash);
    return status;
}

static agate_status find_plan(agate_artifact *a)
{
    Dl_info info;
    void *entry = NULL;
    const void *bytes = dlsym(a->object, AGATE_PLAN_SYMBOL);
    if (!bytes || !dladdr1(bytes, &info, &entry, RTLD_DL_SYMENT) || !entry || info.dli_saddr != bytes)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "it has no symbol %s; compile the model again",
                                AGATE_PLAN_SYMBOL);
    a->plan = (mapping){bytes, ((const ElfW(Sym) *)entry)->st_size};
    return agate_image_peek(a->plan.bytes, a->plan.size_bytes, &a->info);
}

static agate_status check_weights(const agate_artifact *a)
{
    if (a->weights.size_bytes != a->info.weights_size_bytes ||
        agate_digest_on_threads(a->weights.bytes, a->weights.size_bytes) != a->info.weights_digest)
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "these are not the weights of this model");
    return AGATE_OK;
}

static agate_status map_weights_file(agate_artifact *a, const char *path)
{
    int file = -1;
    size_t size_bytes;
    AGATE_TRY(open_file(path, &file, &size_bytes));
    agate_status status = map_part(file, 0, size_bytes, &a->weights);
    close(file);
    return status ? status : check_weights(a);
}

static agate_status bring_weights(agate_artifact *a, const char *path, int file, const agate_seal *seal)
{
    if (!*a->info.weights_file) {
        if (seal->weights_bytes > 0)
            AGATE_TRY(map_part(file, seal->body_bytes, seal->weights_bytes, &a->weights));
        agate_status status = check_weights(a);
        agate_status_release(status);
        return status ? damaged() : AGATE_OK;
    }
    if (strchr(a->info.weights_file, '/') || a->info.weights_file[0] == '.')
        return agate_error_make(AGATE_CODE_INVALID_MODEL, "its weights lie outside of its folder");
    char *other = beside(path, a->info.weights_file);
    if (!other)
        return out_of_memory();
    agate_status status = agate_error_within(map_weights_file(a, other), "weights %s", other);
    free(other);
    return status;
}

/* The system's loader believes what it reads: nothing but whole and unchanged files may come to it. */
static agate_status bring_object(agate_artifact *a, const char *path, int file, const agate_seal *seal)
{
    mapping body = {0};
    AGATE_TRY(map_part(file, 0, seal->body_bytes, &body));
    agate_status status =
        digest_of(&body) == seal->body_digest ? load_object(a, path, file, &body) : damaged();
    unmap(&body);
    return status ? status : find_plan(a);
}

static agate_status open_all(agate_artifact *a, const char *path, int file, size_t size_bytes)
{
    agate_seal seal = {0};
    AGATE_TRY(read_seal(file, size_bytes, &seal));
    AGATE_TRY(bring_object(a, path, file, &seal));
    return bring_weights(a, path, file, &seal);
}

agate_status agate_artifact_open(const char *path, agate_artifact **out_artifact)
{
    int file = -1;
    size_t size_bytes;
    agate_artifact *a = calloc(1, sizeof *a);
    if (a)
        a->arena = agate_arena_create();
    if (!a || !a->arena) {
        free(a);
        return agate_error_within(out_of_memory(), "%s", path);
    }
    agate_status status = open_file(path, &file, &size_bytes);
    if (!status) {
        status = open_all(a, path, file, size_bytes);
        close(file);
    }
    if (status)
        agate_artifact_release(a);
    else
        *out_artifact = a;
    return agate_error_within(status, "%s", path);
}

void agate_artifact_release(void *artifact)
{
    agate_artifact *a = artifact;
    if (!a)
        return;
    unmap(&a->weights);
    agate_arena_release(a->arena);
    if (a->object)
        dlclose(a->object);
    free(a);
}

/* ---- variants ------------------------------------------------------------------------------------------ */

uint32_t agate_artifact_variant_count(const agate_artifact *artifact)
{
    return artifact->info.variant_count;
}

uint64_t agate_artifact_weight_bytes(const agate_artifact *artifact)
{
    return artifact->info.weights_size_bytes;
}

agate_status agate_artifact_variant(const agate_artifact *artifact, uint32_t index,
                                    agate_image_variant *out_variant)
{
    return agate_image_variant_at(artifact->plan.bytes, artifact->plan.size_bytes, index, out_variant);
}

/* Appends "avx2, avx512": those of this precision. */
static agate_status add_isas(const agate_artifact *a, const char *precision, agate_text *names)
{
    agate_image_variant variant;
    for (uint32_t i = 0; i < a->info.variant_count; i++) {
        AGATE_TRY(agate_artifact_variant(a, i, &variant));
        if (strcmp(variant.precision, precision) == 0)
            agate_text_add(names, "%s%s", names->size_bytes ? ", " : "", variant.isa);
    }
    return AGATE_OK;
}

/* Appends "f32, bf16". */
static agate_status add_precisions(const agate_artifact *a, agate_text *names)
{
    agate_image_variant variant, before = {0};
    for (uint32_t i = 0; i < a->info.variant_count; i++, before = variant) {
        AGATE_TRY(agate_artifact_variant(a, i, &variant));
        if (i == 0 || strcmp(variant.precision, before.precision) != 0)
            agate_text_add(names, "%s%s", i ? ", " : "", variant.precision);
    }
    return AGATE_OK;
}

static agate_status lacks_precision(const agate_artifact *a, const char *wanted)
{
    agate_text names = {0};
    agate_status status = add_precisions(a, &names);
    if (!status && wanted)
        status = agate_error_make(AGATE_CODE_NOT_FOUND,
                                  "the model was not compiled with precision %s, but with %s", wanted,
                                  agate_text_c(&names));
    else if (!status)
        status = agate_error_make(AGATE_CODE_INVALID_ARGUMENT,
                                  "the model was not compiled with precision f32, but with %s: ask for one "
                                  "of them",
                                  agate_text_c(&names));
    agate_text_deinit(&names);
    return status;
}

agate_status agate_artifact_precision(const agate_artifact *artifact, const char *wanted,
                                      const char **out_precision)
{
    agate_image_variant first, variant;
    bool is_only_one = true;
    AGATE_TRY(agate_artifact_variant(artifact, 0, &first));
    for (uint32_t i = 0; i < artifact->info.variant_count; i++) {
        AGATE_TRY(agate_artifact_variant(artifact, i, &variant));
        if (strcmp(variant.precision, wanted ? wanted : "f32") == 0) {
            *out_precision = variant.precision;
            return AGATE_OK;
        }
        is_only_one = is_only_one && strcmp(variant.precision, first.precision) == 0;
    }
    if (wanted || !is_only_one)
        return lacks_precision(artifact, wanted);
    *out_precision = first.precision;
    return AGATE_OK;
}

/* `capped`: what is missing is not the CPU's fault, but was ruled out. */
static agate_status none_fits(const agate_artifact *a, const agate_image_variant *least, uint32_t features,
                              bool capped)
{
    agate_text isas = {0}, precisions = {0}, missing = {0};
    agate_status status = add_isas(a, least->precision, &isas);
    if (!status)
        status = add_precisions(a, &precisions);
    if (!status) {
        const bool is_plain = strcmp(agate_text_c(&precisions), "f32") == 0;
        if (capped) {
            agate_text_add(&missing, "is not to use ");
            agate_cpu_features_print(least->needs & ~features, &missing);
        } else {
            agate_cpu_features_explain(least->needs & ~features, agate_cpu_features_refused(), &missing);
        }
        status = agate_error_make(AGATE_CODE_NOT_FOUND,
                                  "the model was compiled for %s%s%s, and %s; compile it for a lower isa",
                                  agate_text_c(&isas), is_plain ? "" : " with precision ",
                                  is_plain ? "" : least->precision, agate_text_c(&missing));
    }
    agate_text_deinit(&isas);
    agate_text_deinit(&precisions);
    agate_text_deinit(&missing);
    return status;
}

static agate_status choose(const agate_artifact *a, const char *wanted, uint32_t features, bool capped,
                           uint32_t *out_index)
{
    agate_image_variant variant, least = {0};
    const char *precision;
    AGATE_TRY(agate_artifact_precision(a, wanted, &precision));
    for (uint32_t i = a->info.variant_count; i > 0; i--) {
        AGATE_TRY(agate_artifact_variant(a, i - 1, &variant));
        if (strcmp(variant.precision, precision) != 0)
            continue;
        if ((variant.needs & ~features) == 0) {
            *out_index = i - 1;
            return AGATE_OK;
        }
        least = variant;
    }
    return none_fits(a, &least, features, capped);
}

agate_status agate_artifact_choose(const agate_artifact *artifact, const char *precision, uint32_t features,
                                   uint32_t *out_index)
{
    return choose(artifact, precision, features, false, out_index);
}

static agate_kernel_fn find_function(void *object, const char *symbol)
{
    return (agate_kernel_fn)(uintptr_t)dlsym(object, symbol);
}

agate_status agate_artifact_module(agate_artifact *artifact, uint32_t index, const agate_module **out_module)
{
    agate_image_variant variant;
    AGATE_TRY(agate_artifact_variant(artifact, index, &variant));
    agate_module *module = AGATE_NEW(artifact->arena, agate_module);
    *out_module = module;
    return agate_image_load(&variant, artifact->weights.bytes, artifact->weights.size_bytes, find_function,
                            artifact->object, artifact->arena, module);
}

static agate_status make_model(agate_artifact *a, const char *precision, uint32_t features,
                               agate_model **out_model)
{
    uint32_t index;
    const agate_module *module;
    const bool capped = features != agate_cpu_features();
    AGATE_TRY(choose(a, precision, features, capped, &index));
    AGATE_TRY(agate_artifact_module(a, index, &module));
    return agate_model_create(module, agate_artifact_release, a, out_model);
}

agate_status agate_artifact_load(const char *path, const char *precision, uint32_t features,
                                 agate_model **out_model)
{
    agate_artifact *artifact;
    AGATE_TRY(agate_artifact_open(path, &artifact));
    agate_status status = make_model(artifact, precision, features, out_model);
    if (status)
        agate_artifact_release(artifact);
    return agate_error_within(status, "%s", path);
}

AGATE_API agate_status agate_model_load_artifact_with(const char *path, const agate_load_options *options,
                                                      agate_model **out_model)
{
    return agate_artifact_load(path, options ? options->precision : NULL, agate_cpu_features(), out_model);
}

AGATE_API agate_status agate_model_load_artifact(const char *path, agate_model **out_model)
{
    return agate_model_load_artifact_with(path, NULL, out_model);
}
