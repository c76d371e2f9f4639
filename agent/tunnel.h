/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel through an HTTP proxy (CONNECT): asks for it, and then only copies bytes between the
 * proxy and one end of a private unix socket, whose other end is libmosquitto's.
 *
 * Nothing waits: poll agent_tunnel_fd() for reading, and step. Threads: one at a time per tunnel.
 * Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_TUNNEL_H
#define GATEKEY_AGENT_TUNNEL_H

#include "agent/proxy.h"
#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct agent_tunnel;

/*
 * Begin to connect to the proxy at that numeric address, and ask for host and port. proxy and host
 * are borrowed. patience_ms: how long the other end may leave what was sent unacknowledged. Fails
 * with GK_UNREACHABLE, GK_NO_MEMORY, GK_INTERNAL. The caller frees it with agent_tunnel_free().
 */
enum gk_status agent_tunnel_start(const struct agent_proxy *proxy, const char *address,
                                  const char *host, uint16_t port, unsigned patience_ms,
                                  struct agent_tunnel **tunnel, struct gk_error *err) GK_MUST_CHECK;
void agent_tunnel_free(struct agent_tunnel *tunnel); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_tunnel, agent_tunnel_free)

/* Readable when there is something to do, for the tunnel or on what agent_tunnel_watch() was given.
 */
int agent_tunnel_fd(const struct agent_tunnel *tunnel);
/* Have it told for libmosquitto's descriptor as well; events as for poll(2). */
void agent_tunnel_watch(struct agent_tunnel *tunnel, int fd, short events);

/*
 * Do what can be done without waiting. Fails with GK_PROXY and GK_UNREACHABLE until it is open.
 * Once it is, what happens to it is seen on the private socket: the end, as an end.
 */
enum gk_status agent_tunnel_step(struct agent_tunnel *tunnel, struct gk_error *err) GK_MUST_CHECK;

/* The proxy agreed. */
bool agent_tunnel_is_open(const struct agent_tunnel *tunnel);

/*
 * Make the private socket's listening end in that directory, which is the process's own, and write
 * where it is to path. Who connects there next is connected to the proxy by agent_tunnel_accept(),
 * after which the path is gone. Fail with GK_FILE_DENIED, GK_FILE_FAILED, GK_INTERNAL.
 */
#define AGENT_TUNNEL_PATH 64
enum gk_status agent_tunnel_listen(struct agent_tunnel *tunnel, const char *directory,
                                   char path[static AGENT_TUNNEL_PATH],
                                   struct gk_error *err) GK_MUST_CHECK;
enum gk_status agent_tunnel_accept(struct agent_tunnel *tunnel, struct gk_error *err) GK_MUST_CHECK;

/* The socket to the proxy, -1 once it ended. */
int agent_tunnel_far(const struct agent_tunnel *tunnel);

/* What the socket to the proxy ended with (errno), 0 where it did not fail. */
int agent_tunnel_system_error(const struct agent_tunnel *tunnel);

#endif
