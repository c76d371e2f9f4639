/* SPDX-License-Identifier: Apache-2.0 */
/* One connection on the local socket; server.c has all of them. */
#ifndef GATEKEY_AGENT_SERVICE_CONNECTION_H
#define GATEKEY_AGENT_SERVICE_CONNECTION_H

#include "agent/service/service.h"

#include <sys/types.h>

struct connection;

/* It is about to be freed, whoever began that. */
typedef void connection_closed(void *context, struct connection *connection);

/* Takes fd over, which does not block. NULL when out of memory; fd is closed then. */
struct connection *connection_new(struct service *service, int fd, uid_t user,
                                  connection_closed *closed, void *context);
void connection_free(struct connection *connection); /* what it asked for goes on without it */

uid_t connection_user(const struct connection *connection);
bool connection_is_privileged(uid_t user); /* root, or the user that gatekeyd runs as */
/* Nothing is under way, and nothing waits to be read. */
bool connection_is_silent(const struct connection *connection);
uint64_t connection_since_ms(const struct connection *connection); /* when that last changed */

#endif
