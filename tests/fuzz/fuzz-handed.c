/* SPDX-License-Identifier: Apache-2.0 */
/* What local programs hand over: the first byte chooses the topic, the rest is the payload. */
#include "tests/fuzz/target.h"

#include "agent/enos/envelope.h"
#include "agent/enos/handed.h"
#include "agent/enos/message.h"

/* What was taken makes a request that is JSON, with these params and this id. */
static void check(const char *rest, const struct enos_handed *handed)
{
    CLEANUP(enos_envelope_clear) struct enos_envelope envelope = { 0 };
    CLEANUP(json_freep) json_t *whole = NULL;
    struct gk_error err = { 0 };
    const char *text = NULL;
    size_t size = 0;

    if (enos_envelope_add(&envelope, handed->body, handed->size, &err) != GK_OK ||
        enos_envelope_close(&envelope, "7", rest, false, handed->members, &text, &size, &err) !=
            GK_OK) {
        abort();
    }
    whole = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (whole == NULL || size > ENOS_MESSAGE_MAX ||
        strcmp(json_string_value(json_object_get(whole, "id")), "7") != 0 ||
        json_object_get(whole, "params") == NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const topics[] = { "thing/measurepoint/post",
                                          "thing/measurepoint/post/batch",
                                          "thing/event/e/post",
                                          "thing/attribute/update",
                                          ENOS_RAW_UP,
                                          "thing/log/post" };
    CLEANUP(enos_handed_clear) struct enos_handed handed = { 0 };
    struct gk_error err = { 0 };
    const char *rest;

    if (size == 0) {
        return 0;
    }
    rest = topics[data[0] % (sizeof(topics) / sizeof(topics[0]))];
    if (enos_handed_parse(rest, data + 1, size - 1, (data[0] & 0x80) != 0, 1795000000123, &handed,
                          &err) == GK_OK &&
        !handed.raw) {
        check(rest, &handed);
    }
    return 0;
}
