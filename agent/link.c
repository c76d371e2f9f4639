/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the hub, from its name to its end. */
#include "agent/link-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define ADDRESS_TIMEOUT_S 15 /* TCP and TLS with one address, before the next is tried */
#define CONNACK_TIMEOUT_S 30 /* the whole way to the CONNACK */
#define READS_MAX 256        /* packets at a time, so that a flood leaves time for the rest */

enum gk_status agent_link_init(struct gk_error *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    /* libmosquitto only sometimes does it for us, and TLS writes to sockets that may be gone. */
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        return gk_fail(err, GK_INTERNAL, "starting libmosquitto");
    }
    return GK_OK;
}

static time_t monotonic(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/* --- what libmosquitto calls ----------------------------------------------------------------- */

static void on_connect(struct mosquitto *mosquitto, void *context, int code)
{
    struct agent_link *link = context;

    link->connack = code;
    if (code != 0) {
        agent_tls_session_forget(link->options.session);
    } else {
        agent_tls_accepted(link->tls, mosquitto_ssl_get(mosquitto));
        link->phase = UP;
        link->options.events->up(link->options.context);
    }
}

static void on_disconnect(struct mosquitto *mosquitto, void *context, int code)
{
    struct agent_link *link = context;

    (void)mosquitto;
    (void)code; /* tells a pulled plug from nothing */
    link->closed = true;
}

static void on_message(struct mosquitto *mosquitto, void *context,
                       const struct mosquitto_message *message)
{
    struct agent_link *link = context;

    (void)mosquitto;
    if (message->payloadlen >= 0) {
        link->options.events->message(link->options.context, message->topic, message->payload,
                                      (size_t)message->payloadlen);
    }
}

static void on_publish(struct mosquitto *mosquitto, void *context, int mid)
{
    struct agent_link *link = context;

    (void)mosquitto;
    if (link->unacknowledged > 0) {
        link->unacknowledged--;
    }
    if (link->options.events->acknowledged != NULL) {
        link->options.events->acknowledged(link->options.context, mid);
    }
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int mid, int count,
                         const int *granted)
{
    struct agent_link *link = context;

    (void)mosquitto;
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        if (link->subscriptions[i].topic != NULL && link->subscriptions[i].mid == mid) {
            CLEANUP(gk_freep) char *topic = TAKE(link->subscriptions[i].topic);

            if (count > 0 && granted[0] > 2 && link->options.events->unsubscribed != NULL) {
                link->options.events->unsubscribed(link->options.context, topic);
            }
            return;
        }
    }
}

/* --- making it ------------------------------------------------------------------------------- */

static enum gk_status sign(struct agent_link *link, struct agent_openssl *openssl,
                           struct gk_error *err)
{
    const struct agent_config *config = link->config;
    struct timespec now = { 0 };
    char timestamp[24];

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(timestamp, sizeof(timestamp), "%" PRId64,
             (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return enos_connect_sign(agent_openssl_context(openssl), agent_openssl_propquery(openssl),
                             &(const struct enos_connect_input){
                                 .mode = link->options.mode,
                                 .method = "sha256",
                                 .cid = config->device_key,
                                 .device_key = config->device_key,
                                 .product_key = config->product_key,
                                 .timestamp = timestamp,
                                 .secret = link->options.secret,
                             },
                             &link->connect, err);
}

enum gk_status agent_link_start(const struct agent_config *config, struct agent_openssl *openssl,
                                const struct agent_link_options *options, struct agent_link **link,
                                struct gk_error *err)
{
    CLEANUP(agent_link_freep) struct agent_link *made = calloc(1, sizeof(*made));
    bool mutual = options->mode == ENOS_STATIC;
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->config = config;
    made->options = *options;
    made->port = mutual ? config->port : config->activation_port;
    made->begun = monotonic();
    made->connack = -1;
    if (config->device_key == NULL || config->product_key == NULL) {
        return gk_fail(err, GK_BAD_CONFIG, "[device] product_key or device_key is missing");
    }
    status = sign(made, openssl, err);
    made->options.secret = NULL;
    if (status == GK_OK) {
        status = agent_tls_new(config, openssl, mutual ? options->pair : AGENT_PAIR_NONE,
                               options->session, &made->tls, err);
    }
    if (status == GK_OK) {
        status = agent_resolve_start(config->host, &made->resolve, err);
    }
    if (status == GK_OK) {
        *link = TAKE(made);
    }
    return status;
}

void agent_link_free(struct agent_link *link)
{
    if (link == NULL) {
        return;
    }
    mosquitto_destroy(link->mosquitto);
    agent_resolve_free(link->resolve);
    agent_tls_free(link->tls);
    enos_connect_clear(&link->connect);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        free(link->subscriptions[i].topic);
    }
    free(link);
}

/* One struct mosquitto per address: a fresh one has no state of a failed attempt. */
static enum gk_status make_client(struct agent_link *link, struct gk_error *err)
{
    struct mosquitto *client = mosquitto_new(link->connect.client_id, true, link);

    mosquitto_destroy(link->mosquitto);
    link->mosquitto = client;
    if (client == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_disconnect_callback_set(client, on_disconnect);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_publish_callback_set(client, on_publish);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    /*
     * "Threaded" though there is one thread: then a PUBACK is only queued while on_message runs,
     * and leaves after it. Without the defaults libmosquitto leaves our SSL_CTX as it is.
     */
    if (mosquitto_threaded_set(client, true) != MOSQ_ERR_SUCCESS ||
        mosquitto_username_pw_set(client, link->connect.user_name, link->connect.password) !=
            MOSQ_ERR_SUCCESS ||
        mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V311) !=
            MOSQ_ERR_SUCCESS ||
        mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1) != MOSQ_ERR_SUCCESS ||
        mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
        mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, agent_tls_context(link->tls)) !=
            MOSQ_ERR_SUCCESS) {
        return gk_fail(err, GK_INTERNAL, "setting up libmosquitto");
    }
    return GK_OK;
}

/* --- driving it ------------------------------------------------------------------------------ */

static enum gk_status try_next_address(struct agent_link *link, struct gk_error *err);

/* TCP failed, or TLS without a word: another address may do better. A hub that spoke is the hub. */
static enum gk_status down(struct agent_link *link, int code, struct gk_error *err)
{
    bool mute = link->connack < 0 && !agent_tls_is_established(link->tls) &&
                agent_tls_explain(link->tls, NULL) == GK_OK;

    agent_tls_failed(link->tls);
    if (mute && link->phase == CONNECTING && link->next_address < link->address_count) {
        return try_next_address(link, err);
    }
    return agent_link_explain(link, code, err);
}

static enum gk_status try_next_address(struct agent_link *link, struct gk_error *err)
{
    const char *address = link->addresses[link->next_address++];
    enum gk_status status = make_client(link, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    agent_tls_reset(link->tls);
    link->closed = false;
    link->system_error = 0;
    link->address_begun = monotonic();
    link->phase = CONNECTING;
    errno = 0;
    /* Numeric by now, so this does not block: TCP and TLS go on in agent_link_step(). */
    code = mosquitto_connect_async(link->mosquitto, address, link->port,
                                   (int)link->config->keepalive_s);
    if (code > 0) {
        link->system_error = code == MOSQ_ERR_ERRNO ? errno : 0;
        return down(link, code, err);
    }
    return GK_OK;
}

/* libmosquitto 2.0.11 would go round and round on a socket whose TCP connection failed. */
static bool tcp_failed(struct agent_link *link, short revents)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if ((revents & (POLLERR | POLLHUP)) == 0 || agent_tls_is_established(link->tls)) {
        return false;
    }
    /* It is told once: to us, or to the write that was tried before. */
    if (getsockopt(mosquitto_socket(link->mosquitto), SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
        link->system_error = error != 0 ? error : agent_tls_system_error(link->tls);
    }
    return link->system_error != 0;
}

/* Read until nothing is left inside of OpenSSL, since poll(2) does not know of that. */
static int read_all(struct agent_link *link)
{
    int code = MOSQ_ERR_SUCCESS;
    int rounds = 0;

    do {
        SSL *ssl;

        code = mosquitto_loop_read(link->mosquitto, 1);
        ssl = mosquitto_ssl_get(link->mosquitto);
        if (code != MOSQ_ERR_SUCCESS || link->closed || ssl == NULL || SSL_pending(ssl) == 0) {
            break;
        }
    } while (++rounds < READS_MAX);
    return code;
}

static int drive(struct agent_link *link, short revents)
{
    SSL *ssl = mosquitto_ssl_get(link->mosquitto);
    int code = MOSQ_ERR_SUCCESS;

    /* Reading first: the alert that says why is in there, and a write would fail before it is seen.
     */
    if (revents != 0 || (ssl != NULL && SSL_pending(ssl) > 0)) {
        code = read_all(link);
    }
    if (agent_tls_is_established(link->tls)) {
        link->sent_connect = true;
    }
    if (code == MOSQ_ERR_SUCCESS && !link->closed && mosquitto_want_write(link->mosquitto)) {
        code = mosquitto_loop_write(link->mosquitto, READS_MAX);
    }
    if (code == MOSQ_ERR_SUCCESS && !link->closed) {
        code = mosquitto_loop_misc(link->mosquitto);
    }
    return code;
}

static enum gk_status step_resolving(struct agent_link *link, short revents, struct gk_error *err)
{
    enum gk_status status;

    if (revents == 0) {
        return GK_OK;
    }
    status = agent_resolve_take(link->resolve, link->addresses, &link->address_count, err);
    if (status != GK_OK) {
        return status;
    }
    agent_resolve_free(TAKE(link->resolve));
    return try_next_address(link, err);
}

static enum gk_status step_connection(struct agent_link *link, short revents, struct gk_error *err)
{
    int code;

    if (link->phase == CONNECTING && tcp_failed(link, revents)) {
        return down(link, MOSQ_ERR_ERRNO, err);
    }
    code = drive(link, revents);
    if (code != MOSQ_ERR_SUCCESS || link->closed || mosquitto_socket(link->mosquitto) < 0) {
        return down(link, code, err);
    }
    if (link->connack > 0) {
        return agent_link_explain(link, MOSQ_ERR_SUCCESS, err);
    }
    if (link->phase == CONNECTING && !link->sent_connect &&
        monotonic() - link->address_begun > ADDRESS_TIMEOUT_S) {
        link->system_error = ETIMEDOUT;
        return down(link, MOSQ_ERR_ERRNO, err);
    }
    return GK_OK;
}

enum gk_status agent_link_step(struct agent_link *link, short revents, struct gk_error *err)
{
    if (link->phase != UP && monotonic() - link->begun > CONNACK_TIMEOUT_S) {
        return gk_fail(err, GK_UNREACHABLE, "%s port %u does not answer", link->config->host,
                       link->port);
    }
    return link->phase == RESOLVING ? step_resolving(link, revents, err)
                                    : step_connection(link, revents, err);
}

int agent_link_fd(const struct agent_link *link)
{
    return link->phase == RESOLVING ? agent_resolve_fd(link->resolve)
                                    : mosquitto_socket(link->mosquitto);
}

short agent_link_poll(const struct agent_link *link)
{
    bool writing = link->phase != RESOLVING && mosquitto_want_write(link->mosquitto);

    return (short)(POLLIN | (writing ? POLLOUT : 0));
}

bool agent_link_is_up(const struct agent_link *link)
{
    return link->phase == UP;
}

bool agent_link_is_resumed(const struct agent_link *link)
{
    return agent_tls_is_resumed(link->tls);
}

const char *agent_link_remark(const struct agent_link *link)
{
    return agent_tls_remark(link->tls);
}

bool agent_link_has_sent_connect(const struct agent_link *link)
{
    return link->sent_connect;
}

unsigned agent_link_unacknowledged(const struct agent_link *link)
{
    return link->unacknowledged;
}

/* --- talking --------------------------------------------------------------------------------- */

static enum gk_status require_up(const struct agent_link *link, struct gk_error *err)
{
    /* libmosquitto would keep what it is given and send it some day, without anybody knowing. */
    return link->phase == UP && !link->closed
               ? GK_OK
               : gk_fail(err, GK_UNREACHABLE, "not connected to %s", link->config->host);
}

static enum gk_status fail_mosquitto(const struct agent_link *link, int code, struct gk_error *err)
{
    switch (code) {
    case MOSQ_ERR_SUCCESS:
        return GK_OK;
    case MOSQ_ERR_NOMEM:
        return gk_fail(err, GK_NO_MEMORY, NULL);
    case MOSQ_ERR_NO_CONN:
    case MOSQ_ERR_CONN_LOST:
        return gk_fail(err, GK_UNREACHABLE, "not connected to %s", link->config->host);
    default:
        return gk_fail(err, GK_INTERNAL, "libmosquitto: %s", mosquitto_strerror(code));
    }
}

enum gk_status agent_link_subscribe(struct agent_link *link, const char *topic,
                                    struct gk_error *err)
{
    enum gk_status status = require_up(link, err);
    size_t slot = 0;

    if (status != GK_OK) {
        return status;
    }
    while (slot < SUBSCRIPTIONS_MAX && link->subscriptions[slot].topic != NULL) {
        slot++;
    }
    if (slot == SUBSCRIPTIONS_MAX) {
        return gk_fail(err, GK_BUSY, "%d subscriptions wait for the hub", SUBSCRIPTIONS_MAX);
    }
    link->subscriptions[slot].topic = strdup(topic);
    if (link->subscriptions[slot].topic == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = fail_mosquitto(
        link, mosquitto_subscribe(link->mosquitto, &link->subscriptions[slot].mid, topic, 1), err);
    if (status != GK_OK) {
        free(TAKE(link->subscriptions[slot].topic));
    }
    return status;
}

enum gk_status agent_link_unsubscribe(struct agent_link *link, const char *topic,
                                      struct gk_error *err)
{
    enum gk_status status = require_up(link, err);

    return status == GK_OK
               ? fail_mosquitto(link, mosquitto_unsubscribe(link->mosquitto, NULL, topic), err)
               : status;
}

enum gk_status agent_link_publish(struct agent_link *link, const char *topic, const void *payload,
                                  size_t size, int *mid, struct gk_error *err)
{
    enum gk_status status = require_up(link, err);

    if (status != GK_OK) {
        return status;
    }
    if (link->unacknowledged >= AGENT_LINK_WINDOW) {
        return gk_fail(err, GK_BUSY, "%u messages wait for the hub's acknowledgement",
                       link->unacknowledged);
    }
    status = fail_mosquitto(
        link, mosquitto_publish(link->mosquitto, mid, topic, (int)size, payload, 1, false), err);
    if (status == GK_OK) {
        link->unacknowledged++;
    }
    return status;
}

void agent_link_disconnect(struct agent_link *link)
{
    if (link->phase == UP && !link->closed) {
        mosquitto_disconnect(link->mosquitto);
    }
}
