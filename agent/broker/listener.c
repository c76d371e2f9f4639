/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the clients' socket, takes them in, and connects to mosquitto for each. */
#include "agent/broker/listener.h"

#include "agent/broker/door.h"

#include <errno.h>
#include <libgen.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define RETRY_MS 10 /* mosquitto lets ten wait, and listens a moment after it loaded us */

struct listener {
    struct sockaddr_un address, inner;
    dev_t device;
    ino_t number; /* of the socket that is ours */
    int fd;
    bool waiting; /* somebody may be there */
    int client;   /* mosquitto did not take it yet; -1: nobody */
    int64_t due_ms;
};

static bool set_address(struct sockaddr_un *address, const char *path)
{
    if (path == NULL || strlen(path) >= sizeof(address->sun_path)) {
        return false;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path));
    return true;
}

/* Whoever could open mosquitto's socket would be acknowledged what is not on disk. */
static bool shut_folder(const char *inner)
{
    CLEANUP(gk_freep) char *path = strdup(inner);
    const char *folder = path != NULL ? dirname(path) : NULL;
    struct stat info;

    if (folder == NULL || (mkdir(folder, 0700) != 0 && errno != EEXIST) ||
        lstat(folder, &info) != 0) {
        return false;
    }
    errno = EPERM;
    return S_ISDIR(info.st_mode) && info.st_uid == geteuid() && (info.st_mode & 077) == 0;
}

static bool bind_to(struct listener *listener)
{
    const char *path = listener->address.sun_path;
    struct stat info;
    mode_t before;
    int code;

    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode)) {
        unlink(path);
    }
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Its mode is right from its first moment on. */
    before = umask(0007);
    code = listener->fd >= 0 ? bind(listener->fd, (const struct sockaddr *)&listener->address,
                                    sizeof(listener->address))
                             : -1;
    umask(before);
    if (code != 0 || lstat(path, &info) != 0) {
        return false;
    }
    listener->device = info.st_dev;
    listener->number = info.st_ino;
    return listen(listener->fd, SOMAXCONN) == 0;
}

struct listener *listener_new(int epoll, const char *path, const char *inner, char *why,
                              size_t size)
{
    struct listener *made = calloc(1, sizeof(*made));
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = made };

    if (made == NULL) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
    made->fd = made->client = -1;
    made->due_ms = -1;
    if (!set_address(&made->address, path) || !set_address(&made->inner, inner)) {
        snprintf(why, size, "it needs both sockets' paths, of %zu bytes at most",
                 sizeof(made->address.sun_path) - 1);
    } else if (!shut_folder(inner)) {
        snprintf(why, size, "the folder of %s must be ours, and nobody else's: %s", inner,
                 strerror(errno));
    } else if (!bind_to(made) || epoll_ctl(epoll, EPOLL_CTL_ADD, made->fd, &event) != 0) {
        snprintf(why, size, "%s: %s", path, strerror(errno));
    } else {
        return made;
    }
    listener_free(made);
    return NULL;
}

void listener_free(struct listener *listener)
{
    struct stat info;

    if (listener == NULL) {
        return;
    }
    /* Not the one of a broker that was started beside us. */
    if (listener->number != 0 && lstat(listener->address.sun_path, &info) == 0 &&
        info.st_dev == listener->device && info.st_ino == listener->number) {
        unlink(listener->address.sun_path);
    }
    gk_closep(&listener->client);
    gk_closep(&listener->fd);
    free(listener);
}

void listener_note(struct listener *listener)
{
    listener->waiting = true;
}

void listener_room(struct listener *listener)
{
    if (listener != NULL) {
        listener->waiting = true;
    }
}

static bool take_client(struct listener *listener)
{
    if (listener->client < 0 && listener->waiting) {
        listener->client = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        /* Whoever cannot be taken for want of descriptors waits until somebody leaves. */
        listener->waiting = listener->client >= 0 || errno == ECONNABORTED || errno == EINTR;
    }
    return listener->client >= 0;
}

bool listener_accept(struct listener *listener, int *client, int *broker)
{
    CLEANUP(gk_closep) int fd = -1;

    if (listener == NULL || door_now_ms() < listener->due_ms || !take_client(listener)) {
        return false;
    }
    listener->due_ms = -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&listener->inner, sizeof(listener->inner)) != 0) {
        listener->due_ms = door_now_ms() + RETRY_MS;
        return false;
    }
    *client = listener->client;
    *broker = fd;
    listener->client = fd = -1;
    return true;
}

int64_t listener_due_ms(const struct listener *listener)
{
    return listener != NULL ? listener->due_ms : -1;
}
