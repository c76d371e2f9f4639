/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of agent/spool/ share; spool.h is the door. */
#ifndef GATEKEY_AGENT_SPOOL_INTERNAL_H
#define GATEKEY_AGENT_SPOOL_INTERNAL_H

#include "agent/spool/spool.h"

#include <sqlite3.h>

#define SPOOL_FILE "spool.db"
#define SPOOL_PAGE 4096

/*
 * An id is (minutes since 1970 when the database was begun) x SPOOL_EPOCH + lane x SPOOL_SHARE + a
 * counter from 1 on: 2.5 x 10^10 messages of a lane would take a thousand a second for 290 days of
 * one database's life after another, and a minute is past long before.
 */
#define SPOOL_EPOCH INT64_C(100000000000)
#define SPOOL_SHARE INT64_C(25000000000)
#define SPOOL_OWN SPOOL_LANES /* the fourth share: numbers of messages that are never put */
#define SPOOL_MINUTES_MAX INT64_C(92000000)

/* Numbers for messages that are not put are set aside in blocks, before the first of them is given,
 * so that none has to wait for the disk and a crash skips the rest. */
#define SPOOL_BLOCK 10000

/* A file that was larger than this is made small again once next to nothing is in it. */
#define SPOOL_SHRINK_FROM (4 * 1024 * 1024)
#define SPOOL_SHRINK_PART 16

/* The one row of table state. */
struct spool_state {
    int64_t began;    /* minutes since 1970 */
    int64_t reserved; /* no number of the fourth share from here on has been given */
    struct {
        int64_t next;
        uint64_t count, bytes;
    } lanes[SPOOL_LANES];
    uint64_t accepted, acknowledged, dropped, refused, refused_bytes, rebuilt;
};

/* What the hub has or refused, until a commit has written that. */
struct spool_range {
    int64_t first, last;
    uint64_t count, bytes; /* of those that were there then */
};
struct spool_verdict {
    int64_t id, refused_ms, code;
    char *reason;
};

enum spool_statement {
    STATEMENT_PUT, /* one of each for every lane */
    STATEMENT_NEXT,
    STATEMENT_FRONT,
    STATEMENT_TOTAL,
    STATEMENT_REMOVE,
    STATEMENT_COUNT
};

struct spool {
    struct spool_settings settings; /* its strings are ours */
    void (*alive)(void);            /* of spool_start(), for what takes long later */
    char *path;
    sqlite3 *db; /* NULL: it could not be opened, or not again; failure says why */
    sqlite3_stmt *statements[SPOOL_LANES][STATEMENT_COUNT];
    sqlite3_stmt *state_write;
    struct gk_error failure;
    bool forgotten; /* there is none until something is put */
    bool damaged;   /* SQLite said so; spool_mend() sets it aside */

    struct spool_state kept; /* as of the last commit */
    struct spool_state now;  /* with what is under way */
    int64_t own;             /* the next number of the fourth share */
    int64_t loose;           /* the same where none could be set aside; 0: none was given yet */
    int64_t oldest_ms;
    int64_t latest_ms; /* the greatest time that anything was put with since spool_expire() */

    bool in_transaction, dirty;
    uint64_t undone;     /* times that something which could be seen was taken back */
    enum gk_status lost; /* the transaction failed in the middle: the commit must fail */
    struct gk_error lost_why;

    uint64_t grown;       /* how large the file may have become since it was made small */
    uint64_t shrink_from; /* bytes from which on that is done; SPOOL_SHRINK_FROM but in tests */

    struct spool_range *settled;
    size_t settled_count, settled_room, settled_done; /* done: deleted in this transaction */
    struct spool_verdict *refused;
    size_t refused_count, refused_room, refused_done;
};

/* --- lane.c ----------------------------------------------------------------------------------- */

/* Messages of lane points have no other, so it is not written with each. */
#define SPOOL_POINTS_TOPIC "thing/measurepoint/post"

const char *spool_lane_table(enum spool_lane lane);
int64_t spool_first_id(int64_t began, unsigned lane);
unsigned spool_share_of(int64_t id); /* its lane, or SPOOL_OWN */
/* What a message counts towards the bound. */
#define SPOOL_COST                \
    "length(body) + 64 + length(" \
    "CAST(coalesce(topic, '" SPOOL_POINTS_TOPIC "') AS BLOB))"
uint64_t spool_cost(const char *topic, size_t size);

/* --- database.c ------------------------------------------------------------------------------- */

/* Open spool->path and make the tables where there are none. */
enum gk_status spool_database_open(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
void spool_database_close(struct spool *spool);
/* Turn SQLite's code into a failure; notes what became of transaction and database. */
enum gk_status spool_database_fail(struct spool *spool, int code, const char *doing,
                                   struct gk_error *err);
/* Run statements that give no rows. */
enum gk_status spool_database_run(struct spool *spool, const char *sql,
                                  struct gk_error *err) GK_MUST_CHECK;
/* The kept statement of this kind, reset. */
enum gk_status spool_database_statement(struct spool *spool, enum spool_lane lane,
                                        enum spool_statement which, sqlite3_stmt **statement,
                                        struct gk_error *err) GK_MUST_CHECK;
/* A statement of its own, for what is seldom done; the caller finalizes it. */
enum gk_status spool_database_prepare(struct spool *spool, const char *sql,
                                      sqlite3_stmt **statement, struct gk_error *err) GK_MUST_CHECK;
GK_DEFINE_CLEANUP(sqlite3_stmt, sqlite3_finalize)

/* --- state.c ---------------------------------------------------------------------------------- */

enum gk_status spool_state_read(struct spool *spool, struct spool_state *state,
                                struct gk_error *err) GK_MUST_CHECK;
enum gk_status spool_state_write(struct spool *spool, const struct spool_state *state,
                                 struct gk_error *err) GK_MUST_CHECK;
/* Make its table, with what now says. */
enum gk_status spool_state_make(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
/* The numbers of a database that begins now; before: when the last one did. */
void spool_state_begin(struct spool_state *state, int64_t before);

/* Messages that are neither here nor counted were dropped; those too many were accepted. */
void spool_state_settle_accounts(struct spool_state *state);
bool spool_state_is_sane(const struct spool_state *state);

/* --- check.c ---------------------------------------------------------------------------------- */

/* Sets damaged where it is; fails then. */
enum gk_status spool_check(struct spool *spool, void (*alive)(void),
                           struct gk_error *err) GK_MUST_CHECK;
/* Count what is there, and go by that. */
enum gk_status spool_recount(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;

/* --- rebuild.c and salvage.c ------------------------------------------------------------------ */

/* Begin a damaged one anew with what can be read of it; it is closed afterwards. */
enum gk_status spool_rebuild(struct spool *spool, void (*alive)(void),
                             struct gk_error *err) GK_MUST_CHECK;
/* Finish what a power cut left of that, before the database is opened. */
enum gk_status spool_rebuild_finish(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
enum gk_status spool_put_away_foreign(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
/* The greatest number that the name of one set aside carries: it began no later than that. */
int64_t spool_last_set_aside(const struct spool *spool);
/*
 * Copy what can be read of path into an open, empty one, and count it there. *known is replaced
 * by the damaged one's counters where it says nothing and those can be read.
 */
enum gk_status spool_salvage(const char *path, struct spool *to, void (*alive)(void),
                             struct spool_state *known, int64_t *greatest,
                             struct gk_error *err) GK_MUST_CHECK;
/* Write the first page of another spool over that of this one. */
enum gk_status spool_header_lend(const char *path, const char *fresh,
                                 struct gk_error *err) GK_MUST_CHECK;

/* --- spool.c ---------------------------------------------------------------------------------- */

/* Open what is in the directory, or begin one there. */
enum gk_status spool_begin_file(struct spool *spool, void (*alive)(void),
                                struct gk_error *err) GK_MUST_CHECK;
void spool_say(struct spool *spool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * One that turned out to be damaged is begun anew now, unless a transaction has messages in it: its
 * commit must fail first. True when it was damaged and is open again.
 */
bool spool_mend(struct spool *spool);

/* --- commit.c --------------------------------------------------------------------------------- */

enum gk_status spool_begin(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
/* Delete what was settled and set aside what was refused, in the present transaction. */
enum gk_status spool_apply(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
/* Without mending it afterwards. */
enum gk_status spool_commit_only(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
void spool_forget_verdicts(struct spool *spool);
/*
 * Something failed that nobody will commit, since nothing was put: what is left of it must not make
 * whoever puts next fail.
 */
void spool_get_over(struct spool *spool);
/* One more failure of a spool that is not open; one that was forgotten is opened for it. */
enum gk_status spool_need(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;
bool spool_is_gone(const struct spool *spool, int64_t id); /* settled or refused, not yet written */
/* --- room.c ----------------------------------------------------------------------------------- */

/* Drop until so many bytes fit. Fails with GK_SPOOL_FULL; nothing was dropped then. */
enum gk_status spool_make_room(struct spool *spool, uint64_t cost,
                               struct gk_error *err) GK_MUST_CHECK;
/* How many there are of these, and what they count towards the bound. */
enum gk_status spool_total(struct spool *spool, enum spool_lane lane, int64_t first, int64_t last,
                           uint64_t *count, uint64_t *bytes, struct gk_error *err) GK_MUST_CHECK;
/* Delete messages of a lane and uncount them; *count: how many there were. */
enum gk_status spool_remove(struct spool *spool, enum spool_lane lane, int64_t first, int64_t last,
                            uint64_t *count, struct gk_error *err) GK_MUST_CHECK;

/* When the oldest that waits was accepted, 0 for none. */
enum gk_status spool_oldest(struct spool *spool, int64_t *accepted_ms,
                            struct gk_error *err) GK_MUST_CHECK;

uint64_t spool_held(const struct spool_state *state); /* bytes, of those refused as well */

/* --- put.c ------------------------------------------------------------------------------------ */

/* Put it at the end of its lane; it counts as accepted already. */
enum gk_status spool_append(struct spool *spool, const struct spool_message *message, int64_t *id,
                            struct gk_error *err) GK_MUST_CHECK;

/* --- refused.c -------------------------------------------------------------------------------- */

#define SPOOL_REASON_MAX 512
/* So many verdicts are kept in memory at most, where they cannot be written. */
#define SPOOL_VERDICTS_MAX 1000

enum gk_status spool_set_aside(struct spool *spool, const struct spool_verdict *verdict,
                               struct gk_error *err) GK_MUST_CHECK;
/* Of those refused, keep SPOOL_REFUSED_MAX and a quarter of the room. */
enum gk_status spool_bound_refused(struct spool *spool, struct gk_error *err) GK_MUST_CHECK;

/* --- read.c ----------------------------------------------------------------------------------- */

/* The message in the present row: columns id, accepted, raw, topic, members, asked, and body. */
struct spool_message spool_row(sqlite3_stmt *statement, int body);

#endif
