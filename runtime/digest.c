/* digest.c: pieces are shared out to threads, their digests gathered in order. */
#include "runtime/digest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/features.h"

/* One core does not read as fast as memory gives; beyond a few, starting them costs more than they save. */
#define MOST_THREADS 4

typedef struct work {
    const char *bytes;
    size_t size_bytes;
    size_t piece_count;
    atomic_size_t next;
    uint64_t *digests; /* of the pieces */
} work;

static void *work_through(void *user)
{
    work *w = user;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->piece_count;) {
        const size_t first = i * AGATE_PIECE_BYTES;
        agate_digest digest = {0};
        agate_digest_add(&digest, w->bytes + first,
                         (size_t)agate_min((int64_t)(w->size_bytes - first), AGATE_PIECE_BYTES));
        w->digests[i] = agate_digest_end(&digest);
    }
    return NULL;
}

static void share_out(work *w)
{
    pthread_t threads[MOST_THREADS];
    int32_t started = 0;
    const int64_t wanted = agate_min(agate_min(agate_cpu_count(), MOST_THREADS), (int64_t)w->piece_count / 4);

    while (started < wanted - 1 && pthread_create(&threads[started], NULL, work_through, w) == 0)
        started++;
    work_through(w);
    for (int32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

uint64_t agate_digest_on_threads(const void *data, size_t size_bytes)
{
    work w = {.bytes = data,
              .size_bytes = size_bytes,
              .piece_count = (size_bytes + AGATE_PIECE_BYTES - 1) / AGATE_PIECE_BYTES};
    agate_long_digest digest = {0};

    w.digests = w.piece_count > 1 ? malloc(w.piece_count * sizeof *w.digests) : NULL;
    if (w.digests) {
        share_out(&w);
        for (size_t i = 0; i < w.piece_count; i++)
            agate_long_digest_add_piece(&digest, w.digests[i]);
    } else {
        agate_long_digest_add(&digest, data, size_bytes);
    }
    free(w.digests);
    return agate_long_digest_end(&digest);
}
