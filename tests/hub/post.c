/* SPDX-License-Identifier: Apache-2.0 */
/* Takes in what devices publish and says what EnOS would reply. */
#include "tests/hub/post.h"

#include "tests/hub/command.h"
#include "tests/hub/text.h"

#include <inttypes.h>
#include <stdarg.h>

/* EnOS's codes. */
enum code {
    CODE_OK = 200,
    CODE_TOO_LARGE = 1008,
    CODE_NOT_ALLOWED = 1009,
    CODE_MODEL = 1204,
    CODE_POINT_FORMAT = 1206,
    CODE_ATTRIBUTE_UPDATE = 1207,
    CODE_ATTRIBUTE_QUERY = 1208,
    CODE_ATTRIBUTE_DELETE = 1209,
    CODE_SUB_DEVICE = 1212,
    CODE_NOT_JSON = 1220,
    CODE_EMPTY = 1251,
    CODE_METHOD = 1260,
};

#define MOST_ATTRIBUTES 200

/* One request and what it is answered. */
struct post {
    struct hub *hub;
    const struct hub_session *session;
    const char *rest;
    json_t *envelope;
    json_t *params;
    json_t *data; /* of the reply; NULL is {} */
    char message[120];
};

static int fail(struct post *post, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct post *post, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(post->message, sizeof(post->message), format, arguments);
    va_end(arguments);
    return code;
}

void hub_post_blame(struct hub *hub, const struct hub_session *session, int code,
                    const char *format, ...)
{
    char reason[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    hub_store_run(hub->store,
                  "INSERT INTO incident (timeMs, productKey, deviceKey, code, reason)"
                  " VALUES (?, ?, ?, ?, ?)",
                  "issis", hub_now_ms(), session->product_key, session->device_key, (int64_t)code,
                  reason);
    hub_say("%s/%s: %d %s", session->product_key, session->device_key, code, reason);
}

/* A point's value is anything, or {"value": v, "quality": 0 to 9}. */
static bool split_value(json_t *given, json_t **value, const char **quality, char text[static 4])
{
    json_t *inner = json_object_get(given, "value");
    json_t *grade = json_object_get(given, "quality");

    *value = given;
    *quality = NULL;
    if (inner == NULL || grade == NULL || json_object_size(given) != 2) {
        return !json_is_null(given);
    }
    if (!json_is_integer(grade) || json_integer_value(grade) < 0 || json_integer_value(grade) > 9) {
        return false;
    }
    snprintf(text, 4, "%d", (int)json_integer_value(grade));
    *value = inner;
    *quality = text;
    return true;
}

static bool keep_value(struct post *post, const char *kind, int64_t time_ms, const char *point,
                       json_t *value, const char *quality)
{
    CLEANUP(gk_freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    return text != NULL &&
           hub_store_run(post->hub->store,
                         "INSERT INTO telemetry (assetId, kind, timeMs, receivedMs, point, value,"
                         " quality) VALUES (?, ?, ?, ?, ?, ?, ?)",
                         "ssiisss", post->session->asset_id, kind, time_ms, hub_now_ms(), point,
                         text, quality) == 1;
}

/* {"measurepoints": {point: value}, "time": ms}; time may be missing. */
static int keep_points(struct post *post, const char *kind, json_t *params)
{
    json_t *points = json_object_get(params, "measurepoints");
    json_t *time = json_object_get(params, "time");
    int64_t time_ms = time != NULL ? json_integer_value(time) : hub_now_ms();
    const char *point;
    json_t *given;

    if (json_object_size(points) == 0 || (time != NULL && !json_is_integer(time))) {
        return fail(post, CODE_POINT_FORMAT, "params must hold measurepoints, and time in ms");
    }
    json_object_foreach(points, point, given)
    {
        char text[4];
        const char *quality;
        json_t *value;

        if (!split_value(given, &value, &quality, text)) {
            return fail(post, CODE_POINT_FORMAT, "measurepoint %.40s", point);
        }
        if (!keep_value(post, kind, time_ms, point, value, quality)) {
            return fail(post, CODE_MODEL, "could not be stored");
        }
    }
    return CODE_OK;
}

static int whole(struct post *post, int code)
{
    return hub_store_end(post->hub->store, code == CODE_OK) || code != CODE_OK ? code : CODE_MODEL;
}

static int take_points(struct post *post, const char *kind)
{
    hub_store_begin(post->hub->store);
    return whole(post, keep_points(post, kind, post->params));
}

static bool is_own(const struct post *post, const json_t *entry)
{
    const char *product_key = hub_text(entry, "productKey");
    const char *device_key = hub_text(entry, "deviceKey");

    return (*product_key == '\0' || strcmp(product_key, post->session->product_key) == 0) &&
           (*device_key == '\0' || strcmp(device_key, post->session->device_key) == 0);
}

/* All or nothing, unless the invalid ones are to be skipped. */
static int take_batch(struct post *post, const char *kind)
{
    bool skip = json_is_true(json_object_get(post->envelope, "skipInvalidMeasurepoints"));
    int code = json_array_size(post->params) > 0
                   ? CODE_OK
                   : fail(post, CODE_POINT_FORMAT, "params must be an array");
    size_t index;
    json_t *entry;

    hub_store_begin(post->hub->store);
    json_array_foreach(post->params, index, entry)
    {
        int result = is_own(post, entry)
                         ? keep_points(post, kind, entry)
                         : fail(post, CODE_SUB_DEVICE, "entry %zu is of another device", index);

        if (result != CODE_OK && !skip) {
            code = result;
            break;
        }
    }
    return whole(post, code);
}

static int take_event(struct post *post, const char *kind)
{
    json_t *events = json_object_get(post->params, "events");
    json_t *time = json_object_get(post->params, "time");
    const char *id = post->rest + strlen("thing/event/");
    CLEANUP(gk_freep) char *name = strndup(id, strcspn(id, "/"));

    if (!json_is_object(events) || (time != NULL && !json_is_integer(time)) || name == NULL) {
        return fail(post, CODE_MODEL, "params must hold events, and time in ms");
    }
    return keep_value(post, kind, time != NULL ? json_integer_value(time) : hub_now_ms(), name,
                      events, NULL)
               ? CODE_OK
               : fail(post, CODE_MODEL, "could not be stored");
}

static bool keep_attribute(struct post *post, const char *kind, const char *name, json_t *value)
{
    CLEANUP(gk_freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    return text != NULL &&
           hub_store_run(post->hub->store,
                         "INSERT OR REPLACE INTO attribute (assetId, kind, name, value)"
                         " VALUES (?, ?, ?, ?)",
                         "ssss", post->session->asset_id, kind, name, text) == 1;
}

static int update_attributes(struct post *post, const char *kind)
{
    json_t *attributes = json_object_get(post->params, "attributes");
    int code = CODE_OK;
    const char *name;
    json_t *value;

    if (!json_is_object(attributes) || json_object_size(attributes) > MOST_ATTRIBUTES) {
        return fail(post, CODE_ATTRIBUTE_UPDATE, "params must hold up to 200 attributes");
    }
    hub_store_begin(post->hub->store);
    json_object_foreach(attributes, name, value)
    {
        if (!keep_attribute(post, kind, name, value)) {
            code = fail(post, CODE_ATTRIBUTE_UPDATE, "could not be stored");
        }
    }
    return whole(post, code);
}

static int update_tags(struct post *post, const char *kind)
{
    int code = CODE_OK;
    size_t index;
    json_t *tag;

    if (!json_is_array(post->params) || json_array_size(post->params) > MOST_ATTRIBUTES) {
        return fail(post, CODE_MODEL, "params must be an array of up to 200 tags");
    }
    hub_store_begin(post->hub->store);
    json_array_foreach(post->params, index, tag)
    {
        json_t *value = json_object_get(tag, "tagValue");

        if (*hub_text(tag, "tagKey") == '\0' || !json_is_string(value) ||
            !keep_attribute(post, kind, hub_text(tag, "tagKey"), value)) {
            code = fail(post, CODE_MODEL, "tag %zu", index);
        }
    }
    return whole(post, code);
}

/* The names a query or a deletion is about: an array of strings, or nothing. */
static json_t *names_of(struct post *post, const char *kind)
{
    json_t *names = json_object_get(post->params, strcmp(kind, "tag") == 0 ? "tags" : "attributes");
    size_t index;
    json_t *name;

    if (names != NULL && (!json_is_array(names) || json_array_size(names) > MOST_ATTRIBUTES)) {
        return NULL;
    }
    json_array_foreach(names, index, name)
    {
        if (!json_is_string(name)) {
            return NULL;
        }
    }
    return names != NULL ? json_incref(names) : json_array();
}

static bool is_named(const json_t *names, const char *name)
{
    size_t index;
    json_t *one;

    json_array_foreach(names, index, one)
    {
        if (strcmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return json_array_size(names) == 0;
}

static int query_attributes(struct post *post, const char *kind)
{
    CLEANUP(json_decrefp) json_t *names = names_of(post, kind);
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(post->hub->store,
                                  "SELECT name, value FROM attribute"
                                  " WHERE assetId = ? AND kind = ? ORDER BY name",
                                  "ss", post->session->asset_id, kind);
    size_t index;
    json_t *row;

    if (names == NULL) {
        return fail(post, CODE_ATTRIBUTE_QUERY, "params must name up to 200");
    }
    post->data = json_object();
    json_array_foreach(rows, index, row)
    {
        if (is_named(names, hub_text(row, "name"))) {
            json_object_set_new(post->data, hub_text(row, "name"),
                                json_loads(hub_text(row, "value"), JSON_DECODE_ANY, NULL));
        }
    }
    return CODE_OK;
}

/* Naming none deletes none. */
static int delete_attributes(struct post *post, const char *kind)
{
    CLEANUP(json_decrefp) json_t *names = names_of(post, kind);
    size_t index;
    json_t *name;

    if (names == NULL) {
        return fail(post, CODE_ATTRIBUTE_DELETE, "params must name up to 200");
    }
    json_array_foreach(names, index, name)
    {
        hub_store_run(post->hub->store,
                      "DELETE FROM attribute WHERE assetId = ? AND kind = ? AND name = ?", "sss",
                      post->session->asset_id, kind, json_string_value(name));
    }
    return CODE_OK;
}

/* A '+' in a topic stands for one level. */
static const struct endpoint {
    const char *topic;
    int (*take)(struct post *post, const char *kind);
    const char *kind;
} endpoints[] = {
    { "thing/measurepoint/post", take_points, "post" },
    { "thing/measurepoint/post/batch", take_batch, "post" },
    { "thing/measurepoint/resume", take_points, "resume" },
    { "thing/measurepoint/resume/batch", take_batch, "resume" },
    { "thing/event/+/post", take_event, "event" },
    { "thing/attribute/update", update_attributes, "attribute" },
    { "thing/attribute/query", query_attributes, "attribute" },
    { "thing/attribute/delete", delete_attributes, "attribute" },
    { "thing/tag/update", update_tags, "tag" },
    { "thing/tag/query", query_attributes, "tag" },
    { "thing/tag/delete", delete_attributes, "tag" },
};

static bool matches(const char *pattern, const char *topic)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '+') {
            topic += strcspn(topic, "/");
        } else if (*topic++ != *pattern) {
            return false;
        }
    }
    return *topic == '\0';
}

static const struct endpoint *find_endpoint(const char *rest)
{
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        if (matches(endpoints[i].topic, rest)) {
            return &endpoints[i];
        }
    }
    return NULL;
}

/* The method must be the topic with dots. */
static bool is_method_of(const char *method, const char *rest)
{
    for (; *method != '\0' && *rest != '\0'; method++, rest++) {
        if (*method != (*rest == '/' ? '.' : *rest)) {
            return false;
        }
    }
    return *method == '\0' && *rest == '\0';
}

static int judge(struct post *post, const void *payload, size_t size)
{
    const struct endpoint *endpoint = find_endpoint(post->rest);

    if (size >= HUB_POST_LIMIT) {
        return fail(post, CODE_TOO_LARGE, "%zu bytes are too many", size);
    }
    if (endpoint == NULL || post->session->activates) {
        return fail(post, CODE_NOT_ALLOWED,
                    endpoint == NULL ? "unsupported topic" : "the device is not logged in");
    }
    if (size == 0) {
        return fail(post, CODE_EMPTY, "empty payload");
    }
    post->envelope = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(post->envelope)) {
        return fail(post, CODE_NOT_JSON, "the payload is no JSON object");
    }
    if (!is_method_of(hub_text(post->envelope, "method"), post->rest)) {
        return fail(post, CODE_METHOD, "the method does not match the topic");
    }
    post->params = json_object_get(post->envelope, "params");
    return endpoint->take(post, endpoint->kind);
}

/* The id comes back as it was, a string or a number; data is always there. */
static char *reply_text(struct post *post, int code)
{
    json_t *id = json_object_get(post->envelope, "id");
    CLEANUP(json_decrefp)
    json_t *reply =
        json_pack("{s:o,s:i,s:o}", "id", id != NULL ? json_incref(id) : json_string(""), "code",
                  code, "data", post->data != NULL ? json_incref(post->data) : json_object());

    if (code != CODE_OK) {
        json_object_set_new(reply, "message", json_string(post->message));
    }
    return json_dumps(reply, JSON_COMPACT | JSON_ENCODE_ANY);
}

static char *take_request(struct post *post, const void *payload, size_t size, bool *drop)
{
    char value[HUB_FAULT_VALUE_SIZE];
    char *text = NULL;
    int code;

    if (hub_fault_take(post->hub->faults, HUB_FAULT_POST_DROP, value)) {
        *drop = true;
        return NULL;
    }
    if (hub_fault_take(post->hub->faults, HUB_FAULT_POST_CODE, value)) {
        post->envelope = json_loadb(payload, size, 0, NULL);
        code = fail(post, (int)strtol(value, NULL, 10), "a test wants it so");
    } else {
        code = judge(post, payload, size);
    }
    if (code != CODE_OK) {
        hub_post_blame(post->hub, post->session, code, "%s: %s", post->rest, post->message);
    }
    if (!hub_fault_take(post->hub->faults, HUB_FAULT_POST_SILENT, value)) {
        text = reply_text(post, code);
    }
    json_decref(post->data);
    json_decref(post->envelope);
    return text;
}

static void take_reply(struct hub *hub, const struct hub_session *session, const char *rest,
                       const void *payload, size_t size)
{
    CLEANUP(json_decrefp) json_t *reply = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(reply)) {
        hub_post_blame(hub, session, CODE_NOT_JSON, "%s: the payload is no JSON object", rest);
        return;
    }
    hub_command_answer(hub->commands, session->asset_id, rest, reply);
}

/* The device has stored its secret: from now on it logs in with that one only. */
static void take_thanks(struct hub *hub, const struct hub_session *session, const void *payload,
                        size_t size)
{
    CLEANUP(json_decrefp) json_t *reply = json_loadb(payload, size, 0, NULL);
    char value[HUB_FAULT_VALUE_SIZE];

    if (hub_number(reply, "code") != CODE_OK ||
        hub_fault_take(hub->faults, HUB_FAULT_DEAF_ACTIVATION, value)) {
        return;
    }
    hub_store_run(hub->store,
                  "UPDATE device SET activatedMs = ? WHERE assetId = ? AND activatedMs IS NULL",
                  "is", hub_now_ms(), session->asset_id);
    hub_say("%s/%s is activated", session->product_key, session->device_key);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);

    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

char *hub_post_take(struct hub *hub, const struct hub_session *session, enum hub_tree tree,
                    const char *rest, const void *payload, size_t size, bool *drop)
{
    struct post post = { .hub = hub, .session = session, .rest = rest };

    if (tree == HUB_TREE_EXT && strcmp(rest, "thing/activate/info_reply") == 0) {
        take_thanks(hub, session, payload, size);
        return NULL;
    }
    if (ends_with(rest, "_reply")) {
        take_reply(hub, session, rest, payload, size);
        return NULL;
    }
    if (tree == HUB_TREE_EXT) {
        /* Sub-devices log in here; this hub has none. */
        post.rest = "";
    }
    return take_request(&post, payload, size, drop);
}
