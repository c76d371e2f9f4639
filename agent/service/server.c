/* SPDX-License-Identifier: Apache-2.0 */
/* The local socket: lines in, lines out, and nobody who can hold up anybody else. */
#include "agent/service/service.h"

#include "agent/exit.h"
#include "agent/local.h"
#include "agent/service/log.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS_MAX 16
#define STRANGERS_MAX 14 /* of whom nobody may change things: root gets in whatever others do */
#define USER_MAX 8       /* of one such user */
#define PATIENCE_US ((uint64_t)10000000) /* for a line to come in or go out whole */
#define CHUNK ((size_t)4096)

enum state {
    READING, /* a request */
    WORKING, /* somebody else will call client_reply() */
    WRITING, /* the answer */
};

struct client {
    struct server *server;
    int fd;
    struct ucred peer;
    enum state state;
    sd_event_source *io_source, *time_source;
    uint64_t since_ms; /* in this state */
    char *text;        /* what came in, or goes out */
    size_t size, room, sent;
};

struct server {
    struct service *service;
    int fd;
    sd_event_source *io_source;
    struct client *clients[CLIENTS_MAX];
};

static int on_client(sd_event_source *source, int fd, uint32_t events, void *context);

/* --- clients
 * -------------------------------------------------------------------------------------- */

static void client_free(struct client *client)
{
    struct server *server = client->server;

    publisher_forget(server->service->publisher, client);
    session_forget(server->service->session, client);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->clients[i] == client) {
            server->clients[i] = NULL;
        }
    }
    sd_event_source_disable_unref(client->io_source);
    sd_event_source_disable_unref(client->time_source);
    gk_closep(&client->fd);
    free(client->text);
    free(client);
}

static bool is_privileged(uid_t user)
{
    return user == 0 || user == geteuid();
}

bool client_is_privileged(const struct client *client)
{
    return is_privileged(client->peer.uid);
}

/* A client that works is asked for nothing, so that it cannot fill our memory meanwhile. */
static void set_state(struct client *client, enum state state)
{
    const uint32_t events[] = { [READING] = EPOLLIN, [WORKING] = 0, [WRITING] = EPOLLOUT };

    client->state = state;
    client->since_ms = service_now_ms();
    sd_event_source_set_io_events(client->io_source, events[state]);
    if (state == WORKING || (state == READING && client->size == 0)) {
        sd_event_source_set_enabled(client->time_source, SD_EVENT_OFF);
    } else {
        sd_event_source_set_time_relative(client->time_source, PATIENCE_US);
        sd_event_source_set_enabled(client->time_source, SD_EVENT_ONESHOT);
    }
}

static int on_client_time(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    client_free(context);
    return 0;
}

static void forget_text(struct client *client)
{
    free(TAKE(client->text));
    client->size = client->room = client->sent = 0;
}

void client_reply(struct client *client, const json_t *reply)
{
    char *text = json_dumps(reply, JSON_COMPACT);

    forget_text(client);
    if (text == NULL) {
        text = strdup("{\"ok\":false,\"status\":\"GK_NO_MEMORY\",\"exit\":1}");
    }
    client->text = text;
    client->size = text != NULL ? strlen(text) + 1 : 0;
    if (text != NULL) {
        text[client->size - 1] = '\n'; /* in place of the NUL */
    }
    set_state(client, WRITING);
}

void client_fail(struct client *client, const char *operation, const struct gk_error *err,
                 json_int_t code)
{
    CLEANUP(json_freep) json_t *reply = json_object();
    char sentence[1024];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    json_object_set_new(reply, "ok", json_false());
    json_object_set_new(reply, "status", json_string(gk_status_name(err->status)));
    json_object_set_new(reply, "error", json_string(sentence));
    json_object_set_new(reply, "exit", json_integer((json_int_t)agent_exit_code(err->status)));
    if (code != 0) {
        json_object_set_new(reply, "code", json_integer(code));
    }
    client_reply(client, reply);
}

/* One request at a time: what follows its newline already is dropped with the answer. */
static void take_line(struct client *client, const char *end)
{
    size_t length = (size_t)(end - client->text);
    CLEANUP(gk_freep) char *line = TAKE(client->text);

    forget_text(client);
    set_state(client, WORKING);
    request_handle(client->server->service, client, line, length);
}

static bool make_room(struct client *client)
{
    size_t room = client->room == 0 ? CHUNK : client->room * 2;
    char *more;

    if (client->size < client->room) {
        return true;
    }
    if (room > AGENT_LOCAL_LINE_MAX) {
        room = AGENT_LOCAL_LINE_MAX;
    }
    more = client->size < room ? realloc(client->text, room) : NULL;
    if (more == NULL) {
        return false;
    }
    client->text = more;
    client->room = room;
    return true;
}

static void refuse_length(struct client *client)
{
    struct gk_error err = { 0 };

    gk_fail(&err, GK_USAGE, "a line of more than %zu bytes", AGENT_LOCAL_LINE_MAX);
    client_fail(client, "read the request", &err, 0);
}

static void read_some(struct client *client)
{
    size_t before = client->size;
    const char *end;
    ssize_t got;

    if (!make_room(client)) {
        refuse_length(client);
        return;
    }
    got = recv(client->fd, client->text + before, client->room - before, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        client_free(client);
        return;
    }
    if (got < 0) {
        return;
    }
    client->size += (size_t)got;
    end = memchr(client->text + before, '\n', (size_t)got);
    if (end != NULL) {
        take_line(client, end);
    } else if (before == 0) {
        set_state(client, READING); /* the clock runs from a line's first byte */
    }
}

static void write_some(struct client *client)
{
    ssize_t sent =
        send(client->fd, client->text + client->sent, client->size - client->sent, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        client_free(client);
        return;
    }
    client->sent += sent > 0 ? (size_t)sent : 0;
    if (client->sent == client->size) {
        forget_text(client);
        set_state(client, READING);
    }
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct client *client = context;

    (void)source;
    (void)fd;
    if (client->state == READING && (events & EPOLLIN) != 0) {
        read_some(client);
    } else if (client->state == WRITING && (events & EPOLLOUT) != 0) {
        write_some(client);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        client_free(client);
    }
    return 0;
}

static bool client_new(struct server *server, size_t slot, int fd, const struct ucred *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        return false;
    }
    server->clients[slot] = client;
    client->server = server;
    client->fd = fd;
    client->peer = *peer;
    if (sd_event_add_io(server->service->event, &client->io_source, fd, EPOLLIN, on_client,
                        client) < 0 ||
        sd_event_add_time_relative(server->service->event, &client->time_source, CLOCK_BOOTTIME,
                                   PATIENCE_US, 0, on_client_time, client) < 0) {
        client_free(client);
        return true; /* and fd is closed */
    }
    set_state(client, READING);
    return true;
}

/* --- the socket
 * ----------------------------------------------------------------------------------- */

static void turn_away(int fd)
{
    static const char line[] =
        "{\"ok\":false,\"status\":\"GK_BUSY\",\"error\":\"cannot serve "
        "this request: gatekeyd has too many clients already; wait a moment, then run it again\","
        "\"exit\":1}\n";

    /* If it does not fit, the client sees that we hung up. */
    (void)!send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* Who shares a limit with a newcomer. */
typedef bool rival(const struct client *client, uid_t user);

static bool is_same_user(const struct client *client, uid_t user)
{
    return client->peer.uid == user;
}

static bool is_stranger(const struct client *client, uid_t user)
{
    (void)user;
    return !client_is_privileged(client);
}

static bool is_anybody(const struct client *client, uid_t user)
{
    (void)client;
    (void)user;
    return true;
}

static size_t count(const struct server *server, rival *is_rival, uid_t user)
{
    size_t found = 0;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        found += server->clients[i] != NULL && is_rival(server->clients[i], user) ? 1 : 0;
    }
    return found;
}

/* What it sent may be waiting still to be read. */
static bool is_silent(const struct client *client)
{
    char next;

    return client->state == READING && client->size == 0 &&
           recv(client->fd, &next, sizeof(next), MSG_PEEK) <= 0;
}

/* Who has been silent for longest makes room, since he may be so for ever. */
static void make_room_among(struct server *server, rival *is_rival, uid_t user)
{
    struct client *silent = NULL;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = server->clients[i];

        if (client != NULL && is_rival(client, user) && is_silent(client) &&
            (silent == NULL || client->since_ms < silent->since_ms)) {
            silent = client;
        }
    }
    if (silent != NULL) {
        client_free(silent);
    }
}

/* A place for one more, CLIENTS_MAX if there is none: nobody makes room for less than himself. */
static size_t find_place(struct server *server, uid_t user)
{
    bool privileged = is_privileged(user);
    bool full = !privileged && count(server, is_same_user, user) >= USER_MAX;
    rival *rivals = privileged ? is_anybody : full ? is_same_user : is_stranger;
    size_t max = privileged ? CLIENTS_MAX : full ? USER_MAX : STRANGERS_MAX;

    if (count(server, rivals, user) >= max || count(server, is_anybody, user) == CLIENTS_MAX) {
        make_room_among(server, rivals, user);
    }
    if (count(server, rivals, user) >= max) {
        return CLIENTS_MAX;
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->clients[i] == NULL) {
            return i;
        }
    }
    return CLIENTS_MAX;
}

static int on_accept(sd_event_source *source, int listener, uint32_t events, void *context)
{
    struct server *server = context;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = { 0 };
    socklen_t size = sizeof(peer);
    size_t place;

    (void)source;
    (void)events;
    if (fd < 0) {
        return 0;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        close(fd);
        return 0;
    }
    place = find_place(server, peer.uid);
    if (place == CLIENTS_MAX) {
        turn_away(fd);
    } else if (!client_new(server, place, fd, &peer)) {
        close(fd);
    }
    return 0;
}

/* A socket that nobody answers on was left by a service that was killed. */
static enum gk_status remove_stale(const struct sockaddr_un *address, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat info;

    if (lstat(address->sun_path, &info) != 0) {
        return GK_OK;
    }
    if (!S_ISSOCK(info.st_mode)) {
        return gk_fail(err, GK_BAD_CONFIG, "[local] socket = %s is something else than a socket",
                       address->sun_path);
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN) {
        gk_fail(err, GK_LOCK_HELD, "another gatekeyd answers on %s", address->sun_path);
        gk_advise(err, "stop it first");
        return GK_LOCK_HELD;
    }
    return unlink(address->sun_path) == 0 ? GK_OK : gk_fail_file(err, errno, address->sun_path);
}

/* Whoever may open the socket may publish. A group that does not exist leaves it to root and to us.
 */
static void give_to_group(const char *path, const char *name)
{
    const struct group *group = name != NULL && name[0] != '\0' ? getgrnam(name) : NULL;

    if (group != NULL && chown(path, (uid_t)-1, group->gr_gid) != 0) {
        log_line(LOG_LEVEL_WARNING, "cannot give %s to group %s: %s", path, name, strerror(errno));
    }
}

static enum gk_status listen_on(struct server *server, const struct agent_config *config,
                                struct gk_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    enum gk_status status;
    mode_t before;
    int code;

    if (strlen(config->socket) >= sizeof(address.sun_path)) {
        return gk_fail(err, GK_BAD_CONFIG, "[local] socket is longer than %zu bytes",
                       sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, config->socket, strlen(config->socket));
    status = remove_stale(&address, err);
    if (status != GK_OK) {
        return status;
    }
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Its mode is right from its first moment on. */
    before = umask(0117);
    code = bind(server->fd, (const struct sockaddr *)&address, sizeof(address));
    umask(before);
    if (code != 0) {
        return gk_fail_file(err, errno, config->socket);
    }
    give_to_group(config->socket, config->socket_group);
    return listen(server->fd, SOMAXCONN) == 0 ? GK_OK : gk_fail_file(err, errno, config->socket);
}

enum gk_status server_new(struct service *service, struct server **server, struct gk_error *err)
{
    struct server *made = calloc(1, sizeof(*made));
    enum gk_status status;
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->fd = -1;
    status = listen_on(made, service->config, err);
    if (status == GK_OK) {
        code =
            sd_event_add_io(service->event, &made->io_source, made->fd, EPOLLIN, on_accept, made);
        status = code < 0 ? gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code)) : GK_OK;
    }
    if (status != GK_OK) {
        gk_closep(&made->fd);
        free(made);
        return status;
    }
    *server = made;
    return GK_OK;
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->clients[i] != NULL) {
            client_free(server->clients[i]);
        }
    }
    unlink(server->service->config->socket);
    sd_event_source_disable_unref(server->io_source);
    gk_closep(&server->fd);
    free(server);
}
