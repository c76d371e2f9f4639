/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands work to the broker's thread, because mosquitto's broker functions may be called from no
 * other.
 *
 * mosquitto 2.0 calls a plugin's tick at least every 100 ms, which is when the queue is drained:
 * work waits half of that on average, and needs no wake-up that would look like one more client.
 */
#ifndef GATEKEY_HUB_QUEUE_H
#define GATEKEY_HUB_QUEUE_H

#include "cleanup.h"

#include <stdbool.h>

struct hub_queue;

struct hub_queue *hub_queue_new(void);
void hub_queue_free(struct hub_queue *queue);
GK_DEFINE_CLEANUP(struct hub_queue, hub_queue_free)

/* From any other thread: have work(argument) done and wait for it. False, undone, when the broker
 * stops. */
bool hub_queue_run(struct hub_queue *queue, void (*work)(void *argument), void *argument);

/* On the broker's thread: do what waits. */
void hub_queue_drain(struct hub_queue *queue);

/* On the broker's thread, for good: whoever waits is let go. */
void hub_queue_close(struct hub_queue *queue);

/* From any other thread: let so many milliseconds pass. False, earlier, when the broker stops. */
bool hub_queue_pause(struct hub_queue *queue, int ms);

#endif
