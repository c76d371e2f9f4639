/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that clients of the local broker connect to, and the way on to mosquitto's own.
 *
 * Threads: listener_new() and listener_free() belong to the broker's, the rest to the gate's.
 */
#ifndef GATEKEY_AGENT_BROKER_LISTENER_H
#define GATEKEY_AGENT_BROKER_LISTENER_H

#include "cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define LISTENER_CLIENTS_MAX 1000

struct listener;

/* As gate_new() does; epoll says, with the listener as its tag, when somebody comes. */
struct listener *listener_new(int epoll, const char *path, const char *inner, char *why,
                              size_t size);
void listener_free(struct listener *listener); /* removes the socket if it is ours; NULL is fine */

void listener_note(struct listener *listener); /* what epoll said */
void listener_room(struct listener *listener); /* somebody left; NULL is fine */
/* The next client, and a connection to mosquitto for it. False: not now. */
bool listener_accept(struct listener *listener, int *client, int *broker);
/* CLOCK_MONOTONIC, when to try again by itself; -1: not at all. NULL is fine. */
int64_t listener_due_ms(const struct listener *listener);

#endif
