/* SPDX-License-Identifier: Apache-2.0 */
/* Who wants to know what the hub said: requests on the socket, and applications by their ids. */
#include "agent/service/uplink-internal.h"

#include <inttypes.h>

/* It may come too early for who was told meanwhile. */
static void set_timer(struct uplink *uplink)
{
    uint64_t earliest = UINT64_MAX, now = service_now_ms();

    for (size_t i = 0; i < WAITS_MAX; i++) {
        if (uplink->waits[i].id != 0 && uplink->waits[i].end_ms < earliest) {
            earliest = uplink->waits[i].end_ms;
        }
    }
    if (earliest != UINT64_MAX) {
        sd_event_source_set_time_relative(uplink->wait_source,
                                          (earliest > now ? earliest - now : 0) * 1000);
        sd_event_source_set_enabled(uplink->wait_source, SD_EVENT_ONESHOT);
    }
}

enum gk_status uplink_wait(struct uplink *uplink, int64_t id, unsigned timeout_s,
                           publisher_done *done, void *context, struct gk_error *err)
{
    for (size_t i = 0; i < WAITS_MAX; i++) {
        struct wait *wait = &uplink->waits[i];

        if (wait->id == 0) {
            *wait = (struct wait){ id, done, context, UINT64_MAX, timeout_s };
            if (timeout_s > 0) {
                wait->end_ms = service_now_ms() + (uint64_t)timeout_s * 1000;
                set_timer(uplink);
            }
            return GK_OK;
        }
    }
    gk_fail(err, GK_BUSY, "%d messages are waited for", WAITS_MAX);
    gk_advise(err, "it is in the spool as message %" PRId64 " and will be sent", id);
    return GK_BUSY;
}

static void tell(struct wait *wait, json_int_t code, json_t *data, const struct gk_error *err)
{
    struct wait over = *wait;
    char id[24];

    *wait = (struct wait){ 0 };
    snprintf(id, sizeof(id), "%" PRId64, over.id);
    over.done(over.context, id, code, data, err);
}

int uplink_on_wait_over(sd_event_source *source, uint64_t time, void *context)
{
    struct uplink *uplink = context;
    uint64_t now = service_now_ms();

    (void)source;
    (void)time;
    for (size_t i = 0; i < WAITS_MAX; i++) {
        struct wait *wait = &uplink->waits[i];

        if (wait->id != 0 && wait->end_ms <= now) {
            struct gk_error err = { 0 };

            gk_fail(&err, GK_UNREACHABLE, "no answer of the hub in %u s", wait->timeout_s);
            gk_advise(&err,
                      "nothing is lost: it is in the spool as message %" PRId64 " and will be sent",
                      wait->id);
            tell(wait, 0, NULL, &err);
        }
    }
    set_timer(uplink);
    return 0;
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
        struct wait *wait = &uplink->waits[i];

        if (wait->id != 0 && wait->id >= flight->first && wait->id <= flight->last) {
            tell(wait, code, data, err);
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
