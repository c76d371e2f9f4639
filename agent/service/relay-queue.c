/* SPDX-License-Identifier: Apache-2.0 */
/* What is on its way to applications: in memory, in order, bounded, and not for long. */
#include "agent/service/relay-internal.h"

#include <string.h>

#define COUNT_MAX 256
#define BYTES_MAX ((size_t)2 * 1024 * 1024)
/* The hub waits 30 s for the answer to a command: carried out later it would do harm. */
#define WANTED_MS 30000

static void parcel_free(struct parcel *parcel)
{
    if (parcel != NULL) {
        free(parcel->topic);
        free(parcel->payload);
        free(parcel);
    }
}
GK_DEFINE_CLEANUP(struct parcel, parcel_free)

static enum gk_status parcel_new(const char *topic, const void *payload, size_t size, bool retain,
                                 struct parcel **parcel, struct gk_error *err)
{
    CLEANUP(parcel_freep) struct parcel *made = calloc(1, sizeof(*made));

    if (made == NULL || asprintf(&made->topic, "gatekey/%s", topic) < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->payload = malloc(size > 0 ? size : 1);
    if (made->payload == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    memcpy(made->payload, payload, size);
    made->size = size;
    made->retain = retain;
    made->end_ms = service_now_ms() + WANTED_MS;
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

/* Takes out what follows before, which is NULL for the first one. */
static void take_out(struct relay *relay, struct parcel *before)
{
    struct parcel **place = before != NULL ? &before->next : &relay->first;
    struct parcel *parcel = *place;

    *place = parcel->next;
    if (relay->last == parcel) {
        relay->last = before;
    }
    relay->count--;
    relay->bytes -= parcel->size;
    parcel_free(parcel);
}

static void drop_late(struct relay *relay)
{
    uint64_t now = service_now_ms();

    while (relay->first != NULL && !relay->first->sent && relay->first->end_ms <= now) {
        relay->lost++;
        take_out(relay, NULL);
    }
}

/* --- sending --------------------------------------------------------------------------------- */

/* The library keeps a copy, and sends it in the order given. */
static void transmit(struct relay *relay, struct parcel *parcel)
{
    parcel->sent =
        mosquitto_publish(relay->mosquitto, &parcel->mid, parcel->topic, (int)parcel->size,
                          parcel->payload, 1, parcel->retain) == MOSQ_ERR_SUCCESS;
}

enum gk_status relay_queue_put(struct relay *relay, const char *topic, const void *payload,
                               size_t size, bool retain, struct gk_error *err)
{
    struct parcel *parcel = NULL;
    enum gk_status status;

    drop_late(relay);
    /* libmosquitto would not take it, now or later. */
    if (sizeof("gatekey/") - 1 + strlen(topic) > UINT16_MAX) {
        return gk_fail(err, GK_USAGE, "a topic of %zu bytes", strlen(topic));
    }
    if (!retain && (relay->count == COUNT_MAX || relay->bytes + size > BYTES_MAX)) {
        return gk_fail(err, GK_BUSY, "%zu messages wait for the local broker", relay->count);
    }
    status = parcel_new(topic, payload, size, retain, &parcel, err);
    if (status != GK_OK) {
        return status;
    }
    if (relay->connected && !relay->closed) {
        transmit(relay, parcel);
        relay_link_flush(relay);
    }
    relay->published++;
    if (retain) {
        /* Only the newest matters, and it is wanted for as long as we live. */
        parcel_free(relay->kept);
        relay->kept = parcel;
    } else {
        append(relay, parcel);
    }
    return GK_OK;
}

void relay_queue_up(struct relay *relay)
{
    drop_late(relay);
    if (relay->kept != NULL) {
        transmit(relay, relay->kept);
    }
    for (struct parcel *parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        transmit(relay, parcel);
    }
}

void relay_queue_down(struct relay *relay)
{
    for (struct parcel *parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        parcel->sent = false;
    }
}

void relay_queue_done(struct relay *relay, int mid)
{
    struct parcel *before = NULL;

    for (struct parcel *parcel = relay->first; parcel != NULL; parcel = parcel->next) {
        if (parcel->sent && parcel->mid == mid) {
            take_out(relay, before);
            return;
        }
        before = parcel;
    }
}

void relay_queue_free(struct relay *relay)
{
    while (relay->first != NULL) {
        take_out(relay, NULL);
    }
    parcel_free(TAKE(relay->kept));
}
