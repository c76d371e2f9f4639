/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of devices: EnOS's Certificate Service in front of our CA. */
#include "tests/hub/broker.h"
#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#include <inttypes.h>
#include <limits.h>

enum code {
    CODE_BOUND_ELSEWHERE = 11833,
};

/* Revocation reasons as EnOS numbers and spells them. */
static const struct {
    int number;
    const char *name;
} reasons[] = {
    { 0, "UNSPECIFIED" },         { 1, "KEY COMPROMISE" },         { 3, "AFFILIATION CHANGED" },
    { 4, "SUPERSEDED" },          { 5, "CESSATION OF OPERATION" }, { 6, "CERTIFICATE HOLD" },
    { 9, "PRIVILEGE WITHDRAWN" },
};

static const char *reason_name(int64_t number)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].number == number) {
            return reasons[i].name;
        }
    }
    return NULL;
}

/* An internal fault, with what is behind it on stderr. */
static void fault(struct hub_answer *answer, const char *operation, const struct gk_error *err)
{
    char sentence[800];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    hub_say("%s", sentence);
    hub_answer_refuse(answer, HUB_CODE_FAULT, "internal fault of the certificate service");
}

static json_t *find_product(struct hub_call *call, const json_t *device, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *product = hub_store_row(call->hub->store, "SELECT * FROM product WHERE productKey = ?",
                                    "s", hub_text(device, "productKey"));

    if (hub_number(product, "biDirectionalAuth") == 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "the product has no two-way authentication (biDirectionalAuth)");
        return NULL;
    }
    return TAKE(product);
}

/* How many days to issue for, 0 with the refusal in answer. */
static int days_of(struct hub_call *call, const json_t *body, const json_t *product,
                   struct hub_answer *answer)
{
    const json_t *given = json_object_get(body, "validDay");
    int64_t days =
        given != NULL ? json_integer_value(given) : hub_number(product, "defaultValidDay");
    int64_t left = hub_authority_days_left(call->hub->authority);

    if (days < 1) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: validDay is a number of days from 1 on");
        return 0;
    }
    if (days > hub_number(product, "maxValidDay")) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "validDay exceeds the product's maximum of %" PRId64 " days",
                          hub_number(product, "maxValidDay"));
        return 0;
    }
    if (left < 1) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "call to the CA failed: the root has expired");
        return 0;
    }
    return (int)(days < left ? days : left);
}

static bool read_request(const json_t *body, struct hub_request *request, struct hub_answer *answer)
{
    const char *authority = hub_text(body, "issueAuthority");
    const char *csr = hub_text(body, "csr");
    struct gk_error err = { 0 };
    enum gk_status status;

    if (*authority != '\0' && strcasecmp(authority, "RSA") != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: issueAuthority must be RSA");
        return false;
    }
    if (*csr == '\0') {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "csr is missing");
        return false;
    }
    status = hub_request_read(csr, request, &err);
    if (status != GK_OK) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "invalid certificate request: %s%.200s",
                          status == GK_NOT_RSA2048 ? "only RSA-2048 is accepted, but " : "",
                          err.object);
    }
    return status == GK_OK;
}

/* The subject must be new, and the key nobody else's. */
static bool check_unique(struct hub_call *call, const json_t *device,
                         const struct hub_request *request, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *same_key = hub_store_row(call->hub->store,
                                     "SELECT serial FROM certificate WHERE keyDigest = ?"
                                     " AND assetId IS NOT ?",
                                     "ss", request->key_digest, hub_text(device, "assetId"));
    CLEANUP(json_decrefp)
    json_t *same_name =
        hub_store_row(call->hub->store, "SELECT serial FROM certificate WHERE commonName = ?", "s",
                      request->common_name);

    if (same_key != NULL) {
        hub_answer_refuse(answer, CODE_BOUND_ELSEWHERE,
                          "the certificate is already bound to another device");
        return false;
    }
    if (same_name != NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "duplicate subject: a certificate for CN %.100s was issued before",
                          request->common_name);
        return false;
    }
    return true;
}

static bool remember(struct hub_call *call, const json_t *device, int64_t serial,
                     const struct hub_request *request, const struct hub_issued *issued)
{
    return hub_store_run(call->hub->store,
                         "INSERT INTO certificate (serial, assetId, commonName, subject, issuer,"
                         " keyDigest, pem, signMs, expireMs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         "issssssii", serial, hub_text(device, "assetId"), request->common_name,
                         issued->subject, issued->issuer, request->key_digest, issued->pem,
                         issued->sign_ms, issued->expire_ms) == 1;
}

static char *url(struct hub *hub, const char *path)
{
    return hub_print("https://127.0.0.1:%d%s", hub->options.api_port, path);
}

/* What a test wants instead: the certificate of another key, or of another CA. */
static enum gk_status spoil(struct hub *hub, const struct hub_request *request, int64_t serial,
                            int days, const char *crl_url, struct hub_issued *issued,
                            struct gk_error *err)
{
    CLEANUP(hub_request_clear) struct hub_request other = { 0 };
    CLEANUP(hub_authority_closep) struct hub_authority *stranger = NULL;
    CLEANUP(gk_freep) char *key = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    char value[HUB_FAULT_VALUE_SIZE];
    enum gk_status status = GK_OK;

    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_KEY, value)) {
        status = hub_key_create(&key, err);
        status = status == GK_OK
                     ? hub_request_create(key, request->common_name, "DNS:other", &csr, err)
                     : status;
        status = status == GK_OK ? hub_request_read(csr, &other, err) : status;
        hub_issued_clear(issued);
        return status == GK_OK
                   ? hub_authority_issue(hub->authority, &other, serial, days, crl_url, issued, err)
                   : status;
    }
    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_CA, value)) {
        status = hub_other_authority(&stranger, err);
        hub_issued_clear(issued);
        return status == GK_OK
                   ? hub_authority_issue(stranger, request, serial, days, crl_url, issued, err)
                   : status;
    }
    return GK_OK;
}

static json_t *describe_issued(struct hub *hub, int64_t serial, const struct hub_issued *issued)
{
    CLEANUP(gk_freep) char *chain_url = url(hub, "/enos/CA/cacert/RSA");
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, serial);
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "certChainURL", chain_url, "caCert",
                     hub_authority_root(hub->authority), "cert", issued->pem, "certSN", text,
                     "issueAuthority", "RSA");
}

/* Issue and bind, or neither; uniqueness is checked in the same transaction. */
static void issue(struct hub_call *call, const json_t *device, const struct hub_request *request,
                  int days, struct hub_answer *answer)
{
    struct hub *hub = call->hub;
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(gk_freep) char *crl_url = url(hub, "/enos/CA/crl/RSA");
    struct gk_error err = { 0 };
    enum gk_status status = GK_OK;
    int64_t serial;
    bool kept;

    hub_store_begin(hub->store);
    if (!check_unique(call, device, request, answer)) {
        hub_store_end(hub->store, false);
        return;
    }
    serial = hub_store_next(hub->store, "serial", 20001);
    status = hub_authority_issue(hub->authority, request, serial, days, crl_url, &issued, &err);
    kept = status == GK_OK && remember(call, device, serial, request, &issued);
    kept = hub_store_end(hub->store, kept);
    if (!kept && status == GK_OK) {
        status = gk_fail(&err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    if (kept) {
        status = spoil(hub, request, serial, days, crl_url, &issued, &err);
    }
    if (status != GK_OK) {
        fault(answer, "issue a certificate", &err);
        return;
    }
    answer->data = describe_issued(hub, serial, &issued);
    hub_say("issued certificate %" PRId64 " to %s/%s", serial, hub_text(device, "productKey"),
            hub_text(device, "deviceKey"));
}

void hub_certificate_apply(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *body = device != NULL ? hub_call_json(call, answer) : NULL;
    CLEANUP(json_decrefp)
    json_t *product = body != NULL ? find_product(call, device, answer) : NULL;
    int days = product != NULL ? days_of(call, body, product, answer) : 0;

    if (days > 0 && read_request(body, &request, answer)) {
        issue(call, device, &request, days, answer);
    }
}

/* A number of the body or, as the documents list it too, of the query; -1 where there is none. */
static int64_t number_of(struct hub_call *call, const json_t *body, const char *name)
{
    const json_t *given = json_object_get(body, name);
    const char *text = given != NULL ? json_string_value(given) : hub_call_parameter(call, name);
    char *end = NULL;
    int64_t number;

    if (json_is_integer(given)) {
        return json_integer_value(given);
    }
    number = text != NULL ? strtoll(text, &end, 10) : -1;
    return text != NULL && *text != '\0' && *end == '\0' ? number : -1;
}

static json_t *find_bound(struct hub_call *call, const json_t *device, int64_t serial,
                          struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *row = hub_store_row(call->hub->store,
                                "SELECT * FROM certificate WHERE serial = ? AND assetId = ?", "is",
                                serial, hub_text(device, "assetId"));

    if (row == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate is not bound to this device");
        return NULL;
    }
    if (hub_number(row, "revokedMs") != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate is revoked already");
        return NULL;
    }
    if (hub_number(row, "expireMs") <= hub_now_ms()) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate has expired");
        return NULL;
    }
    return TAKE(row);
}

/* Mark it, tell the CRL, have the broker take that up, and only then cut the session: it cannot
 * come back. */
static void revoke_now(struct hub_call *call, int64_t serial, int64_t reason,
                       struct hub_answer *answer)
{
    struct hub *hub = call->hub;
    struct gk_error err = { 0 };

    hub_store_run(hub->store, "UPDATE certificate SET revokedMs = ?, reason = ? WHERE serial = ?",
                  "iii", hub_now_ms(), reason, serial);
    if (hub_keep_crl(hub, &err) != GK_OK) {
        fault(answer, "issue the revocation list", &err);
    }
    hub_broker_reload(hub);
    hub_broker_cut(hub, serial);
    hub_say("revoked certificate %" PRId64 " (%s)", serial, reason_name(reason));
}

void hub_certificate_revoke(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp)
    json_t *body =
        device != NULL && call->body_size > 0 ? hub_call_json(call, answer) : json_object();
    CLEANUP(json_decrefp) json_t *row = NULL;
    int64_t serial = number_of(call, body, "certSn");
    int64_t reason = number_of(call, body, "reason");

    if (device == NULL || body == NULL) {
        return;
    }
    if (serial < 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "certSN is missing or negative");
        return;
    }
    reason = reason < 0 ? 0 : reason;
    if (reason_name(reason) == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: there is no reason %" PRId64, reason);
        return;
    }
    row = find_bound(call, device, serial, answer);
    if (row != NULL) {
        revoke_now(call, serial, reason, answer);
    }
}

static json_t *describe_listed(const json_t *row)
{
    bool revoked = hub_number(row, "revokedMs") != 0;
    json_int_t signed_ms = hub_number(row, "signMs");
    json_int_t changed_ms = revoked ? hub_number(row, "revokedMs") : signed_ms;
    int status = revoked ? 1 : hub_number(row, "expireMs") <= hub_now_ms() ? 2 : 0;
    char serial[24];

    snprintf(serial, sizeof(serial), "%" PRId64, hub_number(row, "serial"));
    /* Both spellings of effectiveDate: each stands in one edition of EnOS's documents. */
    return json_pack(
        "{s:s,s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:b,s:s,s:{s:s,s:I,s:s,s:I,s:s,s:b}}",
        "certSN", serial, "cert", serial, "certStatus", status, "issuer", hub_text(row, "issuer"),
        "subject", hub_text(row, "subject"), "signDate", signed_ms, "effectiveDate", signed_ms,
        "effetiveDate", signed_ms, "expireDate", (json_int_t)hub_number(row, "expireMs"), "revoker",
        revoked ? "IoT_Hub" : "", "revokerReason",
        revoked ? reason_name(hub_number(row, "reason")) : "", "isEnosCert", 1, "issueAuthority",
        "RSA", "audit", "createBy", "IoT_Hub", "createTime", signed_ms, "updateBy", "IoT_Hub",
        "updateTime", changed_ms, "ns", "", "deleted", 0);
}

void hub_certificate_list(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *rows = NULL;
    size_t index;
    json_t *row;

    if (device == NULL) {
        return;
    }
    rows = hub_store_rows(call->hub->store,
                          "SELECT * FROM certificate WHERE assetId = ? ORDER BY serial", "s",
                          hub_text(device, "assetId"));
    answer->data = json_array();
    json_array_foreach(rows, index, row)
    {
        json_array_append_new(answer->data, describe_listed(row));
    }
}

void hub_certificate_root(struct hub_call *call, struct hub_answer *answer)
{
    answer->text = strdup(hub_authority_root(call->hub->authority));
}

void hub_certificate_crl(struct hub_call *call, struct hub_answer *answer)
{
    struct gk_error err = { 0 };

    (void)call;
    if (hub_file_read(HUB_CRL_FILE, &answer->text, &err) != GK_OK) {
        fault(answer, "read the revocation list", &err);
    }
}
