/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the CA for what the hub keeps: its certificate, the roots, the lists of the revoked. */
#include "tests/hub/keeping.h"

#include "tests/hub/file.h"
#include "tests/hub/setting.h"
#include "tests/hub/text.h"

#include <inttypes.h>
#include <pthread.h>

#define CRL_PATH "/enos/CA/crl/RSA"

/* How the server's certificate can be wrong. */
static const struct flaw {
    const char *name;
    const char *names; /* NULL: the right ones */
    bool expired;
    bool stranger;
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

static enum gk_status read_or_create_key(char **key, struct gk_error *err)
{
    enum gk_status status;

    if (access(HUB_SERVER_KEY_FILE, F_OK) == 0) {
        return hub_file_read(HUB_SERVER_KEY_FILE, key, err);
    }
    status = hub_key_create(key, err);
    return status == GK_OK ? hub_file_write(HUB_SERVER_KEY_FILE, *key, 0600, err) : status;
}

static bool remember(struct hub *hub, const struct hub_request *request,
                     const struct hub_issued *issued)
{
    return hub_store_run(hub->store,
                         "INSERT INTO certificate (serial, assetId, commonName, subject, issuer,"
                         " keyDigest, pem, signMs, expireMs) VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?)",
                         "isssssii", issued->serial, request->common_name, issued->subject,
                         issued->issuer, request->key_digest, issued->pem, issued->sign_ms,
                         issued->expire_ms) == 1;
}

/* With the link certificate after it, so that whoever knows the old root alone can still follow. */
static enum gk_status store_server_certificate(const struct hub_issued *issued,
                                               struct gk_error *err)
{
    CLEANUP(gk_freep)
    char *chain = hub_print("%s%s", issued->pem, issued->link != NULL ? issued->link : "");

    return chain != NULL ? hub_file_write(HUB_SERVER_CERTIFICATE_FILE, chain, 0644, err)
                         : gk_fail(err, GK_NO_MEMORY, NULL);
}

static enum gk_status ask_for_server_certificate(struct hub *hub, const struct flaw *flaw,
                                                 const char *csr, struct hub_issued *issued,
                                                 struct gk_error *err)
{
    const struct hub_terms terms = {
        .profile = HUB_PROFILE_SERVER,
        .from_s = flaw->expired ? -2 * HUB_DAY_S : 0,
        .life_s =
            flaw->expired ? HUB_DAY_S : hub_setting_number(hub->store, HUB_SETTING_SERVER_SECONDS),
    };

    return flaw->stranger
               ? hub_ca_issue_by_stranger(hub->ca, 1, csr, &terms, issued, err)
               : hub_ca_issue_by(hub->ca,
                                 (int)hub_setting_number(hub->store, HUB_SETTING_SERVER_ROOT), csr,
                                 &terms, issued, err);
}

static enum gk_status renew_server_certificate(struct hub *hub, const struct flaw *flaw,
                                               const char *names, struct gk_error *err)
{
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(gk_freep) char *key = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    enum gk_status status = read_or_create_key(&key, err);

    if (status == GK_OK) {
        status = hub_request_create(key, "localhost", names, &csr, err);
    }
    if (status == GK_OK) {
        status = hub_request_read(csr, &request, err);
    }
    if (status == GK_OK) {
        status = ask_for_server_certificate(hub, flaw, csr, &issued, err);
    }
    if (status == GK_OK && !flaw->stranger && !remember(hub, &request, &issued)) {
        status = gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    if (status == GK_OK) {
        hub_say("the CA issued certificate %" PRId64 " to the hub itself", issued.serial);
        status = store_server_certificate(&issued, err);
    }
    return status;
}

static json_t *server_row(struct hub *hub)
{
    return hub_store_row(hub->store,
                         "SELECT serial, signMs, expireMs FROM certificate"
                         " WHERE assetId IS NULL ORDER BY serial DESC LIMIT 1",
                         "");
}

int64_t hub_server_serial(struct hub *hub)
{
    CLEANUP(json_decrefp) json_t *row = server_row(hub);

    return hub_number(row, "serial");
}

/* A certificate that a test wants wrong stays as it is. */
static void note_when_due(struct hub *hub, const struct flaw *flaw)
{
    CLEANUP(json_decrefp) json_t *row = server_row(hub);
    int64_t sign_ms = hub_number(row, "signMs");

    hub->server_due_ms =
        *flaw->name != '\0' ? INT64_MAX : sign_ms + (hub_number(row, "expireMs") - sign_ms) / 3 * 2;
}

enum gk_status hub_keep_server_certificate(struct hub *hub, bool *changed, struct gk_error *err)
{
    const struct flaw *flaw = current_flaw(hub);
    const char *names = flaw->names != NULL ? flaw->names : hub->options.server_names;
    CLEANUP(gk_freep)
    char *wanted = hub_print("%s %s root %" PRId64 " life %" PRId64, flaw->name, names,
                             hub_setting_number(hub->store, HUB_SETTING_SERVER_ROOT),
                             hub_setting_number(hub->store, HUB_SETTING_SERVER_SECONDS));
    CLEANUP(gk_freep) char *had = hub_store_setting(hub->store, "serverCertificate");
    enum gk_status status;

    if (wanted == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    note_when_due(hub, flaw);
    *changed = had == NULL || strcmp(had, wanted) != 0 || hub_now_ms() >= hub->server_due_ms ||
               access(HUB_SERVER_CERTIFICATE_FILE, F_OK) != 0;
    if (!*changed) {
        return GK_OK;
    }
    status = renew_server_certificate(hub, flaw, names, err);
    note_when_due(hub, flaw);
    if (status == GK_OK && !hub_store_set(hub->store, "serverCertificate", wanted)) {
        status = gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return status;
}

/* One at a time, so that no older list is written over a newer one. */
static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

enum gk_status hub_keep_crl(struct hub *hub, struct gk_error *err)
{
    CLEANUP(unlockp) pthread_mutex_t *lock = &lists_lock;
    CLEANUP(hub_ca_lists_clear) struct hub_ca_lists lists = { 0 };
    enum gk_status status;

    pthread_mutex_lock(lock);
    status = hub_ca_lists(hub->ca, "", &lists, err);
    if (status == GK_OK) {
        status = hub_file_write(HUB_CRL_FILE, lists.published, 0644, err);
    }
    if (status == GK_OK) {
        status = hub_file_write(HUB_CRLS_FILE, lists.all, 0644, err);
    }
    if (status == GK_OK) {
        hub->crl_due_ms = lists.due_ms;
    }
    return status;
}

/* Kept apart from later ones: trust in those is what is to be tried. */
static enum gk_status keep_first_root(const char *trusted, struct gk_error *err)
{
    return access(HUB_FIRST_ROOT_FILE, F_OK) == 0
               ? GK_OK
               : hub_file_write(HUB_FIRST_ROOT_FILE, trusted, 0644, err);
}

enum gk_status hub_keep_roots(struct hub *hub, struct gk_error *err)
{
    CLEANUP(hub_ca_roots_clear) struct hub_ca_roots roots = { 0 };
    enum gk_status status = hub_ca_roots(hub->ca, &roots, err);

    if (status == GK_OK) {
        status = keep_first_root(roots.trusted, err);
    }
    if (status == GK_OK) {
        status = hub_file_write(HUB_PUBLISHED_ROOTS_FILE, roots.published, 0644, err);
    }
    return status == GK_OK ? hub_file_write(HUB_ROOTS_FILE, roots.trusted, 0644, err) : status;
}

/* A device's, by the settings and as a test wants it; the caller frees the URL. */
static struct hub_terms device_terms(struct hub *hub, int days, char **crl_url)
{
    bool modern = hub_setting_is(hub->store, HUB_SETTING_PROFILE, "modern");
    int64_t life_s = hub_setting_number(hub->store, HUB_SETTING_CERTIFICATE_SECONDS);
    struct hub_terms terms = {
        .profile = modern ? HUB_PROFILE_MODERN : HUB_PROFILE_ENOS,
        .from_s = -hub_setting_number(hub->store, HUB_SETTING_BACKDATE_SECONDS),
        .life_s = life_s > 0 ? life_s : days * HUB_DAY_S,
    };
    char value[HUB_FAULT_VALUE_SIZE];

    if (hub_fault_take(hub->faults, HUB_FAULT_CERTIFICATE_TERM, value) &&
        sscanf(value, "%" SCNd64 ":%" SCNd64, &terms.from_s, &terms.life_s) != 2) {
        hub_say("a certificate's term is FROM:LIFE in seconds, not %s", value);
    }
    *crl_url = modern ? hub_print("http://127.0.0.1:%d" CRL_PATH ".der", hub->options.http_port)
                      : hub_print("https://127.0.0.1:%d" CRL_PATH, hub->options.api_port);
    terms.crl_url = *crl_url;
    return terms;
}

enum gk_status hub_issue(struct hub *hub, const char *csr, int days, struct hub_issued *issued,
                         struct gk_error *err)
{
    CLEANUP(gk_freep) char *crl_url = NULL;
    const struct hub_terms terms = device_terms(hub, days, &crl_url);

    return hub_ca_issue(hub->ca, csr, &terms, issued, err);
}

enum gk_status hub_issue_by_stranger(struct hub *hub, int64_t serial, const char *csr, int days,
                                     struct hub_issued *issued, struct gk_error *err)
{
    CLEANUP(gk_freep) char *crl_url = NULL;
    const struct hub_terms terms = device_terms(hub, days, &crl_url);

    return hub_ca_issue_by_stranger(hub->ca, serial, csr, &terms, issued, err);
}

enum gk_status hub_revoke(struct hub *hub, int64_t serial, int reason, struct gk_error *err)
{
    int64_t revoked_ms = 0;
    enum gk_status status = hub_ca_revoke(hub->ca, serial, reason, &revoked_ms, err);

    if (status != GK_OK) {
        return status;
    }
    if (hub_store_run(hub->store,
                      "UPDATE certificate SET revokedMs = ?, reason = ? WHERE serial = ?", "iii",
                      revoked_ms, (int64_t)reason, serial) != 1) {
        return gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return hub_keep_crl(hub, err);
}
