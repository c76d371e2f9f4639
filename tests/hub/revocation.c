/* SPDX-License-Identifier: Apache-2.0 */
/* The other half of EnOS's Certificate Service: revokes and lists certificates. */
#include "tests/hub/revocation.h"

#include "tests/hub/broker.h"
#include "tests/hub/keeping.h"
#include "tests/hub/text.h"

#include <inttypes.h>

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

json_t *hub_certificate_bound(struct hub_call *call, const json_t *device, int64_t serial,
                              struct hub_answer *answer)
{
    json_t *row = hub_store_row(call->hub->store,
                                "SELECT * FROM certificate WHERE serial = ? AND assetId = ?", "is",
                                serial, hub_text(device, "assetId"));

    if (row == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate is not bound to this device");
    }
    return row;
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

bool hub_certificate_serial(struct hub_call *call, const json_t *body, int64_t *serial,
                            struct hub_answer *answer)
{
    int64_t given = number_of(call, body, "certSn");

    given = given >= 0 ? given : number_of(call, body, "certSN");
    if (given < 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "certSn is missing or negative");
        return false;
    }
    *serial = given;
    return true;
}

void hub_certificate_end(struct hub *hub, int64_t serial, int64_t reason, struct hub_answer *answer)
{
    struct gk_error err = { 0 };

    if (hub_revoke(hub, serial, (int)reason, &err) != GK_OK) {
        hub_answer_fault(answer, "have the CA revoke a certificate", &err);
        return;
    }
    hub_broker_reload(hub);
    hub_broker_cut(hub, serial);
    hub_say("revoked certificate %" PRId64 " (%s)", serial, reason_name(reason));
}

/* Whether it may still be revoked. */
static bool check_live(const json_t *row, struct hub_answer *answer)
{
    if (hub_number(row, "revokedMs") != 0) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate is revoked already");
        return false;
    }
    if (hub_number(row, "expireMs") <= hub_now_ms()) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "the certificate has expired");
        return false;
    }
    return true;
}

void hub_certificate_revoke(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp)
    json_t *body =
        device != NULL && call->body_size > 0 ? hub_call_json(call, answer) : json_object();
    CLEANUP(json_decrefp) json_t *row = NULL;
    int64_t reason = number_of(call, body, "reason");
    int64_t serial;

    if (device == NULL || body == NULL || !hub_certificate_serial(call, body, &serial, answer)) {
        return;
    }
    reason = reason < 0 ? 0 : reason;
    if (reason_name(reason) == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: there is no reason %" PRId64, reason);
        return;
    }
    row = hub_certificate_bound(call, device, serial, answer);
    if (row != NULL && check_live(row, answer)) {
        hub_certificate_end(call->hub, serial, reason, answer);
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
