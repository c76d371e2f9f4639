/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to the hub's commands, on their way: sent at once, or held until there is a connection,
 * for as long as the hub waits for them. After that they are worth nothing, so they are never
 * written to disk.
 */
#ifndef GATEKEY_AGENT_SERVICE_ANSWERS_H
#define GATEKEY_AGENT_SERVICE_ANSWERS_H

#include "agent/service/service.h"

#define ANSWERS_MAX 16
#define ANSWERS_BYTES ((size_t)1024 * 1024)

struct answer {
    char *topic; /* what follows /sys/PK/DK/; NULL: this place is free */
    char *payload;
    size_t size;
    uint64_t end_ms; /* worth nothing from then on, by service_now_ms() */
};

struct answers {
    struct service *service;
    struct answer held[ANSWERS_MAX]; /* the oldest first */
    uint64_t sent;
};

enum answers_outcome {
    ANSWERS_SENT,
    ANSWERS_HELD, /* it goes with the next connection, or when the hub takes more again */
    ANSWERS_LOST, /* logged */
};

/* payload becomes the answers', whatever is returned. */
enum answers_outcome answers_put(struct answers *answers, const char *topic, char *payload,
                                 size_t size, uint64_t end_ms);

/* Send what is held as far as the connection takes it, and drop what nobody waits for any more. */
void answers_flush(struct answers *answers);

/* When to flush by itself, by service_now_ms(); UINT64_MAX: not at all. */
uint64_t answers_due(const struct answers *answers);

void answers_clear(struct answers *answers);

#endif
