/* SPDX-License-Identifier: Apache-2.0 */
/* A block of work, shared out among threads. */
#include "tests/bench/worker.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 64

/* What one thread does of a block. */
struct share {
    pthread_t thread;
    work_on *work;
    void *state;
    unsigned number;
    unsigned count;
};

unsigned read_threads(const char *argument)
{
    unsigned long threads = strtoul(argument, NULL, 10);

    if (threads < 1 || threads > THREADS_MAX) {
        give_up("start so many threads");
    }
    return (unsigned)threads;
}

static void *do_share(void *argument)
{
    const struct share *share = argument;

    for (unsigned i = 0; i < share->count; i++) {
        share->work(share->state, share->number);
    }
    return NULL;
}

void share_out(unsigned threads, unsigned count, work_on *work, void *state)
{
    struct share shares[THREADS_MAX];

    for (unsigned i = 0; i < threads; i++) {
        shares[i] = (struct share){
            .work = work,
            .state = state,
            .number = i,
            .count = count / threads + (i < count % threads),
        };
    }
    if (threads == 1) {
        do_share(&shares[0]);
        return;
    }
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&shares[i].thread, NULL, do_share, &shares[i]) != 0) {
            give_up("start a thread");
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
    }
}
