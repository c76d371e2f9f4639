/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin's way into gatekeyd: its socket (agent/local.h), one connection, one request at a
 * time.
 *
 * Asking blocks the whole broker until gatekeyd answers, which takes one sync of the disk; for
 * DOOR_WAIT_MS at most, and not at all from then on until gatekeyd has answered what it was asked
 * last. Threads: one, the broker's.
 */
#ifndef GATEKEY_AGENT_BROKER_DOOR_H
#define GATEKEY_AGENT_BROKER_DOOR_H

#include "cleanup.h"

#include <jansson.h>
#include <stdbool.h>

#define DOOR_WAIT_MS 10000

struct door;

/* path is copied. NULL when there is no memory, or the path is too long for a socket. */
struct door *door_new(const char *path);
void door_free(struct door *door); /* NULL is fine */

/*
 * Ask gatekeyd. Its answer, the caller's to json_decref(); NULL when there is none: nobody listens,
 * it took too long, or the connection broke, and then it may have done what it was asked all the
 * same. A request that is too long for a line is not sent: *too_long.
 */
json_t *door_ask(struct door *door, const json_t *request, bool *too_long);

#endif
