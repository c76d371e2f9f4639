/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and reads EnOS's JSON envelopes. */
#include "agent/enos/message.h"

#include "agent/enos/handed.h"

#define VERSION "1.0"

char *enos_text_compact(const struct enos_text *text)
{
    char *made = malloc(text->size + 1), *end = made;
    bool in_string = false;

    for (size_t i = 0; made != NULL && i < text->size; i++) {
        char c = text->at[i];

        if (in_string || strchr(" \t\r\n", c) == NULL) {
            *end++ = c;
        }
        if (in_string && c == '\\' && i + 1 < text->size) {
            *end++ = text->at[++i];
        } else if (c == '"') {
            in_string = !in_string;
        }
    }
    if (made != NULL) {
        *end = '\0';
    }
    return made;
}

bool enos_code_is_ours(int code)
{
    return code == ENOS_CODE_OK || code >= ENOS_CODE_OWN;
}

/* Takes over what was written, or NULL. */
static enum gk_status hand_out(char *written, char **text, size_t *size, struct gk_error *err)
{
    CLEANUP(gk_freep) char *owned = written;
    size_t length;

    if (owned == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    length = strlen(owned);
    if (length > ENOS_MESSAGE_MAX) {
        gk_fail(err, GK_USAGE, "%zu bytes; EnOS takes %zu", length, ENOS_MESSAGE_MAX);
        gk_advise(err, "split it into several messages");
        return GK_USAGE;
    }
    *text = TAKE(owned);
    *size = length;
    return GK_OK;
}

/* Borrows the value; NULL also where there is no memory. */
static char *dump(const json_t *value)
{
    return value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

enum gk_status enos_request_format(const char *id, const char *rest, json_t *params, char **text,
                                   size_t *size, struct gk_error *err)
{
    CLEANUP(gk_freep) char *method = strdup(rest);
    CLEANUP(json_freep) json_t *envelope = NULL;

    if (method == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    for (char *c = method; *c != '\0'; c++) {
        if (*c == '/') {
            *c = '.';
        }
    }
    envelope = json_pack("{s:s, s:s, s:s, s:O}", "id", id, "version", VERSION, "method", method,
                         "params", params);
    return hand_out(dump(envelope), text, size, err);
}

enum gk_status enos_reply_format(json_t *id, int code, const struct enos_text *data,
                                 const char *message, char **text, size_t *size,
                                 struct gk_error *err)
{
    CLEANUP(json_freep) json_t *words = message != NULL ? json_string(message) : NULL;
    CLEANUP(gk_freep) char *id_text = dump(id);
    CLEANUP(gk_freep) char *message_text = dump(words);
    bool has_data = data != NULL && data->at != NULL;
    char *written = NULL;

    if (!enos_code_is_ours(code)) {
        return gk_fail(err, GK_USAGE, "reply code %d", code);
    }
    if (has_data && data->size > ENOS_MESSAGE_MAX) {
        return gk_fail(err, GK_USAGE, "%zu bytes; EnOS takes %zu", data->size, ENOS_MESSAGE_MAX);
    }
    if ((id != NULL && id_text == NULL) || (message != NULL && message_text == NULL) ||
        asprintf(&written, "{%s%s%s\"code\":%d,\"data\":%.*s%s%s}", id != NULL ? "\"id\":" : "",
                 id != NULL ? id_text : "", id != NULL ? "," : "", code,
                 has_data ? (int)data->size : 2, has_data ? data->at : "{}",
                 message != NULL ? ",\"message\":" : "", message != NULL ? message_text : "") < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return hand_out(written, text, size, err);
}

/* One object and nothing behind it. */
static enum gk_status parse(const void *payload, size_t size, json_t **whole, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *parsed = NULL;
    json_error_t error;

    if (size > ENOS_MESSAGE_MAX) {
        return gk_fail(err, GK_HUB_GARBLED, "a message of %zu bytes", size);
    }
    /* jansson passes over NULs between the tokens. */
    if (size > 0 && memchr(payload, '\0', size) != NULL) {
        return gk_fail(err, GK_HUB_GARBLED, "not JSON: there is a NUL byte in it");
    }
    parsed = json_loadb(payload, size, JSON_REJECT_DUPLICATES, &error);
    if (parsed == NULL) {
        return gk_fail(err, GK_HUB_GARBLED, "not JSON at byte %d: %s", error.position, error.text);
    }
    if (!json_is_object(parsed)) {
        return gk_fail(err, GK_HUB_GARBLED, "not a JSON object");
    }
    *whole = TAKE(parsed);
    return GK_OK;
}

bool enos_id_is_valid(const json_t *id)
{
    return json_is_integer(id) || (json_is_string(id) && json_string_length(id) > 0 &&
                                   json_string_length(id) <= ENOS_ID_MAX);
}

enum gk_status enos_reply_parse(const void *payload, size_t size, struct enos_reply *reply,
                                struct gk_error *err)
{
    CLEANUP(json_freep) json_t *whole = NULL;
    const json_t *id;
    const json_t *code;
    const char *message;
    enum gk_status status = parse(payload, size, &whole, err);

    if (status != GK_OK) {
        return status;
    }
    id = json_object_get(whole, "id");
    code = json_object_get(whole, "code");
    if (!enos_id_is_valid(id) || !json_is_integer(code)) {
        return gk_fail(err, GK_HUB_GARBLED, "a reply without a usable id and code");
    }
    if (json_is_string(id)) {
        snprintf(reply->id, sizeof(reply->id), "%s", json_string_value(id));
    } else {
        snprintf(reply->id, sizeof(reply->id), "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    }
    reply->code = json_integer_value(code);
    reply->data = json_object_get(whole, "data");
    message = json_string_value(json_object_get(whole, "message"));
    reply->message = message != NULL ? message : "";
    reply->whole = TAKE(whole);
    return GK_OK;
}

void enos_reply_clear(struct enos_reply *reply)
{
    json_decref(reply->whole);
    *reply = (struct enos_reply){ 0 };
}

enum gk_status enos_request_parse(const void *payload, size_t size, struct enos_request *request,
                                  struct gk_error *err)
{
    CLEANUP(json_freep) json_t *whole = NULL;
    struct enos_text text = { NULL, 0 };
    json_t *id;
    const char *method;
    enum gk_status status = parse(payload, size, &whole, err);

    if (status != GK_OK) {
        return status;
    }
    id = json_object_get(whole, "id");
    if (id != NULL && !enos_id_is_valid(id)) {
        return gk_fail(err, GK_HUB_GARBLED, "a command with an unusable id");
    }
    if (json_object_get(whole, "params") != NULL &&
        !enos_member_find(payload, size, "params", &text.at, &text.size)) {
        return gk_fail(err, GK_HUB_GARBLED, "a command whose params are written with \\u");
    }
    method = json_string_value(json_object_get(whole, "method"));
    request->id = id;
    request->method = method != NULL ? method : "";
    request->params = json_object_get(whole, "params");
    request->params_text = text;
    request->whole = TAKE(whole);
    return GK_OK;
}

void enos_request_clear(struct enos_request *request)
{
    json_decref(request->whole);
    *request = (struct enos_request){ 0 };
}
