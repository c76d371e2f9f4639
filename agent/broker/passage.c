/* SPDX-License-Identifier: Apache-2.0 */
/* Copies bytes between a client and mosquitto, and holds back what mosquitto says. */
#include "agent/broker/passage.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const uint32_t edges = EPOLLIN | EPOLLRDHUP | EPOLLET;

static bool watch(int epoll, struct passage_end *end, int fd)
{
    struct epoll_event event = { .events = edges, .data.ptr = end };

    end->fd = fd;
    end->readable = true;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
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
    if (!watch(epoll, &made->client, client) || !watch(epoll, &made->broker, broker)) {
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

/* Have epoll say when it takes something again, or not. */
static void watch_room(int epoll, struct passage_end *end, bool wanted)
{
    struct epoll_event event = { .events = edges | (wanted ? EPOLLOUT : 0u), .data.ptr = end };

    if (end->watched != wanted && epoll_ctl(epoll, EPOLL_CTL_MOD, end->fd, &event) == 0) {
        end->watched = wanted;
    }
}

/* How many bytes came, 0 if none. */
static size_t read_some(struct passage_end *end, char buffer[static PASSAGE_CHUNK])
{
    ssize_t got;

    if (!end->readable || end->ended) {
        return 0;
    }
    got = recv(end->fd, buffer, PASSAGE_CHUNK, MSG_DONTWAIT);
    if (got > 0) {
        return (size_t)got;
    }
    if (got < 0 && errno == EAGAIN) {
        end->readable = false;
    } else if (got == 0 || errno != EINTR) {
        end->ended = true;
    }
    return 0;
}

/* How many of them it took. */
static size_t write_some(int epoll, struct passage_end *end, const char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size && !end->full && !end->closed) {
        ssize_t sent = send(end->fd, bytes + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent >= 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN) {
            end->full = true;
        } else if (errno != EINTR) {
            end->closed = true;
        }
    }
    if (!end->closed) {
        watch_room(epoll, end, end->full);
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

/* Whether nothing of it is left; for one who takes nothing more that is so. */
static bool flush(int epoll, struct passage_flow *flow, struct passage_end *to)
{
    if (flow->bytes != NULL) {
        flow->sent += write_some(epoll, to, flow->bytes + flow->sent, flow->size - flow->sent);
        if (flow->sent == flow->size || to->closed) {
            forget(flow);
        }
    }
    return flow->bytes == NULL;
}

/* --- the two directions ---------------------------------------------------------------------- */

static bool move_up(struct passage *passage, int epoll, char buffer[static PASSAGE_CHUNK])
{
    struct passage_end *from = &passage->client, *to = &passage->broker;
    size_t size, sent;

    if (to->closed || !flush(epoll, &passage->up, to)) {
        return false;
    }
    size = read_some(from, buffer);
    sent = write_some(epoll, to, buffer, size);
    if (sent < size && !to->closed && !keep(&passage->up, buffer + sent, size - sent)) {
        passage_cut(passage);
        return false;
    }
    if (from->ended && passage->up.bytes == NULL && !to->closed) {
        /* mosquitto sees it as the client's end, once it has read what is before it. */
        shutdown(to->fd, SHUT_WR);
        to->closed = true;
    }
    return from->readable && !from->ended && passage->up.bytes == NULL && !to->closed;
}

/*
 * The order on which a PUBACK's promise stands: the bytes are read first, and what was handed over
 * is counted then. A PUBACK that is among them was sent by mosquitto after its message was counted.
 */
static void take_words(struct passage *passage, int epoll, const struct door *door,
                       char buffer[static PASSAGE_CHUNK])
{
    size_t size = read_some(&passage->broker, buffer), sent = 0;
    uint64_t handed = door_handed(door);

    if (size == 0) {
        return;
    }
    if (handed <= door_answered(door)) {
        sent = write_some(epoll, &passage->client, buffer, size);
        if (passage->client.closed) {
            return;
        }
    } else {
        passage->stamp = handed;
    }
    if (sent < size && !keep(&passage->down, buffer + sent, size - sent)) {
        passage_cut(passage);
    }
}

static bool move_down(struct passage *passage, int epoll, const struct door *door,
                      char buffer[static PASSAGE_CHUNK])
{
    struct passage_end *from = &passage->broker, *to = &passage->client;

    if (passage->stamp > door_answered(door)) {
        return false;
    }
    passage->stamp = 0;
    if (passage->cut || to->closed) {
        forget(&passage->down);
        (void)read_some(from, buffer);
    } else if (!flush(epoll, &passage->down, to)) {
        /* Nobody is there any more who could wait for a client that does not read. */
        passage->over = from->hung_up;
        return false;
    } else {
        take_words(passage, epoll, door, buffer);
    }
    passage->over = from->ended && passage->down.bytes == NULL;
    return from->readable && !from->ended && passage->down.bytes == NULL;
}

bool passage_move(struct passage *passage, int epoll, const struct door *door,
                  char buffer[static PASSAGE_CHUNK])
{
    bool up = move_up(passage, epoll, buffer);
    bool down = move_down(passage, epoll, door, buffer);

    return (up || down) && !passage->over;
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
