/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin's way into gatekeyd: its socket (agent/local.h), one connection, on which one request
 * follows the other without waiting for answers.
 *
 * Each request has a number: the first is 1, and gatekeyd answers in their order. So two numbers
 * say all: how many were handed over, and up to which one all are answered for good. The gate
 * (gate.h) holds back what mosquitto says until the second has reached what the first was when it
 * was said.
 *
 * When one of them is not answered for good (gatekeyd is gone, or does not answer, or cannot store
 * it) nothing more is handed over, so that none overtakes another, until those who wait were cut
 * off (door_mended()) and gatekeyd has hung up, having dropped what it had not taken by then.
 *
 * Threads: the broker's hands over, the gate's does all the rest; what either may call says so.
 */
#ifndef GATEKEY_AGENT_BROKER_DOOR_H
#define GATEKEY_AGENT_BROKER_DOOR_H

#include "cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define DOOR_WAIT_MS 10000 /* for gatekeyd to answer anything */
#define DOOR_WHY 256

enum door_outcome {
    DOOR_TAKEN,   /* it is on disk, or it is on its way there and nothing said from now on leaves
                     before it is */
    DOOR_REFUSED, /* for good: its sender was told on gatekey/error/... */
    DOOR_AGAIN,   /* not taken: it has to come again */
};

struct door;

/* path is copied. NULL when there is no memory, or the path is too long for a socket. */
struct door *door_new(const char *path);
void door_free(struct door *door); /* when there is no other thread; NULL is fine */

/* --- the broker's thread --------------------------------------------------------------------- */

/*
 * Hand over a line, which ends with a newline and is no longer than AGENT_LOCAL_LINE_MAX. Waits for
 * the answer when told to, and always until some in a row were taken: while a disk is full each
 * publisher is refused for himself. Waits for room on the socket otherwise.
 * why says what is the matter, or was when others were lost since it was last said; else it is
 * empty.
 * Blocks the broker for DOOR_WAIT_MS at most, and not at all from then on until gatekeyd has
 * answered or hung up.
 */
enum door_outcome door_hand_over(struct door *door, const char *line, size_t size, bool wait,
                                 char why[static DOOR_WHY]);

/* --- the gate's thread ----------------------------------------------------------------------- */

/* Before the first hand-over: have this epoll(7) say, under tag, when door_read() is due. */
bool door_watch(struct door *door, int epoll, void *tag);
void door_ring(struct door *door); /* from any thread: wake that epoll */
void door_read(struct door *door); /* what gatekeyd answered */

/* How many were handed over. Whatever mosquitto said before this is called was said knowing of no
 * more than these. */
uint64_t door_handed(const struct door *door);
uint64_t door_answered(const struct door *door); /* up to this one all are answered for good */

/* Some will never be answered. */
bool door_is_lost(const struct door *door);
/* Nobody waits for one of those any more, and none who sent one can send another. */
void door_mended(struct door *door);

/* CLOCK_MONOTONIC; when door_expire() is due, -1: nobody waits for gatekeyd. */
int64_t door_deadline_ms(struct door *door);
void door_expire(struct door *door); /* it did not answer in time, if that is so */
int64_t door_now_ms(void);

#endif
