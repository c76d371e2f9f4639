/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sees to it that the hub's certificate and its revocation lists are renewed in time, on a thread
 * of its own, and has broker and API take them up.
 */
#ifndef GATEKEY_HUB_STEWARD_H
#define GATEKEY_HUB_STEWARD_H

#include "tests/hub/hub.h"

struct hub_steward;

/* There before the API, whose control door asks it, and until that has ended. */
struct hub_steward *hub_steward_new(struct hub *hub);
void hub_steward_free(struct hub_steward *steward);

/* The thread: the hub's queue and API must be there as long as it works. */
GK_MUST_CHECK enum gk_status hub_steward_start(struct hub_steward *steward, struct gk_error *err);
void hub_steward_stop(struct hub_steward *steward);

/*
 * From any thread but the broker's and the API's own: take up at once what the settings or a fault
 * demand of the server's certificate; anew: even where nothing does. When it returns every door
 * shows it.
 */
GK_MUST_CHECK enum gk_status hub_steward_renew(struct hub_steward *steward, bool anew,
                                               struct gk_error *err);

#endif
