/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for devices: EnOS's Certificate Service in front of our CA issues and renews them.
 */
#include "tests/hub/keeping.h"
#include "tests/hub/revocation.h"
#include "tests/hub/text.h"

#include <inttypes.h>

enum code {
    CODE_BOUND_ELSEWHERE = 11833,
};

/* What is to be issued. */
struct order {
    struct hub_call *call;
    const json_t *device;
    int64_t replaces; /* the serial it renews, 0 on an application */
    const char *csr;
    int days;
    struct hub_request request;
};

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

/* Whole days the CA's newest root still lives, 0 with the refusal in answer. */
static int root_days_left(struct hub *hub, struct hub_answer *answer)
{
    CLEANUP(hub_ca_roots_clear) struct hub_ca_roots roots = { 0 };
    struct gk_error err = { 0 };

    if (hub_ca_roots(hub->ca, &roots, &err) != GK_OK) {
        hub_answer_fault(answer, "ask the CA for its roots", &err);
        return 0;
    }
    if (roots.days_left < 1) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "call to the CA failed: the root has expired");
    }
    return roots.days_left;
}

/* How many days to issue for, 0 with the refusal in answer. */
static int days_of(struct hub_call *call, const json_t *body, const json_t *product,
                   struct hub_answer *answer)
{
    const json_t *given = json_object_get(body, "validDay");
    int64_t days =
        given != NULL ? json_integer_value(given) : hub_number(product, "defaultValidDay");
    int left;

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
    left = root_days_left(call->hub, answer);
    return (int)(days < left ? days : left);
}

static bool read_request(struct order *order, const json_t *body, struct hub_answer *answer)
{
    const char *authority = hub_text(body, "issueAuthority");
    struct gk_error err = { 0 };
    enum gk_status status;

    if (*authority != '\0' && strcasecmp(authority, "RSA") != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: issueAuthority must be RSA");
        return false;
    }
    if (*order->csr == '\0') {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "csr is missing");
        return false;
    }
    status = hub_request_read(order->csr, &order->request, &err);
    if (status != GK_OK) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "invalid certificate request: %s%.200s",
                          status == GK_NOT_RSA2048 ? "only RSA-2048 is accepted, but " : "",
                          err.object);
    }
    return status == GK_OK;
}

/* Whoever holds a key's certificate is its only device. */
static bool check_key(const struct order *order, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *other =
        hub_store_row(order->call->hub->store,
                      "SELECT serial FROM certificate WHERE keyDigest = ?"
                      " AND assetId IS NOT ?",
                      "ss", order->request.key_digest, hub_text(order->device, "assetId"));

    if (other != NULL) {
        hub_answer_refuse(answer, CODE_BOUND_ELSEWHERE,
                          "the certificate is already bound to another device");
    }
    return other == NULL;
}

/* A first subject must be new among all that were ever issued. */
static bool check_new_name(const struct order *order, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *same = hub_store_row(order->call->hub->store,
                                 "SELECT serial FROM certificate WHERE commonName = ?", "s",
                                 order->request.common_name);

    if (same != NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "duplicate subject: a certificate for CN %.100s was issued before",
                          order->request.common_name);
    }
    return same == NULL;
}

/* What is renewed must be this device's and still good. Its row, or NULL with the refusal in
 * answer.
 */
static json_t *find_renewable(struct hub_call *call, const json_t *device, int64_t serial,
                              struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *old = hub_certificate_bound(call, device, serial, answer);

    if (old == NULL) {
        return NULL;
    }
    if (hub_number(old, "revokedMs") != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "certificate %" PRId64 " is revoked and cannot be renewed", serial);
        return NULL;
    }
    if (hub_number(old, "expireMs") <= hub_now_ms()) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "certificate %" PRId64 " has expired and cannot be renewed", serial);
        return NULL;
    }
    return TAKE(old);
}

/* A renewal keeps the name, whatever became of the key. */
static bool check_old_name(const struct order *order, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *old = find_renewable(order->call, order->device, order->replaces, answer);

    if (old != NULL && strcmp(hub_text(old, "commonName"), order->request.common_name) != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid certificate request: a renewal keeps the CN %.100s",
                          hub_text(old, "commonName"));
        return false;
    }
    return old != NULL;
}

static bool remember(const struct order *order, int64_t serial, const struct hub_issued *issued)
{
    struct hub_store *store = order->call->hub->store;

    return hub_store_run(store,
                         "INSERT INTO certificate (serial, assetId, commonName, subject, issuer,"
                         " keyDigest, pem, signMs, expireMs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         "issssssii", serial, hub_text(order->device, "assetId"),
                         order->request.common_name, issued->subject, issued->issuer,
                         order->request.key_digest, issued->pem, issued->sign_ms,
                         issued->expire_ms) == 1 &&
           hub_store_run(store, "INSERT INTO request (serial, csr, replaces) VALUES (?, ?, ?)",
                         "isi", serial, order->csr, order->replaces) == 1;
}

/* What a test wants instead: the certificate of another key, or of another CA. */
static enum gk_status spoil(const struct order *order, struct hub_issued *issued,
                            struct gk_error *err)
{
    struct hub *hub = order->call->hub;
    CLEANUP(gk_freep) char *key = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    CLEANUP(gk_freep) char *root = NULL; /* that is handed over all the same */
    char value[HUB_FAULT_VALUE_SIZE];
    int64_t serial = issued->serial;
    enum gk_status status = GK_OK;

    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_KEY, value)) {
        status = hub_key_create(&key, err);
        status = status == GK_OK
                     ? hub_request_create(key, order->request.common_name, "DNS:other", &csr, err)
                     : status;
        hub_issued_clear(issued);
        return status == GK_OK ? hub_issue(hub, csr, order->days, issued, err) : status;
    }
    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_CA, value)) {
        root = TAKE(issued->root);
        hub_issued_clear(issued);
        status = hub_issue_by_stranger(hub, serial, order->csr, order->days, issued, err);
        if (status == GK_OK) {
            free(issued->root);
            issued->root = TAKE(root);
        }
        return status;
    }
    return GK_OK;
}

/* The answer lies about the right certificate: another's serial, or a root that did not sign it. */
static enum gk_status spoil_answer(struct hub *hub, int64_t serial, json_t *data,
                                   struct gk_error *err)
{
    CLEANUP(gk_freep) char *stranger = NULL;
    char value[HUB_FAULT_VALUE_SIZE];
    char text[24];
    enum gk_status status = GK_OK;

    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_SERIAL, value)) {
        snprintf(text, sizeof(text), "%" PRId64, serial - 1);
        json_object_set_new(data, "certSN", json_string(text));
    }
    if (hub_fault_take(hub->faults, HUB_FAULT_WRONG_CHAIN, value)) {
        status = hub_ca_stranger(hub->ca, &stranger, err);
        if (status == GK_OK) {
            json_object_set_new(data, "caCert", json_string(stranger));
        }
    }
    return status;
}

static json_t *describe_issued(struct hub *hub, const struct hub_issued *issued)
{
    CLEANUP(gk_freep)
    char *chain_url = hub_print("https://127.0.0.1:%d/enos/CA/cacert/RSA", hub->options.api_port);
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, issued->serial);
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "certChainURL", chain_url, "caCert", issued->root,
                     "cert", issued->pem, "certSN", text, "issueAuthority", "RSA");
}

static bool check_order(const struct order *order, struct hub_answer *answer)
{
    return check_key(order, answer) &&
           (order->replaces != 0 ? check_old_name(order, answer) : check_new_name(order, answer));
}

/*
 * Forward the request to the CA and bind what it issues. The store is not locked while the CA is at
 * work, so what the order asks for is checked again after it; a certificate that cannot be bound
 * any more is revoked.
 */
static enum gk_status issue(const struct order *order, struct hub_issued *issued,
                            struct hub_answer *answer, struct gk_error *err)
{
    struct hub *hub = order->call->hub;
    struct gk_error ignored = { 0 };
    enum gk_status status;
    int64_t revoked_ms;
    bool kept;

    if (!check_order(order, answer)) {
        return GK_OK;
    }
    status = hub_issue(hub, order->csr, order->days, issued, err);
    if (status != GK_OK) {
        return status;
    }
    hub_store_begin(hub->store);
    kept = hub_store_end(hub->store,
                         check_order(order, answer) && remember(order, issued->serial, issued));
    if (!kept && hub_ca_revoke(hub->ca, issued->serial, HUB_REASON_SUPERSEDED, &revoked_ms,
                               &ignored) != GK_OK) {
        hub_say("certificate %" PRId64 " is nobody's and still valid", issued->serial);
    }
    return kept || answer->code != HUB_CODE_OK ? GK_OK
                                               : gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
}

/* Of several certificates of one device only one is valid, as one of EnOS's texts has it. */
static void keep_one(const struct order *order, int64_t serial, struct hub_answer *answer)
{
    struct hub *hub = order->call->hub;
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(hub->store,
                                  "SELECT serial FROM certificate WHERE assetId = ?"
                                  " AND serial <> ? AND revokedMs IS NULL AND expireMs > ?",
                                  "sii", hub_text(order->device, "assetId"), serial, hub_now_ms());
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row)
    {
        hub_certificate_end(hub, hub_number(row, "serial"), HUB_REASON_SUPERSEDED, answer);
    }
}

static void fill(const struct order *order, struct hub_answer *answer)
{
    struct hub *hub = order->call->hub;
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    char value[HUB_FAULT_VALUE_SIZE];
    struct gk_error err = { 0 };
    enum gk_status status = issue(order, &issued, answer, &err);
    int64_t serial = issued.serial;

    if (answer->code != HUB_CODE_OK) {
        return;
    }
    if (status == GK_OK) {
        status = spoil(order, &issued, &err);
    }
    if (status == GK_OK) {
        answer->data = describe_issued(hub, &issued);
        status = spoil_answer(hub, serial, answer->data, &err);
    }
    if (status != GK_OK) {
        hub_answer_fault(answer, "issue a certificate", &err);
        return;
    }
    hub_say("issued certificate %" PRId64 " to %s/%s", serial,
            hub_text(order->device, "productKey"), hub_text(order->device, "deviceKey"));
    if (hub_fault_take(hub->faults, HUB_FAULT_ONE_CERTIFICATE, value)) {
        keep_one(order, serial, answer);
    }
}

void hub_certificate_apply(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *body = device != NULL ? hub_call_json(call, answer) : NULL;
    CLEANUP(json_decrefp)
    json_t *product = body != NULL ? find_product(call, device, answer) : NULL;
    struct order order = { .call = call, .device = device, .csr = hub_text(body, "csr") };

    order.days = product != NULL ? days_of(call, body, product, answer) : 0;
    if (order.days > 0 && read_request(&order, body, answer)) {
        fill(&order, answer);
    }
    hub_request_clear(&order.request);
}

/* The request a certificate was issued by; "" where none is remembered. */
static char *old_request(struct hub *hub, int64_t serial)
{
    CLEANUP(json_decrefp)
    json_t *row =
        hub_store_row(hub->store, "SELECT csr FROM request WHERE serial = ?", "i", serial);

    return strdup(hub_text(row, "csr"));
}

void hub_certificate_renew(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *body = device != NULL ? hub_call_json(call, answer) : NULL;
    CLEANUP(json_decrefp)
    json_t *product = body != NULL ? find_product(call, device, answer) : NULL;
    CLEANUP(json_decrefp) json_t *old = NULL;
    CLEANUP(gk_freep) char *before = NULL;
    struct order order = { .call = call, .device = device };

    if (product == NULL || !hub_certificate_serial(call, body, &order.replaces, answer)) {
        return;
    }
    old = find_renewable(call, device, order.replaces, answer);
    order.days = old != NULL ? days_of(call, body, product, answer) : 0;
    before = old_request(call->hub, order.replaces);
    order.csr = json_object_get(body, "csr") != NULL ? hub_text(body, "csr") : before;
    if (order.days > 0 && read_request(&order, body, answer)) {
        fill(&order, answer);
    }
    hub_request_clear(&order.request);
}
