/* SPDX-License-Identifier: Apache-2.0 */
/* Putting messages into the spool. */
#include "agent/spool/internal.h"

static enum gk_status insert(struct spool *spool, enum spool_lane lane, int64_t id,
                             const struct spool_message *message, struct gk_error *err)
{
    sqlite3_stmt *put;
    enum gk_status status = spool_database_statement(spool, lane, STATEMENT_PUT, &put, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_int64(put, 1, id);
    sqlite3_bind_int64(put, 2, message->accepted_ms);
    sqlite3_bind_int(put, 3, message->raw);
    sqlite3_bind_text(put, 4, lane == SPOOL_POINTS ? NULL : message->topic, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 5, message->members, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 6, message->asked, -1, SQLITE_STATIC);
    /* A pointer of its own for no bytes: NULL would be no body at all. */
    sqlite3_bind_blob64(put, 7, message->size > 0 ? message->body : "", message->size,
                        SQLITE_STATIC);
    code = sqlite3_step(put);
    sqlite3_reset(put);
    sqlite3_clear_bindings(put);
    return code == SQLITE_DONE ? GK_OK : spool_database_fail(spool, code, "writing it", err);
}

enum gk_status spool_append(struct spool *spool, const struct spool_message *message, int64_t *id,
                            struct gk_error *err)
{
    enum spool_lane lane = spool_lane_of(message->topic);
    int64_t number = spool->now.lanes[lane].next;
    enum gk_status status;

    /* Numbers begin anew with the database. */
    if (number >= spool_first_id(spool->now.began, lane) + SPOOL_SHARE - 2) {
        return spool_database_fail(spool, SQLITE_CORRUPT, "numbering", err);
    }
    status = insert(spool, lane, number, message, err);
    if (status == GK_OK) {
        spool->now.lanes[lane].next++;
        spool->now.lanes[lane].count++;
        spool->now.lanes[lane].bytes += spool_cost(message->topic, message->size);
        *id = number;
    }
    return status;
}

enum gk_status spool_put(struct spool *spool, const struct spool_message *message, int64_t *id,
                         struct gk_error *err)
{
    enum gk_status status = spool_begin(spool, err);

    if (status == GK_OK) {
        status = spool_make_room(spool, spool_cost(message->topic, message->size), err);
    }
    if (status == GK_OK) {
        status = spool_append(spool, message, id, err);
    }
    if (status == GK_OK) {
        spool->now.accepted++;
        spool->dirty = true;
    } else {
        spool_get_over(spool);
    }
    return status;
}

int64_t spool_number(struct spool *spool, enum spool_lane lane)
{
    (void)lane;
    return spool->own++;
}

bool spool_is_dirty(const struct spool *spool)
{
    return spool->in_transaction || spool->dirty;
}
