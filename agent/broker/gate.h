/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between the local broker's clients and mosquitto: a thread that owns the socket they
 * connect to, and copies bytes between each of them and a connection of its own to mosquitto's
 * (passage.h).
 *
 * mosquitto acknowledges a message as soon as the plugin has handed it over, and cannot be told to
 * do so later. So that acknowledgement, and whatever else mosquitto says after it, is held here
 * until gatekeyd has answered that the message is on disk (door.h): messages need not wait for one
 * another's sync.
 *
 * Where some will never be answered every client there was is cut off, unheard what was held for
 * it, and sends again. None new is let in until mosquitto has come to the end of all those: so none
 * of what they had sent besides is handed over before what was lost is sent again.
 *
 * Threads: gate_new() and gate_free() belong to the broker's; in between the gate has its own,
 * which calls nothing of mosquitto's and takes no signals.
 */
#ifndef GATEKEY_AGENT_BROKER_GATE_H
#define GATEKEY_AGENT_BROKER_GATE_H

#include "agent/broker/door.h"

struct gate;

/*
 * path is the clients' socket: made with mode 0770, as mosquitto makes one, in place of one that is
 * left. inner is the one that mosquitto listens on; its folder is made if it is not there, and must
 * be nobody's but ours. NULL for both: there is no such socket, only gatekeyd's answers are read.
 * NULL when that cannot be; why says so.
 */
struct gate *gate_new(struct door *door, const char *path, const char *inner, char *why,
                      size_t size);
void gate_free(struct gate *gate); /* hangs up on everybody; NULL is fine */

#endif
