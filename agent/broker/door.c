/* SPDX-License-Identifier: Apache-2.0 */
/* Asks gatekeyd on its socket and waits for the answer, but never twice in vain. */
#include "agent/broker/door.h"

#include "agent/local.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define ANSWER_MAX ((size_t)8192) /* of an answer to us; a longer one makes no sense */

struct door {
    struct sockaddr_un address;
    int fd;
    bool owed; /* the last request was given up before it was answered */
    size_t used;
    char answer[ANSWER_MAX];
};

struct door *door_new(const char *path)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL || strlen(path) >= sizeof(door->address.sun_path)) {
        free(door);
        return NULL;
    }
    door->address.sun_family = AF_UNIX;
    memcpy(door->address.sun_path, path, strlen(path));
    door->fd = -1;
    return door;
}

static void close_door(struct door *door)
{
    gk_closep(&door->fd);
    door->fd = -1;
    door->used = 0;
    door->owed = false;
}

void door_free(struct door *door)
{
    if (door != NULL) {
        close_door(door);
        free(door);
    }
}

static bool open_door(struct door *door)
{
    door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door->fd >= 0 &&
        connect(door->fd, (const struct sockaddr *)&door->address, sizeof(door->address)) == 0) {
        return true;
    }
    close_door(door);
    return false;
}

/* --- waiting --------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_for(const struct door *door, short events, int64_t end)
{
    struct pollfd poller = { door->fd, events, 0 };
    int count;

    do {
        int64_t left = end - now_ms();

        count = poll(&poller, 1, left > 0 ? (int)left : 0);
    } while (count < 0 && errno == EINTR);
    return count > 0;
}

enum outcome {
    WHOLE, /* a line was sent, or an answer is there */
    LATE,  /* not in time */
    GONE,  /* gatekeyd hung up */
};

static enum outcome send_line(struct door *door, const char *line, size_t size, int64_t end)
{
    while (size > 0) {
        ssize_t sent = send(door->fd, line, size, MSG_NOSIGNAL);

        if (sent > 0) {
            line += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for(door, POLLOUT, end)) {
                return LATE;
            }
        } else if (errno != EINTR) {
            return GONE;
        }
    }
    return WHOLE;
}

static enum outcome read_answer(struct door *door, int64_t end)
{
    while (memchr(door->answer, '\n', door->used) == NULL) {
        ssize_t got;

        if (door->used == sizeof(door->answer)) {
            return GONE;
        }
        if (!wait_for(door, POLLIN, end)) {
            return LATE;
        }
        got = recv(door->fd, door->answer + door->used, sizeof(door->answer) - door->used, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return GONE;
        }
        door->used += got > 0 ? (size_t)got : 0;
    }
    return WHOLE;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* Is gatekeyd free again? What it answers late is about a message that is sent once more. */
static bool collect_owed(struct door *door)
{
    enum outcome outcome = door->owed ? read_answer(door, 0) : WHOLE;

    if (outcome == GONE) {
        close_door(door);
    } else if (outcome == WHOLE && door->owed) {
        door->owed = false;
        door->used = 0;
    }
    return outcome != LATE;
}

static enum outcome exchange(struct door *door, const char *line, size_t size)
{
    int64_t end = now_ms() + DOOR_WAIT_MS;
    enum outcome outcome;

    if (door->fd < 0 && !open_door(door)) {
        return GONE;
    }
    outcome = send_line(door, line, size, end);
    if (outcome == WHOLE) {
        outcome = read_answer(door, end);
        door->owed = outcome == LATE;
    } else if (outcome == LATE) {
        /* Half a line would make nonsense of the next. */
        outcome = GONE;
    }
    if (outcome == GONE) {
        close_door(door);
    }
    return outcome;
}

json_t *door_ask(struct door *door, const json_t *request, bool *too_long)
{
    CLEANUP(gk_freep) char *line = json_dumps(request, JSON_COMPACT);
    size_t size = line != NULL ? strlen(line) : 0;
    json_t *answer = NULL;
    bool fresh = door->fd < 0;

    *too_long = size + 1 > AGENT_LOCAL_LINE_MAX;
    if (line == NULL || *too_long || !collect_owed(door)) {
        return NULL;
    }
    line[size] = '\n'; /* in place of the NUL */
    /* A connection that was idle may have been closed for another's sake, or by a restart. */
    if (exchange(door, line, size + 1) == GONE && !fresh) {
        exchange(door, line, size + 1);
    }
    if (!door->owed && door->used > 0) {
        answer = json_loadb(door->answer, door->used, JSON_DISABLE_EOF_CHECK, NULL);
        door->used = 0;
    }
    return answer;
}
