/* cli_cache.c: which cache the command uses, by its options and the environment. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli.h"

/* What the environment says of a variable; NULL where it says nothing. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static bool find_directory(const agate_cli_cache *settings, agate_cli_path *room)
{
    const char *directory = settings->directory ? settings->directory : variable("AGATE_CACHE_DIR");
    const char *base = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    int length = -1;

    if (directory)
        length =
            strcmp(directory, "none") == 0 ? -1 : snprintf(room->text, sizeof room->text, "%s", directory);
    else if (base && *base == '/') /* one that is not absolute is to be ignored, says the XDG specification */
        length = snprintf(room->text, sizeof room->text, "%s/agate", base);
    else if (home)
        length = snprintf(room->text, sizeof room->text, "%s/.cache/agate", home);
    return length > 0 && (size_t)length < sizeof room->text;
}

void agate_cli_cache_options(const agate_cli_cache *settings, agate_cli_path *room,
                             agate_compile_options *options)
{
    options->cache_directory = find_directory(settings, room) ? room->text : NULL;
}

void agate_cli_cache_report(const agate_cli_cache *settings, const char *model,
                            const agate_cache_outcome *outcome)
{
    if (!settings->verbose)
        return;
    fprintf(stderr, "remark: %s: %s%s%s\n", model, outcome->hit ? "from the cache" : "compiled",
            outcome->remark[0] ? "; cache: " : "", outcome->remark);
}
