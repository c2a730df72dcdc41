/* artifact.c: planned graphs as objects for a linker; the weights and the seal behind what it links. */
#define _GNU_SOURCE /* pwritev */
#include "backend/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <llvm-c/Core.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/elf.h"
#include "backend/units.h"
#include "runtime/base/image.h"

struct agate_writer {
    agate_writer_options to;
    agate_image image;
    agate_compiled *compiled[AGATE_MAX_VARIANTS]; /* hold the modules of the image */
    size_t compiled_count;
    size_t object_count;
};

static agate_status system_error(const char *path)
{
    return agate_error_make(AGATE_CODE_IO, "%s: %s", path, strerror(errno ? errno : EIO));
}

agate_status agate_writer_create(const agate_writer_options *options, agate_writer **out_writer)
{
    agate_writer *writer = calloc(1, sizeof *writer);

    if (!writer)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to compile");
    writer->to = *options;
    *out_writer = writer;
    return AGATE_OK;
}

void agate_writer_release(agate_writer *writer)
{
    if (!writer)
        return;
    agate_image_deinit(&writer->image);
    for (size_t i = 0; i < writer->compiled_count; i++)
        agate_backend_release(writer->compiled[i]);
    free(writer);
}

/* ---- parts of objects ---------------------------------------------------------------------------------- */

static bool write_plan(const void *user, FILE *file)
{
    const agate_text *plan = user;

    return fwrite(plan->data, 1, plan->size_bytes, file) == plan->size_bytes;
}

static bool write_weights(const void *user, FILE *file)
{
    static const char zeros[AGATE_ALIGNMENT];
    const agate_image *image = user;

    for (size_t i = 0; i < image->weight_count; i++) {
        const agate_image_weight *w = &image->weights[i];
        size_t behind = agate_image_fill(w->size_bytes);
        if (fwrite(w->bytes, 1, w->size_bytes, file) != w->size_bytes ||
            fwrite(zeros, 1, behind, file) != behind)
            return false;
    }
    return true;
}

/* Holds the weights' section header, which comes to tell where they are once they are appended. */
static bool write_placeholder(const void *user, FILE *file)
{
    (void)user;
    return fwrite("weights", 1, 8, file) == 8;
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

/* ---- objects ------------------------------------------------------------------------------------------- */

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

static agate_status write_object(agate_writer *writer, bool (*write)(const void *user, FILE *file),
                                 const void *user)
{
    agate_text path = {0};

    agate_text_add(&path, "%s/%zu.o", writer->to.directory, writer->object_count++);
    agate_status status = path.failed ? agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory for a path")
                                      : write_file(agate_text_c(&path), write, user);
    agate_text_deinit(&path);
    return status;
}

static agate_status add(agate_writer *writer, agate_compiled *compiled, agate_units *units,
                        const agate_graph *graph, const agate_codegen_options *options)
{
    AGATE_TRY(agate_units_init(units, graph, options, compiled->arena));
    AGATE_TRY(agate_module_build(compiled, graph, units, options));
    AGATE_TRY(agate_units_compile(units, options, AGATE_CODEGEN_OBJECT, compiled));
    AGATE_TRY(agate_image_add(&writer->image, &compiled->module));
    for (size_t i = 0; i < units->count; i++)
        AGATE_TRY(write_object(writer, write_bytes, units->units[i].output));
    return AGATE_OK;
}

agate_status agate_writer_add(agate_writer *writer, const agate_graph *graph,
                              const agate_codegen_options *options)
{
    agate_compiled *compiled = NULL;
    agate_units units = {0};

    AGATE_TRY(agate_compiled_create(&compiled));
    writer->compiled[writer->compiled_count++] = compiled;
    agate_status status = add(writer, compiled, &units, graph, options);
    agate_units_deinit(&units);
    return status;
}

/* Code reaches everything that is loaded with it by 32-bit distances. */
#define MOST_WEIGHTS_BYTES ((uint64_t)1 << 30)

agate_status agate_writer_close(agate_writer *writer, size_t *out_count)
{
    const agate_writer_options *to = &writer->to;
    agate_text plan = {0};
    uint64_t weights_bytes = writer->image.weights_size_bytes;
    bool apart = to->weights_path && weights_bytes > 0, inside = to->relocatable && !apart;

    if (inside && weights_bytes > MOST_WEIGHTS_BYTES)
        return agate_error_make(AGATE_CODE_UNSUPPORTED,
                                "more than 1 GiB of weights does not go into one object with code; put them "
                                "into a file of their own");
    agate_status status = agate_image_write(&writer->image, apart ? to->weights_name : "", &plan);
    data d = {
        .parts =
            {
                {".agate.plan", AGATE_PLAN_SYMBOL, plan.size_bytes, 64, write_plan, &plan},
                {AGATE_WEIGHTS_SECTION, inside ? AGATE_WEIGHTS_SYMBOL : NULL, inside ? weights_bytes : 8,
                 inside ? 4096 : 1, inside ? write_weights : write_placeholder, &writer->image},
            },
        .count = apart || weights_bytes == 0 ? 1 : 2,
    };

    if (!status)
        status = write_object(writer, write_data, &d);
    if (!status && to->weights_path)
        status = write_file(to->weights_path, write_weights, &writer->image);
    agate_text_deinit(&plan);
    *out_count = writer->object_count;
    return status;
}

/* ---- the linked file ----------------------------------------------------------------------------------- */

/* Large pieces at multiples of their size: the system then keeps the file in huge pages from the start. */
#define PIECE_BYTES (2 * AGATE_HUGE_PAGE_BYTES)
#define MOST_PARTS  1000 /* of one system call: fewer than any system's IOV_MAX */

/* A file that is written from `at` on, by pieces that are gathered where they lie. */
typedef struct output {
    int file;
    struct iovec parts[MOST_PARTS];
    int part_count;
    size_t filled; /* by the parts */
    uint64_t at;   /* of the first of them in the file */
    bool failed;
} output;

/* Drops what is written of the parts. */
static void advance(struct iovec *parts, int count, size_t written)
{
    for (int i = 0; i < count && written > 0; i++) {
        size_t part = (size_t)agate_min((int64_t)written, (int64_t)parts[i].iov_len);
        parts[i].iov_base = (char *)parts[i].iov_base + part;
        parts[i].iov_len -= part;
        written -= part;
    }
}

static void flush(output *out)
{
    while (out->filled > 0 && !out->failed) {
        ssize_t size = pwritev(out->file, out->parts, out->part_count, (off_t)out->at);
        if (size == 0 || (size < 0 && errno != EINTR))
            out->failed = true;
        const size_t written = size > 0 ? (size_t)size : 0;
        advance(out->parts, out->part_count, written);
        out->at += written;
        out->filled -= written;
    }
    out->part_count = 0;
}

/* `bytes` must stay until they are flushed. */
static void write_on(output *out, const void *bytes, size_t size_bytes)
{
    for (const char *from = bytes; size_bytes > 0;) {
        size_t part = (size_t)agate_min((int64_t)size_bytes, (int64_t)(PIECE_BYTES - out->filled));
        out->parts[out->part_count++] = (struct iovec){(void *)from, part};
        from += part;
        size_bytes -= part;
        out->filled += part;
        if (out->filled == PIECE_BYTES || out->part_count == MOST_PARTS)
            flush(out);
    }
}

static bool digest_body(int file, uint64_t size_bytes, uint64_t *out_digest)
{
    agate_digest digest = {0};
    char *body = malloc(size_bytes);
    uint64_t at = 0;

    while (body && at < size_bytes) {
        ssize_t size = pread(file, body + at, size_bytes - at, (off_t)at);
        if (size <= 0)
            break;
        at += (uint64_t)size;
    }
    agate_digest_add(&digest, body, body ? at : 0);
    *out_digest = agate_digest_end(&digest);
    free(body);
    return body && at == size_bytes;
}

static bool append(const agate_image *image, bool with_weights, output *out)
{
    static const char zeros[AGATE_ALIGNMENT];
    agate_seal seal = {.version = AGATE_IMAGE_VERSION,
                       .weights_bytes = with_weights ? image->weights_size_bytes : 0};
    off_t end = lseek(out->file, 0, SEEK_END);

    if (end < 0)
        return false;
    seal.body_bytes = (uint64_t)end;
    if (seal.weights_bytes > 0) {
        uint64_t alignment = agate_weights_alignment(seal.weights_bytes);
        seal.body_bytes = ((uint64_t)end + alignment - 1) / alignment * alignment;
        if (ftruncate(out->file, (off_t)seal.body_bytes) != 0 ||
            !agate_elf_move(out->file, AGATE_WEIGHTS_SECTION, seal.body_bytes, seal.weights_bytes))
            return false;
    }
    memcpy(seal.magic, AGATE_SEAL_MAGIC, sizeof seal.magic);
    if (!digest_body(out->file, seal.body_bytes, &seal.body_digest))
        return false;
    seal.digest = agate_seal_digest(&seal);
    out->at = seal.body_bytes;
    for (size_t i = 0; seal.weights_bytes > 0 && i < image->weight_count; i++) {
        write_on(out, image->weights[i].bytes, image->weights[i].size_bytes);
        write_on(out, zeros, agate_image_fill(image->weights[i].size_bytes));
    }
    write_on(out, &seal, sizeof seal);
    flush(out);
    return !out->failed;
}

agate_status agate_writer_seal(const agate_writer *writer, const char *path)
{
    errno = 0; /* where it stays so, the system has refused nothing */
    output out = {.file = open(path, O_RDWR | O_CLOEXEC)};
    bool with_weights = !writer->to.weights_path;
    agate_status status = AGATE_OK;

    if (out.file < 0 || !append(&writer->image, with_weights, &out))
        status = errno ? system_error(path)
                       : agate_error_make(AGATE_CODE_IO, "%s: it does not hold what was linked", path);
    if (out.file >= 0 && close(out.file) != 0 && !status)
        status = system_error(path);
    return status;
}
