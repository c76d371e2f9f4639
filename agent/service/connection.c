/* SPDX-License-Identifier: Apache-2.0 */
/* One connection on the local socket: lines in, answers out, in their order. */
#include "agent/service/connection.h"

#include "agent/exit.h"
#include "agent/local.h"

#include <errno.h>
#include <sys/socket.h>

#define PATIENCE_US ((uint64_t)10000000) /* for a line to come in or go out whole */
#define CHUNK ((size_t)16384)
#define REQUESTS_MAX 64    /* under way */
#define PRIVILEGED_MAX 512 /* of root's and our own: all applications' at once, by the broker */
#define UNREAD_MAX ((size_t)256 * 1024) /* of answers that were not fetched yet */

/* One request under way. */
struct client {
    struct connection *connection;
    struct client *next;
    const char *line; /* while request_handle() has it */
    size_t line_size;
    unsigned patience_s;
    char *reply; /* NULL: not answered yet */
    size_t reply_size;
};

struct connection {
    struct service *service;
    connection_closed *closed;
    void *context;
    int fd;
    uid_t user;
    sd_event_source *io_source, *time_source;
    uint64_t since_ms; /* when something last came whole or went out */
    bool ended;        /* nothing more comes from there */
    bool deaf;         /* nor is taken of what came */
    bool working;      /* take_lines() is at it */
    struct client *first, **last;
    size_t requests;
    char *in; /* what came, from a line's first byte on */
    size_t in_size, in_room;
    size_t looked; /* no newline before that */
    char *out;     /* what goes out */
    size_t out_size, out_room, sent;
};

/* --- requests ----------------------------------------------------------------------------------
 */

static void client_free(struct client *client)
{
    struct service *service = client->connection->service;

    intake_forget(service->intake, client);
    uplink_forget(service->uplink, client);
    publisher_forget(service->publisher, client);
    session_forget(service->session, client);
    free(client->reply);
    free(client);
}

bool connection_is_privileged(uid_t user)
{
    return user == 0 || user == geteuid();
}

bool client_is_privileged(const struct client *client)
{
    return connection_is_privileged(client->connection->user);
}

struct service *client_service(const struct client *client)
{
    return client->connection->service;
}

unsigned client_patience(const struct client *client)
{
    return client->patience_s;
}

void client_set_patience(struct client *client, unsigned patience_s)
{
    client->patience_s = patience_s;
}

const char *client_line(const struct client *client, size_t *size)
{
    *size = client->line_size;
    return client->line;
}

/* --- connections -------------------------------------------------------------------------------
 */

void connection_free(struct connection *connection)
{
    while (connection->first != NULL) {
        struct client *client = connection->first;

        connection->first = client->next;
        client_free(client);
    }
    connection->closed(connection->context, connection);
    sd_event_source_disable_unref(connection->io_source);
    sd_event_source_disable_unref(connection->time_source);
    gk_closep(&connection->fd);
    free(connection->in);
    free(connection->out);
    free(connection);
}

/* Nothing more is taken from who has enough under way, or does not read what he is answered: he
 * must not fill our memory. */
static bool may_ask(const struct connection *connection)
{
    size_t max = connection_is_privileged(connection->user) ? PRIVILEGED_MAX : REQUESTS_MAX;

    return !connection->deaf && connection->requests < max &&
           connection->out_size - connection->sent < UNREAD_MAX;
}

/* After each change. The clock runs for half a line and for an answer that is not fetched. */
static void watch(struct connection *connection)
{
    bool writing = connection->out_size > 0;
    bool reading = !connection->ended && may_ask(connection);
    bool halfway = writing || (reading && connection->in_size > 0);

    sd_event_source_set_io_events(connection->io_source,
                                  (reading ? EPOLLIN : 0u) | (writing ? EPOLLOUT : 0u));
    if (halfway) {
        int enabled = SD_EVENT_OFF;

        sd_event_source_get_enabled(connection->time_source, &enabled);
        if (enabled == SD_EVENT_OFF) {
            sd_event_source_set_time_relative(connection->time_source, PATIENCE_US);
            sd_event_source_set_enabled(connection->time_source, SD_EVENT_ONESHOT);
        }
    } else {
        sd_event_source_set_enabled(connection->time_source, SD_EVENT_OFF);
    }
}

/* Something came whole or went out. */
static void restart_clock(struct connection *connection)
{
    connection->since_ms = service_now_ms();
    sd_event_source_set_enabled(connection->time_source, SD_EVENT_OFF);
}

static int on_connection_time(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    connection_free(context);
    return 0;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static bool append(struct connection *connection, const char *text, size_t size)
{
    size_t room = connection->out_room == 0 ? CHUNK : connection->out_room;
    char *more;

    while (room < connection->out_size + size) {
        room *= 2;
    }
    more = room > connection->out_room ? realloc(connection->out, room) : connection->out;
    if (more == NULL) {
        return false;
    }
    connection->out = more;
    connection->out_room = room;
    memcpy(more + connection->out_size, text, size);
    connection->out_size += size;
    return true;
}

/* What was answered leaves in the order it was asked. */
static void collect(struct connection *connection)
{
    while (connection->first != NULL && connection->first->reply != NULL) {
        struct client *client = connection->first;

        if (!append(connection, client->reply, client->reply_size)) {
            return;
        }
        connection->first = client->next;
        if (connection->first == NULL) {
            connection->last = &connection->first;
        }
        connection->requests--;
        client_free(client);
    }
}

void client_reply(struct client *client, const json_t *reply)
{
    static const char failed[] = "{\"ok\":false,\"status\":\"GK_NO_MEMORY\",\"exit\":1}";
    struct connection *connection = client->connection;
    char *text = json_dumps(reply, JSON_COMPACT);

    if (text == NULL) {
        text = strdup(failed);
    }
    client->reply = text;
    client->reply_size = text != NULL ? strlen(text) + 1 : 0;
    if (text != NULL) {
        text[client->reply_size - 1] = '\n'; /* in place of the NUL */
    }
    /* While lines are taken, all that they are answered at once leaves together. */
    if (!connection->working) {
        collect(connection);
        watch(connection);
    }
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

void client_hang_up(struct client *client)
{
    client->connection->ended = client->connection->deaf = true;
}

/* --- lines -------------------------------------------------------------------------------------
 */

static struct client *client_new(struct connection *connection)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client != NULL) {
        client->connection = connection;
        *connection->last = client;
        connection->last = &client->next;
        connection->requests++;
    }
    return client;
}

static void take_line(struct connection *connection, const char *line, size_t size)
{
    struct client *client = client_new(connection);

    if (client != NULL) {
        client->line = line;
        client->line_size = size;
        request_handle(connection->service, client, line, size);
    } else {
        connection->ended = true; /* out of memory: what is under way is answered still */
    }
}

static void refuse_length(struct connection *connection)
{
    struct client *client = client_new(connection);
    struct gk_error err = { 0 };

    connection->ended = true;
    if (client != NULL) {
        gk_fail(&err, GK_USAGE, "a line of more than %zu bytes", AGENT_LOCAL_LINE_MAX);
        client_fail(client, "read the request", &err, 0);
    }
}

static void drop_taken(struct connection *connection, size_t taken)
{
    if (taken == connection->in_size) {
        free(TAKE(connection->in));
        connection->in_size = connection->in_room = 0;
    } else if (taken > 0) {
        memmove(connection->in, connection->in + taken, connection->in_size - taken);
        connection->in_size -= taken;
    }
    connection->looked -= taken < connection->looked ? taken : connection->looked;
}

/* As many as may be under way; the rest waits here. Frees the connection where that was all. */
static void take_lines(struct connection *connection)
{
    size_t taken = 0;

    connection->working = true;
    while (may_ask(connection) && connection->looked < connection->in_size) {
        const char *from = connection->in + connection->looked;
        const char *end = memchr(from, '\n', connection->in_size - connection->looked);
        const char *line = connection->in + taken;

        if (end == NULL) {
            connection->looked = connection->in_size;
            break;
        }
        taken = connection->looked = (size_t)(end - connection->in) + 1;
        take_line(connection, line, (size_t)(end - line));
        collect(connection);
    }
    connection->working = false;
    if (taken > 0) {
        restart_clock(connection);
    }
    drop_taken(connection, taken);
    if (connection->ended && connection->requests == 0 && connection->out_size == 0) {
        connection_free(connection);
    } else {
        watch(connection);
    }
}

static bool make_room(struct connection *connection)
{
    size_t room = connection->in_room == 0 ? CHUNK : connection->in_room * 2;
    char *more;

    if (connection->in_size < connection->in_room) {
        return true;
    }
    if (room > AGENT_LOCAL_LINE_MAX) {
        room = AGENT_LOCAL_LINE_MAX;
    }
    more = connection->in_size < room ? realloc(connection->in, room) : NULL;
    if (more == NULL) {
        return false;
    }
    connection->in = more;
    connection->in_room = room;
    return true;
}

static void read_some(struct connection *connection)
{
    ssize_t got;

    if (!make_room(connection)) {
        refuse_length(connection);
        watch(connection);
        return;
    }
    got = recv(connection->fd, connection->in + connection->in_size,
               connection->in_room - connection->in_size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        connection_free(connection);
        return;
    }
    connection->ended = got == 0;
    connection->in_size += (size_t)got;
    take_lines(connection);
}

static void write_some(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->out + connection->sent,
                        connection->out_size - connection->sent, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        connection_free(connection);
        return;
    }
    connection->sent += sent > 0 ? (size_t)sent : 0;
    if (connection->sent == connection->out_size) {
        free(TAKE(connection->out));
        connection->out_size = connection->out_room = connection->sent = 0;
    }
    restart_clock(connection);
    take_lines(connection);
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct connection *connection = context;

    (void)source;
    (void)fd;
    if ((events & EPOLLOUT) != 0 && connection->out_size > 0) {
        write_some(connection);
    } else if ((events & EPOLLIN) != 0) {
        read_some(connection);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        connection_free(connection);
    }
    return 0;
}

struct connection *connection_new(struct service *service, int fd, uid_t user,
                                  connection_closed *closed, void *context)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    connection->service = service;
    connection->closed = closed;
    connection->context = context;
    connection->fd = fd;
    connection->user = user;
    connection->last = &connection->first;
    connection->since_ms = service_now_ms();
    if (sd_event_add_io(service->event, &connection->io_source, fd, EPOLLIN, on_connection,
                        connection) < 0 ||
        sd_event_add_time_relative(service->event, &connection->time_source, CLOCK_BOOTTIME,
                                   PATIENCE_US, 0, on_connection_time, connection) < 0) {
        connection_free(connection);
        return NULL;
    }
    sd_event_source_set_enabled(connection->time_source, SD_EVENT_OFF);
    return connection;
}

uid_t connection_user(const struct connection *connection)
{
    return connection->user;
}

uint64_t connection_since_ms(const struct connection *connection)
{
    return connection->since_ms;
}

bool connection_is_silent(const struct connection *connection)
{
    char next;

    return connection->requests == 0 && connection->in_size == 0 && connection->out_size == 0 &&
           recv(connection->fd, &next, sizeof(next), MSG_PEEK) <= 0;
}
