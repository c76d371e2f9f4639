/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub's REST API answers, each kind of answer in turn. */
#include "tests/fuzz/target.h"

#include "agent/enos/rest.h"

#include "cleanup.h"

/* However it is said that something went wrong, with or without an envelope. */
static void take_refusals(const uint8_t *data, size_t size)
{
    static const long http_status[] = { 400, 401, 403, 404, 429, 500, 503, 302 };

    for (size_t i = 0; i < sizeof(http_status) / sizeof(http_status[0]); i++) {
        struct gk_error err = { 0 };
        json_t *body = NULL;
        char sentence[1024];
        bool expired;

        if (enos_rest_reply_parse(http_status[i], (const char *)data, size, &body, &expired,
                                  &err) == GK_OK) {
            json_decref(body);
            continue;
        }
        gk_error_sentence(&err, "ask", sentence, sizeof(sentence));
        if (!enos_text_is_clean(sentence)) {
            abort();
        }
    }
}

/* A letter in the inbox: the same members as an apply reply's data, without an envelope. */
static void take_letter(const uint8_t *data, size_t size)
{
    json_t *letter = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct enos_certificate sent = { 0 };
    struct gk_error err = { 0 };

    if (enos_certificate_parse(letter, &sent, &err) == GK_OK &&
        (sent.certificate == NULL || sent.serial[0] == '\0')) {
        abort();
    }
    json_decref(letter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct enos_certificate certificate;
    struct enos_record records[4];
    struct enos_device device;
    struct gk_error err = { 0 };
    json_t *body = NULL;
    char token[64];
    size_t count;
    bool expired;

    take_refusals(data, size);
    take_letter(data, size);
    if (enos_rest_reply_parse(200, (const char *)data, size, &body, &expired, &err) != GK_OK) {
        return 0;
    }
    (void)!enos_token_parse(body, token, sizeof(token), &err);
    (void)!enos_device_parse(body, &device, &err);
    (void)!enos_certificate_parse(body, &certificate, &err);
    (void)!enos_list_parse(body, records, 4, &count, &err);
    json_decref(body);
    return 0;
}
