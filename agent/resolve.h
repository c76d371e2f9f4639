/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking up a host's addresses without waiting: getaddrinfo(3) beside the event loop, because it
 * may take half a minute and must not starve the watchdog.
 *
 * Threads: one thread per look-up, of which the caller notices nothing; the object itself is for
 * one thread. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_RESOLVE_H
#define GATEKEY_AGENT_RESOLVE_H

#include "cleanup.h"
#include "error.h"

#include <stddef.h>

#define AGENT_RESOLVE_MAX 8   /* addresses that are looked at */
#define AGENT_RESOLVE_TEXT 64 /* bytes of one, as text */

struct agent_resolve;

/* Begin. Fails with GK_NO_MEMORY, GK_INTERNAL (no thread to be had). */
enum gk_status agent_resolve_start(const char *host, struct agent_resolve **resolve,
                                   struct gk_error *err) GK_MUST_CHECK;

/* Gives up where it is under way still; it ends by itself. NULL is fine. */
void agent_resolve_free(struct agent_resolve *resolve);
GK_DEFINE_CLEANUP(struct agent_resolve, agent_resolve_free)

/* Becomes readable when the addresses are there. */
int agent_resolve_fd(const struct agent_resolve *resolve);

/*
 * Copy the addresses, as text, in the order in which they should be tried; only once the descriptor
 * is readable. Fails with GK_UNREACHABLE (what the resolver says).
 */
enum gk_status agent_resolve_take(struct agent_resolve *resolve,
                                  char addresses[static AGENT_RESOLVE_MAX][AGENT_RESOLVE_TEXT],
                                  size_t *count, struct gk_error *err) GK_MUST_CHECK;

#endif
