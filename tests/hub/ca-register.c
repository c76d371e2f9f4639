/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the CA's roots and the register of what they signed. */
#include "tests/hub/ca-register.h"

#include "tests/hub/authority.h"
#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#define MOST_ROOTS 16
#define FIRST_SERIAL 20001
#define LIST_SECONDS 86400
#define POLL_MS 10

struct ca_register {
    struct hub_store *store;
    char *directory;
    int root_days;
    struct hub_authority *roots[MOST_ROOTS]; /* in order; the last one signs */
    char *links[MOST_ROOTS];                 /* links[i] leads to roots[i] */
    int count;
    struct hub_authority *stranger;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS certificate (serial INTEGER PRIMARY KEY, root INTEGER NOT NULL,"
    " profile TEXT NOT NULL, subject TEXT NOT NULL, pem TEXT NOT NULL, signMs INTEGER NOT NULL,"
    " expireMs INTEGER NOT NULL, revokedMs INTEGER, reason INTEGER);"
    "CREATE TABLE IF NOT EXISTS list (number INTEGER PRIMARY KEY, named INTEGER NOT NULL,"
    " published TEXT NOT NULL, everything TEXT NOT NULL, madeMs INTEGER NOT NULL, dueMs INTEGER "
    "NOT NULL);";

static enum gk_status fail_store(struct gk_error *err)
{
    return gk_fail(err, GK_FILE_FAILED, "the CA's register");
}

/* links[i] where there is one: a root may have been made without. */
static enum gk_status read_link(struct ca_register *ca, int index, struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = hub_print("%s/link-%d.pem", ca->directory, index + 1);

    if (path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return access(path, F_OK) == 0 ? hub_file_read(path, &ca->links[index], err) : GK_OK;
}

/* Open the next root, which is made where there is none. */
static enum gk_status add_root(struct ca_register *ca, struct gk_error *err)
{
    enum gk_status status;

    if (ca->count == MOST_ROOTS) {
        return gk_fail(err, GK_USAGE, "more than %d roots", MOST_ROOTS);
    }
    status =
        hub_authority_open(ca->directory, ca->count + 1, ca->root_days, &ca->roots[ca->count], err);
    if (status == GK_OK) {
        status = read_link(ca, ca->count++, err);
    }
    return status;
}

static bool has_root(struct ca_register *ca, int number)
{
    CLEANUP(gk_freep) char *path = hub_print("%s/root-%d.pem", ca->directory, number);

    return path != NULL && access(path, F_OK) == 0;
}

enum gk_status ca_register_open(const char *directory, int root_days, struct ca_register **ca,
                                struct gk_error *err)
{
    CLEANUP(ca_register_closep) struct ca_register *c = calloc(1, sizeof(*c));
    CLEANUP(gk_freep) char *path = hub_print("%s/ca.db", directory);
    enum gk_status status;

    if (c == NULL || path == NULL || (c->directory = strdup(directory)) == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return gk_fail_file(err, errno, directory);
    }
    c->root_days = root_days;
    status = hub_store_open_with(path, schema, &c->store, err);
    if (status == GK_OK) {
        status = add_root(c, err);
    }
    while (status == GK_OK && has_root(c, c->count + 1)) {
        status = add_root(c, err);
    }
    if (status == GK_OK) {
        *ca = TAKE(c);
    }
    return status;
}

void ca_register_close(struct ca_register *ca)
{
    if (ca == NULL) {
        return;
    }
    for (int i = 0; i < ca->count; i++) {
        hub_authority_close(ca->roots[i]);
        free(ca->links[i]);
    }
    hub_authority_close(ca->stranger);
    hub_store_close(ca->store);
    free(ca->directory);
    free(ca);
}

static enum gk_status find_stranger(struct ca_register *ca, struct gk_error *err)
{
    CLEANUP(gk_freep) char *directory = hub_print("%s/stranger", ca->directory);

    if (ca->stranger != NULL) {
        return GK_OK;
    }
    if (directory == NULL || (mkdir(directory, 0700) != 0 && errno != EEXIST)) {
        return gk_fail_file(err, errno, directory);
    }
    return hub_authority_open(directory, 1, ca->root_days, &ca->stranger, err);
}

/* The lie is in the certificate: the root that comes with it is the right one. */
static enum gk_status sign_as_stranger(struct ca_register *ca, const struct ca_order *order,
                                       const struct hub_request *request, struct hub_issued *issued,
                                       struct gk_error *err)
{
    enum gk_status status = find_stranger(ca, err);

    if (status == GK_OK) {
        status =
            hub_authority_issue(ca->stranger, request, order->stranger, &order->terms, issued, err);
    }
    if (status != GK_OK) {
        return status;
    }
    free(issued->root);
    issued->root = strdup(hub_authority_root(ca->roots[ca->count - 1]));
    return issued->root != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

static enum gk_status sign_and_register(struct ca_register *ca, const struct ca_order *order,
                                        const struct hub_request *request,
                                        struct hub_issued *issued, struct gk_error *err)
{
    int root = order->root != 0 ? order->root : ca->count;
    int64_t serial;
    enum gk_status status;

    if (root < 1 || root > ca->count) {
        return gk_fail(err, GK_USAGE, "there is no root %d", root);
    }
    serial = hub_store_next(ca->store, "serial", FIRST_SERIAL);
    status = hub_authority_issue(ca->roots[root - 1], request, serial, &order->terms, issued, err);
    if (status == GK_OK &&
        hub_store_run(ca->store,
                      "INSERT INTO certificate (serial, root, profile, subject, pem, signMs,"
                      " expireMs) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      "iisssii", serial, (int64_t)root, hub_profile_name(order->terms.profile),
                      issued->subject, issued->pem, issued->sign_ms, issued->expire_ms) != 1) {
        return fail_store(err);
    }
    if (status == GK_OK && ca->links[root - 1] != NULL) {
        issued->link = strdup(ca->links[root - 1]);
    }
    return status;
}

enum gk_status ca_register_issue(struct ca_register *ca, const struct ca_order *order,
                                 struct hub_issued *issued, struct gk_error *err)
{
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued i = { 0 };
    enum gk_status status = hub_request_read(order->csr, &request, err);

    if (status != GK_OK) {
        return status;
    }
    status = order->stranger != 0 ? sign_as_stranger(ca, order, &request, &i, err)
                                  : sign_and_register(ca, order, &request, &i, err);
    if (status == GK_OK) {
        *issued = i;
        i = (struct hub_issued){ 0 };
    }
    return status;
}

static int64_t list_life(struct ca_register *ca)
{
    CLEANUP(gk_freep) char *life = hub_store_setting(ca->store, "listSeconds");

    return life != NULL ? strtoll(life, NULL, 10) : LIST_SECONDS;
}

/* The revoked that one root signed or, with root 0, all of them. */
static struct hub_revocation *read_revoked(struct ca_register *ca, int root, size_t *count)
{
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(ca->store,
                                  "SELECT serial, revokedMs, reason FROM certificate"
                                  " WHERE revokedMs IS NOT NULL AND ?1 IN (0, root)",
                                  "i", (int64_t)root);
    struct hub_revocation *revoked = calloc(json_array_size(rows) + 1, sizeof(*revoked));

    *count = revoked != NULL ? json_array_size(rows) : 0;
    for (size_t i = 0; i < *count; i++) {
        const json_t *row = json_array_get(rows, i);

        revoked[i] = (struct hub_revocation){
            .serial = hub_number(row, "serial"),
            .time_ms = hub_number(row, "revokedMs"),
            .reason = (int)hub_number(row, "reason"),
        };
    }
    return revoked;
}

/* A list of the revoked that the root of that number signed, 0 for all, signed by signer. */
static enum gk_status sign_list(struct ca_register *ca, struct hub_authority *signer, int root,
                                int64_t number, int64_t from_s, char **pem, struct gk_error *err)
{
    size_t count;
    CLEANUP(gk_freep) struct hub_revocation *revoked = read_revoked(ca, root, &count);

    return revoked != NULL
               ? hub_authority_crl(signer, revoked, count, number, from_s, list_life(ca), pem, err)
               : fail_store(err);
}

/* One list of every root, one after the other. */
static enum gk_status sign_all(struct ca_register *ca, int64_t number, char **all,
                               struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = strdup("");
    enum gk_status status = GK_OK;

    for (int i = 0; status == GK_OK && i < ca->count; i++) {
        CLEANUP(gk_freep) char *before = TAKE(text);
        CLEANUP(gk_freep) char *pem = NULL;

        status = sign_list(ca, ca->roots[i], i + 1, number, 0, &pem, err);
        text = status == GK_OK ? hub_print("%s%s", before, pem) : NULL;
    }
    if (status == GK_OK && text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *all = TAKE(text);
    return status;
}

/*
 * Lists are dated in whole seconds, and of two of the same second nobody can tell which one is the
 * newer: neither OpenSSL, which the broker checks with, nor a cache. So each has a second of its
 * own.
 */
static void wait_for_another_second(struct ca_register *ca)
{
    CLEANUP(json_decrefp)
    json_t *row = hub_store_row(ca->store, "SELECT max(madeMs) AS madeMs FROM list", "");
    const struct timespec moment = { .tv_nsec = POLL_MS * 1000000L };

    /* By time(), as OpenSSL dates them: it lags a little behind. No longer than that second lasts,
     * though, however far a clock was set back. */
    for (int waited_ms = 0;
         waited_ms < 1000 + POLL_MS && time(NULL) <= hub_number(row, "madeMs") / 1000;
         waited_ms += POLL_MS) {
        nanosleep(&moment, NULL);
    }
}

static enum gk_status renew_lists(struct ca_register *ca, struct gk_error *err)
{
    int64_t number = hub_store_next(ca->store, "list", 1);
    CLEANUP(gk_freep) char *published = NULL;
    CLEANUP(gk_freep) char *all = NULL;
    int64_t now_ms;
    enum gk_status status;

    wait_for_another_second(ca);
    status = sign_list(ca, ca->roots[ca->count - 1], 0, number, 0, &published, err);
    if (status == GK_OK) {
        status = sign_all(ca, number, &all, err);
    }
    now_ms = hub_now_ms();
    if (status == GK_OK &&
        hub_store_run(ca->store,
                      "INSERT INTO list SELECT ?, count(*), ?, ?, ?, ? FROM certificate"
                      " WHERE revokedMs IS NOT NULL",
                      "issii", number, published, all, now_ms, now_ms + list_life(ca) * 500) != 1) {
        return fail_store(err);
    }
    return status;
}

enum gk_status ca_register_revoke(struct ca_register *ca, int64_t serial, int reason,
                                  int64_t *revoked_ms, struct gk_error *err)
{
    int64_t now_ms = hub_now_ms();
    int changed = hub_store_run(ca->store,
                                "UPDATE certificate SET revokedMs = ?, reason = ?"
                                " WHERE serial = ? AND revokedMs IS NULL",
                                "iii", now_ms, (int64_t)reason, serial);
    CLEANUP(json_decrefp) json_t *row = NULL;

    if (changed < 0) {
        return fail_store(err);
    }
    row =
        hub_store_row(ca->store, "SELECT revokedMs FROM certificate WHERE serial = ?", "i", serial);
    if (row == NULL) {
        return gk_fail(err, GK_USAGE, "certificate %lld was never issued", (long long)serial);
    }
    *revoked_ms = hub_number(row, "revokedMs");
    return changed > 0 ? renew_lists(ca, err) : GK_OK;
}

enum gk_status ca_register_set_list_life(struct ca_register *ca, int64_t life_s,
                                         struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = hub_print("%lld", (long long)life_s);

    if (text == NULL || !hub_store_set(ca->store, "listSeconds", text)) {
        return fail_store(err);
    }
    return renew_lists(ca, err);
}

static json_t *read_lists(struct ca_register *ca, const char *how)
{
    static const char last[] = "SELECT published, everything AS 'all', number, dueMs FROM list"
                               " ORDER BY number DESC LIMIT 1";
    static const char before[] =
        "SELECT published, everything AS 'all', number, dueMs FROM list"
        " WHERE number < (SELECT max(number) FROM list)"
        " ORDER BY named < (SELECT max(named) FROM list) DESC, number DESC LIMIT 1";

    return hub_store_row(ca->store, strcmp(how, "old") == 0 ? before : last, "");
}

/* Lists that are right but for what how says. */
static enum gk_status sign_wrong(struct ca_register *ca, const char *how, json_t *lists,
                                 struct gk_error *err)
{
    bool expired = strcmp(how, "expired") == 0;
    CLEANUP(gk_freep) char *pem = NULL;
    enum gk_status status = expired ? GK_OK : find_stranger(ca, err);

    if (status == GK_OK) {
        status =
            sign_list(ca, expired ? ca->roots[ca->count - 1] : ca->stranger, 0,
                      hub_number(lists, "number"), expired ? -60 - list_life(ca) : 0, &pem, err);
    }
    if (status == GK_OK) {
        json_object_set_new(lists, "published", json_string(pem));
    }
    return status;
}

enum gk_status ca_register_lists(struct ca_register *ca, const char *how, json_t **lists,
                                 struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *row = read_lists(ca, how);
    enum gk_status status = GK_OK;

    if (strcmp(how, "old") != 0 && hub_number(row, "dueMs") <= hub_now_ms()) {
        status = renew_lists(ca, err);
        json_decref(row);
        row = status == GK_OK ? read_lists(ca, how) : NULL;
    }
    if (status == GK_OK && row == NULL) {
        return fail_store(err);
    }
    if (status == GK_OK && (strcmp(how, "expired") == 0 || strcmp(how, "other-ca") == 0)) {
        status = sign_wrong(ca, how, row, err);
    }
    if (status == GK_OK) {
        *lists = TAKE(row);
    }
    return status;
}

static enum gk_status write_link(struct ca_register *ca, struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = hub_print("%s/link-%d.pem", ca->directory, ca->count);
    enum gk_status status = hub_authority_link(ca->roots[ca->count - 2], ca->roots[ca->count - 1],
                                               &ca->links[ca->count - 1], err);

    if (path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status == GK_OK ? hub_file_write(path, ca->links[ca->count - 1], 0644, err) : status;
}

enum gk_status ca_register_new_root(struct ca_register *ca, bool with_link, struct gk_error *err)
{
    enum gk_status status = add_root(ca, err);

    if (status == GK_OK && with_link) {
        status = write_link(ca, err);
    }
    return status == GK_OK ? renew_lists(ca, err) : status;
}

enum gk_status ca_register_roots(struct ca_register *ca, json_t **roots, struct gk_error *err)
{
    json_t *list = json_array();

    for (int i = ca->count - 1; i >= 0; i--) {
        json_array_append_new(list,
                              json_pack("{s:i,s:s,s:s?,s:i}", "number", i + 1, "certificate",
                                        hub_authority_root(ca->roots[i]), "link", ca->links[i],
                                        "daysLeft", hub_authority_days_left(ca->roots[i])));
    }
    if ((int)json_array_size(list) != ca->count) {
        json_decref(list);
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *roots = list;
    return GK_OK;
}

enum gk_status ca_register_stranger(struct ca_register *ca, char **root, struct gk_error *err)
{
    enum gk_status status = find_stranger(ca, err);

    if (status == GK_OK && (*root = strdup(hub_authority_root(ca->stranger))) == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status;
}

json_t *ca_register_status(struct ca_register *ca)
{
    return hub_store_row(ca->store,
                         "SELECT ? AS roots, count(*) AS certificates, count(revokedMs) AS revoked,"
                         " (SELECT max(number) FROM list) AS list FROM certificate",
                         "i", (int64_t)ca->count);
}
