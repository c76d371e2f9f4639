/* SPDX-License-Identifier: Apache-2.0 */
/* Says why a link to the hub went down. */
#include "agent/link-internal.h"

static enum gk_status explain_connack(const struct agent_link *link, struct gk_error *err)
{
    const struct agent_config *config = link->config;
    const char *host = link->hosts[link->host];
    bool dynamic = link->options.mode == ENOS_DYNAMIC;

    if (link->connack == 4) {
        gk_fail(err, GK_HUB_CREDENTIALS, "%s: wrong signature or secret, CONNACK 4", host);
        gk_advise(err, dynamic
                           ? "check [device] product_secret_file, product_key and device_key"
                           : "the hub has another device secret; run gatekey enroll --secret-file "
                             "FILE with that one");
        return GK_HUB_CREDENTIALS;
    }
    gk_fail(err, GK_HUB_REFUSED, "%s: %s, CONNACK %d", host,
            link->connack == 5 ? (dynamic ? "it may not be activated, or was before"
                                          : "device or certificate not authorised")
                               : mosquitto_connack_string(link->connack),
            link->connack);
    if (link->connack == 5) {
        gk_advise(err,
                  dynamic ? "ask the hub's operator about device %s"
                          : "ask the hub's operator about device %s; gatekey refresh finds out "
                            "whether its certificate is revoked",
                  config->device_key);
    }
    return GK_HUB_REFUSED;
}

static void note_system_error(struct agent_link *link)
{
    if (link->system_error == 0) {
        link->system_error = agent_tls_system_error(link->tls);
    }
    if (link->system_error == 0 && link->tunnel != NULL) {
        link->system_error = agent_tunnel_system_error(link->tunnel);
    }
}

/* Nothing of TLS was under way yet, so it was the proxy that did not answer. */
static bool is_the_proxys(const struct agent_link *link)
{
    return link->phase == TUNNELLING ||
           (link->proxy.kind == AGENT_PROXY_SOCKS5 && mosquitto_ssl_get(link->mosquitto) == NULL &&
            link->phase == CONNECTING);
}

/* The alert and the CONNACK know; what libmosquitto returned is only looked at when they do not. */
enum gk_status agent_link_explain(struct agent_link *link, int code, struct gk_error *err)
{
    const char *host = link->hosts[link->host];
    enum gk_status status;

    if (link->refusal.status != GK_OK) {
        if (err != NULL) {
            *err = link->refusal;
        }
        return link->refusal.status;
    }
    if (link->connack > 0) {
        return explain_connack(link, err);
    }
    status = agent_tls_explain(link->tls, err);
    if (status != GK_OK) {
        return status;
    }
    status =
        agent_proxy_explain_socks(&link->proxy, link->socks_said, link->socks_said_size, host, err);
    if (status != GK_OK) {
        return status;
    }
    note_system_error(link);
    if (link->system_error != 0 && is_the_proxys(link)) {
        return gk_fail(err, GK_UNREACHABLE, "proxy %s port %u: %s", link->proxy.host,
                       link->proxy.port, strerror(link->system_error));
    }
    if (link->system_error != 0) {
        return gk_fail(err, GK_UNREACHABLE, "%s port %u: %s", host, link->port,
                       strerror(link->system_error));
    }
    if (link->connack == 0 && code == MOSQ_ERR_KEEPALIVE) {
        return gk_fail(err, GK_UNREACHABLE, "%s port %u did not answer a ping", host, link->port);
    }
    if (link->connack == 0) {
        return gk_fail(err, GK_UNREACHABLE, "%s port %u: the connection was lost", host,
                       link->port);
    }
    if (code == MOSQ_ERR_PROTOCOL || code == MOSQ_ERR_MALFORMED_PACKET) {
        return gk_fail(err, GK_HUB_GARBLED, "%s port %u: not MQTT", host, link->port);
    }
    return gk_fail(err, GK_UNREACHABLE, "%s port %u closed the connection %s", host, link->port,
                   agent_tls_is_established(link->tls) ? "instead of answering the CONNECT"
                                                       : "during the TLS handshake");
}
