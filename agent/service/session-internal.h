/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the session share; nobody else includes it. */
#ifndef GATEKEY_AGENT_SERVICE_SESSION_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_SESSION_INTERNAL_H

#include "agent/service/network.h"
#include "agent/service/patience.h"
#include "agent/service/service.h"

#define VERDICT_MS 20000 /* the longest that whoever asked waits for an attempt's turn */

enum phase {
    NOT_ENROLLED, /* nothing to connect with */
    STOPPED,      /* told to stay away */
    REVOKED,      /* the hub does not want our certificate any more: it is knocked at rarely */
    CLOCK_WRONG,  /* it has to be set first, or accepted */
    WAITING,      /* for the backoff or the budget */
    CONNECTING,
    CONNECTED,
};

/* A connection that is to follow the one that stands, as soon as the budget has room. */
enum plan { NO_PLAN, PLAN_RECONNECT, PLAN_TRY };

struct session_secret;

struct session {
    struct service *service;
    enum phase phase;
    struct agent_link *link;
    enum agent_pair pair; /* of the link; without one, of the next attempt */
    bool accepted;        /* by the hub; the other parts are told when libmosquitto is done */
    bool leaving;         /* the goodbye is on its way: what comes now is taken, nothing is sent */
    bool moving;          /* from one connection to the next, by plan: nothing is given up */
    bool patient;         /* the attempt that waits keeps to the backoff */
    struct watch *watch, *roots_watch;
    char *roots_directory;
    struct identity identity; /* as it was when the link was made; of pair NEXT, current is next */
    struct agent_tls_session *tls; /* to be resumed */
    bool resuming;                 /* this attempt may: then it proves no certificate */
    struct identity kept_for;      /* as it was when that was made */
    struct session_secret *secret; /* NULL: not opened yet */
    struct mark known;             /* the pair that the hub accepted last */
    struct mark list_doubted;      /* that could not be looked into, and was said so */
    sd_event_source *io_source, *link_source, *wait_source, *try_source, *lasting_source,
        *plan_source;
    struct network *network; /* while one waits for it to come back, NULL */

    enum plan plan;
    bool reconnect_is_due;    /* when a try is planned: a reconnect was, before */
    session_verdict *verdict; /* somebody waits for the outcome of the next attempt */
    void *verdict_context;

    uint64_t next_ms;     /* the next attempt, since boot */
    int64_t taken_ms;     /* the attempt's entry in the budget, since boot */
    bool counted;         /* that entry has the time when the CONNECT left */
    unsigned misses;      /* attempts in a row that sent no CONNECT */
    char first_host[256]; /* of several, the one to begin with; empty: as they are */
    int64_t since;        /* wall clock, for people */
    bool remarked;        /* what is to be said of a list was said */
    struct gk_error last; /* why there is no connection, or was none */
    unsigned attempts, connects, resumed;
};

const char *session_phase_name(enum phase phase);
/* Enter a phase; the log hears of changes only. */
void session_enter(struct session *session, enum phase phase);
/*
 * Remember why there is no connection: one line in the log per reason, not per attempt; that we are
 * revoked may be told in several ways, once.
 */
void session_log_reason(struct session *session, const struct gk_error *err, bool was_connected);

/* --- session-link.c -------------------------------------------------------------------------- */

/* After anything that gives the link something to send. */
void session_watch_link(struct session *session);
/*
 * Before the link works: libmosquitto closes and opens descriptors as it pleases, and numbers come
 * back.
 */
void session_unwatch_link(struct session *session);
/* Send what is queued and the DISCONNECT, as far as that goes without waiting for long, and drop
 * it. */
void session_say_goodbye(struct session *session);
void session_drop_link(struct session *session); /* without a word */

/* --- session-wait.c -------------------------------------------------------------------------- */

/* Call handler, with the session, once after so long; *source may be NULL the first time. */
void session_after(struct session *session, sd_event_source **source, uint64_t wait_ms,
                   sd_event_time_handler_t handler);
/* Enter a phase in which one waits for the next attempt. */
void session_wait(struct session *session, enum phase phase, int64_t wait_ms);
void session_stop_waiting(struct session *session);
void session_free_waits(struct session *session);

/* --- session-secret.c and session-resume.c --------------------------------------------------- */

/* The secret of the identity that the attempt is made with; it stays the session's. Fails as
 * agent_secret_load() does. */
enum gk_status session_open_secret(struct session *session, const char **text,
                                   struct gk_error *err) GK_MUST_CHECK;
void session_forget_secret(struct session *session);

/* What the attempt may resume, and its connection leave for the next one; NULL: nothing. */
struct agent_tls_session *session_resumable(struct session *session);
/* Nothing of this identity stays in memory: neither its secret nor a TLS session. */
void session_forget_keys(struct session *session);

/* --- session.c ------------------------------------------------------------------------------- */

/* Let the link work, for as long as there is one. */
void session_step(struct session *session, short revents);

/* Connect now if the budget allows. patient: keep to the backoff as well. */
void session_attempt(struct session *session, bool patient);
/* Give up the connection, or the wait for one, and enter a phase without. */
void session_leave(struct session *session, enum phase phase, const struct gk_error *why);
/* Go from the connection, where there is one, to one with that pair, and lose nothing on the way.
 */
void session_move(struct session *session, enum agent_pair pair);
/* Answer whoever waits for the outcome; NULL: connected. */
void session_tell(struct session *session, const struct gk_error *err);

/* Our certificate is revoked: leave the connection, if there is one, and knock rarely. */
void session_end_revoked(struct session *session, const struct gk_error *why);

/* --- revocation.c ---------------------------------------------------------------------------- */

/* Fails with GK_REVOKED where crl.pem has the certificate in use; any other trouble is logged, once
 * per list. */
enum gk_status revocation_look_up(struct session *session, struct gk_error *err) GK_MUST_CHECK;
/* A hub that does not know a new certificate yet, and never accepted it, may call it anything: then
 * it is a refusal. */
void revocation_doubt(const struct session *session, struct gk_error *why);

/* --- session-asked.c ------------------------------------------------------------------------- */

/* Something in the identity directory changed, or the hub's roots did. */
void session_look_around(void *context);

#endif
