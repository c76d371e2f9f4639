/* SPDX-License-Identifier: Apache-2.0 */
/* The CAs that issued our certificates, several at a time: issuer-ca.pem. One thread. Errors: see
 * error.h. */
#ifndef GATEKEY_COMMAND_ISSUERS_H
#define GATEKEY_COMMAND_ISSUERS_H

#include "agent/openssl.h"
#include "error.h"

#include <stdint.h>

/* As many as issuer-ca.pem holds. */
#define ISSUERS_MAX 8

/*
 * Unite two PEM texts, either of which may be empty: newer first, each certificate once, none of
 * the older that ended before now (UNIX time), ISSUERS_MAX at most, where the oldest go first.
 * *united is the caller's to free(3). Fails with GK_BAD_CERTIFICATE, GK_NO_MEMORY.
 */
enum gk_status issuers_unite(struct agent_openssl *openssl, const char *newer, const char *older,
                             int64_t now, char **united, struct gk_error *err) GK_MUST_CHECK;

#endif
