/* SPDX-License-Identifier: Apache-2.0 */
/* What the local broker's plugin asks for (agent/broker/): take this message, is that us. */
#include "agent/exit.h"
#include "agent/service/service.h"

#include <openssl/evp.h>

/* It has to come again, and nothing that was sent after it may be taken before it. */
static void defer(struct client *client, const char *operation, const struct gk_error *err)
{
    client_hang_up(client);
    client_fail(client, operation, err, 0);
}

static void on_stored(void *context, int64_t id, const struct gk_error *err)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    char number[24];

    if (err != NULL) {
        defer(context, "store this message", err);
        return;
    }
    snprintf(number, sizeof(number), "%lld", (long long)id);
    answer = json_pack("{s:b, s:s}", "ok", 1, "id", number);
    client_reply(context, answer);
}

/* Its sender was told on gatekey/error/...: it need not come again. */
static void refuse(struct client *client, const struct gk_error *err)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    char sentence[1024];

    gk_error_sentence(err, "take this message", sentence, sizeof(sentence));
    answer = json_pack("{s:b, s:b, s:s, s:s, s:i}", "ok", 0, "final", 1, "status",
                       gk_status_name(err->status), "error", sentence, "exit",
                       (int)agent_exit_code(err->status));
    client_reply(client, answer);
}

/* The payload's bytes; size says how many. NULL when it is no base64, or there is no memory. */
static char *decode(const char *text, size_t length, size_t *size)
{
    CLEANUP(gk_freep) char *bytes = malloc(length / 4 * 3 + 1);
    int decoded =
        bytes != NULL && length % 4 == 0
            ? EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text, (int)length)
            : -1;

    if (decoded < 0) {
        return NULL;
    }
    /* It counts the padding in. */
    while (length > 0 && text[length - 1] == '=' && decoded > 0) {
        length--;
        decoded--;
    }
    *size = (size_t)decoded;
    return TAKE(bytes);
}

static enum gk_status take(struct service *service, struct client *client, const json_t *request,
                           struct gk_error *err)
{
    const char *topic = json_string_value(json_object_get(request, "topic"));
    const json_t *payload = json_object_get(request, "payload");
    const char *bytes = json_string_value(payload);
    size_t size = json_string_length(payload);
    CLEANUP(gk_freep) char *decoded = NULL;

    if (topic == NULL || bytes == NULL) {
        return gk_fail(err, GK_USAGE, "topic and payload are needed");
    }
    if (json_is_true(json_object_get(request, "base64"))) {
        bytes = decoded = decode(bytes, size, &size);
    }
    if (bytes == NULL) {
        return gk_fail(err, GK_USAGE, "a payload that is no base64");
    }
    return relay_take(service->relay, topic, bytes, size, on_stored, client, err);
}

void request_relay(struct service *service, struct client *client, const json_t *request)
{
    const char *password = json_string_value(json_object_get(request, "password"));
    struct gk_error err = { 0 };
    enum gk_status status;

    if (!client_is_privileged(client)) {
        status = gk_fail(&err, GK_REFUSED, "only root and gatekeyd's own user may");
        client_fail(client, "take this message", &err, 0);
    } else if (password != NULL) {
        CLEANUP(json_freep)
        json_t *answer =
            json_pack("{s:b}", "ok", relay_is_password(service->relay, password) ? 1 : 0);

        client_reply(client, answer);
    } else {
        status = take(service, client, request, &err);
        if (status == GK_USAGE || status == GK_REFUSED) {
            refuse(client, &err);
        } else if (status != GK_OK) {
            defer(client, "take this message", &err);
        }
    }
}
