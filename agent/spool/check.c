/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a spool that was found is sound, and counts what it holds. */
#include "agent/spool/internal.h"

#include <inttypes.h>

/* SQLite looks at a table in one go, so one says that one lives between two of them. */
static const char *const checked[] = { "owner", "state", "points", "telemetry", "kept", "refused" };

/* damaged is set where it is not; that is no failure. */
static enum gk_status check_table(struct spool *spool, const char *table, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status;
    char sql[64];
    int code;

    snprintf(sql, sizeof(sql), "PRAGMA quick_check(%s)", table);
    status = spool_database_prepare(spool, sql, &statement, err);
    if (status != GK_OK) {
        return status;
    }
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0) {
        return GK_OK;
    }
    return spool_database_fail(spool, code == SQLITE_ROW ? SQLITE_CORRUPT : code, "checking it",
                               err);
}

enum gk_status spool_check(struct spool *spool, void (*alive)(void), struct gk_error *err)
{
    enum gk_status status = GK_OK;

    for (size_t i = 0; i < sizeof(checked) / sizeof(checked[0]) && status == GK_OK; i++) {
        if (alive != NULL) {
            alive();
        }
        status = check_table(spool, checked[i], err);
    }
    return status;
}

static enum gk_status count_table(struct spool *spool, const char *table, uint64_t *count,
                                  uint64_t *bytes, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status;
    char sql[256];
    int code;

    snprintf(sql, sizeof(sql), "SELECT count(*), total(" SPOOL_COST ") FROM %s", table);
    status = spool_database_prepare(spool, sql, &statement, err);
    if (status != GK_OK) {
        return status;
    }
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        return spool_database_fail(spool, code, "counting", err);
    }
    *count = (uint64_t)sqlite3_column_int64(statement, 0);
    *bytes = (uint64_t)sqlite3_column_double(statement, 1);
    return GK_OK;
}

static uint64_t waiting(const struct spool_state *state)
{
    return state->lanes[SPOOL_POINTS].count + state->lanes[SPOOL_TELEMETRY].count +
           state->lanes[SPOOL_KEPT].count;
}

void spool_state_settle_accounts(struct spool_state *state)
{
    uint64_t there = state->acknowledged + state->dropped + waiting(state) + state->refused;

    if (there <= state->accepted) {
        state->dropped += state->accepted - there;
    } else {
        state->accepted = there;
    }
}

bool spool_state_is_sane(const struct spool_state *state)
{
    if (state->began <= 0 || state->began > SPOOL_MINUTES_MAX ||
        state->accepted != state->acknowledged + state->dropped + waiting(state) + state->refused) {
        return false;
    }
    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        int64_t first = spool_first_id(state->began, lane);

        if (state->lanes[lane].next < first || state->lanes[lane].next >= first + SPOOL_SHARE - 1) {
            return false;
        }
    }
    return state->reserved >= spool_first_id(state->began, SPOOL_OWN);
}

enum gk_status spool_recount(struct spool *spool, struct gk_error *err)
{
    struct spool_state found = spool->kept;
    enum gk_status status = GK_OK;

    for (unsigned lane = 0; lane < SPOOL_LANES && status == GK_OK; lane++) {
        status = count_table(spool, spool_lane_table((enum spool_lane)lane),
                             &found.lanes[lane].count, &found.lanes[lane].bytes, err);
    }
    if (status == GK_OK) {
        status = count_table(spool, "refused", &found.refused, &found.refused_bytes, err);
    }
    if (status != GK_OK || memcmp(&found, &spool->kept, sizeof(found)) == 0) {
        return status;
    }
    spool_state_settle_accounts(&found);
    spool_say(spool,
              "the spool held %" PRIu64 " messages and not the %" PRIu64
              " that it had counted; it counts those from now on",
              waiting(&found) + found.refused, waiting(&spool->kept) + spool->kept.refused);
    spool->kept = found;
    return GK_OK;
}
