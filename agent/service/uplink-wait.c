/* SPDX-License-Identifier: Apache-2.0 */
/* Who wants to know what the hub said: requests on the socket, and applications by their ids. */
#include "agent/service/uplink-internal.h"

#include <inttypes.h>

enum gk_status uplink_wait(struct uplink *uplink, int64_t id, publisher_done *done, void *context,
                           struct gk_error *err)
{
    for (size_t i = 0; i < WAITS_MAX; i++) {
        if (uplink->waits[i].id == 0) {
            uplink->waits[i] = (struct wait){ id, done, context };
            return GK_OK;
        }
    }
    gk_fail(err, GK_BUSY, "%d messages are waited for", WAITS_MAX);
    gk_advise(err, "it is in the spool as message %" PRId64 " and will be sent", id);
    return GK_BUSY;
}

void uplink_forget(struct uplink *uplink, const void *context)
{
    for (size_t i = 0; i < WAITS_MAX; i++) {
        if (uplink->waits[i].context == context) {
            uplink->waits[i] = (struct wait){ 0 };
        }
    }
}

static void tell_waiting(struct uplink *uplink, const struct flight *flight, json_int_t code,
                         json_t *data, const struct gk_error *err)
{
    for (size_t i = 0; i < WAITS_MAX; i++) {
        struct wait wait = uplink->waits[i];
        char id[24];

        if (wait.id != 0 && wait.id >= flight->first && wait.id <= flight->last) {
            uplink->waits[i] = (struct wait){ 0 };
            snprintf(id, sizeof(id), "%" PRId64, wait.id);
            wait.done(wait.context, id, code, data, err);
        }
    }
}

/* --- applications ------------------------------------------------------------------------------
 */

struct answer {
    struct relay *relay;
    int64_t last;
    json_int_t code;
    json_t *data;
    const struct gk_error *err;
};

static bool answer_one(void *context, const struct spool_message *message)
{
    struct answer *answer = context;
    CLEANUP(json_freep) json_t *id = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    char topic[192];

    if (message->id > answer->last) {
        return false;
    }
    if (message->asked == NULL) {
        return true;
    }
    id = json_loads(message->asked, JSON_DECODE_ANY, NULL);
    reply = json_pack("{s:O*, s:I, s:O*, s:s*}", "id", id, "code", answer->code, "data",
                      answer->data, "message", answer->err != NULL ? answer->err->object : NULL);
    text = reply != NULL ? json_dumps(reply, JSON_COMPACT) : NULL;
    snprintf(topic, sizeof(topic), "answer/%s", message->topic);
    if (text != NULL) {
        /* Who is not there any more does not want it either. */
        (void)!relay_publish(answer->relay, topic, text, strlen(text), false, NULL);
    }
    return true;
}

static void tell_applications(struct uplink *uplink, const struct flight *flight, json_int_t code,
                              json_t *data, const struct gk_error *err)
{
    struct relay *relay = uplink->service->relay;
    struct answer answer = { relay, flight->last, code, data, err };

    if (flight->asked && relay != NULL && relay_is_up(relay)) {
        (void)!spool_next(uplink->service->spool, flight->lane, flight->first - 1, answer_one,
                          &answer, NULL);
    }
}

void uplink_tell(struct uplink *uplink, const struct flight *flight, json_int_t code, json_t *data,
                 const struct gk_error *err)
{
    tell_applications(uplink, flight, code, data, err);
    tell_waiting(uplink, flight, code, data, err);
}
