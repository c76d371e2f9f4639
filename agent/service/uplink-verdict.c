/* SPDX-License-Identifier: Apache-2.0 */
/* EnOS's codes, sorted by whether it is any use to send the message again. */
#include "agent/service/uplink-verdict.h"

#define TRIES_MAX 8
#define TRIES_DOUBTFUL 3 /* where other messages are taken meanwhile */
#define PATIENCE_MS ((uint64_t)3600000)
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 60000

static const struct {
    int64_t first, last;
    enum uplink_class class;
} classes[] = {
    { 0, 0, UPLINK_SILENT },          { 200, 200, UPLINK_TAKEN },
    { 723, 723, UPLINK_DOUBTFUL },    /* device disabled: somebody may enable it again */
    { 700, 799, UPLINK_PERMANENT },   /* no such device, no sub-device of ours, no such task */
    { 800, 899, UPLINK_PERMANENT },   /* data */
    { 1008, 1008, UPLINK_PERMANENT }, /* too large */
    { 1009, 1009, UPLINK_DOUBTFUL },  /* no such topic, no permission, or not logged in yet */
    { 1200, 1299, UPLINK_PERMANENT }, /* format, model, method */
};

enum uplink_class uplink_class_of(int64_t code)
{
    for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (code >= classes[i].first && code <= classes[i].last) {
            return classes[i].class;
        }
    }
    return UPLINK_TEMPORARY;
}

bool uplink_gives_up(enum uplink_class class, const struct uplink_trial *trial)
{
    switch (class) {
    case UPLINK_TAKEN:
        break;
    case UPLINK_PERMANENT:
        return true;
    case UPLINK_DOUBTFUL:
        return trial->tries >= (trial->others ? TRIES_DOUBTFUL : TRIES_MAX);
    case UPLINK_TEMPORARY:
        /* A hub that takes nothing at all is ill; then everything waits for it. */
        return trial->tries >= TRIES_MAX && (trial->others || trial->since_ms >= PATIENCE_MS);
    case UPLINK_SILENT:
        /* A bad link cuts one message short many times while it lets others pass. */
        return trial->tries >= TRIES_MAX && trial->since_ms >= PATIENCE_MS;
    }
    return false;
}

uint64_t uplink_backoff_ms(unsigned tries)
{
    uint64_t wait_ms = BACKOFF_MS;

    for (; tries > 1 && wait_ms < BACKOFF_MAX_MS; tries--) {
        wait_ms *= 2;
    }
    return wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
}
