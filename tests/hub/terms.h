/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub and its CA agree on: the terms of a certificate, and what was issued by them. */
#ifndef GATEKEY_HUB_TERMS_H
#define GATEKEY_HUB_TERMS_H

#include "cleanup.h"

#include <stdint.h>

#define HUB_DAY_S INT64_C(86400)
#define HUB_DAY_MS (HUB_DAY_S * 1000)

/* What is put into a certificate beside subject and key. */
enum hub_profile {
    HUB_PROFILE_ENOS,   /* a device's, as EnOS issues them */
    HUB_PROFILE_MODERN, /* a device's, with key usage, clientAuth and CRL distribution point */
    HUB_PROFILE_SERVER, /* the hub's own; its subjectAltName is copied from the request */
    HUB_PROFILE_COUNT,
};

/* Its name, and the profile of a name; HUB_PROFILE_COUNT where there is none. */
const char *hub_profile_name(enum hub_profile profile);
enum hub_profile hub_profile_named(const char *name);

struct hub_terms {
    enum hub_profile profile;
    int64_t from_s; /* when it begins, counted from now; negative is in the past */
    int64_t life_s; /* how long it is valid from then on */
    const char *crl_url;
};

/* What was issued. Texts are the caller's to free by hub_issued_clear. */
struct hub_issued {
    int64_t serial;
    char *pem;
    char *root;    /* the certificate that signed it */
    char *link;    /* from an older root to that one; NULL where there is none */
    char *subject; /* RFC 2253 */
    char *issuer;
    int64_t sign_ms;
    int64_t expire_ms;
};

void hub_issued_clear(struct hub_issued *issued);

#endif
