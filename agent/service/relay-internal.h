/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the relay share.
 *
 *     relay.c        what the rest of the service asks of it
 *     relay-take.c   what applications send
 *     relay-link.c   the connection to the local broker, and the order in which it acknowledges
 *     relay-queue.c  what is on its way to applications
 */
#ifndef GATEKEY_AGENT_SERVICE_RELAY_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_RELAY_INTERNAL_H

#include "agent/service/service.h"

#include <mosquitto.h>

#define RELAY_CLIENT_ID "gatekeyd" /* the broker's plugin lets nobody else have it */
#define RELAY_PASSWORD_SIZE 33

/* What is to be published; all is borrowed. */
struct outgoing {
    const char *topic; /* what follows gatekey/ */
    const void *payload;
    size_t size;
    bool retain;
    uint64_t end_ms; /* as in relay_command(); 0: it is no command */
};

/* A message to applications, from relay_publish() to the broker's PUBACK. */
struct parcel {
    struct parcel *next;
    char *topic; /* whole */
    void *payload;
    size_t size;
    bool retain;
    bool is_command; /* the broker is to forget it in time, and is told of it once */
    bool sent;       /* over this connection */
    int mid;
    uint64_t end_ms; /* when nobody wants it any more */
};

struct relay {
    struct service *service;
    const char *path; /* the broker's socket; NULL: there is to be none */
    char *folder, *parent;
    char password[RELAY_PASSWORD_SIZE];

    /* relay-link.c */
    struct mosquitto *mosquitto;
    sd_event_source *io_source, *retry_source, *alive_source;
    struct watch *folder_watch, *parent_watch; /* while there is no connection */
    bool connected;                            /* it said CONNACK 0 */
    bool closed;                               /* it is gone */
    int connack;                               /* what it said else; 0: nothing yet */
    int goodbye;                               /* what it said at the end, in MQTT 5; 0: nothing */
    bool old;                                  /* we speak MQTT 3.1.1 to it, and else 5 */
    unsigned hangups;                          /* in a row, to a CONNECT of MQTT 5 */
    uint64_t alive_us;                         /* how often it is to be seen to */
    int filter_mids[2];                        /* of the SUBSCRIBEs */
    unsigned attempts;                         /* in a row that failed */
    int64_t changed_s;                         /* UNIX time: connected or not since then */
    uint64_t down_since_ms;                    /* 0: there was none yet */
    char said[200];                            /* why there is no connection, as it was logged */
    int refused_for; /* why it took no message of ours, as it was logged */

    /* relay-take.c */
    unsigned uncommitted; /* came over this connection and is not on disk */
    bool failed;          /* one of those cannot be: nothing may be acknowledged any more */
    uint64_t taken, answers, refused, deferred;

    /* relay-queue.c */
    struct parcel *first, *last, *kept; /* kept: the retained message, for each new connection */
    size_t count, bytes;
    uint64_t published, lost;
};

/* --- relay-link.c ---------------------------------------------------------------------------- */

enum gk_status relay_link_start(struct relay *relay, struct gk_error *err) GK_MUST_CHECK;
void relay_link_stop(struct relay *relay);  /* says goodbye */
void relay_link_flush(struct relay *relay); /* something is to be written: soon, by the loop */

/* --- relay-take.c ---------------------------------------------------------------------------- */

/* What the broker delivered. Sets failed when it must come again. */
void relay_receive(struct relay *relay, const struct mosquitto_message *message);
/* All that came is on disk from here on. Sets failed when it is not. */
void relay_commit(struct relay *relay);
/* The connection is gone: nobody waits for what was not committed. */
void relay_forget(struct relay *relay);

/* --- relay-queue.c --------------------------------------------------------------------------- */

enum gk_status relay_queue_put(struct relay *relay, const struct outgoing *outgoing,
                               struct gk_error *err) GK_MUST_CHECK;
void relay_queue_up(struct relay *relay); /* a new connection: what waits is sent, in its order */
/* It is gone: what it did not acknowledge is sent again, but for commands. */
void relay_queue_down(struct relay *relay);
/* The broker has it, or, for a reason of MQTT 5, nobody has. */
void relay_queue_done(struct relay *relay, int mid, int reason);
void relay_queue_free(struct relay *relay);

#endif
