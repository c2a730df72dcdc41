/* linker.c: runs the system's linker. */
#define _GNU_SOURCE
#include "tools/linker.h"

#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Best first. A compiler takes the linker's options with `prefix` in front, and adds files of its own unless told not to. */
typedef struct program {
    const char *name, *prefix, *first;
} program;

static const program programs[] = {{"ld.lld", "", NULL}, {"ld", "", NULL}, {"cc", "-Wl,", "-nostdlib"}};

/* Nothing of this machine but the C library's name gets into the file: what identifies it is made of its contents. All is
 * bound when it is loaded, and then read-only. */
static const char *const shared_options[] = {
    "--build-id=sha1", "-znow", "-zrelro", "-znoexecstack", "-zdefs", "-zseparate-code", "--hash-style=gnu"};

/* ---- finding things ------------------------------------------------------------------------------------- */

static bool is_in_path(const char *name)
{
    const char *at = getenv("PATH");
    bool found = false;

    for (at = at ? at : ""; *at && !found; at += *at == ':') {
        size_t length = strcspn(at, ":");
        agate_text path = {0};
        agate_text_add(&path, "%.*s/%s", (int)length, at, name);
        found = access(agate_text_c(&path), X_OK) == 0;
        agate_text_deinit(&path);
        at += length;
    }
    return found;
}

static const program *find_program(void)
{
    for (size_t i = 0; i < AGATE_COUNT(programs); i++)
        if (is_in_path(programs[i].name))
            return &programs[i];
    return NULL;
}

/* The file that a function of the C library comes from; NULL where this program has it built in. */
static const char *library_of(const char *function)
{
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, function);

    return address && dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, ".so")
               ? info.dli_fname
               : NULL;
}

/* ---- arguments ------------------------------------------------------------------------------------------ */

typedef struct arguments {
    agate_arena *arena;
    char **items;
    size_t count;
} arguments;

static void add(arguments *args, const char *text)
{
    if (text)
        args->items[args->count++] = agate_arena_text(args->arena, text);
}

static void add_option(arguments *args, const program *linker, const char *option)
{
    args->items[args->count++] = agate_arena_format(args->arena, "%s%s", linker->prefix, option);
}

static void make_arguments(arguments *args, const program *linker, const char *directory, size_t count,
                           bool shared, const char *output)
{
    args->items = AGATE_NEW_N(args->arena, char *, count + 32);
    add(args, linker->name);
    add(args, linker->first);
    add(args, shared ? "-shared" : "-r");
    add(args, "-o");
    add(args, output);
    for (size_t i = 0; shared && i < AGATE_COUNT(shared_options); i++)
        add_option(args, linker, shared_options[i]);
    for (size_t i = 0; i < count; i++)
        args->items[args->count++] = agate_arena_format(args->arena, "%s/%zu.o", directory, i);
    if (shared) {
        add_option(args, linker, "--as-needed");
        add(args, library_of("erf"));
        add(args, library_of("getppid"));
    }
}

/* ---- running -------------------------------------------------------------------------------------------- */

static agate_status wait_for(pid_t process, const char *name)
{
    int state;

    while (waitpid(process, &state, 0) < 0)
        if (errno != EINTR)
            return agate_error_make(AGATE_CODE_IO, "%s: %s", name, strerror(errno));
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return AGATE_OK;
    return agate_error_make(AGATE_CODE_IO, "the linker %s failed (its own message is above)", name);
}

static agate_status spawn(const arguments *args)
{
    pid_t process;
    int error = posix_spawnp(&process, args->items[0], NULL, NULL, args->items, environ);

    if (error)
        return agate_error_make(AGATE_CODE_IO, "%s cannot be run: %s", args->items[0], strerror(error));
    return wait_for(process, args->items[0]);
}

agate_status agate_linker_run(const char *directory, size_t count, bool shared, const char *output)
{
    const program *linker = find_program();
    arguments args = {0};

    if (!linker)
        return agate_error_make(AGATE_CODE_NOT_FOUND,
                                "no linker is in PATH (ld.lld, ld or cc): install lld or binutils");
    args.arena = agate_arena_create();
    if (!args.arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to link");
    make_arguments(&args, linker, directory, count, shared, output);
    agate_status status = spawn(&args);
    agate_arena_release(args.arena);
    return status;
}
