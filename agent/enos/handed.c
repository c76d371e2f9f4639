/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what local programs hand over, and takes it apart as text. */
#include "agent/enos/handed.h"

#include "agent/enos/connect.h"
#include "agent/enos/envelope.h"
#include "agent/enos/message.h"

#include <inttypes.h>

/* --- the text of JSON that was read already ----------------------------------------------------
 */

struct span {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct span *text)
{
    while (text->at < text->end && is_space(*text->at)) {
        text->at++;
    }
}

static void trim(struct span *text)
{
    skip_space(text);
    while (text->end > text->at && is_space(text->end[-1])) {
        text->end--;
    }
}

/* From one quotation mark to behind the other. */
static void skip_string(struct span *text)
{
    for (text->at++; text->at < text->end && *text->at != '"'; text->at++) {
        text->at += *text->at == '\\' ? 1 : 0;
    }
    text->at = text->at < text->end ? text->at + 1 : text->end;
}

static void skip_nested(struct span *text)
{
    size_t depth = 0;

    while (text->at < text->end) {
        char c = *text->at;

        if (c == '"') {
            skip_string(text);
            continue;
        }
        text->at++;
        depth += c == '{' || c == '[' ? 1 : 0;
        if ((c == '}' || c == ']') && --depth == 0) {
            return;
        }
    }
}

/* What was skipped. */
static struct span take_value(struct span *text)
{
    struct span value = { NULL, NULL };

    skip_space(text);
    value.at = text->at;
    if (text->at < text->end && *text->at == '"') {
        skip_string(text);
    } else if (text->at < text->end && (*text->at == '{' || *text->at == '[')) {
        skip_nested(text);
    } else {
        while (text->at < text->end && strchr(",]}", *text->at) == NULL && !is_space(*text->at)) {
            text->at++;
        }
    }
    value.end = text->at;
    return value;
}

/* Into the brackets; false where there are none. */
static bool enter(struct span *text, char bracket)
{
    trim(text);
    if (text->end - text->at < 2 || *text->at != bracket) {
        return false;
    }
    text->at++;
    text->end--;
    return true;
}

static void skip_comma(struct span *text)
{
    skip_space(text);
    text->at += text->at < text->end && *text->at == ',' ? 1 : 0;
}

/* The next member, its name within quotation marks; false at the end. */
static bool take_member(struct span *text, struct span *name, struct span *value)
{
    skip_space(text);
    if (text->at >= text->end || *text->at != '"') {
        return false;
    }
    *name = take_value(text);
    skip_space(text);
    text->at += text->at < text->end ? 1 : 0; /* the colon */
    *value = take_value(text);
    skip_comma(text);
    return true;
}

static bool is_named(const struct span *name, const char *wanted)
{
    size_t size = strlen(wanted);

    return (size_t)(name->end - name->at) == size + 2 && memcmp(name->at + 1, wanted, size) == 0;
}

bool enos_member_find(const char *text, size_t size, const char *name, const char **value,
                      size_t *value_size)
{
    struct span rest = { text, text + size }, found, content;

    if (!enter(&rest, '{')) {
        return false;
    }
    while (take_member(&rest, &found, &content)) {
        if (is_named(&found, name)) {
            *value = content.at;
            *value_size = (size_t)(content.end - content.at);
            return true;
        }
    }
    return false;
}

/* --- the time ----------------------------------------------------------------------------------
 */

#define TIME_SIZE 32 /* what add_time() adds at most */

/* "," or nothing, and "time":N} in place of the last bracket. */
static void add_time(char **to, const struct span *object, int64_t now_ms)
{
    struct span inside = *object;
    size_t size = (size_t)(object->end - object->at) - 1;

    enter(&inside, '{');
    trim(&inside);
    memcpy(*to, object->at, size);
    *to += size;
    *to += snprintf(*to, TIME_SIZE + 1, "%s\"time\":%" PRId64 "}",
                    inside.at < inside.end ? "," : "", now_ms);
}

static void copy(char **to, const char *from, const char *end)
{
    memcpy(*to, from, (size_t)(end - from));
    *to += end - from;
}

static bool lacks_time(const json_t *params)
{
    return json_is_object(params) && json_object_get(params, "time") == NULL;
}

/* Each entry of a batch. */
static void add_times(char **to, const struct span *array, const json_t *params, int64_t now_ms)
{
    struct span inside = *array;
    const char *done = array->at;

    enter(&inside, '[');
    for (size_t i = 0; i < json_array_size(params); i++) {
        struct span entry = take_value(&inside);

        if (lacks_time(json_array_get(params, i))) {
            copy(to, done, entry.at);
            add_time(to, &entry, now_ms);
            done = entry.end;
        }
        skip_comma(&inside);
    }
    copy(to, done, array->end);
}

static bool is_event(const char *rest)
{
    const char *name = rest + strlen("thing/event/");
    const char *end;

    if (strncmp(rest, "thing/event/", strlen("thing/event/")) != 0) {
        return false;
    }
    end = strchr(name, '/');
    return end != NULL && strcmp(end, "/post") == 0;
}

static bool is_one_of(const char *rest, const char *const *topics)
{
    for (; *topics != NULL; topics++) {
        if (strcmp(rest, *topics) == 0) {
            return true;
        }
    }
    return false;
}

static enum gk_status give_time(const char *rest, const json_t *params, int64_t now_ms,
                                struct enos_handed *handed, struct gk_error *err)
{
    static const char *const one[] = { "thing/measurepoint/post", "thing/measurepoint/resume",
                                       "thing/log/post", NULL };
    static const char *const many[] = { "thing/measurepoint/post/batch",
                                        "thing/measurepoint/resume/batch", NULL };
    struct span text = { handed->body, handed->body + handed->size };
    bool single = lacks_time(params) && (is_one_of(rest, one) || is_event(rest));
    bool batch = json_is_array(params) && is_one_of(rest, many);
    size_t missing = single ? 1 : 0;
    char *end;

    for (size_t i = 0; batch && i < json_array_size(params); i++) {
        missing += lacks_time(json_array_get(params, i)) ? 1 : 0;
    }
    if (missing == 0) {
        return GK_OK;
    }
    handed->own = end = malloc(handed->size + missing * TIME_SIZE + 2);
    if (end == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (single) {
        add_time(&end, &text, now_ms);
    } else {
        add_times(&end, &text, params, now_ms);
    }
    handed->body = handed->own;
    handed->size = (size_t)(end - handed->own);
    return GK_OK;
}

/* --- the envelope ------------------------------------------------------------------------------
 */

static enum gk_status check_head(const char *rest, const json_t *whole, struct gk_error *err)
{
    const json_t *id = json_object_get(whole, "id"), *method = json_object_get(whole, "method");
    const char *name = json_string_value(method);
    size_t i = 0;

    if (id != NULL && !enos_id_is_valid(id)) {
        return gk_fail(err, GK_USAGE, "an id must be a number, or a text of 1 to %d characters",
                       ENOS_ID_MAX);
    }
    if (method == NULL) {
        return GK_OK;
    }
    while (name != NULL && rest[i] != '\0' && name[i] == (rest[i] == '/' ? '.' : rest[i])) {
        i++;
    }
    return name != NULL && rest[i] == '\0' && name[i] == '\0'
               ? GK_OK
               : gk_fail(err, GK_USAGE, "the method %.60s is not that of topic %.120s",
                         name != NULL ? name : "given", rest);
}

/* The members that are not ours to write, as an object's text. */
static enum gk_status keep_members(struct span inside, struct enos_handed *handed,
                                   struct gk_error *err)
{
    static const char *const ours[] = { "id", "version", "method", "params" };
    struct span name, value;
    char *text = malloc((size_t)(inside.end - inside.at) + 3), *end = text;

    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *end++ = '{';
    while (take_member(&inside, &name, &value)) {
        bool is_ours = false;

        /* One of ours in disguise, for a hub that reads names more carefully than we do. */
        if (memchr(name.at, '\\', (size_t)(name.end - name.at)) != NULL) {
            free(text);
            return gk_fail(err, GK_USAGE, "the names of an envelope must be written without \\u");
        }

        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
            is_ours = is_ours || is_named(&name, ours[i]);
        }
        if (!is_ours) {
            *end = ',';
            end += end > text + 1 ? 1 : 0;
            copy(&end, name.at, name.end);
            *end++ = ':';
            copy(&end, value.at, value.end);
        }
    }
    if (end == text + 1) {
        free(text);
        return GK_OK;
    }
    memcpy(end, "}", 2);
    handed->members = text;
    return GK_OK;
}

static enum gk_status open_envelope(const char *rest, const json_t *whole,
                                    struct enos_handed *handed, struct gk_error *err)
{
    struct span inside = { handed->body, handed->body + handed->size };
    const char *text = handed->body, *id;
    size_t size = handed->size, id_size;
    enum gk_status status = check_head(rest, whole, err);

    if (status != GK_OK) {
        return status;
    }
    if (json_object_get(whole, "id") != NULL) {
        handed->asked =
            enos_member_find(text, size, "id", &id, &id_size) ? strndup(id, id_size) : NULL;
        if (handed->asked == NULL) {
            return gk_fail(err, GK_USAGE, "the names of an envelope must be written without \\u");
        }
    }
    if (!enos_member_find(text, size, "params", &handed->body, &handed->size)) {
        return gk_fail(err, GK_USAGE, "the names of an envelope must be written without \\u");
    }
    enter(&inside, '{');
    return keep_members(inside, handed, err);
}

static enum gk_status parse_json(const char *rest, bool is_params, int64_t now_ms,
                                 struct enos_handed *handed, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *whole = NULL;
    const json_t *params;
    json_error_t why;
    enum gk_status status = GK_OK;

    /* jansson passes over NULs between the tokens, the hub need not. */
    if (memchr(handed->body, '\0', handed->size) != NULL) {
        return gk_fail(err, GK_USAGE, "no JSON: there is a NUL byte in it");
    }
    whole = json_loadb(handed->body, handed->size, JSON_REJECT_DUPLICATES, &why);
    if (whole == NULL) {
        gk_fail(err, GK_USAGE, "no JSON object or array: %.100s at byte %d", why.text,
                why.position);
        gk_advise(err, "hand over the params, or a whole envelope, as JSON");
        return GK_USAGE;
    }
    params = whole;
    if (!is_params && json_object_get(whole, "params") != NULL) {
        params = json_object_get(whole, "params");
        status = open_envelope(rest, whole, handed, err);
    }
    if (status == GK_OK && !json_is_object(params) && !json_is_array(params)) {
        return gk_fail(err, GK_USAGE, "params must be a JSON object or array");
    }
    return status == GK_OK ? give_time(rest, params, now_ms, handed, err) : status;
}

static enum gk_status check_size(const char *rest, const struct enos_handed *handed,
                                 struct gk_error *err)
{
    size_t size = handed->size;

    if (!handed->raw) {
        size += enos_envelope_overhead(rest, handed->members);
    }
    if (size <= ENOS_MESSAGE_MAX) {
        return GK_OK;
    }
    gk_fail(err, GK_USAGE, "a message of %zu bytes; EnOS takes %zu", size, ENOS_MESSAGE_MAX);
    gk_advise(err, "split it into several messages");
    return GK_USAGE;
}

enum gk_status enos_handed_parse(const char *rest, const void *payload, size_t size, bool is_params,
                                 int64_t now_ms, struct enos_handed *handed, struct gk_error *err)
{
    struct span text = { payload, (const char *)payload + size };
    struct enos_handed found = { 0 };
    enum gk_status status = GK_OK;

    if (!enos_rest_is_publishable(rest)) {
        gk_fail(err, GK_USAGE, "topic %.130s", rest);
        gk_advise(err, "give what follows /sys/PRODUCT/DEVICE/, such as thing/measurepoint/post");
        return GK_USAGE;
    }
    found.raw = strcmp(rest, ENOS_RAW_UP) == 0;
    if (size == 0) {
        text = (struct span){ "", "" };
    } else if (!found.raw) {
        trim(&text);
    }
    found.body = text.at;
    found.size = (size_t)(text.end - text.at);
    if (!found.raw && size <= ENOS_MESSAGE_MAX) {
        status = parse_json(rest, is_params, now_ms, &found, err);
    }
    if (status == GK_OK) {
        status = check_size(rest, &found, err);
    }
    if (status != GK_OK) {
        enos_handed_clear(&found);
        return status;
    }
    *handed = found;
    return GK_OK;
}

void enos_handed_clear(struct enos_handed *handed)
{
    free(handed->own);
    free(handed->members);
    free(handed->asked);
    *handed = (struct enos_handed){ 0 };
}
