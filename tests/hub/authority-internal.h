/* SPDX-License-Identifier: Apache-2.0 */
/* What root.c and authority.c share. */
#ifndef GATEKEY_HUB_AUTHORITY_INTERNAL_H
#define GATEKEY_HUB_AUTHORITY_INTERNAL_H

#include "tests/hub/authority.h"

#include <openssl/x509v3.h>
#include <stdbool.h>

struct hub_authority {
    EVP_PKEY *key;
    X509 *root;
    char *root_pem;
};

struct hub_extension {
    int nid;
    const char *value;
};

/* Add one extension, or all of a table that ends with NID_undef. */
bool hub_extension_add(X509 *certificate, X509 *issuer, int nid, const char *value);
bool hub_extensions_add(X509 *certificate, X509 *issuer, const struct hub_extension *table);

/* Valid from from_s seconds from now for life_s. */
bool hub_certificate_set_life(X509 *certificate, int64_t from_s, int64_t life_s);

/* PEM, the caller's to free; NULL when there is no memory left. */
char *hub_certificate_pem(X509 *certificate);

#endif
