/* SPDX-License-Identifier: Apache-2.0 */
/* What the other parts do with the connection to the hub. */
#include "agent/service/session-internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

enum gk_status session_require(const struct session *session, struct gk_error *err)
{
    if (session->phase == CONNECTED && !session->leaving) {
        return GK_OK;
    }
    if (session->phase == NOT_ENROLLED) {
        return gk_fail(err, GK_NOT_ENROLLED, "%s", session->service->config->directory);
    }
    if (session->last.status == GK_OK) {
        return gk_fail(err, GK_UNREACHABLE, "still connecting to %s",
                       session->service->config->host);
    }
    if (err != NULL) {
        *err = session->last;
    }
    return session->last.status;
}

enum gk_status session_accepts(const struct session *session, struct gk_error *err)
{
    return session->phase == NOT_ENROLLED || session->phase == STOPPED
               ? gk_fail(err, GK_NOT_ENROLLED, "%s", session->service->config->directory)
               : GK_OK;
}

bool session_is_moving(const struct session *session)
{
    return session->moving;
}

/* The whole topic, when there is a connection to use it on. */
static enum gk_status name_topic(const struct session *session, const char *rest,
                                 char topic[static ENOS_TOPIC_MAX], struct gk_error *err)
{
    const struct agent_config *config = session->service->config;
    enum gk_status status = session_require(session, err);

    if (status == GK_OK && !enos_topic(config->product_key, config->device_key, rest, topic)) {
        return gk_fail(err, GK_USAGE, "topic %s", rest);
    }
    return status;
}

enum gk_status session_publish_mid(struct session *session, const char *rest, const void *payload,
                                   size_t size, int *mid, struct gk_error *err)
{
    char topic[ENOS_TOPIC_MAX];
    enum gk_status status = name_topic(session, rest, topic, err);

    if (status != GK_OK) {
        return status;
    }
    status = agent_link_publish(session->link, topic, payload, size, mid, err);
    session_watch_link(session);
    return status;
}

enum gk_status session_publish(struct session *session, const char *rest, const void *payload,
                               size_t size, struct gk_error *err)
{
    return session_publish_mid(session, rest, payload, size, NULL, err);
}

enum gk_status session_subscribe(struct session *session, const char *rest, struct gk_error *err)
{
    char topic[ENOS_TOPIC_MAX];
    enum gk_status status = name_topic(session, rest, topic, err);

    if (status != GK_OK) {
        return status;
    }
    status = agent_link_subscribe(session->link, topic, err);
    session_watch_link(session);
    return status;
}

enum gk_status session_unsubscribe(struct session *session, const char *rest, struct gk_error *err)
{
    char topic[ENOS_TOPIC_MAX];
    enum gk_status status = name_topic(session, rest, topic, err);

    if (status != GK_OK) {
        return status;
    }
    status = agent_link_unsubscribe(session->link, topic, err);
    session_watch_link(session);
    return status;
}

/* To whom, which of several it is, and by what; a proxy's address would say nothing. */
static void describe_peer(const struct session *session, json_t *status)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t size = sizeof(peer);
    char address[INET6_ADDRSTRLEN];

    json_object_set_new(status, "since", json_integer(session->since));
    if (session->link == NULL) {
        return;
    }
    json_object_set_new(status, "connected_to", json_string(agent_link_host(session->link)));
    json_object_set_new(status, "handshake",
                        json_string(agent_link_is_resumed(session->link) ? "resumed" : "full"));
    if (session->service->config->proxy == NULL &&
        getpeername(agent_link_fd(session->link), (struct sockaddr *)&peer, &size) == 0 &&
        getnameinfo((struct sockaddr *)&peer, size, address, sizeof(address), NULL, 0,
                    NI_NUMERICHOST) == 0) {
        json_object_set_new(status, "address", json_string(address));
    }
}

void session_describe(const struct session *session, json_t *status)
{
    char sentence[1024];
    uint64_t now = service_now_ms();

    json_object_set_new(status, "state", json_string(session_phase_name(session->phase)));
    json_object_set_new(status, "connected", json_boolean(session->phase == CONNECTED));
    json_object_set_new(status, "attempts", json_integer(session->attempts));
    json_object_set_new(status, "connects", json_integer(session->connects));
    json_object_set_new(status, "resumed", json_integer(session->resumed));
    if (session->phase == CONNECTED) {
        describe_peer(session, status);
    }
    if (session->pair == AGENT_PAIR_NEXT) {
        json_object_set_new(status, "pair", json_string("next"));
    }
    if ((session->phase == WAITING || session->phase == REVOKED) && session->next_ms > now) {
        json_object_set_new(status, "next_attempt_s",
                            json_integer((json_int_t)((session->next_ms - now + 999) / 1000)));
    }
    if (session->last.status != GK_OK) {
        gk_error_sentence(&session->last, "connect", sentence, sizeof(sentence));
        json_object_set_new(status, "last_error", json_string(sentence));
        json_object_set_new(status, "last_status",
                            json_string(gk_status_name(session->last.status)));
    }
}
