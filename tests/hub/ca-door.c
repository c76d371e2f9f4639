/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the hub's calls in, and nobody else's. */
#include "tests/hub/ca-door.h"

#include "tests/hub/listen.h"
#include "tests/hub/signature.h"
#include "tests/hub/text.h"

#include <microhttpd.h>
#include <sys/socket.h>

#define LONGEST_BODY 65536

struct ca_door {
    struct ca_door_options options;
    ca_door_handler handler;
    void *user;
    struct MHD_Daemon *daemon;
};

/* A call that is coming in. */
struct body {
    char *bytes;
    size_t size;
};

/* As the kernel says who connected, whatever was sent. */
static bool is_the_hub(const struct ca_door *door, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    return peer.uid == geteuid() && (door->options.hub == 0 || peer.pid == door->options.hub);
}

static bool shows_the_token(const struct ca_door *door, struct MHD_Connection *connection)
{
    const char *shown =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    return shown != NULL && strncmp(shown, "Bearer ", 7) == 0 &&
           hub_signature_equal(door->options.token, shown + 7);
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned int http,
                                 const json_t *answer)
{
    CLEANUP(gk_freep) char *text = json_dumps(answer, JSON_COMPACT);
    struct MHD_Response *response;
    enum MHD_Result result;

    if (text == NULL) {
        return MHD_NO;
    }
    response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    result = MHD_queue_response(connection, http, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned int http, const char *why)
{
    CLEANUP(json_decrefp) json_t *answer = json_pack("{s:s}", "error", why);

    return send_json(connection, http, answer);
}

static enum MHD_Result perform(struct ca_door *door, struct MHD_Connection *connection,
                               const char *method, const char *path, const struct body *body)
{
    CLEANUP(json_decrefp)
    json_t *given = body->size > 0 ? json_loadb(body->bytes, body->size, 0, NULL) : NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    unsigned int http = MHD_HTTP_OK;
    struct gk_error err = { 0 };
    char why[800];

    if (body->size > LONGEST_BODY || (body->size > 0 && !json_is_object(given))) {
        return refuse(connection, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
    }
    answer = door->handler(door->user, method, path, given, &http, &err);
    if (answer == NULL) {
        gk_error_sentence(&err, NULL, why, sizeof(why));
        return refuse(connection, http, why);
    }
    return send_json(connection, http, answer);
}

/* What is too long is counted but not kept. */
static bool take(struct body *body, const char *data, size_t *size)
{
    char *larger;

    if (body->size + *size <= LONGEST_BODY) {
        larger = realloc(body->bytes, body->size + *size);
        if (larger == NULL) {
            return false;
        }
        memcpy(larger + body->size, data, *size);
        body->bytes = larger;
    }
    body->size += *size;
    *size = 0;
    return true;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct ca_door *door = user;
    struct body *body = *state;

    (void)version;
    if (body == NULL) {
        *state = calloc(1, sizeof(*body));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        return take(body, data, size) ? MHD_YES : MHD_NO;
    }
    if (!is_the_hub(door, connection)) {
        return refuse(connection, MHD_HTTP_FORBIDDEN, "this CA works for its hub alone");
    }
    if (!shows_the_token(door, connection)) {
        return refuse(connection, MHD_HTTP_UNAUTHORIZED, "the token is missing or wrong");
    }
    return perform(door, connection, method, path, body);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct body *body = *state;

    (void)user;
    (void)connection;
    (void)why;
    if (body != NULL) {
        free(body->bytes);
        free(body);
        *state = NULL;
    }
}

enum gk_status ca_door_open(const struct ca_door_options *options, ca_door_handler handler,
                            void *user, struct ca_door **door, struct gk_error *err)
{
    CLEANUP(ca_door_closep) struct ca_door *d = calloc(1, sizeof(*d));
    CLEANUP(gk_closep) int fd = hub_listen_unix(options->socket);

    if (d == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *d = (struct ca_door){ .options = *options, .handler = handler, .user = user };
    d->daemon =
        fd < 0 ? NULL
               : MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
                                  on_request, d, MHD_OPTION_LISTEN_SOCKET, fd,
                                  MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (d->daemon == NULL) {
        return gk_fail(err, GK_FILE_FAILED, "%s", options->socket);
    }
    fd = -1;
    *door = TAKE(d);
    return GK_OK;
}

void ca_door_close(struct ca_door *door)
{
    if (door != NULL) {
        if (door->daemon != NULL) {
            MHD_stop_daemon(door->daemon);
            unlink(door->options.socket);
        }
        free(door);
    }
}
