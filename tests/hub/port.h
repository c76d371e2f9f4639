/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's four ports on 127.0.0.1. */
#ifndef GATEKEY_HUB_PORT_H
#define GATEKEY_HUB_PORT_H

#include "tests/hub/hub.h"

/* Settle the ports that the options leave open: as they were the last time, or free ones. All are
 * kept for the next. */
GK_MUST_CHECK enum gk_status hub_keep_ports(struct hub *hub, struct gk_error *err);

#endif
