/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Begins a spool anew: a damaged one, with what could be saved of it, and one of another device.
 *
 * A power cut in the middle must not lose what was saved. The new database is made beside the old
 * one as spool.db.new; once it is whole and synced it is called spool.db.saved, and that is the
 * step that counts: from then on the old one is put away and the new one takes its place, by
 * whoever comes next.
 */
#include "agent/spool/internal.h"

#include "agent/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define NEW_FILE SPOOL_FILE ".new"
#define SAVED_FILE SPOOL_FILE ".saved"

static void close_directory(DIR *directory)
{
    if (directory != NULL) {
        closedir(directory);
    }
}
GK_DEFINE_CLEANUP(DIR, close_directory)

static bool is_there(const struct spool *spool, const char *name)
{
    CLEANUP(gk_freep) char *path = NULL;
    struct stat found;

    if (asprintf(&path, "%s/%s", spool->settings.directory, name) < 0) {
        path = NULL;
        return false;
    }
    return lstat(path, &found) == 0;
}

/* --- those set aside -------------------------------------------------------------------------- */

/* The number in "spool.db.damaged-29918880" or "spool.db.other-..."; 0 for other names. */
static int64_t number_of(const char *name)
{
    static const char *const kinds[] = { SPOOL_FILE ".damaged-", SPOOL_FILE ".other-" };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0) {
            int64_t number = strtoll(name + strlen(kinds[i]), NULL, 10);

            return number > 0 && number < SPOOL_MINUTES_MAX ? number : 0;
        }
    }
    return 0;
}

int64_t spool_last_set_aside(const struct spool *spool)
{
    CLEANUP(close_directoryp) DIR *files = opendir(spool->settings.directory);
    const struct dirent *entry;
    int64_t last = 0;

    while (files != NULL && (entry = readdir(files)) != NULL) {
        int64_t number = number_of(entry->d_name);

        last = number > last ? number : last;
    }
    return last;
}

/* Two are kept to be looked at; they are as large as the spool. */
static void prune(const struct spool *spool, int64_t newest)
{
    CLEANUP(close_directoryp) DIR *files = opendir(spool->settings.directory);
    const struct dirent *entry;
    int64_t second = 0;

    while (files != NULL && (entry = readdir(files)) != NULL) {
        int64_t number = number_of(entry->d_name);

        second = number < newest && number > second ? number : second;
    }
    if (files == NULL) {
        return;
    }
    rewinddir(files);
    while ((entry = readdir(files)) != NULL) {
        int64_t number = number_of(entry->d_name);

        if (number > 0 && number < second) {
            (void)!agent_file_remove(spool->settings.directory, entry->d_name, NULL);
        }
    }
}

/* Its log first: without it the database is older, beside another it would be poison. */
static enum gk_status move_away(const struct spool *spool, const char *kind, int64_t number,
                                struct gk_error *err)
{
    static const char *const ends[] = { "-wal", "-journal", "" };
    enum gk_status status = GK_OK;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && status == GK_OK; i++) {
        char from[64], to[96];

        snprintf(from, sizeof(from), SPOOL_FILE "%s", ends[i]);
        snprintf(to, sizeof(to), SPOOL_FILE ".%s-%" PRId64 "%s", kind, number, ends[i]);
        if (is_there(spool, from)) {
            status = agent_file_rename(spool->settings.directory, from, to, err);
        }
    }
    prune(spool, number);
    return status;
}

enum gk_status spool_put_away_foreign(struct spool *spool, struct gk_error *err)
{
    int64_t number = spool->kept.began, last = spool_last_set_aside(spool);
    enum gk_status status;

    number = number > last ? number : last + 1;
    spool_database_close(spool);
    status = move_away(spool, "other", number, err);
    if (status == GK_OK) {
        spool_say(spool,
                  "the spool was another device's: it is in %s.other-%" PRId64
                  ", and a new one was begun",
                  spool->path, number);
    }
    return status;
}

/* --- the new one ------------------------------------------------------------------------------ */

enum gk_status spool_rebuild_finish(struct spool *spool, struct gk_error *err)
{
    static const char *const left[] = { NEW_FILE, NEW_FILE "-wal", NEW_FILE "-journal" };
    enum gk_status status = GK_OK;

    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]) && status == GK_OK; i++) {
        if (is_there(spool, left[i])) {
            status = agent_file_remove(spool->settings.directory, left[i], err);
        }
    }
    if (status != GK_OK || !is_there(spool, SAVED_FILE)) {
        return status;
    }
    status = move_away(spool, "damaged", spool_last_set_aside(spool) + 1, err);
    return status == GK_OK
               ? agent_file_rename(spool->settings.directory, SAVED_FILE, SPOOL_FILE, err)
               : status;
}

static enum gk_status sync_file(const char *path, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && fsync(fd) == 0 ? GK_OK : gk_fail_file(err, errno, path);
}

/* What is said of it: what it was before is known, or not. */
static void settle_accounts(struct spool_state *state, const struct spool_state *known)
{
    state->accepted = known->accepted;
    state->acknowledged = known->acknowledged;
    state->dropped = known->dropped;
    state->rebuilt = known->rebuilt + 1;
    spool_state_settle_accounts(state);
}

static enum gk_status fill(struct spool *made, const struct spool *old, struct spool_state *known,
                           void (*alive)(void), struct gk_error *err)
{
    enum gk_status status = spool_database_open(made, err);
    int64_t greatest = 0, before = spool_last_set_aside(old);

    if (status == GK_OK) {
        /* It counts when it is whole, and is synced then. */
        status = spool_database_run(made, "PRAGMA synchronous = OFF", err);
    }
    if (status == GK_OK) {
        status = spool_salvage(old->path, made, alive, known, &greatest, err);
    }
    if (status != GK_OK) {
        return status;
    }
    before = known->began > before ? known->began : before;
    before = greatest / SPOOL_EPOCH > before ? greatest / SPOOL_EPOCH : before;
    spool_state_begin(&made->now, before + 1); /* the one put away is called before + 1 at most */
    settle_accounts(&made->now, known);
    status = spool_state_write(made, &made->now, err);
    /* To close it would do that as well, but not say that it could not. */
    return status == GK_OK ? spool_database_run(made, "PRAGMA wal_checkpoint(TRUNCATE)", err)
                           : status;
}

static enum gk_status make(struct spool *old, struct spool_state *known, void (*alive)(void),
                           struct spool_state *state, struct gk_error *err)
{
    struct spool made = { .settings = old->settings };
    enum gk_status status;

    if (asprintf(&made.path, "%s/" NEW_FILE, old->settings.directory) < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = fill(&made, old, known, alive, err);
    spool_database_close(&made);
    *state = made.now;
    if (status == GK_OK) {
        status = sync_file(made.path, err);
    }
    if (status == GK_OK) {
        status = agent_file_rename(old->settings.directory, NEW_FILE, SAVED_FILE, err);
    }
    free(made.path);
    return status;
}

static uint64_t held(const struct spool_state *state)
{
    return state->lanes[SPOOL_POINTS].count + state->lanes[SPOOL_TELEMETRY].count +
           state->lanes[SPOOL_KEPT].count + state->refused;
}

static void say(struct spool *spool, const struct spool_state *known,
                const struct spool_state *saved, int64_t number)
{
    uint64_t lost = held(known) > held(saved) ? held(known) - held(saved) : 0;

    if (known->began == 0) {
        spool_say(spool,
                  "the spool was damaged: %" PRIu64
                  " messages were saved, how many were lost nobody knows; the old one is in "
                  "%s.damaged-%" PRId64,
                  held(saved), spool->path, number);
    } else {
        spool_say(spool,
                  "the spool was damaged: %" PRIu64 " messages were saved, %" PRIu64
                  " were lost; the old one is in %s.damaged-%" PRId64,
                  held(saved), lost, spool->path, number);
    }
}

enum gk_status spool_rebuild(struct spool *spool, void (*alive)(void), struct gk_error *err)
{
    struct spool_state known = spool->kept, saved = { 0 };
    enum gk_status status;

    if (!spool_state_is_sane(&known)) {
        known = (struct spool_state){ 0 };
    }
    if (spool->db != NULL) {
        sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    spool_database_close(spool);
    spool->damaged = false;
    spool->undone++;
    status = spool_rebuild_finish(spool, err);
    if (status == GK_OK) {
        status = make(spool, &known, alive, &saved, err);
    }
    if (status == GK_OK) {
        status = spool_rebuild_finish(spool, err);
    }
    if (status == GK_OK) {
        say(spool, &known, &saved, spool_last_set_aside(spool));
    }
    return status;
}
