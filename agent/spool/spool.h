/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: what local programs handed over, on disk until the hub has it. One SQLite database,
 * spool.db in [local] state_directory; gatekeyd alone opens it.
 *
 * Messages are numbered when they are put; a number is never given twice in the life of an
 * identity, a spool that had to be begun anew included: it is the MQTT envelope's id, by which a
 * hub tells that it got something twice. Each lane has numbers of its own, without a gap as they
 * are put, so that a batch of n messages sent with the id of its last one says which they were.
 * Within a lane, and so within a topic, order is kept.
 *
 * Everything between two spool_commit() is one transaction: what was put is durable when
 * spool_commit() returned GK_OK (written and synced), and not there at all when it failed. What was
 * settled or refused may be forgotten again by a crash and is then sent once more; a failed commit
 * does not forget it.
 *
 * Bounded by bytes and by age: the oldest telemetry goes first; SPOOL_KEPT is never dropped, it is
 * refused when nothing else is left to make room (GK_SPOOL_FULL). Each drop is counted.
 *
 * Threads: one. Errors: see error.h; each function may besides fail with GK_DISK_FULL,
 * GK_FILE_DENIED, GK_FILE_FAILED, GK_NO_MEMORY. Every function that writes may block for as long
 * as the disk takes to sync. A database found damaged while in use is set aside and begun anew as
 * spool_open() does, once; what could not be saved is counted and logged.
 */
#ifndef GATEKEY_AGENT_SPOOL_SPOOL_H
#define GATEKEY_AGENT_SPOOL_SPOOL_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

/* By its topic a message belongs to one of these; see spool_lane_of(). */
enum spool_lane {
    SPOOL_POINTS,    /* thing/measurepoint/post: may be dropped, is sent in batches */
    SPOOL_TELEMETRY, /* other telemetry (thing/measurepoint/..., logs, raw data): may be dropped */
    SPOOL_KEPT,      /* events, attributes, tags, everything else: never dropped */
};
#define SPOOL_LANES 3

enum spool_lane spool_lane_of(const char *topic);

struct spool_settings {
    const char *directory;                /* holds spool.db; must exist */
    const char *product_key, *device_key; /* whose messages these are */
    uint64_t max_bytes;                   /* of all messages, as spool_size() counts them */
    int64_t max_age_ms;                   /* of telemetry */
    /* Called when something was lost or had to be begun anew; borrowed sentence. May be NULL. */
    void (*said)(void *context, const char *sentence);
    void *context;
};

struct spool_message {
    int64_t id;          /* its number; spool_put() gives it */
    const char *topic;   /* what follows /sys/PK/DK/ */
    int64_t accepted_ms; /* UNIX time, ms */
    bool raw; /* body is the payload itself; otherwise it is JSON, the envelope's params */
    const void *body;
    size_t size;
    const char *members; /* further members of the envelope, a JSON object's text; NULL: none */
    const char *asked; /* the id the application gave, JSON text, to be answered with; NULL: none */
};

/*
 * Open or make it. A damaged database is renamed to spool.db.damaged-N, with as much as can be read
 * of it carried over; one of another device to spool.db.other-N; both are said. A file that merely
 * cannot be opened (GK_FILE_DENIED, GK_DISK_FULL) is left alone. Calls alive (may be NULL) every
 * now and then where checking takes long, or beginning anew later. Fails with GK_SPOOL_FAILED as
 * well.
 */
enum gk_status spool_open(const struct spool_settings *settings, void (*alive)(void),
                          struct spool **spool, struct gk_error *err) GK_MUST_CHECK;
/*
 * The same in two steps, for a service that goes on without: spool_new() only takes the settings,
 * and fails with GK_NO_MEMORY alone; spool_start() opens it, and may be called again after it
 * failed. While it is not open, which it may also cease to be when a damaged one cannot be begun
 * anew, it is empty, and what would write or read fails with the reason.
 */
enum gk_status spool_new(const struct spool_settings *settings, struct spool **spool,
                         struct gk_error *err) GK_MUST_CHECK;
enum gk_status spool_start(struct spool *spool, void (*alive)(void),
                           struct gk_error *err) GK_MUST_CHECK;
bool spool_is_open(const struct spool *spool);
void spool_close(struct spool *spool); /* commits what was settled; NULL is fine */
GK_DEFINE_CLEANUP(struct spool, spool_close)

/* Erase what is kept for an identity that is gone, the files set aside included. */
enum gk_status spool_forget(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
/* The same where nobody has it open; fails with GK_LOCK_HELD where somebody has. */
enum gk_status spool_erase(const char *directory, struct gk_error *err) GK_MUST_CHECK;

/* --- putting --------------------------------------------------------------------------------- */

/*
 * Put a message (all but its id) at the end of its lane; *id is its number. Makes room first.
 * Durable, and to be seen by spool_next(), only after spool_commit(). Fails with GK_SPOOL_FULL,
 * GK_SPOOL_FAILED; what was put before it and not committed may be lost with it, which the commit
 * says then.
 */
enum gk_status spool_put(struct spool *spool, const struct spool_message *message, int64_t *id,
                         struct gk_error *err) GK_MUST_CHECK;
/* A number of a lane for a message that is not put: the service's own, which a crash skips; also
 * while the spool cannot be opened. */
int64_t spool_number(struct spool *spool, enum spool_lane lane);

/* Is there anything put since the last commit? */
bool spool_is_dirty(const struct spool *spool);
enum gk_status spool_commit(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;

/* --- sending --------------------------------------------------------------------------------- */

/*
 * Visit the committed messages of a lane with a number above after, in their order, until visit
 * says false or there are no more. The message is borrowed for the visit; the spool must not be
 * called in it. Settled and refused ones are not visited. Reads no more from disk than it visits.
 */
typedef bool spool_visit(void *context, const struct spool_message *message);
enum gk_status spool_next(struct spool *spool, enum spool_lane lane, int64_t after,
                          spool_visit *visit, void *context, struct gk_error *err) GK_MUST_CHECK;

/*
 * What is dropped is not visited from then on, but comes back where that cannot be committed. This
 * differs when something may have come back since, anywhere in a lane.
 */
uint64_t spool_undone(const struct spool *spool);

/*
 * Would a crash now bring back a message of this lane that the hub does not have? One of it was
 * refused since the last commit, or one of any was dropped.
 */
bool spool_may_return(const struct spool *spool, enum spool_lane lane);

/* The hub has these: count and forget them. Written with the next commit, or within
 * SPOOL_SETTLE_MS by the owner calling spool_commit(). Numbers not there (dropped) are skipped. */
#define SPOOL_SETTLE_MS 5000
void spool_settle(struct spool *spool, int64_t first, int64_t last);
bool spool_has_settled(const struct spool *spool); /* something waits for that commit */

/* The hub refused this one for good: set it aside with code and reason, listable. At most
 * SPOOL_REFUSED_MAX are kept, of which the oldest goes first (and is counted as dropped). */
#define SPOOL_REFUSED_MAX 10000
enum gk_status spool_refuse(struct spool *spool, int64_t id, int64_t now_ms, int64_t code,
                            const char *reason, struct gk_error *err) GK_MUST_CHECK;

/* Drop telemetry older than max_age; the caller knows that its clock can be believed. What was
 * accepted by one that was wrong, before the build or far ahead, is of now from then on. */
enum gk_status spool_expire(struct spool *spool, int64_t now_ms,
                            struct gk_error *err) GK_MUST_CHECK;

/* --- those that were refused ------------------------------------------------------------------ */

struct spool_refusal {
    struct spool_message message;
    int64_t refused_ms, code;
    const char *reason;
};
typedef bool spool_visit_refused(void *context, const struct spool_refusal *refusal);
enum gk_status spool_refused(struct spool *spool, int64_t after, spool_visit_refused *visit,
                             void *context, struct gk_error *err) GK_MUST_CHECK;
/* Put back into its lane, under a new number (its place has passed); id 0: all. *count: how many.
 * Fails with GK_NO_MESSAGE. */
enum gk_status spool_retry(struct spool *spool, int64_t id, uint64_t *count,
                           struct gk_error *err) GK_MUST_CHECK;
/* Drop a refused or a waiting message; id 0: all that were refused. Fails with GK_NO_MESSAGE. */
enum gk_status spool_drop(struct spool *spool, int64_t id, uint64_t *count,
                          struct gk_error *err) GK_MUST_CHECK;

/* --- what it holds ---------------------------------------------------------------------------- */

/*
 * For the life of the identity, as of the last commit and with what was settled since, which a
 * crash may take back: accepted = acknowledged + refused + dropped + queued, always. A refused
 * message that is retried or dropped counts as queued or dropped from then on.
 */
struct spool_counters {
    uint64_t accepted, acknowledged, refused, dropped;
    uint64_t queued;        /* waiting or under way */
    uint64_t bytes;         /* of those: body, topic and 64 for each */
    uint64_t refused_bytes; /* of those set aside; they count towards max_bytes */
    uint64_t rebuilt;       /* how often it had to be begun anew */
    int64_t oldest_ms;      /* when the oldest was accepted; 0: none waits */
};
void spool_count(const struct spool *spool, struct spool_counters *counters);

#endif
