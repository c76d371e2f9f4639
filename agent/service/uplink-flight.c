/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what one request carries from the spool, and sends it. */
#include "agent/service/uplink-internal.h"

#include "agent/enos/envelope.h"
#include "agent/service/log.h"

#include <inttypes.h>

#define POST "thing/measurepoint/post"
#define POST_BATCH "thing/measurepoint/post/batch"
#define RESUME "thing/measurepoint/resume"
#define RESUME_BATCH "thing/measurepoint/resume/batch"

#define READ_AGAIN_MS 10000 /* where the spool could not be read */

/* What the spool shows for one flight. */
struct load {
    struct flight *flight;
    struct enos_envelope envelope;
    char *members;
    int64_t last;   /* nothing behind it; 0: no such end */
    size_t limit;   /* so many at most */
    int64_t now_ms; /* UNIX time */
    bool again;     /* what was sent before: its topic is ours already */
    bool old, blocked;
    enum gk_status status;
};

static void load_clear(struct load *load)
{
    enos_envelope_clear(&load->envelope);
    free(load->members);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static bool is_old(const struct load *load, const struct spool_message *message)
{
    unsigned limit = load->flight->uplink->service->config->resume_after_s;

    return limit != 0 && load->now_ms - message->accepted_ms > (int64_t)limit * 1000;
}

/* The hub refuses an array of anything else, so that goes alone. */
static bool can_be_joined(const struct spool_message *message)
{
    const char *body = message->body;

    return strcmp(message->topic, POST) == 0 && !message->raw && message->members == NULL &&
           message->size > 0 && body[0] == '{';
}

/* One request of a topic at a time: a later one must not arrive where an earlier one was refused
 * for the moment. Raw data is not refused. */
static bool is_busy(const struct uplink *uplink, const struct spool_message *message)
{
    for (size_t i = 0; i < FLIGHTS_MAX && !message->raw; i++) {
        const struct flight *flight = &uplink->flights[i];

        if (flight->phase != FLIGHT_FREE && strcmp(flight->topic, message->topic) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_under_way(const struct uplink *uplink, int64_t id)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        const struct flight *flight = &uplink->flights[i];

        if (flight->phase != FLIGHT_FREE && id >= flight->first && id <= flight->last) {
            return true;
        }
    }
    return false;
}

/* Another first message than last time has not been tried yet. */
static void begin(struct flight *flight, const struct spool_message *message)
{
    if (message->id != flight->first) {
        flight->trial = (struct uplink_trial){ 0 };
        flight->first = message->id;
    }
    flight->raw = message->raw;
    flight->asked = false;
    flight->count = 0;
}

static bool take_first(struct load *load, const struct spool_message *message)
{
    struct flight *flight = load->flight;

    if (!load->again) {
        load->blocked = is_busy(flight->uplink, message);
        if (load->blocked) {
            return false;
        }
        free(flight->topic);
        flight->topic = strdup(message->topic);
    }
    load->members = message->members != NULL ? strdup(message->members) : NULL;
    if (flight->topic == NULL || (load->members == NULL) != (message->members == NULL)) {
        load->status = GK_NO_MEMORY;
        return false;
    }
    begin(flight, message);
    load->old = is_old(load, message);
    return true;
}

static bool fits(const struct load *load, const struct spool_message *message)
{
    const struct flight *flight = load->flight;

    return message->id == flight->last + 1 && can_be_joined(message) &&
           is_old(load, message) == load->old && load->envelope.size + message->size < BATCH_BYTES;
}

static bool take(void *context, const struct spool_message *message)
{
    struct load *load = context;
    struct flight *flight = load->flight;
    bool is_first = load->envelope.count == 0;

    if (load->last != 0 && message->id > load->last) {
        return false;
    }
    if (!load->again && is_under_way(flight->uplink, message->id)) {
        return true;
    }
    if (is_first ? !take_first(load, message) : !fits(load, message)) {
        return false;
    }
    load->status = enos_envelope_add(&load->envelope, message->body, message->size, NULL);
    if (load->status != GK_OK) {
        return false;
    }
    flight->last = message->id;
    flight->count++;
    flight->asked = flight->asked || message->asked != NULL;
    return can_be_joined(message) && flight->count < load->limit;
}

/* None before it is written that what has gone from in front of them does not come back; where that
 * cannot be written, one by one, each with an answer of its own. */
static size_t limit_of(const struct flight *flight)
{
    struct uplink *uplink = flight->uplink;

    if (flight->lane != SPOOL_POINTS || !spool_may_return(uplink->service->spool, flight->lane)) {
        return uplink->lanes[flight->lane].limit;
    }
    return uplink->unwritten ? 1 : 0;
}

/* Where the next one begins, and where it must end: a batch that was refused is taken apart. */
static enum gk_status fill(struct load *load, struct gk_error *err)
{
    struct flight *flight = load->flight;
    const struct uplink *uplink = flight->uplink;
    const struct lane *lane = &uplink->lanes[flight->lane];
    int64_t after = load->again ? flight->first - 1 : lane->cursor;
    enum gk_status status;

    load->now_ms = intake_time_ms(uplink->service->intake);
    load->last = load->again ? flight->last : lane->suspect;
    status = spool_next(uplink->service->spool, flight->lane, after, take, load, err);
    if (status == GK_OK && load->status != GK_OK) {
        status = gk_fail(err, load->status, NULL);
    }
    return status;
}

/* --- sending -----------------------------------------------------------------------------------
 */

static const char *topic_of(const struct flight *flight, bool old)
{
    bool batch = flight->count > 1;

    if (strcmp(flight->topic, POST) == 0) {
        return batch ? (old ? RESUME_BATCH : POST_BATCH) : old ? RESUME : POST;
    }
    return old && strcmp(flight->topic, POST_BATCH) == 0 ? RESUME_BATCH : flight->topic;
}

static enum gk_status transmit(struct load *load, size_t *size, struct gk_error *err)
{
    struct flight *flight = load->flight;
    struct enos_envelope *envelope = &load->envelope;
    struct publisher_request request = { .rest = topic_of(flight, load->old), .raw = flight->raw };
    char id[24];
    const char *text = NULL;
    enum gk_status status = GK_OK;

    snprintf(id, sizeof(id), "%" PRId64, flight->last);
    if (flight->raw) {
        text = enos_envelope_content(envelope, &request.size);
    } else {
        status = enos_envelope_close(envelope, id, request.rest, flight->count > 1, load->members,
                                     &text, &request.size, err);
    }
    if (status != GK_OK) {
        return status;
    }
    request.id = id;
    request.text = text;
    *size = request.size;
    return publisher_send(flight->uplink->service->publisher, &request, flight_on_answer, flight,
                          err);
}

static void note_sent(struct flight *flight, size_t size)
{
    struct uplink *uplink = flight->uplink;
    uint64_t now = service_now_ms(), rate = uplink->service->config->uplink_rate;

    uplink->sent += flight->count;
    uplink->batches += flight->count > 1 ? 1 : 0;
    uplink->repeated += flight->trial.tries > 0 || flight->repeated ? flight->count : 0;
    flight->phase = FLIGHT_SENT;
    flight->sent_ms = now;
    if (flight->trial.tries == 0) {
        flight->first_ms = now;
    }
    if (rate > 0) {
        uplink->next_us = uplink->next_us > now * 1000 ? uplink->next_us : now * 1000;
        uplink->next_us += size * 1000000 / rate;
    }
}

/* It keeps its place. */
static void rest(struct flight *flight, enum gk_status status)
{
    struct uplink *uplink = flight->uplink;

    flight->phase = FLIGHT_RESTING;
    flight->due_ms = service_now_ms() + (status == GK_BUSY ? 0 : uplink_backoff_ms(1));
    uplink->full = uplink->full || status == GK_BUSY;
}

static enum flight_result find_nothing(struct load *load)
{
    struct flight *flight = load->flight;
    struct lane *lane = &flight->uplink->lanes[flight->lane];

    if (load->again) {
        /* Dropped meanwhile, to make room or because somebody said so. */
        flight_end(flight);
        return FLIGHT_GONE;
    }
    if (load->blocked) {
        lane->blocked = true;
    } else if (lane->suspect != 0) {
        lane->suspect = 0; /* that part is over */
        return FLIGHT_GONE;
    } else {
        lane->empty = true;
    }
    return FLIGHT_NOTHING;
}

/* Not with each try: a disk may be full for days. */
static void say_unread(struct uplink *uplink, const struct gk_error *why)
{
    if (why->status != uplink->unread) {
        log_failure(LOG_LEVEL_WARNING, "read what waits for the hub", why);
    }
    uplink->unread = why->status;
}

/* The place it had, if it had one. */
static enum flight_result give_up_reading(struct flight *flight, const struct flight *before,
                                          const struct gk_error *why)
{
    struct lane *lane = &flight->uplink->lanes[flight->lane];

    say_unread(flight->uplink, why);
    lane->due_ms = service_now_ms() + READ_AGAIN_MS;
    if (before->phase == FLIGHT_FREE) {
        flight_end(flight);
    } else {
        *flight = *before;
        flight->due_ms = lane->due_ms;
    }
    return FLIGHT_STOPPED;
}

enum flight_result flight_send(struct flight *flight)
{
    const struct flight before = *flight;
    struct lane *lane = &flight->uplink->lanes[flight->lane];
    CLEANUP(load_clear)
    struct load load = { .flight = flight,
                         .again = flight->phase == FLIGHT_RESTING,
                         .limit = limit_of(flight) };
    struct gk_error err = { 0 };
    enum gk_status status;
    size_t size = 0;

    if (load.limit == 0) {
        uplink_save_now(flight->uplink);
        return FLIGHT_NOTHING;
    }
    status = fill(&load, &err);
    if (status != GK_OK) {
        return give_up_reading(flight, &before, &err);
    }
    flight->uplink->unread = GK_OK;
    lane->due_ms = 0;
    if (load.envelope.count == 0) {
        return find_nothing(&load);
    }
    if (flight->count < before.count) {
        flight->trial = (struct uplink_trial){ 0 }; /* that was of more */
    }
    /* A batch that is sent in parts leaves its rest to the next. */
    if (!load.again || (flight->lane == SPOOL_POINTS && flight->last < lane->cursor)) {
        lane->cursor = flight->last;
    }
    status = transmit(&load, &size, &err);
    if (status != GK_OK) {
        rest(flight, status);
        return FLIGHT_STOPPED;
    }
    note_sent(flight, size);
    return FLIGHT_GONE;
}

void flight_end(struct flight *flight)
{
    struct uplink *uplink = flight->uplink;

    free(flight->topic);
    uplink->lanes[flight->lane].blocked = false;
    *flight = (struct flight){ .uplink = uplink };
}
