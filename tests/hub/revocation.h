/* SPDX-License-Identifier: Apache-2.0 */
/* What the halves of the Certificate Service share: certificate.c issues, revocation.c ends. */
#ifndef GATEKEY_HUB_REVOCATION_H
#define GATEKEY_HUB_REVOCATION_H

#include "tests/hub/route.h"

#define HUB_REASON_SUPERSEDED 4

/* The serial a call names, certSn or certSN, in its body or its query. False with the refusal in
 * answer. */
bool hub_certificate_serial(struct hub_call *call, const json_t *body, int64_t *serial,
                            struct hub_answer *answer);

/* The row of a certificate bound to the device, the caller's to release; NULL with the refusal in
 * answer. */
json_t *hub_certificate_bound(struct hub_call *call, const json_t *device, int64_t serial,
                              struct hub_answer *answer);

/*
 * Revoke one: mark it, tell the CRL, have the broker take that up, and only then cut the session,
 * which cannot come back. For any thread but the broker's.
 */
void hub_certificate_end(struct hub *hub, int64_t serial, int64_t reason,
                         struct hub_answer *answer);

#endif
