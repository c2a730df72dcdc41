/* failing.c: the allocations of agate's objects, counted and refused; the linker's --wrap puts these in their
 * place. */
#define _GNU_SOURCE
#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool failing_verbose;

static atomic_long calls, live;
static long failing_at;
static failing_mode failing_how;

void failing_arm(failing_mode mode, long at)
{
    failing_how = mode;
    failing_at = at;
    atomic_store(&calls, 0);
}

long failing_count(void)
{
    return atomic_load(&calls);
}

long failing_live(void)
{
    return atomic_load(&live);
}

static bool refused(const void *caller)
{
    const long call = atomic_fetch_add(&calls, 1) + 1;
    const bool fails = failing_at && (failing_how == FAILING_ONCE ? call == failing_at : call >= failing_at);
    if (fails && failing_verbose)
        fprintf(stderr, "allocation %ld fails at %p\n", call, caller);
    if (fails)
        errno = ENOMEM;
    return fails;
}

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
ssize_t __real___getdelim(char **line, size_t *room, int delimiter, FILE *file);
void *__real___sched_cpualloc(size_t count);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);
ssize_t __wrap_getline(char **line, size_t *room, FILE *file);
ssize_t __wrap___getdelim(char **line, size_t *room, int delimiter, FILE *file);
void *__wrap___sched_cpualloc(size_t count);
void __wrap_free(void *block);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

#define REFUSED() refused(__builtin_return_address(0))

void *__wrap_malloc(size_t size)
{
    return REFUSED() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return REFUSED() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (REFUSED())
        return NULL;
    void *grown = __real_realloc(block, size);
    return block ? grown : counted(grown);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return REFUSED() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    char *copy = REFUSED() ? NULL : counted(__real_malloc(strlen(text) + 1));
    return copy ? strcpy(copy, text) : NULL;
}

char *__wrap_strndup(const char *text, size_t most)
{
    const size_t length = strnlen(text, most);
    char *copy = REFUSED() ? NULL : counted(__real_malloc(length + 1));
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

/* What getline is to a compiler that optimizes. */
ssize_t __wrap___getdelim(char **line, size_t *room, int delimiter, FILE *file)
{
    if (!*line && REFUSED())
        return -1;
    const bool had = *line != NULL;
    const ssize_t size = __real___getdelim(line, room, delimiter, file);
    if (!had)
        counted(*line);
    return size;
}

ssize_t __wrap_getline(char **line, size_t *room, FILE *file)
{
    return __wrap___getdelim(line, room, '\n', file);
}

/* Freed inside the C library. */
void *__wrap___sched_cpualloc(size_t count)
{
    return REFUSED() ? NULL : __real___sched_cpualloc(count);
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (REFUSED())
        return MAP_FAILED;
    void *mapping = __real_mmap(address, size, protection, flags, fd, offset);
    if (mapping != MAP_FAILED)
        counted(mapping);
    return mapping;
}

int __wrap_munmap(void *address, size_t size)
{
    atomic_fetch_sub(&live, 1);
    return __real_munmap(address, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    return REFUSED() ? EAGAIN : __real_pthread_create(thread, attr, start, arg);
}
