/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands work to the broker's thread, because mosquitto's broker functions may be called from no
 * other.
 *
 * The queue is drained by the plugin's tick, which mosquitto 2.0 calls whenever its loop goes
 * round: at least every 100 ms, and at once when a signal interrupts its epoll_wait. Such a signal
 * is the wake-up; should it come too early, the work waits for those 100 ms.
 */
#ifndef GATEKEY_HUB_QUEUE_H
#define GATEKEY_HUB_QUEUE_H

#include "cleanup.h"

#include <stdbool.h>

struct hub_queue;

/* On the broker's thread, which the queue then belongs to. Takes SIGRTMIN for itself. */
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
