/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that the hub refused for good: set aside, listed, put back, dropped. */
#include "agent/spool/internal.h"

enum gk_status spool_set_aside(struct spool *spool, const struct spool_verdict *verdict,
                               struct gk_error *err)
{
    enum spool_lane lane = (enum spool_lane)spool_share_of(verdict->id);
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *copy = NULL;
    uint64_t before = spool->now.lanes[lane].bytes, count = 0;
    enum gk_status status;
    char sql[320];
    int code;

    snprintf(sql, sizeof(sql),
             "INSERT INTO refused (id, accepted, raw, topic, members, asked, refused, code, reason,"
             " body) SELECT id, accepted, raw, topic, members, asked, ?2, ?3, ?4, body FROM %s "
             "WHERE id = ?1",
             spool_lane_table(lane));
    status = spool_database_prepare(spool, sql, &copy, err);
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(copy, 1, verdict->id);
    sqlite3_bind_int64(copy, 2, verdict->refused_ms);
    sqlite3_bind_int64(copy, 3, verdict->code);
    sqlite3_bind_text(copy, 4, verdict->reason, -1, SQLITE_STATIC);
    code = sqlite3_step(copy);
    if (code != SQLITE_DONE) {
        return spool_database_fail(spool, code, "writing it", err);
    }
    status = spool_remove(spool, lane, verdict->id, verdict->id, &count, err);
    if (status == GK_OK && count > 0) {
        spool->now.refused += count;
        spool->now.refused_bytes += before - spool->now.lanes[lane].bytes;
        status = spool_bound_refused(spool, err);
    }
    return status;
}

/* Delete one that was refused; *cost is 0 where there is none of that number. */
static enum gk_status erase(struct spool *spool, int64_t id, uint64_t *cost, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *look = NULL;
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *remove_it = NULL;
    enum gk_status status = spool_database_prepare(
        spool, "SELECT " SPOOL_COST " FROM refused WHERE id = ?1", &look, err);
    int code;

    *cost = 0;
    if (status == GK_OK) {
        status =
            spool_database_prepare(spool, "DELETE FROM refused WHERE id = ?1", &remove_it, err);
    }
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(look, 1, id);
    code = sqlite3_step(look);
    if (code == SQLITE_DONE) {
        return GK_OK;
    }
    *cost = (uint64_t)sqlite3_column_int64(look, 0);
    if (code == SQLITE_ROW) {
        sqlite3_bind_int64(remove_it, 1, id);
        code = sqlite3_step(remove_it);
    }
    if (code != SQLITE_DONE) {
        return spool_database_fail(spool, code, "writing it", err);
    }
    spool->now.refused--;
    spool->now.refused_bytes -= *cost;
    return GK_OK;
}

/* The number of one row, 0 where there is none. */
static enum gk_status find(struct spool *spool, const char *sql, int64_t *id, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status = spool_database_prepare(spool, sql, &statement, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    code = sqlite3_step(statement);
    *id = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? GK_OK
               : spool_database_fail(spool, code, "reading it", err);
}

enum gk_status spool_bound_refused(struct spool *spool, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    while (status == GK_OK && spool->now.refused > 1 &&
           (spool->now.refused > SPOOL_REFUSED_MAX ||
            spool->now.refused_bytes > spool->settings.max_bytes / 4)) {
        uint64_t cost = 0;
        int64_t id = 0;

        status = find(spool, "SELECT id FROM refused ORDER BY refused, id LIMIT 1", &id, err);
        if (status == GK_OK) {
            status = erase(spool, id, &cost, err);
        }
        if (status == GK_OK && cost == 0) {
            return spool_database_fail(spool, SQLITE_CORRUPT, "dropping the oldest refused", err);
        }
        spool->now.dropped += status == GK_OK;
    }
    return status;
}

enum gk_status spool_refused(struct spool *spool, int64_t after, spool_visit_refused *visit,
                             void *context, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status = spool->forgotten ? GK_OK : spool_need(spool, err);
    bool more = true;
    int code;

    if (status == GK_OK && spool->kept.refused == 0) {
        return GK_OK;
    }
    if (status == GK_OK) {
        status = spool_database_prepare(
            spool,
            "SELECT id, accepted, raw, topic, members, asked, refused, code, reason, body "
            "FROM refused WHERE id > ?1 ORDER BY id",
            &statement, err);
    }
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, after);
    while (more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct spool_refusal refusal = {
            .message = spool_row(statement, 9),
            .refused_ms = sqlite3_column_int64(statement, 6),
            .code = sqlite3_column_int64(statement, 7),
            .reason = (const char *)sqlite3_column_text(statement, 8),
        };

        more = visit(context, &refusal);
    }
    status =
        !more || code == SQLITE_DONE ? GK_OK : spool_database_fail(spool, code, "reading it", err);
    sqlite3_finalize(TAKE(statement));
    spool_mend(spool);
    return status;
}

/* Take one from those refused back into its lane. */
static enum gk_status put_back(struct spool *spool, int64_t id, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status = spool_database_prepare(
        spool, "SELECT id, accepted, raw, topic, members, asked, body FROM refused WHERE id = ?1",
        &statement, err);
    struct spool_message message;
    int64_t number;
    uint64_t cost;
    int code;

    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, id);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        return code == SQLITE_DONE ? gk_fail(err, GK_NO_MESSAGE, "%lld", (long long)id)
                                   : spool_database_fail(spool, code, "reading it", err);
    }
    message = spool_row(statement, 6);
    status = spool_append(spool, &message, &number, err);
    sqlite3_reset(statement);
    return status == GK_OK ? erase(spool, id, &cost, err) : status;
}

/* Do it with the one, or with each that was refused, which makes it go. */
static enum gk_status for_each(struct spool *spool, int64_t id,
                               enum gk_status (*work)(struct spool *, int64_t, struct gk_error *),
                               uint64_t *count, struct gk_error *err)
{
    enum gk_status status = spool_begin(spool, err);
    int64_t found = id;

    *count = 0;
    if (status == GK_OK) {
        status = spool_apply(spool, err);
    }
    for (uint64_t left = id != 0 ? 1 : spool->now.refused; status == GK_OK && left > 0; left--) {
        if (id == 0) {
            status = find(spool, "SELECT id FROM refused ORDER BY id LIMIT 1", &found, err);
        }
        if (status == GK_OK) {
            status = work(spool, found, err);
        }
        *count += status == GK_OK;
    }
    if (status == GK_OK) {
        spool->dirty = true;
    } else {
        spool_get_over(spool);
    }
    return status;
}

enum gk_status spool_retry(struct spool *spool, int64_t id, uint64_t *count, struct gk_error *err)
{
    return for_each(spool, id, put_back, count, err);
}

/* One that was refused, or one that waits. */
static enum gk_status drop_one(struct spool *spool, int64_t id, struct gk_error *err)
{
    uint64_t cost = 0, count = 0;
    enum gk_status status = erase(spool, id, &cost, err);

    if (status == GK_OK && cost == 0 && spool_share_of(id) < SPOOL_LANES) {
        status = spool_remove(spool, (enum spool_lane)spool_share_of(id), id, id, &count, err);
    }
    if (status == GK_OK && cost == 0 && count == 0) {
        return gk_fail(err, GK_NO_MESSAGE, "%lld", (long long)id);
    }
    spool->now.dropped += status == GK_OK;
    return status;
}

enum gk_status spool_drop(struct spool *spool, int64_t id, uint64_t *count, struct gk_error *err)
{
    return for_each(spool, id, drop_one, count, err);
}
