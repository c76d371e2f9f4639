/* SPDX-License-Identifier: Apache-2.0 */
/* The spool's counters and next numbers: one row, written with every commit. */
#include "agent/spool/internal.h"

#include <stddef.h>

static const struct column {
    const char *name;
    size_t offset;
} columns[] = {
#define COLUMN(name, member)                       \
    {                                              \
        name, offsetof(struct spool_state, member) \
    }
    COLUMN("began", began),
    COLUMN("reserved", reserved),
    COLUMN("points_next", lanes[SPOOL_POINTS].next),
    COLUMN("points_count", lanes[SPOOL_POINTS].count),
    COLUMN("points_bytes", lanes[SPOOL_POINTS].bytes),
    COLUMN("telemetry_next", lanes[SPOOL_TELEMETRY].next),
    COLUMN("telemetry_count", lanes[SPOOL_TELEMETRY].count),
    COLUMN("telemetry_bytes", lanes[SPOOL_TELEMETRY].bytes),
    COLUMN("kept_next", lanes[SPOOL_KEPT].next),
    COLUMN("kept_count", lanes[SPOOL_KEPT].count),
    COLUMN("kept_bytes", lanes[SPOOL_KEPT].bytes),
    COLUMN("accepted", accepted),
    COLUMN("acknowledged", acknowledged),
    COLUMN("dropped", dropped),
    COLUMN("refused", refused),
    COLUMN("refused_bytes", refused_bytes),
    COLUMN("rebuilt", rebuilt),
#undef COLUMN
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int64_t get(const struct spool_state *state, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)state + columns[i].offset, sizeof(value));
    return value;
}

static void set(struct spool_state *state, size_t i, int64_t value)
{
    memcpy((char *)state + columns[i].offset, &value, sizeof(value));
}

/* Before each name, between two, after the last. */
static void list(char *text, size_t size, const char *start, const char *between, const char *end)
{
    size_t length = (size_t)snprintf(text, size, "%s", start);

    for (size_t i = 0; i < COLUMNS && length < size; i++) {
        length += (size_t)snprintf(text + length, size - length, "%s%s%s", i > 0 ? ", " : "",
                                   columns[i].name, between);
    }
    if (length < size) {
        snprintf(text + length, size - length, "%s", end);
    }
}

enum gk_status spool_state_make(struct spool *spool, struct gk_error *err)
{
    enum gk_status status;
    char sql[1024];

    list(sql, sizeof(sql), "CREATE TABLE state (", " INTEGER NOT NULL DEFAULT 0", ")");
    status = spool_database_run(spool, sql, err);
    if (status == GK_OK) {
        status = spool_database_run(spool, "INSERT INTO state DEFAULT VALUES", err);
    }
    return status == GK_OK ? spool_state_write(spool, &spool->now, err) : status;
}

enum gk_status spool_state_read(struct spool *spool, struct spool_state *state,
                                struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status;
    char sql[1024];
    int code;

    list(sql, sizeof(sql), "SELECT ", "", " FROM state");
    status = spool_database_prepare(spool, sql, &statement, err);
    if (status != GK_OK) {
        return status;
    }
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        return spool_database_fail(spool, code == SQLITE_DONE ? SQLITE_CORRUPT : code,
                                   "reading its state", err);
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        set(state, i, sqlite3_column_int64(statement, (int)i));
    }
    return GK_OK;
}

static enum gk_status prepare(struct spool *spool, struct gk_error *err)
{
    char sql[1024];
    int code;

    if (spool->state_write != NULL) {
        sqlite3_reset(spool->state_write);
        return GK_OK;
    }
    list(sql, sizeof(sql), "UPDATE state SET ", " = ?", "");
    code = sqlite3_prepare_v3(spool->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &spool->state_write,
                              NULL);
    return code == SQLITE_OK ? GK_OK : spool_database_fail(spool, code, "using it", err);
}

enum gk_status spool_state_write(struct spool *spool, const struct spool_state *state,
                                 struct gk_error *err)
{
    enum gk_status status = prepare(spool, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        sqlite3_bind_int64(spool->state_write, (int)i + 1, get(state, i));
    }
    code = sqlite3_step(spool->state_write);
    sqlite3_reset(spool->state_write);
    return code == SQLITE_DONE ? GK_OK : spool_database_fail(spool, code, "writing it", err);
}
