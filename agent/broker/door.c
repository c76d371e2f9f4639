/* SPDX-License-Identifier: Apache-2.0 */
/* Hands requests over to gatekeyd and counts its answers. */
#include "agent/broker/door.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define ANSWERS_MAX ((size_t)16384) /* one longer than this makes no sense */
/* So many in a row are waited for before any is not: where messages are taken only now and then,
 * each failure would cut everybody off. */
#define STEADY 16

static const char silence[] = "gatekeyd does not answer: messages are not taken";

struct door {
    struct sockaddr_un address;
    int epoll, bell;
    void *tag;
    atomic_uint_least64_t handed, answered;
    atomic_bool lost; /* some of those handed over will not be answered */

    pthread_mutex_t mutex; /* for all below; held while nothing blocks */
    pthread_cond_t changed;
    int fd;    /* closed by the broker's thread alone, which may wait for it with the lock let go */
    bool gone; /* gatekeyd has hung up */
    bool ended;  /* nothing more is written: gatekeyd is to answer what it took, and to hang up */
    bool untold; /* nobody was told why yet */
    unsigned steady;  /* so many in a row were taken while they were waited for */
    uint64_t awaited; /* the broker's thread waits for this one, the last; 0: it does not */
    int64_t since_ms; /* when gatekeyd last answered, or was asked after it had answered all */
    enum door_outcome outcome; /* of the one awaited */
    char why[DOOR_WHY];
    size_t used;
    char answers[ANSWERS_MAX];
};

int64_t door_now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct door *door_new(const char *path)
{
    struct door *door = calloc(1, sizeof(*door));
    pthread_condattr_t attributes;

    if (door == NULL || strlen(path) >= sizeof(door->address.sun_path)) {
        free(door);
        return NULL;
    }
    door->address.sun_family = AF_UNIX;
    memcpy(door->address.sun_path, path, strlen(path));
    door->epoll = door->fd = -1;
    door->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (door->bell < 0) {
        free(door);
        return NULL;
    }
    /* None of these can fail with glibc. */
    pthread_mutex_init(&door->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&door->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return door;
}

void door_free(struct door *door)
{
    if (door == NULL) {
        return;
    }
    gk_closep(&door->fd);
    gk_closep(&door->bell);
    pthread_cond_destroy(&door->changed);
    pthread_mutex_destroy(&door->mutex);
    free(door);
}

static void lock(struct door *door)
{
    pthread_mutex_lock(&door->mutex);
}

static void unlock(struct door *const *door)
{
    pthread_mutex_unlock(&(*door)->mutex);
}

#define LOCKED(door)                                                  \
    CLEANUP(unlock) __attribute__((unused)) struct door *held = door; \
    lock(held)

void door_ring(struct door *door)
{
    /* Cannot fail: the counter is far from its end. */
    (void)!eventfd_write(door->bell, 1);
}

/* --- the end of a connection ----------------------------------------------------------------- */

/* gatekeyd has hung up, or there is nothing left to hear from it. */
static void drop(struct door *door)
{
    epoll_ctl(door->epoll, EPOLL_CTL_DEL, door->fd, NULL);
    shutdown(door->fd, SHUT_RDWR);
    door->gone = true;
    door->used = 0;
}

/* What is in the socket still may be taken: only gatekeyd's hanging up says that no more is. */
static void end(struct door *door)
{
    if (!door->ended) {
        door->ended = true;
        shutdown(door->fd, SHUT_WR);
    }
}

static void lose(struct door *door, const char *why)
{
    if (!door->lost) {
        snprintf(door->why, sizeof(door->why), "%s", why);
        door->untold = true;
    }
    door->lost = true;
    door->steady = 0;
    end(door);
    pthread_cond_signal(&door->changed);
    door_ring(door);
}

/* --- handing over ---------------------------------------------------------------------------- */

static bool connect_to(struct door *door)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = door->tag };

    door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door->fd >= 0 &&
        connect(door->fd, (const struct sockaddr *)&door->address, sizeof(door->address)) == 0 &&
        epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->fd, &event) == 0) {
        door->gone = door->ended = false;
        door->used = 0;
        door->steady = 0;
        return true;
    }
    gk_closep(&door->fd);
    door->fd = -1;
    return false;
}

static bool is_answered(const struct door *door, uint64_t number)
{
    return atomic_load(&door->answered) >= number;
}

/* Until this one is answered, or never will be; 0: until gatekeyd has hung up. */
static void wait_for(struct door *door, uint64_t number)
{
    while (!door->gone && !door->lost &&
           (number == 0 || (!door->ended && !is_answered(door, number)))) {
        int64_t until_ms = door->since_ms + DOOR_WAIT_MS;
        const struct timespec until = { until_ms / 1000, until_ms % 1000 * 1000000 };

        if (door_now_ms() >= until_ms) {
            return;
        }
        pthread_cond_timedwait(&door->changed, &door->mutex, &until);
    }
}

/* fresh: gatekeyd cannot have hung up in the meantime. */
static bool is_open(struct door *door, bool *fresh)
{
    *fresh = false;
    if (door->lost) {
        return false;
    }
    if (door->fd >= 0 && door->ended) {
        /* What it took of what is sent again now has to be before that. */
        wait_for(door, 0);
    }
    if (door->lost || (door->fd >= 0 && !door->gone)) {
        return !door->lost && !door->ended;
    }
    gk_closep(&door->fd);
    door->fd = -1;
    *fresh = connect_to(door);
    return *fresh;
}

/* With the lock let go: the gate's thread must be able to read answers, or gatekeyd would not read
 * on. */
static bool wait_for_room(struct door *door)
{
    struct pollfd poller = { door->fd, POLLOUT, 0 };
    int64_t left = door->since_ms + DOOR_WAIT_MS - door_now_ms();
    int count;

    if (left <= 0) {
        return false;
    }
    pthread_mutex_unlock(&door->mutex);
    count = poll(&poller, 1, (int)left);
    lock(door);
    return count != 0; /* what is wrong shows when it is written to */
}

static bool send_line(struct door *door, const char *line, size_t size)
{
    while (size > 0) {
        ssize_t sent = -1;

        if (door->gone || door->ended || door->lost) {
            return false;
        }
        sent = send(door->fd, line, size, MSG_NOSIGNAL);
        if (sent > 0) {
            line += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for_room(door)) {
                return false;
            }
        } else if (errno != EINTR) {
            drop(door);
            return false;
        }
    }
    return true;
}

/* The last one was not answered. Its sender is told so; where there are others, all are cut off. */
static void give_up(struct door *door, uint64_t number)
{
    if (!door->gone) {
        end(door);
    }
    if (!is_answered(door, number - 1)) {
        lose(door, silence);
    } else {
        snprintf(door->why, sizeof(door->why), "%s", silence);
        door->steady = 0;
        atomic_store(&door->answered, number);
        door_ring(door); /* what was held for its sake alone may go */
    }
}

/*
 * stale: the connection was of no use any more, and nothing was lost with it.
 *
 * The number counts before anything is written, and so before mosquitto is told that the message is
 * taken: whoever sees mosquitto acknowledge it sees it counted.
 */
static enum door_outcome hand_over(struct door *door, const char *line, size_t size, bool wait,
                                   bool *stale)
{
    uint64_t number = atomic_load(&door->handed) + 1;
    bool fresh;

    *stale = false;
    if (!is_open(door, &fresh)) {
        if (door->fd < 0) {
            snprintf(door->why, sizeof(door->why), "%s", silence);
            door->steady = 0;
        }
        return DOOR_AGAIN;
    }
    wait = wait || door->steady < STEADY;
    if (is_answered(door, number - 1)) {
        door->since_ms = door_now_ms();
    }
    atomic_store(&door->handed, number);
    door->awaited = wait ? number : 0;
    door->outcome = DOOR_AGAIN;
    if (send_line(door, line, size)) {
        if (!wait) {
            return DOOR_TAKEN;
        }
        wait_for(door, number);
    }
    door->awaited = 0;
    if (is_answered(door, number)) {
        return door->outcome;
    }
    give_up(door, number);
    *stale = !fresh && door->gone && !door->lost;
    return DOOR_AGAIN;
}

enum door_outcome door_hand_over(struct door *door, const char *line, size_t size, bool wait,
                                 char why[static DOOR_WHY])
{
    enum door_outcome outcome;
    bool stale;
    LOCKED(door);

    outcome = hand_over(door, line, size, wait, &stale);
    /* A connection that was idle may have been closed for another's sake, or by a restart. */
    if (stale) {
        outcome = hand_over(door, line, size, wait, &stale);
    }
    snprintf(why, DOOR_WHY, "%s", outcome == DOOR_AGAIN || door->untold ? door->why : "");
    door->untold = false;
    return outcome;
}

/* --- answers --------------------------------------------------------------------------------- */

bool door_watch(struct door *door, int epoll, void *tag)
{
    /* Each ring is an edge, so that nobody need read it. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = tag };

    door->epoll = epoll;
    door->tag = tag;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, door->bell, &event) == 0;
}

static enum door_outcome read_outcome(const char *line, size_t size, char why[static DOOR_WHY])
{
    static const char yes[] = "{\"ok\":true";
    json_t *answer;
    const char *error;
    enum door_outcome outcome;

    /* Nearly all of them begin like this, as gatekeyd writes them. */
    if (size >= sizeof(yes) - 1 && memcmp(line, yes, sizeof(yes) - 1) == 0) {
        return DOOR_TAKEN;
    }
    answer = json_loadb(line, size, 0, NULL);
    error = json_string_value(json_object_get(answer, "error"));
    outcome = json_is_true(json_object_get(answer, "ok"))      ? DOOR_TAKEN
              : json_is_true(json_object_get(answer, "final")) ? DOOR_REFUSED
                                                               : DOOR_AGAIN;
    snprintf(why, DOOR_WHY, "%s", error != NULL ? error : silence);
    json_decref(answer);
    return outcome;
}

static void take_answer(struct door *door, const char *line, size_t size)
{
    uint64_t number = atomic_load(&door->answered) + 1;
    char why[DOOR_WHY] = "";
    enum door_outcome outcome;

    if (door->ended || number > atomic_load(&door->handed)) {
        return; /* nobody waits for it */
    }
    outcome = read_outcome(line, size, why);
    door->since_ms = door_now_ms();
    if (number != door->awaited) {
        if (outcome == DOOR_AGAIN) {
            lose(door, why);
        } else {
            atomic_store(&door->answered, number);
        }
        return;
    }
    door->outcome = outcome;
    if (outcome == DOOR_AGAIN) {
        snprintf(door->why, sizeof(door->why), "%s", why);
        door->steady = 0;
        /* gatekeyd takes no more from here, and it was the last: there is nothing to wait for. */
        drop(door);
    } else if (door->steady < STEADY) {
        door->steady++;
    }
    atomic_store(&door->answered, number);
    pthread_cond_signal(&door->changed);
}

static void take_answers(struct door *door)
{
    size_t taken = 0;
    const char *end;

    while (!door->gone && (end = memchr(door->answers + taken, '\n', door->used - taken)) != NULL) {
        take_answer(door, door->answers + taken, (size_t)(end - (door->answers + taken)));
        taken = (size_t)(end - door->answers) + 1;
    }
    if (!door->gone) {
        memmove(door->answers, door->answers + taken, door->used - taken);
        door->used -= taken;
    }
}

static void hear_end(struct door *door)
{
    uint64_t unanswered = atomic_load(&door->handed) - atomic_load(&door->answered);

    drop(door);
    /* The one awaited is seen to by who waits for it. */
    if (!door->lost && unanswered > (door->awaited != 0 ? 1 : 0)) {
        lose(door, silence);
    }
    pthread_cond_signal(&door->changed);
}

void door_read(struct door *door)
{
    LOCKED(door);

    while (door->fd >= 0 && !door->gone) {
        ssize_t got = recv(door->fd, door->answers + door->used, sizeof(door->answers) - door->used,
                           MSG_DONTWAIT);

        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0) {
            /* No room for the answer is the same. */
            hear_end(door);
            return;
        }
        door->used += (size_t)got;
        take_answers(door);
    }
}

uint64_t door_handed(const struct door *door)
{
    return atomic_load(&door->handed);
}

uint64_t door_answered(const struct door *door)
{
    return atomic_load(&door->answered);
}

bool door_is_lost(const struct door *door)
{
    return door->lost;
}

void door_mended(struct door *door)
{
    LOCKED(door);

    door->lost = false;
    atomic_store(&door->answered, atomic_load(&door->handed));
}

static bool is_waited_for(const struct door *door)
{
    return !door->lost && atomic_load(&door->answered) < atomic_load(&door->handed);
}

int64_t door_deadline_ms(struct door *door)
{
    LOCKED(door);

    return is_waited_for(door) ? door->since_ms + DOOR_WAIT_MS : -1;
}

void door_expire(struct door *door)
{
    LOCKED(door);

    /* The one awaited is seen to by who waits for it. */
    if (is_waited_for(door) && door->awaited == 0 &&
        door_now_ms() >= door->since_ms + DOOR_WAIT_MS) {
        lose(door, silence);
    }
}
