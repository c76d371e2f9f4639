/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to the hub's commands, on their way: kept until the hub has acknowledged them, and sent
 * again over the next connection where it has not, for as long as it waits for them. After that
 * they are worth nothing, so they are never written to disk.
 */
#ifndef GATEKEY_AGENT_SERVICE_ANSWERS_H
#define GATEKEY_AGENT_SERVICE_ANSWERS_H

#include "agent/service/service.h"

#define ANSWERS_MAX 256
#define ANSWERS_BYTES ((size_t)1024 * 1024)

struct answer {
    char *topic; /* what follows /sys/PK/DK/; NULL: this place is free */
    char *payload;
    size_t size;
    uint64_t end_ms; /* worth nothing from then on, by service_now_ms() */
    bool sent;       /* over this connection, as mid; the acknowledgement is to come */
    bool counted;    /* sent over any */
    int mid;
};

struct answers {
    struct service *service;
    struct answer kept[ANSWERS_MAX]; /* the oldest first */
    uint64_t sent;                   /* how many, each once */
};

enum answers_outcome {
    ANSWERS_SENT,
    ANSWERS_HELD, /* it goes with the next connection, or when the hub takes more again */
    ANSWERS_LOST, /* logged */
};

/* payload becomes the answers', whatever is returned. */
enum answers_outcome answers_put(struct answers *answers, const char *topic, char *payload,
                                 size_t size, uint64_t end_ms);

/* There is a new connection: what the last one left unacknowledged goes again. */
void answers_up(struct answers *answers);

/* The hub has acknowledged something, ours or not: there is room for more. */
void answers_acknowledged(struct answers *answers, int mid);

/* Drop what nobody waits for any more. */
void answers_expire(struct answers *answers);
/* When to do so, by service_now_ms(); UINT64_MAX: nothing is kept. */
uint64_t answers_due(const struct answers *answers);

void answers_clear(struct answers *answers);

#endif
