/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub said to a flight, and what becomes of it: over, sent again, in parts, set aside. */
#include "agent/service/uplink-internal.h"

#include "agent/enos/message.h"
#include "agent/service/log.h"

#include <inttypes.h>

#define TRIES_TOGETHER 3 /* of a batch, before one of its messages is suspected */
#define SAY_MS 60000

/* The hub has taken something: whoever it refuses, it is not for being ill. */
static void note_taken(struct uplink *uplink)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &uplink->flights[i];

        flight->trial.others = flight->phase != FLIGHT_FREE && flight->trial.tries > 0;
    }
}

/* Larger batches again. */
static void finish(struct flight *flight)
{
    struct lane *lane = &flight->uplink->lanes[flight->lane];

    lane->limit = lane->limit * 2 < BATCH_ENTRIES ? lane->limit * 2 : BATCH_ENTRIES;
    flight_end(flight);
}

static void taken(struct flight *flight, json_int_t code, json_t *data)
{
    struct uplink *uplink = flight->uplink;

    uplink_tell(uplink, flight, code, data, NULL);
    spool_settle(uplink->service->spool, flight->first, flight->last);
    uplink_save_soon(uplink);
    finish(flight);
    note_taken(uplink);
}

/* --- not taken ---------------------------------------------------------------------------------
 */

static void again(struct flight *flight, uint64_t wait_ms)
{
    flight->phase = FLIGHT_RESTING;
    flight->due_ms = service_now_ms() + wait_ms;
}

/* One of them spoils it for all: find it, so that the others go on. In halves, since one by one a
 * thousand would take a thousand times as long as the hub takes to answer. */
static void take_apart(struct flight *flight)
{
    struct lane *lane = &flight->uplink->lanes[flight->lane];

    lane->limit = (flight->count + 1) / 2;
    lane->suspect = flight->last;
    flight->trial = (struct uplink_trial){ 0 };
    again(flight, 0);
}

/* Not a line for each: a program that gets it wrong may do so a hundred times a second. */
static void say_aside(struct uplink *uplink, int64_t id, const struct gk_error *err)
{
    uint64_t now = service_now_ms();
    char sentence[700];

    if (uplink->said_ms != 0 && now - uplink->said_ms < SAY_MS) {
        uplink->unsaid++;
        return;
    }
    gk_error_sentence(err, NULL, sentence, sizeof(sentence));
    log_line(LOG_LEVEL_WARNING, "message %" PRId64 " is set aside: %s (gatekey spool list)", id,
             sentence);
    if (uplink->unsaid > 0) {
        log_line(LOG_LEVEL_WARNING, "%u more were set aside since it was last said",
                 uplink->unsaid);
    }
    uplink->said_ms = now;
    uplink->unsaid = 0;
}

static void set_aside(struct flight *flight, json_int_t code, json_t *data,
                      const struct gk_error *why)
{
    struct uplink *uplink = flight->uplink;
    struct service *service = uplink->service;
    struct gk_error err = { 0 };

    /* While it is there to be read: an application's own id is in it. */
    uplink_tell(uplink, flight, code, data, why);
    if (spool_refuse(service->spool, flight->first, intake_time_ms(service->intake), code,
                     why->object, &err) != GK_OK) {
        log_failure(LOG_LEVEL_ERROR, "set a message aside", &err);
        again(flight, uplink_backoff_ms(UINT8_MAX));
        return;
    }
    say_aside(uplink, flight->first, why);
    uplink_save_soon(uplink);
    finish(flight);
}

static void refused(struct flight *flight, json_int_t code, json_t *data,
                    const struct gk_error *why)
{
    enum uplink_class class = uplink_class_of(code);
    bool together = flight->count > 1;

    flight->trial.tries++;
    flight->trial.since_ms = service_now_ms() - flight->first_ms;
    if (together && (class == UPLINK_PERMANENT || flight->trial.tries >= TRIES_TOGETHER)) {
        take_apart(flight);
    } else if (!together && uplink_gives_up(class, &flight->trial)) {
        set_aside(flight, code, data, why);
    } else {
        again(flight, uplink_backoff_ms(flight->trial.tries));
    }
}

/* No answer in time on a connection that stands: once again, then another connection, unless the
 * hub has answered others since. */
static void unanswered(struct flight *flight, const struct gk_error *why)
{
    struct uplink *uplink = flight->uplink;

    if (!flight->repeated) {
        flight->repeated = true;
        again(flight, 0);
        return;
    }
    uplink->doubtful = uplink->doubtful || uplink->answered_ms < flight->sent_ms;
    refused(flight, 0, NULL, why);
}

void flight_on_answer(void *context, const char *id, json_int_t code, json_t *data,
                      const struct gk_error *err)
{
    struct flight *flight = context;
    struct uplink *uplink = flight->uplink;

    (void)id;
    uplink->full = false;
    if (code != 0) {
        uplink->answered_ms = service_now_ms();
        uplink->patience_ms = uplink->reconnect_ms = 0;
    }
    if (code == ENOS_CODE_OK) {
        taken(flight, code, data);
    } else if (code == 0 && uplink->up && err->status == GK_UNREACHABLE) {
        unanswered(flight, err);
    } else {
        refused(flight, code, data, err);
    }
    if (uplink->up) {
        uplink_pump(uplink);
    }
}
