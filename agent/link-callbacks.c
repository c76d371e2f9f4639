/* SPDX-License-Identifier: Apache-2.0 */
/* What libmosquitto is told of a link, and what it tells. */
#include "agent/link-internal.h"

static void on_connect(struct mosquitto *mosquitto, void *context, int code)
{
    struct agent_link *link = context;

    if (link->phase == UP) {
        /* libmosquitto would have us begin anew with each (MQTT 3.1.1, 3.2). */
        gk_fail(&link->refusal, GK_HUB_GARBLED, "%s port %u: a second CONNACK",
                link->hosts[link->host], link->port);
        link->closed = true;
        return;
    }
    agent_tls_finished(link->tls);
    link->connack = code;
    if (code != 0) {
        agent_tls_session_forget(link->options.session);
    } else {
        agent_tls_accepted(link->tls, mosquitto_ssl_get(mosquitto));
        link->phase = UP;
        link->sent_s = link->received_s = agent_link_now_ms() / 1000;
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
    agent_tls_finished(link->tls);
    if (message->payloadlen >= 0) {
        link->options.events->message(link->options.context, message->topic, message->payload,
                                      (size_t)message->payloadlen);
    }
}

static void on_publish(struct mosquitto *mosquitto, void *context, int mid)
{
    struct agent_link *link = context;

    (void)mosquitto;
    agent_tls_finished(link->tls);
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
    agent_tls_finished(link->tls);
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

/* libmosquitto 2.0 frees what it was told of a SOCKS5 proxy, the password among that, when it is
 * told of another, and not with the client. */
void agent_link_drop_client(struct agent_link *link)
{
    if (link->mosquitto != NULL && link->proxy.kind == AGENT_PROXY_SOCKS5) {
        mosquitto_socks5_set(link->mosquitto, "", 1, NULL, NULL);
    }
    mosquitto_destroy(TAKE(link->mosquitto));
}

/* One struct mosquitto per address: a fresh one has no state of a failed attempt. */
enum gk_status agent_link_make_client(struct agent_link *link, struct gk_error *err)
{
    struct mosquitto *client = mosquitto_new(link->connect.client_id, true, link);

    agent_link_drop_client(link);
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
