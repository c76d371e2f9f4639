/* SPDX-License-Identifier: Apache-2.0 */
/* Copies bytes between a client and mosquitto, and holds back what mosquitto says. */
#include "agent/broker/passage.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Once: what cannot be acted upon at the moment is not to be told of again and again. */
static bool watch(int epoll, struct passage_end *end, int operation)
{
    uint32_t reading = end->readable || end->ended ? 0 : EPOLLIN | EPOLLRDHUP;
    uint32_t writing = end->full ? EPOLLOUT : 0;
    struct epoll_event event = { .events = reading | writing | EPOLLONESHOT, .data.ptr = end };

    end->watched = epoll_ctl(epoll, operation, end->fd, &event) == 0;
    return end->watched;
}

/* Where nothing more can be done with it. One that is shut altogether was told of, which is told
 * whatever it is watched for, and has nothing more to tell. */
static void watch_again(int epoll, struct passage_end *end)
{
    if (!end->watched && !end->hung_up && end->fd >= 0) {
        watch(epoll, end, EPOLL_CTL_MOD);
    }
}

struct passage *passage_new(int epoll, int client, int broker)
{
    struct passage *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        close(client);
        close(broker);
        return NULL;
    }
    made->client.passage = made->broker.passage = made;
    made->client.fd = client;
    made->broker.fd = broker;
    if (!watch(epoll, &made->client, EPOLL_CTL_ADD) ||
        !watch(epoll, &made->broker, EPOLL_CTL_ADD)) {
        passage_free(made);
        return NULL;
    }
    return made;
}

void passage_free(struct passage *passage)
{
    if (passage != NULL) {
        gk_closep(&passage->client.fd);
        gk_closep(&passage->broker.fd);
        free(passage->up.bytes);
        free(passage->down.bytes);
        free(passage);
    }
}

void passage_note(struct passage_end *end, uint32_t events)
{
    end->watched = false;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        end->full = false;
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        end->readable = true;
    }
    if ((events & EPOLLHUP) != 0) {
        end->hung_up = true;
    }
}

/* --- reading and writing --------------------------------------------------------------------- */

/* How many bytes came, 0 if none. */
static size_t read_some(struct passage_end *end, char *buffer, size_t size)
{
    ssize_t got;

    if (!end->readable || end->ended || size == 0) {
        return 0;
    }
    got = recv(end->fd, buffer, size, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) {
        return 0;
    }
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        end->ended = true;
        return 0;
    }
    if (got < (ssize_t)size && !end->hung_up) {
        /* If that was not all, epoll says so. */
        end->readable = end->watched = false;
    }
    return got > 0 ? (size_t)got : 0;
}

/* How many of them it took. */
static size_t write_some(struct passage_end *end, const char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size && !end->full && !end->closed) {
        ssize_t sent = send(end->fd, bytes + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent >= 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN) {
            end->full = true;
            end->watched = false;
        } else if (errno != EINTR) {
            end->closed = true;
        }
    }
    return done;
}

static bool keep(struct passage_flow *flow, const char *bytes, size_t size)
{
    flow->bytes = malloc(size);
    if (flow->bytes == NULL) {
        return false;
    }
    memcpy(flow->bytes, bytes, size);
    flow->size = size;
    flow->sent = 0;
    return true;
}

static void forget(struct passage_flow *flow)
{
    free(TAKE(flow->bytes));
    flow->size = flow->sent = 0;
}

/* --- the two directions ---------------------------------------------------------------------- */

/* What is left from before. False: it takes no more. */
static bool flush_up(struct passage *passage)
{
    struct passage_flow *up = &passage->up;

    if (up->bytes != NULL) {
        up->sent += write_some(&passage->broker, up->bytes + up->sent, up->size - up->sent);
        if (up->sent < up->size) {
            return false;
        }
        forget(up);
    }
    return !passage->broker.closed;
}

static bool move_up(struct passage *passage, char buffer[static PASSAGE_CHUNK])
{
    struct passage_end *from = &passage->client, *to = &passage->broker;
    size_t size, sent;

    if (!flush_up(passage)) {
        return false;
    }
    size = read_some(from, buffer, PASSAGE_CHUNK);
    sent = write_some(to, buffer, size);
    if (sent < size && !to->closed && !keep(&passage->up, buffer + sent, size - sent)) {
        passage_cut(passage);
        return false;
    }
    if (from->ended && passage->up.bytes == NULL && !to->closed) {
        /* mosquitto sees it as the client's end, once it has read what is before it. */
        shutdown(to->fd, SHUT_WR);
        to->closed = true;
    }
    return from->readable && passage->up.bytes == NULL && !to->closed;
}

/*
 * The order on which a PUBACK's promise stands: the bytes are read first, and what was handed over
 * is counted then. A PUBACK that is among them was sent by mosquitto after its message was counted.
 *
 * The first bytes of the buffer are what was held until now, and may go.
 */
static void take_words(struct passage *passage, const struct door *door, char *buffer,
                       size_t released)
{
    size_t size =
        released + read_some(&passage->broker, buffer + released, PASSAGE_CHUNK - released);
    uint64_t handed = door_handed(door);
    bool hold = size > released && handed > door_answered(door);
    size_t sent = write_some(&passage->client, buffer, hold ? released : size);

    if (sent < size && !passage->client.closed) {
        passage->stamp = hold ? handed : 0;
        if (!keep(&passage->down, buffer + sent, size - sent)) {
            passage_cut(passage);
        }
    }
}

static bool move_down(struct passage *passage, const struct door *door,
                      char buffer[static PASSAGE_CHUNK])
{
    struct passage_end *from = &passage->broker, *to = &passage->client;
    size_t released = passage->down.size;

    if (passage->stamp > door_answered(door)) {
        return false;
    }
    if (passage->stamp != 0) {
        /* It was not watched meanwhile. */
        passage->stamp = 0;
        from->readable = true;
    }
    if (to->closed) {
        forget(&passage->down);
        (void)read_some(from, buffer, PASSAGE_CHUNK);
    } else if (to->full) {
        /* Nobody is there any more who could wait for a client that does not read. */
        passage->over = from->hung_up;
        return false;
    } else {
        memcpy(buffer, passage->down.bytes != NULL ? passage->down.bytes : "", released);
        forget(&passage->down);
        take_words(passage, door, buffer, released);
    }
    passage->over = from->ended && passage->down.bytes == NULL;
    return from->readable && !from->ended && passage->stamp == 0 && !to->full;
}

bool passage_move(struct passage *passage, int epoll, const struct door *door,
                  char buffer[static PASSAGE_CHUNK])
{
    bool up = move_up(passage, buffer);
    bool down = move_down(passage, door, buffer);

    if (passage->over || up || down) {
        return !passage->over;
    }
    watch_again(epoll, &passage->client);
    /* While it is held, what else mosquitto says need wake nobody: only that it takes more does. */
    if (passage->stamp == 0 || passage->broker.full) {
        watch_again(epoll, &passage->broker);
    }
    return false;
}

void passage_cut(struct passage *passage)
{
    forget(&passage->up);
    forget(&passage->down);
    passage->stamp = 0;
    passage->cut = true;
    passage->client.ended = passage->client.closed = true;
    gk_closep(&passage->client.fd);
    passage->client.fd = -1;
    if (!passage->broker.closed) {
        shutdown(passage->broker.fd, SHUT_WR);
        passage->broker.closed = true;
    }
}
