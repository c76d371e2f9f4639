/* SPDX-License-Identifier: Apache-2.0 */
/* Brings what waits in the spool to the hub: when, and which of it. */
#include "agent/service/uplink-internal.h"

#include "agent/service/log.h"

#define EXPIRE_MS 60000
#define FULL_MS 1000
#define BURST_US ((uint64_t)50000) /* so much earlier than the rate says is in time */
#define SILENCE_MS ((uint64_t)60000)
#define SILENCE_MAX_MS ((uint64_t)960000)

/* What is never dropped goes first. */
static const enum spool_lane order[SPOOL_LANES] = { SPOOL_KEPT, SPOOL_TELEMETRY, SPOOL_POINTS };

/* One batch at a time, so that order holds even where it is refused and sent in parts. */
static size_t room(const struct uplink *uplink, enum spool_lane lane)
{
    size_t left = lane == SPOOL_POINTS ? 1 : LANE_FLIGHTS;

    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        const struct flight *flight = &uplink->flights[i];

        left -= flight->phase != FLIGHT_FREE && flight->lane == lane ? 1 : 0;
    }
    return left;
}

/* --- sending -----------------------------------------------------------------------------------
 */

static struct flight *free_flight(struct uplink *uplink, enum spool_lane lane)
{
    for (size_t i = 0; i < FLIGHTS_MAX && room(uplink, lane) > 0; i++) {
        if (uplink->flights[i].phase == FLIGHT_FREE) {
            return &uplink->flights[i];
        }
    }
    return NULL;
}

/* The first that is due to be sent again. */
static struct flight *due_flight(struct uplink *uplink, enum spool_lane lane, uint64_t now)
{
    struct flight *first = NULL;

    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &uplink->flights[i];

        if (flight->phase == FLIGHT_RESTING && flight->lane == lane && flight->due_ms <= now &&
            (first == NULL || flight->first < first->first)) {
            first = flight;
        }
    }
    return first;
}

static enum flight_result send_next(struct uplink *uplink, enum spool_lane which, uint64_t now)
{
    struct flight *flight = due_flight(uplink, which, now);
    struct lane *lane = &uplink->lanes[which];

    if (flight != NULL) {
        return flight_send(flight);
    }
    flight = free_flight(uplink, which);
    if (flight == NULL || lane->empty || lane->blocked || lane->due_ms > now) {
        return FLIGHT_NOTHING;
    }
    flight->uplink = uplink;
    flight->lane = which;
    return flight_send(flight);
}

static bool may_send(const struct uplink *uplink)
{
    uint64_t now = service_now_ms();

    return uplink->up && !uplink->full && uplink->pause_ms <= now &&
           uplink->next_us <= now * 1000 + BURST_US;
}

static void earlier(uint64_t *earliest, uint64_t time)
{
    *earliest = time < *earliest ? time : *earliest;
}

/* When there will be something to do that nobody else tells of; UINT64_MAX: nothing. */
static uint64_t next_wake(const struct uplink *uplink)
{
    uint64_t earliest = UINT64_MAX, allowed = uplink->next_us / 1000;

    if (uplink->doubtful) {
        return 0;
    }
    if (!uplink->up) {
        return UINT64_MAX;
    }
    if (uplink->full) {
        /* Not all that makes room is told to us. */
        return service_now_ms() + FULL_MS;
    }
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        if (uplink->flights[i].phase == FLIGHT_RESTING) {
            earlier(&earliest, uplink->flights[i].due_ms);
        }
    }
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        const struct lane *lane = &uplink->lanes[i];

        /* Where the window is full, or the topic's turn has not come, an answer wakes us. */
        if (!lane->empty && !lane->blocked && room(uplink, (enum spool_lane)i) > 0) {
            earlier(&earliest, lane->due_ms);
        }
    }
    if (earliest != UINT64_MAX && earliest < allowed) {
        earliest = allowed;
    }
    return earliest != UINT64_MAX && earliest < uplink->pause_ms ? uplink->pause_ms : earliest;
}

static void set_wake(struct uplink *uplink)
{
    uint64_t wake = next_wake(uplink), now = service_now_ms();

    if (wake == UINT64_MAX) {
        sd_event_source_set_enabled(uplink->wake_source, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time_relative(uplink->wake_source, wake > now ? (wake - now) * 1000 : 0);
    sd_event_source_set_enabled(uplink->wake_source, SD_EVENT_ONESHOT);
}

/* Telemetry that is too old by a clock that can be believed. */
static void expire(struct uplink *uplink)
{
    struct service *service = uplink->service;
    uint64_t now = service_now_ms();
    struct gk_error err = { 0 };

    if (uplink->expired_ms != 0 && now - uplink->expired_ms < EXPIRE_MS) {
        return;
    }
    uplink->expired_ms = now;
    if (clock_watch_permit(service->clock, NULL) != GK_OK) {
        return;
    }
    if (spool_expire(service->spool, intake_time_ms(service->intake), &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "drop old telemetry", &err);
    }
    uplink_save_soon(uplink);
}

/* What was dropped is there again, behind the cursors: look at all of it once more. */
static void look_back(struct uplink *uplink)
{
    uint64_t undone = spool_undone(uplink->service->spool);

    for (size_t i = 0; i < SPOOL_LANES && undone != uplink->undone; i++) {
        uplink->lanes[i].cursor = 0;
        uplink->lanes[i].empty = false;
    }
    uplink->undone = undone;
}

void uplink_pump(struct uplink *uplink)
{
    bool moved = uplink->up;

    look_back(uplink);

    if (moved) {
        expire(uplink);
    }
    while (moved) {
        moved = false;
        for (size_t i = 0; i < SPOOL_LANES && may_send(uplink); i++) {
            moved = send_next(uplink, order[i], service_now_ms()) == FLIGHT_GONE || moved;
        }
    }
    set_wake(uplink);
}

/* --- a silent hub ------------------------------------------------------------------------------
 */

static void on_verdict(void *context, const struct gk_error *err)
{
    (void)context;
    (void)err; /* the session logs what became of it */
}

/* What lies in between may have forgotten the connection; not over and over, since it may be the
 * hub. */
static void leave_connection(struct uplink *uplink)
{
    uint64_t now = service_now_ms();

    uplink->doubtful = false;
    if (!uplink->up || now < uplink->reconnect_ms) {
        return;
    }
    uplink->patience_ms = uplink->patience_ms == 0 ? SILENCE_MS : uplink->patience_ms * 2;
    if (uplink->patience_ms > SILENCE_MAX_MS) {
        uplink->patience_ms = SILENCE_MAX_MS;
    }
    uplink->reconnect_ms = now + uplink->patience_ms;
    log_line(LOG_LEVEL_WARNING, "the hub does not answer any more; connecting anew");
    session_reconnect(uplink->service->session, on_verdict, uplink);
}

static int on_wake(sd_event_source *source, uint64_t time, void *context)
{
    struct uplink *uplink = context;

    (void)source;
    (void)time;
    uplink->full = false;
    if (uplink->doubtful) {
        leave_connection(uplink);
    }
    uplink_pump(uplink);
    return 0;
}

/* --- saving ------------------------------------------------------------------------------------
 */

static int on_save(sd_event_source *source, uint64_t time, void *context)
{
    struct uplink *uplink = context;

    (void)source;
    (void)time;
    uplink->saving = false;
    uplink->unwritten = true; /* so it is while those are woken that a failure is told to */
    if (intake_commit(uplink->service->intake, NULL) == GK_OK) {
        uplink->unwritten = false;
    } else {
        uplink_save_soon(uplink);
    }
    return 0;
}

static void save_in(struct uplink *uplink, uint64_t wait_ms)
{
    uplink->saving = true;
    sd_event_source_set_time_relative(uplink->save_source, wait_ms * 1000);
    sd_event_source_set_enabled(uplink->save_source, SD_EVENT_ONESHOT);
}

void uplink_save_soon(struct uplink *uplink)
{
    if (!uplink->saving) {
        save_in(uplink, SPOOL_SETTLE_MS);
    }
}

void uplink_save_now(struct uplink *uplink)
{
    save_in(uplink, 0);
}

/* --- what happens ------------------------------------------------------------------------------
 */

void uplink_up(struct uplink *uplink)
{
    uint64_t now = service_now_ms();

    uplink->up = true;
    uplink->full = false;
    uplink->doubtful = false;
    uplink->answered_ms = now;
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &uplink->flights[i];

        flight->repeated = false;
        /* What went down with several connections in a row may be why. */
        if (flight->phase == FLIGHT_RESTING && flight->trial.tries < 3) {
            flight->due_ms = now;
        }
    }
    uplink_pump(uplink);
}

void uplink_down(struct uplink *uplink)
{
    uplink->up = false;
    set_wake(uplink);
}

void uplink_stored(struct uplink *uplink)
{
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        uplink->lanes[i].empty = false;
    }
    if (uplink->up) {
        uplink_pump(uplink);
    }
}

void uplink_acknowledged(struct uplink *uplink)
{
    if (uplink->full) {
        uplink->full = false;
        uplink_pump(uplink);
    }
}

void uplink_pause(struct uplink *uplink, unsigned pause_ms)
{
    uplink->pause_ms = service_now_ms() + pause_ms;
    set_wake(uplink);
}

void uplink_describe(const struct uplink *uplink, json_t *status)
{
    json_int_t under_way = 0, resting = 0;

    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        const struct flight *flight = &uplink->flights[i];

        under_way += flight->phase == FLIGHT_SENT ? (json_int_t)flight->count : 0;
        resting += flight->phase == FLIGHT_RESTING && flight->trial.tries > 0 ? 1 : 0;
    }
    json_object_set_new(status, "sent", json_integer((json_int_t)uplink->sent));
    json_object_set_new(status, "sent_again", json_integer((json_int_t)uplink->repeated));
    json_object_set_new(status, "batches", json_integer((json_int_t)uplink->batches));
    json_object_set_new(status, "under_way", json_integer(under_way));
    json_object_set_new(status, "held_back", json_integer(resting));
}

static int add_timer(struct uplink *uplink, sd_event_time_handler_t handler,
                     sd_event_source **source)
{
    int code = sd_event_add_time_relative(uplink->service->event, source, CLOCK_BOOTTIME, 0, 0,
                                          handler, uplink);

    return code < 0 ? code : sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

enum gk_status uplink_new(struct service *service, struct uplink **uplink, struct gk_error *err)
{
    struct uplink *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        made->lanes[i].limit = BATCH_ENTRIES;
    }
    code = add_timer(made, on_wake, &made->wake_source);
    if (code >= 0) {
        code = add_timer(made, on_save, &made->save_source);
    }
    if (code >= 0) {
        code = sd_event_source_set_time_accuracy(made->save_source, 1);
    }
    if (code >= 0) {
        code = add_timer(made, uplink_on_wait_over, &made->wait_source);
    }
    if (code < 0) {
        uplink_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *uplink = made;
    return GK_OK;
}

void uplink_free(struct uplink *uplink)
{
    if (uplink == NULL) {
        return;
    }
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        free(uplink->flights[i].topic);
        if (uplink->service->publisher != NULL) {
            publisher_forget(uplink->service->publisher, &uplink->flights[i]);
        }
    }
    sd_event_source_disable_unref(uplink->wake_source);
    sd_event_source_disable_unref(uplink->save_source);
    sd_event_source_disable_unref(uplink->wait_source);
    free(uplink);
}
