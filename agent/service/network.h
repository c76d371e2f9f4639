/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that the network came back: a link that runs again, a new address, a new route. What the
 * kernel tells so comes in bursts, and to every machine of a site at once, so it is passed on once,
 * two to four seconds after the first word of it.
 *
 * Threads: the event loop's. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_SERVICE_NETWORK_H
#define GATEKEY_AGENT_SERVICE_NETWORK_H

#include "cleanup.h"
#include "error.h"

#include <systemd/sd-event.h>

struct network;

/* Call back, from the loop, each time. Takes no privilege. Fails with GK_INTERNAL (the kernel does
 * not tell), GK_NO_MEMORY. The caller frees it with network_free(), which back() may do too. */
enum gk_status network_new(sd_event *event, void (*back)(void *context), void *context,
                           struct network **network, struct gk_error *err) GK_MUST_CHECK;
void network_free(struct network *network); /* NULL is fine */
GK_DEFINE_CLEANUP(struct network, network_free)

#endif
