/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on libmicrohttpd: takes calls in, has them done, sends the answers, and spoils them when a
 * test wants so. */
#include "tests/hub/api.h"

#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/listen.h"
#include "tests/hub/route.h"
#include "tests/hub/spoil.h"
#include "tests/hub/text.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <openssl/rand.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define CONNECTION_TIMEOUT_S 120
#define CALLS_END_MS 2000
#define POLL_MS 10

/* One door: where calls come from decides what they must show. */
struct door {
    struct hub *hub;
    bool trusted;
    bool is_plain;
    struct MHD_Daemon *daemon;
};

struct hub_api {
    struct door rest;
    struct door plain;
    struct door control;
    char *key; /* the REST door's, kept for as long as its daemon runs */
    char *certificate;
};

static void call_free(struct hub_call *call)
{
    if (call != NULL) {
        json_decref(call->application);
        free(call->body);
        free(call);
    }
}

static enum MHD_Result take_parameter(void *user, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct hub_call *call = user;

    (void)kind;
    if (call->query_count == HUB_CALL_PARAMETERS) {
        return MHD_NO;
    }
    call->query[call->query_count++] =
        (struct hub_parameter){ .name = name, .value = value != NULL ? value : "" };
    return MHD_YES;
}

static struct hub_call *call_new(struct door *door, struct MHD_Connection *connection,
                                 const char *method, const char *path)
{
    struct hub_call *call = calloc(1, sizeof(*call));

    if (call != NULL) {
        call->hub = door->hub;
        call->trusted = door->trusted;
        call->is_plain = door->is_plain;
        call->connection = connection;
        call->method = method;
        call->path = path;
    }
    return call;
}

static enum MHD_Result take_body(struct hub_call *call, const char *data, size_t *size)
{
    size_t wanted = call->body_size + *size;
    char *larger;

    if (wanted > HUB_API_BODY_LIMIT) {
        /* The rest is read and dropped, so that the client gets to read the refusal. */
        call->too_large = true;
    } else {
        larger = realloc(call->body, wanted);
        if (larger == NULL) {
            return MHD_NO;
        }
        memcpy(larger + call->body_size, data, *size);
        call->body = larger;
        call->body_size = wanted;
    }
    *size = 0;
    return MHD_YES;
}

static void random_id(char text[static 37])
{
    uint8_t bytes[16];
    char hex[HUB_HEX_SIZE(16)];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        abort();
    }
    hub_hex(bytes, sizeof(bytes), hex);
    snprintf(text, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* The JSON that goes over the wire; the caller frees it. */
static char *envelope_text(const struct hub_answer *answer)
{
    const char *message = answer->message;
    json_t *data = answer->data != NULL ? json_incref(answer->data) : json_null();
    CLEANUP(json_decrefp) json_t *envelope = NULL;
    char id[37];

    if (answer->envelope == HUB_ENVELOPE_TOKEN) {
        envelope = json_pack("{s:i,s:s,s:s,s:o}", "status", answer->code, "msg",
                             *message != '\0' ? message : "SUCCESS", "business",
                             "apim-token-service", "data", data);
    } else {
        random_id(id);
        envelope = json_pack("{s:i,s:s,s:s,s:o}", "code", answer->code, "msg",
                             *message != '\0' ? message : "OK", "requestId", id, "data", data);
    }
    if (answer->code == (int)answer->http) {
        /* Nobody behind the gateway has spoken: the HTTP status is all the code there is. */
        json_object_del(envelope, "code");
    }
    return json_dumps(envelope, JSON_COMPACT);
}

static bool is_file(const struct hub_answer *answer)
{
    return answer->envelope == HUB_ENVELOPE_NONE && answer->code == HUB_CODE_OK;
}

static void add_headers(struct MHD_Response *response, const struct hub_answer *answer)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            is_file(answer) ? answer->text_type : "application/json;charset=UTF-8");
    if (*answer->etag != '\0') {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, answer->etag);
    }
    if (*answer->modified != '\0') {
        MHD_add_response_header(response, MHD_HTTP_HEADER_LAST_MODIFIED, answer->modified);
    }
}

static enum MHD_Result send_answer(struct hub_call *call, const struct hub_route *route,
                                   struct hub_answer *answer)
{
    const char *name = route != NULL && !call->trusted ? route->name : "";
    CLEANUP(gk_freep) char *text = is_file(answer) ? TAKE(answer->text) : envelope_text(answer);
    size_t size = is_file(answer) ? answer->text_size : text != NULL ? strlen(text) : 0;
    char value[HUB_FAULT_VALUE_SIZE];
    struct MHD_Response *response;
    enum MHD_Result result;

    if (text == NULL || hub_fault_take_for(call->hub->faults, HUB_FAULT_LOST, name, value)) {
        return MHD_NO;
    }
    response =
        *name != '\0' ? hub_spoil_response(call->hub, name, text, size, &answer->http) : NULL;
    if (response == NULL) {
        response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_COPY);
    }
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, answer);
    hub_spoil_headers(call->hub, name, response);
    result = MHD_queue_response(call->connection, answer->http, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result perform(struct hub_call *call)
{
    struct hub_answer answer = { .http = MHD_HTTP_OK };
    const struct hub_route *route;
    enum MHD_Result result;

    if (MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, take_parameter, call) <
        0) {
        return MHD_NO;
    }
    route = hub_route_find(call);
    if (call->too_large) {
        answer.http = MHD_HTTP_CONTENT_TOO_LARGE;
        hub_answer_refuse(&answer, 413, "the body is too large");
    } else if (route == NULL) {
        answer.http = MHD_HTTP_NOT_FOUND;
        hub_answer_refuse(&answer, 404, "there is no such call");
    } else {
        answer.envelope = route->envelope;
        if (!hub_spoil_call(call, route, &answer) && hub_route_authorise(call, route, &answer)) {
            route->handle(call, &answer);
        }
    }
    result = send_answer(call, route, &answer);
    json_decref(answer.data);
    free(answer.text);
    return result;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct hub_call *call = *state;

    (void)version;
    if (call == NULL) {
        *state = call_new(user, connection, method, path);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        return take_body(call, data, size);
    }
    return perform(call);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)user;
    (void)connection;
    (void)why;
    call_free(*state);
    *state = NULL;
}

#define DAEMON_FLAGS \
    (MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL)

/* Threads inherit the caller's signal mask; signals are for the broker's thread alone. */
static void block_signals(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, old);
}

/* Start the REST door, on its port or on a socket that listens there already. */
static enum gk_status start_rest(struct hub_api *api, int listening, struct gk_error *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)api->rest.hub->options.api_port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct MHD_OptionItem where[] = {
        { MHD_OPTION_SOCK_ADDR, 0, &address },
        { MHD_OPTION_END, 0, NULL },
    };
    enum gk_status status = hub_file_read(HUB_SERVER_KEY_FILE, &api->key, err);

    if (status == GK_OK) {
        status = hub_file_read(HUB_SERVER_CERTIFICATE_FILE, &api->certificate, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (listening >= 0) {
        where[0] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, listening, NULL };
    }
    api->rest.daemon = MHD_start_daemon(
        DAEMON_FLAGS | MHD_USE_TLS | MHD_USE_ITC, (uint16_t)api->rest.hub->options.api_port, NULL,
        NULL, on_request, &api->rest, MHD_OPTION_ARRAY, where, MHD_OPTION_HTTPS_MEM_KEY, api->key,
        MHD_OPTION_HTTPS_MEM_CERT, api->certificate, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_TIMEOUT,
        CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (api->rest.daemon == NULL) {
        gk_fail(err, GK_REFUSED, "listening on 127.0.0.1:%d", api->rest.hub->options.api_port);
        gk_advise(err, "see what holds that port, or choose another with --port-api");
        return GK_REFUSED;
    }
    return GK_OK;
}

/* A door without TLS, on a socket that listens already and is the daemon's from here on. */
static enum gk_status start_door(struct door *door, int listening, const char *where,
                                 struct gk_error *err)
{
    if (listening < 0) {
        return gk_fail(err, GK_FILE_FAILED, "%s", where);
    }
    door->daemon =
        MHD_start_daemon(DAEMON_FLAGS, 0, NULL, NULL, on_request, door, MHD_OPTION_LISTEN_SOCKET,
                         listening, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                         MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (door->daemon == NULL) {
        close(listening);
        return gk_fail(err, GK_FILE_FAILED, "%s", where);
    }
    return GK_OK;
}

enum gk_status hub_api_start(struct hub *hub, struct hub_api **api, struct gk_error *err)
{
    struct hub_api *a = calloc(1, sizeof(*a));
    enum gk_status status;
    sigset_t mask;

    if (a == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    a->rest = (struct door){ .hub = hub };
    a->plain = (struct door){ .hub = hub, .is_plain = true };
    a->control = (struct door){ .hub = hub, .trusted = true };
    block_signals(&mask);
    /* Known before the first call comes, which may ask for it. */
    *api = a;
    status = start_rest(a, -1, err);
    if (status == GK_OK) {
        status = start_door(&a->plain, hub_listen_loopback(hub->options.http_port),
                            "the port of --port-http", err);
    }
    if (status == GK_OK) {
        status =
            start_door(&a->control, hub_listen_unix(HUB_CONTROL_SOCKET), HUB_CONTROL_SOCKET, err);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (status != GK_OK) {
        hub_api_stop(a);
        *api = NULL;
    }
    return status;
}

static void forget_certificate(struct hub_api *api)
{
    free(api->key);
    free(api->certificate);
    api->key = NULL;
    api->certificate = NULL;
}

void hub_api_stop(struct hub_api *api)
{
    if (api == NULL) {
        return;
    }
    /* The control door first: one of its threads may be renewing the other. */
    if (api->control.daemon != NULL) {
        MHD_stop_daemon(api->control.daemon);
        unlink(HUB_CONTROL_SOCKET);
    }
    if (api->plain.daemon != NULL) {
        MHD_stop_daemon(api->plain.daemon);
    }
    if (api->rest.daemon != NULL) {
        MHD_stop_daemon(api->rest.daemon);
    }
    forget_certificate(api);
    free(api);
}

/* Let the calls that are under way have their answers: a certificate may be among them. */
static void let_calls_end(struct MHD_Daemon *daemon)
{
    const struct timespec moment = { .tv_nsec = POLL_MS * 1000000L };
    const union MHD_DaemonInfo *info;

    for (int waited_ms = 0; waited_ms < CALLS_END_MS; waited_ms += POLL_MS) {
        info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        if (info == NULL || info->num_connections == 0) {
            return;
        }
        nanosleep(&moment, NULL);
    }
}

enum gk_status hub_api_renew(struct hub_api *api, struct gk_error *err)
{
    int listening = -1;

    if (api->rest.daemon != NULL) {
        /* The socket stays open in between, so nobody's connection is refused and nobody takes the
         * port. */
        listening = MHD_quiesce_daemon(api->rest.daemon);
        let_calls_end(api->rest.daemon);
        MHD_stop_daemon(api->rest.daemon);
        api->rest.daemon = NULL;
    }
    forget_certificate(api);
    return start_rest(api, listening, err);
}
