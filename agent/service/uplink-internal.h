/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the uplink share.
 *
 * A flight is what one request carries: messages of one lane with consecutive numbers. It stays in
 * its place until the hub took it or it was set aside, so that nothing of the same topic passes it.
 * No text is kept: what is sent again is read from the spool again.
 *
 * A request's id is the number of its last message. The hub may answer late, to one that was sent
 * before a crash, when another that ends with the same message waits for its answer. That one may
 * begin further in front; but what was in front of the first had been taken by the hub, or was
 * refused or dropped and will not come back, since that is written before a batch goes. So what
 * the hub says is true of all of it.
 */
#ifndef GATEKEY_AGENT_SERVICE_UPLINK_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_UPLINK_INTERNAL_H

#include "agent/service/service.h"
#include "agent/service/uplink-verdict.h"
#include "agent/spool/spool.h"

/* Commands' answers and notices need the rest of the link's window. */
#define LANE_FLIGHTS 4
#define FLIGHTS_MAX (2 * LANE_FLIGHTS + 1)
#define WAITS_MAX 1024 /* all that can be under way on the socket */

#define BATCH_ENTRIES 1000
#define BATCH_BYTES ((size_t)256 * 1024)

enum flight_phase {
    FLIGHT_FREE,
    FLIGHT_RESTING, /* to be sent at due_ms */
    FLIGHT_SENT,    /* the hub is to answer */
};

struct flight {
    struct uplink *uplink;
    enum flight_phase phase;
    enum spool_lane lane;
    int64_t first, last; /* numbers */
    size_t count;
    char *topic;   /* what the messages were handed over for */
    bool raw;      /* it ends with the hub's PUBACK */
    bool asked;    /* an application wants to know */
    bool repeated; /* it was not answered once already on this connection */
    uint64_t due_ms;
    uint64_t sent_ms, first_ms; /* service_now_ms() of the last and of the first try */
    struct uplink_trial trial;
};

struct lane {
    int64_t cursor;  /* what has a flight, or is over: up to here */
    bool empty;      /* nothing was there behind the cursor */
    bool blocked;    /* what comes next waits for a flight of its topic */
    uint64_t due_ms; /* not to be read before */
    size_t limit;    /* entries of the next batch */
    int64_t suspect; /* in what was refused together, up to here; 0: nothing is */
};

struct wait {
    int64_t id; /* 0: this place is free */
    publisher_done *done;
    void *context;
    uint64_t end_ms; /* UINT64_MAX: none */
    unsigned timeout_s;
};

struct uplink {
    struct service *service;
    sd_event_source *wake_source, *save_source, *wait_source;
    bool up;
    bool full;             /* the link takes no more until something is acknowledged */
    bool doubtful;         /* the hub is silent: ask for another connection */
    bool saving;           /* save_source is set */
    bool unwritten;        /* what was settled could not be written when that was last tried */
    uint64_t pause_ms;     /* nothing before then */
    uint64_t next_us;      /* by the rate: the next request not before then */
    uint64_t answered_ms;  /* when the hub last answered anything */
    uint64_t patience_ms;  /* how long to bear with a silent hub after the next new connection */
    uint64_t reconnect_ms; /* not before then, because of silence */
    uint64_t expired_ms;   /* when old telemetry was last looked for */
    uint64_t said_ms;      /* when a message set aside was last logged */
    unsigned unsaid;       /* since then */
    enum gk_status unread; /* why the spool cannot be read, as the log has it */
    uint64_t undone;       /* as spool_undone() last said */
    struct lane lanes[SPOOL_LANES];
    struct flight flights[FLIGHTS_MAX];
    struct wait waits[WAITS_MAX];
    uint64_t sent, repeated, batches;
};

/* --- uplink.c --------------------------------------------------------------------------------- */

/* Send what can be sent, and see to it that it goes on. */
void uplink_pump(struct uplink *uplink);
/* Something was settled or refused: write that, not at once but soon. */
void uplink_save_soon(struct uplink *uplink);
/* Something waits for that to be written; it is sent then. */
void uplink_save_now(struct uplink *uplink);

/* --- uplink-flight.c -------------------------------------------------------------------------- */

enum flight_result {
    FLIGHT_GONE,    /* on its way */
    FLIGHT_NOTHING, /* there is nothing to send, or it is not its turn yet */
    FLIGHT_STOPPED, /* nothing can be sent now */
};
/* Send a flight, again or, with first 0, with what comes next in its lane. */
enum flight_result flight_send(struct flight *flight);
void flight_end(struct flight *flight);

/* --- uplink-outcome.c ------------------------------------------------------------------------- */

/* A publisher_done: the hub answered to a flight, or did not. */
void flight_on_answer(void *context, const char *id, json_int_t code, json_t *data,
                      const struct gk_error *err);

/* --- uplink-wait.c ---------------------------------------------------------------------------- */

/* An sd_event_time_handler_t: somebody has waited for long enough. */
int uplink_on_wait_over(sd_event_source *source, uint64_t time, void *context);

/* Tell whoever waits for these messages. Before they are settled: an application's id is read
 * there. */
void uplink_tell(struct uplink *uplink, const struct flight *flight, json_int_t code, json_t *data,
                 const struct gk_error *err);

#endif
