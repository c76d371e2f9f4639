/* SPDX-License-Identifier: Apache-2.0 */
/* Spoils the answers of the REST API as the faults that are switched on say. The control socket is
 * spared. */
#ifndef GATEKEY_HUB_SPOIL_H
#define GATEKEY_HUB_SPOIL_H

#include "tests/hub/route.h"

struct MHD_Response;

/* Before the work: waits, or refuses the call. True when it is refused, with the refusal in answer.
 */
bool hub_spoil_call(struct hub_call *call, const struct hub_route *route,
                    struct hub_answer *answer);

/*
 * After it: what is sent instead of text, the right answer to the call of that name; NULL where
 * nothing is spoilt. May change the HTTP status.
 */
struct MHD_Response *hub_spoil_response(struct hub *hub, const char *name, const char *text,
                                        size_t size, unsigned int *http);

/* What stands in the answer's head instead, whether its body is spoilt or not. */
void hub_spoil_headers(struct hub *hub, const char *name, struct MHD_Response *response);

#endif
