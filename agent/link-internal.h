/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the link share; nobody else includes it. */
#ifndef GATEKEY_AGENT_LINK_INTERNAL_H
#define GATEKEY_AGENT_LINK_INTERNAL_H

#include "agent/link.h"
#include "agent/resolve.h"
#include "agent/tls.h"

#include <mosquitto.h>
#include <time.h>

#define SUBSCRIPTIONS_MAX 64

enum phase { RESOLVING, CONNECTING, UP };

struct agent_link {
    const struct agent_config *config;
    struct agent_link_options options;
    struct agent_tls *tls;
    struct enos_connect connect;
    uint16_t port;

    enum phase phase;
    time_t begun, address_begun; /* monotonic */
    struct agent_resolve *resolve;
    char addresses[AGENT_RESOLVE_MAX][AGENT_RESOLVE_TEXT];
    size_t address_count, next_address;

    struct mosquitto *mosquitto;
    bool sent_connect;
    int connack;      /* -1: none yet */
    int system_error; /* of the TCP connection, 0 where unknown */
    bool closed;      /* libmosquitto closed the socket */
    unsigned unacknowledged;
    struct {
        int mid;
        char *topic;
    } subscriptions[SUBSCRIPTIONS_MAX]; /* that wait for their SUBACK */
};

/*
 * Say why the link is down: by the CONNACK, by what TLS knows, by the socket's error; code is what
 * libmosquitto returned and is looked at last.
 */
enum gk_status agent_link_explain(struct agent_link *link, int code, struct gk_error *err);

#endif
