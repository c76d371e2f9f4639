/* SPDX-License-Identifier: Apache-2.0 */
/* CAs, certificates and revocation lists for unit tests, made by OpenSSL; what fails ends the test.
 */
#ifndef GATEKEY_TESTS_AGENT_AUTHORITY_H
#define GATEKEY_TESTS_AGENT_AUTHORITY_H

#include "agent/config.h"
#include "agent/openssl.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>

#define DAY_S 86400L

/* A CA's key and certificate. */
struct authority {
    EVP_PKEY *key;
    X509 *x509;
};

/* How a certificate is made; what is left out is sound. */
struct certificate_recipe {
    const char *name;
    EVP_PKEY *key;
    const struct authority *issuer; /* NULL: itself */
    const EVP_MD *digest;           /* NULL: SHA-256 */
    long serial;
    int64_t begin, end;   /* UNIX time; 0: a day around now */
    bool is_leaf;         /* no CA */
    bool may_not_certify; /* its keyUsage has cRLSign only */
    bool may_not_list;    /* its keyUsage has keyCertSign only */
    bool has_pathlen;     /* pathlen 0 */
};
X509 *certificate_make(const struct certificate_recipe *recipe);

/* A CA of that name with a key of its own, self-signed. */
struct authority authority_make(const char *name);
void authority_clear(struct authority *authority);

/* How a list is made. */
struct crl_recipe {
    const struct authority *issuer;
    const EVP_MD *digest;
    long number; /* 0: none */
    int64_t this_update, next_update;
    bool endless;        /* no nextUpdate */
    const long *revoked; /* serials, ends with 0; NULL: none */
    int extension;       /* a NID; a critical extension that nobody knows: 0 none */
    bool critical_entry; /* the entries have a critical extension */
    bool taken_back;     /* the entries say that they count no more (removeFromCRL) */
    ISSUING_DIST_POINT *scope;
};
X509_CRL *crl_make(const struct crl_recipe *recipe);

/* As PEM or DER in memory; the caller frees it. */
unsigned char *crl_encode(X509_CRL *crl, bool pem, size_t *size);

/* Write certificates, PEM, into directory/name. */
void certificates_write(const char *directory, const char *name, X509 *const *x509, size_t count);

/* Write anything. */
void file_write(const char *directory, const char *name, const void *data, size_t size);

#endif
