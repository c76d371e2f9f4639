/* SPDX-License-Identifier: Apache-2.0 */
/* Reading messages that wait. */
#include "agent/spool/internal.h"

static const char *text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

struct spool_message spool_row(sqlite3_stmt *statement, int body)
{
    const char *topic = text(statement, 3);
    const void *bytes = sqlite3_column_blob(statement, body);

    return (struct spool_message){ .id = sqlite3_column_int64(statement, 0),
                                   .accepted_ms = sqlite3_column_int64(statement, 1),
                                   .raw = sqlite3_column_int(statement, 2) != 0,
                                   .topic = topic != NULL ? topic : SPOOL_POINTS_TOPIC,
                                   .members = text(statement, 4),
                                   .asked = text(statement, 5),
                                   .body = bytes != NULL ? bytes : "",
                                   .size = (size_t)sqlite3_column_bytes(statement, body) };
}

/* *after is the last one visited. */
static enum gk_status visit_some(struct spool *spool, enum spool_lane lane, int64_t *after,
                                 spool_visit *visit, void *context, struct gk_error *err)
{
    sqlite3_stmt *next;
    enum gk_status status = spool_database_statement(spool, lane, STATEMENT_NEXT, &next, err);
    bool more = true;
    int code = SQLITE_DONE;

    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(next, 1, *after);
    sqlite3_bind_int64(next, 2, spool->kept.lanes[lane].next);
    while (more && (code = sqlite3_step(next)) == SQLITE_ROW) {
        struct spool_message message = spool_row(next, 6);

        *after = message.id;
        more = spool_is_gone(spool, message.id) || visit(context, &message);
    }
    sqlite3_reset(next);
    return !more || code == SQLITE_DONE ? GK_OK
                                        : spool_database_fail(spool, code, "reading it", err);
}

enum gk_status spool_next(struct spool *spool, enum spool_lane lane, int64_t after,
                          spool_visit *visit, void *context, struct gk_error *err)
{
    enum gk_status status = spool->forgotten ? GK_OK : spool_need(spool, err);

    if (status != GK_OK || spool->kept.lanes[lane].count == 0) {
        return status;
    }
    status = visit_some(spool, lane, &after, visit, context, err);
    if (status != GK_OK && spool_mend(spool)) {
        status = visit_some(spool, lane, &after, visit, context, err);
    }
    return status;
}
