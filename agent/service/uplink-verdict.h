/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a message by what the hub says to it. Pure functions; gatekeyd(8) has the table.
 */
#ifndef GATEKEY_AGENT_SERVICE_UPLINK_VERDICT_H
#define GATEKEY_AGENT_SERVICE_UPLINK_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

enum uplink_class {
    UPLINK_TAKEN,     /* 200: the hub has it */
    UPLINK_PERMANENT, /* it would be refused again, whenever it is sent */
    UPLINK_DOUBTFUL,  /* it may be the message, it may be what the hub is told tomorrow */
    UPLINK_TEMPORARY, /* the hub is not able just now */
    UPLINK_SILENT,    /* code 0: it did not answer, or the connection went down */
};
enum uplink_class uplink_class_of(int64_t code);

/* How a message has fared, sent by itself. */
struct uplink_trial {
    unsigned tries;    /* in vain */
    bool others;       /* the hub has taken another message since the first of them */
    uint64_t since_ms; /* since the first of them */
};

/* Is it time to set it aside, so that what waits behind it comes to its turn? */
bool uplink_gives_up(enum uplink_class class, const struct uplink_trial *trial);

/* How long to wait before the next try, ms: 1 s, doubling, 60 s at most. */
uint64_t uplink_backoff_ms(unsigned tries);

#endif
