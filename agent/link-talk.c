/* SPDX-License-Identifier: Apache-2.0 */
/* What is said over a link that is up. */
#include "agent/link-internal.h"

static enum gk_status require_up(const struct agent_link *link, struct gk_error *err)
{
    /* libmosquitto would keep what it is given and send it some day, without anybody knowing. */
    return link->phase == UP && !link->closed
               ? GK_OK
               : gk_fail(err, GK_UNREACHABLE, "not connected to %s", link->hosts[link->host]);
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
        return gk_fail(err, GK_UNREACHABLE, "not connected to %s", link->hosts[link->host]);
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
