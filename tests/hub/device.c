/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, as EnOS's REST API offers them. */
#include "tests/hub/broker.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#define KEY_LENGTH 10
#define LONGEST_KEY 64
#define ASSET_LENGTH 8
#define SECRET_LENGTH 32
#define LONGEST_SECRET 128

enum code {
    CODE_KEY_TAKEN = 11702,
    CODE_NO_KEY = 11714,
    CODE_PRODUCT_FULL = 11739,
};

static json_t *find_product(struct hub_call *call, const json_t *body, struct hub_answer *answer)
{
    const char *product_key = hub_text(body, "productKey");
    CLEANUP(json_decrefp) json_t *product = NULL;

    if (!hub_call_may_touch(call, product_key, answer)) {
        return NULL;
    }
    product = hub_store_row(call->hub->store, "SELECT * FROM product WHERE productKey = ?", "s",
                            product_key);
    if (product == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: there is no product \"%.64s\"", product_key);
    }
    return TAKE(product);
}

/* What a device is made with. */
struct draft {
    const json_t *product;
    const json_t *body;
    char key[LONGEST_KEY + 1];
    char asset_id[ASSET_LENGTH + 1];
    char secret[LONGEST_SECRET + 1];
};

/* Keys and names, generated where none is given. The device's secret is the caller's choice only
 * where it was put into the device before: by hubctl. False with the refusal in answer. */
static bool fill_draft(const struct hub_call *call, struct draft *draft, struct hub_answer *answer)
{
    const char *key = hub_text(draft->body, "deviceKey");
    const char *secret = call->trusted ? hub_text(draft->body, "deviceSecret") : "";

    if (json_object_get(draft->body, "deviceKey") != NULL && !hub_is_key(key)) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: deviceKey has up to %d letters, digits and "
                          "-_.:@%%",
                          LONGEST_KEY);
        return false;
    }
    if (strlen(secret) > LONGEST_SECRET) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: deviceSecret has up to %d bytes",
                          LONGEST_SECRET);
        return false;
    }
    hub_random_name(draft->key, KEY_LENGTH);
    hub_random_name(draft->asset_id, ASSET_LENGTH);
    hub_random_name(draft->secret, SECRET_LENGTH);
    if (*key != '\0') {
        snprintf(draft->key, sizeof(draft->key), "%s", key);
    }
    if (*secret != '\0') {
        snprintf(draft->secret, sizeof(draft->secret), "%s", secret);
    }
    return true;
}

/* A product that has licences wants one for each device, in deviceAttributes.licence: EnOS has no
 * member of its own for it. */
static bool use_licence(struct hub_store *store, const struct draft *draft,
                        struct hub_answer *answer)
{
    const char *product_key = hub_text(draft->product, "productKey");
    const char *licence = hub_text(json_object_get(draft->body, "deviceAttributes"), "licence");
    CLEANUP(json_decrefp)
    json_t *wants =
        hub_store_row(store, "SELECT 1 FROM licence WHERE productKey = ?", "s", product_key);
    CLEANUP(json_decrefp)
    json_t *found = hub_store_row(store,
                                  "SELECT uses - used AS left FROM licence WHERE productKey = ?"
                                  " AND licence = ?",
                                  "ss", product_key, licence);

    if (wants == NULL) {
        return true;
    }
    if (hub_number(found, "left") < 1) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "invalid call parameters: the licence is %s",
                          *licence == '\0' ? "missing (deviceAttributes.licence)"
                          : found == NULL  ? "unknown"
                                           : "used up");
        return false;
    }
    return hub_store_run(store,
                         "UPDATE licence SET used = used + 1 WHERE productKey = ?"
                         " AND licence = ?",
                         "ss", product_key, licence) == 1;
}

static bool check_room(struct hub_store *store, const struct draft *draft,
                       struct hub_answer *answer)
{
    CLEANUP(json_decrefp)
    json_t *row = hub_store_row(store, "SELECT count(*) AS n FROM device WHERE productKey = ?", "s",
                                hub_text(draft->product, "productKey"));

    if (hub_number(row, "n") >= hub_number(draft->product, "maxDevices")) {
        hub_answer_refuse(answer, CODE_PRODUCT_FULL, "the product has all the devices it may have");
        return false;
    }
    return true;
}

static bool keep_attributes(struct hub_store *store, const struct draft *draft)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(draft->body, "deviceAttributes"), name, value)
    {
        CLEANUP(gk_freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        if (text == NULL || hub_store_run(store,
                                          "INSERT INTO attribute (assetId, kind, name, value)"
                                          " VALUES (?, 'attribute', ?, ?)",
                                          "sss", draft->asset_id, name, text) != 1) {
            return false;
        }
    }
    return true;
}

static bool keep_device(struct hub_store *store, const struct draft *draft,
                        struct hub_answer *answer)
{
    const char *name = hub_text(json_object_get(draft->body, "deviceName"), "defaultValue");
    int result = hub_store_run(store,
                               "INSERT INTO device (assetId, productKey, deviceKey, deviceSecret,"
                               " deviceName, timezone, createdMs) VALUES (?, ?, ?, ?, ?, ?, ?)",
                               "ssssssi", draft->asset_id, hub_text(draft->product, "productKey"),
                               draft->key, draft->secret, name, hub_text(draft->body, "timezone"),
                               hub_now_ms());

    if (result == HUB_STORE_TAKEN) {
        bool given = json_object_get(draft->body, "deviceKey") != NULL;

        hub_answer_refuse(answer, given ? CODE_KEY_TAKEN : CODE_NO_KEY,
                          given ? "the deviceKey exists" : "the deviceKey could not be generated");
    } else if (result != 1 || !keep_attributes(store, draft)) {
        hub_answer_refuse(answer, HUB_CODE_FAULT, "internal fault");
    }
    return answer->code == HUB_CODE_OK;
}

void hub_device_create(struct hub_call *call, struct hub_answer *answer)
{
    struct hub_store *store = call->hub->store;
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    CLEANUP(json_decrefp) json_t *product = body != NULL ? find_product(call, body, answer) : NULL;
    struct draft draft = { .product = product, .body = body };
    bool kept;

    if (product == NULL || !fill_draft(call, &draft, answer)) {
        return;
    }
    hub_store_begin(store);
    kept = check_room(store, &draft, answer) && use_licence(store, &draft, answer) &&
           keep_device(store, &draft, answer);
    if (!hub_store_end(store, kept) && answer->code == HUB_CODE_OK) {
        hub_answer_refuse(answer, HUB_CODE_FAULT, "internal fault");
    }
    if (answer->code == HUB_CODE_OK) {
        answer->data = json_pack("{s:s,s:s,s:s,s:s}", "assetId", draft.asset_id, "productKey",
                                 hub_text(product, "productKey"), "deviceKey", draft.key,
                                 "deviceSecret", draft.secret);
    }
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
