/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: what belongs into one, and what is left when it fails. */
#include "agent/spool/internal.h"

static enum gk_status fail_as(const struct gk_error *why, struct gk_error *err)
{
    if (err != NULL) {
        *err = *why;
    }
    return why->status;
}

enum gk_status spool_need(struct spool *spool, struct gk_error *err)
{
    if (spool->forgotten && spool_begin_file(spool, spool->alive, &spool->failure) != GK_OK) {
        spool_say(spool, "the spool cannot be begun: %s (%s)",
                  gk_status_cause(spool->failure.status), spool->failure.object);
    }
    return spool->db != NULL ? GK_OK : fail_as(&spool->failure, err);
}

enum gk_status spool_begin(struct spool *spool, struct gk_error *err)
{
    enum gk_status status = spool_need(spool, err);

    if (status != GK_OK) {
        return status;
    }
    if (spool->lost != GK_OK) {
        return fail_as(&spool->lost_why, err);
    }
    if (spool->in_transaction) {
        return GK_OK;
    }
    status = spool_database_run(spool, "BEGIN IMMEDIATE", err);
    spool->in_transaction = status == GK_OK;
    return status;
}

/* --- what the hub has said of messages -------------------------------------------------------- */

bool spool_is_gone(const struct spool *spool, int64_t id)
{
    for (size_t i = spool->settled_count; i-- > 0;) {
        if (id >= spool->settled[i].first && id <= spool->settled[i].last) {
            return true;
        }
    }
    for (size_t i = spool->refused_count; i-- > 0;) {
        if (id == spool->refused[i].id) {
            return true;
        }
    }
    return false;
}

enum gk_status spool_apply(struct spool *spool, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    for (; status == GK_OK && spool->refused_done < spool->refused_count;) {
        status = spool_set_aside(spool, &spool->refused[spool->refused_done], err);
        spool->refused_done += status == GK_OK;
    }
    while (status == GK_OK && spool->settled_done < spool->settled_count) {
        const struct spool_range *range = &spool->settled[spool->settled_done];
        uint64_t count = 0;

        status = spool_remove(spool, (enum spool_lane)spool_share_of(range->first), range->first,
                              range->last, &count, err);
        spool->now.acknowledged += count;
        spool->settled_done += status == GK_OK;
    }
    return status;
}

/* Join it to one that was not deleted yet, where they meet. */
static bool join(struct spool *spool, const struct spool_range *added)
{
    for (size_t i = spool->settled_count; i-- > spool->settled_done;) {
        struct spool_range *range = &spool->settled[i];

        if (added->first <= range->last + 1 && added->last + 1 >= range->first &&
            spool_share_of(added->first) == spool_share_of(range->first)) {
            range->first = added->first < range->first ? added->first : range->first;
            range->last = added->last > range->last ? added->last : range->last;
            range->count += added->count;
            range->bytes += added->bytes;
            return true;
        }
    }
    return false;
}

/* For those who look before it is written; where it cannot be counted they see it later. */
static void count_settled(struct spool *spool, struct spool_range *range)
{
    for (size_t i = 0; i < spool->settled_count; i++) {
        if (range->first <= spool->settled[i].last && range->last >= spool->settled[i].first) {
            return; /* some of them for the second time */
        }
    }
    if (spool->db == NULL ||
        spool_total(spool, (enum spool_lane)spool_share_of(range->first), range->first, range->last,
                    &range->count, &range->bytes, NULL) != GK_OK) {
        range->count = range->bytes = 0;
    }
}

/* Twice as much where there is none left. */
static bool grow(void *array, size_t item, size_t count, size_t *room)
{
    size_t wanted = *room > 0 ? 2 * *room : 16;
    void **items = array;
    void *larger;

    if (count < *room) {
        return true;
    }
    larger = reallocarray(*items, wanted, item);
    if (larger == NULL) {
        return false;
    }
    *items = larger;
    *room = wanted;
    return true;
}

void spool_settle(struct spool *spool, int64_t first, int64_t last)
{
    struct spool_range range = { .first = first, .last = last };

    if (last < first || spool_share_of(first) >= SPOOL_LANES) {
        return;
    }
    count_settled(spool, &range);
    /* Without memory they are sent once more, some day. */
    if (!join(spool, &range) && grow(&spool->settled, sizeof(*spool->settled), spool->settled_count,
                                     &spool->settled_room)) {
        spool->settled[spool->settled_count++] = range;
    }
}

enum gk_status spool_refuse(struct spool *spool, int64_t id, int64_t now_ms, int64_t code,
                            const char *reason, struct gk_error *err)
{
    char *copy;

    if (spool_share_of(id) >= SPOOL_LANES || spool_is_gone(spool, id)) {
        return GK_OK;
    }
    if (spool->refused_count >= SPOOL_VERDICTS_MAX) {
        /* Were it to fail here, those whose messages are in it would not learn of it. */
        enum gk_status status =
            spool_is_dirty(spool)
                ? gk_fail(err, GK_BUSY, "%d refusals wait for the disk", SPOOL_VERDICTS_MAX)
                : spool_commit(spool, err);

        if (status != GK_OK) {
            return status;
        }
    }
    copy = strndup(reason != NULL ? reason : "", SPOOL_REASON_MAX);
    if (copy == NULL || !grow(&spool->refused, sizeof(*spool->refused), spool->refused_count,
                              &spool->refused_room)) {
        free(copy);
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    spool->refused[spool->refused_count++] =
        (struct spool_verdict){ .id = id, .refused_ms = now_ms, .code = code, .reason = copy };
    return GK_OK;
}

uint64_t spool_undone(const struct spool *spool)
{
    return spool->undone;
}

bool spool_may_return(const struct spool *spool, enum spool_lane lane)
{
    for (size_t i = 0; i < spool->refused_count; i++) {
        if (spool_share_of(spool->refused[i].id) == lane) {
            return true;
        }
    }
    return spool->in_transaction && spool->now.dropped != spool->kept.dropped;
}

bool spool_has_settled(const struct spool *spool)
{
    return spool->settled_count > 0 || spool->refused_count > 0;
}

/* --- the end of a transaction ----------------------------------------------------------------- */

void spool_forget_verdicts(struct spool *spool)
{
    for (size_t i = 0; i < spool->refused_count; i++) {
        free(spool->refused[i].reason);
    }
    spool->refused_count = spool->refused_done = 0;
    spool->settled_count = spool->settled_done = 0;
}

static void roll_back(struct spool *spool)
{
    if (sqlite3_get_autocommit(spool->db) == 0) {
        sqlite3_exec(spool->db, "ROLLBACK", NULL, NULL, NULL);
    }
    spool->now = spool->kept;
    spool->undone++;
    spool->in_transaction = spool->dirty = false;
    spool->refused_done = spool->settled_done = 0;
    spool->lost = GK_OK;
}

void spool_get_over(struct spool *spool)
{
    if (spool->db != NULL && spool->lost != GK_OK && !spool->dirty) {
        roll_back(spool);
    }
    spool_mend(spool);
}

static enum gk_status write_all(struct spool *spool, int64_t *oldest_ms, struct gk_error *err)
{
    enum gk_status status = spool_begin(spool, err);

    if (status == GK_OK) {
        status = spool_apply(spool, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (spool->own > spool->now.reserved - SPOOL_BLOCK / 2) {
        spool->now.reserved = spool->own + SPOOL_BLOCK;
    }
    status = spool_oldest(spool, oldest_ms, err);
    if (status == GK_OK) {
        status = spool_state_write(spool, &spool->now, err);
    }
    return status == GK_OK ? spool_database_run(spool, "COMMIT", err) : status;
}

/*
 * After a backlog. SQLite uses free pages again but does not give them back. With next to nothing
 * left to be copied that is quickly done; to give pages back one by one (auto_vacuum) would cost
 * writes with every page that is ever added, and search a long list for each that goes.
 */
static void shrink(struct spool *spool)
{
    uint64_t held = spool_held(&spool->kept);

    spool->grown = held > spool->grown ? held : spool->grown;
    if (spool->grown < spool->shrink_from || held > spool->shrink_from / SPOOL_SHRINK_PART) {
        return;
    }
    spool->grown = 0; /* where it fails, it is tried after the next backlog */
    if (spool_database_run(spool, "VACUUM", NULL) == GK_OK) {
        (void)!spool_database_run(spool, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
    }
}

enum gk_status spool_commit_only(struct spool *spool, struct gk_error *err)
{
    int64_t oldest_ms = 0;
    enum gk_status status = write_all(spool, &oldest_ms, err);

    if (status != GK_OK) {
        if (spool->db != NULL) {
            roll_back(spool);
        }
        return status;
    }
    spool->in_transaction = spool->dirty = false;
    spool->kept = spool->now;
    spool->oldest_ms = oldest_ms;
    spool_forget_verdicts(spool);
    return GK_OK;
}

enum gk_status spool_commit(struct spool *spool, struct gk_error *err)
{
    enum gk_status status;

    if (!spool_is_dirty(spool) && !spool_has_settled(spool)) {
        return GK_OK;
    }
    status = spool_commit_only(spool, err);
    if (status == GK_OK) {
        shrink(spool);
    }
    spool_mend(spool);
    return status;
}
