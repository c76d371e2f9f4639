/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the hub's server certificate and its CRL. */
#include "tests/hub/keeping.h"

#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <sys/stat.h>

#define ROOT_DAYS 3650
#define SERVER_DAYS 365

/* How the server's certificate can be wrong. */
static const struct flaw {
    const char *name;
    const char *names; /* NULL: the right ones */
    int not_before_days;
    int days;
    bool other_ca;
} flaws[] = {
    { "", NULL, 0, SERVER_DAYS, false },
    { "expired", NULL, -2, 1, false },
    { "other-name", "DNS:elsewhere.example", 0, SERVER_DAYS, false },
    { "other-ca", NULL, 0, SERVER_DAYS, true },
};

static const struct flaw *current_flaw(struct hub *hub)
{
    char value[HUB_FAULT_VALUE_SIZE] = "";

    if (hub->faults != NULL) {
        hub_fault_take(hub->faults, HUB_FAULT_SERVER_CERTIFICATE, value);
    }
    for (size_t i = 1; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
        if (strcmp(flaws[i].name, value) == 0) {
            return &flaws[i];
        }
    }
    return &flaws[0];
}

enum gk_status hub_other_authority(struct hub_authority **authority, struct gk_error *err)
{
    mkdir(HUB_OTHER_AUTHORITY_DIRECTORY, 0700);
    return hub_authority_open(HUB_OTHER_AUTHORITY_DIRECTORY, ROOT_DAYS, authority, err);
}

static enum gk_status read_or_create_key(char **key, struct gk_error *err)
{
    enum gk_status status;

    if (access(HUB_SERVER_KEY_FILE, F_OK) == 0) {
        return hub_file_read(HUB_SERVER_KEY_FILE, key, err);
    }
    status = hub_key_create(key, err);
    return status == GK_OK ? hub_file_write(HUB_SERVER_KEY_FILE, *key, 0600, err) : status;
}

static bool remember(struct hub *hub, const struct hub_request *request, int64_t serial,
                     const struct hub_issued *issued)
{
    return hub_store_run(hub->store,
                         "INSERT INTO certificate (serial, assetId, commonName, subject, issuer,"
                         " keyDigest, pem, signMs, expireMs) VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?)",
                         "isssssii", serial, request->common_name, issued->subject, issued->issuer,
                         request->key_digest, issued->pem, issued->sign_ms, issued->expire_ms) == 1;
}

/* The hub's own way to its certificate: key pair and request here, the certificate from the CA. */
static enum gk_status issue(struct hub *hub, const struct flaw *flaw, const char *names,
                            struct gk_error *err)
{
    CLEANUP(hub_authority_closep) struct hub_authority *other = NULL;
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(gk_freep) char *key = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    int64_t serial = hub_store_next(hub->store, "serial", 20001);
    enum gk_status status = read_or_create_key(&key, err);

    if (status == GK_OK) {
        status = hub_request_create(key, "localhost", names, &csr, err);
    }
    if (status == GK_OK) {
        status = hub_request_read(csr, &request, err);
    }
    if (status == GK_OK && flaw->other_ca) {
        status = hub_other_authority(&other, err);
    }
    if (status == GK_OK) {
        status =
            hub_authority_issue_server(other != NULL ? other : hub->authority, &request, serial,
                                       flaw->not_before_days, flaw->days, &issued, err);
    }
    if (status == GK_OK && other == NULL && !remember(hub, &request, serial, &issued)) {
        status = gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return status == GK_OK ? hub_file_write(HUB_SERVER_CERTIFICATE_FILE, issued.pem, 0644, err)
                           : status;
}

static bool ends_soon(struct hub *hub)
{
    CLEANUP(json_decrefp)
    json_t *row = hub_store_row(hub->store,
                                "SELECT max(expireMs) AS expireMs FROM certificate"
                                " WHERE assetId IS NULL",
                                "");

    return hub_number(row, "expireMs") - hub_now_ms() < HUB_DAY_MS * SERVER_DAYS / 12;
}

enum gk_status hub_keep_server_certificate(struct hub *hub, bool *changed, struct gk_error *err)
{
    const struct flaw *flaw = current_flaw(hub);
    const char *names = flaw->names != NULL ? flaw->names : hub->options.server_names;
    CLEANUP(gk_freep) char *wanted = hub_print("%s %s", flaw->name, names);
    CLEANUP(gk_freep) char *had = hub_store_setting(hub->store, "serverCertificate");
    enum gk_status status;

    if (wanted == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *changed = had == NULL || strcmp(had, wanted) != 0 || ends_soon(hub) ||
               access(HUB_SERVER_CERTIFICATE_FILE, F_OK) != 0;
    if (!*changed) {
        return GK_OK;
    }
    status = issue(hub, flaw, names, err);
    if (status == GK_OK && !hub_store_set(hub->store, "serverCertificate", wanted)) {
        status = gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return status;
}

enum gk_status hub_keep_crl(struct hub *hub, struct gk_error *err)
{
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(hub->store,
                                  "SELECT serial, revokedMs, reason FROM certificate"
                                  " WHERE revokedMs IS NOT NULL ORDER BY serial",
                                  "");
    size_t count = json_array_size(rows);
    CLEANUP(gk_freep) struct hub_revocation *revoked = calloc(count + 1, sizeof(*revoked));
    CLEANUP(gk_freep) char *pem = NULL;
    enum gk_status status;

    if (rows == NULL || revoked == NULL) {
        return gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);

        revoked[i] = (struct hub_revocation){
            .serial = hub_number(row, "serial"),
            .time_ms = hub_number(row, "revokedMs"),
            .reason = (int)hub_number(row, "reason"),
        };
    }
    status = hub_authority_crl(hub->authority, revoked, count, hub_store_next(hub->store, "crl", 1),
                               HUB_CRL_HOURS, &pem, err);
    return status == GK_OK ? hub_file_write(HUB_CRL_FILE, pem, 0644, err) : status;
}
