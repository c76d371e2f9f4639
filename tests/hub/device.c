/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and commands to them, as EnOS's REST API offers them. */
#include "tests/hub/broker.h"
#include "tests/hub/command.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#include <ctype.h>

#define KEY_LENGTH 10
#define LONGEST_KEY 64
#define ASSET_LENGTH 8
#define SECRET_LENGTH 32

enum code {
    CODE_KEY_TAKEN = 11702,
};

#define DEFAULT_TIMEOUT_S 30
#define LONGEST_TIMEOUT_S 60

/* A key becomes part of topics and user names: nothing that means something there. */
static bool is_key(const char *key)
{
    size_t length = strlen(key);

    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)key[i]) && strchr("-_.:@%", key[i]) == NULL) {
            return false;
        }
    }
    return length > 0 && length <= LONGEST_KEY;
}

static json_t *find_product(struct hub_call *call, const json_t *body, struct hub_answer *answer)
{
    const char *product_key = hub_text(body, "productKey");
    json_t *product = hub_store_row(call->hub->store, "SELECT * FROM product WHERE productKey = ?",
                                    "s", product_key);

    if (product == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: there is no product \"%.64s\"", product_key);
    }
    return product;
}

void hub_device_create(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    CLEANUP(json_decrefp) json_t *product = body != NULL ? find_product(call, body, answer) : NULL;
    const char *name = hub_text(json_object_get(body, "deviceName"), "defaultValue");
    const char *given = hub_text(body, "deviceKey");
    char key[LONGEST_KEY + 1];
    char asset_id[ASSET_LENGTH + 1];
    char secret[SECRET_LENGTH + 1];
    int result;

    if (product == NULL) {
        return;
    }
    if (json_object_get(body, "deviceKey") != NULL && !is_key(given)) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: deviceKey has up to %d letters, digits and "
                          "-_.:@%%",
                          LONGEST_KEY);
        return;
    }
    hub_random_name(key, KEY_LENGTH);
    hub_random_name(asset_id, ASSET_LENGTH);
    hub_random_name(secret, SECRET_LENGTH);
    if (*given != '\0') {
        snprintf(key, sizeof(key), "%s", given);
    }
    result = hub_store_run(call->hub->store,
                           "INSERT INTO device (assetId, productKey, deviceKey, deviceSecret,"
                           " deviceName, timezone, createdMs) VALUES (?, ?, ?, ?, ?, ?, ?)",
                           "ssssssi", asset_id, hub_text(product, "productKey"), key, secret, name,
                           hub_text(body, "timezone"), hub_now_ms());
    if (result != 1) {
        hub_answer_refuse(answer, result == HUB_STORE_TAKEN ? CODE_KEY_TAKEN : HUB_CODE_FAULT,
                          result == HUB_STORE_TAKEN ? "the deviceKey exists" : "internal fault");
        return;
    }
    answer->data =
        json_pack("{s:s,s:s,s:s,s:s}", "assetId", asset_id, "productKey",
                  hub_text(product, "productKey"), "deviceKey", key, "deviceSecret", secret);
}

static const char *status_of(const json_t *device)
{
    if (hub_number(device, "disabled") != 0) {
        return "disabled";
    }
    if (hub_number(device, "activatedMs") == 0) {
        return "inactive";
    }
    return hub_number(device, "online") != 0 ? "online" : "offline";
}

void hub_device_get(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);

    if (device != NULL) {
        answer->data = json_pack(
            "{s:s,s:s,s:s,s:s,s:s,s:{s:s,s:{}},s:s,s:I}", "assetId", hub_text(device, "assetId"),
            "productKey", hub_text(device, "productKey"), "deviceKey",
            hub_text(device, "deviceKey"), "deviceSecret", hub_text(device, "deviceSecret"),
            "timezone", hub_text(device, "timezone"), "deviceName", "defaultValue",
            hub_text(device, "deviceName"), "i18nValue", "status", status_of(device), "createTime",
            (json_int_t)hub_number(device, "createdMs"));
    }
}

static void set_disabled(struct hub_call *call, struct hub_answer *answer, bool disabled)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);

    if (device == NULL) {
        return;
    }
    hub_store_run(call->hub->store, "UPDATE device SET disabled = ? WHERE assetId = ?", "is",
                  (int64_t)disabled, hub_text(device, "assetId"));
    if (disabled) {
        hub_broker_cut_device(call->hub, hub_text(device, "assetId"));
    }
}

void hub_device_enable(struct hub_call *call, struct hub_answer *answer)
{
    set_disabled(call, answer, false);
}

void hub_device_disable(struct hub_call *call, struct hub_answer *answer)
{
    set_disabled(call, answer, true);
}

/* How long to wait, in seconds; 0 with the refusal in answer. */
static int timeout_of(const struct hub_call *call, struct hub_answer *answer)
{
    const char *given = hub_call_parameter(call, "timeout");
    long timeout_s = given != NULL ? strtol(given, NULL, 10) : DEFAULT_TIMEOUT_S;

    if (timeout_s < 1 || timeout_s > LONGEST_TIMEOUT_S) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: timeout is 1 to %d s", LONGEST_TIMEOUT_S);
        return 0;
    }
    return (int)timeout_s;
}

/* Send it and put what came back into the answer: the device's data, and its own code and message
 * beside it. */
static void command(struct hub_call *call, struct hub_answer *answer, const char *service,
                    json_t *params)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *reply = NULL;
    CLEANUP(gk_freep) char *rest = hub_print("thing/service/%s", service);
    int timeout_s = device != NULL ? timeout_of(call, answer) : 0;
    enum hub_command_result result;

    if (timeout_s == 0 || rest == NULL) {
        return;
    }
    result = hub_command_call(call->hub, device, rest, params, timeout_s * 1000, &reply);
    if (result != HUB_COMMAND_ANSWERED) {
        hub_answer_refuse(answer, (int)result,
                          result == HUB_COMMAND_OFFLINE ? "the device is offline"
                                                        : "sent, but no reply in time");
        return;
    }
    answer->data = json_pack("{s:O,s:O?,s:O}", "commandId", json_object_get(reply, "id"),
                             "outputData", json_object_get(reply, "data"), "reply", reply);
    if (hub_number(reply, "code") != 200) {
        hub_answer_refuse(answer, (int)hub_number(reply, "code"), "the device says: %.200s",
                          hub_text(reply, "message"));
    }
}

void hub_device_set_point(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *point = hub_call_parameter(call, "measurepointId");
    json_t *value = json_object_get(body, "value");
    CLEANUP(json_decrefp)
    json_t *params = point != NULL && value != NULL ? json_pack("{s:O}", point, value) : NULL;

    if (body != NULL && params == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: measurepointId or value is missing");
    }
    if (params != NULL) {
        command(call, answer, "measurepoint/set", params);
    }
}

void hub_device_invoke(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *service = hub_call_parameter(call, "serviceId");
    json_t *input = json_object_get(body, "inputData");

    if (body == NULL) {
        return;
    }
    if (service == NULL || !is_key(service) || !json_is_object(input)) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: serviceId or inputData is missing");
        return;
    }
    command(call, answer, service, input);
}
