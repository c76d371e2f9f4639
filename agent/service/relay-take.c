/* SPDX-License-Identifier: Apache-2.0 */
/* What applications send on gatekey/up/# and gatekey/reply/#, from the broker or from its plugin.
 */
#include "agent/service/relay-internal.h"

#include "agent/service/log.h"

#include <string.h>

static const char up[] = "gatekey/up/";
static const char reply[] = "gatekey/reply/";

/* What follows a prefix, else NULL. */
static const char *after(const char *topic, const char *prefix)
{
    size_t size = strlen(prefix);

    return strncmp(topic, prefix, size) == 0 ? topic + size : NULL;
}

/* --- the answer to a bad one ----------------------------------------------------------------- */

/* One that need not come again: it would fare no better. */
static bool is_final(enum gk_status status)
{
    return status == GK_USAGE || status == GK_REFUSED || status == GK_NO_MESSAGE;
}

/* Whoever sent it, and whoever looks after this gateway, finds it on gatekey/error/... */
static void complain(struct relay *relay, const char *rest, const void *payload, size_t size,
                     const struct gk_error *why)
{
    CLEANUP(json_freep) json_t *sent = json_loadb(payload, size, 0, NULL);
    CLEANUP(json_freep) json_t *answer = json_object();
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *topic = NULL;
    json_t *id = json_object_get(sent, "id");
    struct gk_error err = { 0 };
    char sentence[800];

    gk_error_sentence(why, "take this message", sentence, sizeof(sentence));
    json_object_set_new(answer, "error", json_string(sentence));
    if (id != NULL && !json_is_object(id) && !json_is_array(id)) {
        json_object_set(answer, "id", id);
    }
    text = json_dumps(answer, JSON_COMPACT);
    if (text == NULL || asprintf(&topic, "error/%s", rest) < 0 ||
        relay_publish(relay, topic, text, strlen(text), false, &err) != GK_OK) {
        log_line(LOG_LEVEL_WARNING, "%s: %s", rest, sentence);
    }
}

/* --- taking ---------------------------------------------------------------------------------- */

static enum gk_status take_answer(struct relay *relay, const char *rest, const void *payload,
                                  size_t size, intake_done *done, void *context,
                                  struct gk_error *err)
{
    enum gk_status status = commander_answer(relay->service->commander, rest, payload, size, err);

    if (status == GK_OK) {
        relay->answers++;
        if (done != NULL) {
            done(context, 0, NULL);
        }
    }
    return status;
}

static enum gk_status take_message(struct relay *relay, const char *rest, const void *payload,
                                   size_t size, intake_done *done, void *context,
                                   struct gk_error *err)
{
    const struct intake_message message = { .topic = rest, .payload = payload, .size = size };
    enum gk_status status = intake_take(relay->service->intake, &message, done, context, err);

    relay->taken += status == GK_OK ? 1 : 0;
    return status;
}

enum gk_status relay_take(struct relay *relay, const char *topic, const void *payload, size_t size,
                          intake_done *done, void *context, struct gk_error *err)
{
    const char *rest = after(topic, up);
    struct gk_error why = { 0 };
    enum gk_status status;

    if (rest != NULL) {
        status = take_message(relay, rest, payload, size, done, context, &why);
    } else if ((rest = after(topic, reply)) != NULL) {
        status = take_answer(relay, rest, payload, size, done, context, &why);
    } else {
        return gk_fail(err, GK_USAGE, "topic %.130s", topic);
    }
    if (status == GK_OK) {
        return GK_OK;
    }
    if (is_final(status)) {
        relay->refused++;
        complain(relay, rest, payload, size, &why);
        status = status == GK_NO_MESSAGE ? GK_REFUSED : status;
    } else {
        relay->deferred++;
    }
    if (err != NULL) {
        *err = why;
        err->status = status;
    }
    return status;
}

/* --- from the broker ------------------------------------------------------------------------- */

static void fail(struct relay *relay, const struct gk_error *err)
{
    log_failure(LOG_LEVEL_WARNING, "store what the local broker delivered", err);
    relay->failed = true;
}

static void on_stored(void *context, int64_t id, const struct gk_error *err)
{
    struct relay *relay = context;

    (void)id;
    relay->uncommitted--;
    if (err != NULL) {
        fail(relay, err);
    }
}

void relay_receive(struct relay *relay, const struct mosquitto_message *message)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    /* A retained one comes with each subscription again; it was taken when it was published. */
    if (relay->failed || message->retain || message->payloadlen < 0) {
        return;
    }
    relay->uncommitted++;
    status = relay_take(relay, message->topic, message->payload, (size_t)message->payloadlen,
                        on_stored, relay, &err);
    if (status != GK_OK) {
        relay->uncommitted--;
    }
    if (status != GK_OK && !is_final(status)) {
        fail(relay, &err);
    }
}

void relay_commit(struct relay *relay)
{
    struct gk_error err = { 0 };

    if (relay->uncommitted > 0 && intake_commit(relay->service->intake, &err) != GK_OK &&
        !relay->failed) {
        fail(relay, &err);
    }
    /* Whoever was not told has no promise. */
    relay->failed |= relay->uncommitted > 0;
}

void relay_forget(struct relay *relay)
{
    if (relay->uncommitted > 0) {
        intake_forget(relay->service->intake, relay);
        relay->uncommitted = 0;
    }
}
