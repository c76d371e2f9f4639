/* SPDX-License-Identifier: Apache-2.0 */
/* Making room: the oldest telemetry goes first, and nothing else goes. */
#include "agent/spool/internal.h"

#include "config.h"

struct front {
    bool there;
    int64_t id, accepted_ms;
};

static enum gk_status look(struct spool *spool, enum spool_lane lane, struct front *front,
                           struct gk_error *err)
{
    enum gk_status status;
    sqlite3_stmt *statement;
    int code;

    *front = (struct front){ 0 };
    if (spool->now.lanes[lane].count == 0) {
        return GK_OK;
    }
    status = spool_database_statement(spool, lane, STATEMENT_FRONT, &statement, err);
    if (status != GK_OK) {
        return status;
    }
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *front = (struct front){ .there = true,
                                 .id = sqlite3_column_int64(statement, 0),
                                 .accepted_ms = sqlite3_column_int64(statement, 1) };
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? GK_OK
               : spool_database_fail(spool, code, "reading it", err);
}

enum gk_status spool_oldest(struct spool *spool, int64_t *accepted_ms, struct gk_error *err)
{
    int64_t oldest = 0;

    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        struct front front;
        enum gk_status status = look(spool, (enum spool_lane)lane, &front, err);

        if (status != GK_OK) {
            return status;
        }
        if (front.there && (oldest == 0 || front.accepted_ms < oldest)) {
            oldest = front.accepted_ms;
        }
    }
    *accepted_ms = oldest;
    return GK_OK;
}

enum gk_status spool_total(struct spool *spool, enum spool_lane lane, int64_t first, int64_t last,
                           uint64_t *count, uint64_t *bytes, struct gk_error *err)
{
    sqlite3_stmt *statement;
    enum gk_status status = spool_database_statement(spool, lane, STATEMENT_TOTAL, &statement, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, last);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *count = (uint64_t)sqlite3_column_int64(statement, 0);
        *bytes = (uint64_t)sqlite3_column_double(statement, 1);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? GK_OK : spool_database_fail(spool, code, "reading it", err);
}

enum gk_status spool_remove(struct spool *spool, enum spool_lane lane, int64_t first, int64_t last,
                            uint64_t *count, struct gk_error *err)
{
    uint64_t bytes = 0;
    enum gk_status status = spool_total(spool, lane, first, last, count, &bytes, err);
    sqlite3_stmt *statement;
    int code;

    if (status != GK_OK || *count == 0) {
        return status;
    }
    status = spool_database_statement(spool, lane, STATEMENT_REMOVE, &statement, err);
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, last);
    code = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (code != SQLITE_DONE) {
        return spool_database_fail(spool, code, "writing it", err);
    }
    spool->now.lanes[lane].count -= *count;
    spool->now.lanes[lane].bytes -= bytes;
    return GK_OK;
}

/* The older of the two fronts of what may be dropped. */
static enum gk_status drop_oldest(struct spool *spool, struct gk_error *err)
{
    struct front points, telemetry;
    enum gk_status status = look(spool, SPOOL_POINTS, &points, err);
    uint64_t count = 0;
    bool take_points;

    if (status == GK_OK) {
        status = look(spool, SPOOL_TELEMETRY, &telemetry, err);
    }
    if (status != GK_OK) {
        return status;
    }
    take_points = points.there && (!telemetry.there || points.accepted_ms <= telemetry.accepted_ms);
    if (!take_points && !telemetry.there) {
        /* It was to be there by what was counted. */
        return spool_database_fail(spool, SQLITE_CORRUPT, "dropping the oldest", err);
    }
    status = take_points
                 ? spool_remove(spool, SPOOL_POINTS, points.id, points.id, &count, err)
                 : spool_remove(spool, SPOOL_TELEMETRY, telemetry.id, telemetry.id, &count, err);
    spool->now.dropped += count;
    return status;
}

uint64_t spool_held(const struct spool_state *state)
{
    return state->lanes[SPOOL_POINTS].bytes + state->lanes[SPOOL_TELEMETRY].bytes +
           state->lanes[SPOOL_KEPT].bytes + state->refused_bytes;
}

enum gk_status spool_make_room(struct spool *spool, uint64_t cost, struct gk_error *err)
{
    uint64_t max = spool->settings.max_bytes;
    enum gk_status status = GK_OK;

    if (spool_held(&spool->now) + cost <= max) {
        return GK_OK;
    }
    /* What the hub has already goes before what it has not. */
    status = spool_apply(spool, err);
    if (status == GK_OK &&
        spool->now.lanes[SPOOL_KEPT].bytes + spool->now.refused_bytes + cost > max) {
        return gk_fail(err, GK_SPOOL_FULL, "%s: %llu of %llu bytes are taken", spool->path,
                       (unsigned long long)spool_held(&spool->now), (unsigned long long)max);
    }
    while (status == GK_OK && spool_held(&spool->now) + cost > max) {
        status = drop_oldest(spool, err);
    }
    return status;
}

/* A clock may be put right by so much without anybody calling it wrong. */
#define AHEAD_MS 600000

static bool is_credible(int64_t accepted_ms, int64_t now_ms)
{
    return accepted_ms >= GK_BUILD_DATE * 1000 && accepted_ms <= now_ms + AHEAD_MS;
}

/* What was accepted by a clock that was wrong is, as far as anybody knows, new. */
static enum gk_status date_anew(struct spool *spool, enum spool_lane lane, int64_t now_ms,
                                struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status = spool_begin(spool, err);
    char sql[160];
    int code;

    snprintf(sql, sizeof(sql), "UPDATE %s SET accepted = ?1 WHERE accepted < ?2 OR accepted > ?3",
             spool_lane_table(lane));
    if (status == GK_OK) {
        status = spool_database_prepare(spool, sql, &statement, err);
    }
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, now_ms);
    sqlite3_bind_int64(statement, 2, GK_BUILD_DATE * 1000);
    sqlite3_bind_int64(statement, 3, now_ms + AHEAD_MS);
    code = sqlite3_step(statement);
    return code == SQLITE_DONE ? GK_OK : spool_database_fail(spool, code, "writing it", err);
}

/*
 * Those behind the first that is not too old are not looked at: a message that is put back comes
 * last, whatever its age.
 */
static enum gk_status drop_before(struct spool *spool, enum spool_lane lane, int64_t now_ms,
                                  struct gk_error *err)
{
    enum gk_status status =
        spool->latest_ms > now_ms + AHEAD_MS ? date_anew(spool, lane, now_ms, err) : GK_OK;
    bool applied = false;

    while (status == GK_OK) {
        struct front front;
        uint64_t count = 0;

        status = look(spool, lane, &front, err);
        if (status != GK_OK || !front.there) {
            return status;
        }
        if (!is_credible(front.accepted_ms, now_ms)) {
            status = date_anew(spool, lane, now_ms, err);
            continue;
        }
        if (front.accepted_ms >= now_ms - spool->settings.max_age_ms) {
            return GK_OK;
        }
        status = spool_begin(spool, err);
        if (status == GK_OK && !applied) {
            /* What the hub has is not dropped; it may be that one. */
            status = spool_apply(spool, err);
            applied = true;
            continue;
        }
        if (status == GK_OK) {
            status = spool_remove(spool, lane, front.id, front.id, &count, err);
        }
        spool->now.dropped += count;
    }
    return status;
}

enum gk_status spool_expire(struct spool *spool, int64_t now_ms, struct gk_error *err)
{
    static const enum spool_lane lanes[] = { SPOOL_POINTS, SPOOL_TELEMETRY };
    enum gk_status status = spool->oldest_ms != 0 ? spool_need(spool, err) : GK_OK;

    if (status != GK_OK || spool->oldest_ms == 0) {
        return status;
    }
    for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]) && status == GK_OK; i++) {
        status = drop_before(spool, lanes[i], now_ms, err);
    }
    spool->latest_ms = status == GK_OK ? 0 : spool->latest_ms;
    spool_get_over(spool);
    return status;
}
