/* SPDX-License-Identifier: Apache-2.0 */
/* Putting messages into the spool. */
#include "agent/spool/internal.h"

#include <sys/random.h>
#include <time.h>

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
        spool->latest_ms =
            message->accepted_ms > spool->latest_ms ? message->accepted_ms : spool->latest_ms;
    } else {
        spool_get_over(spool);
    }
    return status;
}

/*
 * From a place in the upper half of what belongs to the present minute: no block ever gets there,
 * nor does chance lead two there, of which the first might have told nobody where it was.
 */
static int64_t begin_loose(void)
{
    struct spool_state now = { 0 };
    struct timespec time = { 0 };
    uint64_t place;

    if (getrandom(&place, sizeof(place), GRND_NONBLOCK) != (ssize_t)sizeof(place)) {
        clock_gettime(CLOCK_REALTIME, &time);
        place = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
    }
    spool_state_begin(&now, 0);
    return now.reserved + SPOOL_SHARE / 2 + (int64_t)(place % ((uint64_t)SPOOL_SHARE / 4));
}

int64_t spool_number(struct spool *spool, enum spool_lane lane)
{
    (void)lane;
    if (spool->own < spool->kept.reserved) {
        return spool->own++;
    }
    if (spool->loose == 0) {
        spool->loose = begin_loose();
    }
    return spool->loose++;
}

bool spool_is_dirty(const struct spool *spool)
{
    return spool->in_transaction || spool->dirty;
}
