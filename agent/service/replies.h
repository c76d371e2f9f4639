/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reply topics that are subscribed to on this connection: as many as are in use and some that
 * were lately, since a subscription costs the hub's time and ours.
 */
#ifndef GATEKEY_AGENT_SERVICE_REPLIES_H
#define GATEKEY_AGENT_SERVICE_REPLIES_H

#include "agent/service/service.h"

#define REPLIES_MAX 64 /* more than can be waited on */

struct replies {
    struct session *const *session;
    struct {
        char *rest;         /* of the requests; NULL: this place is free */
        uint64_t last_used; /* as uses was then */
    } topics[REPLIES_MAX];
    uint64_t uses;
};

/* Does a reply that comes on reply_rest answer requests on rest? */
bool replies_belong(const char *reply_rest, const char *rest);

/*
 * Subscribe to the replies to rest, unless that was done on this connection. Where there are too
 * many, the one that has not been used for longest makes room, unless is_needed says that somebody
 * waits on it. Fails with GK_BUSY, GK_NO_MEMORY and as session_subscribe() does.
 */
typedef bool replies_needed(const void *context, const char *rest);
enum gk_status replies_expect(struct replies *replies, const char *rest, replies_needed *is_needed,
                              const void *context, struct gk_error *err) GK_MUST_CHECK;

/* Are replies on this topic subscribed to? */
bool replies_are_expected(const struct replies *replies, const char *reply_rest);

/* The hub refused that subscription. */
void replies_refused(struct replies *replies, const char *reply_rest);

/* The connection they were subscribed to on is gone. */
void replies_forget(struct replies *replies);

#endif
