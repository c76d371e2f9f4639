/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that listen, for the doors of hub and CA. */
#ifndef GATEKEY_HUB_LISTEN_H
#define GATEKEY_HUB_LISTEN_H

/* Listen on a unix socket only its owner may open, replacing what was there; -1 where that fails.
 */
int hub_listen_unix(const char *path);

/* Listen on a port of 127.0.0.1; -1 where that fails. */
int hub_listen_loopback(int port);

#endif
