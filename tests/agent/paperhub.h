/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekeyd's way from a program to the hub, without a network: storage, spool, intake, uplink and
 * publisher are the service's own, the session, the clock's verdict and the local broker are the
 * test's. What would go to the hub is written down here, and answered when the test says so. Time
 * is that of tests/agent/loop.h.
 */
#ifndef GATEKEY_TESTS_AGENT_PAPERHUB_H
#define GATEKEY_TESTS_AGENT_PAPERHUB_H

#include "agent/service/service.h"
#include "agent/spool/spool.h"

#define PAPER_MAX 20000

struct paper_request {
    char rest[160]; /* its topic after /sys/PK/DK/ */
    char id[24];    /* of the envelope; empty for raw data */
    int64_t last;   /* the same as a number: its last message */
    size_t entries; /* of params, where that is an array; else 1 */
    size_t size;
    char *text;       /* as it was sent */
    int mid;          /* what its PUBACK will say; 0: nobody wants to know */
    uint64_t sent_ms; /* loop_now_ms() */
    bool answered;    /* by the test, or its connection is gone */
};

extern struct service paper_service;
extern struct agent_config paper_config; /* may be changed before paper_begin() */
extern struct paper_request paper[PAPER_MAX];
extern size_t paper_count;

/* What the test may set; paper_reset() sets them back. */
extern enum gk_status paper_link;        /* what sending fails with */
extern enum gk_status paper_subscribing; /* and subscribing */
extern bool paper_clock_is_right;        /* for clock_watch_permit() */
extern bool paper_broker_is_there;       /* for relay_is_up() */
extern enum gk_status paper_takes;       /* what session_accepts() says */
extern unsigned paper_reconnects;        /* how often session_reconnect() was called */
extern unsigned paper_subscribed, paper_unsubscribed;
extern unsigned paper_logged; /* lines of the log */
extern char paper_log[1024];  /* the last of them */
extern char paper_told[1024]; /* what was last published for applications, with its topic */
extern unsigned paper_told_count, paper_retained; /* how often, and how often to be retained */

void paper_reset(void); /* and an empty directory "." */
void paper_start(void); /* the parts, on what is in the directory */
void paper_stop(void);
int paper_begin(void **state); /* both of the first; cmocka's setup */
int paper_end(void **state);

void paper_connect(void);
void paper_cut(void);
/* The hub's answer to paper[i]; for raw data any code is its PUBACK. */
void paper_answer(size_t i, int code);
/* The first that was sent and not answered; fails where there is none. */
size_t paper_open(void);
size_t paper_open_count(void);

/* What became of a message handed over. */
struct paper_promise {
    int64_t id;
    enum gk_status status;
    unsigned told; /* how often */
};
/* Hand params over, without letting the loop run. */
enum gk_status paper_take(const char *topic, const char *params, struct paper_promise *promise);
/* Hand it over and let it be stored; its number. */
int64_t paper_store(const char *topic, const char *params);
/* The same with {"n":n,"time":1}. */
int64_t paper_store_number(const char *topic, unsigned n);

struct spool_counters paper_counters(void);
bool paper_is_saved(void); /* what the hub has, or refused, is written down */
/* That accepted is what it must be. */
void paper_balance(void);

#endif
