/* SPDX-License-Identifier: Apache-2.0 */
/* The local socket: lines in, lines out, and nobody who can hold up anybody else. */
#include "agent/service/service.h"

#include "agent/service/connection.h"
#include "agent/service/log.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONNECTIONS_MAX 16
#define STRANGERS_MAX 14 /* of whom nobody may change things: root gets in whatever others do */
#define USER_MAX 8       /* of one such user */

struct server {
    struct service *service;
    int fd;
    sd_event_source *io_source;
    struct connection *connections[CONNECTIONS_MAX];
};

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
typedef bool rival(const struct connection *connection, uid_t user);

static bool is_same_user(const struct connection *connection, uid_t user)
{
    return connection_user(connection) == user;
}

static bool is_stranger(const struct connection *connection, uid_t user)
{
    (void)user;
    return !connection_is_privileged(connection_user(connection));
}

static bool is_anybody(const struct connection *connection, uid_t user)
{
    (void)connection;
    (void)user;
    return true;
}

static size_t count(const struct server *server, rival *is_rival, uid_t user)
{
    size_t found = 0;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        found += server->connections[i] != NULL && is_rival(server->connections[i], user) ? 1 : 0;
    }
    return found;
}

/* Who has been silent for longest makes room, since he may be so for ever. */
static void make_room_among(struct server *server, rival *is_rival, uid_t user)
{
    struct connection *silent = NULL;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = server->connections[i];

        if (connection != NULL && is_rival(connection, user) && connection_is_silent(connection) &&
            (silent == NULL || connection_since_ms(connection) < connection_since_ms(silent))) {
            silent = connection;
        }
    }
    if (silent != NULL) {
        connection_free(silent);
    }
}

/* A place for one more, CONNECTIONS_MAX if there is none: nobody makes room for less than himself.
 */
static size_t find_place(struct server *server, uid_t user)
{
    bool privileged = connection_is_privileged(user);
    bool full = !privileged && count(server, is_same_user, user) >= USER_MAX;
    rival *rivals = privileged ? is_anybody : full ? is_same_user : is_stranger;
    size_t max = privileged ? CONNECTIONS_MAX : full ? USER_MAX : STRANGERS_MAX;

    if (count(server, rivals, user) >= max || count(server, is_anybody, user) == CONNECTIONS_MAX) {
        make_room_among(server, rivals, user);
    }
    if (count(server, rivals, user) >= max) {
        return CONNECTIONS_MAX;
    }
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i] == NULL) {
            return i;
        }
    }
    return CONNECTIONS_MAX;
}

static void on_closed(void *context, struct connection *connection)
{
    struct server *server = context;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i] == connection) {
            server->connections[i] = NULL;
        }
    }
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
    if (place == CONNECTIONS_MAX) {
        turn_away(fd);
    } else {
        server->connections[place] =
            connection_new(server->service, fd, peer.uid, on_closed, server);
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
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i] != NULL) {
            connection_free(server->connections[i]);
        }
    }
    unlink(server->service->config->socket);
    sd_event_source_disable_unref(server->io_source);
    gk_closep(&server->fd);
    free(server);
}
