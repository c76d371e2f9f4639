/* SPDX-License-Identifier: Apache-2.0 */
/* Decides who may connect. */
#include "tests/hub/admission.h"

#include "tests/hub/connect.h"
#include "tests/hub/setting.h"
#include "tests/hub/signature.h"
#include "tests/hub/text.h"

#include <inttypes.h>
#include <stdarg.h>

#define SECOND_MS INT64_C(1000)
#define WINDOW_MS (120 * SECOND_MS)
#define WINDOW_CONNECTS 4
#define LOCKED_MS (300 * SECOND_MS)

/* What one judgement looks at. */
struct applicant {
    struct hub *hub;
    const struct hub_connect *connect;
    const char *password;
    X509 *certificate;
    json_t *product;
    json_t *device;
    int64_t now_ms;
};

/* Always false, so that a check can end with it. */
static bool refuse(struct hub_verdict *verdict, enum hub_connack connack, int code,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool refuse(struct hub_verdict *verdict, enum hub_connack connack, int code,
                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(verdict->reason, sizeof(verdict->reason), format, arguments);
    va_end(arguments);
    hub_plain(verdict->reason);
    verdict->connack = connack;
    verdict->code = code;
    return false;
}

void hub_verdict_clear(struct hub_verdict *verdict)
{
    json_decref(verdict->device);
    verdict->device = NULL;
}

static bool find_device(struct applicant *a, struct hub_verdict *verdict)
{
    a->product = hub_store_row(a->hub->store, "SELECT * FROM product WHERE productKey = ?", "s",
                               a->connect->product_key);
    a->device =
        hub_store_row(a->hub->store, "SELECT * FROM device WHERE productKey = ? AND deviceKey = ?",
                      "ss", a->connect->product_key, a->connect->device_key);
    if (a->product == NULL || a->device == NULL) {
        return refuse(verdict, HUB_CONNACK_BAD_CREDENTIALS, 705, "no such device");
    }
    if (hub_number(a->device, "disabled") != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 723, "the device is disabled");
    }
    return true;
}

static int64_t count_since(const struct applicant *a, int64_t age_ms)
{
    CLEANUP(json_decrefp)
    json_t *row =
        hub_store_row(a->hub->store,
                      "SELECT count(*) AS n FROM connect"
                      " WHERE productKey = ? AND deviceKey = ? AND timeMs > ?",
                      "ssi", a->connect->product_key, a->connect->device_key, a->now_ms - age_ms);

    return hub_number(row, "n");
}

/* One CONNECT a second, and more than four in two minutes lock a device out for five. */
static bool check_limits(struct applicant *a, struct hub_verdict *verdict)
{
    if (!hub_setting_is(a->hub->store, HUB_SETTING_ENFORCE_LIMITS, "yes")) {
        return true;
    }
    if (hub_number(a->device, "lockedUntilMs") > a->now_ms) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 429, "locked out by the connect limit");
    }
    if (count_since(a, WINDOW_MS) >= WINDOW_CONNECTS) {
        hub_store_run(a->hub->store, "UPDATE device SET lockedUntilMs = ? WHERE assetId = ?", "is",
                      a->now_ms + LOCKED_MS, hub_text(a->device, "assetId"));
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 429,
                      "more than %d CONNECTs in two minutes: locked out for five", WINDOW_CONNECTS);
    }
    if (count_since(a, SECOND_MS) > 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 429, "more than one CONNECT in a second");
    }
    return true;
}

static bool check_mode(struct applicant *a, struct hub_verdict *verdict)
{
    verdict->activates = strcmp(a->connect->secure_mode, "3") == 0;
    if (!verdict->activates && strcmp(a->connect->secure_mode, "2") != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0, "secure mode %.16s is not offered",
                      a->connect->secure_mode);
    }
    return true;
}

static bool check_signature(struct applicant *a, struct hub_verdict *verdict)
{
    const struct hub_connect *c = a->connect;
    const char *secret = verdict->activates ? hub_text(a->product, "productSecret")
                                            : hub_text(a->device, "deviceSecret");
    char expected[HUB_SIGNATURE_SIZE];

    if (hub_signature_is_weak(c->sign_method) && !a->hub->options.weak_digests) {
        return refuse(verdict, HUB_CONNACK_BAD_CREDENTIALS, 742, "sign method %.16s is too weak",
                      c->sign_method);
    }
    if (!hub_signature_connect(c->sign_method, c->cid, c->device_key, c->product_key, c->timestamp,
                               secret, expected)) {
        return refuse(verdict, HUB_CONNACK_BAD_CREDENTIALS, 742, "sign method %.16s is unknown",
                      c->sign_method);
    }
    if (a->password == NULL || !hub_signature_equal(expected, a->password)) {
        return refuse(verdict, HUB_CONNACK_BAD_CREDENTIALS, 742, "sign check failed");
    }
    return true;
}

static bool check_key(struct applicant *a, struct hub_verdict *verdict)
{
    EVP_PKEY *key = X509_get0_pubkey(a->certificate);

    if (key == NULL || !EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) != 2048) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0,
                      "the client certificate's key is not RSA-2048 but %s with %d bits",
                      key != NULL ? EVP_PKEY_get0_type_name(key) : "unreadable",
                      key != NULL ? EVP_PKEY_get_bits(key) : 0);
    }
    return true;
}

static bool check_binding(struct applicant *a, struct hub_verdict *verdict)
{
    CLEANUP(json_decrefp) json_t *row = NULL;
    int64_t serial = 0;

    if (ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(a->certificate)) != 1) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0, "the certificate was not issued here");
    }
    row = hub_store_row(a->hub->store, "SELECT * FROM certificate WHERE serial = ?", "i", serial);
    if (row == NULL || strcmp(hub_text(row, "assetId"), hub_text(a->device, "assetId")) != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0,
                      "certificate %" PRId64 " is not bound to this device", serial);
    }
    if (hub_number(row, "revokedMs") != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0, "certificate %" PRId64 " is revoked",
                      serial);
    }
    if (a->now_ms - hub_number(row, "signMs") <
        SECOND_MS * hub_fault_number(a->hub->faults, HUB_FAULT_CERTIFICATE_DELAY, 0)) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 0,
                      "certificate %" PRId64 " is not effective yet", serial);
    }
    verdict->serial = serial;
    return true;
}

static bool check_certificate(struct applicant *a, struct hub_verdict *verdict)
{
    if (a->certificate != NULL) {
        return check_key(a, verdict) && check_binding(a, verdict);
    }
    if (!verdict->activates && hub_number(a->product, "biDirectionalAuth") != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 746,
                      "this product's devices connect with a certificate");
    }
    return true;
}

static bool check_activation(struct applicant *a, struct hub_verdict *verdict)
{
    if (!verdict->activates) {
        return true;
    }
    if (hub_number(a->product, "dynamicActivateEnabled") == 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 770,
                      "the product does not allow dynamic activation");
    }
    if (hub_number(a->device, "activatedMs") != 0) {
        return refuse(verdict, HUB_CONNACK_NOT_ALLOWED, 770, "the device was activated before");
    }
    return true;
}

/* A chosen CONNACK, when a test wants one. */
static bool check_fault(struct applicant *a, struct hub_verdict *verdict)
{
    char value[HUB_FAULT_VALUE_SIZE];

    if (hub_fault_take(a->hub->faults, HUB_FAULT_CONNACK, value)) {
        return refuse(verdict, (enum hub_connack)strtol(value, NULL, 10), 0, "a test wants it so");
    }
    return true;
}

static void remember(const struct applicant *a, const struct hub_verdict *verdict)
{
    const char *product_key = a->connect->product_key != NULL ? a->connect->product_key : "";
    const char *device_key = a->connect->device_key != NULL ? a->connect->device_key : "";

    hub_store_run(a->hub->store,
                  "INSERT INTO connect (timeMs, productKey, deviceKey, connack, code, reason)"
                  " VALUES (?, ?, ?, ?, ?, ?)",
                  "issiis", a->now_ms, product_key, device_key, (int64_t)verdict->connack,
                  (int64_t)verdict->code, verdict->reason);
    hub_say("CONNECT of %s/%s: %s%s", product_key, device_key,
            verdict->connack == HUB_CONNACK_ACCEPTED ? "accepted" : "refused, ", verdict->reason);
}

void hub_admit(struct hub *hub, const char *client_id, const char *user_name, const char *password,
               X509 *certificate, struct hub_verdict *verdict)
{
    static bool (*const checks[])(struct applicant *, struct hub_verdict *) = {
        check_fault,     find_device,       check_limits,     check_mode,
        check_signature, check_certificate, check_activation,
    };
    CLEANUP(hub_connect_clear) struct hub_connect connect = { 0 };
    struct applicant a = {
        .hub = hub,
        .connect = &connect,
        .password = password,
        .certificate = certificate,
        .now_ms = hub_now_ms(),
    };
    bool good = hub_connect_parse(client_id, user_name, &connect);

    *verdict = (struct hub_verdict){ 0 };
    if (!good) {
        refuse(verdict, HUB_CONNACK_BAD_ID, 0, "the client id or the user name has another form");
    }
    for (size_t i = 0; good && i < sizeof(checks) / sizeof(checks[0]); i++) {
        good = checks[i](&a, verdict);
    }
    remember(&a, verdict);
    if (good && !verdict->activates) {
        hub_store_run(hub->store,
                      "UPDATE device SET activatedMs = ? WHERE assetId = ? AND activatedMs IS NULL",
                      "is", a.now_ms, hub_text(a.device, "assetId"));
    }
    if (good) {
        verdict->device = TAKE(a.device);
    }
    json_decref(a.device);
    json_decref(a.product);
}
