/* arena.c: memory that is filled by bumping a pointer inside one reservation of address space. */
#include "runtime/base/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Lies at the start of its own reservation. */
struct agate_arena {
    size_t used_bytes; /* this header included */
    size_t size_bytes; /* of the reservation */
};

enum { GRAIN = 16, PAGE = 4096 };

#define LARGEST_RESERVATION  ((size_t)64 << 30)
#define SMALLEST_RESERVATION ((size_t)64 << 20)

/* Above this it is cheaper to give pages back than to clear them. */
#define CLEAR_BY_HAND_BYTES ((size_t)256 << 10)

static size_t round_up(size_t value, size_t grain)
{
    return (value + grain - 1) / grain * grain;
}

/* One that was released, empty again: most arenas live shortly, and the system takes longer to map and unmap
 * so much than they live. */
static _Atomic(agate_arena *) spare;

static void unmap(agate_arena *arena)
{
    if (arena)
        munmap(arena, arena->size_bytes);
}

__attribute__((destructor)) static void unmap_spare(void)
{
    unmap(atomic_exchange(&spare, NULL));
}

agate_arena *agate_arena_create(void)
{
    agate_arena *spared = atomic_exchange(&spare, NULL);
    if (spared)
        return spared;
    /* A limit on address space (ulimit -v, strict overcommit) refuses the large reservations, not the arena.
     */
    for (size_t size = LARGEST_RESERVATION; size >= SMALLEST_RESERVATION; size /= 4) {
        void *region =
            mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (region != MAP_FAILED) {
            agate_arena *arena = region;
            arena->used_bytes = round_up(sizeof(*arena), GRAIN);
            arena->size_bytes = size;
            return arena;
        }
    }
    return NULL;
}

void agate_arena_release(agate_arena *arena)
{
    if (!arena)
        return;
    agate_arena_rewind(arena, round_up(sizeof(*arena), GRAIN));
    unmap(atomic_exchange(&spare, arena));
}

void *agate_arena_alloc(agate_arena *arena, size_t size_bytes)
{
    const size_t room = arena->size_bytes - arena->used_bytes;
    if (size_bytes > room || round_up(size_bytes, GRAIN) > room)
        abort();
    void *memory = (char *)arena + arena->used_bytes;
    arena->used_bytes += round_up(size_bytes, GRAIN);
    return memory;
}

size_t agate_arena_room(const agate_arena *arena)
{
    return arena->size_bytes - arena->used_bytes;
}

char *agate_arena_text(agate_arena *arena, const char *text)
{
    if (!text)
        return NULL;
    const size_t size = strlen(text) + 1;
    return memcpy(agate_arena_alloc(arena, size), text, size);
}

char *agate_arena_format(agate_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);

    char *text = agate_arena_alloc(arena, (size_t)agate_max(size, 0) + 1);
    if (size > 0)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

size_t agate_arena_mark(const agate_arena *arena)
{
    return arena->used_bytes;
}

void agate_arena_rewind(agate_arena *arena, size_t mark)
{
    assert(mark <= arena->used_bytes && mark % GRAIN == 0);
    size_t end = arena->used_bytes;
    arena->used_bytes = mark;

    /* What is handed out next must be zero again. */
    if (end - mark > CLEAR_BY_HAND_BYTES) {
        const size_t first_page = round_up(mark, PAGE);
        if (madvise((char *)arena + first_page, round_up(end, PAGE) - first_page, MADV_DONTNEED) == 0)
            end = first_page;
    }
    memset((char *)arena + mark, 0, end - mark);
}
