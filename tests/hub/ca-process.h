/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's process, as the hub starts and ends it. It is a child of the hub's process and dies with
 * it, however that ends.
 */
#ifndef GATEKEY_HUB_CA_PROCESS_H
#define GATEKEY_HUB_CA_PROCESS_H

#include "error.h"

#include <sys/types.h>

/* Start it in the working directory with a new token, and wait until it can be called. root_days is
 * the life of a root it has to make. */
GK_MUST_CHECK enum gk_status hub_ca_process_start(int root_days, pid_t *pid, struct gk_error *err);

/* End it, and return when it is gone. Nothing happens with 0. */
void hub_ca_process_end(pid_t pid);

#endif
