/* SPDX-License-Identifier: Apache-2.0 */
/* Asks an HTTP proxy for a tunnel, and copies. */
#include "agent/tunnel.h"

#include "agent/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BUFFER_SIZE 16384
#define ROUNDS_MAX 64 /* at a time, so that a flood leaves time for the rest */

enum stage { CONNECTING, ASKING, OPEN };

struct buffer {
    size_t begin, end;
    uint64_t moved; /* into it, and out of it */
    char data[BUFFER_SIZE];
};

struct agent_tunnel {
    const struct agent_proxy *proxy;
    const char *host;
    enum stage stage;
    int poll_fd, far, near, listener, place; /* -1: none; place: the directory of the listener */
    char name[32];                           /* of the listener's socket, empty: there is none */
    int system_error;
    char *request;
    size_t sent;
    struct buffer up, down;
};

/* --- what is waited for ---------------------------------------------------------------------- */

static void watch(const struct agent_tunnel *tunnel, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events };

    if (fd >= 0 && epoll_ctl(tunnel->poll_fd, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) {
        (void)!epoll_ctl(tunnel->poll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

void agent_tunnel_watch(struct agent_tunnel *tunnel, int fd, short events)
{
    watch(tunnel, fd, (uint32_t)events);
}

static uint32_t wanted(const struct buffer *in, const struct buffer *out)
{
    return (in->end < BUFFER_SIZE ? (uint32_t)EPOLLIN : 0) |
           (out->begin < out->end ? (uint32_t)EPOLLOUT : 0);
}

static void watch_both(const struct agent_tunnel *tunnel)
{
    if (tunnel->stage != OPEN) {
        watch(tunnel, tunnel->far,
              tunnel->stage == CONNECTING || tunnel->request[tunnel->sent] != '\0'
                  ? EPOLLIN | EPOLLOUT
                  : EPOLLIN);
        return;
    }
    watch(tunnel, tunnel->far, wanted(&tunnel->down, &tunnel->up));
    watch(tunnel, tunnel->near, wanted(&tunnel->up, &tunnel->down));
}

/* --- making it ------------------------------------------------------------------------------- */

static enum gk_status fail(struct agent_tunnel *tunnel, int error, struct gk_error *err)
{
    tunnel->system_error = error;
    return gk_fail(err, GK_UNREACHABLE, "proxy %s port %u: %s", tunnel->proxy->host,
                   tunnel->proxy->port, error != 0 ? strerror(error) : "it hung up");
}

static enum gk_status open_far(struct agent_tunnel *tunnel, const char *address,
                               unsigned patience_ms, struct gk_error *err)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *info = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", tunnel->proxy->port);
    if (getaddrinfo(address, port, &hints, &info) != 0) {
        return gk_fail(err, GK_INTERNAL, "%s is no address", address);
    }
    tunnel->far = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tunnel->far < 0 ||
        (connect(tunnel->far, info->ai_addr, info->ai_addrlen) != 0 && errno != EINPROGRESS)) {
        int error = errno;

        freeaddrinfo(info);
        return fail(tunnel, error, err);
    }
    freeaddrinfo(info);
    agent_socket_set(tunnel->far, patience_ms);
    return GK_OK;
}

enum gk_status agent_tunnel_start(const struct agent_proxy *proxy, const char *address,
                                  const char *host, uint16_t port, unsigned patience_ms,
                                  struct agent_tunnel **tunnel, struct gk_error *err)
{
    CLEANUP(agent_tunnel_freep) struct agent_tunnel *made = calloc(1, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->proxy = proxy;
    made->host = host;
    made->far = made->near = made->listener = made->place = -1;
    made->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (made->poll_fd < 0) {
        return gk_fail(err, GK_INTERNAL, "epoll: %s", strerror(errno));
    }
    status = agent_proxy_request(proxy, host, port, &made->request, err);
    if (status == GK_OK) {
        status = open_far(made, address, patience_ms, err);
    }
    if (status == GK_OK) {
        watch_both(made);
        *tunnel = TAKE(made);
    }
    return status;
}

static void close_one(int *fd)
{
    gk_closep(fd);
    *fd = -1;
}

static void forget_request(struct agent_tunnel *tunnel)
{
    if (tunnel->request != NULL) {
        explicit_bzero(tunnel->request, strlen(tunnel->request));
        free(TAKE(tunnel->request));
    }
}

static void stop_listening(struct agent_tunnel *tunnel)
{
    if (tunnel->name[0] != '\0') {
        (void)!unlinkat(tunnel->place, tunnel->name, 0);
        tunnel->name[0] = '\0';
    }
    close_one(&tunnel->listener);
    close_one(&tunnel->place);
}

void agent_tunnel_free(struct agent_tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    stop_listening(tunnel);
    forget_request(tunnel);
    close_one(&tunnel->far);
    close_one(&tunnel->near);
    close_one(&tunnel->poll_fd);
    free(tunnel);
}

/* --- the private socket ---------------------------------------------------------------------- */

/* By the descriptor of its directory, since a socket's path may have 107 bytes only. */
enum gk_status agent_tunnel_listen(struct agent_tunnel *tunnel, const char *directory,
                                   char path[static AGENT_TUNNEL_PATH], struct gk_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    tunnel->place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tunnel->place < 0) {
        return gk_fail_file(err, errno, directory);
    }
    snprintf(tunnel->name, sizeof(tunnel->name), "proxy.%d", (int)getpid());
    snprintf(path, AGENT_TUNNEL_PATH, "/proc/self/fd/%d/%s", tunnel->place, tunnel->name);
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)!unlinkat(tunnel->place, tunnel->name, 0); /* one of a process that was killed */
    tunnel->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tunnel->listener < 0 ||
        bind(tunnel->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(tunnel->listener, 1) != 0) {
        return gk_fail_file(err, errno, directory);
    }
    return GK_OK;
}

enum gk_status agent_tunnel_accept(struct agent_tunnel *tunnel, struct gk_error *err)
{
    struct ucred peer = { 0 };
    socklen_t size = sizeof(peer);

    tunnel->near = accept4(tunnel->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    stop_listening(tunnel);
    if (tunnel->near < 0 || getsockopt(tunnel->near, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        peer.pid != getpid()) {
        return gk_fail(err, GK_INTERNAL, "the private socket to the proxy");
    }
    watch_both(tunnel);
    return GK_OK;
}

/* --- asking ---------------------------------------------------------------------------------- */

static enum gk_status finish_connecting(struct agent_tunnel *tunnel, struct gk_error *err)
{
    struct pollfd poller = { tunnel->far, POLLOUT, 0 };
    socklen_t size = sizeof(int);
    int error = 0;

    if (poll(&poller, 1, 0) <= 0) {
        return GK_OK;
    }
    if (getsockopt(tunnel->far, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        return fail(tunnel, error, err);
    }
    tunnel->stage = ASKING;
    return GK_OK;
}

/* The hub says nothing before we do, so what follows the head would be no tunnel. */
static enum gk_status read_head(struct agent_tunnel *tunnel, struct gk_error *err)
{
    struct buffer *head = &tunnel->down;
    ssize_t size =
        recv(tunnel->far, head->data + head->end, BUFFER_SIZE - 1 - head->end, MSG_DONTWAIT);
    enum gk_status status;
    bool is_whole;

    if (size < 0) {
        return errno == EAGAIN || errno == EINTR ? GK_OK : fail(tunnel, errno, err);
    }
    if (size == 0) {
        return fail(tunnel, 0, err);
    }
    head->end += (size_t)size;
    head->data[head->end] = '\0';
    is_whole = strstr(head->data, "\r\n\r\n") != NULL;
    if (!is_whole && head->end < BUFFER_SIZE - 1) {
        return GK_OK;
    }
    status = agent_proxy_judge(tunnel->proxy, head->data, tunnel->host, err);
    if (status == GK_OK && !is_whole) {
        /* What is left of it would be taken for words of the hub. */
        status = gk_fail(err, GK_PROXY, "proxy %s port %u: its answer does not end",
                         tunnel->proxy->host, tunnel->proxy->port);
    }
    head->end = 0;
    if (status == GK_OK) {
        tunnel->stage = OPEN;
    }
    return status;
}

static enum gk_status ask(struct agent_tunnel *tunnel, struct gk_error *err)
{
    if (tunnel->request != NULL) {
        size_t left = strlen(tunnel->request) - tunnel->sent;
        ssize_t size = send(tunnel->far, tunnel->request + tunnel->sent, left, MSG_NOSIGNAL);

        if (size < 0 && errno != EAGAIN && errno != EINTR) {
            return fail(tunnel, errno, err);
        }
        tunnel->sent += size > 0 ? (size_t)size : 0;
    }
    return read_head(tunnel, err);
}

/* --- copying --------------------------------------------------------------------------------- */

/* False: that end is over. */
static bool fill(struct buffer *buffer, int fd, int *error)
{
    ssize_t size;

    if (fd < 0 || buffer->end == BUFFER_SIZE) {
        return true;
    }
    size = recv(fd, buffer->data + buffer->end, BUFFER_SIZE - buffer->end, MSG_DONTWAIT);
    if (size > 0) {
        buffer->end += (size_t)size;
        buffer->moved += (uint64_t)size;
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        *error = size == 0 ? 0 : errno;
        return false;
    }
    return true;
}

static bool drain(struct buffer *buffer, int fd, int *error)
{
    ssize_t size;

    if (fd < 0 || buffer->begin == buffer->end) {
        return true;
    }
    size = send(fd, buffer->data + buffer->begin, buffer->end - buffer->begin,
                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        *error = errno;
        return false;
    }
    buffer->begin += size > 0 ? (size_t)size : 0;
    buffer->moved += size > 0 ? (uint64_t)size : 0;
    if (buffer->begin == buffer->end) {
        buffer->begin = buffer->end = 0;
    }
    return true;
}

static void copy_once(struct agent_tunnel *tunnel)
{
    int ignored = 0;

    if (!fill(&tunnel->up, tunnel->near, &ignored) ||
        !drain(&tunnel->down, tunnel->near, &ignored)) {
        close_one(&tunnel->near);
    }
    if (!drain(&tunnel->up, tunnel->far, &tunnel->system_error) ||
        !fill(&tunnel->down, tunnel->far, &tunnel->system_error)) {
        close_one(&tunnel->far);
    }
}

static void copy(struct agent_tunnel *tunnel)
{
    uint64_t before;
    int rounds = 0;

    do {
        before = tunnel->up.moved + tunnel->down.moved;
        copy_once(tunnel);
    } while (before != tunnel->up.moved + tunnel->down.moved && ++rounds < ROUNDS_MAX);
    /* libmosquitto reads what is left, and then the end. */
    if (tunnel->far < 0 && tunnel->down.begin == tunnel->down.end) {
        close_one(&tunnel->near);
    }
}

enum gk_status agent_tunnel_step(struct agent_tunnel *tunnel, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (tunnel->stage == CONNECTING) {
        status = finish_connecting(tunnel, err);
    }
    if (status == GK_OK && tunnel->stage == ASKING) {
        status = ask(tunnel, err);
    } else if (tunnel->stage == OPEN && tunnel->near >= 0) {
        copy(tunnel);
    }
    if (tunnel->stage == OPEN) {
        forget_request(tunnel);
    }
    if (status == GK_OK) {
        watch_both(tunnel);
    }
    return status;
}

int agent_tunnel_fd(const struct agent_tunnel *tunnel)
{
    return tunnel->poll_fd;
}

int agent_tunnel_far(const struct agent_tunnel *tunnel)
{
    return tunnel->far;
}

bool agent_tunnel_is_open(const struct agent_tunnel *tunnel)
{
    return tunnel->stage == OPEN;
}

int agent_tunnel_system_error(const struct agent_tunnel *tunnel)
{
    return tunnel->system_error;
}
