/* cmd_cache.c: shows and empties the cache of compiled models. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "runtime/artifact.h"
#include "tools/cache.h"
#include "tools/cli.h"

typedef struct settings {
    agate_cli_cache cache;
} settings;

static const agate_cli_option options[] = {
    {"cache", AGATE_CLI_TEXT, "DIR", offsetof(settings, cache.directory), "the folder (default: below)"},
    {0},
};

/* ---- list ---------------------------------------------------------------------------------------------- */

/* What a compiled file was made for and from, or what is wrong with it. */
static void print_contents(const char *path)
{
    agate_artifact *artifact = NULL;
    agate_image_variant variant;
    const agate_module *module;
    agate_status status = agate_artifact_open(path, &artifact);

    if (!status)
        status = agate_artifact_variant(artifact, 0, &variant);
    if (!status)
        status = agate_artifact_module(artifact, 0, &module);
    if (status)
        printf("damaged: %s", agate_status_message(status));
    else
        printf("%s, %s, %u kernels, ", variant.isa, variant.precision, module->step_count);
    if (!status)
        agate_cli_put(module->metadata && *module->metadata->graph_name ? module->metadata->graph_name : "?");
    putchar('\n');
    agate_status_release(status);
    agate_artifact_release(artifact);
}

static void print_file(const agate_cache *cache, const agate_cache_file *file)
{
    time_t seconds = (time_t)(file->used_ns / 1000000000);
    struct tm local = {0};
    char when[32], path[4096];

    localtime_r(&seconds, &local);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    printf("%s %10.1f MiB  %s  ", when, (double)file->size_bytes / 1048576, file->name);
    snprintf(path, sizeof path, "%s/%s", cache->directory, file->name);
    print_contents(path);
}

static agate_status list(const agate_cache *cache)
{
    agate_cache_listing listing;
    size_t count = 0;

    AGATE_TRY(agate_cache_list(cache, &listing));
    for (size_t i = 0; i < listing.count; i++) {
        const char *kind = strchr(listing.files[i].name, '.');
        if (strcmp(kind, ".so") != 0)
            continue;
        print_file(cache, &listing.files[i]);
        count++;
    }
    printf("%s: %zu model%s, %.1f MiB\n", cache->directory, count, count == 1 ? "" : "s",
           (double)listing.size_bytes / 1048576);
    agate_cache_listing_deinit(&listing);
    return AGATE_OK;
}

static agate_status remove_all(const agate_cache *cache)
{
    size_t count;
    agate_status status = agate_cache_clear(cache, &count);

    printf("%s: removed %zu files\n", cache->directory, count);
    return status;
}

/* ---- the verb ------------------------------------------------------------------------------------------ */

static agate_status run_on(const char *directory, bool clear)
{
    agate_cache *cache = NULL;

    AGATE_TRY(agate_cache_open(directory, &cache));
    agate_status status = clear ? remove_all(cache) : list(cache);
    agate_cache_release(cache);
    return status;
}

static int run(const agate_cli_verb *verb, int argc, char **argv)
{
    settings set = {0};
    agate_cli_list operands;
    agate_cli_path room;
    agate_compile_options where = {0};
    int code = agate_cli_parse(verb, argc, argv, &set, &operands);

    if (code >= 0)
        return code;
    const char *what = operands.count > 0 ? operands.items[0] : "list";
    bool clear = strcmp(what, "clear") == 0;
    if (operands.count > 1 || (!clear && strcmp(what, "list") != 0))
        return agate_cli_usage(verb, "list or clear");
    agate_cli_cache_options(&set.cache, &room, &where);
    if (!where.cache_directory) {
        printf("no cache is in use\n");
        return AGATE_EXIT_OK;
    }
    agate_status status = run_on(where.cache_directory, clear);
    return status == AGATE_OK ? AGATE_EXIT_OK : agate_cli_fail(status);
}

const agate_cli_verb agate_cmd_cache = {
    .name = "cache",
    .operands = "[OPTION]... [list|clear]",
    .summary = "Lists or removes the compiled models that are kept from earlier runs.",
    .options = options,
    .details = "`agate run`, `bench` and `test` keep what they compile, so that the next start takes "
               "milliseconds. What is kept "
               "is\n"
               "found by a hash of the model, its external data, the options, the CPU and this build of "
               "agate, and checked when "
               "it is\n"
               "loaded: whatever is damaged is compiled again. The folder is --cache DIR, or "
               "AGATE_CACHE_DIR, or agate in "
               "XDG_CACHE_HOME,\n"
               "or ~/.cache/agate; \"none\" in place of a folder keeps nothing. It is held to 4 GiB: models "
               "least recently used "
               "go.\n\n"
               "  agate cache\n"
               "  agate cache clear\n"
               "  agate bench resnet50.onnx --cache none\n",
    .run = run,
};
