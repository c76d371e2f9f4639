/* SPDX-License-Identifier: Apache-2.0 */
/* Asks gatekeyd on its socket: one line there, one line back. */
#include "agent/local.h"

#include "agent/enos/message.h"
#include "cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum gk_status agent_local_open(const struct agent_config *config, int *opened,
                                struct gk_error *err)
{
    const char *path = config->socket;
    CLEANUP(gk_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (fd < 0) {
        return gk_fail(err, GK_INTERNAL, "socket: %s", strerror(errno));
    }
    if (strlen(path) >= sizeof(address.sun_path)) {
        return gk_fail(err, GK_BAD_CONFIG, "[local] socket is longer than %zu bytes",
                       sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno != EACCES) {
            return gk_fail(err, GK_NO_SERVICE, "%s: %s", path, strerror(errno));
        }
        gk_fail(err, GK_FILE_DENIED, "%s", path);
        gk_advise(err, "run it as root, or join the group of that socket");
        return GK_FILE_DENIED;
    }
    *opened = fd;
    fd = -1;
    return GK_OK;
}

static enum gk_status wait_for(int fd, short events, int64_t end, const char *path,
                               struct gk_error *err)
{
    struct pollfd poller = { fd, events, 0 };
    int count;

    do {
        int64_t left = end - now_ms();

        count = poll(&poller, 1, left > 0 ? (int)left : 0);
    } while (count < 0 && errno == EINTR);
    return count > 0 ? GK_OK : gk_fail(err, GK_NO_SERVICE, "%s: no answer in time", path);
}

static enum gk_status send_line(int fd, const char *line, size_t size, int64_t end,
                                const char *path, struct gk_error *err)
{
    while (size > 0) {
        ssize_t sent = send(fd, line, size, MSG_NOSIGNAL);

        if (sent > 0) {
            line += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            enum gk_status status = wait_for(fd, POLLOUT, end, path, err);

            if (status != GK_OK) {
                return status;
            }
        } else if (errno != EINTR) {
            /* It may have hung up on us and said why; that is read next. */
            return GK_OK;
        }
    }
    return GK_OK;
}

/* Reads up to the first newline; what follows it is not ours. */
static enum gk_status read_line(int fd, char *line, size_t limit, size_t *size, int64_t end,
                                const char *path, struct gk_error *err)
{
    size_t used = 0;

    while (used == 0 || memchr(line, '\n', used) == NULL) {
        enum gk_status status = wait_for(fd, POLLIN, end, path, err);
        ssize_t got;

        if (status != GK_OK) {
            return status;
        }
        if (used == limit) {
            return gk_fail(err, GK_BAD_FILE, "%s: an answer of more than %zu bytes", path, limit);
        }
        got = recv(fd, line + used, limit - used, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return gk_fail(err, GK_NO_SERVICE, "%s: it hung up", path);
        }
        used += got > 0 ? (size_t)got : 0;
    }
    *size = used;
    return GK_OK;
}

static enum gk_status format(const char *request, char **line, size_t *size, struct gk_error *err)
{
    size_t length = strlen(request);
    char *text;

    if (length + 1 > AGENT_LOCAL_LINE_MAX) {
        return gk_fail(err, GK_USAGE, "a request of %zu bytes", length);
    }
    text = malloc(length + 1);
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    memcpy(text, request, length);
    text[length] = '\n';
    *line = text;
    *size = length + 1;
    return GK_OK;
}

enum gk_status agent_local_call_text(const struct agent_config *config, const char *request,
                                     int timeout_s, json_t **reply, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    CLEANUP(gk_freep) char *line = NULL;
    CLEANUP(gk_freep) char *answer = malloc(AGENT_LOCAL_LINE_MAX);
    CLEANUP(json_freep) json_t *parsed = NULL;
    int64_t end = now_ms() + (int64_t)timeout_s * 1000;
    size_t size = 0;
    enum gk_status status;

    if (answer == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = format(request, &line, &size, err);
    if (status == GK_OK) {
        status = agent_local_open(config, &fd, err);
    }
    if (status == GK_OK) {
        status = send_line(fd, line, size, end, config->socket, err);
    }
    if (status == GK_OK) {
        status = read_line(fd, answer, AGENT_LOCAL_LINE_MAX, &size, end, config->socket, err);
    }
    if (status != GK_OK) {
        return status;
    }
    parsed = json_loadb(answer, size, JSON_DISABLE_EOF_CHECK, NULL);
    if (!json_is_boolean(json_object_get(parsed, "ok"))) {
        return gk_fail(err, GK_BAD_FILE, "%s: the answer makes no sense", config->socket);
    }
    *reply = TAKE(parsed);
    return GK_OK;
}

enum gk_status agent_local_call(const struct agent_config *config, const json_t *request,
                                int timeout_s, json_t **reply, struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = json_dumps(request, JSON_COMPACT);

    return text != NULL ? agent_local_call_text(config, text, timeout_s, reply, err)
                        : gk_fail(err, GK_NO_MEMORY, NULL);
}
