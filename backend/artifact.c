/* artifact.c: a planned graph as objects for a linker, and the seal of what it links. */
#include "backend/artifact.h"

#include <errno.h>
#include <llvm-c/Core.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/elf.h"
#include "backend/units.h"
#include "runtime/base/image.h"

static agate_status system_error(const char *path)
{
    return agate_error_make(AGATE_CODE_IO, "%s: %s", path, strerror(errno ? errno : EIO));
}

/* ---- parts of files ------------------------------------------------------------------------------------- */

static bool write_plan(const void *user, FILE *file)
{
    const agate_text *plan = user;

    return fwrite(plan->data, 1, plan->size_bytes, file) == plan->size_bytes;
}

static bool write_weights(const void *user, FILE *file)
{
    static const char zeros[AGATE_ALIGNMENT];
    const agate_module *module = user;

    for (uint32_t i = 0; i < module->constant_count; i++) {
        const agate_module_constant *c = &module->constants[i];
        size_t behind = agate_image_fill(c->size_bytes);
        if (fwrite(c->bytes, 1, c->size_bytes, file) != c->size_bytes ||
            fwrite(zeros, 1, behind, file) != behind)
            return false;
    }
    return true;
}

static bool write_bytes(const void *user, FILE *file)
{
    LLVMMemoryBufferRef object = (LLVMMemoryBufferRef)user;
    size_t size = LLVMGetBufferSize(object);

    return fwrite(LLVMGetBufferStart(object), 1, size, file) == size;
}

/* What goes into a data object. */
typedef struct data {
    agate_elf_part parts[2];
    size_t count;
} data;

static bool write_data(const void *user, FILE *file)
{
    const data *d = user;

    return agate_elf_write(file, d->parts, d->count);
}

static agate_status write_file(const char *path, bool (*write)(const void *user, FILE *file),
                               const void *user)
{
    FILE *file = fopen(path, "wb");

    if (!file)
        return system_error(path);
    bool done = write(user, file);
    agate_status status = done ? AGATE_OK : system_error(path);
    if (fclose(file) != 0 && !status)
        status = system_error(path);
    return status;
}

/* ---- objects -------------------------------------------------------------------------------------------- */

static agate_status write_object(const agate_object_options *to, size_t number,
                                 bool (*write)(const void *user, FILE *file), const void *user)
{
    agate_text path = {0};

    agate_text_add(&path, "%s/%zu.o", to->directory, number);
    agate_status status = path.failed ? agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a path")
                                      : write_file(agate_text_c(&path), write, user);
    agate_text_deinit(&path);
    return status;
}

static agate_status write_module(const agate_module *module, const agate_object_options *to, size_t number)
{
    agate_text plan = {0};
    uint64_t weights_bytes = agate_image_weights_size(module);
    bool apart = to->weights_path && weights_bytes > 0;
    agate_status status = agate_image_write_plan(module, apart ? to->weights_name : "", &plan);
    data d = {
        .parts =
            {
                {".agate.plan", AGATE_PLAN_SYMBOL, plan.size_bytes, 64, write_plan, &plan},
                {".agate.weights", AGATE_WEIGHTS_SYMBOL, weights_bytes, 4096, write_weights, module},
            },
        .count = apart || weights_bytes == 0 ? 1 : 2,
    };

    if (!status)
        status = write_object(to, number, write_data, &d);
    if (!status && to->weights_path)
        status = write_file(to->weights_path, write_weights, module);
    agate_text_deinit(&plan);
    return status;
}

/* Code reaches everything in its file by 32-bit distances. */
#define MOST_WEIGHTS_BYTES ((uint64_t)1 << 30)

static agate_status write_all(agate_compiled *compiled, agate_units *units, const agate_graph *graph,
                              const agate_codegen_options *options, const agate_object_options *to,
                              size_t *out_count)
{
    AGATE_TRY(agate_units_init(units, graph, compiled->arena));
    AGATE_TRY(agate_module_build(compiled, graph, units, options->machine));
    AGATE_TRY(agate_units_compile(units, options, AGATE_CODEGEN_OBJECT, compiled));
    if (!to->weights_path && agate_image_weights_size(&compiled->module) > MOST_WEIGHTS_BYTES)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "more than 1 GiB of weights does not go into one file with code; put them "
                                "into a file of their own");
    for (size_t i = 0; i < units->count; i++)
        AGATE_TRY(write_object(to, i, write_bytes, units->units[i].output));
    *out_count = units->count + 1;
    return write_module(&compiled->module, to, units->count);
}

agate_status agate_backend_write_objects(const agate_graph *graph, const agate_codegen_options *options,
                                         const agate_object_options *to, size_t *out_count)
{
    agate_compiled *compiled = NULL;
    agate_units units = {0};

    AGATE_TRY(agate_compiled_create(&compiled));
    agate_status status = write_all(compiled, &units, graph, options, to, out_count);
    agate_units_deinit(&units);
    agate_backend_release(compiled);
    return status;
}

/* ---- the seal ------------------------------------------------------------------------------------------- */

static agate_status seal(FILE *file, const char *path)
{
    static const size_t piece_bytes = (size_t)1 << 20; /* a multiple of what the digest takes at once */
    agate_seal tail = {.size_bytes = 0};
    agate_digest digest = {0};

    memcpy(tail.magic, AGATE_SEAL_MAGIC, sizeof tail.magic);
    char *piece = malloc(piece_bytes);
    size_t size = 0;

    if (!piece)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to seal a file");
    while ((size = fread(piece, 1, piece_bytes, file)) > 0) {
        agate_digest_add(&digest, piece, size);
        tail.size_bytes += size;
    }
    free(piece);
    tail.digest = agate_digest_end(&digest);
    if (ferror(file) || fseek(file, 0, SEEK_END) != 0 || fwrite(&tail, sizeof tail, 1, file) != 1)
        return system_error(path);
    return AGATE_OK;
}

agate_status agate_backend_seal(const char *path)
{
    FILE *file = fopen(path, "r+b");

    if (!file)
        return system_error(path);
    agate_status status = seal(file, path);
    if (fclose(file) != 0 && !status)
        status = system_error(path);
    return status;
}
