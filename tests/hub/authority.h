/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root of the local hub's CA: an RSA-2048 key that signs the hub's own server certificate, the
 * devices' certificates, and the list of the revoked ones, with the profiles EnOS uses. Only the
 * CA's process has one.
 *
 * In EnOS's profile a device's certificate carries no key usage, no extended key usage and no CRL
 * distribution point, because EnOS's do not. What is issued and revoked is remembered by the
 * caller. Safe from several threads once open.
 */
#ifndef GATEKEY_HUB_AUTHORITY_H
#define GATEKEY_HUB_AUTHORITY_H

#include "tests/hub/request.h"
#include "tests/hub/terms.h"

struct hub_authority;

/*
 * Open the root of that number in a folder, making it on first use to live for so many days: the
 * first is root.pem and root.key, the second root-2.pem and root-2.key. Each has a name of its own.
 */
GK_MUST_CHECK enum gk_status hub_authority_open(const char *directory, int number, int life_days,
                                                struct hub_authority **authority,
                                                struct gk_error *err);
void hub_authority_close(struct hub_authority *authority);
GK_DEFINE_CLEANUP(struct hub_authority, hub_authority_close)

/* The root certificate, PEM; lives as long as the authority. */
const char *hub_authority_root(const struct hub_authority *authority);

/* Whole days the root still lives, 0 when it is over. */
int hub_authority_days_left(const struct hub_authority *authority);

/* A link certificate: next's name and key, signed by the root before it, for as long as that one
 * lives. PEM, the caller's to free. */
GK_MUST_CHECK enum gk_status hub_authority_link(struct hub_authority *authority,
                                                const struct hub_authority *next, char **pem,
                                                struct gk_error *err);

/* Issue a certificate: subject and key copied from the request. */
GK_MUST_CHECK enum gk_status hub_authority_issue(struct hub_authority *authority,
                                                 const struct hub_request *request, int64_t serial,
                                                 const struct hub_terms *terms,
                                                 struct hub_issued *issued, struct gk_error *err);

struct hub_revocation {
    int64_t serial;
    int64_t time_ms;
    int reason; /* RFC 5280, 5.3.1; 0 is left out */
};

/* A list of the revoked, PEM, valid from from_s seconds from now for life_s. The caller frees it.
 */
GK_MUST_CHECK enum gk_status hub_authority_crl(struct hub_authority *authority,
                                               const struct hub_revocation *revoked, size_t count,
                                               int64_t number, int64_t from_s, int64_t life_s,
                                               char **pem, struct gk_error *err);

#endif
