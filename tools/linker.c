/* linker.c: runs the system's linker. */
#define _GNU_SOURCE
#include "tools/linker.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fastest first (most of it is to start). A compiler takes the linker's options with `prefix` in front, and
 * adds files of its own unless told not to. */
typedef struct program {
    const char *name, *prefix, *first;
} program;

static const program programs[] = {{"ld", "", NULL}, {"ld.lld", "", NULL}, {"cc", "-Wl,", "-nostdlib"}};

/* Nothing of this machine but the C library's name gets into the file: what identifies it is made of its
 * contents. All is bound when it is loaded, and then read-only. */
static const char *const shared_options[] = {
    "--build-id=sha1", "-znow", "-zrelro", "-znoexecstack", "-zdefs", "-zseparate-code", "--hash-style=gnu"};

/* The file that a function of the C library comes from; NULL where this program has it built in. */
static const char *library_of(const char *function)
{
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, function);

    return address && dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, ".so")
               ? info.dli_fname
               : NULL;
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

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

/* What begins with "-", "=" or "@" would be no path for a linker. */
static const char *base_of(const char *path)
{
    return *path == '/' ? "" : "./";
}

static void make_arguments(arguments *args, const program *linker, const agate_linker_options *options,
                           size_t count)
{
    const char *directory = options->directory;

    args->items = AGATE_NEW_N(args->arena, char *, count + 32);
    args->count = 0;
    add(args, linker->name);
    add(args, linker->first);
    add(args, options->shared ? "-shared" : "-r");
    add(args, "-o");
    args->items[args->count++] =
        agate_arena_format(args->arena, "%s%s", base_of(options->output), options->output);
    for (size_t i = 0; options->shared && i < AGATE_COUNT(shared_options); i++)
        add_option(args, linker, shared_options[i]);
    for (size_t i = 0; i < count; i++)
        args->items[args->count++] =
            agate_arena_format(args->arena, "%s%s/%zu.o", base_of(directory), directory, i);
    if (options->shared) {
        add_option(args, linker, "--as-needed");
        add(args, library_of("erf"));
        add(args, library_of("getppid"));
    }
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* Is it an ELF file with all of its section headers? Linkers write these last. */
static bool is_whole(const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    Elf64_Ehdr head;

    if (file < 0)
        return false;
    bool whole = pread(file, &head, sizeof head, 0) == (ssize_t)sizeof head && fstat(file, &info) == 0 &&
                 memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_shoff > 0 &&
                 head.e_shoff <= (uint64_t)info.st_size &&
                 (uint64_t)head.e_shnum * head.e_shentsize <= (uint64_t)info.st_size - head.e_shoff;
    close(file);
    return whole;
}

static agate_status failure(const char *name, int state, bool quiet)
{
    if (WIFSIGNALED(state))
        return agate_error_make(AGATE_CODE_IO, "the linker %s was ended by a signal (%s)", name,
                                strsignal(WTERMSIG(state)));
    if (quiet)
        return agate_error_make(AGATE_CODE_IO, "the linker %s failed with exit code %d", name,
                                WEXITSTATUS(state));
    return agate_error_make(AGATE_CODE_IO, "the linker %s failed (its own message is above)", name);
}

/* Where SIGCHLD is ignored, or somebody waits for every child, it is not known how the linker ended, but that
 * it has: what it wrote tells. */
static agate_status wait_for(pid_t process, const char *name, const agate_linker_options *options)
{
    int state = 0;

    while (waitpid(process, &state, 0) < 0) {
        if (errno == ECHILD)
            break;
        if (errno != EINTR)
            return agate_error_make(AGATE_CODE_IO, "%s: %s", name, strerror(errno));
    }
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0)
        return failure(name, state, options->quiet);
    if (!is_whole(options->output))
        return agate_error_make(AGATE_CODE_IO, "the linker %s wrote no whole file: is there room for it?",
                                name);
    return AGATE_OK;
}

/* Returns what errno would be. */
static int spawn(const arguments *args, bool quiet, pid_t *out_process)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error)
        return error;
    for (int stream = STDOUT_FILENO; quiet && stream <= STDERR_FILENO && !error; stream++)
        error = posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawnp(out_process, args->items[0], &actions, NULL, args->items, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static agate_status run(const agate_linker_options *options, size_t object_count, agate_arena *arena)
{
    arguments args = {.arena = arena};

    for (size_t i = 0; i < AGATE_COUNT(programs); i++) {
        pid_t process;
        make_arguments(&args, &programs[i], options, object_count);
        int error = spawn(&args, options->quiet, &process);
        if (!error)
            return wait_for(process, programs[i].name, options);
        if (error != ENOENT && error != EACCES)
            return agate_error_make(AGATE_CODE_IO, "%s cannot be run: %s", programs[i].name, strerror(error));
    }
    return agate_error_make(AGATE_CODE_NOT_FOUND,
                            "no linker is in PATH (ld, ld.lld or cc): install lld or binutils");
}

agate_status agate_linker_run(const agate_linker_options *options, size_t object_count)
{
    agate_arena *arena = agate_arena_create();

    if (!arena)
        return agate_error_make(AGATE_CODE_OUT_OF_MEMORY, "no memory to link");
    agate_status status = run(options, object_count, arena);
    agate_arena_release(arena);
    return status;
}
