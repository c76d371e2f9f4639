/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that came lately, to drop what is delivered twice: at QoS 1 a message may be, and
 * besides a broker may deliver once because we subscribed and once because it always does.
 *
 * A restart forgets them. That is enough with a clean session: the hub keeps nothing for a
 * connection that ended, so what it did not see acknowledged does not come again over the next one
 * (MQTT 3.1.1, 3.1.2.4 and 4.4), and what was under way is ended by the hub's own time-out.
 */
#ifndef GATEKEY_AGENT_SERVICE_SEEN_H
#define GATEKEY_AGENT_SERVICE_SEEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * So many are remembered, and for so long: 512 in 10 minutes is nearly one a second, more than can
 * be carried out by programs. Beyond that the oldest are forgotten; some 60 KiB at most.
 */
#define SEEN_MAX 512
#define SEEN_MS 600000

struct seen {
    struct {
        char *key; /* topic and id; NULL: this place is free */
        uint64_t end_ms;
    } table[SEEN_MAX];
    size_t next;
};

/* Did one with this topic and id (NULL where the topic itself has it) come within SEEN_MS? If not,
 * it is remembered from now on. */
bool seen_before(struct seen *seen, const char *rest, const json_t *id, uint64_t now_ms);

/*
 * It was answered without having been begun: when it comes again it is to be taken for new. Not at
 * once, because the copy that a broker delivers besides is none of the hub's repetitions.
 */
#define SEEN_COPY_MS 2000
void seen_release(struct seen *seen, const char *rest, const json_t *id, uint64_t now_ms);

void seen_clear(struct seen *seen);

#endif
