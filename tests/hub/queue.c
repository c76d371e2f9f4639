/* SPDX-License-Identifier: Apache-2.0 */
/* Hands work to the broker's thread and waits until it is done. */
#include "tests/hub/queue.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct job {
    struct job *next;
    void (*work)(void *argument);
    void *argument;
    bool done;
};

struct hub_queue {
    pthread_t broker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first; /* each lives on the stack of the thread that waits for it */
    bool closed;
};

/* Being interrupted is all that is wanted. */
static void wake(int signal_number)
{
    (void)signal_number;
}

struct hub_queue *hub_queue_new(void)
{
    const struct sigaction action = { .sa_handler = wake, .sa_flags = SA_RESTART };
    struct hub_queue *queue = calloc(1, sizeof(*queue));
    pthread_condattr_t monotonic;

    if (queue != NULL) {
        queue->broker = pthread_self();
        sigaction(SIGRTMIN, &action, NULL);
        pthread_mutex_init(&queue->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&queue->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
    }
    return queue;
}

void hub_queue_free(struct hub_queue *queue)
{
    if (queue != NULL) {
        pthread_cond_destroy(&queue->changed);
        pthread_mutex_destroy(&queue->lock);
        free(queue);
    }
}

bool hub_queue_run(struct hub_queue *queue, void (*work)(void *argument), void *argument)
{
    struct job job = { .work = work, .argument = argument };
    struct job **end = &queue->first;
    bool done;

    pthread_mutex_lock(&queue->lock);
    if (!queue->closed) {
        while (*end != NULL) {
            end = &(*end)->next;
        }
        *end = &job;
        pthread_kill(queue->broker, SIGRTMIN);
    }
    while (!job.done && !queue->closed) {
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    done = job.done;
    pthread_mutex_unlock(&queue->lock);
    return done;
}

void hub_queue_drain(struct hub_queue *queue)
{
    struct job *job;

    pthread_mutex_lock(&queue->lock);
    while ((job = queue->first) != NULL) {
        queue->first = job->next;
        pthread_mutex_unlock(&queue->lock);
        job->work(job->argument);
        pthread_mutex_lock(&queue->lock);
        job->done = true;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
}

void hub_queue_close(struct hub_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    queue->first = NULL;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

bool hub_queue_pause(struct hub_queue *queue, int ms)
{
    struct timespec until;
    int result = 0;
    bool open;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && result == 0) {
        result = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    }
    open = !queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return open;
}
