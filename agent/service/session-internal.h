/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the session share; nobody else includes it. */
#ifndef GATEKEY_AGENT_SERVICE_SESSION_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_SESSION_INTERNAL_H

#include "agent/service/service.h"

enum phase {
    NOT_ENROLLED, /* nothing to connect with */
    STOPPED,      /* told to stay away */
    WAITING,      /* for the backoff or the budget */
    CONNECTING,
    CONNECTED,
};

struct session {
    struct service *service;
    enum phase phase;
    struct agent_link *link;
    struct identity_watch *watch;
    char mark[sizeof(((struct identity *)NULL)->mark)]; /* of the identity in use */
    sd_event_source *io_source, *tick_source, *wait_source;

    session_verdict *verdict; /* somebody waits for the outcome of the next attempt */
    void *verdict_context;

    uint64_t since_ms, next_ms; /* connected since; the next attempt; since boot */
    int64_t since;              /* wall clock, for people */
    bool lasted;
    struct gk_error last; /* why there is no connection, or was none */
    unsigned attempts, connects;
};

const char *session_phase_name(enum phase phase);

/* After anything that gives the link something to send. */
void session_watch_link(struct session *session);

#endif
