/* SPDX-License-Identifier: Apache-2.0 */
/* Takes in measurepoints and events. */
#include "tests/hub/post-internal.h"
#include "tests/hub/text.h"

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

static bool keep_value(struct hub_post *post, const char *kind, int64_t time_ms, const char *point,
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
static int keep_points(struct hub_post *post, const char *kind, json_t *params)
{
    json_t *points = json_object_get(params, "measurepoints");
    json_t *time = json_object_get(params, "time");
    int64_t time_ms = time != NULL ? json_integer_value(time) : hub_now_ms();
    const char *point;
    json_t *given;

    if (json_object_size(points) == 0 || (time != NULL && !json_is_integer(time))) {
        return hub_post_fail(post, HUB_POST_POINT_FORMAT,
                             "params must hold measurepoints, and time in ms");
    }
    json_object_foreach(points, point, given)
    {
        char text[4];
        const char *quality;
        json_t *value;

        if (!split_value(given, &value, &quality, text)) {
            return hub_post_fail(post, HUB_POST_POINT_FORMAT, "measurepoint %.40s", point);
        }
        /* Where there is a journal, that has them. */
        if (post->hub->journal == NULL && !keep_value(post, kind, time_ms, point, value, quality)) {
            return hub_post_fail(post, HUB_POST_MODEL, "could not be stored");
        }
    }
    return HUB_POST_OK;
}

int hub_post_points(struct hub_post *post, const char *kind)
{
    hub_store_begin(post->hub->store);
    return hub_post_whole(post, keep_points(post, kind, post->params));
}

static bool is_own(const struct hub_post *post, const json_t *entry)
{
    const char *product_key = hub_text(entry, "productKey");
    const char *device_key = hub_text(entry, "deviceKey");

    return (*product_key == '\0' || strcmp(product_key, post->session->product_key) == 0) &&
           (*device_key == '\0' || strcmp(device_key, post->session->device_key) == 0);
}

/* All or nothing, unless the invalid ones are to be skipped. */
int hub_post_batch(struct hub_post *post, const char *kind)
{
    bool skip = json_is_true(json_object_get(post->envelope, "skipInvalidMeasurepoints"));
    int code = json_array_size(post->params) > 0
                   ? HUB_POST_OK
                   : hub_post_fail(post, HUB_POST_POINT_FORMAT, "params must be an array");
    size_t index;
    json_t *entry;

    hub_store_begin(post->hub->store);
    json_array_foreach(post->params, index, entry)
    {
        int result = is_own(post, entry) ? keep_points(post, kind, entry)
                                         : hub_post_fail(post, HUB_POST_SUB_DEVICE,
                                                         "entry %zu is of another device", index);

        if (result != HUB_POST_OK && !skip) {
            code = result;
            break;
        }
    }
    return hub_post_whole(post, code);
}

int hub_post_event(struct hub_post *post, const char *kind)
{
    json_t *events = json_object_get(post->params, "events");
    json_t *time = json_object_get(post->params, "time");
    const char *id = post->rest + strlen("thing/event/");
    CLEANUP(gk_freep) char *name = strndup(id, strcspn(id, "/"));

    if (!json_is_object(events) || (time != NULL && !json_is_integer(time)) || name == NULL) {
        return hub_post_fail(post, HUB_POST_MODEL, "params must hold events, and time in ms");
    }
    return keep_value(post, kind, time != NULL ? json_integer_value(time) : hub_now_ms(), name,
                      events, NULL)
               ? HUB_POST_OK
               : hub_post_fail(post, HUB_POST_MODEL, "could not be stored");
}

int hub_post_raw(struct hub_post *post, const void *payload, size_t size)
{
    CLEANUP(gk_freep) char *hex = calloc(1, HUB_HEX_SIZE(size));
    CLEANUP(json_decrefp) json_t *value = NULL;

    if (hex != NULL) {
        hub_hex(payload, size, hex);
        value = json_string(hex);
    }
    return keep_value(post, "raw", hub_now_ms(), "up_raw", value, NULL)
               ? HUB_POST_OK
               : hub_post_fail(post, HUB_POST_MODEL, "could not be stored");
}
