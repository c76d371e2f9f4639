/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out what a device publishes, has it taken in, and says what EnOS would reply. */
#include "tests/hub/post.h"

#include "tests/hub/command.h"
#include "tests/hub/journal.h"
#include "tests/hub/post-internal.h"
#include "tests/hub/text.h"

#include <stdarg.h>

int hub_post_fail(struct hub_post *post, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(post->message, sizeof(post->message), format, arguments);
    va_end(arguments);
    hub_plain(post->message);
    return code;
}

int hub_post_whole(struct hub_post *post, int code)
{
    return hub_store_end(post->hub->store, code == HUB_POST_OK) || code != HUB_POST_OK
               ? code
               : HUB_POST_MODEL;
}

void hub_post_blame(struct hub *hub, const struct hub_session *session, int code,
                    const char *format, ...)
{
    char reason[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    hub_plain(reason);
    hub_store_run(hub->store,
                  "INSERT INTO incident (timeMs, productKey, deviceKey, code, reason)"
                  " VALUES (?, ?, ?, ?, ?)",
                  "issis", hub_now_ms(), session->product_key, session->device_key, (int64_t)code,
                  reason);
    hub_say("%s/%s: %d %s", session->product_key, session->device_key, code, reason);
}

/* A '+' in a topic stands for one level. */
static const struct endpoint {
    const char *topic;
    int (*take)(struct hub_post *post, const char *kind);
    const char *kind;
} endpoints[] = {
    { "thing/measurepoint/post", hub_post_points, "post" },
    { "thing/measurepoint/post/batch", hub_post_batch, "post" },
    { "thing/measurepoint/resume", hub_post_points, "resume" },
    { "thing/measurepoint/resume/batch", hub_post_batch, "resume" },
    { "thing/event/+/post", hub_post_event, "event" },
    { "thing/attribute/update", hub_post_update, "attribute" },
    { "thing/attribute/query", hub_post_query, "attribute" },
    { "thing/attribute/delete", hub_post_delete, "attribute" },
    { "thing/tag/update", hub_post_update_tags, "tag" },
    { "thing/tag/query", hub_post_query, "tag" },
    { "thing/tag/delete", hub_post_delete, "tag" },
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

/* Bytes without an envelope: taken, and not answered. */
static bool is_raw(const char *rest)
{
    return strcmp(rest, "thing/model/up_raw") == 0;
}

static int judge(struct hub_post *post, const void *payload, size_t size)
{
    const struct endpoint *endpoint = find_endpoint(post->rest);

    if (size >= HUB_POST_LIMIT) {
        return hub_post_fail(post, HUB_POST_TOO_LARGE, "%zu bytes are too many", size);
    }
    if (is_raw(post->rest) && !post->session->activates) {
        return hub_post_raw(post, payload, size);
    }
    if (endpoint == NULL || post->session->activates) {
        return hub_post_fail(post, HUB_POST_NOT_ALLOWED,
                             endpoint == NULL ? "unsupported topic"
                                              : "the device is not logged in");
    }
    if (size == 0) {
        return hub_post_fail(post, HUB_POST_EMPTY, "empty payload");
    }
    post->envelope = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(post->envelope)) {
        return hub_post_fail(post, HUB_POST_NOT_JSON, "the payload is no JSON object");
    }
    if (!is_method_of(hub_text(post->envelope, "method"), post->rest)) {
        return hub_post_fail(post, HUB_POST_METHOD, "the method does not match the topic");
    }
    post->params = json_object_get(post->envelope, "params");
    return endpoint->take(post, endpoint->kind);
}

/* The id comes back as it was, a string or a number; data is always there. */
static char *reply_text(struct hub_post *post, int code)
{
    json_t *id = json_object_get(post->envelope, "id");
    CLEANUP(json_decrefp)
    json_t *reply =
        json_pack("{s:o,s:i,s:o}", "id", id != NULL ? json_incref(id) : json_string(""), "code",
                  code, "data", post->data != NULL ? json_incref(post->data) : json_object());

    if (code != HUB_POST_OK) {
        json_object_set_new(reply, "message", json_string(post->message));
    }
    return json_dumps(reply, JSON_COMPACT | JSON_ENCODE_ANY);
}

static char *take_request(struct hub_post *post, const void *payload, size_t size, bool *drop)
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
        code = hub_post_fail(post, (int)strtol(value, NULL, 10), "a test wants it so");
    } else {
        code = judge(post, payload, size);
    }
    if (code != HUB_POST_OK) {
        hub_post_blame(post->hub, post->session, code, "%s: %s", post->rest, post->message);
    }
    if (post->hub->journal != NULL &&
        !hub_journal_write(post->hub->journal, post->session, code, post->rest, payload, size)) {
        *drop = true;
    } else if (!is_raw(post->rest) &&
               !hub_fault_take(post->hub->faults, HUB_FAULT_POST_SILENT, value)) {
        text = reply_text(post, code);
    }
    json_decref(post->data);
    json_decref(post->envelope);
    return text;
}

/* The device has stored its secret: from now on it logs in with that one only. */
static void take_thanks(struct hub *hub, const struct hub_session *session, const void *payload,
                        size_t size)
{
    CLEANUP(json_decrefp) json_t *reply = json_loadb(payload, size, 0, NULL);
    char value[HUB_FAULT_VALUE_SIZE];

    if (hub_number(reply, "code") != HUB_POST_OK ||
        hub_fault_take(hub->faults, HUB_FAULT_DEAF_ACTIVATION, value)) {
        return;
    }
    hub_store_run(hub->store,
                  "UPDATE device SET activatedMs = ? WHERE assetId = ? AND activatedMs IS NULL",
                  "is", hub_now_ms(), session->asset_id);
    hub_say("%s/%s is activated", session->product_key, session->device_key);
}

char *hub_post_take(struct hub *hub, const struct hub_session *session, enum hub_tree tree,
                    const char *rest, const void *payload, size_t size, bool *drop)
{
    struct hub_post post = { .hub = hub, .session = session, .rest = rest };

    if (tree == HUB_TREE_EXT && strcmp(rest, "thing/activate/info_reply") == 0) {
        take_thanks(hub, session, payload, size);
        return NULL;
    }
    if (hub_command_is_answer(rest)) {
        if (!hub_command_answer(hub, session, rest, payload, size)) {
            hub_post_blame(hub, session, HUB_POST_NOT_JSON, "%s: the payload is no JSON object",
                           rest);
        }
        return NULL;
    }
    if (tree == HUB_TREE_EXT) {
        /* Sub-devices log in here; this hub has none. */
        post.rest = "";
    }
    return take_request(&post, payload, size, drop);
}
