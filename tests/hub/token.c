/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens: EnOS's token service. */
#include "tests/hub/application.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#include <inttypes.h>

#define LIFE_S 7200
#define TOKEN_LENGTH 40

enum code {
    CODE_REPLAYED = 1001,
    CODE_NO_APPLICATION = 1002,
    CODE_WRONG_ENCRYPTION = 1003,
    CODE_BAD_PARAMETER = 1004,
    CODE_FAULT = 1005,
    CODE_EMPTY_PARAMETER = 1202,
    CODE_NOT_REFRESHED = 1204,
};

/* EnOS documents a number; clients send a string as well. */
static bool read_timestamp(const json_t *body, char text[static 32])
{
    const json_t *given = json_object_get(body, "timestamp");

    if (json_is_integer(given)) {
        snprintf(text, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(given));
    } else {
        snprintf(text, 32, "%.31s", json_is_string(given) ? json_string_value(given) : "");
    }
    return text[0] != '\0';
}

/* Whether the application proved itself, with a proof not seen before. */
static bool check(struct hub_call *call, const json_t *body, struct hub_answer *answer)
{
    const char *app_key = hub_text(body, "appKey");
    const char *encryption = hub_text(body, "encryption");
    CLEANUP(json_decrefp) json_t *application = hub_application_find(call->hub->store, app_key);
    char timestamp[32];
    char expected[HUB_SIGNATURE_SIZE];

    if (*app_key == '\0' || *encryption == '\0' || !read_timestamp(body, timestamp)) {
        hub_answer_refuse(answer, CODE_EMPTY_PARAMETER, "appKey, encryption or timestamp is empty");
        return false;
    }
    if (application == NULL) {
        hub_answer_refuse(answer, CODE_NO_APPLICATION, "the appKey does not exist");
        return false;
    }
    if (!hub_signature_token(app_key, timestamp, hub_text(application, "appSecret"), expected) ||
        !hub_signature_equal(expected, encryption)) {
        hub_answer_refuse(answer, CODE_WRONG_ENCRYPTION, "the encryption is wrong");
        return false;
    }
    if (hub_store_run(call->hub->store, "INSERT INTO encryption VALUES (?)", "s", expected) != 1) {
        hub_answer_refuse(answer, CODE_REPLAYED, "the encryption was used before");
        return false;
    }
    return true;
}

static json_t *read_body(struct hub_call *call, struct hub_answer *answer)
{
    json_t *body = hub_call_json(call, answer);

    if (body == NULL) {
        answer->code = CODE_BAD_PARAMETER;
    }
    return body;
}

static void hand_out(struct hub_answer *answer, const char *token, int64_t expires_ms)
{
    int64_t left_s = (expires_ms - hub_now_ms()) / 1000;

    answer->data = json_pack("{s:s,s:I}", "accessToken", token, "expire", (json_int_t)left_s);
}

static int64_t end_of_life(struct hub_call *call)
{
    return hub_now_ms() +
           INT64_C(1000) * hub_fault_number(call->hub->faults, HUB_FAULT_TOKEN_LIFE, LIFE_S);
}

void hub_token_get(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = read_body(call, answer);
    CLEANUP(json_decrefp) json_t *row = NULL;
    int64_t expires_ms = end_of_life(call);
    char token[TOKEN_LENGTH + 1];

    if (body == NULL || !check(call, body, answer)) {
        return;
    }
    /* Asked again before its end, the same token comes back. */
    row = hub_store_row(call->hub->store,
                        "SELECT * FROM token WHERE appKey = ? AND expiresMs > ?"
                        " ORDER BY expiresMs DESC",
                        "si", hub_text(body, "appKey"), hub_now_ms());
    if (row != NULL) {
        hand_out(answer, hub_text(row, "token"), hub_number(row, "expiresMs"));
        return;
    }
    hub_random_name(token, TOKEN_LENGTH);
    if (hub_store_run(call->hub->store, "INSERT INTO token VALUES (?, ?, ?)", "ssi", token,
                      hub_text(body, "appKey"), expires_ms) != 1) {
        hub_answer_refuse(answer, CODE_FAULT, "internal fault");
        return;
    }
    hand_out(answer, token, expires_ms);
}

void hub_token_refresh(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = read_body(call, answer);
    int64_t expires_ms = end_of_life(call);

    if (body == NULL || !check(call, body, answer)) {
        return;
    }
    if (hub_store_run(call->hub->store,
                      "UPDATE token SET expiresMs = ? WHERE token = ? AND appKey = ?"
                      " AND expiresMs > ?",
                      "issi", expires_ms, hub_text(body, "accessToken"), hub_text(body, "appKey"),
                      hub_now_ms()) != 1) {
        hub_answer_refuse(answer, CODE_NOT_REFRESHED, "there is no such token to refresh");
        return;
    }
    hand_out(answer, hub_text(body, "accessToken"), expires_ms);
}
