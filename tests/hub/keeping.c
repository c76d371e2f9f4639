/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the hub's server certificate and its CRL. */
#include "tests/hub/keeping.h"

#include "tests/hub/file.h"
#include "tests/hub/setting.h"
#include "tests/hub/text.h"

#include <sys/stat.h>

#define ROOT_DAYS 3650

/* How the server's certificate can be wrong. */
static const struct flaw {
    const char *name;
    const char *names; /* NULL: the right ones */
    bool expired;
    bool other_ca;
} flaws[] = {
    { "", NULL, false, false },
    { "expired", NULL, true, false },
    { "other-name", "DNS:elsewhere.example", false, false },
    { "other-ca", NULL, false, true },
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
    const struct hub_terms terms = {
        .profile = HUB_PROFILE_SERVER,
        .from_s = flaw->expired ? -2 * HUB_DAY_S : 0,
        .life_s =
            flaw->expired ? HUB_DAY_S : hub_setting_number(hub->store, HUB_SETTING_SERVER_SECONDS),
    };
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
        status = hub_authority_certify(other != NULL ? other : hub->authority, &request, serial,
                                       &terms, &issued, err);
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

    return hub_number(row, "expireMs") - hub_now_ms() <
           hub_setting_number(hub->store, HUB_SETTING_SERVER_SECONDS) * 1000 / 3;
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

/* What the CA knows of the revoked, as it goes into a list. */
static struct hub_revocation *read_revoked(struct hub *hub, size_t *count)
{
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(hub->store,
                                  "SELECT serial, revokedMs, reason FROM certificate"
                                  " WHERE revokedMs IS NOT NULL ORDER BY serial",
                                  "");
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

static enum gk_status sign_crl(struct hub *hub, struct hub_authority *authority, int64_t from_s,
                               char **pem, struct gk_error *err)
{
    size_t count;
    CLEANUP(gk_freep) struct hub_revocation *revoked = read_revoked(hub, &count);

    if (revoked == NULL) {
        return gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return hub_authority_crl(authority, revoked, count, hub_store_next(hub->store, "crl", 1),
                             from_s, hub_setting_number(hub->store, HUB_SETTING_CRL_SECONDS), pem,
                             err);
}

enum gk_status hub_keep_crl(struct hub *hub, struct gk_error *err)
{
    CLEANUP(gk_freep) char *pem = NULL;
    enum gk_status status = sign_crl(hub, hub->authority, 0, &pem, err);

    if (status == GK_OK) {
        /* The one before it can still be had, for whoever wants to replay it. */
        unlink(HUB_OLD_CRL_FILE);
        (void)!link(HUB_CRL_FILE, HUB_OLD_CRL_FILE);
        status = hub_file_write(HUB_CRL_FILE, pem, 0644, err);
    }
    if (status == GK_OK) {
        hub->crl_due_ms =
            hub_now_ms() + hub_setting_number(hub->store, HUB_SETTING_CRL_SECONDS) * 500;
    }
    return status;
}

enum gk_status hub_wrong_crl(struct hub *hub, const char *how, char **pem, struct gk_error *err)
{
    CLEANUP(hub_authority_closep) struct hub_authority *other = NULL;
    enum gk_status status;

    if (strcmp(how, "old") == 0) {
        return hub_file_read(HUB_OLD_CRL_FILE, pem, err);
    }
    if (strcmp(how, "expired") == 0) {
        return sign_crl(hub, hub->authority,
                        -60 - hub_setting_number(hub->store, HUB_SETTING_CRL_SECONDS), pem, err);
    }
    status = hub_other_authority(&other, err);
    return status == GK_OK ? sign_crl(hub, other, 0, pem, err) : status;
}

void hub_take_up_settings(struct hub *hub)
{
    bool modern = hub_setting_is(hub->store, HUB_SETTING_PROFILE, "modern");
    char crl_url[64];
    const struct hub_terms terms = {
        .profile = modern ? HUB_PROFILE_MODERN : HUB_PROFILE_ENOS,
        .from_s = -hub_setting_number(hub->store, HUB_SETTING_BACKDATE_SECONDS),
        .life_s = hub_setting_number(hub->store, HUB_SETTING_CERTIFICATE_SECONDS),
        .crl_url = modern ? crl_url : NULL,
    };

    snprintf(crl_url, sizeof(crl_url), "http://127.0.0.1:%d/enos/CA/crl/RSA.der",
             hub->options.http_port);
    hub_authority_set_terms(hub->authority, &terms);
}
