/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the hub: each of its hosts, each of their addresses, through a proxy where there is
 * one. */
#include "agent/link-internal.h"

#include "agent/socket.h"

#include <errno.h>

#define ADDRESS_TIMEOUT_MS 15000 /* TCP and TLS with one address, before the next is tried */
#define BEGIN_MS 60000 /* after so long no other host is begun with: the budget's entry ages */
#define HOST_TIMEOUT_MS 30000 /* the whole way to the CONNACK of one host */

/* --- what there is --------------------------------------------------------------------------- */

/* The host that worked last comes first; the others keep their order, and begin anew after it. */
static void put_first(struct agent_link *link, const char *host)
{
    for (size_t i = 1; host != NULL && i < link->host_count; i++) {
        if (strcmp(link->hosts[i], host) == 0) {
            const char *turned[HOSTS_MAX];

            for (size_t k = 0; k < link->host_count; k++) {
                turned[k] = link->hosts[(i + k) % link->host_count];
            }
            memcpy(link->hosts, turned, sizeof(turned[0]) * link->host_count);
            return;
        }
    }
}

enum gk_status agent_link_plan(struct agent_link *link, struct gk_error *err)
{
    const struct agent_config *config = link->config;
    char *rest = NULL;

    link->hosts[link->host_count++] = config->host;
    if (config->fallback != NULL) {
        link->fallback = strdup(config->fallback);
        if (link->fallback == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        for (char *host = strtok_r(link->fallback, " ", &rest);
             host != NULL && link->host_count < HOSTS_MAX; host = strtok_r(NULL, " ", &rest)) {
            link->hosts[link->host_count++] = host;
        }
    }
    put_first(link, link->options.first_host);
    return agent_proxy_read(config, &link->proxy, err);
}

/* --- going it -------------------------------------------------------------------------------- */

static enum gk_status try_next_address(struct agent_link *link, struct gk_error *err);

enum gk_status agent_link_begin_host(struct agent_link *link, struct gk_error *err)
{
    const char *host = link->hosts[link->host];
    enum gk_status status = agent_tls_expect(link->tls, host, err);

    link->host_begun = link->address_begun = agent_link_now_ms();
    link->next_address = 0;
    if (status != GK_OK) {
        return status;
    }
    /* The proxy looks the hub's name up, and is looked up once. */
    if (link->proxy.kind != AGENT_PROXY_NONE && link->address_count > 0) {
        return try_next_address(link, err);
    }
    link->address_count = 0;
    link->phase = RESOLVING;
    return agent_resolve_start(link->proxy.kind != AGENT_PROXY_NONE ? link->proxy.host : host,
                               &link->resolve, err);
}

/* Numeric by now, so this does not block: TCP and TLS go on in agent_link_step(). */
static int connect_client(struct agent_link *link, const char *address)
{
    const struct agent_proxy *proxy = &link->proxy;
    int keepalive = (int)link->config->keepalive_s;

    errno = 0;
    if (proxy->kind != AGENT_PROXY_SOCKS5) {
        return mosquitto_connect_async(link->mosquitto, address, link->port, keepalive);
    }
    if (mosquitto_socks5_set(link->mosquitto, address, proxy->port, proxy->user,
                             proxy->user != NULL ? proxy->password.text : NULL) !=
        MOSQ_ERR_SUCCESS) {
        return MOSQ_ERR_PROXY;
    }
    return mosquitto_connect_async(link->mosquitto, link->hosts[link->host], link->port, keepalive);
}

static enum gk_status connect_to(struct agent_link *link, const char *address, struct gk_error *err)
{
    int code = connect_client(link, address);

    if (code > 0) {
        link->system_error = code == MOSQ_ERR_ERRNO ? errno : 0;
        return agent_link_down(link, code, err);
    }
    agent_socket_set(mosquitto_socket(link->mosquitto), link->config->keepalive_s * 1000);
    return GK_OK;
}

static enum gk_status begin_tunnel(struct agent_link *link, const char *address,
                                   struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status;

    link->phase = TUNNELLING;
    status = agent_tunnel_start(&link->proxy, address, link->hosts[link->host], link->port,
                                link->config->keepalive_s * 1000, &link->tunnel, &why);
    if (status != GK_OK) {
        link->refusal = why;
        return agent_link_down(link, MOSQ_ERR_SUCCESS, err);
    }
    return GK_OK;
}

static enum gk_status try_next_address(struct agent_link *link, struct gk_error *err)
{
    const char *address = link->addresses[link->next_address++];
    enum gk_status status = agent_link_make_client(link, err);

    if (status != GK_OK) {
        return status;
    }
    agent_tunnel_free(TAKE(link->tunnel));
    agent_tls_reset(link->tls);
    link->refusal = (struct gk_error){ 0 };
    link->closed = false;
    link->system_error = 0;
    link->socks_said_size = 0;
    link->address_begun = agent_link_now_ms();
    link->phase = CONNECTING;
    return link->proxy.kind == AGENT_PROXY_HTTP ? begin_tunnel(link, address, err)
                                                : connect_to(link, address, err);
}

enum gk_status agent_link_step_resolving(struct agent_link *link, short revents,
                                         struct gk_error *err)
{
    if (revents == 0) {
        return GK_OK;
    }
    if (agent_resolve_take(link->resolve, link->addresses, &link->address_count, &link->refusal) !=
        GK_OK) {
        agent_resolve_free(TAKE(link->resolve));
        return agent_link_down(link, MOSQ_ERR_SUCCESS, err);
    }
    agent_resolve_free(TAKE(link->resolve));
    return try_next_address(link, err);
}

/* libmosquitto knows of the private socket only. */
static enum gk_status enter_tunnel(struct agent_link *link, struct gk_error *err)
{
    char path[AGENT_TUNNEL_PATH];
    enum gk_status status =
        agent_tunnel_listen(link->tunnel, link->config->state_directory, path, err);

    if (status != GK_OK) {
        return status;
    }
    link->phase = CONNECTING;
    if (mosquitto_connect_async(link->mosquitto, path, 0, (int)link->config->keepalive_s) !=
        MOSQ_ERR_SUCCESS) {
        return gk_fail(err, GK_INTERNAL, "the private socket to the proxy");
    }
    return agent_tunnel_accept(link->tunnel, err);
}

enum gk_status agent_link_step_tunnelling(struct agent_link *link, struct gk_error *err)
{
    if (agent_tunnel_step(link->tunnel, &link->refusal) != GK_OK) {
        return agent_link_down(link, MOSQ_ERR_SUCCESS, err);
    }
    return agent_tunnel_is_open(link->tunnel) ? enter_tunnel(link, err) : GK_OK;
}

/* --- giving it up ---------------------------------------------------------------------------- */

/* Of the reasons of several hosts the most telling: somebody who speaks before nobody. */
static void note(struct agent_link *link, const struct gk_error *why)
{
    if (link->first.status == GK_OK ||
        (link->first.status == GK_UNREACHABLE && why->status != GK_UNREACHABLE)) {
        link->first = *why;
    }
}

/* Does it say anything of other hosts that this one would not do? What is wrong here, does. */
static bool is_the_hosts_own(enum gk_status status)
{
    return status == GK_UNREACHABLE || status == GK_PROXY || status == GK_UNTRUSTED ||
           status == GK_STALE_CRL || status == GK_HUB_REFUSED || status == GK_HUB_GARBLED;
}

/* TCP failed, or TLS without a word: another address may do better. A hub that spoke is the hub. */
static bool is_mute(const struct agent_link *link)
{
    return link->phase != RESOLVING && !agent_tls_is_established(link->tls) &&
           agent_tls_explain(link->tls, NULL) == GK_OK && link->refusal.status != GK_PROXY &&
           agent_proxy_explain_socks(&link->proxy, link->socks_said, link->socks_said_size, "",
                                     NULL) == GK_OK;
}

enum gk_status agent_link_down(struct agent_link *link, int code, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = agent_link_explain(link, code, &why);
    bool is_over = link->phase == UP || link->connack >= 0 || agent_link_has_sent_connect(link);

    agent_tls_failed(link->tls);
    if (!is_over && is_mute(link) && link->next_address < link->address_count) {
        return try_next_address(link, err);
    }
    note(link, &why);
    if (!is_over && is_the_hosts_own(status) && link->host + 1 < link->host_count &&
        agent_link_now_ms() - link->begun <= BEGIN_MS) {
        link->host++;
        return agent_link_begin_host(link, err);
    }
    if (err != NULL) {
        *err = is_over ? why : link->first;
    }
    return is_over ? status : link->first.status;
}

int64_t agent_link_deadline(const struct agent_link *link)
{
    int64_t host = link->host_begun + HOST_TIMEOUT_MS;
    int64_t address = link->address_begun + ADDRESS_TIMEOUT_MS;

    return link->phase == RESOLVING || link->sent_connect || host < address ? host : address;
}

enum gk_status agent_link_check_time(struct agent_link *link, struct gk_error *err)
{
    if (agent_link_now_ms() <= agent_link_deadline(link)) {
        return GK_OK;
    }
    if (agent_link_now_ms() > link->host_begun + HOST_TIMEOUT_MS) {
        link->next_address = link->address_count;
    }
    link->system_error = ETIMEDOUT;
    if (link->resolve != NULL) {
        gk_fail(&link->refusal, GK_UNREACHABLE, "looking up %s: no answer",
                link->proxy.kind != AGENT_PROXY_NONE ? link->proxy.host : link->hosts[link->host]);
        agent_resolve_free(TAKE(link->resolve));
    }
    return agent_link_down(link, MOSQ_ERR_ERRNO, err);
}
