/* SPDX-License-Identifier: Apache-2.0 */
/* The spool as a whole: opened, closed, emptied, counted. */
#include "agent/spool/internal.h"

#include "agent/file.h"
#include "config.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

/* Bytes that are read in less than a second everywhere. */
#define CHECK_ALWAYS (8 * 1024 * 1024)

void spool_say(struct spool *spool, const char *format, ...)
{
    char sentence[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    if (spool->settings.said != NULL) {
        spool->settings.said(spool->settings.context, sentence);
    }
}

/* Of a database that begins now, later than any before it. No clock is believed that stands before
 * the build. */
static int64_t begin_now(int64_t before)
{
    int64_t minutes = (int64_t)time(NULL) / 60, built = GK_BUILD_DATE / 60;

    minutes = minutes < built || minutes > SPOOL_MINUTES_MAX / 2 ? built : minutes;
    return minutes > before ? minutes : before + 1;
}

void spool_state_begin(struct spool_state *state, int64_t before)
{
    state->began = begin_now(before);
    state->reserved = spool_first_id(state->began, SPOOL_OWN);
    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        state->lanes[lane].next = spool_first_id(state->began, lane);
    }
}

/* Whose database is it? */
static enum gk_status is_ours(struct spool *spool, bool *ours, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    enum gk_status status = spool_database_prepare(
        spool, "SELECT product_key = ?1 AND device_key = ?2 FROM owner", &statement, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, spool->settings.product_key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, spool->settings.device_key, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        return spool_database_fail(spool, code == SQLITE_DONE ? SQLITE_CORRUPT : code,
                                   "reading its owner", err);
    }
    *ours = sqlite3_column_int(statement, 0) != 0;
    return GK_OK;
}

/* Go on from what was read, and set numbers aside. */
static enum gk_status take_up(struct spool *spool, struct gk_error *err)
{
    enum gk_status status;
    struct stat found;

    spool->now = spool->kept;
    spool->own = spool->kept.reserved;
    spool->grown = stat(spool->path, &found) == 0 ? (uint64_t)found.st_size : 0;
    status = spool_begin(spool, err);
    return status == GK_OK ? spool_commit_only(spool, err) : status;
}

/*
 * What was closed in good order has no log beside it. To check one is to read all of it; where
 * that takes long, it is done after a crash or a power cut only.
 */
static bool must_check(const struct spool *spool)
{
    CLEANUP(gk_freep) char *log = NULL;
    struct stat found;

    if (asprintf(&log, "%s-wal", spool->path) < 0) {
        log = NULL;
        return true;
    }
    return (stat(log, &found) == 0 && found.st_size > 0) ||
           (stat(spool->path, &found) == 0 && found.st_size <= CHECK_ALWAYS);
}

/* Open the file, or make one where there is none. */
static enum gk_status open_file(struct spool *spool, struct gk_error *err)
{
    int64_t last = spool_last_set_aside(spool);

    spool->now = (struct spool_state){ 0 };
    spool_state_begin(&spool->now, last > spool->kept.began ? last : spool->kept.began);
    return spool_database_open(spool, err);
}

static enum gk_status open_ours(struct spool *spool, struct gk_error *err)
{
    enum gk_status status = open_file(spool, err);
    bool ours = false;

    if (status == GK_OK) {
        status = is_ours(spool, &ours, err);
    }
    if (status == GK_OK) {
        status = spool_state_read(spool, &spool->kept, err);
    }
    if (status != GK_OK || ours) {
        return status;
    }
    status = spool_put_away_foreign(spool, err);
    if (status == GK_OK) {
        spool->kept = (struct spool_state){ 0 };
        status = open_file(spool, err);
    }
    return status == GK_OK ? spool_state_read(spool, &spool->kept, err) : status;
}

static enum gk_status open_and_check(struct spool *spool, void (*alive)(void), struct gk_error *err)
{
    bool check = must_check(spool);
    enum gk_status status = open_ours(spool, err);

    if (status == GK_OK && !spool_state_is_sane(&spool->kept)) {
        status = spool_database_fail(spool, SQLITE_CORRUPT, "reading its counters", err);
    }
    if (status == GK_OK && check) {
        status = spool_check(spool, alive, err);
    }
    if (status == GK_OK && check) {
        status = spool_recount(spool, err);
    }
    return status == GK_OK ? take_up(spool, err) : status;
}

enum gk_status spool_begin_file(struct spool *spool, void (*alive)(void), struct gk_error *err)
{
    enum gk_status status = spool_rebuild_finish(spool, err);

    spool->forgotten = false;
    if (status == GK_OK) {
        status = open_and_check(spool, alive, err);
    }
    if (status != GK_OK && spool->damaged) {
        status = spool_rebuild(spool, alive, err);
        if (status == GK_OK) {
            status = open_and_check(spool, alive, err);
        }
    }
    if (status != GK_OK) {
        spool_database_close(spool);
        spool->in_transaction = spool->dirty = false;
        spool->lost = GK_OK;
    }
    return status;
}

bool spool_mend(struct spool *spool)
{
    struct gk_error why = { 0 };

    if (!spool->damaged || spool->in_transaction) {
        return false;
    }
    if (spool_rebuild(spool, spool->alive, &why) == GK_OK &&
        spool_begin_file(spool, spool->alive, &why) == GK_OK) {
        return true;
    }
    spool->failure = why;
    spool_say(spool, "the spool was damaged, and cannot be begun anew: %s (%s)",
              gk_status_cause(why.status), why.object);
    return false;
}

static enum gk_status copy_settings(const struct spool_settings *settings, struct spool *spool,
                                    struct gk_error *err)
{
    spool->settings = *settings;
    spool->settings.directory = strdup(settings->directory);
    spool->settings.product_key = strdup(settings->product_key);
    spool->settings.device_key = strdup(settings->device_key);
    if (asprintf(&spool->path, "%s/" SPOOL_FILE, settings->directory) < 0) {
        spool->path = NULL;
    }
    return spool->settings.directory != NULL && spool->settings.product_key != NULL &&
                   spool->settings.device_key != NULL && spool->path != NULL
               ? GK_OK
               : gk_fail(err, GK_NO_MEMORY, NULL);
}

enum gk_status spool_new(const struct spool_settings *settings, struct spool **spool,
                         struct gk_error *err)
{
    CLEANUP(spool_closep) struct spool *made = calloc(1, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->shrink_from = SPOOL_SHRINK_FROM;
    status = copy_settings(settings, made, err);
    if (status != GK_OK) {
        return status;
    }
    gk_fail(&made->failure, GK_SPOOL_FAILED, "%s: it was not opened yet", made->path);
    *spool = TAKE(made);
    return GK_OK;
}

enum gk_status spool_start(struct spool *spool, void (*alive)(void), struct gk_error *err)
{
    enum gk_status status = GK_OK;

    spool->alive = alive;
    if (!spool_is_open(spool)) {
        status = spool_begin_file(spool, alive, &spool->failure);
    }
    if (status != GK_OK && err != NULL) {
        *err = spool->failure;
    }
    return status;
}

bool spool_is_open(const struct spool *spool)
{
    return spool->db != NULL || spool->forgotten;
}

enum gk_status spool_open(const struct spool_settings *settings, void (*alive)(void),
                          struct spool **spool, struct gk_error *err)
{
    CLEANUP(spool_closep) struct spool *made = NULL;
    enum gk_status status = spool_new(settings, &made, err);

    if (status == GK_OK) {
        status = spool_start(made, alive, err);
    }
    if (status == GK_OK) {
        *spool = TAKE(made);
    }
    return status;
}

static void free_const(const char *text)
{
    void *memory;

    memcpy(&memory, &text, sizeof(memory));
    free(memory);
}

void spool_close(struct spool *spool)
{
    struct gk_error err = { 0 };

    if (spool == NULL) {
        return;
    }
    if (spool->db != NULL) {
        /* Nobody waits for a verdict; what could not be written now comes again. */
        enum gk_status status = spool_commit(spool, &err);

        (void)status;
    }
    spool_database_close(spool);
    spool_forget_verdicts(spool);
    free(spool->settled);
    free(spool->refused);
    free(spool->path);
    free_const(spool->settings.directory);
    free_const(spool->settings.product_key);
    free_const(spool->settings.device_key);
    free(spool);
}

/* Nothing is left of it, not even a new one, until there is something to put. */
enum gk_status spool_forget(struct spool *spool, struct gk_error *err)
{
    enum gk_status status;

    spool_database_close(spool);
    spool_forget_verdicts(spool);
    spool->in_transaction = spool->dirty = spool->damaged = false;
    spool->lost = GK_OK;
    spool->oldest_ms = 0;
    spool->kept = spool->now = (struct spool_state){ .began = spool->kept.began };
    status = spool_erase(spool->settings.directory, err);
    spool->forgotten = status == GK_OK;
    return status;
}

/* The hub has these, though that is not written yet. */
static void count_settled(const struct spool *spool, struct spool_counters *counters)
{
    for (size_t i = 0; i < spool->settled_count; i++) {
        const struct spool_range *range = &spool->settled[i];

        /* Some may have been lost with a damaged file. */
        if (range->count <= counters->queued && range->bytes <= counters->bytes) {
            counters->queued -= range->count;
            counters->bytes -= range->bytes;
            counters->acknowledged += range->count;
        }
    }
    counters->oldest_ms = counters->queued > 0 ? counters->oldest_ms : 0;
}

void spool_count(const struct spool *spool, struct spool_counters *counters)
{
    const struct spool_state *kept = &spool->kept;

    *counters = (struct spool_counters){ .accepted = kept->accepted,
                                         .acknowledged = kept->acknowledged,
                                         .refused = kept->refused,
                                         .dropped = kept->dropped,
                                         .refused_bytes = kept->refused_bytes,
                                         .rebuilt = kept->rebuilt,
                                         .oldest_ms = spool->oldest_ms };
    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        counters->queued += kept->lanes[lane].count;
        counters->bytes += kept->lanes[lane].bytes;
    }
    count_settled(spool, counters);
}
