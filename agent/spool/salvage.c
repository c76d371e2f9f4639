/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what can be read of a damaged spool into a new one. */
#include "agent/spool/internal.h"

/* So often it is tried to find the next row that can be read, in one table. */
#define TRIES_MAX 20000
#define ROWS_AT_ONCE 1000

struct copying {
    sqlite3 *from;
    struct spool *to;
    const char *table;
    unsigned lane; /* SPOOL_LANES: the refused */
    void (*alive)(void);
    sqlite3_stmt *up, *down, *insert;
    unsigned tries, rows;
    int64_t greatest; /* of all ids */
};

#define MESSAGE "id, accepted, raw, topic, members, asked"
#define REFUSAL "refused, code, reason"

static enum gk_status prepare(struct copying *copy, struct gk_error *err)
{
    bool refused = copy->lane == SPOOL_LANES;
    const char *columns = refused ? MESSAGE ", body, " REFUSAL : MESSAGE ", body";
    const char *values =
        refused ? "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10" : "?1, ?2, ?3, ?4, ?5, ?6, ?7";
    char sql[256];

    snprintf(sql, sizeof(sql), "SELECT %s FROM %s WHERE id > ?1 ORDER BY id", columns, copy->table);
    if (sqlite3_prepare_v2(copy->from, sql, -1, &copy->up, NULL) != SQLITE_OK) {
        return GK_OK; /* not even the table is there to be read */
    }
    snprintf(sql, sizeof(sql), "SELECT %s FROM %s WHERE id > ?1 AND id < ?2 ORDER BY id DESC",
             columns, copy->table);
    if (sqlite3_prepare_v2(copy->from, sql, -1, &copy->down, NULL) != SQLITE_OK) {
        return GK_OK;
    }
    snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO %s (%s) VALUES (%s)", copy->table, columns,
             values);
    return spool_database_prepare(copy->to, sql, &copy->insert, err);
}

/* A row of a damaged file may be anything. */
static bool is_sane(const struct copying *copy, const struct spool_message *message)
{
    if (message->id <= 0 || message->id / SPOOL_EPOCH > SPOOL_MINUTES_MAX ||
        spool_share_of(message->id) >= SPOOL_LANES) {
        return false;
    }
    return copy->lane == SPOOL_LANES || (spool_share_of(message->id) == copy->lane &&
                                         spool_lane_of(message->topic) == copy->lane);
}

static enum gk_status commit_now_and_then(struct copying *copy, struct gk_error *err)
{
    enum gk_status status;

    if (++copy->rows % ROWS_AT_ONCE != 0) {
        return GK_OK;
    }
    if (copy->alive != NULL) {
        copy->alive();
    }
    status = spool_database_run(copy->to, "COMMIT", err);
    return status == GK_OK ? spool_database_run(copy->to, "BEGIN", err) : status;
}

/* The present row of a statement. */
static enum gk_status take(struct copying *copy, sqlite3_stmt *row, struct gk_error *err)
{
    struct spool_message message = spool_row(row, 6);
    struct spool_state *state = &copy->to->now;
    uint64_t cost = spool_cost(message.topic, message.size);
    int code;

    if (!is_sane(copy, &message)) {
        return GK_OK;
    }
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        sqlite3_bind_value(copy->insert, i + 1, sqlite3_column_value(row, i));
    }
    code = sqlite3_step(copy->insert);
    sqlite3_reset(copy->insert);
    if ((code & 0xff) == SQLITE_CONSTRAINT) {
        return GK_OK;
    }
    if (code != SQLITE_DONE) {
        return spool_database_fail(copy->to, code, "saving what it held", err);
    }
    if (sqlite3_changes(copy->to->db) == 0) {
        return GK_OK;
    }
    copy->greatest = message.id > copy->greatest ? message.id : copy->greatest;
    if (copy->lane == SPOOL_LANES) {
        state->refused++;
        state->refused_bytes += cost;
    } else {
        state->lanes[copy->lane].count++;
        state->lanes[copy->lane].bytes += cost;
    }
    return commit_now_and_then(copy, err);
}

/* Read on from *last; false at the end of the table, true where it cannot be read. */
static bool read_up(struct copying *copy, int64_t *last, bool *found, enum gk_status *status,
                    struct gk_error *err)
{
    int code;

    sqlite3_reset(copy->up);
    sqlite3_bind_int64(copy->up, 1, *last);
    *found = false;
    while ((code = sqlite3_step(copy->up)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(copy->up, 0);

        if (id <= *last) {
            return true; /* out of order: it would never end */
        }
        *status = take(copy, copy->up, err);
        if (*status != GK_OK) {
            return false;
        }
        *found = true;
        *last = id;
    }
    return code != SQLITE_DONE;
}

/* Between two that could be read, from the upper one down. */
static enum gk_status read_down(struct copying *copy, int64_t lower, int64_t upper,
                                struct gk_error *err)
{
    enum gk_status status = GK_OK;

    sqlite3_reset(copy->down);
    sqlite3_bind_int64(copy->down, 1, lower);
    sqlite3_bind_int64(copy->down, 2, upper);
    while (status == GK_OK && sqlite3_step(copy->down) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(copy->down, 0);

        if (id >= upper || id <= lower) {
            break;
        }
        upper = id;
        status = take(copy, copy->down, err);
    }
    return status;
}

/*
 * Upwards until a page cannot be read; then in steps twice as wide each time, until a row beyond
 * it can; from there back down to the gap, and on.
 */
static enum gk_status copy_rows(struct copying *copy, struct gk_error *err)
{
    enum gk_status status = GK_OK;
    int64_t last = 0, step = 0, gap = 0;

    while (copy->tries++ < TRIES_MAX && last <= INT64_MAX - step) {
        int64_t at = last + step;
        bool found, more = read_up(copy, &at, &found, &status, err);

        if (status == GK_OK && found && step > 0) {
            status = read_down(copy, gap, last + step + 1, err);
        }
        if (status != GK_OK || !more) {
            return status;
        }
        if (found) {
            last = gap = at;
            step = 1;
        } else {
            step = step == 0 ? 1 : step > INT64_MAX / 2 ? INT64_MAX : 2 * step;
        }
    }
    return GK_OK;
}

static enum gk_status copy_table(struct copying *copy, struct gk_error *err)
{
    enum gk_status status = prepare(copy, err);

    if (status == GK_OK && copy->insert != NULL) {
        status = spool_database_run(copy->to, "BEGIN", err);
        if (status == GK_OK) {
            status = copy_rows(copy, err);
        }
        if (status == GK_OK) {
            status = spool_database_run(copy->to, "COMMIT", err);
        }
    }
    sqlite3_finalize(TAKE(copy->up));
    sqlite3_finalize(TAKE(copy->down));
    sqlite3_finalize(TAKE(copy->insert));
    return status;
}

/*
 * Without a schema that can be written SQLite refuses a file that is shorter than it was. The log
 * stays as it is: the damaged one is set aside as it was found.
 */
static void open_source(const char *path, sqlite3 **from)
{
    if (sqlite3_open_v2(path, from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK) {
        sqlite3_exec(*from,
                     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA writable_schema = ON;"
                     "PRAGMA cache_size = -256",
                     NULL, NULL, NULL);
        sqlite3_db_config(*from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
}

/* Are the tables known at all? */
static bool has_tables(sqlite3 *from)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;

    return sqlite3_prepare_v2(from,
                              "SELECT p.body, t.body, k.body, r.reason, s.began FROM points p, "
                              "telemetry t, kept k, refused r, state s",
                              -1, &statement, NULL) == SQLITE_OK;
}

static enum gk_status make_readable(const char *path, struct spool *to, sqlite3 **from,
                                    struct gk_error *err)
{
    enum gk_status status;

    open_source(path, from);
    if (has_tables(*from)) {
        return GK_OK;
    }
    sqlite3_close(TAKE(*from));
    status = spool_database_run(to, "PRAGMA wal_checkpoint", err);
    if (status == GK_OK) {
        status = spool_header_lend(path, to->path, err);
    }
    open_source(path, from);
    return status;
}

/* What it counted last, where nobody knows. */
static void read_state(const char *path, sqlite3 *from, struct spool_state *known)
{
    struct spool source = { .db = from };
    struct spool_state found = { 0 };

    if (known->began == 0 && asprintf(&source.path, "%s", path) >= 0) {
        if (spool_state_read(&source, &found, NULL) == GK_OK && spool_state_is_sane(&found)) {
            *known = found;
        }
        free(source.path);
    }
}

enum gk_status spool_salvage(const char *path, struct spool *to, void (*alive)(void),
                             struct spool_state *known, int64_t *greatest, struct gk_error *err)
{
    struct copying copy = { .to = to, .alive = alive };
    enum gk_status status = make_readable(path, to, &copy.from, err);

    if (status == GK_OK) {
        read_state(path, copy.from, known);
    }
    for (unsigned lane = 0; lane <= SPOOL_LANES && status == GK_OK; lane++) {
        copy.lane = lane;
        copy.table = lane < SPOOL_LANES ? spool_lane_table((enum spool_lane)lane) : "refused";
        copy.tries = 0;
        status = copy_table(&copy, err);
    }
    sqlite3_close(copy.from);
    *greatest = copy.greatest;
    return status;
}
