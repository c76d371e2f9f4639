/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often we may connect to the hub: EnOS locks a device out for five minutes after more than
 * four CONNECTs in two, so we stay at AGENT_BUDGET_CONNECTS in any AGENT_BUDGET_WINDOW_MS and one a
 * second. And how long to wait after failures: 8 s, doubling to 128 s, lengthened by up to a half
 * at random and never shortened (a random share of the delay, the usual advice, would break the
 * hub's limit). An attempt that sent no CONNECT is none that the hub counts: after those the wait
 * is 2 s, doubling to 60 s, lengthened the same way.
 *
 * Connects and failures are kept in [local] state_directory, file "connects", so that neither a
 * restart nor a crash loop gets around them, and gatekeyd and gatekey share one. Time is
 * CLOCK_BOOTTIME and the boot's id: the wall clock, which jumps and may start in 1970, is not
 * looked at. What happened before a reboot counts as if it happened when the machine came up, the
 * latest that it can have been.
 *
 * Threads and processes: every call locks the file (agent_file_lock()) and is complete in itself.
 * Errors: see error.h; besides its own every function may fail with GK_BUSY (somebody else holds
 * that lock), GK_FILE_DENIED, GK_FILE_FAILED, GK_DISK_FULL. A file that makes no sense counts as a
 * spent budget, and is written anew.
 */
#ifndef GATEKEY_AGENT_BUDGET_H
#define GATEKEY_AGENT_BUDGET_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

#define AGENT_BUDGET_CONNECTS 3
#define AGENT_BUDGET_WINDOW_MS 120000
#define AGENT_BUDGET_SPACING_MS 1000
#define AGENT_BACKOFF_FIRST_MS 8000
#define AGENT_BACKOFF_LAST_MS 128000
#define AGENT_MISS_FIRST_MS 2000
#define AGENT_MISS_LAST_MS 60000

/* A point in time that no clock adjustment moves. */
struct agent_moment {
    int64_t since_boot_ms; /* CLOCK_BOOTTIME */
    char boot[37];         /* which boot: /proc/sys/kernel/random/boot_id */
};

enum gk_status agent_moment_now(struct agent_moment *now, struct gk_error *err) GK_MUST_CHECK;

/*
 * Ask for one CONNECT. *wait_ms is 0 when it is granted, and then it is on disk already; otherwise
 * it is how long to wait before asking again, and nothing was taken. patient: keep to the backoff
 * after failures too (the service); a person at a terminal only keeps to the hub's limit. directory
 * is made (0700) where it does not exist.
 */
enum gk_status agent_budget_take(const char *directory, const struct agent_moment *now,
                                 bool patient, int64_t *wait_ms,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * How long until so many CONNECTs (1 to AGENT_BUDGET_CONNECTS) could be taken one after the other,
 * whatever the backoff says: for whoever must be able to come back from where he goes. Nothing is
 * taken.
 */
enum gk_status agent_budget_room(const char *directory, const struct agent_moment *now,
                                 unsigned connects, int64_t *wait_ms,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Give back the one that was taken at taken_ms since boot: no CONNECT left this machine. */
enum gk_status agent_budget_give_back(const char *directory, const struct agent_moment *now,
                                      int64_t taken_ms, struct gk_error *err) GK_MUST_CHECK;

/* The CONNECT that was taken at taken_ms left only at sent_ms, which may be a while ago: the hub's
 * window counts from then. */
enum gk_status agent_budget_sent(const char *directory, const struct agent_moment *now,
                                 int64_t taken_ms, int64_t sent_ms,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * Note that an attempt failed or a connection ended, at failed_ms since boot, and say how long the
 * service shall wait from now.
 * jitter is a random number of the caller's, all of its range; the wait is longer by jitter/2^32
 * halves of itself, and by as much of spread_ms: a hub that ends all its connections at the same
 * instant would have everybody back within four seconds otherwise (docs/backoff.md).
 */
enum gk_status agent_budget_failed(const char *directory, const struct agent_moment *now,
                                   int64_t failed_ms, uint32_t jitter, int64_t spread_ms,
                                   int64_t *wait_ms, struct gk_error *err) GK_MUST_CHECK;

/* How long the service shall wait after so many attempts in a row that sent no CONNECT, 1 or more;
 * jitter and spread_ms as above. A pure function. */
int64_t agent_budget_miss_ms(unsigned misses, uint32_t jitter, int64_t spread_ms);

/* Note that a connection has lasted: the next failure begins at the shortest wait again. */
enum gk_status agent_budget_lasted(const char *directory, const struct agent_moment *now,
                                   struct gk_error *err) GK_MUST_CHECK;

#endif
