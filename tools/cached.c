/* cached.c: from a model's file to its key, to what the cache holds under it.
 *
 * The key is a hash of all that the code depends on: this build of agate and of LLVM, the machine, the
 * options, the bytes of the model, and the bytes of each file of external data. Which files those are is
 * known only once the model has been imported, so the cache notes their names under the key of the model
 * alone: from the second time on, nothing of the model is read but its digest. Where the note is lost, that
 * key finds nothing, and the model is imported again.
 *
 * Tiles that `agate tune` found lie under the key of the model alone, too, and are part of the key of what
 * they compile to. */
#define _GNU_SOURCE
#include "tools/cached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "passes/tuning.h"
#include "runtime/base/image.h"
#include "tools/build_id.h"
#include "tools/compile.h"
#include "tools/file.h"

/* Whoever adds an option says here whether code depends on it (make_base), or a cache cannot serve it
 * (agate_cached_refuses). */
_Static_assert(sizeof(agate_compile_options) == 104, "an option was added");
_Static_assert(sizeof(agate_pass_options) == 160, "an option was added");

typedef struct request {
    const agate_cache *cache;
    const agate_model_source *source;
    const agate_driver_options *options;
    agate_cache_outcome *outcome;
    agate_machine machine;
    agate_file_digest model;
    agate_file_state state; /* of the model's file, before it was read; zero where it is no file */
    agate_data *file;       /* the model; NULL: not read, or in the caller's memory */
    agate_text base;        /* what the key is made of, but for external data */
    agate_tuning tuning;
    agate_text names, digests;
} request;

const char *agate_cached_refuses(const agate_driver_options *options)
{
    const agate_pass_options *p = &options->passes;

    if (p->skip_count || p->print_after || p->fuel || p->remark || p->timed || p->extra || p->verify_each)
        return "the passes are to be seen or changed";
    if (options->compile.allocator)
        return "the weights are to lie in the caller's memory";
    return NULL;
}

static void remark(request *r, agate_status status)
{
    if (status && !r->outcome->remark[0])
        snprintf(r->outcome->remark, sizeof r->outcome->remark, "%s", agate_status_message(status));
    agate_status_release(status);
}

static agate_status out_of_memory(void)
{
    return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to look a model up");
}

/* ---- the model's bytes --------------------------------------------------------------------------------- */

static bool state_of(const char *path, agate_file_state *out_state)
{
    int file = agate_file_is_regular(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool done = file >= 0 && agate_file_state_of(file, out_state);

    if (file >= 0)
        close(file);
    return done;
}

static agate_status digest_model(request *r)
{
    const agate_model_source *source = r->source;

    /* Where it cannot be read, reading it says why. */
    if (!source->data &&
        (!state_of(source->path, &r->state) || !agate_cache_digest_file(r->cache, source->path, &r->model))) {
        AGATE_TRY(agate_file_map(source->path, &r->file));
        agate_digest_bytes(r->file->bytes, r->file->size_bytes, &r->model);
    } else if (source->data) {
        agate_digest_bytes(source->data, source->size_bytes, &r->model);
    }
    return AGATE_OK;
}

/* ---- the key ------------------------------------------------------------------------------------------- */

/* Each with its length, so that no two lists look alike. */
static void add_word(agate_text *text, const char *word)
{
    agate_text_add(text, "%zu:%s\n", strlen(word), word);
}

static void add_digest(agate_text *text, const agate_file_digest *digest)
{
    for (size_t i = 0; i < sizeof digest->bytes; i++)
        agate_text_add(text, "%02x", digest->bytes[i]);
    agate_text_add(text, "\n");
}

static void add_machine(agate_text *text, const agate_machine *m)
{
    add_word(text, m->name);
    agate_text_add(text, "%d %d %x %lld %lld\n", m->vector_bits, m->vector_registers, m->needs,
                   (long long)m->l1_bytes, (long long)m->l2_bytes);
}

static bool add_known_input(agate_text *text, const agate_input_value *value)
{
    agate_file_digest digest;
    const agate_tensor *t = &value->tensor;
    size_t size_bytes = 0;

    if (!agate_tensor_size(t->dtype, t->rank, t->dims, &size_bytes))
        return false;
    agate_digest_bytes(t->data, size_bytes, &digest);
    add_word(text, value->name ? value->name : "");
    agate_text_add(text, "%zu %d %d", value->index, (int)t->dtype, t->rank);
    for (int32_t d = 0; d < t->rank; d++)
        agate_text_add(text, " %lld", (long long)t->dims[d]);
    agate_text_add(text, "\n");
    add_digest(text, &digest);
    return true;
}

static agate_status make_base(request *r)
{
    const agate_compile_options *c = &r->options->compile;
    agate_text *base = &r->base;
    bool done;

    agate_text_deinit(base);
    agate_text_add(base, "agate cache 1\n");
    done = agate_build_id(base);
    agate_text_add(base, "\n%d %d\n", AGATE_IMAGE_VERSION, AGATE_MODULE_VERSION);
    add_word(base, agate_version());
    add_word(base, agate_llvm_version());
    add_machine(base, &r->machine);
    add_word(base, c->allow ? c->allow : "");
    add_word(base, c->precision && strcmp(c->precision, "f32") != 0 ? c->precision : "");
    add_word(base, c->node_precisions ? c->node_precisions : "");
    agate_text_add(base, "%d %zu %zu %zu\n", r->source->text, c->memory_limit_bytes, c->dim_count,
                   r->options->known_input_count);
    for (size_t i = 0; i < c->dim_count; i++) {
        add_word(base, c->dims[i].name);
        agate_text_add(base, "%lld\n", (long long)c->dims[i].value);
    }
    for (size_t i = 0; done && i < r->options->known_input_count; i++)
        done = add_known_input(base, &r->options->known_inputs[i]);
    add_digest(base, &r->model);
    return done && !base->failed ? AGATE_OK : out_of_memory();
}

/* The key of the base, and of `digests` behind it. */
static bool make_key(const request *r, const agate_text *digests, agate_cache_key *out_key)
{
    agate_text all = {0};
    agate_file_digest digest;

    agate_text_add_bytes(&all, agate_text_c(&r->base), r->base.size_bytes);
    agate_text_add_bytes(&all, agate_text_c(digests), digests->size_bytes);
    bool done = !all.failed && !digests->failed;
    if (done) {
        agate_digest_bytes(all.data, all.size_bytes, &digest);
        agate_cache_key_of(&digest, out_key);
    }
    agate_text_deinit(&all);
    return done;
}

static char *key_path(request *r, const agate_text *digests, const char *kind)
{
    agate_cache_key key;

    return make_key(r, digests, &key) ? agate_cache_path(r->cache, &key, kind) : NULL;
}

/* ---- tuning -------------------------------------------------------------------------------------------- */

static const agate_text no_digests;

/* A digest as a line, then the rows that it is of. */
static bool write_tuning(const char *path, const agate_tuning *tuning)
{
    agate_text rows = {0}, file = {0};
    agate_file_digest digest;

    agate_tuning_print(tuning, &rows);
    agate_digest_bytes(agate_text_c(&rows), rows.size_bytes, &digest);
    add_digest(&file, &digest);
    agate_text_add_bytes(&file, agate_text_c(&rows), rows.size_bytes);
    bool done = !rows.failed && !file.failed && agate_cache_write(path, file.data, file.size_bytes);
    agate_text_deinit(&rows);
    agate_text_deinit(&file);
    return done;
}

/* Returns false where the file is damaged. */
static bool parse_tuning(const char *file, size_t size_bytes, agate_tuning *tuning)
{
    const size_t head = 2 * sizeof((agate_file_digest){0}).bytes + 1;
    agate_file_digest digest;
    agate_text line = {0};

    if (size_bytes < head || strlen(file) != size_bytes)
        return false;
    agate_digest_bytes(file + head, size_bytes - head, &digest);
    add_digest(&line, &digest);
    bool whole = line.size_bytes == head && memcmp(line.data, file, head) == 0;
    agate_text_deinit(&line);
    return whole && agate_tuning_parse(tuning, file + head);
}

/* Reads the tiles that are kept for the model, if there are, and makes the base of the key theirs. */
static void take_tuning(request *r)
{
    char *path = key_path(r, &no_digests, "tuned"), *file = NULL;
    size_t size_bytes = 0;

    if (path && access(path, F_OK) == 0) {
        agate_status status = agate_file_read(path, &file, &size_bytes);
        if (!status && !parse_tuning(file, size_bytes, &r->tuning)) {
            agate_tuning_deinit(&r->tuning);
            status = agate_error_make(AGATE_CODE_INVALID_MODEL,
                                      "the tiles kept in %s are damaged: tune again", path);
        }
        if (!status)
            agate_text_add(&r->base, "tuned %s", file);
        remark(r, status);
        agate_cache_touch(path);
    }
    free(file);
    free(path);
}

/* ---- external data ------------------------------------------------------------------------------------- */

/* Hears from the import which files it maps. */
static void hear_file(void *user, const char *location, const void *bytes, size_t size_bytes)
{
    request *r = user;
    agate_file_digest digest;

    agate_digest_bytes(bytes, size_bytes, &digest);
    add_word(&r->names, location);
    add_word(&r->digests, location);
    add_digest(&r->digests, &digest);
}

/* Appends the digests of the files whose names were noted to `digests`. Returns false where one is not as it
 * should be. */
static bool add_noted(request *r, char *names, agate_text *digests)
{
    while (*names) {
        char *end, *path;
        size_t length = strtoull(names, &end, 10);
        agate_file_digest digest;
        if (*end != ':' || length == 0 || strnlen(end + 1, length) != length || end[1 + length] != '\n' ||
            !r->source->directory)
            return false;
        end[1 + length] = 0;
        path = agate_file_path("%s/%s", r->source->directory, end + 1);
        bool done = path && agate_cache_digest_file(r->cache, path, &digest);
        free(path);
        if (!done)
            return false;
        add_word(digests, end + 1);
        add_digest(digests, &digest);
        end[1 + length] = '\n';
        names = end + 1 + length + 1;
    }
    return true;
}

/* Fills r->digests from the note of the model's external data. */
static bool look_up_names(request *r)
{
    char *path = key_path(r, &no_digests, "names"), *names = NULL;
    size_t size_bytes;
    bool done = path != NULL;

    if (path && access(path, F_OK) == 0) {
        agate_status status = agate_file_read(path, &names, &size_bytes);
        done = !status && add_noted(r, names, &r->digests);
        agate_status_release(status);
        agate_cache_touch(path);
    }
    free(names);
    free(path);
    return done;
}

static void note_names(request *r)
{
    char *path = r->names.size_bytes ? key_path(r, &no_digests, "names") : NULL;

    if (path && !r->names.failed)
        agate_cache_write(path, r->names.data, r->names.size_bytes);
    free(path);
}

/* ---- finding and making -------------------------------------------------------------------------------- */

/* Nobody else may have written it either: the folder may have been open to others once. */
static agate_status check_entry(const char *path)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        return agate_error_make(errno == ENOENT ? AGATE_CODE_NOT_FOUND : AGATE_CODE_IO, "%s: %s", path,
                                strerror(errno));
    if (!S_ISREG(info.st_mode) || agate_cache_is_open_to_others(&info))
        return agate_error_make(AGATE_CODE_IO, "%s: other users may have written it", path);
    return AGATE_OK;
}

static bool load_entry(request *r, const char *path, agate_model **out_model)
{
    agate_status status = check_entry(path);

    if (!status)
        status = agate_model_load_artifact(path, out_model);
    if (!status)
        agate_cache_touch(path);
    /* That there is nothing yet is nothing to remark on. */
    if (agate_status_code(status) == AGATE_CODE_NOT_FOUND && access(path, F_OK) != 0) {
        agate_status_release(status);
        return false;
    }
    bool done = status == AGATE_OK;
    remark(r, status);
    return done;
}

static bool find(request *r, agate_model **out_model)
{
    bool found = false;

    agate_text_deinit(&r->digests);
    if (look_up_names(r)) {
        char *path = key_path(r, &r->digests, "so");
        found = path && load_entry(r, path, out_model);
        free(path);
    }
    agate_text_deinit(&r->digests);
    r->outcome->hit = found;
    return found;
}

/* What was hashed first is what was compiled since: files are mapped, and read as they are wanted. */
static bool is_unchanged(request *r)
{
    agate_text digests = {0};
    agate_file_state now;
    bool same = true;

    if (r->names.size_bytes > 0)
        same = add_noted(r, r->names.data, &digests) && digests.size_bytes == r->digests.size_bytes &&
               memcmp(digests.data, r->digests.data, digests.size_bytes) == 0;
    agate_text_deinit(&digests);
    if (r->state.inode && same)
        same = state_of(r->source->path, &now) && memcmp(&now, &r->state, sizeof now) == 0;
    return same;
}

/* Writes a planned graph into the cache and brings it from there. */
static agate_status keep(request *r, const agate_graph *graph, const char *path, agate_model **out_model)
{
    const agate_compile_to to = {.path = path, .quiet = true, .locked = true};
    agate_compilation *compilation = NULL;
    agate_status status = agate_compilation_create(&to, &compilation);

    if (!status)
        status = agate_compilation_add(compilation, graph, &r->machine, NULL, &r->options->compile);
    if (!status && !is_unchanged(r))
        status = agate_error_make(AGATE_CODE_IO, "the model was changed while it was compiled");
    if (!status)
        status = agate_compilation_finish(compilation);
    agate_compilation_release(compilation);
    AGATE_TRY(status);
    note_names(r);
    status = agate_model_load_artifact(path, out_model);
    agate_cache_trim(r->cache, r->options->compile.cache_limit_bytes);
    return status;
}

static agate_status make(request *r, agate_graph *graph, agate_model **out_model)
{
    agate_driver_options options = *r->options;

    options.passes.tuning = &r->tuning;
    AGATE_TRY(agate_driver_plan(graph, &options, &r->machine));
    char *path = key_path(r, &r->digests, "so");
    agate_status status = path ? keep(r, graph, path, out_model) : out_of_memory();
    free(path);
    if (!status)
        return AGATE_OK;
    remark(r, status);
    return agate_driver_link(graph, &r->machine, r->options, out_model);
}

static agate_status import_and_make(request *r, agate_model **out_model)
{
    const agate_import_files hear = {.user = r, .file = hear_file};
    agate_graph *graph;

    if (!r->file && !r->source->data)
        AGATE_TRY(agate_file_map(r->source->path, &r->file));
    agate_status status = agate_driver_import(r->source, r->file, r->options, &hear, &graph);
    agate_data_release(r->file);
    r->file = NULL;
    if (!status) {
        status = make(r, graph, out_model);
        agate_graph_release(graph);
    }
    return agate_source_error(r->source, status);
}

/* All but the digests of external data. */
static agate_status make_request(request *r)
{
    AGATE_TRY(digest_model(r));
    return make_base(r);
}

static void request_deinit(request *r)
{
    agate_data_release(r->file);
    agate_text_deinit(&r->base);
    agate_text_deinit(&r->names);
    agate_text_deinit(&r->digests);
    agate_tuning_deinit(&r->tuning);
}

static agate_status load(request *r, agate_model **out_model)
{
    AGATE_TRY(agate_driver_machine(&r->options->compile, &r->machine));
    AGATE_TRY(make_request(r));
    take_tuning(r);
    return find(r, out_model) ? AGATE_OK : import_and_make(r, out_model);
}

agate_status agate_cached_load(const agate_cache *cache, const agate_model_source *source,
                               const agate_driver_options *options, agate_cache_outcome *out_outcome,
                               agate_model **out_model)
{
    request r = {.cache = cache, .source = source, .options = options, .outcome = out_outcome};
    agate_status status = load(&r, out_model);

    request_deinit(&r);
    return status;
}

/* ---- tiles, from outside ------------------------------------------------------------------------------- */

void agate_cached_find_tuning(const char *directory, const agate_model_source *source,
                              const agate_driver_options *options, const agate_machine *machine,
                              agate_cache_outcome *out_outcome, agate_tuning *out_tuning)
{
    agate_cache *cache = NULL;
    request r = {.source = source, .options = options, .outcome = out_outcome, .machine = *machine};
    agate_status status = agate_cache_open(directory, &cache);

    r.cache = cache;
    *out_tuning = (agate_tuning){0};
    if (!status)
        status = make_request(&r);
    if (!status) {
        take_tuning(&r);
        *out_tuning = r.tuning;
        r.tuning = (agate_tuning){0};
    }
    remark(&r, status);
    request_deinit(&r);
    agate_cache_release(cache);
}

static agate_status keep_tuning(request *r, const agate_tuning *tuning)
{
    AGATE_TRY(agate_driver_machine(&r->options->compile, &r->machine));
    AGATE_TRY(make_request(r));
    char *path = key_path(r, &no_digests, "tuned");
    if (!path)
        return out_of_memory();
    bool done = tuning->count > 0 ? write_tuning(path, tuning) : unlink(path) == 0 || errno == ENOENT;
    agate_status status =
        done ? AGATE_OK : agate_error_make(AGATE_CODE_IO, "%s cannot be written: %s", path, strerror(errno));
    free(path);
    return status;
}

agate_status agate_cached_keep_tuning(const char *directory, const char *model,
                                      const agate_driver_options *options, const agate_tuning *tuning)
{
    agate_model_source source;
    agate_cache_outcome outcome = {0};
    agate_cache *cache = NULL;

    AGATE_TRY(agate_cache_open(directory, &cache));
    agate_status status = agate_source_init(&source, model);
    if (!status) {
        request r = {.cache = cache, .source = &source, .options = options, .outcome = &outcome};
        status = keep_tuning(&r, tuning);
        request_deinit(&r);
        free((char *)source.directory);
    }
    agate_cache_release(cache);
    return status;
}
