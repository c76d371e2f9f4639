/* SPDX-License-Identifier: Apache-2.0 */
/* The clients' socket, and the thread that serves them. */
#include "agent/broker/gate.h"

#include "agent/broker/listener.h"
#include "agent/broker/passage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define EVENTS_MAX 64
#define ROUNDS_MAX 16 /* of those that can go on at once, before others are looked at */

struct gate {
    struct door *door;
    struct listener *listener; /* NULL: there is none */
    int epoll;
    pthread_t thread;
    atomic_bool stopping;
    bool cutting; /* those that were there are cut off, and nobody is let in */
    struct passage *passages, *over;
    size_t count;
    struct passage *first_held, **last_held;   /* in the order of their stamps */
    struct passage *first_ready, **last_ready; /* they can go on at once */
    char buffer[PASSAGE_CHUNK];
};

/* --- passages -------------------------------------------------------------------------------- */

static void make_ready(struct gate *gate, struct passage *passage)
{
    if (!passage->ready) {
        passage->ready = true;
        passage->next_ready = NULL;
        *gate->last_ready = passage;
        gate->last_ready = &passage->next_ready;
    }
}

static struct passage *take_ready(struct gate *gate)
{
    struct passage *passage = gate->first_ready;

    gate->first_ready = passage->next_ready;
    if (gate->first_ready == NULL) {
        gate->last_ready = &gate->first_ready;
    }
    passage->ready = false;
    return passage;
}

static void hold(struct gate *gate, struct passage *passage)
{
    passage->held = true;
    passage->next_held = NULL;
    *gate->last_held = passage;
    gate->last_held = &passage->next_held;
}

/* It is freed when nothing can speak of it any more: events may, that epoll gave already. */
static void put_aside(struct gate *gate, struct passage *passage)
{
    if (passage->before != NULL) {
        passage->before->next = passage->next;
    } else {
        gate->passages = passage->next;
    }
    if (passage->next != NULL) {
        passage->next->before = passage->before;
    }
    passage->next = gate->over;
    gate->over = passage;
    gate->count--;
}

static void free_over(struct gate *gate)
{
    while (gate->over != NULL) {
        struct passage *passage = gate->over;

        gate->over = passage->next;
        passage_free(passage);
        listener_room(gate->listener);
    }
}

static void move(struct gate *gate, struct passage *passage)
{
    bool more = passage_move(passage, gate->epoll, gate->door, gate->buffer);

    if (passage->stamp != 0 && !passage->held) {
        hold(gate, passage);
    }
    if (passage->over && !passage->held) {
        put_aside(gate, passage);
    } else if (more) {
        make_ready(gate, passage);
    }
}

static void move_ready(struct gate *gate)
{
    for (size_t i = 0; i < ROUNDS_MAX && gate->first_ready != NULL; i++) {
        /* Those that are ready now, each once. */
        struct passage *last = NULL, *passage;

        for (struct passage *each = gate->first_ready; each != NULL; each = each->next_ready) {
            last = each;
        }
        do {
            passage = take_ready(gate);
            move(gate, passage);
        } while (passage != last);
    }
}

/* Stamps rise along the queue, since what was handed over only grows. */
static void release(struct gate *gate)
{
    uint64_t answered = door_answered(gate->door);

    while (gate->first_held != NULL && gate->first_held->stamp <= answered) {
        struct passage *passage = gate->first_held;

        gate->first_held = passage->next_held;
        if (gate->first_held == NULL) {
            gate->last_held = &gate->first_held;
        }
        passage->held = false;
        passage->stamp = 0;
        make_ready(gate, passage);
    }
}

/* --- clients --------------------------------------------------------------------------------- */

static void let_in(struct gate *gate)
{
    int client, broker;

    while (gate->count < LISTENER_CLIENTS_MAX &&
           listener_accept(gate->listener, &client, &broker)) {
        struct passage *passage = passage_new(gate->epoll, client, broker);

        if (passage == NULL) {
            continue;
        }
        passage->next = gate->passages;
        if (passage->next != NULL) {
            passage->next->before = passage;
        }
        gate->passages = passage;
        gate->count++;
        make_ready(gate, passage);
    }
}

/* Held or not: which of them sent what is lost, nobody knows but mosquitto. */
static void cut_off(struct gate *gate)
{
    gate->cutting = true;
    gate->first_held = NULL;
    gate->last_held = &gate->first_held;
    for (struct passage *passage = gate->passages; passage != NULL; passage = passage->next) {
        passage_cut(passage);
        passage->held = false;
        make_ready(gate, passage);
    }
}

static void look_for_losses(struct gate *gate)
{
    if (!gate->cutting && door_is_lost(gate->door)) {
        cut_off(gate);
    }
    if (gate->cutting && gate->passages == NULL) {
        gate->cutting = false;
        door_mended(gate->door);
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

static int64_t sooner(int64_t one, int64_t other)
{
    return one < 0 || (other >= 0 && other < one) ? other : one;
}

/* For epoll_wait(2): -1 when there is nothing to do until somebody says something. */
static int patience_ms(struct gate *gate)
{
    int64_t due_ms = gate->cutting ? -1 : listener_due_ms(gate->listener);
    int64_t left;

    if (gate->first_ready != NULL) {
        return 0;
    }
    if (gate->first_held != NULL) {
        due_ms = sooner(due_ms, door_deadline_ms(gate->door));
    }
    if (due_ms < 0) {
        return -1;
    }
    left = due_ms - door_now_ms();
    return left > 0 ? (int)left : 0;
}

static void take_events(struct gate *gate, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == gate->door) {
            door_read(gate->door);
        } else if (events[i].data.ptr == gate->listener) {
            listener_note(gate->listener);
        } else {
            struct passage_end *end = events[i].data.ptr;

            passage_note(end, events[i].events);
            make_ready(gate, end->passage);
        }
    }
}

static void *run(void *context)
{
    struct gate *gate = context;
    struct epoll_event events[EVENTS_MAX];

    while (!atomic_load(&gate->stopping)) {
        int count = epoll_wait(gate->epoll, events, EVENTS_MAX, patience_ms(gate));

        take_events(gate, events, count);
        if (gate->first_held != NULL) {
            door_expire(gate->door);
        }
        look_for_losses(gate);
        release(gate);
        move_ready(gate);
        look_for_losses(gate);
        /* The descriptors of those who left may be what somebody waits for. */
        free_over(gate);
        if (!gate->cutting) {
            let_in(gate);
        }
    }
    return NULL;
}

static bool start(struct gate *gate)
{
    sigset_t all, before;
    int code;

    /* Signals are mosquitto's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&gate->thread, NULL, run, gate);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

struct gate *gate_new(struct door *door, const char *path, const char *inner, char *why,
                      size_t size)
{
    struct gate *gate = calloc(1, sizeof(*gate));

    if (gate == NULL) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
    gate->door = door;
    gate->last_held = &gate->first_held;
    gate->last_ready = &gate->first_ready;
    gate->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (gate->epoll < 0 || !door_watch(door, gate->epoll, door)) {
        snprintf(why, size, "epoll: %s", strerror(errno));
    } else if ((path == NULL && inner == NULL) ||
               (gate->listener = listener_new(gate->epoll, path, inner, why, size)) != NULL) {
        if (start(gate)) {
            return gate;
        }
        snprintf(why, size, "it cannot have a thread");
    }
    listener_free(gate->listener);
    gk_closep(&gate->epoll);
    free(gate);
    return NULL;
}

void gate_free(struct gate *gate)
{
    if (gate == NULL) {
        return;
    }
    atomic_store(&gate->stopping, true);
    door_ring(gate->door);
    pthread_join(gate->thread, NULL);
    while (gate->passages != NULL) {
        put_aside(gate, gate->passages);
    }
    free_over(gate);
    listener_free(gate->listener);
    gk_closep(&gate->epoll);
    free(gate);
}
