/* SPDX-License-Identifier: Apache-2.0 */
/* How long the hub wants less, as far as it can be known. */
#include "agent/service/traffic.h"

#include <stddef.h>

static const struct {
    const char *name;
    json_int_t unit_ms; /* 0: told by its size */
} times[] = {
    { "duration", 0 },   { "pause", 0 },        { "retryAfter", 0 },
    { "seconds", 1000 }, { "milliseconds", 1 },
};

static json_int_t read_time(const json_t *number, json_int_t unit_ms)
{
    json_int_t value = json_integer_value(number);

    if (value <= 0) {
        return 0;
    }
    if (unit_ms == 0) {
        unit_ms = value < 1000 ? 1000 : 1;
    }
    /* Cut first: a product of anything larger means the same. */
    return (value < TRAFFIC_PAUSE_MAX_MS ? value : TRAFFIC_PAUSE_MAX_MS) * unit_ms;
}

unsigned traffic_pause_ms(const json_t *params)
{
    json_int_t pause_ms = 0;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        json_int_t stated_ms = read_time(json_object_get(params, times[i].name), times[i].unit_ms);

        pause_ms = stated_ms > pause_ms ? stated_ms : pause_ms;
    }
    if (pause_ms <= 0) {
        return TRAFFIC_PAUSE_MS;
    }
    if (pause_ms < TRAFFIC_PAUSE_MIN_MS) {
        return TRAFFIC_PAUSE_MIN_MS;
    }
    return pause_ms < TRAFFIC_PAUSE_MAX_MS ? (unsigned)pause_ms : TRAFFIC_PAUSE_MAX_MS;
}

bool traffic_is_answer(const json_t *message)
{
    return json_object_get(message, "code") != NULL && json_object_get(message, "method") == NULL;
}
