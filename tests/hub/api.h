/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub's three HTTP doors on libmicrohttpd, one thread per connection: EnOS's REST API over TLS
 * on 127.0.0.1; roots and revocation list, which prove themselves, without TLS beside it; and the
 * control socket hubctl talks to, plain HTTP on a unix socket only its owner may open.
 */
#ifndef GATEKEY_HUB_API_H
#define GATEKEY_HUB_API_H

#include "tests/hub/hub.h"

/* Bodies longer than this are refused with 413. */
#define HUB_API_BODY_LIMIT (1024 * 1024)

struct hub_api;

/* Start them. The thread that calls it keeps the process's signals; ours have them blocked. */
GK_MUST_CHECK enum gk_status hub_api_start(struct hub *hub, struct hub_api **api,
                                           struct gk_error *err);
void hub_api_stop(struct hub_api *api);

/* Take up a new server certificate: open connections of the REST API end, after a moment for the
 * calls under way. Not from one of its own
 * threads. */
GK_MUST_CHECK enum gk_status hub_api_renew(struct hub_api *api, struct gk_error *err);

#endif
