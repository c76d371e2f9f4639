/* SPDX-License-Identifier: Apache-2.0 */
/* What is on its way to applications: in memory, in order, bounded, and not for long. */
#include "agent/service/relay-internal.h"

#include "agent/service/log.h"

#include <mqtt_protocol.h>
#include <string.h>

#define COUNT_MAX 256
#define BYTES_MAX ((size_t)2 * 1024 * 1024)
#define WANTED_MS 30000
/* With less left a command cannot be said to expire in time: brokers count whole seconds. */
#define COMMAND_LEAST_MS 2000

static void parcel_free(struct parcel *parcel)
{
    if (parcel != NULL) {
        free(parcel->topic);
        free(parcel->payload);
        free(parcel);
    }
}
GK_DEFINE_CLEANUP(struct parcel, parcel_free)

static enum gk_status parcel_new(const struct outgoing *outgoing, struct parcel **parcel,
                                 struct gk_error *err)
{
    CLEANUP(parcel_freep) struct parcel *made = calloc(1, sizeof(*made));

    if (made == NULL || asprintf(&made->topic, "gatekey/%s", outgoing->topic) < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->payload = malloc(outgoing->size + 1);
    if (made->payload == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    memcpy(made->payload, outgoing->payload, outgoing->size);
    made->size = outgoing->size;
    made->retain = outgoing->retain;
    made->is_command = outgoing->end_ms != 0;
    made->end_ms = made->is_command ? outgoing->end_ms : service_now_ms() + WANTED_MS;
    *parcel = TAKE(made);
    return GK_OK;
}

/* --- the list -------------------------------------------------------------------------------- */

static void append(struct relay *relay, struct parcel *parcel)
{
    if (relay->last != NULL) {
        relay->last->next = parcel;
    } else {
        relay->first = parcel;
    }
    relay->last = parcel;
    relay->count++;
    relay->bytes += parcel->size;
}

/* Takes out what follows before, which is NULL for the first one; the caller's to free. */
static struct parcel *take_out(struct relay *relay, struct parcel *before)
{
    struct parcel **place = before != NULL ? &before->next : &relay->first;
    struct parcel *parcel = *place;

    *place = parcel->next;
    if (relay->last == parcel) {
        relay->last = before;
    }
    relay->count--;
    relay->bytes -= parcel->size;
    return parcel;
}

static bool is_late(const struct parcel *parcel)
{
    uint64_t least_ms = parcel->is_command ? COMMAND_LEAST_MS : 0;

    return !parcel->sent && parcel->end_ms <= service_now_ms() + least_ms;
}

/* A command that was sent may have been handed on, though the broker did not say so. */
static bool is_spent(const struct parcel *parcel)
{
    return parcel->sent && parcel->is_command;
}

static bool is_command(const struct parcel *parcel)
{
    return parcel->is_command;
}

static void drop(struct relay *relay, bool (*is_over)(const struct parcel *parcel))
{
    struct parcel *before = NULL;
    struct parcel *parcel = relay->first;

    while (parcel != NULL) {
        struct parcel *next = parcel->next;

        if (is_over(parcel)) {
            relay->lost++;
            parcel_free(take_out(relay, before));
        } else {
            before = parcel;
        }
        parcel = next;
    }
}

/* --- sending --------------------------------------------------------------------------------- */

/*
 * mosquitto (2.0.11 to 2.0.21) delivers a message until the second after the one in which its
 * interval ends, whatever the subscriber speaks, and takes 0 for no interval. The clock is the wall
 * clock.
 */
static uint32_t seconds_left(const struct parcel *parcel)
{
    return (uint32_t)((parcel->end_ms - service_now_ms()) / 1000 - 1);
}

/* The library keeps a copy, and sends it in the order given. */
static int transmit(struct relay *relay, struct parcel *parcel)
{
    mosquitto_property *properties = NULL;
    int code = MOSQ_ERR_SUCCESS;

    if (parcel->is_command && !relay->old) {
        code = mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                            seconds_left(parcel));
    }
    if (code == MOSQ_ERR_SUCCESS) {
        code =
            mosquitto_publish_v5(relay->mosquitto, &parcel->mid, parcel->topic, (int)parcel->size,
                                 parcel->payload, 1, parcel->retain, properties);
    }
    mosquitto_property_free_all(&properties);
    parcel->sent = code == MOSQ_ERR_SUCCESS;
    return code;
}

static enum gk_status check(const struct relay *relay, const struct outgoing *outgoing,
                            struct gk_error *err)
{
    /* libmosquitto would not take it, now or later. */
    if (sizeof("gatekey/") - 1 + strlen(outgoing->topic) > UINT16_MAX) {
        return gk_fail(err, GK_USAGE, "a topic of %zu bytes", strlen(outgoing->topic));
    }
    if (!outgoing->retain &&
        (relay->count == COUNT_MAX || relay->bytes + outgoing->size > BYTES_MAX)) {
        return gk_fail(err, GK_BUSY, "%zu messages wait for the local broker", relay->count);
    }
    return GK_OK;
}

enum gk_status relay_queue_put(struct relay *relay, const struct outgoing *outgoing,
                               struct gk_error *err)
{
    CLEANUP(parcel_freep) struct parcel *parcel = NULL;
    int code = MOSQ_ERR_SUCCESS;
    enum gk_status status;

    drop(relay, is_late);
    status = check(relay, outgoing, err);
    if (status == GK_OK) {
        status = parcel_new(outgoing, &parcel, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (is_late(parcel)) {
        return gk_fail(err, GK_BUSY, "it took too long to get to the local broker");
    }
    if (relay->connected && !relay->closed) {
        code = transmit(relay, parcel);
        relay_link_flush(relay);
    }
    if (code != MOSQ_ERR_SUCCESS) {
        return gk_fail(err, code == MOSQ_ERR_NOMEM ? GK_NO_MEMORY : GK_USAGE, "%s",
                       mosquitto_strerror(code));
    }
    relay->published++;
    if (parcel->retain) {
        /* Only the newest matters, and it is wanted for as long as we live. */
        parcel_free(relay->kept);
        relay->kept = TAKE(parcel);
    } else {
        append(relay, TAKE(parcel));
    }
    return GK_OK;
}

void relay_queue_up(struct relay *relay)
{
    drop(relay, is_late);
    /* What is not taken now is tried again with the next connection, or gets too late. */
    if (relay->kept != NULL) {
        (void)transmit(relay, relay->kept);
    }
    for (struct parcel *parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        (void)transmit(relay, parcel);
    }
}

void relay_queue_down(struct relay *relay)
{
    drop(relay, is_spent);
    for (struct parcel *parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        parcel->sent = false;
    }
}

/* Once per connection and reason: with an owner's own broker it may be so for each message. */
static void say_refused(struct relay *relay, const struct parcel *parcel, int reason)
{
    if (relay->refused_for != reason) {
        relay->refused_for = reason;
        log_line(LOG_LEVEL_WARNING, "the local broker did not take what was published on %s: %s",
                 parcel->topic, mosquitto_reason_string(reason));
    }
}

void relay_queue_done(struct relay *relay, int mid, int reason)
{
    CLEANUP(parcel_freep) struct parcel *parcel = NULL;
    struct parcel *before = NULL;

    for (parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        if (parcel->sent && parcel->mid == mid) {
            (void)take_out(relay, before);
            break;
        }
        before = parcel;
    }
    if (parcel == NULL) {
        return;
    }
    if (reason >= MQTT_RC_UNSPECIFIED) {
        say_refused(relay, parcel, reason);
    }
    if (parcel->is_command &&
        (reason == MQTT_RC_NO_MATCHING_SUBSCRIBERS || reason >= MQTT_RC_UNSPECIFIED)) {
        commander_unheard(relay->service->commander, parcel->topic + strlen("gatekey/down/"),
                          parcel->end_ms);
    }
}

void relay_forget_commands(struct relay *relay)
{
    if (relay != NULL) {
        drop(relay, is_command);
    }
}

void relay_queue_free(struct relay *relay)
{
    while (relay->first != NULL) {
        parcel_free(take_out(relay, NULL));
    }
    parcel_free(TAKE(relay->kept));
}
