/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the hub, from its making to its end. */
#include "agent/link-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define READS_MAX 256 /* packets at a time, so that a flood leaves time for the rest */

enum gk_status agent_link_init(struct gk_error *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    /* libmosquitto only sometimes does it for us, and TLS writes to sockets that may be gone. */
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        return gk_fail(err, GK_INTERNAL, "starting libmosquitto");
    }
    return GK_OK;
}

int64_t agent_link_now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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
    made->connack = -1;
    made->begun = agent_link_now_ms();
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
        status = agent_link_plan(made, err);
    }
    if (status == GK_OK) {
        status = agent_link_begin_host(made, err);
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
    agent_link_drop_client(link);
    agent_tunnel_free(link->tunnel);
    agent_resolve_free(link->resolve);
    agent_proxy_clear(&link->proxy);
    free(link->fallback);
    agent_tls_free(link->tls);
    enos_connect_clear(&link->connect);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        free(link->subscriptions[i].topic);
    }
    free(link);
}

/* --- driving it ------------------------------------------------------------------------------ */

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

/*
 * libmosquitto tells refusals of a SOCKS5 proxy apart no further than by half. The last reply has
 * more than two bytes, and is read in two pieces.
 */
static void listen_to_proxy(struct agent_link *link)
{
    ssize_t size;

    if (link->proxy.kind == AGENT_PROXY_SOCKS5 && mosquitto_ssl_get(link->mosquitto) == NULL &&
        link->socks_said_size <= 2) {
        size = recv(mosquitto_socket(link->mosquitto), link->socks_said, sizeof(link->socks_said),
                    MSG_PEEK | MSG_DONTWAIT);
        link->socks_said_size = size > 0 ? (size_t)size : 0;
    }
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

static int write_all(struct agent_link *link)
{
    int code = mosquitto_loop_write(link->mosquitto, READS_MAX);

    if (code == MOSQ_ERR_SUCCESS && !link->closed && !mosquitto_want_write(link->mosquitto)) {
        link->sent_s = agent_link_now_ms() / 1000;
    }
    return code;
}

static int drive(struct agent_link *link, short revents)
{
    SSL *ssl = mosquitto_ssl_get(link->mosquitto);
    int code = MOSQ_ERR_SUCCESS;

    /* Reading first: the alert that says why is in there, and a write would fail before it is seen.
     */
    if (revents != 0 || (ssl != NULL && SSL_pending(ssl) > 0)) {
        listen_to_proxy(link);
        code = read_all(link);
    }
    if ((revents & POLLIN) != 0) {
        agent_link_heard(link);
    }
    if (agent_tls_is_established(link->tls)) {
        link->sent_connect = true;
    }
    if (code == MOSQ_ERR_SUCCESS && !link->closed && mosquitto_want_write(link->mosquitto)) {
        code = write_all(link);
    }
    if (code == MOSQ_ERR_SUCCESS && !link->closed) {
        code = agent_link_keep_alive(link);
    }
    return code;
}

/* Behind a tunnel what happened to it is not what happened to libmosquitto's end of it. */
static short step_tunnel(struct agent_link *link, short revents)
{
    struct pollfd poller = { mosquitto_socket(link->mosquitto), POLLIN, 0 };

    if (link->tunnel == NULL) {
        return revents;
    }
    (void)!agent_tunnel_step(link->tunnel,
                             NULL); /* what goes wrong, libmosquitto reads as the end */
    poller.events = (short)(POLLIN | (mosquitto_want_write(link->mosquitto) ? POLLOUT : 0));
    return poll(&poller, 1, 0) > 0 ? poller.revents : 0;
}

static enum gk_status step_connection(struct agent_link *link, short revents, struct gk_error *err)
{
    short own = step_tunnel(link, revents);
    int code;

    if (link->phase == CONNECTING && tcp_failed(link, own)) {
        return agent_link_down(link, MOSQ_ERR_ERRNO, err);
    }
    code = drive(link, own);
    if (link->tunnel != NULL) {
        (void)!agent_tunnel_step(link->tunnel, NULL);
    }
    if (code != MOSQ_ERR_SUCCESS || link->closed || mosquitto_socket(link->mosquitto) < 0) {
        return agent_link_down(link, code, err);
    }
    return link->connack > 0 ? agent_link_explain(link, MOSQ_ERR_SUCCESS, err) : GK_OK;
}

enum gk_status agent_link_step(struct agent_link *link, short revents, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    switch (link->phase) {
    case RESOLVING:
        status = agent_link_step_resolving(link, revents, err);
        break;
    case TUNNELLING:
        status = agent_link_step_tunnelling(link, err);
        break;
    case CONNECTING:
    case UP:
        status = step_connection(link, revents, err);
        break;
    }
    return status == GK_OK && link->phase != UP ? agent_link_check_time(link, err) : status;
}

int agent_link_fd(const struct agent_link *link)
{
    if (link->phase == RESOLVING) {
        return agent_resolve_fd(link->resolve);
    }
    return link->tunnel != NULL ? agent_tunnel_fd(link->tunnel) : mosquitto_socket(link->mosquitto);
}

short agent_link_poll(const struct agent_link *link)
{
    bool ours = link->phase == CONNECTING || link->phase == UP;
    short events = (short)(POLLIN | (ours && mosquitto_want_write(link->mosquitto) ? POLLOUT : 0));

    if (ours && link->tunnel != NULL) {
        agent_tunnel_watch(link->tunnel, mosquitto_socket(link->mosquitto), events);
        return POLLIN;
    }
    return events;
}

uint64_t agent_link_next_ms(const struct agent_link *link)
{
    int64_t now = agent_link_now_ms();
    int64_t due = link->phase == UP ? agent_link_pulse_due(link) : agent_link_deadline(link) + 1;

    return due - now > 1000 ? (uint64_t)(due - now) : 1000;
}

bool agent_link_is_up(const struct agent_link *link)
{
    return link->phase == UP;
}

bool agent_link_is_resumed(const struct agent_link *link)
{
    return agent_tls_is_resumed(link->tls);
}

const char *agent_link_host(const struct agent_link *link)
{
    return link->hosts[link->host];
}

const char *agent_link_other_host(const struct agent_link *link)
{
    return link->hosts[(link->host + 1) % link->host_count];
}

const char *agent_link_remark(const struct agent_link *link)
{
    return agent_tls_remark(link->tls);
}

bool agent_link_has_sent_connect(const struct agent_link *link)
{
    return link->sent_connect || agent_tls_is_refused(link->tls);
}

bool agent_link_is_turned_away(const struct agent_link *link)
{
    return link->system_error == ECONNREFUSED || link->system_error == ECONNRESET;
}

unsigned agent_link_unacknowledged(const struct agent_link *link)
{
    return link->unacknowledged;
}
