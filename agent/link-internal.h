/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the link share; nobody else includes it. */
#ifndef GATEKEY_AGENT_LINK_INTERNAL_H
#define GATEKEY_AGENT_LINK_INTERNAL_H

#include "agent/link.h"
#include "agent/proxy.h"
#include "agent/resolve.h"
#include "agent/tls.h"
#include "agent/tunnel.h"

#include <mosquitto.h>

#define SUBSCRIPTIONS_MAX 64
#define HOSTS_MAX 4 /* [hub] host and fallback */

enum phase { RESOLVING, TUNNELLING, CONNECTING, UP };

struct agent_link {
    const struct agent_config *config;
    struct agent_link_options options;
    struct agent_tls *tls;
    struct enos_connect connect;
    struct agent_proxy proxy;
    uint16_t port;

    /* The way to the hub (link-way.c). */
    enum phase phase;
    char *fallback; /* a copy of [hub] fallback, cut into hosts */
    const char *hosts[HOSTS_MAX];
    size_t host_count, host; /* in the order in which they are tried; the one now */
    int64_t begun, host_begun, address_begun; /* ms since boot */
    struct agent_resolve *resolve;
    char addresses[AGENT_RESOLVE_MAX][AGENT_RESOLVE_TEXT]; /* of the host, or of the proxy */
    size_t address_count, next_address;
    struct agent_tunnel *tunnel;
    struct gk_error refusal; /* of the resolver or the proxy, before TLS begins */
    struct gk_error first;   /* why the hosts so far would not do */

    struct mosquitto *mosquitto;
    bool sent_connect;
    int connack;                 /* -1: none yet */
    int system_error;            /* of the TCP connection, 0 where unknown */
    bool closed;                 /* libmosquitto closed the socket */
    uint8_t socks_said[4];       /* the beginning of what a SOCKS5 proxy said last */
    size_t socks_said_size;      /* of it */
    int64_t sent_s, received_s;  /* as libmosquitto counts its keepalive; since boot */
    int64_t asked_ms;            /* for a sign of life, and none came yet, since boot; 0: not */
    uint64_t acknowledged_bytes; /* at TCP's end, when it was asked for or looked for last */
    unsigned unacknowledged;
    struct {
        int mid;
        char *topic;
    } subscriptions[SUBSCRIPTIONS_MAX]; /* that wait for their SUBACK */
};

int64_t agent_link_now_ms(void); /* since boot, suspended or not */

/* --- link-way.c ------------------------------------------------------------------------------ */

/* Where may one try? Reads the hosts and the proxy. Fails with GK_BAD_CONFIG and what reading the
 * proxy's password fails with. */
enum gk_status agent_link_plan(struct agent_link *link, struct gk_error *err) GK_MUST_CHECK;
/* Begin with the host whose turn it is. */
enum gk_status agent_link_begin_host(struct agent_link *link, struct gk_error *err) GK_MUST_CHECK;
/* The look-up, or the tunnel, goes on. */
enum gk_status agent_link_step_resolving(struct agent_link *link, short revents,
                                         struct gk_error *err) GK_MUST_CHECK;
enum gk_status agent_link_step_tunnelling(struct agent_link *link,
                                          struct gk_error *err) GK_MUST_CHECK;
/*
 * It failed; code is what libmosquitto returned. Goes on to the next address or host where that may
 * do better, and returns GK_OK then; else says why there is no connection.
 */
enum gk_status agent_link_down(struct agent_link *link, int code,
                               struct gk_error *err) GK_MUST_CHECK;
/* So much time without a connection is enough for the address or the host. */
enum gk_status agent_link_check_time(struct agent_link *link, struct gk_error *err) GK_MUST_CHECK;
/* When that will be, ms since boot. */
int64_t agent_link_deadline(const struct agent_link *link);

/* --- link-pulse.c ---------------------------------------------------------------------------- */

/* Something came. */
void agent_link_heard(struct agent_link *link);
/* The link is up: when to look after it next, ms since boot. */
int64_t agent_link_pulse_due(const struct agent_link *link);
/* Send a ping where one is due; returns what libmosquitto does, MOSQ_ERR_KEEPALIVE where nobody
 * answers. */
int agent_link_keep_alive(struct agent_link *link);

/* --- link-callbacks.c ------------------------------------------------------------------------ */

/* A client of libmosquitto that tells this link; replaces the one before. */
enum gk_status agent_link_make_client(struct agent_link *link, struct gk_error *err) GK_MUST_CHECK;
void agent_link_drop_client(struct agent_link *link);

/* --- link-verdict.c -------------------------------------------------------------------------- */

/*
 * Say why the link is down: by the CONNACK, by what TLS knows, by the socket's error; code is what
 * libmosquitto returned and is looked at last.
 */
enum gk_status agent_link_explain(struct agent_link *link, int code, struct gk_error *err);

#endif
