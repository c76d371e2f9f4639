/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading traffic/control. That the topic exists, that it is flow control, and that it is answered
 * on itself is known from EnOS's SDK for Java (2.2.16), where it is a command like any other; what
 * stands in it is not published. So any such message is taken as "less, please", and only what
 * cannot be misread is read from it: a number whose name says that it is a time.
 */
#ifndef GATEKEY_AGENT_SERVICE_TRAFFIC_H
#define GATEKEY_AGENT_SERVICE_TRAFFIC_H

#include <jansson.h>
#include <stdbool.h>

#define TRAFFIC_PAUSE_MS 60000U /* where no time is stated */
#define TRAFFIC_PAUSE_MIN_MS 1000U
#define TRAFFIC_PAUSE_MAX_MS 600000U

/*
 * For how long to send no telemetry. params is what the message had (may be NULL): the members
 * duration, pause and retryAfter are seconds below 1000 and milliseconds from there on, since EnOS
 * uses both; seconds and milliseconds are what they say. The longest counts, within the bounds.
 */
unsigned traffic_pause_ms(const json_t *params);

/* Our own answer, which a broker may send back to us: it has a code, and no method. */
bool traffic_is_answer(const json_t *message);

#endif
