/* SPDX-License-Identifier: Apache-2.0 */
/* Which call goes where, and whether it may. */
#include "tests/hub/route.h"

#include "tests/hub/application.h"
#include "tests/hub/text.h"

#include <microhttpd.h>
#include <stdarg.h>

#define TOKENS "/apim-token-service/v2.0/token/"
#define DEVICES "/connect-service/v2.1/devices"
#define COMMANDS "/connect-service/v2.1/commands"
#define CERTIFICATES "/connect-service/v2.0/certificates"

#define EVENTS "/connect-service/v2.1/events"

#define TOKEN_CALL(name, path, handle)                             \
    {                                                              \
        name, "POST", path, NULL, NULL, HUB_ENVELOPE_TOKEN, handle \
    }
#define CALL(name, method, path, action, permission, handle)                 \
    {                                                                        \
        name, method, path, action, permission, HUB_ENVELOPE_SERVICE, handle \
    }
#define PUBLIC_FILE(name, path, handle)                          \
    {                                                            \
        name, "GET", path, NULL, NULL, HUB_ENVELOPE_NONE, handle \
    }

static const struct hub_route routes[] = {
    TOKEN_CALL("token-get", TOKENS "get", hub_token_get),
    TOKEN_CALL("token-refresh", TOKENS "refresh", hub_token_refresh),
    CALL("device-create", "POST", DEVICES, "create", "device-create", hub_device_create),
    CALL("device-get", "GET", DEVICES, "get", "device-read", hub_device_get),
    CALL("device-enable", "POST", DEVICES, "enable", "device-update", hub_device_enable),
    CALL("device-disable", "POST", DEVICES, "disable", "device-update", hub_device_disable),
    CALL("command-set", "POST", COMMANDS, "setMeasurepoint", "command-invoke",
         hub_device_set_point),
    CALL("command-get", "POST", COMMANDS, "getMeasurepoint", "command-invoke",
         hub_device_get_point),
    CALL("command-invoke", "POST", COMMANDS, "invokeService", "command-invoke", hub_device_invoke),
    CALL("event-list", "GET", EVENTS, "list", "event-read", hub_event_list),
    CALL("certificate-apply", "POST", CERTIFICATES, "apply", "certificate-apply",
         hub_certificate_apply),
    CALL("certificate-renew", "POST", CERTIFICATES, "renew", "certificate-renew",
         hub_certificate_renew),
    CALL("certificate-revoke", "POST", CERTIFICATES, "revoke", "certificate-revoke",
         hub_certificate_revoke),
    CALL("certificate-list", "GET", CERTIFICATES, "list", "certificate-read", hub_certificate_list),
    PUBLIC_FILE("cacert", "/enos/CA/cacert", hub_publish_root),
    PUBLIC_FILE("cacert", "/enos/CA/cacert/RSA", hub_publish_root),
    PUBLIC_FILE("crl", "/enos/CA/crl", hub_publish_crl),
    PUBLIC_FILE("crl", "/enos/CA/crl/RSA", hub_publish_crl),
    PUBLIC_FILE("crl", "/enos/CA/crl/RSA.der", hub_publish_crl),
};

/* Beyond the API, by the control socket only. */
static const struct hub_route control_routes[] = {
    { "", "GET", "/faults", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_faults },
    { "", "POST", "/fault", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_fault },
    { "", "GET", "/settings", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_settings },
    { "", "POST", "/setting", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_setting },
    { "", "POST", "/revoke-server", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_revoke_server },
    { "", "POST", "/renew-server", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_renew_server },
    { "", "POST", "/new-root", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_new_root },
    { "", "POST", "/switch-server", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_switch_server },
    { "", "POST", "/drop", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_drop },
    { "", "POST", "/command", NULL, NULL, HUB_ENVELOPE_SERVICE, hub_control_command },
};

void hub_answer_refuse(struct hub_answer *answer, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(answer->message, sizeof(answer->message), format, arguments);
    va_end(arguments);
    hub_plain(answer->message);
    answer->code = code;
}

void hub_answer_fault(struct hub_answer *answer, const char *operation, const struct gk_error *err)
{
    char sentence[800];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    hub_say("%s", sentence);
    if (err->status == GK_UNREACHABLE || err->status == GK_REFUSED) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "call to the CA failed: code %d, message %s, detail %.100s",
                          (int)err->status, gk_status_name(err->status), err->object);
        return;
    }
    hub_answer_refuse(answer, HUB_CODE_FAULT, "internal fault of the certificate service");
}

const char *hub_call_parameter(const struct hub_call *call, const char *name)
{
    for (size_t i = 0; i < call->query_count; i++) {
        if (strcmp(call->query[i].name, name) == 0) {
            return call->query[i].value;
        }
    }
    return NULL;
}

const char *hub_call_header(const struct hub_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

static const struct hub_route *find_in(const struct hub_route *table, size_t count,
                                       const struct hub_call *call)
{
    const char *action = hub_call_parameter(call, "action");

    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].method, call->method) == 0 && strcmp(table[i].path, call->path) == 0 &&
            (table[i].action == NULL || (action != NULL && strcmp(table[i].action, action) == 0))) {
            return &table[i];
        }
    }
    return NULL;
}

const struct hub_route *hub_route_find(const struct hub_call *call)
{
    const struct hub_route *route = find_in(routes, sizeof(routes) / sizeof(routes[0]), call);

    if (route == NULL && call->trusted) {
        route = find_in(control_routes, sizeof(control_routes) / sizeof(control_routes[0]), call);
    }
    if (route != NULL && call->is_plain && route->envelope != HUB_ENVELOPE_NONE) {
        return NULL;
    }
    return route;
}

/* The gateway in front of the services refuses: HTTP 401, and its code. */
static bool turn_away(struct hub_answer *answer, int code, const char *why)
{
    hub_answer_refuse(answer, code, "%s", why);
    answer->http = MHD_HTTP_UNAUTHORIZED;
    return false;
}

static bool check_token(struct hub_call *call, struct hub_answer *answer)
{
    const char *token = hub_call_header(call, "apim-accesstoken");
    CLEANUP(json_decrefp) json_t *row = NULL;

    if (token == NULL || hub_call_header(call, "apim-timestamp") == NULL ||
        hub_call_header(call, "apim-signature") == NULL) {
        return turn_away(answer, 401,
                         "apim-accesstoken, apim-timestamp or apim-signature is missing");
    }
    row = hub_store_row(call->hub->store, "SELECT * FROM token WHERE token = ?", "s", token);
    call->application = hub_application_find(call->hub->store, hub_text(row, "appKey"));
    if (call->application == NULL) {
        return turn_away(answer, 401, "the access token is unknown");
    }
    if (hub_number(row, "expiresMs") <= hub_now_ms()) {
        return turn_away(answer, 1203, "the access token has expired");
    }
    return true;
}

static bool check_signature(struct hub_call *call, struct hub_answer *answer)
{
    char expected[HUB_SIGNATURE_SIZE];

    if (!hub_signature_request(hub_call_header(call, "apim-accesstoken"), call->query,
                               call->query_count, call->body, call->body_size,
                               hub_call_header(call, "apim-timestamp"),
                               hub_text(call->application, "appSecret"), expected) ||
        !hub_signature_equal(expected, hub_call_header(call, "apim-signature"))) {
        return turn_away(answer, 401, "apim-signature does not fit the call");
    }
    return true;
}

static bool check_organisation(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(gk_freep) char *org = hub_store_setting(call->hub->store, "orgId");
    const char *given = hub_call_parameter(call, "orgId");

    if (given == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "invalid call parameters: orgId is missing");
        return false;
    }
    if (org == NULL || strcmp(org, given) != 0) {
        hub_answer_refuse(answer, HUB_CODE_NO_PERMISSION, "no permission in organisation %.64s",
                          given);
        return false;
    }
    return true;
}

bool hub_route_authorise(struct hub_call *call, const struct hub_route *route,
                         struct hub_answer *answer)
{
    const char *product_key = hub_call_parameter(call, "productKey");

    if (route->permission == NULL || call->trusted) {
        return true;
    }
    if (!check_token(call, answer) || !check_signature(call, answer) ||
        !check_organisation(call, answer)) {
        return false;
    }
    if (!hub_application_may(call->application, route->permission)) {
        hub_answer_refuse(answer, HUB_CODE_NO_PERMISSION, "no permission: %.64s lacks %s",
                          hub_text(call->application, "name"), route->permission);
        return false;
    }
    /* Before it is looked up, so that nobody learns what is in a product that is not his. */
    return product_key == NULL || hub_call_may_touch(call, product_key, answer);
}

bool hub_call_may_touch(const struct hub_call *call, const char *product_key,
                        struct hub_answer *answer)
{
    if (call->trusted || hub_application_covers(call->application, product_key)) {
        return true;
    }
    hub_answer_refuse(answer, HUB_CODE_NO_PERMISSION, "no permission for product %.64s",
                      product_key);
    return false;
}

json_t *hub_call_json(const struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *body = json_loadb(call->body != NULL ? call->body : "", call->body_size,
                              JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(body)) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: the body is no JSON object");
        return NULL;
    }
    return TAKE(body);
}

json_t *hub_call_device(const struct hub_call *call, struct hub_answer *answer)
{
    const char *asset_id = hub_call_parameter(call, "assetId");
    const char *product_key = hub_call_parameter(call, "productKey");
    const char *device_key = hub_call_parameter(call, "deviceKey");
    CLEANUP(json_decrefp) json_t *device = NULL;

    if (asset_id == NULL && (product_key == NULL || device_key == NULL)) {
        hub_answer_refuse(
            answer, HUB_CODE_BAD_CALL,
            "device identifier is missing: give assetId, or productKey and deviceKey");
        return NULL;
    }
    device = hub_store_row(call->hub->store,
                           "SELECT * FROM device WHERE assetId = ?1"
                           " OR (?1 IS NULL AND productKey = ?2 AND deviceKey = ?3)",
                           "sss", asset_id, product_key, device_key);
    if (device == NULL) {
        hub_answer_refuse(answer, HUB_CODE_NO_DEVICE, "no such device");
        return NULL;
    }
    return hub_call_may_touch(call, hub_text(device, "productKey"), answer) ? TAKE(device) : NULL;
}
