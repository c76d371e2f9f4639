/* SPDX-License-Identifier: Apache-2.0 */
/* What every TCP connection towards the hub is told. */
#ifndef GATEKEY_AGENT_SOCKET_H
#define GATEKEY_AGENT_SOCKET_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/*
 * Give up a connection whose other end has acknowledged nothing, or has had no room for anything,
 * for so long: what a NAT has forgotten is not waited for a quarter of an hour. What cannot be set
 * is done without.
 */
static inline void agent_socket_set(int fd, unsigned patience_ms)
{
    int on = 1;

    (void)!setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

#endif
