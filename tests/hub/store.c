/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the local hub's state in one SQLite file and hands rows out as JSON. */
#include "tests/hub/store.h"

#include "tests/hub/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>

struct hub_store {
    sqlite3 *database;
    pthread_mutex_t lock; /* recursive: statements inside a transaction take it again */
    int depth;            /* of nested transactions */
    bool spoilt;          /* an inner one wants none of it kept */
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS product (productKey TEXT PRIMARY KEY, productSecret TEXT NOT NULL,"
    " biDirectionalAuth INTEGER NOT NULL, dynamicActivateEnabled INTEGER NOT NULL,"
    " defaultValidDay INTEGER NOT NULL, maxValidDay INTEGER NOT NULL,"
    " maxDevices INTEGER NOT NULL DEFAULT 10000);"
    "CREATE TABLE IF NOT EXISTS licence (productKey TEXT NOT NULL, licence TEXT NOT NULL,"
    " uses INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (productKey, licence));"
    "CREATE TABLE IF NOT EXISTS device (assetId TEXT PRIMARY KEY, productKey TEXT NOT NULL,"
    " deviceKey TEXT NOT NULL, deviceSecret TEXT NOT NULL, deviceName TEXT NOT NULL,"
    " timezone TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, activatedMs INTEGER,"
    " online INTEGER NOT NULL DEFAULT 0, lockedUntilMs INTEGER, createdMs INTEGER NOT NULL,"
    " UNIQUE (productKey, deviceKey));"
    "CREATE TABLE IF NOT EXISTS certificate (serial INTEGER PRIMARY KEY, assetId TEXT,"
    " commonName TEXT NOT NULL, subject TEXT NOT NULL, issuer TEXT NOT NULL,"
    " keyDigest TEXT NOT NULL, pem TEXT NOT NULL, signMs INTEGER NOT NULL,"
    " expireMs INTEGER NOT NULL, revokedMs INTEGER, reason INTEGER);"
    "CREATE TABLE IF NOT EXISTS request (serial INTEGER PRIMARY KEY, csr TEXT NOT NULL,"
    " replaces INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS certificateByDevice ON certificate (assetId);"
    "CREATE INDEX IF NOT EXISTS certificateByName ON certificate (commonName);"
    "CREATE TABLE IF NOT EXISTS telemetry (id INTEGER PRIMARY KEY, assetId TEXT NOT NULL,"
    " kind TEXT NOT NULL, timeMs INTEGER NOT NULL, receivedMs INTEGER NOT NULL,"
    " point TEXT NOT NULL, value TEXT NOT NULL, quality INTEGER);"
    "CREATE TABLE IF NOT EXISTS attribute (assetId TEXT NOT NULL, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (assetId, kind, name));"
    "CREATE TABLE IF NOT EXISTS application (name TEXT PRIMARY KEY, appKey TEXT NOT NULL UNIQUE,"
    " appSecret TEXT NOT NULL, permissions TEXT NOT NULL, products TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, appKey TEXT NOT NULL,"
    " expiresMs INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS encryption (value TEXT PRIMARY KEY);"
    "CREATE TABLE IF NOT EXISTS connect (id INTEGER PRIMARY KEY, timeMs INTEGER NOT NULL,"
    " productKey TEXT NOT NULL, deviceKey TEXT NOT NULL, connack INTEGER NOT NULL,"
    " code INTEGER NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS connectByDevice ON connect (productKey, deviceKey, timeMs);"
    "CREATE TABLE IF NOT EXISTS command (id INTEGER PRIMARY KEY, timeMs INTEGER NOT NULL,"
    " assetId TEXT NOT NULL, topic TEXT NOT NULL, commandId TEXT NOT NULL, payload TEXT NOT NULL,"
    " code INTEGER, endMs INTEGER);"
    "CREATE TABLE IF NOT EXISTS answer (id INTEGER PRIMARY KEY, timeMs INTEGER NOT NULL,"
    " assetId TEXT NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS incident (id INTEGER PRIMARY KEY, timeMs INTEGER NOT NULL,"
    " productKey TEXT NOT NULL, deviceKey TEXT NOT NULL, code INTEGER NOT NULL,"
    " reason TEXT NOT NULL);";

static void finalizep(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

static pthread_mutex_t *lock_store(struct hub_store *store)
{
    pthread_mutex_lock(&store->lock);
    return &store->lock;
}

static void complain(struct hub_store *store, const char *sql)
{
    hub_say("the database refused (%s): %s", sqlite3_errmsg(store->database), sql);
}

enum gk_status hub_store_open(const char *path, struct hub_store **store, struct gk_error *err)
{
    return hub_store_open_with(path, schema, store, err);
}

enum gk_status hub_store_open_with(const char *path, const char *tables, struct hub_store **store,
                                   struct gk_error *err)
{
    CLEANUP(hub_store_closep) struct hub_store *s = calloc(1, sizeof(*s));
    pthread_mutexattr_t recursive;

    if (s == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    if (sqlite3_open_v2(path, &s->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK) {
        return gk_fail(err, GK_FILE_FAILED, "%s: %s", path, sqlite3_errmsg(s->database));
    }
    /* Launcher, broker and hubctl may have the file open at once. */
    sqlite3_busy_timeout(s->database, 5000);
    if (sqlite3_exec(s->database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", NULL,
                     NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->database, tables, NULL, NULL, NULL) != SQLITE_OK) {
        return gk_fail(err, GK_BAD_FILE, "%s: %s", path, sqlite3_errmsg(s->database));
    }
    *store = TAKE(s);
    return GK_OK;
}

void hub_store_close(struct hub_store *store)
{
    if (store != NULL) {
        sqlite3_close(store->database);
        pthread_mutex_destroy(&store->lock);
        free(store);
    }
}

static sqlite3_stmt *prepare(struct hub_store *store, const char *sql, const char *types,
                             va_list arguments)
{
    CLEANUP(finalizep) sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);

    for (int i = 0; result == SQLITE_OK && types[i] != '\0'; i++) {
        if (types[i] == 's') {
            result = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                       SQLITE_TRANSIENT);
        } else {
            result = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
        }
    }
    if (result != SQLITE_OK) {
        complain(store, sql);
        return NULL;
    }
    return TAKE(statement);
}

int hub_store_run(struct hub_store *store, const char *sql, const char *types, ...)
{
    CLEANUP(unlockp) pthread_mutex_t *lock __attribute__((unused)) = lock_store(store);
    CLEANUP(finalizep) sqlite3_stmt *statement = NULL;
    va_list arguments;
    int result;

    va_start(arguments, types);
    statement = prepare(store, sql, types, arguments);
    va_end(arguments);
    if (statement == NULL) {
        return HUB_STORE_FAILED;
    }
    do {
        result = sqlite3_step(statement);
    } while (result == SQLITE_ROW);
    if (result == SQLITE_CONSTRAINT) {
        return HUB_STORE_TAKEN;
    }
    if (result != SQLITE_DONE) {
        complain(store, sql);
        return HUB_STORE_FAILED;
    }
    return sqlite3_changes(store->database);
}

static json_t *column_value(sqlite3_stmt *statement, int column)
{
    json_t *value = NULL;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value = json_integer(sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        value = json_real(sqlite3_column_double(statement, column));
        break;
    case SQLITE_TEXT:
        value = json_stringn((const char *)sqlite3_column_text(statement, column),
                             (size_t)sqlite3_column_bytes(statement, column));
        break;
    default:
        break;
    }
    return value != NULL ? value : json_null();
}

static json_t *next_row(sqlite3_stmt *statement)
{
    json_t *row = json_object();

    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        json_object_set_new(row, sqlite3_column_name(statement, i), column_value(statement, i));
    }
    return row;
}

static json_t *collect(struct hub_store *store, const char *sql, const char *types,
                       va_list arguments)
{
    CLEANUP(unlockp) pthread_mutex_t *lock __attribute__((unused)) = lock_store(store);
    CLEANUP(finalizep) sqlite3_stmt *statement = prepare(store, sql, types, arguments);
    CLEANUP(json_decrefp) json_t *rows = json_array();
    int result;

    if (statement == NULL) {
        return NULL;
    }
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        json_array_append_new(rows, next_row(statement));
    }
    if (result != SQLITE_DONE) {
        complain(store, sql);
        return NULL;
    }
    return TAKE(rows);
}

json_t *hub_store_rows(struct hub_store *store, const char *sql, const char *types, ...)
{
    va_list arguments;
    json_t *rows;

    va_start(arguments, types);
    rows = collect(store, sql, types, arguments);
    va_end(arguments);
    return rows;
}

json_t *hub_store_row(struct hub_store *store, const char *sql, const char *types, ...)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    va_list arguments;

    va_start(arguments, types);
    rows = collect(store, sql, types, arguments);
    va_end(arguments);
    return json_incref(json_array_get(rows, 0));
}

void hub_store_begin(struct hub_store *store)
{
    pthread_mutex_lock(&store->lock);
    if (store->depth++ == 0) {
        store->spoilt = hub_store_run(store, "BEGIN IMMEDIATE", "") < 0;
    }
}

bool hub_store_end(struct hub_store *store, bool keep)
{
    bool kept = false;

    store->spoilt |= !keep;
    if (--store->depth > 0) {
        kept = keep;
    } else if (!store->spoilt) {
        kept = hub_store_run(store, "COMMIT", "") >= 0;
    }
    if (store->depth == 0 && !kept && !sqlite3_get_autocommit(store->database)) {
        hub_store_run(store, "ROLLBACK", "");
    }
    pthread_mutex_unlock(&store->lock);
    return kept;
}

char *hub_store_setting(struct hub_store *store, const char *name)
{
    CLEANUP(json_decrefp)
    json_t *row = hub_store_row(store, "SELECT value FROM setting WHERE name = ?", "s", name);

    return row != NULL ? strdup(hub_text(row, "value")) : NULL;
}

bool hub_store_set(struct hub_store *store, const char *name, const char *value)
{
    return hub_store_run(store, "INSERT OR REPLACE INTO setting VALUES (?, ?)", "ss", name,
                         value) == 1;
}

int64_t hub_store_next(struct hub_store *store, const char *sequence, int64_t first)
{
    CLEANUP(gk_freep) char *last = NULL;
    char text[24];
    int64_t next;
    bool kept;

    hub_store_begin(store);
    last = hub_store_setting(store, sequence);
    next = last != NULL ? strtoll(last, NULL, 10) + 1 : first;
    snprintf(text, sizeof(text), "%" PRId64, next);
    kept = hub_store_end(store, hub_store_set(store, sequence, text));
    return kept ? next : -1;
}

const char *hub_text(const json_t *row, const char *column)
{
    const char *text = json_string_value(json_object_get(row, column));

    return text != NULL ? text : "";
}

int64_t hub_number(const json_t *row, const char *column)
{
    return json_integer_value(json_object_get(row, column));
}
