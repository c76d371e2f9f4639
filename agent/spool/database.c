/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite as the spool uses it: how it is opened, what its codes mean. */
#include "agent/spool/internal.h"

#include <errno.h>
#include <fcntl.h>

#define QUOTED(text) #text
#define STRING(text) QUOTED(text)

/*
 * Exclusive before the first access, so that SQLite keeps the index of its log in memory and not in
 * a mapped file. What is deleted need not be overwritten: that would write pages that are free.
 * Checking cells costs little and finds damage before it spreads.
 */
static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA page_size = " STRING(SPOOL_PAGE) ";"
                                             "PRAGMA journal_mode = WAL;"
                                             "PRAGMA synchronous = FULL;"
                                             "PRAGMA wal_autocheckpoint = 1000;"
                                             "PRAGMA journal_size_limit = 8388608;"
                                             "PRAGMA cache_size = -256;"
                                             "PRAGMA mmap_size = 0;"
                                             "PRAGMA temp_store = MEMORY;"
                                             "PRAGMA secure_delete = OFF;"
                                             "PRAGMA cell_size_check = ON;"
                                             "PRAGMA trusted_schema = OFF;";

/* The body last, so that nothing before it needs the pages that a long one fills. */
#define MESSAGE_COLUMNS                                                         \
    "id INTEGER PRIMARY KEY, accepted INTEGER NOT NULL, raw INTEGER NOT NULL, " \
    "topic TEXT, members TEXT, asked TEXT"

/* The index comes after all of them, so that VACUUM would give each the page it has (header.c). */
static const char tables[] = "CREATE TABLE owner (product_key TEXT, device_key TEXT);"
                             "CREATE TABLE points (" MESSAGE_COLUMNS ", body BLOB NOT NULL);"
                             "CREATE TABLE telemetry (" MESSAGE_COLUMNS ", body BLOB NOT NULL);"
                             "CREATE TABLE kept (" MESSAGE_COLUMNS ", body BLOB NOT NULL);"
                             "CREATE TABLE refused (" MESSAGE_COLUMNS ", refused INTEGER NOT NULL, "
                             "code INTEGER NOT NULL, reason TEXT, body BLOB NOT NULL);"
                             "PRAGMA user_version = 1;";

/* The table stands between the two; of what a message costs in lane points the topic is known. */
static const struct {
    const char *before, *after;
} texts[STATEMENT_COUNT] = {
    [STATEMENT_PUT] = { "INSERT INTO", "(id, accepted, raw, topic, members, asked, body) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)" },
    [STATEMENT_NEXT] = { "SELECT id, accepted, raw, topic, members, asked, body FROM",
                         "WHERE id > ?1 AND id < ?2 ORDER BY id" },
    [STATEMENT_FRONT] = { "SELECT id, accepted FROM", "ORDER BY id LIMIT 1" },
    [STATEMENT_TOTAL] = { "SELECT count(*), total(" SPOOL_COST ") FROM",
                          "WHERE id BETWEEN ?1 AND ?2" },
    [STATEMENT_REMOVE] = { "DELETE FROM", "WHERE id BETWEEN ?1 AND ?2" },
};

static enum gk_status status_of(sqlite3 *db, int code, const char *path, const char *doing,
                                struct gk_error *err)
{
    const char *words = sqlite3_errstr(code);
    int number = db != NULL ? sqlite3_system_errno(db) : 0;

    switch (code & 0xff) {
    case SQLITE_FULL:
        return gk_fail(err, GK_DISK_FULL, "%s", path);
    case SQLITE_NOMEM:
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return gk_fail(err, GK_FILE_DENIED, "%s: %s", path, words);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return number != 0 && number != ENOENT
                   ? gk_fail_file(err, number, path)
                   : gk_fail(err, GK_FILE_FAILED, "%s: %s: %s", path, doing, words);
    case SQLITE_BUSY:
        gk_fail(err, GK_SPOOL_FAILED, "%s: another program has it open", path);
        gk_advise(err, "end that program; only gatekeyd may open it");
        return GK_SPOOL_FAILED;
    default:
        return gk_fail(err, GK_SPOOL_FAILED, "%s: %s: %s (%d)", path, doing, words, code);
    }
}

/* A page that cannot be read is as good as damaged: what is on the others must not wait for it. */
static bool is_damage(const char *path, int code)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return true;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ ||
               code == SQLITE_IOERR_CORRUPTFS;
    case SQLITE_READONLY:
        return access(path, W_OK) == 0; /* its header says so */
    default:
        return false;
    }
}

enum gk_status spool_database_fail(struct spool *spool, int code, const char *doing,
                                   struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = status_of(spool->db, code, spool->path, doing, &why);

    spool->damaged = spool->damaged || is_damage(spool->path, code);
    if (spool->in_transaction && spool->lost == GK_OK &&
        (spool->damaged || sqlite3_get_autocommit(spool->db) != 0)) {
        spool->lost = status;
        spool->lost_why = why;
    }
    if (err != NULL) {
        *err = why;
    }
    return status;
}

/* Our statements are right, so that it is the file that is not. */
static int of_schema(int code)
{
    return code == SQLITE_ERROR ? SQLITE_CORRUPT : code;
}

enum gk_status spool_database_run(struct spool *spool, const char *sql, struct gk_error *err)
{
    int code = sqlite3_exec(spool->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? GK_OK : spool_database_fail(spool, of_schema(code), "using it", err);
}

enum gk_status spool_database_prepare(struct spool *spool, const char *sql,
                                      sqlite3_stmt **statement, struct gk_error *err)
{
    int code = sqlite3_prepare_v2(spool->db, sql, -1, statement, NULL);

    return code == SQLITE_OK ? GK_OK : spool_database_fail(spool, of_schema(code), "using it", err);
}

enum gk_status spool_database_statement(struct spool *spool, enum spool_lane lane,
                                        enum spool_statement which, sqlite3_stmt **statement,
                                        struct gk_error *err)
{
    sqlite3_stmt **kept = &spool->statements[lane][which];

    if (*kept == NULL) {
        CLEANUP(gk_freep) char *text = NULL;
        int code = SQLITE_NOMEM;

        if (asprintf(&text, "%s %s %s", texts[which].before, spool_lane_table(lane),
                     texts[which].after) >= 0) {
            code = sqlite3_prepare_v3(spool->db, text, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
        } else {
            text = NULL;
        }
        if (code != SQLITE_OK) {
            return spool_database_fail(spool, of_schema(code), "using it", err);
        }
    }
    sqlite3_reset(*kept);
    *statement = *kept;
    return GK_OK;
}

static bool is_new(struct spool *spool, int *code)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *statement = NULL;

    *code =
        sqlite3_prepare_v2(spool->db, "SELECT 1 FROM sqlite_master LIMIT 1", -1, &statement, NULL);
    if (*code == SQLITE_OK) {
        *code = sqlite3_step(statement);
    }
    return *code == SQLITE_DONE;
}

static enum gk_status make_tables(struct spool *spool, struct gk_error *err)
{
    CLEANUP(sqlite3_finalizep) sqlite3_stmt *owner = NULL;
    enum gk_status status = spool_database_run(spool, tables, err);
    int code;

    if (status == GK_OK) {
        status = spool_database_prepare(spool, "INSERT INTO owner VALUES (?1, ?2)", &owner, err);
    }
    if (status != GK_OK) {
        return status;
    }
    sqlite3_bind_text(owner, 1, spool->settings.product_key, -1, SQLITE_STATIC);
    sqlite3_bind_text(owner, 2, spool->settings.device_key, -1, SQLITE_STATIC);
    code = sqlite3_step(owner);
    status = code == SQLITE_DONE ? spool_state_make(spool, err)
                                 : spool_database_fail(spool, code, "using it", err);
    return status == GK_OK
               ? spool_database_run(spool, "CREATE INDEX refused_when ON refused (refused)", err)
               : status;
}

/* SQLite would make it for everybody to read. */
static enum gk_status create(const char *path, struct gk_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        return gk_fail_file(err, errno, path);
    }
    close(fd);
    return GK_OK;
}

enum gk_status spool_database_open(struct spool *spool, struct gk_error *err)
{
    enum gk_status status = create(spool->path, err);
    int code;

    if (status != GK_OK) {
        return status;
    }
    code =
        sqlite3_open_v2(spool->path, &spool->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        return spool_database_fail(spool, code, "opening it", err);
    }
    sqlite3_extended_result_codes(spool->db, 1);
    sqlite3_db_config(spool->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    status = spool_database_run(spool, settings, err);
    if (status != GK_OK) {
        return status;
    }
    if (is_new(spool, &code)) {
        status = spool_database_run(spool, "BEGIN IMMEDIATE", err);
        if (status == GK_OK) {
            status = make_tables(spool, err);
        }
        return status == GK_OK ? spool_database_run(spool, "COMMIT", err) : status;
    }
    return code == SQLITE_ROW ? GK_OK : spool_database_fail(spool, code, "reading it", err);
}

void spool_database_close(struct spool *spool)
{
    for (size_t lane = 0; lane < SPOOL_LANES; lane++) {
        for (size_t i = 0; i < STATEMENT_COUNT; i++) {
            sqlite3_finalize(TAKE(spool->statements[lane][i]));
        }
    }
    sqlite3_finalize(TAKE(spool->state_write));
    sqlite3_close(TAKE(spool->db));
}
