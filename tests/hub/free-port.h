/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of 127.0.0.1 for servers that have to be told one: the one way in which all tests choose.
 *
 * None is a port that the kernel gives to connections (ip_local_port_range): any program might hold
 * one of those by the time the server wants it. A test has a block of ports to itself for as long
 * as it runs, and is given each once before any comes again: so a server that was stopped finds its
 * own free when it is started again. A process outside the tests, such as the demo's hub, takes a
 * block of its own.
 */
#ifndef GATEKEY_HUB_FREE_PORT_H
#define GATEKEY_HUB_FREE_PORT_H

#include <stdbool.h>

/* The file of a test's ports is named by this variable. */
#define HUB_PORTS_VARIABLE "GATEKEY_PORTS"

/* Reserve a block until this process ends, and write the file for those it starts. False with errno
 * set; EADDRINUSE where others have all blocks. */
bool hub_ports_reserve(const char *file);

/* A port that is free now, 0 where there is none. Safe from several processes, not from several
 * threads. */
int hub_port_pick(void);

/* Whether a server could listen there now, also where the last one's connections linger. */
bool hub_port_is_free(int port);

#endif
